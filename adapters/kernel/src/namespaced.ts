import { closeSync } from "node:fs";
import { attempt, createKernelError, errnos } from "./failure.ts";
import type { NetworkNamespace, SocketOptions } from "./kernel.ts";
import type { Native } from "./native.ts";

/** What is done inside a network namespace, by a thread that goes there and ends. */

/** As native/socket.c counts them. */
const families: Readonly<Record<SocketOptions["family"], number>> = { ipv4: 0, ipv6: 1, unix: 2, packet: 3 };
const types: Readonly<Record<SocketOptions["type"], number>> = { stream: 0, datagram: 1, raw: 2 };
const absent = -1;

export function openSocket(native: Native, options: SocketOptions): number {
  const {
    namespacePath,
    family,
    type,
    protocol = 0,
    transparent = false,
    reuseAddress = false,
    mark = absent,
    bind,
    listen = absent,
  } = options;
  const place = bind === undefined ? "" : ` at ${bind.address} port ${bind.port}`;
  const what = `${family} ${type} socket${place}${namespacePath === undefined ? "" : ` in ${namespacePath}`}`;
  if (bind !== undefined && !(Number.isInteger(bind.port) && bind.port >= 0 && bind.port <= 65535)) {
    throw createKernelError({ what, syscall: "bind", errno: errnos.EINVAL, reason: `${bind.port} is no port` });
  }
  return attempt(what, () =>
    native.openSocket(
      namespacePath ?? null,
      families[family],
      types[type],
      protocol,
      Number(transparent),
      Number(reuseAddress),
      mark,
      bind?.address ?? "",
      bind?.port ?? absent,
      listen,
    ),
  );
}

export function createNamespace(native: Native): NetworkNamespace {
  const fd = attempt("a network namespace", () => native.createNamespace());
  let open = true;
  return {
    path: `/proc/self/fd/${fd}`,
    [Symbol.dispose]() {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

export function writeSysctls(
  native: Native,
  options: { namespacePath?: string; values: ReadonlyArray<readonly [path: string, value: string]> },
): void {
  const { namespacePath, values } = options;
  const what = `sysctls${namespacePath === undefined ? "" : ` in ${namespacePath}`}`;
  for (const [path, value] of values) {
    const fault = sysctlFault(path, value);
    if (fault !== undefined) throw createKernelError({ what, syscall: "open", errno: errnos.EINVAL, reason: fault });
  }
  const pairs = new TextEncoder().encode(values.map(([path, value]) => `${path}\0${value}\0`).join(""));
  attempt(what, () => native.writeSysctls(namespacePath ?? null, pairs));
}

function sysctlFault(path: string, value: string): string | undefined {
  if (!path.startsWith("/proc/sys/") || path.split("/").includes("..")) return `${JSON.stringify(path)} is no path under /proc/sys/`;
  if (path.includes("\0") || value.includes("\0")) return `${JSON.stringify(path)} or its value contains a NUL`;
  return undefined;
}

export function namespaceCookie(native: Native, namespacePath: string | undefined): bigint {
  return attempt(`cookie of ${namespacePath ?? "this network namespace"}`, () => native.namespaceCookie(namespacePath ?? null));
}
