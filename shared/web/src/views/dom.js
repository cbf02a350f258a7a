// Small parts that views build their pages from. Text is only ever set as text.
const SHAPES = {
  folder: "M3 7a2 2 0 0 1 2-2h4l2 3h8a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2z",
  file: "M6 3.5h8l4 4v13H6zM14 3.500v4h4",
  search: "M11 4.500a6.500 6.500 0 1 0 0 13a6.500 6.500 0 1 0 0-13M16 16l4.500 4.500",
  close: "M6 6l12 12M18 6L6 18",
  back: "M15 5l-7 7 7 7",
  warning: "M12 4l9 16H3zM12 10v4.500M12 17.200v.1",
  clock: "M12 4a8 8 0 1 0 0 16a8 8 0 1 0 0-16M12 8v4.500l3 1.500",
  book: "M12 6c-2-1.500-5-2-8-2v14c3 0 6 .5 8 2 2-1.500 5-2 8-2V4c-3 0-6 .5-8 2zM12 6v14",
};

/** Make an element; properties starting with "on" are listeners, others attributes. */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

let pressed = null;
let dragged = false;
const press = () => { pressed ??= Promise.withResolvers(); };
const letGo = () => setTimeout(() => { pressed?.resolve(); pressed = null; }); // a click comes after its button is up
addEventListener("pointerdown", press, true);
addEventListener("pointerup", letGo, true);
addEventListener("pointercancel", () => { if (!dragged) letGo(); }, true);
addEventListener("dragstart", () => { dragged = true; press(); }, true);
addEventListener("dragend", () => { dragged = false; letGo(); }, true);

/** Wait while something is pressed or dragged: what is drawn anew under a pointer loses its click, or ends the drag. */
export const released = () => pressed?.promise;

/** Return a function that has `work` done once, `wait` ms after it was called first: news that never pause are shown all the same. */
export function gather(work, wait) {
  let due = 0;
  let again = false;
  const turn = async () => {
    again = false;
    try { await work(); } finally { due = again ? setTimeout(turn, wait) : 0; }
  };
  return () => { again = true; due ||= setTimeout(turn, wait); };
}

/** Return a function that has `work` done once nobody has called it for 200 ms: a search waits for a pause in the typing. */
export function rested(work) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(work, 200); };
}

/** Return a function that gives what `ask` finds to `show`, unless it was called again meanwhile: answers may overtake each other. */
export function latest(ask, show) {
  let turns = 0;
  return async (...given) => {
    const turn = ++turns;
    const found = await ask(...given);
    if (turn === turns) await show(found);
  };
}

export const empty = (shape, title, text, ...actions) =>
  h("div", { class: "empty" }, h("span", { class: "empty-icon" }, icon(shape)), h("h2", {}, title), h("p", {}, text), actions.length ? h("div", { class: "row" }, ...actions) : null);

export const problem = (error, retry) =>
  h("div", { class: "problem", role: "alert" }, icon("warning"), h("div", {}, error.message), retry ? h("button", { class: "button small", type: "button", onclick: retry }, "Try again") : null);

export const skeleton = (label) => h("div", { class: "skeleton pad", role: "status", "aria-label": label }, h("i"), h("i"), h("i"), h("i"));

const newest = new WeakMap();

/**
 * Show the elements that `content` finds in a pane, a skeleton while that takes long, and why it failed.
 * @param put how they get into the pane. What comes later than something newer is not shown.
 */
export async function shown(pane, label, content, put = (made) => pane.replaceChildren(...made)) {
  const turn = Symbol(label);
  newest.set(pane, turn);
  const show = (work) => { if (newest.get(pane) === turn) work(); };
  const slow = setTimeout(() => { if (label && !released()) show(() => pane.replaceChildren(skeleton(label))); }, 150);
  try {
    const made = (await content()).filter(Boolean);
    await released();
    show(() => put(made));
  } catch (error) {
    show(() => pane.replaceChildren(problem(error, () => shown(pane, label, content))));
  } finally { clearTimeout(slow); }
}

export function size(bytes) {
  for (const unit of ["B", "KB", "MB", "GB"]) {
    if (bytes < 1000 || unit === "GB") return unit === "B" ? `${bytes} B` : `${bytes.toFixed(1)} ${unit}`;
    bytes /= 1000;
  }
}

export const moment = (text) => text ? new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "";

/** Ask in a dialog of the view itself. */
export function ask({ title, text = "", yes = "OK", field }) {
  const input = field === undefined ? null : h("input", { type: "text", value: field, "aria-label": title });
  const box = h("dialog", { class: "ask" }, h("h2", {}, title), text ? h("p", {}, text) : null, input,
    h("div", { class: "row end" }, h("button", { class: "button", type: "button", onclick: () => box.close("") }, "Cancel"), h("button", { class: "button primary", type: "button", onclick: () => box.close("yes") }, yes)));
  document.body.append(box);
  box.showModal();
  return new Promise((resolve) => {
    box.onclose = () => { box.remove(); resolve(box.returnValue === "yes" ? input?.value ?? true : null); };
  });
}

const note = h("div", { class: "said", popover: "manual" });
let hush = 0;

/** Say something at the foot of the view, above an open dialog, too; `undo` takes it back. */
export function tell(text, { kind = "note", undo } = {}) {
  clearTimeout(hush);
  note.setAttribute("role", kind === "error" ? "alert" : "status");
  note.dataset.kind = kind;
  document.body.append(note);
  note.showPopover();
  note.replaceChildren(h("span", {}, text), undo ? h("button", { type: "button", class: "button small", onclick: undo }, "Undo") : "", h("button", { type: "button", class: "icon-button small", "aria-label": "Dismiss", onclick: () => note.hidePopover() }, icon("close")));
  const end = () => { if (note.contains(document.activeElement)) hush = setTimeout(end, 2000); else note.hidePopover(); };
  hush = setTimeout(end, kind === "error" ? 20_000 : 12_000);
}

/** A field with the button that Enter presses; no form, since the frame of a client may not submit one. */
export function withButton(field, button) {
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") button.click(); });
  return h("div", { class: "row" }, field, button);
}

/** Text with line numbers, the wanted lines marked. */
export function lines(text, first, marked = [0, 0]) {
  const rows = text.replace(/\n$/, "").split("\n").map((line, i) => {
    const n = first + i;
    const hit = n >= marked[0] && n <= marked[1];
    return h("div", { class: hit ? "line hit" : "line" }, h("span", { class: "ln", "aria-hidden": "true" }, String(n)), h("span", {}, line || "\u200b"));
  });
  return h("div", { class: "lines" }, rows);
}

/** Return the name of the file at the end of a URI; one that is no text stays as it is written there. */
export function fileName(uri) {
  const name = uri.split("/").pop();
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Open a dialog with a heading and a button that closes it; `closed` resolves when it was closed. */
export function dialog(title, ...content) {
  const box = h("dialog", { class: "ask wide", "aria-label": title }, h("div", { class: "row" }, h("h2", { class: "grow" }, title), h("button", { type: "button", class: "button small", onclick: () => box.close() }, "Close")), ...content);
  document.body.append(box);
  box.showModal();
  return { box, closed: new Promise((resolve) => { box.onclose = () => { box.remove(); resolve(); }; }) };
}
