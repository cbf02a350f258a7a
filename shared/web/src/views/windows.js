// Rows of a list of any length: only those in view exist, and their data comes window by window.
import { h } from "./dom.js";

const ROW = 52;
const PAGE = 200;
const SPARE = 8;

/**
 * @param load (offset, limit) → {total, entries}; @param draw (entry) → the row's element; @param pane what scrolls.
 */
export function rows(pane, load, draw) {
  const list = h("ul", { class: "list virtual" });
  const known = new Map();
  const drawn = new Map();
  let total = 0;
  let wish = -1;

  async function fetchPage(page) {
    if (known.has(page)) return;
    known.set(page, null);
    try {
      const found = await load(page * PAGE, PAGE);
      known.set(page, found.entries);
      measure(found.total);
      paint();
    } catch (error) { known.delete(page); throw error; }
  }

  function measure(count) {
    total = count;
    list.style.height = `${total * ROW}px`;
  }

  function paint() {
    if (!list.isConnected) return;
    const top = pane.scrollTop - list.offsetTop;
    const first = Math.max(0, Math.floor(top / ROW) - SPARE);
    const last = Math.min(total - 1, Math.ceil((top + pane.clientHeight) / ROW) + SPARE);
    const focused = list.contains(document.activeElement) ? Number(document.activeElement.closest("li").dataset.n) : -1;
    for (const [n, item] of drawn) if ((n < first || n > last) && n !== focused) { item.remove(); drawn.delete(n); }
    for (let n = first; n <= last; n++) {
      const entry = known.get(Math.floor(n / PAGE))?.[n % PAGE];
      if (!entry) { fetchPage(Math.floor(n / PAGE)).catch(() => {}); continue; }
      if (drawn.has(n)) continue;
      const item = h("li", { "data-n": String(n), "aria-setsize": String(total), "aria-posinset": String(n + 1), style: `top:${n * ROW}px` }, draw(entry, n));
      drawn.set(n, item);
      // The order of the document is the order of the keyboard.
      const after = [...list.children].find((other) => Number(other.dataset.n) > n);
      list.insertBefore(item, after ?? null);
    }
    if (wish >= 0 && drawn.has(wish)) { drawn.get(wish).querySelector(".list-row").focus({ preventScroll: true }); wish = -1; }
  }

  function to(n) {
    wish = Math.max(0, Math.min(total - 1, n));
    const top = list.offsetTop + wish * ROW;
    if (top < pane.scrollTop) pane.scrollTop = top;
    else if (top + ROW > pane.scrollTop + pane.clientHeight) pane.scrollTop = top + ROW - pane.clientHeight;
    paint();
  }

  list.addEventListener("keydown", (event) => {
    const n = Number(event.target.closest("li")?.dataset.n);
    const page = Math.max(1, Math.floor(pane.clientHeight / ROW) - 1);
    const target = { ArrowDown: n + 1, ArrowUp: n - 1, Home: 0, End: total - 1, PageDown: n + page, PageUp: n - page }[event.key];
    if (target === undefined || Number.isNaN(n)) return;
    event.preventDefault();
    to(target);
  });
  pane.onscroll = () => requestAnimationFrame(paint);
  new ResizeObserver(paint).observe(pane);
  return { list, start: async () => { await fetchPage(0); return total; }, paint, to };
}
