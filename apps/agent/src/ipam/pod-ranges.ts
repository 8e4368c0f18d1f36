import { ciliumNodeFrom, type KubernetesClient, operatorProblem, resources } from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";
import { formatAddress, formatPrefix, type Prefix, parsePrefix } from "@cilium-ts/net";
import type { Netlink } from "@cilium-ts/netlink";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { LocalNode } from "../cluster/local-node.ts";
import { nodeAddresses } from "../network/node-network.ts";
import type { AgentOptions } from "../settings.ts";
import { KeptFile } from "./kept-file.ts";

export interface PodRanges {
  readonly ipv4Range: Prefix;
  readonly ipv6Range: Prefix;
}

export interface PodRangesOptions {
  readonly options: AgentOptions;
  readonly client: KubernetesClient;
  readonly localNode: LocalNode;
  readonly netlink: Netlink;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const askAgainMs = 200;

/**
 * Which addresses the node's pods may have: from the settings, from the Node object, or from the operator by way of the CiliumNode. What
 * the cluster once gave is kept on disk: a restart asks nobody, and never gives its pods another range under their feet.
 */
export async function resolvePodRanges(given: PodRangesOptions): Promise<PodRanges> {
  const { options, clock, log, signal } = given;
  if (options.ipam === "host-scope") return { ipv4Range: options.ipv4Range, ipv6Range: options.ipv6Range };
  const file = fileIn(options.stateDirectory);
  const kept = file.read();
  if (kept !== undefined) return kept;
  for (let said = ""; ; await clock.sleep(askAgainMs, signal)) {
    const answer = await ask(given).catch((cause) => errorMessage(cause));
    if (typeof answer !== "string") {
      file.write(JSON.stringify([answer.ipv4Range, answer.ipv6Range].map(formatPrefix)));
      return answer;
    }
    if (answer !== said) log.warn(`the node has no pod CIDRs yet: ${answer}`);
    said = answer;
  }
}

/** The ranges, or why there are none yet. */
async function ask(given: PodRangesOptions): Promise<PodRanges | string> {
  const { options, client, localNode, signal } = given;
  if (options.ipam === "kubernetes") {
    const node = await localNode.find(signal);
    const wayOut = "let the cluster give Nodes pod CIDRs (--allocate-node-cidrs of kube-controller-manager)";
    return node === undefined ? `there is no Node ${options.nodeName}` : rangesOf(node.podCIDRs, `Node ${options.nodeName}`, wayOut);
  }
  const object = await client.get(resources.ciliumNodes, { name: options.nodeName }, { signal });
  if (object === undefined) {
    await introduceNode(given);
    return `CiliumNode ${options.nodeName} has just been made`;
  }
  const problem = operatorProblem(object);
  const wayOut = problem === "" ? "is the operator running?" : `the operator says: ${problem}`;
  return rangesOf(ciliumNodeFrom(object).podCIDRs, `CiliumNode ${options.nodeName}`, wayOut);
}

/** The operator gives ranges to nodes that it knows. */
export async function introduceNode({ localNode, netlink, signal }: PodRangesOptions): Promise<void> {
  await localNode.find(signal);
  localNode.gone(); // Whatever we have written before: it is not there.
  localNode.publish((await nodeAddresses(netlink)).map(formatAddress), undefined);
  for (const row of localNode.table.rows()) await localNode.target.apply(row, signal);
}

function rangesOf(cidrs: readonly string[], owner: string, wayOut: string): PodRanges | string {
  const prefixes = cidrs.map(parsePrefix).filter((prefix) => prefix !== undefined);
  const ipv4Range = prefixes.find(({ address }) => address.length === 4);
  const ipv6Range = prefixes.find(({ address }) => address.length === 16);
  if (ipv4Range !== undefined && ipv6Range !== undefined) return { ipv4Range, ipv6Range };
  return `${owner} has the pod CIDRs ${JSON.stringify(cidrs)}, and one of each family is needed; ${wayOut}`;
}

function fileIn(stateDirectory: string): KeptFile<PodRanges> {
  return new KeptFile(stateDirectory, "pod-ranges", (text) => {
    const ranges = rangesOf(JSON.parse(text), "the file", "the cluster still knows");
    if (typeof ranges === "string") throw new RangeError(ranges);
    return ranges;
  });
}
