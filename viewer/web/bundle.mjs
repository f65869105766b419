// Bundles src/ into dist/: index.html and assets/ with hashed names and compressed siblings.
import { build } from "esbuild";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { gzipSync } from "node:zlib";

// lil-gui's icons are a font inside its style sheet, which the server's policy for fonts refuses; the
// browser's own fonts have these signs too.
const withoutFonts = {
  name: "without fonts",
  setup({ onLoad }) {
    onLoad({ filter: /lil-gui[.\w]*\.js$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf-8")).replace(/@font-face\s*\{[^}]*\}/g, ""),
      loader: "js",
    }));
  },
};

const here = import.meta.dirname ?? new URL(".", import.meta.url).pathname;
const dist = process.argv[2] ?? join(here, "dist");

await rm(dist, { recursive: true, force: true });
const result = await build({
  absWorkingDir: here,
  entryPoints: ["src/main.ts", "src/style.css"],
  inject: ["src/common.ts"],
  outdir: join(dist, "assets"),
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  bundle: true,
  plugins: [withoutFonts],
  splitting: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  metafile: true,
  write: false,
  logLevel: "warning",
});

// What the first page needs is asked for at once, not one import after the other.
const outputs = result.metafile.outputs;
const named = (path) => basename(path);
const outputOf = (source) => {
  for (const [path, output] of Object.entries(outputs)) {
    if (output.entryPoint === source) return path;
  }
  throw new Error(`${source} has no output`);
};
const imported = (path, found = new Set()) => {
  if (found.has(path)) return found;
  found.add(path);
  for (const { path: next, kind } of outputs[path].imports) {
    if (kind === "import-statement") imported(next, found);
  }
  return found;
};
const entry = outputOf("src/main.ts");
const first = new Set([...imported(entry), ...imported(outputOf("src/scene/page.ts"))]);

const template = await readFile(join(here, "src/index.html"), "utf-8");
const preloads = [...first]
  .filter((path) => path !== entry)
  .sort((a, b) => outputs[b].bytes - outputs[a].bytes) // what takes longest has the first connection
  .map((path) => `<link rel="modulepreload" href="/assets/${named(path)}">`);
const html = template
  .replace("<!--script-->", [...preloads, `<script type="module" src="/assets/${named(entry)}"></script>`].join("\n"))
  .replace("<!--style-->", `<link rel="stylesheet" href="/assets/${named(outputOf("src/style.css"))}">`);

await mkdir(join(dist, "assets"), { recursive: true });
let all = 0;
let begin = 0;
for (const file of result.outputFiles) {
  const packed = gzipSync(file.contents, { level: 9 }); // Node writes no time into it
  await writeFile(file.path, file.contents);
  await writeFile(`${file.path}.gz`, packed);
  all += packed.length;
  const isFirst = [...first].some((path) => named(path) === named(file.path));
  if (isFirst) begin += packed.length;
  const mark = isFirst ? "first" : "later";
  console.log(`${mark}  ${String(packed.length).padStart(7)}  ${relative(dist, file.path)}`);
}
await writeFile(join(dist, "index.html"), html);
await writeFile(join(dist, "sizes.json"), JSON.stringify({ all, first: begin }));
console.log(`${all} bytes compressed, ${begin} of them for the first page`);
