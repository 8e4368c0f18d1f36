/** What the generated code is made from: layouts of C, ready to be written as TypeScript. */
export interface CodecModel {
  readonly structs: readonly StructLayout[];
  readonly enums: readonly EnumLayout[];
  readonly maps: readonly MapLayout[];
  readonly rodata: readonly RodataLayout[];
}

export interface StructLayout {
  /** In C: `ct_key4`. */
  readonly cName: string;
  readonly sizeBytes: number;
  /** In memory order, without padding. */
  readonly fields: readonly FieldLayout[];
  /** Byte ranges that belong to no field, named or not; always written as zero. */
  readonly padding: readonly { readonly offset: number; readonly sizeBytes: number }[];
}

export interface FieldLayout {
  /** In TypeScript: `lowPort`. */
  readonly name: string;
  readonly offset: number;
  readonly shape: Shape;
  /** As C declares it, for people: `__be16`. */
  readonly cType: string;
}

export type Shape =
  | { readonly kind: "integer"; readonly sizeBytes: 1 | 2 | 4 | 8; readonly isSigned: boolean; readonly order: "little" | "network" }
  | { readonly kind: "boolean"; readonly sizeBytes: 1 }
  /** Kept as they are: addresses, MACs, unions. */
  | { readonly kind: "bytes"; readonly sizeBytes: number }
  | { readonly kind: "struct"; readonly cName: string; readonly sizeBytes: number }
  | { readonly kind: "tuple"; readonly element: Shape; readonly count: number; readonly sizeBytes: number };

export interface EnumLayout {
  readonly cName: string;
  readonly members: readonly { readonly name: string; readonly cName: string; readonly value: bigint }[];
}

export interface MapLayout {
  readonly name: string;
  /** Objects that declare it, by name without `.o`. */
  readonly objects: readonly string[];
  /** `lru_hash` */
  readonly type: string;
  readonly maxEntries: number;
  /** BPF_F_* of linux/bpf.h. */
  readonly flags: number;
  /** Absent where the kind of map has none, such as a ring buffer. */
  readonly key: Shape | undefined;
  readonly value: Shape | undefined;
  /** For a map of maps: what each of them is like. */
  readonly inner: InnerMapLayout | undefined;
}

export type InnerMapLayout = Omit<MapLayout, "name" | "objects" | "inner">;

export interface RodataLayout {
  readonly name: string;
  readonly objects: readonly string[];
  readonly shape: Shape;
}
