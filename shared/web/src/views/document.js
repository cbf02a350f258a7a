// One document: what is known about it, its passages, metadata, relations, searches and former versions.
import { h, moment, size } from "./dom.js";
import { call, confirm } from "./shim.js";

const fact = (name, value) => [h("dt", {}, name), h("dd", {}, value || "–")];

export async function overview(id) {
  const item = await call("show_document", { document_id: id });
  const found = [["Status", item.error || item.status], ["Type", item.media_type], ["Language", item.language], ["Collection", item.collection], ["Size", size(item.size)], ["Passages", `${item.chunks}, ${item.embedded} embedded`], ["Added", moment(item.added)], ["Updated", moment(item.updated)], ["Source", item.source], ["Archived", item.archived ? "yes" : "no"], ["Warnings", item.warnings.join(" ")]];
  return [h("dl", { class: "facts" }, found.flatMap(([name, value]) => fact(name, value)))];
}

export async function passages(id) {
  const list = h("ul", { class: "list" });
  const field = h("input", { type: "search", placeholder: "Filter passages", "aria-label": "Filter passages", oninput: () => { for (const item of list.children) item.hidden = !item.textContent.toLowerCase().includes(field.value.toLowerCase()); } });
  const more = h("button", { type: "button", class: "button" }, "Show more");
  const add = async () => {
    const page = await call("list_chunks", { document_id: id, after: Number(more.dataset.next ?? 0) });
    list.append(...page.passages.map((hit) => h("li", {}, h("details", { class: "chunk" }, h("summary", {}, h("span", { class: "tag" }, `#${hit.chunk_id}`), " ", hit.page ? `page ${hit.page}, ` : "", `lines ${hit.line}–${hit.end_line}: `, hit.text.slice(0, 200)), h("pre", {}, hit.text)))));
    more.dataset.next = page.next;
    more.hidden = !page.next;
  };
  more.onclick = add;
  await add();
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
  const list = h("ul", { class: "list" });
  const draw = async () => {
    const found = await call("similar_documents", { document_id: id, threshold: Number(threshold.value), k: 20 });
    list.replaceChildren(...found.documents.map((item) => h("li", {}, h("button", { type: "button", class: "list-row", onclick: () => open(item.document_id) }, h("span", { class: "grow" }, h("span", { class: "title" }, item.title), h("small", {}, item.collection)), h("meter", { min: 0, max: 1, value: item.similarity }), item.similarity.toFixed(2)))));
    if (!found.documents.length) list.append(h("li", { class: "pad" }, found.why || "No document is that similar."));
  };
  await draw();
  return [h("label", { class: "row pad" }, "Least similarity", threshold), list];
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
