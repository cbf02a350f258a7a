// Toasts and questions: the same on every page.
const make = (tag, className, text) => Object.assign(document.createElement(tag), { className, textContent: text ?? "" });

export function toast(text, kind = "note", link = "") {
  const note = make("div", "toast");
  note.dataset.kind = kind;
  note.append(make("p", "", text));
  if (link) note.append(Object.assign(make("a", "button small", "Open"), { href: link }));
  const close = make("button", "icon-button small", "×");
  close.setAttribute("aria-label", "Dismiss");
  close.onclick = () => note.remove();
  note.append(close);
  const list = document.getElementById("toasts");
  list.append(note);
  while (list.children.length > 4) list.firstElementChild.remove();
  if (kind !== "error") setTimeout(() => note.remove(), 6000);
}

/** Ask; resolves to the field's text (or true) on yes, to null on no or Escape. */
export function dialog({ title, text = "", code = "", yes = "OK", no = "Cancel", field = null, danger = false }) {
  const box = document.getElementById("dialog");
  box.replaceChildren();
  box.setAttribute("aria-label", title);
  const form = make("form", "stack");
  form.method = "dialog";
  form.append(make("h2", "", title));
  if (text) form.append(make("p", "", text));
  if (code) form.append(Object.assign(make("pre", "code-box", code), { tabIndex: 0 }));
  const input = field === null ? null : Object.assign(make("input"), { type: "text", value: field, required: true });
  if (input) { input.setAttribute("aria-label", title); form.append(input); }
  const row = make("div", "row end");
  const cancel = Object.assign(make("button", "button", no), { type: "button" });
  const confirm = Object.assign(make("button", danger ? "button danger" : "button primary", yes), { type: "submit" });
  row.append(cancel, confirm);
  form.append(row);
  box.append(form);
  return new Promise((resolve) => {
    let answer = null;
    cancel.onclick = () => box.close();
    form.onsubmit = (event) => { event.preventDefault(); answer = input ? input.value : true; box.close(); };
    box.onclose = () => resolve(answer);
    box.showModal();
    input?.select();
  });
}

/** Show HTML that the dashboard rendered in the dialog. */
export function showInDialog(title, html) {
  const box = document.getElementById("dialog");
  box.setAttribute("aria-label", title);
  box.innerHTML = html;
  const heading = make("h2", "", title);
  const close = Object.assign(make("button", "icon-button", "×"), { type: "button", onclick: () => box.close() });
  close.setAttribute("aria-label", "Close");
  const head = make("div", "row");
  heading.classList.add("grow");
  head.append(heading, close);
  box.prepend(head);
  box.onclose = null;
  if (!box.open) box.showModal();
}
