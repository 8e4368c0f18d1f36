/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Takes expired connections out of the tables. Run by the agent: the entries never leave the kernel. */
#include "lib/conntrack.h"

#include <sweep.h>

/* Never read. It gives user space the layout. */
const volatile struct conntrack_sweep sweep_layout;

static long sweep_entry(void *map, const void *key, struct ct_entry *entry, struct conntrack_sweep *sweep)
{
	sweep->seen++;
	/* A packet may revive the entry between the look and the deletion; it is then judged as a new connection. */
	if (entry->expires_s >= sweep->now_s)
		return 0;
	if (!bpf_map_delete_elem(map, key))
		sweep->deleted++;
	return 0;
}

SEC("syscall")
int sweep_conntrack(struct conntrack_sweep *context)
{
	struct conntrack_sweep sweep = { .now_s = context->now_s };

	bpf_for_each_map_elem(&ct6, sweep_entry, &sweep, 0);
	context->seen6 = sweep.seen;
	context->deleted6 = sweep.deleted;
	bpf_for_each_map_elem(&ct4, sweep_entry, &sweep, 0);
	context->seen = sweep.seen;
	context->deleted = sweep.deleted;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
