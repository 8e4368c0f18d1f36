import { UnsupportedFeature } from "../errors.ts";
import type { BpfProgram } from "../kernel.ts";
import type { FakeMachine, FakeObject } from "./machine.ts";
import type { FakeProcess } from "./process.ts";

export interface FakeProgramShape {
  readonly name: string;
  /** "sched_cls", "xdp", "cgroup_sock_addr" */
  readonly type: string;
}

export class FakeProgramState implements FakeObject {
  readonly kind = "prog";
  readonly id: number;
  readonly shape: FakeProgramShape;
  readonly tag: string;
  references = 0;

  constructor(machine: FakeMachine, shape: FakeProgramShape, tag: string) {
    this.id = machine.nextId();
    this.shape = shape;
    this.tag = tag;
  }

  end(): void {}
}

export class FakeProgram implements BpfProgram {
  readonly id: number;
  readonly name: string;
  readonly type: string;
  readonly tag: string;
  readonly #process: FakeProcess;
  readonly #fd: number;

  constructor(process: FakeProcess, state: FakeProgramState, name: string = state.shape.name.slice(0, 15)) {
    this.id = state.id;
    this.name = name;
    this.type = state.shape.type;
    this.tag = state.tag;
    this.#process = process;
    this.#fd = process.open(state);
  }

  get fd(): number {
    this.#process.at(this.#fd, "prog", `program ${this.name}`);
    return this.#fd;
  }

  pin(path: string): void {
    this.#process.check("pin", `program ${this.name}: pin at ${path}`);
    this.#process.machine.pin(this.#process.at(this.#fd, "prog", `program ${this.name}`), path, `program ${this.name}`);
  }

  /** There is nothing here that could run it. */
  runSyscall(): never {
    return this.testRun();
  }

  testRun(): never {
    throw new UnsupportedFeature("processor for BPF programs", "6.6", "a fake one, in memory");
  }

  [Symbol.dispose](): void {
    this.#process.close(this.#fd);
  }
}
