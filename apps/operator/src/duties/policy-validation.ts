import { createHash } from "node:crypto";
import { eventObject, KubernetesError, resources } from "@cilium-ts/kubernetes";
import { type PolicyRow, type PolicyStatus, policyRowKey } from "../cluster/policy-row.ts";
import { approval, type PolicyVerdict } from "../cluster/policy-verdict.ts";
import { areSynced, type DutyWorld, keep } from "./duty.ts";

/** Policies whose status was changed by somebody else are found at once; this is for what no event of theirs tells, such as their groups. */
const lookIntervalMs = 60_000;

/**
 * Says of each policy whether it is valid, with the words in which the agents would refuse it: in its status, and where its kind has
 * none in an Event when it is not.
 */
export async function validatePolicies(world: DutyWorld, signal: AbortSignal): Promise<void> {
  const { policies } = world.cluster;
  if (!(await areSynced([policies], signal))) return;
  /** What was said last of which version: until we hear of what we wrote, it is not written again. */
  const told = new Map<string, string>();
  const target = {
    async apply(row: Readonly<PolicyRow>) {
      const verdict = verdictNow(row, world);
      const what = `${row.resourceVersion} ${verdict.message}`;
      if (isSettled(row, verdict) || told.get(row.key) === what) return;
      await tell(world, row, verdict, signal);
      told.set(row.key, what);
    },
    async remove(key: string) {
      told.delete(key);
    },
    realised: async () => [...policies.rows()].filter((row) => isSettled(row, verdictNow(row, world))).map(({ key }) => key),
  };
  await keep(world, { what: "what is said of policy", desired: policies, target, resyncIntervalMs: lookIntervalMs, signal });
}

/** With what is known of the groups that it names. */
function verdictNow({ verdict, needs, groups }: Readonly<PolicyRow>, { cluster }: DutyWorld): PolicyVerdict {
  if (verdict.status === "False" || groups.length === 0) return verdict;
  const missing = groups.flatMap(({ path, name }) => {
    const group = cluster.policies.get(policyRowKey(resources.ciliumCidrGroups, "", name));
    if (group === undefined) return [`${path} names the CiliumCIDRGroup ${name}, which does not exist: until it does, no address is in it`];
    if (group.verdict.status === "True") return [];
    const reason = group.verdict.message;
    return [`${path} names the CiliumCIDRGroup ${name}, which is not valid and stays what it was before, if anything: ${reason}`];
  });
  return missing.length === 0 ? verdict : approval([...missing, ...needs]);
}

async function tell(world: DutyWorld, row: Readonly<PolicyRow>, verdict: PolicyVerdict, signal: AbortSignal): Promise<void> {
  const { resource, namespace, name } = row;
  if (row.status === undefined) await tellByEvent(world, row, verdict, signal);
  else await tellByStatus(world, row, row.status, verdict, signal);
  if (verdict.status === "True") return;
  world.log.warn(`${resource.kind} ${namespace === "" ? "" : `${namespace}/`}${name} is not valid: ${verdict.message}`);
}

async function tellByStatus(
  { writer, clock }: DutyWorld,
  { resource, namespace, name, resourceVersion }: Readonly<PolicyRow>,
  { said, generation, otherConditions }: PolicyStatus,
  verdict: PolicyVerdict,
  signal: AbortSignal,
): Promise<void> {
  const now = new Date(clock.nowMs()).toISOString().replace(/\.\d+Z$/, "Z");
  const condition = {
    type: "Valid",
    status: verdict.status,
    ...(generation !== undefined && { observedGeneration: generation }),
    lastTransitionTime: said?.status === verdict.status && said.lastTransitionTime !== "" ? said.lastTransitionTime : now,
    reason: verdict.status === "True" ? "Valid" : "Invalid",
    message: verdict.message,
  };
  // The verdict is about this version: of a newer one we hear, and judge again.
  const body = { metadata: { resourceVersion }, status: { conditions: [...otherConditions, condition] } };
  await writer.patch(resource, { namespace, name }, { type: "merge", body }, { signal, subresource: "status" });
}

const eventNameLengthMax = 200;

/** The same words about the same object are one Event, whoever leads. */
async function tellByEvent(
  { writer, clock }: DutyWorld,
  row: Readonly<PolicyRow>,
  { message }: PolicyVerdict,
  signal: AbortSignal,
): Promise<void> {
  const digest = createHash("sha256").update(`${row.uid} ${message}`).digest("hex").slice(0, 16);
  const event = eventObject({
    name: `${row.name.slice(0, eventNameLengthMax)}.${digest}`,
    about: row,
    type: "Warning",
    reason: "Invalid",
    message: `is not applied: ${message}`,
    component: "cilium-operator",
    instance: "cilium-operator",
    nowMs: clock.nowMs(),
  });
  try {
    await writer.create(resources.events, event, { signal });
  } catch (cause) {
    if (!(cause instanceof KubernetesError) || cause.status !== 409) throw cause;
  }
}

function isSettled({ status }: Readonly<PolicyRow>, verdict: PolicyVerdict): boolean {
  if (status === undefined) return verdict.status === "True";
  const { said, generation } = status;
  return said?.status === verdict.status && said.message === verdict.message && said.observedGeneration === generation;
}
