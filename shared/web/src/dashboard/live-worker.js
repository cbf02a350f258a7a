// Owns the one event stream of this browser: HTTP/1.1 allows six connections, so each tab must not open its own.
const ports = new Map(); // port → URIs its tab shows
let source = null;
let key = "";
let pause = 500;
let again = 0;
let said = Promise.resolve();

self.onconnect = (event) => {
  const port = event.ports[0];
  ports.set(port, []);
  port.onmessage = ({ data }) => {
    if (data.close) ports.delete(port);
    else if (data.theme) tell(data, port);
    else {
      // What another tab watches already may have changed while this one was loading.
      const known = new Set([...ports.values()].flat());
      const old = ports.get(port);
      for (const uri of data.watch) if (known.has(uri) && !old.includes(uri)) port.postMessage({ changed: uri });
      ports.set(port, data.watch);
    }
    watch();
  };
  port.postMessage({ linked: Boolean(key) });
  if (!source) open();
};

function open() {
  source = new EventSource("/live");
  source.addEventListener("hello", ({ data }) => {
    const missed = key !== "" || pause > 500;
    key = data;
    pause = 500;
    watch();
    tell({ linked: true, missed });
  });
  source.onmessage = ({ data }) => {
    const changed = JSON.parse(data);
    for (const [port, uris] of ports) if (uris.includes(changed)) port.postMessage({ changed });
  };
  source.onerror = () => {
    // Reopened by ourselves: the browser gives up for good on a refusal such as 401 or 503.
    source.close();
    tell({ linked: false });
    clearTimeout(again);
    again = setTimeout(open, pause);
    pause = Math.min(pause * 2, 3000);
  };
}

/** Say what all tabs show, after what was said before: of two requests at once the older could come last, and count. */
function watch() {
  said = said.then(async () => {
    if (!key) return;
    const uris = [...new Set([...ports.values()].flat())];
    await fetch(`/live/${key}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(uris), signal: AbortSignal.timeout(10_000) })
      .catch(() => { /* the stream's own error handler reconnects */ });
  });
}

function tell(message, except) {
  for (const port of ports.keys()) if (port !== except) port.postMessage(message);
}
