/* SPDX-License-Identifier: Apache-2.0 */
#include "addon.h"

#include <stdio.h>
#include <string.h>

struct arguments read_arguments(napi_env env, napi_callback_info info)
{
	struct arguments arguments = { .env = env, .count = ARGUMENTS_MAX };

	/* Node fills what the caller left out with undefined. */
	napi_get_cb_info(env, info, &arguments.count, arguments.values, NULL, NULL);
	return arguments;
}

struct bytes bytes_at(const struct arguments *arguments, size_t index)
{
	napi_typedarray_type type;
	struct bytes bytes = { 0 };
	void *data = NULL;
	size_t length = 0;

	if (napi_get_typedarray_info(arguments->env, arguments->values[index], &type, &length, &data, NULL, NULL) != napi_ok)
		return bytes;
	bytes.data = data;
	bytes.length = type == napi_uint32_array || type == napi_int32_array ? length * 4 : length;
	return bytes;
}

int64_t integer_at(const struct arguments *arguments, size_t index)
{
	int64_t value = 0;

	napi_get_value_int64(arguments->env, arguments->values[index], &value);
	return value;
}

bool text_at(const struct arguments *arguments, size_t index, char *text, size_t size)
{
	size_t length = 0;

	text[0] = '\0';
	if (napi_get_value_string_utf8(arguments->env, arguments->values[index], NULL, 0, &length) != napi_ok || length >= size)
		return false;
	return napi_get_value_string_utf8(arguments->env, arguments->values[index], text, size, &length) == napi_ok;
}

void *external_at(const struct arguments *arguments, size_t index)
{
	void *pointer = NULL;
	napi_valuetype type;

	if (napi_typeof(arguments->env, arguments->values[index], &type) != napi_ok || type != napi_external)
		return NULL;
	napi_get_value_external(arguments->env, arguments->values[index], &pointer);
	return pointer;
}

napi_value number_value(napi_env env, double value)
{
	napi_value result = NULL;

	napi_create_double(env, value, &result);
	return result;
}

napi_value text_value(napi_env env, const char *text)
{
	napi_value result = NULL;

	napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &result);
	return result;
}

napi_value copied_bytes(napi_env env, const void *data, size_t length)
{
	napi_value buffer, array = NULL;
	void *target = NULL;

	if (napi_create_arraybuffer(env, length, &target, &buffer) != napi_ok)
		return NULL;
	if (length > 0)
		memcpy(target, data, length);
	napi_create_typedarray(env, napi_uint8_array, length, buffer, 0, &array);
	return array;
}

void set_number(napi_env env, napi_value object, const char *name, double value)
{
	napi_set_named_property(env, object, name, number_value(env, value));
}

void set_text(napi_env env, napi_value object, const char *name, const char *text)
{
	napi_set_named_property(env, object, name, text_value(env, text));
}

napi_value failure_value(napi_env env, const struct failure *failure)
{
	char text[64 + sizeof(failure->subject)];
	napi_value error = NULL;

	snprintf(text, sizeof(text), "%s: errno %d", failure->syscall, failure->error);
	napi_create_error(env, NULL, text_value(env, text), &error);
	set_text(env, error, "syscall", failure->syscall);
	set_number(env, error, "errno", failure->error);
	if (failure->subject[0] != '\0')
		set_text(env, error, "subject", failure->subject);
	return error;
}

napi_value throw_failure_at(napi_env env, const struct failure *failure)
{
	napi_throw(env, failure_value(env, failure));
	return NULL;
}

napi_value throw_failure(napi_env env, const char *syscall, int error)
{
	struct failure failure = { .syscall = syscall, .error = error };

	return throw_failure_at(env, &failure);
}
