// Files: browse, search, look at any document, upload, change, and take it back.
import { empty, gather, h, icon, moment, problem, rested, shown, size, tell } from "./dom.js";
import { filters } from "./filters.js";
import { card, columns, line, nameOf, titleOf } from "./listing.js";
import { attaching, cleanUp, locations, questions, storage, syncState, tagging } from "./panels.js";
import { preview } from "./preview.js";
import { rows, windows } from "./rows.js";
import { call, confirm, navigate, notify, open, saveFile, say, watch } from "./shim.js";
import { tree } from "./tree.js";
import { upload } from "./upload.js";

const app = document.getElementById("app");
const state = { alone: false, path: "", file: "", line: 0, query: "", mode: "name", sort: "name", descending: false, filters: {}, view: "list", size: 160 };
const chosen = new Set();
const running = new Map();
let virtual = null;
let searching = Promise.resolve();
let taken = null;

const button = (text, onclick, more = "") => h("button", { type: "button", class: `button small ${more}`, onclick }, text);
/** Mark what needs the other servers: a server that runs alone does not offer it. */
const needy = (element) => { element.dataset.needs = "host"; return element; };
const side = h("section", { class: "pane", "aria-label": "Folder", tabindex: "0" });
const reader = h("section", { class: "pane reader", "aria-label": "File", tabindex: "0" });
const split = h("div", { class: "split single" }, side);
const field = h("input", { type: "search", placeholder: "Search here", "aria-label": "Search files", oninput: rested(() => find()) });
const mode = h("select", { "aria-label": "Search in", onchange: () => { state.mode = mode.value; if (field.value) find(); } }, [["name", "Names"], ["content", "Contents"], ["tag", "Tags"], ["meaning", "Meaning"]].map(([value, name]) => h("option", { value, "data-needs": value === "meaning" ? "host" : null }, name)));
const trail = h("nav", { "aria-label": "Folder path" });
const space = h("span", { role: "status", "aria-label": "Storage" });
const work = h("div", { class: "work", role: "status", "aria-label": "Jobs" });
const count = h("p", { class: "muted grow", role: "status" });
const bulk = h("div", { class: "row wrap bulk", hidden: true });

const news = gather(() => state.query || chosen.size ? null : again(), 200);
const parentOf = (path) => path.split("/").slice(0, -1).join("/");
const fail = (error) => say(error.message, "error");
const address = () => navigate({ path: state.file || state.path, line: state.line || "", q: state.query, in: state.query ? state.mode : "" }, nameOf(state.file || state.path) || "Files");

const does = {
  go, read, remove, rename, move, newFolder, vectorize, download, index,
  tag: (paths, entry) => tagging(paths, entry, (result) => change(() => result, `${paths.length === 1 ? nameOf(paths[0]) : `${paths.length} files`}: tags saved.`)),
  alone: () => state.alone,
  current: () => state.file,
  chosen: (path) => chosen.has(path),
  choose: (path, on) => { if (on) chosen.add(path); else chosen.delete(path); drawBulk(); },
};
const folders = tree(does);
const narrowing = filters((wanted) => { state.filters = wanted; if (state.query) find(); else list(false); });

function drawTrail() {
  for (const each of buttons.querySelectorAll("[data-in-folder]")) each.disabled = !state.path;
  const parts = state.path ? state.path.split("/") : [];
  const steps = [["Files", ""], ...parts.map((part, i) => [part, parts.slice(0, i + 1).join("/")])];
  trail.replaceChildren(h("ol", { class: "path" }, steps.map(([name, path]) => h("li", {}, h("button", { type: "button", onclick: () => go(path) }, titleOf(name))))));
}

function go(path) {
  Object.assign(state, { path, file: "", line: 0, query: "", filters: {} });
  field.value = "";
  narrowing.clear();
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
  if (fresh) { folders.draw(state.path); around(); }
  side.scrollTop = 0;
  return shown(side, "Reading the folder", () => state.path ? folder(fresh) : roots());
};

/** Look at the folder again; what is in sight, focused, or about to be, stays so. */
function again() {
  const old = virtual;
  folders.draw(state.path);
  around();
  return shown(side, "", () => state.path ? table(true, old?.near()) : roots(), (made) => {
    const top = side.scrollTop;
    const focused = side.contains(document.activeElement) ? document.activeElement : null;
    const n = Number(focused?.closest("li[data-n]")?.dataset.n ?? -1);
    if (state.path && bulk.isConnected) {
      while (bulk.nextSibling) bulk.nextSibling.remove();
      bulk.after(...made);
    } else side.replaceChildren(...(state.path ? [order(), bulk] : []), ...made);
    side.scrollTop = top;
    if (old?.wanted() >= 0) virtual?.to(old.wanted());
    else virtual?.paint();
    const same = focused?.dataset.path && side.querySelector(`[data-path="${CSS.escape(focused.dataset.path)}"]`);
    if (same) same.focus({ preventScroll: true });
    else if (n >= 0 && !(old?.wanted() >= 0)) virtual?.to(n); // it is drawn once its window is there
  });
}

/** What stands around the list: storage, and the tags that can be filtered by. */
async function around() {
  const [{ roots: found }, { tags }] = await Promise.all([call("roots"), call("tags")]);
  const root = found.find((each) => each.name === state.path.split("/")[0]) ?? found[0];
  space.replaceChildren(root?.available ? storage(root) : "");
  trail.title = root?.folder ?? "";
  narrowing.offer(tags);
}

async function roots() {
  virtual = null;
  const found = await call("list", { path: "", limit: 1000 });
  if (!found.entries.length) return [empty("folder", "No folders yet", "Add a folder, and it can be browsed, searched and worked in. Every change keeps the old version.", h("button", { class: "button primary", type: "button", onclick: places }, "Add folder"))];
  return [h("ul", { class: "list" }, found.entries.map((entry) => h("li", {}, line(entry, does))))];
}

const folder = async (fresh) => { const rest = await table(fresh); return [order(), bulk, ...rest]; };

async function table(fresh, near = []) {
  const path = state.path;
  const source = await windows(async (offset, limit) => {
    const found = await call("browse", { path, sort: state.sort, descending: state.descending, ...state.filters, offset, limit, fresh: fresh && offset === 0 });
    count.textContent = `${found.total.toLocaleString()} ${found.total === 1 ? "entry" : "entries"} · ${size(found.bytes)}`;
    return found;
  }, near);
  if (path !== state.path) return []; // somebody went on; nobody is shown this
  const grid = state.view === "grid";
  const across = () => grid ? Math.max(1, Math.floor(side.clientWidth / (state.size + 24))) : 1;
  virtual = rows(side, source, (entry) => grid ? card(entry, does, state.size) : line(entry, does), grid ? { height: state.size + 64, across } : { height: 44 });
  const filtered = Object.keys(state.filters).length > 0;
  const nothing = filtered ? empty("search", "Nothing fits", "No file of this folder fits the filters.") : empty("folder", "This folder is empty", "Files that appear in it are shown at once. Drop files here to upload them.");
  return source.total ? [grid ? "" : columns(), virtual.list] : [nothing];
}

function order() {
  const by = h("select", { "aria-label": "Sort by", onchange: () => { state.sort = by.value; list(false); } }, [["name", "Name"], ["modified", "Date"], ["size", "Size"], ["type", "Type"]].map(([value, name]) => h("option", { value, selected: state.sort === value }, name)));
  const turn = h("button", { type: "button", class: "button small", "aria-pressed": String(state.descending), onclick: () => { state.descending = !state.descending; list(false); } }, state.descending ? "Descending" : "Ascending");
  const looks = (view, name) => h("button", { type: "button", class: "button small", "aria-pressed": String(state.view === view), onclick: () => keep({ view }) }, name);
  const edge = state.view === "grid" ? h("input", { type: "range", min: "80", max: "320", step: "20", value: String(state.size), "aria-label": "Grid size", onchange: (event) => keep({ size: Number(event.target.value) }) }) : null;
  return h("div", { class: "row wrap order" }, ...[count, edge, looks("list", "List"), looks("grid", "Grid"), by, turn].filter(Boolean));
}

async function keep(changed) {
  Object.assign(state, changed);
  call("layout", { chosen: { view: state.view, size: state.size } });
  await list(false);
}

function drawBulk() {
  bulk.hidden = !chosen.size;
  const all = () => [...chosen];
  bulk.replaceChildren(h("span", { class: "grow" }, `${chosen.size} selected`), needy(button("Vectorize selected", () => vectorize(all()))), button("Tag selected", () => does.tag(all())), button("Download selected", () => download(all())), button("Move selected", () => moveAll(all())), button("Delete selected", () => remove(all()), "danger"));
}

function find() {
  state.query = field.value.trim();
  if (!state.query) return list();
  address();
  const wanted = `${state.query}\n${state.mode}`;
  return shown(side, "Searching", async () => {
    await searching.catch(() => {}); // one search at a time: who types on does not pile them up
    if (wanted !== `${state.query}\n${state.mode}`) return []; // something else is looked for now
    searching = call("search", { query: state.query, path: state.path, mode: state.mode, only: state.filters, limit: 200 });
    const found = await searching;
    if (!found.hits.length) return [empty("search", "Nothing found", state.mode === "name" ? "No name matches. Search the contents instead?" : "No file fits.")];
    return [h("ul", { class: "list" }, found.hits.map((hit) => h("li", {}, h("button", { type: "button", class: "list-row", "data-path": hit.path, onclick: () => read(hit.path, hit.line) }, icon("file"), h("span", { class: "grow" }, h("span", { class: "title" }, titleOf(hit.path)), h("small", {}, hit.line ? `${hit.line}: ${hit.text.trim()}` : parentOf(hit.path)))))))];
  });
}

function read(path, at = 0) {
  Object.assign(state, { file: path, line: at });
  for (const item of side.querySelectorAll(".list-row")) item.removeAttribute("aria-current");
  side.querySelector(`[data-path="${CSS.escape(path)}"]`)?.setAttribute("aria-current", "true");
  if (!reader.isConnected) split.append(reader);
  split.classList.remove("single");
  address();
  return shown(reader, "Reading the file", async () => {
    const info = await call("info", { path });
    if (info.kind === "folder") { setTimeout(() => go(path)); return []; }
    const inside = await preview(path, info, at).catch((error) => [problem(error, () => read(path, at))]);
    const content = [head(path, info), state.alone ? null : questions(path, follow), ...inside, await past(path, info)];
    setTimeout(() => reader.querySelector(".hit")?.scrollIntoView({ block: "center" }));
    return content.filter(Boolean);
  });
}

function head(path, info) {
  const known = info.vectorized ? `vectorized in ${info.knowledge.collection}` : info.knowledge.problem || (info.knowledge.collection ? "changed since it was vectorized" : "");
  return h("header", { class: "doc-head" },
    h("div", { class: "row" }, h("h2", { class: "grow" }, titleOf(path)), h("button", { type: "button", class: "icon-button", "aria-label": "Close file", onclick: close }, icon("close"))),
    h("p", { class: "muted" }, [parentOf(path), size(info.size), info.media_type, info.encoding, moment(info.modified), info.accessed_by && `used by ${info.accessed_by}`, known].filter(Boolean).join(" · ")),
    info.tags.length || info.category ? h("p", { class: "row wrap" }, info.category ? h("span", { class: "tag" }, `${info.category}:`) : "", info.tags.map((tag) => h("span", { class: "tag" }, tag))) : "",
    h("div", { class: "row" }, button("Rename", () => rename(path)), button("Move", () => moveAll([path])), button("Tags", () => does.tag([path], info)), needy(button("Vectorize", () => vectorize([path]))), button("Download", () => download([path])), needy(button("Attach to chat", () => attach(path))), button("Delete", () => remove([path]), "danger")));
}

async function past(path, info) {
  if (!info.versions) return null;
  const { versions } = await call("history", { path, limit: 20 });
  return h("details", {}, h("summary", {}, `Earlier versions (${versions.length})`), h("ul", { class: "list" }, versions.map((step) => h("li", { class: "list-row" }, h("span", { class: "grow" }, h("span", { class: "title" }, `${step.kind} · ${moment(step.at)}`), h("small", {}, [step.by && `by ${step.by}`, size(step.size)].filter(Boolean).join(" · "))), button("Restore", () => change(() => call("restore", { path, version: step.version }), "Restored.", () => restore([path])))))));
}

/** Do `act`, tell that it is done, and offer `undo`; what fails is said in the server's words. */
async function change(act, done, undo) {
  try {
    const result = await act();
    folders.changed();
    report(typeof done === "function" ? done(result) : done, undo && (() => undo(result)));
    await (state.query ? find() : list());
    if (state.file) await read(state.file, state.line);
    if (result?.failed?.length) say(result.failed.join(" "), "error");
  } catch (error) { fail(error); }
}

function report(text, undo) {
  taken = undo ?? null;
  tell(text, { undo: undo && back });
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
  const shownNow = state.file === path;
  await change(async () => { await call("move", { source: path, target }); if (shownNow) state.file = target; follows(path, target); }, "Renamed.", async () => { await restore([target]); if (state.file === target) state.file = path; follows(target, path); });
}

/** Keep looking at the folder that went from `source` to `target`. */
function follows(source, target) {
  if (state.path === source || state.path.startsWith(`${source}/`)) state.path = target + state.path.slice(source.length);
}

async function moveAll(paths) {
  const wanted = await confirm({ title: paths.length === 1 ? `Move ${nameOf(paths[0])}` : `Move ${paths.length} entries`, text: "Into this folder; it is made when it is not there.", field: state.path, yes: "Move" });
  if (wanted && wanted !== state.path) await move(paths, wanted.replace(/\/+$/, ""));
}

async function move(paths, target) {
  const moved = [];
  if (paths.includes(state.file)) close();
  await change(async () => {
    const failed = [];
    for (const path of paths) try { await call("move", { source: path, target: `${target}/${nameOf(path)}` }); follows(path, `${target}/${nameOf(path)}`); moved.push(`${target}/${nameOf(path)}`); } catch (error) { failed.push(error.message); }
    if (!moved.length) throw new Error(failed.join(" "));
    return { failed };
  }, () => `${moved.length === 1 ? nameOf(moved[0]) : `${moved.length} entries`} moved to ${target}.`, () => restore(moved));
}

async function remove(paths) {
  const what = paths.length === 1 ? titleOf(paths[0]) : `${paths.length} entries`;
  if (!await confirm({ title: `Delete ${what}?`, text: "A folder goes with all that is in it. Everything is kept in the history and can be restored.", yes: "Delete", danger: true })) return;
  await change(async () => {
    const result = await call("delete", { paths, recursive: true });
    if (!result.deleted.length) throw new Error(result.failed.join(" "));
    if (paths.includes(state.file)) close();
    for (const path of result.deleted) if (state.path === path || state.path.startsWith(`${path}/`)) state.path = parentOf(path);
    return result;
  }, (result) => `${paths.length - result.failed.length} of ${paths.length} deleted. ${paths.length > 1 ? "They" : "It"} can be restored.`, (result) => restore(paths.filter((path) => result.deleted.includes(path))));
}

async function newFolder(inside = state.path) {
  const name = await confirm({ title: "New folder", text: `In ${inside}`, field: "", yes: "Make" });
  if (!name) return;
  const path = `${inside}/${name}`;
  await change(() => call("make_folder", { path }), `${name} was made.`, () => call("delete", { paths: [path] }));
}

async function download(paths) {
  const parts = [];
  const failed = [];
  let found = { next: "" };
  do {
    found = await call("download", { paths, cursor: found.next });
    parts.push(Uint8Array.from(atob(found.content), (character) => character.charCodeAt(0)));
    failed.push(...found.failed);
  } while (found.next);
  await saveFile(found.name, new Blob(parts));
  say([`${paths.length - failed.length} of ${paths.length} downloaded as ${found.name}.`, ...failed].join(" "), failed.length ? "error" : "note");
}

const attach = (path) => attaching(path, (chat) => notify("io.homeport/chat", { session: chat.session_id }));

/** Follow a job, with its progress in sight, until it has ended. */
async function follow(id) {
  const stop = button("Stop", () => call("cancel_job", { job_id: id }));
  const label = h("span", { class: "grow" }, "Waiting");
  const bar = h("progress", { max: "1", "aria-label": "Progress" });
  const note = h("div", { class: "note" }, h("div", { class: "row" }, label, stop), bar);
  work.append(note);
  try {
    while (true) {
      const news = new Promise((resolve) => running.set(id, resolve));
      const { jobs: [job] } = await call("jobs", { job_id: id });
      label.textContent = [job.kind, job.total ? `${job.done} of ${job.total}` : job.state, job.message].filter(Boolean).join(" · ");
      if (job.total) Object.assign(bar, { max: job.total, value: job.done });
      if (["completed", "failed", "cancelled"].includes(job.state)) return job;
      listen();
      await Promise.race([news, new Promise((resolve) => setTimeout(resolve, 1500))]);
    }
  } finally { running.delete(id); note.remove(); listen(); }
}

async function vectorize(paths) {
  const job = await follow((await call("vectorize", { paths })).job_id);
  await change(() => {
    if (job.state !== "completed") throw new Error(job.error || `Vectorizing was ${job.state}.`);
    return { failed: job.notes };
  }, `${job.counters.vectorized ?? 0} vectorized${job.counters.failed ? `, ${job.counters.failed} not` : ""}.`);
}

async function index(path, on) {
  await change(() => call("index_folder", { path, on }), on ? `${nameOf(path)} is kept in step with the knowledge base.` : `${nameOf(path)} is no longer followed.`, () => call("index_folder", { path, on: !on }));
}

async function sync() {
  const job = await follow((await call("sync", { path: state.path })).job_id);
  const { created = 0, changed = 0, deleted = 0, conflicts = 0 } = job.counters;
  await list();
  report(job.error || `${created} new, ${changed} changed, ${deleted} gone, ${conflicts} conflicts.`);
  if (conflicts || job.notes.length) await syncState();
}

const places = () => locations(go, () => list());
const bring = (files) => upload(files, state.path, (paths) => change(() => {}, paths.length === 1 ? `${nameOf(paths[0])} was uploaded.` : `${paths.length} files were uploaded.`, () => restore(paths)));

side.addEventListener("dragover", (event) => { if (state.path && event.dataTransfer.types.includes("Files")) { event.preventDefault(); side.classList.add("target"); } });
side.addEventListener("dragleave", () => side.classList.remove("target"));
side.addEventListener("drop", (event) => { side.classList.remove("target"); if (state.path && event.dataTransfer.files.length) { event.preventDefault(); bring(event.dataTransfer.files); } });
addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !event.target.closest("input, textarea") && taken) { event.preventDefault(); back(); }
});
const head_button = (text, onclick, inFolder = false) => h("button", { type: "button", class: "button small", "data-in-folder": inFolder ? "" : null, onclick }, text);
const buttons = h("div", { class: "row wrap does" }, head_button("Upload Files", () => bring([]), true), head_button("New folder", () => newFolder(), true), needy(head_button("Vectorize", () => vectorize(chosen.size ? [...chosen] : [state.file || state.path]), true)), head_button("Sync Folder", sync), head_button("Clean Temp Files", () => cleanUp(state.path, follow).then(() => list())), head_button("Manage Locations", places), space);
const left = h("details", { class: "pane left", open: innerWidth > 760 }, h("summary", { class: "only-small" }, "Folders and filters"), folders.list, narrowing.form);
app.append(h("header", { class: "bar" }, trail, h("div", { class: "search" }, icon("search"), field), mode, buttons), work, h("main", { class: "body" }, h("h1", { class: "sr-only" }, "Files"), left, split));
start();

/** Hear of changes of files, and of each job that is followed. */
function listen() {
  watch(["files://roots", "files://history", "files://recent", "files://tags", ...[...running.keys()].map((id) => `files://jobs/${id}`)], ({ uri = "" }) => {
    const job = running.get(uri.split("files://jobs/")[1]);
    if (job) job();
    else if (!uri.startsWith("files://jobs/")) news();
  });
}

async function start() {
  const args = await open("homeport-files");
  listen();
  setInterval(() => { if (!document.hidden) around().catch(() => {}); }, 30_000); // others fill the disk, too
  const kept = await call("layout").catch(() => ({}));
  Object.assign(state, kept);
  document.documentElement.toggleAttribute("data-alone", state.alone);
  if (args.q) { field.value = state.query = args.q; state.mode = mode.value = args.in || "name"; }
  const path = args.path ?? "";
  if (!path) { await (args.q ? find() : list()); return; }
  let info = null;
  try { info = await call("info", { path }); } catch (error) {
    await list();
    fail(error); // the server's words: gone, outside, not readable, or not answering
    return;
  }
  if (info.kind === "folder") { state.path = path; await list(); return; }
  state.path = parentOf(path);
  await list();
  await read(path, Number(args.line) || 0);
}
