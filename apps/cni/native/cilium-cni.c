/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CNI plugin that container runtimes execute. It decides nothing: it hands the call to the agent over its unix socket
 * (POST /v1/cni) and prints what the agent answers. What it does itself is VERSION, calls that cannot be understood, and the
 * deletions that arrive while no agent is there, which it writes down for the agent's next start.
 * Specification: CNI 1.1.0 (and what 0.1.0 onwards ask of a plugin).
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "delete_queue.h"
#include "http.h"
#include "json.h"

#define CONFIG_SIZE_MAX (1024 * 1024)
#define CONNECT_TIMEOUT_MS 5000
#define ABSENT_TIMEOUT_MS 1000
/* Tests have less patience. */
#ifndef CONFIG_TIMEOUT_MS
#define CONFIG_TIMEOUT_MS 30000
#endif
#ifndef ANSWER_TIMEOUT_MS
#define ANSWER_TIMEOUT_MS 90000
#endif
/* Every byte may need six, `\u00ff`, and there are five variables. */
#define VARIABLE_SIZE_MAX (16 * 1024)
#define ENVELOPE_SIZE_MAX (6 * 5 * VARIABLE_SIZE_MAX + 4096)
#define SOCKET_PATH_SIZE 108

#define DEFAULT_SOCKET_PATH "/var/run/cilium/cilium.sock"
#define DEFAULT_DELETE_QUEUE "/var/run/cilium/deleteQueue"
#define VERSIONS "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"
#define LATEST_VERSION "1.1.0"
/* What a configuration that names none is written in. */
#define OLDEST_VERSION "0.1.0"

/* The specification's codes; 999 is the plugin's own. */
enum cni_code {
	CNI_INCOMPATIBLE_VERSION = 1,
	CNI_INVALID_ENVIRONMENT = 4,
	CNI_IO_FAILURE = 5,
	CNI_DECODE_FAILURE = 6,
	CNI_INVALID_CONFIG = 7,
	CNI_TRY_AGAIN_LATER = 11,
	CNI_NOT_AVAILABLE = 50,
	CNI_FAILED = 999,
};

enum command { COMMAND_ADD, COMMAND_DEL, COMMAND_CHECK, COMMAND_STATUS, COMMAND_COUNT };

static const char *const command_names[COMMAND_COUNT] = { "ADD", "DEL", "CHECK", "STATUS" };
static const char *const versions[] = { VERSIONS };

static char config[CONFIG_SIZE_MAX + 1];
static size_t config_length;
static char config_version[64];
static char config_socket[4096];
static char config_queue[PATH_MAX];

enum variable { CONTAINER_ID, NETNS, IFNAME, ARGS, CNI_PATH, VARIABLE_COUNT };

static const struct {
	const char *variable;
	const char *member;
} variable_names[VARIABLE_COUNT] = {
	{ "CNI_CONTAINERID", "containerId" }, { "CNI_NETNS", "netns" }, { "CNI_IFNAME", "ifname" },
	{ "CNI_ARGS", "args" },		      { "CNI_PATH", "path" },
};

struct request {
	enum command command;
	const char *variables[VARIABLE_COUNT];
	char socket_path[SOCKET_PATH_SIZE];
	const char *delete_queue;
};

static bool print(const char *data, size_t length)
{
	while (length > 0) {
		ssize_t written = write(STDOUT_FILENO, data, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		data += written;
		length -= (size_t)written;
	}
	return true;
}

/* Ends the process with the specification's error object on standard output. */
__attribute__((noreturn, format(printf, 2, 3))) static void fail(enum cni_code code, const char *format, ...)
{
	static char message[8192], data[6 * 8192 + 1024];
	struct output output = { data, sizeof(data), 0, false };
	char number[16];
	va_list values;

	va_start(values, format);
	vsnprintf(message, sizeof(message), format, values);
	va_end(values);
	snprintf(number, sizeof(number), "%d", code);
	output_text(&output, "{\"cniVersion\":");
	output_json_text(&output, config_version[0] == 0 ? LATEST_VERSION : config_version);
	output_text(&output, ",\"code\":");
	output_text(&output, number);
	output_text(&output, ",\"msg\":");
	output_json_text(&output, message);
	output_text(&output, "}\n");
	print(output.data, output.length);
	exit(1);
}

static void print_versions(void)
{
	static const char text[] = "{\"cniVersion\":\"" LATEST_VERSION "\",\"supportedVersions\":[";
	char data[512];
	struct output output = { data, sizeof(data), 0, false };

	output_text(&output, text);
	for (size_t index = 0; index < sizeof(versions) / sizeof(versions[0]); index++) {
		output_text(&output, index == 0 ? "" : ",");
		output_json_text(&output, versions[index]);
	}
	output_text(&output, "]}\n");
	exit(print(output.data, output.length) ? 0 : 1);
}

static void read_config(void)
{
	int64_t deadline = now_ms() + CONFIG_TIMEOUT_MS;

	for (;;) {
		struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
		int64_t left = deadline - now_ms();
		ssize_t received;

		if (left <= 0 || poll(&input, 1, (int)left) == 0)
			fail(CNI_IO_FAILURE, "the network configuration did not end within %d s: the runtime must close standard input",
			     CONFIG_TIMEOUT_MS / 1000);
		received = read(STDIN_FILENO, config + config_length, sizeof(config) - config_length);
		if (received == 0)
			return;
		if (received < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (received < 0)
			fail(CNI_IO_FAILURE, "the network configuration cannot be read from standard input: %s", strerror(errno));
		config_length += (size_t)received;
		if (config_length > CONFIG_SIZE_MAX)
			fail(CNI_DECODE_FAILURE, "the network configuration is larger than 1 MiB: shorten it");
	}
}

static void check_member(const struct json_member *member)
{
	if (member->state == JSON_OTHER)
		fail(CNI_INVALID_CONFIG, "%s in the network configuration is no text: put it in quotes or leave it out", member->name);
	if (member->state == JSON_UNUSABLE)
		fail(CNI_INVALID_CONFIG, "%s in the network configuration is longer than %zu bytes or has a zero byte: shorten it",
		     member->name, member->size - 1);
}

static void parse_config(void)
{
	struct json_member members[] = {
		{ "cniVersion", config_version, sizeof(config_version), JSON_ABSENT },
		{ "agent-socket", config_socket, sizeof(config_socket), JSON_ABSENT },
		{ "delete-queue", config_queue, sizeof(config_queue), JSON_ABSENT },
	};
	const size_t count = sizeof(members) / sizeof(members[0]);
	size_t offset;

	if (!json_read_object(config, config_length, members, count, &offset)) {
		config_version[0] = 0;
		fail(CNI_DECODE_FAILURE, "the network configuration on standard input is not one JSON object: %s byte %zu",
		     offset >= config_length ? "it ends too early, at" : "look at", offset);
	}
	if (members[0].state != JSON_TEXT)
		config_version[0] = 0;
	for (size_t index = 0; index < count; index++)
		check_member(&members[index]);
}

static void check_version(void)
{
	const char *version = config_version[0] == 0 ? OLDEST_VERSION : config_version;

	for (size_t index = 0; index < sizeof(versions) / sizeof(versions[0]); index++) {
		if (strcmp(versions[index], version) == 0)
			return;
	}
	fail(CNI_INCOMPATIBLE_VERSION, "cniVersion %s is not supported: use one from " OLDEST_VERSION " to " LATEST_VERSION, version);
}

static enum command parse_command(const char *name)
{
	if (name == NULL || name[0] == 0)
		fail(CNI_INVALID_ENVIRONMENT,
		     "CNI_COMMAND is not set: this program is executed by container runtimes, which set it to ADD, DEL, CHECK, STATUS or VERSION");
	for (int command = 0; command < COMMAND_COUNT; command++) {
		if (strcmp(command_names[command], name) == 0)
			return (enum command)command;
	}
	fail(CNI_INVALID_ENVIRONMENT, "CNI_COMMAND is %.100s, which is not known: use ADD, DEL, CHECK, STATUS or VERSION", name);
}

static bool is_needed(enum command command, enum variable variable)
{
	if (command == COMMAND_STATUS)
		return false;
	return variable == CONTAINER_ID || variable == IFNAME || (variable == NETNS && command != COMMAND_DEL);
}

static void read_variables(struct request *request)
{
	for (int index = 0; index < VARIABLE_COUNT; index++) {
		const char *name = variable_names[index].variable;
		const char *value = getenv(name);

		if (value == NULL)
			value = "";
		if (value[0] == 0 && is_needed(request->command, (enum variable)index))
			fail(CNI_INVALID_ENVIRONMENT, "%s is empty: the container runtime must set it for %s", name,
			     command_names[request->command]);
		if (strlen(value) > VARIABLE_SIZE_MAX)
			fail(CNI_INVALID_ENVIRONMENT, "%s is longer than 16 KiB: the container runtime must shorten it", name);
		if (!json_is_utf8(value))
			fail(CNI_INVALID_ENVIRONMENT, "%s is not valid UTF-8: the container runtime must set it to text", name);
		request->variables[index] = value;
	}
}

static void find_agent(struct request *request)
{
	static const char scheme[] = "unix://";
	const char *path = config_socket, *origin = "agent-socket in the network configuration";

	if (path[0] == 0) {
		path = getenv("CILIUM_SOCK");
		origin = "CILIUM_SOCK";
	}
	if (path == NULL || path[0] == 0)
		path = DEFAULT_SOCKET_PATH;
	if (strncmp(path, scheme, sizeof(scheme) - 1) == 0)
		path += sizeof(scheme) - 1;
	if (path[0] == 0 || strlen(path) >= SOCKET_PATH_SIZE)
		fail(CNI_INVALID_CONFIG, "the agent's socket path has %zu bytes, and a unix socket's has 1 to %d: correct %s", strlen(path),
		     SOCKET_PATH_SIZE - 1, origin);
	memcpy(request->socket_path, path, strlen(path) + 1);
	request->delete_queue = config_queue[0] == 0 ? DEFAULT_DELETE_QUEUE : config_queue;
}

/* {"command":..,"containerId":..,"netns":..,"ifname":..,"args":..,"path":..,"config":..} */
static void encode_request(struct output *output, const struct request *request, const char *configuration, size_t length)
{
	output_text(output, "{\"command\":");
	output_json_text(output, command_names[request->command]);
	for (int index = 0; index < VARIABLE_COUNT; index++) {
		output_text(output, ",");
		output_json_text(output, variable_names[index].member);
		output_text(output, ":");
		output_json_text(output, request->variables[index]);
	}
	output_text(output, ",\"config\":");
	output_bytes(output, configuration, length);
	output_text(output, "}");
	if (output->overflowed)
		fail(CNI_IO_FAILURE, "the request for the agent is larger than %zu bytes: shorten the network configuration", output->size - 1);
}

/* Of the configuration only the version is kept: an endpoint is found by its container, and 10,000 files are to stay small. */
static int queue_delete(const struct request *request)
{
	static char data[ENVELOPE_SIZE_MAX];
	struct output output = { data, sizeof(data), 0, false };
	char version[512], reason[PATH_MAX + 256];
	struct output version_output = { version, sizeof(version), 0, false };

	output_text(&version_output, "{\"cniVersion\":");
	output_json_text(&version_output, config_version[0] == 0 ? OLDEST_VERSION : config_version);
	output_text(&version_output, "}");
	encode_request(&output, request, version, version_output.length);
	switch (delete_queue_add(request->delete_queue, output.data, output.length, reason, sizeof(reason))) {
	case QUEUE_WRITTEN:
		return 0;
	case QUEUE_FULL:
		fail(CNI_TRY_AGAIN_LATER,
		     "cilium-agent is not running and its delete queue %s is full (%d deletions): start cilium-agent, which carries them out",
		     request->delete_queue, DELETE_QUEUE_FILES_MAX);
	case QUEUE_FAILED:
		break;
	}
	fail(CNI_IO_FAILURE, "cilium-agent is not running and the deletion cannot be queued for it: %s", reason);
}

/* Nobody answered. */
static int serve_without_agent(const struct request *request, const char *reason)
{
	switch (request->command) {
	case COMMAND_DEL:
		return queue_delete(request);
	case COMMAND_STATUS:
		fail(CNI_NOT_AVAILABLE, "cilium-agent does not answer on %s (%s): start it, or wait until it has started",
		     request->socket_path, reason);
	default:
		fail(CNI_TRY_AGAIN_LATER, "cilium-agent does not answer on %s (%s): try again later, when it is running",
		     request->socket_path, reason);
	}
}

/* What the agent said, if it is what a runtime may be shown. */
static int print_answer(const struct request *request, const struct http_answer *answer)
{
	char message[1];
	struct json_member members[] = {
		{ "code", message, sizeof(message), JSON_ABSENT },
		{ "msg", message, sizeof(message), JSON_ABSENT },
	};
	bool failed = answer->status >= 400;
	size_t offset;

	if (!failed && answer->body_length == 0 && request->command != COMMAND_ADD)
		return 0;
	if (answer->status >= 300 && !failed)
		fail(CNI_FAILED, "%s answered with HTTP status %d: is it cilium-agent's socket?", request->socket_path, answer->status);
	if (!json_read_object(answer->body, answer->body_length, members, 2, &offset))
		fail(CNI_FAILED, "%s answered with HTTP status %d and something that is not one JSON object: is it cilium-agent's socket?",
		     request->socket_path, answer->status);
	if (failed && (members[0].state != JSON_OTHER || members[1].state == JSON_ABSENT))
		fail(CNI_FAILED, "%s answered with HTTP status %d and no CNI error: is it the socket of a cilium-agent of this version?",
		     request->socket_path, answer->status);
	if (!print(answer->body, answer->body_length))
		return 1;
	return failed ? 1 : 0;
}

static int serve(const struct request *request)
{
	static char data[CONFIG_SIZE_MAX + ENVELOPE_SIZE_MAX];
	struct output output = { data, sizeof(data), 0, false };
	struct http_answer answer = { 0 };
	struct http_call call = {
		.socket_path = request->socket_path,
		.path = "/v1/cni",
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.absent_timeout_ms = request->command == COMMAND_ADD ? ABSENT_TIMEOUT_MS : 0,
		.answer_timeout_ms = ANSWER_TIMEOUT_MS,
	};

	encode_request(&output, request, config, config_length);
	call.body = output.data;
	call.body_length = output.length;
	switch (http_post(&call, &answer)) {
	case HTTP_ANSWERED:
		return print_answer(request, &answer);
	case HTTP_NOT_CONNECTED:
	case HTTP_NO_ANSWER:
		return serve_without_agent(request, answer.reason);
	case HTTP_MALFORMED:
		break;
	}
	fail(CNI_FAILED, "the answer on %s cannot be used (%s): is it cilium-agent's socket?", request->socket_path, answer.reason);
}

int main(void)
{
	const char *command = getenv("CNI_COMMAND");
	struct request request = { 0 };

	if (command != NULL && strcmp(command, "VERSION") == 0)
		print_versions();
	if (command != NULL || !isatty(STDIN_FILENO)) { /* A person who tries the program gets an answer at once. */
		read_config();
		parse_config();
	}
	request.command = parse_command(command);
	read_variables(&request);
	check_version();
	find_agent(&request);
	return serve(&request);
}
