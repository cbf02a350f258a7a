// The host's half of MCP Apps: JSON-RPC over postMessage with one sandboxed view.
import { act, approved, post } from "./act.js";
import * as live from "./live.js";
import { dialog, toast } from "./notices.js";
import * as palette from "./palette.js";

const box = document.querySelector("[data-view]");
const frame = box?.querySelector("iframe");
const TRUSTED = new Set(["rag"]); // servers whose view may let an agent answer
const STYLES = /^--(color|font|border|shadow)-/;

function context() {
  const root = document.documentElement;
  const computed = getComputedStyle(root);
  const names = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]).flatMap((rule) => rule.style ? [...rule.style] : []).filter((name) => STYLES.test(name));
  return {
    theme: root.dataset.theme === "light" ? "light" : "dark",
    displayMode: "fullscreen",
    availableDisplayModes: ["fullscreen"],
    locale: navigator.language,
    platform: "web",
    styles: { variables: Object.fromEntries([...new Set(names)].map((name) => [name, computed.getPropertyValue(name).trim()])) },
    "io.homeport/contrast": root.dataset.theme === "contrast",
  };
}

/** Let an agent answer from the text alone: it is given no tools, because the text holds what others wrote. */
async function answered(text) {
  const { run_id } = await act("homeport__run_start", { prompt: text, tools: ["none"], interactive: false });
  for (;;) {
    const run = await act("homeport__run_get", { run_id });
    if (run.state === "completed") return run.answer;
    if (["failed", "cancelled"].includes(run.state)) throw new Error(run.error?.message || "No answer came.");
    await new Promise((resolve) => setTimeout(resolve, 400));
  }
}

function connect(server, launch) {
  const send = (message) => frame.contentWindow.postMessage({ jsonrpc: "2.0", ...message }, "*"); // the view's origin is opaque
  const notify = (method, params) => send({ method, params });
  const watched = new Map();

  const answers = {
    "ui/initialize": () => ({
      protocolVersion: "2026-01-26",
      hostInfo: { name: "homeport", version: "1" },
      hostCapabilities: { openLinks: {}, serverTools: {}, serverResources: {}, experimental: { "io.homeport/live": {}, "io.homeport/navigate": {}, "io.homeport/confirm": {} } },
      hostContext: context(),
    }),
    "tools/call": async (params) => {
      const answer = await post(`/views/${server}/call`, params);
      const { approval, ...body } = await answer.json();
      if (body.error) throw new Error(body.error.message);
      return approval && await approved(approval) ? answers["tools/call"](params) : body;
    },
    "resources/read": async ({ uri }) => {
      const body = await (await fetch(`/views/${server}/read?uri=${encodeURIComponent(uri)}`)).json();
      if (body.error) throw new Error(body.error.message);
      return body;
    },
    "ui/open-link": ({ url }) => {
      if (!/^https?:/i.test(url)) throw new Error("Only web addresses can be opened.");
      return dialog({ title: "Open this address?", code: url, yes: "Open" }).then((yes) => { if (yes) window.open(url, "_blank", "noopener,noreferrer"); return {}; });
    },
    "ui/request-display-mode": () => ({ mode: "fullscreen" }),
    "ui/message": async ({ content }) => {
      const sent = await act("homeport__chat_send", { text: [content].flat().map((part) => part.text ?? "").join("\n") });
      location.href = `/chat/${sent.session_id}`;
      return {};
    },
    "io.homeport/confirm": async (params) => ({ answer: await dialog({ title: String(params.title), text: String(params.text ?? ""), yes: String(params.yes ?? "OK"), danger: Boolean(params.danger), field: params.field === undefined ? null : String(params.field) }) }),
    "io.homeport/ask": async ({ text }) => {
      if (!TRUSTED.has(server)) throw new Error("This view may not ask agents.");
      return { answer: await answered(String(text)) };
    },
    ping: () => ({}),
  };
  const hears = {
    "ui/notifications/initialized": () => {
      box.classList.add("ready");
      clearTimeout(timer);
      notify("ui/notifications/tool-input", { arguments: launch.arguments });
      notify("ui/notifications/tool-result", launch.result);
    },
    "io.homeport/watch": ({ uris }) => {
      for (const stop of watched.values()) stop();
      watched.clear();
      for (const uri of uris.slice(0, 50)) watched.set(uri, live.watch(uri, () => notify("io.homeport/resource-updated", { uri })));
    },
    "io.homeport/navigate": ({ query, title }) => {
      const words = new URLSearchParams(query);
      history.replaceState(null, "", words.size ? `?${words}` : location.pathname);
      if (title) document.title = `${title} · Homeport`;
    },
    "io.homeport/open": ({ uri, folder }) => { location.href = `/open?${new URLSearchParams({ uri, ...(folder ? { folder: "1" } : {}) })}`; },
    "io.homeport/chat": ({ session }) => { location.href = `/chat/${encodeURIComponent(session)}`; },
    "io.homeport/toast": ({ text, kind }) => toast(String(text), kind === "error" ? "error" : "note"),
    "io.homeport/shortcut": ({ key }) => { if (key === "palette") palette.open(); },
  };

  addEventListener("message", async ({ source, data }) => {
    if (source !== frame.contentWindow || data?.jsonrpc !== "2.0" || !data.method) return;
    if (data.id === undefined) { hears[data.method]?.(data.params ?? {}); return; }
    try {
      const answer = answers[data.method];
      if (!answer) throw Object.assign(new Error(`${data.method} is not offered here.`), { code: -32601 });
      send({ id: data.id, result: await answer(data.params ?? {}) });
    } catch (error) {
      send({ id: data.id, error: { code: error.code ?? -32000, message: error.message } });
    }
  });
  document.addEventListener("homeport:themed", () => notify("ui/notifications/host-context-changed", context()));
  frame.src = frame.dataset.src; // only now: the view's first word must find a listener
  const timer = setTimeout(() => { box.querySelector(".view-failed").hidden = false; }, 8000);
}

if (box) connect(box.dataset.server, JSON.parse(box.dataset.launch));
