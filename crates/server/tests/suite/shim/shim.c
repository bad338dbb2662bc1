/*
 * Stands between a server and its operating system (LD_PRELOAD). It records what happens to the files of a
 * data folder, refuses writes, makes the disk slow, and sets the clock, as the environment says. For tests.
 *
 *   SHIM_FOLDER  the data folder; nothing outside of it is touched
 *   SHIM_LOG     where to record: see `struct entry`, and `power/replay.rs`, which reads it
 *   SHIM_FAULTS  a file with two numbers: after so many more writes and syncs, those fail with this error. ENOSPC
 *                fails writes that make a file longer, EROFS all writes, EIO all syncs; no file, no failure
 *   SHIM_SYNC_MS how long each sync takes besides
 *   SHIM_CLOCK   a file with the seconds by which the wall clock is wrong
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FILES 65536

struct entry {
    uint8_t kind, unused[3];
    uint32_t length; /* of what follows: a path, two paths apart by a zero, or data */
    uint64_t number; /* of this entry, from one */
    uint64_t file;   /* its inode */
    uint64_t value;  /* an offset, a size, or the last entry that a sync covers */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint8_t tracked[FILES];
static const char *folder, *faults;
static size_t folder_length;
static long sync_ms;
static int log_file = -1;
static uint64_t last;
static long taken;

#define REAL(result, name, ...) static result (*real_##name)(__VA_ARGS__)
REAL(int, open64, const char *, int, ...);
REAL(int, close, int);
REAL(ssize_t, write, int, const void *, size_t);
REAL(ssize_t, writev, int, const struct iovec *, int);
REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
REAL(int, ftruncate64, int, off64_t);
REAL(int, fsync, int);
REAL(int, fdatasync, int);
REAL(int, rename, const char *, const char *);
REAL(int, unlink, const char *);
REAL(int, mkdir, const char *, mode_t);
REAL(int, rmdir, const char *);
REAL(int, clock_gettime, clockid_t, struct timespec *);

#define FIND(name) *(void **)&real_##name = dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    FIND(open64); FIND(close); FIND(write); FIND(writev); FIND(pwrite64); FIND(ftruncate64); FIND(fsync);
    FIND(fdatasync); FIND(rename); FIND(unlink); FIND(mkdir); FIND(rmdir); FIND(clock_gettime);
    folder = getenv("SHIM_FOLDER");
    folder_length = folder ? strlen(folder) : 0;
    faults = getenv("SHIM_FAULTS");
    const char *slow = getenv("SHIM_SYNC_MS"), *path = getenv("SHIM_LOG");
    sync_ms = slow ? atol(slow) : 0;
    if (path) log_file = real_open64(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int inside(const char *path) {
    if (!folder || strncmp(path, folder, folder_length) || (path[folder_length] && path[folder_length] != '/'))
        return 0;
    size_t length = strlen(path);
    return length < 4 || strcmp(path + length - 4, "-shm");
}

static int is_tracked(int file) { return file >= 0 && file < FILES && tracked[file]; }

static uint64_t inode(int file) {
    struct stat64 found;
    return fstat64(file, &found) ? 0 : found.st_ino;
}

/* With the mutex held. What cannot be recorded ends the process: a recording with a gap proves nothing. */
static void note(char kind, uint64_t file, uint64_t value, const void *data, size_t length) {
    if (log_file < 0) return;
    struct entry entry = {.kind = kind, .length = length, .number = ++last, .file = file, .value = value};
    struct iovec parts[] = {{&entry, sizeof entry}, {(void *)data, length}};
    if (real_writev(log_file, parts, 2) != (ssize_t)(sizeof entry + length)) abort();
}

/* Whether the next write up to `end` fails, or sync where `end` is zero; sets `errno`. */
static int refused(int file, uint64_t end) {
    int holds = faults ? real_open64(faults, O_RDONLY | O_CLOEXEC) : -1;
    if (holds < 0) { taken = 0; return 0; }
    char text[32] = {0};
    ssize_t length = read(holds, text, sizeof text - 1);
    real_close(holds);
    long first;
    int error;
    if (length < 1 || sscanf(text, "%ld %d", &first, &error) != 2) return 0;
    struct stat64 found;
    int longer = !fstat64(file, &found) && end > (uint64_t)found.st_size;
    int concerned = error == EIO ? !end : error == ENOSPC ? longer : end > 0;
    if (!concerned || taken++ < first) return 0;
    errno = error;
    return 1;
}

static int opened(const char *path, int flags, mode_t mode) {
    if (!inside(path)) return real_open64(path, flags, mode);
    pthread_mutex_lock(&mutex);
    struct stat64 found;
    int fresh = (flags & O_CREAT) && lstat64(path, &found);
    int file = real_open64(path, flags, mode);
    if (file >= 0 && file < FILES) {
        tracked[file] = 1;
        if (fresh) note('C', inode(file), 0, path, strlen(path));
        else if (flags & O_TRUNC) note('T', inode(file), 0, "", 0);
    }
    pthread_mutex_unlock(&mutex);
    return file;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open(const char *path, int flags, ...) { MODE(flags) return opened(path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(path, flags, mode); }

int close(int file) {
    if (file >= 0 && file < FILES) tracked[file] = 0;
    return real_close(file);
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t at) {
    if (!is_tracked(file)) return real_pwrite64(file, data, length, at);
    pthread_mutex_lock(&mutex);
    ssize_t done = -1;
    if (!refused(file, at + length) && (done = real_pwrite64(file, data, length, at)) > 0) note('W', inode(file), at, data, done);
    pthread_mutex_unlock(&mutex);
    return done;
}
ssize_t pwrite(int file, const void *data, size_t length, off_t at) { return pwrite64(file, data, length, at); }

ssize_t write(int file, const void *data, size_t length) {
    if (!is_tracked(file)) return real_write(file, data, length);
    pthread_mutex_lock(&mutex);
    off64_t at = lseek64(file, 0, SEEK_CUR);
    ssize_t done = -1;
    if (!refused(file, at + length) && (done = real_write(file, data, length)) > 0) note('W', inode(file), at, data, done);
    pthread_mutex_unlock(&mutex);
    return done;
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    return is_tracked(file) && count > 0 ? write(file, parts[0].iov_base, parts[0].iov_len) : real_writev(file, parts, count);
}

int ftruncate64(int file, off64_t size) {
    if (!is_tracked(file)) return real_ftruncate64(file, size);
    pthread_mutex_lock(&mutex);
    int done = real_ftruncate64(file, size);
    if (!done) note('T', inode(file), size, "", 0);
    pthread_mutex_unlock(&mutex);
    return done;
}
int ftruncate(int file, off_t size) { return ftruncate64(file, size); }

static int synced(int file, int (*sync)(int)) {
    if (!is_tracked(file)) return sync(file);
    pthread_mutex_lock(&mutex);
    uint64_t covers = last;
    int fails = refused(file, 0);
    pthread_mutex_unlock(&mutex);
    if (fails) { errno = EIO; return -1; }
    if (sync_ms) usleep(sync_ms * 1000);
    int done = sync(file);
    if (done) return done;
    struct stat64 found;
    char link[64], path[4096] = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (fstat64(file, &found) || readlink(link, path, sizeof path - 1) < 0) abort();
    pthread_mutex_lock(&mutex);
    if (S_ISDIR(found.st_mode)) note('D', found.st_ino, covers, path, strlen(path));
    else note('S', found.st_ino, covers, "", 0);
    pthread_mutex_unlock(&mutex);
    return 0;
}
int fsync(int file) { return synced(file, real_fsync); }
int fdatasync(int file) { return synced(file, real_fdatasync); }

int rename(const char *from, const char *to) {
    if (!inside(to)) return real_rename(from, to);
    char both[8192];
    int length = snprintf(both, sizeof both, "%s%c%s", from, 0, to);
    pthread_mutex_lock(&mutex);
    int done = real_rename(from, to);
    if (!done) note('R', 0, 0, both, length);
    pthread_mutex_unlock(&mutex);
    return done;
}

#define BY_NAME(call, kind) \
    if (!inside(path)) return call; \
    pthread_mutex_lock(&mutex); \
    int done = call; \
    if (!done) note(kind, 0, 0, path, strlen(path)); \
    pthread_mutex_unlock(&mutex); \
    return done;

int unlink(const char *path) { BY_NAME(real_unlink(path), 'U') }
int mkdir(const char *path, mode_t mode) { BY_NAME(real_mkdir(path, mode), 'M') }
int rmdir(const char *path) { BY_NAME(real_rmdir(path), 'X') }

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!real_clock_gettime) FIND(clock_gettime);
    int done = real_clock_gettime(clock, now);
    const char *path = clock == CLOCK_REALTIME ? getenv("SHIM_CLOCK") : NULL;
    int file = path && real_open64 ? real_open64(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return done;
    char text[32] = {0};
    if (read(file, text, sizeof text - 1) > 0) now->tv_sec += atol(text);
    real_close(file);
    return done;
}
