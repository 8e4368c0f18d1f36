import type { KubernetesObject } from "@cilium-ts/kubernetes";
import { isRecord } from "@cilium-ts/std";
import { KeptFile } from "../ipam/kept-file.ts";
import type { Trial } from "./trial.ts";

/** How the kernel judged the node itself. */
export interface FormerRow {
  readonly policySet: number;
  readonly ingressEnforced: boolean;
  readonly egressEnforced: boolean;
  readonly audit: boolean;
}

/** What the guard must know after a restart of the agent, whether or not the API server can be reached then. */
export interface GuardRecord {
  readonly trial: Trial;
  /** Policies of this node that come back when a trial fails, and the labels by which they are about it. */
  readonly accepted: readonly KubernetesObject[];
  readonly labels: readonly string[];
  /** Keys of lifelines that these policies cut, because somebody has said that it is meant. */
  readonly cut: readonly string[];
  /** Stands for the policies that are tried, or were taken back. */
  readonly triedDigest: string;
  /** What the kernel had before the trial; undefined: nothing was judged. */
  readonly former: FormerRow | undefined;
}

/** Far more than anybody writes about nodes; what is more is in force all the same, and not kept. */
const sizeBytesMax = 16 << 20;

/** The record on the disk, twice. */
export class GuardFile {
  readonly #file: KeptFile<GuardRecord>;
  readonly #onProblem: (message: string) => void;

  constructor(stateDirectory: string, onProblem: (message: string) => void) {
    this.#file = new KeptFile(stateDirectory, "host-firewall-guard", parseRecord);
    this.#onProblem = onProblem;
  }

  read(): GuardRecord | undefined {
    return this.#file.read();
  }

  write(record: GuardRecord): void {
    let text = JSON.stringify(record);
    if (Buffer.byteLength(text) > sizeBytesMax) {
      this.#onProblem(
        `policies of nodes are larger than ${sizeBytesMax >> 20} MB: after a restart of the agent the former ones cannot come back`,
      );
      text = JSON.stringify({ ...record, accepted: [] });
    }
    try {
      this.#file.write(text);
    } catch (cause) {
      // The trial goes on: only a restart within it would not know of it.
      this.#onProblem(`the host firewall's trial cannot be kept over a restart: ${String(cause)}`);
    }
  }
}

function parseRecord(text: string): GuardRecord {
  const value: unknown = JSON.parse(text);
  if (!isRecord(value) || !isTrial(value.trial) || !Array.isArray(value.accepted) || !isTexts(value.labels) || !isTexts(value.cut)) {
    throw new TypeError("this is no record of a host firewall's guard");
  }
  const { trial, accepted, labels, cut, triedDigest, former } = value;
  return {
    trial,
    accepted: accepted as KubernetesObject[],
    labels,
    cut,
    triedDigest: typeof triedDigest === "string" ? triedDigest : "",
    former: isRecord(former) ? (former as unknown as FormerRow) : undefined,
  };
}

function isTrial(value: unknown): value is Trial {
  if (!isRecord(value)) return false;
  switch (value.kind) {
    case "settled":
      return true;
    case "watched":
      return typeof value.untilMs === "number";
    case "tried":
      return typeof value.untilMs === "number" && Array.isArray(value.lost);
    case "reverted":
      return typeof value.atMs === "number" && typeof value.reason === "string";
    default:
      return false;
  }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
