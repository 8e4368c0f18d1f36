// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Every shape that a codec exists for, and one value of it laid out by the compiler. */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum colour {
	COLOUR_RED = 1,
	COLOUR_DARK_BLUE = 0x80000000,
};

enum temperature {
	TEMPERATURE_COLD = -5,
	TEMPERATURE_2HOT = 7,
};

enum wide {
	WIDE_LARGEST = 0xffffffffffffffffULL,
};

struct inner {
	__u8 kind;
	__be16 port;
};

struct everything {
	__u8 small;
	__s8 small_signed;
	__u16 middle;
	__s16 middle_signed;
	__be16 network_port;
	__u32 large;
	__s32 large_signed;
	__be32 ipv4;
	__u64 largest;
	__s64 largest_signed;
	__be64 network_word;
	bool yes;
	__u8 mac[6];
	char text[40];
	__u32 counters[3];
	__be32 addresses[2];
	struct inner pair[2];
	struct inner nested;
	union {
		__u32 word;
		__u8 bytes[16];
	} choice;
	struct {
		__u16 width;
	} unnamed;
	struct {
		__u32 flattened;
	};
	__u8 pad[3];
	__u8 value; /* Names that the generated functions use themselves. */
	__u8 target;
	__u8 offset;
	__u8 _pad2[23];
	enum colour colour;
	enum temperature temperature;
	volatile const __u32 qualified;
};

const struct everything example __attribute__((section(".example"))) = {
	.small = 0xf1,
	.small_signed = -2,
	.middle = 0xf203,
	.middle_signed = -4000,
	.network_port = __builtin_bswap16(8080),
	.large = 0xf1020304,
	.large_signed = -5,
	.ipv4 = __builtin_bswap32(0x0a000102),
	.largest = 0xf102030405060708ULL,
	.largest_signed = -6,
	.network_word = __builtin_bswap64(0x0102030405060708ULL),
	.yes = true,
	.mac = { 2, 0, 0, 0, 0, 9 },
	.text = "nineteen characters",
	.counters = { 1, 0xffffffff, 3 },
	.addresses = { __builtin_bswap32(0x01020304), __builtin_bswap32(0x05060708) },
	.pair = { { 1, __builtin_bswap16(1) }, { 2, __builtin_bswap16(65535) } },
	.nested = { 3, __builtin_bswap16(443) },
	.choice = { .bytes = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } },
	.unnamed = { 777 },
	.flattened = 888,
	.value = 10,
	.target = 11,
	.offset = 12,
	.colour = COLOUR_DARK_BLUE,
	.temperature = TEMPERATURE_COLD,
	.qualified = 13,
};

struct event_header {
	__u64 time_ns;
	__u8 kind;
};

struct shape_notify {
	struct event_header header;
	__u32 flags;
};

const struct shape_notify *const unused_shape_notify __attribute__((unused));
enum wide *const unused_wide __attribute__((unused));

/* Built in by the compiler, so no variable to set. */
const __u32 constant = 5;

struct only_in_union {
	__u32 word;
};

/* Never read: it carries layouts. */
const volatile union {
	struct only_in_union only;
	enum temperature temperature;
} layouts;

const volatile struct inner settings;
const volatile __u32 limit;
const volatile __u8 salt[8];

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 512);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct inner);
	__type(value, struct everything);
} plain_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__uint(key_size, 12);
	__type(value, __be16);
} sized SEC(".maps");

struct inner_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct inner_map);
} outer SEC(".maps");

SEC("tc") int read_settings(void *context)
{
	return settings.kind + limit + salt[3];
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
