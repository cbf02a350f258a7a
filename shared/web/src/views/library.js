// The table of documents: columns, sorting, filters, what can be done with one or several of them.
import { empty, fileName, h, icon, size } from "./dom.js";
import { pages, rows } from "./rows.js";
import { call, confirm, hosted, openSource, say } from "./shim.js";

const SOURCES = { folder: "Folder", upload: "Uploaded", email: "Email", text: "Text" };
const KINDS = [["", "Any type"], ["pdf", "PDF"], ["docx", "Word"], ["xlsx", "Excel"], ["pptx", "PowerPoint"], ["html", "HTML"], ["md", "Markdown"], ["txt", "Text"], ["csv", "CSV"], ["eml", "Mail"]];
const COLUMNS = [["title", "Name"], ["type", "Type"], ["origin", "Source"], ["collection", "Collection"], ["status", "Status"], ["chunks", "Chunks"], ["added", "Added"], ["updated", "Updated"], ["size", "Size"]];
const SORTED = new Set(["title", "chunks", "added", "updated", "size"]);
const HEIGHT = 58; // of a row, in pixels
const MOST_AGAIN = 1000; // rows that are fetched anew when something changed
const NAMES = { "text/markdown": "md", "text/plain": "txt", "message/rfc822": "eml", "text/html": "html", "application/pdf": "pdf", "text/csv": "csv" };

/** The short name of a document's type, such as "pdf". */
export function kindOf(item) {
  const ending = /\.([a-z0-9]{1,5})$/i.exec(item.source)?.[1] ?? "";
  return (ending || NAMES[item.media_type] || item.media_type.split("/").pop() || "?").toLowerCase();
}

export const badge = (item) => h("span", { class: "kind", "data-kind": kindOf(item), title: item.media_type }, kindOf(item).toUpperCase());
export const statusOf = (item) => h("span", { class: "state", "data-state": { embedded: "ready", pending: "pending", failed: "failed" }[item.status], title: item.error }, item.archived ? "Archived" : item.status[0].toUpperCase() + item.status.slice(1));
const day = (text) => text ? new Date(text).toLocaleDateString([], { dateStyle: "medium" }) : "";

/** Make the table; `does` has known, read, refresh, addFolder, draw. */
export function library(pane, state, does) {
  const picked = new Set();
  const bulk = h("div", { class: "row wrap pad", hidden: true });
  const choice = (label, options) => h("select", { "aria-label": label, onchange: () => does.draw() }, options.map(([value, text]) => h("option", { value }, text)));
  const status = choice("Status", [["", "Any status"], ["embedded", "Embedded"], ["pending", "Pending"], ["failed", "Failed"]]);
  const origin = choice("Source", [["", "Any source"], ...Object.entries(SOURCES)]);
  const kind = choice("Type", KINDS);
  const again = h("button", { type: "button", class: "button small", hidden: true, onclick: () => does.draw() }, "The list has changed: show");
  const filters = h("div", { class: "row wrap pad filters" }, kind, origin, status, again);
  const menu = h("div", { class: "menu", popover: "auto", role: "menu" });
  const sort = { by: "title", falling: false };
  let list = null;

  document.body.append(menu);

  function heading([name, text]) {
    if (!SORTED.has(name)) return h("span", { class: `col ${name}` }, text);
    const active = sort.by === name;
    return h("button", { type: "button", class: `col ${name}`, "aria-label": `Sort by ${text.toLowerCase()}`, "aria-pressed": String(active), onclick: () => { sort.falling = active ? !sort.falling : name !== "title"; sort.by = name; does.draw(); } }, text, active ? (sort.falling ? " ↓" : " ↑") : "");
  }

  async function draw(keep) {
    again.hidden = true;
    const falling = sort.falling;
    const wanted = { collection: state.collection, status: status.value, origin: origin.value, kind: kind.value, order: sort.by, falling };
    const seen = keep && list ? Math.ceil((pane.scrollTop + pane.clientHeight) / HEIGHT) : 1;
    if (seen > MOST_AGAIN) { again.hidden = false; return null; }
    const source = await pages(async (cursor) => {
      const page = await call("browse_documents", { ...wanted, cursor });
      return { items: page.documents, next: page.next_cursor };
    }, seen);
    list = rows(pane, source, row, { height: HEIGHT }).list;
    const filtered = state.collection || status.value || origin.value || kind.value;
    if (!source.total && filtered) return [filters, empty("book", "Nothing fits", "No document fits these filters.")];
    if (!source.total) return [empty("book", "Nothing indexed yet", "Add a folder; its documents are read on this machine and can be searched and cited.", h("button", { type: "button", class: "button primary", onclick: does.addFolder }, "Add folder"))];
    return [filters, bulk, h("div", { class: "table-head" }, h("span", { class: "pick" }), COLUMNS.map(heading), h("span", { class: "more" })), list];
  }

  function row(item) {
    const pick = h("input", { type: "checkbox", checked: picked.has(item.document_id), "aria-label": `Choose ${item.title}`, onchange: () => { pick.checked ? picked.add(item.document_id) : picked.delete(item.document_id); offer(); } });
    const cell = (name, ...content) => h("span", { class: `col ${name}` }, ...content);
    const name = item.source.startsWith("file:") ? fileName(item.source) : "";
    const short = [name === item.title ? "" : name, item.error || (item.warnings.length ? `${item.warnings.length} warnings` : "")].filter(Boolean).join(" · ");
    const open = h("button", { type: "button", class: "list-row table-row", "data-document": item.document_id, "aria-current": item.document_id === state.document ? "true" : null, onclick: () => does.read(item.document_id) },
      h("span", { class: "col title" }, h("span", { class: "title" }, item.title), short ? h("small", {}, short) : null, h("small", { class: "only-narrow" }, [size(item.size), `${item.chunks} ${item.chunks === 1 ? "chunk" : "chunks"}`, item.collection].join(" · "))),
      cell("type", badge(item)), cell("origin", SOURCES[item.origin]), cell("collection", item.collection), cell("status", statusOf(item)), cell("chunks", item.chunks.toLocaleString()), cell("added", day(item.added)), cell("updated", day(item.updated)), cell("size", size(item.size)));
    const more = h("button", { type: "button", class: "icon-button small", "aria-label": `Actions for ${item.title}`, "aria-haspopup": "menu", onclick: () => actions(item, more) }, "⋯");
    return h("div", { class: "row picked" }, pick, open, more);
  }

  async function actions(item, at) {
    const names = await does.known();
    const ids = { document_ids: [item.document_id] };
    const act = (text, work, danger) => h("button", { type: "button", role: "menuitem", class: danger ? "danger" : "", onclick: () => { menu.hidePopover(); return work(); } }, text);
    const target = h("select", { "aria-label": `Move ${item.title} to`, onchange: async () => { menu.hidePopover(); await call("move_documents", { ...ids, collection: target.value }); await does.refresh(); } }, h("option", { value: "" }, "Move to collection …"), names.filter((name) => name !== item.collection).map((name) => h("option", { value: name }, name)));
    menu.replaceChildren(
      act("Re-embed", async () => { await call("rebuild", ids); say("It is being embedded anew."); }),
      act("Preview chunks", () => does.read(item.document_id, 0, 0, "Chunks")),
      target,
      hosted() && item.source.startsWith("file:") ? act("Open file location", () => openSource(item.source, true)) : "",
      act("Delete", async () => { if (await confirm({ title: `Remove ${item.title}?`, text: "The file itself stays.", yes: "Remove", danger: true })) { await call("delete", ids); await does.refresh(); } }, true));
    menu.showPopover();
    const box = at.getBoundingClientRect();
    menu.style.top = `${Math.max(4, Math.min(box.bottom, innerHeight - menu.offsetHeight - 8))}px`;
    menu.style.left = `${Math.max(4, box.right - menu.offsetWidth)}px`;
    menu.querySelector("button").focus();
  }

  menu.onkeydown = (event) => {
    const items = [...menu.querySelectorAll("button, select")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.target.matches("select")) return;
    event.preventDefault();
    items.at((items.indexOf(document.activeElement) + step) % items.length).focus();
  };

  async function offer() {
    const names = await does.known();
    const ids = () => [...picked];
    const act = (work) => async () => { await work(); picked.clear(); offer(); await does.refresh(); };
    const target = h("select", { "aria-label": "Move to collection", onchange: act(() => call("move_documents", { document_ids: ids(), collection: target.value })) }, h("option", { value: "" }, "Move to …"), ...names.map((name) => h("option", { value: name }, name)));
    const drop = act(async () => { if (await confirm({ title: `Remove ${picked.size} documents?`, text: "The files themselves stay.", yes: "Remove", danger: true })) await call("delete", { document_ids: ids() }); });
    bulk.hidden = !picked.size;
    bulk.replaceChildren(h("span", {}, `${picked.size} chosen`), target, h("button", { type: "button", class: "button small", onclick: act(() => call("rebuild", { document_ids: ids() })) }, "Re-embed"), h("button", { type: "button", class: "button small", onclick: act(() => call("archive_documents", { document_ids: ids() })) }, "Archive"), h("button", { type: "button", class: "button small danger", onclick: drop }, "Remove"));
  }

  return { draw };
}
