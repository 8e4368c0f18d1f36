import { coreSchemas } from "./core-v1.ts";
import { metaSchemas } from "./meta-v1.ts";
import { parseSchemas } from "./notation.ts";
import type { Schema } from "./schema.ts";

// Kinds that the server stores for others to act on. Facts: the Kubernetes API reference.

const known = new Map([...coreSchemas, ...metaSchemas]);

const templateNotation = `
PodTemplateSpec What each pod of a workload is made from.
  metadata ObjectMeta
  spec PodSpec
`;

export const appsSchemas: ReadonlyMap<string, Schema> = parseSchemas(
  `
${templateNotation}
Deployment Pods that are all the same, replaced step by step when their template changes.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec DeploymentSpec
  status DeploymentStatus
DeploymentSpec How many pods, of what template.
  replicas int32 default=1 min=0 -- How many pods there should be.
  selector! LabelSelector atomic -- Which pods belong to the deployment; it never changes.
  template! PodTemplateSpec -- What the pods are made from.
  strategy DeploymentStrategy default={} retain -- How old pods are replaced by new ones.
  minReadySeconds int32 min=0
  revisionHistoryLimit int32 default=10 min=0
  paused bool
  progressDeadlineSeconds int32 default=600
DeploymentStrategy How old pods are replaced by new ones.
  type string enum=Recreate|RollingUpdate default="RollingUpdate"
  rollingUpdate RollingUpdateDeployment
RollingUpdateDeployment How many pods may be missing or too many meanwhile.
  maxUnavailable intOrString
  maxSurge intOrString
DeploymentStatus What the deployment has come to.
  observedGeneration int64
  replicas int32
  updatedReplicas int32
  readyReplicas int32
  availableReplicas int32
  unavailableReplicas int32
  terminatingReplicas int32
  collisionCount int32
  conditions WorkloadCondition[] key=type
WorkloadCondition One observed property of a workload.
  type! string
  status! string
  lastUpdateTime time
  lastTransitionTime time
  lastProbeTime time
  reason string
  message string
ReplicaSet A number of pods that are all the same.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec ReplicaSetSpec
  status ReplicaSetStatus
ReplicaSetSpec How many pods, of what template.
  replicas int32 default=1 min=0 -- How many pods there should be.
  minReadySeconds int32 min=0
  selector! LabelSelector atomic -- Which pods belong to the set; it never changes.
  template PodTemplateSpec -- What the pods are made from.
ReplicaSetStatus What the set has come to.
  replicas int32
  fullyLabeledReplicas int32
  readyReplicas int32
  availableReplicas int32
  terminatingReplicas int32
  observedGeneration int64
  conditions WorkloadCondition[] key=type
StatefulSet Pods with names and storage that stay.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec StatefulSetSpec
  status StatefulSetStatus
StatefulSetSpec How many pods, of what template, and with which storage.
  replicas int32 default=1 min=0 -- How many pods there should be.
  selector! LabelSelector atomic -- Which pods belong to the set; it never changes.
  template! PodTemplateSpec -- What the pods are made from.
  volumeClaimTemplates object[]
  serviceName string
  podManagementPolicy string enum=OrderedReady|Parallel default="OrderedReady"
  updateStrategy object
  revisionHistoryLimit int32 default=10 min=0
  minReadySeconds int32 min=0
  persistentVolumeClaimRetentionPolicy object
  ordinals object
StatefulSetStatus What the set has come to.
  observedGeneration int64
  replicas int32
  readyReplicas int32
  currentReplicas int32
  updatedReplicas int32
  availableReplicas int32
  currentRevision string
  updateRevision string
  collisionCount int32
  conditions WorkloadCondition[] key=type
DaemonSet One pod on every node.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec DaemonSetSpec
  status DaemonSetStatus
DaemonSetSpec Of what template the pods are.
  selector! LabelSelector atomic -- Which pods belong to the set; it never changes.
  template! PodTemplateSpec -- What the pods are made from.
  updateStrategy object
  minReadySeconds int32 min=0
  revisionHistoryLimit int32 default=10 min=0
DaemonSetStatus What the set has come to.
  currentNumberScheduled int32
  numberMisscheduled int32
  desiredNumberScheduled int32
  numberReady int32
  observedGeneration int64
  updatedNumberScheduled int32
  numberAvailable int32
  numberUnavailable int32
  collisionCount int32
  conditions WorkloadCondition[] key=type
ControllerRevision A state that a workload had before.
  apiVersion string
  kind string
  metadata ObjectMeta
  data any
  revision! int64
`,
  "io.k8s.api.apps.v1",
  known,
);

export const batchSchemas: ReadonlyMap<string, Schema> = parseSchemas(
  `
${templateNotation}
Job Pods that run until enough of them have succeeded.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec JobSpec
  status JobStatus
JobSpec How often, and how many at a time.
  parallelism int32 min=0
  completions int32 min=0
  activeDeadlineSeconds int64
  podFailurePolicy object
  successPolicy object
  backoffLimit int32 min=0
  backoffLimitPerIndex int32
  maxFailedIndexes int32
  selector LabelSelector atomic
  manualSelector bool
  template! PodTemplateSpec -- What the pods are made from.
  ttlSecondsAfterFinished int32 min=0
  completionMode string enum=NonIndexed|Indexed default="NonIndexed"
  suspend bool default=false
  podReplacementPolicy string
  managedBy string
JobStatus What the job has come to.
  conditions WorkloadCondition[] key=type
  startTime time
  completionTime time
  active int32
  succeeded int32
  failed int32
  terminating int32
  completedIndexes string
  failedIndexes string
  uncountedTerminatedPods object
  ready int32
WorkloadCondition One observed property of a workload.
  type! string
  status! string
  lastProbeTime time
  lastTransitionTime time
  reason string
  message string
CronJob Jobs at the times of a schedule.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec CronJobSpec
  status CronJobStatus
CronJobSpec When, and which job.
  schedule! string -- Five fields, as cron has them.
  timeZone string
  startingDeadlineSeconds int64
  concurrencyPolicy string enum=Allow|Forbid|Replace default="Allow"
  suspend bool default=false
  jobTemplate! JobTemplateSpec
  successfulJobsHistoryLimit int32 default=3 min=0
  failedJobsHistoryLimit int32 default=1 min=0
JobTemplateSpec What each job is made from.
  metadata ObjectMeta
  spec JobSpec
CronJobStatus What the schedule has come to.
  active ObjectReference[] atomic
  lastScheduleTime time
  lastSuccessfulTime time
`,
  "io.k8s.api.batch.v1",
  known,
);

export const policySchemas: ReadonlyMap<string, Schema> = parseSchemas(
  `
PodDisruptionBudget How many pods may be missing on purpose.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec PodDisruptionBudgetSpec
  status PodDisruptionBudgetStatus
PodDisruptionBudgetSpec Which pods, and how many.
  minAvailable intOrString
  selector LabelSelector atomic
  maxUnavailable intOrString
  unhealthyPodEvictionPolicy string
PodDisruptionBudgetStatus What is allowed now.
  observedGeneration int64
  disruptedPods map:time
  disruptionsAllowed int32
  currentHealthy int32
  desiredHealthy int32
  expectedPods int32
  conditions Condition[] key=type
`,
  "io.k8s.api.policy.v1",
  known,
);

export const rbacSchemas: ReadonlyMap<string, Schema> = parseSchemas(
  `
Role What may be done in a namespace.
  apiVersion string
  kind string
  metadata ObjectMeta
  rules PolicyRule[]
ClusterRole What may be done in the cluster.
  apiVersion string
  kind string
  metadata ObjectMeta
  rules PolicyRule[]
  aggregationRule object
PolicyRule Verbs on resources.
  verbs! string[]
  apiGroups string[]
  resources string[]
  resourceNames string[]
  nonResourceURLs string[]
RoleBinding Who may do what a role says, in a namespace.
  apiVersion string
  kind string
  metadata ObjectMeta
  subjects Subject[]
  roleRef! RoleRef
ClusterRoleBinding Who may do what a role says, in the cluster.
  apiVersion string
  kind string
  metadata ObjectMeta
  subjects Subject[]
  roleRef! RoleRef
Subject A user, a group or a service account.
  kind! string enum=User|Group|ServiceAccount
  apiGroup string
  name! string
  namespace string
RoleRef The role.
  apiGroup string default="rbac.authorization.k8s.io"
  kind! string enum=Role|ClusterRole
  name! string
`,
  "io.k8s.api.rbac.v1",
  known,
);

/** Ingress; the policies of the same group are in other-groups. */
export const ingressSchemas: ReadonlyMap<string, Schema> = parseSchemas(
  `
Ingress Which requests from outside go to which service.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec IngressSpec
  status IngressStatus
IngressSpec Which requests go where.
  ingressClassName string
  defaultBackend IngressBackend
  tls IngressTLS[]
  rules IngressRule[]
IngressBackend Where requests go.
  service IngressServiceBackend
  resource object
IngressServiceBackend A port of a service.
  name! string
  port ServiceBackendPort
ServiceBackendPort A port by its name or its number.
  name string
  number int32
IngressTLS Hosts and the secret with their certificate.
  hosts string[]
  secretName string
IngressRule The requests of one host.
  host string
  http HTTPIngressRuleValue
HTTPIngressRuleValue Paths and where they go.
  paths! HTTPIngressPath[]
HTTPIngressPath One path.
  path string
  pathType! string enum=Exact|Prefix|ImplementationSpecific
  backend! IngressBackend
IngressStatus Where the ingress can be reached.
  loadBalancer IngressLoadBalancerStatus
IngressLoadBalancerStatus The addresses of the ingress.
  ingress LoadBalancerIngress[]
IngressClass Who serves the ingresses of a class.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec IngressClassSpec
IngressClassSpec The controller and what it is told.
  controller string
  parameters object
`,
  "io.k8s.api.networking.v1",
  known,
);

/** What the scale subresource takes and gives. */
export const scaleSchema: Schema =
  parseSchemas(
    `
Scale How many there are, and should be.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec ScaleSpec
  status ScaleStatus
ScaleSpec How many there should be.
  replicas int32 min=0
ScaleStatus How many there are.
  replicas! int32
  selector string
`,
    "io.k8s.api.autoscaling.v1",
    known,
  ).get("Scale") ?? {};
