import { execFileSync } from "node:child_process";
import { openKernel } from "@cilium-ts/kernel";
import type { World } from "./contract-suite.ts";
import { openNetlink } from "./open-netlink.ts";

let worlds = 0;

/** Two network namespaces of this process, made and deleted by `ip`. */
export function openRealWorld(): World & { readonly hostName: string; readonly podName: string } {
  worlds += 1;
  const hostName = `ctnl-${process.pid}-${worlds}-host`;
  const podName = `ctnl-${process.pid}-${worlds}-pod`;
  const podPath = `/run/netns/${podName}`;
  using opened = new DisposableStack();
  for (const name of [hostName, podName]) {
    execFileSync("ip", ["netns", "add", name]);
    opened.defer(() => execFileSync("ip", ["netns", "del", name]));
  }
  const kernel = openKernel();
  const host = opened.use(openNetlink(kernel, { namespacePath: `/run/netns/${hostName}` }));
  const kept = opened.move();
  return {
    hostName,
    podName,
    host,
    podPath,
    openPod: () => openNetlink(kernel, { namespacePath: podPath }),
    [Symbol.dispose]: () => kept.dispose(),
  };
}
