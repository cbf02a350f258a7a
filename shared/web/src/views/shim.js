// A view's half of MCP Apps: JSON-RPC over postMessage with whatever client shows it.
const waiting = new Map();
const hearing = new Map();
let last = 0;
let live = false;

export const on = (method, listener) => hearing.set(method, listener);
export const notify = (method, params = {}) => parent.postMessage({ jsonrpc: "2.0", method, params }, "*");

export function request(method, params = {}) {
  const id = ++last;
  parent.postMessage({ jsonrpc: "2.0", id, method, params }, "*");
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

addEventListener("message", ({ source, data }) => {
  if (source !== parent || data?.jsonrpc !== "2.0") return;
  if (data.method && data.id !== undefined) { parent.postMessage({ jsonrpc: "2.0", id: data.id, result: {} }, "*"); return; }
  if (data.method) { hearing.get(data.method)?.(data.params ?? {}); return; }
  const call = waiting.get(data.id);
  waiting.delete(data.id);
  if (data.error) call?.reject(new Error(data.error.message));
  else call?.resolve(data.result);
});

function dress({ theme, styles, "io.homeport/contrast": contrast }) {
  const root = document.documentElement;
  if (theme) root.dataset.theme = contrast ? "contrast" : theme;
  for (const [name, value] of Object.entries(styles?.variables ?? {})) if (value) root.style.setProperty(name, value);
}

/** Say hello to the client; resolves to the arguments that the view was opened with. */
export async function open(name) {
  const input = new Promise((resolve) => on("ui/notifications/tool-input", (params) => resolve(params.arguments ?? {})));
  on("ui/notifications/host-context-changed", dress);
  const host = await request("ui/initialize", { protocolVersion: "2026-01-26", appInfo: { name, version: "1" }, appCapabilities: {} });
  live = Boolean(host.hostCapabilities?.experimental?.["io.homeport/live"]);
  dress(host.hostContext ?? {});
  notify("ui/notifications/initialized");
  addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); notify("io.homeport/shortcut", { key: "palette" }); }
  });
  return input;
}

/** Call a tool of the view's own server; returns its structured content, throws its plain words. */
export async function call(name, args = {}) {
  const result = await request("tools/call", { name, arguments: args });
  if (result.isError) throw new Error(result.content?.map((part) => part.text).join("\n") || "This did not work.");
  return result.structuredContent ?? {};
}

let turn = Promise.resolve();

/** Call a tool that changes something once those asked for before are done: a run begun after a save is a run of what was saved. */
export function change(name, args = {}) {
  const done = turn.then(() => call(name, args));
  turn = done.catch(() => {});
  return done;
}

/** Call `changed` whenever one of the resources changed; clients that cannot tell are asked every 10 s while visible. */
export function watch(uris, changed) {
  on("io.homeport/resource-updated", changed);
  if (live) notify("io.homeport/watch", { uris });
  else setInterval(() => { if (!document.hidden) changed({}); }, 10000);
}

/** Whether the client is Homeport, which opens other pages and asks agents. */
export const hosted = () => live;

/** Go to the page that shows a file, or, with `folder`, the folder that it is in. */
export const openSource = (uri, folder = false) => notify("io.homeport/open", { uri, folder });

/** Hand a text over as a file to keep. */
export function saveFile(name, type, text) {
  if (live) { notify("io.homeport/save", { name, type, text }); return; }
  const link = document.createElement("a");
  Object.assign(link, { download: name, href: URL.createObjectURL(new Blob([text], { type })) });
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Let an agent of the client answer; where there is none, the question goes into its conversation. */
export async function askAgent(text) {
  if (live) return (await request("io.homeport/ask", { text })).answer;
  await request("ui/message", { role: "user", content: [{ type: "text", text }] });
  return "The question was put to the assistant.";
}

/** Remember the state in the address, where the client has one. */
export const navigate = (query, title) => notify("io.homeport/navigate", { query: Object.fromEntries(Object.entries(query).filter(([, value]) => value)), title });

/** Ask in the client's own dialog; without one, in the view itself. */
export async function confirm(question) {
  if (live) return (await request("io.homeport/confirm", question)).answer;
  const { ask } = await import("./dom.js");
  return ask(question);
}
