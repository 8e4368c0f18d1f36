/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a descriptor to become readable in Node's event loop, for descriptors that Node's own streams
 * cannot hold: ring buffers and netlink sockets. One shot: after the callback it must be armed again. */
#include "addon.h"

#include <errno.h>
#include <stdlib.h>
#include <uv.h>

struct poll {
	uv_poll_t handle; /* First: libuv gives it back on close. */
	napi_env env;
	napi_ref callback;
	napi_async_context context;
	napi_async_cleanup_hook_handle cleanup;
	bool closed;
};

static void release_memory(uv_handle_t *handle)
{
	struct poll *poll = (struct poll *)handle;

	if (poll->cleanup != NULL)
		napi_remove_async_cleanup_hook(poll->cleanup);
	free(poll);
}

static void close_poll(struct poll *poll)
{
	if (poll->closed)
		return;
	poll->closed = true;
	napi_delete_reference(poll->env, poll->callback);
	napi_async_destroy(poll->env, poll->context);
	uv_close((uv_handle_t *)&poll->handle, release_memory);
}

/* The environment ends (a worker, or the process) while the poll is still open. */
static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data)
{
	(void)hook;
	close_poll(data);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
	struct poll *poll = (struct poll *)handle;
	napi_handle_scope scope;
	napi_value callback, receiver;

	(void)status; /* On an error the reader that we wake meets it itself. */
	(void)events;
	uv_poll_stop(handle);
	if (napi_open_handle_scope(poll->env, &scope) != napi_ok)
		return;
	napi_get_reference_value(poll->env, poll->callback, &callback);
	napi_get_global(poll->env, &receiver);
	napi_make_callback(poll->env, poll->context, receiver, callback, 0, NULL, NULL);
	napi_close_handle_scope(poll->env, scope);
}

/* (fd, callback) -> handle */
static napi_value open_poll(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct poll *poll = calloc(1, sizeof(*poll));
	uv_loop_t *loop = NULL;
	napi_value handle = NULL;
	int error;

	if (poll == NULL)
		return throw_failure(env, "malloc", ENOMEM);
	napi_get_uv_event_loop(env, &loop);
	error = uv_poll_init(loop, &poll->handle, (int)integer_at(&arguments, 0));
	if (error < 0) {
		free(poll);
		return throw_failure(env, "epoll_ctl", -error);
	}
	poll->env = env;
	napi_create_reference(env, arguments.values[1], 1, &poll->callback);
	napi_async_init(env, NULL, text_value(env, "cilium-ts:poll"), &poll->context);
	napi_add_async_cleanup_hook(env, on_environment_end, poll, &poll->cleanup);
	napi_create_external(env, poll, NULL, NULL, &handle);
	return handle;
}

/* (handle) */
static napi_value arm_poll(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct poll *poll = external_at(&arguments, 0);
	int error = uv_poll_start(&poll->handle, UV_READABLE, on_readable);

	return error < 0 ? throw_failure(env, "epoll_ctl", -error) : NULL;
}

/* (handle) */
static napi_value disarm_poll(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct poll *poll = external_at(&arguments, 0);

	uv_poll_stop(&poll->handle);
	return NULL;
}

/* (handle), which must not be used again; before the descriptor is closed */
static napi_value close_poll_handle(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);

	close_poll(external_at(&arguments, 0));
	return NULL;
}

void export_poll(napi_env env, napi_value exports)
{
	static const struct export list[] = {
		{ "openPoll", open_poll },
		{ "armPoll", arm_poll },
		{ "disarmPoll", disarm_poll },
		{ "closePoll", close_poll_handle },
	};

	ADD_EXPORTS(env, exports, list);
}
