import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, test } from "node:test";
import { openKernel } from "@cilium-ts/kernel";
import { requireKernel } from "@cilium-ts/testing";
import { Pinger } from "./pinger.ts";

const skip = requireKernel();
/** Opening widens it where root may not ping, which this machine did not ask for. */
const groupRangePath = "/proc/sys/net/ipv4/ping_group_range";
const groupRange = readFileSync(groupRangePath, "latin1");
after(() => skip === false && writeFileSync(groupRangePath, groupRange));

test("whoever has the address answers, in both families; nobody does not", { skip }, async () => {
  using pinger = new Pinger(openKernel());
  const { signal } = new AbortController();
  const pings = Array.from({ length: 50 }, (_, index) => pinger.ping(index % 2 === 0 ? "127.0.0.1" : "::1", 5_000, signal));
  for (const seconds of await Promise.all(pings)) assert.ok(seconds >= 0 && seconds < 5);
  await assert.rejects(pinger.ping("127.0.0.1", 0, AbortSignal.abort(new Error("stopped"))), /stopped/);
  await assert.rejects(pinger.ping("100::1", 50, signal), /no answer to a ping|ENETUNREACH|EHOSTUNREACH/);
});
