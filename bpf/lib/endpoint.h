/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Finding a workload of this node. */
#pragma once
#include "lib/maps.h"
#include "lib/packet.h"

static __always_inline const struct endpoint *endpoint_by_id(__u32 id)
{
	const struct endpoint *endpoint = bpf_map_lookup_elem(&endpoints, &id);

	return endpoint && endpoint->ifindex ? endpoint : NULL;
}

static __always_inline const struct endpoint *endpoint_by_device(__u32 ifindex)
{
	__u32 *id = bpf_map_lookup_elem(&endpoint_devices, &ifindex);

	return id ? endpoint_by_id(*id) : NULL;
}

/* An endpoint without an address of the family has none: zero matches nothing. */
static __always_inline bool endpoint_has(const struct endpoint *endpoint, const struct address *address, const __u8 family)
{
	const struct address *own = (const void *)endpoint->ipv6;

	if (family == 4)
		return endpoint->ipv4 && endpoint->ipv4 == address->v4;
	return (own->half[0] | own->half[1]) && address_equal(own, address, 6);
}

static __always_inline const struct local_address *local_address_of(const struct address *address, const __u8 family)
{
	struct local_address_key key = { .family = family };

	__builtin_memcpy(key.address, address, sizeof(key.address));
	return bpf_map_lookup_elem(&local_addresses, &key);
}
