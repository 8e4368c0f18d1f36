import assert from "node:assert/strict";
import type { ViewMessage } from "@cilium-ts/service-map";
import { type Clock, systemClock } from "@cilium-ts/std";
import { runUiBackend } from "./run-ui-backend.ts";
import { parseSettings } from "./settings.ts";

/** A backend on a port of its own, and what browsers ask of it. */
export class Backend implements AsyncDisposable {
  readonly origin: string;
  /** What it has said. */
  readonly said: string[];
  readonly #stop: AbortController;
  readonly #running: Promise<void>;

  static async start(hubbleAddress: string, environment: Record<string, string> = {}, clock: Clock = systemClock): Promise<Backend> {
    const parsed = parseSettings({ EVENTS_SERVER_PORT: "0", UI_LISTEN_HOST: "127.0.0.1", FLOWS_API_ADDR: hubbleAddress, ...environment });
    if (parsed.kind === "problems") assert.fail(parsed.problems.join());
    const stop = new AbortController();
    const listening = Promise.withResolvers<number>();
    const said: string[] = [];
    const note = (message: string): void => void said.push(message);
    const world = {
      clock,
      log: { error: note, warn: note, info: note, debug: note },
      version: "1.2.3",
      onListening: listening.resolve,
    };
    const running = runUiBackend(world, parsed.settings, stop.signal);
    running.catch(listening.reject);
    return new Backend(`http://127.0.0.1:${await listening.promise}`, said, stop, running);
  }

  private constructor(origin: string, said: string[], stop: AbortController, running: Promise<void>) {
    this.origin = origin;
    this.said = said;
    this.#stop = stop;
    this.#running = running;
  }

  async ask(path: string, headers: Record<string, string> = {}): Promise<{ status: number; text: string; headers: Headers }> {
    const response = await fetch(`${this.origin}${path}`, { headers, redirect: "manual" });
    return { status: response.status, text: await response.text(), headers: response.headers };
  }

  view(path = "/api/view", headers: Record<string, string> = {}): Browser {
    return new Browser(`${this.origin}${path}`, headers);
  }

  async post(
    path: string,
    body: string,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; text: string; headers: Headers }> {
    const response = await fetch(`${this.origin}${path}`, { method: "POST", body, headers, redirect: "manual" });
    return { status: response.status, text: await response.text(), headers: response.headers };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

/** What a page has been told. */
class Browser implements Disposable {
  readonly messages: ViewMessage[] = [];
  readonly ended: Promise<void>;
  readonly #stop = new AbortController();

  constructor(url: string, headers: Record<string, string>) {
    this.ended = this.#read(url, headers).catch(() => {});
  }

  get last(): ViewMessage {
    const message = this.messages.at(-1);
    assert.ok(message, "nothing has been told yet");
    return message;
  }

  get uuids(): string[] {
    return this.messages.flatMap(({ flows }) => flows.map(({ uuid }) => uuid));
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }

  async #read(url: string, headers: Record<string, string>): Promise<void> {
    const response = await fetch(url, { headers, signal: this.#stop.signal });
    let rest = "";
    for await (const chunk of response.body ?? []) {
      const lines = (rest + Buffer.from(chunk).toString()).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line !== "") this.messages.push(JSON.parse(line));
    }
  }
}
