import type { Validators } from "@cilium-ts/kubernetes-server";

/** What no schema can say about an object, by kind. Policies are checked here as the agent would read them. */
export const validators: Validators = {};
