import { runCommand } from "../../tools/src/run-command.ts";

/** A chain of calls, with what each function keeps on the stack. */
export interface CallChain {
  readonly program: string;
  /** Bytes, each frame rounded up. */
  readonly depth: number;
  readonly calls: readonly string[];
}

interface BpfFunction {
  readonly name: string;
  readonly section: string;
  /** Bytes. */
  frame: number;
  readonly callees: Set<string>;
}

/**
 * The deepest chain of each program of an object, as kernels before 6.9 count it: every frame takes a multiple of 32 bytes (later ones
 * round to 16). Read from what `llvm-objdump` says of the object, because the verifier only tells what it adds up itself.
 */
export async function deepestChains(objdumpPath: string, objectPath: string): Promise<CallChain[]> {
  const listing = await runCommand(objdumpPath, ["-dr", "--no-show-raw-insn", objectPath]);
  if (listing.exitCode !== 0) throw new Error(`${objdumpPath} ${objectPath}: ${listing.output}`);
  const functions = readListing(listing.stdout);
  return [...functions.values()]
    .filter(({ section }) => section !== ".text")
    .map(({ name }) => ({ program: name, ...deepestFrom(name, functions) }));
}

function deepestFrom(name: string, functions: ReadonlyMap<string, BpfFunction>): Omit<CallChain, "program"> {
  const own = functions.get(name);
  if (own === undefined) throw new Error(`the listing has no function ${name}`);
  let below: Omit<CallChain, "program"> = { depth: 0, calls: [] };
  for (const callee of own.callees) {
    const chain = deepestFrom(callee, functions);
    if (chain.depth > below.depth) below = chain;
  }
  return { depth: Math.ceil(Math.max(own.frame, 1) / 32) * 32 + below.depth, calls: [`${name} (${own.frame})`, ...below.calls] };
}

/** A frame reaches as far as any address that is made of the frame's pointer, r10. */
function readListing(listing: string): Map<string, BpfFunction> {
  const functions = new Map<string, BpfFunction>();
  const byPlace = new Map<string, string>();
  const calls: Array<{ readonly caller: BpfFunction; readonly place: string }> = [];
  let section = "";
  let current: BpfFunction | undefined;
  let pointer = "";
  let offset = 0;
  for (const line of listing.split("\n")) {
    section = /^Disassembly of section (\S+):/.exec(line)?.[1] ?? section;
    const [, start, name] = /^([0-9a-f]+) <([^>]+)>:/.exec(line) ?? [];
    if (start !== undefined && name !== undefined && !name.startsWith("LBB")) {
      current = { name, section, frame: 0, callees: new Set() };
      functions.set(name, current);
      byPlace.set(`${section} ${Number.parseInt(start, 16)}`, name);
    }
    if (current === undefined) continue;
    pointer = /\b(r\d) = r10$/.exec(line)?.[1] ?? pointer;
    const [, register, distance] = /\b(r\d+) (?:\+= -|- )0x([0-9a-f]+)/.exec(line) ?? [];
    if (register === "r10" || register === pointer) current.frame = Math.max(current.frame, Number.parseInt(distance ?? "0", 16));
    const [, sign, number] = /\bcall (-?)0x([0-9a-f]+)$/.exec(line) ?? [];
    if (number !== undefined) offset = Number.parseInt(`${sign}${number}`, 16);
    const target = /R_BPF_64_32\s+(\S+)$/.exec(line)?.[1];
    if (target !== undefined) calls.push({ caller: current, place: `${target} ${(offset + 1) * 8}` });
  }
  for (const { caller, place } of calls) {
    const callee = byPlace.get(place) ?? place.split(" ")[0] ?? "";
    caller.callees.add(callee);
  }
  return functions;
}
