// The Chat page.
import { act, fragment, tryAct } from "./act.js";
import * as composer from "./composer.js";
import * as live from "./live.js";
import { render } from "./markdown.js";
import { dialog, toast } from "./notices.js";
import { follow } from "./run.js";
import { resultOf, runTool } from "./tools.js";

const ENDS = { done: "The answer is complete.", stopped: "The answer was stopped." }; // a failure is an alert by itself
const conversation = document.querySelector(".conversation");
const messages = document.getElementById("messages");
const scroll = document.getElementById("scroll");
let session = conversation.dataset.session;
let attachments = [];
let running = null; // how to stop following the run that is drawn
let unwatch = null;

const near = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 120;
const down = () => { scroll.scrollTop = scroll.scrollHeight; };
let stuck = true;
scroll?.addEventListener("scroll", () => { stuck = near(); });
const grown = () => { if (stuck) down(); };

/** Turn the raw text of a server-rendered answer into Markdown, and follow it while it is being written. */
function dress(article) {
  const text = article.querySelector("[data-markdown]");
  if (!text) return;
  const sources = new Map([...article.querySelectorAll("[data-cite]")].map((a) => [a.dataset.cite, { href: a.getAttribute("href"), title: a.title }]));
  if (article.dataset.state === "running") { start(article); return; }
  article.dataset.text = text.textContent;
  render(text, text.textContent, sources);
}

function start(article) {
  running?.();
  busy(true);
  running = follow(article.dataset.run, article, {
    onGrow: grown,
    onDone: async () => {
      running = null;
      busy(false);
      await refresh();
      document.getElementById("context").dispatchEvent(new Event("refresh"));
      document.getElementById("spoken").textContent = ENDS[document.getElementById(article.id)?.dataset.state] ?? "";
    },
  });
}

function busy(on) {
  document.getElementById("stop").hidden = !on;
  document.getElementById("send").hidden = on;
}

/** Bring the conversation up to date: only messages that are new or have changed are drawn. */
async function refresh() {
  if (!session) return;
  const page = new DOMParser().parseFromString(await fragment(`/chat/${session}?part=messages`), "text/html");
  const fresh = [...page.querySelectorAll("article[data-id]")];
  const kept = new Set(fresh.map((article) => article.dataset.id));
  for (const old of messages.querySelectorAll("[data-id]")) if (!kept.has(old.dataset.id)) old.remove();
  messages.querySelector("[data-welcome]")?.remove();
  for (const article of fresh) {
    const old = messages.querySelector(`[data-id="${CSS.escape(article.dataset.id)}"]`);
    const last = article === fresh.at(-1);
    if (old && old.dataset.version === article.dataset.version && !(last ^ old.hasAttribute("data-last"))) continue;
    if (old && old.dataset.state === "running" && article.dataset.state === "running") continue;
    article.toggleAttribute("data-last", last);
    if (old) old.replaceWith(article);
    else messages.append(article);
    dress(article);
  }
  for (const note of messages.querySelectorAll("[data-pending]")) note.remove();
  grown();
}

function follows(key) {
  session = key;
  conversation.dataset.session = key;
  unwatch?.();
  unwatch = live.watch(`chat://sessions/${key}`, () => refresh().catch(() => {}));
}

function bubble(kind, text) {
  const article = document.getElementById(`bubble-${kind}`).content.firstElementChild.cloneNode(true);
  article.dataset.pending = "";
  if (text) article.querySelector(".plain").textContent = text;
  article.querySelector("time").textContent = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  messages.querySelector("[data-welcome]")?.remove();
  messages.append(article);
  stuck = true;
  down();
  return article;
}

async function send(text) {
  bubble("user", text);
  const waiting = bubble("assistant");
  busy(true);
  try {
    const model = session ? "" : document.getElementById("model").value;
    const sent = await act("homeport__chat_send", { text, session_id: session, model, attachments: attachments.map((item) => item.reference) });
    attachments = [];
    drawAttachments();
    if (!session) { location.replace(`/chat/${sent.session_id}`); return; }
    await refresh();
  } catch (error) {
    waiting.remove();
    busy(false);
    failed(error.message, () => send(text));
  }
}

function failed(text, retry) {
  const article = bubble("system", text);
  const row = Object.assign(document.createElement("div"), { className: "row" });
  const button = Object.assign(document.createElement("button"), { className: "button small", type: "button", textContent: "Retry" });
  button.onclick = () => { article.previousElementSibling?.matches(".user[data-pending]") && article.previousElementSibling.remove(); article.remove(); retry(); };
  row.append(button);
  article.querySelector(".bubble").append(row);
}

async function command(tool, json) {
  if (!json) { runTool(tool.name, tool.title || tool.name); return; }
  let args;
  try { args = JSON.parse(json); } catch { failed(`What follows /${tool.name} is not JSON.`, () => runTool(tool.name, tool.title)); return; }
  bubble("user", `/${tool.name} ${json}`);
  const shown = bubble("assistant");
  shown.querySelector(".dots").remove();
  try { shown.querySelector(".markdown").innerHTML = await resultOf(tool.name, args); } catch (error) { shown.remove(); failed(error.message, () => command(tool, json)); }
  down();
}

function drawAttachments() {
  const list = document.getElementById("attachments");
  list.hidden = !attachments.length;
  list.replaceChildren(...attachments.map((item) => {
    const chip = Object.assign(document.createElement("li"), { textContent: item.title || item.reference });
    const remove = Object.assign(document.createElement("button"), { type: "button", className: "icon-button small", textContent: "×", ariaLabel: `Remove ${item.title}` });
    remove.onclick = () => { attachments = attachments.filter((other) => other !== item); drawAttachments(); };
    chip.append(remove);
    return chip;
  }));
}

async function attach(files) {
  const added = await composer.attach(files, session);
  attachments.push(...added);
  if (!session && added[0]?.session_id) {
    follows(added[0].session_id); // attaching to a new chat makes its session
    history.replaceState(null, "", `/chat/${session}`);
  }
  drawAttachments();
}

const sessionActions = {
  rename: async (key, title) => {
    const wanted = await dialog({ title: "Rename chat", field: title, yes: "Rename" });
    if (wanted) await tryAct("homeport__chat_update", { session_id: key, title: wanted });
    if (wanted && key === session) document.querySelector(".chat-head h1").textContent = wanted;
  },
  duplicate: async (key) => {
    const copy = await tryAct("homeport__chat_duplicate", { session_id: key });
    if (copy) location.href = `/chat/${copy.id}`;
  },
  archive: (key) => tryAct("homeport__chat_update", { session_id: key, archived: true }, "Archived."),
  restore: (key) => tryAct("homeport__chat_update", { session_id: key, archived: false }, "Restored."),
  delete: async (key, title) => {
    if (!await dialog({ title: "Delete this chat?", text: `“${title}” cannot be brought back.`, yes: "Delete", danger: true })) return;
    if (await tryAct("homeport__chat_delete", { session_id: key, confirm: title }, "", true) && key === session) location.href = "/chat";
  },
};

/** Take back what a run did to files; what somebody changed since stays, and is named. */
async function takeBack(run) {
  const result = await tryAct("files__undo", { change_set: run });
  if (!result) return;
  const count = result.taken_back.length;
  toast([count ? `Taken back: ${count} ${count === 1 ? "change" : "changes"}.` : "Nothing was left to take back.", ...result.left].join(" "), result.left.length ? "error" : undefined);
}

document.addEventListener("click", async (event) => {
  const on = (selector) => event.target.closest(selector);
  const item = on("[data-session-action]");
  if (item) {
    const row = item.closest("[data-session]");
    item.closest("details").open = false;
    await sessionActions[item.dataset.sessionAction](row.dataset.session, row.querySelector(".title").textContent);
    document.getElementById("session-list").dispatchEvent(new Event("refresh"));
  }
  const regenerate = on("[data-regenerate]");
  if (regenerate) { busy(true); if (await tryAct("homeport__chat_regenerate", { session_id: session })) await refresh(); else busy(false); }
  const undo = on("[data-undo]");
  if (undo) await takeBack(undo.dataset.undo);
  const copy = on("[data-copy]");
  if (copy) { await navigator.clipboard.writeText(copy.closest("article").dataset.text ?? ""); toast("Copied."); }
  const tool = on("[data-use-tool]");
  if (tool) runTool(tool.dataset.useTool, tool.textContent);
  const drawer = on("[data-drawer]");
  if (drawer) toggle(drawer.dataset.drawer);
  else if (!on(".sessions, .context, dialog")) for (const open of document.querySelectorAll(".sessions.open, .context.open")) open.classList.remove("open");
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const open of document.querySelectorAll(".sessions.open, .context.open")) toggle(open.id);
});

/** Fill the list of models, for which the page did not wait. */
async function listModels() {
  const list = document.getElementById("model");
  const names = await fetch("/chat/models").then((answer) => answer.ok ? answer.json() : [], () => []);
  for (const name of names) if (name !== list.value) list.append(new Option(name, name));
}

function toggle(name) {
  const panel = document.getElementById(name);
  const wide = name === "context" && matchMedia("(min-width: 1181px)").matches;
  const shown = wide ? !panel.classList.toggle("closed") : panel.classList.toggle("open");
  const buttons = document.querySelectorAll(`.chat-head [data-drawer="${name}"]`);
  for (const button of buttons) button.setAttribute("aria-expanded", String(shown));
  if (shown && !wide) panel.querySelector("a, button, input").focus();
  else buttons[0]?.focus();
}

if (messages) {
  composer.install(send, command);
  listModels();
  document.getElementById("stop").onclick = () => tryAct("homeport__chat_stop", { session_id: session });
  document.getElementById("file").onchange = (event) => { attach([...event.target.files]); event.target.value = ""; };
  document.getElementById("model").onchange = ({ target }) => { if (session) tryAct("homeport__set_model", { name: target.value, session_id: session }, `${target.value} answers from now on.`); };
  conversation.ondragover = (event) => { event.preventDefault(); conversation.classList.add("dropping"); };
  conversation.ondragleave = (event) => { if (!conversation.contains(event.relatedTarget)) conversation.classList.remove("dropping"); };
  conversation.ondrop = (event) => { event.preventDefault(); conversation.classList.remove("dropping"); attach([...event.dataTransfer.files]); };
  messages.querySelector("article:last-of-type")?.setAttribute("data-last", "");
  for (const article of messages.querySelectorAll("article[data-id]")) dress(article);
  if (session) follows(session);
  new ResizeObserver(grown).observe(messages); // formulas and colours come after the text
  if (!matchMedia("(min-width: 1181px)").matches) document.querySelector('.chat-head [data-drawer="context"]').setAttribute("aria-expanded", "false");
  const asked = location.hash.startsWith("#run-") && document.getElementById(location.hash.slice(1)); // where a task came from
  if (asked) asked.scrollIntoView();
  else down();
}
