import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type ContextHistory, FlowRing } from "@cilium-ts/flow";
import { buildDrop, buildPacket, buildTrace, frameRecords, sampleContext, sampleEndpoint } from "@cilium-ts/flow/testing";
import { createObserverClients, type observerpb, startHubble } from "@cilium-ts/observer";
import type { Clock } from "@cilium-ts/std";
import { createSimulatedClock } from "@cilium-ts/std/testing";
import { eventually } from "@cilium-ts/testing";
import { FlowStore, type FlowStoreOptions } from "./flow-store.ts";

const bootMs = 1_767_225_600_000; // Of the sample context.
const packetOf = (destination: string, destinationPort: number): Uint8Array =>
  buildPacket({ source: "10.0.0.1", destination, tcp: { sourcePort: 40000, destinationPort, flags: 2 } });
const toWeb = packetOf("10.0.0.2", 80);
const away = packetOf("192.0.2.7", 443);

/** Event n happens at n seconds; every tenth is a drop, every 97th goes to the world. */
function record(n: number): Uint8Array {
  const packet = n % 97 === 0 ? away : toWeb;
  const common = { timeNs: n * 1e9, reporter: 11, sourceIdentity: 1001, destinationIdentity: n % 97 === 0 ? 2 : 1002, packet };
  return n % 10 === 0 ? buildDrop({ ...common, reason: 133 }) : buildTrace({ ...common, point: 0, reason: 0, ifindex: 12 });
}

const records = (from: number, to: number): Uint8Array =>
  frameRecords(Array.from({ length: to - from + 1 }, (_, index) => record(from + index)));
const span = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** One run of an agent: a ring, its history, and a server. */
interface Run extends AsyncDisposable {
  readonly ring: FlowRing;
  readonly store: FlowStore;
  readonly clock: ReturnType<typeof createSimulatedClock>;
  readonly problems: string[];
  readonly observer: ReturnType<typeof createObserverClients>["observer"];
  readonly history: ReturnType<typeof createObserverClients>["history"];
  /** The next round is over. */
  round(): Promise<void>;
}

let instances = 0;

async function startRun(folder: string, options: Partial<FlowStoreOptions> & { capacity?: number; nowMs?: number } = {}): Promise<Run> {
  instances += 1;
  const ring = new FlowRing({ capacity: options.capacity ?? 15, instance: new Uint8Array(9).fill(instances) });
  const clock = createSimulatedClock(options.nowMs ?? bootMs + 1_000_000);
  const context: ContextHistory = options.context instanceof Object ? (options.context as ContextHistory) : sampleContext();
  const problems: string[] = [];
  const store = new FlowStore({
    directory: join(folder, "history"),
    sizeBytesMax: 1_000_000,
    ageMsMax: 86_400_000,
    ring,
    context,
    clock: clock as Clock,
    onProblem: (message) => void problems.push(message),
    blockBytes: 8_192,
    traffic: { sizeBytesMax: 100_000, ageMsMax: 86_400_000 },
    ...options,
  });
  const stop = new AbortController();
  const running = store.run(stop.signal);
  await store.blocks();
  const socketPath = join(folder, `hubble-${instances}.sock`);
  const server = await startHubble({ socketPath, ring, history: store, traffic: store.traffic, context, version: "0.1.0" });
  const { observer, history } = createObserverClients(`unix://${socketPath}`);
  return {
    ring,
    store,
    clock,
    problems,
    observer,
    history,
    async round() {
      await eventually(() => assert.equal(clock.sleepers, 1));
      await clock.advance(1_000);
      await eventually(() => assert.equal(clock.sleepers, 1));
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      stop.abort();
      await running;
    },
  };
}

function withFolder(work: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "flow-store-"));
    try {
      await work(folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
}

/** In pieces that the ring can hold, with the disk's turn in between. */
async function see(run: Run, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n += 10) run.ring.append(records(n, Math.min(to, n + 9)));
  await run.round();
}

type Request = Parameters<Run["observer"]["getFlows"]>[0];

/** Seconds after boot of each flow, `lost N (source)` for losses. */
function told(responses: readonly observerpb.GetFlowsResponse[]): Array<number | string> {
  return responses.map(({ responseTypes: { case: kind, value } }) => {
    if (kind === "flow") return Number(value.time?.seconds ?? 0) - bootMs / 1_000;
    return kind === "lostEvents" ? `lost ${value.numEventsLost} (${value.source})` : String(kind);
  });
}

async function getFlows(run: Run, request: Request): Promise<Array<number | string>> {
  return told(await Array.fromAsync(run.observer.getFlows(request, { timeoutMs: 10_000 })));
}

const at = (second: number) => timestampFromMs(bootMs + second * 1_000);
const drops = { verdict: [2] };

for (const [name, request, expected] of [
  ["since", { since: at(150) }, span(150, 400)],
  ["since, the oldest", { since: at(20), number: 3n }, [20, 21, 22]],
  ["since and until", { since: at(90), until: at(130) }, span(90, 130)],
  ["until within the ring", { since: at(380), until: at(395) }, span(380, 395)],
  ["the first", { first: true, number: 3n }, [1, 2, 3]],
  ["the last, across the seam", { number: 100n }, span(301, 400)],
  ["the last of more than there are", { number: 2n ** 64n - 1n }, span(1, 400)],
  ["the last within the ring", { number: 2n }, [399, 400]],
  ["the last that match", { number: 5n, whitelist: [drops] }, [360, 370, 380, 390, 400]],
  ["what is rare", { first: true, whitelist: [{ destinationPort: ["443"] }] }, [97, 194, 291, 388]],
  ["by address", { first: true, whitelist: [{ destinationIp: ["192.0.2.7"] }] }, [97, 194, 291, 388]],
  [
    "by pod, refusing",
    { first: true, whitelist: [{ sourcePod: ["default/"] }], blacklist: [{ destinationPort: ["80"] }] },
    [97, 194, 291, 388],
  ],
  ["what never was", { first: true, whitelist: [{ sourceIdentity: [7] }] }, []],
  ["nothing asked for is the ring", {}, span(386, 400)],
] satisfies ReadonlyArray<readonly [string, Request, readonly number[]]>) {
  test(
    `GetFlows beyond the ring: ${name}`,
    withFolder(async (folder) => {
      await using run = await startRun(folder);
      await see(run, 1, 250);
      await see(run, 251, 400);
      assert.deepEqual(await getFlows(run, request), expected);
      assert.deepEqual(run.problems, []);
    }),
  );
}

test(
  "after a restart flows are as they were, their uuids too, and what is new follows",
  withFolder(async (folder) => {
    const uuids = async (run: Run): Promise<Array<string | undefined>> =>
      (await Array.fromAsync(run.observer.getFlows({ first: true }))).map(({ responseTypes: { case: kind, value } }) =>
        kind === "flow" ? `${value.uuid} ${value.destination?.podName} ${value.interface?.name}` : kind,
      );
    let before: unknown[] = [];
    {
      await using run = await startRun(folder);
      await see(run, 1, 100);
      before = await uuids(run);
      assert.equal(before.length, 100);
    }
    const nobody = sampleContext();
    nobody.removeEndpoint(22, 0);
    await using run = await startRun(folder, { context: nobody });
    assert.deepEqual(await uuids(run), before);
    await see(run, 101, 110);
    assert.deepEqual(await getFlows(run, { since: at(95) }), span(95, 110));
    assert.deepEqual(await getFlows(run, { number: 12n }), span(99, 110));
  }),
);

test(
  "names are those of the time of the flow",
  withFolder(async (folder) => {
    const context = sampleContext();
    await using run = await startRun(folder, { context });
    await see(run, 1, 20);
    context.removeEndpoint(22, 20.5e9);
    context.setEndpoint(sampleEndpoint(23, 1002, "shop", "heir"), [Uint8Array.from([10, 0, 0, 2])], 20.6e9);
    await see(run, 21, 200);
    context.forgetBefore(200e9);
    const names: string[] = [];
    for await (const { responseTypes } of run.observer.getFlows({ first: true, number: 22n })) {
      if (responseTypes.case === "flow") names.push(responseTypes.value.destination?.podName ?? "");
    }
    assert.deepEqual(names, [...Array(20).fill("web"), "heir", "heir"]);
  }),
);

test(
  "a follow with since tells the past, the ring and what is new, each once",
  withFolder(async (folder) => {
    await using run = await startRun(folder);
    await see(run, 1, 200);
    const leave = new AbortController();
    const responses: observerpb.GetFlowsResponse[] = [];
    const reading = (async () => {
      for await (const response of run.observer.getFlows({ since: at(50), follow: true }, { signal: leave.signal }))
        responses.push(response);
    })();
    await eventually(() => assert.equal(responses.length, 151));
    run.ring.append(records(201, 205));
    await eventually(() => assert.deepEqual(told(responses), span(50, 205)));
    leave.abort();
    await assert.rejects(reading);
  }),
);

/** Far more than the ring has, and than a connection holds for a client that does not read. */
const manyEvents = 6_000;

/** What a follower is told who reads nothing while many events come in bursts, and then until it has it all. */
async function followSlowly(run: Run, request: Request, burst: number): Promise<Array<number | string>> {
  const leave = new AbortController();
  const stream = run.observer.getFlows({ ...request, follow: true }, { signal: leave.signal })[Symbol.asyncIterator]();
  const first = stream.next();
  await eventually(() => assert.equal(run.ring.listenerCount, 2, "the store and the follower"));
  run.ring.append(records(1, 10));
  const responses: observerpb.GetFlowsResponse[] = [(await first).value];
  for (let n = 11; n <= manyEvents; n += burst) await see(run, n, Math.min(manyEvents, n + burst - 1));
  while (told(responses.slice(-1))[0] !== manyEvents) responses.push((await stream.next()).value);
  leave.abort();
  await assert.rejects(stream.next());
  return told(responses);
}

const everyTenth = span(1, manyEvents / 10).map((n) => n * 10);

for (const [name, request, expected] of [
  ["everything", {}, span(1, manyEvents)],
  ["what it asked for", { whitelist: [drops] }, everyTenth],
  ["what it asked for, where most pieces have none of it", { whitelist: [{ destinationPort: ["443"] }, drops] }, undefined],
] as ReadonlyArray<readonly [string, Request, number[] | undefined]>)
  test(
    `a follower that the ring overtook reads what it missed from the disk, in order and once: ${name}`,
    withFolder(async (folder) => {
      await using run = await startRun(folder);
      const wanted = expected ?? span(1, manyEvents).filter((n) => n % 10 === 0 || n % 97 === 0);
      assert.deepEqual(await followSlowly(run, request, 200), wanted);
      assert.equal(run.store.counts.lost, 0);
    }),
  );

test(
  "a follower is told by number of what neither the ring nor the disk has",
  withFolder(async (folder) => {
    await using run = await startRun(folder);
    const got = await followSlowly(run, {}, 500);
    const seconds = got.filter((one) => typeof one === "number");
    const losses = got.filter((one) => typeof one === "string");
    const lost = losses.reduce((sum, text) => sum + Number(/^lost (\d+) \(3\)$/.exec(text)?.[1]), 0);
    assert.ok(lost > 0);
    assert.deepEqual([seconds.length + lost, lost], [manyEvents, run.store.counts.lost]);
    assert.deepEqual(
      seconds,
      [...new Set(seconds)].sort((a, b) => a - b),
    );
  }),
);

test(
  "what the ring overwrote before it was kept is counted, here and for who reads it",
  withFolder(async (folder) => {
    await using run = await startRun(folder);
    await see(run, 1, 20);
    run.ring.append(records(21, 100));
    await see(run, 101, 200);
    assert.equal(run.store.counts.lost, 65);
    assert.deepEqual(await getFlows(run, { first: true, number: 25n }), [...span(1, 20), "lost 65 (3)", ...span(86, 90)]);
  }),
);

test(
  "an agent that dies loses at most what it had not written yet, and who reads learns that something is missing",
  withFolder(async (folder) => {
    const copy = join(folder, "copy");
    {
      await using run = await startRun(folder);
      await see(run, 1, 100);
      cpSync(join(folder, "history"), join(copy, "history"), { recursive: true });
    }
    for (const name of readdirSync(join(copy, "history"))) {
      if (name.startsWith("open")) appendFileSync(join(copy, "history", name), "half an entry");
    }
    await using run = await startRun(copy);
    await see(run, 101, 102);
    assert.deepEqual(await getFlows(run, { first: true }), [...span(1, 100), "lost 0 (0)", 101, 102]);
    assert.deepEqual(run.problems, []);
    assert.deepEqual(readdirSync(join(copy, "history")).filter((name) => name.startsWith("open")).length, 1);
  }),
);

for (const [name, damage, expected] of [
  ["a torn end", (path: string) => truncateSync(path, statSync(path).size - 10), { lost: false, says: 0 }],
  [
    "a flipped bit in a block",
    (path: string) => {
      const bytes = readFileSync(path);
      const at = bytes.length - 40;
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      writeFileSync(path, bytes);
    },
    { lost: true, says: 1 },
  ],
  [
    "a piece that is zero",
    (path: string) => {
      const bytes = readFileSync(path);
      bytes.fill(0, 2_000, 2_100);
      writeFileSync(path, bytes);
    },
    { lost: true, says: 1 },
  ],
] as const) {
  test(
    `a segment with ${name} gives what is whole of it, and is said in one line`,
    withFolder(async (folder) => {
      {
        await using run = await startRun(folder);
        await see(run, 1, 300);
      }
      const [segment = ""] = readdirSync(join(folder, "history")).filter((file) => file.startsWith("flows"));
      damage(join(folder, "history", segment));
      await using run = await startRun(folder);
      await see(run, 301, 305);
      const flows = await getFlows(run, { first: true });
      const seconds = flows.filter((flow) => typeof flow === "number");
      assert.ok(seconds.length > 150, `${seconds.length} flows are left`);
      assert.deepEqual(seconds.slice(-5), span(301, 305));
      assert.deepEqual(
        seconds,
        seconds.toSorted((one, other) => one - other),
      );
      assert.equal(run.problems.length, expected.says, run.problems.join("\n"));
      assert.equal(flows.length > seconds.length, expected.lost || flows.includes("lost 0 (0)"));
    }),
  );
}

test(
  "size and age are kept within their bounds by whole files, oldest first",
  withFolder(async (folder) => {
    await using run = await startRun(folder, { sizeBytesMax: 16_000, ageMsMax: 500_000 });
    for (let n = 1; n <= 4_000; n += 200) await see(run, n, n + 199);
    assert.ok(run.store.sizeBytes <= 16_000 && run.store.sizeBytes > 8_000, String(run.store.sizeBytes));
    const [oldest, ...rest] = await getFlows(run, { first: true });
    assert.ok(Number(oldest) > 500 && rest.at(-1) === 4_000, String(oldest));
    assert.deepEqual([oldest, ...rest], span(Number(oldest), 4_000));
    await run.clock.advance(4_000_000);
    await run.round();
    assert.equal(readdirSync(join(folder, "history")).filter((name) => name.startsWith("flows")).length, 0);
  }),
);

test(
  "a folder that cannot be written is said once, counted, and keeps nobody from the ring",
  withFolder(async (folder) => {
    writeFileSync(join(folder, "history"), "a file");
    await using run = await startRun(folder);
    for (let n = 1; n <= 400; n += 100) await see(run, n, n + 99);
    assert.deepEqual(await getFlows(run, { number: 3n }), [398, 399, 400]);
    assert.ok(run.store.counts.failures > 1);
    assert.ok(run.store.counts.lost > 0);
    assert.equal(run.problems.length, 1, run.problems.join("\n"));
    assert.match(run.problems.join("\n"), /ENOTDIR|EEXIST/);
  }),
);

test(
  "a full disk costs what does not fit, in one line, and flows are kept again when there is room",
  { skip: process.getuid?.() === 0 ? false : "only root can mount a small disk" },
  withFolder(async (folder) => {
    const disk = join(folder, "disk");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]);
    try {
      await using run = await startRun(folder, { directory: join(disk, "history") });
      await see(run, 1, 100);
      writeFileSync(join(disk, "somebody's"), new Uint8Array(40_960));
      for (let n = 101; n <= 4_000; n += 100) await see(run, n, n + 99);
      assert.ok(run.store.counts.lost > 0 && run.store.counts.failures > 1, JSON.stringify(run.store.counts));
      assert.equal(run.problems.length, 1, run.problems.join("\n"));
      assert.match(run.problems[0] ?? "", /ENOSPC/);
      assert.deepEqual(await getFlows(run, { number: 3n }), [3_998, 3_999, 4_000]);
      rmSync(join(disk, "somebody's"));
      const { lost } = run.store.counts;
      for (let n = 4_001; n <= 4_200; n += 100) await see(run, n, n + 99);
      assert.equal(run.store.counts.lost, lost);
      const told = await getFlows(run, { since: at(90), until: at(4_150) });
      const losses = told.flatMap((flow) => (typeof flow === "string" ? [Number(/^lost (\d+)/.exec(flow)?.[1])] : []));
      assert.equal(told.length - losses.length + losses.reduce((sum, count) => sum + count, 0), 4_061, "what is missing is told by number");
    } finally {
      execFileSync("umount", [disk]);
    }
  }),
);

test(
  "a client that never reads keeps one block, and the server ends without it",
  withFolder(async (folder) => {
    await using run = await startRun(folder);
    for (let n = 1; n <= 4_000; n += 200) await see(run, n, n + 199);
    const stalled = run.observer.getFlows({ first: true })[Symbol.asyncIterator]();
    assert.ok(!(await stalled.next()).done);
    assert.deepEqual(await getFlows(run, { first: true, number: 2n }), [1, 2]);
    assert.deepEqual(await getFlows(run, { since: at(3_999) }), [3_999, 4_000]);
    await stalled.return?.();
  }),
);

test(
  "a search ends when its client leaves, and several at once all find what they look for",
  withFolder(async (folder) => {
    await using run = await startRun(folder);
    for (let n = 1; n <= 4_000; n += 200) await see(run, n, n + 199);
    const looked = { blocks: 0 };
    for (const block of await run.store.blocks()) {
      const load = block.load.bind(block);
      block.load = async () => {
        looked.blocks += 1;
        if (looked.blocks === 3) leave.abort();
        return load();
      };
    }
    const leave = new AbortController();
    const never = { number: 1n, whitelist: [{ tcpFlags: [{ URG: true }] }] };
    await assert.rejects(Array.fromAsync(run.observer.getFlows(never, { signal: leave.signal })));
    await eventually(async () => assert.deepEqual(await getFlows(run, { number: 1n }), [4_000]));
    assert.ok(looked.blocks < 8, `${looked.blocks} blocks were opened`);
    const several = [970, 1_940, 2_910].map((n) =>
      getFlows(run, { since: at(n - 5), until: at(n), whitelist: [{ destinationPort: ["443"] }] }),
    );
    assert.deepEqual(await Promise.all(several), [[970], [1_940], [2_910]]);
  }),
);

test(
  "sums of traffic outlive the flows and the agent, and those of the running minute count",
  withFolder(async (folder) => {
    const ask = async (run: Run, request: Parameters<Run["history"]["getTraffic"]>[0]): Promise<string[]> => {
      const { traffic, otherFlows } = await run.history.getTraffic(request);
      const lines = traffic.map((row) => `${row.client?.name} > ${row.server?.name}:${row.port} ${row.verdict}: ${row.flows}`);
      return otherFlows === 0n ? lines : [...lines, `others: ${otherFlows}`];
    };
    const all = ["client > web:80 1: 178", "client > web:80 2: 20", "client > world:443 1: 2"];
    {
      await using run = await startRun(folder, { ageMsMax: 1 });
      await see(run, 1, 100);
      await run.clock.advance(60_000);
      await run.round();
      await see(run, 101, 200);
      assert.deepEqual(await ask(run, {}), all);
    }
    await using run = await startRun(folder, { nowMs: bootMs + 1_200_000 });
    assert.deepEqual(await ask(run, {}), all);
    assert.deepEqual(await ask(run, { number: 1, order: 1 }), ["client > web:80 2: 20", "others: 180"]);
    assert.deepEqual(await ask(run, { namespaces: ["shop"] }), all.slice(0, 2));
    assert.deepEqual(await ask(run, { since: timestampFromMs(bootMs + 1_062_500) }), [
      "client > web:80 1: 89",
      "client > web:80 2: 10",
      "client > world:443 1: 1",
    ]);
    assert.deepEqual(await ask(run, { until: timestampFromMs(bootMs + 900_000) }), []);
    for (const wrong of [{ number: 10_001 }, { order: 9 as 0 }]) await assert.rejects(ask(run, wrong), /InvalidArgument|invalid_argument/);
  }),
);

test(
  "a table of sums that is damaged is said once and left out",
  withFolder(async (folder) => {
    {
      await using run = await startRun(folder);
      await see(run, 1, 100);
    }
    const [name = ""] = readdirSync(join(folder, "history")).filter((file) => file.startsWith("traffic"));
    const path = join(folder, "history", name);
    const bytes = readFileSync(path);
    bytes[bytes.length - 20] = (bytes[bytes.length - 20] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    await using run = await startRun(folder);
    for (let times = 0; times < 2; times += 1) assert.deepEqual((await run.history.getTraffic({})).traffic, []);
    assert.equal(run.problems.length, 1);
    assert.match(run.problems[0] ?? "", /damaged/);
  }),
);
