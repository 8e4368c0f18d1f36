import type { ActingUser } from "@cilium-ts/kubernetes";
import type { Allowed } from "../sign-in/sign-in.ts";

/** Whose rights count for changes: nobody's, so that nothing can be changed; those of who signed in; or the backend's own. */
export type ChangesAs = "nobody" | "user" | "token" | "backend";

export const changesAsNames: readonly ChangesAs[] = ["nobody", "user", "token", "backend"];

export type Acting =
  | { readonly kind: "acting"; readonly as: ActingUser | undefined; readonly name: string }
  | { readonly kind: "refused"; readonly reason: string };

/** Names of the cluster itself, which no sign-in may give. */
const clusterPrefix = "system:";

/** As whom the cluster is changed for who asks. */
export function actingAs(changesAs: ChangesAs, { user, groups, token }: Allowed): Acting {
  switch (changesAs) {
    case "nobody":
      return { kind: "refused", reason: "this page only shows: who runs it can let people change policies (UI_CHANGES_AS)" };
    case "backend":
      return { kind: "acting", as: undefined, name: "the account of this page" };
    case "token":
      if (token === undefined) return { kind: "refused", reason: "the sign-in gave no token for the cluster: sign in again" };
      return { kind: "acting", as: { kind: "token", token }, name: user };
    case "user": {
      if (user.startsWith(clusterPrefix))
        return { kind: "refused", reason: `${user} is a name of the cluster itself, for which nobody may stand` };
      const own = groups.filter((group) => !group.startsWith(clusterPrefix));
      return { kind: "acting", as: { kind: "impersonated", name: user, groups: own }, name: user };
    }
  }
}
