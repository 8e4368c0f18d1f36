import assert from "node:assert/strict";
import { test } from "node:test";
import { forgottenReasons, noReasons } from "@cilium-ts/flow";
import { CookieTable, formerCookieCountMax, type RuleOrigin, reservedOrigins } from "@cilium-ts/policy";
import { FlowHistory } from "./flow-history.ts";

const origin = (name: string, path = "ingress[0]", log?: string): RuleOrigin => ({
  policy: { kind: "CiliumNetworkPolicy", namespace: "shop", name, uid: "u", labels: [{ source: "k8s", key: "team", value: "a" }] },
  path,
  ...(log === undefined ? {} : { log }),
});

function createHistory(): { history: FlowHistory; cookies: CookieTable; at(ns: number): void } {
  const now = { ns: 0 };
  const cookies = new CookieTable();
  const history = new FlowHistory({
    nodeName: "n",
    clusterName: "c",
    cookies,
    monotonicNs: () => now.ns,
    ipTraceOption: 0,
    interfaceName: () => undefined,
  });
  const at = (ns: number): void => {
    now.ns = ns;
  };
  return { history, cookies, at };
}

test("a verdict names its policies once each, with the revision of its own time and what they want logged", () => {
  const { history, cookies, at } = createHistory();
  at(100);
  history.setPolicyRevision(3);
  const cookie = cookies.acquire([origin("web", "ingress[0]", "first"), origin("web", "ingress[1]", "second"), origin("all")]);
  at(200);
  history.setPolicyRevision(4);
  cookies.release(cookie); // Their policies are gone or others by now.
  const policy = { namespace: "shop", kind: "CiliumNetworkPolicy", labels: ["k8s:team=a"] };
  const [web, all] = ["web", "all"].map((name) => ({ ...policy, name, revision: 3n }));
  assert.deepEqual(history.context.policyReasons(cookie, 150), { policies: [web, all], logs: ["first", "second"] });
  assert.equal(history.context.policyReasons(cookie, 200).policies[0]?.revision, 4n);
  assert.equal(history.context.policyReasons(cookie, 150).policies[0]?.revision, 3n);
  const asked = history.context.policyReasons(cookie, 199);
  assert.equal(history.context.policyReasons(cookie, 199), asked, "the same object, whose encoded form can be kept");
});

test("the system itself is no policy, and rules forgotten since are said to be", () => {
  const { history, cookies } = createHistory();
  const system = cookies.acquire(reservedOrigins.allowAnyIngress);
  assert.equal(history.context.policyReasons(system, 0), noReasons);
  assert.equal(history.context.policyReasons(0, 0), noReasons);
  const old = cookies.acquire([origin("old")]);
  cookies.release(old);
  for (let count = 0; count < formerCookieCountMax; count += 1) cookies.release(cookies.acquire([origin(`newer-${count}`)]));
  assert.equal(history.context.policyReasons(old, 0), forgottenReasons);
});
