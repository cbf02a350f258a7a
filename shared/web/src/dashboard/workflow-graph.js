// The drawing of a workflow: zoom and pan, by pointer and by keyboard; it stays where it was when the page refreshes it.
const STEP = 60; // pixels on the screen that an arrow key moves
const NEAREST = 4;
const READABLE = 0.8; // pixels on the screen for one of the drawing
let view = null; // [left, top, width, height] in the drawing's own pixels; null = all of it
let held = null;

const canvas = () => document.querySelector(".workflow-canvas");
const drawn = () => canvas()?.querySelector("svg");
const whole = () => drawn().dataset.box.split(" ").map(Number);

function show(next) {
  view = next;
  drawn()?.setAttribute("viewBox", (view ?? whole()).join(" "));
}

/** Zoom by a factor around a point of the drawing; without one, around the middle. */
function zoom(factor, at) {
  const [left, top, width, height] = view ?? whole();
  const [, , most] = whole();
  const by = Math.min(Math.max(factor, width / (most * 2)), width / (most / NEAREST));
  const [x, y] = at ?? [left + width / 2, top + height / 2];
  show([x - (x - left) / by, y - (y - top) / by, width / by, height / by]);
}

/** Move by pixels on the screen. */
function move(right, down) {
  const [left, top, width, height] = view ?? whole();
  const pixel = 1 / drawn().getScreenCTM().a;
  show([left + right * pixel, top + down * pixel, width, height]);
}

function pointOf(event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawn().getScreenCTM().inverse());
  return [point.x, point.y];
}

const KEYS = {
  ArrowLeft: () => move(-STEP, 0), ArrowRight: () => move(STEP, 0), ArrowUp: () => move(0, -STEP), ArrowDown: () => move(0, STEP),
  "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: () => show(null),
};

/** Begin where something happens, large enough to read. */
function begin() {
  if (!drawn()) return;
  const [left, top, width, height] = whole();
  const { clientWidth, clientHeight } = canvas();
  if (Math.min(clientWidth / width, clientHeight / height) >= READABLE) return;
  const [w, h] = [clientWidth / READABLE, clientHeight / READABLE];
  const node = drawn().querySelector('.node[aria-current], .node[data-state="running"], .node[data-state="waiting"], .node[data-state="failed"]');
  const at = node?.transform.baseVal[0].matrix;
  show([left + (width - w) / 2, at ? Math.max(top, Math.min(at.f - h / 2, top + height - h)) : top, w, h]);
}

export function install() {
  begin();
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !event.target.closest?.(".workflow-canvas") || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  document.addEventListener("click", (event) => {
    const how = event.target.closest("[data-zoom]")?.dataset.zoom;
    if (how) how === "fit" ? show(null) : zoom(how === "in" ? 1.25 : 0.8);
    if (held?.moved && event.target.closest(".workflow-canvas")) event.preventDefault(); // it was dragged, not chosen
    held = null;
  }, true);
  document.addEventListener("wheel", (event) => {
    if (!event.ctrlKey || !event.target.closest?.(".workflow-canvas")) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.1 : 1 / 1.1, pointOf(event));
  }, { passive: false });
  document.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.target.closest?.(".workflow-canvas")) held = { x: event.clientX, y: event.clientY, moved: false };
  });
  document.addEventListener("pointermove", (event) => {
    if (!held || !event.buttons || !drawn()) return;
    const [right, down] = [held.x - event.clientX, held.y - event.clientY];
    if (!held.moved && Math.hypot(right, down) < 4) return;
    Object.assign(held, { x: event.clientX, y: event.clientY, moved: true });
    move(right, down);
  });
  document.addEventListener("dragstart", (event) => { if (event.target.closest?.(".workflow-canvas")) event.preventDefault(); });
  document.addEventListener("htmx:after:swap", () => { if (drawn() && view) show(view); });
}
