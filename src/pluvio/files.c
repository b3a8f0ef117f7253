#include "pluvio/files.h"

#include "crypto/cipher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_MAX (512 * 1024 * 1024) /* more than any flash; a larger file is refused instead of eating the memory */

enum err file_stream_open(struct file_stream *in, const char *path, struct why *why)
{
    struct stat st;
    in->path = path;
    in->fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (in->fd >= 0 && fstat(in->fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(in->fd);
        in->fd = -1;
        errno = EISDIR;
    }
    return in->fd >= 0 ? ERR_NONE : why_set(why, ERR_IO, "read %s: %s", path, strerror(errno));
}

enum err file_stream_read(struct file_stream *in, void *to, size_t size, size_t *len, struct why *why)
{
    ssize_t n;
    do
        n = read(in->fd, to, size);
    while (n < 0 && errno == EINTR);
    *len = n > 0 ? (size_t)n : 0;
    return n >= 0 ? ERR_NONE : why_set(why, ERR_IO, "read %s: %s", in->path, strerror(errno));
}

void file_stream_close(struct file_stream *in)
{
    close(in->fd);
}

enum err read_file(const char *path, struct buf *to, struct why *why)
{
    struct file_stream in;
    char chunk[65536];
    size_t n;
    enum err err = file_stream_open(&in, path, why);
    if (err != ERR_NONE)
        return err;
    while ((err = file_stream_read(&in, chunk, sizeof chunk, &n, why)) == ERR_NONE && n > 0) {
        buf_add(to, chunk, n);
        if (to->len > READ_MAX) {
            err = why_set(why, ERR_TOO_BIG, "%s has more than %d MB", path, READ_MAX / 1024 / 1024);
            break;
        }
    }
    file_stream_close(&in);
    return err == ERR_NONE && to->is_failed ? why_set(why, ERR_NO_MEMORY, "no memory for %s", path) : err;
}

static bool write_all(int fd, struct bytes data)
{
    for (size_t done = 0; done < data.len;) {
        ssize_t n = write(fd, data.at + done, data.len - done);
        if (n < 0 && errno != EINTR)
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static enum err write_to(int fd, const char *path, struct bytes data, struct why *why)
{
    bool is_good = fd >= 0 && write_all(fd, data);
    int saved = errno;
    if (fd >= 0 && close(fd) != 0 && is_good) {
        is_good = false;
        saved = errno;
    }
    return is_good ? ERR_NONE
                   : why_set(why, saved == EEXIST ? ERR_EXISTS : ERR_IO, "write %s: %s", path, strerror(saved));
}

enum err write_file(const char *path, struct bytes data, int mode, struct why *why)
{
    char temporary[PATH_MAX], resolved[PATH_MAX];
    struct stat st;
    bool is_there = stat(path, &st) == 0;
    /* A device or a pipe cannot be renamed over. */
    if (is_there && !S_ISREG(st.st_mode))
        return write_to(open(path, O_WRONLY | O_CLOEXEC), path, data, why);
    if (is_there &&
        realpath(path, resolved) != NULL) { /* through a link, not over it; and readers stay who they were */
        path = resolved;
        mode = (int)(st.st_mode & 0777);
    }
    if (snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid()) >= (int)sizeof temporary)
        return why_set(why, ERR_USAGE, "the path %s is too long", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd >= 0 && is_there)
        (void)!fchmod(fd, (mode_t)mode);
    enum err err = write_to(fd, path, data, why);
    if (err == ERR_NONE && rename(temporary, path) != 0)
        err = why_set(why, ERR_IO, "write %s: %s", path, strerror(errno));
    if (err != ERR_NONE && fd >= 0)
        unlink(temporary);
    return err;
}

enum err write_output(const char *path, struct bytes data, int mode, struct why *why)
{
    if (strcmp(path, "-") != 0)
        return write_file(path, data, mode, why);
    return write_to(dup(STDOUT_FILENO), "standard output", data, why);
}

enum err write_new_file(const char *path, struct bytes data, int mode, struct why *why)
{
    return write_to(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode), path, data, why);
}

enum err read_public_key(const char *path, struct public_key *key, struct why *why)
{
    struct buf pem = {0};
    enum err err = read_file(path, &pem, why);
    if (err == ERR_NONE && (err = public_key_read_pem(key, buf_bytes(&pem), why)) != ERR_NONE)
        err = why_add(why, err, "%s", path);
    if (pem.at != NULL)
        secret_wipe(pem.at, pem.len);
    buf_deinit(&pem);
    return err;
}

enum err open_private_key(const char *path, struct private_key **key, struct why *why)
{
    struct buf pem = {0};
    enum err err = read_file(path, &pem, why);
    if (err == ERR_NONE && (err = private_key_open_pem(key, buf_bytes(&pem), why)) != ERR_NONE)
        err = why_add(why, err, "%s", path);
    if (pem.at != NULL)
        secret_wipe(pem.at, pem.len);
    buf_deinit(&pem);
    return err;
}

enum err take_number(const char *name, const char *text, int64_t least, int64_t most, int64_t *to, struct why *why)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 0);
    long long unit = *end == 'K' || *end == 'k' ? 1024 : *end == 'M' || *end == 'm' ? 1024 * 1024 : 1;
    if (unit > 1) {
        end++;
        end += *end == 'B';
    }
    if (end == text || *end != '\0' || errno != 0 || value > INT64_MAX / unit || value < 0 || value * unit < least ||
        value * unit > most)
        return why_set(why, ERR_USAGE, "%s takes a number from %lld to %lld, such as 4096, 0x1000 or 4K, not \"%s\"",
                       name, (long long)least, (long long)most, text);
    *to = value * unit;
    return ERR_NONE;
}
