import { clean } from "@cilium-ts/command-line";
import { flowpb } from "@cilium-ts/observer";

/** What the agent did, in the words and with the fields that its monitor has always had. */
const subTypes: Readonly<Record<number, string>> = {
  [flowpb.AgentEventType.AGENT_STARTED]: "Cilium agent started",
  [flowpb.AgentEventType.POLICY_UPDATED]: "Policy updated",
  [flowpb.AgentEventType.POLICY_DELETED]: "Policy deleted",
  [flowpb.AgentEventType.ENDPOINT_REGENERATE_SUCCESS]: "Endpoint regenerated",
  [flowpb.AgentEventType.ENDPOINT_REGENERATE_FAILURE]: "Failed endpoint regeneration",
  [flowpb.AgentEventType.ENDPOINT_CREATED]: "Endpoint created",
  [flowpb.AgentEventType.ENDPOINT_DELETED]: "Endpoint deleted",
  [flowpb.AgentEventType.IPCACHE_UPSERTED]: "IPCache entry upserted",
  [flowpb.AgentEventType.IPCACHE_DELETED]: "IPCache entry deleted",
  [flowpb.AgentEventType.SERVICE_UPSERTED]: "Service upserted",
  [flowpb.AgentEventType.SERVICE_DELETED]: "Service deleted",
};

/** `>> Endpoint created: {"id":22,...}` */
export function agentLine(event: flowpb.AgentEvent): string {
  return clean(`>> ${subTypeOf(event)}: ${JSON.stringify(fieldsOf(event))}`);
}

/** `{"type":"agent","subtype":"Endpoint created","message":{...}}` */
export function agentJson(event: flowpb.AgentEvent): string {
  return JSON.stringify({ type: "agent", subtype: subTypeOf(event), message: fieldsOf(event) });
}

function subTypeOf({ type }: flowpb.AgentEvent): string {
  return subTypes[type] ?? `Agent event ${type}`;
}

function fieldsOf({ notification }: flowpb.AgentEvent): object {
  switch (notification.case) {
    case "agentStart":
      return { time: new Date(Number(notification.value.time?.seconds ?? 0n) * 1_000).toISOString() };
    case "policyUpdate": {
      const { labels, revision, ruleCount } = notification.value;
      return { labels, revision: Number(revision), rule_count: Number(ruleCount) };
    }
    case "endpointRegenerate": {
      const { id, labels, error } = notification.value;
      return { id: Number(id), labels, error };
    }
    case "endpointUpdate": {
      const { id, labels, podName, namespace } = notification.value;
      return { id: Number(id), labels, "pod-name": podName, namespace };
    }
    case "ipcacheUpdate": {
      const { cidr, identity: id, oldIdentity, hostIp, oldHostIp } = notification.value;
      return { cidr, id, ...(oldIdentity !== undefined && { "old-id": oldIdentity }), "host-ip": hostIp, "old-host-ip": oldHostIp };
    }
    case "serviceUpsert": {
      const { name, namespace, frontendAddress } = notification.value;
      return { name, namespace, "frontend-address": { ip: frontendAddress?.ip ?? "", port: frontendAddress?.port ?? 0 } };
    }
    default:
      return {};
  }
}
