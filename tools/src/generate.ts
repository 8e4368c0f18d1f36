import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { buildBpf } from "./build-bpf.ts";
import { generateCodecs } from "./generate-codecs.ts";
import { generateProtobuf } from "./generate-protobuf.ts";
import { findStaleFiles, type GeneratedFolder, refreshFolder } from "./generated-folder.ts";
import { repositoryRoot } from "./repository.ts";

export interface GenerateOptions {
  /** Changes nothing: says what is stale instead. */
  readonly check: boolean;
  readonly onLine?: (line: string) => void;
}

/**
 * Makes every generated file of the repository again: the codecs from the BPF objects (which are compiled if they are not current)
 * and the protobuf messages. False when `check` found stale files. Throws when something cannot be generated.
 */
export async function generate({ check, onLine = console.log }: GenerateOptions): Promise<boolean> {
  let staleCount = 0;
  for (const folder of await generateFolders()) {
    const stale = check ? await findStaleFiles(repositoryRoot, folder) : await refreshFolder(repositoryRoot, folder);
    staleCount += stale.length;
    for (const { path, reason } of stale)
      onLine(check ? `${path} is ${reason}` : `${reason === "left over" ? "removed" : "wrote"} ${path}`);
  }
  if (!check || staleCount === 0) return true;
  onLine('run "./dev generate" and commit what it changes');
  return false;
}

async function generateFolders(): Promise<GeneratedFolder[]> {
  await buildBpf();
  const buildDirectory = join(repositoryRoot, "bpf/build");
  const names = (await readdir(buildDirectory)).filter((name) => name.endsWith(".o") && !name.startsWith("."));
  const objects = await Promise.all(
    names.map(async (name) => ({ name: basename(name, ".o"), bytes: await readFile(join(buildDirectory, name)) })),
  );
  const codecs: GeneratedFolder = { path: "adapters/datapath/src/gen", files: await generateCodecs(objects) };
  return [codecs, ...(await generateProtobuf(repositoryRoot))];
}

if (import.meta.main) process.exitCode = (await generate({ check: process.argv.includes("--check") })) ? 0 : 1;
