import { isDeepStrictEqual } from "node:util";
import { isObject, type MutableJson } from "../schema/schema.ts";

/** The patch cannot be applied; the message says which operation and why. */
export class PatchError extends Error {
  override readonly name = "PatchError";
}

/** More operations than this in one request are refused. */
const operationsMax = 10_000;
/** What all copies of one patch may add, in characters: copies of copies grow exponentially. */
const copiedSizeMax = 3 * 1024 * 1024;

/** RFC 6902. The target is not changed; its parts may be shared with the result. */
export function applyJsonPatch(target: MutableJson, patch: unknown): MutableJson {
  if (!Array.isArray(patch)) throw new PatchError("a JSON patch must be a list of operations");
  if (patch.length > operationsMax)
    throw new PatchError(`a JSON patch may have at most ${operationsMax} operations, this one has ${patch.length}`);
  let result = structuredClone(target);
  let copiedSize = 0;
  for (const [index, operation] of patch.entries()) {
    if (isObject(operation) && operation.op === "copy") {
      copiedSize += JSON.stringify(read(result, parsePointer(operation.from, "from", index), index)).length;
      if (copiedSize > copiedSizeMax) throw new PatchError(`operation ${index}: the copies of this patch exceed ${copiedSizeMax} bytes`);
    }
    result = applyOperation(result, operation, index);
  }
  return result;
}

function applyOperation(document: MutableJson, operation: unknown, index: number): MutableJson {
  if (!isObject(operation)) throw new PatchError(`operation ${index} must be an object`);
  const { op, value } = operation;
  const path = parsePointer(operation.path, "path", index);
  switch (op) {
    case "add":
    case "replace":
    case "test":
      if (value === undefined) throw new PatchError(`operation ${index} (${op}) needs a value`);
      if (op === "add") return put(document, path, structuredClone(value), "insert", index);
      if (op === "replace") return put(document, path, structuredClone(value), "replace", index);
      if (!isDeepStrictEqual(read(document, path, index), value))
        throw new PatchError(`operation ${index}: the test of ${pointer(path)} failed`);
      return document;
    case "remove":
      return remove(document, path, index);
    case "move":
    case "copy": {
      const from = parsePointer(operation.from, "from", index);
      const moved = structuredClone(read(document, from, index));
      if (op === "move" && path.length > from.length && from.every((part, depth) => part === path[depth])) {
        throw new PatchError(`operation ${index}: ${pointer(from)} cannot be moved into itself`);
      }
      return put(op === "move" ? remove(document, from, index) : document, path, moved, "insert", index);
    }
    default:
      throw new PatchError(`operation ${index}: "op" must be add, remove, replace, move, copy or test, not ${JSON.stringify(op ?? null)}`);
  }
}

function parsePointer(text: unknown, field: string, index: number): readonly string[] {
  if (typeof text !== "string" || (text !== "" && !text.startsWith("/"))) {
    throw new PatchError(`operation ${index}: "${field}" must be a JSON pointer such as /metadata/labels/app`);
  }
  if (text === "") return [];
  return text
    .slice(1)
    .split("/")
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function pointer(path: readonly string[]): string {
  return path.map((part) => `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

function read(document: MutableJson, path: readonly string[], index: number): MutableJson {
  let current: MutableJson | undefined = document;
  for (const part of path) {
    if (Array.isArray(current)) current = current[position(part, current.length - 1, path, index)];
    else current = isObject(current) && Object.hasOwn(current, part) ? current[part] : undefined;
    if (current === undefined) throw new PatchError(`operation ${index}: there is no ${pointer(path)}`);
  }
  return current as MutableJson;
}

function put(document: MutableJson, path: readonly string[], value: MutableJson, mode: "insert" | "replace", index: number): MutableJson {
  const last = path.at(-1);
  if (last === undefined) return value;
  const owner = read(document, path.slice(0, -1), index);
  if (Array.isArray(owner)) {
    if (mode === "insert") owner.splice(last === "-" ? owner.length : position(last, owner.length, path, index), 0, value);
    else owner[position(last, owner.length - 1, path, index)] = value;
  } else if (isObject(owner)) {
    if (mode === "replace" && !Object.hasOwn(owner, last)) throw new PatchError(`operation ${index}: there is no ${pointer(path)}`);
    setMember(owner, last, value);
  } else throw new PatchError(`operation ${index}: ${pointer(path.slice(0, -1))} is neither an object nor a list`);
  return document;
}

function setMember(owner: Record<string, MutableJson>, name: string, value: MutableJson): void {
  Object.defineProperty(owner, name, { value, enumerable: true, configurable: true, writable: true });
}

function remove(document: MutableJson, path: readonly string[], index: number): MutableJson {
  const last = path.at(-1);
  if (last === undefined) throw new PatchError(`operation ${index}: the whole object cannot be removed`);
  read(document, path, index);
  const owner = read(document, path.slice(0, -1), index);
  if (Array.isArray(owner)) owner.splice(position(last, owner.length - 1, path, index), 1);
  else if (isObject(owner)) delete owner[last];
  return document;
}

function position(part: string, last: number, path: readonly string[], index: number): number {
  const found = /^(0|[1-9][0-9]{0,8})$/.test(part) ? Number(part) : Number.NaN;
  if (!(found <= last)) throw new PatchError(`operation ${index}: ${pointer(path)} is outside of its list`);
  return found;
}
