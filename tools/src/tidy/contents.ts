import { type Finding, isGenerated, type RepositoryFile } from "./finding.ts";

const sizeBytesMax = 256 * 1024;
/** Spelt in parts, so that this file does not find itself. */
const leftovers = new RegExp(`\\b(?:${["TO" + "DO", "FIX" + "ME", "X" + "XX"].join("|")})\\b`);

/** Notes that somebody meant to come back to. */
export function checkLeftovers({ path, text }: RepositoryFile): Finding[] {
  if (text === undefined || isGenerated(path) || path === "package-lock.json") return [];
  return text.split("\n").flatMap((line, index) => {
    const found = leftovers.exec(line)?.[0];
    return found === undefined
      ? []
      : [{ path, line: index + 1, message: `a left-over ${found}: do it, or open an issue and describe what holds now` }];
  });
}

export function checkSize({ path, sizeBytes }: RepositoryFile): Finding[] {
  if (sizeBytes <= sizeBytesMax || isGenerated(path) || path === "package-lock.json") return [];
  return [
    {
      path,
      line: 1,
      message: `${Math.ceil(sizeBytes / 1024)} KiB: a file of more than ${sizeBytesMax / 1024} KiB is fetched or made, not committed`,
    },
  ];
}

/** Every clone carries the licence of a file with it: programs in the kernel are under another one than the rest. */
export function checkLicence({ path, text }: RepositoryFile): Finding[] {
  if (!/^bpf\/.*\.[ch]$/.test(path)) return [];
  const [first = ""] = (text ?? "").split("\n");
  if (/^\/[/*] SPDX-License-Identifier: \S/.test(first)) return [];
  return [
    {
      path,
      line: 1,
      message: 'the first line names no licence: start with "/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */"',
    },
  ];
}

/** One title, first: what a list of documents shows. */
export function checkTitle({ path, text }: RepositoryFile): Finding[] {
  if (text === undefined || !path.endsWith(".md")) return [];
  const titles: number[] = [];
  let isInFence = false;
  for (const [index, line] of text.split("\n").entries()) {
    if (/^\s*(?:```|~~~)/.test(line)) isInFence = !isInFence;
    else if (!isInFence && /^# \S/.test(line)) titles.push(index + 1);
  }
  if (titles.length === 1) return [];
  if (titles.length === 0) return [{ path, line: 1, message: 'a document without a title: start with a line "# …"' }];
  return titles.slice(1).map((line) => ({ path, line, message: "a second title: make it a section (##), or a document of its own" }));
}

/** Each adapter says on one screen what it is, what it promises and what it must never do. */
export function checkReadmes(files: readonly RepositoryFile[]): Finding[] {
  const paths = new Set(files.map(({ path }) => path));
  const adapters = new Set([...paths].map((path) => /^adapters\/[^/]+\//.exec(path)?.[0]).filter((folder) => folder !== undefined));
  return [...adapters]
    .filter((folder) => !paths.has(`${folder}README.md`))
    .map((folder) => ({
      path: `${folder}README.md`,
      line: 1,
      message: "missing: say what the adapter is, what it promises and what it must never do",
    }));
}
