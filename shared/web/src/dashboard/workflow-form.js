// The form of a workflow: what it is called, when it starts, its parameters.
import { act, tryAct } from "./act.js";
import { showInDialog, toast } from "./notices.js";

const HINTS = { cron: "0 9 * * 1-5", every: "15m", at: "2026-11-30T09:00", event: "file.*" };
const TRIGGERS = Object.keys(HINTS);
export const READ = {
  number: Number, boolean: (text) => ["yes", "true", "1"].includes(text.toLowerCase()), list: JSON.parse, object: JSON.parse, any: (text) => text, text: (text) => text, key: (text) => text, model: (text) => text, file: (text) => text,
};

/** What the field for a value of a type offers and takes; of a key only its name, so that no value is ever sent. */
const FIELDS = {
  key: { list: "workflow-keys", pattern: "[A-Z][A-Z0-9_]{0,79}", placeholder: "SHOP_API_KEY", title: "The name of a key in the vault, in capitals; never the key itself" },
  model: { list: "workflow-models", placeholder: "ollama/qwen3:8b" },
  file: { placeholder: "workspace/report.md" },
};

/** Let a field take values of a type. */
export function fit(field, type) {
  for (const name of ["list", "pattern", "placeholder", "title"]) {
    const value = FIELDS[type]?.[name];
    if (value) field.setAttribute(name, value);
    else field.removeAttribute(name);
  }
  if (FIELDS[type]?.list) offer(FIELDS[type].list);
}

const offered = { "workflow-keys": ["homeport__list_keys", "rows"], "workflow-models": ["homeport__list_models", "models"] };

/** Fill a list of proposals, once. */
async function offer(id) {
  const into = document.getElementById(id);
  if (!into || into.dataset.asked) return;
  into.dataset.asked = "yes";
  const [tool, field] = offered[id];
  const found = await tryAct(tool, {});
  into.replaceChildren(...(found?.[field] ?? []).map(({ name }) => new Option(name, name)));
}

/** Open the page where the value of a key is entered: it goes into the vault only. */
async function enterKey(field) {
  if (!field.value || !field.reportValidity()) return toast("Write the name of the key first, in capitals, such as SHOP_API_KEY.", "error");
  const ticket = await tryAct("homeport__create_ticket", { purpose: "secret", target: field.value });
  if (ticket) open(ticket.url, "_blank", "noopener");
}

/** Show a form in the dialog and return it. */
export function formed(title, html) {
  showInDialog(title, html);
  const form = document.querySelector("#dialog form");
  form.querySelector("[data-close]").onclick = () => form.closest("dialog").close();
  form.querySelector("input, textarea")?.focus();
  return form;
}

export const written = (value, type) => (value === undefined || value === null ? "" : ["list", "object"].includes(type) || typeof value === "object" ? JSON.stringify(value) : String(value));

/** Fill one row with a variable. */
function addVariable(into, id = "", variable = {}) {
  const row = document.getElementById("workflow-variable").content.firstElementChild.cloneNode(true);
  const field = (name) => row.querySelector(`[name="${name}"]`);
  field("id").value = id;
  field("kind").value = variable.type ?? "text";
  field("default").value = written(variable.default, variable.type);
  field("about").value = variable.description ?? "";
  field("required").checked = Boolean(variable.required);
  const typed = () => {
    fit(field("default"), field("kind").value);
    row.querySelector("[data-enter-key]").hidden = field("kind").value !== "key";
  };
  field("kind").onchange = typed;
  typed();
  row.querySelector("[data-enter-key]").onclick = () => enterKey(field("default"));
  row.querySelector("[data-remove-variable]").onclick = () => row.remove();
  into.append(row);
  return row;
}

/** Read the rows of variables; throws with a sentence when a default is not of its type. */
export function variablesOf(form) {
  const found = {};
  for (const row of form.querySelectorAll(".workflow-variable")) {
    const field = (name) => row.querySelector(`[name="${name}"]`);
    const [id, type, text] = [field("id").value, field("kind").value, field("default").value];
    if (found[id]) throw new Error(`There are two parameters named ${id}.`);
    found[id] = { type, description: field("about").value, required: field("required").checked };
    if (text === "") continue;
    try { found[id].default = READ[type](text); } catch { throw new Error(`The default of ${id} is not a ${type} as JSON.`); }
    if (type === "number" && Number.isNaN(found[id].default)) throw new Error(`The default of ${id} is not a number.`);
  }
  return found;
}

export function variableRows(form, variables) {
  const into = form.querySelector("[data-variables]");
  for (const [id, variable] of Object.entries(variables)) addVariable(into, id, variable);
  form.querySelector("[data-add-variable]").onclick = () => addVariable(into).querySelector("input").focus();
}

/** Ask for everything but the steps; `done` gets the graph's new fields and whether to activate. */
export function settings(title, graph, done) {
  const trigger = graph.trigger ?? {};
  const form = formed(title, document.getElementById("workflow-form").innerHTML);
  const field = (name) => form.elements[name];
  const kind = TRIGGERS.find((name) => trigger[name]) ?? "";
  field("name").value = graph.name ?? "";
  field("description").value = graph.description ?? "";
  field("tags").value = (graph.tags ?? []).join(", ");
  field("visibility").value = graph.visibility ?? "shared";
  field("type").value = kind;
  field("trigger").value = trigger[kind] ?? "";
  field("where").value = trigger.where ? JSON.stringify(trigger.where) : "";
  if (graph.nodes) {
    field("start").replaceChildren(...Object.entries(graph.nodes).map(([id, node]) => new Option(node.title ? `${node.title} (${id})` : id, id, false, id === graph.start)));
    form.querySelector("[data-begin]").remove();
  }
  else field("sentence").oninput = () => { field("start").options[0].text = field("sentence").value.trim() ? "the first step of those suggested" : "ask"; };
  variableRows(form, graph.variables ?? {});
  const typed = () => {
    const chosen = field("type").value;
    form.querySelector("[data-trigger]").hidden = !chosen;
    form.querySelector("[data-where]").hidden = chosen !== "event";
    field("trigger").required = Boolean(chosen);
    field("trigger").placeholder = HINTS[chosen] ?? "";
  };
  field("type").onchange = typed;
  typed();
  form.onsubmit = async (event) => {
    event.preventDefault();
    const value = (name) => field(name).value.trim();
    try {
      const chosen = value("type");
      const when = chosen ? { [chosen]: value("trigger"), ...(chosen === "event" && value("where") ? { where: JSON.parse(value("where")) } : {}), ...(trigger.parameters ? { parameters: trigger.parameters } : {}) } : {};
      const fields = { name: value("name"), description: value("description"), tags: value("tags").split(",").map((tag) => tag.trim()).filter(Boolean), visibility: value("visibility"), start: value("start"), trigger: when, variables: variablesOf(form) };
      await done(fields, event.submitter?.value === "active", form.elements.sentence?.value.trim() ?? "");
    } catch (error) {
      toast(error.message, "error");
    }
  };
}

/** Save a graph and activate it where that is wanted; the host lets its job follow. Returns what was saved. */
export async function save(graph, { workflow = "", version = 0, active = false, note = "" } = {}) {
  const saved = await act("homeport__workflow_save", { graph, workflow, note, expected_version: version });
  const wrong = saved.problems.filter((each) => each.level === "error");
  for (const { message } of saved.problems.filter((each) => each.field === "trigger" && each.level === "warning")) toast(`It is saved, but: ${message}`, "error");
  if (active && wrong.length) toast(`Saved as a draft: ${wrong[0].node || "workflow"}: ${wrong[0].message}`, "error");
  else if (active) await tryAct("homeport__workflow_activate", { workflow: saved.id });
  return saved;
}
