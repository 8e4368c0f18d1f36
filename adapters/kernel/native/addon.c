/* SPDX-License-Identifier: Apache-2.0 */
#include "addon.h"

#include <stdio.h>

/* Debian's static libbpf is compiled for programs, not for shared objects: its one reference that such an
 * object may not have is to `stderr`. The linker redirects it here (--wrap=stderr). libbpf only uses it in
 * its default print function, which object.c replaces. */
extern FILE *__real_stderr;
__attribute__((visibility("hidden"))) FILE *__wrap_stderr;

void add_exports(napi_env env, napi_value exports, const struct export *list, size_t count)
{
	for (size_t index = 0; index < count; index++) {
		napi_value function;

		napi_create_function(env, list[index].name, NAPI_AUTO_LENGTH, list[index].function, NULL, &function);
		napi_set_named_property(env, exports, list[index].name, function);
	}
}

NAPI_MODULE_INIT()
{
	__wrap_stderr = __real_stderr;
	export_descriptor(env, exports);
	export_map(env, exports);
	export_program(env, exports);
	export_link(env, exports);
	export_object(env, exports);
	export_ring_buffer(env, exports);
	export_poll(env, exports);
	export_netlink(env, exports);
	export_socket(env, exports);
	export_datagram(env, exports);
	return exports;
}
