import assert from "node:assert/strict";
import { test } from "node:test";
import type { BtfType } from "../btf/btf.ts";
import { ShapeReader } from "./read-shape.ts";

function read(types: readonly BtfType[]): unknown {
  return new ShapeReader({ types: [{ kind: "void" }, ...types] }).read(1, "place");
}

function structOf(typeId: number, name: string, memberName = "member"): BtfType {
  return { kind: "struct", name, sizeBytes: 4, members: [{ name: memberName, typeId, offsetBits: 0, bitFieldBits: 0 }] };
}

test("types that contain themselves, which no compiler makes, are refused instead of followed for ever", () => {
  const rows: [BtfType[], RegExp][] = [
    [[structOf(1, "loop")], /loop contains itself/],
    [[structOf(1, "", "")], /place contains itself/],
    [[structOf(2, "outer"), structOf(1, "")], /contains itself/],
    [[{ kind: "array", typeId: 1, count: 2 }], /more than 64 dimensions/],
    [[{ kind: "typedef", name: "loop", typeId: 1 }], /chain of more than 64/],
  ];
  for (const [types, message] of rows) assert.throws(() => read(types), message);
});

test("fields that overlap or leave their struct are refused", () => {
  const word: BtfType = { kind: "int", name: "int", sizeBytes: 4, bits: 32, encoding: "unsigned" };
  const member = (name: string, offsetBits: number) => ({ name, typeId: 2, offsetBits, bitFieldBits: 0 });
  const struct = (members: ReturnType<typeof member>[]): BtfType[] => [{ kind: "struct", name: "s", sizeBytes: 8, members }, word];
  assert.throws(() => read(struct([member("a", 0), member("b", 16)])), /s\.b overlaps the field before it/);
  assert.throws(() => read(struct([member("a", 48)])), /the fields of s reach to byte 10 of 8/);
});
