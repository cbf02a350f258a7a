// A list of any length of which only what is in sight is in the page; its items come window by window or page by page.
import { h } from "./dom.js";

const SPARE = 8;
const WINDOW = 200;

/** Items that `load(offset, limit)` gives as { total, entries }; those around the numbers `near` are there at once. */
export async function windows(load, near = []) {
  const known = new Map();
  const source = { total: 0, changed: () => {}, ask, at: (n) => known.get(Math.floor(n / WINDOW))?.[n % WINDOW] };
  async function ask(n) {
    const window = Math.floor(n / WINDOW);
    if (known.has(window)) return;
    known.set(window, null);
    try {
      const found = await load(window * WINDOW, WINDOW);
      known.set(window, found.entries);
      source.total = found.total;
      source.changed();
    } catch (error) { known.delete(window); throw error; }
  }
  await ask(0);
  await Promise.all(near.filter((n) => n < source.total).map(ask));
  return source;
}

/** Items that `fetch(cursor)` gives page by page as { items, next }; at least `least` of them are fetched at once. */
export async function pages(fetch, least = 1) {
  const items = [];
  let cursor = "";
  let loading = false;
  const source = { total: 0, changed: () => {}, ask: async (n) => { if (n > items.length - 20) await more(); }, at: (n) => items[n] };
  async function more() {
    if (loading || cursor === null) return;
    loading = true;
    try {
      const page = await fetch(cursor);
      items.push(...page.items);
      cursor = page.next || null;
      source.total = items.length;
      source.changed();
    } finally { loading = false; }
  }
  do await more(); while (items.length < least && cursor !== null);
  return source;
}

/**
 * Return the list of a source's items, each drawn by `draw(item, n)`; `pane` is what scrolls.
 * @param height of a row in pixels. @param across returns how many items stand in one row.
 */
export function rows(pane, source, draw, { height = 52, across = () => 1 } = {}) {
  const list = h("ul", { class: "rows" });
  const drawn = new Map();
  let wide = across();
  let wish = -1;

  const top = () => list.getBoundingClientRect().top - pane.getBoundingClientRect().top + pane.scrollTop;
  const stretch = () => { list.style.height = `${Math.ceil(source.total / wide) * height}px`; };
  source.changed = () => { stretch(); paint(); };

  function clear() {
    for (const item of drawn.values()) item.remove();
    drawn.clear();
  }

  function paint() {
    if (!list.isConnected) return;
    if (across() !== wide) { wide = across(); clear(); stretch(); }
    const from = pane.scrollTop - top();
    const first = Math.max(0, Math.floor(from / height) - SPARE) * wide;
    const last = Math.min(source.total, (Math.ceil((from + pane.clientHeight) / height) + SPARE) * wide) - 1;
    const focused = list.contains(document.activeElement) ? Number(document.activeElement.closest("li").dataset.n) : -1;
    for (const [n, item] of drawn) if ((n < first || n > last) && n !== focused) { item.remove(); drawn.delete(n); }
    for (let n = first; n <= last; n++) {
      const item = source.at(n);
      if (item === undefined || item === null) { source.ask(n).catch(() => {}); continue; }
      if (!drawn.has(n)) put(n, draw(item, n));
    }
    if (last >= source.total - 20) source.ask(source.total).catch(() => {});
    if (wish >= 0 && drawn.has(wish)) { focus(wish); wish = -1; }
  }

  function put(n, content) {
    const place = `top:${Math.floor(n / wide) * height}px;height:${height}px${wide > 1 ? `;left:${(n % wide) * 100 / wide}%;width:${100 / wide}%` : ""}`;
    const item = h("li", { class: "virtual", "data-n": String(n), "aria-setsize": String(source.total), "aria-posinset": String(n + 1), style: place }, content);
    drawn.set(n, item);
    // The order of the document is the order of the keyboard.
    list.insertBefore(item, [...list.children].find((other) => Number(other.dataset.n) > n) ?? null);
  }

  const focus = (n) => drawn.get(n).querySelector("button")?.focus({ preventScroll: true });

  function to(n) {
    wish = Math.max(0, Math.min(source.total - 1, n));
    const at = top() + Math.floor(wish / wide) * height;
    if (at < pane.scrollTop) pane.scrollTop = at;
    else if (at + height > pane.scrollTop + pane.clientHeight) pane.scrollTop = at + height - pane.clientHeight;
    paint();
  }

  list.addEventListener("keydown", (event) => {
    const n = wish >= 0 ? wish : Number(event.target.closest("li")?.dataset.n); // the row of the key before may be on its way
    const page = Math.max(1, Math.floor(pane.clientHeight / height) - 1) * wide;
    const step = { ArrowDown: n + wide, ArrowUp: n - wide, Home: 0, End: source.total - 1, PageDown: n + page, PageUp: n - page, ...(wide > 1 && { ArrowRight: n + 1, ArrowLeft: n - 1 }) }[event.key];
    if (step === undefined || Number.isNaN(n) || event.target.matches("input, select")) return;
    event.preventDefault();
    to(step);
  });
  const resized = new ResizeObserver(later);
  function later() {
    if (list.isConnected || !drawn.size) { requestAnimationFrame(paint); return; }
    pane.removeEventListener("scroll", later); // another list has taken its place
    resized.disconnect();
  }
  pane.addEventListener("scroll", later);
  resized.observe(pane);
  stretch(); // at once, so that a pane whose list is replaced stays where it was scrolled to
  requestAnimationFrame(paint);
  /** The items that matter now: the one to be focused, the focused one, the first in sight. */
  const near = () => [wish, Number(document.activeElement?.closest("li[data-n]")?.dataset.n ?? -1), Math.floor(Math.max(0, pane.scrollTop - top()) / height) * wide].filter((n) => n >= 0);
  return { list, paint, to, near, wanted: () => wish };
}
