import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { flowpb } from "@cilium-ts/observer";
import { errorMessage } from "@cilium-ts/std";

const linesMax = 1_000_000;

/** Flows that were kept with `hubble observe --output jsonpb`, given again at their pace, over and over. */
export class Recording {
  readonly #flows: readonly flowpb.Flow[];
  readonly #firstMs: number;
  readonly #lengthMs: number;
  #at = 0;

  /** Throws, naming the line, for what is no recording. */
  constructor(text: string) {
    const flows: flowpb.Flow[] = [];
    for (const [index, line] of text.split("\n").entries()) {
      if (line.trim() === "") continue;
      if (flows.length >= linesMax) throw new Error(`the recording has more than ${linesMax} flows: cut it`);
      const flow = readLine(line, index + 1);
      if (flow !== undefined) flows.push(flow);
    }
    if (flows.length === 0) throw new Error("the recording has no flows: make one with hubble observe --output jsonpb");
    this.#flows = flows.sort((left, right) => timeOf(left) - timeOf(right));
    this.#firstMs = timeOf(flows[0]);
    this.#lengthMs = timeOf(flows.at(-1)) - this.#firstMs + 1_000;
  }

  /** What happened up to now, when the first flow happened at `startMs`, and has not been given. */
  *until(startMs: number, nowMs: number): Generator<flowpb.Flow> {
    for (;;) {
      const round = Math.floor(this.#at / this.#flows.length);
      const flow = this.#flows[this.#at % this.#flows.length];
      const timeMs = startMs + round * this.#lengthMs + timeOf(flow) - this.#firstMs;
      if (flow === undefined || timeMs > nowMs) return;
      this.#at += 1;
      yield { ...flow, uuid: `${flow.uuid}-${round}`, time: timestampFromMs(Math.floor(timeMs)) };
    }
  }
}

function timeOf(flow: flowpb.Flow | undefined): number {
  return flow?.time === undefined ? 0 : timestampMs(flow.time);
}

function readLine(line: string, number: number): flowpb.Flow | undefined {
  try {
    const parsed: unknown = JSON.parse(line);
    if (typeof parsed !== "object" || parsed === null) throw new Error("no object");
    // `jsonpb` has the whole response, `json` of old the flow alone.
    const json = "flow" in parsed ? parsed.flow : "time" in parsed && "verdict" in parsed ? parsed : undefined;
    return json === undefined ? undefined : fromJson(flowpb.FlowSchema, json as JsonValue, { ignoreUnknownFields: true });
  } catch (cause) {
    throw new Error(`line ${number} is no flow: ${errorMessage(cause)}`, { cause });
  }
}
