import type { Executor } from "../pods/executor.ts";
import { outputOf } from "../pods/executor.ts";
import { type Probe, type ProbeResult, probeCommand } from "./in-pod.ts";
import { type Place, type PlaceName, type Places, worldPort } from "./places.ts";
import { type Row, rowText } from "./scenario.ts";

export const families = ["ipv4", "ipv6"] as const;
export type Family = (typeof families)[number];

/** A row over one family, as it was tried. */
export interface Attempt {
  readonly row: Row;
  readonly family: Family;
  readonly from: Place;
  readonly to: Place;
  readonly port: number;
  readonly outcome: string;
  readonly localPort: number;
}

export interface AttemptOptions {
  readonly executor: Executor;
  readonly places: Places;
  readonly families: readonly Family[];
  readonly worldPort: number;
}

/** Long enough that a busy machine does not make an answer pass for a drop. */
const answerTimeoutMs = 5_000;
/** What is dropped is never answered. That it was dropped, and not late, is proved by its flow. */
const dropTimeoutMs = 700;

/** Rows that this cluster has the places and families for. */
export function possibleAttempts(rows: readonly Row[], options: AttemptOptions): Omit<Attempt, "outcome" | "localPort">[] {
  const { places } = options;
  return rows.flatMap((row) => {
    const [from, to] = [places.get(row.from), places.get(row.to)];
    if (from === undefined || to === undefined) return [];
    const port = row.port === worldPort ? options.worldPort : row.port;
    return options.families.flatMap((family) => (from[family] === "" || to[family] === "" ? [] : [{ row, family, from, to, port }]));
  });
}

/** Tries all rows at once, one command in each pod that asks. */
export async function tryRows(rows: readonly Row[], options: AttemptOptions, signal: AbortSignal): Promise<Attempt[]> {
  const wanted = possibleAttempts(rows, options);
  const byPlace = Map.groupBy(wanted, ({ from }) => from.name);
  const tried = await Promise.all(
    [...byPlace].map(async ([name, attempts]) => {
      const results = await probe(name, attempts, options, signal);
      return attempts.map((attempt, id) => {
        const result = results.find((candidate) => candidate.id === id);
        return { ...attempt, outcome: result?.outcome ?? "no answer from the pod", localPort: result?.localPort ?? 0 };
      });
    }),
  );
  return tried.flat();
}

async function probe(
  name: PlaceName,
  attempts: readonly Omit<Attempt, "outcome" | "localPort">[],
  { executor, places }: AttemptOptions,
  signal: AbortSignal,
): Promise<readonly ProbeResult[]> {
  const pod = places.get(name)?.pod;
  if (pod === undefined) throw new RangeError(`${name} is no pod, and cannot ask`);
  const probes = attempts.map(
    ({ row, family, to, port }, id): Probe => ({
      id,
      protocol: row.protocol,
      address: to[family],
      port,
      timeoutMs: row.verdict === "allowed" ? answerTimeoutMs : dropTimeoutMs,
      connectOnly: row.to === "world",
    }),
  );
  const target = { namespace: pod.namespace, pod: pod.name, container: "main" };
  return JSON.parse(await outputOf(executor, target, probeCommand(probes), signal));
}

/** An answer is one, and silence is a drop; an error is neither. */
export function isAsExpected({ row, outcome }: Attempt): boolean {
  return outcome === (row.verdict === "allowed" ? "answered" : "timeout");
}

export function attemptText({ row, family, outcome }: Attempt): string {
  return `${rowText(row)} over ${family}: ${outcome === "timeout" ? "no answer" : outcome}`;
}
