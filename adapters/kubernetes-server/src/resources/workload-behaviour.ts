import { isDeepStrictEqual } from "node:util";
import { invalid, type Problem, required } from "../schema/problem.ts";
import { isObject, type Mutable } from "../schema/schema.ts";
import { listAt, textAt, valueAt } from "./column.ts";
import { completeContainers, containerProblems, member } from "./core-behaviour.ts";
import type { Behaviour } from "./resource.ts";

const template = ["spec", "template"] as const;

function completeTemplate(object: Mutable): void {
  const spec = valueAt(object, ...template, "spec");
  if (isObject(spec)) completeContainers(spec);
}

/** Whether the labels of the template are what the selector asks for. */
function selectsTemplate(object: Mutable): boolean {
  const labels = valueAt(object, ...template, "metadata", "labels") ?? {};
  const selector = valueAt(object, "spec", "selector");
  const labelOf = (key: string) => valueAt(labels, key);
  const wanted = Object.entries(valueAt(selector, "matchLabels") ?? {});
  if (!wanted.every(([key, value]) => labelOf(key) === value)) return false;
  return listAt(selector, "matchExpressions").every((expression) => {
    const value = labelOf(textAt(expression, "key"));
    const values = valueAt(expression, "values");
    const isIn = value !== undefined && Array.isArray(values) && values.includes(value);
    const holds: Record<string, boolean> = { In: isIn, NotIn: !isIn, Exists: value !== undefined, DoesNotExist: value === undefined };
    return holds[textAt(expression, "operator")] === true;
  });
}

function* workloadProblems(object: Mutable, previous: Mutable | undefined): Generator<Problem> {
  const selector = valueAt(object, "spec", "selector");
  const isEmpty = [valueAt(selector, "matchLabels"), valueAt(selector, "matchExpressions")].every(
    (part) => Object.keys(part ?? {}).length === 0,
  );
  if (isEmpty) yield required("spec.selector");
  else if (valueAt(object, ...template) !== undefined && !selectsTemplate(object)) {
    yield invalid(
      "spec.template.metadata.labels",
      valueAt(object, ...template, "metadata", "labels") ?? {},
      "`selector` does not match template `labels`",
    );
  }
  if (previous !== undefined && !isDeepStrictEqual(selector, valueAt(previous, "spec", "selector")))
    yield invalid("spec.selector", selector, "field is immutable");
  const spec = valueAt(object, ...template, "spec");
  if (isObject(spec)) yield* containerProblems(spec, "spec.template.spec");
  yield* restartProblems(object, ["Always"]);
}

function* restartProblems(object: Mutable, supported: readonly string[]): Generator<Problem> {
  const policy = textAt(object, ...template, "spec", "restartPolicy");
  if (valueAt(object, ...template, "spec") === undefined || supported.includes(policy)) return;
  const list = supported.map((one) => JSON.stringify(one)).join(", ");
  const message = `Unsupported value: ${JSON.stringify(policy)}: supported values: ${list}`;
  yield { reason: "FieldValueNotSupported", path: "spec.template.spec.restartPolicy", message };
}

/** What ReplicaSets, StatefulSets and DaemonSets have in common. */
export const workloadBehaviour: Behaviour = {
  onCreate: completeTemplate,
  onUpdate: completeTemplate,
  validate: (object, previous) => [...workloadProblems(object, previous)],
};

function completeDeployment(deployment: Mutable): void {
  completeTemplate(deployment);
  const strategy = valueAt(deployment, "spec", "strategy");
  if (!isObject(strategy) || strategy.type !== "RollingUpdate") return;
  const rolling = member(strategy, "rollingUpdate");
  rolling.maxUnavailable ??= "25%";
  rolling.maxSurge ??= "25%";
}

export const deploymentBehaviour: Behaviour = { ...workloadBehaviour, onCreate: completeDeployment, onUpdate: completeDeployment };

const controllerLabel = "batch.kubernetes.io/controller-uid";
const jobNameLabel = "batch.kubernetes.io/job-name";

function completeJob(job: Mutable): void {
  completeTemplate(job);
  const spec = member(job, "spec");
  // A job that says neither runs once; one with parallelism alone is a queue, which ends when its first pod succeeds.
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
  spec.parallelism ??= 1;
  spec.backoffLimit ??= 6;
}

/** The pods of a job are found by its uid, unless the writer says otherwise. */
function labelJob(job: Mutable): void {
  completeJob(job);
  const spec = member(job, "spec");
  if (spec.manualSelector === true) return;
  const uid = textAt(job, "metadata", "uid");
  const metadata = member(member(spec, "template"), "metadata");
  Object.assign(member(metadata, "labels"), { [controllerLabel]: uid, [jobNameLabel]: textAt(job, "metadata", "name") });
  spec.selector = { matchLabels: { [controllerLabel]: uid } };
}

export const jobBehaviour: Behaviour = {
  onCreate: labelJob,
  onUpdate: completeJob,
  validate(job, previous) {
    const spec = valueAt(job, ...template, "spec");
    const problems = [...restartProblems(job, ["OnFailure", "Never"])];
    if (isObject(spec)) problems.push(...containerProblems(spec, "spec.template.spec"));
    for (const field of ["selector", "template", "completions", "completionMode"]) {
      if (previous === undefined || valueAt(previous, "spec", "suspend") === true) break;
      const value = valueAt(job, "spec", field);
      if (!isDeepStrictEqual(value, valueAt(previous, "spec", field))) problems.push(invalid(`spec.${field}`, value, "field is immutable"));
    }
    return problems;
  },
};

export const cronJobBehaviour: Behaviour = {
  validate(cronJob) {
    const schedule = textAt(cronJob, "spec", "schedule");
    if (schedule.startsWith("@") || schedule.trim().split(/\s+/).length === 5) return [];
    return [invalid("spec.schedule", schedule, "must have five fields, such as */5 * * * *, or be a name such as @hourly")];
  },
};

function completeSubjects(binding: Mutable): void {
  for (const subject of listAt(binding, "subjects"))
    subject.apiGroup ??= subject.kind === "ServiceAccount" ? "" : "rbac.authorization.k8s.io";
  // An empty group is not written.
  for (const subject of listAt(binding, "subjects")) if (subject.apiGroup === "") delete subject.apiGroup;
}

export const roleBindingBehaviour: Behaviour = {
  onCreate: completeSubjects,
  onUpdate: completeSubjects,
  validate(binding, previous) {
    if (previous === undefined || isDeepStrictEqual(binding.roleRef, previous.roleRef)) return [];
    return [invalid("roleRef", binding.roleRef, "cannot change roleRef")];
  },
};
