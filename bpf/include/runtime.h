/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
#include <linux/types.h>

/* Map "runtime": ARRAY of one. What changes while the programs run. */
struct runtime {
	__u32 ipcache_generation; /* Moves when an address changes its identity. */
	__u32 policy_set_last;   /* Greatest policy set ever used: numbers are never used twice. */
};

/* Map "tunnel_source": ARRAY of one __be32, the address of this node that others take its packets from; 0: the kernel chooses. */

/* Set once at load, in .rodata as "config": what the verifier may reason with. */
struct node_config {
	__be32 router_ipv4;          /* Pods' gateway; answered by ARP. */
	__u8 router_ipv6[16];        /* Pods' gateway; answered by neighbour discovery. */
	__u32 trace_interval_s;      /* Established connections are reported this often. 0: every packet. */
	__u32 trace_payload_size;    /* Bytes of each packet carried in an event; at most 128. */
	__u32 tcp_timeout_s;         /* 8000 */
	__u32 tcp_syn_timeout_s;     /* 60 */
	__u32 tcp_close_timeout_s;   /* 10 */
	__u32 any_timeout_s;         /* 60 */
	__u32 tunnel_ifindex;        /* Device of the tunnel to other nodes; 0: native routing. */
	__u32 direct_routing_ifindex; /* Native device by which other nodes' pods are reached past the stack; 0: by the stack. */
	__u32 tunnel_mtu;            /* Bytes of the largest IP packet that goes through the tunnel in one piece. */
	__u32 tunnel_port;           /* UDP port of the tunnel; 0: there is none. */
	__u32 proxy_ifindex;         /* Device by which packets that are on their way out come back in, for a proxy; 0: they are dropped (180). */
	__u8 trace_enabled;
	__u8 verdict_events_enabled;
	__u8 masquerade_enabled;
	__u8 ip_trace_option; /* IP option that holds the number of packets that are followed; 0: none is looked for. */
	__u8 host_firewall_enabled;
	__u8 pad[3];
};
