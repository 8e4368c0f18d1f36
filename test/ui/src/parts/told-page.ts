import { readFileSync } from "node:fs";
import { extname, join } from "node:path";
import type { ViewMessage } from "@cilium-ts/service-map";
import type { Browser, Route } from "playwright-core";
import { Tab } from "../browser.ts";

const folder = join(import.meta.dirname, "../../../../apps/ui/build/page");
/** Nobody is there: every request is answered by the test. */
const origin = "http://localhost/";
const types: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

/** What a backend would say. */
export interface Told {
  /** Of the stream, which then stays open. */
  readonly view?: readonly ViewMessage[];
  /** Instead of a stream. */
  readonly refusal?: { readonly status: number; readonly problem: string };
  /** By path, such as `api/policies`, without its question. What is not here is refused, as by a backend that knows no cluster. */
  readonly answers?: Readonly<Record<string, unknown>>;
}

export interface ToldTab extends AsyncDisposable {
  readonly tab: Tab;
  /** Paths with their questions, as they were asked; `api/view` is not among them. */
  readonly asked: readonly string[];
  /** One more message of the stream. */
  tell(message: ViewMessage): Promise<void>;
}

interface ToldWindow {
  fetch: typeof fetch;
  tellView?: (line: string) => void;
}

/** The page in a real browser, with everything that it asks for told by the test: no server, and no waiting for flows. */
export async function openTold(browser: Browser, search: string, { view = [], refusal, answers = {} }: Told): Promise<ToldTab> {
  const asked: string[] = [];
  const tab = await Tab.open(browser, "about:blank");
  const { page } = tab;
  await page.route(`${origin}**`, async (route) => {
    const url = new URL(route.request().url());
    const path = url.pathname.slice(1);
    if (!path.startsWith("api/")) return servePage(route, path === "" ? "index.html" : path);
    if (path === "api/view") return route.fulfill({ status: refusal?.status ?? 503, json: { problem: refusal?.problem ?? "" } });
    asked.push(`${path}${url.search}`);
    const told = answers[path];
    return told === undefined
      ? route.fulfill({ status: 501, json: { problem: "the backend knows no cluster" } })
      : route.fulfill({ json: told });
  });
  // Answers that are made outside of the page end at once; the stream must not.
  if (refusal === undefined) await page.addInitScript(streamView, view.map((message) => `${JSON.stringify(message)}\n`).join(""));
  await page.goto(`${origin}${search}`);
  return {
    tab,
    asked,
    tell: (message) => page.evaluate((line) => (globalThis as unknown as ToldWindow).tellView?.(line), `${JSON.stringify(message)}\n`),
    [Symbol.asyncDispose]: () => tab[Symbol.asyncDispose](),
  };
}

/** Runs in the page, before it. */
function streamView(text: string): void {
  const shared = globalThis as unknown as ToldWindow;
  const { fetch: ask } = shared;
  shared.fetch = async (input, options) => {
    if (!String(input).startsWith("api/view")) return ask(input, options);
    const bytes = new TextEncoder();
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        if (text !== "") controller.enqueue(bytes.encode(text));
        shared.tellView = (line) => controller.enqueue(bytes.encode(line));
      },
    });
    return new Response(body, { headers: { "content-type": "application/x-ndjson" } });
  };
}

function servePage(route: Route, path: string): Promise<void> {
  return route.fulfill({ contentType: types[extname(path)] ?? "text/plain", body: readFileSync(join(folder, path)) });
}
