import { glob } from "node:fs/promises";

/** Folders that hold packages, in which the project's own code is. */
export const packageRoots: readonly string[] = ["base", "domain", "adapters", "apps", "test", "tools"];

const foldersPassedOver = new Set(["node_modules", "build", "dist"]);

/** Paths, relative to the root, of the files below the folders that match; sorted. */
export async function listFiles(root: string, folders: readonly string[], matches: RegExp): Promise<string[]> {
  const files: string[] = [];
  for (const folder of folders) {
    for await (const path of glob(`${folder}/**/*`, {
      cwd: root,
      exclude: (name) => foldersPassedOver.has(name.split("/").at(-1) ?? ""),
    })) {
      if (matches.test(path)) files.push(path);
    }
  }
  return files.sort();
}
