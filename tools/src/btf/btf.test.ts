import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { compileFixture } from "../codecs/compile-fixture.ts";
import { repositoryRoot } from "../repository.ts";
import { type Btf, type BtfEnum, type BtfStruct, type BtfType, type BtfVariable, decodeBtf } from "./btf.ts";
import { decodeElfSections } from "./elf.ts";
import { MalformedObject } from "./malformed-object.ts";
import { resolveType, sizeOfType } from "./resolve.ts";

let object: Uint8Array;
let section: Uint8Array;

before(async () => {
  object = await compileFixture(await readFile(join(repositoryRoot, "tools/testdata/shapes.c"), "utf8"));
  section = sectionNamed(object, ".BTF");
});

function sectionNamed(file: Uint8Array, name: string): Uint8Array {
  const found = decodeElfSections(file).find((candidate) => candidate.name === name);
  assert.ok(found, `no section ${name}`);
  return found.bytes;
}

function findNamed<Type extends BtfType>(btf: Btf, kind: Type["kind"], name: string): Type {
  const found = btf.types.find((type) => type.kind === kind && "name" in type && type.name === name);
  assert.ok(found, `no ${kind} ${name}`);
  return found as Type;
}

test("sections are found with their bytes, and those without bytes are empty", () => {
  assert.equal(new TextDecoder().decode(sectionNamed(object, "license")), "Dual BSD/GPL\0");
  assert.equal(decodeElfSections(object)[0]?.bytes.byteLength, 0);
});

test("structs, enums, typedefs, qualifiers and sections come out as C declared them", () => {
  const btf = decodeBtf(section);
  const inner = findNamed<BtfStruct>(btf, "struct", "inner");
  assert.equal(inner.sizeBytes, 4);
  assert.deepEqual(
    inner.members.map(({ name, offsetBits }) => [name, offsetBits]),
    [
      ["kind", 0],
      ["port", 16],
    ],
  );
  const port = resolveType(btf, inner.members[1]?.typeId ?? 0);
  assert.deepEqual([port.type.kind, port.typedefs], ["int", ["__be16", "__u16"]]);
  assert.deepEqual(findNamed<BtfEnum>(btf, "enum", "temperature").enumerators, [
    { name: "TEMPERATURE_COLD", value: -5n },
    { name: "TEMPERATURE_2HOT", value: 7n },
  ]);
  assert.equal(findNamed<BtfEnum>(btf, "enum", "colour").enumerators[1]?.value, 0x8000_0000n);
  assert.equal(findNamed<BtfEnum>(btf, "enum", "wide").enumerators[0]?.value, 0xffff_ffff_ffff_ffffn);
  const settings = findNamed<BtfVariable>(btf, "variable", "settings");
  const resolved = resolveType(btf, settings.typeId);
  assert.deepEqual([resolved.isConst, resolved.isVolatile, resolved.type === inner], [true, true, true]);
  assert.equal(sizeOfType(btf, findNamed<BtfVariable>(btf, "variable", "salt").typeId), 8);
  const maps = findNamed<Extract<BtfType, { kind: "section" }>>(btf, "section", ".maps").variableIds.map((id) => btf.types[id]);
  assert.deepEqual(maps.map((type) => type?.kind === "variable" && type.name).sort(), ["outer", "plain_map", "ring", "sized"]);
});

test("what is no little-endian 64-bit BPF object is refused with the reason", () => {
  const damaged = (change: (bytes: Uint8Array) => void): Uint8Array => {
    const copy = Uint8Array.from(object);
    change(copy);
    return copy;
  };
  const rows: [Uint8Array, RegExp][] = [
    [new Uint8Array(0), /no ELF file/],
    [new TextEncoder().encode("#!/bin/sh\n".repeat(10)), /no ELF file/],
    [damaged((bytes) => bytes.fill(1, 4, 4 + 1)), /not of the 64-bit class/],
    [damaged((bytes) => bytes.fill(2, 5, 5 + 1)), /big-endian/],
    [damaged((bytes) => bytes.fill(62, 18, 18 + 1)), /machine 62, not for BPF/],
    [object.subarray(0, object.length - 200), /lies outside of/],
    [damaged((bytes) => bytes.fill(0xff, 62, 64)), /section 65535, said to hold the names, does not exist/],
  ];
  for (const [bytes, message] of rows) assert.throws(() => decodeElfSections(bytes), { name: "MalformedObject", message });
});

test("a .BTF section that breaks its format is refused with the reason", () => {
  const header = (types: readonly number[], texts = "\0name\0"): Uint8Array => {
    const words = new Uint8Array(new Uint32Array(types).buffer);
    const text = new TextEncoder().encode(texts);
    const head = new Uint8Array(new Uint32Array([0x0001_eb9f, 24, 0, words.length, words.length, text.length]).buffer);
    return Uint8Array.from([...head, ...words, ...text]);
  };
  const kind = (number: number, count = 0): number => (number << 24) | count;
  const rows: [Uint8Array, RegExp][] = [
    [new Uint8Array(0), /ends at byte 0/],
    [Uint8Array.of(0xeb, 0x9f, 1, 0), /big-endian/],
    [new Uint8Array(24), /magic number/],
    [header([0, kind(30), 0]), /type 1 is of the unknown kind 30/],
    [header([0, kind(2), 7]), /type 1 refers to type 7, of 2/],
    [header([99, kind(2), 0]), /no text that ends at offset 99/],
    [header([0, kind(4, 3), 8]), /the BTF types ends at byte 12/],
    [header([1, kind(1), 3, 24]), /the BTF integer "name" has 24 bits in 3 bytes/],
  ];
  for (const [bytes, message] of rows) assert.throws(() => decodeBtf(bytes), { name: "MalformedObject", message });
  assert.throws(() => resolveType(decodeBtf(header([1, kind(8), 1])), 1), { name: "MalformedObject", message: /chain of more than/ });
});

test("whatever bytes come, the answer is a value or a MalformedObject", () => {
  for (let seed = 0; seed < 1500; seed += 1) {
    const random = createRandom(seed);
    const original = random.chance(0.5) ? object : section;
    const bytes = Uint8Array.from(original).subarray(0, random.chance(0.2) ? random.below(original.length) : original.length);
    for (let count = 1 + random.below(12); count > 0; count -= 1) {
      // Most damage goes to the headers and tables, where it matters.
      const at = random.chance(0.3) ? random.below(64) : random.below(original.length);
      if (at < bytes.length) bytes[at] = random.chance(0.3) ? 0xff : random.below(256);
    }
    try {
      const btf = original === object ? decodeBtf(sectionNamedOr(bytes)) : decodeBtf(bytes);
      for (let id = 0; id < btf.types.length; id += 1) tryToResolve(btf, id);
    } catch (cause) {
      assert.ok(cause instanceof MalformedObject, `seed ${seed}: ${String(cause)}`);
    }
  }
});

function sectionNamedOr(file: Uint8Array): Uint8Array {
  const found = decodeElfSections(file).find(({ name }) => name === ".BTF");
  if (found === undefined) throw new MalformedObject("no .BTF");
  return found.bytes;
}

function tryToResolve(btf: Btf, id: number): void {
  try {
    sizeOfType(btf, id);
  } catch (cause) {
    assert.ok(cause instanceof MalformedObject, String(cause));
  }
}
