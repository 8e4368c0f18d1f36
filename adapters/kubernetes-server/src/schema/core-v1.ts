import { metaSchemas } from "./meta-v1.ts";
import { parseSchemas } from "./notation.ts";
import { podNotation } from "./pod-v1.ts";
import type { Schema } from "./schema.ts";
import { volumeNotation } from "./volume-v1.ts";

/** The kinds of the core group that the server keeps. Facts: the Kubernetes API reference. */
const notation = `
Namespace A room for names: objects in it go when it goes.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec NamespaceSpec
  status NamespaceStatus
NamespaceSpec What must happen before the namespace goes.
  finalizers string[]
NamespaceStatus Where the namespace is in its life.
  phase string -- Active or Terminating.
  conditions Condition[] key=type
Node A machine that runs pods.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec NodeSpec
  status NodeStatus
NodeSpec What the node is told to be.
  podCIDR string -- The addresses of the node's pods.
  podCIDRs string[] set -- The addresses of the node's pods, at most one range of each family.
  providerID string
  unschedulable bool
  taints Taint[]
  configSource object
  externalID string
Taint Keeps pods away that do not tolerate it.
  key! string
  value string
  effect! string enum=NoSchedule|PreferNoSchedule|NoExecute
  timeAdded time
NodeStatus What the node says about itself.
  capacity map:quantity
  allocatable map:quantity
  phase string
  conditions NodeCondition[] key=type
  addresses NodeAddress[] key=type,address
  daemonEndpoints object
  nodeInfo NodeSystemInfo
  images object[]
  volumesInUse string[]
  volumesAttached object[]
  config object
  runtimeHandlers object[]
  features object
  declaredFeatures string[]
NodeAddress An address of a node.
  type! string
  address! string
NodeCondition One observed property of a node.
  type! string
  status! string
  lastHeartbeatTime time
  lastTransitionTime time
  reason string
  message string
NodeSystemInfo What runs on the node.
  machineID string
  systemUUID string
  bootID string
  kernelVersion string
  osImage string
  containerRuntimeVersion string
  kubeletVersion string
  kubeProxyVersion string
  operatingSystem string
  architecture string
  swap object
ConfigMap Settings that programs read.
  apiVersion string
  kind string
  metadata ObjectMeta
  data map:string -- Settings as text.
  binaryData map:bytes -- Settings as bytes, in base64.
  immutable bool -- True: the data can no longer change.
Secret Settings that must be kept secret.
  apiVersion string
  kind string
  metadata ObjectMeta
  data map:bytes -- The secrets, in base64.
  stringData map:string -- Secrets as text; the server moves them to data.
  type string default="Opaque"
  immutable bool
ServiceAccount A name under which pods act.
  apiVersion string
  kind string
  metadata ObjectMeta
  secrets ObjectReference[] key=name
  imagePullSecrets LocalObjectReference[]
  automountServiceAccountToken bool
ObjectReference Another object.
  apiVersion string
  kind string
  namespace string
  name string
  uid string
  resourceVersion string
  fieldPath string
LocalObjectReference Another object of the same namespace.
  name string default=""
Service One address for many pods.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec ServiceSpec
  status ServiceStatus
ServiceSpec What the service offers, and who serves it.
  ports ServicePort[] key=port,protocol -- What is offered.
  selector map:string atomic -- The pods that serve it.
  clusterIP string
  clusterIPs string[]
  type string enum=ClusterIP|NodePort|LoadBalancer|ExternalName default="ClusterIP"
  externalIPs string[]
  sessionAffinity string enum=None|ClientIP default="None"
  sessionAffinityConfig object
  loadBalancerIP string
  loadBalancerSourceRanges string[]
  loadBalancerClass string
  externalName string
  externalTrafficPolicy string enum=Cluster|Local
  internalTrafficPolicy string enum=Cluster|Local default="Cluster"
  healthCheckNodePort int32
  publishNotReadyAddresses bool
  ipFamilies string[]
  ipFamilyPolicy string enum=SingleStack|PreferDualStack|RequireDualStack
  allocateLoadBalancerNodePorts bool
  trafficDistribution string
ServicePort One port of a service.
  name string
  protocol string enum=TCP|UDP|SCTP default="TCP"
  appProtocol string
  port! int32 min=1 max=65535
  targetPort intOrString
  nodePort int32 min=0 max=65535
ServiceStatus Where the service can be reached from outside.
  loadBalancer LoadBalancerStatus
  conditions Condition[] key=type
LoadBalancerStatus The addresses of the load balancer.
  ingress LoadBalancerIngress[]
LoadBalancerIngress One address of the load balancer.
  ip string
  hostname string
  ipMode string
  ports object[]
Endpoints The addresses behind a service (the older form).
  apiVersion string
  kind string
  metadata ObjectMeta
  subsets EndpointSubset[]
EndpointSubset Addresses that serve the same ports.
  addresses EndpointAddress[]
  notReadyAddresses EndpointAddress[]
  ports EndpointPort[]
EndpointAddress One address.
  ip! string
  hostname string
  nodeName string
  targetRef ObjectReference
EndpointPort One port.
  name string
  port! int32
  protocol string default="TCP"
  appProtocol string
Event Something that happened to an object.
  apiVersion string
  kind string
  metadata ObjectMeta
  involvedObject! ObjectReference
  reason string
  message string
  source EventSource
  firstTimestamp time
  lastTimestamp time
  count int32
  type string
  eventTime microtime
  series EventSeries
  action string
  related ObjectReference
  reportingComponent string
  reportingInstance string
EventSource Who reported an event.
  component string
  host string
EventSeries How often an event was repeated.
  count int32
  lastObservedTime microtime
${podNotation}
${volumeNotation}
`;

export const coreSchemas: ReadonlyMap<string, Schema> = parseSchemas(notation, "io.k8s.api.core.v1", metaSchemas);
