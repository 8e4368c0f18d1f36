import {
  apiVersionOf,
  type KubernetesObject,
  parseManifests,
  policyKey,
  policyKinds,
  type Resource,
  resources,
} from "@cilium-ts/kubernetes";
import type { AllowedNamespaces } from "../views/views.ts";

/** A policy that somebody wants to have in the cluster. */
export interface WrittenPolicy {
  readonly key: string;
  readonly resource: Resource;
  readonly namespace: string;
  readonly name: string;
  readonly object: KubernetesObject;
}

export type ParsedWritten =
  | { readonly kind: "policies"; readonly policies: readonly WrittenPolicy[] }
  | { readonly kind: "problem"; readonly problem: string };

/** One change is what a person looks at. */
const objectsMax = 50;
const applicable: readonly Resource[] = [...policyKinds.map(({ resource }) => resource), resources.ciliumCidrGroups];

/** The objects of a text, each of a kind of policy and in a namespace that the user sees. */
export function parseWritten(yaml: string, allowed: AllowedNamespaces): ParsedWritten {
  const { objects, problems } = parseManifests(yaml);
  const [first] = problems;
  if (first !== undefined) return problem(`line ${first.line}: ${first.message}`);
  if (objects.length === 0) return problem("there is nothing in the text: write a policy first");
  if (objects.length > objectsMax) return problem(`the text has more than ${objectsMax} objects: apply a file of them with kubectl`);
  const policies: WrittenPolicy[] = [];
  for (const { object, placeOf } of objects) {
    const read = readOne(object, allowed);
    if (typeof read === "string") return problem(`line ${placeOf("").line}: ${read}`);
    if (policies.some(({ key }) => key === read.key)) return problem(`line ${placeOf("").line}: ${read.key} stands twice in the text`);
    policies.push(read);
  }
  return { kind: "policies", policies };
}

/** The policy of a key, as lists show it; undefined for what is no key. */
export function policyOfKey(key: string): Omit<WrittenPolicy, "object"> | undefined {
  const [kind = "", ...names] = key.split("/");
  const resource = applicable.find((one) => one.kind === kind);
  const [namespace = "", name = ""] = resource?.namespaced === true ? names : ["", ...names];
  if (resource === undefined || name === "" || names.length !== (resource.namespaced ? 2 : 1)) return undefined;
  return { key, resource, namespace, name };
}

export function mayChange({ resource, namespace }: Omit<WrittenPolicy, "object">, allowed: AllowedNamespaces): boolean {
  return allowed === undefined || (resource.namespaced && allowed.has(namespace));
}

function problem(text: string): ParsedWritten {
  return { kind: "problem", problem: text };
}

function readOne(value: unknown, allowed: AllowedNamespaces): WrittenPolicy | string {
  const { kind, apiVersion, metadata } = (value ?? {}) as {
    kind?: unknown;
    apiVersion?: unknown;
    metadata?: Record<string, unknown> | null;
  };
  const resource = applicable.find((one) => one.kind === kind);
  if (resource === undefined) return `${String(kind)} is no kind of policy: apply it with kubectl`;
  if (apiVersion !== apiVersionOf(resource)) return `apiVersion must be ${apiVersionOf(resource)} for a ${resource.kind}`;
  const name = metadata?.name;
  if (typeof name !== "string" || !/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(name)) return "metadata.name is missing, or is no name";
  const namespace = resource.namespaced ? (metadata?.namespace ?? "default") : "";
  if (typeof namespace !== "string" || (resource.namespaced && !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(namespace)))
    return "metadata.namespace is no name";
  const key = policyKey(resource, { namespace, name });
  const policy = { key, resource, namespace, name };
  if (!mayChange(policy, allowed))
    return resource.namespaced
      ? `you do not see the namespace ${namespace} here`
      : `a ${resource.kind} holds for namespaces that you do not see here`;
  return { ...policy, object: asApplied(value as KubernetesObject, resource, namespace) };
}

/** What the server writes itself is no part of what is applied. */
function asApplied(object: KubernetesObject, resource: Resource, namespace: string): KubernetesObject {
  const { status: _status, metadata, ...rest } = object as KubernetesObject & { readonly status?: unknown };
  const { name = "", labels, annotations } = metadata;
  return {
    ...rest,
    metadata: {
      name,
      ...(resource.namespaced && { namespace }),
      ...(labels !== undefined && { labels }),
      ...(annotations !== undefined && { annotations }),
    },
  };
}
