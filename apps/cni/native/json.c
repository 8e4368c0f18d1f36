/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 128
#define NAME_SIZE 64

struct reader {
	const unsigned char *data;
	size_t length;
	size_t at;
};

/* Where a text goes while it is read. Without a target it is only checked. */
struct text {
	char *target;
	size_t size;
	size_t length;
	bool unusable;
};

/* The length of the UTF-8 sequence that begins here, or 0: overlong forms, surrogates and what is above U+10FFFF are none. */
static size_t sequence_length(const unsigned char *data, size_t length)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t expected;

	if (data[0] < 0x80)
		return 1;
	if (data[0] < 0xc2 || data[0] > 0xf4)
		return 0;
	expected = data[0] < 0xe0 ? 2 : data[0] < 0xf0 ? 3 : 4;
	if (length < expected)
		return 0;
	if (data[0] == 0xe0)
		low = 0xa0;
	else if (data[0] == 0xed)
		high = 0x9f;
	else if (data[0] == 0xf0)
		low = 0x90;
	else if (data[0] == 0xf4)
		high = 0x8f;
	if (data[1] < low || data[1] > high)
		return 0;
	for (size_t index = 2; index < expected; index++) {
		if ((data[index] & 0xc0) != 0x80)
			return 0;
	}
	return expected;
}

static void keep(struct text *text, const unsigned char *data, size_t length)
{
	if (text->target == NULL)
		return;
	if (memchr(data, 0, length) != NULL || length >= text->size - text->length) {
		text->unusable = true;
		return;
	}
	memcpy(text->target + text->length, data, length);
	text->length += length;
	text->target[text->length] = 0;
}

static void keep_code_point(struct text *text, uint32_t code)
{
	unsigned char bytes[4];
	size_t length;

	if (code < 0x80) {
		bytes[0] = (unsigned char)code;
		length = 1;
	} else if (code < 0x800) {
		bytes[0] = (unsigned char)(0xc0 | code >> 6);
		length = 2;
	} else if (code < 0x10000) {
		bytes[0] = (unsigned char)(0xe0 | code >> 12);
		length = 3;
	} else {
		bytes[0] = (unsigned char)(0xf0 | code >> 18);
		length = 4;
	}
	for (size_t index = 1; index < length; index++)
		bytes[index] = (unsigned char)(0x80 | (code >> (6 * (length - 1 - index)) & 0x3f));
	keep(text, bytes, length);
}

/* Four hexadecimal digits. */
static bool read_unit(struct reader *reader, uint32_t *unit)
{
	*unit = 0;
	for (int digit = 0; digit < 4; digit++, reader->at++) {
		unsigned char byte;

		if (reader->at >= reader->length)
			return false;
		byte = reader->data[reader->at];
		if (byte >= '0' && byte <= '9')
			*unit = *unit << 4 | (uint32_t)(byte - '0');
		else if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
			*unit = *unit << 4 | (uint32_t)((byte | 0x20) - 'a' + 10);
		else
			return false;
	}
	return true;
}

/* Behind `\u`. A half of a pair alone is kept as U+FFFD. */
static bool read_unicode_escape(struct reader *reader, struct text *text)
{
	uint32_t first, second;

	if (!read_unit(reader, &first))
		return false;
	if (first >= 0xd800 && first <= 0xdbff && reader->length - reader->at >= 6 && reader->data[reader->at] == '\\' &&
	    reader->data[reader->at + 1] == 'u') {
		struct reader ahead = { reader->data, reader->length, reader->at + 2 };

		if (!read_unit(&ahead, &second)) {
			reader->at = ahead.at;
			return false;
		}
		if (second >= 0xdc00 && second <= 0xdfff) {
			reader->at = ahead.at;
			keep_code_point(text, 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
			return true;
		}
	}
	keep_code_point(text, first >= 0xd800 && first <= 0xdfff ? 0xfffd : first);
	return true;
}

static bool read_escape(struct reader *reader, struct text *text)
{
	static const char names[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (reader->at >= reader->length)
		return false;
	if (reader->data[reader->at] == 'u') {
		reader->at++;
		return read_unicode_escape(reader, text);
	}
	found = memchr(names, reader->data[reader->at], sizeof(names) - 1);
	if (found == NULL)
		return false;
	keep(text, (const unsigned char *)&values[found - names], 1);
	reader->at++;
	return true;
}

static bool read_text(struct reader *reader, struct text *text)
{
	if (text->target != NULL)
		text->target[0] = 0;
	if (reader->at >= reader->length || reader->data[reader->at] != '"')
		return false;
	reader->at++;
	while (reader->at < reader->length) {
		const unsigned char *here = reader->data + reader->at;
		size_t sequence;

		if (*here == '"') {
			reader->at++;
			return true;
		}
		if (*here < 0x20)
			return false;
		if (*here == '\\') {
			reader->at++;
			if (!read_escape(reader, text))
				return false;
			continue;
		}
		sequence = sequence_length(here, reader->length - reader->at);
		if (sequence == 0)
			return false;
		keep(text, here, sequence);
		reader->at += sequence;
	}
	return false;
}

static void skip_space(struct reader *reader)
{
	while (reader->at < reader->length && memchr(" \t\r\n", reader->data[reader->at], 4) != NULL)
		reader->at++;
}

static bool skip_byte(struct reader *reader, char byte)
{
	if (reader->at >= reader->length || reader->data[reader->at] != (unsigned char)byte)
		return false;
	reader->at++;
	return true;
}

static size_t skip_digits(struct reader *reader)
{
	size_t start = reader->at;

	while (reader->at < reader->length && reader->data[reader->at] >= '0' && reader->data[reader->at] <= '9')
		reader->at++;
	return reader->at - start;
}

static bool read_number(struct reader *reader)
{
	skip_byte(reader, '-');
	if (!skip_byte(reader, '0') && skip_digits(reader) == 0)
		return false;
	if (skip_byte(reader, '.') && skip_digits(reader) == 0)
		return false;
	if (skip_byte(reader, 'e') || skip_byte(reader, 'E')) {
		if (!skip_byte(reader, '+'))
			skip_byte(reader, '-');
		return skip_digits(reader) > 0;
	}
	return true;
}

static bool read_word(struct reader *reader, const char *word)
{
	for (; *word != 0; word++) {
		if (!skip_byte(reader, *word))
			return false;
	}
	return true;
}

static bool read_value(struct reader *reader, int depth);

static bool read_array(struct reader *reader, int depth)
{
	reader->at++;
	skip_space(reader);
	if (skip_byte(reader, ']'))
		return true;
	for (;;) {
		skip_space(reader);
		if (!read_value(reader, depth))
			return false;
		skip_space(reader);
		if (skip_byte(reader, ']'))
			return true;
		if (!skip_byte(reader, ','))
			return false;
	}
}

static bool read_member_value(struct reader *reader, struct json_member *member, int depth)
{
	struct text text = { member->value, member->size, 0, false };

	if (reader->at >= reader->length || reader->data[reader->at] != '"') {
		member->state = JSON_OTHER;
		return read_value(reader, depth);
	}
	if (!read_text(reader, &text))
		return false;
	member->state = text.unusable ? JSON_UNUSABLE : JSON_TEXT;
	return true;
}

static bool read_members(struct reader *reader, struct json_member *members, size_t member_count, int depth)
{
	reader->at++;
	skip_space(reader);
	if (skip_byte(reader, '}'))
		return true;
	for (;;) {
		char name[NAME_SIZE];
		struct text text = { name, sizeof(name), 0, false };
		struct json_member *wanted = NULL;

		skip_space(reader);
		if (!read_text(reader, &text))
			return false;
		for (size_t index = 0; index < member_count && !text.unusable; index++) {
			if (strcmp(members[index].name, name) == 0)
				wanted = &members[index];
		}
		skip_space(reader);
		if (!skip_byte(reader, ':'))
			return false;
		skip_space(reader);
		if (!(wanted != NULL ? read_member_value(reader, wanted, depth) : read_value(reader, depth)))
			return false;
		skip_space(reader);
		if (skip_byte(reader, '}'))
			return true;
		if (!skip_byte(reader, ','))
			return false;
	}
}

static bool read_value(struct reader *reader, int depth)
{
	struct text ignored = { 0 };

	if (reader->at >= reader->length || depth >= DEPTH_MAX)
		return false;
	switch (reader->data[reader->at]) {
	case '{':
		return read_members(reader, NULL, 0, depth + 1);
	case '[':
		return read_array(reader, depth + 1);
	case '"':
		return read_text(reader, &ignored);
	case 't':
		return read_word(reader, "true");
	case 'f':
		return read_word(reader, "false");
	case 'n':
		return read_word(reader, "null");
	default:
		return read_number(reader);
	}
}

bool json_read_object(const char *data, size_t length, struct json_member *members, size_t member_count, size_t *offset)
{
	struct reader reader = { (const unsigned char *)data, length, 0 };
	bool read;

	skip_space(&reader);
	read = reader.at < length && data[reader.at] == '{' && read_members(&reader, members, member_count, 1);
	if (read)
		skip_space(&reader);
	*offset = reader.at;
	return read && reader.at == length;
}

bool json_is_utf8(const char *text)
{
	size_t length = strlen(text);

	for (size_t at = 0; at < length;) {
		size_t sequence = sequence_length((const unsigned char *)text + at, length - at);

		if (sequence == 0)
			return false;
		at += sequence;
	}
	return true;
}

void output_bytes(struct output *output, const char *data, size_t length)
{
	if (output->overflowed || length >= output->size - output->length) {
		output->overflowed = true;
		return;
	}
	memcpy(output->data + output->length, data, length);
	output->length += length;
	output->data[output->length] = 0;
}

void output_text(struct output *output, const char *text)
{
	output_bytes(output, text, strlen(text));
}

void output_json_text(struct output *output, const char *text)
{
	size_t length = strlen(text);

	output_text(output, "\"");
	for (size_t at = 0; at < length;) {
		unsigned char byte = (unsigned char)text[at];
		size_t sequence = sequence_length((const unsigned char *)text + at, length - at);
		char escaped[8];

		if (byte == '"' || byte == '\\') {
			snprintf(escaped, sizeof(escaped), "\\%c", byte);
			output_text(output, escaped);
		} else if (byte < 0x20 || byte == 0x7f) {
			snprintf(escaped, sizeof(escaped), "\\u%04x", byte);
			output_text(output, escaped);
		} else if (sequence == 0) {
			output_text(output, "\xef\xbf\xbd");
		} else {
			output_bytes(output, text + at, sequence);
		}
		at += sequence == 0 ? 1 : sequence;
	}
	output_text(output, "\"");
}
