// What every page does: theme, menu, palette, toasts, live fragments, approvals, first run.
import "htmx.org";
import { act, tryAct } from "./act.js";
import * as live from "./live.js";
import * as notifications from "./notifications.js";
import { toast } from "./notices.js";
import * as palette from "./palette.js";
import * as tools from "./tools.js";

const root = document.documentElement;

function themes() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const more = matchMedia("(prefers-contrast: more)");
  let choice = root.dataset.theme;
  const apply = () => {
    root.dataset.theme = choice !== "system" ? choice : more.matches ? "contrast" : dark.matches ? "dark" : "light";
    for (const button of document.querySelectorAll("[data-theme-choice]")) button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
    document.dispatchEvent(new CustomEvent("homeport:themed"));
  };
  dark.onchange = more.onchange = apply;
  apply();
  document.addEventListener("homeport:theme", ({ detail }) => { choice = detail; apply(); });
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.onclick = () => {
      choice = button.dataset.themeChoice;
      document.cookie = `homeport_theme=${choice}; path=/; max-age=31536000; samesite=strict`;
      live.shareTheme(choice);
      apply();
      button.closest("details").open = false;
    };
  }
}

function menus() {
  const button = document.querySelector("[data-menu]");
  const menu = document.getElementById("menu");
  const show = (open) => { menu.classList.toggle("open", open); button.setAttribute("aria-expanded", String(open)); };
  button.onclick = () => { show(!menu.classList.contains("open")); menu.querySelector("a").focus(); };
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#menu, [data-menu]")) show(false);
    for (const open of document.querySelectorAll("details.menu[open]")) if (!open.contains(event.target)) open.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    show(false);
    for (const open of document.querySelectorAll("details.menu[open]")) { open.open = false; open.querySelector("summary").focus(); }
  });
}

function liveFragments() {
  for (const part of document.querySelectorAll("[data-live]")) {
    let timer = 0;
    const refresh = () => { clearTimeout(timer); timer = setTimeout(() => part.dispatchEvent(new Event("refresh")), 60); };
    for (const uri of part.dataset.live.split(" ")) live.watch(uri, refresh);
  }
  document.addEventListener("click", (event) => {
    const retry = event.target.closest("[data-retry]");
    if (!retry) return;
    const part = retry.closest("[data-hx-get]");
    if (part) part.dispatchEvent(new Event("refresh"));
    else location.reload();
  });
}

function frame() {
  const badge = document.querySelector(".mode");
  const count = document.querySelector("[data-approvals]");
  const link = document.querySelector("[data-link-state]");
  live.onState((linked) => {
    link.dataset.linkState = linked ? "on" : "off";
    link.querySelector(".label").textContent = linked ? "Live" : "Reconnecting…";
  });
  const refresh = async () => {
    const answer = await fetch("/shell").catch(() => null);
    if (!answer?.ok) return null;
    const shell = await answer.json();
    badge.textContent = badge.dataset.mode = shell.mode;
    const before = Number(count.textContent);
    count.textContent = shell.approvals;
    count.hidden = !shell.approvals;
    if (shell.approvals > before && !location.pathname.startsWith("/approvals") && !document.querySelector('.message[data-state="running"]')) toast("An action waits for your approval.", "note", "/approvals");
    return shell;
  };
  const refreshed = async () => notifications.show(await refresh());
  for (const uri of ["homeport://mode", "approval://pending", notifications.URI]) live.watch(uri, refreshed);
}

function decisions() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-decide]");
    const item = button?.closest("[data-approval]");
    if (!item) return;
    const approve = button.dataset.decide === "approve";
    button.setAttribute("aria-busy", "true");
    const remember = item.querySelector("[data-remember]")?.value ?? "once";
    const done = await tryAct("homeport__decide_approval", { approval_id: item.dataset.approval, approve, remember }, approve ? "Approved." : "Denied.");
    button.removeAttribute("aria-busy");
    if (done) item.closest("[data-hx-get]")?.dispatchEvent(new Event("refresh"));
    if (done && approve && item.closest(".tool-result")) item.closest("form").requestSubmit();
  });
  const selected = document.querySelector("[data-selected]");
  if (selected) document.getElementById(selected.dataset.selected)?.classList.add("selected");
}

async function chooseModel(model, mode) {
  if (mode === "CLOUD") await act("homeport__set_mode", { mode: "HYBRID" });
  if (await tryAct("homeport__set_model", { name: model }, `${model} answers from now on.`)) location.href = "/setup?step=folder";
}

function firstRun() {
  document.addEventListener("click", async (event) => {
    const choice = event.target.closest("[data-choose-model]");
    if (choice) await chooseModel(choice.dataset.chooseModel, choice.dataset.mode);
    const pull = event.target.closest("[data-pull-model]");
    if (pull) await tryAct("homeport__pull_model", { name: pull.dataset.pullModel }, "The model is being downloaded. You can go on meanwhile.");
    const finish = event.target.closest("[data-finish-setup]");
    if (finish && await tryAct("homeport__finish_setup", { skipped: true })) location.href = "/";
  });
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    const value = (name) => form.elements[name].value.trim();
    if (form.matches("[data-choose-cloud]")) { event.preventDefault(); await chooseModel(value("model"), "CLOUD"); }
    if (form.matches("[data-secret]")) { event.preventDefault(); await saveSecret(form); }
    if (form.matches("[data-add-folder]")) {
      event.preventDefault();
      if (await tryAct("homeport__add_folder", { path: value("path"), watch: form.elements.watch.checked }, "The folder is being read and indexed.")) { form.reset(); location.href = "/setup?step=question"; }
    }
    if (form.matches("[data-first-search]")) {
      event.preventDefault();
      if (await tryAct("homeport__finish_setup", { skipped: false })) location.href = `/knowledge?q=${encodeURIComponent(value("text"))}`;
    }
    if (form.matches("[data-first-question]")) {
      event.preventDefault();
      const sent = await tryAct("homeport__chat_send", { text: value("text") });
      if (sent) { await tryAct("homeport__finish_setup", { skipped: false }); location.href = `/chat/${sent.session_id}`; }
    }
  });
}

async function saveSecret(form) {
  const ticket = await tryAct("homeport__create_ticket", { purpose: "secret", target: form.dataset.secret });
  if (!ticket) return;
  const { pathname, search } = new URL(ticket.url, location.href);
  // Not JSON: the host's own entry page, to which a link in other clients leads, sends a form.
  const answer = await fetch(pathname + search, { method: "POST", body: new URLSearchParams(new FormData(form)) }).catch(() => ({ ok: false }));
  form.reset();
  if (!answer.ok) { toast("The key could not be stored.", "error"); return; }
  if (await tryAct("homeport__check_provider", { name: "openrouter" }, "The key works.")) document.getElementById("setup-live").dispatchEvent(new Event("refresh"));
}

document.body.append(Object.assign(document.createElement("div"), { className: "progress" }));
themes();
menus();
palette.install();
tools.install();
decisions();
firstRun();
liveFragments();
notifications.install();
frame();
live.connect();
