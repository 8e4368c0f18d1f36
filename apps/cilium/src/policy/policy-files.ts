import { readFileSync } from "node:fs";
import { clean, UsageError } from "@cilium-ts/command-line";
import { type ManifestObject, type Manifests, parseCiliumCidrGroup, parseManifests, policyKey, policyKinds } from "@cilium-ts/kubernetes";
import type { CidrGroup, Rule } from "@cilium-ts/policy";
import { errorMessage } from "@cilium-ts/std";

export interface PolicyFiles {
  /** By `policyKey`. */
  readonly policies: ReadonlyMap<string, readonly Rule[]>;
  readonly cidrGroups: readonly CidrGroup[];
  /** Kinds of objects that are no policies. */
  readonly otherKinds: ReadonlySet<string>;
}

export function readManifests(path: string): Manifests {
  try {
    return parseManifests(readFileSync(path === "-" ? 0 : path, "utf8"));
  } catch (cause) {
    throw new UsageError(`${path} cannot be read: ${errorMessage(cause)}`);
  }
}

/** The policies of files; UsageError with every problem when one of them is not valid. */
export function readPolicyFiles(paths: readonly string[], clusterName: string): PolicyFiles {
  const policies = new Map<string, readonly Rule[]>();
  const cidrGroups: CidrGroup[] = [];
  const otherKinds = new Set<string>();
  const wrong: string[] = [];
  for (const path of paths) {
    const { objects, problems } = readManifests(path);
    wrong.push(...problems.map(({ line, column, message }) => `${path}:${line}:${column}: ${message}`));
    for (const one of objects) {
      const parsed = parsePolicyObject(one, clusterName);
      wrong.push(...parsed.problems.map((problem) => `${path}:${problemText(one, problem)}`));
      if ("rules" in parsed) policies.set(parsed.key, parsed.rules);
      else if ("group" in parsed) cidrGroups.push(...(parsed.group === undefined ? [] : [parsed.group]));
      else otherKinds.add(parsed.kind);
    }
  }
  if (wrong.length > 0) throw new UsageError(`what is not valid has no effect to look at:\n${wrong.map(clean).join("\n")}`);
  return { policies, cidrGroups, otherKinds };
}

type Problems = { readonly problems: ReadonlyArray<{ readonly path: string; readonly message: string }> };

export type ParsedObject = Problems &
  ({ readonly key: string; readonly rules: readonly Rule[] } | { readonly group: CidrGroup | undefined } | { readonly kind: string });

/** What the object is to policies, by its kind. */
export function parsePolicyObject({ object }: ManifestObject, clusterName: string): ParsedObject {
  const { kind, metadata = {} } = (object ?? {}) as { readonly kind?: unknown; readonly metadata?: { namespace?: string; name?: string } };
  if (kind === "CiliumCIDRGroup") return parseCiliumCidrGroup(object);
  const known = policyKinds.find(({ resource }) => resource.kind === kind);
  if (known === undefined) return { kind: typeof kind === "string" ? kind : "", problems: [] };
  return { key: policyKey(known.resource, metadata ?? {}), ...known.parse(object, { clusterName, nodeSelectorLabels: true }) };
}

/** `12:5: spec.ingress[0]: must be an object`. */
function problemText(one: ManifestObject, { path, message }: { readonly path: string; readonly message: string }): string {
  const { line, column } = one.placeOf(path);
  return `${line}:${column}: ${path === "" ? "" : `${path}: `}${message}`;
}
