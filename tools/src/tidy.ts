import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { repositoryRoot } from "./repository.ts";
import { runCommand } from "./run-command.ts";
import { checkLeftovers, checkLicence, checkReadmes, checkSize, checkTitle } from "./tidy/contents.ts";
import type { RepositoryFile } from "./tidy/finding.ts";
import { checkFunctionLengths } from "./tidy/functions.ts";
import { checkDefaultExports, checkPathName } from "./tidy/names.ts";

const fileRules = [checkPathName, checkDefaultExports, checkFunctionLengths, checkLeftovers, checkSize, checkLicence, checkTitle];

/**
 * Looks for what no compiler minds and every reader does, in all files that git tracks or would track.
 * Returns one line for each finding: `file:line: what and the way out`.
 */
export async function checkTidy(root: string = repositoryRoot): Promise<string[]> {
  const files = await readRepository(root);
  const findings = [...files.flatMap((file) => fileRules.flatMap((rule) => rule(file))), ...checkReadmes(files)];
  return findings.map(({ path, line, message }) => `${path}:${line}: ${message}`).sort();
}

async function readRepository(root: string): Promise<RepositoryFile[]> {
  const listed = await runCommand("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { directory: root });
  if (listed.exitCode !== 0) throw new Error(`git cannot list the files of ${root}: ${listed.output.trimEnd()}`);
  const files: RepositoryFile[] = [];
  for (const path of listed.stdout.split("\0").filter((name) => name !== "")) {
    // What is listed and cannot be read was deleted and not yet committed, or is a link to nowhere.
    const bytes = await readFile(join(root, path)).catch(() => undefined);
    if (bytes === undefined) continue;
    files.push({ path, sizeBytes: bytes.byteLength, text: bytes.includes(0) ? undefined : bytes.toString("utf8") });
  }
  return files;
}
