import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "@cilium-ts/std";
import { createSimulatedClock, type SimulatedClock } from "@cilium-ts/std/testing";
import { createRandom } from "@cilium-ts/testing";
import type { KubernetesClient } from "./client.ts";
import { FencedClient } from "./fenced-client.ts";
import { KubernetesError } from "./kubernetes-error.ts";
import type { KubernetesObject } from "./kubernetes-object.ts";
import { campaign, type ElectionOptions, type Leadership } from "./leader-election.ts";
import { leaseFrom } from "./lease.ts";
import { resources } from "./resource.ts";

const name = { namespace: "kube-system", name: "cilium-operator-resource-lock" };
const never = new AbortController().signal;

function refusal(status: number, reason: string): KubernetesError {
  return new KubernetesError({ message: reason, status, reason });
}

type Fate = "served" | "served slowly" | "refused" | "answer lost" | "no answer";
const slowMs = 4_000;

/** One Lease, and what happens to the requests about it. */
class LeaseServer {
  object: KubernetesObject | undefined;
  #version = 0;

  get holder(): string {
    return this.object === undefined ? "" : leaseFrom(this.object).holder;
  }

  write(object: KubernetesObject): KubernetesObject {
    this.#version += 1;
    this.object = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
    return this.object;
  }

  /** A client whose requests meet the fate that is chosen for each. */
  client(fate: () => Fate, time: Pick<Clock, "sleep">): KubernetesClient {
    const serve = async <T>(signal: AbortSignal, answer: () => T): Promise<T> => {
      signal.throwIfAborted();
      const chosen = fate();
      if (chosen === "refused") throw refusal(0, "Unreachable");
      if (chosen === "no answer")
        return await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
      const answered = answer();
      if (chosen === "served slowly") await time.sleep(slowMs, signal);
      if (chosen === "answer lost") throw refusal(0, "Timeout");
      return answered;
    };
    const client: Partial<KubernetesClient> = {
      get: (_resource, _name, { signal }) => serve(signal, () => this.object),
      create: (_resource, object, { signal }) =>
        serve(signal, () => {
          if (this.object !== undefined) throw refusal(409, "AlreadyExists");
          return this.write(object);
        }),
      replace: (_resource, object, { signal }) =>
        serve(signal, () => {
          if (this.object === undefined) throw refusal(404, "NotFound");
          if (this.object.metadata.resourceVersion !== object.metadata.resourceVersion) throw refusal(409, "Conflict");
          return this.write(object);
        }),
    };
    return client as KubernetesClient;
  }
}

/** Someone who wants to lead, with clocks of its own. */
class Candidate {
  readonly identity: string;
  readonly events: string[] = [];
  fate: () => Fate = () => "served";
  /** How wrong its clock on the wall is. */
  wallSkewMs = 0;
  /** For how long it has been stopped as a whole, timers and all, without knowing. */
  pausedMs = 0;
  leadership: Leadership | undefined;
  /** How long it takes to end its work when told to. */
  windUpMs = 0;
  failure: Error | undefined;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(identity: string) {
    this.identity = identity;
  }

  start(server: LeaseServer, time: SimulatedClock): this {
    const clock: Clock = { nowMs: () => time.nowMs() + this.wallSkewMs, sleep: time.sleep };
    const options: ElectionOptions = {
      client: server.client(() => this.fate(), time),
      lease: name,
      identity: this.identity,
      leaseDurationMs: 15_000,
      renewDeadlineMs: 10_000,
      retryPeriodMs: 2_000,
      clock,
      monotonicMs: () => time.nowMs() + this.pausedMs,
      random: () => 0,
      signal: this.#stop.signal,
      onState: (state) => {
        const text = state.kind === "lost" ? `lost: ${state.reason}` : state.kind;
        if (this.events.at(-1) !== text) this.events.push(text);
      },
      lead: async (leadership) => {
        this.leadership = leadership;
        await new Promise<void>((resolve, reject) => {
          leadership.signal.addEventListener("abort", () => resolve(), { once: true });
          this.#fail = reject;
        });
        await time.sleep(this.windUpMs, never);
        this.leadership = undefined;
      },
    };
    this.#running = campaign(options).catch((cause: Error) => {
      this.failure = cause;
    });
    return this;
  }

  #fail: (cause: Error) => void = () => {};

  fail(cause: Error): void {
    this.#fail(cause);
  }

  get leads(): boolean {
    return this.leadership !== undefined;
  }

  stop(): Promise<void> {
    this.#stop.abort(new Error("stopped"));
    return this.#running ?? Promise.resolve();
  }
}

/** Stops all candidates at the end, whatever has happened. */
async function withCandidates(
  body: (world: { server: LeaseServer; time: SimulatedClock; start: (identity: string) => Candidate }) => Promise<void>,
) {
  const server = new LeaseServer();
  const time = createSimulatedClock();
  const candidates: Candidate[] = [];
  const start = (identity: string): Candidate => {
    const candidate = new Candidate(identity).start(server, time);
    candidates.push(candidate);
    return candidate;
  };
  try {
    await body({ server, time, start });
  } finally {
    const stopped = Promise.all(candidates.map((candidate) => candidate.stop()));
    await time.advance(60_000);
    await stopped;
  }
}

test("of two candidates one leads, and goes on leading", async () => {
  await withCandidates(async ({ server, time, start }) => {
    const [one, other] = [start("one"), start("other")];
    await time.advance(120_000);
    assert.deepEqual([one.leads, other.leads], [true, false]);
    assert.equal(server.holder, "one");
    assert.deepEqual(other.events, ["following"]);
    assert.ok(server.object !== undefined);
    const { durationMs, transitions } = leaseFrom(server.object);
    assert.deepEqual([durationMs, transitions], [15_000, 0]);
    assert.match(String((server.object.spec as Record<string, unknown>).renewTime), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  });
});

test("a leader that died is followed once its lease is over, and not before", async () => {
  await withCandidates(async ({ server, time, start }) => {
    const dead = start("dead");
    await time.advance(10_000);
    const heir = start("heir");
    dead.fate = () => "no answer";
    await time.advance(14_000);
    assert.equal(heir.leads, false);
    await time.advance(4_000);
    assert.equal(heir.leads, true);
    assert.equal(server.object && leaseFrom(server.object).transitions, 1);
  });
});

test("a leader that stops lets go when its work has ended, and the successor need not wait", async () => {
  await withCandidates(async ({ server, time, start }) => {
    const [first, second] = [start("first"), start("second")];
    await time.advance(5_000);
    first.windUpMs = 30_000;
    void first.stop();
    await time.advance(29_000);
    assert.deepEqual([first.leads, second.leads, server.holder], [true, false, "first"]);
    assert.equal(first.leadership?.isCertain(), true, "it is still renewed");
    await time.advance(4_000);
    assert.deepEqual([first.leads, second.leads, server.holder], [false, true, "second"]);
  });
});

test("a leader that cannot renew steps down before anybody can take over, and comes back", async () => {
  await withCandidates(async ({ time, start }) => {
    const leader = start("leader");
    await time.advance(5_000);
    leader.fate = () => "refused";
    await time.advance(8_000);
    assert.equal(leader.leads, true);
    await time.advance(4_000);
    assert.equal(leader.leads, false);
    leader.fate = () => "served";
    await time.advance(4_000);
    assert.equal(leader.leads, true);
    assert.deepEqual(leader.events, ["leading", "failing", "lost: the lease could not be renewed for 10000 ms", "failing", "leading"]);
  });
});

test("a renewal whose answer was lost is no loss", async () => {
  await withCandidates(async ({ time, start }) => {
    const leader = start("leader");
    await time.advance(5_000);
    let lost = 2;
    leader.fate = () => {
      lost -= 1;
      return lost >= 0 ? "answer lost" : "served";
    };
    await time.advance(60_000);
    assert.deepEqual(leader.events, ["leading", "failing", "leading"]);
  });
});

test("a renewal counts from when it was asked for, not from when the answer came", async () => {
  await withCandidates(async ({ time, start }) => {
    const leader = start("leader");
    await time.advance(1_000);
    leader.fate = () => "served slowly";
    await time.advance(1_000 + slowMs); // It was asked for at 2 s, and answered just now.
    leader.fate = () => "no answer";
    const { leadership } = leader;
    await time.advance(5_900);
    assert.equal(leadership?.isCertain(), true);
    await time.advance(200);
    assert.equal(leadership?.isCertain(), false);
  });
});

test("a leader whose lease was taken or deleted steps down at the next renewal", async () => {
  await withCandidates(async ({ server, time, start }) => {
    const leader = start("leader");
    await time.advance(5_000);
    const taken = {
      ...server.object,
      metadata: server.object?.metadata ?? {},
      spec: { holderIdentity: "thief", leaseDurationSeconds: 15 },
    };
    server.write(taken);
    await time.advance(2_100);
    assert.deepEqual([leader.leads, leader.events.at(-1)], [false, "lost: thief has taken the lease over"]);
    await time.advance(20_000);
    assert.equal(leader.leads, true);
    server.object = undefined;
    await time.advance(2_100);
    assert.ok(leader.events.includes("lost: somebody has taken the lease away"));
  });
});

test("clocks on the wall may be as wrong as they like and may jump", async () => {
  await withCandidates(async ({ time, start }) => {
    const [one, other] = [start("one"), start("other")];
    other.wallSkewMs = 365 * 86_400_000;
    for (const jumpMs of [3_600_000, -7_200_000, 1e9, 0]) {
      one.wallSkewMs = jumpMs;
      await time.advance(30_000);
      assert.deepEqual([one.leads, other.leads], [true, false]);
    }
    assert.deepEqual(one.events, ["leading"]);
  });
});

test("a leader that was stopped for longer than its lease writes nothing, though it does not know yet", async () => {
  await withCandidates(async ({ server, time, start }) => {
    const sleeper = start("sleeper");
    await time.advance(5_000);
    const { leadership } = sleeper;
    const fenced = new FencedClient(
      server.client(() => "served", time),
      () => leadership?.isCertain() ?? false,
    );
    const write = (): Promise<unknown> => fenced.create(resources.nodes, { metadata: { name: "n" } }, { signal: never });
    await assert.rejects(write, /AlreadyExists/, "it writes while it leads");
    sleeper.pausedMs = 20_000;
    assert.equal(sleeper.leads, true);
    await assert.rejects(write, /nothing is written to nodes: this process may no longer be the leader/);
  });
});

test("what the leader throws ends the campaign and frees the lease", async () => {
  await withCandidates(async ({ server, time, start }) => {
    const leader = start("leader");
    await time.advance(5_000);
    leader.fail(new Error("a bug"));
    await time.advance(5_000);
    assert.equal(leader.failure?.message, "a bug");
    assert.equal(server.holder, "");
  });
});

for (const [leaseDurationMs, renewDeadlineMs, retryPeriodMs, reason] of [
  [1_500, 1_000, 100, /whole seconds/],
  [15_000, 15_000, 2_000, /must be a part/],
  [15_000, 10_000, 6_000, /at most half/],
] as const) {
  test(`a lease of ${leaseDurationMs} ms with ${renewDeadlineMs} and ${retryPeriodMs} is refused`, async () => {
    const { signal } = new AbortController();
    const time = createSimulatedClock();
    const rest = {
      client: new LeaseServer().client(() => "served", time),
      lease: name,
      identity: "i",
      clock: time,
      monotonicMs: time.nowMs,
      signal,
    };
    await assert.rejects(campaign({ ...rest, leaseDurationMs, renewDeadlineMs, retryPeriodMs, lead: async () => {} }), reason);
  });
}

test("whatever happens to requests, no two lead at once, and someone leads when all is well again", async () => {
  for (let seed = 1; seed <= 30; seed += 1) {
    const random = createRandom(seed);
    await withCandidates(async ({ time, start }) => {
      const candidates = ["a", "b", "c"].map(start);
      for (let round = 0; round < 40; round += 1) {
        for (const candidate of candidates) {
          const fates: readonly Fate[] = random.chance(0.5)
            ? ["served"]
            : ["served", "served slowly", "refused", "answer lost", "no answer"];
          candidate.fate = () => random.pick(fates);
          candidate.wallSkewMs = random.below(1e9);
        }
        for (let step = 0; step < 5; step += 1) {
          await time.advance(random.below(3_000));
          const certain = candidates.filter(({ leadership }) => leadership?.isCertain() === true);
          assert.ok(certain.length <= 1, `seed ${seed} round ${round}: ${certain.map(({ identity }) => identity).join()} all lead`);
        }
      }
      for (const candidate of candidates) candidate.fate = () => "served";
      await time.advance(40_000);
      assert.equal(candidates.filter(({ leads }) => leads).length, 1, `seed ${seed}`);
    });
  }
});
