// Forms for tools: filled in, read by the server against the input schema, run, and the result shown below.
import { fragment, post, ToolError } from "./act.js";
import { dialog, showInDialog, toast } from "./notices.js";

/** Open the form of a tool in a dialog. */
export async function runTool(name, title = name) {
  try {
    showInDialog(title, await fragment(`/tools/${encodeURIComponent(name)}?part=form`));
  } catch (error) {
    toast(error.message, "error");
  }
}

export function install() {
  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-tool]");
    if (!form) return;
    event.preventDefault();
    const shown = form.querySelector(".tool-result");
    const button = form.querySelector('[type="submit"]');
    try {
      const args = await read(form);
      if ("careful" in form.dataset && !form.closest("dialog") && !await dialog({ title: "Run this?", text: "It cannot be taken back, or it leaves this machine.", code: JSON.stringify(args, null, 2), yes: "Run" })) return;
      button.setAttribute("aria-busy", "true");
      shown.innerHTML = await resultOf(form.dataset.tool, args);
    } catch (error) {
      shown.replaceChildren(Object.assign(document.createElement("p"), { className: "problem", textContent: error.message }));
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
}

/** Run a tool and return its result as HTML that the dashboard rendered. */
export async function resultOf(tool, args) {
  const answer = await post(`/act/${encodeURIComponent(tool)}?as=html`, args);
  if (!answer.ok) throw new ToolError((await answer.json()).error);
  return answer.text();
}

async function read(form) {
  const answer = await post(`/tools/${encodeURIComponent(form.dataset.tool)}/arguments`, Object.fromEntries(new FormData(form)));
  const body = await answer.json();
  if (body.error) throw new ToolError(body.error);
  return body;
}
