import type { Btf, BtfEnum, BtfInt, BtfStruct } from "../btf/btf.ts";
import { resolveType, sizeOfType, typeById } from "../btf/resolve.ts";
import type { EnumLayout, FieldLayout, Shape, StructLayout } from "./layout.ts";
import { camelCase, enumeratorNames } from "./names.ts";

/** Longer arrays of anything but bytes would make long functions: there is none yet, and one loop template to write when there is. */
const tupleCountMax = 16;

/** Reads the shapes of one object's types and gathers the structs that they need. */
export class ShapeReader {
  /** Structs met so far, by C name. */
  readonly layouts: Map<string, StructLayout> = new Map();
  readonly #btf: Btf;
  /** Structs around the one being read. */
  readonly #open = new Set<BtfStruct>();

  constructor(btf: Btf) {
    this.#btf = btf;
  }

  /** How values of the type are written. `where` names it in messages. Throws for what user space cannot share. */
  read(typeId: number, where: string): Shape {
    const { type, typedefs } = resolveType(this.#btf, typeId);
    switch (type.kind) {
      case "int":
        return integerShape(type, typedefs, where);
      case "enum":
        return { kind: "integer", sizeBytes: wordSize(type.sizeBytes, where), isSigned: type.isSigned, order: "little" };
      case "array":
        sizeOfType(this.#btf, typeId); // Refuses an array that is made of itself.
        return arrayShape(this.read(type.typeId, where), type.count, where);
      case "union":
        // Which member counts is known to the reader of the value alone.
        return { kind: "bytes", sizeBytes: type.sizeBytes };
      case "struct":
        return this.#readStruct(type, where);
      case "pointer":
        throw new Error(`${where} is a pointer, which means nothing outside of the kernel: leave it out of what user space shares`);
      default:
        throw new Error(`${where} is of the kind ${type.kind}, which has no layout that user space could share`);
    }
  }

  #readStruct(type: BtfStruct, where: string): Shape {
    // A struct without a name is named for the place that it stands in.
    const cName = type.name === "" ? where.replaceAll(/\W+/g, "_") : type.name;
    const shape: Shape = { kind: "struct", cName, sizeBytes: type.sizeBytes };
    if (type.name !== "" && this.layouts.has(cName)) return shape;
    const fields = this.#readFields(type, cName, 0);
    checkFields(cName, type.sizeBytes, fields);
    this.layouts.set(cName, { cName, sizeBytes: type.sizeBytes, fields, padding: findPadding(fields, type.sizeBytes) });
    return shape;
  }

  /** Members of a struct without a name count as its owner's. */
  #readFields(type: BtfStruct, cName: string, baseBytes: number): FieldLayout[] {
    if (this.#open.has(type)) throw new Error(`${cName} contains itself`);
    this.#open.add(type);
    const fields = type.members.flatMap((member): FieldLayout[] => {
      const where = `${cName}.${member.name}`;
      if (member.bitFieldBits !== 0 || member.offsetBits % 8 !== 0)
        throw new Error(`${where} is a bit field, whose order the compiler chooses: use flags`);
      const offset = baseBytes + member.offsetBits / 8;
      const inner = resolveType(this.#btf, member.typeId).type;
      if (member.name === "" && inner.kind === "struct") return this.#readFields(inner, cName, offset);
      if (member.name === "") throw new Error(`${cName} has a union without a name: name it`);
      if (isPadding(member.name)) return [];
      return [{ name: camelCase(member.name), offset, shape: this.read(member.typeId, where), cType: describe(this.#btf, member.typeId) }];
    });
    this.#open.delete(type);
    return fields;
  }
}

/** IPv4 addresses are bytes; ports, which people compare and print, are numbers. */
function integerShape(type: BtfInt, typedefs: readonly string[], where: string): Shape {
  if (typedefs.includes("__be32") || typedefs.includes("__be64")) return { kind: "bytes", sizeBytes: type.sizeBytes };
  if (type.encoding === "boolean" && type.sizeBytes === 1) return { kind: "boolean", sizeBytes: 1 };
  const order = typedefs.includes("__be16") ? "network" : "little";
  return { kind: "integer", sizeBytes: wordSize(type.sizeBytes, where), isSigned: type.encoding === "signed", order };
}

function wordSize(sizeBytes: number, where: string): 1 | 2 | 4 | 8 {
  if (sizeBytes === 1 || sizeBytes === 2 || sizeBytes === 4 || sizeBytes === 8) return sizeBytes;
  throw new Error(`${where} is an integer of ${sizeBytes} bytes: use an array of __u64`);
}

function arrayShape(element: Shape, count: number, where: string): Shape {
  const sizeBytes = element.sizeBytes * count;
  if (element.kind === "bytes" || (element.kind === "integer" && element.sizeBytes === 1)) return { kind: "bytes", sizeBytes };
  if (count > tupleCountMax) throw new Error(`${where} is an array of ${count}: only bytes may be more than ${tupleCountMax}`);
  if (element.kind === "tuple") throw new Error(`${where} is an array of arrays: only those of bytes are known`);
  return { kind: "tuple", element, count, sizeBytes };
}

/** `pad`, `pad2`, `_pad`: there to be zero. */
function isPadding(name: string): boolean {
  return /^_*pad\d*$/.test(name);
}

function checkFields(cName: string, sizeBytes: number, fields: readonly FieldLayout[]): void {
  const names = new Set<string>();
  let end = 0;
  for (const { name, offset, shape } of fields) {
    if (!/^[a-z]\w*$/.test(name)) throw new Error(`${cName} has a field that becomes "${name}", which is no name in TypeScript`);
    if (names.has(name)) throw new Error(`${cName} has two fields that become ${name}`);
    if (offset < end) throw new Error(`${cName}.${name} overlaps the field before it`);
    names.add(name);
    end = offset + shape.sizeBytes;
  }
  if (end > sizeBytes) throw new Error(`the fields of ${cName} reach to byte ${end} of ${sizeBytes}`);
}

function findPadding(fields: readonly FieldLayout[], sizeBytes: number): { offset: number; sizeBytes: number }[] {
  const padding: { offset: number; sizeBytes: number }[] = [];
  let end = 0;
  for (const part of [...fields, { offset: sizeBytes, shape: { sizeBytes: 0 } }]) {
    if (part.offset > end) padding.push({ offset: end, sizeBytes: part.offset - end });
    end = part.offset + part.shape.sizeBytes;
  }
  return padding;
}

/** As C writes it. */
function describe(btf: Btf, typeId: number): string {
  const type = typeById(btf, typeId);
  switch (type.kind) {
    case "typedef":
    case "int":
      return type.name;
    case "struct":
    case "union":
    case "enum":
      return type.name === "" ? type.kind : `${type.kind} ${type.name}`;
    case "array":
      return `${describe(btf, type.typeId)}[${type.count}]`;
    case "const":
    case "volatile":
    case "restrict":
    case "type-tag":
      return describe(btf, type.typeId);
    default:
      return `${sizeOfType(btf, typeId)} bytes`;
  }
}

export function readEnum(type: BtfEnum): EnumLayout {
  const names = enumeratorNames(
    type.name,
    type.enumerators.map(({ name }) => name),
  );
  const members = type.enumerators.map(({ name, value }, index) => ({ name: names[index] ?? name, cName: name, value }));
  if (new Set(names).size !== names.length) throw new Error(`two enumerators of enum ${type.name} become the same name in TypeScript`);
  return { cName: type.name, members };
}
