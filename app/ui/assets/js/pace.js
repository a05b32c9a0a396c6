// Drawing at a pace that leaves the page free for its user.

// Of the time, drawing takes at most one part in so many.
const SHARE = 3;

/** Calls `draw` with an animation frame after `request`, and rarer the longer its drawing takes. */
export class Pace {
  constructor(draw) {
    this.draw = draw;
    this.pending = false;
    this.free = 0;
  }

  request() {
    if (this.pending) return;
    this.pending = true;
    const wait = this.free - performance.now();
    if (wait > 0) setTimeout(() => this.frame(), wait);
    else this.frame();
  }

  frame() {
    requestAnimationFrame(() => {
      this.pending = false;
      const begun = performance.now();
      this.draw();
      // After layout and paint of what was drawn.
      setTimeout(() => {
        const now = performance.now();
        this.free = now + (SHARE - 1) * (now - begun);
      });
    });
  }
}
