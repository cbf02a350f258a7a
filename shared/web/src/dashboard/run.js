// Follows one run: draws its text and tool calls as they come, catches up after a break.
import * as live from "./live.js";
import { writer } from "./markdown.js";

/**
 * Draw the events of `run` into `bubble` until the run is done.
 * @param {{onDone: (data: object) => void, onGrow: () => void}} told
 */
export function follow(run, bubble, told) {
  const text = bubble.querySelector(".markdown");
  const calls = bubble.querySelector(".calls");
  const dots = bubble.querySelector(".dots");
  let after = 0;
  calls.replaceChildren(); // the events tell all of it again
  let out = writer(text);
  let busy = false;
  let again = false;
  let over = false;

  const apply = {
    text: (data) => out.write(data.text),
    restart: () => { out = writer(text); },
    call: (data) => drawCall(calls, data),
    approval: (data) => askInPlace(calls, data),
    note: (data) => { dots?.setAttribute("aria-label", data.text); },
    done: (data) => { over = true; stop(); told.onDone(data); },
  };

  async function pull() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      do {
        again = false;
        const answer = await fetch(`/runs/${run}/events?after=${after}`);
        if (!answer.ok) break;
        const found = await answer.json();
        for (const event of found.events) {
          if (event.seq <= after) continue;
          after = event.seq;
          apply[event.kind]?.(event.data);
        }
        if (found.events.length) told.onGrow();
        if (!over && !found.events.length && ["completed", "failed", "cancelled"].includes(found.state)) apply.done({});
        if (found.events.length >= 500) again = true;
      } while (again && !over);
    } catch { /* the stream reconnects, and its first word pulls again */ }
    busy = false;
  }

  const stop = live.watch(`run://${run}/events`, pull);
  pull();
  return stop;
}

/** Draw or update a tool call. */
export function drawCall(list, call) {
  let box = list.querySelector(`[data-call="${CSS.escape(call.id)}"]`);
  if (!box) {
    box = document.getElementById("call").content.firstElementChild.cloneNode(true);
    box.dataset.call = call.id;
    list.append(box);
  }
  box.dataset.state = call.state;
  const part = (name) => box.querySelector(`.call-${name}`);
  part("state").setAttribute("aria-label", call.state);
  part("name").textContent = call.tool;
  part("server").textContent = call.server ?? "";
  part("time").textContent = call.milliseconds ? `${Math.round(call.milliseconds)} ms` : "";
  part("arguments").textContent = JSON.stringify(call.arguments ?? {}, null, 2);
  const failed = call.error ? [call.error.message ?? call.error, call.error.hint].filter(Boolean).join(" ") : "";
  part("result-title").textContent = failed ? "Error" : "Result";
  part("result").textContent = call.state === "waiting" ? "" : failed || call.result_text || "";
  part("result").hidden = part("result-title").hidden = !part("result").textContent;
  if (call.approval_id) box.dataset.approval = call.approval_id;
  part("ask").hidden = call.state !== "waiting";
  if (call.state === "waiting") box.open = true;
  return box;
}

function askInPlace(list, data) {
  const waiting = [...list.querySelectorAll(".call")].findLast((box) => box.querySelector(".call-name").textContent === data.tool);
  const box = waiting ?? drawCall(list, { id: data.approval_id, tool: data.tool, arguments: data.arguments, state: "waiting" });
  box.dataset.approval = data.approval_id;
  box.dataset.state = "waiting";
  box.open = true;
  const ask = box.querySelector(".call-ask");
  ask.hidden = false;
  ask.querySelector("p").textContent = data.reason || "This needs your approval.";
}
