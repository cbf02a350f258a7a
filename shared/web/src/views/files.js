// Files: browse, search, look at any document, upload, change, and take it back.
import { empty, h, icon, moment, problem, size, skeleton } from "./dom.js";
import { preview } from "./preview.js";
import { rows } from "./windows.js";
import { call, confirm, navigate, notify, open, watch } from "./shim.js";
import { upload, uploads } from "./upload.js";

const app = document.getElementById("app");
const state = { path: "", file: "", line: 0, query: "", mode: "name", sort: "name", descending: false, filters: {}, filtering: false };
const chosen = new Set();
let virtual = null;
let taken = null;
const bar = h("header", { class: "bar" });
const side = h("section", { class: "pane", "aria-label": "Folder", tabindex: "0" });
const reader = h("section", { class: "pane reader", "aria-label": "File", tabindex: "0" });
const split = h("div", { class: "split single" }, side);
const field = h("input", { type: "search", placeholder: "Search here", "aria-label": "Search files", oninput: () => later(find) });
const mode = h("select", { "aria-label": "Search in", onchange: () => { state.mode = mode.value; find(); } }, h("option", { value: "name" }, "Names"), h("option", { value: "content" }, "Contents"));
const trail = h("nav", { "aria-label": "Folder path" });
const box = uploads();
const picker = h("input", { type: "file", multiple: true, hidden: true, "aria-label": "Files to upload", onchange: () => { bring(picker.files); picker.value = ""; } });
const said = h("div", { class: "said", role: "status", hidden: true });
const bulk = h("div", { class: "row wrap bulk", hidden: true });
let timer = 0;
let hush = 0;

const later = (work) => { clearTimeout(timer); timer = setTimeout(work, 200); };
const nameOf = (path) => path.split("/").at(-1) || path;
const parentOf = (path) => path.split("/").slice(0, -1).join("/");
const say = (text, kind) => notify("io.homeport/toast", { text, kind });
const address = () => navigate({ path: state.file || state.path, line: state.line || "", q: state.query, in: state.query ? state.mode : "" }, nameOf(state.file || state.path) || "Files");

async function shown(pane, label, work) {
  const timer = setTimeout(() => pane.replaceChildren(skeleton(label)), 150);
  try {
    const content = await work();
    clearTimeout(timer);
    pane.replaceChildren(...content);
  } catch (error) {
    clearTimeout(timer);
    pane.replaceChildren(problem(error, () => shown(pane, label, work)));
  }
}

function drawTrail() {
  does.hidden = !state.path;
  const parts = state.path ? state.path.split("/") : [];
  const steps = [["Files", ""], ...parts.map((part, i) => [part, parts.slice(0, i + 1).join("/")])];
  trail.replaceChildren(h("ol", { class: "path" }, steps.map(([name, path]) => h("li", {}, h("button", { type: "button", onclick: () => go(path) }, name)))));
}

function go(path) {
  Object.assign(state, { path, file: "", line: 0, query: "", filters: {} });
  field.value = "";
  close();
  list();
}

function close() {
  state.file = "";
  reader.remove();
  split.classList.add("single");
  for (const row of side.querySelectorAll("[aria-current]")) row.removeAttribute("aria-current");
  address();
}

const list = (fresh = true) => {
  drawTrail();
  address();
  chosen.clear();
  drawBulk();
  return shown(side, "Reading the folder", () => state.path ? folder(fresh) : roots());
};

async function roots() {
  virtual = null;
  const found = await call("list", { path: "", limit: 1000 });
  if (!found.entries.length) return [empty("folder", "No folders yet", "Add a folder, and it can be browsed, searched and worked in. Every change keeps the old version.", h("button", { class: "button primary", type: "button", onclick: addRoot }, "Add folder"))];
  return [h("ul", { class: "list" }, found.entries.map((entry) => h("li", {}, row(entry))))];
}

async function folder(fresh) {
  const path = state.path;
  const count = h("p", { class: "muted grow", role: "status" });
  const load = async (offset, limit) => {
    const found = await call("browse", { path, sort: state.sort, descending: state.descending, ...state.filters, offset, limit, fresh: fresh && offset === 0 });
    count.textContent = `${found.total.toLocaleString()} ${found.total === 1 ? "entry" : "entries"} · ${size(found.bytes)}`;
    return found;
  };
  const made = rows(side, load, (entry) => [select(entry), row(entry)]);
  const total = await made.start();
  if (path !== state.path) return [];
  virtual = made;
  const filtered = Object.keys(state.filters).length > 0;
  const nothing = filtered ? empty("search", "Nothing fits", "No file of this folder fits the filters.", h("button", { class: "button", type: "button", onclick: () => { state.filters = {}; list(false); } }, "Clear filters")) : empty("folder", "This folder is empty", "Files that appear in it are shown at once. Drop files here to upload them.");
  setTimeout(made.paint);
  return [order(count), filters(), bulk, total ? made.list : nothing];
}

function order(count) {
  const by = h("select", { "aria-label": "Sort by", onchange: () => { state.sort = by.value; list(false); } }, [["name", "Name"], ["modified", "Date"], ["size", "Size"], ["type", "Type"]].map(([value, name]) => h("option", { value, selected: state.sort === value }, name)));
  const turn = h("button", { type: "button", class: "button small", "aria-pressed": String(state.descending), onclick: () => { state.descending = !state.descending; list(false); } }, state.descending ? "Descending" : "Ascending");
  return h("div", { class: "row wrap order" }, count, by, turn);
}

function filters() {
  const { group = "", smallest = 0, largest = 0, since = "", until = "" } = state.filters;
  const form = h("form", { class: "row wrap", onchange: () => {
    const given = Object.fromEntries(new FormData(form));
    const wanted = { group: given.group, smallest: Math.round(given.smallest * 1e6), largest: Math.round(given.largest * 1e6), since: given.since, until: given.until };
    state.filters = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value));
    list(false);
  }, onsubmit: (event) => event.preventDefault() },
  h("label", {}, "Type ", h("select", { name: "group" }, [["", "All"], ["document", "Documents"], ["table", "Tables"], ["picture", "Pictures"], ["text", "Texts and code"], ["other", "Other"]].map(([value, name]) => h("option", { value, selected: group === value }, name)))),
  h("label", {}, "From MB ", h("input", { type: "number", name: "smallest", min: "0", step: "any", value: smallest ? String(smallest / 1e6) : "" })),
  h("label", {}, "To MB ", h("input", { type: "number", name: "largest", min: "0", step: "any", value: largest ? String(largest / 1e6) : "" })),
  h("label", {}, "Since ", h("input", { type: "date", name: "since", value: since })),
  h("label", {}, "Until ", h("input", { type: "date", name: "until", value: until })));
  return h("details", { class: "filters", open: state.filtering, ontoggle: (event) => { state.filtering = event.target.open; } }, h("summary", {}, "Filters"), form);
}

function select(entry) {
  const tick = h("input", { type: "checkbox", class: "tick", "aria-label": `Select ${nameOf(entry.path)}`, onchange: () => { if (tick.checked) chosen.add(entry.path); else chosen.delete(entry.path); drawBulk(); } });
  tick.checked = chosen.has(entry.path);
  return tick;
}

function drawBulk() {
  bulk.hidden = !chosen.size;
  bulk.replaceChildren(h("span", { class: "grow" }, `${chosen.size} selected`), h("button", { type: "button", class: "button small", onclick: () => moveAll([...chosen]) }, "Move selected"), h("button", { type: "button", class: "button small danger", onclick: () => remove([...chosen]) }, "Delete selected"));
}

function row(entry) {
  const inside = entry.kind === "folder";
  const shape = icon(inside ? "folder" : "file");
  if (inside) shape.classList.add("folder");
  const about = inside ? "Folder" : [size(entry.size), moment(entry.modified), entry.accessed_by && `used by ${entry.accessed_by}`].filter(Boolean).join(" · ");
  const button = h("button", { type: "button", class: "list-row", draggable: "true", "data-path": entry.path, "aria-current": entry.path === state.file ? "true" : null, onclick: () => inside ? go(entry.path) : read(entry.path),
    onkeydown: (event) => { if (event.key === "Delete") remove([entry.path]); else if (event.key === "F2") rename(entry.path); },
    ondragstart: (event) => event.dataTransfer.setData("text/x-path", entry.path) },
  shape, h("span", { class: "grow" }, h("span", { class: "title" }, nameOf(entry.path)), h("small", {}, about)));
  if (inside) {
    button.addEventListener("dragover", (event) => { if (event.dataTransfer.types.includes("text/x-path")) { event.preventDefault(); button.classList.add("target"); } });
    button.addEventListener("dragleave", () => button.classList.remove("target"));
    button.addEventListener("drop", (event) => { const path = event.dataTransfer.getData("text/x-path"); if (path && path !== entry.path) { event.preventDefault(); event.stopPropagation(); move([path], entry.path); } });
  }
  return button;
}

function find() {
  state.query = field.value.trim();
  if (!state.query) return list();
  address();
  return shown(side, "Searching", async () => {
    const found = await call("search", { query: state.query, path: state.path, mode: state.mode, limit: 200 });
    if (!found.hits.length) return [empty("search", "Nothing found", state.mode === "name" ? "No name matches. Search the contents instead?" : "No file holds these words.")];
    return [h("ul", { class: "list" }, found.hits.map((hit) => h("li", {}, h("button", { type: "button", class: "list-row", "data-path": hit.path, onclick: () => read(hit.path, hit.line) }, icon("file"), h("span", { class: "grow" }, h("span", { class: "title" }, nameOf(hit.path)), h("small", {}, hit.line ? `${hit.line}: ${hit.text.trim()}` : parentOf(hit.path)))))))];
  });
}

function read(path, line = 0) {
  Object.assign(state, { file: path, line });
  for (const item of side.querySelectorAll(".list-row")) item.toggleAttribute("aria-current", false);
  side.querySelector(`[data-path="${CSS.escape(path)}"]`)?.setAttribute("aria-current", "true");
  if (!reader.isConnected) split.append(reader);
  split.classList.remove("single");
  address();
  return shown(reader, "Reading the file", async () => {
    const info = await call("info", { path });
    const content = [head(path, info), ...await preview(path, info, line, say), await past(path, info)];
    setTimeout(() => reader.querySelector(".hit")?.scrollIntoView({ block: "center" }));
    return content.filter(Boolean);
  });
}

function head(path, info) {
  return h("header", { class: "doc-head" },
    h("div", { class: "row" }, h("h2", { class: "grow" }, nameOf(path)), h("button", { type: "button", class: "icon-button", "aria-label": "Close file", onclick: close }, icon("close"))),
    h("p", { class: "muted" }, [parentOf(path), size(info.size), info.media_type, info.encoding, moment(info.modified), info.accessed_by && `used by ${info.accessed_by}`].filter(Boolean).join(" · ")),
    h("div", { class: "row" }, h("button", { type: "button", class: "button small", onclick: () => rename(path) }, "Rename"), h("button", { type: "button", class: "button small", onclick: () => moveAll([path]) }, "Move"), h("button", { type: "button", class: "button small danger", onclick: () => remove([path]) }, "Delete")));
}

async function past(path, info) {
  if (!info.versions) return null;
  const { versions } = await call("history", { path, limit: 20 });
  return h("details", {}, h("summary", {}, `Earlier versions (${versions.length})`), h("ul", { class: "list" }, versions.map((step) => h("li", { class: "list-row" }, h("span", { class: "grow" }, h("span", { class: "title" }, `${step.kind} · ${moment(step.at)}`), h("small", {}, [step.by && `by ${step.by}`, size(step.size)].filter(Boolean).join(" · "))), h("button", { type: "button", class: "button small", onclick: () => change(() => call("restore", { path, version: step.version }), "Restored.", () => restore([path])) }, "Restore")))));
}

/** Do `work`, tell that it is done, and offer `undo`; what fails is said in the server's words. */
async function change(work, done, undo) {
  try {
    const result = await work();
    tell(typeof done === "function" ? done(result) : done, undo && (() => undo(result)));
    await (state.query ? find() : list());
    if (state.file) await read(state.file, state.line);
    if (result?.failed?.length) say(result.failed.join(" "), "error");
  } catch (error) { say(error.message, "error"); }
}

function tell(text, undo) {
  clearTimeout(hush);
  taken = undo ?? null;
  said.replaceChildren(h("span", {}, text), undo ? h("button", { type: "button", class: "button small", onclick: back }, "Undo") : "", h("button", { type: "button", class: "icon-button small", "aria-label": "Dismiss", onclick: () => { said.hidden = true; } }, icon("close")));
  said.hidden = false;
  hush = setTimeout(() => { if (!said.contains(document.activeElement)) said.hidden = true; }, 12000);
}

function back() {
  const undo = taken;
  taken = null;
  if (undo) change(undo, "Taken back.");
}

const restore = async (paths) => { for (const path of paths) await call("restore", { path }); };

async function rename(path) {
  const wanted = await confirm({ title: `Rename ${nameOf(path)}`, field: nameOf(path), yes: "Rename" });
  if (!wanted || wanted === nameOf(path)) return;
  const target = `${parentOf(path)}/${wanted}`;
  const open = state.file === path;
  await change(async () => { await call("move", { source: path, target }); if (open) state.file = target; }, "Renamed.", async () => { await restore([target]); if (state.file === target) state.file = path; });
}

async function moveAll(paths) {
  const wanted = await confirm({ title: paths.length === 1 ? `Move ${nameOf(paths[0])}` : `Move ${paths.length} entries`, text: "Into this folder; it is made when it is not there.", field: state.path, yes: "Move" });
  if (wanted && wanted !== state.path) await move(paths, wanted.replace(/\/+$/, ""));
}

async function move(paths, folder) {
  const moved = [];
  if (paths.includes(state.file)) close();
  await change(async () => {
    const failed = [];
    for (const path of paths) try { await call("move", { source: path, target: `${folder}/${nameOf(path)}` }); moved.push(`${folder}/${nameOf(path)}`); } catch (error) { failed.push(error.message); }
    if (!moved.length) throw new Error(failed.join(" "));
    return { failed };
  }, () => `${moved.length === 1 ? nameOf(moved[0]) : `${moved.length} entries`} moved to ${folder}.`, () => restore(moved));
}

async function remove(paths) {
  const what = paths.length === 1 ? nameOf(paths[0]) : `${paths.length} entries`;
  if (!await confirm({ title: `Delete ${what}?`, text: "A folder goes with all that is in it. Everything is kept in the history and can be restored.", yes: "Delete", danger: true })) return;
  await change(async () => {
    const result = await call("delete", { paths, recursive: true });
    if (!result.deleted.length) throw new Error(result.failed.join(" "));
    if (paths.includes(state.file)) close();
    return result;
  }, "Deleted. It can be restored.", (result) => restore(paths.filter((path) => result.deleted.includes(path))));
}

async function newFolder() {
  const name = await confirm({ title: "New folder", text: `In ${state.path}`, field: "", yes: "Make" });
  if (!name) return;
  const path = `${state.path}/${name}`;
  await change(() => call("make_folder", { path }), `${name} was made.`, () => call("delete", { paths: [path] }));
}

function bring(files) {
  if (!state.path) { say("Open a folder first; then files can be uploaded into it.", "error"); return; }
  upload(files, state.path, box, (paths) => change(() => {}, paths.length === 1 ? `${nameOf(paths[0])} was uploaded.` : `${paths.length} files were uploaded.`, () => restore(paths)));
}

async function addRoot() {
  const folder = await confirm({ title: "Add a folder", text: "Its full path on this machine.", field: "", yes: "Add" });
  if (folder) await change(() => call("add_root", { folder }), "Added.");
}

side.addEventListener("dragover", (event) => { if (event.dataTransfer.types.includes("Files")) { event.preventDefault(); side.classList.add("target"); } });
side.addEventListener("dragleave", () => side.classList.remove("target"));
side.addEventListener("drop", (event) => { side.classList.remove("target"); if (event.dataTransfer.files.length) { event.preventDefault(); bring(event.dataTransfer.files); } });
addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !event.target.closest("input, textarea") && taken) { event.preventDefault(); back(); }
});
const does = h("div", { class: "row does" }, h("button", { type: "button", class: "button", onclick: () => picker.click() }, "Upload"), h("button", { type: "button", class: "button", onclick: newFolder }, "New folder"), picker);
bar.append(trail, h("div", { class: "search" }, icon("search"), field), mode, does);
app.append(bar, h("main", { class: "body" }, h("h1", { class: "sr-only" }, "Files"), split), box, said);
start();

/** Look at the folder again without losing the place. */
async function again() {
  const top = side.scrollTop;
  const at = side.contains(document.activeElement) ? document.activeElement.dataset.path : "";
  await list();
  side.scrollTop = top;
  virtual?.paint();
  if (at) side.querySelector(`[data-path="${CSS.escape(at)}"]`)?.focus({ preventScroll: true });
}

async function start() {
  const args = await open("homeport-files");
  watch(["files://roots", "files://history"], () => later(() => { if (!state.query && !chosen.size) again(); }));
  if (args.q) { field.value = state.query = args.q; state.mode = mode.value = args.in || "name"; }
  const path = args.path ?? "";
  if (!path) { await (args.q ? find() : list()); return; }
  const info = await call("info", { path }).catch(() => null);
  if (!info || info.kind === "folder") { state.path = info ? path : ""; await list(); if (!info) say(`There is no ${path}.`, "error"); return; }
  state.path = parentOf(path);
  await list();
  await read(path, Number(args.line) || 0);
}
