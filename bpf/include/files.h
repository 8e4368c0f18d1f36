/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The number by which a drop names the file it happened in: metrics_key.file, drop_notify.file. */
#pragma once

enum source_file {
	FILE_NONE = 0,
	FILE_POD = 1,
	FILE_PARSE = 2,
	FILE_L4 = 3,
	FILE_ICMP = 4,
	FILE_FRAGMENTS = 5,
	FILE_NEIGHBOUR = 6,
	FILE_CONNTRACK = 7,
	FILE_POLICY = 8,
	FILE_ADMIT = 9,
	FILE_DELIVER = 10,
	FILE_DESTINATION = 11,
	FILE_TUNNEL = 12,
	FILE_OVERLAY = 13,
	FILE_HOST = 14,
	FILE_NETWORK = 15,
	FILE_NAT = 16,
	FILE_REDIRECT = 17,
	FILE_PROXY = 18,
	FILE_HOST_FIREWALL = 19,
};
