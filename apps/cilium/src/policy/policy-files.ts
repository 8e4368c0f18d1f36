import { readFileSync } from "node:fs";
import { clean, UsageError } from "@cilium-ts/command-line";
import { type ManifestObject, type Manifests, parseManifests, parsePolicyObject } from "@cilium-ts/kubernetes";
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

/** `12:5: spec.ingress[0]: must be an object`. */
function problemText(one: ManifestObject, { path, message }: { readonly path: string; readonly message: string }): string {
  const { line, column } = one.placeOf(path);
  return `${line}:${column}: ${path === "" ? "" : `${path}: `}${message}`;
}
