/** Something that the agent did, as opposed to what the datapath saw. */
export type AgentEvent =
  | { readonly kind: "agent-started" }
  /** What Hubble has no word for: the agent's own, and a sentence. */
  | { readonly kind: "other"; readonly type: string; readonly message: string }
  | {
      readonly kind: "policy-updated" | "policy-deleted";
      /** `source:key=value`. */
      readonly labels: readonly string[];
      readonly revision: number;
      readonly ruleCount: number;
    }
  | {
      readonly kind: "endpoint-regenerated";
      readonly id: number;
      readonly labels: readonly string[];
      /** Empty: its policy is in force. */
      readonly error: string;
    }
  | {
      readonly kind: "endpoint-created" | "endpoint-deleted";
      readonly id: number;
      readonly labels: readonly string[];
      readonly podName: string;
      readonly namespace: string;
    }
  | {
      readonly kind: "ipcache-upserted" | "ipcache-deleted";
      readonly cidr: string;
      readonly identity: number;
      /** Undefined: the prefix was nobody's before. */
      readonly oldIdentity: number | undefined;
      /** The node behind which the addresses are; empty: this one, or none. */
      readonly hostIp: string;
      readonly oldHostIp: string;
    }
  | {
      readonly kind: "service-upserted";
      readonly name: string;
      readonly namespace: string;
      readonly address: string;
      readonly port: number;
    };
