import { readdirSync, readFileSync } from "node:fs";
import { createServer, get, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { BackendProcess, bigCluster, launchChromium, openReplay, ReplayHubble } from "@cilium-ts/ui-tests";
import type { Browser, Page } from "playwright-core";
import { cpuSeconds, residentMegabytes } from "./process-usage.ts";
import { createRow, type Row } from "./report.ts";

export interface UiBenchOptions {
  readonly repeats: number;
  /** For how long an hour is told to a browser in a hurry: so many minutes' worth of messages. */
  readonly minutes: number;
}

const browserCount = 50;
const panSeconds = 10;
const loadSeconds = 10;

/** Hubble UI over a made cluster of 500 services, 2,000 links and 5,000 flows a second. */
export async function benchUi(root: string, { repeats, minutes }: UiBenchOptions): Promise<Row[]> {
  const rows = bundleRows(root);
  await using hubble = await ReplayHubble.start(openReplay(bigCluster));
  await using backend = await BackendProcess.start({ root, hubbleAddress: hubble.address, port: 0 });
  await delay(2_000); // The past of the made cluster is read first.
  const browser = await launchChromium();
  try {
    rows.push(await firstMapRow(browser, backend.url, repeats));
    rows.push(...(await frameRows(browser, backend.url, Math.min(3, repeats))));
    rows.push(...(await backendRows(backend)));
    const lines = await recordLines(backend.url, Math.min(60_000, minutes * 60_000));
    rows.push(await memoryRow(browser, root, lines, minutes));
  } finally {
    await browser.close();
  }
  return rows;
}

/** What a first visit loads, gzipped, and what the editor of policies adds when it is opened. */
function bundleRows(root: string): Row[] {
  const page = join(root, "apps/ui/build/page");
  const isLater = (name: string): boolean => name.startsWith("open-editor-");
  const assets = readdirSync(join(page, "assets")).filter((name) => !name.endsWith(".map"));
  const kilobytes = (paths: readonly string[]): number =>
    paths.reduce((sum, path) => sum + gzipSync(readFileSync(join(page, path)), { level: 9 }).length, 0) / 1_000;
  const pathsOf = (names: readonly string[]): string[] => names.map((name) => `assets/${name}`);
  const first = kilobytes(["index.html", ...pathsOf(assets.filter((name) => !isLater(name)))]);
  return [
    createRow({ name: "first-load-gzip", unit: "kB", ours: [first], aim: { of: "value", better: "lower", at: 300 } }),
    createRow({ name: "editor-gzip", unit: "kB", ours: [kilobytes(pathsOf(assets.filter(isLater)))] }),
  ];
}

async function firstMapRow(browser: Browser, url: string, repeats: number): Promise<Row> {
  const ours: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    console.error(`first map ${repeat + 1}/${repeats}`);
    const page = await openPage(browser, url);
    ours.push(await mapDrawnMs(page));
    await page.context().close();
  }
  return createRow({ name: "first-map", unit: "ms", ours, aim: { of: "value", better: "lower", at: 1_000 } });
}

async function openPage(browser: Browser, url: string): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1_440, height: 900 }, bypassCSP: true });
  const page = await context.newPage();
  await page.goto(url, { waitUntil: "commit" });
  return page;
}

/** Milliseconds from the start of the navigation to the first frame with cards. Code of the page is text, because this program knows no document. */
async function mapDrawnMs(page: Page): Promise<number> {
  const handle = await page.waitForFunction(
    `(() => { const canvas = document.querySelector(".map canvas"); return canvas && Number(canvas.dataset.cards) > 400 && canvas.dataset.drawn ? performance.now() : false; })()`,
    undefined,
    { polling: "raf", timeout: 60_000 },
  );
  return (await handle.jsonValue()) as number;
}

async function frameRows(browser: Browser, url: string, repeats: number): Promise<Row[]> {
  const frames: number[][] = [];
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    console.error(`panning ${repeat + 1}/${repeats}`);
    const page = await openPage(browser, url);
    await mapDrawnMs(page);
    await delay(3_000);
    frames.push(await panFrames(page));
    await page.context().close();
  }
  const part = (share: number): number[] =>
    frames.map((times) => times.toSorted((left, right) => left - right)[Math.floor((times.length - 1) * share)] ?? 0);
  return [
    createRow({ name: "pan-frames", unit: "1/s", ours: frames.map((times) => times.length / panSeconds) }),
    createRow({ name: "pan-frame-p50", unit: "ms", ours: part(0.5) }),
    createRow({ name: "pan-frame-p99", unit: "ms", ours: part(0.99) }),
    createRow({ name: "pan-frame-longest", unit: "ms", ours: part(1), aim: { of: "value", better: "lower", at: 50 } }),
  ];
}

/** How long each frame took while the map is moved about and flows arrive. */
async function panFrames(page: Page): Promise<number[]> {
  await page.evaluate(
    `globalThis.frameTimes = []; { let before = performance.now(); const next = (now) => { frameTimes.push(now - before); before = now; requestAnimationFrame(next); }; requestAnimationFrame(next); }`,
  );
  await page.mouse.move(700, 300);
  await page.mouse.down();
  const end = Date.now() + panSeconds * 1_000;
  for (let step = 0; Date.now() < end; step += 1) {
    await page.mouse.move(700 + Math.sin(step / 20) * 300, 300 + Math.cos(step / 20) * 100);
    await delay(8);
  }
  await page.mouse.up();
  return ((await page.evaluate("frameTimes")) as number[]).slice(1);
}

/** CPU and memory of the backend with many browsers that all read. */
async function backendRows(backend: BackendProcess): Promise<Row[]> {
  console.error(`${browserCount} browsers`);
  const requests = Array.from({ length: browserCount }, () => get(`${backend.url}api/view`, (response) => void response.resume()));
  await delay(3_000);
  const before = cpuSeconds(backend.pid);
  await delay(loadSeconds * 1_000);
  const share = ((cpuSeconds(backend.pid) - before) / loadSeconds) * 100;
  const memory = residentMegabytes(backend.pid);
  for (const request of requests) request.destroy();
  return [
    createRow({ name: `backend-cpu-${browserCount}-browsers`, unit: "% of a core", ours: [share] }),
    createRow({ name: `backend-rss-${browserCount}-browsers`, unit: "MB", ours: [memory] }),
  ];
}

/** What the backend tells a browser in some time. */
async function recordLines(url: string, durationMs: number): Promise<readonly string[]> {
  console.error("recording messages");
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), durationMs);
  let text = "";
  try {
    const response = await fetch(`${url}api/view`, { signal: stop.signal });
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true });
  } catch (cause) {
    if (!stop.signal.aborted) throw cause;
  } finally {
    clearTimeout(timer);
  }
  return text.split("\n").slice(0, -1);
}

/** The heap after all messages, as a part of the heap after a tenth of them: one that stays flat has 1. */
async function memoryRow(browser: Browser, root: string, lines: readonly string[], minutes: number): Promise<Row> {
  const linesPerMinute = 240;
  const total = minutes * linesPerMinute;
  const fed = { count: 0 };
  const server = createServer((request, response) => {
    const url = request.url ?? "/";
    // Nobody is signed in, and nothing else is told.
    if (url.startsWith("/api/") && !url.startsWith("/api/view")) return void response.writeHead(404).end();
    if (!url.startsWith("/api/view")) return servePage(root, url, response);
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    void feed(response, lines, total, fed);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const page = await openPage(browser, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const session = await page.context().newCDPSession(page);
    const heapBytes = async (): Promise<number> => {
      await session.send("HeapProfiler.collectGarbage");
      const { usedSize } = await session.send("Runtime.getHeapUsage");
      return usedSize;
    };
    const reach = async (count: number): Promise<void> => {
      while (fed.count < count) {
        console.error(`messages ${fed.count}/${total}`);
        await delay(2_000);
      }
    };
    await reach(Math.max(linesPerMinute / 2, total / 10));
    const early = await heapBytes();
    await reach(total);
    await delay(2_000);
    const late = await heapBytes();
    await page.context().close();
    const aim = { of: "early", better: "lower", at: 1.1 } as const;
    return createRow({
      name: `browser-heap-after-${minutes}-minutes`,
      unit: "MB",
      ours: [late / 1e6],
      peers: { early: [early / 1e6] },
      aim,
    });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function feed(response: ServerResponse, lines: readonly string[], total: number, fed: { count: number }): Promise<void> {
  while (fed.count < total && !response.destroyed) {
    // Only the first begins a view.
    const line = lines[fed.count === 0 ? 0 : 1 + (fed.count % (lines.length - 1))];
    if (!response.write(`${line}\n`)) await new Promise((resolve) => response.once("drain", resolve));
    fed.count += 1;
    await delay(5);
  }
}

const types: Readonly<Record<string, string>> = { html: "text/html", js: "text/javascript", css: "text/css" };

function servePage(root: string, url: string, response: ServerResponse): void {
  const path = url.split("?", 1)[0] === "/" ? "index.html" : (url.split("?", 1)[0] ?? "").slice(1);
  const type = types[path.slice(path.lastIndexOf(".") + 1)] ?? "text/plain";
  response.writeHead(200, { "content-type": type }).end(readFileSync(join(root, "apps/ui/build/page", path)));
}
