/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Map "metrics": PERCPU_HASH. What was forwarded and dropped, why, and at which line. */
#pragma once
#include <linux/types.h>

enum metrics_direction {
	METRICS_INGRESS = 1,
	METRICS_EGRESS = 2,
	METRICS_SERVICE = 3,
};

struct metrics_key {
	__u8 reason;    /* 0 forwarded, 130 and above a drop. */
	__u8 direction;
	__u16 line;
	__u8 file;
	__u8 pad[3];
};

struct metrics_value {
	__u64 count;
	__u64 bytes;
};

/* Map "events_lost": PERCPU_ARRAY of one __u64, events that found the ring full. */
