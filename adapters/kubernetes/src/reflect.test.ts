import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { type Clock, systemClock } from "@cilium-ts/std";
import { createRandom, eventually } from "@cilium-ts/testing";
import { openKubernetes } from "./client.ts";
import { Mirror } from "./mirror.ts";
import { type ReflectOptions, type ReflectState, reflect } from "./reflect.ts";
import { resources } from "./resource.ts";
import { type Fault, type RequestKind, ScriptedServer, sendStatus, statusText } from "./scripted-server.ts";

/** Time runs fifty times as fast as on the wall. */
const hurriedClock: Clock = {
  nowMs: () => performance.now() * 50,
  sleep: (delayMs, signal) => systemClock.sleep(delayMs / 50, signal),
};

interface Run {
  readonly server: ScriptedServer;
  readonly mirror: Mirror;
  readonly states: ReflectState[];
  readonly lists: { objects: number; vanished: number }[];
}

async function running(options: Partial<ReflectOptions> & { requestTimeoutMs?: number }, body: (run: Run) => Promise<void>): Promise<void> {
  await using server = await ScriptedServer.start();
  await using client = await openKubernetes({ server: server.url, requestTimeoutMs: options.requestTimeoutMs ?? 5_000 });
  const stop = new AbortController();
  const mirror = new Mirror();
  const states: ReflectState[] = [];
  const lists: { objects: number; vanished: number }[] = [];
  for (let index = 0; index < 5; index += 1) server.put(`pod-${index}`);
  const reflecting = reflect({
    client,
    resource: resources.pods,
    signal: stop.signal,
    clock: hurriedClock,
    pageSize: 2,
    onListed: (listed) => lists.push(listed),
    onState: (state) => states.push(state),
    onUpsert: mirror.onUpsert,
    onDelete: mirror.onDelete,
    ...options,
  });
  try {
    await body({ server, mirror, states, lists });
  } finally {
    stop.abort();
    await reflecting;
  }
}

type Wrong = (response: ServerResponse) => void;

/** The first requests of the kind go wrong in this way; those after them are answered. */
function first(count: number, kind: RequestKind, wrong: Wrong): Fault {
  let left = count;
  return (response, next) => {
    if (left === 0 || next.kind !== kind) return false;
    left -= 1;
    wrong(response);
    return true;
  };
}

/** Every request of the kind goes wrong while the condition holds. */
function all(kind: RequestKind, wrong: Wrong, condition = (): boolean => true): Fault {
  return (response, next) => {
    if (next.kind !== kind || !condition()) return false;
    wrong(response);
    return true;
  };
}

const says =
  (text: string | Buffer): Wrong =>
  (response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.write(text);
  };
const saysAndEnds =
  (text: string): Wrong =>
  (response) => {
    says(text)(response);
    response.end();
  };
const saysAndDrops =
  (text: string): Wrong =>
  (response) => {
    says(text)(response);
    setImmediate(() => response.destroy());
  };
const drops: Wrong = (response) => response.destroy();
const isSilent: Wrong = () => {};
const refuses =
  (code: number, reason: string, message: string): Wrong =>
  (response) =>
    sendStatus(response, code, reason, message);

/** The client itself asks a second time when a connection drops before the answer to a GET. */
const faults: { name: string; kind: RequestKind; wrong: Wrong; count?: number; hurried?: true; failure: RegExp }[] = [
  {
    name: "a list answered with 500",
    kind: "list",
    wrong: refuses(500, "InternalError", "etcd is away"),
    failure: /GET \/api\/v1\/pods: etcd is away/,
  },
  {
    name: "a list answered with a proxy's page",
    kind: "list",
    wrong: (r) => r.writeHead(502).end("<h1>Bad\n gateway</h1>"),
    failure: /<h1>Bad gateway<\/h1>/,
  },
  { name: "a list answered with nothing", kind: "list", wrong: (r) => r.end(), failure: /the server sent no list/ },
  { name: "a list that is garbage", kind: "list", wrong: (r) => r.end("{{{{"), failure: /no JSON: "{{{{"/ },
  {
    name: "a list of things without names",
    kind: "list",
    wrong: (r) => r.end('{"metadata":{"resourceVersion":"1"},"items":[{}]}'),
    failure: /an item that has no name/,
  },
  { name: "a connection dropped before a list", kind: "list", wrong: drops, count: 2, failure: /cannot be reached/ },
  { name: "a connection dropped inside a list", kind: "list", wrong: saysAndDrops('{"items":['), count: 2, failure: /cannot be reached/ },
  { name: "a list that never comes", kind: "list", wrong: isSilent, hurried: true, failure: /did not answer in time/ },
  { name: "a second page that fails", kind: "page", wrong: refuses(503, "ServiceUnavailable", "busy"), failure: /busy/ },
  {
    name: "a second page that has expired",
    kind: "page",
    wrong: refuses(410, "Expired", "the continue token is too old"),
    failure: /too old/,
  },
  {
    name: "a watch answered with 403",
    kind: "watch",
    wrong: refuses(403, "Forbidden", "no watching"),
    failure: /WATCH \/api\/v1\/pods: no watching/,
  },
  { name: "a watch from a version that is too old", kind: "watch", wrong: refuses(410, "Expired", "too old"), failure: /too old/ },
  {
    name: "a watch that says it is too old",
    kind: "watch",
    wrong: says(`{"type":"ERROR","object":${statusText(410, "Expired", "too old")}}\n`),
    failure: /too old/,
  },
  {
    name: "a watch that reports an error",
    kind: "watch",
    wrong: says(`{"type":"ERROR","object":${statusText(500, "InternalError", "no more")}}\n`),
    failure: /no more/,
  },
  { name: "a watch dropped before it begins", kind: "watch", wrong: drops, failure: /cannot be reached/ },
  { name: "a watch that ends at once", kind: "watch", wrong: saysAndEnds("\n"), failure: /ended it at once/ },
  { name: "a watch that ends in the middle of a line", kind: "watch", wrong: saysAndEnds('{"type":"ADDED","obj'), failure: /half a line/ },
  {
    name: "a watch dropped in the middle of a line",
    kind: "watch",
    wrong: saysAndDrops('{"type":"ADDED","obj'),
    failure: /cannot be reached/,
  },
  { name: "a watch with a line of garbage", kind: "watch", wrong: says("\u0000\u0001\n"), failure: /a line that is not JSON/ },
  {
    name: "a watch with an event of no known type",
    kind: "watch",
    wrong: says('{"type":"MOVED","object":{}}\n'),
    failure: /unknown type "MOVED"/,
  },
  {
    name: "a watch with a nameless object",
    kind: "watch",
    wrong: says('{"type":"ADDED","object":{"metadata":{}}}\n'),
    failure: /without a name/,
  },
  { name: "a watch with an empty bookmark", kind: "watch", wrong: says('{"type":"BOOKMARK","object":{}}\n'), failure: /bookmark/ },
  {
    name: "a watch with a line without end",
    kind: "watch",
    wrong: says(Buffer.alloc(17 * 1024 * 1024, "x")),
    failure: /a line of more than/,
  },
  { name: "a watch that is never answered", kind: "watch", wrong: isSilent, hurried: true, failure: /no end after 10 s/ },
  { name: "a watch that says nothing and never ends", kind: "watch", wrong: says("\n"), hurried: true, failure: /no end after 10 s/ },
];

for (const { name, kind, wrong, count = 1, hurried, failure } of faults) {
  test(`${name} loses nothing`, async () => {
    const limits = hurried === true ? { requestTimeoutMs: 300, watchTimeoutSeconds: 10, watchGraceSeconds: 2 } : {};
    await running({ ...limits, random: () => 0 }, async ({ server, mirror, states }) => {
      server.fault = first(count, kind, wrong);
      await eventually(() => assert.ok(states.some((state) => state.kind === "waiting")));
      server.put("pod-1", { spec: { nodeName: "changed" } });
      server.put("pod-new");
      server.remove("pod-0");
      await eventually(() => mirror.equals(server.objects));
      assert.ok(states.some((state) => state.kind === "waiting" && failure.test(state.failure.message)));
    });
  });
}

test("pages are read one after another and the watch begins at the list's version", async () => {
  await running({}, async ({ server, mirror, lists }) => {
    await eventually(() => assert.equal(server.watches, 1));
    assert.deepEqual(server.requests, ["list", "page", "page", "watch 105"]);
    assert.deepEqual(lists, [{ objects: 5, vanished: 0 }]);
    mirror.equals(server.objects);
  });
});

test("a watch that ends is resumed at the last version seen, bookmarks included", async () => {
  await running({}, async ({ server, mirror }) => {
    await eventually(() => assert.equal(server.watches, 1));
    server.put("pod-0", { spec: {} });
    await eventually(() => mirror.equals(server.objects));
    server.endWatches();
    await eventually(() => assert.equal(server.requests.at(-1), "watch 106"));
    await eventually(() => assert.equal(server.watches, 1));
    server.remove("pod-1");
    server.put("pod-1");
    server.bookmark();
    await eventually(() => mirror.equals(server.objects));
    server.dropConnections();
    await eventually(() => assert.equal(server.requests.at(-1), "watch 109"));
    assert.equal(server.requests.filter((request) => request === "list").length, 1);
  });
});

test("a version that was thrown away is asked for once, and then there is a list", async () => {
  await running({}, async ({ server, mirror }) => {
    await eventually(() => assert.equal(server.watches, 1));
    const asked = server.requests.length;
    server.dropConnections();
    server.remove("pod-0");
    server.compact();
    await eventually(() => mirror.equals(server.objects));
    await eventually(() => assert.equal(server.watches, 1));
    assert.deepEqual(server.requests.slice(asked), ["watch 105", "list", "page", "watch 106"]);
  });
});

test("pages that move on while they are read neither lose a change nor bring one back", async () => {
  await running({}, async ({ server, mirror }) => {
    server.pagesMoveOn = true;
    let moved = false;
    server.fault = (_response, { kind }) => {
      if (kind !== "page" || moved) return false;
      moved = true;
      server.put("pod-0", { spec: { changed: "after its page" } });
      server.put("pod-4", { spec: { changed: 1 } });
      server.put("pod-4", { spec: { changed: 2 } });
      server.remove("pod-3");
      server.put("pod-3"); // Another object under the same name.
      return false;
    };
    await eventually(() => assert.equal(server.watches, 1));
    await eventually(() => mirror.equals(server.objects));
    server.put("pod-last");
    await eventually(() => mirror.equals(server.objects));
    assert.equal(server.requests.at(-1), "watch 105");
  });
});

test("what vanished or was replaced while its history was thrown away is reported as deleted, and only what changed is reported again", async () => {
  await running({}, async ({ server, mirror, lists }) => {
    await eventually(() => assert.equal(server.watches, 1));
    mirror.equals(server.objects);
    const { upserts } = mirror;
    server.fault = all("watch", drops);
    server.dropConnections();
    server.remove("pod-0");
    server.remove("pod-1");
    server.put("pod-1"); // Another object under the same name.
    server.put("pod-2", { spec: {} });
    server.compact();
    server.fault = () => false;
    await eventually(() => mirror.equals(server.objects));
    await eventually(() => assert.equal(lists.length, 2));
    assert.equal(lists[1]?.vanished, 1);
    assert.deepEqual([mirror.upserts - upserts, mirror.deletes], [2, 2]);
  });
});

test("events sent twice, in single bytes and with blank lines between are reported once and whole", async () => {
  await running({}, async ({ server, mirror }) => {
    await eventually(() => assert.equal(server.watches, 1));
    const object = server.put("pod-é", { spec: { text: "ü€😀" } });
    const again = Buffer.from(`\n\r\n${JSON.stringify({ type: "MODIFIED", object })}\n`);
    for (const byte of again) server.sendToWatches(Buffer.of(byte));
    server.put("pod-last");
    await eventually(() => mirror.equals(server.objects));
    assert.equal(server.requests.filter((request) => request.startsWith("watch")).length, 1);
  });
});

test("a watch that goes wrong again and again at one version leads to a new list", async () => {
  await running({}, async ({ server, mirror, lists }) => {
    server.fault = all("watch", says("garbage\n"), () => lists.length < 2);
    await eventually(() => assert.equal(server.watches, 1));
    assert.equal(server.requests.filter((request) => request.startsWith("watch")).length, 4);
    mirror.equals(server.objects);
  });
});

for (const [name, wrong] of [
  ["away", drops],
  ["busy", refuses(503, "ServiceUnavailable", "busy")],
] as const) {
  test(`a server that is ${name} for long is not listed again when it is back`, async () => {
    await running({}, async ({ server, mirror, states }) => {
      await eventually(() => assert.equal(server.watches, 1));
      server.fault = all("watch", wrong);
      server.dropConnections();
      server.put("pod-0", { spec: {} });
      await eventually(() => assert.ok(states.filter((state) => state.kind === "waiting").length > 6));
      server.fault = () => false;
      await eventually(() => mirror.equals(server.objects));
      assert.equal(server.requests.filter((request) => request === "list").length, 1);
    });
  });
}

test("a server that was restored from a backup is mirrored as it is now, though its versions are older than those seen", async () => {
  await running({}, async ({ server, mirror, lists }) => {
    await eventually(() => assert.equal(server.watches, 1));
    const restore = server.backup();
    server.put("pod-0", { spec: { changed: "after the backup" } });
    server.remove("pod-1");
    server.put("pod-new");
    await eventually(() => mirror.equals(server.objects));
    mirror.forgetVersions();
    restore();
    server.put("pod-2", { spec: { changed: "after it was restored" } });
    await eventually(() => mirror.equals(server.objects));
    assert.equal(lists.length, 2);
    await eventually(() => assert.equal(server.watches, 1));
    server.put("pod-0", { spec: { changed: "and later" } });
    await eventually(() => mirror.equals(server.objects));
  });
});

test("pages that keep expiring lead to a list in one piece", async () => {
  await running({}, async ({ server, mirror }) => {
    server.fault = all("page", refuses(410, "Expired", "too old"));
    await eventually(() => mirror.equals(server.objects));
    assert.deepEqual(server.requests.slice(0, 3), ["list", "page", "list"]);
  });
});

test("a server that stays away is asked less and less often, at least every 30 s, and its Retry-After is respected", async () => {
  const delays: number[] = [];
  const patientClock: Clock = {
    nowMs: () => 0,
    async sleep(delayMs, signal) {
      if (delayMs > 40_000) return systemClock.sleep(1e6, signal); // The end of a watch.
      delays.push(delayMs);
      await systemClock.sleep(0, signal);
    },
  };
  await running({ clock: patientClock, random: () => 0.5 }, async ({ server, mirror, states }) => {
    const busy: Wrong = (response) =>
      sendStatus(response, 429, "TooManyRequests", "later", delays.length === 2 ? { "retry-after": "7" } : {});
    server.fault = all("list", busy);
    await eventually(() => assert.ok(delays.length > 14));
    server.fault = () => false;
    await eventually(() => assert.equal(server.watches, 1));
    assert.deepEqual(delays.slice(0, 5), [150, 300, 7000, 1200, 2400]);
    assert.equal(Math.max(...delays), 22_500);
    const settled = delays.length;
    server.put("pod-0", { spec: {} });
    await eventually(() => mirror.equals(server.objects));
    server.fault = first(1, "watch", drops);
    server.dropConnections();
    await eventually(() => assert.ok(delays.length > settled));
    assert.equal(delays[settled], 150); // Success has made it forget.
    assert.equal(states.at(0)?.kind, "listing");
  });
});

test("a callback that throws ends the reflector with what it threw", async () => {
  await using server = await ScriptedServer.start();
  await using client = await openKubernetes({ server: server.url });
  server.put("pod-0");
  const mistake = new Error("our own mistake");
  const reflecting = reflect({
    client,
    resource: resources.pods,
    signal: new AbortController().signal,
    clock: hurriedClock,
    onUpsert: () => {
      throw mistake;
    },
    onDelete: () => {},
  });
  await assert.rejects(reflecting, mistake);
});

test("aborting ends it in every state, and leaves no connection", async () => {
  for (const fault of [() => false, all("list", isSilent), all("watch", isSilent)] satisfies Fault[]) {
    await using server = await ScriptedServer.start();
    await using client = await openKubernetes({ server: server.url });
    const stop = new AbortController();
    server.fault = fault;
    const reflecting = reflect({
      client,
      resource: resources.pods,
      signal: stop.signal,
      clock: systemClock,
      onUpsert: () => {},
      onDelete: () => {},
    });
    await eventually(() => assert.ok(server.requests.length > 0));
    stop.abort();
    await reflecting;
    await eventually(() => assert.equal(server.watches, 0));
  }
});

const seeds = 12;
test(`after random faults end, the mirror shows what the server holds, on ${seeds} seeds`, async () => {
  for (let seed = 0; seed < seeds; seed += 1) {
    const random = createRandom(seed);
    await running(
      { requestTimeoutMs: 100, watchTimeoutSeconds: 4, watchGraceSeconds: 1, pageSize: 1 + random.below(4) },
      async ({ server, mirror }) => {
        const chosen = faults.filter(({ name }) => name !== "a watch with a line without end");
        server.fault = (response, { kind }) => {
          const fault = random.pick(chosen);
          if (fault.kind !== kind) return false;
          fault.wrong(response);
          return true;
        };
        for (let step = 0; step < 80; step += 1) {
          const name = `pod-${random.below(8)}`;
          if (random.chance(0.6)) server.put(name, { spec: { step } });
          else server.remove(name);
          if (random.chance(0.15)) server.compact();
          if (random.chance(0.15)) server.dropConnections();
          if (random.chance(0.1)) server.endWatches();
          if (random.chance(0.1)) server.bookmark();
          if (random.chance(0.5)) await systemClock.sleep(random.below(6), new AbortController().signal);
        }
        server.fault = () => false;
        await eventually(() => mirror.equals(server.objects)).catch((cause) => {
          throw new Error(`seed ${seed}`, { cause });
        });
      },
    );
  }
});
