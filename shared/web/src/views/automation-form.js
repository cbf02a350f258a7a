// The dialog that makes or changes a job.
import { h, latest, rested } from "./dom.js";

const labelled = (text, control) => h("label", { class: "stack" }, text, control);
const options = (pairs, chosen) => pairs.map(([value, text]) => h("option", { value, selected: value === chosen }, text));
const input = (value, props = {}) => h("input", { type: "text", value, ...props });
const number = (value, min, max) => h("input", { type: "number", value, min, max });
const WEEKDAYS = [["*", "every day"], ["1-5", "weekdays"], ["1", "Monday"], ["2", "Tuesday"], ["3", "Wednesday"], ["4", "Thursday"], ["5", "Friday"], ["6", "Saturday"], ["0", "Sunday"]];

/** Fields that build a cron expression: day, hour, minute. */
function cronEditor(field, changed) {
  const [minute = "0", hour = "9", , , day = "*"] = field.value.split(" ");
  const days = h("select", { "aria-label": "Day" }, options(WEEKDAYS, day));
  const hours = h("select", { "aria-label": "Hour" }, options([["*", "every hour"], ...[...Array(24).keys()].map((n) => [String(n), String(n).padStart(2, "0")])], hour));
  const minutes = h("select", { "aria-label": "Minute" }, options([["*/15", "every 15"], ...[0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55].map((n) => [String(n), String(n).padStart(2, "0")])], minute));
  const build = () => { field.value = `${minutes.value} ${hours.value} * * ${days.value}`; changed(); };
  for (const each of [days, hours, minutes]) each.onchange = build;
  return h("div", { class: "fields" }, labelled("Day", days), labelled("Hour", hours), labelled("Minute", minutes));
}

/** Open the dialog; resolves to what was saved, or to nothing. */
export function form(known, { call, alter }) {
  const was = known?.definition ?? { name: "", description: "", trigger: { cron: "0 9 * * *" }, action: { tool: "", arguments: {} }, dst: "once", missed: "once", missed_most: 10, overlap: "", jitter: 0, retries: 0, back_off: 30, timeout: 3600, after: [], on_failed: "wait", priority: "normal", notify: true, time_zone: "" };
  const { trigger, action } = was;
  const of = (part) => part.cron ? "cron" : part.every ? "every" : part.at ? "at" : part.event ? "event" : "manual";
  const name = input(was.name, { required: true }), description = input(was.description), zone = input(was.time_zone, { placeholder: "the system's" });
  const when = h("select", {}, options([["cron", "At set times (cron)"], ["every", "At an interval"], ["at", "Once"], ["event", "On an event"], ["manual", "On demand only"]], of(trigger)));
  const cron = input(trigger.cron || "0 9 * * *"), every = input(trigger.every || "1h"), at = h("input", { type: "text", value: trigger.at ?? "", placeholder: "2026-12-01T09:00" });
  const event = input(trigger.event ?? "", { placeholder: "file.created, job.failed, mail.*" }), where = input(JSON.stringify(trigger.where ?? {}), { class: "mono" });
  const type = h("select", {}, options([["tool", "Call a tool"], ["agent", "Give an agent a task"], ["workflow", "Run a workflow"], ["emit", "Emit an event"]], action.event ? "emit" : action.workflow ? "workflow" : action.prompt ? "agent" : "tool"));
  const tool = input(action.tool ?? "", { placeholder: "files__list" }), agent = input(action.agent ?? "", { placeholder: "assistant" }), emitted = input(action.event ?? "", { placeholder: "report.wanted" }), workflow = input(action.workflow ?? "", { placeholder: "the workflow's name" });
  const prompt = h("textarea", { rows: 3 }); prompt.value = action.prompt ?? "";
  const tools = input((action.tools ?? []).join(", "), { placeholder: "files__write" });
  const args = h("textarea", { class: "mono", rows: 4, spellcheck: "false" }); args.value = JSON.stringify(action.arguments ?? {}, null, 1);
  const overlap = h("select", {}, options([["", "an event waits, a time is left out"], ["skip", "leave the new run out"], ["queue", "let it wait"], ["allow", "run both"]], was.overlap));
  const missed = h("select", {}, options([["once", "run once"], ["skip", "leave out"], ["all", "run each"]], was.missed));
  const dst = h("select", {}, options([["once", "once a day"], ["skip", "skip what does not exist"], ["twice", "both of two"]], was.dst));
  const priority = h("select", {}, options(["low", "normal", "high", "critical"].map((each) => [each, each]), was.priority));
  const retries = number(was.retries, 0, 20), backOff = number(was.back_off, 0, 86400), timeout = number(was.timeout, 1, 86400), jitter = number(was.jitter, 0, 86400);
  const after = input(was.after.join(", "), { placeholder: "names of jobs" });
  const notify = h("input", { type: "checkbox", checked: was.notify });
  const checked = h("div", { class: "checked", "aria-live": "polite" });
  const triggers = h("div", { class: "stack" }), actions = h("div", { class: "stack" });
  const names = (field) => field.value.split(",").map((each) => each.trim()).filter(Boolean);

  const definition = () => {
    const triggered = { cron: { cron: cron.value }, every: { every: every.value, start: trigger.every === every.value ? trigger.start ?? "" : "" }, at: { at: at.value }, event: { event: event.value, where: JSON.parse(where.value || "{}") }, manual: {} }[when.value];
    const acted = { tool: { tool: tool.value.trim(), arguments: JSON.parse(args.value || "{}") }, agent: { agent: agent.value.trim(), prompt: prompt.value, tools: names(tools) }, workflow: { workflow: workflow.value.trim(), arguments: JSON.parse(args.value || "{}") }, emit: { event: emitted.value.trim(), arguments: JSON.parse(args.value || "{}") } }[type.value];
    return { ...was, name: name.value.trim(), description: description.value, trigger: triggered, action: acted, time_zone: zone.value.trim(), overlap: overlap.value, missed: missed.value, dst: dst.value, priority: priority.value, retries: Number(retries.value), back_off: Number(backOff.value), timeout: Number(timeout.value), jitter: Number(jitter.value), after: names(after), notify: notify.checked };
  };
  const tell = (ok, ...content) => { checked.dataset.ok = ok ? "yes" : "no"; checked.replaceChildren(...content); };
  const plain = (error) => tell(false, error instanceof SyntaxError ? "Arguments and filter must be JSON." : error.message);
  const next = (times) => h("ul", {}, times.map((each) => h("li", {}, each.local.replace("T", " "), each.note ? ` – ${each.note}` : "")));
  const planned = async () => {
    if (!["cron", "every", "at"].includes(when.value)) return () => tell(true);
    try {
      const seen = await call("preview", { trigger: definition().trigger, time_zone: zone.value.trim(), count: 3 });
      return () => tell(true, "Next runs:", next(seen.upcoming));
    } catch (error) { return () => plain(error); }
  };
  const changed = rested(latest(planned, (show) => show()));
  for (const field of [cron, every, at, zone]) field.oninput = changed;

  const shape = () => {
    // A field has one place at a time, so only the chosen ones are laid out.
    const layout = {
      cron: () => [cronEditor(cron, changed), labelled("Cron expression", cron)],
      every: () => [labelled("Every (90s, 15m, 2h, 1d)", every)],
      at: () => [labelled("Date and time", at)],
      event: () => [labelled("Kind of event", event), labelled("Only when (JSON)", where)],
      manual: () => [],
      tool: () => [labelled("Tool", tool), labelled("Arguments (JSON)", args)],
      agent: () => [labelled("Agent", agent), labelled("Task", prompt), labelled("Tools it may change things with", tools)],
      workflow: () => [labelled("Workflow", workflow), labelled("Parameters (JSON)", args)],
      emit: () => [labelled("Kind of event", emitted), labelled("Data (JSON)", args)],
    };
    triggers.replaceChildren(...layout[when.value]());
    actions.replaceChildren(...layout[type.value]());
    changed();
  };
  when.onchange = type.onchange = shape;

  return new Promise((resolve) => {
    let saved;
    const box = h("dialog", { class: "ask wide", "aria-label": known ? "Edit automation" : "New automation" });
    const validate = async () => {
      try {
        const result = await call("validate_job", { definition: definition() });
        tell(result.ok, result.ok ? "This works." : "", h("ul", {}, [...result.problems, ...result.warnings].map((text) => h("li", {}, text))), result.upcoming.length ? h("div", {}, "Next runs:", next(result.upcoming)) : "");
      } catch (error) { plain(error); }
    };
    const save = (enabled) => async () => {
      try {
        saved = known ? await alter("edit_job", { job: known.job.id, changes: { ...definition(), enabled }, if_version: known.job.version }) : await alter("add_job", { definition: definition(), enabled });
        box.close();
      } catch (error) { plain(error); }
    };
    box.append(h("div", { class: "row" }, h("h2", { class: "grow" }, known ? "Edit automation" : "New automation"), h("button", { type: "button", class: "button small", onclick: () => box.close() }, "Cancel")),
      h("div", { class: "fields" }, labelled("Name", name), labelled("Description", description)),
      h("fieldset", {}, h("legend", {}, "When"), labelled("Trigger", when), triggers, labelled("Time zone", zone)),
      h("fieldset", {}, h("legend", {}, "What"), labelled("Action", type), actions),
      h("details", {}, h("summary", {}, "Limits and policies"), h("div", { class: "fields" }, labelled("While one runs", overlap), labelled("Missed runs", missed), labelled("When the clocks change", dst), labelled("Priority", priority), labelled("Retries", retries), labelled("First pause (s)", backOff), labelled("Time limit (s)", timeout), labelled("Jitter (s)", jitter), labelled("Comes after", after))),
      h("label", { class: "row" }, notify, "Tell a person when it fails"), checked,
      h("div", { class: "row end wrap" }, h("button", { type: "button", class: "button", onclick: validate }, "Validate configuration"), h("button", { type: "button", class: "button", onclick: save(false) }, "Save as draft"), h("button", { type: "button", class: "button primary", onclick: save(true) }, known ? "Save and activate" : "Activate immediately")));
    box.onclose = () => { box.remove(); resolve(saved); };
    document.body.append(box);
    shape();
    box.showModal();
    name.focus();
  });
}
