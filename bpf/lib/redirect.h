/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Handing packets to proxies of this node, and knowing those that proxies send. A proxy stands in a connection with two of its own: to the
 * opener it speaks with the addresses of the other end, to the other end with its own and a mark that says for whom. */
#pragma once
#include "lib/l4.h"
#include "lib/parse.h"
#include "lib/report.h"

#undef THIS_FILE
#define THIS_FILE FILE_REDIRECT

#define SOCKET_STATE_TIME_WAIT 6
#define SOCKET_STATE_LISTEN 10

/* The sockets of proxies bear these marks: no other process on the node is handed a packet that is not addressed to it. */
static __always_inline bool is_proxy_mark(__u32 mark)
{
	return (mark & MARK_KIND) == MARK_FROM_INGRESS_PROXY || (mark & MARK_KIND) == MARK_FROM_EGRESS_PROXY;
}

/* Whom a proxy speaks for; 0: nobody, it answers, or no proxy has sent it. */
static __always_inline __u32 mark_identity(__u32 mark)
{
	return is_proxy_mark(mark) ? mark >> 16 | (mark & 0xff) << 16 | (mark >> 12 & 3) << 24 : 0;
}

/* Notes that a proxy sends the packet. */
static __always_inline void flow_from_proxy(const struct __sk_buff *skb, struct flow *f)
{
	__u32 identity = mark_identity(skb->mark);

	if (!identity)
		return;
	f->claimed_identity = identity;
	f->looked_at = (skb->mark & MARK_KIND) == MARK_FROM_INGRESS_PROXY;
}

static __always_inline void trace_redirect(struct __sk_buff *skb, const struct flow *f, __u16 source_id, const __u8 family)
{
	struct report r = {
		.source_identity = f->source_identity,
		.destination_identity = f->destination_identity,
		.source_id = source_id,
		.destination_id = f->proxy_port,
		.ifindex = skb->ifindex,
		.family = family,
		.point = TRACE_TO_PROXY,
		.reason = f->reason,
	};

	send_trace(skb, &r);
}

/* Tells that a proxy has sent the packet: `trace_flow` tells where it goes. */
static __always_inline void trace_from_proxy(struct __sk_buff *skb, const struct flow *f, __u16 source_id, const __u8 family)
{
	if (is_proxy_mark(skb->mark))
		trace_flow(skb, f, source_id, TRACE_FROM_PROXY, skb->ifindex, family);
}

static __always_inline fault take_socket(struct __sk_buff *skb, struct bpf_sock *socket)
{
	long error = bpf_sk_assign(skb, socket, 0);

	bpf_sk_release(socket);
	return error ? FAULT(DROP_SOCKET_ASSIGN_FAILED) : 0;
}

/* The connection as it is addressed. */
static __always_inline void tuple_of_packet(struct bpf_sock_tuple *tuple, const struct packet *p, const __u8 family)
{
	if (family == 4) {
		tuple->ipv4.saddr = p->source.v4;
		tuple->ipv4.daddr = p->destination.v4;
		tuple->ipv4.sport = p->source_port;
		tuple->ipv4.dport = p->destination_port;
		return;
	}
	__builtin_memcpy(tuple->ipv6.saddr, &p->source, sizeof(tuple->ipv6.saddr));
	__builtin_memcpy(tuple->ipv6.daddr, &p->destination, sizeof(tuple->ipv6.daddr));
	tuple->ipv6.sport = p->source_port;
	tuple->ipv6.dport = p->destination_port;
}

/* From nobody to the port on the node itself. */
static __always_inline void tuple_of_port(struct bpf_sock_tuple *tuple, __be16 port, const __u8 family)
{
	__builtin_memset(tuple, 0, sizeof(*tuple));
	if (family == 4) {
		tuple->ipv4.daddr = bpf_htonl(0x7f000001);
		tuple->ipv4.dport = port;
		return;
	}
	tuple->ipv6.daddr[3] = bpf_htonl(1);
	tuple->ipv6.dport = port;
}

#define TUPLE_SIZE(family) ((family) == 4 ? sizeof(((struct bpf_sock_tuple *)0)->ipv4) : sizeof(((struct bpf_sock_tuple *)0)->ipv6))

/* The socket of a connection that the proxy has accepted, or is about to. One that waits out its end takes no new connection. */
static __always_inline struct bpf_sock *accepted_socket(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, bool opens, const __u8 family)
{
	struct bpf_sock *socket = bpf_skc_lookup_tcp(skb, tuple, TUPLE_SIZE(family), BPF_F_CURRENT_NETNS, 0);
	struct bpf_sock *whole;

	if (!socket)
		return NULL;
	if (socket->state == SOCKET_STATE_LISTEN || (socket->state == SOCKET_STATE_TIME_WAIT && opens))
		goto other;
	/* The node's own connection with somebody who is to be looked at only since then. */
	whole = bpf_sk_fullsock(socket);
	if (whole && !is_proxy_mark(whole->mark))
		goto other;
	return socket;
other:
	bpf_sk_release(socket);
	return NULL;
}

/* Where the proxy takes what is new. */
static __always_inline struct bpf_sock *proxy_socket(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, bool udp, const __u8 family)
{
	struct bpf_sock *socket;

	if (udp)
		socket = bpf_sk_lookup_udp(skb, tuple, TUPLE_SIZE(family), BPF_F_CURRENT_NETNS, 0);
	else
		socket = bpf_sk_lookup_tcp(skb, tuple, TUPLE_SIZE(family), BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return NULL;
	if (is_proxy_mark(socket->mark) && (udp || socket->state == SOCKET_STATE_LISTEN))
		return socket;
	bpf_sk_release(socket);
	return NULL;
}

/* Sockets are found by ports, which later fragments have not; the stack forgets the socket of a first one. */
static __always_inline bool has_socket(const struct packet *p)
{
	return !p->fragment && (p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP);
}

static __always_inline fault find_socket(struct __sk_buff *skb, struct packet *p, struct bpf_sock_tuple *tuple, __be16 port,
					 const __u8 family)
{
	struct bpf_sock *socket;
	fault problem = parse_ip(skb, p, family);

	if (!problem && !has_socket(p))
		problem = FAULT(DROP_PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL);
	if (!problem)
		problem = l4_read(skb, p, family);
	if (problem)
		return problem;
	if (p->protocol == IPPROTO_TCP) {
		tuple_of_packet(tuple, p, family);
		socket = accepted_socket(skb, tuple, (p->tcp_flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN, family);
		if (socket)
			return take_socket(skb, socket);
	}
	tuple_of_port(tuple, port, family);
	socket = proxy_socket(skb, tuple, p->protocol == IPPROTO_UDP, family);
	return socket ? take_socket(skb, socket) : FAULT(DROP_SOCKET_LOOKUP_FAILED);
}

/* Gives the packet to a socket of the proxy at the port; the stack then has to keep it here. On tc ingress alone. It parses the packet
 * once more, so that the programs' own view of it stays in registers. */
CHECKED_ONCE fault assign_socket(struct __sk_buff *skb, __be16 port, __u32 family)
{
	struct bpf_sock_tuple tuple = {};
	struct packet p = {};
	fault problem = family == 4 ? find_socket(skb, &p, &tuple, port, 4) : find_socket(skb, &p, &tuple, port, 6);

	if (!problem)
		skb->mark = MARK_TO_PROXY | bpf_ntohs(port) << 16;
	return problem;
}

/* Ends the way of a packet that came in from a device. `reporter`: the endpoint that tells. */
static __always_inline int redirect_in(struct __sk_buff *skb, const struct flow *f, __u16 reporter, const __u8 family)
{
	fault problem = assign_socket(skb, f->proxy_port, family);

	if (unlikely(problem))
		return drop_flow(skb, f, problem, family);
	if (unlikely(f->report))
		trace_redirect(skb, f, reporter, family);
	count_forward(skb, f->outbound ? METRICS_EGRESS : METRICS_INGRESS);
	return TC_ACT_OK;
}

/* Turns round a packet that the stack sends out: it comes in again by a device of ours, where it may have a socket. */
static __always_inline int redirect_back(struct __sk_buff *skb, const struct packet *p, const struct flow *f, __u16 reporter,
					 const __u8 family)
{
	if (unlikely(!config.proxy_ifindex || !has_socket(p)))
		return drop_flow(skb, f, FAULT(DROP_PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL), family);
	if (unlikely(f->report))
		trace_redirect(skb, f, reporter, family);
	count_forward(skb, METRICS_INGRESS);
	skb->mark = MARK_TO_PROXY | bpf_ntohs(f->proxy_port) << 16;
	return bpf_redirect(config.proxy_ifindex, BPF_F_INGRESS);
}
