// Workflows: the list, one workflow, and one run.
import { act, tryAct } from "./act.js";
import { dialog, toast } from "./notices.js";
import { fit, formed, READ, save, settings, variableRows, variablesOf, written } from "./workflow-form.js";
import * as drawing from "./workflow-graph.js";

const place = (event) => (event.target.closest("[data-workflow]") ?? document.querySelector("header[data-workflow]"))?.dataset ?? {};
const refresh = () => { for (const part of document.querySelectorAll("#workflow-list, #workflow-detail, #workflow-run")) part.dispatchEvent(new Event("refresh")); };
const several = (text) => (text ?? "").split(" ").filter(Boolean);
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
    const shown = written(value || { list: [], object: {} }[type] || "", type);
    return `<label>${escaped(id)}${description ? ` – ${escaped(description)}` : ""}<input type="text" name="${id}" value="${escaped(shown)}" ${required ? "required" : ""}></label>`;
  });
  const form = formed(`${dry ? "Try" : "Run"} ${name}`, `<form class="stack">${fields.join("")}<div class="row end"><button class="button" type="button" data-close>Cancel</button><button class="button primary" type="submit">Start</button></div></form>`);
  for (const id of names) fit(form.elements[id], variables[id].type);
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
  settings("New workflow", {}, async (fields, active, sentence) => {
    const prompt = fields.description || "Say hello.";
    const simple = { start: "ask", nodes: { ask: { kind: "agent", prompt, next: "end" }, end: { kind: "end", result: "{{ ask.text }}" } } };
    const graph = sentence ? await suggested(sentence) : simple;
    const variables = { ...graph.variables, ...fields.variables };
    const saved = await save({ ...graph, ...fields, start: graph.start, variables }, { active });
    location.href = `/workflows/${saved.id}`;
  });
}

async function edit(workflow) {
  const { graph, version } = await act("homeport__workflow_get", { workflow });
  settings(`Settings of ${graph.name}`, graph, async (fields, active) => {
    await save({ ...graph, ...fields }, { workflow, version, active, note: "settings" });
    location.reload();
  });
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

function download(name, text, type = "text/plain") {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

async function takeOut(workflow, name) {
  const graph = await tryAct("homeport__workflow_export", { workflow });
  if (graph) download(`${name}.json`, JSON.stringify(graph, null, 2), "application/json");
}

/** Delete workflows, each {workflow, name}. */
async function remove(rows) {
  const title = rows.length === 1 ? `Delete ${rows[0].name}?` : `Delete ${rows.length} workflows?`;
  if (!await dialog({ title, text: "All versions are lost, and the jobs that start them; the history of runs stays.", yes: "Delete", danger: true })) return;
  for (const { workflow, name } of rows) if (!await tryAct("homeport__workflow_delete", { workflow, confirm: name }, "", true)) return;
  location.href = "/workflows";
}

function chosen() {
  return [...document.querySelectorAll('#workflow-list input[name="workflow"]:checked')].map((box) => box.closest("tr").dataset);
}

function showChosen() {
  const count = chosen().length;
  const label = document.querySelector("[data-chosen]");
  if (!label) return;
  label.textContent = count ? `${count} selected` : "None selected";
  for (const button of document.querySelectorAll("[data-bulk-act]")) button.disabled = !count;
}

const BULK = {
  async run(rows) {
    let started = 0;
    for (const { workflow } of rows) started += Boolean(await tryAct("homeport__workflow_run", { workflow }));
    if (started) toast(`${started} of ${rows.length} started with the defaults of their parameters.`);
    refresh();
  },
  async pause(rows) {
    const run_ids = rows.flatMap((row) => several(row.activeRuns));
    if (run_ids.length && await tryAct("homeport__run_steer", { run_ids, action: "pause" })) toast(`Paused: ${run_ids.length} runs; the steps that had begun still end.`);
    if (!run_ids.length) toast("None of them is running.");
  },
  async export(rows) { for (const { workflow, name } of rows) await takeOut(workflow, name); },
  delete: (rows) => remove(rows),
};

/** Let a log show the lines that have the words and are severe enough; parts without any are left out. */
function filterLog(log) {
  const words = log.querySelector("[data-log-search]").value.toLowerCase();
  const hidden = { "": [], warning: ["info"], error: ["info", "warning"] }[log.querySelector("[data-log-level]").value];
  for (const part of log.querySelectorAll("details")) {
    for (const line of part.querySelectorAll("li")) line.hidden = hidden.includes(line.dataset.level) || !`${part.dataset.path} ${line.textContent}`.toLowerCase().includes(words);
    part.hidden = !part.querySelector("li:not([hidden])");
  }
}

function exportLog(log) {
  const lines = [...log.querySelectorAll("details:not([hidden]) li:not([hidden])")];
  const told = lines.map((line) => [line.querySelector("time").dateTime, line.dataset.level, line.closest("details").dataset.path || "-", line.querySelector("span").textContent].join("\t"));
  download(`${log.dataset.log}.log`, told.join("\n"));
}

/** Show the file of an agent, to be read and changed. */
async function agent(name) {
  const found = await tryAct("homeport__get_agent", { name });
  if (!found) return;
  const form = formed(`Agent ${name}`, '<form class="stack"><label>Its file: settings, then instructions<textarea class="code-box workflow-json" name="markdown" rows="20" spellcheck="false"></textarea></label><div class="row end"><button class="button" type="button" data-close>Cancel</button><button class="button primary" type="submit">Save agent</button></div></form>');
  form.elements.markdown.value = found.markdown;
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (await tryAct("homeport__save_agent", { name, markdown: form.elements.markdown.value }, "Saved.")) form.closest("dialog").close();
  };
}

/** Save the parameters and what the trigger gives them. */
async function saveParameters(form) {
  const { workflow, version } = form.dataset;
  try {
    const { graph } = await act("homeport__workflow_get", { workflow });
    const given = [...form.querySelectorAll("[data-binding]")].filter((field) => field.value !== "").map((field) => [field.dataset.binding, bound(field.value)]);
    const parameters = Object.fromEntries(given);
    const changed = { ...graph, variables: variablesOf(form), trigger: { ...graph.trigger, parameters } };
    const { rows } = await act("homeport__workflow_check", { graph: changed });
    list(form, rows);
    if (rows.some((each) => each.level === "error")) return;
    await save(changed, { workflow, version: Number(version), active: form.dataset.status === "active", note: "parameters" });
    location.reload();
  } catch (error) {
    toast(error.message, "error");
  }
}

/** Read what a trigger gives a parameter: JSON where it is JSON, else text. */
function bound(text) {
  try { return JSON.parse(text); } catch { return text; }
}

async function steer(run, action) {
  const answer = await tryAct("homeport__run_steer", { run_ids: [run], action });
  const row = answer?.rows[0];
  if (row?.error) toast(`${row.error.message} ${row.error.hint}`, "error");
  else if (row && action === "retry") location.href = `/workflow-runs/${row.run_id}`;
  else refresh();
}

function parsedGraph(form) {
  try { return JSON.parse(form.elements.graph.value); } catch (error) { toast(`This is no JSON: ${error.message}`, "error"); return null; }
}

async function check(form) {
  const graph = parsedGraph(form);
  const found = graph && await tryAct("homeport__workflow_check", { graph });
  if (!found) return;
  list(form, found.rows);
}

function list(form, problems) {
  const lines = problems.map((each) => `${each.level}: ${each.node || "workflow"}: ${each.message}`);
  form.querySelector(".workflow-checked").replaceChildren(...(lines.length ? lines : ["It is valid."]).map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

const CLICKS = {
  "[data-new]": () => newWorkflow(),
  "[data-import]": () => bringIn(),
  "[data-template]": (on) => create(JSON.parse(on.dataset.template)),
  "[data-run]": (on, { workflow, name }) => run(workflow, name, JSON.parse(on.dataset.run), "dry" in on.dataset),
  "[data-edit]": (_, { workflow }) => edit(workflow),
  "[data-steer]": (on, { runId }) => steer(runId, on.dataset.steer),
  "[data-activate]": async (on, { workflow }) => { await tryAct("homeport__workflow_activate", { workflow, active: on.dataset.activate === "true" }); refresh(); },
  "[data-rollback]": async (on, { workflow }) => { await tryAct("homeport__workflow_rollback", { workflow, version: Number(on.dataset.rollback) }, "Done."); location.search = "?tab=versions"; },
  "[data-duplicate]": async (_, { workflow }) => { const made = await tryAct("homeport__workflow_duplicate", { workflow }); if (made) location.href = `/workflows/${made.id}`; },
  "[data-export]": (_, { workflow, name }) => takeOut(workflow, name),
  "[data-delete]": (_, { workflow, name }) => remove([{ workflow, name }]),
  "[data-check]": (on) => check(on.closest("form")),
  "[data-go]": (on) => { location.href = on.dataset.go; },
  "[data-bulk-act]": (on) => BULK[on.dataset.bulkAct](chosen()),
  "[data-log-export]": (on) => exportLog(on.closest("[data-log]")),
  "[data-download]": (on) => download(on.dataset.download, on.closest("article").querySelector("pre").textContent),
  "[data-agent]": (on) => agent(on.dataset.agent),
  "[data-from]": async (on, { workflow }) => {
    const started = await tryAct("homeport__workflow_try", { workflow, dry: false, start: on.dataset.from, from_run: on.dataset.of });
    if (started) location.href = `/workflow-runs/${started.run_id}`;
  },
};

document.addEventListener("click", async (event) => {
  for (const [selector, act_] of Object.entries(CLICKS)) {
    const on = event.target.closest(selector);
    if (!on) continue;
    on.closest("details.menu")?.removeAttribute("open");
    return act_(on, place(event));
  }
  const row = event.target.closest("tr[data-row]");
  if (row && !event.target.closest("a, button, input, details") && !getSelection().toString()) {
    clearTimeout(row.timer);
    row.timer = setTimeout(() => { location.href = `/workflows/${row.dataset.workflow}`; }, 250); // a double click comes within it
  }
});
document.addEventListener("dblclick", (event) => {
  const row = event.target.closest("tr[data-row]");
  if (!row || event.target.closest("a, button, input, details")) return;
  clearTimeout(row.timer);
  location.href = `/workflows/${row.dataset.workflow}?tab=graph`;
});
document.addEventListener("contextmenu", (event) => {
  const menu = event.target.closest("tr[data-row]")?.querySelector("details.menu");
  if (!menu) return;
  event.preventDefault();
  pointer = { x: event.clientX, y: event.clientY };
  menu.open = true;
  menu.querySelector("button").focus({ preventScroll: true });
});
// The table scrolls sideways and would cut the menu of a row off, so it stands over the page: at the pointer, or below its button.
let pointer = null;
document.addEventListener("toggle", ({ target: menu }) => {
  if (!menu.open || !menu.matches("tr details.menu")) return;
  for (const other of document.querySelectorAll("tr details.menu[open]")) if (other !== menu) other.open = false;
  const list_ = menu.querySelector(".menu-list");
  const button = menu.getBoundingClientRect();
  const { x, y } = pointer ?? { x: button.right - list_.offsetWidth, y: button.bottom + 4 };
  pointer = null;
  const within = (at, size, most) => `${Math.max(8, Math.min(at, most - size - 8))}px`;
  Object.assign(list_.style, { position: "fixed", right: "auto", left: within(x, list_.offsetWidth, innerWidth), top: within(y, list_.offsetHeight, innerHeight) });
}, true);
for (const scrolls of ["wheel", "touchmove"]) addEventListener(scrolls, () => { for (const menu of document.querySelectorAll("tr details.menu[open]")) menu.open = false; }, { passive: true });
document.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-save], [data-parameters], [data-bulk]");
  if (!form) return;
  event.preventDefault();
  if (form.matches("[data-parameters]")) return saveParameters(form);
  if (!form.matches("[data-save]")) return;
  const graph = parsedGraph(form);
  const { workflow } = document.querySelector("[data-workflow]").dataset;
  const saved = graph && await tryAct("homeport__workflow_save", { graph, workflow, note: form.elements.note.value, expected_version: Number(form.dataset.version) });
  if (saved) location.search = "?tab=steps";
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-all]")) for (const box of document.querySelectorAll('input[name="workflow"]')) box.checked = event.target.checked;
  if (event.target.closest("[data-bulk]")) showChosen();
  if (event.target.matches("[data-choose-run]")) location.href = event.target.value;
});
document.addEventListener("input", (event) => { const log = event.target.closest("[data-log]"); if (log) filterLog(log); });
document.addEventListener("htmx:after:swap", () => { showChosen(); for (const log of document.querySelectorAll("[data-log]")) filterLog(log); });
for (const form of document.querySelectorAll("[data-parameters]")) variableRows(form, JSON.parse(form.dataset.variables));
drawing.install();
