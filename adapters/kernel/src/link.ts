import { closeSync, constants, openSync } from "node:fs";
import { Descriptor, inspect } from "./descriptor.ts";
import { UnsupportedFeature } from "./errors.ts";
import { attempt, createKernelError, errnos, nativeFailure, toKernelError } from "./failure.ts";
import { withShortGracePeriods } from "./grace-period.ts";
import type { BpfLink, BpfProgram, CgroupAttachType } from "./kernel.ts";
import type { Native } from "./native.ts";
import { openPinOf, pinDescriptor } from "./pin.ts";
import { cgroupAttachTypes, tcxAttachTypes, xdpAttachType, xdpModeFlags } from "./uapi.ts";

export class NativeLink implements BpfLink {
  readonly id: number;
  readonly #native: Native;
  readonly #descriptor: Descriptor;

  /** Takes the descriptor: it is closed when this fails. */
  constructor(native: Native, fd: number) {
    this.id = inspect(native, fd, "link", () => native.linkInfo(fd)).id;
    this.#native = native;
    this.#descriptor = new Descriptor(native, fd, `link ${this.id}`);
  }

  get fd(): number {
    return this.#descriptor.fd;
  }

  get ifindex(): number {
    return this.#info().ifindex;
  }

  get programId(): number {
    return this.#info().programId;
  }

  update(program: BpfProgram): void {
    withShortGracePeriods(() =>
      attempt(`link ${this.id}: replace its program by ${program.name}`, () => this.#native.updateLink(this.fd, program.fd)),
    );
  }

  pin(path: string): void {
    pinDescriptor(this.#native, this.fd, path, `link ${this.id}`);
  }

  detach(): void {
    withShortGracePeriods(() => attempt(`link ${this.id}: detach`, () => this.#native.detachLink(this.fd)));
  }

  [Symbol.dispose](): void {
    this.#descriptor[Symbol.dispose]();
  }

  #info(): { ifindex: number; programId: number } {
    return attempt(`link ${this.id}`, () => this.#native.linkInfo(this.fd));
  }
}

export function openPinnedLink(native: Native, path: string): NativeLink {
  return new NativeLink(native, openPinOf(native, path, "link"));
}

export function attachTcx(
  native: Native,
  release: string,
  options: { program: BpfProgram; ifindex: number; direction: "ingress" | "egress" },
): NativeLink {
  const { program, ifindex, direction } = options;
  checkIfindex(ifindex, program);
  try {
    return new NativeLink(
      native,
      withShortGracePeriods(() => native.createLink(program.fd, ifindex, tcxAttachTypes[direction], 0)),
    );
  } catch (cause) {
    // An old kernel knows no such attach type.
    if (nativeFailure(cause)?.errno === errnos.EINVAL && isOlderThan(release, 6, 6)) throw new UnsupportedFeature("tcx", "6.6", release);
    throw toKernelError(cause, `program ${program.name}: attach to tcx ${direction} of device ${ifindex}`);
  }
}

export function attachXdp(
  native: Native,
  { program, ifindex, mode }: { program: BpfProgram; ifindex: number; mode: "generic" | "driver" },
): NativeLink {
  checkIfindex(ifindex, program);
  const fd = attempt(`program ${program.name}: attach to XDP (${mode}) of device ${ifindex}`, () =>
    native.createLink(program.fd, ifindex, xdpAttachType, xdpModeFlags[mode]),
  );
  return new NativeLink(native, fd);
}

export function attachCgroup(
  native: Native,
  { program, cgroupPath, attachType }: { program: BpfProgram; cgroupPath: string; attachType: CgroupAttachType },
): NativeLink {
  const what = `program ${program.name}: attach to ${attachType} of cgroup ${cgroupPath}`;
  const fd = attempt(what, () => {
    const cgroup = openSync(cgroupPath, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      return native.createLink(program.fd, cgroup, cgroupAttachTypes[attachType], 0);
    } finally {
      closeSync(cgroup);
    }
  });
  return new NativeLink(native, fd);
}

function checkIfindex(ifindex: number, program: BpfProgram): void {
  if (Number.isInteger(ifindex) && ifindex > 0) return;
  throw createKernelError({
    what: `program ${program.name}: attach`,
    syscall: "bpf(LINK_CREATE)",
    errno: errnos.ENODEV,
    reason: `${ifindex} is no index of a device`,
  });
}

function isOlderThan(release: string, major: number, minor: number): boolean {
  const [ownMajor = 0, ownMinor = 0] = release.split(/[.-]/).map(Number);
  return ownMajor < major || (ownMajor === major && ownMinor < minor);
}
