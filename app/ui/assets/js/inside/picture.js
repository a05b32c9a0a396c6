// A grid of values as a picture: drawn on a canvas, read cell by cell with the pointer or the arrow keys, saved as SVG
// or PNG.

import { h, icon } from "../dom.js";
import { t } from "../i18n.js";

const GAP = 1;
const LABEL_FONT = 11;
const XML = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
// XML has no place for most control characters.
const xml = (text) => text.replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd").replace(/[&<>"]/g, (each) => XML[each]);

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return { page: of("--fs-field"), ink: of("--fs-text"), muted: of("--fs-muted"), accent: of("--fs-accent"), font: of("--fs-mono") };
}

function download(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export class Picture {
  /**
   * title: what it shows. rows, columns: labels. value(row, column): from 0 to 1, how strongly a cell is drawn.
   * told(row, column): a cell in words. text(row, column): words in the cell, or null. file: name to save as. choose(row,
   * column): a cell was clicked, or Enter pressed on it; or null. cell, labels: {width, height} in pixels.
   */
  constructor({ title, rows, columns, value, told, file, cell, labels, text = null, choose = null }) {
    Object.assign(this, { title, rows, columns, value, told, text, file, cell, labels, choose });
    this.canvas = h("canvas");
    this.mark = h("div.fs-picture-mark", { hidden: true });
    this.readout = h("p.fs-readout", { role: "status", "aria-live": "polite" }, t("Point at a cell, or go through them with the arrow keys."));
    const frame = h("div.fs-picture-frame", { tabindex: "0", role: "img", "aria-label": title }, this.canvas, this.mark);
    const save = (label, action) => h("button.fs-button.fs-small", { type: "button", onclick: action }, icon("download"), label);
    const buttons = h("div.fs-inside-row", {}, save("SVG", () => this.saveSvg()), save("PNG", () => this.savePng()));
    this.element = h("figure.fs-picture", {}, frame, this.readout, buttons);
    frame.addEventListener("pointermove", (event) => this.point(this.cellAt(event)));
    frame.addEventListener("pointerleave", () => this.point(this.at ?? null));
    frame.addEventListener("click", (event) => this.take(this.cellAt(event)));
    frame.addEventListener("keydown", (event) => this.onKey(event, frame));
    // The colours are those of the theme.
    this.watcher = new MutationObserver(() => this.draw());
    this.watcher.observe(document.documentElement, { attributeFilter: ["class"] });
  }

  close() {
    this.watcher.disconnect();
  }

  get size() {
    return {
      width: this.labels.width + this.columns.length * this.cell.width,
      height: this.labels.height + this.rows.length * this.cell.height,
    };
  }

  /** What there is to draw, for the canvas and for SVG alike. */
  *shapes() {
    const { cell, labels } = this;
    const everyRow = Math.ceil((LABEL_FONT + 2) / cell.height);
    for (const [row, name] of this.rows.entries()) {
      if (row % everyRow) continue;
      yield { kind: "label", x: labels.width - 6, y: labels.height + (row + 0.5) * cell.height, text: name, end: true };
    }
    for (const [row] of this.rows.entries()) {
      for (const [column] of this.columns.entries()) {
        const x = labels.width + column * cell.width;
        const y = labels.height + row * cell.height;
        const strength = Math.max(0, Math.min(1, this.value(row, column)));
        const gap = cell.width > 3 ? GAP : 0;
        yield { kind: "cell", x, y, width: cell.width - gap, height: cell.height - GAP, strength };
        const words = this.text?.(row, column);
        if (words) yield { kind: "words", x: x + 5, y: y + cell.height / 2, text: words, width: cell.width - 10, strength };
      }
    }
    if (!labels.height) return;
    const upright = cell.width < 40;
    if (upright && cell.width < LABEL_FONT) return;
    for (const [column, name] of this.columns.entries()) {
      const x = labels.width + (column + (upright ? 0.5 : 0)) * cell.width + (upright ? 0 : 5);
      yield { kind: "label", x, y: labels.height - 6, text: name, upright };
    }
  }

  draw() {
    const { width, height } = this.size;
    const scale = Math.min(devicePixelRatio || 1, 16_000 / width);
    const { canvas } = this;
    [canvas.width, canvas.height] = [Math.ceil(width * scale), Math.ceil(height * scale)];
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const { page, ink, muted, accent, font } = colours();
    pen.fillStyle = page;
    pen.fillRect(0, 0, width, height);
    pen.textBaseline = "middle";
    pen.font = `${LABEL_FONT}px ${font}`;
    for (const shape of this.shapes()) {
      if (shape.kind === "cell") {
        pen.fillStyle = accent;
        pen.globalAlpha = 0.04 + 0.96 * shape.strength;
        pen.fillRect(shape.x, shape.y, shape.width, shape.height);
        pen.globalAlpha = 1;
      } else this.write(pen, shape, shape.kind === "words" ? ink : muted);
    }
  }

  write(pen, { kind, x, y, text, width, end, upright }, colour) {
    pen.save();
    pen.fillStyle = colour;
    pen.textAlign = end ? "right" : "left";
    pen.translate(x, y);
    if (upright) pen.rotate(-Math.PI / 2);
    if (kind === "words") {
      pen.beginPath();
      pen.rect(0, -this.cell.height / 2, width, this.cell.height);
      pen.clip();
    }
    pen.fillText(text, 0, 0);
    pen.restore();
  }

  /** The same as SVG. */
  svg() {
    const { width, height } = this.size;
    const { page, ink, muted, accent, font } = colours();
    const parts = [`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`];
    parts.push(`<title>${xml(this.title)}</title><rect width="100%" height="100%" fill="${page}"/>`);
    parts.push(`<g font-family="${xml(font)}" font-size="${LABEL_FONT}" dominant-baseline="central">`);
    for (const each of this.shapes()) {
      if (each.kind === "cell") {
        const opacity = (0.04 + 0.96 * each.strength).toFixed(3);
        parts.push(`<rect x="${each.x}" y="${each.y}" width="${each.width}" height="${each.height}" fill="${accent}" fill-opacity="${opacity}"/>`);
        continue;
      }
      const most = each.kind === "words" ? Math.max(1, Math.floor(each.width / (LABEL_FONT * 0.61))) : Infinity;
      const text = each.text.length > most ? `${each.text.slice(0, most - 1)}…` : each.text;
      const turn = each.upright ? ` transform="rotate(-90 ${each.x} ${each.y})"` : "";
      const anchor = each.end ? ' text-anchor="end"' : "";
      parts.push(`<text x="${each.x}" y="${each.y}" fill="${each.kind === "words" ? ink : muted}"${anchor}${turn}>${xml(text)}</text>`);
    }
    parts.push("</g></svg>");
    return parts.join("\n");
  }

  saveSvg() {
    download(new Blob([this.svg()], { type: "image/svg+xml" }), `${this.file}.svg`);
  }

  savePng() {
    this.canvas.toBlob((blob) => blob && download(blob, `${this.file}.png`), "image/png");
  }

  cellAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - this.labels.width) / this.cell.width);
    const row = Math.floor((event.clientY - box.top - this.labels.height) / this.cell.height);
    return row in this.rows && column in this.columns ? [row, column] : null;
  }

  /** Mark a cell and say what it is. */
  point(at) {
    this.mark.hidden = !at;
    if (!at) return;
    const [row, column] = at;
    Object.assign(this.mark.style, {
      left: `${this.labels.width + column * this.cell.width}px`,
      top: `${this.labels.height + row * this.cell.height}px`,
      width: `${this.cell.width}px`,
      height: `${this.cell.height}px`,
    });
    this.readout.textContent = this.told(row, column);
  }

  take(at) {
    this.at = at;
    this.point(at);
    if (at) this.choose?.(...at);
  }

  onKey(event, frame) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (step) {
      const [row, column] = this.at ?? [0, -1];
      const to = [row + step[0], column + step[1]];
      if (!(to[0] in this.rows && to[1] in this.columns)) return;
      this.at = to;
      this.point(to);
      const x = this.labels.width + to[1] * this.cell.width;
      if (x < frame.scrollLeft + this.labels.width || x > frame.scrollLeft + frame.clientWidth - this.cell.width) {
        frame.scrollLeft = x - frame.clientWidth / 2;
      }
    } else if (event.key === "Enter" && this.at) this.choose?.(...this.at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
