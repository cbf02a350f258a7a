// Calling tools from a page: one form of failure, and approvals asked in place.
import { dialog, toast } from "./notices.js";

export class ToolError extends Error {
  constructor(error) {
    super([error.message, error.hint].filter(Boolean).join(" "));
    this.code = error.code;
  }
}

/**
 * Call a tool and return its structured result; throws ToolError.
 * @param {boolean} confirmed The page has asked already whether exactly this is wanted, so nobody is asked twice.
 */
export async function act(tool, args = {}, confirmed = false) {
  const answer = await post(`/act/${encodeURIComponent(tool)}`, args);
  const body = await answer.json();
  if (!body.error) return body.result;
  if (body.approval && await approved(body.approval, confirmed)) return act(tool, args);
  throw new ToolError(body.error);
}

/** Like act, but a failure becomes a toast and the answer null. */
export async function tryAct(tool, args, done = "", confirmed = false) {
  try {
    const result = await act(tool, args, confirmed);
    if (done) toast(done);
    return result ?? {};
  } catch (error) {
    toast(error.message, "error");
    return null;
  }
}

export async function post(address, body) {
  let busy = setTimeout(() => document.documentElement.toggleAttribute("data-busy", true), 150);
  try {
    return await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    throw new ToolError({ code: "unavailable", message: "Homeport does not answer.", hint: "Try again in a moment." });
  } finally {
    clearTimeout(busy);
    document.documentElement.removeAttribute("data-busy");
  }
}

export async function fragment(address, options) {
  const answer = await fetch(address, options);
  if (!answer.ok) throw new ToolError((await answer.json().catch(() => ({}))).error ?? { message: "This could not be loaded.", hint: "Try again." });
  return answer.text();
}

/** Ask the person about a call that waits; returns whether it may be made now. */
export async function approved(item, confirmed = false) {
  const words = Object.entries(item.arguments).map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
  const yes = confirmed || await dialog({ title: item.title || item.tool, text: item.reason, code: words.join("\n"), yes: "Approve and run", no: "Not now" });
  if (!yes) return false;
  return Boolean(await tryAct("homeport__decide_approval", { approval_id: item.id, approve: true, remember: "once" }));
}
