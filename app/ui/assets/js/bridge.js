// Between Gradio's components and ours: events out, stamped messages in.

const components = new Map();
const handlers = new Map();

/** Tell Python about something: `send("transcript", "open", {id})`. */
export function send(component, event, data = {}) {
  const target = components.get(component);
  if (target) target.trigger(event, data);
}

/** What to do with the messages of a component: `receive("sidebar", {list: (message) => …})`. */
export function receive(component, operations) {
  handlers.set(component, { ...handlers.get(component), ...operations });
}

/** Take over Gradio's components as they appear; `mounts` are functions of the element by component. */
export function connect(mounts) {
  const attach = (name, component) => {
    components.set(name, component);
    mounts[name](component.element.querySelector(`.fs-${name}`));
    // Values may arrive twice and out of turn; their numbers tell.
    let last = 0;
    const take = () => {
      const message = component.props.value;
      if (!message || typeof message !== "object" || !(message.k > last)) return;
      last = message.k;
      const handle = handlers.get(name)?.[message.op] ?? handlers.get("any")?.[message.op];
      if (handle) handle(message);
      setTimeout(forget);
    };
    // Gradio copies a component's value whole at each of its events: of 200 messages, in the middle of a key press. Not
    // at once, when a newer one may be set that it has not told of yet.
    const forget = () => {
      if (component.props.value?.k === last) component.props.value = null;
    };
    component.watch("value", take);
    take();
  };
  for (const waiting of window.fireside.waiting.splice(0)) attach(...waiting);
  window.fireside.attach = attach;
}
