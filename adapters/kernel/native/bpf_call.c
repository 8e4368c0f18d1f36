/* SPDX-License-Identifier: Apache-2.0 */
#include "addon.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

int call_bpf(int command, void *attributes, unsigned int size)
{
	long result;

	/* BPF_PROG_TEST_RUN and some others may be interrupted by a signal before they did anything. */
	for (int attempt = 0; attempt < 16; attempt++) {
		result = syscall(__NR_bpf, command, attributes, size);
		if (result >= 0 || errno != EINTR)
			break;
	}
	return (int)result;
}
