// Bundles the dashboard's scripts and styles, and each server's view into one self-contained HTML file.
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const project = join(here, "..", "..");
const dist = join(project, "clients", "dashboard", "src", "homeport_dashboard", "static", "dist");
const views = [
  { source: "files", server: "files", page: "browser" },
  { source: "knowledge", server: "rag", page: "knowledge" },
  { source: "automation", server: "scheduler", page: "automation" },
];
const common = { bundle: true, minify: true, target: "es2023", legalComments: "none", logLevel: "warning", absWorkingDir: here };

await rm(dist, { recursive: true, force: true });
await build({
  ...common,
  entryPoints: ["shell", "chat", "tasks", "workflows", "events", "bridge", "math"].map((name) => ({ in: `src/dashboard/${name}.js`, out: name })),
  outdir: dist, format: "esm", splitting: true, chunkNames: "[name]-[hash]",
});
await build({ ...common, entryPoints: [{ in: "src/dashboard/live-worker.js", out: "live" }], outdir: dist, format: "iife" });
await build({
  ...common,
  entryPoints: [
    { in: "src/styles/shell.css", out: "shell" },
    { in: "src/styles/chat.css", out: "chat" },
    { in: "src/styles/tasks.css", out: "tasks" },
    { in: "src/styles/workflows.css", out: "workflows" },
    { in: "src/styles/events.css", out: "events" },
    { in: "src/dashboard/math.css", out: "math" },
  ],
  outdir: dist, assetNames: "fonts/[name]-[hash]",
  // Every browser that runs these scripts reads woff2.
  loader: { ".woff2": "file", ".woff": "empty", ".ttf": "empty" },
});
const bundled = ["htmx.org", "streaming-markdown", "highlight.js", "katex"];
const licences = await Promise.all(bundled.map(async (name) => {
  const folder = join(here, "node_modules", name);
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  return `${name}\n\n${await readFile(join(folder, file), "utf8")}`;
}));
await writeFile(join(dist, "licences.txt"), licences.join("\n\n---\n\n"));
const manifest = {};
for (const name of await readdir(dist)) {
  if (/\.(js|css)$/.test(name)) manifest[name] = createHash("sha256").update(await readFile(join(dist, name))).digest("hex").slice(0, 12);
}
await writeFile(join(dist, "manifest.json"), JSON.stringify(manifest));

for (const { source, server, page } of views) {
  const options = { ...common, write: false, outdir: here };
  const [script] = (await build({ ...options, entryPoints: [`src/views/${source}.js`], format: "iife" })).outputFiles;
  const [style] = (await build({ ...options, entryPoints: [`src/views/${source}.css`] })).outputFiles;
  const body = await readFile(join(here, "src", "views", `${source}.html`), "utf8");
  const folder = join(project, "servers", server, "src", `homeport_${server}`, "views");
  await mkdir(folder, { recursive: true });
  // A closing tag inside a string of the script would end it early.
  const safe = script.text.replaceAll("</script", "<\\/script");
  await writeFile(join(folder, `${page}.html`), body.replace("/*style*/", () => style.text).replace("/*script*/", () => safe));
}
