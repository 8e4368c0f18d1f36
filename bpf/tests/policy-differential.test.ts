import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { LocalIdentityAllocator } from "@cilium-ts/identity";
import { CookieTable, PolicyEngine, type RuleOrigin } from "@cilium-ts/policy";
import {
  type GeneratedCluster,
  type GeneratedEnd,
  generateCluster,
  generatePacketPort,
  identityOf,
  judge,
  type OracleSettings,
  populate,
} from "@cilium-ts/policy/testing";
import { createRandom, type Random, requireKernel } from "@cilium-ts/testing";
import { dropReason, endpointFlags, localAddressFlags, verdictFlags } from "../../adapters/datapath/src/gen/index.ts";
import { PolicySets } from "../../adapters/datapath/src/policy-sets.ts";
import { ethernet, frame, icmp, type Layer, sctp, tcp, udp } from "./layers.ts";
import { type Outcome, type Pod, PodPrograms } from "./pod-programs.ts";
import { at, client, type Family, host, ip, received, sent } from "./two-pods.ts";

/**
 * Real packets through the loaded programs, over real policy sets and a real ipcache, compared with the evaluator that reads the rules
 * off their description. What the engine's own tests compare with a simulated kernel is compared with the kernel itself here.
 */
const firstSeed = Number(process.env.POLICY_SEED ?? 1);
const clustersOfRun = process.env.CILIUM_TS_LONG === "1" ? 2_000 : 120;
const clusterCount = process.env.POLICY_SEED === undefined ? clustersOfRun : 1;
const packetsOfCluster = 24;
/** A run that compares fewer would have lost its cases on the way. */
const comparedMin = clusterCount * 10;

const skip = requireKernel();
let programs: PodPrograms;
/** Those of native devices, for what the node itself sends and receives. They have maps of their own. */
let hostPrograms: PodPrograms;
before(async () => {
  const sizes = { policy: 16_384, ipcache: 1_024, ct4: 16_384, ct6: 16_384 };
  if (skip === false) programs = await PodPrograms.open({}, sizes);
  if (skip === false) hostPrograms = await PodPrograms.open({ hostFirewallEnabled: 1 }, sizes, "network");
});
after(() => {
  programs?.[Symbol.dispose]();
  hostPrograms?.[Symbol.dispose]();
});

test(`the datapath says of packets what the rules say, on ${clusterCount} generated clusters`, { skip }, () => {
  const seen = { allowed: 0, redirected: 0, denied: 0, dropped: 0, audited: 0, ofHost: 0 };
  for (let seed = firstSeed; seed < firstSeed + clusterCount; seed += 1) {
    try {
      new Comparison(createRandom(seed), seen).run();
    } catch (cause) {
      throw new Error(`seed ${seed} (run again with POLICY_SEED=${seed}): ${String(cause)}`, { cause });
    }
  }
  const compared = seen.allowed + seen.redirected + seen.denied + seen.dropped;
  if (clusterCount === 1) return;
  assert.ok(compared >= comparedMin && (clusterCount < 120 || compared >= 1_000), `${compared} packets were compared`);
  for (const verdict of ["allowed", "denied", "dropped"] as const) assert.ok(seen[verdict] > compared / 20, JSON.stringify(seen));
  assert.ok(seen.audited > 0 && seen.redirected > 0 && seen.ofHost > compared / 20, JSON.stringify(seen));
});

type Seen = Record<"allowed" | "redirected" | "denied" | "dropped" | "audited" | "ofHost", number>;

/** The test's device, whose own MAC is zero. */
const link = ethernet("00:00:00:00:00:00", "00:00:00:00:00:00");

/** A node without proxies: what should go to one is dropped. */
const dropReasons = {
  allowed: undefined,
  redirected: dropReason.proxyRedirectionNotSupportedForProtocol,
  denied: dropReason.policyDeny,
  dropped: dropReason.policyDenied,
} as const;

/** Everything that the kernel knows of one generated cluster, and the packets of it. */
class Comparison {
  readonly #random: Random;
  readonly #seen: Seen;
  readonly #cluster: GeneratedCluster;
  readonly #settings: OracleSettings;
  readonly #engine: PolicyEngine;
  readonly #locals: LocalIdentityAllocator;
  readonly #cookies = new CookieTable();
  readonly #sets: PolicySets;
  readonly #hostSets: PolicySets;
  #lastSet = 100;
  #lastPort = 20_000;

  constructor(random: Random, seen: Seen) {
    this.#random = random;
    this.#seen = seen;
    this.#cluster = generateCluster(random);
    const { policies, cidrGroups, services, families } = this.#cluster;
    const mode = random.chance(0.9) ? "default" : random.pick(["always", "never"] as const);
    this.#settings = { mode, allowLocalhost: random.chance(0.7), clusterName: "default", cidrGroups, services };
    this.#engine = new PolicyEngine({
      mode,
      allowLocalhost: this.#settings.allowLocalhost ? "auto" : "policy",
      clusterName: "default",
      families,
    });
    for (const [key, rules] of policies) this.#engine.upsertPolicy(key, rules);
    this.#locals = new LocalIdentityAllocator({ families });
    populate(this.#engine, this.#cluster, this.#locals);
    const takeNumber = (): number => {
      this.#lastSet += 1;
      return this.#lastSet;
    };
    for (const each of [programs, hostPrograms]) {
      each.reset();
      this.#fillIpcache(each);
    }
    for (const address of [host.ipv4, host.ipv6]) hostPrograms.setLocalAddress(address, 0, localAddressFlags.host);
    this.#sets = new PolicySets(programs.map("policy"), takeNumber);
    this.#hostSets = new PolicySets(hostPrograms.map("policy"), takeNumber);
  }

  run(): void {
    const { ends } = this.#cluster;
    const subjects = ends.filter(({ id }) => id !== undefined && (id === 1 || id === 5 || (id >= 256 && id < 0x0200_0000)));
    if (subjects.length === 0) return;
    for (let round = 0; round < packetsOfCluster; round += 1) this.#compare(this.#random.pick(subjects), this.#random.pick(ends));
  }

  /** Ends inside have an address by their place in the list; those outside their own, which the prefixes around them tell. */
  #fillIpcache(of: PodPrograms): void {
    const { ends, families } = this.#cluster;
    for (const [index, { id }] of ends.entries()) {
      if (id === undefined) continue;
      of.setIdentity(addressOf(index, 4), 32, id);
      of.setIdentity(addressOf(index, 6), 128, id);
    }
    for (const { id, prefix } of this.#locals.identities()) {
      if (prefix === "") continue;
      const [address = "", bits = "0"] = prefix.split("/");
      of.setIdentity(address, Number(bits), id);
    }
    for (const end of ends) {
      const bits = end.address?.includes(":") ? 128 : 32;
      // What has names may have an identity apart from that of its prefix.
      if (end.address !== undefined && (end.names ?? []).length > 0)
        of.setIdentity(end.address, bits, identityOf(end, this.#locals, families));
    }
    const known = new Set([...this.#locals.identities()].map(({ prefix }) => prefix));
    const single = families.length === 1;
    if (!known.has("0.0.0.0/0")) of.setIdentity("0.0.0.0", 0, single ? 2 : 9);
    if (!known.has("::/0")) of.setIdentity("::", 0, single ? 2 : 10);
  }

  #compare(subject: GeneratedEnd, peer: GeneratedEnd): void {
    const { policies, ends, families } = this.#cluster;
    const { protocol, port } = generatePacketPort(this.#random);
    const family = familyOf(peer, protocol) ?? this.#random.pick(families);
    const address = peer.address ?? addressOf(ends.indexOf(peer), family);
    this.#lastPort += 1;
    const layer = layerOf(protocol, port, this.#lastPort, family, subject.id === 1);
    // Another family than the address has, or what the datapath does not judge by policy.
    if (layer === undefined || !families.includes(family) || address.includes(":") !== (family === 6)) return;
    const direction = this.#random.chance(0.5) ? "ingress" : "egress";
    const outcome = this.#send(subject, direction, family, address, layer);
    const expected = judge({ subject, peer, direction, protocol, port }, [...policies.values()].flat(), this.#settings);
    const peerIdentity = identityOf(peer, this.#locals, families);
    const story = `${direction} of ${subject.labels}, peer ${address} (${peerIdentity}, ${peer.labels}), ${protocol}/${port}`;
    const drop = dropReasons[expected.audited ? "allowed" : expected.verdict];
    assert.equal(outcome.dropReason, drop, story);
    assert.equal(outcome.action === "drop", drop !== undefined, story);
    this.#checkReason(outcome, expected, peerIdentity, story);
    this.#seen[expected.verdict] += 1;
    if (expected.audited) this.#seen.audited += 1;
    if (subject.id === 1) this.#seen.ofHost += 1;
  }

  /** The packet of a connection of its own, at the endpoint that the subject is. */
  #send(subject: GeneratedEnd, direction: "ingress" | "egress", family: Family, address: string, layer: Layer): Outcome {
    const policy = this.#engine.resolve(subject);
    const set = (subject.id === 1 ? this.#hostSets : this.#sets).acquire(
      policy.entries.map((entry) => ({ ...entry, cookie: this.#cookies.acquire(entry.origins), proxyPort: entry.redirect && 0 })),
    );
    const flags = (policy.ingressEnforced ? endpointFlags.ingressEnforced : 0) | (policy.egressEnforced ? endpointFlags.egressEnforced : 0);
    if (subject.id === 1) {
      hostPrograms.setHost(set, flags);
      const way = direction === "egress" ? ip(family, at(host, family), address) : ip(family, address, at(host, family));
      return hostPrograms.onNetwork(direction === "egress" ? "to_network" : "from_network", frame(link, way, layer));
    }
    const pod: Pod = { ...client, identity: subject.id ?? 0, policySet: set, flags };
    programs.setPod(pod);
    const own = at(pod, family);
    if (direction === "egress") return programs.fromPod(pod, sent(pod, ip(family, own, address), layer));
    return programs.toPod(pod, received(pod, ip(family, address, own), layer));
  }

  /** The event names rules that do say so. Where nothing is enforced there is none. */
  #checkReason({ events }: Outcome, expected: ReturnType<typeof judge>, peerIdentity: number, story: string): void {
    const verdicts = events.flatMap((event) => (event.kind === "verdict" ? [event.notify] : []));
    const [verdict] = verdicts;
    assert.ok(verdicts.length <= 1, story);
    if (verdict === undefined) {
      assert.equal(expected.verdict, "allowed", `${story}: a drop without a verdict`);
      return;
    }
    assert.equal(verdict.remoteIdentity, peerIdentity, story);
    assert.equal((verdict.flags & verdictFlags.audited) !== 0, expected.audited, story);
    const origins = this.#cookies.originsOf(verdict.cookie) ?? [];
    for (const origin of origins) assert.ok(expected.reasons.has(reasonOf(origin)), `${story}: ${reasonOf(origin)} is no reason`);
    assert.equal(origins.length > 0, expected.verdict !== "dropped" || expected.audited, `${story}: a verdict has a reason`);
  }
}

/** An address outside has its family; ICMP belongs to one. */
function familyOf({ address }: GeneratedEnd, protocol: number): Family | undefined {
  if (address !== undefined) return address.includes(":") ? 6 : 4;
  return protocol === 1 ? 4 : protocol === 58 ? 6 : undefined;
}

function addressOf(index: number, family: Family): string {
  return family === 4 ? `172.30.0.${index + 1}` : `fd00:30::${index + 1}`;
}

/** Undefined: errors are not judged by policy, and protocols without ports are forwarded for nobody but the node itself. */
function layerOf(protocol: number, port: number, sourcePort: number, family: Family, ofHost: boolean): Layer | undefined {
  switch (protocol) {
    case 6:
      return tcp(sourcePort, port, "S");
    case 17:
      return udp(sourcePort, port);
    case 132:
      return sctp(sourcePort, port);
    case 1:
      return family === 4 && port === 8 ? icmp(4, port, { id: sourcePort }) : undefined;
    case 58:
      return family === 6 && port === 128 ? icmp(6, port, { id: sourcePort }) : undefined;
    default:
      return ofHost ? { number: protocol, build: (inside) => inside } : undefined;
  }
}

function reasonOf(origin: RuleOrigin): string {
  if (origin.policy.kind !== "reserved") return `${origin.policy.name}/${origin.path}`;
  return origin.policy.name.startsWith("allow-any") ? "allow-any" : "allow-localhost";
}
