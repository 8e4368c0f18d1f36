import type { Mutable } from "../schema/schema.ts";
import { ageOf, formatAge } from "./age.ts";
import { ageColumn, column, listAt, nameColumn, textAt, valueAt } from "./column.ts";
import { selectorText } from "./core-columns.ts";
import type { Column } from "./resource.ts";

const wide = { priority: 1 };

function number(object: Mutable, ...path: readonly string[]): number {
  return Number(valueAt(object, ...path) ?? 0);
}

const counted = (name: string, ...path: readonly string[]) => column(name, (object) => number(object, ...path), { type: "integer" });

/** The containers of the template at the path, and their images. */
function containerColumns(...path: readonly string[]): readonly Column[] {
  const listed = (field: string) => (object: Mutable) =>
    listAt(object, ...path, "spec", "containers")
      .map((container) => textAt(container, field))
      .join(",");
  return [column("Containers", listed("name"), wide), column("Images", listed("image"), wide)];
}

/** `app=web,tier in (a,b)`. */
function labelSelectorText(selector: unknown): string {
  const labels = selectorText(valueAt(selector as Mutable, "matchLabels"));
  const expressions = listAt(selector as Mutable, "matchExpressions").map((expression) => {
    const key = textAt(expression, "key");
    const values = (valueAt(expression, "values") as unknown[] | undefined)?.join(",") ?? "";
    const forms: Record<string, string> = { In: `${key} in (${values})`, NotIn: `${key} notin (${values})`, Exists: key };
    return forms[textAt(expression, "operator")] ?? `!${key}`;
  });
  return [...(labels === "<none>" ? [] : [labels]), ...expressions].join(",") || "<none>";
}

const selectorColumn = column("Selector", (object) => labelSelectorText(valueAt(object, "spec", "selector")), wide);
const readyColumn = column("Ready", (object) => `${number(object, "status", "readyReplicas")}/${number(object, "spec", "replicas")}`);

export const deploymentColumns: readonly Column[] = [
  nameColumn,
  readyColumn,
  column("Up-to-date", (object) => number(object, "status", "updatedReplicas")),
  column("Available", (object) => number(object, "status", "availableReplicas")),
  ageColumn,
  ...containerColumns("spec", "template"),
  selectorColumn,
];

export const replicaSetColumns: readonly Column[] = [
  nameColumn,
  counted("Desired", "spec", "replicas"),
  counted("Current", "status", "replicas"),
  counted("Ready", "status", "readyReplicas"),
  ageColumn,
  ...containerColumns("spec", "template"),
  selectorColumn,
];

export const statefulSetColumns: readonly Column[] = [nameColumn, readyColumn, ageColumn, ...containerColumns("spec", "template")];

export const daemonSetColumns: readonly Column[] = [
  nameColumn,
  counted("Desired", "status", "desiredNumberScheduled"),
  counted("Current", "status", "currentNumberScheduled"),
  counted("Ready", "status", "numberReady"),
  counted("Up-to-date", "status", "updatedNumberScheduled"),
  counted("Available", "status", "numberAvailable"),
  column("Node Selector", (object) => selectorText(valueAt(object, "spec", "template", "spec", "nodeSelector"))),
  ageColumn,
  ...containerColumns("spec", "template"),
  selectorColumn,
];

export const controllerRevisionColumns: readonly Column[] = [
  nameColumn,
  column("Controller", (object) => {
    const owner = listAt(object, "metadata", "ownerReferences").find(({ controller }) => controller === true);
    if (owner === undefined) return "<none>";
    const [group = ""] = textAt(owner, "apiVersion").split("/");
    return `${textAt(owner, "kind").toLowerCase()}.${group}/${textAt(owner, "name")}`;
  }),
  counted("Revision", "revision"),
  ageColumn,
];

export const jobColumns: readonly Column[] = [
  nameColumn,
  column("Status", jobStatus),
  column("Completions", (object) => {
    const completions = valueAt(object, "spec", "completions");
    const succeeded = number(object, "status", "succeeded");
    if (completions !== undefined) return `${succeeded}/${String(completions)}`;
    const parallelism = number(object, "spec", "parallelism");
    return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
  }),
  column("Duration", (object, nowMs) => {
    const startMs = Date.parse(textAt(object, "status", "startTime"));
    if (Number.isNaN(startMs)) return "";
    const endMs = Date.parse(textAt(object, "status", "completionTime"));
    return formatAge((Number.isNaN(endMs) ? nowMs : endMs) - startMs);
  }),
  ageColumn,
  ...containerColumns("spec", "template"),
  selectorColumn,
];

function jobStatus(job: Mutable): string {
  const holds = (type: string) => listAt(job, "status", "conditions").some((one) => one.type === type && one.status === "True");
  if (holds("Complete")) return "Complete";
  if (holds("Failed")) return "Failed";
  if (valueAt(job, "metadata", "deletionTimestamp") !== undefined) return "Terminating";
  return ["Suspended", "FailureTarget", "SuccessCriteriaMet"].find(holds) ?? "Running";
}

export const cronJobColumns: readonly Column[] = [
  nameColumn,
  column("Schedule", (object) => textAt(object, "spec", "schedule")),
  column("Timezone", (object) => textAt(object, "spec", "timeZone") || "<none>"),
  column("Suspend", (object) => (valueAt(object, "spec", "suspend") === true ? "True" : "False")),
  column("Active", (object) => listAt(object, "status", "active").length, { type: "integer" }),
  column("Last Schedule", (object, nowMs) => {
    const time = valueAt(object, "status", "lastScheduleTime");
    return time === undefined ? "<none>" : ageOf(time, nowMs);
  }),
  ageColumn,
  ...containerColumns("spec", "jobTemplate", "spec", "template"),
  column("Selector", (object) => labelSelectorText(valueAt(object, "spec", "jobTemplate", "spec", "selector")), wide),
];

export const disruptionBudgetColumns: readonly Column[] = [
  nameColumn,
  column("Min Available", (object) => textAt(object, "spec", "minAvailable") || "N/A"),
  column("Max Unavailable", (object) => textAt(object, "spec", "maxUnavailable") || "N/A"),
  counted("Allowed Disruptions", "status", "disruptionsAllowed"),
  ageColumn,
];

export const roleColumns: readonly Column[] = [
  nameColumn,
  column("Created At", (object) => textAt(object, "metadata", "creationTimestamp"), { type: "date" }),
];

function subjects(kind: string): Column["cell"] {
  return (object) =>
    listAt(object, "subjects")
      .filter((subject) => subject.kind === kind)
      .map((subject) =>
        kind === "ServiceAccount" ? `${textAt(subject, "namespace")}/${textAt(subject, "name")}` : textAt(subject, "name"),
      )
      .join(", ");
}

export const roleBindingColumns: readonly Column[] = [
  nameColumn,
  column("Role", (object) => `${textAt(object, "roleRef", "kind")}/${textAt(object, "roleRef", "name")}`),
  ageColumn,
  column("Users", subjects("User"), wide),
  column("Groups", subjects("Group"), wide),
  column("ServiceAccounts", subjects("ServiceAccount"), wide),
];

export const ingressColumns: readonly Column[] = [
  nameColumn,
  column("Class", (object) => textAt(object, "spec", "ingressClassName") || "<none>"),
  column("Hosts", (object) => {
    const hosts = [...new Set(listAt(object, "spec", "rules").map((rule) => textAt(rule, "host") || "*"))];
    const more = hosts.length > 3 ? ` + ${hosts.length - 3} more...` : "";
    return `${hosts.slice(0, 3).join(",")}${more}` || "*";
  }),
  column("Address", (object) =>
    listAt(object, "status", "loadBalancer", "ingress")
      .map((entry) => textAt(entry, "ip") || textAt(entry, "hostname"))
      .join(","),
  ),
  column("Ports", (object) => (listAt(object, "spec", "tls").length > 0 ? "80, 443" : "80")),
  ageColumn,
];

export const ingressClassColumns: readonly Column[] = [
  nameColumn,
  column("Controller", (object) => textAt(object, "spec", "controller")),
  column("Parameters", (object) => {
    const kind = textAt(object, "spec", "parameters", "kind");
    const group = textAt(object, "spec", "parameters", "apiGroup");
    return kind === "" ? "<none>" : `${kind}${group === "" ? "" : `.${group}`}/${textAt(object, "spec", "parameters", "name")}`;
  }),
  ageColumn,
];
