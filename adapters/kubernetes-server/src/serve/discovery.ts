import type { Registry } from "../resources/registry.ts";
import { apiVersionOf, type Resource } from "../resources/resource.ts";
import { scaleResource } from "../resources/scale.ts";
import type { Mutable } from "../schema/schema.ts";

/** The version of the Kubernetes API that the server follows, as /version says it. */
export const serverVersion = { major: "1", minor: "36", gitVersion: "v1.36.0+cilium-apiserver" };

const verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const reviewVerbs = ["create"];
const statusVerbs = ["get", "patch", "update"];

export function versionDocument(): Mutable {
  return {
    ...serverVersion,
    gitCommit: "",
    gitTreeState: "clean",
    buildDate: "1970-01-01T00:00:00Z",
    goVersion: "",
    compiler: "node",
    platform: `${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`,
  };
}

/** /api */
export function coreVersions(): Mutable {
  return { kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [] };
}

/** Versions of a group, the preferred first: stable before beta before alpha, then the higher number. */
function groupVersions(registry: Registry): Map<string, Map<string, Resource[]>> {
  const groups = new Map<string, Map<string, Resource[]>>();
  const resources = registry
    .all()
    .toSorted((left, right) => left.group.localeCompare(right.group) || comparePreference(left.version, right.version));
  for (const resource of resources) {
    const versions = groups.get(resource.group) ?? new Map<string, Resource[]>();
    groups.set(resource.group, versions);
    versions.set(resource.version, [...(versions.get(resource.version) ?? []), resource]);
  }
  return groups;
}

export function comparePreference(left: string, right: string): number {
  const rank = (version: string): readonly number[] => {
    const [, major = "0", stage = "", minor = "0"] = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version) ?? [];
    return [stage === "" ? 2 : stage === "beta" ? 1 : 0, Number(major), Number(minor)];
  };
  const [a, b] = [rank(left), rank(right)];
  for (const [index, value] of a.entries()) if (value !== b[index]) return (b[index] ?? 0) - value;
  return left.localeCompare(right);
}

function groupDocument(group: string, versions: Iterable<string>): Mutable {
  const list = [...versions].map((version) => ({ groupVersion: `${group}/${version}`, version }));
  return { name: group, versions: list, preferredVersion: list[0] ?? {} };
}

/** /apis */
export function groupList(registry: Registry): Mutable {
  const groups = [...groupVersions(registry)].filter(([group]) => group !== "");
  return { kind: "APIGroupList", apiVersion: "v1", groups: groups.map(([group, versions]) => groupDocument(group, versions.keys())) };
}

/** /apis/GROUP */
export function groupOf(registry: Registry, group: string): Mutable | undefined {
  const versions = groupVersions(registry).get(group);
  return versions === undefined ? undefined : { kind: "APIGroup", apiVersion: "v1", ...groupDocument(group, versions.keys()) };
}

/** /api/v1 and /apis/GROUP/VERSION */
export function resourceList(registry: Registry, apiVersion: string): Mutable | undefined {
  const resources = registry.all().filter((resource) => apiVersionOf(resource) === apiVersion);
  if (resources.length === 0) return undefined;
  return { kind: "APIResourceList", apiVersion: "v1", groupVersion: apiVersion, resources: resources.flatMap(describeResource) };
}

function verbsOf({ isReview }: Resource): string[] {
  return isReview ? reviewVerbs : verbs;
}

function describeResource(resource: Resource): Mutable[] {
  const { plural, singular, isNamespaced, kind, shortNames, categories } = resource;
  const main: Mutable = { name: plural, singularName: singular, namespaced: isNamespaced, kind, verbs: verbsOf(resource) };
  if (shortNames.length > 0) main.shortNames = [...shortNames];
  if (categories.length > 0) main.categories = [...categories];
  const described = [main];
  if (resource.hasStatus)
    described.push({ name: `${plural}/status`, singularName: "", namespaced: isNamespaced, kind, verbs: statusVerbs });
  if (resource.scale !== undefined) {
    const { group, version, kind: scaleKind } = scaleResource;
    described.push({
      name: `${plural}/scale`,
      singularName: "",
      namespaced: isNamespaced,
      group,
      version,
      kind: scaleKind,
      verbs: statusVerbs,
    });
  }
  return described;
}

/** /api and /apis at once, as newer clients ask for it. */
export function aggregatedDiscovery(registry: Registry, isCore: boolean): Mutable {
  const groups = [...groupVersions(registry)].filter(([group]) => (group === "") === isCore);
  const items = groups.map(([group, versions]) => ({
    metadata: group === "" ? { creationTimestamp: null } : { name: group, creationTimestamp: null },
    versions: [...versions].map(([version, resources]) => ({
      version,
      freshness: "Current",
      resources: resources.map(aggregatedResource),
    })),
  }));
  return { kind: "APIGroupDiscoveryList", apiVersion: "apidiscovery.k8s.io/v2", metadata: {}, items };
}

function aggregatedResource(resource: Resource): Mutable {
  const responseKind = { group: resource.group, version: resource.version, kind: resource.kind };
  const document: Mutable = {
    resource: resource.plural,
    responseKind,
    scope: resource.isNamespaced ? "Namespaced" : "Cluster",
    singularResource: resource.singular,
    verbs: verbsOf(resource),
  };
  if (resource.shortNames.length > 0) document.shortNames = [...resource.shortNames];
  if (resource.categories.length > 0) document.categories = [...resource.categories];
  const subresources: Mutable[] = [];
  if (resource.hasStatus) subresources.push({ subresource: "status", responseKind, verbs: statusVerbs });
  if (resource.scale !== undefined) {
    const { group, version, kind } = scaleResource;
    subresources.push({ subresource: "scale", responseKind: { group, version, kind }, verbs: statusVerbs });
  }
  if (subresources.length > 0) document.subresources = subresources;
  return document;
}
