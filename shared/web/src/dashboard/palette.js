// Ctrl+K: find and open pages, commands, documents and chats.
import { runTool } from "./tools.js";

const box = () => document.getElementById("palette");
let latest = 0;

export function install() {
  const palette = box();
  const input = palette.querySelector("input");
  for (const button of document.querySelectorAll("[data-palette]")) button.onclick = open;
  addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); open(); }
  });
  input.oninput = () => find(input.value);
  input.onkeydown = (event) => {
    const options = [...palette.querySelectorAll('[role="option"]')];
    const now = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
    if (event.key === "ArrowDown") select(options, now + 1, event);
    else if (event.key === "ArrowUp") select(options, now - 1, event);
    else if (event.key === "Enter" && options[now]) { event.preventDefault(); options[now].click(); }
  };
  palette.onclick = (event) => { if (event.target === palette) palette.close(); };
}

export function open() {
  const palette = box();
  if (palette.open) { palette.close(); return; }
  palette.showModal();
  const input = palette.querySelector("input");
  input.value = "";
  input.focus();
  find("");
}

async function find(query) {
  const turn = ++latest;
  const answer = await fetch(`/search?q=${encodeURIComponent(query)}`).then((found) => found.json()).catch(() => ({ groups: [] }));
  if (turn === latest) draw(answer.groups ?? []);
}

function draw(groups) {
  const list = document.getElementById("palette-list");
  list.replaceChildren();
  for (const group of groups) {
    const part = document.createElement("div");
    part.setAttribute("role", "group");
    part.setAttribute("aria-label", group.title);
    const title = Object.assign(document.createElement("div"), { className: "palette-group", textContent: group.title });
    title.setAttribute("aria-hidden", "true");
    part.append(title, ...group.items.map(option));
    list.append(part);
  }
  if (!groups.length) list.append(Object.assign(document.createElement("p"), { className: "palette-group", textContent: "Nothing found." }));
  select([...list.querySelectorAll('[role="option"]')], 0);
}

function option(item) {
  const row = Object.assign(document.createElement("div"), { className: "option" });
  row.setAttribute("role", "option");
  row.append(icon(item.icon), Object.assign(document.createElement("span"), { textContent: item.title || "New chat" }), Object.assign(document.createElement("small"), { textContent: item.about ?? "" }));
  row.onclick = () => {
    box().close();
    if (item.href.startsWith("/tools/")) runTool(item.href.slice(7), item.title);
    else location.href = item.href;
  };
  return row;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `/static/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

function select(options, wanted, event) {
  event?.preventDefault();
  if (!options.length) return;
  const index = (wanted + options.length) % options.length;
  options.forEach((option, i) => {
    option.id = `option-${i}`;
    option.setAttribute("aria-selected", String(i === index));
  });
  options[index].scrollIntoView({ block: "nearest" });
  box().querySelector("input").setAttribute("aria-activedescendant", options[index].id);
}
