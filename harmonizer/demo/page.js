() => {
  // Runs once, when the page is loaded. NAMES stands for names of controls, by their selectors.
  document.documentElement.lang = "en";
  document.querySelector("#said").setAttribute("role", "status");
  const names = NAMES;
  const name = () => Object.entries(names).forEach(([where, text]) =>
    document.querySelectorAll(where).forEach((one) => one.setAttribute("aria-label", text)));
  new MutationObserver(name).observe(document.body, {childList: true, subtree: true});
  name();

  // The cut-out is dragged, or moved by keys: all of it moves the sliders, which it follows.
  const slider = (what) => document.querySelector(`#${what} input[type=range]`);
  const at = (what) => Number(slider(what).value);
  const move = (what, value) => {
    slider(what).value = value; // which keeps to the slider's limits and steps
    slider(what).dispatchEvent(new Event("input", {bubbles: true}));
  };
  const stageOf = (event) => event.target.closest?.(".stage");
  const NUDGE = 4; // pixels that a finger may move in a click
  let drag = null;

  document.addEventListener("pointerdown", (event) => {
    const stage = stageOf(event);
    if (!stage || !event.isPrimary || event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    stage.focus({preventScroll: true});
    drag = {x: at("x"), y: at("y"), left: event.clientX, top: event.clientY, moved: false};
  });
  document.addEventListener("pointermove", (event) => {
    const stage = drag && event.isPrimary && stageOf(event);
    if (!stage) return;
    const [right, down] = [event.clientX - drag.left, event.clientY - drag.top];
    drag.moved ||= Math.hypot(right, down) > NUDGE;
    if (!drag.moved) return;
    move("x", drag.x + (100 * right) / stage.clientWidth);
    move("y", drag.y + (100 * down) / stage.clientHeight);
  });
  document.addEventListener("pointerup", (event) => {
    const stage = drag && event.isPrimary && stageOf(event);
    if (stage && !drag.moved) {
      const box = stage.getBoundingClientRect();
      move("x", (100 * (event.clientX - box.left)) / box.width);
      move("y", (100 * (event.clientY - box.top)) / box.height);
    }
    drag = null;
  });
  document.addEventListener("pointercancel", () => (drag = null));

  const KEYS = {
    ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowUp: ["y", -1], ArrowDown: ["y", 1],
    "-": ["size", -1], "+": ["size", 1], "=": ["size", 1],
  };
  document.addEventListener("keydown", (event) => {
    if (!stageOf(event) || !KEYS[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault(); // the page would scroll
    const [what, step] = KEYS[event.key];
    move(what, at(what) + (event.shiftKey && what !== "size" ? 10 : 1) * step);
  });
}
