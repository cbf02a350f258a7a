// Tasks and Executions: the window of rows, several tasks at once, and what is done with the open one.
import { act, tryAct } from "./act.js";
import { dialog, showInDialog, toast } from "./notices.js";
import { newTask } from "./task-form.js";
import { install as installMenu } from "./task-menu.js";

const ROW = 56; // pixels, as in tasks.css and the template
const list = document.getElementById("task-list");
const detail = document.getElementById("task-detail");
const picked = new Set();
const refresh = () => { for (const part of [list, detail]) part?.dispatchEvent(new Event("refresh")); };
const DONE = { pause: "Paused: the step that had begun still ends.", resume: "It goes on.", cancel: "Cancelled.", retry: "Started again.", forget: "Deleted." };

/** Do `action` with `runs`; one failure does not stop the others, and is told. */
async function steer(runs, action) {
  const many = runs.length > 1 ? `${runs.length} tasks` : "this task";
  if (action === "forget" && !await dialog({ title: `Delete ${many}?`, text: "Their answers and logs are lost.", yes: "Delete", danger: true })) return;
  if (action === "cancel" && runs.length > 1 && !await dialog({ title: `Cancel ${many}?`, text: "What they have done so far stays.", yes: "Cancel them", no: "Back", danger: true })) return;
  let rows;
  try {
    ({ rows } = await act(action === "forget" ? "homeport__run_forget" : "homeport__run_steer", action === "forget" ? { run_ids: runs } : { run_ids: runs, action }, action === "forget"));
  } catch (error) {
    toast(error.message, "error");
    return;
  }
  const failed = rows.filter((row) => row.error);
  for (const { error } of failed.slice(0, 3)) toast(`${error.message} ${error.hint}`, "error");
  const done = rows.length - failed.length;
  if (done) toast(runs.length > 1 ? `${done} of ${runs.length}: ${DONE[action]}` : DONE[action]);
  if (action === "forget") for (const run of runs) picked.delete(run);
  const open = detail?.querySelector("[data-run]")?.dataset.run;
  if (done && action === "forget" && runs.includes(open)) location.href = `/${location.pathname.split("/")[1]}${location.search}`;
  else if (done && action === "retry" && runs.length === 1) location.href = `/tasks/${rows[0].run_id}`;
  else refresh();
}

/** Delete every ended task, a few hundred at a time. */
async function clear() {
  if (!await dialog({ title: "Delete all ended tasks?", text: "Their answers and logs are lost. What is under way stays.", yes: "Delete", danger: true })) return;
  let cleared = 0;
  try {
    for (;;) {
      const { rows } = await act("homeport__list_tasks", { state: "completed,failed,cancelled", limit: 500 });
      const run_ids = rows.filter((row) => row.kind !== "server").map((row) => row.id);
      if (!run_ids.length) break;
      const told = await act("homeport__run_forget", { run_ids }, true);
      const gone = told.rows.filter((row) => !row.error).length;
      if (!gone) break;
      cleared += gone;
    }
  } catch (error) {
    toast(error.message, "error");
  }
  toast(cleared === 1 ? "1 task deleted." : `${cleared} tasks deleted.`);
  if (detail) location.href = "/tasks";
  else refresh();
}

// The window of rows

function look() {
  const rows = list.querySelector(".task-rows");
  if (!rows) return;
  const { total, offset, window: size } = Object.fromEntries(Object.entries(rows.dataset).map(([name, value]) => [name, Number(value)]));
  const first = Math.floor(rows.scrollTop / ROW), last = Math.ceil((rows.scrollTop + rows.clientHeight) / ROW);
  if (first >= offset && last <= Math.min(offset + size, total)) return;
  const wanted = Math.max(0, Math.min(first - Math.floor(size / 3), total - Math.floor(size / 2)));
  if (wanted === offset) return;
  const address = new URL(list.dataset.hxGet, location.href);
  address.searchParams.set("offset", wanted);
  list.dataset.hxGet = address.pathname + address.search;
  list.dispatchEvent(new Event("refresh"));
}

let waiting = 0;
list.addEventListener("scroll", () => { clearTimeout(waiting); waiting = setTimeout(look, 60); }, true);

function showChosen() {
  const label = list.querySelector("[data-chosen]");
  if (!label) return;
  for (const box of list.querySelectorAll('input[name="run"]')) box.checked = picked.has(box.value);
  label.textContent = picked.size ? `${picked.size} selected` : "None selected";
  for (const button of list.querySelectorAll("[data-act]")) button.disabled = !picked.size;
}

// The log

function showLog() {
  const log = detail?.querySelector("[data-log]");
  if (!log) return;
  const words = log.querySelector("[data-log-search]").value.toLowerCase();
  const least = log.querySelector("[data-log-level]").value;
  const hidden = { "": [], warn: ["info"], error: ["info", "warn"] }[least];
  for (const line of log.querySelectorAll("li")) line.hidden = hidden.includes(line.dataset.level) || !line.textContent.toLowerCase().includes(words);
}

const logText = () => [...detail.querySelectorAll("[data-log] li:not([hidden])")].map((line) => line.textContent).join("\n");

// The open task

const open = () => detail.querySelector("[data-run]").dataset;

async function review(how) {
  const accept = how === "accept";
  const remark = accept ? "" : await dialog({ title: "What is to be different?", field: "", yes: "Send back" });
  if (remark === null) return;
  if (await tryAct("homeport__task_review", { task_id: open().run, accept, remark }, accept ? "Accepted." : "Sent back.")) refresh();
}

async function rename() {
  const title = await dialog({ title: "Rename", field: open().title, yes: "Rename" });
  if (title && await tryAct("homeport__run_label", { run_id: open().run, title })) refresh();
}

const MOMENTS = { waiting: "it waits for me", completed: "it is completed", failed: "it failed", cancelled: "it was cancelled" };

/** Ask at which moments of the open task a notification is wanted. */
async function notify() {
  const run_id = open().run;
  const known = await tryAct("homeport__notified_of", { run_id });
  if (!known) return;
  const boxes = Object.entries(MOMENTS).map(([name, words]) => `<label class="inline"><input type="checkbox" name="moment" value="${name}" ${known.moments.includes(name) ? "checked" : ""}> ${words}</label>`);
  showInDialog("Tell me when", `<form class="stack">${boxes.join("")}<div class="row end"><button class="button" type="button" data-no>Cancel</button><button class="button primary" type="submit">Save</button></div></form>`);
  const box = document.getElementById("dialog"), form = box.querySelector("form");
  form.querySelector("[data-no]").onclick = () => box.close();
  form.onsubmit = async (event) => {
    event.preventDefault();
    const moments = new FormData(form).getAll("moment");
    if (await tryAct("homeport__notify_me", { run_id, moments }, moments.length ? "You will be told." : "You will not be told.")) box.close();
  };
}

async function tag() {
  const text = await dialog({ title: "Tags, separated by commas", field: open().tags, yes: "Save" });
  if (text === null) return;
  const tags = text.split(",").map((word) => word.trim()).filter(Boolean);
  if (await tryAct("homeport__run_label", { run_id: open().run, tags })) refresh();
}

async function promote() {
  const name = await dialog({ title: "Name of the workflow", field: open().title, yes: "Make it" });
  if (!name) return;
  const made = await tryAct("homeport__workflow_from_task", { run_id: open().run, name });
  const saved = made && await tryAct("homeport__workflow_save", { graph: made.graph });
  if (saved) location.href = `/workflows/${saved.id}`;
}

const previews = new Map(); // address → text: the details are drawn anew while somebody reads

async function preview({ dataset: { artifact: uri, of: task } }) {
  if (!previews.delete(uri)) {
    const answer = await fetch(`/tasks/artifact?${new URLSearchParams({ uri, task, as: "text" })}`);
    previews.set(uri, answer.ok ? await answer.text() : (await answer.json()).error.message);
  }
  showPreviews();
}

function showPreviews() {
  for (const item of detail?.querySelectorAll("[data-artifact]") ?? []) {
    const shown = item.querySelector("[data-shown]"), uri = item.dataset.artifact;
    shown.hidden = !previews.has(uri);
    shown.textContent = previews.get(uri) ?? "";
  }
}

function download(link) {
  if (link.href.startsWith("blob:")) URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([logText()], { type: "text/plain" }));
}

function tick() {
  for (const place of document.querySelectorAll("[data-since]")) {
    const seconds = Math.max(0, Math.round((Date.now() - Date.parse(place.dataset.since)) / 1000));
    place.textContent = seconds < 120 ? `${seconds} s` : seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h ${Math.round(seconds % 3600 / 60)} min`;
  }
}

document.addEventListener("click", async (event) => {
  const on = (selector) => event.target.closest(selector);
  if (on("[data-new-task]")) newTask();
  else if (on("[data-refresh]")) refresh();
  else if (on("[data-clear]")) await clear();
  else if (on("[data-act]")) await steer([...picked], on("[data-act]").dataset.act);
  else if (on("[data-row]")) await steer([on("[data-task]").dataset.task], on("[data-row]").dataset.row);
  else if (on("[data-steer]")) await steer([open().run], on("[data-steer]").dataset.steer);
  else if (on("[data-rename]")) await rename();
  else if (on("[data-tag]")) await tag();
  else if (on("[data-notify]")) await notify();
  else if (on("[data-promote]")) await promote();
  else if (on("[data-review]")) await review(on("[data-review]").dataset.review);
  else if (on("[data-preview]")) await preview(on("[data-artifact]"));
  else if (on("[data-log-copy]")) await navigator.clipboard.writeText(logText()).then(() => toast("Copied."), () => toast("The browser refused the clipboard.", "error"));
  else if (on("[data-log-download]")) download(on("[data-log-download]"));
  else if (on(".task-row") && !on("a, button, input")) openSoon(on(".task-row"));
});

let opening = 0;
function openSoon(row) {
  clearTimeout(opening);
  opening = setTimeout(() => { location.href = row.dataset.open; }, row.dataset.origin ? 250 : 0); // a second click may follow
}
list.addEventListener("dblclick", (event) => {
  const origin = event.target.closest(".task-row")?.dataset.origin;
  if (!origin) return;
  clearTimeout(opening);
  location.href = origin;
});
list.addEventListener("submit", (event) => event.preventDefault());
list.addEventListener("change", (event) => {
  const boxes = event.target.matches("[data-all]") ? [...list.querySelectorAll('input[name="run"]')] : event.target.matches('input[name="run"]') ? [event.target] : [];
  for (const box of boxes) picked[event.target.checked ? "add" : "delete"](box.value);
  showChosen();
});
detail?.addEventListener("input", showLog);
for (const part of [list, detail]) part?.addEventListener("htmx:after:swap", () => { showChosen(); showLog(); showPreviews(); tick(); look(); });
const figures = document.getElementById("task-figures");
figures?.parentElement.addEventListener("toggle", () => figures.dispatchEvent(new Event("open")));
figures?.addEventListener("change", (event) => {
  if (!event.target.matches("[data-group]")) return;
  figures.dataset.hxGet = `/tasks/statistics?group=${event.target.value}`;
  figures.dispatchEvent(new Event("open"));
});
installMenu(list, { open: (row) => { location.href = row.dataset.open; }, steer });
setInterval(tick, 1000);
