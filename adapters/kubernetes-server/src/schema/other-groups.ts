import { coreSchemas } from "./core-v1.ts";
import { metaSchemas } from "./meta-v1.ts";
import { parseSchemas } from "./notation.ts";
import type { Schema } from "./schema.ts";

// Facts: the Kubernetes API reference.

const known = new Map([...coreSchemas, ...metaSchemas]);

export const coordinationSchemas: ReadonlyMap<string, Schema> = parseSchemas(
  `
Lease Who holds a duty, and until when.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec LeaseSpec
LeaseSpec The holder and the time.
  acquireTime microtime
  holderIdentity string
  leaseDurationSeconds int32
  leaseTransitions int32
  preferredHolder string
  renewTime microtime
  strategy string
`,
  "io.k8s.api.coordination.v1",
  known,
);

export const discoverySchemas: ReadonlyMap<string, Schema> = parseSchemas(
  `
EndpointSlice Addresses behind a service.
  apiVersion string
  kind string
  metadata ObjectMeta
  addressType! string enum=IPv4|IPv6|FQDN
  endpoints! Endpoint[]
  ports EndpointPort[]
Endpoint One place that serves, with its addresses.
  addresses! string[]
  conditions EndpointConditions
  deprecatedTopology map:string
  hints EndpointHints
  hostname string
  nodeName string
  targetRef ObjectReference
  zone string
EndpointConditions Whether the place serves.
  ready bool
  serving bool
  terminating bool
EndpointHints For whom the place is meant.
  forNodes object[]
  forZones object[]
EndpointPort One port.
  appProtocol string
  name string
  port int32
  protocol string default="TCP"
`,
  "io.k8s.api.discovery.v1",
  known,
);

export const networkingSchemas: ReadonlyMap<string, Schema> = parseSchemas(
  `
NetworkPolicy What pods may receive and send.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec NetworkPolicySpec
NetworkPolicySpec The pods and what is allowed.
  podSelector LabelSelector -- The pods that the policy is about.
  policyTypes string[] -- Ingress, Egress or both.
  ingress NetworkPolicyIngressRule[] -- What may come in.
  egress NetworkPolicyEgressRule[] -- What may go out.
NetworkPolicyIngressRule Allows traffic that comes in.
  from NetworkPolicyPeer[]
  ports NetworkPolicyPort[]
NetworkPolicyEgressRule Allows traffic that goes out.
  to NetworkPolicyPeer[]
  ports NetworkPolicyPort[]
NetworkPolicyPeer The other side of the traffic.
  podSelector LabelSelector
  namespaceSelector LabelSelector
  ipBlock IPBlock
IPBlock A range of addresses.
  cidr! string format=cidr
  except string[]
NetworkPolicyPort A port or a range of ports.
  port intOrString
  endPort int32 min=1 max=65535
  protocol string enum=TCP|UDP|SCTP default="TCP"
`,
  "io.k8s.api.networking.v1",
  known,
);

export const apiextensionsSchemas: ReadonlyMap<string, Schema> = parseSchemas(
  `
CustomResourceDefinition A kind that users add to the API.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec! CustomResourceDefinitionSpec
  status CustomResourceDefinitionStatus
CustomResourceDefinitionSpec The names, the scope and the versions of the kind.
  conversion object
  group! string -- The API group; the definition's name is plural.group.
  names! CustomResourceDefinitionNames
  preserveUnknownFields bool
  scope! string enum=Cluster|Namespaced
  versions! CustomResourceDefinitionVersion[]
CustomResourceDefinitionNames How the kind is called.
  categories string[]
  kind! string
  listKind string
  plural! string
  shortNames string[]
  singular string
CustomResourceDefinitionVersion One version of the kind.
  additionalPrinterColumns CustomResourceColumnDefinition[]
  deprecated bool
  deprecationWarning string
  name! string
  schema CustomResourceValidation
  selectableFields object[]
  served! bool
  storage! bool
  subresources object
CustomResourceColumnDefinition A column of kubectl get.
  description string
  format string
  jsonPath! string
  name! string
  priority int32
  type! string
CustomResourceValidation The schema of the version.
  openAPIV3Schema object
CustomResourceDefinitionStatus Whether the kind is served.
  acceptedNames object
  conditions Condition[] key=type
  observedGeneration int64
  storedVersions string[]
`,
  "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
  known,
);
