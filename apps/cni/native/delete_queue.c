/* SPDX-License-Identifier: Apache-2.0 */
#include "delete_queue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_ATTEMPTS_MAX 250
#define LOCK_RETRY_MS 20
#define TEMPORARY_ENDING ".tmp"

struct queue {
	const char *directory;
	int fd;
	int lock_fd;
	char *reason;
	size_t reason_size;
};

static bool fail(struct queue *queue, const char *what, const char *name)
{
	snprintf(queue->reason, queue->reason_size, "cannot %s %s%s%s: %s", what, queue->directory, name[0] == 0 ? "" : "/", name,
		 strerror(errno));
	return false;
}

/* With the directories above it. */
static bool make_directory(struct queue *queue)
{
	char path[PATH_MAX];
	size_t length = strlen(queue->directory);

	if (length >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return fail(queue, "create", "");
	}
	memcpy(path, queue->directory, length + 1);
	for (char *slash = path + 1; *slash != 0; slash++) {
		if (*slash != '/')
			continue;
		*slash = 0;
		mkdir(path, 0755); /* Whether it worked the last one tells. */
		*slash = '/';
	}
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return fail(queue, "create", "");
	return true;
}

static bool open_queue(struct queue *queue)
{
	if (!make_directory(queue))
		return false;
	queue->fd = open(queue->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (queue->fd < 0)
		return fail(queue, "open", "");
	queue->lock_fd = openat(queue->fd, "lockfile", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (queue->lock_fd < 0)
		return fail(queue, "open", "lockfile");
	for (int attempt = 0; attempt < LOCK_ATTEMPTS_MAX; attempt++) {
		const struct timespec delay = { .tv_nsec = LOCK_RETRY_MS * 1000000L };

		if (flock(queue->lock_fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		if (errno != EWOULDBLOCK && errno != EINTR)
			break;
		nanosleep(&delay, NULL);
	}
	return fail(queue, "lock", "lockfile");
}

static void close_queue(const struct queue *queue)
{
	if (queue->lock_fd >= 0)
		close(queue->lock_fd); /* The lock goes with it. */
	if (queue->fd >= 0)
		close(queue->fd);
}

static bool ends_with(const char *name, const char *ending)
{
	size_t length = strlen(name), ending_length = strlen(ending);

	return length >= ending_length && strcmp(name + length - ending_length, ending) == 0;
}

/* How many deletions wait, or -1. Who holds the lock may take away what others left half written when they were killed. */
static int count_files(struct queue *queue)
{
	int fd = openat(queue->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	int count = 0;

	if (directory == NULL) {
		fail(queue, "read", "");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
		if (ends_with(entry->d_name, ".json"))
			count++;
		else if (ends_with(entry->d_name, TEMPORARY_ENDING))
			unlinkat(queue->fd, entry->d_name, 0);
	}
	closedir(directory);
	return count;
}

static bool write_all(int fd, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, data, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return false;
		data += written;
		length -= (size_t)written;
	}
	return fsync(fd) == 0;
}

static bool write_file(struct queue *queue, const char *data, size_t length)
{
	char name[64], temporary[64 + sizeof(TEMPORARY_ENDING)];
	struct timespec time;
	bool written;
	int fd, error;

	clock_gettime(CLOCK_REALTIME, &time);
	/* Sorted by name they are sorted by age. */
	snprintf(name, sizeof(name), "%020" PRIu64 "-%d.json", (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec, (int)getpid());
	snprintf(temporary, sizeof(temporary), "%s" TEMPORARY_ENDING, name);
	fd = openat(queue->fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail(queue, "create", temporary);
	written = write_all(fd, data, length);
	error = errno;
	written = close(fd) == 0 && written;
	if (!written) {
		unlinkat(queue->fd, temporary, 0);
		errno = error;
		return fail(queue, "write", temporary);
	}
	if (renameat(queue->fd, temporary, queue->fd, name) < 0) {
		error = errno;
		unlinkat(queue->fd, temporary, 0);
		errno = error;
		return fail(queue, "rename", temporary);
	}
	return fsync(queue->fd) == 0 || fail(queue, "write", "");
}

enum queue_result delete_queue_add(const char *directory, const char *data, size_t length, char *reason, size_t reason_size)
{
	struct queue queue = { directory, -1, -1, reason, reason_size };
	enum queue_result result = QUEUE_FAILED;

	if (open_queue(&queue)) {
		int count = count_files(&queue);

		if (count >= DELETE_QUEUE_FILES_MAX)
			result = QUEUE_FULL;
		else if (count >= 0 && write_file(&queue, data, length))
			result = QUEUE_WRITTEN;
	}
	close_queue(&queue);
	return result;
}
