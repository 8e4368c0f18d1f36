/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of BPF objects: pinning, opening pins, closing; and the file system that pins live in. */
#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* (path) -> fd */
static napi_value open_pin(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	char path[4096];
	union bpf_attr attributes = { 0 };
	int fd;

	if (!text_at(&arguments, 0, path, sizeof(path)))
		return throw_failure(env, "bpf(OBJ_GET)", ENAMETOOLONG);
	attributes.pathname = (uintptr_t)path;
	fd = call_bpf(BPF_OBJ_GET, &attributes, sizeof(attributes));
	return fd < 0 ? throw_failure(env, "bpf(OBJ_GET)", errno) : number_value(env, fd);
}

/* (fd, path) */
static napi_value pin(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	char path[4096];
	union bpf_attr attributes = { 0 };

	if (!text_at(&arguments, 1, path, sizeof(path)))
		return throw_failure(env, "bpf(OBJ_PIN)", ENAMETOOLONG);
	attributes.pathname = (uintptr_t)path;
	attributes.bpf_fd = (uint32_t)integer_at(&arguments, 0);
	if (call_bpf(BPF_OBJ_PIN, &attributes, sizeof(attributes)) < 0)
		return throw_failure(env, "bpf(OBJ_PIN)", errno);
	return NULL;
}

/* (fd) -> fd */
static napi_value duplicate(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	int copy = fcntl((int)integer_at(&arguments, 0), F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? throw_failure(env, "fcntl(F_DUPFD_CLOEXEC)", errno) : number_value(env, copy);
}

/* (fd) */
static napi_value close_descriptor(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);

	close((int)integer_at(&arguments, 0));
	return NULL;
}

/* (path) */
static napi_value mount_bpffs(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	char path[4096];

	if (!text_at(&arguments, 0, path, sizeof(path)))
		return throw_failure(env, "mount", ENAMETOOLONG);
	if (mount("bpf", path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
		return throw_failure(env, "mount", errno);
	return NULL;
}

/* (path) */
static napi_value unmount(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	char path[4096];

	if (!text_at(&arguments, 0, path, sizeof(path)))
		return throw_failure(env, "umount", ENAMETOOLONG);
	if (umount2(path, UMOUNT_NOFOLLOW) < 0)
		return throw_failure(env, "umount", errno);
	return NULL;
}

void export_descriptor(napi_env env, napi_value exports)
{
	static const struct export list[] = {
		{ "openPin", open_pin },
		{ "pin", pin },
		{ "duplicate", duplicate },
		{ "close", close_descriptor },
		{ "mountBpffs", mount_bpffs },
		{ "unmount", unmount },
	};

	ADD_EXPORTS(env, exports, list);
}
