/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
#include <linux/types.h>

/* In and out of the program sweep_conntrack. */
struct conntrack_sweep {
	__u32 now_s; /* In: CLOCK_MONOTONIC seconds. Programs of this kind have no cheap clock of their own. */
	__u32 seen;
	__u32 deleted;
	__u32 seen6; /* Of those seen: in ct6. */
	__u32 deleted6;
};
