import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Lab, removeLab, runOrThrow } from "@cilium-ts/lab";
import { requireKernel } from "@cilium-ts/testing";
import { repositoryRoot } from "@cilium-ts/tools/repository";
import { Cluster, labName, labSubnet, policy } from "./cluster.ts";

/** Whatever on this machine carries the lab's name. */
async function leftovers(name: string): Promise<string[]> {
  const directory = `/run/cilium-ts/${name}`;
  const links = JSON.parse(await runOrThrow("ip", ["-json", "link"])) as ReadonlyArray<{ ifname: string }>;
  return [
    ...readdirSync("/run/netns").filter((namespace) => namespace.startsWith(`ct-${name}-`)),
    ...links.map(({ ifname }) => ifname).filter((ifname) => new RegExp(`^ct-${name}[0-9]*$`).test(ifname)),
    ...readFileSync("/proc/self/mounts", "utf8")
      .split("\n")
      .filter((line) => line.includes(`${directory}/`)),
    ...processesNaming(directory),
    ...(existsSync(directory) ? [directory] : []),
  ];
}

function processesNaming(directory: string): string[] {
  const found: string[] = [];
  for (const pid of readdirSync("/proc").filter((entry) => /^[0-9]+$/.test(entry))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      if (command.includes(`${directory}/`)) found.push(`process ${pid}: ${command}`);
    } catch {
      // It has ended since.
    }
  }
  return found;
}

/** A program that starts the lab with a pod in it, and leaves it running. */
const startLab = `
  import { Cluster } from ${JSON.stringify(join(import.meta.dirname, "cluster.ts"))};
  const cluster = await Cluster.start({ name: ${JSON.stringify(labName)} });
  await cluster.pod("client");
  process.exit(0);
`;

describe("a lab that is removed leaves nothing", { skip: requireKernel() }, () => {
  after(() => removeLab(labName));

  test("after it was used", async () => {
    {
      await using cluster = await Cluster.start();
      const [client, server] = [await cluster.pod("client"), await cluster.pod("server")];
      await cluster.world();
      await server.listen("tcp", 8081);
      await cluster.apply(policy("deny", "server", { ingress: [{}] }));
      await client.askInVain(server, "ipv4", "tcp", 8081);
      assert.notDeepEqual(await leftovers(labName), []);
    }
    assert.deepEqual(await leftovers(labName), []);
  });

  test("after its programs were killed", async () => {
    const cluster = await Cluster.start();
    await cluster.pod("client");
    for (const name of ["apiserver", "agent-node1"]) process.kill(cluster.lab.daemon(name).pid, "SIGKILL");
    await cluster[Symbol.asyncDispose]();
    assert.deepEqual(await leftovers(labName), []);
  });

  for (const afterMs of [150, 400, 700, 1_000, 1_400, 1_900]) {
    test(`after its start was killed when it had gone on for ${afterMs} ms`, async () => {
      const starter = spawn(process.execPath, ["--input-type=module", "--eval", startLab], { stdio: "ignore" });
      await delay(afterMs);
      starter.kill("SIGKILL");
      if (starter.exitCode === null && starter.signalCode === null) await once(starter, "exit");
      await delay(300); // The command that it was waiting for goes on for a moment.
      await removeLab(labName);
      assert.deepEqual(await leftovers(labName), []);
    });
  }

  test("after a start that failed, and its error shows the log of what failed", async () => {
    const options = { root: repositoryRoot, name: labName, subnet: labSubnet, agentArguments: ["--no-such-flag=1"] };
    await assert.rejects(Lab.start(options), /the lab did not start: [\s\S]*Unknown option '--no-such-flag'/);
    assert.deepEqual(await leftovers(labName), []);
  });

  test("also when there was none", async () => {
    await removeLab(labName);
    assert.deepEqual(await leftovers(labName), []);
  });
});
