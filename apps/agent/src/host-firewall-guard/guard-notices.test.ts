import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "@cilium-ts/kubernetes";
import { GuardNotices } from "./guard-notices.ts";
import type { Trial } from "./trial.ts";

const settled: Trial = { kind: "settled" };
const tried: Trial = { kind: "tried", untilMs: 61_000, lost: ["the API server at 10.0.0.1:6443"] };
const policy: KubernetesObject = { kind: "CiliumClusterwideNetworkPolicy", metadata: { name: "p", uid: "u" } };

function collect() {
  const lines: string[] = [];
  const events: string[] = [];
  const agentEvents: string[] = [];
  let isAway = false;
  const say = (message: string): void => void lines.push(message);
  const notices = new GuardNotices({
    client: {
      async create(_resource, object) {
        if (isAway) throw new Error("away");
        const { involvedObject, reason, type } = object as unknown as {
          involvedObject: { kind: string; name: string };
          reason: string;
          type: string;
        };
        events.push(`${type} ${reason} ${involvedObject.kind}/${involvedObject.name}`);
        return object;
      },
    },
    log: { error: say, warn: say, info: say, debug() {} },
    nodeName: "n1",
    nowMs: () => 1_000,
    onAgentEvent: (type) => void agentEvents.push(type),
  });
  const away = (is: boolean): void => {
    isAway = is;
  };
  return { notices, lines, events, agentEvents, away };
}

test("a trial is told everywhere, with what is cut and the way to keep it", async () => {
  const { notices, lines, events, agentEvents } = collect();
  notices.tell(tried, settled, [policy]);
  await notices.write();
  assert.match(
    lines[0] ?? "",
    /^host firewall: CiliumClusterwideNetworkPolicy\/p: cut off: the API server at 10\.0\.0\.1:6443; .* in 60 s unless .*cilium-dbg host-firewall confirm/,
  );
  assert.deepEqual(events, ["Warning HostFirewallTrial Node/n1", "Warning HostFirewallTrial CiliumClusterwideNetworkPolicy/p"]);
  assert.deepEqual(agentEvents, ["host-firewall-tried"]);
});

test("Events wait for an API server that was cut off, in their order and not without end", async () => {
  const { notices, events, away } = collect();
  away(true);
  notices.tell(tried, settled, [policy]);
  await notices.write();
  notices.tell({ kind: "reverted", atMs: 61_000, reason: "it would be cut off" }, tried, []);
  away(false);
  await notices.write();
  assert.deepEqual(
    events.map((line) => line.split(" ")[1]),
    ["HostFirewallTrial", "HostFirewallTrial", "HostFirewallReverted"],
  );
  away(true);
  for (let count = 0; count < 100; count += 1) notices.tell(tried, settled, []);
  assert.equal(notices.refused, 36);
});

test("what nobody has to know is not told", () => {
  const { notices, lines } = collect();
  notices.tell({ kind: "watched", untilMs: 1 }, settled, [policy]);
  notices.tell(settled, { kind: "watched", untilMs: 1 }, [policy]);
  assert.deepEqual(lines, []);
  notices.tell(settled, tried, [policy]);
  assert.equal(lines.length, 1);
});
