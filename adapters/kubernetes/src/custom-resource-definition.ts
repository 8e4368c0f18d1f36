import type { KubernetesClient } from "./client.ts";
import { textMapAt } from "./fields.ts";
import { KubernetesError } from "./kubernetes-error.ts";
import type { KubernetesObject } from "./kubernetes-object.ts";
import { resources } from "./resource.ts";

export const schemaVersionLabel = "io.cilium.k8s.crd.schema.version";

export type Registration =
  | "created"
  | "updated"
  /** It was there in this version. */
  | "current"
  /** A newer one is there, which a newer program than this made: it was left alone. */
  | "newer";

const attemptsMax = 5;

/**
 * Makes a CustomResourceDefinition known to the server, or brings the one there up to date. Its label with the version of the schema
 * decides: an older one, or one without a version, is replaced, a newer one stays. Labels and annotations of others stay too.
 */
export async function registerDefinition(
  client: KubernetesClient,
  definition: KubernetesObject,
  signal: AbortSignal,
): Promise<Registration> {
  const name = { name: definition.metadata.name ?? "" };
  const ours = versionOf(definition);
  if (ours === undefined)
    throw new Error(`the definition of ${name.name} has no version of the form 1.2.3 in its label ${schemaVersionLabel}`);
  for (let attempt = 1; ; attempt += 1) {
    try {
      const found = await client.get(resources.customResourceDefinitions, name, { signal });
      if (found === undefined) {
        await client.create(resources.customResourceDefinitions, definition, { signal });
        return "created";
      }
      const order = compareVersions(versionOf(found), ours);
      if (order >= 0) return order === 0 ? "current" : "newer";
      const labels = { ...textMapAt(found.metadata, "labels"), ...definition.metadata.labels };
      const wanted = { ...found, metadata: { ...found.metadata, labels }, spec: definition.spec };
      await client.replace(resources.customResourceDefinitions, wanted, { signal });
      return "updated";
    } catch (cause) {
      // Somebody else was at it between our reading and our writing.
      if (!(cause instanceof KubernetesError) || cause.status !== 409 || attempt === attemptsMax) throw cause;
    }
  }
}

type Version = readonly [number, number, number];

function versionOf(definition: KubernetesObject): Version | undefined {
  const text = textMapAt(definition.metadata, "labels")[schemaVersionLabel] ?? "";
  const [, major, minor, patch] = /^v?([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})$/.exec(text) ?? [];
  return patch === undefined ? undefined : [Number(major), Number(minor), Number(patch)];
}

/** Less than 0 when the first is older; one without a version is older than all. */
function compareVersions(one: Version | undefined, other: Version): number {
  if (one === undefined) return -1;
  for (const [index, number] of one.entries()) if (number !== other[index]) return number - (other[index] ?? 0);
  return 0;
}
