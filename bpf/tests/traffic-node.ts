import { execFileSync } from "node:child_process";
import { createInterface } from "node:readline";
import { openKernel } from "@cilium-ts/kernel";
import { PodPrograms, u32 } from "./pod-programs.ts";
import { allowAll, client, placeTwoPods, server } from "./two-pods.ts";

// The node of traffic.test.ts, run inside its network namespace: attaches the programs to the devices "client" and "server", says
// "ready" and serves commands, one a line: "set POD NUMBER" gives a pod another policy set, "events" prints a count of each kind.

const links: ReadonlyArray<{ ifname: string; ifindex: number; address: string }> = JSON.parse(
  execFileSync("ip", ["-json", "link"], { encoding: "utf8" }),
);
const kernel = openKernel();
using programs = await PodPrograms.open();
placeTwoPods(programs, allowAll(client, server));
using attached = new DisposableStack();
const pods = Object.fromEntries(
  Object.entries({ client, server }).map(([name, fields]) => {
    const device = links.find(({ ifname }) => ifname === name);
    const [mac] = process.argv.slice(name === "client" ? 2 : 3);
    if (device === undefined || mac === undefined) throw new RangeError(`no device "${name}" or no MAC of its pod`);
    const pod = { ...fields, ifindex: device.ifindex, hostMac: device.address, mac };
    programs.setRow(pod);
    programs.map("endpoint_devices").update(u32(pod.ifindex), u32(pod.id));
    for (const [program, direction] of [
      ["from_pod", "ingress"],
      ["to_pod", "egress"],
    ] as const) {
      attached.use(kernel.attachTcx({ program: programs.program(program), ifindex: pod.ifindex, direction }));
    }
    return [name, pod];
  }),
);
console.log("ready");

for await (const line of createInterface({ input: process.stdin })) {
  const [command, name = "", number] = line.split(" ");
  if (command === "set" && pods[name] !== undefined) {
    programs.setRow({ ...pods[name], policySet: Number(number) });
    console.log("done");
  } else {
    const counts: Record<string, number> = {};
    for (const event of programs.drain()) {
      const key = event.kind === "drop" ? `drop ${event.notify.header.subtype}` : event.kind;
      counts[key] = (counts[key] ?? 0) + 1;
    }
    console.log(JSON.stringify(counts));
  }
}
