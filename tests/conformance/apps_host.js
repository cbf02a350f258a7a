// A client that shows MCP Apps, made of the reference host's half of the protocol; `callTool` is the test's.
import { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";

/** Show a view as a conversation does: in its flow, with `input` as the arguments of the call that opened it. */
window.show = async (html, tool, input, capabilities) => {
  const frame = document.createElement("iframe");
  frame.sandbox = "allow-scripts";
  frame.style = "width: 100%; height: 150px; border: 0";
  document.body.append(frame);
  const hostContext = {
    theme: "light", displayMode: "inline", availableDisplayModes: ["inline", "fullscreen"],
    containerDimensions: { width: innerWidth, maxHeight: 900 }, toolInfo: { tool: { name: tool, inputSchema: { type: "object" } } },
  };
  const bridge = new AppBridge(null, { name: "reference", version: "1" }, capabilities, { hostContext });
  window.seen = { downloads: [], messages: [] };
  bridge.oncalltool = (params) => window.callTool(params);
  bridge.onsizechange = ({ height }) => { frame.style.height = `${height}px`; };
  bridge.ondownloadfile = ({ contents }) => { window.seen.downloads.push(...contents); return {}; };
  bridge.onmessage = ({ content }) => { window.seen.messages.push(...content); return {}; };
  bridge.onrequestdisplaymode = ({ mode }) => {
    frame.style = "position: fixed; inset: 0; width: 100%; height: 100%; border: 0";
    setTimeout(() => bridge.setHostContext({ ...hostContext, displayMode: mode }));
    return { mode };
  };
  const ready = new Promise((resolve) => { bridge.oninitialized = resolve; });
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  frame.srcdoc = html;
  await ready;
  await bridge.sendToolInput({ arguments: input });
};
