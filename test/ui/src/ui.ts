import { once } from "node:events";
import { parseArgs } from "node:util";
import { BackendProcess } from "./backend-process.ts";
import { bigCluster, openReplay, type ReplayOptions } from "./replay/open-replay.ts";
import { ReplayHubble } from "./replay/replay-hubble.ts";

export type UiOptions =
  | { readonly kind: "hubble"; readonly port: number; readonly address: string }
  | { readonly kind: "replay"; readonly port: number; readonly replay: ReplayOptions };

/** Throws, naming the option, for what cannot be. */
export function parseUi(args: readonly string[]): UiOptions {
  const options = {
    port: { type: "string", default: "12000" },
    hubble: { type: "string" },
    replay: { type: "boolean", default: false },
    services: { type: "string", default: String(bigCluster.services) },
    links: { type: "string", default: String(bigCluster.links) },
    rate: { type: "string", default: String(bigCluster.flowsPerSecond) },
  } as const;
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  const number = (name: "port" | "services" | "links" | "rate", least: number, most: number): number => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < least || value > most)
      throw new Error(`--${name} is a whole number from ${least} to ${most}, not "${values[name]}"`);
    return value;
  };
  const port = number("port", 0, 65_535);
  if (!values.replay) {
    if (values.hubble === undefined) throw new Error("say whose flows to show: --replay [FILE] for a made cluster, or --hubble HOST:PORT");
    return { kind: "hubble", port, address: values.hubble };
  }
  const [recordingPath] = positionals;
  const replay = {
    ...bigCluster,
    services: number("services", 2, 5_000),
    links: number("links", 1, 20_000),
    flowsPerSecond: number("rate", 1, 50_000),
    ...(recordingPath === undefined ? {} : { recordingPath }),
  };
  return { kind: "replay", port, replay };
}

/** Serves the page until interrupted: over some Hubble, or over a cluster that is made up or was recorded. */
export async function ui(root: string, options: UiOptions): Promise<number> {
  await using opened = new AsyncDisposableStack();
  const hubbleAddress =
    options.kind === "hubble" ? options.address : opened.use(await ReplayHubble.start(openReplay(options.replay))).address;
  const backend = opened.use(await BackendProcess.start({ root, hubbleAddress, port: options.port }));
  console.log(`Hubble UI is at ${backend.url}\nStop it by Ctrl-C.`);
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  await once(stop.signal, "abort");
  return 0;
}
