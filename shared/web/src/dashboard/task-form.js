// The dialog for a new task: said in a sentence or filled in, checked, started, given to the scheduler or kept.
import { act } from "./act.js";
import { showInDialog, toast } from "./notices.js";

const words = (text, at) => text.split(at).map((word) => word.trim()).filter(Boolean);

export function newTask() {
  showInDialog("New task", document.getElementById("new-task").innerHTML);
  const form = document.querySelector("#dialog form[data-start-task]");
  form.elements.prompt.focus();
  form.querySelector("[data-close]").onclick = () => form.closest("dialog").close();
  form.elements.when.onchange = () => showTime(form);
  form.querySelector("[data-draft-sentence]").onclick = () => told(form, () => fillIn(form));
  form.onsubmit = (event) => {
    event.preventDefault();
    told(form, () => send(form, event.submitter?.value ?? "run"));
  };
}

function showTime(form) {
  for (const part of form.querySelectorAll("[data-when]")) part.hidden = part.dataset.when !== form.elements.when.value;
}

async function told(form, work) {
  form.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    toast(error.message, "error");
  } finally {
    form.removeAttribute("aria-busy");
  }
}

function planOf(form) {
  const value = (name) => form.elements[name].value.trim();
  const when = value("when");
  return {
    prompt: value("prompt"), title: value("title"), type: value("type"), agent: value("agent"), priority: Number(value("priority")),
    tags: words(value("tags"), ","), tools: words(value("tools"), ","), attachments: words(value("attachments"), "\n"),
    background: value("how") === "background", review: form.elements.review.checked,
    at: when === "later" ? value("at") : "", cron: when === "recurring" ? value("cron") : "",
  };
}

function show(form, problems, fine) {
  const line = (text, ok) => Object.assign(document.createElement("li"), { textContent: text, className: ok ? "ok" : "wrong" });
  const lines = problems.map(({ field, message }) => line(`${field}: ${message}`, false));
  form.querySelector("[data-problems]").replaceChildren(...lines, ...(lines.length || !fine ? [] : [line(fine, true)]));
}

async function send(form, how) {
  const plan = planOf(form);
  const { ok, problems } = await act("homeport__task_check", { plan });
  show(form, problems, "Nothing speaks against it.");
  if (!ok || how === "validate") return;
  const made = await act("homeport__task_create", { plan, draft: how === "draft" });
  location.href = made.run_id ? `/tasks/${made.run_id}` : "/tasks?chip=scheduled";
}

async function fillIn(form) {
  const sentence = form.elements.sentence.value.trim();
  if (!sentence) { form.elements.sentence.focus(); return; }
  const { run_id } = await act("homeport__task_draft", { sentence });
  for (;;) {
    const run = await act("homeport__run_get", { run_id });
    if (run.finished) break;
    await new Promise((done) => setTimeout(done, 500));
  }
  const { plan, problems } = await act("homeport__task_drafted", { run_id });
  for (const name of ["prompt", "title", "type", "agent", "priority", "cron"]) if (plan[name] != null && plan[name] !== "") form.elements[name].value = plan[name];
  if (plan.at) form.elements.at.value = plan.at.slice(0, 16);
  form.elements.tags.value = (plan.tags ?? []).join(", ");
  form.elements.when.value = plan.cron ? "recurring" : plan.at ? "later" : "now";
  showTime(form);
  show(form, problems, "Look it over, then start or keep it.");
}
