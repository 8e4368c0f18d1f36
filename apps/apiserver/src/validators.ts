import {
  type Problem,
  parseAdminNetworkPolicy,
  parseBaselineAdminNetworkPolicy,
  parseCiliumCidrGroup,
  parseCiliumClusterwideNetworkPolicy,
  parseCiliumNetworkPolicy,
  parseClusterNetworkPolicy,
  parseNetworkPolicy,
} from "@cilium-ts/kubernetes";
import type { Validators } from "@cilium-ts/kubernetes-server";

/** What an agent may have turned on is for the agent to say. */
const options = { nodeSelectorLabels: true };

/** What no schema can say about an object, by kind. Policies are checked here as the agent reads them. */
export const validators: Validators = {
  CiliumNetworkPolicy: (object) => parseCiliumNetworkPolicy(object, options).problems.map(asCause),
  CiliumClusterwideNetworkPolicy: (object) => parseCiliumClusterwideNetworkPolicy(object, options).problems.map(asCause),
  CiliumCIDRGroup: (object) => parseCiliumCidrGroup(object).problems.map(asCause),
  ClusterNetworkPolicy: (object) => parseClusterNetworkPolicy(object, options).problems.map(asCause),
  AdminNetworkPolicy: (object) => parseAdminNetworkPolicy(object, options).problems.map(asCause),
  BaselineAdminNetworkPolicy: (object) => parseBaselineAdminNetworkPolicy(object, options).problems.map(asCause),
  NetworkPolicy: (object) => parseNetworkPolicy(object).problems.map(asCause),
};

function asCause({ path, message }: Problem): ReturnType<Validators[string]>[number] {
  return { reason: "FieldValueInvalid", path, message };
}
