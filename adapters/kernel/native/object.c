/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled BPF objects, step by step: open, look at, change, load, take the descriptors, close.
 * libbpf does the reading, relocating and loading; the order of steps is decided in src/object.ts. */
#include "addon.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_SIZE_MAX (1024 * 1024)
#define OBJECT_NAME_SIZE 128

struct object {
	struct bpf_object *object;
};

/* What libbpf had to say during the last call, verifier logs included. Of too much, the end is kept: there
 * the verifier says why. Opening and loading are synchronous, so one log for each thread is enough. */
static _Thread_local char *log_text;
static _Thread_local size_t log_length;

static void append_log(const char *text, size_t length)
{
	if (log_text == NULL)
		log_text = malloc(LOG_SIZE_MAX + 1);
	if (log_text == NULL)
		return;
	if (length > LOG_SIZE_MAX) {
		text += length - LOG_SIZE_MAX;
		length = LOG_SIZE_MAX;
	}
	if (log_length + length > LOG_SIZE_MAX) {
		size_t kept = LOG_SIZE_MAX - length;

		memmove(log_text, log_text + log_length - kept, kept);
		log_length = kept;
	}
	memcpy(log_text + log_length, text, length);
	log_length += length;
	log_text[log_length] = '\0';
}

static int print_to_log(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char *text = NULL;
	int length;

	if (level == LIBBPF_DEBUG)
		return 0;
	length = vasprintf(&text, format, arguments);
	if (length < 0)
		return 0;
	append_log(text, (size_t)length);
	free(text);
	return length;
}

static void clear_log(void)
{
	free(log_text);
	log_text = NULL;
	log_length = 0;
}

static napi_value throw_with_log(napi_env env, const char *syscall, int error)
{
	/* libbpf has numbers of its own for objects that it does not understand. */
	struct failure failure = { .syscall = syscall, .error = error >= __LIBBPF_ERRNO__START ? EINVAL : error };
	napi_value value = failure_value(env, &failure);

	if (log_text != NULL)
		set_text(env, value, "log", log_text);
	clear_log();
	napi_throw(env, value);
	return NULL;
}

static void close_object(struct object *object)
{
	if (object->object != NULL)
		bpf_object__close(object->object);
	object->object = NULL;
}

static void finalize_object(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	close_object(data);
	free(data);
}

static struct bpf_object *object_at(const struct arguments *arguments)
{
	struct object *object = external_at(arguments, 0);

	if (object == NULL || object->object == NULL) {
		throw_failure(arguments->env, "object", EBADF);
		return NULL;
	}
	return object->object;
}

static struct bpf_map *map_at(const struct bpf_object *object, int64_t index)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object) {
		if (index-- == 0)
			return map;
	}
	return NULL;
}

/* (name, bytes) -> handle */
static napi_value open_object(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct bytes bytes = bytes_at(&arguments, 1);
	char name[OBJECT_NAME_SIZE];
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = name);
	struct object *object;
	napi_value handle = NULL;

	text_at(&arguments, 0, name, sizeof(name));
	clear_log();
	object = calloc(1, sizeof(*object));
	if (object == NULL)
		return throw_failure(env, "malloc", ENOMEM);
	object->object = bpf_object__open_mem(bytes.data, bytes.length, &options);
	if (object->object == NULL) {
		int error = errno;

		free(object);
		return throw_with_log(env, "bpf_object__open_mem", error);
	}
	clear_log();
	napi_create_external(env, object, finalize_object, NULL, &handle);
	return handle;
}

/* (handle) */
static napi_value close_object_handle(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct object *object = external_at(&arguments, 0);

	if (object != NULL)
		close_object(object);
	return NULL;
}

/* (handle) -> [{ name, internal, type, keySizeBytes, valueSizeBytes, maxEntries, flags }] */
static napi_value object_maps(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct bpf_object *object = object_at(&arguments);
	struct bpf_map *map;
	uint32_t index = 0;
	napi_value list, element, internal;

	if (object == NULL)
		return NULL;
	napi_create_array(env, &list);
	bpf_object__for_each_map(map, object) {
		napi_create_object(env, &element);
		set_text(env, element, "name", bpf_map__name(map));
		napi_get_boolean(env, bpf_map__is_internal(map), &internal);
		napi_set_named_property(env, element, "internal", internal);
		set_number(env, element, "type", bpf_map__type(map));
		set_number(env, element, "keySizeBytes", bpf_map__key_size(map));
		set_number(env, element, "valueSizeBytes", bpf_map__value_size(map));
		set_number(env, element, "maxEntries", bpf_map__max_entries(map));
		set_number(env, element, "flags", bpf_map__map_flags(map));
		napi_set_element(env, list, index++, element);
	}
	return list;
}

/* The place of a global variable in a section of constants, by the object's BTF. */
static const struct btf_var_secinfo *find_constant(const struct btf *btf, const char *name, const char **section)
{
	for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		const struct btf_var_secinfo *variable;

		if (!btf_is_datasec(type))
			continue;
		*section = btf__name_by_offset(btf, type->name_off);
		if (strncmp(*section, ".rodata", strlen(".rodata")) != 0)
			continue;
		variable = btf_var_secinfos(type);
		for (uint32_t index = 0; index < btf_vlen(type); index++, variable++) {
			const struct btf_type *declared = btf__type_by_id(btf, variable->type);

			if (strcmp(btf__name_by_offset(btf, declared->name_off), name) == 0)
				return variable;
		}
	}
	return NULL;
}

/* The map that libbpf makes for a section ends in the section's name. */
static void *initial_value(const struct bpf_object *object, const char *section, size_t *size)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object) {
		const char *suffix = strchr(bpf_map__name(map), '.');

		if (bpf_map__is_internal(map) && suffix != NULL && strcmp(suffix, section) == 0)
			return (void *)bpf_map__initial_value(map, size); /* const only before libbpf 1.2 */
	}
	return NULL;
}

/* (handle, variable, bytes) -> the variable's size, -1 when there is none; written only when the sizes agree */
static napi_value set_constant(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct bpf_object *object = object_at(&arguments);
	struct bytes bytes = bytes_at(&arguments, 2);
	const struct btf_var_secinfo *variable = NULL;
	const char *section = NULL;
	char name[256];
	size_t size = 0;
	uint8_t *value;

	if (object == NULL)
		return NULL;
	if (text_at(&arguments, 1, name, sizeof(name)) && bpf_object__btf(object) != NULL)
		variable = find_constant(bpf_object__btf(object), name, &section);
	if (variable == NULL)
		return number_value(env, -1);
	if (variable->size != bytes.length)
		return number_value(env, variable->size);
	value = initial_value(object, section, &size);
	if (value == NULL || (size_t)variable->offset + variable->size > size)
		return throw_failure(env, "bpf_map__initial_value", EINVAL);
	memcpy(value + variable->offset, bytes.data, bytes.length);
	return number_value(env, variable->size);
}

/* (handle, map index, maxEntries) */
static napi_value set_map_max_entries(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct bpf_object *object = object_at(&arguments);
	int error;

	if (object == NULL)
		return NULL;
	error = bpf_map__set_max_entries(map_at(object, integer_at(&arguments, 1)), (uint32_t)integer_at(&arguments, 2));
	return error < 0 ? throw_failure(env, "bpf_map__set_max_entries", -error) : NULL;
}

/* (handle, map index, fd of the map to use instead of a new one; the caller keeps it) */
static napi_value reuse_map(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct bpf_object *object = object_at(&arguments);
	int error;

	if (object == NULL)
		return NULL;
	error = bpf_map__reuse_fd(map_at(object, integer_at(&arguments, 1)), (int)integer_at(&arguments, 2));
	return error < 0 ? throw_failure(env, "bpf_map__reuse_fd", -error) : NULL;
}

/* (handle). Without a log first; when a program is rejected, libbpf asks the verifier again, with one. */
static napi_value load_object(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct bpf_object *object = object_at(&arguments);
	int error;

	if (object == NULL)
		return NULL;
	clear_log();
	error = bpf_object__load(object);
	if (error < 0)
		return throw_with_log(env, "bpf_object__load", -error);
	clear_log();
	return NULL;
}

/* A descriptor for the caller; the object keeps its own until it is closed. */
static napi_value duplicate(napi_env env, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? throw_failure(env, "fcntl(F_DUPFD_CLOEXEC)", errno) : number_value(env, copy);
}

/* (handle, map index) -> fd */
static napi_value take_map(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct bpf_object *object = object_at(&arguments);

	return object == NULL ? NULL : duplicate(env, bpf_map__fd(map_at(object, integer_at(&arguments, 1))));
}

/* (handle) -> names of the programs that were loaded, in the order of their indexes */
static napi_value object_programs(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct bpf_object *object = object_at(&arguments);
	struct bpf_program *program;
	uint32_t index = 0;
	napi_value list;

	if (object == NULL)
		return NULL;
	napi_create_array(env, &list);
	bpf_object__for_each_program(program, object) {
		if (bpf_program__fd(program) >= 0)
			napi_set_element(env, list, index++, text_value(env, bpf_program__name(program)));
	}
	return list;
}

/* (handle, name) -> fd */
static napi_value take_program(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct bpf_object *object = object_at(&arguments);
	struct bpf_program *program;
	char name[256];

	if (object == NULL)
		return NULL;
	text_at(&arguments, 1, name, sizeof(name));
	program = bpf_object__find_program_by_name(object, name);
	return program == NULL ? throw_failure(env, "bpf_object__find_program_by_name", ENOENT)
			       : duplicate(env, bpf_program__fd(program));
}

void export_object(napi_env env, napi_value exports)
{
	static const struct export list[] = {
		{ "openObject", open_object },
		{ "closeObject", close_object_handle },
		{ "objectMaps", object_maps },
		{ "setConstant", set_constant },
		{ "setMapMaxEntries", set_map_max_entries },
		{ "reuseMap", reuse_map },
		{ "loadObject", load_object },
		{ "takeMap", take_map },
		{ "objectPrograms", object_programs },
		{ "takeProgram", take_program },
	};

	libbpf_set_print(print_to_log);
	ADD_EXPORTS(env, exports, list);
}
