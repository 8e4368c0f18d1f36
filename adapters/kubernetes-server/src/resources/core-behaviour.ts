import { isDeepStrictEqual } from "node:util";
import { forbidden, invalid, type Problem, required } from "../schema/problem.ts";
import { isObject, type Mutable } from "../schema/schema.ts";
import { listAt, textAt, valueAt } from "./column.ts";
import { labelNameProblem, serviceNameProblem } from "./name.ts";
import type { Behaviour } from "./resource.ts";

/** The label by which policies select namespaces by name. */
const namespaceNameLabel = "kubernetes.io/metadata.name";

/** The object under the name, made when it is missing. */
export function member(object: Mutable, name: string): Mutable {
  const value = object[name];
  if (isObject(value)) return value;
  const fresh: Mutable = {};
  object[name] = fresh;
  return fresh;
}

function present(problem: Problem | undefined): readonly Problem[] {
  return problem === undefined ? [] : [problem];
}

function labelWithName(namespace: Mutable): void {
  const metadata = member(namespace, "metadata");
  const labels = isObject(metadata.labels) ? metadata.labels : {};
  metadata.labels = { ...labels, [namespaceNameLabel]: textAt(namespace, "metadata", "name") };
}

export const namespaceBehaviour: Behaviour = {
  onCreate(namespace) {
    labelWithName(namespace);
    namespace.spec = { finalizers: ["kubernetes"] };
    namespace.status = { phase: "Active" };
  },
  onUpdate: labelWithName,
  validate: (namespace) => present(labelNameProblem("metadata.name", textAt(namespace, "metadata", "name"))),
};

export const podBehaviour: Behaviour = {
  onCreate(pod) {
    const spec = member(pod, "spec");
    completePodSpec(spec, undefined);
    // There is no kubelet in sight yet: whoever runs the pod writes what becomes of it.
    pod.status = { phase: "Pending", qosClass: qualityOfService(spec) };
  },
  onUpdate: (pod, previous) => completePodSpec(member(pod, "spec"), textAt(previous, "spec", "serviceAccountName")),
  validate(pod, previous) {
    const problems = [...containerProblems(member(pod, "spec"), "spec")];
    if (previous !== undefined) problems.push(...podUpdateProblems(pod, previous));
    return problems;
  },
};

/** Defaults that depend on other fields. An update that leaves them out keeps what was there. */
function completePodSpec(spec: Mutable, accountBefore: string | undefined): void {
  completeContainers(spec);
  spec.serviceAccountName ??= spec.serviceAccount ?? accountBefore ?? "default";
  spec.serviceAccount ??= spec.serviceAccountName;
}

/** Defaults of containers that depend on their image. */
export function completeContainers(podSpec: Mutable): void {
  for (const container of [...listAt(podSpec, "containers"), ...listAt(podSpec, "initContainers")]) {
    const [, tag = "latest"] = /:([^/:@]+)(?:@.*)?$/.exec(textAt(container, "image")) ?? [];
    container.imagePullPolicy ??= tag === "latest" ? "Always" : "IfNotPresent";
  }
}

function qualityOfService(spec: Mutable): string {
  const containers = listAt(spec, "containers");
  const isSet = (container: Mutable, kind: string) => Object.keys(valueAt(container, "resources", kind) ?? {}).length > 0;
  if (!containers.some((container) => isSet(container, "requests") || isSet(container, "limits"))) return "BestEffort";
  const isGuaranteed = (container: Mutable) =>
    ["cpu", "memory"].every((name) => {
      const limit = valueAt(container, "resources", "limits", name);
      return limit !== undefined && (valueAt(container, "resources", "requests", name) ?? limit) === limit;
    });
  return containers.every(isGuaranteed) ? "Guaranteed" : "Burstable";
}

/** What is wrong with the containers of the pod spec at the path. */
export function* containerProblems(spec: Mutable, specPath: string): Generator<Problem> {
  if (listAt(spec, "containers").length === 0) yield required(`${specPath}.containers`);
  const volumes = new Set(listAt(spec, "volumes").map((volume) => textAt(volume, "name")));
  for (const list of ["initContainers", "containers"]) {
    for (const [index, container] of listAt(spec, list).entries()) {
      const path = `${specPath}.${list}[${index}]`;
      yield* present(labelNameProblem(`${path}.name`, textAt(container, "name")));
      if (textAt(container, "image") === "") yield required(`${path}.image`);
      for (const [mountIndex, mount] of listAt(container, "volumeMounts").entries()) {
        const name = textAt(mount, "name");
        if (!volumes.has(name)) {
          yield {
            reason: "FieldValueInvalid",
            path: `${path}.volumeMounts[${mountIndex}].name`,
            message: `Not found: ${JSON.stringify(name)}`,
          };
        }
      }
    }
  }
}

/** The parts of a pod that may change while it lives. */
function frozenPart(pod: Mutable): Mutable {
  const { activeDeadlineSeconds: _deadline, tolerations: _tolerations, ephemeralContainers: _ephemeral, ...rest } = member(pod, "spec");
  const { terminationGracePeriodSeconds: _grace, schedulingGates: _gates, ...spec } = rest;
  for (const list of ["containers", "initContainers"]) {
    if (spec[list] !== undefined)
      spec[list] = listAt(spec, list).map(({ image: _image, imagePullPolicy: _policy, resources: _resources, ...container }) => container);
  }
  return spec;
}

function podUpdateProblems(pod: Mutable, previous: Mutable): readonly Problem[] {
  const now = frozenPart(pod);
  const before = frozenPart(previous);
  // Binding a pod to a node is the one change from nothing to something.
  if (before.nodeName === undefined) delete now.nodeName;
  if (isDeepStrictEqual(now, before)) return [];
  const changed = [...new Set([...Object.keys(now), ...Object.keys(before)])].filter((name) => !isDeepStrictEqual(now[name], before[name]));
  const reason = `pod updates may not change fields other than images, resources, activeDeadlineSeconds, terminationGracePeriodSeconds and tolerations; this one changes ${changed.map((name) => `spec.${name}`).join(", ")}. Delete the pod and create it again`;
  return [forbidden("spec", reason)];
}

export const nodeBehaviour: Behaviour = {
  // A node registers itself, status and all.
  keepsStatusOnCreate: true,
  validate(node, previous) {
    const before = previous === undefined ? undefined : valueAt(previous, "spec", "podCIDRs");
    if (before === undefined || isDeepStrictEqual(before, valueAt(node, "spec", "podCIDRs"))) return [];
    return [forbidden("spec.podCIDRs", "node updates may not change podCIDRs once they are set")];
  },
};

function frozenContent(object: Mutable, previous: Mutable | undefined): readonly Problem[] {
  if (previous?.immutable !== true) return [];
  const isSame = ["data", "binaryData", "immutable"].every((name) => isDeepStrictEqual(object[name], previous[name]));
  return isSame ? [] : [forbidden("data", "field is immutable when `immutable` is set")];
}

function* keyProblems(object: Mutable): Generator<Problem> {
  for (const field of ["data", "binaryData"]) {
    for (const key of Object.keys(valueAt(object, field) ?? {})) {
      if (/^[-._a-zA-Z0-9]{1,253}$/.test(key)) continue;
      yield invalid(
        `${field}[${key}]`,
        key,
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.', and have at most 253 of them",
      );
    }
  }
}

export const configMapBehaviour: Behaviour = {
  validate: (map, previous) => [...keyProblems(map), ...frozenContent(map, previous)],
};

function encodeStringData(secret: Mutable): void {
  const { stringData } = secret;
  if (!isObject(stringData)) return;
  const encoded = Object.entries(stringData).map(([name, value]) => [name, Buffer.from(String(value)).toString("base64")]);
  secret.data = { ...(isObject(secret.data) ? secret.data : {}), ...Object.fromEntries(encoded) };
  delete secret.stringData;
}

export const secretBehaviour: Behaviour = {
  onCreate: encodeStringData,
  onUpdate: encodeStringData,
  validate(secret, previous) {
    const problems = [...keyProblems(secret), ...frozenContent(secret, previous)];
    if (previous !== undefined && previous.type !== secret.type) problems.push(invalid("type", secret.type, "field is immutable"));
    return problems;
  },
};

export const serviceBehaviour: Behaviour = {
  onCreate: completeService,
  onUpdate(service, previous) {
    keepAddresses(member(service, "spec"), previous);
    completeService(service);
  },
  validate(service, previous) {
    const problems = [...present(serviceNameProblem("metadata.name", textAt(service, "metadata", "name")))];
    problems.push(...addressProblems(service, previous));
    const needsPorts = textAt(service, "spec", "type") !== "ExternalName" && textAt(service, "spec", "clusterIP") !== "None";
    const ports = listAt(service, "spec", "ports");
    if (needsPorts && ports.length === 0) problems.push(required("spec.ports"));
    for (const [index, port] of ports.entries()) {
      if (ports.length > 1 && textAt(port, "name") === "") problems.push(required(`spec.ports[${index}].name`));
    }
    return problems;
  },
};

/** A writer who does not name the addresses means those that the service has. */
function keepAddresses(spec: Mutable, previous: Mutable): void {
  if (spec.type === "ExternalName" || (spec.clusterIP ?? "") !== "") return;
  for (const name of ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"]) {
    const before = valueAt(previous, "spec", name);
    if (before !== undefined && (spec[name] === undefined || spec[name] === "")) spec[name] = structuredClone(before);
  }
}

function addressProblems(service: Mutable, previous: Mutable | undefined): readonly Problem[] {
  const [now, before] = [textAt(service, "spec", "clusterIP"), textAt(previous, "spec", "clusterIP")];
  const [first] = [valueAt(service, "spec", "clusterIPs") ?? []].flat();
  if (now !== "" && first !== undefined && first !== now)
    return [invalid("spec.clusterIPs[0]", first, "first value must match `clusterIP`")];
  if (textAt(service, "spec", "type") === "ExternalName" || before === "" || now === before) return [];
  return [invalid("spec.clusterIPs[0]", now, "may not change once set")];
}

function completeService(service: Mutable): void {
  const spec = member(service, "spec");
  if (spec.type === "ExternalName") for (const name of ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"]) delete spec[name];
  if (spec.clusterIP === "") delete spec.clusterIP;
  const { clusterIP } = spec;
  if (clusterIP !== undefined) spec.clusterIPs ??= [clusterIP];
  for (const port of listAt(spec, "ports")) port.targetPort ??= port.port ?? null;
}
