// The files of a folder as a list with columns, or as a grid of pictures.
import { h, icon, moment, size } from "./dom.js";
import { menu } from "./menu.js";
import { call } from "./shim.js";

export const nameOf = (path) => path.split("/").at(-1) || path;

const MARKS = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
/** The name to show: line ends and marks that turn the direction of text are written out, since they could hide what a file is. */
export const titleOf = (path) => nameOf(path).replace(MARKS, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`);
const PICTURES = /\.(png|jpe?g|gif|webp|bmp|tiff?|ico|pdf)$/i;
const ending = (entry) => entry.kind === "folder" ? "Folder" : /\.([^./]+)$/.exec(entry.path)?.[1]?.toUpperCase() ?? "";
const thumbnails = new Map();

/** The heading of the list's columns. */
export const columns = () => h("div", { class: "columns", "aria-hidden": "true" }, ["", "Name", "Type", "Size", "Modified", "Vectorized", "Tags", "Accessed by", ""].map((name) => h("span", { "data-needs": name === "Vectorized" ? "host" : null }, name)));

/** What can be done with one file, or folder, under its button. */
export const choices = (entry, does) => [
  ...(entry.kind === "folder" ? [] : [["Preview", () => does.read(entry.path)]]),
  ...(does.alone() ? [] : [["Vectorize", () => does.vectorize([entry.path])]]),
  ["Tag/Categorize", () => does.tag([entry.path], entry)],
  ["Download", () => does.download([entry.path])],
  ["Delete", () => does.remove([entry.path])],
];

function main(entry, does, ...content) {
  const inside = entry.kind === "folder";
  const button = h("button", { type: "button", class: "list-row", draggable: "true", "data-path": entry.path, "aria-current": entry.path === does.current() ? "true" : null, onclick: () => inside ? does.go(entry.path) : does.read(entry.path),
    onkeydown: (event) => { if (event.key === "Delete") does.remove([entry.path]); else if (event.key === "F2") does.rename(entry.path); },
    oncontextmenu: (event) => { event.preventDefault(); menu(button, choices(entry, does), event.clientX ? { x: event.clientX, y: event.clientY } : {}); },
    ondragstart: (event) => event.dataTransfer.setData("text/x-path", entry.path) }, ...content);
  if (inside) {
    button.addEventListener("dragover", (event) => { if (event.dataTransfer.types.includes("text/x-path")) { event.preventDefault(); button.classList.add("target"); } });
    button.addEventListener("dragleave", () => button.classList.remove("target"));
    button.addEventListener("drop", (event) => { const path = event.dataTransfer.getData("text/x-path"); if (path && path !== entry.path) { event.preventDefault(); event.stopPropagation(); does.move([path], entry.path); } });
  }
  return button;
}

function tick(entry, does) {
  const box = h("input", { type: "checkbox", class: "tick", "aria-label": `Select ${titleOf(entry.path)}`, onchange: () => does.choose(entry.path, box.checked) });
  box.checked = does.chosen(entry.path);
  return box;
}

function shape(entry) {
  const drawn = icon(entry.kind === "folder" ? "folder" : "file");
  if (entry.kind === "folder") drawn.classList.add("folder");
  return drawn;
}

const more = (entry, does) => { const button = h("button", { type: "button", class: "icon-button small", "aria-label": `Actions for ${titleOf(entry.path)}`, "aria-haspopup": "menu", onclick: () => menu(button, choices(entry, does)) }, "⋯"); return button; };

/** One row of the list. */
export function line(entry, does) {
  const tags = [entry.category && `${entry.category}:`, ...entry.tags].filter(Boolean);
  const about = entry.kind === "folder" ? "Folder" : [ending(entry), size(entry.size), moment(entry.modified)].filter(Boolean).join(" · ");
  return h("div", { class: "columns" }, tick(entry, does),
    main(entry, does, shape(entry), h("span", { class: "grow" }, h("span", { class: "title" }, titleOf(entry.path)), h("small", { class: "narrow" }, about))),
    h("span", { title: entry.media_type }, ending(entry)), h("span", {}, entry.kind === "folder" ? "" : size(entry.size)), h("span", { title: moment(entry.modified) }, new Date(entry.modified).toLocaleDateString([], { dateStyle: "medium" })),
    h("span", { "data-needs": "host" }, entry.kind === "folder" ? "" : entry.vectorized ? "Yes" : "No"), h("span", { title: tags.join(" ") }, tags.map((tag) => h("span", { class: "tag" }, tag))), h("span", {}, entry.accessed_by), more(entry, does));
}

/** One card of the grid; pictures show themselves, larger while the pointer rests on them. */
export function card(entry, does, edge) {
  const face = h("span", { class: "face" }, shape(entry), h("span", { class: "kind" }, ending(entry)));
  const button = main(entry, does, face, h("span", { class: "title" }, titleOf(entry.path)), h("small", {}, entry.kind === "folder" ? "Folder" : size(entry.size)));
  button.classList.add("card-row");
  if (entry.kind === "file" && PICTURES.test(entry.path)) {
    picture(entry).then((address) => { if (address) face.replaceChildren(h("img", { src: address, alt: "", style: `max-height:${edge - 8}px` })); });
    let large = null;
    button.addEventListener("pointerenter", async () => { const address = await picture(entry); if (!address || large) return; const box = button.getBoundingClientRect(); large = h("div", { class: "hover", role: "presentation", style: `left:${Math.min(box.right, innerWidth - 340)}px;top:${Math.max(4, Math.min(box.top, innerHeight - 340))}px` }, h("img", { src: address, alt: "" })); document.body.append(large); });
    button.addEventListener("pointerleave", () => { large?.remove(); large = null; });
  }
  return h("div", { class: "file-card" }, tick(entry, does), button, more(entry, does));
}

/** The thumbnail of a file as it is now; asked for once. */
function picture(entry) {
  const key = `${entry.path}\n${entry.modified}\n${entry.size}`;
  if (!thumbnails.has(key)) thumbnails.set(key, call("thumbnail", { path: entry.path }).then((made) => made.image).catch(() => ""));
  return thumbnails.get(key);
}
