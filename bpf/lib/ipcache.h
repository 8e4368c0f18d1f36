/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Who has an address. */
#pragma once
#include "lib/maps.h"
#include "lib/packet.h"

#define IDENTITY_HOST 1
#define IDENTITY_WORLD 2
#define IDENTITY_REMOTE_NODE 6
#define IDENTITY_KUBE_APISERVER 7
#define IDENTITY_WORLD_IPV4 9
#define IDENTITY_WORLD_IPV6 10
#define IPCACHE_FIXED_BITS 32 /* cluster_id, pad and family */

/* NULL: nobody has heard of it. */
static __always_inline const struct ipcache_entry *ipcache_of(const struct address *address, const __u8 family)
{
	struct ipcache_key key = {
		.prefix_length = IPCACHE_FIXED_BITS + (family == 4 ? 32 : 128),
		.family = family,
	};

	__builtin_memcpy(key.address, address, sizeof(key.address));
	return bpf_map_lookup_elem(&ipcache, &key);
}

static __always_inline __u32 entry_identity(const struct ipcache_entry *entry)
{
	return entry ? entry->identity : IDENTITY_WORLD;
}

static __always_inline __u32 identity_of(const struct address *address, const __u8 family)
{
	return entry_identity(ipcache_of(address, family));
}

static __always_inline __u32 ipcache_generation(void)
{
	struct runtime *now = bpf_map_lookup_elem(&runtime, &(__u32){0});

	return now ? now->ipcache_generation : 0;
}
