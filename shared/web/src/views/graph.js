// A small graph of documents that are like one another: the nearer, the more alike. Nodes are links, and can be dragged.
import { h } from "./dom.js";

const NS = "http://www.w3.org/2000/svg";
const WIDTH = 600;
const HEIGHT = 380;
const STEPS = 250;

const s = (tag, props, ...children) => {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(props)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

/** Place nodes by springs along the edges and repulsion between all (Fruchterman and Reingold, 1991). */
function place(nodes, edges) {
  nodes.forEach((node, i) => {
    const angle = (2 * Math.PI * i) / Math.max(1, nodes.length - 1);
    Object.assign(node, i ? { x: WIDTH / 2 + 140 * Math.cos(angle), y: HEIGHT / 2 + 120 * Math.sin(angle) } : { x: WIDTH / 2, y: HEIGHT / 2 });
  });
  const wish = 0.7 * Math.sqrt((WIDTH * HEIGHT) / nodes.length);
  for (let step = 0; step < STEPS; step++) {
    const moves = nodes.map(() => [0, 0]);
    const pull = (i, j, force) => {
      const [dx, dy] = [nodes[i].x - nodes[j].x || 0.1, nodes[i].y - nodes[j].y || 0.1];
      const away = Math.hypot(dx, dy);
      const by = force(away) / away;
      moves[i][0] += dx * by; moves[i][1] += dy * by;
      moves[j][0] -= dx * by; moves[j][1] -= dy * by;
    };
    for (let i = 0; i < nodes.length; i++) for (let j = 0; j < i; j++) pull(i, j, (away) => (wish * wish) / away);
    for (const edge of edges) pull(edge.from, edge.to, (away) => -edge.similarity * (away * away) / wish);
    const most = 20 * (1 - step / STEPS);
    nodes.forEach((node, i) => {
      if (!i) return; // the document itself stays in the middle
      const length = Math.hypot(...moves[i]) || 1;
      const by = Math.min(length, most) / length;
      node.x = Math.min(WIDTH - 70, Math.max(70, node.x + moves[i][0] * by));
      node.y = Math.min(HEIGHT - 24, Math.max(24, node.y + moves[i][1] * by));
    });
  }
}

/** The picture of { documents, edges }; `go(id)` is called for the node that was chosen. */
export function graph({ documents, edges }, go) {
  const nodes = documents.map((item) => ({ ...item }));
  const at = new Map(nodes.map((node, i) => [node.document_id, i]));
  const links = edges.map((edge) => ({ ...edge, from: at.get(edge.one), to: at.get(edge.other) }));
  place(nodes, links);
  const svg = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "graph", role: "group", "aria-label": "Graph of similar documents" });
  for (const link of links) {
    link.line = s("line", { "stroke-width": 1 + 4 * link.similarity, "stroke-opacity": 0.2 + 0.6 * link.similarity });
    link.line.append(s("title", {}, `${nodes[link.from].title} – ${nodes[link.to].title}: ${link.similarity.toFixed(2)}`));
    svg.append(link.line);
  }
  for (const [i, node] of nodes.entries()) {
    const title = node.title.length > 22 ? `${node.title.slice(0, 21)}…` : node.title;
    const label = i ? `${node.title}, similarity ${node.similarity.toFixed(2)}` : `${node.title}, this document`;
    node.shape = s("g", { class: i ? "node" : "node center", tabindex: "0", role: "button", "aria-label": label }, s("circle", { r: i ? 7 + 6 * node.similarity : 14 }), s("text", { y: i ? 26 : 30, "text-anchor": "middle" }, title), s("title", {}, label));
    let moved = false;
    node.shape.onpointerdown = (event) => { moved = false; node.shape.setPointerCapture(event.pointerId); };
    node.shape.onpointermove = (event) => {
      if (!node.shape.hasPointerCapture(event.pointerId) || (!moved && Math.hypot(event.movementX, event.movementY) < 2)) return;
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      Object.assign(node, { x: point.x, y: point.y });
      moved = true;
      paint();
    };
    node.shape.onclick = () => { if (!moved && i) go(node.document_id); };
    node.shape.onkeydown = (event) => { if (i && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); go(node.document_id); } };
    node.shape.onpointerenter = node.shape.onfocus = () => light(i, true);
    node.shape.onpointerleave = node.shape.onblur = () => light(i, false);
    svg.append(node.shape);
  }
  const light = (i, on) => { for (const link of links) if (link.from === i || link.to === i) link.line.classList.toggle("lit", on); };
  const paint = () => {
    for (const { line, from, to } of links) for (const [name, value] of [["x1", nodes[from].x], ["y1", nodes[from].y], ["x2", nodes[to].x], ["y2", nodes[to].y]]) line.setAttribute(name, value);
    for (const node of nodes) node.shape.setAttribute("transform", `translate(${node.x} ${node.y})`);
  };
  paint();
  return h("figure", { class: "graph-box" }, svg, h("figcaption", { class: "muted" }, "Thicker lines: more alike. Choose a document to go to its relations; drag to move it."));
}
