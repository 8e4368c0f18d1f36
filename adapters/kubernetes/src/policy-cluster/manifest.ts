import {
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseAllDocuments,
  type Scalar,
  visit,
} from "yaml";

/** From 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** One object of a text. */
export interface ManifestObject {
  readonly object: unknown;
  /** Where the field of that path stands, such as `spec.ingress[0].toPorts`, or what is around it where it is not written. */
  placeOf(path: string): Place;
}

export interface Manifests {
  readonly objects: readonly ManifestObject[];
  /** What is no YAML; the objects before it are there. */
  readonly problems: ReadonlyArray<Place & { readonly message: string }>;
}

/** Objects of one text; the rest is told as a problem. */
const objectsMax = 10_000;
/** More than any cluster's policies in one file. */
const textLengthMax = 16 * 1024 * 1024;
/** More would only serve to fill the memory. */
const aliasCountMax = 100;

/** Objects written in YAML or JSON: several documents, and lists of objects. Never throws. */
export function parseManifests(text: string): Manifests {
  const lines = new LineCounter();
  const objects: ManifestObject[] = [];
  const problems: (Place & { message: string })[] = [];
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const documents = documentsOf(text, lines);
  if (typeof documents === "string") return { objects, problems: [{ line: 1, column: 1, message: documents }] };
  for (const document of documents) {
    const [error] = document.errors;
    if (error !== undefined) {
      problems.push({ ...placeAt(error.pos[0]), message: firstLine(error.message) });
      continue;
    }
    try {
      const repeated = repeatedKey(document);
      if (repeated !== undefined) {
        problems.push({ ...placeAt(startOf(repeated)), message: `the key ${String(repeated)} stands twice in one map` });
        continue;
      }
      const foreign = foreignTag(document);
      if (foreign !== undefined) {
        problems.push({
          ...placeAt(startOf(foreign)),
          message: `a value of ${foreign.tag} has no place in an object: write it as plain YAML`,
        });
        continue;
      }
      const value: unknown = document.toJS({ maxAliasCount: aliasCountMax });
      if (value === null || value === undefined) continue;
      for (const [object, node] of itemsOf(value, document.contents as ParsedNode | null)) {
        if (objects.length >= objectsMax) {
          problems.push({ ...placeAt(startOf(node)), message: `there are more than ${objectsMax} objects: check fewer at a time` });
          return { objects, problems };
        }
        objects.push({ object, placeOf: (path) => placeAt(offsetOf(node, path)) });
      }
    } catch (cause) {
      problems.push({ ...placeAt(startOf(document.contents)), message: firstLine(cause instanceof Error ? cause.message : String(cause)) });
    }
  }
  return { objects, problems };
}

/** In words, why there are none. */
function documentsOf(text: string, lineCounter: LineCounter): ReturnType<typeof parseAllDocuments> | string {
  if (text.length > textLengthMax) return `the text has more than ${textLengthMax} characters: check less at a time`;
  try {
    // The library looks for repeated keys by comparing each with each.
    const documents = parseAllDocuments(text, { lineCounter, prettyErrors: false, uniqueKeys: false, logLevel: "error" });
    return "empty" in documents ? [] : documents;
  } catch (cause) {
    return `it cannot be read: ${firstLine(cause instanceof Error ? cause.message : String(cause))}`;
  }
}

function repeatedKey(document: ReturnType<typeof parseAllDocuments>[number]): Scalar | undefined {
  let repeated: Scalar | undefined;
  visit(document, {
    Map(_key, map) {
      const keys = new Set<unknown>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        if (keys.has(key.value)) {
          repeated = key;
          return visit.BREAK;
        }
        keys.add(key.value);
      }
      return undefined;
    },
  });
  return repeated;
}

/** What JSON can hold. */
const plainTags = new Set(["str", "int", "float", "bool", "null", "map", "seq"].map((name) => `tag:yaml.org,2002:${name}`));

/** A value that is by its tag what JSON cannot hold, such as bytes or a set. */
function foreignTag(document: ReturnType<typeof parseAllDocuments>[number]): Node | undefined {
  let foreign: Node | undefined;
  visit(document, {
    Node(_key, node) {
      if (isAlias(node) || node.tag === undefined || plainTags.has(node.tag)) return undefined;
      foreign = node;
      return visit.BREAK;
    },
  });
  return foreign;
}

/** A list of objects, as `kubectl get -o yaml` writes it, stands for its items. */
function itemsOf(value: unknown, node: ParsedNode | null): [object: unknown, node: Node | null][] {
  const { kind, items } = value as { readonly kind?: unknown; readonly items?: unknown };
  if (typeof kind !== "string" || !kind.endsWith("List") || !Array.isArray(items)) return [[value, node]];
  const list = isMap(node) ? node.get("items", true) : undefined;
  return items.map((item, index) => [item, isSeq(list) ? ((list.items[index] as Node | undefined) ?? node) : node]);
}

/** Keys may hold dots: of those that the path may go on with, the longest is meant. */
function offsetOf(root: Node | null, path: string): number {
  let node: unknown = root;
  let rest = path;
  let offset = startOf(root);
  while (rest !== "") {
    if (isSeq(node)) {
      const [whole = "", index = ""] = /^\[([0-9]{1,6})\]\.?/.exec(rest) ?? [];
      const item = node.items[Number(index)];
      if (whole === "" || item === undefined) return offset;
      node = item;
      offset = startOf(item as Node, offset);
      rest = rest.slice(whole.length);
    } else if (isMap(node)) {
      const pairs = node.items.filter((pair) => isPair(pair) && isScalar(pair.key) && startsWithKey(rest, String(pair.key.value)));
      const keyLength = ({ key }: (typeof pairs)[number]): number => (isScalar(key) ? String(key.value).length : 0);
      const pair = pairs.sort((a, b) => keyLength(b) - keyLength(a))[0];
      if (pair === undefined) return offset;
      node = pair.value;
      offset = startOf(pair.key as Node, offset);
      rest = rest.slice(keyLength(pair)).replace(/^\./, "");
    } else {
      return offset;
    }
  }
  return offset;
}

function startsWithKey(path: string, key: string): boolean {
  if (key === "" || !path.startsWith(key)) return false;
  const next = path[key.length];
  return next === undefined || next === "." || next === "[";
}

function startOf(node: Node | null, otherwise = 0): number {
  return node?.range?.[0] ?? otherwise;
}

function firstLine(message: string): string {
  return message.split("\n")[0] ?? "";
}
