#include "pluviod/move.h"

#include "base/text.h"
#include "blob/folder.h"
#include "blob/s3.h"
#include "pluviod/system.h"
#include "store/migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    struct blob_folder folder;
    struct blob_s3 s3;
    struct blob_store *store;
};

struct mover {
    struct digest_visitor v;
    struct place from, to;
    char temporary[64];
    int64_t moved, bytes;
};

static void usage(FILE *to)
{
    fputs(
        "Usage: pluviod migrate FROM TO [IMAGES-FROM IMAGES-TO]\n\n"
        "Moves what an installation knows to another database; FROM and TO are a data folder (or the path of a SQLite\n"
        "database), or postgres://USER:PASSWORD@HOST/DATABASE.  No server may work with either of them.\n"
        "IMAGES-FROM and IMAGES-TO are a folder, or an object store as --blob takes it, with the key in\n"
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.  Nothing is taken away from FROM.\n",
        to);
}

/* A data folder stands for the database in it, and is ours alone while we work. */
static enum err database_of(const char *given, char *to, size_t size, struct why *why)
{
    struct stat st;
    char lock[600];
    if (strncmp(given, "postgres", 8) == 0 || stat(given, &st) != 0 || !S_ISDIR(st.st_mode))
        return text_copy(to, size, given) ? ERR_NONE : why_set(why, ERR_USAGE, "%.100s is too long", given);
    snprintf(to, size, "%s/pluvio.db", given);
    snprintf(lock, sizeof lock, "%s/lock", given);
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* it goes with the process */
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0
               ? ERR_NONE
               : why_set(why, ERR_BUSY, "a pluviod works in %.200s: stop it first", given);
}

static enum err open_place(struct place *p, const char *given, const char *temporary, struct why *why)
{
    if (strncmp(given, "s3+", 3) != 0) {
        p->store = &p->folder.port;
        return blob_folder_open(&p->folder, given, why);
    }
    p->store = &p->s3.port;
    return blob_s3_open(&p->s3, given, getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"), temporary,
                        system_now, why);
}

static enum err copy_file(int from, const char *path, int64_t *bytes, struct why *why)
{
    char chunk[65536];
    ssize_t n = 1;
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    while (to >= 0 && n > 0 && (n = read(from, chunk, sizeof chunk)) > 0) {
        if (write(to, chunk, (size_t)n) != n)
            n = -1;
        *bytes += n > 0 ? n : 0;
    }
    bool is_good = to >= 0 && n == 0 && close(to) == 0;
    return is_good ? ERR_NONE : why_set(why, ERR_IO, "write %s: %s", path, strerror(errno));
}

static enum err move_one(struct digest_visitor *v, const char *sha256, struct why *why)
{
    struct mover *m = (struct mover *)v;
    char path[200];
    int64_t size;
    int fd;
    enum err err = m->from.store->ops->open(m->from.store, sha256, &fd, &size, why);
    if (err != ERR_NONE)
        return err;
    /* Beside what a folder holds, for its files are renamed. */
    snprintf(path, sizeof path, "%.150s/moving", m->to.store == &m->to.folder.port ? m->to.folder.path : m->temporary);
    err = copy_file(fd, path, &m->bytes, why);
    close(fd);
    if (err == ERR_NONE)
        err = m->to.store->ops->take(m->to.store, path, sha256, why);
    m->moved += err == ERR_NONE;
    return err;
}

static enum err move_images(const char *database, char **images, struct why *why)
{
    struct mover *m = calloc(1, sizeof *m);
    char command[100];
    if (m == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    m->v.visit = move_one;
    snprintf(m->temporary, sizeof m->temporary, "/tmp/pluvio-move.XXXXXX");
    enum err err = mkdtemp(m->temporary) ? ERR_NONE : why_set(why, ERR_IO, "make a folder: %s", strerror(errno));
    if (err == ERR_NONE && (err = open_place(&m->from, images[0], m->temporary, why)) == ERR_NONE)
        err = open_place(&m->to, images[1], m->temporary, why);
    if (err == ERR_NONE)
        err = store_digests(database, &m->v, why);
    if (err == ERR_NONE)
        printf("%" PRId64 " files of images, %" PRId64 " bytes\n", m->moved, m->bytes);
    snprintf(command, sizeof command, "rm -rf %s", m->temporary);
    if (m->temporary[0] && system(command) != 0)
        fprintf(stderr, "pluviod: %s was left\n", m->temporary);
    free(m);
    return err;
}

int move_main(int argc, char **argv)
{
    char from[600], to[600];
    struct migrated count;
    struct why why = {{0}};
    struct log log;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return 0;
    }
    if (argc != 3 && argc != 5) {
        usage(stderr);
        return err_exit_status(ERR_USAGE);
    }
    system_log_init(&log, LOG_ERROR);
    enum err err = database_of(argv[1], from, sizeof from, &why);
    if (err == ERR_NONE)
        err = database_of(argv[2], to, sizeof to, &why);
    if (err == ERR_NONE && (err = store_migrate(from, to, &log, &count, &why)) == ERR_NONE)
        printf("%" PRId64 " rows: %" PRId64 " nodes, %" PRId64 " images, %" PRId64 " jobs, %" PRId64 " executions\n",
               count.rows, count.nodes, count.images, count.jobs, count.executions);
    if (err == ERR_NONE && argc == 5)
        err = move_images(from, argv + 3, &why);
    if (err != ERR_NONE)
        fprintf(stderr, "pluviod: %s\n", why_text(&why, err));
    return err_exit_status(err);
}
