/* files.h - the files of offline commands: read, written, and keys out of them. */
#ifndef PLUVIO_PLUVIO_FILES_H
#define PLUVIO_PLUVIO_FILES_H

#include "base/buf.h"
#include "base/err.h"
#include "crypto/key.h"

/* A file read piece by piece; "-" is standard input. */
struct file_stream {
    int fd;
    const char *path;
};

enum err file_stream_open(struct file_stream *in, const char *path, struct why *why);
enum err file_stream_read(struct file_stream *in, void *to, size_t size, size_t *len, struct why *why);
void file_stream_close(struct file_stream *in);

/* The whole file; "-" is standard input. */
enum err read_file(const char *path, struct buf *to, struct why *why);

/* Replaces the file, or leaves it as it was when the disk is full: the bytes go to a new file that is renamed. */
enum err write_file(const char *path, struct bytes data, int mode, struct why *why);

/* The same, but "-" is standard output. */
enum err write_output(const char *path, struct bytes data, int mode, struct why *why);

/* For what cannot be made again: ERR_EXISTS when the file is there. */
enum err write_new_file(const char *path, struct bytes data, int mode, struct why *why);

enum err read_public_key(const char *path, struct public_key *key, struct why *why);
enum err open_private_key(const char *path, struct private_key **key, struct why *why);

/* A whole number, decimal or 0x..., with K or M behind it; ERR_USAGE names the option. */
enum err take_number(const char *name, const char *text, int64_t least, int64_t most, int64_t *to, struct why *why);

#endif
