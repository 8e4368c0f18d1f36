/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Masquerading: what leaves the cluster does so with an address of the node. */
#pragma once
#include <linux/types.h>

/* Map "native_devices": HASH, ifindex (__u32) to the addresses that stand for pods' on that device. */
struct native_device {
	__be32 ipv4;   /* 0: pods' own addresses leave as they are. */
	__u8 ipv6[16]; /* All zero: likewise. */
};

/* Map "masquerade_exempt": LPM_TRIE, destinations that see pods' own addresses. The value (__u32) means nothing. */
struct masquerade_key {
	__u32 prefix_length; /* 32 bits for what stands before the address. */
	__u8 family;         /* 4 or 6 */
	__u8 pad[3];
	__u8 address[16];
};

enum nat_direction {
	NAT_OUT = 0, /* Source is the pod; the entry says what it becomes. */
	NAT_IN = 1,  /* Destination is the node; the entry says which pod's it is. */
};

/* Map "snat": LRU_HASH of struct nat_entry, two for each connection. Ports as in a ct_key. IPv4 addresses stand in the first four bytes. */
struct nat_key {
	__u8 source[16];
	__u8 destination[16];
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 direction; /* enum nat_direction */
	__u8 family;    /* 4 or 6 */
	__u8 pad;
};

struct nat_entry {
	__u8 address[16];
	__be16 port;
	__u8 pad[2];
};
