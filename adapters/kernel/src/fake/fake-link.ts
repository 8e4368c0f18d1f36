import { createKernelError, errnos } from "../failure.ts";
import type { BpfLink, BpfProgram } from "../kernel.ts";
import type { FakeLinkState, FakeMachine } from "./machine.ts";
import type { FakeProcess } from "./process.ts";

type AttachPoint = FakeLinkState["attachPoint"];

/** By the beginning of the program type's name. */
const wantedTypes: Readonly<Record<AttachPoint, string>> = {
  "tcx-ingress": "sched_cls",
  "tcx-egress": "sched_cls",
  xdp: "xdp",
  cgroup: "cgroup",
};

export interface FakeAttachment {
  readonly program: BpfProgram;
  readonly attachPoint: AttachPoint;
  readonly ifindex?: number;
  readonly cgroupPath?: string;
  readonly cgroupAttachType?: string;
}

export function createLinkState(machine: FakeMachine, attachment: FakeAttachment): FakeLinkState {
  const { program, attachPoint, ifindex = 0 } = attachment;
  const what = `program ${program.name}: attach to ${attachPoint} of ${attachment.cgroupPath ?? `device ${ifindex}`}`;
  const refuse = (errno: number): Error => createKernelError({ what, syscall: "bpf(LINK_CREATE)", errno });
  if (attachPoint !== "cgroup" && !(Number.isInteger(ifindex) && ifindex > 0)) throw refuse(errnos.ENODEV);
  if (!program.type.startsWith(wantedTypes[attachPoint])) throw refuse(errnos.EINVAL);
  for (const other of machine.links) {
    if (attachPoint === "xdp" && other.attachPoint === "xdp" && other.ifindex === ifindex) throw refuse(errnos.EBUSY);
    const same = other.attachPoint === attachPoint && other.ifindex === ifindex && other.programId === program.id;
    if (attachPoint.startsWith("tcx") && same) throw refuse(errnos.EEXIST);
  }
  const link: FakeLinkState = {
    kind: "link",
    id: machine.nextId(),
    references: 0,
    attachPoint,
    cgroupPath: attachment.cgroupPath,
    cgroupAttachType: attachment.cgroupAttachType,
    ifindex,
    programId: program.id,
    end: () => void machine.links.delete(link),
  };
  machine.links.add(link);
  return link;
}

export class FakeLink implements BpfLink {
  readonly #process: FakeProcess;
  readonly #state: FakeLinkState;
  readonly #fd: number;

  constructor(process: FakeProcess, state: FakeLinkState) {
    this.#process = process;
    this.#state = state;
    this.#fd = process.open(state);
  }

  get id(): number {
    return this.#state.id;
  }

  get ifindex(): number {
    return this.#open().ifindex;
  }

  get programId(): number {
    return this.#open().programId;
  }

  get fd(): number {
    this.#open();
    return this.#fd;
  }

  update(program: BpfProgram): void {
    const what = `link ${this.id}: replace its program by ${program.name}`;
    this.#process.check("updateLink", what);
    const state = this.#open();
    if (!this.#process.machine.links.has(state)) throw createKernelError({ what, syscall: "bpf(LINK_UPDATE)", errno: errnos.ENOLINK });
    if (!program.type.startsWith(wantedTypes[state.attachPoint]))
      throw createKernelError({ what, syscall: "bpf(LINK_UPDATE)", errno: errnos.EINVAL });
    state.programId = program.id;
  }

  pin(path: string): void {
    this.#process.check("pin", `link ${this.id}: pin at ${path}`);
    this.#process.machine.pin(this.#open(), path, `link ${this.id}`);
  }

  detach(): void {
    this.#process.check("detachLink", `link ${this.id}: detach`);
    const state = this.#open();
    state.ifindex = 0;
    this.#process.machine.links.delete(state);
  }

  [Symbol.dispose](): void {
    this.#process.close(this.#fd);
  }

  #open(): FakeLinkState {
    this.#process.at(this.#fd, "link", `link ${this.id}`);
    return this.#state;
  }
}
