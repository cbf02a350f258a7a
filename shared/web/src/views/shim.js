// A view's half of MCP Apps: JSON-RPC over postMessage with whatever client shows it.
import { ask, h, tell } from "./dom.js";

const waiting = new Map();
const hearing = new Map();
let last = 0;
let live = false;
let prefix = ""; // of the server's tools where a gateway gives them longer names
let host = {}; // what the client can do
const HEIGHT = 640; // of a view in the flow of a conversation, in pixels

/** What the server refused or the client could not do: its words are for people. */
class Refused extends Error {}

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
  if (data.error) call?.reject(new Refused(data.error.message));
  else call?.resolve(data.result);
});

const root = document.documentElement;
const widen = h("button", { type: "button", class: "button small", hidden: true, onclick: () => request("ui/request-display-mode", { mode: "fullscreen" }) }, "Full screen");

const context = { displayMode: "inline", availableDisplayModes: [] };

/** Take as much height as the client gives: all of it where that is fixed, else what a page needs. */
function fit(changes) {
  Object.assign(context, changes);
  const inline = context.displayMode === "inline";
  const box = context.containerDimensions;
  const height = !inline || box?.height ? 0 : Math.min(box?.maxHeight || HEIGHT, HEIGHT);
  widen.hidden = !inline || !context.availableDisplayModes.includes("fullscreen");
  root.style.height = height ? `${height}px` : "";
  if (height) notify("ui/notifications/size-changed", { height });
}

function dress({ theme, styles, "io.homeport/contrast": contrast }) {
  if (theme) root.dataset.theme = contrast ? "contrast" : theme;
  for (const [name, value] of Object.entries(styles?.variables ?? {})) if (value) root.style.setProperty(name, value);
}

/** Say hello to the client; resolves to the arguments that the view was opened with. */
export async function open(name) {
  const input = new Promise((resolve) => on("ui/notifications/tool-input", (params) => resolve(params.arguments ?? {})));
  on("ui/notifications/host-context-changed", (context) => { dress(context); fit(context); });
  const { hostCapabilities, hostContext = {} } = await request("ui/initialize", { protocolVersion: "2026-01-26", appInfo: { name, version: "1" }, appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] } });
  host = hostCapabilities ?? {};
  prefix = /^.+__(?=show_)/.exec(hostContext.toolInfo?.tool?.name ?? "")?.[0] ?? "";
  live = Boolean(host.experimental?.["io.homeport/live"]);
  (document.querySelector(".bar .does") ?? document.querySelector(".bar")).append(widen);
  dress(hostContext);
  notify("ui/notifications/initialized");
  fit(hostContext);
  addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); notify("io.homeport/shortcut", { key: "palette" }); }
  });
  return input;
}

/** Call a tool of the view's own server; returns its structured content, throws its plain words. */
export async function call(name, args = {}) {
  const result = await request("tools/call", { name: prefix + name, arguments: args });
  if (result.isError) throw new Refused(result.content?.map((part) => part.text).join("\n") || "This did not work.");
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

/** Hand over a file to keep: by the client where it does that, since most let no view save by itself. */
export async function saveFile(name, blob) {
  const href = URL.createObjectURL(blob);
  if (host.downloadFile) {
    const data = await dataOf(blob);
    await request("ui/download-file", { contents: [{ type: "resource", resource: { uri: `file:///${encodeURIComponent(name)}`, mimeType: blob.type || "application/octet-stream", blob: data } }] });
  } else h("a", { download: name, href }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}

/** Return the bytes of a file in base64. */
export const dataOf = (blob) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result.split(",", 2)[1] ?? "");
  reader.onerror = () => reject(new Error("The file can no longer be read."));
  reader.readAsDataURL(blob);
});

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
  return live ? (await request("io.homeport/confirm", question)).answer : ask(question);
}

/** Say something in passing: as a note of the client where it is Homeport, else as one of the view itself. */
export function say(text, kind = "note") {
  if (live) notify("io.homeport/toast", { text, kind });
  else tell(text, { kind });
}

// What nobody else handles is said: no button fails in silence.
addEventListener("unhandledrejection", (event) => {
  if (event.reason instanceof Refused) event.preventDefault();
  say(event.reason?.message ?? String(event.reason), "error");
});
