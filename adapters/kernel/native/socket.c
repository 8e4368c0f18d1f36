/* SPDX-License-Identifier: Apache-2.0 */
/* What is done inside another network namespace, synchronously: sockets, sysctls, the namespace's cookie. */
#include "addon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define PATH_SIZE 4096
#define ABSENT (-1)

struct socket_request {
	int family;
	int type;
	int protocol;
	int64_t mark;    /* Or ABSENT, as the two below. */
	int64_t port;    /* Absent: not bound. */
	int64_t backlog; /* Absent: not listening. */
	bool transparent;
	bool reuse_address;
	char address[256]; /* Text of an IP address, a path, or the name of a device. */
	int fd;            /* The result. */
};

static bool set_option(const struct socket_request *request, int level, int option, int value, const char *name, struct failure *failure)
{
	if (setsockopt(request->fd, level, option, &value, sizeof(value)) == 0)
		return true;
	return fail_with(failure, "setsockopt", errno, name);
}

static bool set_options(const struct socket_request *request, struct failure *failure)
{
	/* An IPv6 socket takes IPv6 only: whoever wants both families opens two. */
	if (request->family == AF_INET6 && request->type != SOCK_RAW && !set_option(request, SOL_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY", failure))
		return false;
	if (request->reuse_address && !set_option(request, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR", failure))
		return false;
	if (request->mark != ABSENT && !set_option(request, SOL_SOCKET, SO_MARK, (int)request->mark, "SO_MARK", failure))
		return false;
	if (!request->transparent)
		return true;
	if (request->family == AF_INET6)
		return set_option(request, SOL_IPV6, IPV6_TRANSPARENT, 1, "IPV6_TRANSPARENT", failure);
	return set_option(request, SOL_IP, IP_TRANSPARENT, 1, "IP_TRANSPARENT", failure);
}

/* Returns the size of the address, 0 when the text is none of the family. */
static socklen_t parse_address(const struct socket_request *request, struct sockaddr_storage *storage)
{
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)storage;
	struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)storage;
	struct sockaddr_un *local = (struct sockaddr_un *)storage;
	struct sockaddr_ll *link = (struct sockaddr_ll *)storage;
	size_t length = strlen(request->address);

	memset(storage, 0, sizeof(*storage));
	storage->ss_family = (sa_family_t)request->family;
	switch (request->family) {
	case AF_INET:
		ipv4->sin_port = htons((uint16_t)request->port);
		return inet_pton(AF_INET, request->address, &ipv4->sin_addr) == 1 ? sizeof(*ipv4) : 0;
	case AF_INET6:
		ipv6->sin6_port = htons((uint16_t)request->port);
		return inet_pton(AF_INET6, request->address, &ipv6->sin6_addr) == 1 ? sizeof(*ipv6) : 0;
	case AF_UNIX:
		if (length == 0 || length >= sizeof(local->sun_path))
			return 0;
		memcpy(local->sun_path, request->address, length);
		if (request->address[0] != '@')
			return sizeof(*local);
		local->sun_path[0] = '\0'; /* Abstract, as `ss` writes it: no file, seen only in its namespace. */
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	case AF_PACKET:
		link->sll_protocol = htons((uint16_t)request->protocol);
		link->sll_ifindex = (int)if_nametoindex(request->address);
		return link->sll_ifindex != 0 ? sizeof(*link) : 0;
	default:
		return 0;
	}
}

static bool bind_and_listen(const struct socket_request *request, struct failure *failure)
{
	struct sockaddr_storage address;
	socklen_t size;

	if (request->port != ABSENT) {
		size = parse_address(request, &address);
		if (size == 0)
			return fail_with(failure, "bind", request->family == AF_PACKET ? ENODEV : EINVAL, request->address);
		if (bind(request->fd, (struct sockaddr *)&address, size) < 0)
			return fail_with(failure, "bind", errno, request->address);
	}
	if (request->backlog != ABSENT && listen(request->fd, (int)request->backlog) < 0)
		return fail_with(failure, "listen", errno, request->address);
	return true;
}

static bool make_socket(void *context, struct failure *failure)
{
	struct socket_request *request = context;
	int protocol = request->family == AF_PACKET ? htons((uint16_t)request->protocol) : request->protocol;

	request->fd = socket(request->family, request->type | SOCK_CLOEXEC, protocol);
	if (request->fd < 0)
		return fail_with(failure, "socket", errno, NULL);
	if (set_options(request, failure) && bind_and_listen(request, failure))
		return true;
	close(request->fd);
	return false;
}

/* (namespace or null, family, type, protocol, transparent, reuseAddress, mark or -1, address, port or -1, backlog or -1) -> fd */
static napi_value open_socket(napi_env env, napi_callback_info info)
{
	static const int families[] = { AF_INET, AF_INET6, AF_UNIX, AF_PACKET };
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_RAW };
	struct arguments arguments = read_arguments(env, info);
	struct socket_request request = {
		.family = families[integer_at(&arguments, 1) & 3],
		.type = types[integer_at(&arguments, 2) % 3],
		.protocol = (int)integer_at(&arguments, 3),
		.transparent = integer_at(&arguments, 4) != 0,
		.reuse_address = integer_at(&arguments, 5) != 0,
		.mark = integer_at(&arguments, 6),
		.port = integer_at(&arguments, 8),
		.backlog = integer_at(&arguments, 9),
	};
	struct failure failure = { 0 };
	char path[PATH_SIZE];

	text_at(&arguments, 0, path, sizeof(path));
	text_at(&arguments, 7, request.address, sizeof(request.address));
	if (!run_in_namespace(path, make_socket, &request, &failure))
		return throw_failure_at(env, &failure);
	return number_value(env, request.fd);
}

/* () -> fd of a network namespace that nobody has */
static napi_value create_network_namespace(napi_env env, napi_callback_info info)
{
	struct failure failure = { 0 };
	int fd = create_namespace(&failure);

	(void)info;
	return fd < 0 ? throw_failure_at(env, &failure) : number_value(env, fd);
}

struct sysctls {
	char *text; /* path NUL value NUL path NUL ... */
	size_t length;
};

static bool write_sysctl(const char *path, const char *value, struct failure *failure)
{
	size_t length = strlen(value);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return fail_with(failure, "open", errno, path);
	error = write(fd, value, length) == (ssize_t)length ? 0 : errno;
	close(fd);
	return error == 0 || fail_with(failure, "write", error, path);
}

/* The files under /proc/sys/net show the namespace of the thread that opens them. */
static bool write_all_sysctls(void *context, struct failure *failure)
{
	const struct sysctls *sysctls = context;
	const char *end = sysctls->text + sysctls->length;

	for (const char *path = sysctls->text; path < end;) {
		const char *value = path + strlen(path) + 1;

		if (!write_sysctl(path, value, failure))
			return false;
		path = value + strlen(value) + 1;
	}
	return true;
}

/* (namespace or null, bytes: path NUL value NUL, any number of them) */
static napi_value write_sysctls(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct bytes bytes = bytes_at(&arguments, 1);
	struct sysctls sysctls = { .length = bytes.length };
	struct failure failure = { 0 };
	char path[PATH_SIZE];
	bool succeeded;

	text_at(&arguments, 0, path, sizeof(path));
	sysctls.text = calloc(1, bytes.length + 2);
	if (sysctls.text == NULL)
		return throw_failure(env, "malloc", ENOMEM);
	if (bytes.length > 0)
		memcpy(sysctls.text, bytes.data, bytes.length);
	succeeded = run_in_namespace(path, write_all_sysctls, &sysctls, &failure);
	free(sysctls.text);
	return succeeded ? NULL : throw_failure_at(env, &failure);
}

static bool read_cookie(void *context, struct failure *failure)
{
	uint64_t *cookie = context;
	socklen_t size = sizeof(*cookie);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return fail_with(failure, "socket", errno, NULL);
	error = getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &size) < 0 ? errno : 0;
	close(fd);
	return error == 0 || fail_with(failure, "getsockopt", error, "SO_NETNS_COOKIE");
}

/* (namespace or null) -> bigint */
static napi_value namespace_cookie(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct failure failure = { 0 };
	uint64_t cookie = 0;
	char path[PATH_SIZE];
	napi_value result = NULL;

	text_at(&arguments, 0, path, sizeof(path));
	if (!run_in_namespace(path, read_cookie, &cookie, &failure))
		return throw_failure_at(env, &failure);
	napi_create_bigint_uint64(env, cookie, &result);
	return result;
}

void export_socket(napi_env env, napi_value exports)
{
	static const struct export list[] = {
		{ "openSocket", open_socket },
		{ "writeSysctls", write_sysctls },
		{ "namespaceCookie", namespace_cookie },
		{ "createNamespace", create_network_namespace },
	};

	ADD_EXPORTS(env, exports, list);
}
