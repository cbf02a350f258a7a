// Text as it is meant to look: Markdown, highlighted code. Nothing of a file ever becomes an address or HTML of its own.
import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import go from "highlight.js/lib/languages/go";
import java from "highlight.js/lib/languages/java";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import * as smd from "streaming-markdown";
import { h } from "./dom.js";

const languages = { bash, css, diff, go, java, javascript, json, python, rust, sql, typescript, xml, yaml };
for (const [name, language] of Object.entries(languages)) hljs.registerLanguage(name, language);

/** Markdown as elements; links and pictures stay words. */
export function markdown(text) {
  const target = h("div", { class: "rendered" });
  const renderer = smd.default_renderer(target);
  const { add_token, set_attr } = renderer;
  renderer.add_token = (data, type) => add_token(data, type === smd.IMAGE ? smd.LINK : type);
  renderer.set_attr = (data, type, value) => {
    if (type === smd.CHECKED || (type === smd.START && /^\d{1,9}$/.test(value))) set_attr(data, type, value);
  };
  const parser = smd.parser(renderer);
  smd.parser_write(parser, text);
  smd.parser_end(parser);
  for (const box of target.querySelectorAll("input")) box.setAttribute("aria-label", box.checked ? "Done" : "To do");
  return target;
}

/** Code in colours, each line by itself. hljs escapes what is in the text. */
export function code(text, language, first) {
  const html = hljs.getLanguage(language) && text.length < 300_000 ? hljs.highlight(text.replace(/\n$/, ""), { language }).value : null;
  if (html === null) return null;
  let open = [];
  const rows = html.split("\n").map((line, i) => {
    const row = h("span", {});
    const before = open.join("");
    for (const tag of line.match(/<span class="[^"]*">|<\/span>/g) ?? []) if (tag === "</span>") open.pop(); else open.push(tag);
    row.innerHTML = (before + line + "</span>".repeat(open.length)) || "\u200b";
    return h("div", { class: "line" }, h("span", { class: "ln", "aria-hidden": "true" }, String(first + i)), row);
  });
  return h("div", { class: "lines" }, rows);
}
