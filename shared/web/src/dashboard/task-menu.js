// The menu of a row, by a right click or the menu key.
const ENDED = ["completed", "failed", "cancelled"];

/** @param {HTMLElement} list Where the rows are. @param {{open: Function, steer: Function}} does What the entries do. */
export function install(list, does) {
  const menu = document.getElementById("task-menu");
  let from = null;
  const close = () => { if (!menu.hidden) { menu.hidden = true; from?.focus(); } };

  list.addEventListener("contextmenu", (event) => {
    const row = event.target.closest(".task-row");
    if (!row) return;
    event.preventDefault();
    from = row.querySelector("a");
    menu.replaceChildren(...entries(row, does).map(([label, work]) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: label, className: "button" });
      button.setAttribute("role", "menuitem");
      button.onclick = () => { close(); work(); };
      return button;
    }));
    menu.hidden = false;
    const box = row.getBoundingClientRect();
    const x = event.clientX || box.left + 40, y = event.clientY || box.bottom;
    menu.style.left = `${Math.min(x, innerWidth - menu.offsetWidth - 8)}px`;
    menu.style.top = `${Math.min(y, innerHeight - menu.offsetHeight - 8)}px`;
    menu.firstElementChild.focus();
  });
  menu.addEventListener("keydown", (event) => {
    const items = [...menu.children], at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (event.key === "Escape" || event.key === "Tab") close();
    if (to === undefined) return;
    event.preventDefault();
    items[(to + items.length) % items.length].focus();
  });
  document.addEventListener("pointerdown", (event) => { if (!menu.contains(event.target)) menu.hidden = true; });
}

function entries(row, { open, steer }) {
  const { task, state, kind, origin } = row.dataset;
  const go = (address) => () => { location.href = address; };
  const run = !["server", "schedule"].includes(kind);
  const tab = (name, place = "") => () => {
    const address = new URL(row.dataset.open, location.href);
    address.searchParams.set("tab", name);
    location.href = address.pathname + address.search + place;
  };
  return [
    ["Open", () => open(row)],
    ...(origin ? [["Open origin", go(origin)]] : []),
    ...(run ? [["View logs", tab("log")], ["Inspect inputs", tab("overview", "#inputs")]] : []),
    ...(run && ["queued", "running"].includes(state) ? [["Pause", () => steer([task], "pause")]] : []),
    ...(run && state === "paused" ? [["Resume", () => steer([task], "resume")]] : []),
    ...(run && ENDED.includes(state) ? [["Retry", () => steer([task], "retry")], ["Delete", () => steer([task], "forget")]] : []),
    ...(kind !== "schedule" && !ENDED.includes(state) ? [["Cancel", () => steer([task], "cancel")]] : []),
  ];
}
