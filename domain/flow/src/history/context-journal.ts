/** Lookups of a FlowContext, by the number that journals name them with. Numbers are on disk: new ones go to the end. */
export const Lookup = {
  endpointById: 0,
  endpointByAddress: 1,
  remotePodByAddress: 2,
  identityByAddress: 3,
  identityLabels: 4,
  policyReasons: 5,
  interfaceName: 6,
  fileName: 7,
  namesOf: 8,
  serviceOf: 9,
  ipTraceOption: 10,
} as const;

export type LookupKey = number | string;

/**
 * One answer: which lookup, of what, from which event's time on (CLOCK_MONOTONIC ns), and which of the values; -1: there is none,
 * as there is before the first row. */
export type JournalRow = readonly [lookup: number, key: LookupKey, atNs: number, value: number];

/** What a context answered while events were explained: enough to explain them again when it has forgotten. May be JSON. */
export interface ContextJournal {
  readonly nodeName: string;
  readonly clusterName: string;
  readonly nodeLabels: readonly string[];
  readonly values: readonly unknown[];
  readonly rows: readonly JournalRow[];
}

/** A lookup's answer for a key from a time on. */
export interface Answer {
  readonly atNs: number;
  readonly value: unknown;
}

/** Of the answers of one key, by time, the one that holds at the given time; -1 before the first. */
export function indexAt(answers: readonly Answer[], atNs: number): number {
  let index = answers.length - 1;
  while (index >= 0 && (answers[index]?.atNs ?? 0) > atNs) index -= 1;
  return index;
}

/** JSON has no 64-bit numbers: they are written as texts, and who reads a value knows where. */
export function journalText(journal: unknown): string {
  return JSON.stringify(journal, (_name, value) => (typeof value === "bigint" ? value.toString() : value));
}

/** Throws on what is no journal. */
export function parseJournal(text: string): ContextJournal {
  const value: unknown = JSON.parse(text);
  const { nodeName, clusterName, nodeLabels, values, rows } = (value ?? {}) as Partial<Record<keyof ContextJournal, unknown>>;
  if (typeof nodeName !== "string" || typeof clusterName !== "string") throw new TypeError("the journal names no node and cluster");
  if (!Array.isArray(nodeLabels) || !Array.isArray(values) || !Array.isArray(rows)) throw new TypeError("the journal has no rows");
  for (const row of rows as unknown[]) {
    if (!Array.isArray(row) || row.length !== 4 || !(Number(row[3]) < values.length)) throw new TypeError("the journal has a broken row");
  }
  return value as ContextJournal;
}
