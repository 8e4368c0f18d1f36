import type { KubernetesObject } from "@cilium-ts/kubernetes";
import { clusterwide, cnp, denyAll, type Rules } from "./policy-objects.ts";
import { rows, type Scenario, type TestNames } from "./scenario.ts";

const client = { matchLabels: { name: "client" } };
const anyClient = { matchLabels: { kind: "client" } };
const echo = { matchLabels: { kind: "echo" } };
const tcp = (port: number | string, endPort?: number): object => ({
  ports: [{ port: String(port), protocol: "TCP", ...(endPort !== undefined && { endPort }) }],
});

/** A scenario of one CiliumNetworkPolicy, or of none. */
function scenario(name: string, about: string, policy: Rules | undefined, text: string): Scenario {
  return { name, about, objects: () => (policy === undefined ? [] : [cnp(name, policy)]), rows: rows(text) };
}

function scenarioOf(name: string, about: string, objects: (test: TestNames) => readonly KubernetesObject[], text: string): Scenario {
  return { name, about, objects, rows: rows(text) };
}

const open: readonly Scenario[] = [
  scenario(
    "no-policies",
    "without policies everybody reaches everybody",
    undefined,
    `
      client    tcp/8080   near      allowed
      client    tcp/8080   far       allowed
      client    udp/8080   near      allowed
      client    udp/8080   far       allowed
      client    icmp       near      allowed
      client    icmp       far       allowed
      client    icmp       client2   allowed
      stranger  tcp/8080   near      allowed
      stranger  tcp/8080   far       allowed
    `,
  ),
  scenario(
    "no-policies-hosts",
    "pods reach nodes, and nodes reach pods",
    undefined,
    `
      client    tcp/host   nearHost  allowed
      client    tcp/host   farHost   allowed
      client    icmp       nearHost  allowed
      client    icmp       farHost   allowed
      nearHost  tcp/8080   near      allowed
      nearHost  tcp/8080   far       allowed
      farHost   tcp/8080   near      allowed
      farHost   icmp       near      allowed
      nearHost  tcp/host   farHost   allowed
    `,
  ),
  scenario("no-policies-world", "pods reach the world", undefined, "client tcp/world world allowed"),
  scenario(
    "allow-all-ingress",
    "an ingress rule for everybody lets everybody in",
    { endpointSelector: echo, ingress: [{ fromEntities: ["all"] }] },
    `
      client    tcp/8080   near      allowed
      client    udp/8081   far       allowed
      stranger  tcp/8080   near      allowed
      farHost   tcp/8080   near      allowed
    `,
  ),
  scenario(
    "allow-all-egress",
    "an egress rule for everybody lets everything out",
    { endpointSelector: anyClient, egress: [{ toEntities: ["all"] }] },
    `
      client    tcp/8080   near      allowed
      client    icmp       far       allowed
      client    tcp/host   farHost   allowed
      client    tcp/world  world     allowed
    `,
  ),
  scenario(
    "same-namespace",
    "an empty selector means the policy's own namespace",
    { endpointSelector: echo, ingress: [{ fromEndpoints: [{}] }] },
    `
      client    tcp/8080   near      allowed
      client    tcp/8080   far       allowed
      stranger  tcp/8080   near      dropped
      stranger  tcp/8080   far       dropped
      farHost   tcp/8080   near      dropped
    `,
  ),
];

const closed: readonly Scenario[] = [
  scenario(
    "deny-all-ingress",
    "a rule that lets nobody in lets in the node alone, and answers still pass",
    { endpointSelector: echo, ingress: denyAll },
    `
      client    tcp/8080   near      dropped
      client    tcp/8080   far       dropped
      client    udp/8080   far       dropped
      client    icmp       near      dropped
      farHost   tcp/8080   near      dropped
      nearHost  tcp/8080   near      allowed
      near      icmp       client    allowed
      far       icmp       client    allowed
    `,
  ),
  scenario(
    "deny-all-egress",
    "a rule that lets nothing out concerns whom it selects alone",
    { endpointSelector: client, egress: denyAll },
    `
      client    tcp/8080   near      dropped
      client    tcp/8080   far       dropped
      client    icmp       far       dropped
      client    tcp/host   nearHost  dropped
      client    tcp/world  world     dropped
      client2   tcp/8080   far       allowed
      near      icmp       client    allowed
    `,
  ),
  scenario(
    "ingress-without-default-deny",
    "a policy that asks for no default deny forbids nothing",
    { endpointSelector: echo, enableDefaultDeny: { ingress: false }, ingress: [{ fromEndpoints: [client] }] },
    `
      client2   tcp/8080   near      allowed
      client2   udp/8080   far       allowed
    `,
  ),
];

const byLabel: readonly Scenario[] = [
  scenario(
    "ingress-from-labels",
    "who is let in is told by labels, wherever it runs",
    { endpointSelector: echo, ingress: [{ fromEndpoints: [client] }] },
    `
      client    tcp/8080   near      allowed
      client    tcp/8080   far       allowed
      client    icmp       far       allowed
      client2   tcp/8080   near      dropped
      client2   tcp/8080   far       dropped
      stranger  tcp/8080   near      dropped
    `,
  ),
  scenario(
    "egress-to-labels",
    "where pods may go is told by labels",
    { endpointSelector: anyClient, egress: [{ toEndpoints: [{ matchLabels: { name: "echo-other-node" } }] }] },
    `
      client    tcp/8080   far       allowed
      client    udp/8080   far       allowed
      client    tcp/8080   near      dropped
      client2   icmp       near      dropped
      client    tcp/world  world     dropped
    `,
  ),
  scenario(
    "match-expressions",
    "selectors may be expressions",
    { endpointSelector: echo, ingress: [{ fromEndpoints: [{ matchExpressions: [{ key: "other", operator: "DoesNotExist" }] }] }] },
    `
      client    tcp/8080   near      allowed
      client2   tcp/8080   near      dropped
      client2   tcp/8080   far       dropped
    `,
  ),
  scenarioOf(
    "ingress-from-namespace",
    "pods of another namespace are let in when it is named",
    ({ otherNamespace }) => [
      cnp("ingress-from-namespace", {
        endpointSelector: echo,
        ingress: [{ fromEndpoints: [{ matchLabels: { "k8s:io.kubernetes.pod.namespace": otherNamespace } }] }],
      }),
    ],
    `
      stranger  tcp/8080   near      allowed
      stranger  tcp/8080   far       allowed
      client    tcp/8080   near      dropped
    `,
  ),
  scenarioOf(
    "several-specs",
    "one object with several rules",
    () => [
      {
        ...cnp("several-specs", { endpointSelector: echo }),
        spec: undefined,
        specs: [
          { endpointSelector: echo, ingress: [{ fromEndpoints: [client], toPorts: [tcp(8080)] }] },
          { endpointSelector: { matchLabels: { name: "echo-other-node" } }, ingress: [{ fromEndpoints: [client], toPorts: [tcp(8085)] }] },
        ],
      },
    ],
    `
      client    tcp/8080   near      allowed
      client    tcp/8080   far       allowed
      client    tcp/8085   far       allowed
      client    tcp/8085   near      dropped
      client2   tcp/8080   near      dropped
    `,
  ),
  scenarioOf(
    "both-ends",
    "both ends must agree",
    () => [
      cnp("both-ends-client", { endpointSelector: anyClient, egress: [{ toEndpoints: [echo], toPorts: [tcp(8080), tcp(8081)] }] }),
      cnp("both-ends-echo", { endpointSelector: echo, ingress: [{ fromEndpoints: [client], toPorts: [tcp(8080)] }] }),
    ],
    `
      client    tcp/8080   near      allowed
      client    tcp/8080   far       allowed
      client    tcp/8081   far       dropped
      client2   tcp/8080   far       dropped
      client    tcp/8090   near      dropped
    `,
  ),
  scenarioOf(
    "union",
    "what any policy allows is allowed",
    () => [
      cnp("union-one", { endpointSelector: echo, ingress: [{ fromEndpoints: [client], toPorts: [tcp(8080)] }] }),
      cnp("union-two", { endpointSelector: echo, ingress: [{ fromEndpoints: [client], toPorts: [tcp(8081)] }] }),
    ],
    `
      client    tcp/8080   far       allowed
      client    tcp/8081   far       allowed
      client    tcp/8085   far       dropped
    `,
  ),
];

const byPort: readonly Scenario[] = [
  scenario(
    "ingress-port",
    "one port of one protocol",
    { endpointSelector: echo, ingress: [{ fromEndpoints: [anyClient], toPorts: [tcp(8080)] }] },
    `
      client    tcp/8080   near      allowed
      client    tcp/8080   far       allowed
      client    tcp/8081   near      dropped
      client    udp/8080   far       dropped
      client    icmp       near      dropped
    `,
  ),
  scenario(
    "egress-port",
    "one port on the way out",
    { endpointSelector: anyClient, egress: [{ toPorts: [tcp(8080)] }] },
    `
      client    tcp/8080   near      allowed
      client    tcp/8080   far       allowed
      client    tcp/8081   far       dropped
      client    udp/8080   near      dropped
    `,
  ),
  scenario(
    "port-range",
    "a range of ports, its ends included",
    { endpointSelector: echo, ingress: [{ toPorts: [tcp(8081, 8085)] }] },
    `
      client    tcp/8081   near      allowed
      client    tcp/8085   far       allowed
      client    tcp/8080   near      dropped
      client    tcp/8090   far       dropped
    `,
  ),
  scenario(
    "udp-port",
    "UDP, and not TCP of the same number",
    { endpointSelector: echo, ingress: [{ toPorts: [{ ports: [{ port: "8080", protocol: "UDP" }] }] }] },
    `
      client    udp/8080   near      allowed
      client    udp/8080   far       allowed
      client    udp/8081   far       dropped
      client    tcp/8080   far       dropped
    `,
  ),
  scenario(
    "any-protocol-port",
    "a port without a protocol is one of all of them",
    { endpointSelector: echo, ingress: [{ toPorts: [{ ports: [{ port: "8081", protocol: "ANY" }] }] }] },
    `
      client    tcp/8081   near      allowed
      client    udp/8081   far       allowed
      client    tcp/8080   far       dropped
    `,
  ),
  scenario(
    "named-port-ingress",
    "a port by the name that the pod gives it",
    { endpointSelector: echo, ingress: [{ toPorts: [tcp("http")] }] },
    `
      client    tcp/8080   near      allowed
      client    tcp/8080   far       allowed
      client    tcp/8081   near      dropped
    `,
  ),
  scenario(
    "named-port-egress",
    "a port by the name that the peer gives it",
    { endpointSelector: anyClient, egress: [{ toEndpoints: [echo], toPorts: [tcp("http")] }] },
    `
      client    tcp/8080   near      allowed
      client    tcp/8080   far       allowed
      client    tcp/8081   far       dropped
    `,
  ),
  scenario(
    "icmp-echo",
    "ICMP by its type, in both families",
    {
      endpointSelector: echo,
      ingress: [
        {
          icmps: [
            {
              fields: [
                { family: "IPv4", type: 8 },
                { family: "IPv6", type: 128 },
              ],
            },
          ],
        },
      ],
    },
    `
      client    icmp       near      allowed
      client    icmp       far       allowed
      client    tcp/8080   far       dropped
    `,
  ),
  scenario(
    "icmp-other-type",
    "another type of ICMP is not an echo",
    {
      endpointSelector: echo,
      ingress: [
        {
          icmps: [
            {
              fields: [
                { family: "IPv4", type: 13 },
                { family: "IPv6", type: 129 },
              ],
            },
          ],
        },
      ],
    },
    `
      client    icmp       near      dropped
      client    icmp       far       dropped
    `,
  ),
];

const byEntity: readonly Scenario[] = [
  scenario(
    "to-world",
    "the world is what is not of the cluster",
    { endpointSelector: anyClient, egress: [{ toEntities: ["world"] }] },
    `
      client    tcp/world  world     allowed
      client    tcp/8080   near      dropped
      client    tcp/host   farHost   dropped
    `,
  ),
  scenario(
    "to-cluster",
    "the cluster is pods and nodes",
    { endpointSelector: anyClient, egress: [{ toEntities: ["cluster"] }] },
    `
      client    tcp/8080   near      allowed
      client    tcp/8080   far       allowed
      client    tcp/host   nearHost  allowed
      client    tcp/host   farHost   allowed
      client    tcp/world  world     dropped
    `,
  ),
  scenario(
    "to-host",
    "the host is the pod's own node",
    { endpointSelector: anyClient, egress: [{ toEntities: ["host"] }] },
    `
      client    tcp/host   nearHost  allowed
      client    tcp/host   farHost   dropped
      client    tcp/8080   near      dropped
    `,
  ),
  scenario(
    "to-remote-node",
    "remote nodes are the others",
    { endpointSelector: anyClient, egress: [{ toEntities: ["remote-node"] }] },
    `
      client    tcp/host   farHost   allowed
      client    tcp/host   nearHost  dropped
      client    tcp/8080   far       dropped
    `,
  ),
  scenario(
    "from-remote-node",
    "other nodes are let in when they are named",
    { endpointSelector: echo, ingress: [{ fromEntities: ["remote-node"] }] },
    `
      farHost   tcp/8080   near      allowed
      nearHost  tcp/8080   far       allowed
      client    tcp/8080   far       dropped
    `,
  ),
  scenario(
    "from-cluster",
    "pods of all namespaces and all nodes are of the cluster",
    { endpointSelector: echo, ingress: [{ fromEntities: ["cluster"], toPorts: [tcp(8080)] }] },
    `
      client    tcp/8080   near      allowed
      stranger  tcp/8080   far       allowed
      farHost   tcp/8080   near      allowed
      client    tcp/8081   far       dropped
      farHost   tcp/8081   near      dropped
    `,
  ),
];

const byAddress: readonly Scenario[] = [
  scenarioOf(
    "to-cidr",
    "addresses outside by prefix",
    ({ worldIPv4, worldIPv6 }) => [
      cnp("to-cidr", { endpointSelector: anyClient, egress: [{ toCIDR: [...own(worldIPv4, 32), ...own(worldIPv6, 128)] }] }),
    ],
    `
      client    tcp/world  world     allowed
      client    tcp/8080   near      dropped
      client    tcp/host   farHost   dropped
    `,
  ),
  scenario(
    "cidr-is-no-pod",
    "a prefix of all addresses does not mean pods and nodes",
    { endpointSelector: anyClient, egress: [{ toCIDR: ["0.0.0.0/0", "::/0"] }] },
    `
      client    tcp/world  world     allowed
      client    tcp/8080   near      dropped
      client    tcp/8080   far       dropped
      client    tcp/host   farHost   dropped
    `,
  ),
  scenarioOf(
    "to-cidr-except",
    "an exception from a prefix",
    ({ worldIPv4, worldIPv6 }) => [
      cnp("to-cidr-except", {
        endpointSelector: anyClient,
        egress: [
          {
            toCIDRSet: [
              { cidr: "0.0.0.0/0", except: own(worldIPv4, 32) },
              { cidr: "::/0", except: own(worldIPv6, 128) },
            ],
          },
        ],
      }),
    ],
    "client tcp/world world dropped",
  ),
  scenarioOf(
    "cidr-group",
    "prefixes by the name of a group",
    ({ worldIPv4, worldIPv6 }) => [
      {
        apiVersion: "cilium.io/v2",
        kind: "CiliumCIDRGroup",
        metadata: { name: "cilium-test-world" },
        spec: { externalCIDRs: [...own(worldIPv4, 32), ...own(worldIPv6, 128)] },
      },
      cnp("cidr-group", { endpointSelector: anyClient, egress: [{ toCIDRSet: [{ cidrGroupRef: "cilium-test-world" }] }] }),
    ],
    `
      client    tcp/world  world     allowed
      client    tcp/8080   far       dropped
    `,
  ),
];

const denied: readonly Scenario[] = [
  scenario(
    "deny-over-allow",
    "a deny wins over an allow that is narrower",
    {
      endpointSelector: echo,
      ingress: [{ fromEntities: ["all"] }, { fromEndpoints: [client], toPorts: [tcp(8080)] }],
      ingressDeny: [{ fromEndpoints: [anyClient] }],
    },
    `
      client    tcp/8080   near      dropped
      client    tcp/8080   far       dropped
      client2   icmp       far       dropped
      farHost   tcp/8080   near      allowed
    `,
  ),
  scenario(
    "deny-port",
    "a port denied to everybody, on the way in",
    { endpointSelector: echo, ingress: [{ fromEntities: ["all"] }], ingressDeny: [{ toPorts: [tcp(8081)] }] },
    `
      client    tcp/8081   near      dropped
      client    tcp/8081   far       dropped
      client    tcp/8080   near      allowed
      client    udp/8081   far       allowed
    `,
  ),
  scenario(
    "deny-port-range",
    "a denied range of ports wins over an allowed port inside of it",
    {
      endpointSelector: echo,
      ingress: [{ toPorts: [tcp(8081)] }, { toPorts: [tcp(8090)] }],
      ingressDeny: [{ fromEndpoints: [anyClient], toPorts: [tcp(8080, 8085)] }],
    },
    `
      client    tcp/8081   near      dropped
      client    tcp/8085   far       dropped
      client    tcp/8090   near      allowed
      client    tcp/8090   far       allowed
      client    udp/8081   far       dropped
    `,
  ),
  scenario(
    "deny-egress",
    "a peer denied on the way out",
    {
      endpointSelector: anyClient,
      egress: [{ toEntities: ["all"] }],
      egressDeny: [{ toEndpoints: [{ matchLabels: { name: "echo-other-node" } }] }],
    },
    `
      client    tcp/8080   far       dropped
      client    icmp       far       dropped
      client    tcp/8080   near      allowed
      client    tcp/world  world     allowed
    `,
  ),
  scenario(
    "deny-world",
    "the world denied",
    { endpointSelector: anyClient, egress: [{ toEntities: ["all"] }], egressDeny: [{ toEntities: ["world"] }] },
    `
      client    tcp/world  world     dropped
      client    tcp/8080   far       allowed
      client    tcp/host   farHost   allowed
    `,
  ),
  scenarioOf(
    "deny-cidr-over-narrower",
    "a denied prefix wins over an allowed one inside of it",
    ({ worldIPv4, worldIPv6 }) => [
      cnp("deny-cidr-over-narrower", {
        endpointSelector: anyClient,
        egress: [{ toCIDR: [...own(worldIPv4, 32), ...own(worldIPv6, 128)] }],
        egressDeny: [{ toCIDR: ["0.0.0.0/0", "::/0"] }],
      }),
    ],
    "client tcp/world world dropped",
  ),
];

const otherKinds: readonly Scenario[] = [
  scenarioOf(
    "clusterwide",
    "a policy of the whole cluster",
    ({ namespace }) => [clusterwide("clusterwide", namespace, { kind: "echo" }, { ingress: [{ fromEndpoints: [client] }] })],
    `
      client    tcp/8080   near      allowed
      client    tcp/8080   far       allowed
      stranger  tcp/8080   far       allowed
      client2   tcp/8080   near      dropped
    `,
  ),
  scenarioOf(
    "clusterwide-deny",
    "what the cluster denies, no namespace allows",
    ({ namespace }) => [
      clusterwide("clusterwide-deny", namespace, { kind: "echo" }, { ingressDeny: [{ fromEndpoints: [client] }] }),
      cnp("clusterwide-deny", { endpointSelector: echo, ingress: [{ fromEndpoints: [{}] }] }),
    ],
    `
      client    tcp/8080   near      dropped
      client    tcp/8080   far       dropped
      client2   tcp/8080   far       allowed
    `,
  ),
  scenarioOf(
    "network-policy",
    "Kubernetes' own policies: a label and a port",
    () => [
      networkPolicy("network-policy", {
        podSelector: echo,
        policyTypes: ["Ingress"],
        ingress: [{ from: [{ podSelector: client }], ports: [{ port: 8080, protocol: "TCP" }] }],
      }),
    ],
    `
      client    tcp/8080   near      allowed
      client    tcp/8080   far       allowed
      client    tcp/8081   near      dropped
      client2   tcp/8080   far       dropped
      stranger  tcp/8080   far       dropped
    `,
  ),
  scenarioOf(
    "network-policy-namespace",
    "Kubernetes' own policies: another namespace",
    ({ otherNamespace }) => [
      networkPolicy("network-policy-namespace", {
        podSelector: echo,
        ingress: [{ from: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": otherNamespace } } }] }],
      }),
    ],
    `
      stranger  tcp/8080   near      allowed
      stranger  tcp/8080   far       allowed
      client    tcp/8080   far       dropped
    `,
  ),
  scenarioOf(
    "network-policy-ip-block",
    "Kubernetes' own policies: a block of addresses with an exception",
    ({ worldIPv4, worldIPv6 }) => [
      networkPolicy("network-policy-ip-block", {
        podSelector: anyClient,
        policyTypes: ["Egress"],
        egress: [
          {
            to: [
              { ipBlock: { cidr: "0.0.0.0/0", except: own(worldIPv4, 32) } },
              { ipBlock: { cidr: "::/0", except: own(worldIPv6, 128) } },
            ],
          },
        ],
      }),
    ],
    `
      client    tcp/world  world     dropped
      client    tcp/8080   near      dropped
    `,
  ),
  scenarioOf(
    "network-policy-deny-all",
    "Kubernetes' own policies: nothing in, nothing out",
    () => [networkPolicy("network-policy-deny-all", { podSelector: anyClient, policyTypes: ["Ingress", "Egress"] })],
    `
      client    tcp/8080   near      dropped
      near      icmp       client    dropped
      far       icmp       client    dropped
      near      tcp/8080   far       allowed
    `,
  ),
];

export const scenarios: readonly Scenario[] = [
  ...open,
  ...closed,
  ...byLabel,
  ...byPort,
  ...byEntity,
  ...byAddress,
  ...denied,
  ...otherKinds,
];

/** The address alone as a prefix; nothing for a family that there is no server of. */
function own(address: string, length: number): string[] {
  return address === "" ? [] : [`${address}/${length}`];
}

function networkPolicy(name: string, spec: object): KubernetesObject {
  return { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name: `cilium-test-${name}` }, spec };
}
