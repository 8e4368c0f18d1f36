/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Address to identity, for every address this node has heard of. */
#pragma once
#include <linux/types.h>

/* Map "ipcache": LPM_TRIE. prefix_length counts from cluster_id: 32 bits before the address. */
struct ipcache_key {
	__u32 prefix_length;
	__u16 cluster_id;
	__u8 pad;
	__u8 family; /* 4 or 6 */
	__u8 address[16];
};

struct ipcache_entry {
	__u32 identity;
	__be32 tunnel_endpoint; /* 0: on this node, or not in the cluster. */
	__u16 pad;
	__u8 encrypt_key;
	__u8 flags;
};
