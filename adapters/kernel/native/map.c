/* SPDX-License-Identifier: Apache-2.0 */
/* One system call each; what to do about the answers is decided in src/map.ts. */
#include "addon.h"

#include <errno.h>
#include <string.h>

/* (type, name, keySize, valueSize, maxEntries, flags, innerFd or -1) -> fd */
static napi_value create_map(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	union bpf_attr attributes = { 0 };
	char name[BPF_OBJ_NAME_LEN];
	int64_t inner = integer_at(&arguments, 6);
	int fd;

	text_at(&arguments, 1, name, sizeof(name));
	attributes.map_type = (uint32_t)integer_at(&arguments, 0);
	memcpy(attributes.map_name, name, sizeof(name));
	attributes.key_size = (uint32_t)integer_at(&arguments, 2);
	attributes.value_size = (uint32_t)integer_at(&arguments, 3);
	attributes.max_entries = (uint32_t)integer_at(&arguments, 4);
	attributes.map_flags = (uint32_t)integer_at(&arguments, 5);
	if (inner >= 0)
		attributes.inner_map_fd = (uint32_t)inner;
	fd = call_bpf(BPF_MAP_CREATE, &attributes, sizeof(attributes));
	return fd < 0 ? throw_failure(env, "bpf(MAP_CREATE)", errno) : number_value(env, fd);
}

/* (fd) -> { id, type, name, keySizeBytes, valueSizeBytes, maxEntries, flags } */
static napi_value map_info(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct bpf_map_info map = { 0 };
	union bpf_attr attributes = { 0 };
	napi_value result;

	attributes.info.bpf_fd = (uint32_t)integer_at(&arguments, 0);
	attributes.info.info_len = sizeof(map);
	attributes.info.info = (uintptr_t)&map;
	if (call_bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes, sizeof(attributes)) < 0)
		return throw_failure(env, "bpf(OBJ_GET_INFO_BY_FD)", errno);
	napi_create_object(env, &result);
	set_number(env, result, "id", map.id);
	set_number(env, result, "type", map.type);
	set_text(env, result, "name", map.name);
	set_number(env, result, "keySizeBytes", map.key_size);
	set_number(env, result, "valueSizeBytes", map.value_size);
	set_number(env, result, "maxEntries", map.max_entries);
	set_number(env, result, "flags", map.map_flags);
	return result;
}

/* The four calls on one element share their attributes. Returns the errno. */
static napi_value call_element(napi_env env, int command, int64_t fd, const void *key, const void *value, uint64_t flags)
{
	union bpf_attr attributes = { 0 };

	attributes.map_fd = (uint32_t)fd;
	attributes.key = (uintptr_t)key;
	attributes.value = (uintptr_t)value;
	attributes.flags = flags;
	return number_value(env, call_bpf(command, &attributes, sizeof(attributes)) < 0 ? errno : 0);
}

/* (fd, key, value out) -> errno */
static napi_value lookup(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);

	return call_element(env, BPF_MAP_LOOKUP_ELEM, integer_at(&arguments, 0), bytes_at(&arguments, 1).data,
			    bytes_at(&arguments, 2).data, 0);
}

/* (fd, key, value, flags) -> errno */
static napi_value update(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);

	return call_element(env, BPF_MAP_UPDATE_ELEM, integer_at(&arguments, 0), bytes_at(&arguments, 1).data,
			    bytes_at(&arguments, 2).data, (uint64_t)integer_at(&arguments, 3));
}

/* (fd, key) -> errno */
static napi_value delete_key(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);

	return call_element(env, BPF_MAP_DELETE_ELEM, integer_at(&arguments, 0), bytes_at(&arguments, 1).data, NULL, 0);
}

/* (fd, key or null for the first, next out) -> errno */
static napi_value next_key(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);

	return call_element(env, BPF_MAP_GET_NEXT_KEY, integer_at(&arguments, 0), bytes_at(&arguments, 1).data,
			    bytes_at(&arguments, 2).data, 0);
}

/* Elements of one batch; `count` is a Uint32Array of one: how many are wanted, then how many were done. */
static napi_value call_batch(napi_env env, int command, union bpf_attr *attributes, struct bytes count)
{
	uint32_t *done = (uint32_t *)count.data;
	int error = 0;

	if (count.length < sizeof(*done))
		return number_value(env, EINVAL);
	attributes->batch.count = *done;
	if (call_bpf(command, attributes, sizeof(*attributes)) < 0)
		error = errno;
	/* When the kernel refuses the command altogether, it leaves the count alone: nothing was done. */
	*done = error != 0 && (error == EFAULT || attributes->batch.count > *done) ? 0 : attributes->batch.count;
	return number_value(env, error);
}

/* (fd, cursor in or null, cursor out, keys out, values out, count) -> errno; ENOENT: these were the last */
static napi_value lookup_batch(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	union bpf_attr attributes = { 0 };

	attributes.batch.map_fd = (uint32_t)integer_at(&arguments, 0);
	attributes.batch.in_batch = (uintptr_t)bytes_at(&arguments, 1).data;
	attributes.batch.out_batch = (uintptr_t)bytes_at(&arguments, 2).data;
	attributes.batch.keys = (uintptr_t)bytes_at(&arguments, 3).data;
	attributes.batch.values = (uintptr_t)bytes_at(&arguments, 4).data;
	return call_batch(env, BPF_MAP_LOOKUP_BATCH, &attributes, bytes_at(&arguments, 5));
}

/* (fd, keys, values, count) -> errno */
static napi_value update_batch(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	union bpf_attr attributes = { 0 };

	attributes.batch.map_fd = (uint32_t)integer_at(&arguments, 0);
	attributes.batch.keys = (uintptr_t)bytes_at(&arguments, 1).data;
	attributes.batch.values = (uintptr_t)bytes_at(&arguments, 2).data;
	return call_batch(env, BPF_MAP_UPDATE_BATCH, &attributes, bytes_at(&arguments, 3));
}

/* (fd, keys, count) -> errno; ENOENT: the key after `count` is absent */
static napi_value delete_batch(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	union bpf_attr attributes = { 0 };

	attributes.batch.map_fd = (uint32_t)integer_at(&arguments, 0);
	attributes.batch.keys = (uintptr_t)bytes_at(&arguments, 1).data;
	return call_batch(env, BPF_MAP_DELETE_BATCH, &attributes, bytes_at(&arguments, 2));
}

void export_map(napi_env env, napi_value exports)
{
	static const struct export list[] = {
		{ "createMap", create_map },
		{ "mapInfo", map_info },
		{ "lookup", lookup },
		{ "update", update },
		{ "delete", delete_key },
		{ "nextKey", next_key },
		{ "lookupBatch", lookup_batch },
		{ "updateBatch", update_batch },
		{ "deleteBatch", delete_batch },
	};

	ADD_EXPORTS(env, exports, list);
}
