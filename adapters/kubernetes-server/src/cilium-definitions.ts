import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Mutable } from "./schema/schema.ts";

/** The CustomResourceDefinitions of Cilium, from `crds/`: the same files can be applied to any cluster. */
export function readCiliumDefinitions(): Mutable[] {
  return readDefinitions("crds");
}

/** Those of the network policy API, which belong to Kubernetes: a cluster may have its own, or none. */
export function readPolicyApiDefinitions(): Mutable[] {
  return readDefinitions("crds/network-policy-api");
}

function readDefinitions(path: string): Mutable[] {
  const folder = join(import.meta.dirname, "..", path);
  const names = readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .sort();
  return names.map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")) as Mutable);
}
