import { glob, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/** A folder that holds nothing but generated files, and what it should hold: contents by path within it. */
export interface GeneratedFolder {
  /** Relative to the checkout. */
  readonly path: string;
  readonly files: ReadonlyMap<string, string>;
}

export interface StaleFile {
  /** Relative to the checkout. */
  readonly path: string;
  readonly reason: "missing" | "outdated" | "left over";
}

/** Files that are not as they should be, by path. */
export async function findStaleFiles(root: string, folder: GeneratedFolder): Promise<StaleFile[]> {
  const stale: StaleFile[] = [];
  for (const [name, text] of folder.files) {
    const present = await readFile(join(root, folder.path, name), "utf8").catch(() => undefined);
    if (present !== text) stale.push({ path: join(folder.path, name), reason: present === undefined ? "missing" : "outdated" });
  }
  for (const name of await filesBelow(join(root, folder.path))) {
    if (!folder.files.has(name)) stale.push({ path: join(folder.path, name), reason: "left over" });
  }
  return stale.sort((left, right) => (left.path < right.path ? -1 : 1));
}

/** Writes what is stale, removes what is left over, touches nothing else. Returns what was done. */
export async function refreshFolder(root: string, folder: GeneratedFolder): Promise<StaleFile[]> {
  const stale = await findStaleFiles(root, folder);
  for (const { path, reason } of stale) {
    const text = folder.files.get(path.slice(folder.path.length + 1));
    if (reason === "left over" || text === undefined) {
      await rm(join(root, path));
      continue;
    }
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  return stale;
}

/** Paths of all files below the folder, relative to it, sorted. */
export async function filesBelow(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of glob("**/*", { cwd: folder, withFileTypes: true })) {
    if (entry.isFile()) files.push(join(entry.parentPath, entry.name).slice(folder.length + 1));
  }
  return files.sort();
}
