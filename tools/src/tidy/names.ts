import { tokenize } from "../source/tokens.ts";
import { type Finding, isGenerated, isTypeScript, type RepositoryFile } from "./finding.ts";

/** Words that say nothing about what is inside. */
const emptyWords = new Set([
  "util",
  "utils",
  "helper",
  "helpers",
  "common",
  "misc",
  "shared",
  "lib",
  "libs",
  "types",
  "manager",
  "managers",
  "impl",
  "data",
  "info",
]);
/** Parts of paths that are as they are for a reason: a library as C programmers know it, the word of a protocol. */
const allowedParts = [/^bpf\/lib\//, /\bicmp-types\b/];

/** File and folder names that do not tell, and TypeScript files that are not in kebab-case. */
export function checkPathName({ path }: RepositoryFile): Finding[] {
  if (isGenerated(path)) return [];
  const findings: Finding[] = [];
  const judged = allowedParts.reduce((rest, allowed) => rest.replace(allowed, ""), path);
  for (const segment of judged.split("/")) {
    const word = segment.split(/[-._]/).find((part) => emptyWords.has(part.toLowerCase()));
    if (word !== undefined)
      findings.push({ path, line: 1, message: `"${word}" in a name says nothing: name the one thing that is inside` });
    if (segment.startsWith("base-")) findings.push({ path, line: 1, message: `"${segment}" names a rank, not a thing: name what it does` });
  }
  const file = path.split("/").at(-1) ?? "";
  if (isTypeScript(path) && !/^[a-z\d]+(?:-[a-z\d]+)*(?:\.test|\.d|\.config)?\.tsx?$/.test(file)) {
    findings.push({ path, line: 1, message: "TypeScript files are named in kebab-case" });
  }
  return findings;
}

/** A default export has no name to search for. Configuration of other people's tools may need one. */
export function checkDefaultExports({ path, text }: RepositoryFile): Finding[] {
  if (text === undefined || isGenerated(path) || !isTypeScript(path) || path.endsWith(".config.ts")) return [];
  const tokens = tokenize(text);
  return tokens
    .filter((token, index) => token.kind === "word" && token.value === "export" && tokens[index + 1]?.value === "default")
    .map(({ line }) => ({ path, line, message: "a default export has no name to search for: export by name" }));
}
