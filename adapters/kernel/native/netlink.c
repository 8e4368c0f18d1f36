/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink sockets. What the messages mean is the codec's business: here they are counted and carried. */
#include "addon.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATH_SIZE 4096
/* A thousand acknowledgements wait here at once, or a burst of notifications. */
#define RECEIVE_BUFFER_SIZE (4 * 1024 * 1024)
#define ANSWER_SIZE_MAX (256 * 1024 * 1024)
#define NOTIFICATIONS_SIZE_MAX (1024 * 1024)
#define DISCARDED_MAX 65536
#define TIMEOUT_S 5

struct netlink_request {
	int protocol;
	const uint32_t *groups;
	size_t group_count;
	int fd;
};

static bool set_netlink_options(const struct netlink_request *request, struct failure *failure)
{
	const struct timeval timeout = { .tv_sec = TIMEOUT_S };
	const int size = RECEIVE_BUFFER_SIZE;
	const int on = 1;

	/* Without the right to exceed the system's limit, the limit. */
	if (setsockopt(request->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(request->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(request->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return fail_with(failure, "setsockopt", errno, "SO_RCVTIMEO");
	if (setsockopt(request->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on)) < 0)
		return fail_with(failure, "setsockopt", errno, "NETLINK_EXT_ACK");
	if (setsockopt(request->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on)) < 0)
		return fail_with(failure, "setsockopt", errno, "NETLINK_GET_STRICT_CHK");
	return true;
}

/* After binding, which would leave the groups again. */
static bool join_groups(const struct netlink_request *request, struct failure *failure)
{
	for (size_t index = 0; index < request->group_count; index++) {
		const int group = (int)request->groups[index];

		if (setsockopt(request->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
			return fail_with(failure, "setsockopt", errno, "NETLINK_ADD_MEMBERSHIP");
	}
	return true;
}

static bool bind_netlink(const struct netlink_request *request, struct failure *failure)
{
	const struct sockaddr_nl address = { .nl_family = AF_NETLINK };

	return bind(request->fd, (const struct sockaddr *)&address, sizeof(address)) == 0 || fail_with(failure, "bind", errno, NULL);
}

static bool make_netlink(void *context, struct failure *failure)
{
	struct netlink_request *request = context;

	request->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, request->protocol);
	if (request->fd < 0)
		return fail_with(failure, "socket", errno, NULL);
	if (set_netlink_options(request, failure) && bind_netlink(request, failure) && join_groups(request, failure))
		return true;
	close(request->fd);
	return false;
}

/* (namespace or null, protocol, groups as Uint32Array) -> fd */
static napi_value open_netlink(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct bytes groups = bytes_at(&arguments, 2);
	struct netlink_request request = {
		.protocol = (int)integer_at(&arguments, 1),
		.groups = (const uint32_t *)groups.data,
		.group_count = groups.length / sizeof(uint32_t),
	};
	struct failure failure = { 0 };
	char path[PATH_SIZE];

	text_at(&arguments, 0, path, sizeof(path));
	if (!run_in_namespace(path, make_netlink, &request, &failure))
		return throw_failure_at(env, &failure);
	return number_value(env, request.fd);
}

struct buffer {
	uint8_t *data;
	size_t length;
	size_t capacity;
};

static bool reserve(struct buffer *buffer, size_t more, size_t limit, struct failure *failure)
{
	size_t capacity = buffer->capacity == 0 ? 16384 : buffer->capacity;
	uint8_t *data;

	if (buffer->length + more > limit)
		return fail_with(failure, "recv", EMSGSIZE, NULL);
	while (capacity < buffer->length + more)
		capacity *= 2;
	if (capacity == buffer->capacity)
		return true;
	data = realloc(buffer->data, capacity);
	if (data == NULL)
		return fail_with(failure, "malloc", ENOMEM, NULL);
	buffer->data = data;
	buffer->capacity = capacity;
	return true;
}

/* Appends one datagram, however large it is. */
static bool receive_datagram(int fd, int flags, struct buffer *buffer, size_t limit, struct failure *failure)
{
	uint8_t probe;
	ssize_t size, received;

	do {
		size = recv(fd, &probe, sizeof(probe), MSG_PEEK | MSG_TRUNC | flags);
	} while (size < 0 && errno == EINTR);
	if (size < 0)
		return fail_with(failure, "recv", errno, NULL);
	if (!reserve(buffer, (size_t)size, limit, failure))
		return false;
	do {
		received = recv(fd, buffer->data + buffer->length, (size_t)size, flags);
	} while (received < 0 && errno == EINTR);
	if (received < 0)
		return fail_with(failure, "recv", errno, NULL);
	buffer->length += (size_t)received;
	return true;
}

/* Everything that is waiting now. Bounded, should messages arrive as fast as they are thrown away. */
static void discard_pending(int fd)
{
	uint8_t discarded;

	for (int count = 0; count < DISCARDED_MAX; count++) {
		if (recv(fd, &discarded, sizeof(discarded), MSG_DONTWAIT) < 0 && errno != ENOBUFS && errno != EINTR)
			break;
	}
}

/* How many answers end in these messages. */
static uint32_t count_answers(const uint8_t *data, size_t length)
{
	uint32_t answers = 0;

	while (length >= sizeof(struct nlmsghdr)) {
		const struct nlmsghdr *message = (const struct nlmsghdr *)data;
		size_t size = NLMSG_ALIGN(message->nlmsg_len);

		if (message->nlmsg_len < sizeof(*message))
			break;
		answers += message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE;
		if (size >= length)
			break;
		data += size;
		length -= size;
	}
	return answers;
}

struct transaction {
	napi_async_work work;
	napi_deferred deferred;
	int fd;
	uint32_t expected;
	struct buffer request;
	struct buffer answer;
	struct failure failure;
	bool succeeded;
};

static bool transact_now(struct transaction *transaction)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct failure *failure = &transaction->failure;
	uint32_t answers = 0;

	discard_pending(transaction->fd); /* Late answers to an earlier request that ran into its timeout. */
	if (sendto(transaction->fd, transaction->request.data, transaction->request.length, 0, (const struct sockaddr *)&kernel,
		   sizeof(kernel)) < 0)
		return fail_with(failure, "sendto", errno, NULL);
	while (answers < transaction->expected) {
		size_t before = transaction->answer.length;

		if (!receive_datagram(transaction->fd, 0, &transaction->answer, ANSWER_SIZE_MAX, failure)) {
			if (failure->error == EAGAIN)
				failure->error = ETIMEDOUT;
			return false;
		}
		answers += count_answers(transaction->answer.data + before, transaction->answer.length - before);
	}
	return true;
}

static void execute_transaction(napi_env env, void *data)
{
	struct transaction *transaction = data;

	(void)env;
	transaction->succeeded = transact_now(transaction);
}

static void complete_transaction(napi_env env, napi_status status, void *data)
{
	struct transaction *transaction = data;

	if (status != napi_ok)
		transaction->succeeded = fail_with(&transaction->failure, "sendto", ECANCELED, NULL);
	if (transaction->succeeded)
		napi_resolve_deferred(env, transaction->deferred,
				      copied_bytes(env, transaction->answer.data, transaction->answer.length));
	else
		napi_reject_deferred(env, transaction->deferred, failure_value(env, &transaction->failure));
	napi_delete_async_work(env, transaction->work);
	free(transaction->request.data);
	free(transaction->answer.data);
	free(transaction);
}

/* (fd, messages, answers expected) -> Promise of bytes */
static napi_value transact(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct bytes messages = bytes_at(&arguments, 1);
	struct transaction *transaction = calloc(1, sizeof(*transaction));
	napi_value promise = NULL;

	if (transaction == NULL || !reserve(&transaction->request, messages.length, SIZE_MAX, &transaction->failure)) {
		free(transaction);
		return throw_failure(env, "malloc", ENOMEM);
	}
	memcpy(transaction->request.data, messages.data, messages.length);
	transaction->request.length = messages.length;
	transaction->fd = (int)integer_at(&arguments, 0);
	transaction->expected = (uint32_t)integer_at(&arguments, 2);
	napi_create_promise(env, &transaction->deferred, &promise);
	napi_create_async_work(env, NULL, text_value(env, "cilium-ts:netlink"), execute_transaction, complete_transaction, transaction,
			       &transaction->work);
	napi_queue_async_work(env, transaction->work);
	return promise;
}

/* (fd) -> bytes of the notifications waiting, about 1 MiB of them at most; ENOBUFS when the kernel had no room and dropped some */
static napi_value read_notifications(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	int fd = (int)integer_at(&arguments, 0);
	struct buffer buffer = { 0 };
	struct failure failure = { 0 };
	napi_value result;

	while (buffer.length < NOTIFICATIONS_SIZE_MAX) {
		if (receive_datagram(fd, MSG_DONTWAIT, &buffer, SIZE_MAX, &failure))
			continue;
		if (failure.error == EAGAIN)
			break;
		/* The reader will list everything again: what is older than that list must not come after it. */
		free(buffer.data);
		if (failure.error == ENOBUFS)
			discard_pending(fd);
		return throw_failure_at(env, &failure);
	}
	result = copied_bytes(env, buffer.data, buffer.length);
	free(buffer.data);
	return result;
}

void export_netlink(napi_env env, napi_value exports)
{
	static const struct export list[] = {
		{ "openNetlink", open_netlink },
		{ "transact", transact },
		{ "readNotifications", read_notifications },
	};

	ADD_EXPORTS(env, exports, list);
}
