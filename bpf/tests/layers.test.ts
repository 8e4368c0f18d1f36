import assert from "node:assert/strict";
import { test } from "node:test";
import { checksum, ethernet, frame, icmp, ipv4, ipv6, neighbourSolicitation, payload, tcp, udp } from "./layers.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

test("a TCP segment over IPv4 has the bytes that a capture shows", () => {
  const bytes = frame(ethernet("02:00:00:00:00:01", "02:00:00:00:00:02"), ipv4("10.0.0.1", "10.0.0.2"), tcp(1000, 80, "S"));
  assert.equal(
    hex(bytes),
    "0200000000020200000000010800" + "450000280000000040066" + "6ce0a0000010a000002" + "03e80050000000000000000050" + "02ffff97a8" + "0000",
  );
});

test("IPv4 options lengthen the header and are summed", () => {
  const bytes = frame(ipv4("10.0.0.1", "10.0.0.2", { optionBytes: 8 }), udp(1, 2));
  assert.equal(bytes[0], 0x47);
  assert.equal(checksum(bytes.subarray(0, 28)), 0);
});

for (const [name, message, protocol] of [
  ["UDP", udp(1, 2), 17],
  ["ICMPv6 echo", icmp(6, 128, { id: 7 }), 58],
  ["neighbour solicitation", neighbourSolicitation("fd00::9", "02:00:00:00:00:01"), 58],
] as const) {
  test(`${name} over IPv6 is summed with its pseudo header`, () => {
    const bytes = frame(ipv6("fd00::1", "fd00::2"), message, "odd");
    const inside = bytes.subarray(40);
    assert.equal(bytes[6], protocol);
    const pseudo = frame(payload(bytes.subarray(8, 40)), payload(new Uint8Array()));
    const tail = Uint8Array.of(0, 0, 0, inside.length, 0, 0, 0, protocol);
    assert.equal(checksum(Uint8Array.from([...pseudo, ...tail, ...inside])), 0);
  });
}
