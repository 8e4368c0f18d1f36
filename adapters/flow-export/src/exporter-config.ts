import type { CompiledFilters } from "@cilium-ts/flow";
import { compileJsonFilters, FieldMask } from "@cilium-ts/observer";
import { isRecord } from "@cilium-ts/std";
import { parse } from "yaml";
import type { OtlpConnection } from "./otlp/otlp-transport.ts";

/** What one exporter does. */
export interface ExporterConfig {
  readonly name: string;
  /** `stdout`, the path of a file, or the address of a collector (`http://collector:4318/v1/logs`, `grpc://collector:4317`). */
  readonly target: string;
  /** How a collector is reached; undefined for other targets. */
  readonly otlp: OtlpConnection | undefined;
  readonly mask: FieldMask;
  readonly filters: Extract<CompiledFilters, { readonly matches: unknown }>;
  /** When it ends, milliseconds since the epoch; Infinity: never. */
  readonly endMs: number;
  readonly sizeBytesMax: number;
  readonly ageMsMax: number;
  readonly backupCountMax: number;
  readonly compress: boolean;
  /** Flows equal in these fields are told once an interval; undefined: each is told. */
  readonly aggregation: { readonly mask: FieldMask; readonly intervalMs: number } | undefined;
  /** Equal for equal settings. */
  readonly key: string;
}

/** As files and flags write it; names are those of Cilium's flow log settings. */
export interface ExporterFields {
  readonly name: string;
  readonly filePath: string;
  readonly fieldMask?: readonly string[];
  readonly includeFilters?: readonly unknown[];
  readonly excludeFilters?: readonly unknown[];
  readonly end?: string;
  readonly fileMaxSizeMb?: number;
  readonly fileMaxAgeHours?: number;
  readonly fileMaxBackups?: number;
  readonly fileCompress?: boolean;
  readonly fieldAggregate?: readonly string[];
  /** Seconds, or a number with a unit: `10s`. */
  readonly aggregationInterval?: string | number;
  /** Of collectors: `NAME=VALUE`, and PEM files. */
  readonly otlpHeaders?: readonly string[];
  readonly otlpCaFile?: string;
  readonly otlpCertFile?: string;
  readonly otlpKeyFile?: string;
}

export type ParsedExporters = { readonly configs: readonly ExporterConfig[] } | { readonly problems: readonly string[] };

const exporterCountMax = 32;

/** Reads `flowLogs:` of a YAML file. Either all of it is right, or the problems are told. */
export function parseExporterConfigs(text: string): ParsedExporters {
  let document: unknown;
  try {
    document = parse(text);
  } catch (cause) {
    return { problems: [cause instanceof Error ? cause.message : String(cause)] };
  }
  const list = document === null ? [] : isRecord(document) ? (document.flowLogs ?? []) : undefined;
  if (!Array.isArray(list)) return { problems: ["there is no list flowLogs"] };
  if (list.length > exporterCountMax) return { problems: [`flowLogs has ${list.length} entries; at most ${exporterCountMax} are taken`] };
  const configs: ExporterConfig[] = [];
  const problems: string[] = [];
  for (const [index, entry] of list.entries()) {
    const read = readEntry(entry);
    const parsed = typeof read === "string" ? { problem: read } : createExporterConfig(read);
    if ("problem" in parsed) problems.push(`flowLogs[${index}]: ${parsed.problem}`);
    else configs.push(parsed);
  }
  const names = configs.map(({ name }) => name);
  for (const name of new Set(names.filter((one, index) => names.indexOf(one) < index))) problems.push(`flowLogs: ${name} is there twice`);
  const targets = configs.map(({ target }) => target);
  for (const target of new Set(targets.filter((one, index) => targets.indexOf(one) < index)))
    problems.push(`flowLogs: two write to ${target}`);
  return problems.length > 0 ? { problems } : { configs };
}

export function createExporterConfig(fields: ExporterFields): ExporterConfig | { readonly problem: string } {
  const mask = FieldMask.parse(fields.fieldMask ?? []);
  if ("problem" in mask) return { problem: mask.problem };
  const filters = compileJsonFilters(fields.includeFilters ?? [], fields.excludeFilters ?? []);
  if ("problem" in filters) return { problem: filters.problem };
  const endMs = fields.end === undefined ? Number.POSITIVE_INFINITY : Date.parse(fields.end);
  if (Number.isNaN(endMs)) return { problem: `end ${JSON.stringify(fields.end)} is no time such as 2026-01-01T00:00:00Z` };
  const aggregation = aggregationOf(fields);
  if (aggregation !== undefined && "problem" in aggregation) return aggregation;
  const otlp = otlpOf(fields);
  if (otlp !== undefined && "problem" in otlp) return otlp;
  const { fileMaxSizeMb = 10, fileMaxAgeHours = 0, fileMaxBackups = 5, fileCompress = false } = fields;
  return {
    name: fields.name,
    target: fields.filePath,
    otlp,
    mask: mask.mask,
    filters,
    endMs,
    sizeBytesMax: fileMaxSizeMb * 1_048_576,
    ageMsMax: fileMaxAgeHours * 3_600_000,
    backupCountMax: fileMaxBackups,
    compress: fileCompress,
    aggregation,
    key: JSON.stringify(fields),
  };
}

/** Whether a target is the address of a collector. */
const collectorAddress = /^(?:https?|grpcs?):\/\//;
/** Names that HTTP takes, and those that are the protocol's own. */
const headerName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const reservedHeader = /^(?:content-type|content-length|te|host|grpc-.*|connection|transfer-encoding)$/i;

function otlpOf(fields: ExporterFields): OtlpConnection | { readonly problem: string } | undefined {
  const { filePath, otlpHeaders = [], otlpCaFile = "", otlpCertFile = "", otlpKeyFile = "" } = fields;
  if (!collectorAddress.test(filePath)) {
    const given = Object.keys(fields).find((name) => name.startsWith("otlp") && String(fields[name as keyof ExporterFields]) !== "");
    return given === undefined ? undefined : { problem: `${given} is for collectors, and ${filePath} is none` };
  }
  if (!URL.canParse(filePath)) return { problem: `${filePath} is no address such as grpc://collector:4317` };
  if ((otlpCertFile === "") !== (otlpKeyFile === "")) return { problem: "otlpCertFile and otlpKeyFile are given both, or none" };
  const byTls = /^(?:https|grpcs):/.test(filePath);
  if (!byTls && otlpCaFile + otlpCertFile !== "")
    return { problem: `${filePath} is plain text, for which certificates are of no use: use https:// or grpcs://` };
  const headers: Record<string, string> = {};
  for (const text of otlpHeaders) {
    const at = text.indexOf("=");
    const name = text.slice(0, at).trim();
    if (at < 1 || !headerName.test(name))
      return { problem: `otlpHeaders: a header is NAME=VALUE, not ${JSON.stringify(text.slice(0, 40))}` };
    if (reservedHeader.test(name)) return { problem: `otlpHeaders: ${name} is the protocol's own` };
    headers[name.toLowerCase()] = text.slice(at + 1).trim();
  }
  return { headers, caFile: otlpCaFile, certFile: otlpCertFile, keyFile: otlpKeyFile };
}

function aggregationOf({
  fieldAggregate = [],
  aggregationInterval = 0,
}: ExporterFields): ExporterConfig["aggregation"] | { readonly problem: string } {
  if (fieldAggregate.length === 0) return undefined;
  const mask = FieldMask.parse(fieldAggregate);
  if ("problem" in mask) return { problem: mask.problem };
  const match = /^([0-9]{1,6})(ms|s|m|h)?$/.exec(String(aggregationInterval));
  const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[match?.[2] ?? "s"] ?? 1_000;
  const intervalMs = Number(match?.[1]) * unitMs;
  if (!(intervalMs >= 1_000 && intervalMs <= 3_600_000))
    return { problem: `aggregationInterval ${JSON.stringify(aggregationInterval)} is no time from 1s to 1h` };
  return { mask: mask.mask, intervalMs };
}

const kinds: Readonly<Record<keyof ExporterFields, "text" | "texts" | "list" | "number" | "boolean" | "interval">> = {
  name: "text",
  filePath: "text",
  fieldMask: "texts",
  includeFilters: "list",
  excludeFilters: "list",
  end: "text",
  fileMaxSizeMb: "number",
  fileMaxAgeHours: "number",
  fileMaxBackups: "number",
  fileCompress: "boolean",
  fieldAggregate: "texts",
  aggregationInterval: "interval",
  otlpHeaders: "texts",
  otlpCaFile: "text",
  otlpCertFile: "text",
  otlpKeyFile: "text",
};

/** The fields, or what is wrong with one of them. */
function readEntry(entry: unknown): ExporterFields | string {
  if (!isRecord(entry)) return "it is no mapping";
  for (const [field, value] of Object.entries(entry)) {
    const kind = kinds[field as keyof ExporterFields];
    if (kind === undefined) return `there is no field ${JSON.stringify(field)}; there are ${Object.keys(kinds).join(", ")}`;
    if (value !== null && !isOfKind(kind, value)) return `${field} ${JSON.stringify(value)} is not what it should be: ${kindTexts[kind]}`;
  }
  const fields = Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== null));
  if (typeof fields.name !== "string" || fields.name === "") return "it has no name";
  if (typeof fields.filePath !== "string" || fields.filePath === "") return `${fields.name} has no filePath`;
  return fields as unknown as ExporterFields;
}

const kindTexts = {
  text: "a text",
  texts: "a list of texts",
  list: "a list",
  number: "a whole number, 0 or more",
  boolean: "true or false",
  interval: "a time such as 10s",
} as const;

function isOfKind(kind: keyof typeof kindTexts, value: unknown): boolean {
  switch (kind) {
    case "text":
      return typeof value === "string";
    case "texts":
      return Array.isArray(value) && value.every((item) => typeof item === "string");
    case "list":
      return Array.isArray(value);
    case "number":
      return Number.isInteger(value) && (value as number) >= 0;
    case "boolean":
      return typeof value === "boolean";
    case "interval":
      return typeof value === "string" || typeof value === "number";
  }
}
