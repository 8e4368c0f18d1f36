/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What we know of a packet while it is on its way through a program. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <files.h>
#include <reasons.h>

/* Why a packet is dropped and where that was found: reason | file << 8 | line << 16.
 * 0: nothing is wrong. Each file that uses FAULT defines THIS_FILE after its includes. */
typedef __u32 fault;
#define FAULT(reason) ((fault)((__u32)(reason) | (__u32)(THIS_FILE) << 8 | (__u32)__LINE__ << 16))
#define FAULT_REASON(f) ((__u8)(f))
#define FAULT_FILE(f) ((__u8)((f) >> 8))
#define FAULT_LINE(f) ((__u16)((f) >> 16))

/* Both families in one type. IPv4 stands in the first four bytes, the rest is zero. */
struct address {
	union {
		__be32 v4;
		__u64 half[2];
		__u8 bytes[16];
	};
};

/* What seldom happens is laid out behind what always does: the way of an ordinary packet stays short. */
#define unlikely(condition) __builtin_expect(!!(condition), 0)

/* A function that the verifier checks once, by itself, and not again wherever it is called: for what is
 * off the way of an ordinary packet. Its pointers may be NULL as far as the verifier knows. */
#define CHECKED_ONCE __attribute__((noinline))

enum packet_kind {
	PACKET_FLOW = 0,   /* Opens a connection, or belongs to one. */
	PACKET_ANSWER = 1, /* ICMP echo reply: belongs to one, never opens one. */
	PACKET_ERROR = 2,  /* ICMP error: related to the connection of the packet it quotes. */
	PACKET_SINGLE = 3, /* Judged alone. */
	PACKET_FREE = 4,   /* ICMPv4 "fragmentation needed": always passes. */
};

struct packet {
	struct address source;
	struct address destination;
	__u32 l4_offset; /* From the start of the frame. */
	__u32 fragment_id;
	__be16 source_port;
	__be16 destination_port;
	__be16 policy_port; /* The destination port, or the ICMP type. */
	__u8 protocol;
	__u8 fragment_protocol;
	__u8 fragment;   /* enum fragment_kind */
	__u8 kind;       /* enum packet_kind */
	__u8 tcp_flags;
	__u8 hop_limit;
};

enum tcp_flags {
	TCP_FLAG_FIN = 1,
	TCP_FLAG_SYN = 2,
	TCP_FLAG_RST = 4,
	TCP_FLAG_ACK = 16,
};

/* A source that only neighbour discovery and listener messages may have: link-local, or none yet. */
static __always_inline bool is_link_source(const struct address *source)
{
	return (source->half[0] & bpf_cpu_to_be64(0xffc0000000000000ULL)) == bpf_cpu_to_be64(0xfe80000000000000ULL) ||
	       !(source->half[0] | source->half[1]);
}

static __always_inline bool is_vlan(const struct __sk_buff *skb)
{
	return skb->vlan_present || skb->protocol == bpf_htons(ETH_P_8021Q) || skb->protocol == bpf_htons(ETH_P_8021AD);
}

/* Compares in one family; the family is a constant wherever this is inlined. */
static __always_inline bool address_equal(const struct address *a, const struct address *b, const __u8 family)
{
	if (family == 4)
		return a->v4 == b->v4;
	return a->half[0] == b->half[0] && a->half[1] == b->half[1];
}

/* Below 0, 0 or above 0, in the order of the bytes on the wire. */
static __always_inline int address_compare(const struct address *a, const struct address *b, const __u8 family)
{
	if (family == 4) {
		__u32 left = bpf_ntohl(a->v4), right = bpf_ntohl(b->v4);

		return left < right ? -1 : left > right;
	}
	__u64 left = bpf_be64_to_cpu(a->half[0]), right = bpf_be64_to_cpu(b->half[0]);

	if (left == right) {
		left = bpf_be64_to_cpu(a->half[1]);
		right = bpf_be64_to_cpu(b->half[1]);
	}
	return left < right ? -1 : left > right;
}

/* The compiler may load these as 32-bit numbers and extend them later, upon which the verifier no longer sees pointers. */
static __always_inline void *frame_start(const struct __sk_buff *skb)
{
	void *start;

	asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(start) : "r"(skb), "i"(offsetof(struct __sk_buff, data)));
	return start;
}

static __always_inline void *frame_end(const struct __sk_buff *skb)
{
	void *end;

	asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(end) : "r"(skb), "i"(offsetof(struct __sk_buff, data_end)));
	return end;
}

/* `size` bytes of the frame from a constant offset, pulled into the linear part if they are not there; NULL: the frame is shorter. */
static __always_inline void *frame_at(struct __sk_buff *skb, const __u32 offset, const __u32 size)
{
	void *start = frame_start(skb);

	if (!unlikely(start + offset + size > frame_end(skb)))
		return start + offset;
	if (bpf_skb_pull_data(skb, offset + size))
		return NULL;
	start = frame_start(skb);
	if (start + offset + size > frame_end(skb))
		return NULL;
	return start + offset;
}
