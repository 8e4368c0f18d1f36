/* SPDX-License-Identifier: Apache-2.0 */
/* As much JSON as a plugin needs: to see that a text is one object, to read some of its texts, to write a text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum json_state {
	JSON_ABSENT,
	JSON_TEXT,	/* It is in `value`, ended by a zero byte. */
	JSON_OTHER,	/* It is there, and no text. */
	JSON_UNUSABLE,	/* A text that is too long for `value`, or has a zero byte inside. */
};

/* A member of the outermost object that is looked for. Of two with one name the last counts. */
struct json_member {
	const char *name;
	char *value;
	size_t size;
	enum json_state state;
};

/* Whether the bytes are one JSON object (RFC 8259, UTF-8, at most 128 levels deep). If not, `offset` is where that shows. */
bool json_read_object(const char *data, size_t length, struct json_member *members, size_t member_count, size_t *offset);

/* Whether the zero-ended text is UTF-8, as every JSON text must be. */
bool json_is_utf8(const char *text);

/* A bounded text under construction. `overflowed` when something did not fit; it is ended by a zero byte always. */
struct output {
	char *data;
	size_t size;
	size_t length;
	bool overflowed;
};

void output_bytes(struct output *output, const char *data, size_t length);
void output_text(struct output *output, const char *text);
/* In quotes, with everything escaped that JSON wants escaped. Bytes that are no UTF-8 become U+FFFD. */
void output_json_text(struct output *output, const char *text);
