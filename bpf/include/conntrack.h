/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Connections. Both directions of a connection share one entry, so a packet costs one lookup. */
#pragma once
#include <linux/types.h>

/* The two ends in a fixed order: the end that is smaller by (address bytes, then port bytes)
 * is "low". ICMP echo: the requester's port is the identifier, the other port is 0.
 * Other protocols without ports: both 0. */
struct ct_key4 {
	__be32 low_address;
	__be32 high_address;
	__be16 low_port;
	__be16 high_port;
	__u8 protocol;
	__u8 pad[3];
};

struct ct_key6 {
	__u8 low_address[16];
	__u8 high_address[16];
	__be16 low_port;
	__be16 high_port;
	__u8 protocol;
	__u8 pad[3];
};

enum ct_flags {
	CT_ORIGIN_HIGH = 1,     /* The high end opened the connection. */
	CT_REPLIED = 2,         /* A packet of the other end was seen. */
	CT_FIN_FORWARD = 4,
	CT_FIN_REPLY = 8,
	CT_RESET = 16,
};

/* Index of the pairs below: 0 the direction of the originator, 1 the reply. */
struct ct_entry {
	__u64 bytes[2];
	__u32 packets[2];
	__u32 expires_s;            /* CLOCK_MONOTONIC seconds. */
	__u32 source_identity;      /* Of the originator, when admitted. */
	__u32 destination_identity;
	__u32 egress_set;           /* Policy set that admitted it at the originator; 0: not judged. */
	__u32 ingress_set;          /* Policy set that admitted it at the destination; 0: not judged. */
	__u32 generation;           /* Of the ipcache, when admitted. */
	__u32 reported_s[2];        /* When a trace event was last sent. */
	__u8 reported_flags[2];     /* TCP flags seen since. */
	__u16 flags;
	__be16 proxy_port;
	__u16 pad;
};
/* Maps "ct4", "ct6": LRU_HASH. */

/* Map "fragments": LRU_HASH, ports of a first fragment for those that follow. */
struct fragment_key {
	__u8 source[16];
	__u8 destination[16];
	__u32 id;
	__u8 protocol;
	__u8 family;
	__u8 pad[2];
};

struct fragment_ports {
	__be16 source;
	__be16 destination;
};
