/* SPDX-License-Identifier: Apache-2.0 */
#include "addon.h"

#include <errno.h>
#include <string.h>

/* struct bpf_link_info of linux/bpf.h, as far as it is used here: the headers of Debian 12 do not know tcx. */
struct link_info {
	uint32_t type;
	uint32_t id;
	uint32_t program_id;
	uint32_t pad;
	uint32_t ifindex; /* Of xdp and tcx links. */
	uint32_t attach_type;
	uint64_t rest[16];
};

enum {
	LINK_TYPE_XDP = 6,
	LINK_TYPE_TCX = 11,
};

/* (programFd, target: ifindex or cgroup fd, attachType, flags) -> fd */
static napi_value create_link(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	union bpf_attr attributes = { 0 };
	int fd;

	attributes.link_create.prog_fd = (uint32_t)integer_at(&arguments, 0);
	attributes.link_create.target_fd = (uint32_t)integer_at(&arguments, 1);
	attributes.link_create.attach_type = (uint32_t)integer_at(&arguments, 2);
	attributes.link_create.flags = (uint32_t)integer_at(&arguments, 3);
	fd = call_bpf(BPF_LINK_CREATE, &attributes, sizeof(attributes));
	return fd < 0 ? throw_failure(env, "bpf(LINK_CREATE)", errno) : number_value(env, fd);
}

/* (linkFd, programFd) */
static napi_value update_link(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	union bpf_attr attributes = { 0 };

	attributes.link_update.link_fd = (uint32_t)integer_at(&arguments, 0);
	attributes.link_update.new_prog_fd = (uint32_t)integer_at(&arguments, 1);
	if (call_bpf(BPF_LINK_UPDATE, &attributes, sizeof(attributes)) < 0)
		return throw_failure(env, "bpf(LINK_UPDATE)", errno);
	return NULL;
}

/* (linkFd) */
static napi_value detach_link(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	union bpf_attr attributes = { 0 };

	attributes.link_detach.link_fd = (uint32_t)integer_at(&arguments, 0);
	if (call_bpf(BPF_LINK_DETACH, &attributes, sizeof(attributes)) < 0)
		return throw_failure(env, "bpf(LINK_DETACH)", errno);
	return NULL;
}

/* (linkFd) -> { id, type, programId, ifindex } */
static napi_value link_info(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct link_info link = { 0 };
	union bpf_attr attributes = { 0 };
	bool on_device;
	napi_value result;

	attributes.info.bpf_fd = (uint32_t)integer_at(&arguments, 0);
	attributes.info.info_len = sizeof(link);
	attributes.info.info = (uintptr_t)&link;
	if (call_bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes, sizeof(attributes)) < 0)
		return throw_failure(env, "bpf(OBJ_GET_INFO_BY_FD)", errno);
	on_device = link.type == LINK_TYPE_XDP || link.type == LINK_TYPE_TCX;
	napi_create_object(env, &result);
	set_number(env, result, "id", link.id);
	set_number(env, result, "type", link.type);
	set_number(env, result, "programId", link.program_id);
	set_number(env, result, "ifindex", on_device ? link.ifindex : 0);
	return result;
}

void export_link(napi_env env, napi_value exports)
{
	static const struct export list[] = {
		{ "createLink", create_link },
		{ "updateLink", update_link },
		{ "detachLink", detach_link },
		{ "linkInfo", link_info },
	};

	ADD_EXPORTS(env, exports, list);
}
