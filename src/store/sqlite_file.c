/*
 * The database file before SQLite sees it.
 *
 * A file that is not ours must come out of an attempt to open it with not a byte changed, and SQLite changes
 * things early: it may roll back a journal, recover or drop a write-ahead log, leave files beside. So the
 * first 100 bytes, which the file format fixes (https://sqlite.org/fileformat2.html, "The Database Header"),
 * are read by hand first. This is safe only here, before the first connection: closing any descriptor of the
 * file drops the POSIX locks that the process holds on it (https://sqlite.org/howtocorrupt.html,
 * section 2.2).
 *
 * For the same reason the lock against a second panicd is a flock on a file of its own, PATH.lock, which
 * nothing else opens. It is taken before the header is read, goes with the process however that ends, and a
 * flock belongs to the descriptor, so it also stops a second store in this process. The lock file is never
 * removed: another process could be about to lock the name that we unlink.
 */
#include "store/sqlite_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_SIZE 100
#define HEADER_MAGIC "SQLite format 3"
#define HEADER_SCHEMA_COOKIE 40
#define HEADER_USER_VERSION 60
#define HEADER_APPLICATION_ID 68

/* The folder that the path names a file in. */
static void folder_of(const char *path, char ret_folder[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        snprintf(ret_folder, PATH_MAX, ".");
    } else {
        int length = slash == path ? 1 : (int)(slash - path);
        snprintf(ret_folder, PATH_MAX, "%.*s", length, path);
    }
}

static enum status resolve(const char *path, char ret_path[PATH_MAX], struct diag *diag)
{
    if (realpath(path, ret_path) != NULL) {
        return STATUS_OK;
    }
    if (errno != ENOENT) {
        return diag_fail(diag, STATUS_UNAVAILABLE, "store: %s: %m", path);
    }
    char named[PATH_MAX];
    char folder[PATH_MAX];
    folder_of(path, named);
    if (realpath(named, folder) == NULL) {
        return diag_fail(diag, STATUS_UNAVAILABLE, "store: the folder of %s: %m", path);
    }
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    if (name[0] == 0 || snprintf(ret_path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX) {
        return diag_fail(diag, STATUS_UNAVAILABLE, "store: %s: no name, or one too long, for a file", path);
    }
    return STATUS_OK;
}

static enum status check_kind(const char *path, struct diag *diag)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        return errno == ENOENT ? STATUS_OK : diag_fail(diag, STATUS_UNAVAILABLE, "store: %s: %m", path);
    }
    if (S_ISDIR(info.st_mode)) {
        return diag_fail(diag, STATUS_UNAVAILABLE, "store: %s is a folder; name a file in it", path);
    }
    if (!S_ISREG(info.st_mode)) {
        return diag_fail(diag, STATUS_UNAVAILABLE, "store: %s is not a regular file", path);
    }
    return STATUS_OK;
}

static enum status take_lock(const char *path, int *ret_fd, struct diag *diag)
{
    char lock_path[PATH_MAX + sizeof(".lock")];
    snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return diag_fail(diag, STATUS_UNAVAILABLE, "store: %s: %m", lock_path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;
        close(fd);
        if (error == EWOULDBLOCK) {
            return diag_fail(diag, STATUS_UNAVAILABLE,
                             "store: %s is already in use; stop the other panicd first", path);
        }
        errno = error;
        return diag_fail(diag, STATUS_UNAVAILABLE, "store: %s: %m", lock_path);
    }
    *ret_fd = fd;
    return STATUS_OK;
}

/* Bytes read (less than HEADER_SIZE at the end of the file), or -1 with errno. */
static ssize_t read_header(const char *path, uint8_t header[HEADER_SIZE])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? 0 : -1;
    }
    ssize_t n = pread(fd, header, HEADER_SIZE, 0);
    int error = errno;
    close(fd);
    errno = error;
    return n;
}

static uint32_t big_endian_32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/*
 * With a rollback journal beside it the file may be half written, and only SQLite can tell what it should
 * hold.
 */
static bool has_journal(const char *path)
{
    char journal[PATH_MAX + sizeof("-journal")];
    snprintf(journal, sizeof(journal), "%s-journal", path);
    struct stat info;
    return stat(journal, &info) == 0 && info.st_size > 0;
}

static enum status check_header(struct database_file *file, struct diag *diag)
{
    uint8_t header[HEADER_SIZE];
    ssize_t n = read_header(file->path, header);
    if (n < 0) {
        return diag_fail(diag, STATUS_UNAVAILABLE, "store: %s: %m", file->path);
    }
    file->exists = n > 0;
    if (n == 0 || has_journal(file->path)) {
        return STATUS_OK;
    }
    if (n < HEADER_SIZE || memcmp(header, HEADER_MAGIC, sizeof(HEADER_MAGIC)) != 0) {
        return diag_fail(diag, STATUS_FAILED_PRECONDITION,
                         "store: %s is not a database; name another file, or move this one away", file->path);
    }
    return schema_check_identity(file->path, big_endian_32(&header[HEADER_APPLICATION_ID]),
                                 (int32_t)big_endian_32(&header[HEADER_USER_VERSION]),
                                 big_endian_32(&header[HEADER_SCHEMA_COOKIE]) != 0, diag);
}

enum status database_file_claim(const char *path, struct database_file *ret_file, struct diag *diag)
{
    struct database_file file = {.lock_fd = -1};
    enum status status = resolve(path, file.path, diag);
    if (status == STATUS_OK) {
        status = check_kind(file.path, diag);
    }
    if (status == STATUS_OK) {
        status = take_lock(file.path, &file.lock_fd, diag);
    }
    if (status == STATUS_OK) {
        status = check_header(&file, diag);
    }
    if (status != STATUS_OK) {
        database_file_release(&file);
        return status;
    }
    *ret_file = file;
    return STATUS_OK;
}

void database_file_release(struct database_file *file)
{
    if (file->lock_fd >= 0) {
        close(file->lock_fd);
        file->lock_fd = -1;
    }
}

bool database_file_sync_folder(const struct database_file *file)
{
    char folder[PATH_MAX];
    folder_of(file->path, folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool synced = fsync(fd) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return synced;
}

static uint64_t size_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

/* By name: opening and closing the file would drop SQLite's locks. */
void database_file_sizes(const struct database_file *file, uint64_t *ret_file, uint64_t *ret_wal)
{
    char wal[PATH_MAX + sizeof("-wal")];
    snprintf(wal, sizeof(wal), "%s-wal", file->path);
    *ret_file = size_of(file->path);
    *ret_wal = size_of(wal);
}
