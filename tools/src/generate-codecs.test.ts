import assert from "node:assert/strict";
import { mkdtempDisposable, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createRandom, type Random } from "@cilium-ts/testing";
import { decodeElfSections } from "./btf/elf.ts";
import { compileFixture } from "./codecs/compile-fixture.ts";
import type { CodecModel, Shape } from "./codecs/layout.ts";
import { camelCase } from "./codecs/names.ts";
import { readObject } from "./codecs/read-object.ts";
import type { Codec } from "./codecs/template/codec.ts";
import { generateCodecs } from "./generate-codecs.ts";
import { repositoryRoot } from "./repository.ts";
import { runCommand } from "./run-command.ts";

type AnyRecord = Readonly<Record<string, unknown>>;

const cleanup = new AsyncDisposableStack();
let directory: string;
let object: Uint8Array;
let model: CodecModel;
/** The generated module: read as a user of it would, only without its types. */
let generated: AnyRecord;

before(async () => {
  const temporary = cleanup.use(await mkdtempDisposable(join(tmpdir(), "codecs-")));
  directory = temporary.path;
  object = await compileFixture(await readFile(join(repositoryRoot, "tools/testdata/shapes.c"), "utf8"));
  model = readObject({ name: "shapes", bytes: object });
  await writeFile(join(directory, "package.json"), '{ "type": "module" }');
  for (const [name, text] of await generateCodecs([{ name: "shapes", bytes: object }])) await writeFile(join(directory, name), text);
  generated = await import(join(directory, "index.ts"));
});
after(() => cleanup.disposeAsync());

function codecNamed(cName: string): Codec<unknown> {
  return generated[`${camelCase(cName)}Codec`] as Codec<unknown>;
}

/** What the C compiler laid out as `example`, in TypeScript. */
const example = {
  small: 0xf1,
  smallSigned: -2,
  middle: 0xf203,
  middleSigned: -4000,
  networkPort: 8080,
  large: 0xf102_0304,
  largeSigned: -5,
  ipv4: Uint8Array.of(10, 0, 1, 2),
  largest: 0xf102_0304_0506_0708n,
  largestSigned: -6n,
  networkWord: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  yes: true,
  mac: Uint8Array.of(2, 0, 0, 0, 0, 9),
  text: new TextEncoder().encode("nineteen characters".padEnd(40, "\0")),
  counters: [1, 0xffff_ffff, 3],
  addresses: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  pair: [
    { kind: 1, port: 1 },
    { kind: 2, port: 65535 },
  ],
  nested: { kind: 3, port: 443 },
  choice: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16),
  unnamed: { width: 777 },
  flattened: 888,
  value: 10,
  target: 11,
  offset: 12,
  colour: 0x8000_0000,
  temperature: -5,
  qualified: 13,
};

test("a value that the C compiler laid out decodes to what was written in C, and encodes to the same bytes", () => {
  const section = decodeElfSections(object).find(({ name }) => name === ".example");
  assert.ok(section);
  const codec = codecNamed("everything");
  assert.equal(codec.sizeBytes, section.bytes.length);
  assert.deepEqual(codec.decode(section.bytes), example);
  assert.deepEqual(codec.encode(example), Uint8Array.from(section.bytes));
});

test("every value comes back from its bytes, and all bytes but the padding come back from their value", () => {
  assert.ok(model.structs.length >= 4);
  for (const layout of model.structs) {
    const codec = codecNamed(layout.cName);
    for (let seed = 0; seed < 200; seed += 1) {
      const random = createRandom(seed);
      const value = randomValue({ kind: "struct", cName: layout.cName, sizeBytes: layout.sizeBytes }, random);
      // Bytes around the value must stay; those inside must all be written.
      const offset = random.below(5);
      const target = new Uint8Array(layout.sizeBytes + 8).fill(0xee);
      assert.equal(codec.encode(value, target, offset), target);
      assert.deepEqual(codec.decode(target, offset), value, `${layout.cName}, seed ${seed}`);
      assert.deepEqual(target.subarray(offset, offset + layout.sizeBytes), codec.encode(value));
      assert.ok(
        target.subarray(0, offset).every((byte) => byte === 0xee) &&
          target.subarray(offset + layout.sizeBytes).every((byte) => byte === 0xee),
      );
      const bytes = Uint8Array.from({ length: layout.sizeBytes }, () => random.below(2));
      const again = codec.encode(codec.decode(bytes));
      for (const { offset: start, sizeBytes } of paddingOf(layout.cName)) bytes.fill(0, start, start + sizeBytes);
      assert.deepEqual(again, bytes, `${layout.cName}, seed ${seed}`);
    }
  }
});

function structNamed(cName: string): CodecModel["structs"][number] {
  const layout = model.structs.find((candidate) => candidate.cName === cName);
  assert.ok(layout, cName);
  return layout;
}

function randomValue(shape: Shape, random: Random): unknown {
  switch (shape.kind) {
    case "integer":
      return randomInteger(shape, random);
    case "boolean":
      return random.chance(0.5);
    case "bytes":
      return Uint8Array.from({ length: shape.sizeBytes }, () => random.below(256));
    case "tuple":
      return Array.from({ length: shape.count }, () => randomValue(shape.element, random));
    case "struct":
      return Object.fromEntries(structNamed(shape.cName).fields.map((field) => [field.name, randomValue(field.shape, random)]));
  }
}

function randomInteger(shape: Extract<Shape, { kind: "integer" }>, random: Random): number | bigint {
  const bits = shape.sizeBytes * 8;
  const edge = random.chance(0.2) ? (random.chance(0.5) ? 0n : (1n << BigInt(bits)) - 1n) : undefined;
  const raw = edge ?? BigInt.asUintN(bits, (BigInt(random.below(2 ** 32)) << 32n) | BigInt(random.below(2 ** 32)));
  const value = shape.isSigned ? BigInt.asIntN(bits, raw) : raw;
  return shape.sizeBytes === 8 ? value : Number(value);
}

/** Also that of the structs inside. */
function paddingOf(cName: string, base = 0): { offset: number; sizeBytes: number }[] {
  const layout = structNamed(cName);
  const inside = (shape: Shape, at: number): { offset: number; sizeBytes: number }[] => {
    if (shape.kind === "struct") return paddingOf(shape.cName, at);
    if (shape.kind !== "tuple") return [];
    return Array.from({ length: shape.count }, (_, index) => inside(shape.element, at + index * shape.element.sizeBytes)).flat();
  };
  return [
    ...layout.padding.map(({ offset, sizeBytes }) => ({ offset: base + offset, sizeBytes })),
    ...layout.fields.flatMap((field) => inside(field.shape, base + field.offset)),
  ];
}

test("what does not fit its field is refused, and the message names the field", () => {
  const codec = codecNamed("everything");
  const rows: [AnyRecord, RegExp][] = [
    [{ small: 256 }, /^everything\.small is 256, which is no unsigned 8-bit integer$/],
    [{ small: -1 }, /everything\.small is -1/],
    [{ small: 1.5 }, /everything\.small is 1\.5/],
    [{ small: Number.NaN }, /everything\.small is NaN/],
    [{ small: undefined }, /everything\.small is undefined/],
    [{ smallSigned: 128 }, /everything\.smallSigned is 128, which is no signed 8-bit integer/],
    [{ middleSigned: -32769 }, /everything\.middleSigned is -32769/],
    [{ networkPort: 70000 }, /everything\.networkPort is 70000, which is no unsigned 16-bit integer/],
    [{ large: 2 ** 32 }, /everything\.large is 4294967296/],
    [{ largeSigned: 2 ** 31 }, /everything\.largeSigned is 2147483648/],
    [{ largest: -1n }, /everything\.largest is -1, which is no unsigned 64-bit integer/],
    [{ largest: 1n << 64n }, /everything\.largest is 18446744073709551616/],
    [{ largestSigned: 1n << 63n }, /everything\.largestSigned is 9223372036854775808/],
    [{ mac: new Uint8Array(5) }, /^everything\.mac has 5 bytes, not 6$/],
    [{ text: new Uint8Array(41) }, /everything\.text has 41 bytes, not 40/],
    [{ counters: [1, 2] }, /everything\.counters\[2\] is undefined/],
    [{ nested: { kind: 1, port: 65536 } }, /inner\.port is 65536/],
  ];
  for (const [change, message] of rows) assert.throws(() => codec.encode({ ...example, ...change }), { name: "RangeError", message });
});

test("too few bytes and impossible offsets are refused in both directions", () => {
  const codec = codecNamed("inner");
  for (const offset of [1, -1, 0.5, Number.NaN, 2 ** 32]) {
    assert.throws(() => codec.decode(new Uint8Array(4), offset), { name: "RangeError", message: /^inner takes 4 bytes at/ });
    assert.throws(() => codec.encode({ kind: 1, port: 2 }, new Uint8Array(4), offset), {
      name: "RangeError",
      message: /^inner takes 4 bytes at/,
    });
  }
});

test("a decoded value shares no memory with its bytes", () => {
  const bytes = codecNamed("everything").encode(example);
  const value = codecNamed("everything").decode(bytes);
  bytes.fill(0xff);
  assert.deepEqual(value, example);
});

test("maps carry type, sizes, flags and codecs, and say what the inner maps of a map of maps are like", () => {
  const maps = generated.maps as Record<string, AnyRecord>;
  assert.deepEqual(Object.keys(maps).sort(), ["outer", "plainMap", "ring", "sized"]);
  assert.deepEqual(maps.plainMap, {
    ...{ name: "plain_map", objects: ["shapes"], type: "lpm_trie", keySizeBytes: 4, valueSizeBytes: codecNamed("everything").sizeBytes },
    ...{ maxEntries: 512, flags: 1, key: codecNamed("inner"), value: codecNamed("everything") },
  });
  assert.deepEqual(maps.ring, {
    name: "ring",
    objects: ["shapes"],
    type: "ringbuf",
    keySizeBytes: 0,
    valueSizeBytes: 0,
    maxEntries: 4096,
    flags: 0,
    key: undefined,
    value: undefined,
  });
  const port = maps.sized?.value as Codec<number>;
  assert.deepEqual([port.encode(443), port.decode(Uint8Array.of(0, 80)), maps.sized?.keySizeBytes], [Uint8Array.of(1, 187), 80, 12]);
  const inner = maps.outer?.inner as AnyRecord;
  assert.deepEqual([inner.type, inner.keySizeBytes, inner.valueSizeBytes, inner.maxEntries], ["hash", 4, 8, 16]);
  assert.equal((inner.value as Codec<bigint>).decode(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0x80)), 0x8000_0000_0000_0001n);
});

test("variables to be set at load are those that are const volatile", () => {
  const rodata = generated.rodata as Record<string, { name: string; codec: Codec<unknown> }>;
  assert.deepEqual(Object.keys(rodata).sort(), ["limit", "salt", "settings"]);
  assert.equal(rodata.settings?.codec, codecNamed("inner"));
  assert.deepEqual(rodata.limit?.codec.encode(7), Uint8Array.of(7, 0, 0, 0));
  assert.equal(rodata.salt?.codec.sizeBytes, 8);
});

test("enums drop what their members have of the enum's name", () => {
  assert.deepEqual(generated.colour, { red: 1, darkBlue: 0x8000_0000 });
  assert.deepEqual(generated.temperature, { cold: -5, temperature2hot: 7 });
  assert.deepEqual(generated.wide, { largest: 0xffff_ffff_ffff_ffffn });
});

test("layouts tell where each field is", () => {
  assert.deepEqual(generated.innerLayout, { sizeBytes: 4, offsets: { kind: 0, port: 2 } });
  assert.deepEqual(generated.onlyInUnionLayout, { sizeBytes: 4, offsets: { word: 0 } });
  assert.deepEqual(generated.shapeNotifyLayout, { sizeBytes: 24, offsets: { header: 0, flags: 16 } });
});

test("what is generated compiles under the project's rules", async () => {
  const flags = [
    "strict",
    "noUncheckedIndexedAccess",
    "exactOptionalPropertyTypes",
    "noUnusedLocals",
    "noUnusedParameters",
    "verbatimModuleSyntax",
    "erasableSyntaxOnly",
  ];
  const options = [
    ...flags.map((flag) => `--${flag}`),
    "--ignoreConfig",
    "--noEmit",
    "--target",
    "esnext",
    "--module",
    "nodenext",
    "--allowImportingTsExtensions",
  ];
  const result = await runCommand(process.execPath, [
    join(repositoryRoot, "node_modules/typescript/bin/tsc"),
    ...options,
    join(directory, "index.ts"),
  ]);
  assert.equal(result.output, "");
});

test("the text is the same whatever the order of the objects, and shared layouts appear once", async () => {
  const other = await compileFixture(`
    #include <linux/types.h>
    struct inner { __u8 kind; __be16 port; };
    const volatile struct inner settings;
    int read_settings(void) { return settings.kind; }`);
  const objects = [
    { name: "shapes", bytes: object },
    { name: "other", bytes: other },
  ];
  const files = await generateCodecs(objects);
  assert.deepEqual(await generateCodecs(objects.toReversed()), files);
  assert.equal(files.get("structs.ts")?.match(/interface Inner /g)?.length, 1);
  assert.match(files.get("rodata.ts") ?? "", /settings: \{ name: "settings", objects: \["other","shapes"\]/);
});

test("layouts that cannot be shared are refused with the object, the field and the way out", async () => {
  const rows: [string, RegExp][] = [
    ["struct bad { __u32 flag : 1; };", /bad\.o: bad\.flag is a bit field/],
    ["struct bad { void *where; };", /bad\.o: bad\.where is a pointer/],
    ["struct bad { union { __u32 a; __u16 b; }; };", /bad\.o: bad has a union without a name: name it/],
    ["struct bad { __u32 many[17]; };", /bad\.o: bad\.many is an array of 17/],
    ["struct bad { __u32 a_b; __u32 a__b; };", /bad\.o: bad has two fields that become aB/],
    ["struct bad { __u32 grid[2][2]; };", /bad\.o: bad\.grid is an array of arrays/],
    ["struct bad { double number; };", /bad\.o: bad\.number is of the kind other/],
  ];
  for (const [declaration, message] of rows) {
    const bytes = await compileFixture(
      `#include <linux/types.h>\n${declaration}\nconst volatile struct bad settings;\nint f(void) { return *(const volatile char *)&settings; }`,
    );
    await assert.rejects(generateCodecs([{ name: "bad", bytes }]), { message });
  }
  const pair = await Promise.all(
    ["__u32 a;", "__u64 a;"].map((field) =>
      compileFixture(
        `#include <linux/types.h>\nstruct same { ${field} };\nconst volatile struct same settings;\nint f(void) { return settings.a; }`,
      ),
    ),
  );
  await assert.rejects(
    generateCodecs(pair.map((bytes, index) => ({ name: `object${index}`, bytes }))),
    /two objects disagree about layout same/,
  );
});

test("whatever is in an object, codecs are made or the object is named with a reason", async () => {
  const start = Buffer.from(object).indexOf(Uint8Array.of(0x9f, 0xeb, 1, 0));
  for (let seed = 0; seed < 400; seed += 1) {
    const random = createRandom(seed);
    const bytes = Uint8Array.from(object);
    for (let count = 1 + random.below(6); count > 0; count -= 1)
      bytes[start + 24 + random.below(2000)] = random.below(random.chance(0.5) ? 256 : 20);
    await generateCodecs([{ name: "damaged", bytes }]).catch((cause: unknown) => {
      assert.match(String(cause), /damaged\.o: |both become|disagree/, `seed ${seed}`);
      assert.doesNotMatch(String(cause), /call stack|undefined|Invalid/, `seed ${seed}`);
    });
  }
});
