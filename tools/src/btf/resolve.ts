import type { Btf, BtfType } from "./btf.ts";
import { MalformedObject } from "./malformed-object.ts";

/** Longer chains than these are not written by people: they are loops in a malformed section. */
const chainLengthMax = 64;

export interface ResolvedType {
  readonly type: BtfType;
  /** Names of the typedefs on the way, outermost first: `__be16`, `__u16`. */
  readonly typedefs: readonly string[];
  readonly isConst: boolean;
  readonly isVolatile: boolean;
}

export function typeById(btf: Btf, typeId: number): BtfType {
  const type = btf.types[typeId];
  if (type === undefined) throw new MalformedObject(`BTF type ${typeId} does not exist`);
  return type;
}

/** Follows typedefs and qualifiers to the type that has a layout. */
export function resolveType(btf: Btf, typeId: number): ResolvedType {
  const typedefs: string[] = [];
  const qualifiers = new Set<string>();
  let id = typeId;
  for (let length = 0; length < chainLengthMax; length += 1) {
    const type = typeById(btf, id);
    switch (type.kind) {
      case "typedef":
        typedefs.push(type.name);
        break;
      case "const":
      case "volatile":
      case "restrict":
      case "type-tag":
        qualifiers.add(type.kind);
        break;
      default:
        return { type, typedefs, isConst: qualifiers.has("const"), isVolatile: qualifiers.has("volatile") };
    }
    id = type.typeId;
  }
  throw new MalformedObject(`BTF type ${typeId} is a chain of more than ${chainLengthMax} typedefs and qualifiers`);
}

/** Size in memory; throws for what has none, such as a function. */
export function sizeOfType(btf: Btf, typeId: number): number {
  let id = typeId;
  let factor = 1;
  for (let length = 0; length < chainLengthMax; length += 1) {
    const { type } = resolveType(btf, id);
    if (type.kind === "pointer") return factor * 8;
    if ("sizeBytes" in type) return factor * type.sizeBytes;
    if (type.kind !== "array") throw new MalformedObject(`BTF type ${id} (${type.kind}) has no size`);
    factor *= type.count;
    id = type.typeId;
  }
  throw new MalformedObject(`BTF type ${typeId} is an array of more than ${chainLengthMax} dimensions`);
}
