import type { Flow, Layer4, Layer7 } from "@cilium-ts/flow";
import type { Random } from "@cilium-ts/testing";

/** For tests: flows in which anything may stand. */

const texts = ["", "a", "web-0", "ключ", "😀 label", "x".repeat(200), "k8s:app=web"];
const text = (random: Random): string => random.pick(texts);
/** Unlike `pick`, may choose undefined. */
const oneOf = <T>(random: Random, items: readonly T[]): T => items[random.below(items.length)] as T;
const number = (random: Random): number => random.pick([0, 1, 127, 128, 16_383, 16_384, 2 ** 32 - 1]);
const list = <T>(random: Random, make: () => T): T[] => Array.from({ length: random.below(4) }, make);

function randomLayer4(random: Random): Layer4 | undefined {
  const ports = { sourcePort: random.below(65_536), destinationPort: random.below(65_536) };
  return oneOf<Layer4 | undefined>(random, [
    undefined,
    { protocol: "TCP", ...ports, flags: random.below(512) },
    { protocol: "UDP", ...ports },
    { protocol: "SCTP", ...ports },
    { protocol: "ICMPv4", type: random.below(256), code: random.below(256) },
    { protocol: "ICMPv6", type: 0, code: 0 },
    { protocol: "VRRP", type: 1, vrid: random.below(256), priority: random.below(256) },
    { protocol: "IGMP", type: 0x16, groupAddress: text(random) },
  ]);
}

function randomLayer7(random: Random): Layer7 {
  const signed = (): number => random.pick([0, 1, -1, 300, -(2 ** 31), 2 ** 31 - 1]);
  const texts = (): string[] => list(random, () => text(random));
  const message = random.pick<Layer7["message"]>([
    {
      protocol: "dns",
      query: text(random),
      ips: texts(),
      ttl: number(random),
      cnames: texts(),
      observationSource: text(random),
      rcode: random.below(24),
      qtypes: texts(),
      rrtypes: texts(),
    },
    {
      protocol: "http",
      code: random.pick([0, 200, 503]),
      method: text(random),
      url: text(random),
      version: text(random),
      headers: list(random, () => ({ key: text(random), value: text(random) })),
    },
    { protocol: "kafka", errorCode: signed(), apiVersion: signed(), apiKey: text(random), correlationId: signed(), topic: text(random) },
  ]);
  return { type: random.below(4), latencyNs: random.pick([0n, 5_000_000n, 2n ** 63n]), traceId: text(random), message };
}

export function randomFlow(random: Random): Flow {
  const endpoint = () => ({
    id: number(random),
    identity: number(random),
    clusterName: text(random),
    namespace: text(random),
    labels: list(random, () => text(random)),
    podName: text(random),
    workloads: list(random, () => ({ name: text(random), kind: text(random) })),
  });
  const policy = () => ({
    name: text(random),
    namespace: text(random),
    labels: list(random, () => text(random)),
    revision: BigInt(number(random)),
    kind: text(random),
  });
  const ip = () => ({
    source: text(random),
    sourceXlated: text(random),
    destination: text(random),
    version: random.below(3),
    encrypted: random.chance(0.5),
  });
  const maybe = <T>(make: () => T): T | undefined => (random.chance(0.3) ? undefined : make());
  return {
    time: { seconds: random.pick([0, 1, 1_767_225_600]), nanos: random.below(1_000_000_000) },
    uuid: text(random),
    verdict: random.below(8),
    dropReason: random.pick([0, 133, 181]),
    authType: random.below(3),
    ethernet: maybe(() => ({ source: text(random), destination: text(random) })),
    ip: maybe(ip),
    l4: randomLayer4(random),
    tunnel: maybe(() => ({ protocol: random.below(3), ip: maybe(ip), l4: randomLayer4(random) })),
    source: maybe(endpoint),
    destination: maybe(endpoint),
    sourceNames: list(random, () => text(random)),
    destinationNames: list(random, () => text(random)),
    sourceService: maybe(() => ({ name: text(random), namespace: text(random) })),
    destinationService: maybe(() => ({ name: text(random), namespace: text(random) })),
    layer7: maybe(() => randomLayer7(random)),
    type: random.below(4),
    nodeName: text(random),
    nodeLabels: list(random, () => text(random)),
    eventType: { type: number(random) % 256, subType: number(random) % 256 },
    trafficDirection: random.below(3),
    policyMatchType: random.below(7),
    traceObservationPoint: random.pick([0, 4, 101]),
    traceReason: random.below(8),
    file: maybe(() => ({ name: text(random), line: number(random) })),
    ipTraceId: random.pick([0n, 1n, 2n ** 64n - 1n]),
    ipTraceOption: random.pick([0, 136]),
    isReply: oneOf(random, [undefined, true, false]),
    debugCapturePoint: random.pick([0, 4]),
    interface: maybe(() => ({ index: number(random), name: text(random) })),
    proxyPort: random.below(65_536),
    sockXlatePoint: random.below(5),
    socketCookie: random.pick([0n, 2n ** 63n]),
    cgroupId: random.pick([0n, 300n]),
    summary: text(random),
    egressAllowedBy: list(random, policy),
    ingressAllowedBy: list(random, policy),
    egressDeniedBy: list(random, policy),
    ingressDeniedBy: list(random, policy),
    policyLog: list(random, () => text(random)),
  };
}
