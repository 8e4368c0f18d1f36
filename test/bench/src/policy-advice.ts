import { Labels } from "@cilium-ts/labels";
import type { PolicyWorld, Rule } from "@cilium-ts/policy";
import { lintPolicies, type ObservedEnd, type ObservedFlow, PolicySuggestions, WhatIf } from "@cilium-ts/policy-advice";
import { labelsOf, ruleOf } from "./policy-clusters.ts";
import type { Samples } from "./report.ts";

const flowCount = 100_000;
const ruleCount = 1_000;
/** Workloads that talk to each other, and addresses outside. */
const workloads = 200;
const addresses = 500;

/** Judging and gathering what a busy cluster records in an hour, and looking through its policies; ms. */
export function benchPolicyAdvice(repeats: number, add: (samples: Samples) => void): void {
  const rules = Array.from({ length: ruleCount }, (_, index) => ruleOf(index % 3 === 0 ? "cidr-deny" : "l4", index, 0));
  const flows = Array.from({ length: flowCount }, (_, index) => flowOf(index));
  const before: PolicyWorld = {
    ...{ rules, cidrGroups: [], services: [], mode: "default", allowLocalhost: true, clusterName: "default", families: [4, 6] },
  };
  const after: PolicyWorld = { ...before, rules: rules.slice(1) };
  const measure = (name: string, work: () => unknown): void => {
    work();
    const ours = Array.from({ length: repeats }, () => {
      const start = performance.now();
      work();
      return performance.now() - start;
    });
    add({ name, unit: "ms", ours });
  };
  measure(`what-if-${flowCount}-flows-${ruleCount}-rules`, () => {
    const whatIf = new WhatIf({ before, after });
    for (const flow of flows) whatIf.add({ kind: "flow", flow });
    return whatIf.report();
  });
  measure(`suggest-${flowCount}-flows`, () => {
    const suggestions = new PolicySuggestions({ namespace: "default", worldAddressesMax: 16 });
    for (const flow of flows) suggestions.add({ kind: "flow", flow });
    return suggestions.suggestion();
  });
  const cluster = clusterOf(rules);
  measure(`lint-${ruleCount}-rules`, () => lintPolicies(rules, { rules: [], podCidrs: ["10.0.0.0/8"], cluster }));
}

function flowOf(index: number): ObservedFlow {
  const to = index % 5 === 0 ? outside(index) : pod(index * 7);
  return {
    timeMs: index,
    from: index % 11 === 0 ? pod(0, "subject") : pod(index),
    to,
    protocol: 6,
    port: 80 + (index % 3),
    verdict: "forwarded",
  };
}

function pod(index: number, app = `peer-${index % workloads}`): ObservedEnd {
  const labels = labelsOf(app).format();
  return { address: "10.0.0.1", labels, namespace: "default", podName: `${app}-${index}`, workload: `Deployment/${app}`, names: [] };
}

function outside(index: number): ObservedEnd {
  const address = `10.${(index >> 3) % 4}.${index % (addresses / 4)}.1`;
  return { address, labels: ["reserved:world-ipv4"], namespace: "", podName: "", workload: "", names: [] };
}

function clusterOf(rules: readonly Rule[]): NonNullable<Parameters<typeof lintPolicies>[1]["cluster"]> {
  const pods = Array.from({ length: rules.length * 10 }, (_, index) => ({
    labels: Labels.of(labelsOf(`peer-${index % rules.length}`, `k8s:pod=${index}`)),
    namedPorts: [],
  }));
  return {
    pods,
    namespaces: new Set(["default"]),
    nodes: [],
    tunnelled: true,
    nodeAddresses: [],
    serviceAddresses: new Map(),
    cidrGroups: [],
    services: [],
  };
}
