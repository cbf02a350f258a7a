// The settings of a server, each with what it means; a wrong one is refused before anything changes.
import { dialog, h } from "./dom.js";
import { call, say } from "./shim.js";

function control({ name, value, fixed }) {
  const kept = { disabled: fixed, "aria-label": name, name };
  if (typeof value === "boolean") return [h("input", { type: "checkbox", checked: value, ...kept }), (input) => input.checked];
  if (typeof value === "number") return [h("input", { type: "number", value, ...kept }), (input) => Number(input.value)];
  if (Array.isArray(value)) {
    const box = h("textarea", { rows: Math.max(2, value.length), placeholder: "one a line", ...kept });
    box.value = value.join("\n");
    return [box, (input) => input.value.split("\n").map((line) => line.trim()).filter(Boolean)];
  }
  return [h("input", { type: "text", value, ...kept }), (input) => input.value.trim()];
}

/** Show the settings that the tools `show_settings` and `change_settings` read and store. */
export async function settings(title) {
  const found = (await call("show_settings")).settings;
  const fields = found.map((item) => { const [input, read] = control(item); return { item, input, read }; });
  const wrong = h("div", { "aria-live": "assertive" });
  const save = async () => {
    const values = {};
    for (const { item, input, read } of fields) if (!item.fixed && JSON.stringify(read(input)) !== JSON.stringify(item.value)) values[item.name] = read(input);
    try {
      if (Object.keys(values).length) await call("change_settings", { values });
      say("The settings are stored.");
      box.close();
    } catch (error) { wrong.replaceChildren(h("p", { class: "note warn", role: "alert" }, error.message)); }
  };
  const { box, closed } = dialog(title,
    h("div", { class: "settings" }, fields.map(({ item, input }) => h("label", { class: "setting" }, h("span", {}, h("strong", {}, item.name), h("small", {}, item.about, item.fixed ? " (set on the command line)" : "")), input))),
    wrong, h("div", { class: "row end" }, h("button", { type: "button", class: "button primary", onclick: save }, "Save")));
  return closed;
}
