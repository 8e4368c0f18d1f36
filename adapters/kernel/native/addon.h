/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the addon share. Their only caller is src/native.ts, which checks sizes and types
 * before it calls: here a wrong type becomes a zero or a null pointer, never a crash by itself.
 *
 * Two ways to fail. A function whose failure is an everyday answer (a key that is absent) returns the
 * errno as a number, 0 for success. All others throw an Error with `syscall` and `errno`, sometimes
 * `subject`; src/failure.ts makes it a KernelError. */
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define NAPI_VERSION 9

#include <linux/bpf.h>
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
	uint8_t *data; /* NULL when absent or empty. */
	size_t length;
};

#define ARGUMENTS_MAX 12

struct arguments {
	napi_env env;
	size_t count;
	napi_value values[ARGUMENTS_MAX];
};

/* One system call that failed. `subject` is optional: a path, an address. */
struct failure {
	const char *syscall;
	int error;
	char subject[256];
};

/* arguments.c */
struct arguments read_arguments(napi_env env, napi_callback_info info);
struct bytes bytes_at(const struct arguments *arguments, size_t index);
int64_t integer_at(const struct arguments *arguments, size_t index);
/* Copies text of at most size - 1 bytes; false when absent or too long. */
bool text_at(const struct arguments *arguments, size_t index, char *text, size_t size);
void *external_at(const struct arguments *arguments, size_t index);

napi_value number_value(napi_env env, double value);
napi_value text_value(napi_env env, const char *text);
napi_value copied_bytes(napi_env env, const void *data, size_t length);
void set_number(napi_env env, napi_value object, const char *name, double value);
void set_text(napi_env env, napi_value object, const char *name, const char *text);

/* All of them return NULL, so that a caller can `return throw_failure(...)`. */
napi_value throw_failure(napi_env env, const char *syscall, int error);
napi_value throw_failure_at(napi_env env, const struct failure *failure);
napi_value failure_value(napi_env env, const struct failure *failure);

/* bpf_call.c */
/* bpf(2) with a whole union, so that commands newer than the installed headers work. -1 and errno. */
int call_bpf(int command, void *attributes, unsigned int size);

/* namespace.c */
/* Runs `work` in a thread of its own inside the network namespace at the path; here and now without a path.
 * The work reports its own failure. Returns false with `failure` filled when something went wrong. */
typedef bool (*namespace_work)(void *context, struct failure *failure);
bool run_in_namespace(const char *path, namespace_work work, void *context, struct failure *failure);
int create_namespace(struct failure *failure); /* -1 when it failed */
bool fail_with(struct failure *failure, const char *syscall, int error, const char *subject);

/* Each file adds its functions to the exports. */
struct export {
	const char *name;
	napi_callback function;
};
void add_exports(napi_env env, napi_value exports, const struct export *list, size_t count);
#define ADD_EXPORTS(env, exports, list) add_exports(env, exports, list, sizeof(list) / sizeof((list)[0]))

void export_descriptor(napi_env env, napi_value exports);
void export_map(napi_env env, napi_value exports);
void export_program(napi_env env, napi_value exports);
void export_link(napi_env env, napi_value exports);
void export_object(napi_env env, napi_value exports);
void export_ring_buffer(napi_env env, napi_value exports);
void export_poll(napi_env env, napi_value exports);
void export_netlink(napi_env env, napi_value exports);
void export_socket(napi_env env, napi_value exports);
void export_datagram(napi_env env, napi_value exports);
