import { type Btf, type BtfStruct, type BtfType, type BtfVariable, decodeBtf } from "../btf/btf.ts";
import { decodeElfSections } from "../btf/elf.ts";
import { resolveType, typeById } from "../btf/resolve.ts";
import type { CodecModel, EnumLayout, InnerMapLayout, MapLayout, RodataLayout, Shape } from "./layout.ts";
import { readEnum, ShapeReader } from "./read-shape.ts";

/** A compiled program: `pod` for `bpf/build/pod.o`. */
export interface CompiledObject {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Numbers of `enum bpf_map_type` in linux/bpf.h. */
const mapTypes: Readonly<Record<number, string>> = {
  1: "hash",
  2: "array",
  3: "prog_array",
  5: "percpu_hash",
  6: "percpu_array",
  9: "lru_hash",
  10: "lru_percpu_hash",
  11: "lpm_trie",
  12: "array_of_maps",
  13: "hash_of_maps",
  14: "devmap",
  15: "sockmap",
  16: "cpumap",
  18: "sockhash",
  22: "queue",
  23: "stack",
  24: "sk_storage",
  27: "ringbuf",
};

/**
 * What one object shares with user space: keys and values of the maps in `.maps`, variables of `.rodata` that are `const volatile`, and
 * structs that are events (`event_header`, `*_notify`) or members of a union variable, with all that these contain; and every enum with a
 * name except the kernel's own `bpf_*`.
 */
export function readObject(object: CompiledObject): CodecModel {
  try {
    const section = decodeElfSections(object.bytes).find(({ name }) => name === ".BTF");
    if (section === undefined) throw new Error("it has no .BTF section: compile with -g");
    return readModel(decodeBtf(section.bytes), object.name);
  } catch (cause) {
    throw new Error(`no codecs can be made from ${object.name}.o: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

function readModel(btf: Btf, objectName: string): CodecModel {
  const shapes = new ShapeReader(btf);
  const maps: MapLayout[] = [];
  const rodata: RodataLayout[] = [];
  const enums: EnumLayout[] = [];
  for (const [id, type] of btf.types.entries()) {
    if (type.kind === "section" && type.name === ".maps") {
      for (const variable of variablesOf(btf, type.variableIds)) maps.push(readMap(btf, variable, objectName, shapes));
    } else if (type.kind === "section" && type.name === ".rodata") {
      for (const variable of variablesOf(btf, type.variableIds)) {
        const { type: variableType } = resolveType(btf, variable.typeId);
        // Only a volatile one is read at run time: the compiler has built the others in.
        if (!isVolatile(btf, variable.typeId)) continue;
        if (variableType.kind === "union") readLayouts(btf, variableType, shapes);
        else rodata.push({ name: variable.name, objects: [objectName], shape: shapes.read(variable.typeId, variable.name) });
      }
    } else if (type.kind === "struct" && (type.name === "event_header" || type.name.endsWith("_notify"))) {
      shapes.read(id, type.name);
    } else if (type.kind === "enum" && type.name !== "" && !type.name.startsWith("bpf_")) {
      enums.push(readEnum(type));
    }
  }
  return { structs: [...shapes.layouts.values()], enums, maps, rodata };
}

/** A variable that is a union is never read: it stands there to carry the layouts of its members. */
function readLayouts(btf: Btf, union: BtfStruct, shapes: ShapeReader): void {
  for (const member of union.members) {
    const { type } = resolveType(btf, member.typeId);
    if (type.kind === "struct" && type.name !== "") shapes.read(member.typeId, type.name);
  }
}

/** An array is as its elements are. */
function isVolatile(btf: Btf, typeId: number): boolean {
  const resolved = resolveType(btf, typeId);
  return resolved.isVolatile || (resolved.type.kind === "array" && resolveType(btf, resolved.type.typeId).isVolatile);
}

function variablesOf(btf: Btf, ids: readonly number[]): BtfVariable[] {
  return ids.map((id) => typeById(btf, id)).filter((type) => type.kind === "variable");
}

function readMap(btf: Btf, variable: BtfVariable, objectName: string, shapes: ShapeReader): MapLayout {
  const outer = readMapDefinition(btf, variable.typeId, variable.name, shapes);
  const inner =
    outer.innerTypeId === undefined ? undefined : readMapDefinition(btf, outer.innerTypeId, `${variable.name}.values`, shapes).layout;
  return { name: variable.name, objects: [objectName], ...outer.layout, inner };
}

/**
 * libbpf's BTF-defined maps: a number is the length of an array that a member points to, a type is what a member points to,
 * and `values` is an array of pointers to the definition of the inner maps.
 */
function readMapDefinition(
  btf: Btf,
  typeId: number,
  where: string,
  shapes: ShapeReader,
): { layout: InnerMapLayout; innerTypeId: number | undefined } {
  const { type } = resolveType(btf, typeId);
  if (type.kind !== "struct") throw new Error(`map ${where} is not defined by a struct`);
  const members = new Map(type.members.map((member) => [member.name, resolveType(btf, member.typeId).type]));
  const numberOf = (name: string): number => {
    const member = members.get(name);
    if (member === undefined) return 0;
    const pointed = member.kind === "pointer" ? resolveType(btf, member.typeId).type : undefined;
    if (pointed?.kind !== "array") throw new Error(`map ${where}: ${name} is not written with __uint()`);
    return pointed.count;
  };
  const shapeOf = (name: "key" | "value"): Shape | undefined => {
    const member = members.get(name);
    if (member?.kind === "pointer") return shapes.read(member.typeId, `${where}.${name}`);
    const sizeBytes = numberOf(`${name}_size`);
    return sizeBytes === 0 ? undefined : { kind: "bytes", sizeBytes };
  };
  const typeName = mapTypes[numberOf("type")];
  if (typeName === undefined) throw new Error(`map ${where} is of the unknown type ${numberOf("type")} of linux/bpf.h`);
  const layout: InnerMapLayout = {
    type: typeName,
    maxEntries: numberOf("max_entries"),
    flags: numberOf("map_flags"),
    key: shapeOf("key"),
    value: shapeOf("value"),
  };
  return { layout, innerTypeId: innerTypeOf(btf, members.get("values")) };
}

function innerTypeOf(btf: Btf, values: BtfType | undefined): number | undefined {
  if (values?.kind !== "array") return undefined;
  const element = resolveType(btf, values.typeId).type;
  if (element.kind !== "pointer") return undefined;
  // The values of a prog_array point to functions.
  return resolveType(btf, element.typeId).type.kind === "struct" ? element.typeId : undefined;
}

/** Puts what several objects share together; what has one name must have one layout everywhere. Sorted by name. */
export function mergeModels(models: readonly CodecModel[]): CodecModel {
  const byCName = ({ cName }: { readonly cName: string }): string => `layout ${cName}`;
  const byName = ({ name }: { readonly name: string }): string => `variable ${name}`;
  const alone = <Layout>(layout: Layout): Layout => layout;
  const shared = <Layout extends { readonly objects: readonly string[] }>(known: Layout, layout: Layout): Layout => ({
    ...known,
    objects: [...known.objects, ...layout.objects],
  });
  const structs = models.flatMap((model) => model.structs);
  const enums = models.flatMap((model) => model.enums);
  const maps = models.flatMap((model) => model.maps);
  const rodata = models.flatMap((model) => model.rodata);
  return {
    structs: merge(structs, byCName, alone),
    enums: merge(enums, byCName, alone),
    maps: merge(maps, byName, shared),
    rodata: merge(rodata, byName, shared),
  };
}

function merge<Layout extends object>(
  layouts: readonly Layout[],
  nameOf: (layout: Layout) => string,
  join: (known: Layout, layout: Layout) => Layout,
): Layout[] {
  const byName = new Map<string, Layout>();
  for (const layout of layouts) {
    const name = nameOf(layout);
    const known = byName.get(name);
    if (known !== undefined && describeLayout(known) !== describeLayout(layout)) {
      throw new Error(
        `two objects disagree about ${name}: give one of them another name\n  ${describeLayout(known)}\n  ${describeLayout(layout)}`,
      );
    }
    byName.set(name, known === undefined ? layout : join(known, layout));
  }
  return [...byName.entries()].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, layout]) => layout);
}

function describeLayout(layout: object): string {
  return JSON.stringify({ ...layout, objects: undefined }, (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
}
