import { resources } from "@cilium-ts/kubernetes";
import type { PolicyRow } from "../cluster/rows.ts";
import { areSynced, type DutyWorld, keep } from "./duty.ts";

/** Policies whose status was changed by somebody else are found at once; this is for what no event tells. */
const lookIntervalMs = 60_000;

/** Says in the status of each policy whether it is valid, with the words in which the agents would refuse it. */
export async function validatePolicies(world: DutyWorld, signal: AbortSignal): Promise<void> {
  const { policies } = world.cluster;
  if (!(await areSynced([policies], signal))) return;
  /** The version of each policy that was judged last: until we hear of what we wrote, it is not written again. */
  const judged = new Map<string, string>();
  const target = {
    async apply(row: Readonly<PolicyRow>) {
      if (isSettled(row) || judged.get(row.key) === row.resourceVersion) return;
      await settle(world, row, signal);
      judged.set(row.key, row.resourceVersion);
    },
    async remove(key: string) {
      judged.delete(key);
    },
    realised: async () => [...policies.rows()].filter(isSettled).map(({ key }) => key),
  };
  await keep(world, { what: "the status of policy", desired: policies, target, resyncIntervalMs: lookIntervalMs, signal });
}

async function settle({ writer, clock, log }: DutyWorld, row: Readonly<PolicyRow>, signal: AbortSignal): Promise<void> {
  const { kind, namespace, name, verdict, resourceVersion, otherConditions } = row;
  const resource = kind === "CiliumNetworkPolicy" ? resources.ciliumNetworkPolicies : resources.ciliumClusterwideNetworkPolicies;
  const lastTransitionTime = new Date(clock.nowMs()).toISOString().replace(/\.\d+Z$/, "Z");
  const reason = verdict.status === "True" ? "Valid" : "Invalid";
  const condition = { type: "Valid", status: verdict.status, lastTransitionTime, reason, message: verdict.message };
  // The verdict is about this version: of a newer one we hear, and judge again.
  const body = { metadata: { resourceVersion }, status: { conditions: [...otherConditions, condition] } };
  await writer.patch(resource, { namespace, name }, { type: "merge", body }, { signal, subresource: "status" });
  if (verdict.status === "False") log.warn(`${kind} ${namespace === "" ? "" : `${namespace}/`}${name} is not valid: ${verdict.message}`);
}

function isSettled({ verdict, said }: Readonly<PolicyRow>): boolean {
  return said?.status === verdict.status && said.message === verdict.message;
}
