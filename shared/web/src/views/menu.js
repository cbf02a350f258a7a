// A menu at a place of the page: opened by a button, by a right click, or by the context-menu key.
import { h } from "./dom.js";

/** Open the menu of [label, work, checked?] at `x`, `y`, or below `owner`; it closes with a choice, Escape or a click beside it. */
export function menu(owner, items, { x, y } = {}) {
  const box = owner.getBoundingClientRect();
  const list = h("div", { class: "menu", role: "menu", popover: "auto" }, items.map(([label, work, checked]) => h("button", { type: "button", class: "menu-item", role: checked === undefined ? "menuitem" : "menuitemcheckbox", "aria-checked": checked === undefined ? null : String(checked), onclick: () => { list.hidePopover(); work(); } }, label)));
  list.addEventListener("keydown", (event) => {
    const all = [...list.children];
    const at = all.indexOf(document.activeElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    all[(next + all.length) % all.length].focus();
  });
  list.addEventListener("toggle", (event) => { if (event.newState === "closed") { list.remove(); if (!document.activeElement || document.activeElement === document.body) owner.focus({ preventScroll: true }); } });
  document.body.append(list);
  list.showPopover();
  list.style.left = `${Math.max(4, Math.min(x ?? box.left, innerWidth - list.offsetWidth - 4))}px`;
  list.style.top = `${Math.max(4, Math.min(y ?? box.bottom, innerHeight - list.offsetHeight - 4))}px`;
  list.firstElementChild.focus();
}
