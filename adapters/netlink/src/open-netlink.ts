import type { Kernel } from "@cilium-ts/kernel";
import { KernelBackend } from "./kernel-backend.ts";
import { createNetlink, type Netlink } from "./netlink.ts";

/** rtnetlink of the caller's network namespace, or of the one at the path. Throws a NetlinkError. */
export function openNetlink(kernel: Pick<Kernel, "openNetlink">, options: { readonly namespacePath?: string | undefined } = {}): Netlink {
  return createNetlink(new KernelBackend(kernel, options.namespacePath));
}
