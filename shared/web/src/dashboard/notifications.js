// The bell: how many notifications are new, the list of them, and what is done with one.
import { fragment, tryAct } from "./act.js";
import { toast } from "./notices.js";

export const URI = "notifications://recent";

/** Show how many are new; more than before are told at once. */
export function show(shell) {
  if (!shell) return;
  const count = document.querySelector("[data-notifications]");
  const before = Number(count.textContent);
  count.textContent = shell.notifications;
  count.hidden = !shell.notifications;
  if (shell.notifications > before) toast(shell.notifications - before === 1 ? "There is a new notification." : `There are ${shell.notifications - before} new notifications.`);
  if (document.querySelector(".notices-menu").open) load();
}

async function load() {
  const list = document.getElementById("notifications");
  list.innerHTML = await fragment("/notifications").catch((error) => { toast(error.message, "error"); return ""; });
}

export function install() {
  const menu = document.querySelector(".notices-menu");
  menu.addEventListener("toggle", () => { if (menu.open) load(); });
  menu.addEventListener("click", async (event) => {
    const link = event.target.closest("[data-notification]");
    if (link) {
      event.preventDefault();
      await tryAct("homeport__mark_notifications", { ids: [Number(link.dataset.notification)] });
      location.href = link.href;
    } else if (event.target.closest("[data-read-all]")) await tryAct("homeport__mark_notifications", {});
  });
}
