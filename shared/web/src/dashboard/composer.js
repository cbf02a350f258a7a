// The field that grows, its slash commands and attachments.
import { tryAct } from "./act.js";
import { toast } from "./notices.js";
import { icon } from "./palette.js";

const ATTACHMENT_BYTES = 20 * 1024 * 1024;

/**
 * @param {(text: string) => void} send called with what was written
 * @param {(tool: object, json: string) => void} command called with a chosen slash command
 */
export function install(send, command) {
  const form = document.getElementById("composer");
  const field = document.getElementById("prompt");
  const list = document.getElementById("commands");
  const enter = document.getElementById("enter-sends");
  let tools = null;
  let listed = null;

  enter.checked = localStorage.getItem("enter-sends") !== "no";
  enter.onchange = () => localStorage.setItem("enter-sends", enter.checked ? "yes" : "no");

  const grow = () => { field.style.height = "auto"; field.style.height = `${field.scrollHeight}px`; };
  const options = () => [...list.querySelectorAll('[role="option"]')];
  const chosen = () => list.querySelector('[aria-selected="true"]');

  async function known() {
    listed ??= fetch("/chat/commands").then((answer) => answer.ok ? answer.json() : []);
    tools ??= await listed;
  }

  async function suggest() {
    if (field.value.startsWith("/")) await known();
    const typed = /^\/(\S*)$/.exec(field.value); // only now: more may have been typed meanwhile
    if (!typed) { list.hidden = true; return; }
    const word = typed[1].toLowerCase();
    const found = tools.filter((tool) => `${tool.name} ${tool.title}`.toLowerCase().includes(word)).slice(0, 30);
    list.replaceChildren(...found.map((tool) => row(tool)));
    list.hidden = !found.length;
    select(0);
  }

  function row(tool) {
    const option = Object.assign(document.createElement("div"), { className: "option" });
    option.setAttribute("role", "option");
    option.append(icon("tool"), Object.assign(document.createElement("span"), { textContent: tool.title || tool.name }), Object.assign(document.createElement("small"), { textContent: tool.name }));
    option.onclick = () => { clear(); command(tool, ""); };
    return option;
  }

  function select(index) {
    const all = options();
    if (!all.length) return;
    const at = (index + all.length) % all.length;
    all.forEach((option, i) => { option.id = `command-${i}`; option.setAttribute("aria-selected", String(i === at)); });
    all[at].scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", all[at].id);
  }

  function clear() {
    field.value = "";
    list.hidden = true;
    field.removeAttribute("aria-activedescendant");
    grow();
  }

  async function submit() {
    const text = field.value.trim();
    if (!text) return;
    const typed = /^\/([\w-]+)(?:\s+([\s\S]*))?$/.exec(text);
    if (!typed) { clear(); send(text); return; }
    await known();
    const tool = tools.find((item) => item.name === typed[1]);
    if (!tool) { toast(`There is no command /${typed[1]}. Type / and a part of its name, then choose one.`, "error"); return; }
    clear();
    command(tool, typed[2] ?? "");
  }

  field.oninput = () => { grow(); suggest(); };
  field.onkeydown = (event) => {
    if (event.isComposing) return;
    if (!list.hidden && ["ArrowDown", "ArrowUp"].includes(event.key)) {
      event.preventDefault();
      select(options().indexOf(chosen()) + (event.key === "ArrowDown" ? 1 : -1));
    } else if (!list.hidden && event.key === "Escape") list.hidden = true;
    else if (!list.hidden && (event.key === "Enter" || event.key === "Tab") && chosen()) { event.preventDefault(); chosen().click(); }
    else if (event.key === "Enter" && !event.shiftKey && (enter.checked || event.ctrlKey)) { event.preventDefault(); submit(); }
  };
  form.onsubmit = (event) => { event.preventDefault(); submit(); };
  for (const button of document.querySelectorAll("[data-ask]")) {
    button.onclick = () => { field.value = button.dataset.ask; field.focus(); field.oninput(); };
  }
  return { put: (text) => { field.value = text; grow(); field.focus(); } };
}

/** Send files to the session; returns their references. */
export async function attach(files, session) {
  const made = [];
  for (const file of files) {
    if (file.size > ATTACHMENT_BYTES) { toast(`${file.name} is larger than 20 MB. Add its folder instead.`, "error"); continue; }
    const base64 = await new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
      reader.readAsDataURL(file);
    });
    const added = await tryAct("homeport__chat_attach", { session_id: session, name: file.name, base64 });
    if (added) made.push(added);
  }
  return made;
}
