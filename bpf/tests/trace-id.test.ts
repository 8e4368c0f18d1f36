import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import { extension, ipv4, ipv6, type Layer, tcp, udp } from "./layers.ts";
import type { Event, PodPrograms } from "./pod-programs.ts";
import { allowAll, client, openTwoPods, outside, placeTwoPods, sent, server } from "./two-pods.ts";

const skip = requireKernel();
const option = 136;

function idsOf(events: readonly Event[]): Array<[string, bigint]> {
  return events.flatMap((event) => (event.kind === "verdict" ? [] : [[event.kind, event.notify.ipTraceId] as [string, bigint]]));
}

/** IPv4 headers with options, filled up with ends of the list. */
const v4 = (...bytes: number[]): Layer[] => {
  const padded = [...bytes, ...new Array<number>((4 - (bytes.length % 4)) % 4).fill(0)];
  return [ipv4(client.ipv4, server.ipv4, { optionBytes: padded })];
};

/** IPv6 with options in a hop-by-hop header, filled up with padding. */
const v6 = (...bytes: number[]): Layer[] => {
  const padded = [...bytes, ...new Array<number>((8 - ((bytes.length + 2) % 8)) % 8).fill(0)];
  return [ipv6(client.ipv6, server.ipv6), extension("hop-by-hop", { options: padded })];
};

const long = [0xff, 0, 0, 0, 0, 0, 0, 0x07];
const rows: ReadonlyArray<readonly [text: string, headers: Layer[], id: bigint]> = [
  ["two bytes of IPv4", v4(option, 4, 0x12, 0x34), 0x1234n],
  ["four bytes of IPv4", v4(option, 6, 0xde, 0xad, 0xbe, 0xef), 0xdeadbeefn],
  ["eight bytes of IPv4", v4(option, 10, ...long), 0xff00000000000007n],
  ["behind padding and another option of IPv4", v4(1, 1, 1, 7, 7, 4, 0, 0, 0, 0, option, 4, 0, 9), 9n],
  ["as the last bytes that an IPv4 header has room for", v4(...new Array<number>(36).fill(1), option, 4, 0, 9), 9n],
  ["behind the end of IPv4's options", v4(0, 0, option, 4, 0, 9), 0n],
  ["three bytes of IPv4, which are no number", v4(option, 5, 1, 2, 3), 0n],
  ["an option of IPv4 that is longer than the header", v4(option, 10, 1, 2), 0n],
  ["an option of IPv4 that is shorter than itself", v4(7, 0, option, 4, 0, 9), 0n],
  ["another option of IPv4", v4(137, 4, 0, 9), 0n],
  ["no option of IPv4", v4(), 0n],
  ["two bytes of IPv6", v6(option, 2, 0x12, 0x34), 0x1234n],
  ["four bytes of IPv6", v6(option, 4, 0xde, 0xad, 0xbe, 0xef), 0xdeadbeefn],
  ["eight bytes of IPv6, behind padding of one byte and of more", v6(0, 1, 2, 0, 0, option, 8, ...long), 0xff00000000000007n],
  ["an option of IPv6 that is longer than its header", v6(option, 8, 1, 2, 3, 4), 0n],
  [
    "a header of IPv6 that comes first, and is another",
    [ipv6(client.ipv6, server.ipv6), extension("destination", { options: [option, 2, 0, 9, 0, 0] })],
    0n,
  ],
  ["no header of IPv6 beside the first", [ipv6(client.ipv6, server.ipv6)], 0n],
];

describe("packets with a trace id", { skip }, () => {
  let programs: PodPrograms;
  let without: PodPrograms;
  before(async () => {
    if (skip !== false) return;
    programs = await openTwoPods({ ipTraceOption: option });
    without = await openTwoPods();
  });
  after(() => {
    programs?.[Symbol.dispose]();
    without?.[Symbol.dispose]();
  });

  for (const [text, headers, id] of rows) {
    test(`${text}: ${id}, in traces and in drops`, () => {
      placeTwoPods(programs, allowAll(client, server));
      assert.deepEqual(idsOf(programs.fromPod(client, sent(client, ...headers, tcp(4000, 80, "S"))).events), [["trace", id]]);
      placeTwoPods(programs, []);
      assert.deepEqual(idsOf(programs.fromPod(client, sent(client, ...headers, udp(4000, 80))).events), [["drop", id]]);
    });
  }

  test("where no option was named, none is looked for", () => {
    placeTwoPods(without, allowAll(client, server));
    assert.deepEqual(idsOf(without.fromPod(client, sent(client, ...v4(option, 4, 0, 9), udp(1, 2))).events), [["trace", 0n]]);
  });

  test("packets that leave the node carry theirs too", () => {
    placeTwoPods(programs, allowAll(client, server));
    const marked = ipv4(client.ipv4, outside.ipv4, { optionBytes: [option, 4, 0, 9] });
    assert.deepEqual(idsOf(programs.fromPod(client, sent(client, marked, udp(1, 2))).events), [["trace", 9n]]);
  });
});
