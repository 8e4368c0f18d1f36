/* SPDX-License-Identifier: Apache-2.0 */
/* A network namespace belongs to a thread. Whatever is to be done in another one is done by a thread that
 * enters it and ends there: no thread of Node's ever moves, whatever fails. */
#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

struct visit {
	const char *path;
	namespace_work work;
	void *context;
	struct failure *failure;
	bool succeeded;
};

bool fail_with(struct failure *failure, const char *syscall, int error, const char *subject)
{
	failure->syscall = syscall;
	failure->error = error;
	snprintf(failure->subject, sizeof(failure->subject), "%s", subject == NULL ? "" : subject);
	return false;
}

static bool enter(struct visit *visit)
{
	int fd = open(visit->path, O_RDONLY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return fail_with(visit->failure, "open", errno, visit->path);
	error = setns(fd, CLONE_NEWNET) < 0 ? errno : 0;
	close(fd);
	return error == 0 || fail_with(visit->failure, "setns", error, visit->path);
}

static void *run_visit(void *argument)
{
	struct visit *visit = argument;

	visit->succeeded = enter(visit) && visit->work(visit->context, visit->failure);
	return NULL;
}

static void *run_creation(void *argument)
{
	struct visit *visit = argument;
	int *fd = visit->context;

	if (unshare(CLONE_NEWNET) < 0) {
		fail_with(visit->failure, "unshare", errno, NULL);
		return NULL;
	}
	*fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	visit->succeeded = *fd >= 0 || fail_with(visit->failure, "open", errno, "/proc/thread-self/ns/net");
	return NULL;
}

/* The namespace lives as long as the descriptor, or whatever is in it. */
int create_namespace(struct failure *failure)
{
	int fd = -1;
	struct visit visit = { .context = &fd, .failure = failure };
	pthread_t thread;
	int error = pthread_create(&thread, NULL, run_creation, &visit);

	if (error != 0) {
		fail_with(failure, "pthread_create", error, NULL);
		return -1;
	}
	pthread_join(thread, NULL);
	return visit.succeeded ? fd : -1;
}

bool run_in_namespace(const char *path, namespace_work work, void *context, struct failure *failure)
{
	struct visit visit = { path, work, context, failure, false };
	pthread_t thread;
	int error;

	if (path == NULL || path[0] == '\0')
		return work(context, failure);
	error = pthread_create(&thread, NULL, run_visit, &visit);
	if (error != 0)
		return fail_with(failure, "pthread_create", error, NULL);
	pthread_join(thread, NULL);
	return visit.succeeded;
}
