/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Map "metrics": PERCPU_HASH. What was dropped, why, and at which line.
 * Map "forwarded": PERCPU_ARRAY of metrics_value, index is the direction: what went through
 * (reason 0). It is apart from the drops because it is counted for every packet. */
#pragma once
#include <linux/types.h>

enum metrics_direction {
	METRICS_INGRESS = 1,
	METRICS_EGRESS = 2,
	METRICS_SERVICE = 3,
};

struct metrics_key {
	__u8 reason;    /* 130 and above: enum drop_reason. */
	__u8 direction;
	__u16 line;
	__u8 file; /* enum source_file */
	__u8 pad[3];
};

struct metrics_value {
	__u64 count;
	__u64 bytes;
};

/* Map "events_lost": PERCPU_ARRAY of one __u64, events that found the ring full. */
