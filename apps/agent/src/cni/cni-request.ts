/** What the plugin hands over: contracts section 6. */
export interface CniRequest {
  readonly command: "ADD" | "DEL" | "CHECK" | "STATUS";
  readonly containerId: string;
  readonly namespacePath: string;
  readonly interfaceName: string;
  readonly cniVersion: string;
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string } | undefined;
  /** CNI_ARGS `mac`. */
  readonly mac: string | undefined;
  readonly mtu: number | undefined;
  readonly hasPrevResult: boolean;
}

/** Codes of the CNI specification; 100 and above are the plugin's own. */
export const cniErrorCode = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  decodeFailure: 6,
  invalidNetworkConfig: 7,
  tryAgainLater: 11,
  notAvailable: 50,
  noHealth: 100,
  unhealthy: 101,
  failed: 999,
} as const;

export class CniError extends Error {
  override readonly name = "CniError";
  readonly code: number;

  constructor(code: number, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

export const supportedCniVersions = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

/** Throws CniError, naming what is wrong. */
export function parseCniRequest(body: unknown): CniRequest {
  const request = record(body, "the request");
  const config = record(request.config, "the network configuration");
  const cniVersion = config.cniVersion === undefined ? "0.1.0" : text(config, "cniVersion", cniErrorCode.invalidNetworkConfig);
  if (!supportedCniVersions.some((version) => version === cniVersion)) {
    throw new CniError(
      cniErrorCode.incompatibleVersion,
      `cniVersion ${cniVersion} is not supported: use one of ${supportedCniVersions.join(", ")}`,
    );
  }
  const command = text(request, "command", cniErrorCode.invalidEnvironment);
  if (command !== "ADD" && command !== "DEL" && command !== "CHECK" && command !== "STATUS") {
    throw new CniError(cniErrorCode.invalidEnvironment, `CNI_COMMAND "${command}" is not known: use ADD, DEL, CHECK, STATUS or VERSION`);
  }
  const args = parseCniArgs(typeof request.args === "string" ? request.args : "");
  const name = args.get("K8S_POD_NAME");
  const namespace = args.get("K8S_POD_NAMESPACE");
  const parsed: CniRequest = {
    command,
    containerId: optionalText(request, "containerId"),
    namespacePath: optionalText(request, "netns"),
    interfaceName: optionalText(request, "ifname"),
    cniVersion,
    pod: name === undefined || namespace === undefined ? undefined : { namespace, name, uid: args.get("K8S_POD_UID") ?? "" },
    mac: args.get("mac"),
    mtu: mtuOf(config.mtu),
    hasPrevResult: config.prevResult !== undefined && config.prevResult !== null,
  };
  checkPresence(parsed);
  return parsed;
}

/** `KEY=value;KEY=value`; a part without `=` is no argument. */
export function parseCniArgs(input: string): ReadonlyMap<string, string> {
  const args = new Map<string, string>();
  for (const part of input.split(";")) {
    const equals = part.indexOf("=");
    if (equals > 0) args.set(part.slice(0, equals), part.slice(equals + 1));
  }
  return args;
}

function checkPresence(request: CniRequest): void {
  const missing = (variable: string): CniError =>
    new CniError(cniErrorCode.invalidEnvironment, `${variable} is empty: the container runtime must set it for ${request.command}`);
  if (request.command === "STATUS") return;
  if (request.containerId === "") throw missing("CNI_CONTAINERID");
  if (request.interfaceName === "" && request.command !== "DEL") throw missing("CNI_IFNAME");
  if (request.namespacePath === "" && request.command !== "DEL") throw missing("CNI_NETNS");
}

function mtuOf(value: unknown): number | undefined {
  if (value === undefined || value === null || value === 0) return undefined;
  if (typeof value === "number" && Number.isInteger(value) && value >= 1_280 && value <= 65_535) return value;
  throw new CniError(cniErrorCode.invalidNetworkConfig, `mtu is a whole number from 1280 to 65535, not ${JSON.stringify(value)}`);
}

function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new CniError(cniErrorCode.decodeFailure, `${what} is not a JSON object`);
}

function text(from: Record<string, unknown>, field: string, code: number): string {
  const value = from[field];
  if (typeof value === "string") return value;
  throw new CniError(code, `${field} is text, not ${JSON.stringify(value)}`);
}

function optionalText(from: Record<string, unknown>, field: string): string {
  return from[field] === undefined || from[field] === null ? "" : text(from, field, cniErrorCode.invalidEnvironment);
}
