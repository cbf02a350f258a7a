// The tree of folders: how many files, how large, how new; right click or the menu key offers what can be done with one.
import { h, icon, released, size } from "./dom.js";
import { titleOf } from "./listing.js";
import { menu } from "./menu.js";
import { call } from "./shim.js";

const about = ({ files, bytes, modified }) => files === undefined ? "Counting …" : [`${files.toLocaleString()} ${files === 1 ? "file" : "files"}`, size(bytes), modified && new Date(modified).toLocaleDateString([], { dateStyle: "short" })].filter(Boolean).join(" · ");

/** @param does { go, newFolder, rename, remove, index, move } what is done with a folder. */
export function tree(does) {
  const list = h("ul", { class: "tree", role: "tree", "aria-label": "Folders" });
  const open = new Set();
  let current = "";
  let drawn = 0;
  let pause = 0; // a tree that takes long to count is not counted again at once, but a while later
  let again = 0;

  async function draw(path) {
    const moved = path !== undefined && path !== current;
    current = path ?? current;
    clearTimeout(again);
    const wait = pause - performance.now();
    if (path !== undefined && !moved && wait > 0) { again = setTimeout(() => draw(path).catch(() => {}), wait); return; }
    const began = performance.now();
    const number = ++drawn;
    const parts = current.split("/");
    if (path !== undefined) for (let n = 1; n <= parts.length; n++) open.add(parts.slice(0, n).join("/"));
    const roots = (await call("roots")).roots.filter((root) => root.available);
    const first = list.childElementCount ? [] : roots.map((root) => node({ path: root.name }));
    if (first.length) list.replaceChildren(...first); // each shows its totals once it is counted
    const items = await Promise.all(roots.map((root, n) => branch(root.name).then((item) => { first[n]?.replaceWith(item); return item; })));
    await released();
    if (number !== drawn) return; // a later one is under way
    const took = performance.now() - began;
    pause = took > 500 ? performance.now() + 10 * took : 0;
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.folder : "";
    list.replaceChildren(...items);
    (list.querySelector(`[data-folder="${CSS.escape(focused || current)}"]`) ?? list.querySelector("[data-folder]"))?.setAttribute("tabindex", "0");
    if (focused) list.querySelector(`[data-folder="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  async function branch(path) {
    const { folders: [own, ...below] } = await call("folders", { path, depth: 1 });
    return node(own, below.length, open.has(path) ? await Promise.all(below.map((folder) => open.has(folder.path) ? branch(folder.path) : node(folder))) : null);
  }

  function node(folder, count = 1, inside = null) {
    const path = folder.path;
    const marked = folder.indexed ? h("span", { class: "tag", title: folder.problem || `In step with the collection ${folder.indexed}` }, folder.indexing ? `indexing ${folder.indexing}` : `${folder.vectorized} indexed${folder.failed ? `, ${folder.failed} failed` : folder.problem ? ", stopped" : ""}`) : null;
    const item = h("li", { role: "treeitem", tabindex: "-1", "data-folder": path, "aria-expanded": count ? String(Boolean(inside)) : null, "aria-current": path === current ? "true" : null, "aria-label": titleOf(path), draggable: path.includes("/") ? "true" : null },
      h("div", { class: "branch", onclick: () => { does.go(path); } },
        h("span", { class: "twist", "aria-hidden": "true", onclick: (event) => { event.stopPropagation(); toggle(path); } }, count ? (inside ? "▾" : "▸") : ""),
        icon("folder"), h("span", { class: "grow" }, h("span", { class: "title" }, titleOf(path)), h("small", {}, about(folder))), marked),
      inside ? h("ul", { role: "group" }, inside) : null);
    item.addEventListener("contextmenu", (event) => { event.preventDefault(); event.stopPropagation(); choices(item, folder, event); });
    item.addEventListener("dragstart", (event) => { event.stopPropagation(); event.dataTransfer.setData("text/x-path", path); });
    item.addEventListener("dragover", (event) => { if (event.dataTransfer.types.includes("text/x-path")) { event.preventDefault(); event.stopPropagation(); item.firstChild.classList.add("target"); } });
    item.addEventListener("dragleave", () => item.firstChild.classList.remove("target"));
    item.addEventListener("drop", (event) => { const from = event.dataTransfer.getData("text/x-path"); item.firstChild.classList.remove("target"); if (from && from !== path) { event.preventDefault(); event.stopPropagation(); does.move([from], path); } });
    return item;
  }

  const choices = (item, folder, { clientX, clientY } = {}) => menu(item.firstChild, [
    ["New Folder", () => does.newFolder(folder.path)],
    ["Rename", () => does.rename(folder.path)],
    ["Delete", () => does.remove([folder.path])],
    ...(does.alone() ? [] : [["Mark for Indexing", () => does.index(folder.path, !folder.indexed), Boolean(folder.indexed)]]),
  ], clientX ? { x: clientX, y: clientY } : {});

  function toggle(path) {
    if (!open.delete(path)) open.add(path);
    return draw();
  }

  list.addEventListener("keydown", async (event) => {
    const item = event.target.closest("[data-folder]");
    if (!item || event.target !== item) return;
    const all = [...list.querySelectorAll("[data-folder]")];
    const at = all.indexOf(item);
    const expanded = item.getAttribute("aria-expanded");
    const act = {
      ArrowDown: () => all[at + 1]?.focus(), ArrowUp: () => all[at - 1]?.focus(), Home: () => all[0].focus(), End: () => all.at(-1).focus(),
      ArrowRight: () => expanded === "false" ? toggle(item.dataset.folder) : all[at + 1]?.focus(),
      ArrowLeft: () => expanded === "true" ? toggle(item.dataset.folder) : item.parentElement.closest("[data-folder]")?.focus(),
      Enter: () => does.go(item.dataset.folder), " ": () => does.go(item.dataset.folder),
      ContextMenu: () => item.dispatchEvent(new MouseEvent("contextmenu", { bubbles: false, cancelable: true })),
      F2: () => does.rename(item.dataset.folder), Delete: () => does.remove([item.dataset.folder]),
    }[event.key];
    if (act) { event.preventDefault(); event.stopPropagation(); await act(); }
  });
  return { list, draw, changed: () => { pause = 0; } };
}
