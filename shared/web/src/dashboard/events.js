// Events: new and changed subscriptions, drafts from a sentence, sample events, replays.
import { act, tryAct } from "./act.js";
import { dialog, showInDialog, toast } from "./notices.js";

const POLL = 700; // milliseconds between two looks at a draft
const refresh = () => { for (const part of document.querySelectorAll("#event-list, #event-detail")) part.dispatchEvent(new Event("refresh")); };

/** Lines such as `data.path = *.pdf` as an object; numbers, true and false are values of their own. */
function fields(text) {
  const given = {};
  for (const line of text.split("\n").filter((each) => each.trim())) {
    const at = line.indexOf("=");
    if (at < 1) throw new Error(`Write ${line.trim()} as: field = value.`);
    const value = line.slice(at + 1).trim();
    given[line.slice(0, at).trim()] = /^(-?\d+(\.\d+)?|true|false|\[.*\])$/.test(value) ? JSON.parse(value) : value;
  }
  return given;
}

const lines = (object) => Object.entries(object ?? {}).map(([name, value]) => `${name} = ${typeof value === "string" ? value : JSON.stringify(value)}`).join("\n");

function open(template, title) {
  showInDialog(title, document.getElementById(template).innerHTML);
  const form = document.querySelector("#dialog form");
  form.querySelector("[data-close]").onclick = () => form.closest("dialog").close();
  return form;
}

function choose(form, what) {
  form.elements.what.value = what;
  for (const part of form.querySelectorAll("div[data-what]")) part.hidden = part.dataset.what !== what;
}

function fill(form, { name, kind, where, start, at_once: most }) {
  choose(form, start?.job ? "job" : start?.workflow ? "workflow" : "prompt");
  const values = { name, kind, where: lines(where), prompt: start?.prompt, agent: start?.agent, workflow: start?.workflow, parameters: lines(start?.parameters), job: start?.job, at_once: most ?? 5 };
  for (const [field, value] of Object.entries(values)) form.elements[field].value = value ?? "";
}

function definition(form) {
  const value = (name) => form.elements[name].value.trim();
  const what = value("what");
  const start = what === "job" ? { job: value("job") } : what === "workflow" ? { workflow: value("workflow"), parameters: fields(value("parameters")) } : { prompt: value("prompt"), agent: value("agent") };
  return { name: value("name"), kind: value("kind"), where: fields(value("where")), start, at_once: Number(value("at_once")) };
}

function subscribe(row = null) {
  const form = open("subscription-form", row ? "Change the subscription" : "New subscription");
  form.elements.what.onchange = () => choose(form, form.elements.what.value);
  form.querySelector("[data-draft]").onclick = () => draft(form);
  if (row) { fill(form, row); form.querySelector(".draft").remove(); }
  form.onsubmit = async (event) => {
    event.preventDefault();
    try {
      await act("homeport__save_subscription", { definition: definition(form), subscription: row?.id ?? "", enabled: row?.enabled ?? true });
      location.href = "/events?tab=subscriptions";
    } catch (error) {
      toast(error.message, "error");
    }
  };
}

/** Let an agent draft what the sentence says; nothing is saved before the person does. */
async function draft(form) {
  const state = form.querySelector("[data-draft-state]");
  const started = await tryAct("homeport__automation_draft", { sentence: form.elements.sentence.value });
  if (!started) return;
  state.textContent = "An agent drafts it …";
  for (;;) {
    await new Promise((done) => setTimeout(done, POLL));
    if (!form.isConnected) return;
    try {
      const found = await act("homeport__automation_drafted", started);
      state.textContent = found.problems.join(" ") || "Look at it, then save.";
      if (found.subscription) fill(form, found.subscription);
      else await job(found);
      return;
    } catch (error) {
      if (error.code === "conflict" && /queued|running/.test(error.message)) continue;
      state.textContent = error.message;
      return;
    }
  }
}

async function job(found) {
  const yes = await dialog({ title: "Save this job?", text: found.problems.join(" ") || "It is due on time, not on an event.", code: JSON.stringify(found.job, null, 2), yes: "Save" });
  if (yes && await tryAct("scheduler__add_job", { definition: found.job })) location.href = "/automation";
}

function trial() {
  const form = open("try-form", "Try an event");
  form.onsubmit = async (event) => {
    event.preventDefault();
    const shown = form.querySelector("[data-tried]");
    try {
      const { rows } = await act("homeport__event_try", { kind: form.elements.kind.value.trim(), data: JSON.parse(form.elements.data.value || "{}") });
      const started = rows.filter((row) => row.would_start);
      shown.replaceChildren(Object.assign(document.createElement("p"), { textContent: started.length ? `It would start ${started.length} of ${rows.length}:` : `It would start none of ${rows.length} subscriptions and jobs.` }));
      for (const row of rows.filter((each) => each.input)) {
        const why = row.would_start ? "" : row.enabled ? ` (would fail: ${row.problems.join(" ")})` : " (is off)";
        shown.append(Object.assign(document.createElement("strong"), { textContent: (row.job ? `Job ${row.name}` : row.name) + why }), Object.assign(document.createElement("pre"), { className: "code-box", tabIndex: 0, textContent: JSON.stringify(row.input, null, 2) }));
      }
    } catch (error) {
      toast(error instanceof SyntaxError ? "The data is not JSON." : error.message, "error");
    }
  };
}

async function replay(event) {
  const yes = await dialog({ title: "Replay this event?", text: "Every subscription that is on and waits for it starts again.", yes: "Replay" });
  if (!yes) return;
  const done = await tryAct("homeport__event_replay", { replay_id: crypto.randomUUID(), events: [event] });
  if (done) toast(done.new ? `It starts ${done.new} again.` : "No subscription that is on waits for it.");
  refresh();
}

document.addEventListener("click", async (event) => {
  const on = (selector) => event.target.closest(selector);
  const row = on("[data-subscription]");
  if (on("[data-subscribe]")) subscribe();
  else if (on("[data-try]")) trial();
  else if (on("[data-replay]")) await replay(Number(on("[data-event]").dataset.event));
  else if (row && on("[data-edit]")) subscribe(JSON.parse(row.dataset.definition));
  else if (row && on("[data-delete]")) {
    const yes = await dialog({ title: `Delete ${row.dataset.name}?`, text: "What it has started goes on; what waits is not started.", yes: "Delete", danger: true });
    if (yes && await tryAct("homeport__delete_subscription", { subscription: row.dataset.subscription }, "Deleted.", true)) refresh();
  }
});
document.addEventListener("change", async (event) => {
  if (!event.target.matches("[data-switch]")) return;
  const { subscription } = event.target.closest("[data-subscription]").dataset;
  if (!await tryAct("homeport__switch_subscription", { subscription, on: event.target.checked })) refresh();
});
