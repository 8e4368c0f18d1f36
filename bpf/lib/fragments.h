/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Only a first fragment carries ports: it leaves them for those that follow. */
#pragma once
#include "lib/maps.h"
#include "lib/packet.h"

#undef THIS_FILE
#define THIS_FILE FILE_FRAGMENTS

static __always_inline struct fragment_key fragment_key_of(const struct packet *p, const __u8 family)
{
	struct fragment_key key = {
		.id = p->fragment_id,
		.protocol = p->fragment_protocol,
		.family = family,
	};

	__builtin_memcpy(key.source, &p->source, sizeof(key.source));
	__builtin_memcpy(key.destination, &p->destination, sizeof(key.destination));
	return key;
}

static __always_inline void fragment_remember(const struct packet *p, const __u8 family)
{
	struct fragment_key key = fragment_key_of(p, family);
	struct fragment_ports ports = {
		.source = p->source_port,
		.destination = p->destination_port,
		.policy_port = p->policy_port,
		.protocol = p->protocol,
		/* What an ICMP error quotes is in its first fragment only. */
		.kind = p->kind == PACKET_ERROR ? PACKET_SINGLE : p->kind,
	};

	bpf_map_update_elem(&fragments, &key, &ports, BPF_ANY);
}

static __always_inline fault fragment_recall(struct packet *p, const __u8 family)
{
	struct fragment_key key = fragment_key_of(p, family);
	struct fragment_ports *ports = bpf_map_lookup_elem(&fragments, &key);

	if (!ports)
		return FAULT(DROP_FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND);
	p->source_port = ports->source;
	p->destination_port = ports->destination;
	p->policy_port = ports->policy_port;
	p->protocol = ports->protocol;
	p->kind = ports->kind;
	return 0;
}
