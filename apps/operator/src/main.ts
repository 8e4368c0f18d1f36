import { randomBytes, randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { type KubernetesObject, type KubernetesOptions, loadInClusterAccess, openKubernetes } from "@cilium-ts/kubernetes";
import { createLog } from "@cilium-ts/log";
import { errorMessage, systemClock } from "@cilium-ts/std";
import { runOperator } from "./operator.ts";
import { type OperatorOptions, parseSettings } from "./settings.ts";

/** Beside the bundle in what ships, in the tree otherwise. */
const definitionDirectories = [join(import.meta.dirname, "../crds"), join(import.meta.dirname, "../../../adapters/kubernetes-server/crds")];

const parsed = parseSettings(process.argv.slice(2), process.env, readConfigFile);
switch (parsed.kind) {
  case "help":
    console.log(parsed.text);
    break;
  case "problems":
    for (const problem of parsed.problems) console.error(`cilium-operator-generic: ${problem}`);
    process.exitCode = 2;
    break;
  case "options":
    await main(parsed.options);
}

async function main(options: OperatorOptions): Promise<void> {
  const stop = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => stop.abort(new Error(`stopped by ${name}`)));
  try {
    const access = await loadAccess(options.kubeconfigPath);
    const world = {
      clock: systemClock,
      monotonicMs: () => performance.now(),
      log: createLog({ level: options.logLevel }),
      identity: `${hostname()}_${randomUUID()}`,
      createId: () => randomBytes(6).toString("hex"),
      openClient: (client: KubernetesOptions) => openKubernetes({ ...client, ...access }),
      definitions: options.registersDefinitions ? readDefinitions() : [],
    };
    await runOperator(world, options, stop.signal);
  } catch (cause) {
    if (stop.signal.aborted) return;
    console.error(`cilium-operator-generic: ${errorMessage(cause)}`);
    process.exitCode = 1;
  }
}

async function loadAccess(kubeconfigPath: string | undefined): Promise<KubernetesOptions> {
  if (kubeconfigPath !== undefined) return { kubeconfigPath };
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
  const access = await loadInClusterAccess({ host, port });
  if (access === undefined) throw new Error("there is no API server: name one with --k8s-kubeconfig-path, or run in a pod of the cluster");
  return access;
}

function readDefinitions(): readonly KubernetesObject[] {
  const directory = definitionDirectories.find((candidate) => existsSync(candidate));
  if (directory === undefined)
    throw new Error(
      `the CustomResourceDefinitions are in none of ${definitionDirectories.join(", ")}: use --skip-crd-creation true, or install them`,
    );
  const names = readdirSync(directory).filter((name) => name.endsWith(".json"));
  return names.sort().map((name) => JSON.parse(readFileSync(join(directory, name), "utf8")) as KubernetesObject);
}

function readConfigFile(directory: string, name: string): string | undefined {
  try {
    return readFileSync(join(directory, name), "utf8");
  } catch {
    return undefined; // Not every setting has a file.
  }
}
