/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Local workloads: one row per endpoint, found by device or by address. */
#pragma once
#include <linux/types.h>

enum endpoint_flags {
	ENDPOINT_INGRESS_ENFORCED = 1, /* Emit policy verdicts: a rule selects this endpoint. */
	ENDPOINT_EGRESS_ENFORCED = 2,
	ENDPOINT_AUDIT = 4, /* Report what would be dropped, and forward it. */
};

enum endpoint_id {
	ENDPOINT_ID_HOST = 16383, /* The node itself. It has no device; its addresses are those of LOCAL_ADDRESS_HOST. */
};

/* Map "endpoints": ARRAY, index is the endpoint's id. Row 0 is never used; a row
 * with ifindex 0 is free, or the host's. */
struct endpoint {
	__u32 ifindex;    /* Host side of the pod's veth. */
	__u32 identity;   /* Security identity of the workload. */
	__u32 policy_set; /* 0 until the policy is realised: nothing passes before that. */
	__u16 id;
	__u16 flags;
	__u8 mac[6];      /* Pod side. */
	__u8 host_mac[6]; /* Host side: what the pod believes to be its gateway. */
	__be32 ipv4;      /* 0: none. */
	__u8 ipv6[16];    /* All zero: none. */
};

/* Map "endpoint_devices": HASH, host-side ifindex (__u32) to endpoint id (__u32). */

/* Map "local_addresses": HASH. IPv4 stands in the first four bytes, the rest zero. */
struct local_address_key {
	__u8 address[16];
	__u8 family; /* 4 or 6 */
	__u8 pad[3];
};

enum local_address_flags {
	LOCAL_ADDRESS_HOST = 1, /* An address of the node itself: hand the packet to its stack. */
};

struct local_address {
	__u32 endpoint_id; /* 0 for the host. */
	__u32 flags;
};
