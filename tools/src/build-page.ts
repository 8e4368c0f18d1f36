import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { build, type Metafile } from "esbuild";
import { repositoryRoot } from "./repository.ts";

const folder = join(repositoryRoot, "apps/ui");
const assetNames = "[name]-[hash]";

/** Makes `apps/ui/build/page`: what a web server serves. Files are named after what is in them, so that browsers may keep them for ever. */
export async function buildPage(onBuilt: (line: string) => void = console.error): Promise<void> {
  const started = performance.now();
  const page = join(folder, "build/page");
  rmSync(page, { recursive: true, force: true });
  const worker = await bundle("src/map/layout-worker.ts", join(page, "assets"), {});
  const { version } = JSON.parse(readFileSync(join(repositoryRoot, "apps/ui-backend/package.json"), "utf8")) as { version: string };
  const main = await bundle("src/main.tsx", join(page, "assets"), {
    layoutWorkerFile: JSON.stringify(`assets/${basename(entryOf(worker))}`),
    pageBuild: JSON.stringify(version),
    "process.env.NODE_ENV": '"production"',
  });
  const entry = entryOf(main);
  const styles = Object.keys(main.outputs).filter((path) => path.endsWith(".css"));
  const html = readFileSync(join(folder, "index.html"), "utf8")
    .replace("<!-- styles -->", styles.map((path) => `<link rel="stylesheet" href="assets/${basename(path)}" />`).join("\n    "))
    .replace("<!-- scripts -->", `<script type="module" src="assets/${basename(entry)}"></script>`);
  mkdirSync(page, { recursive: true });
  writeFileSync(join(page, "index.html"), html);
  onBuilt(`built apps/ui/build/page (${((performance.now() - started) / 1_000).toFixed(1)} s)`);
}

async function bundle(entryPoint: string, outdir: string, define: Record<string, string>): Promise<Metafile> {
  const result = await build({
    absWorkingDir: folder,
    entryPoints: [entryPoint],
    outdir,
    entryNames: assetNames,
    chunkNames: assetNames,
    assetNames,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    target: ["chrome125", "firefox147", "safari26"],
    jsx: "automatic",
    minify: true,
    sourcemap: "linked",
    metafile: true,
    define,
    logLevel: "silent",
  });
  return result.metafile;
}

function entryOf({ outputs }: Metafile): string {
  const [path] = Object.entries(outputs).find(([, { entryPoint }]) => entryPoint !== undefined) ?? [];
  if (path === undefined) throw new Error("the bundler made no entry");
  return path;
}

if (import.meta.main) await buildPage();
