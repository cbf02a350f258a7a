// Knowledge: search passages, read documents at the place, see what is indexed and how far.
import { metadata, overview as facts, passages, relations, searches, versions } from "./document.js";
import { empty, h, icon, lines, moment, problem, size, skeleton } from "./dom.js";
import { cleanup, memories, tester, upkeep, upload } from "./knowledge-tools.js";
import { pages, rows } from "./rows.js";
import { call, confirm, navigate, notify, open, watch } from "./shim.js";

const app = document.getElementById("app");
const state = { query: "", mode: "hybrid", collection: "", document: "", line: 0, chunk: 0 };
const status = h("div", { "aria-live": "polite" });
const results = h("div");
const side = h("section", { class: "pane", "aria-label": "Documents", tabindex: "0" }, status, results);
const reader = h("section", { class: "pane reader", "aria-label": "Document", tabindex: "0" });
const split = h("div", { class: "split single" }, side);
const field = h("input", { type: "search", placeholder: "Search passages", "aria-label": "Search passages", oninput: () => later(draw) });
const mode = h("select", { "aria-label": "How to search", onchange: () => { state.mode = mode.value; draw(); } }, h("option", { value: "hybrid" }, "Words and meaning"), h("option", { value: "lexical" }, "Words"), h("option", { value: "vector" }, "Meaning"), h("option", { value: "name" }, "File names"));
const collection = h("select", { "aria-label": "Collection", hidden: true, onchange: () => { state.collection = collection.value; draw(); } }, h("option", { value: "" }, "All collections"));
const choice = (label, options) => h("select", { "aria-label": label, onchange: () => draw() }, options.map(([value, text]) => h("option", { value }, text)));
const status_of = choice("Status", [["", "Any status"], ["embedded", "Embedded"], ["pending", "Pending"], ["failed", "Failed"]]);
const origin = choice("Source", [["", "Any source"], ["folder", "Folder"], ["upload", "Uploaded"], ["text", "Text"]]);
const kind = choice("Type", [["", "Any type"], ["pdf", "PDF"], ["docx", "Word"], ["xlsx", "Excel"], ["pptx", "PowerPoint"], ["html", "HTML"], ["md", "Markdown"], ["txt", "Text"], ["csv", "CSV"], ["eml", "Mail"]]);
const order = choice("Order", [["title", "By name"], ["added", "By date added"], ["updated", "By last change"], ["chunks", "By passages"]]);
const filters = h("div", { class: "row wrap pad filters" }, kind, origin, status_of, order);
const bulk = h("div", { class: "row wrap pad", hidden: true });
const picked = new Set();
let names = [];
let least = 1; // rows that are fetched at once
let count = () => 0; // rows of the list that is shown
let timer = 0;

const later = (work) => { clearTimeout(timer); timer = setTimeout(work, 200); };
const say = (text, kind) => notify("io.homeport/toast", { text, kind });
const place = (hit) => hit.page ? `page ${hit.page}` : hit.end_line > hit.line ? `lines ${hit.line}–${hit.end_line}` : `line ${hit.line}`;
const address = (title) => navigate({ q: state.query, mode: state.query && state.mode !== "hybrid" ? state.mode : "", collection: state.collection, document: state.document, line: state.line || "" }, title || "Knowledge");

async function shown(pane, label, work) {
  const slow = setTimeout(() => pane.replaceChildren(skeleton(label)), 150);
  try {
    const content = await work();
    clearTimeout(slow);
    pane.replaceChildren(...content.filter(Boolean));
  } catch (error) {
    clearTimeout(slow);
    pane.replaceChildren(problem(error, () => shown(pane, label, work)));
  }
}

async function overview() {
  const [stats, { jobs }] = await Promise.all([call("overview"), call("jobs")]);
  const total = (name) => stats.collections.reduce((sum, item) => sum + item[name], 0);
  names = stats.collections.map((item) => item.name);
  if ([...collection.options].slice(1).map((option) => option.value).join() !== names.join()) {
    collection.replaceChildren(h("option", { value: "" }, "All collections"), ...names.map((name) => h("option", { value: name }, name)));
    collection.value = state.collection;
  }
  collection.hidden = names.length < 2;
  const line = h("p", { class: "stats-line" }, h("span", {}, h("strong", {}, total("documents").toLocaleString()), " documents"), h("span", {}, h("strong", {}, `${total("embedded").toLocaleString()} / ${total("chunks").toLocaleString()}`), " passages embedded"), h("span", {}, h("strong", {}, size(stats.bytes)), ` on disk, ${size(stats.free_bytes)} free (${Math.round(100 * stats.bytes / (stats.bytes + stats.free_bytes || 1))} %)`), h("span", {}, stats.model ? `Meaning: ${stats.model}` : "Search by words only"));
  const running = jobs.filter((job) => ["queued", "running"].includes(job.state)).slice(0, 3).map(progress);
  const model = stats.model ? null : h("div", { class: "note" }, h("div", { class: "row" }, h("span", {}, stats.why || "Without an embedding model, search finds words but not meaning."), h("button", { type: "button", class: "button small", onclick: install }, "Get the model")));
  const full = stats.free_bytes < 1e9 ? h("div", { class: "note", role: "alert" }, `Only ${size(stats.free_bytes)} are free on this disk.`) : null;
  status.replaceChildren(...[line, full, ...running, model].filter(Boolean));
}

function progress(job) {
  const stop = h("button", { type: "button", class: "button small", onclick: () => call("cancel_job", { job_id: job.job_id }).catch((error) => say(error.message, "error")) }, "Stop");
  return h("div", { class: "note" }, h("div", { class: "row" }, h("span", {}, `${job.message || "Indexing"} – ${job.done} of ${job.total || "?"}`), stop), h("progress", { max: job.total || 1, value: job.done, "aria-label": "Progress" }));
}

async function install() {
  if (!await confirm({ title: "Get the embedding model?", text: "About 90 MB are downloaded from the model's own hub and checked. Nothing is sent.", yes: "Download" })) return;
  try { await call("install_model", { consent: true }); await overview(); } catch (error) { say(error.message, "error"); }
}

function draw() {
  state.query = field.value.trim();
  if (!state.document) address();
  return shown(results, "Searching", state.query ? found : documents);
}

async function found() {
  const answer = await call("search", { query: state.query, k: 20, mode: state.mode, collections: state.collection ? [state.collection] : [] });
  if (!answer.hits.length) return [empty("search", "Nothing found", "Try other words, or search by meaning.")];
  return [answer.why ? h("p", { class: "note" }, answer.why) : null, h("ul", { class: "list" }, answer.hits.map((hit) => h("li", {}, h("button", { type: "button", class: "hit-card", onclick: () => read(hit.document_id, hit.line, hit.end_line) },
    h("span", { class: "top" }, icon("file"), h("span", { class: "title grow" }, hit.title), h("span", { class: "tag" }, place(hit)), h("meter", { min: 0, max: 1, value: hit.score, title: `Score ${hit.score.toFixed(2)}`, "aria-label": `Score ${hit.score.toFixed(2)}` })), h("p", {}, hit.text)))))];
}

async function documents() {
  const falling = order.value !== "title";
  const wanted = { collection: state.collection, status: status_of.value, origin: origin.value, kind: kind.value, order: order.value, falling };
  const source = await pages(async (cursor) => {
    const page = await call("browse_documents", { ...wanted, cursor });
    return { items: page.documents, next: page.next_cursor };
  }, least);
  count = () => source.total;
  const filtered = state.collection || status_of.value || origin.value || kind.value;
  if (!source.total && filtered) return [filters, empty("book", "Nothing fits", "No document fits these filters.")];
  if (!source.total) return [empty("book", "Nothing indexed yet", "Add a folder; its documents are read on this machine and can be searched and cited.", h("button", { type: "button", class: "button primary", onclick: addFolder }, "Add folder"))];
  return [filters, bulk, rows(side, source, row, { height: 58 }).list];
}

function row(item) {
  const details = [item.source.startsWith("file:") ? item.source.split("/").pop() : "", size(item.size), `${item.chunks} ${item.chunks === 1 ? "passage" : "passages"}`, item.collection, moment(item.added), item.error || (item.warnings.length ? `${item.warnings.length} warnings` : "")];
  const pick = h("input", { type: "checkbox", checked: picked.has(item.document_id), "aria-label": `Choose ${item.title}`, onchange: () => { pick.checked ? picked.add(item.document_id) : picked.delete(item.document_id); offer(); } });
  return h("div", { class: "row picked" }, pick, h("button", { type: "button", class: "list-row", "data-document": item.document_id, "aria-current": item.document_id === state.document ? "true" : null, onclick: () => read(item.document_id) }, icon("file"), h("span", { class: "grow" }, h("span", { class: "title" }, item.title), h("small", {}, details.filter(Boolean).join(" · "))), h("span", { class: "state", "data-state": { embedded: "ready", pending: "pending", failed: "failed" }[item.status] }, item.archived ? "archived" : item.status)));
}

async function known() {
  if (!names.length) names = (await call("stats")).collections.map((item) => item.name);
  return names;
}

async function offer() {
  await known();
  const ids = () => [...picked];
  const act = (work) => async () => { try { await work(); picked.clear(); offer(); await refresh(); } catch (error) { say(error.message, "error"); } };
  const target = h("select", { "aria-label": "Move to collection", onchange: act(() => call("move_documents", { document_ids: ids(), collection: target.value })) }, h("option", { value: "" }, "Move to …"), ...names.map((name) => h("option", { value: name }, name)));
  const drop = act(async () => { if (await confirm({ title: `Remove ${picked.size} documents?`, text: "The files themselves stay.", yes: "Remove", danger: true })) await call("delete", { document_ids: ids() }); });
  bulk.hidden = !picked.size;
  bulk.replaceChildren(h("span", {}, `${picked.size} chosen`), target, h("button", { type: "button", class: "button small", onclick: act(() => call("rebuild", { document_ids: ids() })) }, "Re-embed"), h("button", { type: "button", class: "button small", onclick: act(() => call("archive_documents", { document_ids: ids() })) }, "Archive"), h("button", { type: "button", class: "button small danger", onclick: drop }, "Remove"));
}

function close() {
  Object.assign(state, { document: "", line: 0 });
  reader.remove();
  split.classList.add("single");
  for (const item of side.querySelectorAll("[aria-current]")) item.removeAttribute("aria-current");
  address();
}

function read(id, line = 0, end = line) {
  Object.assign(state, { document: id, line });
  for (const item of side.querySelectorAll("[aria-current]")) item.removeAttribute("aria-current");
  side.querySelector(`[data-document="${CSS.escape(id)}"]`)?.setAttribute("aria-current", "true");
  if (!reader.isConnected) split.append(reader);
  split.classList.remove("single");
  return shown(reader, "Reading the document", async () => {
    const text = await call("get", { document_id: id, line: Math.max(1, line - 20) });
    address(text.title);
    const body = h("div", {}, lines(text.text, text.line, [line || -1, end || -1]));
    const more = h("button", { type: "button", class: "button", onclick: async () => {
      const next = await call("get", { document_id: id, line: Number(more.dataset.next) });
      body.append(lines(next.text, next.line));
      more.dataset.next = next.next_line;
      more.hidden = !next.next_line;
    } }, "Show more");
    more.dataset.next = text.next_line;
    more.hidden = !text.next_line;
    const before = h("button", { type: "button", class: "button", onclick: () => read(id, 1, 0) }, "From the beginning");
    before.hidden = text.line <= 1;
    setTimeout(() => reader.querySelector(".hit")?.scrollIntoView({ block: "center" }));
    const content = h("div", {}, h("div", { class: "row pad" }, before), body, h("div", { class: "row pad" }, more));
    return [h("header", { class: "doc-head" },
      h("div", { class: "row" }, h("h2", { class: "grow" }, text.title), h("button", { type: "button", class: "icon-button", "aria-label": "Close document", onclick: close }, icon("close"))),
      h("p", { class: "muted" }, [text.collection, text.source, `${text.lines} lines`].filter(Boolean).join(" · ")),
      tabs(id, content)), content,
    h("footer", { class: "row wrap pad" },
      h("button", { type: "button", class: "button small", onclick: () => save(id) }, "Export"),
      h("button", { type: "button", class: "button small", onclick: () => again(id) }, "Re-embed"),
      h("button", { type: "button", class: "button small danger", onclick: () => remove(id, text.title) }, "Remove from knowledge"))];
  });
}

function tabs(id, content) {
  const text = [...content.childNodes];
  const show = { Text: async () => text, Overview: () => facts(id), Passages: () => passages(id), Metadata: () => metadata(id, () => open_tab("Metadata")), Relations: () => relations(id, (other) => read(other)), Searches: () => searches(id), Versions: () => versions(id, () => read(id)) };
  const open_tab = (name) => {
    for (const button of bar.children) button.setAttribute("aria-selected", String(button.textContent === name));
    return shown(content, name, show[name]);
  };
  const bar = h("div", { class: "tabs", role: "tablist" }, Object.keys(show).map((name) => h("button", { type: "button", role: "tab", "aria-selected": String(name === "Text"), onclick: () => open_tab(name) }, name)));
  bar.onkeydown = (event) => {
    const next = { ArrowRight: event.target.nextElementSibling, ArrowLeft: event.target.previousElementSibling }[event.key];
    if (next) { next.focus(); next.click(); }
  };
  return bar;
}

async function again(id) {
  try { await call("rebuild", { document_ids: [id] }); say("It is being embedded anew."); } catch (error) { say(error.message, "error"); }
}

async function save(id) {
  try {
    const file = await call("export_document", { document_id: id });
    const link = h("a", { download: file.name, href: URL.createObjectURL(new Blob([file.text], { type: file.media_type })) });
    link.click();
    URL.revokeObjectURL(link.href);
  } catch (error) { say(error.message, "error"); }
}

async function remove(id, title) {
  if (!await confirm({ title: `Remove ${title}?`, text: "The file itself stays; only what is indexed of it goes.", yes: "Remove", danger: true })) return;
  try { await call("delete", { document_ids: [id] }); close(); say("Removed from knowledge."); await refresh(); } catch (error) { say(error.message, "error"); }
}

async function addFolder() {
  const path = await confirm({ title: "Add a folder", text: "Its full path on this machine.", field: "", yes: "Add" });
  if (!path) return;
  try { await call("add_folder", { path }); await call("sync_folder", { path }); await refresh(); } catch (error) { say(error.message, "error"); }
}

async function refresh() {
  await overview().catch((error) => status.replaceChildren(problem(error, refresh)));
  if (state.query) return;
  const focused = document.activeElement?.dataset.document;
  least = Math.max(1, count());
  await draw();
  least = 1;
  if (focused) requestAnimationFrame(() => side.querySelector(`[data-document="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true }));
}

async function start() {
  const args = await open("homeport-rag");
  watch(["rag://stats", "rag://collections"], () => later(refresh));
  field.value = args.q ?? "";
  state.collection = args.collection ?? "";
  if (args.mode) state.mode = mode.value = args.mode;
  state.document = args.document ?? "";
  state.line = Number(args.line) || 0;
  await Promise.all([overview().catch((error) => status.replaceChildren(problem(error, refresh))), draw()]);
  if (args.document) await at(args);
}

async function at(args) {
  const chunk = Number(args.chunk);
  if (!args.line && chunk) {
    const passage = await call("get", { document_id: args.document, chunk_id: chunk }).catch(() => null);
    if (passage) return read(args.document, passage.line, passage.end_line);
  }
  return read(args.document, Number(args.line) || 0, Number(args.end) || Number(args.line) || 0);
}

const action = (text, work) => h("button", { type: "button", class: "button small", onclick: async () => { try { await work(); await refresh(); } catch (error) { say(error.message, "error"); } } }, text);
const actions = [action("Upload", async () => upload(await known(), say)), action("Test query", async () => tester(await known(), read)), action("Clean up", () => cleanup(say)), action("Index", () => upkeep(say)), action("Memory", memories)];
app.append(h("header", { class: "bar" }, h("div", { class: "search" }, icon("search"), field), mode, collection, ...actions), h("main", { class: "body" }, h("h1", { class: "sr-only" }, "Knowledge"), split));
start();
