// The filters of the file page: type, tag, days and sizes; they hold together.
import { h } from "./dom.js";

const TYPES = [["", "All types"], ["pdf", "PDF"], ["docx", "DOCX"], ["txt", "TXT"], ["csv", "CSV"], ["img", "IMG"], ["document", "Documents"], ["table", "Tables"], ["text", "Texts and code"], ["folder", "Folders"], ["other", "Other"]];

/** Return the form; `changed` gets the filters that are set. */
export function filters(changed) {
  const tag = h("select", { name: "tag", "aria-label": "Tag" }, h("option", { value: "" }, "All tags"));
  const form = h("form", { class: "filters", "aria-label": "Filters", onsubmit: (event) => event.preventDefault(), onchange: () => changed(value()) },
    h("h2", {}, "Filters"),
    h("label", {}, "Type", h("select", { name: "type" }, TYPES.map(([key, name]) => h("option", { value: key }, name)))),
    h("label", {}, "Tag", tag),
    h("label", {}, "Since", h("input", { type: "date", name: "since" })),
    h("label", {}, "Until", h("input", { type: "date", name: "until" })),
    h("label", {}, "From MB", h("input", { type: "number", name: "smallest", min: "0", step: "any" })),
    h("label", {}, "To MB", h("input", { type: "number", name: "largest", min: "0", step: "any" })),
    h("button", { type: "button", class: "button small", onclick: () => { clear(); changed({}); } }, "Clear filters"));
  function value() {
    const given = Object.fromEntries(new FormData(form));
    const wanted = { ...given, smallest: Math.round(given.smallest * 1e6), largest: Math.round(given.largest * 1e6) };
    return Object.fromEntries(Object.entries(wanted).filter(([, each]) => each));
  }
  const clear = () => form.reset();
  const offer = (tags) => { const kept = tag.value; tag.replaceChildren(h("option", { value: "" }, "All tags"), ...Object.entries(tags).map(([name, count]) => h("option", { value: name }, `${name} (${count})`))); tag.value = kept in tags ? kept : ""; };
  return { form, clear, offer };
}
