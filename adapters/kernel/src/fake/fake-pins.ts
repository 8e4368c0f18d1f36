import { createKernelError, errnos } from "../failure.ts";
import type { Kernel } from "../kernel.ts";
import { FakeLink } from "./fake-link.ts";
import { FakeMap, type FakeMapState } from "./fake-map.ts";
import { FakeProgram, type FakeProgramState } from "./fake-program.ts";
import type { FakeLinkState, FakeObject } from "./machine.ts";
import type { FakeOperation, FakeProcess } from "./process.ts";

type PinCalls = "openPinnedMap" | "openPinnedProgram" | "openPinnedLink" | "listPins" | "unpin" | "mountBpffs" | "unmount";

export function createFakePins(owner: FakeProcess, possibleCpuCount: number): Pick<Kernel, PinCalls> {
  const { machine } = owner;
  const pinned = <State extends FakeObject>(operation: FakeOperation, path: string, kind: State["kind"]): State => {
    owner.check(operation, `pin ${path}`);
    const object = machine.pins.get(path);
    if (object?.kind === kind) return object as State; // The kind says which.
    const reason = object === undefined ? "nothing is pinned there" : `it is a BPF ${object.kind}, not a ${kind}`;
    const errno = object === undefined ? errnos.ENOENT : errnos.EINVAL;
    throw createKernelError({ what: `pin ${path}`, syscall: "bpf(OBJ_GET)", errno, reason });
  };
  return {
    openPinnedMap: (path) => new FakeMap(owner, pinned<FakeMapState>("openPinnedMap", path, "map"), possibleCpuCount),
    openPinnedProgram: (path) => new FakeProgram(owner, pinned<FakeProgramState>("openPinnedProgram", path, "prog")),
    openPinnedLink: (path) => new FakeLink(owner, pinned<FakeLinkState>("openPinnedLink", path, "link")),
    listPins: (directory) => machine.listPins(directory),
    unpin(path) {
      owner.check("unpin", `unpin ${path}`);
      machine.unpin(path);
    },
    mountBpffs(path) {
      owner.check("mountBpffs", `bpffs at ${path}`);
      if (!machine.isInBpffs(path)) machine.mounts.add(path);
    },
    unmount(path) {
      owner.check("unmount", `unmount ${path}`);
      machine.unmount(path);
    },
  };
}
