// Workflows: the list, one workflow, and one run.
import { act, tryAct } from "./act.js";
import { dialog, showInDialog, toast } from "./notices.js";

const place = (event) => (event.target.closest("[data-workflow]") ?? document.querySelector("header[data-workflow]"))?.dataset ?? {};
const refresh = () => { for (const part of document.querySelectorAll("#workflow-list, #workflow-detail, #workflow-run")) part.dispatchEvent(new Event("refresh")); };
const slug = (text) => text.split(",").map((each) => each.trim()).filter(Boolean);
const READ = {
  number: Number, boolean: (text) => ["yes", "true", "1"].includes(text.toLowerCase()), list: JSON.parse, object: JSON.parse, any: (text) => text, text: (text) => text,
};

/** Show a form in the dialog and return it. */
function formed(title, html) {
  showInDialog(title, html);
  const form = document.querySelector("#dialog form");
  form.querySelector("[data-close]").onclick = () => form.closest("dialog").close();
  form.querySelector("input, textarea")?.focus();
  return form;
}

const escaped = (text) => String(text).replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]);

/** Ask for the parameters of a workflow, if it has any, and start it. */
function run(workflow, name, variables, dry) {
  const start = async (parameters) => {
    const started = await tryAct(dry ? "homeport__workflow_try" : "homeport__workflow_run", { workflow, parameters });
    if (started) location.href = `/workflow-runs/${started.run_id}`;
  };
  const names = Object.keys(variables);
  if (!names.length) return start({});
  const fields = names.map((id) => {
    const { type = "text", default: value = "", description = "", required = false } = variables[id];
    const shown = type === "list" || type === "object" ? JSON.stringify(value || (type === "list" ? [] : {})) : value ?? "";
    return `<label>${escaped(id)}${description ? ` – ${escaped(description)}` : ""}<input type="text" name="${id}" value="${escaped(shown)}" ${required ? "required" : ""}></label>`;
  });
  const form = formed(`${dry ? "Try" : "Run"} ${name}`, `<form class="stack">${fields.join("")}<div class="row end"><button class="button" type="button" data-close>Cancel</button><button class="button primary" type="submit">Start</button></div></form>`);
  form.onsubmit = (event) => {
    event.preventDefault();
    try {
      const given = names.filter((id) => form.elements[id].value !== "").map((id) => [id, READ[variables[id].type ?? "text"](form.elements[id].value)]);
      start(Object.fromEntries(given));
    } catch {
      toast("Lists and objects are written as JSON.", "error");
    }
  };
}

async function ended(runId) {
  for (;;) {
    const row = await act("homeport__run_get", { run_id: runId });
    if (row.finished) return row;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** Save a graph and go to it. */
async function create(graph) {
  const saved = await tryAct("homeport__workflow_save", { graph });
  if (saved) location.href = `/workflows/${saved.id}`;
}

async function suggested(sentence) {
  toast("An agent designs the steps…");
  const { run_id } = await act("homeport__workflow_suggest", { sentence });
  await ended(run_id);
  return (await act("homeport__workflow_from_task", { run_id })).graph;
}

function newWorkflow() {
  const form = formed("New workflow", document.getElementById("new-workflow").innerHTML);
  form.onsubmit = async (event) => {
    event.preventDefault();
    const value = (name) => form.elements[name].value.trim();
    const shown = { name: value("name"), description: value("description"), tags: slug(value("tags")) };
    const empty = { start: "ask", nodes: { ask: { kind: "agent", prompt: value("description") || "Say hello.", next: "end" }, end: { kind: "end", result: "{{ ask.text }}" } } };
    try {
      const graph = value("sentence") ? await suggested(value("sentence")) : empty;
      await create({ ...graph, ...shown });
    } catch (error) {
      toast(error.message, "error");
    }
  };
}

function bringIn() {
  const form = formed("Import a workflow", '<form class="stack"><label>The exported file<input type="file" name="file" accept=".json,application/json" required></label><div class="row end"><button class="button" type="button" data-close>Cancel</button><button class="button primary" type="submit">Import</button></div></form>');
  form.onsubmit = async (event) => {
    event.preventDefault();
    let document_;
    try { document_ = JSON.parse(await form.elements.file.files[0].text()); } catch { return toast("This file is no JSON.", "error"); }
    let read = await tryAct("homeport__workflow_import", { document: document_ });
    if (read && !read.id) {
      const missing = read.problems.filter((each) => each.level === "error").map((each) => `${each.node}: ${each.message}`).join("\n");
      if (!await dialog({ title: "Something is missing here", text: "Import it as a draft anyway?", code: missing, yes: "Import anyway" })) return;
      read = await tryAct("homeport__workflow_import", { document: document_, anyway: true });
    }
    if (read) location.href = `/workflows/${read.id}`;
  };
}

async function takeOut(workflow, name) {
  const graph = await tryAct("homeport__workflow_export", { workflow });
  if (!graph) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(graph, null, 2)], { type: "application/json" }));
  link.download = `${name}.json`;
  link.click();
  URL.revokeObjectURL(link.href);
}

async function remove(workflow, name) {
  if (!await dialog({ title: `Delete ${name}?`, text: "All its versions are lost; the history of its runs stays.", yes: "Delete", danger: true })) return;
  if (await tryAct("homeport__workflow_delete", { workflow, confirm: name }, "", true)) location.href = "/workflows";
}

async function steer(run, action) {
  const answer = await tryAct("homeport__run_steer", { run_ids: [run], action });
  const row = answer?.rows[0];
  if (row?.error) toast(`${row.error.message} ${row.error.hint}`, "error");
  else if (row && action === "retry") location.href = `/workflow-runs/${row.run_id}`;
  else refresh();
}

function written(form) {
  try { return JSON.parse(form.elements.graph.value); } catch (error) { toast(`This is no JSON: ${error.message}`, "error"); return null; }
}

async function check(form) {
  const graph = written(form);
  const found = graph && await tryAct("homeport__workflow_check", { graph });
  if (!found) return;
  const lines = found.rows.map((each) => `${each.level}: ${each.node || "workflow"}: ${each.message}`);
  form.querySelector(".workflow-checked").replaceChildren(...(lines.length ? lines : ["It is valid."]).map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

document.addEventListener("click", async (event) => {
  const on = (selector) => event.target.closest(selector);
  const { workflow, name, runId } = place(event);
  if (on("[data-new]")) newWorkflow();
  else if (on("[data-import]")) bringIn();
  else if (on("[data-template]")) await create(JSON.parse(on("[data-template]").dataset.template));
  else if (on("[data-run]")) await run(workflow, name, JSON.parse(on("[data-run]").dataset.run), "dry" in on("[data-run]").dataset);
  else if (on("[data-steer]")) await steer(runId, on("[data-steer]").dataset.steer);
  else if (on("[data-activate]")) { await tryAct("homeport__workflow_activate", { workflow, active: on("[data-activate]").dataset.activate === "true" }); refresh(); }
  else if (on("[data-rollback]")) { await tryAct("homeport__workflow_rollback", { workflow, version: Number(on("[data-rollback]").dataset.rollback) }, "Done."); location.search = "?tab=versions"; }
  else if (on("[data-duplicate]")) { const made = await tryAct("homeport__workflow_duplicate", { workflow }); if (made) location.href = `/workflows/${made.id}`; }
  else if (on("[data-export]")) await takeOut(workflow, name);
  else if (on("[data-delete]")) await remove(workflow, name);
  else if (on("[data-check]")) await check(on("form"));
  else if (on("[data-from]")) {
    const started = await tryAct("homeport__workflow_try", { workflow, dry: false, start: on("[data-from]").dataset.from, from_run: runId });
    if (started) location.href = `/workflow-runs/${started.run_id}`;
  }
});
document.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-save]");
  if (!form) return;
  event.preventDefault();
  const graph = written(form);
  const { workflow } = document.querySelector("[data-workflow]").dataset;
  const saved = graph && await tryAct("homeport__workflow_save", { graph, workflow, note: form.elements.note.value, expected_version: Number(form.dataset.version) });
  if (saved) location.search = "?tab=steps";
});
