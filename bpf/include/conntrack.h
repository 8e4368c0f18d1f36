/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Connections. Both directions of a connection share one entry, so a packet costs one lookup. */
#pragma once
#include <linux/types.h>

/* The two ends in a fixed order: the end that is smaller by (address bytes, then port bytes)
 * is "low". ICMP echo: the requester's port is the identifier, the other port is 0.
 * Other ICMP messages open no connection. */
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
	CT_DENIED = 32,         /* Policy no longer admits it: only its opener keeps the entry alive. */
	CT_UNTRANSLATED = 64,   /* Its opener's packets come by a native device with the addresses that the pod sees. */
};

/* Index of the pairs below: 0 the originator (its direction, its end), 1 the other.
 * There are no packet counters: they would cost a write to a shared cache line per packet. */
struct ct_entry {
	__u32 expires_s;            /* CLOCK_MONOTONIC seconds. */
	__u32 flags;
	__u32 source_identity;      /* Of the originator, when last judged. */
	__u32 destination_identity;
	__u32 egress_set;           /* Policy set that admits it at the originator; 0: none does, or not judged. */
	__u32 ingress_set;          /* Policy set that admits it at the destination; 0: none does, or not judged. */
	__u32 generation;           /* Of the ipcache, when last judged. */
	__be32 tunnel_endpoint;     /* Node of the end that is not on this one, as of `generation`; 0: no tunnel leads there. */
	__u32 reported_s[2];        /* When a trace event was last sent. */
	__u8 reported_flags[2];     /* TCP flags of {FIN, SYN, RST} reported so far. */
	__be16 proxy_port;          /* Of the proxy that has the connection; 0: none has. */
	__u16 endpoint_id[2];       /* Where to look first for the endpoint of that end; 0: no hint. */
};
/* Maps "ct4", "ct6": LRU_HASH. */

enum fragment_kind {
	FRAGMENT_NONE = 0,
	FRAGMENT_FIRST = 1,
	FRAGMENT_LATER = 2,
};

/* Map "fragments": LRU_HASH, what a first fragment says for those that follow.
 * IPv4 addresses stand in the first four bytes, the rest zero. */
struct fragment_key {
	__u8 source[16];
	__u8 destination[16];
	__u32 id;
	__u8 protocol; /* As the fragment names it: in IPv6 it may be an extension header. */
	__u8 family;   /* 4 or 6 */
	__u8 pad[2];
};

struct fragment_ports {
	__be16 source;
	__be16 destination;
	__be16 policy_port; /* The destination port, or the ICMP type. */
	__u8 protocol;      /* Of the transport. */
	__u8 kind;          /* enum packet_kind of lib/packet.h */
};
