/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Masquerading: finding, making and applying translations. */
#pragma once
#include <nat.h>

#include "lib/conntrack.h"
#include "lib/icmp.h"
#include "lib/maps.h"
#include "lib/packet.h"

#undef THIS_FILE
#define THIS_FILE FILE_NAT

/* Below the range from which Linux takes ports for the node's own connections (32768 to 60999), and below NodePorts. */
#define NAT_PORT_MIN 1024
#define NAT_PORT_MAX 29999
#define NAT_TRIES 32
#define MASQUERADE_FIXED_BITS 32

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, struct native_device);
	__uint(max_entries, 256);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} native_devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct masquerade_key);
	__type(value, __u32);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} masquerade_exempt SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct nat_key);
	__type(value, struct nat_entry);
	__uint(max_entries, 65536);
} snat SEC(".maps");

static __always_inline bool is_exempt(const struct address *destination, const __u8 family)
{
	struct masquerade_key key = {
		.prefix_length = MASQUERADE_FIXED_BITS + (family == 4 ? 32 : 128),
		.family = family,
	};

	__builtin_memcpy(key.address, destination, sizeof(key.address));
	return bpf_map_lookup_elem(&masquerade_exempt, &key);
}

static __always_inline bool is_nat_port(const struct packet *p, __be16 port)
{
	__u16 number = bpf_ntohs(port);

	return (number >= NAT_PORT_MIN && number <= NAT_PORT_MAX) || p->protocol == IPPROTO_SCTP;
}

static __always_inline void nat_key_fill(struct nat_key *key, const struct packet *p, __u8 direction, const __u8 family)
{
	*key = (struct nat_key){
		.source_port = p->source_port,
		.destination_port = p->destination_port,
		.protocol = p->protocol,
		.direction = direction,
		.family = family,
	};
	__builtin_memcpy(key->source, &p->source, sizeof(key->source));
	__builtin_memcpy(key->destination, &p->destination, sizeof(key->destination));
}

/* The packet that would answer: from the destination to what the source has become. */
static __always_inline void nat_answer_key(struct nat_key *key, const struct packet *p, const struct nat_entry *becomes, const __u8 family)
{
	*key = (struct nat_key){
		.source_port = p->destination_port,
		.destination_port = becomes->port,
		.protocol = p->protocol,
		.direction = NAT_IN,
		.family = family,
	};
	__builtin_memcpy(key->source, &p->destination, sizeof(key->source));
	__builtin_memcpy(key->destination, becomes->address, sizeof(key->destination));
}

/* Whether the pod's connection that holds a port is still under way. If not, nothing of its translation stays. */
static __always_inline bool nat_holds(const struct packet *p, const struct nat_entry *holder, __u32 now, const __u8 family)
{
	struct packet told = {
		.destination = p->destination,
		.destination_port = p->destination_port,
		.source_port = holder->port,
		.protocol = p->protocol,
	};
	struct connection c = {};
	struct nat_key out;

	__builtin_memcpy(&told.source, holder->address, sizeof(told.source));
	ct_find(&c, &told, now, family);
	if (c.entry)
		return true;
	nat_key_fill(&out, &told, NAT_OUT, family);
	bpf_map_delete_elem(&snat, &out);
	return false;
}

/* Who has becomes->port towards the packet's destination; NULL: nobody. The key goes before more of the stack is needed. */
static __always_inline const struct nat_entry *nat_holder(const struct packet *p, const struct nat_entry *becomes, const __u8 family)
{
	struct nat_key in;

	nat_answer_key(&in, p, becomes, family);
	return bpf_map_lookup_elem(&snat, &in);
}

static __always_inline int nat_enter(const struct packet *p, const struct nat_entry *becomes, bool replaces, const __u8 family)
{
	struct nat_entry pod = { .port = p->source_port };
	struct nat_key in, out;

	__builtin_memcpy(pod.address, &p->source, sizeof(pod.address));
	nat_answer_key(&in, p, becomes, family);
	if (bpf_map_update_elem(&snat, &in, &pod, replaces ? BPF_ANY : BPF_NOEXIST))
		return -EEXIST;
	nat_key_fill(&out, p, NAT_OUT, family);
	if (!bpf_map_update_elem(&snat, &out, becomes, BPF_ANY))
		return 0;
	bpf_map_delete_elem(&snat, &in);
	return -EEXIST;
}

/* Takes becomes->port for the connection that the packet opens, if nobody holds it. */
static __always_inline int nat_take(const struct packet *p, const struct nat_entry *becomes, __u32 now, const __u8 family)
{
	const struct nat_entry *holder = nat_holder(p, becomes, family);

	if (holder && nat_holds(p, holder, now, family))
		return -EEXIST;
	return nat_enter(p, becomes, holder, family);
}

CHECKED_ONCE int nat_take4(const struct packet *p, const struct nat_entry *becomes, __u32 now)
{
	return p && becomes ? nat_take(p, becomes, now, 4) : -EEXIST;
}

CHECKED_ONCE int nat_take6(const struct packet *p, const struct nat_entry *becomes, __u32 now)
{
	return p && becomes ? nat_take(p, becomes, now, 6) : -EEXIST;
}

/* Finds the packet's connection a port of the node's. becomes->address is set. */
static __always_inline fault nat_allocate(const struct packet *p, struct nat_entry *becomes, __u32 now, const __u8 family)
{
	__u32 start = bpf_get_prandom_u32();

	for (__u32 try = 0; try < NAT_TRIES; try++) {
		/* The checksum of SCTP is not one that can be corrected: its ports stay. */
		becomes->port = p->protocol == IPPROTO_SCTP ? p->source_port :
							      bpf_htons(NAT_PORT_MIN + (start + try) % (NAT_PORT_MAX - NAT_PORT_MIN + 1));
		if (!(family == 4 ? nat_take4(p, becomes, now) : nat_take6(p, becomes, now)))
			return 0;
	}
	return FAULT(DROP_NO_MAPPING_FOR_NAT_MASQUERADE);
}

/* What the pod's packet becomes, if it has been decided, and the answer would find its way. */
static __always_inline bool nat_find(const struct packet *p, struct nat_entry *becomes, const __u8 family)
{
	struct nat_entry *entry, *pod;
	struct nat_key key;

	nat_key_fill(&key, p, NAT_OUT, family);
	entry = bpf_map_lookup_elem(&snat, &key);
	if (!entry || __builtin_memcmp(entry->address, becomes->address, sizeof(entry->address)))
		return false;
	*becomes = *entry;
	nat_answer_key(&key, p, becomes, family);
	pod = bpf_map_lookup_elem(&snat, &key);
	return pod && pod->port == p->source_port && !__builtin_memcmp(pod->address, &p->source, sizeof(pod->address));
}

/* Where a rewrite takes place, in bytes from the start of the frame. 0: there is no such thing. */
struct nat_place {
	__u32 address;
	__u32 port;
	__u32 checksum;
	bool pseudo; /* The checksum covers the addresses. */
	bool zero;   /* A checksum of 0 is none. */
};

static __always_inline struct nat_place nat_place_of(const struct packet *p, bool source, const __u8 family)
{
	struct nat_place place = { .address = ETH_HLEN + (family == 4 ? (source ? 12 : 16) : (source ? 8 : 24)) };

	if (p->fragment == FRAGMENT_LATER)
		return place;
	place.port = p->l4_offset + (source ? 0 : 2);
	place.pseudo = true;
	switch (p->protocol) {
	case IPPROTO_TCP:
		place.checksum = p->l4_offset + 16;
		break;
	case IPPROTO_UDP:
		place.checksum = p->l4_offset + 6;
		place.zero = true;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		place.checksum = p->l4_offset + 2;
		place.port = p->l4_offset + 4;
		place.pseudo = family == 6;
		break;
	}
	return place;
}

/* Writes an end's address and port into the packet, and corrects its checksums. */
CHECKED_ONCE fault nat_rewrite(struct __sk_buff *skb, const struct packet *p, const struct nat_entry *becomes, bool source,
			       const __u8 family)
{
	struct nat_place place;
	const struct address *old;
	__be16 old_port;
	__u32 size = family == 4 ? 4 : 16;
	__u64 flags;
	__s64 diff;

	if (!p || !becomes)
		return FAULT(DROP_INVALID_PACKET_DROPPED);
	place = nat_place_of(p, source, family);
	old = source ? &p->source : &p->destination;
	old_port = source ? p->source_port : p->destination_port;
	/* An echo has one identifier, whichever way it goes. */
	flags = place.zero ? BPF_F_MARK_MANGLED_0 : 0;
	if (family == 4)
		diff = bpf_csum_diff((void *)old, 4, (void *)becomes->address, 4, 0);
	else
		diff = bpf_csum_diff((void *)old, 16, (void *)becomes->address, 16, 0);
	if (place.checksum) {
		if (place.pseudo && bpf_l4_csum_replace(skb, place.checksum, 0, diff, BPF_F_PSEUDO_HDR | flags))
			return FAULT(DROP_ERROR_WHILE_CORRECTING_L4_CHECKSUM);
		if (bpf_l4_csum_replace(skb, place.checksum, old_port, becomes->port, sizeof(old_port) | flags))
			return FAULT(DROP_ERROR_WHILE_CORRECTING_L4_CHECKSUM);
	}
	if (place.port && place.checksum && bpf_skb_store_bytes(skb, place.port, &becomes->port, sizeof(becomes->port), 0))
		return FAULT(DROP_ERROR_WRITING_TO_PACKET);
	if (family == 4 && bpf_l3_csum_replace(skb, ETH_HLEN + 10, 0, diff, 0))
		return FAULT(DROP_ERROR_WHILE_CORRECTING_L3_CHECKSUM);
	if (size == 4 ? bpf_skb_store_bytes(skb, place.address, becomes->address, 4, 0) :
			bpf_skb_store_bytes(skb, place.address, becomes->address, 16, 0))
		return FAULT(DROP_ERROR_WRITING_TO_PACKET);
	return 0;
}

/* An ICMP error about a packet that was masqueraded: both headers get the pod's address, the quoted one its port. */
CHECKED_ONCE fault nat_rewrite_error(struct __sk_buff *skb, const struct packet *p, const struct packet *quoted,
				     const struct nat_entry *pod, const __u8 family)
{
	const __u32 inner = p ? p->l4_offset + sizeof(struct icmp_start) : 0;
	const __u32 checksum = p ? p->l4_offset + 2 : 0;
	__u32 port;
	__s64 diff;

	if (!p || !quoted || !pod)
		return FAULT(DROP_INVALID_PACKET_DROPPED);
	port = quoted->l4_offset;
	if (quoted->protocol == IPPROTO_ICMP || quoted->protocol == IPPROTO_ICMPV6)
		port += 4;
	if (family == 4) {
		diff = bpf_csum_diff((void *)&quoted->source, 4, (void *)pod->address, 4, 0);
		/* The quoted header corrects itself, so the message's checksum does not change by it. */
		if (bpf_l3_csum_replace(skb, inner + 10, 0, diff, 0) || bpf_l3_csum_replace(skb, ETH_HLEN + 10, 0, diff, 0))
			return FAULT(DROP_ERROR_WHILE_CORRECTING_L3_CHECKSUM);
		if (bpf_skb_store_bytes(skb, inner + 12, pod->address, 4, 0) || bpf_skb_store_bytes(skb, ETH_HLEN + 16, pod->address, 4, 0))
			return FAULT(DROP_ERROR_WRITING_TO_PACKET);
	} else {
		diff = bpf_csum_diff((void *)&quoted->source, 16, (void *)pod->address, 16, 0);
		if (bpf_l4_csum_replace(skb, checksum, 0, diff, BPF_F_PSEUDO_HDR) || bpf_l4_csum_replace(skb, checksum, 0, diff, 0))
			return FAULT(DROP_ERROR_WHILE_CORRECTING_L4_CHECKSUM);
		if (bpf_skb_store_bytes(skb, inner + 8, pod->address, 16, 0) || bpf_skb_store_bytes(skb, ETH_HLEN + 24, pod->address, 16, 0))
			return FAULT(DROP_ERROR_WRITING_TO_PACKET);
	}
	if (bpf_l4_csum_replace(skb, checksum, quoted->source_port, pod->port, sizeof(pod->port)))
		return FAULT(DROP_ERROR_WHILE_CORRECTING_L4_CHECKSUM);
	return bpf_skb_store_bytes(skb, port, &pod->port, sizeof(pod->port), 0) ? FAULT(DROP_ERROR_WRITING_TO_PACKET) : 0;
}
