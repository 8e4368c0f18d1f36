/* SPDX-License-Identifier: Apache-2.0 */
/* A consumer of BPF_MAP_TYPE_RINGBUF. The layout is the kernel's (kernel/bpf/ringbuf.c): one page with the
 * consumer's position, one with the producer's, then the data mapped twice in a row, so that no record is
 * ever split. A record starts with a u32: its length, a bit while it is being written, a bit when it is to
 * be passed over; then a u32 for the kernel; then its bytes, padded to 8. */
#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RECORD_HEADER_SIZE 8
#define RECORD_LENGTH_MASK (~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT))

struct ring_buffer {
	unsigned long *consumer;       /* Ours to write. */
	const unsigned long *producer; /* The kernel's; the data follow one page on. */
	const uint8_t *data;
	size_t page_size;
	size_t data_size; /* A power of two. */
};

static void unmap(struct ring_buffer *ring)
{
	if (ring->consumer != NULL)
		munmap(ring->consumer, ring->page_size);
	if (ring->producer != NULL)
		munmap((void *)ring->producer, ring->page_size + 2 * ring->data_size);
	ring->consumer = NULL;
	ring->producer = NULL;
	ring->data = NULL;
}

static void finalize_ring(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	unmap(data);
	free(data);
}

/* (map fd, max entries) -> handle */
static napi_value open_ring(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	int fd = (int)integer_at(&arguments, 0);
	struct ring_buffer *ring = calloc(1, sizeof(*ring));
	napi_value handle = NULL;
	void *mapped;

	if (ring == NULL)
		return throw_failure(env, "malloc", ENOMEM);
	ring->page_size = (size_t)sysconf(_SC_PAGESIZE);
	ring->data_size = (size_t)integer_at(&arguments, 1);
	mapped = mmap(NULL, ring->page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped != MAP_FAILED) {
		ring->consumer = mapped;
		mapped = mmap(NULL, ring->page_size + 2 * ring->data_size, PROT_READ, MAP_SHARED, fd, (off_t)ring->page_size);
	}
	if (mapped == MAP_FAILED) {
		int error = errno;

		unmap(ring);
		free(ring);
		return throw_failure(env, "mmap", error);
	}
	ring->producer = mapped;
	ring->data = (const uint8_t *)mapped + ring->page_size;
	napi_create_external(env, ring, finalize_ring, NULL, &handle);
	return handle;
}

/* (handle) */
static napi_value close_ring(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct ring_buffer *ring = external_at(&arguments, 0);

	if (ring != NULL)
		unmap(ring);
	return NULL;
}

struct drained {
	size_t bytes;
	size_t records;
	bool more;
	size_t too_large; /* A record that the whole target could not hold; 0: none. */
};

static struct drained drain_into(struct ring_buffer *ring, struct bytes target)
{
	struct drained drained = { 0 };
	unsigned long consumer = __atomic_load_n(ring->consumer, __ATOMIC_RELAXED);
	unsigned long producer = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);

	while (consumer < producer) {
		const uint8_t *record = ring->data + (consumer & (ring->data_size - 1));
		uint32_t header = __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE);
		uint32_t length = header & RECORD_LENGTH_MASK;
		size_t size = RECORD_HEADER_SIZE + (((size_t)length + 7) & ~(size_t)7);

		if (header & BPF_RINGBUF_BUSY_BIT)
			break;
		if (!(header & BPF_RINGBUF_DISCARD_BIT)) {
			uint8_t *copy = target.data + drained.bytes;
			const uint32_t framing[2] = { length, 0 };

			if (size > target.length - drained.bytes) {
				drained.more = true;
				drained.too_large = drained.records == 0 ? size : 0;
				break;
			}
			memcpy(copy, framing, sizeof(framing));
			memcpy(copy + RECORD_HEADER_SIZE, record + RECORD_HEADER_SIZE, size - RECORD_HEADER_SIZE);
			drained.bytes += size;
			drained.records++;
		}
		consumer += size;
	}
	/* Sequentially consistent: the check for pending records before sleeping must not be moved before it. */
	__atomic_store_n(ring->consumer, consumer, __ATOMIC_SEQ_CST);
	return drained;
}

/* (handle, target) -> { bytes, records, more } */
static napi_value drain_ring(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct ring_buffer *ring = external_at(&arguments, 0);
	struct bytes target = bytes_at(&arguments, 1);
	struct drained drained;
	napi_value result, more;

	if (ring == NULL || ring->data == NULL)
		return throw_failure(env, "ring buffer", EBADF);
	drained = drain_into(ring, target);
	if (drained.too_large > 0)
		return throw_failure(env, "ring buffer", EMSGSIZE);
	napi_create_object(env, &result);
	set_number(env, result, "bytes", (double)drained.bytes);
	set_number(env, result, "records", (double)drained.records);
	napi_get_boolean(env, drained.more, &more);
	napi_set_named_property(env, result, "more", more);
	return result;
}

/* (handle) -> 1 when there is a record that drain would take or pass over */
static napi_value ring_pending(napi_env env, napi_callback_info info)
{
	struct arguments arguments = read_arguments(env, info);
	struct ring_buffer *ring = external_at(&arguments, 0);
	unsigned long consumer;

	if (ring == NULL || ring->data == NULL)
		return throw_failure(env, "ring buffer", EBADF);
	consumer = __atomic_load_n(ring->consumer, __ATOMIC_SEQ_CST);
	if (consumer == __atomic_load_n(ring->producer, __ATOMIC_SEQ_CST))
		return number_value(env, 0);
	const uint32_t *header = (const uint32_t *)(ring->data + (consumer & (ring->data_size - 1)));

	return number_value(env, __atomic_load_n(header, __ATOMIC_ACQUIRE) & BPF_RINGBUF_BUSY_BIT ? 0 : 1);
}

void export_ring_buffer(napi_env env, napi_value exports)
{
	static const struct export list[] = {
		{ "openRing", open_ring },
		{ "closeRing", close_ring },
		{ "drainRing", drain_ring },
		{ "ringPending", ring_pending },
	};

	ADD_EXPORTS(env, exports, list);
}
