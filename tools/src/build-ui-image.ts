import { cpSync, existsSync, globSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { repositoryRoot } from "./repository.ts";
import { runCommand } from "./run-command.ts";

const folder = join(repositoryRoot, "apps/ui");
/** Everything of the image, as it stands in it. */
export const uiRoot: string = join(folder, "build/root");
/** Of the packages, what a web server does not use. */
const needless = ["usr/share", "usr/lib/*/gconv", "lib/*/gconv", "etc/init.d", "etc/default", "etc/logrotate.d", "etc/ufw", "var"];
const archive = "build/hubble-ui.tar";

/** Puts nginx and its libraries from Debian, our configuration and the page into `apps/ui/build/root`. The page must be built. Throws with what apt said. */
export async function buildUiRoot(onBuilt: (line: string) => void = console.error): Promise<void> {
  const started = performance.now();
  const page = join(folder, "build/page");
  if (!existsSync(join(page, "index.html"))) throw new Error(`${page} has no page: build it first`);
  const packages = join(folder, "build/debian");
  if (!existsSync(join(packages, "usr/sbin/nginx"))) await unpackPackages(packages);
  rmSync(uiRoot, { recursive: true, force: true });
  mkdirSync(join(uiRoot, "tmp"), { recursive: true });
  cpSync(packages, uiRoot, { recursive: true, verbatimSymlinks: true });
  rmSync(join(uiRoot, "etc/nginx"), { recursive: true });
  mkdirSync(join(uiRoot, "etc/nginx"), { recursive: true });
  cpSync(join(packages, "etc/nginx/mime.types"), join(uiRoot, "etc/nginx/mime.types"));
  cpSync(join(folder, "image/nginx.conf"), join(uiRoot, "etc/nginx/nginx.conf"));
  cpSync(join(folder, "image/ui"), join(uiRoot, "etc/nginx/ui"), { recursive: true });
  writeFileSync(join(uiRoot, "etc/passwd"), "nonroot:x:65532:65532::/:/nonexistent\n");
  writeFileSync(join(uiRoot, "etc/group"), "nonroot:x:65532:\n");
  copyPage(page, join(uiRoot, "page"));
  onBuilt(`built apps/ui/build/root (${((performance.now() - started) / 1_000).toFixed(1)} s)`);
}

/** Makes an OCI archive of it with buildah, which asks no registry. */
export async function buildUiImage(onBuilt: (line: string) => void = console.error): Promise<void> {
  await buildUiRoot(onBuilt);
  const store = join(folder, "build/buildah");
  const buildah = async (...parameters: string[]): Promise<void> => {
    const places = ["--storage-driver", "vfs", "--root", join(store, "root"), "--runroot", join(store, "run")];
    const { exitCode, output } = await runCommand("buildah", [...places, ...parameters]);
    if (exitCode !== 0) throw new Error(`buildah could not make the image: ${output.trim()}`);
  };
  const { version } = JSON.parse(readFileSync(join(repositoryRoot, "apps/ui-backend/package.json"), "utf8")) as { version: string };
  const name = `hubble-ui:${version}`;
  try {
    await buildah("build", "--isolation", "chroot", "--timestamp", "0", "-f", join(folder, "image/Containerfile"), "-t", name, uiRoot);
    rmSync(join(folder, archive), { force: true });
    await buildah("push", name, `oci-archive:${join(folder, archive)}:${name}`);
  } finally {
    rmSync(store, { recursive: true, force: true });
  }
  onBuilt(`built apps/ui/${archive}: load it with podman load or ctr image import`);
}

/** nginx and the libraries that it names, without running any of their scripts. */
async function unpackPackages(to: string): Promise<void> {
  const downloads = `${to}-downloads`;
  rmSync(downloads, { recursive: true, force: true });
  rmSync(to, { recursive: true, force: true });
  mkdirSync(downloads, { recursive: true });
  const run = async (program: string, ...parameters: string[]): Promise<string> => {
    const { exitCode, output, stdout } = await runCommand(program, parameters, { directory: downloads });
    if (exitCode !== 0) throw new Error(`${program} ${parameters.join(" ")}: ${output.trim()}`);
    return stdout;
  };
  const depends = await run("apt-cache", "depends", "nginx");
  const libraries = [...depends.matchAll(/^\s+Depends: ((?:lib|zlib)\S+)$/gm)].map(([, name = ""]) => name);
  await run("apt-get", "download", "--quiet=2", "nginx", "nginx-common", ...libraries);
  const unpacked = join(downloads, "unpacked");
  for (const name of readdirSync(downloads)) await run("dpkg-deb", "--extract", name, unpacked);
  for (const path of globSync([...needless], { cwd: unpacked })) rmSync(join(unpacked, path), { recursive: true });
  renameSync(unpacked, to);
  rmSync(downloads, { recursive: true });
}

/** With each file gzipped beside it, as far as that makes it smaller, and without what only developers read. */
function copyPage(from: string, to: string): void {
  cpSync(from, to, { recursive: true, filter: (path) => !path.endsWith(".map") });
  for (const entry of readdirSync(to, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = readFileSync(path);
    const gzipped = gzipSync(bytes, { level: 9 });
    if (gzipped.length < bytes.length) writeFileSync(`${path}.gz`, gzipped);
  }
}
