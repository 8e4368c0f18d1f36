/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What went through and what did not. */
#pragma once
#include "lib/maps.h"
#include "lib/packet.h"

static __always_inline void count_forward(const struct __sk_buff *skb, __u32 direction)
{
	struct metrics_value *value = bpf_map_lookup_elem(&forwarded, &direction);

	if (value) {
		value->count += 1;
		value->bytes += skb->len;
	}
}

CHECKED_ONCE int count_drop(struct __sk_buff *skb, fault problem, __u8 direction)
{
	struct metrics_key key = {
		.reason = FAULT_REASON(problem),
		.direction = direction,
		.line = FAULT_LINE(problem),
		.file = FAULT_FILE(problem),
	};
	struct metrics_value *value = bpf_map_lookup_elem(&metrics, &key);
	struct metrics_value first = { .count = 1, .bytes = skb->len };

	if (value) {
		value->count += 1;
		value->bytes += skb->len;
		return 0;
	}
	bpf_map_update_elem(&metrics, &key, &first, BPF_NOEXIST);
	return 0;
}
