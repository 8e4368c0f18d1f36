import { parseCiliumNetworkPolicy } from "@cilium-ts/kubernetes";
import type { Validators } from "@cilium-ts/kubernetes-server";

/** What no schema can say about an object, by kind. Policies are checked here as the agent reads them. */
export const validators: Validators = {
  CiliumNetworkPolicy: (object) =>
    parseCiliumNetworkPolicy(object).problems.map(({ path, message }) => ({ reason: "FieldValueInvalid", path, message })),
};
