// Loaded when an answer holds formulas.
import katex from "katex";

const sheet = document.createElement("link");
sheet.rel = "stylesheet";
sheet.href = new URL("./math.css", import.meta.url).href;
document.head.append(sheet);

export function typeset(node, displayMode) {
  const source = node.textContent;
  try {
    katex.render(source, node, { displayMode, throwOnError: true, trust: false, maxSize: 20, maxExpand: 200 });
  } catch {
    node.textContent = source;
  }
}
