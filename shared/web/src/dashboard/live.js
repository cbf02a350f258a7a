// The page's side of the live stream: says which resources it shows, and hears when one of them changed.
const watched = new Map(); // URI → set of listeners
const states = new Set();
let send = () => {};
let known = "";

export function connect() {
  const address = document.body.dataset.liveWorker;
  if (window.SharedWorker) {
    const worker = new SharedWorker(address, { name: "homeport" });
    worker.port.onmessage = ({ data }) => receive(data);
    send = (message) => worker.port.postMessage(message);
    addEventListener("pagehide", () => send({ close: true }));
    addEventListener("pageshow", (event) => { if (event.persisted) { update(true); missed(); } });
  } else {
    openAlone();
  }
  update(true);
}

/** Call `listener(uri)` whenever the resource changed; returns how to stop. */
export function watch(uri, listener) {
  if (!watched.has(uri)) watched.set(uri, new Set());
  watched.get(uri).add(listener);
  update();
  return () => {
    watched.get(uri)?.delete(listener);
    if (!watched.get(uri)?.size) watched.delete(uri);
    update();
  };
}

export function onState(listener) { states.add(listener); }
export function shareTheme(theme) { send({ theme }); }

function update(force) {
  const uris = [...watched.keys()].sort();
  if (!force && uris.join() === known) return;
  known = uris.join();
  send({ watch: uris });
}

function receive(message) {
  if (message.changed) for (const listener of watched.get(message.changed) ?? []) listener(message.changed);
  if ("linked" in message) for (const listener of states) listener(message.linked);
  if (message.missed) missed();
  if (message.theme) document.dispatchEvent(new CustomEvent("homeport:theme", { detail: message.theme }));
}

function missed() {
  for (const [uri, listeners] of watched) for (const listener of listeners) listener(uri);
}

function openAlone() {
  let key = "";
  let said = Promise.resolve(); // one request after the other: the last one counts
  const source = new EventSource("/live");
  const post = (message) => {
    if (key && message.watch) said = said.then(() => fetch(`/live/${key}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(message.watch) }).catch(() => {}));
  };
  send = post;
  source.addEventListener("hello", ({ data }) => {
    const again = key !== "";
    key = data;
    receive({ linked: true, missed: again });
    update(true);
  });
  source.onmessage = ({ data }) => receive({ changed: JSON.parse(data) });
  source.onerror = () => receive({ linked: false });
}
