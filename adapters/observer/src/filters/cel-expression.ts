import { celEnv, isCelError, objectType, parse, plan } from "@bufbuild/cel";
import type { Expr } from "@bufbuild/cel-spec/cel/expr/syntax_pb.js";
import { create, createRegistry, fromBinary } from "@bufbuild/protobuf";
import { decodeFlow, type FilterOptions, type Flow } from "@cilium-ts/flow";
import { FlowEncoder } from "../encoding/flow-encoder.ts";
import { type Flow as FlowMessage, FlowSchema, file_flow_flow } from "../gen/flow/flow_pb.js";
import { expressionCost } from "./cel-cost.ts";

type Compiled = ReturnType<FilterOptions["compileExpression"]>;
type Evaluation = (flow: FlowMessage) => { readonly value: unknown } | { readonly error: string };

const lengthMax = 2_048;
/** Steps for one flow. A step takes about a tenth of a microsecond. */
const costMax = 5_000;

/** Enums are known with and without their package, as `Verdict.DROPPED`. */
const environment = celEnv({
  namespace: "flow",
  registry: createRegistry(file_flow_flow),
  variables: { _flow: objectType(FlowSchema) },
});

/** Flows on which an expression is tried before it is taken: names that do not exist, and results that are no bool, show at once. */
const trials: readonly FlowMessage[] = [
  create(FlowSchema),
  create(FlowSchema, {
    time: {},
    emitter: {},
    ethernet: {},
    IP: {},
    tunnel: { IP: {} },
    source: { labels: ["k8s:app=trial"], workloads: [{ name: "trial" }] },
    destination: { labels: ["k8s:app=trial"], workloads: [{ name: "trial" }] },
    sourceNames: ["trial"],
    destinationNames: ["trial"],
    nodeLabels: ["trial=true"],
    eventType: {},
    sourceService: {},
    destinationService: {},
    file: {},
    ipTraceId: {},
    isReply: false,
    interface: {},
    traceContext: { parent: {} },
    egressAllowedBy: [{ labels: ["trial"] }],
    ingressAllowedBy: [{ labels: ["trial"] }],
    egressDeniedBy: [{ labels: ["trial"] }],
    ingressDeniedBy: [{ labels: ["trial"] }],
    policyLog: ["trial"],
  }),
];

/** What depends on the flow and not on the expression: an index or a key that this flow does not have, a division by zero. */
const ofTheFlow = /out of bounds|no such key|key not found|divide by zero|division by zero|modulus by zero|overflow|invalid argument/i;

/**
 * An expression of CEL over the variable `_flow`, a flow.Flow. Its cost is bounded before it is taken; one that fails on a flow does not
 * match it.
 */
export function compileCelExpression(expression: string): Compiled {
  if (expression.length > lengthMax) return { problem: `it has ${expression.length} characters; at most ${lengthMax} are taken` };
  const evaluation = planExpression(expression);
  if ("problem" in evaluation) return evaluation;
  for (const flow of trials) {
    const outcome = evaluation.evaluate(flow);
    if ("error" in outcome) {
      if (!ofTheFlow.test(outcome.error)) return { problem: outcome.error };
    } else if (typeof outcome.value !== "boolean") return { problem: `its result is no bool; compare it with something` };
  }
  const encoder = new FlowEncoder({ emitter: { name: "", version: "" } });
  return {
    matches(event) {
      const flow = decodeFlow(event);
      if (flow === undefined) return false;
      const outcome = evaluation.evaluate(flowMessage(encoder, flow));
      return "value" in outcome && outcome.value === true;
    },
  };
}

function planExpression(expression: string): { readonly evaluate: Evaluation } | { readonly problem: string } {
  let tree: { readonly expr: Expr };
  try {
    tree = parse(expression);
  } catch (cause) {
    return { problem: cause instanceof Error ? cause.message : String(cause) };
  }
  const cost = expressionCost(tree.expr);
  if (cost > costMax) return { problem: `it may take ${cost} steps for one flow; at most ${costMax} are allowed` };
  const run = plan(environment, tree.expr);
  return {
    evaluate(flow) {
      try {
        const result = run({ _flow: flow });
        return isCelError(result) ? { error: result.message } : { value: result };
      } catch (cause) {
        return { error: cause instanceof Error ? cause.message : String(cause) };
      }
    },
  };
}

/** By way of the bytes that a client would get: there is one translation of a flow, and this is not another. */
function flowMessage(encoder: FlowEncoder, flow: Flow): FlowMessage {
  return fromBinary(FlowSchema, encoder.encodeFlow(flow));
}
