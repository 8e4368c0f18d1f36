import type { Store } from "../store/store.ts";
import type { WatchHub } from "./watch/watch-hub.ts";

/** Counters of the server, in Prometheus' text form. */
export class Metrics {
  readonly #requests = new Map<string, number>();
  inFlight = 0;
  refused = 0;

  countRequest(verb: string, code: number): void {
    const key = `verb="${verb}",code="${code}"`;
    this.#requests.set(key, (this.#requests.get(key) ?? 0) + 1);
  }

  text(store: Store, hub: WatchHub): string {
    const lines = ["# TYPE apiserver_request_total counter"];
    for (const [labels, count] of this.#requests) lines.push(`apiserver_request_total{${labels}} ${count}`);
    const single = (name: string, type: "counter" | "gauge", value: number) => lines.push(`# TYPE ${name} ${type}`, `${name} ${value}`);
    single("apiserver_requests_in_flight", "gauge", this.inFlight);
    single("apiserver_requests_refused_total", "counter", this.refused);
    single("apiserver_watches", "gauge", hub.watching);
    single("apiserver_watch_events_total", "counter", hub.counts.eventsSent);
    single("apiserver_watches_slow_closed_total", "counter", hub.counts.slowClosed);
    single("apiserver_watches_refused_total", "counter", hub.counts.refused);
    single("apiserver_store_revision", "gauge", store.revision);
    single("apiserver_store_oldest_revision", "gauge", store.oldest);
    return `${lines.join("\n")}\n`;
  }
}
