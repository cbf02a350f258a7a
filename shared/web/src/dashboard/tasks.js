// Tasks and Executions: a new task, several at once, and what is done with the open one.
import { act, tryAct } from "./act.js";
import { dialog, showInDialog, toast } from "./notices.js";

const list = document.getElementById("task-list");
const detail = document.getElementById("task-detail");
const refresh = () => { for (const part of [list, detail]) part?.dispatchEvent(new Event("refresh")); };
const DONE = { pause: "Paused: the step that had begun still ends.", resume: "It goes on.", cancel: "Cancelled.", retry: "Started again.", forget: "Deleted." };

function newTask() {
  showInDialog("New task", document.getElementById("new-task").innerHTML);
  const form = document.querySelector("#dialog form[data-start-task]");
  form.elements.prompt.focus();
  form.querySelector("[data-close]").onclick = () => form.closest("dialog").close();
  form.onsubmit = async (event) => {
    event.preventDefault();
    const value = (name) => form.elements[name].value.trim();
    const started = await tryAct("homeport__run_start", {
      prompt: value("prompt"), title: value("title"), agent: value("agent"), priority: Number(value("priority")), kind: value("kind"),
      interactive: value("kind") !== "job", tags: value("tags").split(",").map((tag) => tag.trim()).filter(Boolean),
    });
    if (started) location.href = `/tasks/${started.run_id}`;
  };
}

/** Do `action` with `runs`; one failure does not stop the others, and is told. */
async function steer(runs, action) {
  if (action === "forget" && !await dialog({ title: runs.length === 1 ? "Delete this task?" : `Delete ${runs.length} tasks?`, text: "Their answers and logs are lost.", yes: "Delete", danger: true })) return;
  const tool = action === "forget" ? "homeport__run_forget" : "homeport__run_steer";
  let rows;
  try {
    ({ rows } = await act(tool, action === "forget" ? { run_ids: runs } : { run_ids: runs, action }, action === "forget"));
  } catch (error) {
    toast(error.message, "error");
    return;
  }
  const failed = rows.filter((row) => row.error);
  for (const { error } of failed.slice(0, 3)) toast(`${error.message} ${error.hint}`, "error");
  const done = rows.length - failed.length;
  if (done) toast(runs.length > 1 ? `${done} of ${runs.length}: ${DONE[action]}` : DONE[action]);
  const open = detail?.querySelector("[data-run]")?.dataset.run;
  if (done && action === "forget" && runs.includes(open)) location.href = location.pathname.replace(/\/[^/]+$/, "");
  else if (done && action === "retry" && runs.length === 1) location.href = `/tasks/${rows[0].run_id}`;
  else refresh();
}

function chosen() {
  return [...list.querySelectorAll('input[name="run"]:checked')].map((box) => box.value);
}

function showChosen() {
  const runs = chosen();
  const label = list.querySelector("[data-chosen]");
  if (!label) return;
  label.textContent = runs.length ? `${runs.length} selected` : "None selected";
  for (const button of list.querySelectorAll("[data-act]")) button.disabled = !runs.length;
}

function showLog() {
  const log = detail?.querySelector("[data-log]");
  if (!log) return;
  const words = log.querySelector("[data-log-search]").value.toLowerCase();
  const least = log.querySelector("[data-log-level]").value;
  const hidden = { "": [], warn: ["info"], error: ["info", "warn"] }[least];
  for (const line of log.querySelectorAll("li")) line.hidden = hidden.includes(line.dataset.level) || !line.textContent.toLowerCase().includes(words);
}

const logText = () => [...detail.querySelectorAll("[data-log] li:not([hidden])")].map((line) => line.textContent).join("\n");

document.addEventListener("click", async (event) => {
  const on = (selector) => event.target.closest(selector);
  if (on("[data-new-task]")) newTask();
  else if (on("[data-act]")) await steer(chosen(), on("[data-act]").dataset.act);
  else if (on("[data-steer]")) await steer([on("[data-run]").dataset.run], on("[data-steer]").dataset.steer);
  else if (on("[data-rename]")) {
    const title = await dialog({ title: "Rename", field: on("[data-rename]").dataset.rename, yes: "Rename" });
    if (title && await tryAct("homeport__run_label", { run_id: on("[data-run]").dataset.run, title })) refresh();
  } else if (on("[data-log-copy]")) {
    await navigator.clipboard.writeText(logText()).then(() => toast("Copied."), () => toast("The browser refused the clipboard.", "error"));
  } else if (on("[data-log-download]")) {
    const link = on("[data-log-download]");
    if (link.href.startsWith("blob:")) URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(new Blob([logText()], { type: "text/plain" }));
  }
});
list.addEventListener("submit", (event) => event.preventDefault());
list.addEventListener("change", (event) => {
  if (event.target.matches("[data-all]")) for (const box of list.querySelectorAll('input[name="run"]')) box.checked = event.target.checked;
  showChosen();
});
detail?.addEventListener("input", showLog);
for (const part of [list, detail]) part?.addEventListener("htmx:after:swap", () => { showChosen(); showLog(); });
