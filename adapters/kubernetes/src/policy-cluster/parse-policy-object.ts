import type { CidrGroup, Rule } from "@cilium-ts/policy";
import { parseCiliumCidrGroup } from "../policies/cilium-cidr-group.ts";
import type { Problem } from "../policies/object-fields.ts";
import type { ManifestObject } from "./manifest.ts";
import { policyKey, policyKinds } from "./policy-kinds.ts";

/** What an object is to policies: rules under a `policyKey`, a group of prefixes, or nothing but of some kind. */
export type ParsedObject = { readonly problems: readonly Problem[] } & (
  | { readonly key: string; readonly rules: readonly Rule[] }
  | { readonly group: CidrGroup | undefined }
  | { readonly kind: string }
);

/** Of one object that somebody wrote, by its kind. */
export function parsePolicyObject({ object }: Pick<ManifestObject, "object">, clusterName: string): ParsedObject {
  const { kind, metadata = {} } = (object ?? {}) as { readonly kind?: unknown; readonly metadata?: { namespace?: string; name?: string } };
  if (kind === "CiliumCIDRGroup") return parseCiliumCidrGroup(object);
  const known = policyKinds.find(({ resource }) => resource.kind === kind);
  if (known === undefined) return { kind: typeof kind === "string" ? kind : "", problems: [] };
  return { key: policyKey(known.resource, metadata ?? {}), ...known.parse(object, { clusterName, nodeSelectorLabels: true }) };
}
