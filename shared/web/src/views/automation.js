// Automation: the jobs, when each runs next, how its runs went, and everything that can be done about them.
import { details, KINDS } from "./automation-details.js";
import { form } from "./automation-form.js";
import { settings } from "./settings.js";
import { empty, gather, h, moment, problem, released, rested, skeleton } from "./dom.js";
import { call, change as alter, confirm, navigate, open, saveFile, say, watch } from "./shim.js";

const app = document.getElementById("app");
const state = { job: "", cursor: "", count: 100 };
const picked = new Set();
let coming = [];

const attempt = (work) => async () => { try { await work(); } finally { await refresh(); } }; // what failed is seen as it is
const button = (text, work, kind = "") => h("button", { type: "button", class: `button small ${kind}`, onclick: attempt(work) }, text);
const choice = (label, options) => h("select", { "aria-label": label, onchange: () => list() }, options.map(([value, text]) => h("option", { value }, text)));
const span = (seconds) => seconds < 1 ? `${Math.round(seconds * 1000)} ms` : seconds < 120 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds / 60)} min`;

const soon = (text) => new Date(text).toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

const badge = h("span", { class: "state", role: "status" });
const countdown = h("details", { class: "countdown" });
const pauseAll = h("button", { type: "button", class: "button small" });
const runNow = h("select", { "aria-label": "Run a job now", onchange: () => { const name = runNow.value; runNow.value = ""; if (name) start(name)(); } });
const file = h("input", { type: "file", accept: "application/json", hidden: true, onchange: () => take(file.files[0]) });
const search = h("input", { type: "search", placeholder: "Search jobs", "aria-label": "Search jobs", oninput: rested(() => list()) });
const trigger = choice("Trigger", [["", "Any trigger"], ["cron", "Cron"], ["interval", "Interval"], ["date", "Date"], ["event", "Event"], ["manual", "On demand"]]);
const kind = choice("Type", [["", "Any type"], ["tool", "Tool"], ["agent", "Agent"], ["workflow", "Workflow"], ["event", "Event"]]);
const enabled = choice("State", [["", "On and off"], ["yes", "On"], ["no", "Off"]]);
const bulk = h("div", { class: "row wrap bulk", hidden: true });
const box = h("div");
const side = h("section", { class: "pane", "aria-label": "Jobs", tabindex: "0" }, h("div", { class: "filters" }, search, trigger, kind, enabled), bulk, box);
const detail = h("section", { class: "pane reader", "aria-label": "Job", tabindex: "0" });
const split = h("div", { class: "split single" }, side);

const start = (name) => attempt(async () => { await alter("run_job", { job: name }); say("Started."); });
const change = async (names, action) => {
  const result = await alter("change_jobs", { names, action });
  if (result.failed.length) say(result.failed.join(" "), "error");
};

async function head() {
  const { status } = await call("status");
  badge.dataset.state = { running: "on", paused: "paused", error: "error" }[status.state];
  badge.textContent = { running: "Running", paused: "Paused", error: "Error" }[status.state];
  badge.title = status.why;
  coming = status.coming;
  pauseAll.textContent = status.state === "paused" ? "Resume all" : "Pause all";
  pauseAll.onclick = attempt(() => alter("pause", { paused: status.state !== "paused" }));
  const isOpen = countdown.open;
  countdown.replaceChildren(h("summary", {}), h("ul", {}, coming.map((job) => h("li", {}, `${job.name} – ${moment(job.at)}`))));
  countdown.open = isOpen;
  tick();
}

function tick() {
  const summary = countdown.querySelector("summary");
  if (!summary) return;
  const next = coming[0];
  const left = next ? Math.max(0, Math.round((new Date(next.at) - Date.now()) / 1000)) : 0;
  const shown = left < 120 ? `${left} s` : left < 7200 ? `${Math.round(left / 60)} min` : left < 172800 ? `${Math.round(left / 3600)} h` : `${Math.round(left / 86400)} days`;
  summary.textContent = badge.dataset.state === "paused" ? "Nothing starts by itself" : next ? `Next job in ${shown}: ${next.name}` : "No job is due";
}

async function list() {
  try {
    const wanted = { query: search.value.trim(), trigger: trigger.value, kind: kind.value, enabled: enabled.value };
    const jobs = [];
    let cursor = "";
    do {
      const page = await call("list_jobs", { ...wanted, limit: 100, cursor });
      jobs.push(...page.jobs);
      cursor = page.next;
    } while (cursor && jobs.length < state.count);
    runNow.replaceChildren(h("option", { value: "" }, "Run job now …"), ...jobs.slice(0, 100).map((job) => h("option", { value: job.id }, job.name)));
    await released();
    const filtered = Object.values(wanted).some(Boolean);
    const scroll = side.scrollTop;
    if (jobs.length) box.replaceChildren(table(jobs), cursor ? h("div", { class: "row pad" }, h("button", { type: "button", class: "button", onclick: () => { state.count += 200; list(); } }, "Show more")) : "");
    else if (filtered) box.replaceChildren(empty("search", "Nothing fits", "No job fits this search."));
    else box.replaceChildren(empty("clock", "Nothing is automated yet", "A job calls a tool or gives an agent a task: at set times, when something happens, or on demand.", h("button", { type: "button", class: "button primary", onclick: () => edit() }, "New automation")));
    side.scrollTop = scroll;
    offer();
  } catch (error) { box.replaceChildren(problem(error, list)); }
}

function look(job) {
  if (!job.enabled) return "off";
  return { completed: "good", failed: "bad", cancelled: "warning" }[job.last_state] ?? "";
}

function table(jobs) {
  const columns = [["", ""], ["Job", ""], ["Type", "wide"], ["Trigger", "wide"], ["Next run", ""], ["Last run", "last"], ["Duration", "wide"], ["On", ""], ["Owner", "wide"], ["", "wide"]];
  return h("div", { class: "table-wrap" }, h("table", { class: "jobs" }, h("caption", { class: "sr-only" }, "Jobs"), h("thead", {}, h("tr", {}, columns.map(([text, shown]) => h("th", { class: shown, scope: "col" }, text || h("span", { class: "sr-only" }, "Actions"))))), h("tbody", {}, jobs.map(row))));
}

function row(job) {
  const pick = h("input", { type: "checkbox", checked: picked.has(job.id), "aria-label": `Choose ${job.name}`, onchange: () => { pick.checked ? picked.add(job.id) : picked.delete(job.id); offer(); } });
  const toggle = h("input", { type: "checkbox", role: "switch", class: "switch", checked: job.enabled, "aria-label": `${job.name} is on`, onchange: attempt(() => change([job.id], toggle.checked ? "enable" : "disable")) });
  const last = job.last_state ? h("span", { class: "state", "data-state": job.last_state, title: moment(job.last_started) }, job.last_state) : h("span", { class: "muted" }, "never");
  return h("tr", { "data-look": look(job), "data-job": job.id, "aria-current": job.id === state.job ? "true" : null },
    h("td", {}, pick),
    h("td", {}, h("button", { type: "button", class: "name", onclick: () => read(job.id) }, job.name), h("small", {}, job.what)),
    h("td", { class: "wide" }, KINDS[job.kind]),
    h("td", { class: "wide", title: job.trigger }, h("code", {}, job.when)),
    h("td", { title: moment(job.next) }, job.next ? soon(job.next) : h("span", { class: "muted" }, "–")),
    h("td", { class: "last" }, last),
    h("td", { class: "wide" }, job.last_state ? span(job.last_seconds) : ""),
    h("td", {}, toggle),
    h("td", { class: "wide" }, job.owner),
    h("td", { class: "wide" }, h("span", { class: "row" }, button("Run now", () => alter("run_job", { job: job.id }), "ghost"), h("button", { type: "button", class: "button small ghost", onclick: () => edit(job.id) }, "Edit"), h("button", { type: "button", class: "button small ghost", onclick: () => read(job.id, "Logs") }, "Logs"), button("Delete", () => remove([job.id], job.name), "ghost danger"))));
}

function offer() {
  bulk.hidden = !picked.size;
  const ids = () => [...picked];
  const done = (work) => async () => { await work(); picked.clear(); };
  bulk.replaceChildren(h("span", {}, `${picked.size} chosen`), button("Enable", done(() => change(ids(), "enable"))), button("Disable", done(() => change(ids(), "disable"))), button("Export", () => save(ids())), button("Delete", done(() => remove(ids(), `${picked.size} jobs`)), "danger"));
}

async function remove(ids, name) {
  if (!await confirm({ title: `Delete ${name}?`, text: "What it did stays in the history.", yes: "Delete", danger: true })) return;
  await change(ids, "delete");
  if (ids.includes(state.job)) close();
}

async function save(names = []) {
  const { document: jobs } = await call("export_jobs", { names });
  await saveFile("automation.json", new Blob([JSON.stringify(jobs, null, 1)], { type: "application/json" }));
}

async function take(chosen) {
  if (!chosen) return;
  try {
    const result = await call("import_jobs", { document: JSON.parse(await chosen.text()) });
    say(result.failed.length ? result.failed.join(" ") : `${result.changed.length} jobs were imported; they are off.`, result.failed.length ? "error" : "note");
    await refresh();
  } catch (error) { say(error instanceof SyntaxError ? "This file is no JSON." : error.message, "error"); }
  file.value = "";
}

function close() {
  state.job = "";
  detail.remove();
  split.classList.add("single");
  navigate({}, "Automation");
  for (const item of box.querySelectorAll("[aria-current]")) item.removeAttribute("aria-current");
}

const acts = { call, alter, change, close, edit, remove, start, refresh: () => refresh() };

async function read(id, tab) {
  const again = state.job === id && detail.isConnected;
  state.job = id;
  if (!detail.isConnected) split.append(detail);
  split.classList.remove("single");
  for (const item of box.querySelectorAll("tr[data-job]")) item.dataset.job === id ? item.setAttribute("aria-current", "true") : item.removeAttribute("aria-current");
  if (!again) detail.replaceChildren(skeleton("Reading the job"));
  try {
    const { detail: job } = await call("get_job", { job: id });
    await released();
    if (again && (state.job !== id || editing())) return;
    navigate({ job: id }, job.job.name);
    details(detail, job, acts, tab);
  } catch (error) { detail.replaceChildren(problem(error, () => read(id))); }
}

async function edit(id) {
  const known = id ? (await call("get_job", { job: id })).detail : null;
  const saved = await form(known, { call, alter });
  if (!saved) return;
  say(saved.warnings.length ? saved.warnings.join(" ") : `${saved.job.name} is saved.`);
  await refresh();
  read(saved.job.id);
}

/** Whether something is being written that a new drawing would lose. */
const editing = () => detail.contains(document.activeElement?.closest("textarea, input")) || [...detail.querySelectorAll("textarea, input")].some((field) => field.value !== field.defaultValue);

async function refresh() {
  await Promise.all([head().catch((error) => { badge.dataset.state = "error"; badge.textContent = error.message; }), list()]);
  if (state.job && !editing()) await read(state.job);
}

app.append(h("header", { class: "bar" }, badge, countdown, h("span", { class: "spacer" }), h("button", { type: "button", class: "button small primary", onclick: () => edit() }, "New automation"), pauseAll, runNow, button("Export", () => save()), h("button", { type: "button", class: "button small", onclick: () => file.click() }, "Import"), file, button("Configure defaults", () => settings("Settings of the scheduler"))), h("main", { class: "body" }, h("h1", { class: "sr-only" }, "Automation"), split));
setInterval(tick, 1000);
open("homeport-scheduler").then(async (args) => {
  watch(["scheduler://jobs", "scheduler://status"], gather(refresh, 150));
  box.replaceChildren(skeleton("Reading the jobs"));
  await refresh();
  if (args.job) read(args.job);
});
