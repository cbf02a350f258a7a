// One job: what it is, when it runs, what it is given, how its runs went.
import { h, icon, latest, moment, rested } from "./dom.js";
import { hosted, openSource, saveFile, say } from "./shim.js";

export const KINDS = { tool: "Tool", agent: "Agent", workflow: "Workflow", event: "Event" };

const span = (seconds) => seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
const fact = (name, value) => value ? [h("dt", {}, name), h("dd", {}, value)] : [];
const times = (occurrences) => h("ul", {}, occurrences.map((each) => h("li", {}, `${each.local.replace("T", " ").slice(0, 19)} ${each.local.slice(19)}`, each.note ? h("small", { class: "muted" }, ` ${each.note}`) : null)));
let shownTab = "Overview";
// What is chosen in the log of the job that is shown: a redraw keeps it.
let log = { job: "", state: "", open: new Set(), runs: [] };

function overview({ definition, job, figures, created, after, upcoming }) {
  const counts = Object.entries(figures.runs).map(([state, number]) => `${number} ${state}`).join(", ");
  return [h("dl", { class: "facts" },
    ...fact("Description", definition.description), ...fact("Does", job.what), ...fact("Runs", job.when), ...fact("Next run", upcoming.length ? moment(upcoming[0].at) : "not planned"),
    ...fact("Owner", job.owner), ...fact("Priority", job.priority), ...fact("Created", moment(created)), ...fact("Agent", definition.action.prompt ? definition.action.agent || "assistant" : ""),
    ...fact("Comes after", after.length ? after.map((each) => `${each.name} (${each.state})`).join(", ") : ""), ...fact("Runs so far", counts || "none"),
    ...fact("May act alone", job.agreed ? "yes, as a person saved it" : "only what can be taken back, until a person saves it"))];
}

function schedule({ definition, recent, upcoming, time_zone: zone }, { call, alter }) {
  const trigger = definition.trigger;
  const name = trigger.cron ? "cron" : trigger.every ? "every" : trigger.at ? "at" : "event";
  const field = h("input", { type: "text", value: trigger[name], "aria-label": "Schedule" });
  const seen = h("div", { "aria-live": "polite" }, upcoming.length ? times(upcoming) : h("p", { class: "muted" }, "Not planned."));
  const validate = async () => {
    const checked = await call("validate_job", { definition: { ...definition, trigger: { ...trigger, [name]: field.value } } });
    seen.replaceChildren(...checked.problems.map((text) => h("p", { class: "problem" }, text)), ...checked.warnings.map((text) => h("p", { class: "note" }, text)), times(checked.upcoming));
  };
  const save = async () => {
    await alter("edit_job", { job: definition.name, changes: { trigger: { ...trigger, [name]: field.value } } });
    field.defaultValue = field.value;
    say("The schedule is saved.");
  };
  return [h("div", { class: "row pad" }, field, h("button", { type: "button", class: "button", onclick: validate }, "Validate schedule"), h("button", { type: "button", class: "button", onclick: save }, "Save")),
    h("h3", {}, "Next runs"), seen,
    h("h3", {}, "Previous runs"), h("ul", {}, recent.slice(0, 5).map((run) => h("li", {}, `${moment(run.planned)} – ${run.state}`))),
    h("dl", { class: "facts" }, ...fact("Time zone", zone), ...fact("When the clocks change", { once: "once a day", skip: "not at a time that does not exist", twice: "twice when a time comes twice" }[definition.dst]), ...fact("Missed runs", { skip: "left out", once: "one for all", all: `each, up to ${definition.missed_most}` }[definition.missed]), ...fact("While one runs", { skip: "left out", queue: "waits", allow: "runs beside it" }[definition.overlap || (definition.trigger.event ? "queue" : "skip")]))];
}

/** What of an action is its arguments: of an agent, its task and what it may use. */
const given = (action) => action.prompt ? { prompt: action.prompt, tools: action.tools } : action.arguments;
const acting = (action, value) => ({ ...action, ...(action.prompt ? value : { arguments: value }) });

function parameters(job, { call, alter, refresh }) {
  const { definition } = job;
  const field = h("textarea", { class: "mono", rows: 8, spellcheck: "false", "aria-label": "Arguments as JSON", "aria-describedby": "arguments-checked", oninput: rested(() => check()) });
  field.defaultValue = JSON.stringify(given(definition.action), null, 2);
  const told = h("div", { id: "arguments-checked", class: "checked", "aria-live": "polite" });
  const saving = h("button", { type: "button", class: "button", disabled: true, onclick: () => save() }, "Save parameters");
  const tell = (ok, ...lines) => { told.dataset.ok = ok ? "yes" : "no"; told.replaceChildren(h("ul", {}, lines.map((line) => h("li", {}, line)))); saving.disabled = !ok; };
  const written = () => {
    const value = JSON.parse(field.value);
    if (value === null || typeof value !== "object" || Array.isArray(value)) throw new SyntaxError("Arguments are an object: {\"name\": value}.");
    return acting(definition.action, value);
  };
  const validated = async () => {
    try { return await call("validate_job", { definition: { ...definition, action: written() } }); } catch (error) {
      return { ok: false, problems: [error instanceof SyntaxError ? `This is no JSON for arguments: ${error.message}` : error.message], warnings: [] };
    }
  };
  const check = latest(validated, (found) => tell(found.ok, ...(found.ok ? ["This works."] : found.problems), ...found.warnings));
  const save = async () => {
    await alter("edit_job", { job: definition.name, changes: { action: written() } });
    field.defaultValue = field.value;
    say("The parameters are saved.");
    await refresh();
  };
  return [h("div", { class: "pad" }, field, told, h("div", { class: "row end pad" }, saving)),
    h("h3", {}, "Linked"), linked(job),
    h("dl", { class: "facts" }, ...fact("Time limit", `${definition.timeout} s`), ...fact("Retries", `${definition.retries}, first after ${definition.back_off} s`), ...fact("Jitter", definition.jitter ? `up to ${definition.jitter} s` : ""), ...fact("On failure", definition.notify ? "tells a person" : "is only in the history"))];
}

/** What a job calls, and the tasks that its latest runs were; in Homeport each leads to its page. */
function linked({ definition: { action, after }, recent }) {
  const place = (text, uri) => hosted() ? h("button", { type: "button", class: "link", onclick: () => openSource(uri) }, text) : text;
  const line = (what, ...content) => h("li", {}, h("span", { class: "muted" }, `${what} `), ...content);
  const [server] = action.tool.split("__");
  const calls = recent.filter((run) => run.host_run).slice(0, 5);
  return h("ul", { class: "linked" },
    action.tool ? line("Tool", place(action.tool, `server://${server}`)) : null,
    action.workflow ? line("Workflow", place(action.workflow, `workflow://${encodeURIComponent(action.workflow)}`)) : null,
    action.prompt ? line("Agent", h("code", {}, action.agent || "assistant")) : null,
    action.tools.map((tool) => line("May change things with", h("code", {}, tool))),
    action.event ? line("Raises", h("code", {}, action.event)) : null,
    after.map((name) => line("Comes after", name)),
    calls.map((run) => line(action.prompt ? "Agent call" : action.workflow ? "Run of the workflow" : "Call", place(moment(run.started), `run://${run.host_run}`), ` ${run.state}`)));
}

function logs(job, { call }) {
  const shown = h("ul", { class: "runs" });
  if (log.job !== job.job.id) log = { job: job.job.id, state: "", open: new Set(), runs: [] };
  const list = () => shown.replaceChildren(...log.runs.map((run) => entry(run, call)));
  const draw = latest(() => call("list_runs", { job: job.job.id, state: log.state, limit: 50 }), ({ runs }) => {
    log.runs = runs;
    list();
    if (!log.runs.length) shown.append(h("li", { class: "muted" }, "No runs."));
  });
  const state = h("select", { "aria-label": "State of runs", onchange: () => { log.state = state.value; draw(); } }, ["", "completed", "failed", "skipped", "cancelled", "running", "queued"].map((value) => h("option", { value, selected: value === log.state }, value || "Any state")));
  const save = (suffix) => () => {
    const lines = log.runs.map((run) => [run.planned, run.state, run.seconds, run.category, run.detail]);
    const quote = (value) => `"${String(value).replaceAll('"', '""')}"`;
    const text = suffix === "csv" ? [["planned", "state", "seconds", "category", "detail"], ...lines].map((line) => line.map(quote).join(",")).join("\n") : lines.map((line) => line.join("  ")).join("\n");
    return saveFile(`runs.${suffix}`, new Blob([text], { type: suffix === "csv" ? "text/csv" : "text/plain" }));
  };
  list();
  draw();
  return [h("div", { class: "row pad" }, state, h("button", { type: "button", class: "button small", onclick: save("csv") }, "CSV"), h("button", { type: "button", class: "button small", onclick: save("txt") }, "TXT")), shown];
}

function entry(run, call) {
  const more = h("pre", { hidden: true });
  const show = async () => {
    more.hidden = !log.open.has(run.id);
    if (more.hidden || more.textContent) return;
    try { more.textContent = (await call("get_run", { run_id: run.id })).run.detail || "It said nothing."; } catch (error) { more.textContent = error.message; }
  };
  const open = () => { log.open.delete(run.id) || log.open.add(run.id); return show(); };
  show();
  const stop = ["queued", "running"].includes(run.state) ? h("button", { type: "button", class: "button small", onclick: () => call("stop_run", { run_id: run.id }) }, "Stop") : null;
  return h("li", {}, h("div", { class: "row" }, h("span", { class: "state", "data-state": run.state }, run.state), h("span", { class: "grow" }, moment(run.started || run.planned), h("small", { class: "muted" }, ` ${run.cause} · ${span(run.seconds)}${run.attempt > 1 ? ` · attempt ${run.attempt}` : ""}${run.category ? ` · ${run.category}` : ""}`)), stop, h("button", { type: "button", class: "button small", onclick: open }, "Details")), more);
}

function performance({ figures, recent }) {
  const runs = recent.filter((run) => ["completed", "failed"].includes(run.state)).reverse();
  const longest = Math.max(...runs.map((run) => run.seconds), 0.001);
  const done = figures.runs.completed ?? 0, failed = figures.runs.failed ?? 0;
  const bars = runs.map((run) => { const bar = h("i", { "data-state": run.state, title: `${moment(run.started)}: ${span(run.seconds)}` }); bar.style.height = `${100 * run.seconds / longest}%`; return bar; });
  return [h("div", { class: "chart", role: "img", "aria-label": `Runtime of the last ${runs.length} runs` }, bars),
    h("dl", { class: "facts" }, ...fact("Average", span(figures.average)), ...fact("Shortest", span(figures.shortest)), ...fact("Longest", span(figures.longest)), ...fact("Success", done + failed ? `${Math.round(100 * done / (done + failed))} % of ${done + failed}` : "no runs yet"))];
}

const TABS = { Overview: overview, Schedule: schedule, Parameters: parameters, Logs: logs, Performance: performance };

/** Show a job in the pane; `tab` is the one to open, else the one that was open last. */
export function details(pane, job, acts, tab = shownTab) {
  shownTab = tab;
  const { job: row } = job;
  const content = h("div");
  const show = (name) => {
    shownTab = name;
    for (const each of bar.children) each.setAttribute("aria-selected", String(each.textContent === name));
    content.replaceChildren(...TABS[name](job, acts));
  };
  const bar = h("div", { class: "tabs", role: "tablist", onkeydown: (event) => {
    const next = { ArrowRight: event.target.nextElementSibling, ArrowLeft: event.target.previousElementSibling }[event.key];
    if (next) { next.focus(); next.click(); }
  } }, Object.keys(TABS).map((name) => h("button", { type: "button", role: "tab", onclick: () => show(name) }, name)));
  const state = row.running ? "running" : row.last_state === "failed" ? "failed" : "idle";
  const act = (text, work, kind = "") => h("button", { type: "button", class: `button small ${kind}`, onclick: async () => { await work(); await acts.refresh(); } }, text);
  pane.replaceChildren(
    h("header", { class: "doc-head" }, h("div", { class: "row" }, h("h2", { class: "grow" }, row.name), h("button", { type: "button", class: "icon-button", "aria-label": "Close job", onclick: acts.close }, icon("close"))),
      h("div", { class: "row wrap" }, h("span", { class: "tag" }, KINDS[row.kind]), h("span", { class: "state", "data-state": state }, { running: "Running", failed: "Failed", idle: "Idle" }[state]), row.enabled ? null : h("span", { class: "tag" }, "off")), bar),
    content,
    h("footer", { class: "row wrap pad" }, act("Run now", () => acts.alter("run_job", { job: row.id }), "primary"), h("button", { type: "button", class: "button small", onclick: () => acts.edit(row.id) }, "Edit"), act(row.enabled ? "Disable" : "Enable", () => acts.change([row.id], row.enabled ? "disable" : "enable")), act("Duplicate", () => acts.change([row.id], "duplicate")), act("Delete", () => acts.remove([row.id], row.name), "danger")));
  show(shownTab);
}
