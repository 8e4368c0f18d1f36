import {
  apiVersionOf,
  type KubernetesClient,
  type KubernetesObject,
  listAt,
  type Resource,
  recordAt,
  resources,
  textAt,
} from "@cilium-ts/kubernetes";
import { listPages } from "../status/cluster-objects.ts";
import { redactObject } from "./redact.ts";

/** What of a cluster a dump shows. Secrets are not among it. */
const builtIn: readonly Resource[] = [
  resources.namespaces,
  resources.nodes,
  resources.pods,
  resources.services,
  resources.endpointSlices,
  resources.networkPolicies,
  resources.daemonSets,
  resources.deployments,
  resources.leases,
];

/** Objects of one resource that are kept; of more only their number is told. */
const objectCountMax = 50_000;

export interface DumpedObjects {
  readonly fileName: string;
  readonly text: string;
  /** Of which not all are here. */
  readonly problem: string | undefined;
}

/** The resources to dump: the ones that every cluster has, and whatever is defined of Cilium's. */
export async function dumpedResources(cluster: KubernetesClient, signal: AbortSignal): Promise<Resource[]> {
  const { items } = await cluster.list(resources.customResourceDefinitions, { signal });
  return [...builtIn, ...items.flatMap(resourceOf)];
}

function resourceOf(definition: KubernetesObject): Resource[] {
  const spec = recordAt(definition, "spec");
  const group = textAt(spec, "group");
  const names = recordAt(spec, "names");
  const stored = listAt(spec, "versions").find((version) => recordAt({ version }, "version").storage === true);
  if (group !== "cilium.io" || stored === undefined) return [];
  const [plural, kind, version] = [textAt(names, "plural"), textAt(names, "kind"), textAt(stored, "name")];
  return [{ group, version, plural, kind, namespaced: textAt(spec, "scope") === "Namespaced" }];
}

export async function dumpObjects(cluster: KubernetesClient, resource: Resource, signal: AbortSignal): Promise<DumpedObjects> {
  const texts: string[] = [];
  let count = 0;
  for await (const page of listPages(cluster, resource, signal)) {
    count += page.length;
    for (const object of page) if (texts.length < objectCountMax) texts.push(JSON.stringify(redactObject(object)));
  }
  const apiVersion = apiVersionOf(resource);
  const problem = count > texts.length ? `${resource.plural}: ${texts.length} of ${count} are here` : undefined;
  const text = `{"apiVersion":"${apiVersion}","kind":"${resource.kind}List","items":[\n${texts.join(",\n")}\n]}\n`;
  return { fileName: `objects/${resource.plural}.json`, text, problem };
}

/** The settings of Cilium, without what is secret in them. */
export async function dumpConfiguration(cluster: KubernetesClient, namespace: string, signal: AbortSignal): Promise<string | undefined> {
  const object = await cluster.get(resources.configMaps, { namespace, name: "cilium-config" }, { signal });
  return object === undefined ? undefined : `${JSON.stringify(redactObject(object), null, 2)}\n`;
}
