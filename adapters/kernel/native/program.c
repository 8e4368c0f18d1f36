/* SPDX-License-Identifier: Apache-2.0 */
#include "addon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* (fd) -> { id, type, name, tag } */
static napi_value program_info(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct bpf_prog_info program = { 0 };
	union bpf_attr attributes = { 0 };
	char tag[2 * sizeof(program.tag) + 1];
	napi_value result;

	attributes.info.bpf_fd = (uint32_t)integer_at(&arguments, 0);
	attributes.info.info_len = sizeof(program);
	attributes.info.info = (uintptr_t)&program;
	if (call_bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes, sizeof(attributes)) < 0)
		return throw_failure(env, "bpf(OBJ_GET_INFO_BY_FD)", errno);
	for (size_t index = 0; index < sizeof(program.tag); index++)
		snprintf(tag + 2 * index, 3, "%02x", program.tag[index]);
	napi_create_object(env, &result);
	set_number(env, result, "id", program.id);
	set_number(env, result, "type", program.type);
	set_text(env, result, "name", program.name);
	set_text(env, result, "tag", tag);
	return result;
}

/* (fd, packet, repeat, packet out, context or null, context out or null)
 *   -> { returnValue, durationNs, packetSizeBytes, contextSizeBytes } */
static napi_value test_run(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct bytes packet = bytes_at(&arguments, 1);
	struct bytes packet_out = bytes_at(&arguments, 3);
	struct bytes context = bytes_at(&arguments, 4);
	struct bytes context_out = bytes_at(&arguments, 5);
	union bpf_attr attributes = { 0 };
	napi_value result;

	attributes.test.prog_fd = (uint32_t)integer_at(&arguments, 0);
	attributes.test.repeat = (uint32_t)integer_at(&arguments, 2);
	attributes.test.data_in = (uintptr_t)packet.data;
	attributes.test.data_size_in = (uint32_t)packet.length;
	attributes.test.data_out = (uintptr_t)packet_out.data;
	attributes.test.data_size_out = (uint32_t)packet_out.length;
	attributes.test.ctx_in = (uintptr_t)context.data;
	attributes.test.ctx_size_in = (uint32_t)context.length;
	attributes.test.ctx_out = (uintptr_t)context_out.data;
	attributes.test.ctx_size_out = (uint32_t)context_out.length;
	if (call_bpf(BPF_PROG_TEST_RUN, &attributes, sizeof(attributes)) < 0)
		return throw_failure(env, "bpf(PROG_TEST_RUN)", errno);
	napi_create_object(env, &result);
	set_number(env, result, "returnValue", attributes.test.retval);
	set_number(env, result, "durationNs", attributes.test.duration);
	set_number(env, result, "packetSizeBytes", attributes.test.data_size_out);
	set_number(env, result, "contextSizeBytes", attributes.test.ctx_size_out);
	return result;
}

void export_program(napi_env env, napi_value exports)
{
	static const struct export list[] = {
		{ "programInfo", program_info },
		{ "testRun", test_run },
	};

	ADD_EXPORTS(env, exports, list);
}
