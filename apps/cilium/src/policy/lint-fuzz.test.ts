import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { parseManifests } from "@cilium-ts/kubernetes";
import { createObjectChecker, readCiliumDefinitions } from "@cilium-ts/kubernetes-server/check";
import { createRandom, type Random } from "@cilium-ts/testing";
import { lintManifests } from "./lint-manifests.ts";

const folder = new URL("../../../../adapters/kubernetes/testdata/cilium-network-policies/", import.meta.url);
const networkPolicy = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: np, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
  - from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, {namespaceSelector: {}}]
    ports: [{port: 80, endPort: 90}]
`;
const samples = [...readdirSync(folder).map((name) => readFileSync(new URL(name, folder), "utf8")), networkPolicy];
const check = createObjectChecker(readCiliumDefinitions());
const world = { check, clusterName: "default", policies: new Map(), context: { podCidrs: ["10.0.0.0/8"] } };

const long = 20_000;
const odd: readonly string[] = [
  ...["", "null", "~", "[]", "{}", "- ", "? ", ": ", "&a ", "*a", "!!binary x", "<<: *a", "---\n", "...\n", "|\n", ">\n", "\t", "%TAG"],
  ...["0x10", "1e999", "-0", ".nan", "2026-01-01", "yes", "'", '"', "\u0000", "\uFEFF", "\uD800", "__proto__", "constructor"],
  ..."[{(&*-a.0".split("").map((character) => character.repeat(long)),
  ...["a.".repeat(long), "(a+)+".repeat(1_000), "a*".repeat(long), "10.0.0.0/".repeat(1_000)],
];

/** One to four places of the text hold something else, are gone, or stand twice. */
function mutate(random: Random, text: string): string {
  let mutated = text;
  for (let count = 1 + random.below(4); count > 0; count -= 1) {
    const lines = mutated.split("\n");
    const at = random.below(lines.length);
    const line = lines[at] ?? "";
    const column = random.below(line.length + 1);
    switch (random.below(5)) {
      case 0:
        lines.splice(at, 1);
        break;
      case 1:
        lines.splice(at, 0, line);
        break;
      case 2:
        lines[at] = line.replace(/:.*$/, `: ${random.pick(odd)}`);
        break;
      case 3:
        lines[at] = line.slice(0, column) + random.pick(odd) + line.slice(column + random.below(3));
        break;
      default:
        lines[at] = line.slice(random.below(4)) || " ".repeat(random.below(12));
    }
    mutated = lines.join("\n");
  }
  return mutated;
}

const rounds = process.env.CILIUM_TS_LONG === "1" ? 20_000 : 600;

test(`whatever a manifest holds, it is looked at to the end, soon, and each finding has a place, on ${rounds} texts`, () => {
  const random = createRandom(5);
  const seen = { clean: 0, error: 0, warning: 0 };
  let longestMs = 0;
  for (let round = 0; round < rounds; round += 1) {
    const text = round < odd.length ? (odd[round] ?? "") : mutate(random, random.pick(samples));
    const start = process.cpuUsage();
    const manifests = parseManifests(text);
    for (const { severity, line, column, message } of lintManifests([{ path: "f", manifests }], world)) {
      assert.ok(line >= 1 && column >= 1 && message !== "", text.slice(0, 500));
      seen[severity] += 1;
    }
    if (manifests.problems.length === 0 && manifests.objects.length === 1) seen.clean += 1;
    const { user, system } = process.cpuUsage(start);
    longestMs = Math.max(longestMs, (user + system) / 1_000);
  }
  assert.ok(seen.clean > rounds / 10 && seen.error > rounds / 10, JSON.stringify(seen));
  // Far above what any takes: only something exponential gets there.
  assert.ok(longestMs < 20_000, `one text took ${longestMs} ms`);
});
