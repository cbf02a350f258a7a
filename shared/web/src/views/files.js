// Files: browse, search, read any document, go back to an earlier version.
import { empty, h, icon, lines, moment, problem, size, skeleton } from "./dom.js";
import { call, confirm, navigate, notify, open, watch } from "./shim.js";

const app = document.getElementById("app");
const state = { path: "", file: "", line: 0, query: "", mode: "name" };
const bar = h("header", { class: "bar" });
const side = h("section", { class: "pane", "aria-label": "Folder", tabindex: "0" });
const reader = h("section", { class: "pane reader", "aria-label": "File", tabindex: "0" });
const split = h("div", { class: "split single" }, side);
const field = h("input", { type: "search", placeholder: "Search here", "aria-label": "Search files", oninput: () => later(find) });
const mode = h("select", { "aria-label": "Search in", onchange: () => { state.mode = mode.value; find(); } }, h("option", { value: "name" }, "Names"), h("option", { value: "content" }, "Contents"));
const trail = h("nav", { "aria-label": "Folder path" });
let timer = 0;

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
  const parts = state.path ? state.path.split("/") : [];
  const steps = [["Files", ""], ...parts.map((part, i) => [part, parts.slice(0, i + 1).join("/")])];
  trail.replaceChildren(h("ol", { class: "path" }, steps.map(([name, path]) => h("li", {}, h("button", { type: "button", onclick: () => go(path) }, name)))));
}

function go(path) {
  Object.assign(state, { path, file: "", line: 0, query: "" });
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

const list = () => {
  drawTrail();
  address();
  return shown(side, "Reading the folder", async () => {
    const found = await call("list", { path: state.path, limit: 1000 });
    if (!found.entries.length && !state.path) return [empty("folder", "No folders yet", "Add a folder, and it can be browsed, searched and worked in. Every change keeps the old version.", h("button", { class: "button primary", type: "button", onclick: addRoot }, "Add folder"))];
    if (!found.entries.length) return [empty("folder", "This folder is empty", "Files that appear in it are shown at once.")];
    const order = (entry) => (entry.kind === "folder" ? "0" : "1") + entry.path.toLowerCase();
    const rows = found.entries.sort((a, b) => order(a) < order(b) ? -1 : 1).map(row);
    return [h("ul", { class: "list" }, rows.map((item) => h("li", {}, item))), found.next ? further(found.next) : null].filter(Boolean);
  });
};

/** A button that brings the next entries of a long folder. */
function further(next) {
  const more = h("button", { type: "button", class: "button", onclick: async () => {
    const found = await call("list", { path: state.path, limit: 1000, cursor: next });
    side.querySelector(".list").append(...found.entries.map((entry) => h("li", {}, row(entry))));
    next = found.next;
    more.hidden = !next;
  } }, "Show more");
  return h("div", { class: "row pad" }, more);
}

function row(entry) {
  const folder = entry.kind === "folder";
  const shape = icon(folder ? "folder" : "file");
  if (folder) shape.classList.add("folder");
  return h("button", { type: "button", class: "list-row", "data-path": entry.path, "aria-current": entry.path === state.file ? "true" : null, onclick: () => folder ? go(entry.path) : read(entry.path) },
    shape, h("span", { class: "grow" }, h("span", { class: "title" }, nameOf(entry.path)), h("small", {}, folder ? "Folder" : `${size(entry.size)} · ${moment(entry.modified)}`)));
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
    const [text, info] = await Promise.all([call("read", { path, start_line: Math.max(1, line - 200) }), call("info", { path })]);
    const body = h("div", {}, lines(text.text, text.start_line, [line || -1, line || -1]));
    const more = h("button", { type: "button", class: "button", onclick: async () => {
      const next = await call("read", { path, cursor: more.dataset.next });
      body.append(lines(next.text, next.start_line));
      more.dataset.next = next.next;
      more.hidden = !next.next;
    } }, "Show more");
    more.dataset.next = text.next;
    more.hidden = !text.next;
    const content = [head(path, info), ...text.warnings.map((warning) => h("p", { class: "note" }, warning)), text.text ? body : h("p", { class: "muted" }, "This file has no text."), h("div", { class: "row pad" }, more), await past(path, info)];
    setTimeout(() => reader.querySelector(".hit")?.scrollIntoView({ block: "center" }));
    return content.filter(Boolean);
  });
}

function head(path, info) {
  return h("header", { class: "doc-head" },
    h("div", { class: "row" }, h("h2", { class: "grow" }, nameOf(path)), h("button", { type: "button", class: "icon-button", "aria-label": "Close file", onclick: close }, icon("close"))),
    h("p", { class: "muted" }, [parentOf(path), size(info.size), info.media_type, info.encoding, moment(info.modified), info.accessed_by && `used by ${info.accessed_by}`].filter(Boolean).join(" · ")),
    h("div", { class: "row" }, h("button", { type: "button", class: "button small", onclick: () => rename(path) }, "Rename"), h("button", { type: "button", class: "button small danger", onclick: () => remove(path) }, "Delete")));
}

async function past(path, info) {
  if (!info.versions) return null;
  const { versions } = await call("history", { path, limit: 20 });
  return h("details", {}, h("summary", {}, `Earlier versions (${versions.length})`), h("ul", { class: "list" }, versions.map((step) => h("li", { class: "list-row" }, h("span", { class: "grow" }, h("span", { class: "title" }, `${step.kind} · ${moment(step.at)}`), h("small", {}, [step.by && `by ${step.by}`, size(step.size)].filter(Boolean).join(" · "))), h("button", { type: "button", class: "button small", onclick: () => change(() => call("restore", { path, version: step.version }), "Restored.") }, "Restore")))));
}

async function change(work, done) {
  try {
    const result = await work();
    if (result.failed?.length) throw new Error(result.failed[0].message);
    say(done);
    await (state.query ? find() : list());
    if (state.file) await read(state.file, state.line);
  } catch (error) { say(error.message, "error"); }
}

async function rename(path) {
  const wanted = await confirm({ title: `Rename ${nameOf(path)}`, field: nameOf(path), yes: "Rename" });
  if (!wanted || wanted === nameOf(path)) return;
  const target = `${parentOf(path)}/${wanted}`;
  await change(async () => { const result = await call("move", { source: path, target }); state.file = target; return result; }, "Renamed. The old name is in the history.");
}

async function remove(path) {
  if (!await confirm({ title: `Delete ${nameOf(path)}?`, text: "It is kept in the history and can be restored.", yes: "Delete", danger: true })) return;
  await change(async () => { const result = await call("delete", { paths: [path] }); if (!result.failed.length) close(); return result; }, "Deleted. It can be restored from the history.");
}

async function addRoot() {
  const folder = await confirm({ title: "Add a folder", text: "Its full path on this machine.", field: "", yes: "Add" });
  if (folder) await change(() => call("add_root", { folder }), "Added.");
}

bar.append(trail, h("div", { class: "search" }, icon("search"), field), mode);
app.append(bar, h("main", { class: "body" }, h("h1", { class: "sr-only" }, "Files"), split));
start();

async function start() {
  const args = await open("homeport-files");
  watch(["files://roots", "files://history"], () => later(() => { if (!state.query) list(); }));
  if (args.q) { field.value = state.query = args.q; state.mode = mode.value = args.in || "name"; }
  const path = args.path ?? "";
  if (!path) { await (args.q ? find() : list()); return; }
  const info = await call("info", { path }).catch(() => null);
  if (!info || info.kind === "folder") { state.path = info ? path : ""; await list(); if (!info) say(`There is no ${path}.`, "error"); return; }
  state.path = parentOf(path);
  await list();
  await read(path, Number(args.line) || 0);
}
