/* SPDX-License-Identifier: Apache-2.0 */
/* Deletions that nobody was there to carry out. The agent reads them when it starts: *.json, oldest name first. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define DELETE_QUEUE_FILES_MAX 10000

enum queue_result {
	QUEUE_WRITTEN,
	QUEUE_FULL,
	QUEUE_FAILED,	/* `reason` names the file, what was tried with it, and what the system says. */
};

/* The file is either there as a whole and on the disk, or not at all. */
enum queue_result delete_queue_add(const char *directory, const char *data, size_t length, char *reason, size_t reason_size);
