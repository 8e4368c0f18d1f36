import { createHash } from "node:crypto";
import { VerifierRejection } from "../errors.ts";
import { createKernelError, errnos } from "../failure.ts";
import type { BpfMap, BpfProgram, LoadedObject, MapSpec, ObjectSpec } from "../kernel.ts";
import { FakeMap, FakeMapState, sameShape } from "./fake-map.ts";
import { FakeProgram, type FakeProgramShape, FakeProgramState } from "./fake-program.ts";
import type { FakeProcess } from "./process.ts";

/** What a compiled object declares, as the fake cannot read it. */
export interface FakeObjectShape {
  readonly maps?: readonly MapSpec[];
  readonly programs?: readonly FakeProgramShape[];
  /** Sizes of the constants that may be set, in bytes. */
  readonly constants?: Readonly<Record<string, number>>;
  /** The verifier's answer to one of its programs. */
  readonly rejected?: { readonly program: string; readonly line: string };
}

export function loadFakeObject(process: FakeProcess, spec: ObjectSpec, shape: FakeObjectShape, possibleCpuCount: number): LoadedObject {
  checkConstants(spec, shape);
  const declared = (shape.maps ?? []).map((map) => ({ ...map, maxEntries: spec.maps?.[map.name]?.maxEntries ?? map.maxEntries }));
  for (const name of Object.keys(spec.maps ?? {})) {
    if (declared.some((map) => map.name === name)) continue;
    throw createKernelError({
      what: `object ${spec.name}: map ${name}`,
      syscall: "bpf_object__load",
      errno: errnos.ENOENT,
      reason: "it declares no such map",
    });
  }
  const adopted = declared.map((map) => adoptPinned(process, spec, map));
  if (shape.rejected !== undefined) {
    throw new VerifierRejection({ ...shape.rejected, log: shape.rejected.line, errno: errnos.EACCES, code: "EACCES" });
  }
  using opened = new DisposableStack();
  const newPins: string[] = [];
  try {
    const maps = new Map<string, BpfMap>();
    for (const [index, wanted] of declared.entries()) {
      const state = adopted[index] ?? new FakeMapState(process.machine, wanted, possibleCpuCount);
      const map = opened.use(new FakeMap(process, state, possibleCpuCount, wanted.name));
      maps.set(wanted.name, map);
      const pinPath = spec.maps?.[wanted.name]?.pinPath;
      if (pinPath === undefined || adopted[index] !== undefined) continue;
      map.pin(pinPath);
      newPins.push(pinPath);
    }
    const programs = new Map<string, BpfProgram>();
    for (const program of shape.programs ?? []) {
      const tag = createHash("sha256").update(spec.bytes).update(program.name).digest("hex").slice(0, 16);
      programs.set(program.name, opened.use(new FakeProgram(process, new FakeProgramState(process.machine, program, tag), program.name)));
    }
    const all = opened.move();
    return { maps, programs, [Symbol.dispose]: () => all.dispose() };
  } catch (cause) {
    for (const path of newPins) process.machine.unpin(path);
    throw cause;
  }
}

function checkConstants(spec: ObjectSpec, shape: FakeObjectShape): void {
  for (const [variable, bytes] of Object.entries(spec.rodata ?? {})) {
    const sizeBytes = shape.constants?.[variable];
    if (sizeBytes === bytes.length) continue;
    const reason = sizeBytes === undefined ? "it has no such constant" : `it has ${sizeBytes} bytes, not ${bytes.length}`;
    const errno = sizeBytes === undefined ? errnos.ENOENT : errnos.EINVAL;
    throw createKernelError({ what: `object ${spec.name}: set ${variable}`, syscall: "bpf_object__load", errno, reason });
  }
}

function adoptPinned(process: FakeProcess, spec: ObjectSpec, wanted: MapSpec): FakeMapState | undefined {
  const setting = spec.maps?.[wanted.name];
  if (setting?.pinPath === undefined) return undefined;
  const what = `object ${spec.name}: map ${wanted.name}: adopt ${setting.pinPath}`;
  const pinned = process.machine.pins.get(setting.pinPath);
  if (pinned === undefined) return undefined;
  if (!(pinned instanceof FakeMapState)) {
    throw createKernelError({ what, syscall: "bpf(OBJ_GET)", errno: errnos.EINVAL, reason: `it is a BPF ${pinned.kind}, not a map` });
  }
  if (sameShape(pinned.spec, wanted) && (setting.maxEntries !== undefined || pinned.spec.maxEntries === wanted.maxEntries)) return pinned;
  const reason = `pinned is ${describe(pinned.spec)}, wanted is ${describe(wanted)}; remove the pin to make it anew`;
  throw createKernelError({ what, syscall: "bpf(OBJ_GET)", errno: errnos.EEXIST, reason });
}

function describe(map: MapSpec): string {
  const flags = (map.flags ?? 0).toString(16);
  return `${map.type} (key ${map.keySizeBytes}, value ${map.valueSizeBytes}, ${map.maxEntries} entries, flags 0x${flags})`;
}
