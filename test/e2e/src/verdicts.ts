import assert from "node:assert/strict";
import { pings } from "./cluster.ts";
import { type Family, families, type Place, type Workload } from "./workload-client.ts";

/** Who takes part, by the names that rows use. */
export type Places = Readonly<Record<string, Workload | Place>>;

/**
 * Tries every row, all of them at once and over both families, and compares what came of it. A row: who asks, protocol and port
 * (`tcp/8081`, `udp/5353`, `icmp`), whom, and the outcome: `answered`, `dropped` (nothing comes back) or the code of an error.
 *
 *     client  tcp/8081  server  answered
 */
export async function verdicts(places: Places, text: string): Promise<void> {
  const rows = text
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words[0] !== "");
  const found = await Promise.all(rows.flatMap((words) => families.map((family) => tried(places, words, family))));
  const wrong = found.filter(({ expected, outcome }) => expected !== outcome);
  assert.deepEqual(
    wrong.map(({ line, expected, outcome }) => `${line}: ${outcome}, not ${expected}`),
    [],
  );
}

interface Tried {
  readonly line: string;
  readonly expected: string;
  readonly outcome: string;
}

async function tried(places: Places, words: readonly string[], family: Family): Promise<Tried> {
  const [fromName = "", what = "", toName = "", expected = ""] = words;
  const [from, to] = [places[fromName], places[toName]];
  if (from === undefined || to === undefined || expected === "") throw new Error(`"${words.join(" ")}" is no row`);
  const line = `${fromName} ${what} ${toName} over ${family}`;
  if (what === "icmp") return { line, expected, outcome: (await pings(from, to[family])) ? "answered" : "dropped" };
  const [protocol, port] = what.split("/");
  if ((protocol !== "tcp" && protocol !== "udp") || !("ask" in from)) throw new Error(`"${words.join(" ")}" is no row`);
  const ask = expected === "dropped" ? from.askInVain : from.ask;
  const outcome = await ask.call(from, to, family, protocol, Number(port));
  return { line, expected, outcome: outcome === "timeout" ? "dropped" : outcome };
}
