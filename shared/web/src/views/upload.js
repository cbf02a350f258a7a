// Uploads: files go in parts, each with its own progress; what is refused says why and can be sent again.
import { h, icon, size } from "./dom.js";
import { call } from "./shim.js";

const PART = 512 * 1024;

const base64 = (blob) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(String(reader.result).split(",", 2)[1] ?? "");
  reader.onerror = () => reject(new Error("The file can no longer be read."));
  reader.readAsDataURL(blob);
});

async function send(file, path, options, progress) {
  let state = { upload: "", received: 0, done: false };
  do {
    const part = file.slice(state.received, state.received + PART);
    state = await call("upload", { path, total: file.size, offset: state.received, content: file.size ? await base64(part) : "", upload: state.upload, ...options });
    progress(file.size ? state.received / file.size : 1);
  } while (!state.done);
  return state;
}

/** Upload `files` into `folder` one after the other; `ended` gets the paths that were written. */
export async function upload(files, folder, box, ended) {
  const items = [...files].map((file) => ({ file, row: row(file) }));
  box.hidden = false;
  box.querySelector("ul").append(...items.map(({ row }) => row));
  const written = [];
  for (const { file, row } of items) {
    const path = await one(file, `${folder}/${file.name}`, row, {}, ended);
    if (path) written.push(path);
  }
  const failed = items.length - written.length;
  box.querySelector("[role=status]").textContent = `${written.length} of ${items.length} uploaded${failed ? `, ${failed} not` : ""}`;
  if (written.length) ended(written);
}

async function one(file, path, row, options, ended) {
  const bar = row.querySelector("progress");
  const note = row.querySelector("small");
  row.querySelectorAll("button").forEach((button) => button.remove());
  row.classList.remove("failed");
  note.textContent = "Uploading";
  try {
    const done = await send(file, path, options, (part) => { bar.value = part; });
    note.textContent = `Uploaded · ${size(file.size)}`;
    return done.path;
  } catch (error) {
    row.classList.add("failed");
    note.textContent = error.message;
    const again = (name, more) => h("button", { type: "button", class: "button small", onclick: async () => { const done = await one(file, path, row, { ...options, ...more }, ended); if (done) ended([done]); } }, name);
    if (/same content/.test(error.message)) row.append(again("Upload anyway", { duplicate: true }));
    else if (/is there already/.test(error.message)) row.append(again("Replace", { overwrite: true }));
    else row.append(again("Try again", {}));
    return "";
  }
}

const row = (file) => h("li", { class: "upload" }, icon("file"), h("span", { class: "grow" }, h("span", { class: "title" }, file.name), h("progress", { max: "1", value: "0", "aria-label": `Upload of ${file.name}` }), h("small", {}, "Waiting")));

/** The box that shows running uploads. */
export function uploads() {
  const box = h("section", { class: "uploads", "aria-label": "Uploads", hidden: true },
    h("div", { class: "row" }, h("strong", { class: "grow", role: "status" }, "Uploads"), h("button", { type: "button", class: "icon-button small", "aria-label": "Close uploads", onclick: () => { box.hidden = true; box.querySelector("ul").replaceChildren(); } }, icon("close"))), h("ul", {}));
  return box;
}
