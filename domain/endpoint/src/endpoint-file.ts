import { formatAddress, parseAddress, parseMac } from "@cilium-ts/net";
import { type EndpointRow, endpointLogLengthMax } from "./endpoint.ts";
import { endpointIdMax } from "./endpoint-id-allocator.ts";
import { isEndpointState } from "./state.ts";

/** The version of the form on disk. A reader refuses one that it does not know: a guess could let traffic through. */
export const endpointFileVersion = 1;

/** Bytes of the largest file that is read. */
export const endpointFileSizeBytesMax = 256 * 1024;

export interface EndpointFileProblem {
  /** The field, as `endpoint.mac`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
}

export type ParsedEndpointFile =
  | { readonly kind: "parsed"; readonly row: EndpointRow }
  | { readonly kind: "unreadable"; readonly problems: readonly EndpointFileProblem[] };

/** What survives the agent: all that a new one needs to take the endpoint up without asking anybody. */
export function encodeEndpointState(row: EndpointRow): string {
  return `${JSON.stringify({ version: endpointFileVersion, endpoint: row })}\n`;
}

/** Never throws: a file that is half-written, foreign or of another version gives problems. Fields that are not known are ignored. */
export function parseEndpointState(text: string): ParsedEndpointFile {
  const refuse = (message: string): ParsedEndpointFile => ({ kind: "unreadable", problems: [{ path: "", message }] });
  if (text.length > endpointFileSizeBytesMax) return refuse(`is longer than ${endpointFileSizeBytesMax} bytes`);
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    return refuse(text.length === 0 ? "is empty" : "is not JSON: it was only half written, or is something else");
  }
  if (!isObject(file)) return refuse("is not a JSON object");
  if (file.version !== endpointFileVersion) {
    return refuse(`has version ${JSON.stringify(file.version) ?? "none"}, and this agent reads version ${endpointFileVersion}`);
  }
  const endpoint = file.endpoint;
  if (!isObject(endpoint)) return refuse("has no endpoint");
  const problems: EndpointFileProblem[] = [];
  const row: Record<string, unknown> = {};
  for (const [field, check] of Object.entries(checks)) {
    const value = endpoint[field];
    const expected = check(value);
    if (expected !== undefined) problems.push({ path: `endpoint.${field}`, message: `must be ${expected}` });
    row[field] = value;
  }
  if (problems.length > 0) return { kind: "unreadable", problems };
  return { kind: "parsed", row: Object.freeze(row) as unknown as EndpointRow };
}

/** What the value should have been, when it is not. */
type Check = (value: unknown) => string | undefined;

const text: Check = (value) => (typeof value === "string" ? undefined : "a string");
const flag: Check = (value) => (typeof value === "boolean" ? undefined : "true or false");
const number =
  (minimum: number, maximum: number): Check =>
  (value) =>
    Number.isInteger(value) && Number(value) >= minimum && Number(value) <= maximum
      ? undefined
      : `a whole number from ${minimum} to ${maximum}`;
const mac: Check = (value) => (typeof value === "string" && parseMac(value) !== undefined ? undefined : "a MAC address");
/** In the one form that the index looks for. */
const address =
  (sizeBytes: number): Check =>
  (value) => {
    if (value === undefined) return undefined;
    const bytes = typeof value === "string" ? parseAddress(value) : undefined;
    return bytes?.length === sizeBytes && formatAddress(bytes) === value
      ? undefined
      : `absent, or an IPv${sizeBytes === 4 ? 4 : 6} address`;
  };
const list =
  (lengthMax: number, what: string, isItem: (item: unknown) => boolean): Check =>
  (value) =>
    Array.isArray(value) && value.length <= lengthMax && value.every(isItem) ? undefined : `a list of at most ${lengthMax} ${what}`;

/** Every field of a row, and nothing else: the compiler says which are missing. */
const checks: Readonly<Record<keyof EndpointRow, Check>> = {
  id: number(1, endpointIdMax),
  containerId: text,
  cniAttachmentId: text,
  podNamespace: text,
  podName: text,
  podUid: text,
  ifindex: number(0, 0x7fff_ffff),
  hostDeviceName: text,
  containerIfname: text,
  mac,
  hostMac: mac,
  ipv4: address(4),
  ipv6: address(16),
  netnsPath: text,
  netnsCookie: (value) => (typeof value === "string" && /^[0-9]{0,20}$/.test(value) ? undefined : "a decimal number in a string"),
  labels: list(1024, "strings", (item) => typeof item === "string"),
  identity: number(0, 0xffff_ffff),
  policySet: number(0, 0xffff_ffff),
  policyRevision: number(0, Number.MAX_SAFE_INTEGER),
  ingressEnforced: flag,
  egressEnforced: flag,
  serviceAccount: text,
  workloads: list(
    64,
    "workloads { name, kind }",
    (item) => isObject(item) && typeof item.name === "string" && typeof item.kind === "string",
  ),
  namedPorts: list(
    1024,
    "named ports { name, port, protocol }",
    (item) =>
      isObject(item) &&
      typeof item.name === "string" &&
      number(1, 65_535)(item.port) === undefined &&
      (item.protocol === "TCP" || item.protocol === "UDP" || item.protocol === "SCTP"),
  ),
  state: (value) => (isEndpointState(value) ? undefined : "a state of an endpoint"),
  createdAtMs: number(0, Number.MAX_SAFE_INTEGER),
  log: list(
    endpointLogLengthMax,
    "status changes { atMs, code, state, message }",
    (item) =>
      isObject(item) &&
      Number.isFinite(item.atMs) &&
      (item.code === "ok" || item.code === "failed") &&
      isEndpointState(item.state) &&
      typeof item.message === "string",
  ),
};

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
