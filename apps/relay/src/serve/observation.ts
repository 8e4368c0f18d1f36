import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type FieldMask, FieldMaskSchema, type Timestamp } from "@bufbuild/protobuf/wkt";
import { GrpcCode, GrpcError, observerpb } from "@cilium-ts/observer";
import { timestampOf } from "../merge/resume-point.ts";

/** What the requests of the three streams have in common. */
interface ObservationRequest {
  number: bigint;
  first: boolean;
  follow: boolean;
  since?: Timestamp | undefined;
  until?: Timestamp | undefined;
  fieldMask?: FieldMask | undefined;
}

/** One request, and the requests to nodes that are made of it. */
export interface Observation {
  readonly path: string;
  /** 0: all. */
  readonly number: number;
  readonly first: boolean;
  readonly follow: boolean;
  readonly hasSince: boolean;
  readonly hasUntil: boolean;
  /** For what has happened. */
  history(): Uint8Array;
  /** For what happens from now on, or from then on. */
  live(sinceMs: number | undefined): Uint8Array;
}

const kinds = {
  "/observer.Observer/GetFlows": observerpb.GetFlowsRequestSchema,
  "/observer.Observer/GetAgentEvents": observerpb.GetAgentEventsRequestSchema,
  "/observer.Observer/GetDebugEvents": observerpb.GetDebugEventsRequestSchema,
} as const;

export const observationPaths = Object.keys(kinds) as ReadonlyArray<keyof typeof kinds>;

/** Throws InvalidArgument for what no node could answer. */
export function readObservation(path: keyof typeof kinds, bytes: Uint8Array): Observation {
  const schema: DescMessage = kinds[path];
  const decoded = decode(schema, bytes);
  const request = decoded as unknown as ObservationRequest;
  if (request.first && request.follow)
    throw new GrpcError(GrpcCode.invalidArgument, "first cannot be combined with follow: ask for the first flows, or follow the new ones");
  const paths = request.fieldMask?.paths ?? [];
  // Without a time nothing can be put in order, so the nodes are asked for it too.
  const fieldMask = paths.length === 0 ? undefined : create(FieldMaskSchema, { paths: [...new Set([...paths, "time"])] });
  const encode = (change: Partial<ObservationRequest>): Uint8Array => {
    const mask = fieldMask === undefined ? {} : { fieldMask };
    return toBinary(schema, Object.assign(decode(schema, bytes), mask, change));
  };
  return {
    path,
    number: Number(request.number),
    first: request.first,
    follow: request.follow,
    hasSince: request.since !== undefined,
    hasUntil: request.until !== undefined,
    history: () => encode({ follow: false }),
    live: (sinceMs) => encode({ follow: true, number: 0n, since: sinceMs === undefined ? undefined : timestampOf(sinceMs) }),
  };
}

function decode(schema: DescMessage, bytes: Uint8Array): MessageShape<DescMessage> {
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new GrpcError(GrpcCode.invalidArgument, `the request is no ${schema.typeName}`, { cause });
  }
}
