import { apiVersionOf, type Resource } from "./resource.ts";

export interface EventNote {
  /** Unlike that of any other event in its namespace; the same name again is the same event. */
  readonly name: string;
  readonly about: { readonly resource: Resource; readonly namespace: string; readonly name: string; readonly uid: string };
  readonly type: "Normal" | "Warning";
  /** One word. */
  readonly reason: string;
  readonly message: string;
  readonly component: string;
  /** Node or process that tells it. */
  readonly instance: string;
  readonly nowMs: number;
}

/** What an event's message may have at most; longer ones are refused. */
const messageLengthMax = 1_024;

/** An Event that tells of an object, in its namespace; of one without namespace in `default`, as Kubernetes has it. */
export function eventObject({ name, about, type, reason, message, component, instance, nowMs }: EventNote) {
  const now = new Date(nowMs).toISOString().replace(/\.\d+Z$/, "Z");
  const { resource, namespace, uid } = about;
  const place = namespace === "" ? "default" : namespace;
  return {
    metadata: { namespace: place, name },
    involvedObject: {
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      ...(namespace !== "" && { namespace }),
      name: about.name,
      ...(uid !== "" && { uid }),
    },
    reason,
    message: message.length > messageLengthMax ? `${message.slice(0, messageLengthMax - 1)}…` : message,
    type,
    source: { component, host: instance },
    reportingComponent: component,
    reportingInstance: instance,
    firstTimestamp: now,
    lastTimestamp: now,
    count: 1,
  };
}
