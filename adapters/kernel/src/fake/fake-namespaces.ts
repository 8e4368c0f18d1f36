import { openSync } from "node:fs";
import type { Kernel } from "../kernel.ts";
import type { FakeProcess } from "./process.ts";

/** What would be done in other network namespaces is written down on the machine. */
export function createFakeNamespaces(
  owner: FakeProcess,
): Pick<Kernel, "openSocket" | "writeSysctls" | "createNamespace" | "namespaceCookie"> {
  const { machine } = owner;
  return {
    openSocket(options) {
      owner.check("openSocket", `${options.family} ${options.type} socket`);
      machine.sockets.push(options);
      return openSync("/dev/null", "r+"); // A descriptor that can be closed, and nothing else.
    },
    writeSysctls({ namespacePath = "", values }) {
      owner.check("writeSysctls", "sysctls");
      const written = machine.sysctls.get(namespacePath) ?? new Map<string, string>();
      for (const [path, value] of values) written.set(path, value);
      machine.sysctls.set(namespacePath, written);
    },
    createNamespace() {
      owner.check("createNamespace", "a network namespace");
      machine.namespaces += 1;
      return { path: `/proc/self/fd/${1_000 + machine.namespaces}`, [Symbol.dispose]() {} };
    },
    namespaceCookie(namespacePath = "") {
      owner.check("namespaceCookie", "cookie");
      return machine.cookie(namespacePath);
    },
  };
}
