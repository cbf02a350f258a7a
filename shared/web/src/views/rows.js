// A long list of which only the rows in sight are in the page; more are fetched as the end comes near.
import { h } from "./dom.js";

const HEIGHT = 58;
const SPARE = 8;

/**
 * Return an element with all rows that `fetch(cursor)` gives page by page as { items, next }; `pane` is what scrolls.
 * At least `least` of them are fetched at once, so that a list that is drawn anew stays where it was.
 */
export async function rows(pane, fetch, draw, least = 1) {
  const box = h("div", { class: "rows", role: "list" });
  const shown = new Map();
  const items = [];
  let cursor = "";
  let loading = false;

  async function more() {
    if (loading || cursor === null) return;
    loading = true;
    const page = await fetch(cursor);
    items.push(...page.items);
    cursor = page.next || null;
    loading = false;
    box.style.height = `${items.length * HEIGHT}px`;
    place();
  }

  function place() {
    const top = pane.scrollTop - box.offsetTop + pane.offsetTop;
    const first = Math.max(0, Math.floor(top / HEIGHT) - SPARE);
    const last = Math.min(items.length, Math.ceil((top + pane.clientHeight) / HEIGHT) + SPARE);
    for (const [number, node] of shown) if ((number < first || number >= last) && !node.contains(document.activeElement)) { node.remove(); shown.delete(number); }
    for (let number = first; number < last; number++) {
      if (shown.has(number)) continue;
      const node = h("div", { class: "virtual", role: "listitem" }, draw(items[number]));
      node.style.top = `${number * HEIGHT}px`;
      node.dataset.number = number;
      shown.set(number, node);
      box.append(node);
    }
    if (last > items.length - 20) more();
  }

  function move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -items.length, End: items.length }[event.key];
    const at = event.target.closest(".virtual");
    if (!step || !at || event.target.matches("input, select")) return;
    event.preventDefault();
    const number = Math.min(items.length - 1, Math.max(0, Number(at.dataset.number) + step));
    pane.scrollTop = Math.min(Math.max(pane.scrollTop, (number + 2) * HEIGHT + box.offsetTop - pane.offsetTop - pane.clientHeight), number * HEIGHT + box.offsetTop - pane.offsetTop);
    place();
    shown.get(number)?.querySelector("button")?.focus();
  }

  box.addEventListener("keydown", move);
  pane.onscroll = () => { if (box.isConnected) place(); };
  do await more(); while (items.length < least && cursor !== null);
  requestAnimationFrame(place);
  return { box, count: () => items.length, empty: () => items.length === 0 };
}
