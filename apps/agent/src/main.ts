import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openKernel } from "@cilium-ts/kernel";
import { type KubernetesOptions, loadInClusterAccess, openKubernetes } from "@cilium-ts/kubernetes";
import { createLog } from "@cilium-ts/log";
import { openNetlink } from "@cilium-ts/netlink";
import { errorMessage, systemClock } from "@cilium-ts/std";
import { runAgent } from "./agent.ts";
import { type AgentOptions, parseSettings } from "./settings.ts";

/** Beside the bundle in what ships, in the tree otherwise. */
const objectDirectories = [join(import.meta.dirname, "../bpf"), join(import.meta.dirname, "../../../bpf/build")];

/** After a signal everything must have ended within this time. */
const stopDeadlineMs = 5_000;

const parsed = parseSettings(process.argv.slice(2), process.env, readConfigFile);
switch (parsed.kind) {
  case "help":
    console.log(parsed.text);
    break;
  case "problems":
    for (const problem of parsed.problems) console.error(`cilium-agent: ${problem}`);
    process.exitCode = 2;
    break;
  case "options":
    await main(parsed.options);
}

async function main(options: AgentOptions): Promise<void> {
  const stop = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    process.once(name, () => {
      stop.abort(new Error(`stopped by ${name}`));
      setTimeout(() => process.exit(1), stopDeadlineMs).unref(); // Nothing is lost: what is in the kernel stays.
    });
  }
  try {
    const objects = {
      pod: readObject("pod"),
      conntrack: readObject("conntrack"),
      overlay: readObject("overlay"),
      network: readObject("network"),
      host: readObject("host"),
      proxy: readObject("proxy"),
    };
    const kernel = openKernel();
    const log = createLog({ level: options.logLevel });
    const world = {
      kernel,
      clock: systemClock,
      log,
      objects,
      openNetlink: (given?: { namespacePath: string }) => openNetlink(kernel, given),
      openClient: async () => openKubernetes({ fieldManager: "cilium-agent", ...(await loadAccess(options.kubeconfigPath)) }),
    };
    await runAgent(world, options, stop.signal);
  } catch (cause) {
    if (stop.signal.aborted) return;
    console.error(`cilium-agent: ${errorMessage(cause)}`);
    process.exitCode = 1;
  }
}

/** From the file that was named, or as a pod of the cluster. */
async function loadAccess(kubeconfigPath: string | undefined): Promise<KubernetesOptions> {
  if (kubeconfigPath !== undefined) return { kubeconfigPath };
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
  const access = await loadInClusterAccess({ host, port });
  if (access === undefined) throw new Error("there is no API server: name one with --k8s-kubeconfig-path, or run in a pod of the cluster");
  return access;
}

function readObject(name: string): Uint8Array {
  const directory = objectDirectories.find((candidate) => existsSync(join(candidate, `${name}.o`)));
  if (directory === undefined)
    throw new Error(`the compiled datapath ${name}.o is in none of ${objectDirectories.join(", ")}: build it with ./dev`);
  return readFileSync(join(directory, `${name}.o`));
}

function readConfigFile(directory: string, name: string): string | undefined {
  try {
    return readFileSync(join(directory, name), "utf8");
  } catch {
    return undefined; // Not every setting has a file.
  }
}
