import type { KubernetesObject } from "@cilium-ts/kubernetes";

const secretName = /pass(word|wd)?$|secret|token|credential|private.?key|api.?key|^key$|_key$/i;
const removed = "[removed]";

/**
 * An object without what others must not see, and without what nobody reads: values whose name says that they are secret, the values of
 * containers' environment, the copy that `kubectl apply` keeps, and the owners of fields.
 */
export function redactObject(object: KubernetesObject): KubernetesObject {
  const { managedFields: _managed, annotations, ...metadata } = object.metadata;
  const kept = Object.entries(annotations ?? {}).filter(([name]) => name !== "kubectl.kubernetes.io/last-applied-configuration");
  const redacted = redactValue({ ...object, metadata: {} }) as KubernetesObject;
  return {
    ...redacted,
    metadata: { ...metadata, ...(annotations !== undefined && { annotations: redactRecord(Object.fromEntries(kept)) }) },
  } as KubernetesObject;
}

function redactValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redactValue);
  return typeof value === "object" && value !== null ? redactRecord(value as Record<string, unknown>) : value;
}

function redactRecord(record: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(record).map(([name, value]) => {
      if (typeof value === "string" && secretName.test(name)) return [name, removed];
      if (name === "env" && Array.isArray(value)) return [name, value.map(redactVariable)];
      return [name, redactValue(value)];
    }),
  );
}

function redactVariable(variable: unknown): unknown {
  if (typeof variable !== "object" || variable === null || !("value" in variable)) return variable;
  return { ...variable, value: removed };
}
