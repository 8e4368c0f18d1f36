/** Where in a document of YAML something is being written. */
export interface YamlPlace {
  /** Of the document, where they are written. */
  readonly apiVersion: string;
  readonly kind: string;
  /** Keys from the root; `[]` stands for an item of a list. */
  readonly path: readonly string[];
  /** A key of the map at `path`, or an item of the list there; or the value of `key`. */
  readonly at: "key" | "value";
  /** Of a value; empty otherwise. */
  readonly key: string;
  /** What is written of it before the cursor, and the offset where that begins. */
  readonly prefix: string;
  readonly from: number;
  /** Blanks before a key of the map. */
  readonly indent: number;
  /** Other keys of the map. */
  readonly siblings: readonly string[];
}

interface Line {
  /** Columns of the dashes that open items of lists. */
  readonly dashes: readonly number[];
  /** Column after blanks and dashes. */
  readonly column: number;
  /** Undefined where there is none, as in an item that is a text. */
  readonly key: string | undefined;
  readonly value: string;
}

/** Documents are read line by line, by how far they are indented, because what is being written is hardly ever valid. */
export function yamlPlaceAt(text: string, offset: number): YamlPlace | undefined {
  const lineStart = text.lastIndexOf("\n", offset - 1) + 1;
  const all = text.split("\n");
  const index = text.slice(0, lineStart).split("\n").length - 1;
  const [first, last] = documentAround(all, index);
  const before = text.slice(lineStart, offset);
  if (isComment(before) || isInBlockText(all, first, index)) return undefined;
  const current = readLine(before);
  const { apiVersion, kind } = headerOf(all.slice(first, last));
  const path = pathTo(all, first, index, current);
  const common = { apiVersion, kind, path, indent: current.column };
  if (current.key !== undefined) {
    if (/^[[{|>&*]/.test(current.value)) return undefined;
    const from = offset - current.value.length;
    return { ...common, at: "value", key: current.key, prefix: current.value, from, siblings: [] };
  }
  const prefix = current.value;
  if (/[\s:"'[\]{}]/.test(prefix)) return undefined;
  return { ...common, at: "key", key: "", prefix, from: offset - prefix.length, siblings: siblingsOf(all, [first, last], index, current) };
}

/** The key whose name stands at the offset, with the path of its map. */
export function yamlKeyAt(text: string, offset: number): (YamlPlace & { readonly to: number }) | undefined {
  const lineStart = text.lastIndexOf("\n", offset - 1) + 1;
  const lineEnd = text.indexOf("\n", offset);
  const line = text.slice(lineStart, lineEnd < 0 ? text.length : lineEnd);
  const { key, column } = readLine(line);
  const from = lineStart + column;
  if (key === undefined || offset < from || offset > from + key.length) return undefined;
  const place = yamlPlaceAt(text, from);
  return place === undefined ? undefined : { ...place, key, from, to: from + key.length };
}

function documentAround(all: readonly string[], index: number): [first: number, last: number] {
  let first = index;
  while (first > 0 && !isSeparator(all[first - 1])) first -= 1;
  let last = index + 1;
  while (last < all.length && !isSeparator(all[last])) last += 1;
  return [first, last];
}

function isSeparator(line = ""): boolean {
  return /^---(\s|$)/.test(line);
}

function isComment(before: string): boolean {
  return /(^|\s)#/.test(before);
}

function readLine(line: string): Line {
  const dashes: number[] = [];
  let column = line.length - line.trimStart().length;
  while (/^-(\s|$)/.test(line.slice(column))) {
    dashes.push(column);
    column += 1;
    while (line[column] === " ") column += 1;
  }
  const rest = line.slice(column);
  const match = /^("?)([^\s:#"'[\]{}][^:"]*?)\1:(?:\s+(.*))?$/.exec(rest);
  if (match === null || (match[3] === undefined && !rest.endsWith(":"))) return { dashes, column, key: undefined, value: rest };
  return { dashes, column, key: match[2], value: (match[3] ?? "").trimStart() };
}

function isEmpty(line: string): boolean {
  return /^\s*(#.*)?$/.test(line);
}

function headerOf(lines: readonly string[]): Pick<YamlPlace, "apiVersion" | "kind"> {
  const textOf = (name: string): string => {
    const found = lines.find((line) => line.startsWith(`${name}:`));
    return (found?.slice(name.length + 1) ?? "")
      .replace(/\s#.*/, "")
      .trim()
      .replace(/^["']|["']$/g, "");
  };
  return { apiVersion: textOf("apiVersion"), kind: textOf("kind") };
}

function isInBlockText(all: readonly string[], first: number, index: number): boolean {
  const indent = (line: string): number => line.length - line.trimStart().length;
  let limit = indent(all[index] ?? "");
  for (let at = index - 1; at >= first; at -= 1) {
    const line = all[at] ?? "";
    if (line.trim() === "" || indent(line) >= limit) continue;
    if (/[:-]\s+[|>][\d+-]*\s*(#.*)?$/.test(line)) return true;
    limit = indent(line);
  }
  return false;
}

/** Goes upward: what is indented less, or opens the list, is around it. */
function pathTo(all: readonly string[], first: number, index: number, current: Line): string[] {
  const path: string[] = [];
  let limit = current.column;
  let isItem = false;
  const enterItems = ({ dashes }: Pick<Line, "dashes">): void => {
    for (const dash of [...dashes].reverse()) {
      if (dash >= limit) continue;
      path.unshift("[]");
      limit = dash;
      isItem = true;
    }
  };
  enterItems(current);
  for (let at = index - 1; at >= first && (limit > 0 || isItem); at -= 1) {
    const text = all[at] ?? "";
    if (isEmpty(text)) continue;
    const line = readLine(text);
    // A list may begin as far left as the key that holds it.
    if (line.key !== undefined && (line.column < limit || (isItem && line.column === limit && line.value === ""))) {
      path.unshift(line.key);
      limit = line.column;
      isItem = false;
    }
    if (!isItem || line.dashes.some((dash) => dash < limit)) enterItems(line);
  }
  return path;
}

function siblingsOf(all: readonly string[], [first, last]: readonly [number, number], index: number, { column, dashes }: Line): string[] {
  const found: string[] = [];
  const look = (text: string): boolean => {
    if (isEmpty(text)) return true;
    const line = readLine(text);
    if (line.column === column && line.key !== undefined) found.push(line.key);
    return line.column >= column && !line.dashes.some((dash) => dash < column);
  };
  if (dashes.length === 0) for (let at = index - 1; at >= first && look(all[at] ?? ""); at -= 1);
  for (let at = index + 1; at < last; at += 1) {
    const { dashes: opens, column: start } = readLine(all[at] ?? "");
    if (!isEmpty(all[at] ?? "") && (start < column || opens.some((dash) => dash < column))) break;
    look(all[at] ?? "");
  }
  return found;
}
