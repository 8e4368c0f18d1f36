/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Marks of packets and sockets: bits 8-11 say what they are. The numbers are Cilium's. */
#pragma once

enum mark {
	MARK_KIND = 0x0f00,
	MARK_TO_PROXY = 0x0200, /* With the proxy's port in the upper half: a rule of policy routing keeps these on the node. */
	MARK_OVERLAY = 0x0400,  /* Of packets of the tunnel on their way out: what is inside was judged. */
	/* Of proxies' sockets, with the identity of whom the proxy speaks for: 16 bits above, 8 in the lowest byte, and its scope in bits 12
	 * and 13, which nobody else on a node uses. 0: it takes connections, or answers. */
	MARK_FROM_INGRESS_PROXY = 0x0a00,
	MARK_FROM_EGRESS_PROXY = 0x0b00,
};
