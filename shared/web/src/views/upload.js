// The dialog that uploads files: chosen or dropped, with tags and destination; each has its own progress and result.
import { dialog, h, icon, size } from "./dom.js";
import { call, dataOf } from "./shim.js";

const PART = 512 * 1024;
const BATCH = 50;

async function send(file, progress) {
  let state = { upload: "", received: 0 };
  do {
    const part = file.slice(state.received, state.received + PART);
    state = await call("upload_part", { name: file.name, total: file.size, offset: state.received, content: file.size ? await dataOf(part) : "", upload: state.upload });
    progress(file.size ? state.received / file.size : 1);
  } while (state.received < file.size);
  return state.upload;
}

/** Open the dialog for `folder` with the files that were dropped; `ended` gets the paths that were written. */
export function upload(dropped, folder, ended) {
  const items = [];
  const list = h("ul", { class: "list" });
  const status = h("strong", { class: "grow", role: "status" }, "No file is chosen yet.");
  const place = h("input", { type: "text", value: folder, "aria-label": "Destination folder" });
  const category = h("input", { type: "text", placeholder: "such as contracts", "aria-label": "Category" });
  const tags = h("input", { type: "text", placeholder: "reports, 2026", "aria-label": "Tags" });
  const vectorize = h("input", { type: "checkbox", checked: true });
  const overwrite = h("input", { type: "checkbox" });
  const picker = h("input", { type: "file", multiple: true, "aria-label": "Files to upload", onchange: () => { add(picker.files); picker.value = ""; } });
  const go = h("button", { type: "button", class: "button primary", disabled: true, onclick: () => run(items.filter((item) => !item.done)) }, "Upload");

  function add(files) {
    for (const file of files) { const item = { file, row: row(file), done: false, upload: "" }; items.push(item); list.append(item.row); }
    go.disabled = !items.length;
    if (items.length) status.textContent = `${items.length} ${items.length === 1 ? "file" : "files"} chosen`;
  }

  async function run(chosen, more = {}) {
    go.disabled = true;
    for (const item of chosen) await begin(item);
    const ready = chosen.filter((item) => item.upload);
    for (let n = 0; n < ready.length; n += BATCH) await store(ready.slice(n, n + BATCH), more);
    const written = items.filter((item) => item.done).length;
    status.textContent = `${written} of ${items.length} uploaded${written < items.length ? `, ${items.length - written} not` : ""}`;
    go.disabled = written === items.length;
  }

  async function begin(item) {
    item.row.querySelectorAll("button").forEach((button) => button.remove());
    item.row.classList.remove("failed");
    if (item.upload) return;
    say(item, "Uploading");
    try { item.upload = await send(item.file, (part) => { item.row.querySelector("progress").value = part; }); } catch (error) { failed(item, error.message, ""); }
  }

  async function store(ready, more) {
    try {
      const words = tags.value.split(",").map((tag) => tag.trim()).filter(Boolean);
      const result = await call("upload", { folder: place.value.replace(/\/+$/, ""), files: ready.map((item) => ({ name: item.file.name, upload: item.upload })), tags: words, category: category.value.trim(), vectorize: vectorize.checked, overwrite: overwrite.checked, ...more });
      if (!result.files.length) throw new Error(`The upload was ${result.state}.`);
      result.files.forEach((each, n) => { if (each.error) failed(ready[n], each.error, each.code); else { ready[n].done = true; say(ready[n], `Uploaded · ${size(ready[n].file.size)}${result.vectorizing ? " · being vectorized" : ""}`); } });
      const paths = result.files.map((each) => each.path).filter(Boolean);
      if (paths.length) ended(paths);
    } catch (error) { for (const item of ready) failed(item, error.message, ""); }
  }

  function failed(item, text, code) {
    item.row.classList.add("failed");
    say(item, text);
    const again = (name, more) => item.row.append(h("button", { type: "button", class: "button small", onclick: () => run([item], more) }, name));
    if (code === "conflict" && /same content/.test(text)) again("Upload anyway", { duplicate: true });
    else if (code === "conflict") again("Replace", { overwrite: true });
    else again("Try again", {});
  }

  const say = (item, text) => { item.row.querySelector("small").textContent = text; };
  const zone = h("div", { class: "drop", ondragover: (event) => event.preventDefault(), ondrop: (event) => { event.preventDefault(); add(event.dataTransfer.files); } }, h("p", {}, "Drop files here, or choose them."), picker);
  const field = (name, input) => h("label", { class: "stack" }, name, input);
  add(dropped);
  return dialog("Upload files", zone, list, h("div", { class: "fields" }, field("Destination folder", place), field("Category", category), field("Tags", tags)), h("label", { class: "row", "data-needs": "host" }, vectorize, "Vectorize after the upload"), h("label", { class: "row" }, overwrite, "Overwrite existing files"), h("div", { class: "row" }, status, go)).closed;
}

const row = (file) => h("li", { class: "upload" }, icon("file"), h("span", { class: "grow" }, h("span", { class: "title" }, file.name), h("progress", { max: "1", value: "0", "aria-label": `Upload of ${file.name}` }), h("small", {}, size(file.size))));
