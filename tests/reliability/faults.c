/* A layer between a program and its disk (LD_PRELOAD): the n-th call that changes something below a folder
 * fails. Calls are writes, flushes, renames, new files and new folders; removing files always works,
 * as on a full disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static char folder[PATH_MAX];
static int calls, victim, number, lasts;

/* From now on the n-th call below `path` fails with `error`; with `for_good` so do all after it. */
void faults_arm(const char *path, int n, int error, int for_good)
{
    calls = 0;
    victim = n;
    number = error;
    lasts = for_good;
    snprintf(folder, sizeof folder, "%s", path);
}

/* No more failures; returns how many calls there were. */
int faults_disarm(void)
{
    folder[0] = 0;
    return calls;
}

static int fails(const char *path)
{
    if (!folder[0] || strncmp(path, folder, strlen(folder)))
        return 0;
    int call = __sync_add_and_fetch(&calls, 1);
    if (call != victim && !(lasts && call > victim))
        return 0;
    errno = number;
    return 1;
}

static int descriptor_fails(int descriptor)
{
    char link[64], path[PATH_MAX];
    if (!folder[0])
        return 0;
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0)
        return 0;
    path[length] = 0;
    return fails(path);
}

#define NEXT(name) __typeof__(&name) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *data, size_t size)
{
    NEXT(write);
    return descriptor_fails(fd) ? -1 : next(fd, data, size);
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *stream)
{
    NEXT(fwrite);
    return descriptor_fails(fileno(stream)) ? 0 : next(data, size, count, stream);
}

int fsync(int fd)
{
    NEXT(fsync);
    return descriptor_fails(fd) ? -1 : next(fd);
}

int rename(const char *from, const char *to)
{
    NEXT(rename);
    return fails(to) ? -1 : next(from, to);
}

int mkdir(const char *path, mode_t mode)
{
    NEXT(mkdir);
    return fails(path) ? -1 : next(path, mode);
}

static mode_t mode_of(int flags, va_list rest)
{
    return flags & O_CREAT ? va_arg(rest, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    NEXT(open);
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return flags & O_CREAT && fails(path) ? -1 : next(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    NEXT(open64);
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return flags & O_CREAT && fails(path) ? -1 : next(path, flags, mode);
}
