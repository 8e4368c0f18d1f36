// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Packets that were on their way out to a pod, and are for a proxy: they come in again by cilium_net. */
#include "lib/redirect.h"

#undef THIS_FILE
#define THIS_FILE FILE_PROXY

#define PACKET_HOST 0 /* linux/if_packet.h */

static __always_inline int ip_to_proxy(struct __sk_buff *skb, const __u8 family)
{
	fault problem = assign_socket(skb, bpf_htons(skb->mark >> 16), family);

	if (problem)
		return drop_at(skb, NULL, METRICS_INGRESS, problem);
	/* The frame is for the pod: the stack would think that it is somebody else's. */
	bpf_skb_change_type(skb, PACKET_HOST);
	return TC_ACT_OK;
}

/* tcx ingress of cilium_net. Whatever else comes by it is the stack's. */
SEC("tc")
int to_proxy(struct __sk_buff *skb)
{
	if ((skb->mark & MARK_KIND) != MARK_TO_PROXY)
		return TC_ACT_OK;
	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		return ip_to_proxy(skb, 4);
	case bpf_htons(ETH_P_IPV6):
		return ip_to_proxy(skb, 6);
	}
	return drop_at(skb, NULL, METRICS_INGRESS, FAULT(DROP_UNSUPPORTED_L2_PROTOCOL));
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
