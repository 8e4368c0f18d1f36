import {
  changeEndpoint,
  createEndpoint,
  type EndpointChange,
  type EndpointRow,
  type EndpointState,
  hostEndpointId,
  logEndpoint,
  type NewEndpoint,
  setEndpointState,
} from "@cilium-ts/endpoint";
import { reservedIdentities } from "@cilium-ts/identity";
import { Labels } from "@cilium-ts/labels";
import type { Log } from "@cilium-ts/log";
import { type PolicyEngine, type PolicySubject, type ResolvedPolicy, subjectKey } from "@cilium-ts/policy";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { HostEnforcement } from "./host-enforcement.ts";

export interface HostFirewallOptions {
  readonly engine: PolicyEngine;
  readonly enforcement: HostEnforcement;
  readonly clock: Clock;
  readonly log: Log;
  /** Of the policies in the engine. */
  revision(): number;
  /** Policy is about to see the node by these labels. */
  onLabels?(labels: Labels): void;
  /** After every change of the row. */
  onChange(row: EndpointRow): void;
  /** Its policy was carried out again, or could not be: then with the reason. */
  onRegenerated(row: EndpointRow, error: string): void;
}

/**
 * The node itself as a subject of policy, by the labels of its object. What an earlier run enforced stays in force until the labels and
 * all policies are known; where there was no earlier run, everything is allowed until then.
 */
export class HostFirewall {
  readonly #options: HostFirewallOptions;
  #subject: PolicySubject = { labels: Labels.parse([hostLabel]) };
  #isOpen = false;
  #isBehind = false;
  #row: EndpointRow;

  constructor(options: HostFirewallOptions) {
    this.#options = options;
    this.#row = createEndpoint({ ...noDevice, id: hostEndpointId, identity: reservedIdentities.host }, options.clock.nowMs());
  }

  /** The node as an endpoint among those of its pods. */
  get row(): EndpointRow {
    return this.#row;
  }

  get subject(): PolicySubject {
    return this.#subject;
  }

  /** What the kernel enforces; undefined as long as that comes from an earlier run. */
  get policy(): ResolvedPolicy | undefined {
    return this.#options.enforcement.policy;
  }

  /** Before anybody is talked to. */
  begin(): void {
    this.#options.enforcement.track();
  }

  /** Those of the node's object. */
  setLabels(labels: Readonly<Record<string, string>>): void {
    const own = Object.entries(labels).map(([key, value]) => ({ source: "k8s", key, value }));
    const subject = { labels: Labels.parse([hostLabel]).with(own) };
    const before = this.#subject;
    if (subjectKey(subject) === subjectKey(before)) return;
    this.#subject = subject;
    this.#options.onLabels?.(subject.labels);
    this.#put({ labels: subject.labels.format() }, "the node has other labels");
    if (!this.#isOpen) return;
    this.#enforce();
    this.#options.engine.forget(before);
  }

  /** By which others reach the node. */
  setAddresses(addresses: readonly string[]): void {
    const [ipv4, ipv6] = [addresses.find((text) => text.includes(".")), addresses.find((text) => text.includes(":"))];
    if (ipv4 !== this.#row.ipv4 || ipv6 !== this.#row.ipv6) this.#put({ ipv4, ipv6 }, "the node has other addresses");
  }

  /** All that policy depends on is known. False: what was in force still is, and `retryFailed` tries again. */
  open(): boolean {
    this.#isOpen = true;
    return this.#enforce();
  }

  /** The policy of these subjects may have changed. */
  regenerate(subjects: ReadonlySet<string>): void {
    if (this.#isOpen && subjects.has(subjectKey(this.#subject))) this.#enforce();
  }

  /** True when nothing is left to be tried. */
  retryFailed(): boolean {
    return !this.#isBehind || this.#enforce();
  }

  sweep(): void {
    this.#options.enforcement.sweep();
  }

  #enforce(): boolean {
    const { engine, enforcement, revision, log, onRegenerated } = this.#options;
    try {
      const policy = engine.resolve(this.#subject);
      enforcement.enforce(policy);
      const { ingressEnforced, egressEnforced } = policy;
      this.#isBehind = false;
      this.#put({ ingressEnforced, egressEnforced, policyRevision: revision() }, "policy enforced", "ready");
      onRegenerated(this.#row, "");
    } catch (cause) {
      const message = `policy could not be enforced, the former one stays in force: ${errorMessage(cause)}`;
      if (!this.#isBehind) log.error(`the node itself (endpoint ${hostEndpointId}): ${message}`);
      this.#isBehind = true;
      this.#put({}, message, "not-ready");
      onRegenerated(this.#row, errorMessage(cause));
    }
    return !this.#isBehind;
  }

  #put(change: EndpointChange, message: string, state: EndpointState = this.#row.state): void {
    const nowMs = this.#options.clock.nowMs();
    let row = changeEndpoint(this.#row, change);
    if (row.state === state) row = logEndpoint(row, { atMs: nowMs, code: "ok", message });
    else
      for (const step of ["waiting-to-regenerate", "regenerating", state] as const)
        row = setEndpointState(row, step, { nowMs, message }).row;
    this.#row = row;
    this.#options.onChange(row);
  }
}

const hostLabel = "reserved:host";
const noDevice = {
  containerId: "",
  containerIfname: "",
  podNamespace: "",
  podName: "",
  ifindex: 0,
  hostDeviceName: "",
  mac: "",
  hostMac: "",
} satisfies Partial<NewEndpoint>;
