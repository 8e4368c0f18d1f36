import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { madeFlow, podEnd, worldEnd } from "../made-flow.ts";
import { formatFilter, parseFilter } from "./filter-term.ts";
import { createFlowMatcher } from "./flow-matcher.ts";

function termsOf(text: string) {
  const parsed = parseFilter(text);
  assert.equal(parsed.kind, "terms", parsed.kind === "problem" ? parsed.problem : "");
  return parsed.kind === "terms" ? parsed.terms : [];
}

function matches(text: string, flow = madeFlow()): boolean {
  return createFlowMatcher({ namespaces: [], verdicts: [], terms: termsOf(text) })(flow);
}

suite("a filter's text", () => {
  test("is read as terms that are written back as the same text", () => {
    for (const text of [
      "app=client",
      "!to:pod=default/server",
      "from:ip=10.0.0.0/8,to:dns=*.example.com",
      "identity=4,tcp-flag=SYN",
      "workload=Deployment/web",
      "label=k8s:a=b\\,c",
    ]) {
      assert.equal(formatFilter(termsOf(text)), text.startsWith("app=") ? "label=app=client" : text);
    }
  });

  test("may have blanks, empty terms and a side of its own word", () => {
    assert.deepEqual(termsOf(" , either:port=80 ,"), [{ isNegative: false, side: "either", kind: "port", query: "80" }]);
  });

  for (const [text, problem] of [
    ["identity=web", /identity is a number/],
    ["port=70000", /at most 65535/],
    ["tcp-flag=LOUD", /flags are FIN, SYN/],
    ["ip=example.com", /an address is needed/],
    ["to:", /names nothing/],
    ["pod=", /names nothing/],
    ["a,".repeat(60), /60 terms are too many/],
    [`pod=${"x".repeat(600)}`, /longer than 500/],
  ] as const) {
    test(`${text.slice(0, 20)} is refused with a sentence`, () => {
      const parsed = parseFilter(text);
      assert.ok(parsed.kind === "problem" && problem.test(parsed.problem), JSON.stringify(parsed));
    });
  }

  test("of whatever characters is read or refused, and what was read is read the same again", () => {
    const random = createRandom(7);
    const pieces = ["!", "from:", "to:", "pod=", "ip=", "=", ",", "\\", ":", "/", "a", "10.0.0.1", "identity=", "é", "*", " "];
    for (let round = 0; round < 3_000; round += 1) {
      const text = Array.from({ length: random.below(12) }, () => random.pick(pieces)).join("");
      const parsed = parseFilter(text);
      if (parsed.kind !== "terms") continue;
      const again = parseFilter(formatFilter(parsed.terms));
      if (parsed.terms.every(({ query }) => query.trim() === query && !query.endsWith("\\") && !query.includes("\\,")))
        assert.deepEqual(again, parsed, text);
    }
  });
});

suite("a term finds", () => {
  const toWorld = madeFlow({ destination: worldEnd({ names: ["api.Example.com."], port: 443 }) });
  const web = madeFlow({ source: podEnd("shop/web-1", { workloads: [{ kind: "Deployment", name: "web" }] }) });
  const closed = { effect: "denied", direction: "ingress", kind: "CiliumNetworkPolicy", namespace: "shop", name: "closed" } as const;
  const decided = madeFlow({ verdict: "dropped", dropReason: "POLICY_DENIED", policies: [closed] });
  const toService = madeFlow({ destination: podEnd("default/server", { service: "default/server" }) });
  for (const [text, flow, found] of [
    ["app=client", madeFlow(), true],
    ["k8s:app=client", madeFlow(), true],
    ["app", madeFlow(), true],
    ["to:app=client", madeFlow(), false],
    ["from:app=client", madeFlow(), true],
    ["to:pod=default/ser", madeFlow(), true],
    ["to:pod=ser", madeFlow(), true],
    ["to:pod=other/ser", madeFlow(), false],
    ["pod=default/", madeFlow(), true],
    ["to:ip=10.0.0.2", madeFlow(), true],
    ["to:ip=10.0.0.0/8", madeFlow(), true],
    ["to:ip=10.0.0.1", madeFlow(), false],
    ["dns=api.example.com", toWorld, true],
    ["dns=*.example.com", toWorld, true],
    ["dns=*example.org", toWorld, false],
    ["dns=a*i.ex*.com", toWorld, true],
    ["from:dns=*.example.com", toWorld, false],
    ["workload=web", web, true],
    ["workload=deployment:web", web, true],
    ["workload=DaemonSet/web", web, false],
    ["tcp-flag=syn", madeFlow(), true],
    ["tcp-flag=RST", madeFlow(), false],
    ["to:port=8080", madeFlow(), true],
    ["namespace=shop", web, true],
    [`identity=${podEnd("default/server").identity}`, madeFlow(), true],
    ["reserved:world", toWorld, true],
    ["protocol=tcp", madeFlow(), true],
    ["protocol=UDP", madeFlow(), false],
    ["direction=egress", madeFlow(), true],
    ["drop-reason=POLICY_DENIED", decided, true],
    ["drop-reason=POLICY_DENIED", madeFlow(), false],
    ["node-name=node1", madeFlow(), true],
    ["policy-name=shop/closed", decided, true],
    ["policy-name=closed", decided, true],
    ["policy-name=pay/closed", decided, false],
    ["to:service-name=default/server", toService, true],
    ["service-name=server", toService, true],
    ["from:service-name=server", toService, false],
  ] as const) {
    test(`${text}: ${found ? "it" : "nothing"}`, () => assert.equal(matches(text, flow), found));
  }

  test("what is left when it is negative, looking at the side that it names", () => {
    assert.equal(matches("!to:ip=10.0.0.1"), true);
    assert.equal(matches("!to:ip=10.0.0.2"), false);
    assert.equal(matches("!from:ip=10.0.0.1"), false);
    assert.equal(matches("!workload=web", web), false);
    assert.equal(matches("!pod=server"), false);
  });
});

test("terms of one kind and side are alternatives, and different ones must all hold", () => {
  assert.equal(matches("to:port=80,to:port=8080"), true);
  assert.equal(matches("to:port=8080,from:app=other"), false);
  assert.equal(matches("to:port=8080,from:app=client,!tcp-flag=RST"), true);
});

test("a namespace or a verdict leaves out what has none of it", () => {
  const matcher = createFlowMatcher({ namespaces: ["shop"], verdicts: ["dropped"], terms: [] });
  assert.equal(matcher(madeFlow({ verdict: "dropped" })), false);
  assert.equal(matcher(madeFlow({ verdict: "dropped", destination: podEnd("shop/cart") })), true);
  assert.equal(matcher(madeFlow({ destination: podEnd("shop/cart") })), false);
});
