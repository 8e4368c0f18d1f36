/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams whose other end thinks it speaks to somebody else: what was redirected to us, with the address it was sent to; answers, with
 * the address they are to come from; and questions, each from a port of its own. Many a call: records follow each other in one buffer,
 * each padded to 8 bytes. */
#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPV6_ORIGDSTADDR
#define IPV6_ORIGDSTADDR 74
#endif

#define PATH_SIZE 4096
#define BATCH_MAX 64
#define DATAGRAM_SIZE_MAX 65536
#define RECEIVE_BUFFER_SIZE (4 * 1024 * 1024)

struct record {
	uint16_t length;
	uint16_t peer_port;
	uint16_t local_port;
	uint16_t reserved;
	uint8_t peer[16]; /* IPv4 in the first four. */
	uint8_t local[16];
};

struct answer_record {
	uint32_t token;
	int32_t error;
	uint32_t length;
	uint32_t reserved;
};

static size_t padded(size_t length)
{
	return (length + 7) & ~(size_t)7;
}

static void read_address(const struct sockaddr_storage *storage, uint8_t *address, uint16_t *port)
{
	const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)storage;
	const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)storage;

	if (storage->ss_family == AF_INET) {
		memcpy(address, &ipv4->sin_addr, 4);
		*port = ntohs(ipv4->sin_port);
	} else if (storage->ss_family == AF_INET6) {
		memcpy(address, &ipv6->sin6_addr, 16);
		*port = ntohs(ipv6->sin6_port);
	}
}

static socklen_t write_address(struct sockaddr_storage *storage, bool is_ipv6, const uint8_t *address, uint16_t port)
{
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)storage;
	struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)storage;

	memset(storage, 0, sizeof(*storage));
	if (is_ipv6) {
		ipv6->sin6_family = AF_INET6;
		ipv6->sin6_port = htons(port);
		memcpy(&ipv6->sin6_addr, address, 16);
		return sizeof(*ipv6);
	}
	ipv4->sin_family = AF_INET;
	ipv4->sin_port = htons(port);
	memcpy(&ipv4->sin_addr, address, 4);
	return sizeof(*ipv4);
}

static bool set_flag(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

/* (fd, is IPv6): of a datagram socket that others' packets are redirected to */
static napi_value take_redirected(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	int fd = (int)integer_at(&arguments, 0);
	bool is_ipv6 = integer_at(&arguments, 1) != 0;
	bool done = is_ipv6 ? set_flag(fd, SOL_IPV6, IPV6_ORIGDSTADDR, 1) : set_flag(fd, SOL_IP, IP_RECVORIGDSTADDR, 1);

	if (!done)
		return throw_failure(env, "setsockopt", errno);
	/* Without the right to exceed the system's limit, the limit. */
	if (!set_flag(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_SIZE))
		set_flag(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER_SIZE);
	return NULL;
}

/* (fd, is IPv6): of a raw socket for UDP that only sends. It would be given a copy of every datagram of the machine. */
static napi_value send_only(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	int fd = (int)integer_at(&arguments, 0);
	struct sock_filter nothing = { .code = BPF_RET | BPF_K, .k = 0 };
	struct sock_fprog program = { .len = 1, .filter = &nothing };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		return throw_failure(env, "setsockopt", errno);
	if (integer_at(&arguments, 1) != 0 && !set_flag(fd, SOL_IPV6, IPV6_CHECKSUM, offsetof(struct udphdr, check)))
		return throw_failure(env, "setsockopt", errno);
	return NULL;
}

static void read_original_destination(struct msghdr *message, struct record *record)
{
	for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control != NULL; control = CMSG_NXTHDR(message, control)) {
		struct sockaddr_storage address = { 0 };
		bool is_ipv4 = control->cmsg_level == SOL_IP && control->cmsg_type == IP_ORIGDSTADDR;
		bool is_ipv6 = control->cmsg_level == SOL_IPV6 && control->cmsg_type == IPV6_ORIGDSTADDR;

		if (!is_ipv4 && !is_ipv6)
			continue;
		memcpy(&address, CMSG_DATA(control), is_ipv4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
		read_address(&address, record->local, &record->local_port);
	}
}

/* (fd, target of at least 64 KiB) -> bytes filled, of at most 64 datagrams; local port 0 where the kernel did not tell */
static napi_value receive_datagrams(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	int fd = (int)integer_at(&arguments, 0);
	struct bytes target = bytes_at(&arguments, 1);
	size_t filled = 0;

	for (int count = 0; count < BATCH_MAX && filled + sizeof(struct record) + DATAGRAM_SIZE_MAX <= target.length; count++) {
		uint8_t control[256];
		struct sockaddr_storage peer = { 0 };
		struct record record = { 0 };
		struct iovec part = { target.data + filled + sizeof(record), DATAGRAM_SIZE_MAX };
		struct msghdr message = { &peer, sizeof(peer), &part, 1, control, sizeof(control), 0 };
		ssize_t size;

		do {
			size = recvmsg(fd, &message, MSG_DONTWAIT);
		} while (size < 0 && errno == EINTR);
		if (size < 0 && errno == EAGAIN)
			break;
		if (size < 0)
			continue; /* An error that an earlier packet of ours has caused: it is told once. */
		record.length = (uint16_t)size;
		read_address(&peer, record.peer, &record.peer_port);
		read_original_destination(&message, &record);
		memcpy(target.data + filled, &record, sizeof(record));
		filled += padded(sizeof(record) + (size_t)size);
	}
	return number_value(env, (double)filled);
}

static uint32_t add_words(uint32_t sum, const uint8_t *data, size_t length)
{
	for (; length > 1; data += 2, length -= 2)
		sum += (uint32_t)data[0] << 8 | data[1];
	return length == 1 ? sum + ((uint32_t)data[0] << 8) : sum;
}

/* At most 64 KiB: the sum of its words fits. */
static uint16_t ipv4_checksum(const struct record *record, const struct udphdr *header, const uint8_t *payload)
{
	uint32_t sum = IPPROTO_UDP + ntohs(header->len);

	sum = add_words(sum, record->peer, 4);
	sum = add_words(sum, record->local, 4);
	sum = add_words(sum, (const uint8_t *)header, sizeof(*header));
	sum = add_words(sum, payload, record->length);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum == 0 ? 0xffff : htons((uint16_t)~sum);
}

/* From an address that need not be ours, and that addresses the packet's receiver spoke to. */
static bool send_one(int fd, bool is_ipv6, const struct record *record, uint8_t *payload)
{
	struct udphdr header = {
		.source = htons(record->local_port),
		.dest = htons(record->peer_port),
		.len = htons((uint16_t)(sizeof(header) + record->length)),
	};
	struct sockaddr_storage peer;
	socklen_t peer_size = write_address(&peer, is_ipv6, record->peer, 0);
	struct iovec parts[] = { { &header, sizeof(header) }, { payload, record->length } };
	uint8_t control[CMSG_SPACE(sizeof(struct in6_pktinfo))] __attribute__((aligned(8))) = { 0 };
	struct msghdr message = { &peer, peer_size, parts, 2, control, 0, 0 };
	struct cmsghdr *first = (struct cmsghdr *)control;
	ssize_t size;

	if (is_ipv6) {
		struct in6_pktinfo *source = (struct in6_pktinfo *)CMSG_DATA(first);

		memcpy(&source->ipi6_addr, record->local, 16);
		*first = (struct cmsghdr){ CMSG_LEN(sizeof(*source)), SOL_IPV6, IPV6_PKTINFO };
		message.msg_controllen = CMSG_SPACE(sizeof(*source));
	} else {
		struct in_pktinfo *source = (struct in_pktinfo *)CMSG_DATA(first);

		memcpy(&source->ipi_spec_dst, record->local, 4);
		*first = (struct cmsghdr){ CMSG_LEN(sizeof(*source)), SOL_IP, IP_PKTINFO };
		message.msg_controllen = CMSG_SPACE(sizeof(*source));
		header.check = ipv4_checksum(record, &header, payload);
	}
	do {
		size = sendmsg(fd, &message, MSG_DONTWAIT);
	} while (size < 0 && errno == EINTR);
	return size >= 0;
}

/* (fd, is IPv6, records, bytes of them) -> how many could not be sent */
static napi_value send_datagrams(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	int fd = (int)integer_at(&arguments, 0);
	bool is_ipv6 = integer_at(&arguments, 1) != 0;
	struct bytes records = bytes_at(&arguments, 2);
	size_t end = (size_t)integer_at(&arguments, 3);
	size_t offset = 0;
	uint32_t failed = 0;

	if (end > records.length)
		end = records.length;
	while (offset + sizeof(struct record) <= end) {
		struct record record;

		memcpy(&record, records.data + offset, sizeof(record));
		if (offset + sizeof(record) + record.length > end)
			break;
		failed += !send_one(fd, is_ipv6, &record, records.data + offset + sizeof(record));
		offset += padded(sizeof(record) + record.length);
	}
	return number_value(env, failed);
}

struct question {
	int64_t mark; /* -1: none */
	struct sockaddr_storage server;
	socklen_t server_size;
	struct bytes payload;
	int fd; /* The result. */
};

static bool ask_server(void *context, struct failure *failure)
{
	struct question *question = context;
	const char *failed = NULL;

	question->fd = socket(question->server.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (question->fd < 0)
		return fail_with(failure, "socket", errno, NULL);
	/* Connected: the kernel takes only the server's answers, and tells when nobody is there. The port is the kernel's choice, at random. */
	if (question->mark >= 0 && !set_flag(question->fd, SOL_SOCKET, SO_MARK, (int)question->mark))
		failed = "setsockopt";
	else if (connect(question->fd, (struct sockaddr *)&question->server, question->server_size) < 0)
		failed = "connect";
	else if (send(question->fd, question->payload.data, question->payload.length, MSG_DONTWAIT) < 0)
		failed = "send";
	if (failed == NULL)
		return true;
	fail_with(failure, failed, errno, NULL);
	close(question->fd);
	return false;
}

/* () -> fd of an epoll instance */
static napi_value open_exchange(napi_env env, napi_callback_info info)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	(void)info;
	return fd < 0 ? throw_failure(env, "epoll_create1", errno) : number_value(env, fd);
}

/* (exchange, token, namespace or null, mark or -1, address of 4 or 16 bytes, port, payload) -> fd, to be closed when it is answered */
static napi_value ask(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct bytes address = bytes_at(&arguments, 4);
	struct question question = { .mark = integer_at(&arguments, 3), .payload = bytes_at(&arguments, 6) };
	struct epoll_event event = { .events = EPOLLIN };
	struct failure failure = { 0 };
	char path[PATH_SIZE];

	if (address.length != 4 && address.length != 16)
		return throw_failure(env, "connect", EAFNOSUPPORT);
	question.server_size = write_address(&question.server, address.length == 16, address.data, (uint16_t)integer_at(&arguments, 5));
	text_at(&arguments, 2, path, sizeof(path));
	if (!run_in_namespace(path, ask_server, &question, &failure))
		return throw_failure_at(env, &failure);
	event.data.u64 = (uint64_t)(uint32_t)integer_at(&arguments, 1) << 32 | (uint32_t)question.fd;
	if (epoll_ctl((int)integer_at(&arguments, 0), EPOLL_CTL_ADD, question.fd, &event) < 0) {
		close(question.fd);
		return throw_failure(env, "epoll_ctl", errno);
	}
	return number_value(env, question.fd);
}

/* (exchange, target of at least 64 KiB) -> bytes filled; of a question at most one answer a call */
static napi_value receive_answers(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct bytes target = bytes_at(&arguments, 1);
	struct epoll_event events[BATCH_MAX];
	size_t room = target.length / (sizeof(struct answer_record) + DATAGRAM_SIZE_MAX);
	int count = epoll_wait((int)integer_at(&arguments, 0), events, room < BATCH_MAX ? (int)room : BATCH_MAX, 0);
	size_t filled = 0;

	for (int index = 0; index < count; index++) {
		struct answer_record record = { .token = (uint32_t)(events[index].data.u64 >> 32) };
		uint8_t *payload = target.data + filled + sizeof(record);
		ssize_t size = recv((int)(uint32_t)events[index].data.u64, payload, DATAGRAM_SIZE_MAX, MSG_DONTWAIT);

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		record.error = size < 0 ? errno : 0;
		record.length = size < 0 ? 0 : (uint32_t)size;
		memcpy(target.data + filled, &record, sizeof(record));
		filled += padded(sizeof(record) + record.length);
	}
	return number_value(env, (double)filled);
}

void export_datagram(napi_env env, napi_value exports)
{
	static const struct export list[] = {
		{ "takeRedirected", take_redirected },
		{ "sendOnly", send_only },
		{ "receiveDatagrams", receive_datagrams },
		{ "sendDatagrams", send_datagrams },
		{ "openExchange", open_exchange },
		{ "ask", ask },
		{ "receiveAnswers", receive_answers },
	};

	ADD_EXPORTS(env, exports, list);
}
