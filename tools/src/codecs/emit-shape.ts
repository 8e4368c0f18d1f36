import type { Shape } from "./layout.ts";
import { pascalCase } from "./names.ts";

/** Up to here bytes are written one by one, beyond by the engine's own copy: about where the two cost the same. */
const unrolledBytesMax = 16;

/** The type of the values, as TypeScript writes it. */
export function emitTypeOf(shape: Shape): string {
  switch (shape.kind) {
    case "integer":
      return shape.sizeBytes === 8 ? "bigint" : "number";
    case "boolean":
      return "boolean";
    case "bytes":
      return "Uint8Array";
    case "struct":
      return pascalCase(shape.cName);
    case "tuple":
      return `readonly [${Array.from({ length: shape.count }, () => emitTypeOf(shape.element)).join(", ")}]`;
  }
}

export interface Place {
  /** Expression of the value. */
  readonly value: string;
  /** Name for a variable that is free. */
  readonly local: string;
  /** Bytes from `offset`. */
  readonly at: number;
  /** For messages of the generated code: `ctKey4.lowPort`. */
  readonly path: string;
}

/** Statements that write the value into `target` from `offset` on, refusing what does not fit. */
export function emitWrite(shape: Shape, place: Place): string[] {
  const { value, local, at, path } = place;
  switch (shape.kind) {
    case "integer":
      return emitWriteInteger(shape, place);
    case "boolean":
      return [`target[${position(at)}] = ${value} ? 1 : 0;`];
    case "bytes":
      return [
        `const ${local} = ${value};`,
        `if (${local}.length !== ${shape.sizeBytes}) refuseLength("${path}", ${local}, ${shape.sizeBytes});`,
        ...(shape.sizeBytes > unrolledBytesMax
          ? [`target.set(${local}, ${position(at)});`]
          : emitStores(at, shape.sizeBytes, (index) => `${local}[${index}] as number`)),
      ];
    case "struct":
      return [`encode${pascalCase(shape.cName)}(${value}, target, ${position(at)});`];
    case "tuple":
      return Array.from({ length: shape.count }, (_, index) =>
        emitWrite(shape.element, {
          value: `${value}[${index}]`,
          local: `${local}${index}`,
          at: at + index * shape.element.sizeBytes,
          path: `${path}[${index}]`,
        }),
      ).flat();
  }
}

export function emitPadding(at: number, sizeBytes: number): string[] {
  if (sizeBytes > unrolledBytesMax) return [`target.fill(0, ${position(at)}, ${position(at + sizeBytes)});`];
  return emitStores(at, sizeBytes, () => "0");
}

/** An expression for the value at that many bytes from `offset` in `bytes`. */
export function emitRead(shape: Shape, at: number): string {
  switch (shape.kind) {
    case "integer":
      return emitReadInteger(shape, at);
    case "boolean":
      return `bytes[${position(at)}] !== 0`;
    case "bytes":
      return `copyBytes(bytes, ${position(at)}, ${shape.sizeBytes})`;
    case "struct":
      return `decode${pascalCase(shape.cName)}(bytes, ${position(at)})`;
    case "tuple":
      return `[${Array.from({ length: shape.count }, (_, index) => emitRead(shape.element, at + index * shape.element.sizeBytes)).join(", ")}]`;
  }
}

type IntegerShape = Extract<Shape, { kind: "integer" }>;

function emitWriteInteger(shape: IntegerShape, { value, local, at, path }: Place): string[] {
  const bits = shape.sizeBytes * 8;
  const refusal = `refuseInteger("${path}", ${local}, "${shape.isSigned ? "signed" : "unsigned"} ${bits}-bit");`;
  if (shape.sizeBytes === 8) {
    const scratch = shape.isSigned ? "scratchI64" : "scratchU64";
    return [
      `const ${local} = ${value};`,
      `${scratch}[0] = ${local};`,
      `if (${scratch}[0] !== ${local}) ${refusal}`,
      ...emitStores(at, 8, (index) => `scratchBytes[${index}] as number`),
    ];
  }
  return [
    `const ${local} = ${value};`,
    `if (${misfit(shape, local)}) ${refusal}`,
    ...emitStores(at, shape.sizeBytes, (index) => {
      const shift = 8 * (shape.order === "little" ? index : shape.sizeBytes - 1 - index);
      return shift === 0 ? local : `${local} >>> ${shift}`;
    }),
  ];
}

/** True for what the integer cannot hold: another number comes back from 8, 16 or 32 bits of it. */
function misfit(shape: IntegerShape, local: string): string {
  const spareBits = 32 - shape.sizeBytes * 8;
  if (shape.isSigned) return spareBits === 0 ? `(${local} | 0) !== ${local}` : `(${local} << ${spareBits}) >> ${spareBits} !== ${local}`;
  return spareBits === 0 ? `${local} >>> 0 !== ${local}` : `(${local} & ${shape.sizeBytes === 1 ? "0xff" : "0xffff"}) !== ${local}`;
}

function emitReadInteger(shape: IntegerShape, at: number): string {
  if (shape.sizeBytes === 8) return `${shape.isSigned ? "readI64" : "readU64"}(bytes, ${position(at)})`;
  const parts = Array.from({ length: shape.sizeBytes }, (_, index) => {
    const shift = 8 * (shape.order === "little" ? index : shape.sizeBytes - 1 - index);
    const part = `(bytes[${position(at + index)}] as number)`;
    return shift === 0 ? part : `(${part} << ${shift})`;
  });
  const bits = parts.join(" | ");
  if (shape.sizeBytes === 4) return shape.isSigned ? bits : `(${bits}) >>> 0`;
  const spareBits = 32 - shape.sizeBytes * 8;
  return shape.isSigned ? `((${bits}) << ${spareBits}) >> ${spareBits}` : bits;
}

/** Storing into a byte keeps the low 8 bits, so no mask is needed. */
function emitStores(at: number, count: number, source: (index: number) => string): string[] {
  return Array.from({ length: count }, (_, index) => `target[${position(at + index)}] = ${source(index)};`);
}

function position(at: number): string {
  return at === 0 ? "offset" : `offset + ${at}`;
}
