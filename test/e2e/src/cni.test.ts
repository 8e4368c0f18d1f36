import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Finished, runOrThrow } from "@cilium-ts/lab";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { Cluster, withoutHealthEndpoint } from "./cluster.ts";
import { type Container, createContainer, type RuntimeCall, runtime } from "./containers.ts";

interface Result {
  readonly cniVersion: string;
  readonly interfaces: ReadonlyArray<{ readonly name: string; readonly mac: string; readonly sandbox?: string }>;
  readonly ips: ReadonlyArray<{
    readonly version?: string;
    readonly interface: number;
    readonly address: string;
    readonly gateway: string;
  }>;
  readonly routes: ReadonlyArray<{ readonly dst: string; readonly gw?: string }>;
  readonly dns: object;
}

const macPattern = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;

describe("the CNI plugin and the agent", { skip: requireKernel() }, () => {
  let cluster: Cluster;
  const call = (command: Parameters<typeof runtime>[1], container: Partial<Container>, options?: RuntimeCall): Promise<Finished> =>
    runtime(cluster, command, container, options);

  before(async () => {
    cluster = await Cluster.start({ agentArguments: withoutHealthEndpoint });
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  async function added(container: Container, options?: RuntimeCall): Promise<Result> {
    const { status, stdout, stderr } = await call("ADD", container, options);
    assert.equal(status, 0, stdout + stderr);
    return JSON.parse(stdout);
  }

  async function deleted(container: Partial<Container>): Promise<void> {
    assert.deepEqual(await call("DEL", container), { status: 0, stdout: "", stderr: "" });
  }

  async function refused(answer: Promise<Finished>, code: number, says: RegExp): Promise<void> {
    const { status, stdout } = await answer;
    assert.equal(status, 1);
    const error = JSON.parse(stdout);
    assert.equal(error.code, code, stdout);
    assert.match(error.msg, says);
    assert.equal(error.cniVersion, "1.0.0");
  }

  /** Addresses in use, host devices of pods, endpoints. */
  async function inUse(): Promise<unknown> {
    const health = await cluster.agent.health(new AbortController().signal);
    const links = JSON.parse(await runOrThrow("nsenter", [`--net=${cluster.lab.node().namespacePath}`, "ip", "-json", "link"]));
    const devices = links.map(({ ifname }: { ifname: string }) => ifname).filter((name: string) => name.startsWith("lxc"));
    const endpoints = (await cluster.endpoints()).map(({ id }) => id);
    return { ipv4: health.ipam?.ipv4, ipv6: health.ipam?.ipv6, devices, endpoints };
  }

  for (const cniVersion of ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
    test(`answer ADD as version ${cniVersion} has it, and it is so`, async () => {
      const container = await createContainer(cluster, `v${cniVersion.replaceAll(".", "")}`);
      const result = await added(container, { cniVersion });
      const [host, own] = result.interfaces;
      const [ipv6, ipv4] = result.ips.map(({ address }) => address);
      assert.match(host?.mac ?? "", macPattern);
      assert.match(own?.mac ?? "", macPattern);
      assert.match(ipv6 ?? "", /^fd00:10:0:1::[0-9a-f]+\/128$/);
      assert.match(ipv4 ?? "", /^10\.0\.1\.[0-9]+\/32$/);
      const version = (family: string): object => (cniVersion.startsWith("0.") ? { version: family } : {});
      assert.deepEqual(result, {
        cniVersion,
        interfaces: [
          { name: host?.name, mac: host?.mac },
          { name: "eth0", mac: own?.mac, sandbox: container.namespacePath },
        ],
        ips: [
          { ...version("6"), interface: 1, address: ipv6, gateway: "fd00:10:0:1::1" },
          { ...version("4"), interface: 1, address: ipv4, gateway: "10.0.1.1" },
        ],
        routes: [
          { dst: "fd00:10:0:1::1/128" },
          { dst: "::/0", gw: "fd00:10:0:1::1" },
          { dst: "10.0.1.1/32" },
          { dst: "0.0.0.0/0", gw: "10.0.1.1" },
        ],
        dns: {},
      });
      const inside = await runOrThrow("nsenter", [`--net=${container.namespacePath}`, "ip", "address", "show", "eth0"]);
      for (const text of [own?.mac, ipv4, ipv6]) assert.ok(inside.includes(text ?? "?"), `${text} is not in ${inside}`);
      const outside = await runOrThrow("nsenter", [`--net=${cluster.lab.node().namespacePath}`, "ip", "link", "show", host?.name ?? ""]);
      assert.ok(outside.includes(host?.mac ?? "?"), outside);
      await deleted(container);
    });
  }

  for (const cniVersion of ["0.1.0", "0.2.0"]) {
    test(`answer ADD as the old version ${cniVersion} has it`, async () => {
      const container = await createContainer(cluster, `v${cniVersion.replaceAll(".", "")}`);
      const result = JSON.parse((await call("ADD", container, { cniVersion })).stdout);
      assert.deepEqual(result, {
        cniVersion,
        dns: {},
        ip4: { ip: result.ip4.ip, gateway: "10.0.1.1", routes: [{ dst: "0.0.0.0/0", gw: "10.0.1.1" }] },
        ip6: { ip: result.ip6.ip, gateway: "fd00:10:0:1::1", routes: [{ dst: "::/0", gw: "fd00:10:0:1::1" }] },
      });
      await deleted(container);
    });
  }

  test("answer ADD once more with the same, and make nothing new", async () => {
    const container = await createContainer(cluster, "again");
    const result = await added(container);
    const before = await inUse();
    assert.deepEqual(await added(container), result);
    assert.deepEqual(await inUse(), before);
    await deleted(container);
  });

  test("serve eight ADDs at once, each with its own addresses", async () => {
    const before = await inUse();
    const containers = await Promise.all(Array.from({ length: 8 }, (_, index) => createContainer(cluster, `many${index}`)));
    const results = await Promise.all(containers.map((container) => added(container)));
    assert.equal(new Set(results.flatMap(({ ips }) => ips.map(({ address }) => address))).size, 16);
    assert.equal(new Set(results.flatMap(({ interfaces }) => interfaces.map(({ mac }) => mac))).size, 16);
    await Promise.all(containers.map(deleted));
    assert.deepEqual(await inUse(), before);
  });

  test("say with CHECK whether a container is as ADD left it", async () => {
    const container = await createContainer(cluster, "checked");
    const prevResult = await added(container);
    assert.deepEqual(await call("CHECK", container, { config: { prevResult } }), { status: 0, stdout: "", stderr: "" });
    await refused(call("CHECK", { ...container, containerId: "nobody" }), 100, /there is no endpoint for nobody:eth0: run ADD first/);
    const device = prevResult.interfaces[0]?.name ?? "";
    await runOrThrow("nsenter", [`--net=${cluster.lab.node().namespacePath}`, "ip", "link", "del", device]);
    await refused(call("CHECK", container), 101, new RegExp(`endpoint \\d+ is not healthy: its device ${device} is gone`));
    await deleted(container);
  });

  test("take DEL as often as it comes, for unknown containers too, and without the namespace", async () => {
    const before = await inUse();
    const container = await createContainer(cluster, "leaving");
    await added(container);
    await runOrThrow("ip", ["netns", "del", container.namespacePath.slice("/run/netns/".length)]);
    await deleted(container);
    assert.deepEqual(await inUse(), before);
    await deleted(container);
    await deleted({ ...container, containerId: "nobody" });
    await deleted({ containerId: "nobody" });
  });

  test("give a container that comes back after DEL another endpoint", async () => {
    const container = await createContainer(cluster, "back");
    const first = await added(container);
    await deleted(container);
    const second = await added(container);
    assert.notEqual(second.interfaces[1]?.mac, first.interfaces[1]?.mac);
    await deleted(container);
  });

  test("tell the versions, with or without an agent", async () => {
    const { status, stdout } = await call("VERSION", {});
    assert.equal(status, 0);
    assert.deepEqual(JSON.parse(stdout).supportedVersions, ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]);
  });

  test("say with STATUS that pods may come", async () => {
    assert.deepEqual(await call("STATUS", {}), { status: 0, stdout: "", stderr: "" });
  });

  test("keep deletions that come while the agent is away, and carry them out when it is back", async () => {
    const empty = await inUse();
    const [gone, stays] = [await createContainer(cluster, "gone"), await createContainer(cluster, "stays")];
    await added(gone);
    const result = await added(stays);
    await cluster.lab.killAgent();
    const socket = cluster.lab.node().socketPath;
    await refused(call("STATUS", {}), 50, new RegExp(`cilium-agent does not answer on ${socket} .*: start it, or wait`));
    await refused(call("ADD", await createContainer(cluster, "early")), 11, /cilium-agent does not answer on .*: try again later/);
    await refused(call("CHECK", stays), 11, /cilium-agent does not answer/);
    assert.equal((await call("VERSION", {})).status, 0);
    await deleted(gone);
    await deleted(gone);
    const queue = join(cluster.lab.node().directory, "deleteQueue");
    const queued = (): string[] => readdirSync(queue).filter((name) => name.endsWith(".json"));
    assert.notEqual(queued().length, 0);

    cluster.lab.startAgent();
    await cluster.lab.waitForAgent();
    await eventually(async () => {
      const pods = (await cluster.endpoints()).map(({ status }) => status?.["external-identifiers"]?.["k8s-pod-name"]);
      assert.deepEqual(pods, ["stays"]);
    });
    await eventually(() => assert.deepEqual(queued(), []));
    assert.deepEqual(await added(stays), result);
    await deleted(stays);
    assert.deepEqual(await inUse(), empty);
  });
});
