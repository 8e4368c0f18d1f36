import { ByteReader, decodeCString } from "./byte-reader.ts";
import { MalformedObject } from "./malformed-object.ts";

/**
 * What a BTF section describes, as Linux' Documentation/bpf/btf.rst and include/uapi/linux/btf.h define it. A type is known by its
 * index in `Btf.types`; references (`typeId`) are such indexes and are checked to exist. Index 0 is `void`.
 */
export type BtfType =
  | { readonly kind: "void" }
  | BtfInt
  | { readonly kind: "pointer"; readonly typeId: number }
  | { readonly kind: "array"; readonly typeId: number; readonly count: number }
  | BtfStruct
  | BtfEnum
  | { readonly kind: "forward"; readonly name: string }
  | { readonly kind: "typedef"; readonly name: string; readonly typeId: number }
  | { readonly kind: "const" | "volatile" | "restrict" | "type-tag"; readonly typeId: number }
  | BtfVariable
  | { readonly kind: "section"; readonly name: string; readonly variableIds: readonly number[] }
  /** Functions, their prototypes, floats and declaration tags: nothing that has a layout here. */
  | { readonly kind: "other" };

export interface BtfInt {
  readonly kind: "int";
  readonly name: string;
  readonly sizeBytes: number;
  readonly bits: number;
  readonly encoding: "unsigned" | "signed" | "boolean";
}

export interface BtfStruct {
  readonly kind: "struct" | "union";
  readonly name: string;
  readonly sizeBytes: number;
  readonly members: readonly BtfMember[];
}

export interface BtfMember {
  /** Empty for an anonymous struct or union. */
  readonly name: string;
  readonly typeId: number;
  readonly offsetBits: number;
  /** 0: no bit field. */
  readonly bitFieldBits: number;
}

export interface BtfEnum {
  readonly kind: "enum";
  readonly name: string;
  readonly sizeBytes: number;
  readonly isSigned: boolean;
  readonly enumerators: readonly BtfEnumerator[];
}

export interface BtfEnumerator {
  readonly name: string;
  readonly value: bigint;
}

export interface BtfVariable {
  readonly kind: "variable";
  readonly name: string;
  readonly typeId: number;
}

export interface Btf {
  readonly types: readonly BtfType[];
}

const magic = 0xeb9f;
const headerSizeBytesMin = 24;
/** BTF_MAX_TYPE of linux/btf.h. */
const typeCountMax = 0x000f_ffff;

/** Reads a little-endian `.BTF` section; throws MalformedObject when it is not as the format says. */
export function decodeBtf(section: Uint8Array): Btf {
  const reader = new ByteReader(section, "the .BTF section");
  const found = reader.u16();
  if (found === 0x9feb) throw new MalformedObject("the .BTF section is big-endian: only little-endian machines are supported");
  if (found !== magic) throw new MalformedObject("the .BTF section does not start with BTF's magic number: compile with -g");
  const version = reader.u8();
  if (version !== 1) throw new MalformedObject(`the .BTF section has version ${version}: only version 1 is known`);
  reader.skip(1); // Flags.
  const headerSizeBytes = reader.u32();
  if (headerSizeBytes < headerSizeBytesMin)
    throw new MalformedObject(`the header of the .BTF section has ${headerSizeBytes} bytes, less than ${headerSizeBytesMin}`);
  const [typesOffset, typesSizeBytes, textsOffset, textsSizeBytes] = [reader.u32(), reader.u32(), reader.u32(), reader.u32()];
  const texts = reader.slice(headerSizeBytes + textsOffset, textsSizeBytes, "the BTF texts");
  const entries = new ByteReader(reader.slice(headerSizeBytes + typesOffset, typesSizeBytes, "the BTF types"), "the BTF types");

  const types: BtfType[] = [{ kind: "void" }];
  while (entries.remaining > 0) {
    if (types.length > typeCountMax) throw new MalformedObject(`the .BTF section has more than ${typeCountMax} types`);
    types.push(decodeType(entries, texts, types.length));
  }
  for (const [id, type] of types.entries()) checkReferences(type, id, types.length);
  return { types };
}

/** The kinds' numbers and what follows the first 12 bytes of each are those of linux/btf.h. */
function decodeType(entries: ByteReader, texts: Uint8Array, id: number): BtfType {
  const name = decodeCString(texts, entries.u32(), "the BTF texts");
  const information = entries.u32();
  const sizeOrType = entries.u32();
  const count = information & 0xffff;
  const kind = (information >>> 24) & 0x1f;
  const flag = information >>> 31 === 1;
  switch (kind) {
    case 1:
      return decodeInt(entries.u32(), name, sizeOrType);
    case 2:
      return { kind: "pointer", typeId: sizeOrType };
    case 3:
      return decodeArray(entries);
    case 4:
    case 5:
      return { kind: kind === 4 ? "struct" : "union", name, sizeBytes: sizeOrType, members: decodeMembers(entries, texts, count, flag) };
    case 6:
    case 19:
      return {
        kind: "enum",
        name,
        sizeBytes: sizeOrType,
        isSigned: flag,
        enumerators: decodeEnumerators(entries, texts, { count, isSigned: flag, isWide: kind === 19 }),
      };
    case 7:
      return { kind: "forward", name };
    case 8:
      return { kind: "typedef", name, typeId: sizeOrType };
    case 9:
      return { kind: "volatile", typeId: sizeOrType };
    case 10:
      return { kind: "const", typeId: sizeOrType };
    case 11:
      return { kind: "restrict", typeId: sizeOrType };
    case 18:
      return { kind: "type-tag", typeId: sizeOrType };
    case 14:
      entries.skip(4); // Linkage.
      return { kind: "variable", name, typeId: sizeOrType };
    case 15:
      return { kind: "section", name, variableIds: decodeVariableIds(entries, count) };
    case 13:
      entries.skip(count * 8); // A prototype's parameters.
      return { kind: "other" };
    case 12:
    case 16:
      return { kind: "other" };
    case 17:
      entries.skip(4); // Which member a declaration tag is about.
      return { kind: "other" };
    default:
      throw new MalformedObject(`BTF type ${id} is of the unknown kind ${kind}`);
  }
}

function decodeInt(description: number, name: string, sizeBytes: number): BtfType {
  const flags = (description >>> 24) & 0x0f;
  const bits = description & 0xff;
  if (![1, 2, 4, 8, 16].includes(sizeBytes) || bits > sizeBytes * 8)
    throw new MalformedObject(`the BTF integer "${name}" has ${bits} bits in ${sizeBytes} bytes`);
  return { kind: "int", name, sizeBytes, bits, encoding: (flags & 4) !== 0 ? "boolean" : (flags & 1) !== 0 ? "signed" : "unsigned" };
}

function decodeArray(entries: ByteReader): BtfType {
  const typeId = entries.u32();
  entries.skip(4); // Type of the index.
  return { kind: "array", typeId, count: entries.u32() };
}

function decodeMembers(entries: ByteReader, texts: Uint8Array, count: number, hasBitFields: boolean): BtfMember[] {
  return Array.from({ length: count }, () => {
    const name = decodeCString(texts, entries.u32(), "the BTF texts");
    const typeId = entries.u32();
    const offset = entries.u32();
    return hasBitFields
      ? { name, typeId, offsetBits: offset & 0xff_ffff, bitFieldBits: offset >>> 24 }
      : { name, typeId, offsetBits: offset, bitFieldBits: 0 };
  });
}

function decodeEnumerators(
  entries: ByteReader,
  texts: Uint8Array,
  shape: { count: number; isSigned: boolean; isWide: boolean },
): BtfEnumerator[] {
  return Array.from({ length: shape.count }, () => {
    const name = decodeCString(texts, entries.u32(), "the BTF texts");
    const low = BigInt(entries.u32());
    const bits = shape.isWide ? low | (BigInt(entries.u32()) << 32n) : low;
    return { name, value: shape.isSigned ? BigInt.asIntN(shape.isWide ? 64 : 32, bits) : bits };
  });
}

function decodeVariableIds(entries: ByteReader, count: number): number[] {
  return Array.from({ length: count }, () => {
    const typeId = entries.u32();
    entries.skip(8); // Offset and size: both are settled only when the object is loaded.
    return typeId;
  });
}

function checkReferences(type: BtfType, id: number, count: number): void {
  const references =
    "typeId" in type
      ? [type.typeId]
      : "members" in type
        ? type.members.map((member) => member.typeId)
        : "variableIds" in type
          ? type.variableIds
          : [];
  for (const reference of references) {
    if (reference >= count) throw new MalformedObject(`BTF type ${id} refers to type ${reference}, of ${count}`);
  }
}
