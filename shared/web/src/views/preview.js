// What a file looks like: text, code, a table, a picture, pages, or its first bytes.
import { h, latest, lines, rested } from "./dom.js";
import { code, markdown } from "./rendered.js";
import { call } from "./shim.js";

/** Return the elements that show the file; `line` marks a line of its text. */
export async function preview(path, info, line) {
  if (line) return text(path, await call("read", { path, start_line: Math.max(1, line - 200) }), line);
  const shown = await call("preview", { path, edge: Math.min(2048, Math.round(Math.max(600, innerWidth) * devicePixelRatio)) });
  const notes = shown.warnings.map((warning) => h("p", { class: "note" }, warning));
  const parts = { picture: () => picture(shown), page: () => pages(path, shown), table: () => table(path, shown), binary: () => bytes(shown), markdown: () => rendered(path, shown), code: () => words(path, shown), text: () => words(path, shown) }[shown.kind]();
  return [...notes, ...parts];
}

function text(path, read, line = 0) {
  const body = h("div", {}, lines(read.text, read.start_line, [line || -1, line || -1]));
  return [...read.warnings.map((warning) => h("p", { class: "note" }, warning)), body, more(read.next, async (cursor) => {
    const next = await call("read", { path, cursor });
    body.append(lines(next.text, next.start_line));
    return next.next;
  })];
}

function more(cursor, load) {
  const button = h("button", { type: "button", class: "button", onclick: async () => { cursor = await load(cursor); button.hidden = !cursor; } }, "Show more");
  button.hidden = !cursor;
  return h("div", { class: "row pad" }, button);
}

function words(path, shown) {
  if (!shown.text) return [h("p", { class: "muted" }, "This file has no text.")];
  let first = 1;
  const draw = (part) => { const made = code(part, shown.language, first) ?? lines(part, first); first += part.replace(/\n$/, "").split("\n").length; return made; };
  const body = h("div", {}, draw(shown.text));
  return [body, more(shown.next, async (cursor) => { const next = await call("preview", { path, cursor }); body.append(draw(next.text)); return next.next; })];
}

function rendered(path, shown) {
  const body = h("div", {}, markdown(shown.text));
  const source = h("div", { hidden: true }, lines(shown.text, 1));
  const toggle = h("button", { type: "button", class: "button small", "aria-pressed": "false", onclick: () => { source.hidden = !source.hidden; body.hidden = !body.hidden; toggle.setAttribute("aria-pressed", String(body.hidden)); } }, "Source");
  return [h("div", { class: "row tools" }, toggle), body, source, more(shown.next, async (cursor) => {
    const next = await call("preview", { path, cursor });
    body.append(markdown(next.text));
    source.append(lines(next.text, source.querySelectorAll(".line").length + 1));
    return next.next;
  })];
}

const bytes = (shown) => [h("p", { class: "muted" }, "The first bytes:"), h("pre", { class: "hex", tabindex: "0" }, shown.hex.join("\n"))];

function picture(shown) {
  let zoom = 0;
  const image = h("img", { src: shown.image, alt: `Picture, ${shown.width} by ${shown.height} pixels` });
  const fit = (step) => { zoom = step === 0 ? 0 : Math.max(0.25, Math.min(8, (zoom || 1) * step)); image.style.width = zoom ? `${zoom * 100}%` : ""; image.style.maxWidth = zoom ? "none" : ""; };
  return [tools([["Smaller", () => fit(1 / 1.5)], ["Fit", () => fit(0)], ["Larger", () => fit(1.5)]], `${shown.width} × ${shown.height}${shown.pages > 1 ? ` · ${shown.pages} frames` : ""}`), pan(h("div", { class: "canvas", tabindex: "0", role: "group", "aria-label": "Picture" }, image))];
}

/** Let the pointer pull what is larger than its box; the arrow keys scroll it anyway. */
function pan(box) {
  let from = null;
  box.addEventListener("pointerdown", (event) => { event.preventDefault(); box.focus(); box.setPointerCapture(event.pointerId); from = { x: event.clientX + box.scrollLeft, y: event.clientY + box.scrollTop }; });
  box.addEventListener("pointermove", (event) => { if (from) { box.scrollLeft = from.x - event.clientX; box.scrollTop = from.y - event.clientY; } });
  for (const end of ["pointerup", "pointercancel"]) box.addEventListener(end, () => { from = null; });
  return box;
}

function pages(path, shown) {
  const image = h("img", { src: shown.image, alt: `Page ${shown.page} of ${shown.pages}` });
  const box = h("div", { class: "canvas page" , tabindex: "0", role: "group", "aria-label": "Page" }, image);
  const label = h("span", { class: "muted", role: "status" }, `Page ${shown.page} of ${shown.pages}`);
  let wanted = shown.page;
  const turn = latest(() => call("preview", { path, page: wanted }), (found) => {
    image.src = found.image;
    image.alt = label.textContent = `Page ${found.page} of ${found.pages}`;
  });
  const go = (step) => {
    const page = Math.max(1, Math.min(shown.pages, wanted + step));
    if (page === wanted || box.hidden) return;
    wanted = page;
    turn();
  };
  const other = h("div", { hidden: true });
  const toggle = h("button", { type: "button", class: "button small", "aria-pressed": "false", onclick: async () => {
    box.hidden = !box.hidden;
    other.hidden = !box.hidden;
    toggle.setAttribute("aria-pressed", String(box.hidden));
    if (box.hidden && !other.childElementCount) other.append(...text(path, await call("read", { path })));
  } }, "Text");
  box.addEventListener("keydown", (event) => { const step = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 }[event.key]; if (step) { event.preventDefault(); go(step); } });
  const bar = tools([["Previous page", () => go(-1)], ["Next page", () => go(1)]], "");
  bar.append(label, toggle);
  return [bar, box, other];
}

const tools = (buttons, note) => h("div", { class: "row tools" }, buttons.map(([name, onclick]) => h("button", { type: "button", class: "button small", onclick }, name)), note ? h("span", { class: "muted" }, note) : null);

function table(path, shown) {
  const wanted = { path, limit: 100, offset: 0, filters: {}, sheet: shown.sheet };
  const label = h("span", { class: "muted", role: "status" });
  const body = h("tbody", {});
  const heads = h("tr", {});
  const fields = h("tr", {});
  const load = latest(() => call("preview", wanted), (found) => { shown = found; draw(); });
  const typed = rested(load);
  function head() {
    heads.replaceChildren(...shown.columns.map((name, i) => h("th", { scope: "col" }, h("button", { type: "button", class: "sort", onclick: () => { Object.assign(wanted, { sort: i, descending: wanted.sort === i && !wanted.descending, offset: 0 }); load(); } }, name || `Column ${i + 1}`))));
    fields.replaceChildren(...shown.columns.map((name, i) => h("td", {}, h("input", { type: "text", "aria-label": `Filter ${name || `column ${i + 1}`}`, placeholder: "Filter", oninput: (event) => { wanted.filters = { ...wanted.filters, [i]: event.target.value }; if (!event.target.value) delete wanted.filters[i]; wanted.offset = 0; typed(); } }))));
  }
  function draw() {
    const last = shown.offset + shown.rows.length;
    label.textContent = shown.total ? `${(shown.offset + 1).toLocaleString()}–${last.toLocaleString()} of ${shown.total.toLocaleString()}${shown.total < shown.whole ? ` (${shown.whole.toLocaleString()} in all)` : ""}` : "No rows";
    body.replaceChildren(...shown.rows.map((row) => h("tr", {}, shown.columns.map((_, i) => h("td", { class: /^-?[\d.,]+$/.test(row[i] ?? "") ? "number" : null }, row[i] ?? "")))));
    [...heads.children].forEach((cell, i) => cell.setAttribute("aria-sort", wanted.sort !== i ? "none" : wanted.descending ? "descending" : "ascending"));
  }
  const turn = (step) => { const offset = shown.offset + step * 100; if (offset >= 0 && offset < shown.total) { wanted.offset = offset; load(); } };
  const bar = tools([["Previous rows", () => turn(-1)], ["Next rows", () => turn(1)]], "");
  if (shown.sheets.length > 1) bar.prepend(h("select", { "aria-label": "Sheet", onchange: async (event) => { Object.assign(wanted, { sheet: event.target.value, filters: {}, offset: 0 }); delete wanted.sort; await load(); head(); draw(); } }, shown.sheets.map((name) => h("option", { value: name, selected: name === shown.sheet }, name))));
  bar.append(label);
  head();
  draw();
  return [bar, h("div", { class: "table-wrap", tabindex: "0", role: "group", "aria-label": "Table" }, h("table", {}, h("thead", {}, heads, fields), body))];
}
