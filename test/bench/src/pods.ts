import { Lab, type LabOptions } from "@cilium-ts/lab";
import { netperfPorts } from "./netperf.ts";
import type { Topology } from "./topologies.ts";

const policy = {
  apiVersion: "cilium.io/v2",
  kind: "CiliumNetworkPolicy",
  metadata: { name: "bench", namespace: "default" },
  spec: {
    endpointSelector: { matchLabels: { app: "bench-server" } },
    ingress: [
      {
        fromEndpoints: [{ matchLabels: { app: "bench-client" } }],
        toPorts: [
          {
            ports: [
              { port: String(netperfPorts.control), endPort: netperfPorts.transfer, protocol: "TCP" },
              { port: String(netperfPorts.transfer), protocol: "UDP" },
            ],
          },
        ],
      },
    ],
  },
};

/** Two pods of real nodes, the first and the last, with a policy between them and Hubble on, as it is by default. */
export async function openPods(name: string, options: LabOptions): Promise<Topology> {
  const lab = await Lab.start(options);
  try {
    await lab.kubectl.apply(policy);
    const client = await lab.createPod({ name: "client", labels: { app: "bench-client" } });
    const server = await lab.createPod({ name: "server", labels: { app: "bench-server" }, node: `node${options.nodes ?? 1}` });
    return {
      name,
      clientNamespacePath: client.namespacePath,
      serverNamespacePath: server.namespacePath,
      serverAddress: server.ipv4,
      [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
    };
  } catch (cause) {
    await lab[Symbol.asyncDispose]();
    throw cause;
  }
}
