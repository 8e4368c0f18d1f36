import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type AddressBytes,
  formatAddress,
  formatMac,
  formatPrefix,
  type Prefix,
  parseAddress,
  parseMac,
  parsePrefix,
} from "@cilium-ts/net";
import type { Change } from "./backend.ts";
import { NetlinkError } from "./errors.ts";
import type { Netlink } from "./netlink.ts";
import { type Operation, throwFirstFailure } from "./operation.ts";
import { staticProtocol } from "./route.ts";

/** Two fresh network namespaces, and netlink in the first of them. Disposing of it deletes both. */
export interface World extends Disposable {
  readonly host: Netlink;
  readonly podPath: string;
  openPod(): Netlink;
}

export function address(text: string): AddressBytes {
  const bytes = parseAddress(text);
  assert.ok(bytes !== undefined, text);
  return bytes;
}

export function prefix(text: string): Prefix {
  const value = parsePrefix(text);
  assert.ok(value !== undefined, text);
  return value;
}

export function mac(text: string): Uint8Array {
  const bytes = parseMac(text);
  assert.ok(bytes !== undefined, text);
  return bytes;
}

export const hostMac = mac("02:00:00:00:00:01");
export const podMac = mac("02:00:00:00:00:02");

/** Fails with the code, and nothing else. */
async function refuses(promise: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof NetlinkError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  });
}

/** A veth pair with both ends in the namespace, both up: something that routes can use. */
async function createUpPair(host: Netlink): Promise<{ left: number; right: number }> {
  const link = await host.links.createVeth({ name: "left", mac: hostMac, up: true, peer: { name: "right", mac: podMac } });
  assert.ok(link.peerIndex !== undefined);
  await host.links.set("right", { up: true });
  return { left: link.index, right: link.peerIndex };
}

/** What the real netlink and the fake both keep. */
export function checkContract(name: string, open: () => World, skip: string | false): void {
  const suite = [...linkRows, ...addressRows, ...routeRows, ...ruleRows, ...neighbourRows, ...batchRows, ...watchRows];
  for (const [sentence, check] of suite) {
    test(`${name}: ${sentence}`, { skip, timeout: 20_000 }, async ({ signal }) => {
      using world = open();
      await check(world, signal);
    });
  }
}

type Row = readonly [sentence: string, check: (world: World, signal: AbortSignal) => Promise<void>];

const linkRows: readonly Row[] = [
  [
    "a new namespace has a loopback, and it is down",
    async ({ host }) => {
      const links = await host.links.list();
      assert.deepEqual(
        links.map(({ index, name, up, loopback, kind }) => ({ index, name, up, loopback, kind })),
        [{ index: 1, name: "lo", up: false, loopback: true, kind: "" }],
      );
      await host.links.set("lo", { up: true });
      assert.equal((await host.links.get(1))?.up, true);
    },
  ],
  [
    "a veth's peer appears in the other namespace with its name, and both tell of each other",
    async ({ host, podPath, openPod }) => {
      const link = await host.links.createVeth({
        name: "lxc1",
        mac: hostMac,
        mtu: 1450,
        peer: { name: "eth0", mac: podMac, mtu: 1440, namespacePath: podPath },
      });
      using pod = openPod();
      const peer = await pod.links.get("eth0");
      assert.ok(peer !== undefined);
      assert.deepEqual([link.name, link.kind, link.mtu, formatMac(link.mac), link.up], ["lxc1", "veth", 1450, formatMac(hostMac), false]);
      assert.deepEqual([peer.name, peer.kind, peer.mtu, formatMac(peer.mac), peer.up], ["eth0", "veth", 1440, formatMac(podMac), false]);
      assert.deepEqual([link.peerIndex, peer.peerIndex], [peer.index, link.index]);
      assert.notEqual(link.peerNamespaceId, undefined);
      assert.equal(await host.links.get("eth0"), undefined);
    },
  ],
  [
    "a veth runs when both of its ends are up",
    async ({ host }) => {
      const { left } = await createUpPair(host);
      assert.equal((await host.links.get(left))?.running, true);
      await host.links.set("right", { up: false });
      const link = await host.links.get(left);
      assert.deepEqual([link?.up, link?.running, link?.peerNamespaceId], [true, false, undefined]);
    },
  ],
  [
    "a name that is taken is refused, here and beside the peer",
    async ({ host, podPath, openPod }) => {
      await host.links.createVeth({ name: "lxc1", peer: { name: "eth0", namespacePath: podPath } });
      await refuses(host.links.createVeth({ name: "lxc1", peer: { name: "eth1", namespacePath: podPath } }), "EEXIST");
      await refuses(host.links.createVeth({ name: "lxc2", peer: { name: "eth0", namespacePath: podPath } }), "EEXIST");
      await refuses(host.links.createBridge({ name: "lxc1" }), "EEXIST");
      using pod = openPod();
      assert.deepEqual((await host.links.list()).map(({ name }) => name).sort(), ["lo", "lxc1"]);
      assert.deepEqual((await pod.links.list()).map(({ name }) => name).sort(), ["eth0", "lo"]);
      await assert.rejects(host.links.createBridge({ name: "lxc1" }), /^NetlinkError: link lxc1: already exists \(EEXIST\)/);
    },
  ],
  [
    "a peer for a namespace that is not there is refused with its path",
    async ({ host }) => {
      const creation = host.links.createVeth({ name: "lxc1", peer: { name: "eth0", namespacePath: "/run/netns/nowhere" } });
      await assert.rejects(creation, /link lxc1: network namespace \/run\/netns\/nowhere of its peer: does not exist \(ENOENT\)/);
    },
  ],
  [
    "names and settings that make no sense are refused",
    async ({ host }) => {
      for (const name of ["", "a b", "a/b", "a:b", "sixteen-bytes-ab", ".", "..", "lxc\0x"]) {
        await refuses(host.links.createBridge({ name }), "EINVAL");
        await refuses(host.links.createVeth({ name: "good", peer: { name } }), "EINVAL");
      }
      await refuses(host.links.createBridge({ name: "good", mac: Uint8Array.of(1, 2) }), "EINVAL");
      await refuses(host.links.createBridge({ name: "good", mac: mac("01:00:00:00:00:01") }), "EINVAL");
      await refuses(host.links.createBridge({ name: "good", mtu: 7 }), "EINVAL");
      assert.equal((await host.links.list()).length, 1);
    },
  ],
  [
    "links are changed by name and by index, and absent ones are named",
    async ({ host }) => {
      const { left, right } = await createUpPair(host);
      await host.links.set("left", { mtu: 1400, alias: "a" });
      await host.links.set(right, { mac: mac("02:00:00:00:00:77") });
      assert.deepEqual([(await host.links.get(left))?.mtu, (await host.links.get("left"))?.alias], [1400, "a"]);
      assert.equal(formatMac((await host.links.get(right))?.mac ?? new Uint8Array()), "02:00:00:00:00:77");
      await refuses(host.links.set("nothing", { up: true }), "ENODEV");
      await refuses(host.links.set(4711, { up: true }), "ENODEV");
      assert.equal(await host.links.get("nothing"), undefined);
      assert.equal(await host.links.get(4711), undefined);
    },
  ],
  [
    "a bridge takes ports and lets them go",
    async ({ host }) => {
      const { left } = await createUpPair(host);
      const bridge = await host.links.createBridge({ name: "br0", up: true });
      assert.deepEqual([bridge.kind, bridge.up], ["bridge", true]);
      await host.links.set(left, { masterIndex: bridge.index });
      assert.equal((await host.links.get(left))?.masterIndex, bridge.index);
      await host.links.set(left, { masterIndex: null });
      assert.equal((await host.links.get(left))?.masterIndex, undefined);
    },
  ],
  [
    "a tunnel device has a port to itself",
    async ({ host }) => {
      const link = await host.links.createVxlan({ name: "vx0", external: true, port: 8472, mtu: 9000, up: true });
      assert.deepEqual([link.name, link.kind, link.mtu, link.up, link.running], ["vx0", "vxlan", 9000, true, true]);
      await refuses(host.links.createVxlan({ name: "vx1", external: true, port: 8472 }), "EEXIST");
      await refuses(host.links.createVxlan({ name: "vx0", external: true, port: 8473 }), "EEXIST");
      const other = await host.links.createVxlan({ name: "vx1", external: true, port: 8473 });
      assert.deepEqual([other.mtu, other.up], [1500, false]);
      assert.equal(await host.links.delete("vx0"), true);
      await host.links.createVxlan({ name: "vx2", external: true, port: 8472 });
      for (const port of [0, 65536, 1.5]) await refuses(host.links.createVxlan({ name: "vx3", external: true, port }), "EINVAL");
    },
  ],
  [
    "a link asks for neighbours, or not",
    async ({ host }) => {
      const { left } = await createUpPair(host);
      assert.equal((await host.links.get(left))?.arp, true);
      await host.links.set(left, { arp: false });
      const silent = await host.links.get(left);
      assert.deepEqual([silent?.arp, silent?.up], [false, true]);
      await host.links.set(left, { arp: true });
      assert.equal((await host.links.get(left))?.arp, true);
    },
  ],
  [
    "deleting a veth takes its peer along, and what is absent is no failure",
    async ({ host, podPath, openPod }) => {
      await host.links.createVeth({ name: "lxc1", peer: { name: "eth0", namespacePath: podPath } });
      using pod = openPod();
      assert.equal(await pod.links.delete("eth0"), true);
      assert.equal(await host.links.get("lxc1"), undefined);
      assert.equal(await host.links.delete("lxc1"), false);
      assert.equal(await host.links.delete(4711), false);
      await refuses(host.links.delete("lo"), "EOPNOTSUPP");
    },
  ],
];

const addressRows: readonly Row[] = [
  [
    "addresses of both families come and go",
    async ({ host }) => {
      const { left } = await createUpPair(host);
      const four = { linkIndex: left, address: address("10.0.0.5"), prefixLength: 24 };
      const six = { linkIndex: left, address: address("fd00::5"), prefixLength: 128, noDad: true };
      await host.addresses.add(four);
      await host.addresses.add(six);
      const listed = async (): Promise<string[]> =>
        (await host.addresses.list({ linkIndex: left }))
          .filter((row) => row.scope === "universe")
          .map((row) => `${formatAddress(row.address)}/${row.prefixLength} ${row.permanent} ${row.tentative}`)
          .sort();
      assert.deepEqual(await listed(), ["10.0.0.5/24 true false", "fd00::5/128 true false"]);
      assert.equal((await host.addresses.list({ family: 4, linkIndex: left })).length, 1);
      await refuses(host.addresses.add(four), "EEXIST");
      await refuses(host.addresses.add(six), "EEXIST");
      await host.addresses.replace(four);
      await host.addresses.replace(six);
      assert.equal((await listed()).length, 2);
      assert.deepEqual([await host.addresses.delete(four), await host.addresses.delete(six)], [true, true]);
      assert.deepEqual([await host.addresses.delete(four), await host.addresses.delete(six)], [false, false]);
      assert.deepEqual(await listed(), []);
    },
  ],
  [
    "an address has the scope it was given",
    async ({ host }) => {
      const { left } = await createUpPair(host);
      await host.addresses.add({ linkIndex: left, address: address("169.254.1.1"), prefixLength: 32, scope: "link" });
      const [row] = await host.addresses.list({ linkIndex: left, family: 4 });
      assert.equal(row?.scope, "link");
    },
  ],
  [
    "an address is refused where there is no link, and when it makes no sense",
    async ({ host }) => {
      await refuses(host.addresses.add({ linkIndex: 4711, address: address("10.0.0.5"), prefixLength: 32 }), "ENODEV");
      await refuses(host.addresses.add({ linkIndex: 4711, address: address("fd00::5"), prefixLength: 128 }), "ENODEV");
      await refuses(host.addresses.add({ linkIndex: 1, address: address("10.0.0.5"), prefixLength: 33 }), "EINVAL");
      await refuses(host.addresses.add({ linkIndex: 1, address: Uint8Array.of(1, 2, 3), prefixLength: 8 }), "EINVAL");
      assert.equal(await host.addresses.delete({ linkIndex: 4711, address: address("10.0.0.5"), prefixLength: 32 }), false);
    },
  ],
  [
    "a link that goes down keeps its IPv4 addresses and loses IPv6 addresses, routes and neighbours",
    async ({ host }) => {
      const { left } = await createUpPair(host);
      await host.addresses.add({ linkIndex: left, address: address("10.0.0.5"), prefixLength: 32 });
      await host.addresses.add({ linkIndex: left, address: address("fd00::5"), prefixLength: 128, noDad: true });
      await host.routes.add({ destination: prefix("10.1.0.0/16"), linkIndex: left });
      await host.routes.add({ destination: prefix("fd01::/64"), linkIndex: left });
      await host.neighbours.replace({ linkIndex: left, address: address("10.0.0.6"), mac: podMac });
      await host.links.set(left, { up: false });
      assert.deepEqual(
        (await host.addresses.list({ linkIndex: left })).map((row) => formatAddress(row.address)),
        ["10.0.0.5"],
      );
      assert.deepEqual(await host.routes.list({ linkIndex: left, protocol: staticProtocol }), []);
      assert.deepEqual(await host.neighbours.list({ linkIndex: left }), []);
    },
  ],
];

async function staticRoutes(host: Netlink): Promise<string[]> {
  const routes = await host.routes.list({ protocol: staticProtocol });
  return routes
    .map((route) => {
      const gateway = route.gateway === undefined ? "" : ` via ${formatAddress(route.gateway)}`;
      const source = route.source === undefined ? "" : ` src ${formatAddress(route.source)}`;
      const mtu = route.mtu === undefined ? "" : ` mtu ${route.mtu}`;
      return `${route.kind} ${formatPrefix(route.destination)}${gateway}${source}${mtu} table ${route.table} metric ${route.metric} ${route.scope}`;
    })
    .sort();
}

const routeRows: readonly Row[] = [
  [
    "a pod's routes of both families: to the gateway, and by it everywhere",
    async ({ host }) => {
      const { left } = await createUpPair(host);
      for (const [gateway, everything] of [
        ["10.0.0.1", "0.0.0.0/0"],
        ["fd00::1", "::/0"],
      ] as const) {
        await host.routes.add({ destination: prefix(gateway), linkIndex: left });
        await host.routes.add({ destination: prefix(everything), gateway: address(gateway), linkIndex: left, mtu: 1400 });
      }
      assert.deepEqual(await staticRoutes(host), [
        "unicast 0.0.0.0/0 via 10.0.0.1 mtu 1400 table 254 metric 0 universe",
        "unicast 10.0.0.1/32 table 254 metric 0 link",
        "unicast ::/0 via fd00::1 mtu 1400 table 254 metric 1024 universe",
        "unicast fd00::1/128 table 254 metric 1024 universe",
      ]);
      assert.equal((await host.routes.list({ family: 6, protocol: staticProtocol })).length, 2);
    },
  ],
  [
    "a route is added once, replaced, and deleted by what is said of it",
    async ({ host }) => {
      const { left, right } = await createUpPair(host);
      for (const destination of [prefix("10.1.0.0/16"), prefix("fd01::/64")]) {
        await host.routes.add({ destination, linkIndex: left, metric: 7 });
        await refuses(host.routes.add({ destination, linkIndex: left, metric: 7 }), "EEXIST");
        await host.routes.add({ destination, linkIndex: left, metric: 8 });
        await host.routes.replace({ destination, linkIndex: right, metric: 7 });
        const links = (await host.routes.list({ protocol: staticProtocol })).map(({ metric, linkIndex }) => [metric, linkIndex]);
        assert.deepEqual(links.sort(), [
          [7, right],
          [8, left],
        ]);
        assert.equal(await host.routes.delete({ destination, metric: 9 }), false);
        assert.equal(await host.routes.delete({ destination, metric: 8 }), true);
        assert.equal(await host.routes.delete({ destination }), true);
        assert.equal(await host.routes.delete({ destination }), false);
        assert.deepEqual(await staticRoutes(host), []);
      }
    },
  ],
  [
    "routes may drop, may be in any table, and carry a source and a direct gateway",
    async ({ host }) => {
      const { left } = await createUpPair(host);
      await host.addresses.add({ linkIndex: left, address: address("10.0.0.5"), prefixLength: 32 });
      await host.routes.add({ destination: prefix("10.2.0.0/16"), kind: "blackhole" });
      await host.routes.add({ destination: prefix("10.3.0.0/16"), kind: "unreachable", table: 1000 });
      await host.routes.add({ destination: prefix("10.4.0.0/16"), linkIndex: left, source: address("10.0.0.5") });
      await host.routes.add({ destination: prefix("10.5.0.0/16"), linkIndex: left, gateway: address("192.168.7.1"), onlink: true });
      assert.deepEqual(await staticRoutes(host), [
        "blackhole 10.2.0.0/16 table 254 metric 0 universe",
        "unicast 10.4.0.0/16 src 10.0.0.5 table 254 metric 0 link",
        "unicast 10.5.0.0/16 via 192.168.7.1 table 254 metric 0 universe",
        "unreachable 10.3.0.0/16 table 1000 metric 0 universe",
      ]);
      assert.equal((await host.routes.list({ table: 1000 })).length, 1);
      assert.equal(await host.routes.delete({ destination: prefix("10.3.0.0/16") }), false);
      assert.equal(await host.routes.delete({ destination: prefix("10.3.0.0/16"), table: 1000 }), true);
    },
  ],
  [
    "a route that cannot work is refused",
    async ({ host }) => {
      const { left, right } = await createUpPair(host);
      await host.links.set(right, { up: false });
      for (const destination of [prefix("10.1.0.0/16"), prefix("fd01::/64")]) {
        await refuses(host.routes.add({ destination, linkIndex: 4711 }), "ENODEV");
        await refuses(host.routes.add({ destination, linkIndex: right }), "ENETDOWN");
      }
      await refuses(host.routes.add({ destination: prefix("10.1.0.0/16"), gateway: address("1.2.3.4"), linkIndex: left }), "ENETUNREACH");
      await refuses(host.routes.add({ destination: prefix("fd01::/64"), gateway: address("fd99::1"), linkIndex: left }), "EHOSTUNREACH");
      await refuses(host.routes.add({ destination: prefix("10.1.0.0/16"), linkIndex: left, source: address("1.2.3.4") }), "EINVAL");
      await refuses(host.routes.add({ destination: prefix("10.1.0.0/16"), linkIndex: left, gateway: address("fd00::1") }), "EINVAL");
      await refuses(host.routes.add({ destination: { address: address("10.1.0.1"), length: 16 }, linkIndex: left }), "EINVAL");
      assert.deepEqual(await staticRoutes(host), []);
    },
  ],
];

const ruleRows: readonly Row[] = [
  [
    "rules of both families come and go beside the kernel's own",
    async ({ host }) => {
      const before = await host.rules.list();
      assert.deepEqual(
        before.map(({ family, priority, table }) => [family, priority, table]),
        [
          [4, 0, 255],
          [4, 32766, 254],
          [4, 32767, 253],
          [6, 0, 255],
          [6, 32766, 254],
        ],
      );
      for (const family of [4, 6] as const) {
        const from = prefix(family === 4 ? "10.0.0.0/24" : "fd00::/64");
        const rule = { family, priority: 9, mark: 0x200, mask: 0xf00, from, table: 2004, inputLink: "lo" } as const;
        await host.rules.add(rule);
        await refuses(host.rules.add(rule), "EEXIST");
        const [row] = (await host.rules.list({ family })).filter(({ priority }) => priority === 9);
        assert.ok(row !== undefined);
        assert.deepEqual([row.mark, row.mask, row.table, row.inputLink, row.action], [0x200, 0xf00, 2004, "lo", "table"]);
        assert.equal(row.from && formatPrefix(row.from), formatPrefix(from));
        assert.equal(await host.rules.delete({ ...rule, table: 2005 }), false);
        assert.equal(await host.rules.delete(rule), true);
        assert.equal(await host.rules.delete(rule), false);
      }
      await refuses(host.rules.add({ family: 4, priority: 9 }), "EINVAL");
      assert.deepEqual(await host.rules.list(), before);
    },
  ],
];

const neighbourRows: readonly Row[] = [
  [
    "permanent neighbours come, change and go",
    async ({ host }) => {
      const { left } = await createUpPair(host);
      for (const text of ["10.0.0.6", "fd00::6"]) {
        const key = { linkIndex: left, address: address(text) };
        const listed = async (): Promise<string[]> =>
          (await host.neighbours.list({ linkIndex: left }))
            .filter((row) => formatAddress(row.address) === text)
            .map((row) => `${row.mac === undefined ? "" : formatMac(row.mac)} ${row.state}`);
        await host.neighbours.replace({ ...key, mac: hostMac });
        assert.deepEqual(await listed(), ["02:00:00:00:00:01 permanent"]);
        await host.neighbours.replace({ ...key, mac: podMac });
        assert.deepEqual(await listed(), ["02:00:00:00:00:02 permanent"]);
        assert.equal(await host.neighbours.delete(key), true);
        assert.deepEqual(await listed(), []);
        assert.equal(await host.neighbours.delete(key), false);
      }
      await refuses(host.neighbours.replace({ linkIndex: 4711, address: address("10.0.0.6"), mac: podMac }), "ENODEV");
      await refuses(host.neighbours.replace({ linkIndex: left, address: address("10.0.0.6"), mac: Uint8Array.of(1) }), "EINVAL");
    },
  ],
];

const batchRows: readonly Row[] = [
  [
    "a batch has one outcome for each operation, and a failure stops nothing",
    async ({ host }) => {
      const { left } = await createUpPair(host);
      const add = (text: string): Operation => ({
        kind: "address.add",
        address: { linkIndex: left, address: address(text), prefixLength: 32 },
      });
      const twice = add("10.0.0.5");
      const outcomes = await host.batch([
        twice,
        twice,
        { kind: "link.delete", link: "nothing" },
        { kind: "link.delete", link: "a name that cannot be" },
        { kind: "link.createBridge", link: { name: "br0" } },
        add("10.0.0.6"),
      ]);
      assert.deepEqual(
        outcomes.map((outcome) => (outcome.ok ? (outcome.link?.name ?? "done") : outcome.error.code)),
        ["done", "EEXIST", "ENODEV", "EINVAL", "br0", "done"],
      );
      assert.throws(() => throwFirstFailure(outcomes), /address 10\.0\.0\.5\/32 on link #\d+: already exists \(EEXIST\)/);
      assert.equal((await host.addresses.list({ linkIndex: left, family: 4 })).length, 2);
      assert.deepEqual(await host.batch([]), []);
    },
  ],
  [
    "a batch may be far larger than what the kernel answers at once",
    async ({ host }) => {
      const { left } = await createUpPair(host);
      const operations = Array.from({ length: 1000 }, (_, index): Operation => {
        const destination = { address: Uint8Array.of(10, 9, index >> 8, index & 0xff), length: 32 };
        return { kind: "route.add", route: { destination, linkIndex: left } };
      });
      throwFirstFailure(await host.batch(operations));
      assert.equal((await host.routes.list({ linkIndex: left, protocol: staticProtocol })).length, 1000);
      const again = await host.batch(operations);
      assert.ok(again.length === 1000 && again.every((outcome) => !outcome.ok && outcome.error.code === "EEXIST"));
    },
  ],
  [
    "calls at one time each get their own answer",
    async ({ host }) => {
      const { left } = await createUpPair(host);
      const names = await Promise.all([
        ...Array.from({ length: 20 }, async () => (await host.links.get(left))?.name),
        ...Array.from({ length: 20 }, async () => (await host.links.get("lo"))?.name),
      ]);
      assert.deepEqual(names, [...new Array(20).fill("left"), ...new Array(20).fill("lo")]);
    },
  ],
];

/** The next change that fits. */
async function nextChange<Row>(changes: AsyncIterable<Change<Row>>, fits: (row: Row) => boolean): Promise<string> {
  for await (const change of changes) {
    if (change.kind !== "overflow" && fits(change.row)) return change.kind;
  }
  return "ended";
}

const watchRows: readonly Row[] = [
  [
    "a watch misses nothing after the call that began it",
    async ({ host }, signal) => {
      const { left } = await createUpPair(host);
      const links = host.watchLinks(signal);
      const addresses = host.watchAddresses(signal);
      const routes = host.watchRoutes(signal);
      const neighbours = host.watchNeighbours(signal);
      await host.links.createBridge({ name: "br0" });
      await host.addresses.add({ linkIndex: left, address: address("10.0.0.5"), prefixLength: 32 });
      await host.routes.add({ destination: prefix("10.7.0.0/16"), linkIndex: left });
      await host.neighbours.replace({ linkIndex: left, address: address("10.0.0.6"), mac: podMac });
      assert.equal(await nextChange(links, (row) => row.name === "br0"), "set");
      assert.equal(await nextChange(addresses, (row) => formatAddress(row.address) === "10.0.0.5"), "set");
      assert.equal(await nextChange(routes, (row) => formatPrefix(row.destination) === "10.7.0.0/16"), "set");
      assert.equal(await nextChange(neighbours, (row) => formatAddress(row.address) === "10.0.0.6"), "set");
    },
  ],
  [
    "a watch tells of what is removed, and ends with its signal",
    async ({ host }, signal) => {
      await createUpPair(host);
      const stop = new AbortController();
      const changes = host.watchLinks(AbortSignal.any([signal, stop.signal]));
      const seen: string[] = [];
      const watching = (async () => {
        for await (const change of changes) {
          if (change.kind === "overflow") continue;
          seen.push(`${change.kind} ${change.row.name}`);
          if (change.kind === "removed" && change.row.name === "left") stop.abort();
        }
      })();
      await host.links.delete("left");
      await watching;
      assert.ok(seen.includes("removed left"));
    },
  ],
  [
    "a watch of an aborted signal ends at once",
    async ({ host }) => {
      const changes: unknown[] = [];
      for await (const change of host.watchLinks(AbortSignal.abort())) changes.push(change);
      assert.deepEqual(changes, []);
    },
  ],
];
