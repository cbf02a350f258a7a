// Streaming Markdown. Elements are only ever made by createElement and filled by textContent, so what a model or a
// tool wrote can never become HTML; addresses are checked, and pictures are links, because loading one would tell
// its server what was read.
import * as smd from "streaming-markdown";
import { icon } from "./palette.js";

const ONE_LINE = /^\$\$(.+)\$\$[ \t]*$/gm; // the parser knows a block of mathematics by its line breaks
const SAFE = /^(https?:|mailto:|\/(?!\/)|#)/i;

/** Return a writer that appends Markdown to `target` piece by piece. */
export function writer(target) {
  target.replaceChildren();
  target.dataset.done = "";
  const renderer = smd.default_renderer(target);
  const { add_token, set_attr } = renderer;
  renderer.add_token = (data, type) => {
    add_token(data, type === smd.IMAGE ? smd.LINK : type);
  };
  renderer.set_attr = (data, type, value) => {
    if (type === smd.HREF || type === smd.SRC) {
      if (SAFE.test(value.trim())) link(data.nodes[data.index], value.trim());
    } else if (type !== smd.LANG || /^[\w+#.-]{1,30}$/.test(value)) set_attr(data, type, value);
  };
  const parser = smd.parser(renderer);
  return {
    write: (text) => smd.parser_write(parser, text),
    end: (citations) => { smd.parser_end(parser); finish(target, citations); },
  };
}

/** Render complete Markdown. */
export function render(target, text, citations) {
  const out = writer(target);
  out.write(text.split(/(^```[^]*?^```)/m).map((part, i) => i % 2 ? part : part.replace(ONE_LINE, "$$$$\n$1\n$$$$")).join(""));
  out.end(citations);
}

function link(node, address) {
  node.href = address;
  if (/^https?:/i.test(address)) { node.target = "_blank"; node.rel = "noreferrer noopener"; }
  if (!node.textContent) node.textContent = address;
}

function finish(target, citations) {
  for (const code of target.querySelectorAll("pre > code")) dress(code);
  if (target.querySelector("equation-inline, equation-block")) math(target);
  // The parser takes [1] for the beginning of a link; one without an address is a citation or plain text.
  for (const link of target.querySelectorAll("a:not([href])")) link.replaceWith(/^\d+$/.test(link.textContent) ? chip(link.textContent, citations) : link.textContent);
  if (citations?.size) cite(target, citations);
}

function dress(code) {
  const language = code.className.replace("language-", "");
  const box = Object.assign(document.createElement("div"), { className: "code" });
  const head = Object.assign(document.createElement("div"), { className: "code-head" });
  const copy = Object.assign(document.createElement("button"), { className: "icon-button small", type: "button" });
  copy.setAttribute("aria-label", "Copy code");
  copy.append(icon("copy"));
  copy.onclick = () => navigator.clipboard.writeText(code.textContent);
  head.append(language || "text", copy);
  code.parentElement.replaceWith(box);
  const pre = document.createElement("pre");
  pre.tabIndex = 0;
  pre.append(code);
  box.append(head, pre);
  if (language) import("./code.js").then(({ highlight }) => highlight(code, language));
}

function math(target) {
  import("./math.js").then(({ typeset }) => {
    for (const node of target.querySelectorAll("equation-inline, equation-block")) typeset(node, node.localName === "equation-block");
  });
}

function chip(number, citations) {
  const source = citations?.get(number);
  return source ? Object.assign(document.createElement("a"), { className: "cite", href: source.href, title: source.title, textContent: number, ariaLabel: `Source ${number}` }) : `[${number}]`;
}

function cite(target, citations) {
  const walker = document.createTreeWalker(target, NodeFilter.SHOW_TEXT, (node) => node.parentElement.closest("code, a") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT);
  const nodes = [];
  while (walker.nextNode()) if (/\[\d+\]/.test(walker.currentNode.data)) nodes.push(walker.currentNode);
  for (const node of nodes) {
    const parts = node.data.split(/\[(\d+)\]/);
    node.replaceWith(...parts.map((part, i) => i % 2 ? chip(part, citations) : part));
  }
}
