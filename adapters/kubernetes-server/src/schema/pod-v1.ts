/** Pods and containers. Facts: the Kubernetes API reference. */
export const podNotation = `
Pod Containers that share an address and live together on one node.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec PodSpec
  status PodStatus
PodSpec What the pod should be.
  activeDeadlineSeconds int64
  affinity object
  automountServiceAccountToken bool
  containers! Container[] key=name -- The programs of the pod; at least one.
  dnsConfig PodDNSConfig
  dnsPolicy string enum=ClusterFirst|ClusterFirstWithHostNet|Default|None default="ClusterFirst"
  enableServiceLinks bool default=true
  ephemeralContainers EphemeralContainer[] key=name
  hostAliases HostAlias[] key=ip
  hostIPC bool
  hostNetwork bool -- True: the pod uses the node's own network.
  hostPID bool
  hostUsers bool
  hostname string
  hostnameOverride string
  imagePullSecrets LocalObjectReference[] key=name
  initContainers Container[] key=name
  nodeName string -- The node that runs the pod.
  nodeSelector map:string atomic
  os object
  overhead map:quantity
  preemptionPolicy string
  priority int32
  priorityClassName string
  readinessGates object[]
  resourceClaims object[] key=name
  resources ResourceRequirements
  restartPolicy string enum=Always|OnFailure|Never default="Always"
  runtimeClassName string
  schedulerName string default="default-scheduler"
  schedulingGates object[] key=name
  schedulingGroup object
  securityContext object default={}
  serviceAccount string
  serviceAccountName string -- The account under which the pod acts.
  setHostnameAsFQDN bool
  shareProcessNamespace bool
  subdomain string
  terminationGracePeriodSeconds int64 default=30
  tolerations Toleration[]
  topologySpreadConstraints TopologySpreadConstraint[] key=topologyKey,whenUnsatisfiable
  volumes Volume[] key=name retain -- Storage that the containers can mount.
  workloadRef object
Container One program of a pod.
  args string[]
  command string[]
  env EnvVar[] key=name
  envFrom object[]
  image string -- The image to run.
  imagePullPolicy string enum=Always|IfNotPresent|Never
  lifecycle object
  livenessProbe Probe
  name! string -- Unique within the pod.
  ports ContainerPort[] key=containerPort,protocol patch=containerPort -- The ports that the program listens on.
  readinessProbe Probe
  resizePolicy object[]
  resources ResourceRequirements default={}
  restartPolicy string
  restartPolicyRules object[]
  securityContext object
  startupProbe Probe
  stdin bool
  stdinOnce bool
  terminationMessagePath string default="/dev/termination-log"
  terminationMessagePolicy string enum=File|FallbackToLogsOnError default="File"
  tty bool
  volumeDevices object[] key=devicePath
  volumeMounts VolumeMount[] key=mountPath
  workingDir string
EphemeralContainer A program put into a running pod.
  args string[]
  command string[]
  env EnvVar[] key=name
  envFrom object[]
  image string
  imagePullPolicy string
  lifecycle object
  livenessProbe Probe
  name! string
  ports ContainerPort[] key=containerPort,protocol patch=containerPort
  readinessProbe Probe
  resizePolicy object[]
  resources ResourceRequirements
  restartPolicy string
  restartPolicyRules object[]
  securityContext object
  startupProbe Probe
  stdin bool
  stdinOnce bool
  targetContainerName string
  terminationMessagePath string
  terminationMessagePolicy string
  tty bool
  volumeDevices object[] key=devicePath
  volumeMounts VolumeMount[] key=mountPath
  workingDir string
ContainerPort A port that a program listens on.
  containerPort! int32 min=1 max=65535
  hostIP string
  hostPort int32 min=0 max=65535
  name string -- A name by which services and policies can refer to the port.
  protocol string enum=TCP|UDP|SCTP default="TCP"
EnvVar A variable of a program's environment.
  name! string
  value string
  valueFrom object
ResourceRequirements What a program needs and may use.
  claims object[] key=name
  limits map:quantity
  requests map:quantity
Probe How to ask a program whether it is well.
  exec ExecAction
  failureThreshold int32
  grpc GRPCAction
  httpGet HTTPGetAction
  initialDelaySeconds int32
  periodSeconds int32
  successThreshold int32
  tcpSocket TCPSocketAction
  terminationGracePeriodSeconds int64
  timeoutSeconds int32
ExecAction Runs a command inside the container.
  command string[]
GRPCAction Asks the gRPC health service.
  port! int32
  service string
HTTPGetAction Sends an HTTP request.
  host string
  httpHeaders HTTPHeader[]
  path string
  port! intOrString
  scheme string
HTTPHeader A header of the request.
  name! string
  value! string
TCPSocketAction Opens a connection.
  host string
  port! intOrString
VolumeMount Where a volume appears in a container.
  mountPath! string
  mountPropagation string
  name! string
  readOnly bool
  recursiveReadOnly string
  subPath string
  subPathExpr string
HostAlias An entry of the pod's hosts file.
  hostnames string[]
  ip! string
PodDNSConfig How the pod resolves names.
  nameservers string[]
  options PodDNSConfigOption[]
  searches string[]
PodDNSConfigOption An option of the resolver.
  name string
  value string
Toleration Lets the pod run on nodes with a taint.
  effect string
  key string
  operator string
  tolerationSeconds int64
  value string
TopologySpreadConstraint How pods are spread.
  labelSelector LabelSelector
  matchLabelKeys string[]
  maxSkew! int32
  minDomains int32
  nodeAffinityPolicy string
  nodeTaintsPolicy string
  topologyKey! string
  whenUnsatisfiable! string
PodStatus What is known about the pod.
  allocatedResources map:quantity
  conditions PodCondition[] key=type
  containerStatuses ContainerStatus[]
  ephemeralContainerStatuses ContainerStatus[]
  extendedResourceClaimStatus object
  hostIP string
  hostIPs HostIP[]
  initContainerStatuses ContainerStatus[]
  message string
  nominatedNodeName string
  observedGeneration int64
  phase string enum=Pending|Running|Succeeded|Failed|Unknown
  podIP string -- The pod's first address.
  podIPs PodIP[] key=ip -- The pod's addresses, at most one of each family.
  qosClass string
  reason string
  resize string
  resourceClaimStatuses object[] key=name
  resources ResourceRequirements
  startTime time
PodIP An address of the pod.
  ip! string
HostIP An address of the pod's node.
  ip! string
PodCondition One observed property of a pod.
  lastProbeTime time
  lastTransitionTime time
  message string
  observedGeneration int64
  reason string
  status! string
  type! string
ContainerStatus What is known about one container.
  allocatedResources map:quantity
  allocatedResourcesStatus object[]
  containerID string
  image string
  imageID string
  lastState ContainerState
  name! string
  ready bool
  resources ResourceRequirements
  restartCount int32
  started bool
  state ContainerState
  stopSignal string
  user object
  volumeMounts object[]
ContainerState Waiting, running or terminated.
  running ContainerStateRunning
  terminated ContainerStateTerminated
  waiting ContainerStateWaiting
ContainerStateRunning The container runs.
  startedAt time
ContainerStateTerminated The container has ended.
  containerID string
  exitCode! int32
  finishedAt time
  message string
  reason string
  signal int32
  startedAt time
ContainerStateWaiting The container does not run yet.
  message string
  reason string
`;
