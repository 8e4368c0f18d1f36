/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP/1.1 request over a unix socket. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_BODY_SIZE_MAX (1024 * 1024)

enum http_result {
	HTTP_ANSWERED,
	HTTP_NOT_CONNECTED,	/* Nobody is there. `reason` says what the system says. */
	HTTP_NO_ANSWER,		/* Somebody was, and went away or kept silent. */
	HTTP_MALFORMED,		/* The answer is none, or too large. */
};

struct http_call {
	const char *socket_path;	/* At most 107 bytes: checked by the caller. */
	const char *path;
	const char *body;
	size_t body_length;
	int connect_timeout_ms;		/* While the agent's queue of connections is full. */
	int absent_timeout_ms;		/* While there is no agent. */
	int answer_timeout_ms;
};

struct http_answer {
	int status;
	char *body;		/* Ended by a zero byte. Valid until the next call. */
	size_t body_length;
	char reason[160];
};

enum http_result http_post(const struct http_call *call, struct http_answer *answer);

/* CLOCK_MONOTONIC. */
int64_t now_ms(void);
