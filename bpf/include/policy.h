/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Verdicts, computed in user space so that the kernel never searches. */
#pragma once
#include <linux/types.h>

enum policy_direction {
	POLICY_INGRESS = 0,
	POLICY_EGRESS = 1,
};

/* Map "policy": LPM_TRIE over all policy sets. The set, the identity and the direction are
 * always compared in full (72 bits); protocol and port may be shortened: 72 any protocol,
 * 80 any port of the protocol, up to 96 one port. Two lookups decide: the peer's identity
 * and identity 0 (any). Of two hits the one with the greater precedence wins; at equal
 * precedence the one for the identity. */
struct policy_key {
	__u32 prefix_length;
	__u32 set; /* Never 0, never reused: a connection remembers the set that admitted it. */
	__u32 identity;
	__u8 direction;
	__u8 protocol;
	__be16 port; /* ICMP: the type, as a port. */
};

/* The two match bits repeat what the key's prefix length says, because a lookup does not
 * return the key: 72 sets neither, 80 MATCH_PROTOCOL, more than 80 both. */
enum policy_entry_flags {
	POLICY_ENTRY_DENY = 1,
	POLICY_ENTRY_MATCH_PROTOCOL = 2,
	POLICY_ENTRY_MATCH_PORT = 4,
	POLICY_ENTRY_UNALLOWED = 8, /* No rule allows it, where a wider entry says otherwise. */
	POLICY_ENTRY_AUDIT = 16,    /* What DENY, UNALLOWED or a missing proxy would drop passes, and is reported. */
	POLICY_ENTRY_REDIRECT = 32, /* A proxy decides: the one at proxy_port, or (0) nobody. */
};

struct policy_entry {
	__u32 precedence;
	__u32 cookie;     /* Names the rules behind the entry; carried in verdict events. */
	__be16 proxy_port; /* Of a redirect: where the proxy listens. 0: nowhere, packets are dropped (180). */
	__u8 flags;
	__u8 auth_type;    /* 0: none. Otherwise the packet is dropped (189) until there is authentication. */
};
