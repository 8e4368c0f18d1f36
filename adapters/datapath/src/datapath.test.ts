import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Kernel, openKernel } from "@cilium-ts/kernel";
import { type AddressBytes, parseAddress } from "@cilium-ts/net";
import { requireKernel } from "@cilium-ts/testing";
import {
  type Datapath,
  type DatapathEndpoint,
  type DatapathOptions,
  datapathDefaults,
  openDatapath,
  type PolicySetEntry,
} from "./index.ts";

const skip = requireKernel();
const bpfRoot = `/run/cilium-ts-test-${process.pid}`;
const device = `dpt${process.pid % 100_000}`;
const build = join(import.meta.dirname, "../../../bpf/build");
let kernel: Kernel;
let ifindex = 0;

before(() => {
  if (skip !== false) return;
  kernel = openKernel();
  execFileSync("ip", ["link", "add", device, "type", "veth", "peer", "name", `${device}p`]);
  ifindex = Number(readFileSync(`/sys/class/net/${device}/ifindex`, "utf8"));
});

after(() => {
  if (skip !== false) return;
  execFileSync("ip", ["link", "del", device]);
  kernel.unmount(bpfRoot);
  rmSync(bpfRoot, { recursive: true, force: true });
});

function address(text: string): AddressBytes {
  const bytes = parseAddress(text);
  assert.ok(bytes !== undefined);
  return bytes;
}

function options(change: Partial<DatapathOptions> = {}): DatapathOptions {
  const routers = { routerIPv4: address("10.0.0.1"), routerIPv6: address("fd00::1") };
  const object = (name: string): Uint8Array => readFileSync(join(build, `${name}.o`));
  const objects = {
    pod: object("pod"),
    conntrack: object("conntrack"),
    overlay: object("overlay"),
    host: object("host"),
    network: object("network"),
    proxy: object("proxy"),
  };
  return { objects, bpfRoot, ...routers, ...datapathDefaults, conntrackEntriesMax: 1024, ...change };
}

function endpoint(policySet: number): DatapathEndpoint {
  const mac = Uint8Array.of(2, 0, 0, 0, 0, 1);
  const flags = { ingressEnforced: true, egressEnforced: false, audit: false };
  return { id: 7, ifindex, identity: 1234, policySet, ...flags, mac, hostMac: mac, ipv4: address("10.0.0.7"), ipv6: address("fd00::7") };
}

function entry(change: Partial<PolicySetEntry> = {}): PolicySetEntry {
  return {
    identity: 1234,
    direction: "ingress",
    protocol: 6,
    port: 80,
    portPrefixLength: 16,
    deny: false,
    precedence: 24,
    cookie: 5,
    ...change,
  };
}

function links(datapath: Datapath, directory = "links/7"): string[] {
  return kernel.listPins(join(bpfRoot, directory)).map((name) => {
    using link = kernel.openPinnedLink(join(bpfRoot, directory, name));
    return `${name} ${link.id} runs ${[...Object.values(datapath.programs)].find((program) => program.id === link.programId)?.name}`;
  });
}

test("an endpoint gets its row and both programs on its device, and a restart keeps all of it as it is", { skip }, () => {
  let before: string[] = [];
  let set = 0;
  {
    using datapath = openDatapath(kernel, options());
    assert.equal(datapath.adopted, false);
    set = datapath.policySets.acquire([entry()]);
    datapath.endpoints.apply(endpoint(set));
    before = links(datapath);
    assert.deepEqual(
      before.map((line) => line.replace(/ [0-9]+ /, " ")),
      ["from_pod runs from_pod", "to_pod runs to_pod"],
    );
  }
  using datapath = openDatapath(kernel, options());
  assert.equal(datapath.adopted, true);
  assert.equal(datapath.endpoints.read(7)?.policySet, set);
  assert.deepEqual(datapath.endpoints.pinnedIds(), [7]);
  assert.equal(datapath.policySets.acquire([entry()]), set, "the same policy is the same set");
  datapath.endpoints.apply(endpoint(set));
  assert.deepEqual(links(datapath), before, "no link was made again");
});

test("another configuration is another program, and running links are moved to it", { skip }, () => {
  using datapath = openDatapath(kernel, options({ traceIntervalS: 1 }));
  assert.equal(datapath.adopted, false);
  const before = links(datapath).map((line) => line.split(" ")[1]);
  datapath.endpoints.apply(endpoint(1));
  const now = links(datapath);
  assert.deepEqual(
    now.map((line) => line.split(" ")[1]),
    before,
    "the links are the same, without a gap",
  );
  assert.ok(
    now.every((line) => !line.endsWith("undefined")),
    now.join(),
  );
  datapath.removeOldPrograms();
  assert.equal(kernel.listPins(join(bpfRoot, "programs")).length, 1);
});

test("policy sets are shared by content, keep their numbers, and go with their last user", { skip }, () => {
  using datapath = openDatapath(kernel, options({ traceIntervalS: 1 }));
  const { policySets } = datapath;
  policySets.prune();
  assert.equal(policySets.count, 0);
  const entries = [entry(), entry({ port: 443 }), entry({ identity: 0, protocol: 0, port: 0, portPrefixLength: 0, precedence: 0 })];
  const first = policySets.acquire(entries);
  assert.equal(policySets.acquire([...entries].reverse()), first);
  const other = policySets.acquire([entry({ cookie: 6 })]);
  assert.ok(other > first);
  assert.equal(datapath.maps.policy.dump().count, 4);
  policySets.release(first);
  assert.equal(datapath.maps.policy.dump().count, 4);
  policySets.release(first);
  assert.equal(datapath.maps.policy.dump().count, 1);
  assert.ok(policySets.acquire(entries) > other, "a number is never used again");
});

test("the ipcache says whose an address is, and its generation moves only with changes", { skip }, () => {
  using datapath = openDatapath(kernel, options({ traceIntervalS: 1 }));
  const { ipcache } = datapath;
  assert.equal(ipcache.upsert({ prefix: "10.0.0.7/32", identity: 1234 }), true);
  assert.equal(ipcache.upsert({ prefix: "10.0.0.7/32", identity: 1234 }), false);
  assert.equal(ipcache.upsert({ prefix: "fd00::/64", identity: 9 }), true);
  assert.deepEqual(
    ipcache
      .rows()
      .map((row) => `${row.prefix} ${row.identity}`)
      .sort(),
    ["10.0.0.7/32 1234", "fd00::/64 9"],
  );
  assert.equal(ipcache.upsert({ prefix: "10.0.0.7/32", identity: 1234, tunnelEndpoint: "192.0.2.9" }), true);
  assert.equal(ipcache.rows().find((row) => row.identity === 1234)?.tunnelEndpoint, "192.0.2.9");
  assert.throws(() => ipcache.upsert({ prefix: "10.0.0.7/32", identity: 1234, tunnelEndpoint: "fd00::1" }), /needs an IPv4 address/);
  ipcache.delete("10.0.0.7/32");
  ipcache.delete("10.0.0.7/32");
  assert.equal(ipcache.rows().length, 1);
});

test("a node with a tunnel runs its programs on the tunnel's and the router's devices, one without has none loaded", { skip }, () => {
  const peer = Number(readFileSync(`/sys/class/net/${device}p/ifindex`, "utf8"));
  let before: string[] = [];
  {
    using datapath = openDatapath(kernel, options({ tunnelIfindex: peer }));
    datapath.deviceLinks.apply({ vxlan: peer, host: ifindex });
    before = [peer, ifindex].flatMap((index) => links(datapath, `links/devices/${index}`));
    assert.deepEqual(
      before.map((line) => line.replace(/ [0-9]+ /, " ")),
      ["from_overlay runs from_overlay", "from_host runs from_host"],
    );
  }
  {
    using datapath = openDatapath(kernel, options({ tunnelIfindex: peer }));
    assert.equal(datapath.adopted, true);
    datapath.deviceLinks.apply({ vxlan: peer, host: ifindex });
    assert.deepEqual(
      [peer, ifindex].flatMap((index) => links(datapath, `links/devices/${index}`)),
      before,
      "no link was made again",
    );
    datapath.deviceLinks.apply({ vxlan: peer });
    assert.deepEqual(datapath.deviceLinks.pinnedIfindexes(), [peer]);
    assert.deepEqual(datapath.endpoints.pinnedIds(), [7], "devices are no endpoints");
  }
  using datapath = openDatapath(kernel, options({ traceIntervalS: 1 }));
  assert.throws(() => datapath.deviceLinks.apply({ vxlan: peer }), /from_overlay is not loaded/);
  datapath.deviceLinks.apply({});
  assert.deepEqual(datapath.deviceLinks.pinnedIfindexes(), []);
  datapath.removeOldPrograms();
});

test("native devices run one program each, and lose it with their place in the list", { skip }, () => {
  const peer = Number(readFileSync(`/sys/class/net/${device}p/ifindex`, "utf8"));
  using datapath = openDatapath(kernel, options({ directRoutingIfindex: peer }));
  datapath.deviceLinks.apply({ native: [peer, ifindex] });
  assert.deepEqual(
    [peer, ifindex].flatMap((index) => links(datapath, `links/devices/${index}`)).map((line) => line.replace(/ [0-9]+ /, " ")),
    ["from_network runs from_network", "from_network runs from_network"],
  );
  datapath.deviceLinks.apply({ native: [peer] });
  assert.deepEqual(datapath.deviceLinks.pinnedIfindexes(), [peer]);
  datapath.deviceLinks.apply({});
});

test("a node that masquerades says with which addresses, and to whom it does not", { skip }, () => {
  const peer = Number(readFileSync(`/sys/class/net/${device}p/ifindex`, "utf8"));
  const count = (name: string): number => {
    using map = kernel.openPinnedMap(join(bpfRoot, "maps", name));
    return map.dump().count;
  };
  {
    using datapath = openDatapath(kernel, options({ masquerade: true }));
    datapath.deviceLinks.apply({ native: [peer] });
    assert.deepEqual(
      links(datapath, `links/devices/${peer}`).map((line) => line.replace(/ [0-9]+ /, " ")),
      ["from_network runs from_network", "to_network runs to_network"],
    );
    datapath.masquerade?.setDevices([{ ifindex: peer, ipv4: address("192.0.2.1") }, { ifindex }]);
    datapath.masquerade?.setDevices([{ ifindex: peer, ipv4: address("192.0.2.1"), ipv6: address("2001:db8::1") }]);
    datapath.masquerade?.setExempt(["10.0.0.0/8", "fd00::/48"]);
    datapath.masquerade?.setExempt(["10.0.0.0/8", "10.0.0.0/16", "fd00::/56"]);
    assert.deepEqual([count("native_devices"), count("masquerade_exempt")], [1, 3]);
    assert.throws(() => datapath.masquerade?.setExempt(["10.0.0.0/99"]), /10\.0\.0\.0\/99 is no prefix/);
  }
  using adopted = openDatapath(kernel, options({ masquerade: true }));
  assert.deepEqual([adopted.adopted, count("masquerade_exempt")], [true, 3]);
  using without = openDatapath(kernel, options({ directRoutingIfindex: peer }));
  assert.equal(without.masquerade, undefined);
  without.deviceLinks.apply({ native: [peer] });
  assert.deepEqual(
    links(without, `links/devices/${peer}`).map((line) => line.split(" ")[0]),
    ["from_network"],
  );
  without.deviceLinks.apply({});
});

test("an endpoint that goes takes its row, addresses and links with it", { skip }, () => {
  using datapath = openDatapath(kernel, options({ traceIntervalS: 1 }));
  datapath.endpoints.remove(endpoint(0));
  assert.equal(datapath.endpoints.read(7), undefined);
  assert.equal(datapath.maps.local_addresses.dump().count, 0);
  assert.deepEqual(datapath.endpoints.pinnedIds(), []);
  datapath.endpoints.remove(endpoint(0));
});

test("the node's own addresses replace those it had", { skip }, () => {
  using datapath = openDatapath(kernel, options({ traceIntervalS: 1 }));
  datapath.endpoints.setHostAddresses([address("192.0.2.1"), address("2001:db8::1")]);
  datapath.endpoints.setHostAddresses([address("192.0.2.2"), address("2001:db8::1")]);
  assert.equal(datapath.maps.local_addresses.dump().count, 2);
});

test("connections that have expired are swept out inside the kernel, the others stay", { skip }, () => {
  using datapath = openDatapath(kernel, options({ traceIntervalS: 1 }));
  const { ct4 } = datapath.maps;
  const nowS = Number(kernel.monotonicNs() / 1_000_000_000n);
  for (let index = 0; index < 100; index += 1) {
    const key = new Uint8Array(ct4.keySizeBytes);
    key[0] = index;
    const value = new Uint8Array(ct4.valueSizeBytes);
    new DataView(value.buffer).setUint32(0, index % 2 === 0 ? nowS - 1 : nowS + 60, true);
    ct4.update(key, value);
  }
  assert.deepEqual({ ...datapath.sweepConntrack(), nowS: 0 }, { nowS: 0, seen: 100, deleted: 50, seen6: 0, deleted6: 0 });
  const [fill] = datapath.counters.fills({ policy: 0, ipcache: 0 });
  assert.deepEqual([fill?.map, fill?.entries, datapath.counters.sweeps], ["ct4", 50, { runs: 1, deleted: 50, alive: 50 }]);
  assert.equal(ct4.dump().count, 50);
});
