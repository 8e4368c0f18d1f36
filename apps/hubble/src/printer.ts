import { toJson } from "@bufbuild/protobuf";
import { Columns, clean } from "@cilium-ts/command-line";
import { dropReasonText, EventType, policyMatchText, reservedIdentityNames, tracePointText } from "@cilium-ts/flow";
import { flowpb, observerpb, relaypb } from "@cilium-ts/observer";
import { type Colors, colorsFor } from "./colors.ts";
import { formatTime, type TimeFormat } from "./time-format.ts";

export const outputFormats = ["compact", "dict", "json", "jsonpb", "table"] as const;
export type OutputFormat = (typeof outputFormats)[number];

export interface PrinterOptions {
  readonly format: OutputFormat;
  readonly timeFormat: TimeFormat;
  readonly color: boolean;
  readonly nodeName: boolean;
  readonly policyNames: boolean;
  /** Names of pods and services in place of addresses. */
  readonly translate: boolean;
  readonly debug: boolean;
  /** `-o json` without the wrapper around the flow. */
  readonly legacyJson: boolean;
}

export interface Streams {
  out(text: string): void;
  error(text: string): void;
}

const separator = "------------";
const nodeNamesWidth = 50;

/** Writes what a server sends as people and their scripts know it. Flows and losses go to out, the state of nodes to error. */
export class Printer {
  readonly #options: PrinterOptions;
  readonly #streams: Streams;
  readonly #colors: Colors;
  readonly #columns = new Columns();
  #count = 0;

  constructor(options: PrinterOptions, streams: Streams) {
    this.#options = options;
    this.#streams = streams;
    this.#colors = colorsFor(options.color && options.format !== "table");
  }

  print(response: observerpb.GetFlowsResponse): void {
    switch (response.responseTypes.case) {
      case "flow":
        this.#printFlow(response, response.responseTypes.value);
        break;
      case "lostEvents":
        this.#printLost(response, response.responseTypes.value);
        break;
      case "nodeStatus":
        this.#printNodeStatus(response, response.responseTypes.value);
        break;
      case undefined:
        break;
    }
  }

  /** What a table held back to know its widths. */
  close(): void {
    this.#streams.out(this.#columns.take());
  }

  #printFlow(response: observerpb.GetFlowsResponse, flow: flowpb.Flow): void {
    const { format, timeFormat, nodeName, legacyJson } = this.#options;
    if (format === "json" || format === "jsonpb") {
      const bare = legacyJson && format === "json";
      const json = bare ? toJson(flowpb.FlowSchema, flow, jsonOptions) : toJson(observerpb.GetFlowsResponseSchema, response, jsonOptions);
      this.#streams.out(`${JSON.stringify(json)}\n`);
      return;
    }
    const time = formatTime(timeFormat, flow.time);
    const [source, destination] = this.#hosts(flow);
    const [type, verdict, summary] = [clean(flowTypeText(flow)), this.#verdict(flow), this.#summary(flow)];
    if (format === "table") {
      this.#tableRow([time, ...(nodeName ? [clean(flow.nodeName)] : []), source, destination, type, verdict, summary]);
    } else if (format === "dict") {
      this.#dict([
        ["TIMESTAMP", time],
        ...(nodeName ? ([["NODE", clean(flow.nodeName)]] as const) : []),
        ["SOURCE", source],
        ["DESTINATION", destination],
        ["TYPE", type],
        ["VERDICT", verdict],
        ["SUMMARY", summary],
      ]);
    } else {
      const left = `${source} ${this.#identity(flow.source)}`;
      const right = `${destination} ${this.#identity(flow.destination)}`;
      // The client stays on the left: an answer turns the arrow, not the line.
      const ends = flow.isReply === undefined ? `${left} <> ${right}` : flow.isReply ? `${right} <- ${left}` : `${left} -> ${right}`;
      const node = nodeName ? ` [${clean(flow.nodeName)}]` : "";
      this.#streams.out(`${time}${node}: ${ends} ${type} ${verdict} (${summary})\n`);
    }
    this.#count += 1;
  }

  #printLost(response: observerpb.GetFlowsResponse, lost: flowpb.LostEvent): void {
    const { format, nodeName, legacyJson } = this.#options;
    const source = flowpb.LostEventSource[lost.source] ?? String(lost.source);
    const summary = `CPU(${lost.cpu ?? 0}) - ${lost.numEventsLost}`;
    if (format === "json" || format === "jsonpb") {
      const bare = legacyJson && format === "json";
      const json = bare
        ? toJson(flowpb.LostEventSchema, lost, jsonOptions)
        : toJson(observerpb.GetFlowsResponseSchema, response, jsonOptions);
      this.#streams.out(`${JSON.stringify(json)}\n`);
      return;
    }
    if (format === "table") this.#tableRow(["", ...(nodeName ? [""] : []), source, "", "EVENTS LOST", "", summary]);
    else if (format === "dict") {
      this.#dict([
        ["TIMESTAMP", ""],
        ...(nodeName ? ([["NODE", ""]] as const) : []),
        ["SOURCE", source],
        ["TYPE", "EVENTS LOST"],
        ["VERDICT", ""],
        ["SUMMARY", summary],
      ]);
    } else this.#streams.out(`EVENTS LOST: ${source} CPU(${lost.cpu ?? 0}) ${lost.numEventsLost}\n`);
    this.#count += 1;
  }

  #printNodeStatus(response: observerpb.GetFlowsResponse, status: relaypb.NodeStatusEvent): void {
    const { format, timeFormat, debug } = this.#options;
    const { stateChange: state, nodeNames, message } = status;
    const serious = state === relaypb.NodeState.NODE_ERROR || state === relaypb.NodeState.NODE_UNAVAILABLE;
    if (!serious && !debug) return;
    if (format === "json" || format === "jsonpb") {
      this.#streams.error(`${JSON.stringify(toJson(observerpb.GetFlowsResponseSchema, response, jsonOptions))}\n`);
      return;
    }
    const names = clean(joinWithin(nodeNames, nodeNamesWidth));
    const time = formatTime(timeFormat, response.time);
    if (format === "dict") {
      const rows = [
        ["TIMESTAMP", time],
        ["STATE", relaypb.NodeState[state] ?? String(state)],
        ["NODES", names],
        ["MESSAGE", message === "" ? "N/A" : JSON.stringify(message)],
      ] as const;
      this.#streams.error(`${this.#count > 0 ? `${separator}\n` : ""}${dictText(rows)}`);
      this.#count += 1;
      return;
    }
    const prefix = `${time} [${clean(response.nodeName)}]: `;
    const count = nodeNames.length;
    const texts: Readonly<Record<number, string>> = {
      [relaypb.NodeState.NODE_CONNECTED]: `Receiving flows from ${count} nodes: ${names}`,
      [relaypb.NodeState.NODE_UNAVAILABLE]: `${count} nodes are unavailable: ${names}`,
      [relaypb.NodeState.NODE_GONE]: `${count} nodes removed from cluster: ${names}`,
      [relaypb.NodeState.NODE_ERROR]: `Error ${JSON.stringify(message)} on ${count} nodes: ${names}`,
    };
    this.#streams.error(`${prefix}${texts[state] ?? `nodes changed to state ${state}: ${names}`}\n`);
  }

  #dict(rows: ReadonlyArray<readonly [string, string]>): void {
    this.#streams.out(`${this.#count > 0 ? `${separator}\n` : ""}${dictText(rows)}`);
  }

  #tableRow(cells: readonly string[]): void {
    if (this.#count === 0) {
      const node = this.#options.nodeName ? ["NODE"] : [];
      this.#columns.add(["TIMESTAMP", ...node, "SOURCE", "DESTINATION", "TYPE", "VERDICT", "SUMMARY"]);
    }
    this.#columns.add(cells);
    if (this.#columns.isFull) this.#streams.out(this.#columns.take());
  }

  #hosts(flow: flowpb.Flow): [string, string] {
    const { IP: ip, ethernet, source, destination } = flow;
    if (ip === undefined) return [this.#colors.host(clean(ethernet?.source ?? "")), this.#colors.host(clean(ethernet?.destination ?? ""))];
    const [sourcePort, destinationPort] = portsOf(flow.l4);
    return [
      this.#host(ip.source, sourcePort, source, flow.sourceService, flow.sourceNames),
      this.#host(ip.destination, destinationPort, destination, flow.destinationService, flow.destinationNames),
    ];
  }

  #host(
    address: string,
    port: number,
    endpoint: flowpb.Endpoint | undefined,
    service: flowpb.Service | undefined,
    names: readonly string[],
  ): string {
    let host = address;
    if (this.#options.translate) {
      const namespace = service?.namespace ?? endpoint?.namespace ?? "";
      const name = endpoint?.podName || service?.name || "";
      if (name !== "") host = namespace === "" ? name : `${namespace}/${name}`;
      else if (names.length > 0) host = names.join(",");
    }
    host = clean(host);
    if (port === 0) return this.#colors.host(host);
    return this.#colors.host(`${host.includes(":") ? `[${host}]` : host}:${this.#colors.port(String(port))}`);
  }

  #identity(endpoint: flowpb.Endpoint | undefined): string {
    const identity = endpoint?.identity ?? 0;
    const reserved = reservedIdentityNames[identity];
    return this.#colors.identity(reserved === undefined ? `(ID:${identity})` : `(${reserved})`);
  }

  #verdict(flow: flowpb.Flow): string {
    const { verdict } = flow;
    const name = flowpb.Verdict[verdict] ?? String(verdict);
    const word = flow.eventType?.type === EventType.policyVerdict ? (policyWords[verdict] ?? name) : name;
    const by = this.#options.policyNames ? policyNamesOf(flow) : "";
    return this.#colors.verdict(verdict, by === "" ? word : `${word} BY ${clean(by)}`);
  }

  #summary(flow: flowpb.Flow): string {
    const traceId = flow.ipTraceId?.traceId ?? 0n;
    const auth =
      flow.authType === 0 ? "" : `; ${this.#colors.auth(flow.authType, flowpb.AuthType[flow.authType] ?? String(flow.authType))}`;
    return `${traceId === 0n ? "" : `IP Trace ID: ${traceId}; `}${clean(flow.Summary)}${auth}`;
  }
}

const jsonOptions = { useProtoFieldName: true } as const;

/** What a verdict is called where it is a policy's. */
const policyWords: Readonly<Record<number, string>> = {
  [flowpb.Verdict.FORWARDED]: "ALLOWED",
  [flowpb.Verdict.REDIRECTED]: "ALLOWED",
  [flowpb.Verdict.DROPPED]: "DENIED",
  [flowpb.Verdict.ERROR]: "DENIED",
  [flowpb.Verdict.AUDIT]: "AUDITED",
};

const sockPointTexts: Readonly<Record<number, string>> = {
  1: "pre-xlate-fwd",
  2: "post-xlate-fwd",
  3: "pre-xlate-rev",
  4: "post-xlate-rev",
};

function flowTypeText(flow: flowpb.Flow): string {
  if (flow.l7 !== undefined) return layer7Text(flow.l7);
  const subType = flow.eventType?.subType ?? 0;
  switch (flow.eventType?.type) {
    case EventType.trace:
      return tracePointText(subType);
    case EventType.drop:
      return dropReasonText(subType);
    case EventType.policyVerdict:
      return `policy-verdict:${policyMatchText(flow.policyMatchType)} ${flowpb.TrafficDirection[flow.trafficDirection] ?? ""}`;
    case EventType.capture:
      return flowpb.DebugCapturePoint[flow.debugCapturePoint] ?? String(flow.debugCapturePoint);
    case EventType.traceSock:
      return sockPointTexts[flow.sockXlatePoint] ?? flowpb.SocketTranslationPoint[flow.sockXlatePoint] ?? "";
    default:
      return "UNKNOWN";
  }
}

function layer7Text(l7: flowpb.Layer7): string {
  const type = (flowpb.L7FlowType[l7.type] ?? "").toLowerCase();
  if (l7.record.case === "dns") return `dns-${type} ${l7.record.value.observationSource}`;
  return `${l7.record.case ?? "l7"}-${type}`;
}

function policyNamesOf(flow: flowpb.Flow): string {
  const policies = [...flow.ingressAllowedBy, ...flow.egressAllowedBy, ...flow.ingressDeniedBy, ...flow.egressDeniedBy];
  return policies.map(({ name, kind }) => (kind === "" ? name : `${name} (${kind})`)).join(", ");
}

function portsOf(l4: flowpb.Layer4 | undefined): [number, number] {
  const protocol = l4?.protocol;
  if (protocol?.case === "TCP" || protocol?.case === "UDP" || protocol?.case === "SCTP") {
    return [protocol.value.sourcePort, protocol.value.destinationPort];
  }
  return [0, 0];
}

function dictText(rows: ReadonlyArray<readonly [string, string]>): string {
  return rows.map(([name, value]) => `${name.padStart(11)}: ${value}\n`).join("");
}

/** As many as fit, at least one, and how many were left out. */
function joinWithin(names: readonly string[], width: number): string {
  let length = 0;
  let shown = 0;
  for (const name of names) {
    length += name.length + 2;
    if (length > width && shown > 0) break;
    shown += 1;
  }
  const text = names.slice(0, shown).join(", ");
  return shown === names.length ? text : `${text} (and ${names.length - shown} more)`;
}
