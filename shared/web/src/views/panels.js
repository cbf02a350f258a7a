// What the buttons of the Files page open: locations, clean-up, the state of the sync, tags, questions about a file.
import { dialog, h, latest, moment, rested, size, withButton } from "./dom.js";
import { call, confirm, hosted } from "./shim.js";

const problems = () => h("p", { class: "problem", role: "alert", hidden: true });
const told = (place, error) => { place.textContent = error.message; place.hidden = false; };

/** Used and free space of a root's disk, as words and as a bar that warns. */
export function storage(root) {
  const all = root.used_bytes + root.free_bytes;
  const part = all ? root.used_bytes / all : 0;
  const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(1)} GB`;
  return h("span", { class: "storage", "data-low": String(root.low) }, h("meter", { min: "0", max: "1", high: "0.95", value: String(part), "aria-label": "Storage used" }), `${gigabytes(root.used_bytes)} used / ${gigabytes(root.free_bytes)} available (${Math.round(part * 100)} %)`, root.low ? h("strong", {}, " Space runs short.") : null);
}

/** The folders that are served: open one, add one by its path, or serve one no longer. */
export function locations(go, changed) {
  const list = h("ul", { class: "list" });
  const path = h("input", { type: "text", placeholder: "/full/path/of/a/folder", "aria-label": "Path of the folder" });
  const wrong = problems();
  const { box } = dialog("Manage locations", list, wrong, withButton(path, h("button", { type: "button", class: "button primary", onclick: () => act(() => call("add_root", { folder: path.value.trim() })) }, "Add folder")), h("div", { class: "row wrap" }, h("button", { type: "button", class: "button small", onclick: () => act(async () => { saved = (await call("back_up")).backups; }) }, "Back up tags and history")));
  let saved = [];
  async function act(work) {
    wrong.hidden = true;
    try { await work(); path.value = ""; await draw(); changed(); } catch (error) { told(wrong, error); }
  }
  async function draw() {
    const { roots } = await call("roots");
    list.replaceChildren(...roots.map((root) => h("li", { class: "list-row" }, h("span", { class: "grow" }, h("span", { class: "title" }, root.name), h("small", {}, root.available ? root.folder : `${root.folder} is not there now`), storage(root)), h("button", { type: "button", class: "button small", onclick: () => { box.close(); go(root.name); } }, "Open"), h("button", { type: "button", class: "button small", onclick: () => act(() => call("remove_root", { name: root.name })) }, "Remove"))),
      ...saved.slice(0, 1).map((backup) => h("li", { class: "list-row" }, `Backed up as ${backup.name} (${size(backup.bytes)})`)));
  }
  draw().catch((error) => told(wrong, error));
}

/** What could go, seen first; then removed, with the result. */
export async function cleanUp(path, follow) {
  const found = await call("leftovers", { path });
  const ticks = found.found.map((item) => [item, h("input", { type: "checkbox", checked: item.why !== "duplicate" })]);
  const words = { temporary: "Old temporary file", orphaned: "Its document is gone", duplicate: "Same content" };
  const status = h("p", { role: "status" }, found.found.length ? `${found.found.length} files, ${size(found.bytes)}` : "There is nothing to clean up.");
  const remove = h("button", { type: "button", class: "button danger", onclick: async () => {
    const paths = ticks.filter(([, tick]) => tick.checked).map(([item]) => item.path);
    if (remove.dataset.sure !== String(paths.length)) { remove.dataset.sure = String(paths.length); remove.textContent = `Really remove ${paths.length} files?`; return; }
    remove.disabled = true;
    try {
      const { job_id } = await call("clean_up", { paths, confirm: paths.length });
      const job = await follow(job_id);
      status.textContent = `${job.counters.files} files removed, ${size(job.counters.bytes)} freed, ${job.counters.errors} errors. ${job.notes.join(" ")} They can be restored.`;
    } catch (error) { status.textContent = error.message; }
  } }, "Remove the selected files");
  return dialog("Clean temporary files", status, h("ul", { class: "list scrolling" }, ticks.map(([item, tick]) => h("li", {}, h("label", { class: "list-row" }, tick, h("span", { class: "grow" }, h("span", { class: "title" }, item.path), h("small", {}, `${words[item.why]}${item.of ? `: ${item.of}` : ""} · ${size(item.size)}`)))))), found.found.length ? h("div", { class: "row end" }, remove) : "", ...room()).closed;
}

/** How much room earlier versions take; those older than some days can go for good. */
function room() {
  const days = h("input", { type: "number", class: "days", min: "0", value: "90", "aria-label": "Days", oninput: rested(() => draw()) });
  const told = h("p", { role: "status" });
  let old = 0;
  const show = (found) => {
    old = found.old;
    told.textContent = !found.contents ? "No earlier contents are kept." : `${found.contents.toLocaleString()} earlier contents take ${size(found.bytes)}; ${old ? `${old.toLocaleString()} of them, ${size(found.old_bytes)}, are` : "none of them is"} older than ${found.days} days.`;
    remove.disabled = !old;
  };
  const draw = latest(() => call("version_space", { days: Number(days.value) }), show);
  const remove = h("button", { type: "button", class: "button danger", disabled: true, onclick: async () => {
    // Homeport asks by itself before something is destroyed.
    if (!hosted() && !await confirm({ title: `Remove ${old} versions?`, text: "They cannot be brought back. The files themselves stay.", yes: "Remove", danger: true })) return;
    show(await call("forget_versions", { days: Number(days.value), confirm: old }));
  } }, "Remove these versions");
  draw();
  return [h("h3", {}, "Earlier versions"), told, h("div", { class: "row" }, h("span", {}, "Older than"), days, h("span", { class: "grow" }, "days"), remove)];
}

/** The last sync, its errors, and the conflicts with a choice for each. */
export async function syncState() {
  const list = h("ul", { class: "list" });
  const status = h("p", { role: "status" });
  const draw = (state) => {
    status.textContent = state.at ? `Last sync ${moment(state.at)}: ${state.files.toLocaleString()} files. ${state.errors.join(" ")} ${state.conflicts.length ? "" : "No conflicts."}` : "There was no sync yet.";
    const choose = (path, keep, text) => h("button", { type: "button", class: "button small", onclick: async () => draw(await call("resolve", { path, keep })) }, text);
    list.replaceChildren(...state.conflicts.map((item) => h("li", { class: "list-row" }, h("span", { class: "grow" }, h("span", { class: "title" }, item.path), h("small", {}, `Changed by ${item.by || "Homeport"} and by another program`)), choose(item.path, "disk", "Keep the disk"), choose(item.path, "homeport", "Keep Homeport's"), choose(item.path, "both", "Keep both"))));
  };
  draw(await call("sync_state"));
  return dialog("Sync", status, list).closed;
}

/** Tags and category of files, and the tags of all. */
export async function tagging(paths, entry, done) {
  const { tags, categories } = await call("tags");
  const add = h("input", { type: "text", list: "known-tags", placeholder: "reports, 2026" });
  const category = h("input", { type: "text", value: entry?.category ?? "", placeholder: paths.length > 1 ? "leave as it is" : "none" });
  const removed = new Set();
  const present = (entry?.tags ?? []).map((tag) => h("label", { class: "row" }, h("input", { type: "checkbox", checked: true, onchange: (event) => { if (event.target.checked) removed.delete(tag); else removed.add(tag); } }), tag));
  const wrong = problems();
  const { box } = dialog(paths.length === 1 ? `Tags of ${paths[0].split("/").at(-1)}` : `Tags of ${paths.length} files`, h("div", { class: "row wrap" }, present), h("label", { class: "stack" }, "Add tags", add), h("label", { class: "stack" }, "Category", category), h("datalist", { id: "known-tags" }, Object.keys(tags).map((tag) => h("option", { value: tag }))), h("p", { class: "muted" }, `Known tags: ${Object.entries(tags).map(([tag, count]) => `${tag} (${count})`).join(", ") || "none"}. Categories: ${Object.keys(categories).join(", ") || "none"}.`), wrong, h("div", { class: "row end" }, h("button", { type: "button", class: "button primary", onclick: async () => {
    const given = { paths, add: add.value.split(",").map((tag) => tag.trim()).filter(Boolean), remove: [...removed] };
    if (paths.length === 1 || category.value.trim()) given.category = category.value.trim();
    try { done(await call("tag", given)); box.close(); } catch (error) { told(wrong, error); }
  } }, "Save")));
}

/** Choose the chat that a file becomes a part of, or a new one. */
export async function attaching(path, done) {
  const { chats } = await call("chats");
  const chosen = h("select", { "aria-label": "Chat" }, h("option", { value: "" }, "A new chat"), chats.map((chat) => h("option", { value: chat.session_id }, chat.title)));
  const wrong = problems();
  const { box } = dialog(`Attach ${path.split("/").at(-1)} to a chat`, chosen, wrong, h("div", { class: "row end" }, h("button", { type: "button", class: "button primary", onclick: async () => {
    try { done(await call("attach", { path, session_id: chosen.value })); box.close(); } catch (error) { told(wrong, error); }
  } }, "Attach")));
}

/** A summary, the entities, or answers about one file, made by an agent of the host. */
export function questions(path, follow) {
  const shown = h("div", { "aria-live": "polite" });
  const field = h("input", { type: "text", placeholder: "Ask about this file", "aria-label": "Ask about this file" });
  async function ask(about, question = "") {
    const place = h("div", { class: "note" }, question ? h("strong", {}, question) : null, h("p", {}, "An agent reads the file …"));
    shown.append(place);
    try {
      const job = await follow((await call("ask", { path, about, question })).job_id);
      if (job.state !== "completed") throw new Error(job.error || `It was ${job.state}.`);
      const { markdown } = await import("./rendered.js");
      place.lastChild.replaceWith(markdown(job.notes.join("\n")));
    } catch (error) { place.lastChild.textContent = error.message; }
  }
  const form = withButton(field, h("button", { type: "button", class: "button small", onclick: () => { const question = field.value.trim(); if (question) { field.value = ""; ask("answer", question); } } }, "Ask"));
  return h("details", { class: "questions" }, h("summary", {}, "Ask an agent"), h("div", { class: "row wrap pad" }, h("button", { type: "button", class: "button small", onclick: () => ask("summary") }, "Summarize Document"), h("button", { type: "button", class: "button small", onclick: () => ask("entities") }, "Extract Entities")), form, shown);
}
