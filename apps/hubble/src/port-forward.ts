import { UsageError } from "@cilium-ts/command-line";
import {
  findClusterAccess,
  type KubernetesClient,
  type KubernetesObject,
  listAt,
  openKubernetes,
  podFrom,
  recordAt,
  resources,
  textAt,
  textMapAt,
} from "@cilium-ts/kubernetes";
import { PodForward, type PodPort } from "@cilium-ts/kubernetes/forward";
import type { ConnectionOptions } from "./connection.ts";
import type { World } from "./world.ts";

const service = "hubble-relay";

/** A port of this machine that is the relay's, in the cluster that the options or the environment mean. Throws with what is missing. */
export async function forwardToRelay(options: ConnectionOptions, world: World, signal: AbortSignal): Promise<PodForward> {
  const localPort = Number(options.portForwardPort);
  if (!/^[0-9]{1,5}$/.test(options.portForwardPort) || localPort > 65_535)
    throw new UsageError(`--port-forward-port ${JSON.stringify(options.portForwardPort)} is no port`);
  const access = await findClusterAccess(world.env, { kubeconfig: options.kubeconfig, context: options.kubeContext });
  if (access === undefined)
    throw new UsageError("it is not known which cluster is meant: name a kubeconfig with --kubeconfig or KUBECONFIG");
  await using client = await openKubernetes({ ...access, userAgent: "hubble" });
  const target = await findRelay(client, options.kubeNamespace, signal);
  return await PodForward.open(access, target, { localPort, onProblem: (message) => void world.stderr.write(`hubble: ${message}\n`) });
}

/** A pod of the relay's service that is ready, and the port that the service leads to. */
async function findRelay(client: KubernetesClient, namespace: string, signal: AbortSignal): Promise<PodPort> {
  const found = await client.get(resources.services, { namespace, name: service }, { signal });
  if (found === undefined)
    throw new UsageError(`there is no service ${namespace}/${service}: is the relay installed, and in another --kube-namespace?`);
  const spec = recordAt(found, "spec");
  const labels = Object.entries(textMapAt(spec, "selector")).map(([key, value]) => `${key}=${value}`);
  if (labels.length === 0) throw new UsageError(`the service ${namespace}/${service} selects no pods`);
  const { items } = await client.list(resources.pods, { namespace, selector: { labels: labels.join(",") }, signal });
  const pod = items.find(isReady);
  if (pod === undefined) throw new UsageError(`no pod of the service ${namespace}/${service} is ready: kubectl -n ${namespace} get pods`);
  const [port] = listAt(spec, "ports");
  const wanted = recordAt({ port }, "port").targetPort ?? recordAt({ port }, "port").port;
  const number = typeof wanted === "number" ? wanted : podFrom(pod).namedPorts.find(({ name }) => name === wanted)?.port;
  if (number === undefined)
    throw new UsageError(`the service ${namespace}/${service} leads to the port ${String(wanted)}, which its pods do not have`);
  return { namespace, pod: pod.metadata.name ?? "", port: number };
}

function isReady(pod: KubernetesObject): boolean {
  const conditions = listAt(recordAt(pod, "status"), "conditions");
  return (
    pod.metadata.deletionTimestamp === undefined &&
    conditions.some((condition) => textAt(condition, "type") === "Ready" && textAt(condition, "status") === "True")
  );
}
