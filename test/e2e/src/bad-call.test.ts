import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Finished, runOrThrow } from "@cilium-ts/lab";
import { requireKernel } from "@cilium-ts/testing";
import { Cluster, withoutHealthEndpoint } from "./cluster.ts";
import { type Container, createContainer, type RuntimeCall, runtime } from "./containers.ts";

/** Five addresses of each family are left for pods: of eight, the prefix, its last and the router's are not. */
const range = "10.9.0.0/29";

describe("a CNI call that is wrong", { skip: requireKernel() }, () => {
  let cluster: Cluster;
  let container: Container;

  before(async () => {
    cluster = await Cluster.start({ agentArguments: ["--ipv4-range", range, ...withoutHealthEndpoint] });
    container = await createContainer(cluster, "pod");
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  const call = (command: Parameters<typeof runtime>[1], who: Partial<Container>, options?: RuntimeCall): Promise<Finished> =>
    runtime(cluster, command, who, options);

  /** Addresses in use and devices in the node. */
  async function inUse(): Promise<unknown> {
    const { ipam } = await cluster.agent.health(new AbortController().signal);
    const links = await runOrThrow("nsenter", [`--net=${cluster.lab.node().namespacePath}`, "ip", "-json", "link"]);
    return { ipv4: ipam?.ipv4, ipv6: ipam?.ipv6, links: JSON.parse(links).map(({ ifname }: { ifname: string }) => ifname) };
  }

  async function refused(answer: Promise<Finished>, code: number, says: RegExp): Promise<void> {
    const { status, stdout } = await answer;
    assert.equal(status, 1, stdout);
    const error = JSON.parse(stdout);
    assert.match(error.msg, says);
    assert.equal(error.code, code, stdout);
    assert.equal(error.msg.split("\n").length, 1);
  }

  const rows: ReadonlyArray<{ what: string; who?: Partial<Container>; options?: RuntimeCall; code: number; says: RegExp }> = [
    {
      what: "names no namespace",
      who: { namespacePath: "" },
      code: 4,
      says: /CNI_NETNS is empty: the container runtime must set it for ADD/,
    },
    {
      what: "names no container",
      who: { containerId: "" },
      code: 4,
      says: /CNI_CONTAINERID is empty: the container runtime must set it/,
    },
    {
      what: "names a namespace that is not there",
      who: { namespacePath: "/run/netns/nowhere" },
      code: 4,
      says: /CNI_NETNS \/run\/netns\/nowhere is no network namespace \(ENOENT\): the container runtime must make it before ADD/,
    },
    {
      what: "names a file that is no namespace",
      who: { namespacePath: "/etc/passwd" },
      code: 4,
      says: /CNI_NETNS \/etc\/passwd is no network namespace \(EINVAL\)/,
    },
    { what: "has garbage for a configuration", options: { input: "garbage" }, code: 6, says: /standard input|network configuration/ },
    { what: "has nothing for a configuration", options: { input: "" }, code: 6, says: /standard input|network configuration/ },
    {
      what: "is of a version of the future",
      options: { cniVersion: "9.0.0" },
      code: 1,
      says: /cniVersion 9\.0\.0 is not supported: use one from 0\.1\.0 to 1\.1\.0/,
    },
    {
      what: "wants a chain that is not configured",
      options: { config: { prevResult: {} } },
      code: 2,
      says: /prevResult is set, but chaining/,
    },
    { what: "wants an MTU that no link has", options: { config: { mtu: 12 } }, code: 7, says: /mtu is a whole number from 1280 to 65535/ },
  ];

  for (const { what, who = {}, options, code, says } of rows) {
    test(`because it ${what} is refused with one sentence, and leaves nothing`, async () => {
      const before = await inUse();
      await refused(call("ADD", { ...container, ...who }, options), code, says);
      assert.deepEqual(await inUse(), before);
    });
  }

  test("because nobody knows its command is refused with one sentence", async () => {
    await refused(
      call("REMOVE" as "DEL", container),
      4,
      /CNI_COMMAND is REMOVE, which is not known: use ADD, DEL, CHECK, STATUS or VERSION/,
    );
  });

  test("because all addresses are taken is refused with the range's name, and takes none of the other family", async () => {
    const empty = await inUse();
    const containers: Container[] = [];
    for (let index = 0; index < 5; index += 1) {
      const next = await createContainer(cluster, `full${index}`);
      const { status, stdout } = await call("ADD", next);
      assert.equal(status, 0, stdout);
      containers.push(next);
    }
    const full = await inUse();
    await refused(call("ADD", container), 11, new RegExp(`${range.replaceAll(".", "\\.")}`));
    assert.deepEqual(await inUse(), full);
    const [first, ...others] = containers;
    assert.ok(first !== undefined);
    assert.equal((await call("DEL", first)).status, 0);
    assert.equal((await call("ADD", container)).status, 0);
    for (const used of [container, ...others]) assert.equal((await call("DEL", used)).status, 0);
    assert.deepEqual(await inUse(), empty);
  });

  test("on a socket that is not the agent's is refused with the socket's name", async () => {
    const missing = join(cluster.lab.directory, "nobody.sock");
    await refused(call("ADD", container, { config: { "agent-socket": missing } }), 11, /cilium-agent does not answer on .*nobody\.sock/);
  });
});
