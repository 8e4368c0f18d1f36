/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define HEAD_SIZE_MAX (16 * 1024)
#define RETRY_MS 20

enum body_kind { BODY_UNTIL_CLOSED, BODY_LENGTH, BODY_CHUNKED };
enum chunk_part { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER };

/* What was read of an answer. Bytes are fed as they come. */
struct parser {
	bool in_body;
	bool finished;
	enum body_kind kind;
	uint64_t left;			/* Of the body, or of the chunk. */
	enum chunk_part part;
	size_t digits;			/* Of the chunk's size. */
	size_t line_length;		/* Of the trailer's line. */
	size_t trailer_length;
	size_t head_length;
	int status;
	size_t body_length;
	const char *problem;
};

static char head[HEAD_SIZE_MAX + 1];
static char body[HTTP_BODY_SIZE_MAX + 1];

int64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static bool fail(struct parser *parser, const char *problem)
{
	parser->problem = problem;
	return false;
}

static bool parse_status(struct parser *parser)
{
	const char *digits = head + 9;

	if (strncmp(head, "HTTP/1.1 ", 9) != 0 && strncmp(head, "HTTP/1.0 ", 9) != 0)
		return fail(parser, "it is no HTTP/1.1");
	for (int index = 0; index < 3; index++) {
		if (digits[index] < '0' || digits[index] > '9')
			return fail(parser, "its status is no number");
		parser->status = parser->status * 10 + (digits[index] - '0');
	}
	if ((digits[3] != ' ' && digits[3] != '\r') || parser->status < 200 || parser->status > 599)
		return fail(parser, "its status is none of an answer");
	return true;
}

static bool parse_length(struct parser *parser, const char *value)
{
	uint64_t length = 0;

	if (*value < '0' || *value > '9' || parser->kind != BODY_UNTIL_CLOSED)
		return fail(parser, "its length is no number, or is given twice");
	for (; *value >= '0' && *value <= '9'; value++) {
		length = length * 10 + (uint64_t)(*value - '0');
		if (length > HTTP_BODY_SIZE_MAX)
			return fail(parser, "it is larger than 1 MiB");
	}
	while (*value == ' ' || *value == '\t')
		value++;
	if (*value != 0)
		return fail(parser, "its length is no number, or is given twice");
	parser->kind = BODY_LENGTH;
	parser->left = length;
	return true;
}

static bool parse_header(struct parser *parser, char *line)
{
	char *value = strchr(line, ':');
	size_t end;

	if (value == NULL)
		return fail(parser, "it has a header without a colon");
	*value++ = 0;
	while (*value == ' ' || *value == '\t')
		value++;
	if (strcasecmp(line, "content-length") == 0)
		return parse_length(parser, value);
	if (strcasecmp(line, "transfer-encoding") != 0)
		return true;
	end = strlen(value);
	while (end > 0 && (value[end - 1] == ' ' || value[end - 1] == '\t'))
		value[--end] = 0;
	if (strcasecmp(value, "chunked") != 0 || parser->kind != BODY_UNTIL_CLOSED)
		return fail(parser, "its transfer encoding is not chunked alone");
	parser->kind = BODY_CHUNKED;
	return true;
}

/* The head is whole: ended by an empty line. */
static bool parse_head(struct parser *parser)
{
	char *line;

	if (memchr(head, 0, parser->head_length) != NULL)
		return fail(parser, "its head has a zero byte");
	if (!parse_status(parser))
		return false;
	line = strstr(head, "\r\n") + 2;
	while (strncmp(line, "\r\n", 2) != 0) {
		char *end = strstr(line, "\r\n");

		*end = 0;
		if (!parse_header(parser, line))
			return false;
		line = end + 2;
	}
	parser->in_body = true;
	parser->finished = parser->status == 204 || parser->status == 304 || (parser->kind == BODY_LENGTH && parser->left == 0);
	return true;
}

static bool feed_head(struct parser *parser, char byte)
{
	if (parser->head_length >= HEAD_SIZE_MAX)
		return fail(parser, "its head is larger than 16 KiB");
	head[parser->head_length++] = byte;
	head[parser->head_length] = 0;
	if (parser->head_length >= 4 && memcmp(head + parser->head_length - 4, "\r\n\r\n", 4) == 0)
		return parse_head(parser);
	return true;
}

static int hex_digit(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
		return (byte | 0x20) - 'a' + 10;
	return -1;
}

static bool end_chunk_size(struct parser *parser)
{
	if (parser->digits == 0)
		return fail(parser, "a chunk has no size");
	parser->digits = 0;
	parser->line_length = 0;
	parser->part = parser->left == 0 ? CHUNK_TRAILER : CHUNK_DATA;
	return true;
}

static bool feed_chunk_size(struct parser *parser, char byte)
{
	int digit = hex_digit(byte);

	if (parser->part == CHUNK_SIZE && digit >= 0) {
		parser->digits++;
		parser->left = parser->left << 4 | (uint64_t)digit;
		if (parser->digits > 16 || parser->left > HTTP_BODY_SIZE_MAX - parser->body_length)
			return fail(parser, "it is larger than 1 MiB");
		return true;
	}
	if (byte == '\n')
		return end_chunk_size(parser);
	if (parser->part == CHUNK_SIZE && byte != '\r' && byte != ';' && byte != ' ' && byte != '\t')
		return fail(parser, "the size of a chunk is no number");
	parser->part = CHUNK_EXTENSION;
	parser->line_length++;
	return parser->line_length < 1024 || fail(parser, "the extension of a chunk is longer than 1 KiB");
}

/* Lines until an empty one; what they say is of no interest. */
static bool feed_trailer(struct parser *parser, char byte)
{
	if (++parser->trailer_length > HEAD_SIZE_MAX)
		return fail(parser, "its trailer is larger than 16 KiB");
	if (byte == '\r')
		return true;
	if (byte != '\n') {
		parser->line_length++;
		return true;
	}
	parser->finished = parser->line_length == 0;
	parser->line_length = 0;
	return true;
}

static bool feed_chunked(struct parser *parser, char byte)
{
	switch (parser->part) {
	case CHUNK_SIZE:
	case CHUNK_EXTENSION:
		return feed_chunk_size(parser, byte);
	case CHUNK_DATA:
		body[parser->body_length++] = byte; /* The chunk's size was seen to fit. */
		if (--parser->left == 0)
			parser->part = CHUNK_DATA_END;
		return true;
	case CHUNK_DATA_END:
		if (byte == '\n')
			parser->part = CHUNK_SIZE;
		else if (byte != '\r' || parser->digits > 0)
			return fail(parser, "a chunk is longer than its size");
		parser->digits = byte == '\r';
		return true;
	case CHUNK_TRAILER:
		return feed_trailer(parser, byte);
	}
	return fail(parser, "it is in an unknown state");
}

static bool feed_byte(struct parser *parser, char byte)
{
	if (!parser->in_body)
		return feed_head(parser, byte);
	if (parser->kind == BODY_CHUNKED)
		return feed_chunked(parser, byte);
	if (parser->body_length >= HTTP_BODY_SIZE_MAX)
		return fail(parser, "it is larger than 1 MiB");
	body[parser->body_length++] = byte;
	parser->finished = parser->kind == BODY_LENGTH && --parser->left == 0;
	return true;
}

static void sleep_ms(int delay_ms)
{
	const struct timespec time = { .tv_sec = delay_ms / 1000, .tv_nsec = (long)(delay_ms % 1000) * 1000000 };

	nanosleep(&time, NULL);
}

/* A connected socket that does not block, or -1 and errno. */
static int connect_once(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, error;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static int connect_patiently(const struct http_call *call)
{
	int64_t start = now_ms();

	for (;;) {
		int fd = connect_once(call->socket_path);
		int64_t waited = now_ms() - start;
		int patience = 0;

		if (fd >= 0)
			return fd;
		if (errno == EAGAIN || errno == EINTR)
			patience = call->connect_timeout_ms;
		else if (errno == ECONNREFUSED || errno == ENOENT)
			patience = call->absent_timeout_ms;
		if (waited >= patience)
			return -1;
		sleep_ms(RETRY_MS);
	}
}

/* False with ETIMEDOUT in errno after the deadline. */
static bool wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };

	for (;;) {
		int64_t left = deadline - now_ms();
		int ready;

		if (left <= 0) {
			errno = ETIMEDOUT;
			return false;
		}
		ready = poll(&poll_fd, 1, (int)left);
		if (ready > 0)
			return true;
		if (ready < 0 && errno != EINTR)
			return false;
	}
}

static bool send_all(int fd, const char *data, size_t length, int64_t deadline)
{
	while (length > 0) {
		ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);

		if (sent >= 0) {
			data += sent;
			length -= (size_t)sent;
		} else if (errno == EAGAIN) {
			if (!wait_for(fd, POLLOUT, deadline))
				return false;
		} else if (errno != EINTR) {
			return false;
		}
	}
	return true;
}

static enum http_result receive(int fd, struct parser *parser, int64_t deadline)
{
	static char buffer[65536];

	while (!parser->finished) {
		ssize_t received = recv(fd, buffer, sizeof(buffer), 0);

		if (received < 0 && errno == EINTR)
			continue;
		if (received < 0 && errno == EAGAIN && wait_for(fd, POLLIN, deadline))
			continue;
		if (received < 0)
			return HTTP_NO_ANSWER;
		if (received == 0) {
			if (parser->in_body && parser->kind == BODY_UNTIL_CLOSED)
				return HTTP_ANSWERED;
			errno = 0;
			return HTTP_NO_ANSWER;
		}
		for (ssize_t index = 0; index < received && !parser->finished; index++) {
			if (!feed_byte(parser, buffer[index]))
				return HTTP_MALFORMED;
		}
	}
	return HTTP_ANSWERED;
}

static enum http_result exchange(int fd, const struct http_call *call, struct parser *parser)
{
	int64_t deadline = now_ms() + call->answer_timeout_ms;
	char request[512];
	int length;

	length = snprintf(request, sizeof(request),
			  "POST %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: cilium-cni\r\nContent-Type: application/json\r\n"
			  "Content-Length: %zu\r\nConnection: close\r\n\r\n",
			  call->path, call->body_length);
	/* An agent that refuses early closes its end before all is sent; what it said can be read nevertheless. */
	if ((!send_all(fd, request, (size_t)length, deadline) || !send_all(fd, call->body, call->body_length, deadline)) &&
	    errno != EPIPE && errno != ECONNRESET)
		return HTTP_NO_ANSWER;
	return receive(fd, parser, deadline);
}

enum http_result http_post(const struct http_call *call, struct http_answer *answer)
{
	struct parser parser = { 0 };
	enum http_result result;
	int fd = connect_patiently(call);

	if (fd < 0) {
		snprintf(answer->reason, sizeof(answer->reason), "%s", strerror(errno));
		return HTTP_NOT_CONNECTED;
	}
	result = exchange(fd, call, &parser);
	if (result == HTTP_MALFORMED)
		snprintf(answer->reason, sizeof(answer->reason), "%s", parser.problem);
	else if (result == HTTP_NO_ANSWER && errno == ETIMEDOUT)
		snprintf(answer->reason, sizeof(answer->reason), "no answer within %d s", call->answer_timeout_ms / 1000);
	else if (result == HTTP_NO_ANSWER)
		snprintf(answer->reason, sizeof(answer->reason), "it closed the connection before it had answered");
	close(fd);
	body[parser.body_length] = 0;
	answer->status = parser.status;
	answer->body = body;
	answer->body_length = parser.body_length;
	return result;
}
