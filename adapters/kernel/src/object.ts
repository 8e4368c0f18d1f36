import { checkDescriptorKind } from "./descriptor.ts";
import { VerifierRejection } from "./errors.ts";
import { attempt, createKernelError, errnos, nativeFailure } from "./failure.ts";
import type { LoadedObject, ObjectSpec } from "./kernel.ts";
import { NativeMap } from "./map.ts";
import type { Handle, MapInfo, Native, ObjectMapInfo } from "./native.ts";
import { forcePinsAway, openPin } from "./pin.ts";
import { NativeProgram } from "./program.ts";
import { mapTypeOf } from "./uapi.ts";
import { lastMessage, parseRejection } from "./verifier-log.ts";

class NativeObject implements LoadedObject {
  readonly maps: ReadonlyMap<string, NativeMap>;
  readonly programs: ReadonlyMap<string, NativeProgram>;

  constructor(maps: ReadonlyMap<string, NativeMap>, programs: ReadonlyMap<string, NativeProgram>) {
    this.maps = maps;
    this.programs = programs;
  }

  [Symbol.dispose](): void {
    for (const map of this.maps.values()) map[Symbol.dispose]();
    for (const program of this.programs.values()) program[Symbol.dispose]();
  }
}

interface DeclaredMap {
  readonly index: number;
  readonly name: string;
  readonly declared: ObjectMapInfo;
  readonly pinPath: string | undefined;
  /** Set when the pin exists: it takes the place of a new map. */
  adopted: boolean;
}

/** Either all of it is loaded and pinned, or nothing is left of it. */
export function loadObject(native: Native, spec: ObjectSpec, possibleCpuCount: number): LoadedObject {
  const handle = openObject(native, spec);
  const newPins: string[] = [];
  using loaded = new DisposableStack();
  try {
    setConstants(native, handle, spec);
    const declared = prepareMaps(native, handle, spec);
    loadPrepared(native, handle, spec);
    const maps = new Map<string, NativeMap>();
    for (const { index, name, pinPath, adopted } of declared) {
      const map = loaded.use(new NativeMap(native, native.takeMap(handle, index), name, possibleCpuCount));
      maps.set(name, map);
      if (pinPath === undefined || adopted) continue;
      map.pin(pinPath);
      newPins.push(pinPath);
    }
    const programs = new Map<string, NativeProgram>();
    for (const name of native.objectPrograms(handle)) {
      programs.set(name, loaded.use(new NativeProgram(native, native.takeProgram(handle, name), name)));
    }
    loaded.move(); // They are the caller's now.
    return new NativeObject(maps, programs);
  } catch (cause) {
    forcePinsAway(newPins);
    throw cause;
  } finally {
    native.closeObject(handle);
  }
}

function openObject(native: Native, spec: ObjectSpec): Handle {
  try {
    return native.openObject(spec.name.replace(/\..*$/, ""), spec.bytes); // A dot begins a section's name.
  } catch (cause) {
    const failure = nativeFailure(cause);
    if (failure === undefined) throw cause;
    const detail = lastMessage(failure.log ?? "") ?? "is it a BPF object compiled by clang with -target bpf -g?";
    throw createKernelError({ what: `object ${spec.name}: read`, syscall: failure.syscall, errno: failure.errno, detail, cause });
  }
}

function setConstants(native: Native, handle: Handle, spec: ObjectSpec): void {
  for (const [variable, bytes] of Object.entries(spec.rodata ?? {})) {
    const what = `object ${spec.name}: set ${variable}`;
    const sizeBytes = attempt(what, () => native.setConstant(handle, variable, bytes));
    if (sizeBytes === bytes.length) continue;
    const reason = sizeBytes < 0 ? "it has no such constant" : `it has ${sizeBytes} bytes, not ${bytes.length}`;
    throw createKernelError({ what, syscall: "bpf_object__load", errno: sizeBytes < 0 ? errnos.ENOENT : errnos.EINVAL, reason });
  }
}

function prepareMaps(native: Native, handle: Handle, spec: ObjectSpec): DeclaredMap[] {
  const settings = spec.maps ?? {};
  const changed = new Set(Object.keys(settings));
  for (const [index, map] of native.objectMaps(handle).entries()) {
    const maxEntries = settings[mapName(map)]?.maxEntries;
    changed.delete(mapName(map));
    if (maxEntries === undefined) continue;
    attempt(`object ${spec.name}: map ${map.name}: ${maxEntries} entries`, () => native.setMapMaxEntries(handle, index, maxEntries));
  }
  for (const name of changed) {
    throw createKernelError({
      what: `object ${spec.name}: map ${name}`,
      syscall: "bpf_object__load",
      errno: errnos.ENOENT,
      reason: "it declares no such map",
    });
  }
  // Read again: libbpf rounds the sizes of ring buffers.
  return native.objectMaps(handle).map((declared, index) => {
    const name = mapName(declared);
    const pinPath = settings[name]?.pinPath;
    const map: DeclaredMap = { index, name, declared, pinPath, adopted: false };
    const sized = settings[name]?.maxEntries !== undefined;
    if (pinPath !== undefined) map.adopted = adoptPinned(native, handle, spec, map, pinPath, sized);
    return map;
  });
}

/** "pod.rodata" is the section's map of the object "pod"; a declared map has no dot in its name. */
function mapName(map: ObjectMapInfo): string {
  return map.internal ? map.name.slice(Math.max(0, map.name.indexOf("."))) : map.name;
}

/** False when nothing is pinned there. */
function adoptPinned(native: Native, handle: Handle, spec: ObjectSpec, map: DeclaredMap, pinPath: string, sized: boolean): boolean {
  const fd = openPin(native, pinPath);
  if (fd === undefined) return false;
  try {
    const what = `object ${spec.name}: map ${map.name}: adopt ${pinPath}`;
    checkDescriptorKind(fd, "map", what);
    const pinned = attempt(what, () => native.mapInfo(fd));
    // A size that was asked for in the specification holds for new maps: a pinned one keeps its own, and its contents.
    if (shapeOf(pinned, !sized) !== shapeOf(map.declared, !sized)) {
      const reason = `pinned is ${shapeOf(pinned, true)}, wanted is ${shapeOf(map.declared, true)}; remove the pin to make it anew`;
      throw createKernelError({ what, syscall: "bpf(OBJ_GET)", errno: errnos.EEXIST, reason });
    }
    attempt(what, () => native.reuseMap(handle, map.index, fd));
    return true;
  } finally {
    native.close(fd);
  }
}

function shapeOf(map: MapInfo | ObjectMapInfo, withEntries: boolean): string {
  const type = mapTypeOf(map.type) ?? `type ${map.type}`;
  const entries = withEntries ? `, ${map.maxEntries} entries` : "";
  return `${type} (key ${map.keySizeBytes}, value ${map.valueSizeBytes}${entries}, flags 0x${map.flags.toString(16)})`;
}

function loadPrepared(native: Native, handle: Handle, spec: ObjectSpec): void {
  try {
    native.loadObject(handle);
  } catch (cause) {
    const failure = nativeFailure(cause);
    if (failure === undefined) throw cause;
    const { syscall, errno, log = "" } = failure;
    const error = createKernelError({ what: `object ${spec.name}: load`, syscall, errno, detail: lastMessage(log), cause });
    const rejection = parseRejection(log);
    if (rejection === undefined) throw error;
    throw new VerifierRejection({ ...rejection, errno, code: error.code });
  }
}
