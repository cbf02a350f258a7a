// One document: what is known about it, its chunks, metadata, relations, searches and former versions.
import { h, latest, moment, rested, size } from "./dom.js";
import { graph } from "./graph.js";
import { call, confirm, say } from "./shim.js";

const fact = ([name, value]) => [h("dt", {}, name), h("dd", {}, value || value === 0 ? value : "–")];
const facts = (title, found) => [h("h3", {}, title), h("dl", { class: "facts" }, found.flatMap(fact))];
const language = (code) => code ? new Intl.DisplayNames([navigator.language, "en"], { type: "language" }).of(code) : "";

export async function overview(id, read) {
  const item = await call("show_document", { document_id: id });
  const outline = item.headings.map((each) => h("li", { style: `padding-left:${(each.level - 1) * 16}px` }, h("button", { type: "button", class: "link", onclick: () => read(id, each.line, each.line) }, each.text)));
  const scan = item.error.includes("text layer") ? h("button", { type: "button", class: "button", onclick: async () => {
    await call("change_settings", { values: { ocr: true } });
    await call("rebuild", { document_ids: [id] });
    say("Its pages are being read by text recognition.");
  } }, "Read it by text recognition (OCR)") : null;
  const waiting = item.chunks - item.embedded;
  return [
    item.error ? h("div", { class: "note", role: "alert" }, h("div", { class: "row" }, h("span", {}, item.error), scan)) : null,
    item.warnings.length ? h("p", { class: "note" }, item.warnings.join(" ")) : null,
    h("h3", {}, "Summary"), h("p", { class: "summary" }, item.summary || "There is no text to summarize."),
    ...facts("Document", [["Type", item.media_type], ["Language", language(item.language)], ["Author", item.author], ["Created", moment(item.created)], ["Modified", moment(item.modified)], ["Source", item.source], ["Collection", item.collection], ["Archived", item.archived ? "yes" : "no"]]),
    ...facts("Embedding", [["Status", item.status], ["Chunks", item.chunks], ["Embedded", waiting ? `${item.embedded} of ${item.chunks}` : item.embedded]]),
    ...facts("Processing", [["Added", moment(item.added)], ["Updated", moment(item.updated)], ["Read in", item.milliseconds ? `${item.milliseconds} ms` : ""], ["Words", item.words.toLocaleString()], ["Characters", item.characters.toLocaleString()], ["Size", size(item.size)], ["Former versions", item.versions], ["Found by", `${item.searches} searches`]]),
    outline.length ? h("h3", {}, "Headings") : null, outline.length ? h("ul", { class: "outline" }, outline) : null,
  ];
}

export async function chunks(id) {
  const list = h("ul", { class: "list", "aria-live": "polite" });
  const more = h("button", { type: "button", class: "button" }, "Show more");
  const field = h("input", { type: "search", placeholder: "Search in the chunks", "aria-label": "Search in the chunks", oninput: rested(() => draw(0)) });
  const item = (hit) => {
    const place = [hit.page ? `page ${hit.page}` : "", `lines ${hit.line}–${hit.end_line}`, hit.header, hit.model ? `embedded by ${hit.model.split("@")[0]}` : "waits to be embedded", moment(hit.updated)];
    const known = Object.entries(hit.metadata).filter(([, value]) => typeof value !== "object").map(([name, value]) => `${name}: ${value}`).join(" · ");
    return h("li", {}, h("details", { class: "chunk" }, h("summary", {}, h("span", { class: "tag" }, `#${hit.vector_id}`), " ", hit.text.slice(0, 200), hit.text.length > 200 ? "…" : "", h("small", {}, place.filter(Boolean).join(" · "))), known ? h("p", { class: "muted" }, known) : null, h("pre", {}, hit.text)));
  };
  const draw = latest(async (after) => [after, await call("list_chunks", { document_id: id, text: field.value.trim(), after })], ([after, page]) => {
    if (!after) list.replaceChildren();
    list.append(...page.chunks.map(item));
    if (!list.children.length) list.append(h("li", { class: "pad" }, "No chunk holds that."));
    more.onclick = () => draw(page.next);
    more.hidden = !page.next;
  });
  await draw(0);
  return [h("div", { class: "row pad" }, field), list, more];
}

export async function metadata(id, done) {
  const item = await call("show_document", { document_id: id });
  const save = async (changes) => { await call("edit_metadata", { document_ids: [id], metadata: changes }); done(); };
  const line = ([name, value]) => h("div", { class: "row" }, h("label", { class: "grow" }, name, h("input", { type: "text", value: String(value), onchange: (event) => save({ [name]: event.target.value }) })), h("button", { type: "button", class: "button small", "aria-label": `Remove ${name}`, onclick: () => save({ [name]: null }) }, "Remove"));
  const add = async () => {
    const name = await confirm({ title: "Add a field", text: "Its name, such as category or team.", field: "", yes: "Next" });
    const value = name && await confirm({ title: name, text: "Its value.", field: "", yes: "Add" });
    if (value) await save({ [name]: value });
  };
  return [h("div", { class: "stack pad" }, Object.entries(item.metadata).map(line), h("button", { type: "button", class: "button", onclick: add }, "Add a field"))];
}

export async function relations(id, open) {
  const threshold = h("input", { type: "range", min: 0, max: 1, step: 0.05, value: 0.4, "aria-label": "Least similarity", onchange: () => draw() });
  const shown = h("output", {});
  const picture = h("div", {});
  const list = h("ul", { class: "list" });
  const draw = latest(() => {
    shown.textContent = Number(threshold.value).toFixed(2);
    return call("document_graph", { document_id: id, threshold: Number(threshold.value), k: 14 });
  }, (found) => {
    const others = found.documents.slice(1);
    picture.replaceChildren(others.length ? graph(found, open) : "");
    list.replaceChildren(...others.map((item) => h("li", {}, h("button", { type: "button", class: "list-row", onclick: () => open(item.document_id) }, h("span", { class: "grow" }, h("span", { class: "title" }, item.title), h("small", {}, item.collection)), h("meter", { min: 0, max: 1, value: item.similarity, "aria-label": "Similarity" }), item.similarity.toFixed(2)))));
    if (!others.length) list.append(h("li", { class: "pad" }, found.why || "No document is that similar."));
  });
  await draw();
  return [h("label", { class: "row pad" }, "Least similarity", threshold, shown), picture, list];
}

export async function searches(id) {
  const { queries } = await call("list_queries", { document_id: id });
  if (!queries.length) return [h("p", { class: "pad" }, "No search found this document yet.")];
  return [h("ul", { class: "list" }, queries.map((item) => h("li", { class: "list-row" }, h("span", { class: "grow" }, h("span", { class: "title" }, item.query), h("small", {}, `${moment(item.at)} · ${item.mode} · score ${item.score.toFixed(2)} · ${item.milliseconds} ms`)))))];
}

export async function versions(id, done) {
  const found = (await call("list_versions", { document_id: id })).versions;
  if (!found.length) return [h("p", { class: "pad" }, "It has not changed since it was added.")];
  const restore = async (version) => { await call("restore_version", { document_id: id, version }); done(); };
  return [h("ul", { class: "list" }, found.map((item) => h("li", {}, h("details", { class: "chunk" }, h("summary", {}, `${moment(item.updated)} · ${item.actor}`), h("button", { type: "button", class: "button small", onclick: () => restore(item.version) }, "Restore this version"), h("pre", {}, item.text.slice(0, 20000))))))];
}
