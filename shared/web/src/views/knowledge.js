// Knowledge: search passages, read documents at the place, see what is indexed and how far.
import { chunks, metadata, overview as facts, relations, searches, versions } from "./document.js";
import { empty, fileName, gather, h, icon, lines, moment, problem, released, rested, shown, size } from "./dom.js";
import { settings } from "./settings.js";
import { cleanup, kept, memories, rebuild, tester, upkeep, upload } from "./knowledge-tools.js";
import { badge, library, statusOf } from "./library.js";
import { call, confirm, hosted, navigate, open, openSource, saveFile, say, watch } from "./shim.js";

const app = document.getElementById("app");
const state = { query: "", mode: "hybrid", collection: "", document: "", line: 0, chunk: 0 };
const status = h("div", { "aria-live": "polite" });
const results = h("div");
const side = h("section", { class: "pane", "aria-label": "Documents", tabindex: "0" }, status, results);
const reader = h("section", { class: "pane reader", "aria-label": "Document", tabindex: "0" });
const split = h("div", { class: "split single" }, side);
const ideas = h("datalist", { id: "ideas" });
const field = h("input", { type: "search", placeholder: "Search passages", "aria-label": "Search passages", list: "ideas", oninput: () => { typed(); suggest(); } });
const mode = h("select", { "aria-label": "How to search", onchange: () => { state.mode = mode.value; draw(); } }, h("option", { value: "hybrid" }, "Words and meaning"), h("option", { value: "lexical" }, "Words"), h("option", { value: "vector" }, "Meaning"), h("option", { value: "name" }, "File names"), h("option", { value: "all" }, "Names, words, meaning"));
const collection = h("select", { "aria-label": "Collection", hidden: true, onchange: () => { state.collection = collection.value; draw(); } }, h("option", { value: "" }, "All collections"));
let names = [];
let looks = 0;
let newest = 0;

const typed = rested(() => draw());
const counted = (number, what) => `${number.toLocaleString()} ${what}${number === 1 ? "" : "s"}`;
const place = (hit) => hit.page ? `page ${hit.page}` : hit.end_line > hit.line ? `lines ${hit.line}–${hit.end_line}` : `line ${hit.line}`;
const address = (title) => navigate({ q: state.query, mode: state.query && state.mode !== "hybrid" ? state.mode : "", collection: state.collection, document: state.document, line: state.line || "" }, title || "Knowledge");

async function overview() {
  const look = ++looks;
  const [stats, { jobs }, { queries }] = await Promise.all([call("overview"), call("jobs"), call("list_saved_queries")]);
  if (look < newest) return; // a later one knew more
  newest = look;
  names = stats.collections.map((item) => item.name);
  if ([...collection.options].slice(1).map((option) => option.value).join() !== names.join()) {
    collection.replaceChildren(h("option", { value: "" }, "All collections"), ...names.map((name) => h("option", { value: name }, name)));
    collection.value = state.collection;
  }
  collection.hidden = names.length < 2;
  const embedded = stats.collections.reduce((sum, item) => sum + item.embedded, 0);
  const share = stats.chunks && stats.percent_embedded < 100 ? ` (${stats.percent_embedded} % of ${stats.chunks.toLocaleString()})` : "";
  const line = h("p", { class: "stats-line" },
    h("span", { class: "counts" }, h("strong", {}, `${counted(stats.documents, "document")} / ${counted(embedded, "chunk")} embedded`), share),
    h("span", { class: "model" }, stats.model_name || "Search by words only"),
    h("span", { class: "disk" }, h("strong", {}, size(stats.bytes)), ` on disk, ${size(stats.free_bytes)} free (${stats.disk_percent} % used)`),
    stats.rebuilt ? h("span", {}, `rebuilt ${moment(stats.rebuilt)}`) : null);
  const running = jobs.filter((job) => ["queued", "running"].includes(job.state)).slice(0, 3).map(progress);
  const model = stats.model ? null : h("div", { class: "note" }, h("div", { class: "row" }, h("span", {}, stats.why || "Without an embedding model, search finds words but not meaning."), /being prepared/.test(stats.why) ? null : h("button", { type: "button", class: "button small", onclick: install }, "Get the model")));
  const warnings = stats.warnings.map((text) => h("div", { class: "note warn", role: "alert" }, text));
  const news = queries.filter((item) => item.fresh.length).map((item) => h("div", { class: "note", role: "status" }, h("div", { class: "row" }, h("span", {}, `The saved search “${item.name}” found ${item.fresh.length} new ${item.fresh.length === 1 ? "document" : "documents"}.`), h("button", { type: "button", class: "button small", onclick: () => again_for(item) }, "Show"))));
  await released();
  status.replaceChildren(...[line, ...warnings, ...news, ...running, model].filter(Boolean));
}

async function again_for(item) {
  if (item.name) await call("see_saved_query", { name: item.name });
  field.value = item.asked.query;
  state.mode = mode.value = item.asked.mode;
  await Promise.all([overview(), draw()]);
}

async function suggest() {
  const text = field.value.trim();
  if (text.length < 2) return;
  const found = await call("suggest", { text }).catch(() => ({ searches: [], titles: [] }));
  if (text === field.value.trim()) ideas.replaceChildren(...[...new Set([...found.searches, ...found.titles])].map((idea) => h("option", { value: idea })));
}

const NAMES = { ingest: "Reading documents", auto_ingest: "Auto-ingest", upload: "Reading uploads", embed: "Embedding", rebuild: "Index rebuild", vacuum: "Vacuum", install_model: "Getting the model" };

function progress(job) {
  const stop = h("button", { type: "button", class: "button small", onclick: () => call("cancel_job", { job_id: job.job_id }) }, "Stop");
  return h("div", { class: "note" }, h("div", { class: "row" }, h("span", {}, `${job.message || NAMES[job.kind] || "Working"} – ${job.done} of ${job.total || "?"}`), stop), h("progress", { max: job.total || 1, value: job.done, "aria-label": "Progress" }));
}

async function install() {
  if (!await confirm({ title: "Get the embedding model?", text: "About 90 MB are downloaded from the model's own hub and checked. Nothing is sent.", yes: "Download" })) return;
  await call("install_model", { consent: true });
  await overview();
}

function draw() {
  state.query = field.value.trim();
  if (!state.document) address();
  return shown(results, "Searching", state.query ? found : () => table.draw(false));
}

async function found() {
  const answer = await call("search", { query: state.query, k: 20, mode: state.mode, collections: state.collection ? [state.collection] : [] });
  if (!answer.hits.length) return [empty("search", "Nothing found", "Try other words, or search by meaning.")];
  return [answer.why ? h("p", { class: "note" }, answer.why) : null, h("ul", { class: "list" }, answer.hits.map((hit) => h("li", {}, h("button", { type: "button", class: "hit-card", onclick: () => read(hit.document_id, hit.line, hit.end_line) },
    h("span", { class: "top" }, icon("file"), h("span", { class: "title grow" }, hit.title), h("span", { class: "tag" }, place(hit)), h("meter", { min: 0, max: 1, value: hit.score, title: `Score ${hit.score.toFixed(2)}`, "aria-label": `Score ${hit.score.toFixed(2)}` })), h("p", {}, hit.text)))))];
}

async function known() {
  if (!names.length) names = (await call("stats")).collections.map((item) => item.name);
  return names;
}

function close() {
  Object.assign(state, { document: "", line: 0 });
  reader.remove();
  split.classList.add("single");
  for (const item of side.querySelectorAll("[aria-current]")) item.removeAttribute("aria-current");
  address();
}

function read(id, line = 0, end = line, tab = "Text") {
  Object.assign(state, { document: id, line });
  for (const item of side.querySelectorAll("[aria-current]")) item.removeAttribute("aria-current");
  side.querySelector(`[data-document="${CSS.escape(id)}"]`)?.setAttribute("aria-current", "true");
  if (!reader.isConnected) split.append(reader);
  split.classList.remove("single");
  return shown(reader, "Reading the document", async () => {
    const [text, item] = await Promise.all([call("get", { document_id: id, line: Math.max(1, line - 20) }), call("show_document", { document_id: id })]);
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
    const bar = tabs(id, content);
    if (tab !== "Text") setTimeout(() => bar.open(tab));
    const file = item.source.startsWith("file:");
    const name = /^(file|upload):/.test(item.source) ? fileName(item.source) : "";
    return [h("header", { class: "doc-head" },
      h("div", { class: "row" }, badge(item), h("h2", { class: "grow" }, text.title), statusOf(item), h("button", { type: "button", class: "icon-button", "aria-label": "Close document", onclick: close }, icon("close"))),
      h("p", { class: "muted" }, [name === text.title ? "" : name, size(item.size), `added ${moment(item.added)}`, text.collection].filter(Boolean).join(" · ")),
      h("p", { class: "muted source" }, item.source),
      bar.element), content,
    h("footer", { class: "row wrap pad" },
      hosted() ? h("button", { type: "button", class: "button small", disabled: !file, title: file ? "" : "This document was not read from a folder.", onclick: () => openSource(item.source) }, "Open in File Viewer") : null,
      h("button", { type: "button", class: "button small", onclick: () => again(id) }, "Re-embed Document"),
      h("button", { type: "button", class: "button small", onclick: () => save(id) }, "Export Document"),
      h("button", { type: "button", class: "button small danger", onclick: () => remove(id, text.title) }, "Remove from Index"))];
  });
}

function tabs(id, content) {
  const text = [...content.childNodes];
  const show = { Text: async () => text, Overview: () => facts(id, read), Chunks: () => chunks(id), Metadata: () => metadata(id, () => open_tab("Metadata")), Relationships: () => relations(id, (other) => read(other, 0, 0, "Relationships")), Queries: () => searches(id), Versions: () => versions(id, () => read(id)) };
  const open_tab = (name) => {
    for (const button of bar.children) button.setAttribute("aria-selected", String(button.textContent === name));
    return shown(content, name, show[name]);
  };
  const bar = h("div", { class: "tabs", role: "tablist" }, Object.keys(show).map((name) => h("button", { type: "button", role: "tab", "aria-selected": String(name === "Text"), onclick: () => open_tab(name) }, name)));
  bar.onkeydown = (event) => {
    const next = { ArrowRight: event.target.nextElementSibling, ArrowLeft: event.target.previousElementSibling }[event.key];
    if (next) { next.focus(); next.click(); }
  };
  return { element: bar, open: open_tab };
}

async function again(id) {
  await call("rebuild", { document_ids: [id] });
  say("It is being embedded anew.");
}

async function save(id) {
  const file = await call("export_document", { document_id: id });
  await saveFile(file.name, new Blob([file.text], { type: file.media_type }));
}

async function remove(id, title) {
  if (!await confirm({ title: `Remove ${title}?`, text: "The file itself stays; only what is indexed of it goes.", yes: "Remove", danger: true })) return;
  await call("delete", { document_ids: [id] });
  close();
  say("Removed from knowledge.");
  await refresh();
}

async function addFolder() {
  const path = await confirm({ title: "Add a folder", text: "Its full path on this machine.", field: "", yes: "Add" });
  if (!path) return;
  await call("add_folder", { path });
  await call("sync_folder", { path });
  await refresh();
}

async function refresh() {
  await overview().catch((error) => status.replaceChildren(problem(error, refresh)));
  if (state.document) {
    const item = await call("show_document", { document_id: state.document }).catch(() => null);
    if (item) reader.querySelector(".doc-head .state")?.replaceWith(statusOf(item));
  }
  if (state.query) return;
  const focused = document.activeElement?.dataset.document;
  const top = side.scrollTop;
  const content = await table.draw(true).catch((error) => [problem(error, refresh)]);
  if (!content) return; // far down in a long list: a button offers to show the news
  await released();
  if (state.query) return; // a search has begun meanwhile
  results.replaceChildren(...content);
  side.scrollTop = top;
  if (focused) requestAnimationFrame(() => side.querySelector(`[data-document="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true }));
}

async function start() {
  const args = await open("homeport-rag");
  watch(["rag://stats", "rag://collections", "rag://queries"], gather(refresh, 300));
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

const action = (text, work) => h("button", { type: "button", class: "button small", onclick: async () => { await work(); await refresh(); } }, text);
const table = library(side, state, { known, read, refresh, addFolder, draw });
const actions = [action("Upload Documents", async () => upload(await known())), action("Rebuild Index", () => rebuild()), action("Settings", () => settings("Settings of the knowledge base")), action("Test Query", async () => tester(await known(), read)), action("Cleanup", () => cleanup()), action("Searches", () => kept(again_for)), action("Index", () => upkeep()), action("Memory", memories)];
app.append(h("header", { class: "bar" }, h("div", { class: "search" }, icon("search"), field, ideas), mode, collection, ...actions), h("main", { class: "body" }, h("h1", { class: "sr-only" }, "Knowledge"), split));
start();
