#include "blob/folder.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void path_of(struct blob_store *port, const char *sha256, char *to, size_t size)
{
    snprintf(to, size, "%s/%.64s.bin", ((struct blob_folder *)port)->path, sha256);
}

static bool is_digest(const char *sha256)
{
    return strlen(sha256) == 64 && strspn(sha256, "0123456789abcdef") == 64;
}

static int sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0)
        close(fd);
    return rc;
}

static enum err folder_take(struct blob_store *port, const char *path, const char *sha256, struct why *why)
{
    char to[640];
    if (!is_digest(sha256)) {
        unlink(path);
        return why_set(why, ERR_USAGE, "\"%.70s\" is no SHA-256", sha256);
    }
    path_of(port, sha256, to, sizeof to);
    /* The name must not survive a power cut without the bytes. */
    if (sync_path(path, O_RDONLY) == 0 && rename(path, to) == 0 &&
        sync_path(((struct blob_folder *)port)->path, O_RDONLY | O_DIRECTORY) == 0)
        return ERR_NONE;
    int saved = errno;
    unlink(path);
    return why_set(why, ERR_IO, "store image bytes as %s: %s", to, strerror(saved));
}

static enum err folder_open(struct blob_store *port, const char *sha256, int *fd, int64_t *size, struct why *why)
{
    char path[640];
    struct stat st;
    path_of(port, sha256, path, sizeof path);
    *fd = is_digest(sha256) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (*fd < 0 || fstat(*fd, &st) != 0)
        return why_set(why, ERR_NOT_FOUND, "image bytes %.64s are missing", sha256);
    *size = st.st_size;
    return ERR_NONE;
}

static enum err folder_remove(struct blob_store *port, const char *sha256, struct why *why)
{
    char path[640];
    path_of(port, sha256, path, sizeof path);
    if (is_digest(sha256) && unlink(path) != 0 && errno != ENOENT)
        return why_set(why, ERR_IO, "remove %s: %s", path, strerror(errno));
    return ERR_NONE;
}

static const struct blob_store_ops ops = {folder_take, folder_open, folder_remove, NULL};

enum err blob_folder_open(struct blob_folder *b, const char *path, struct why *why)
{
    b->port.ops = &ops;
    if (!text_copy(b->path, sizeof b->path, path))
        return why_set(why, ERR_CONFIG, "the path %s is too long", path);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return why_set(why, ERR_IO, "make the folder %s: %s", path, strerror(errno));
    return ERR_NONE;
}
