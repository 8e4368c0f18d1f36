import { type AgentOperations, found } from "@cilium-ts/agent-api";
import { ciliumPolicyFromRule } from "@cilium-ts/kubernetes";
import type { CidrGroup, PolicyEngine, PolicyService, PolicyWorld, Rule } from "@cilium-ts/policy";
import { type DirectionQuestion, explainConnection, type InForce, withRemedyAs } from "@cilium-ts/policy-advice";
import { families, findParty, type NodeParty, type PartySources, partyShape } from "./policy-parties.ts";

export interface ExplainOptions {
  readonly engine: PolicyEngine;
  readonly sources: PartySources;
  readonly world: Pick<PolicyWorld, "allowLocalhost" | "clusterName" | "hostFirewall">;
  /** All rules in force. */
  rules(): readonly Rule[];
  cidrGroups(): readonly CidrGroup[];
  services(): readonly PolicyService[];
}

type ExplainRequest = Parameters<AgentOperations["explainPolicy"]>[0];

/** Asks the policy engine for both directions of a connection, and says why in words. */
export function explainPolicy(options: ExplainOptions, request: ExplainRequest): Awaited<ReturnType<AgentOperations["explainPolicy"]>> {
  const from = findParty(options.sources, request.from, "from");
  if ("status" in from) return from;
  const to = findParty(options.sources, request.to, "to");
  if ("status" in to) return to;
  const { protocol, port } = request;
  const { mode } = options.engine;
  const world = {
    ...options.world,
    mode,
    families,
    rules: options.rules(),
    cidrGroups: options.cidrGroups(),
    services: options.services(),
  };
  const inForce = (question: DirectionQuestion): InForce =>
    judge(options, question.direction === "egress" ? [from, to] : [to, from], question);
  const { verdict, egress, ingress } = explainConnection({ from, to, protocol, port }, world, inForce);
  return found({
    from: partyShape(from),
    to: partyShape(to),
    protocol,
    port,
    verdict,
    egress: withRemedyAs(egress, remedyObject),
    ingress: withRemedyAs(ingress, remedyObject),
  });
}

/** Only a subject that no endpoint of this node has is forgotten again: the engine tells of changes to those it remembers. */
function judge({ engine, sources }: ExplainOptions, [self, peer]: readonly [NodeParty, NodeParty], question: DirectionQuestion): InForce {
  const { direction, protocol, port } = question;
  const subject = { labels: self.labels, namedPorts: self.namedPorts };
  const policy = engine.resolve(subject);
  const decision = engine.explain(subject, peer.identity, direction, protocol, port);
  if (self.row === undefined) engine.forget(subject);
  const enforced = direction === "ingress" ? policy.ingressEnforced : policy.egressEnforced;
  return { enforced, decision, audited: self.row !== undefined && sources.isAudited(self.row) };
}

function remedyObject(rule: Rule): Readonly<Record<string, unknown>> {
  return { ...ciliumPolicyFromRule(rule) };
}
