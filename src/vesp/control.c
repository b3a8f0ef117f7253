/*
 * One vesp asks another: every `vesp run` listens on a socket in a folder of the user's, and reset, cut and ps send a
 * line to each of them.  The commands are "ps", "reset PATH" and "cut N PATH"; who does not run that node says nothing.
 */
#include "vesp/vesp.h"

#include <argp.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 4352

/* The folder of sockets: private to the user, because who may write there may reset nodes. */
static enum err control_folder(char *to, size_t size, struct why *why)
{
    struct stat st;
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (runtime != NULL && runtime[0] == '/')
        snprintf(to, size, "%s/vesp", runtime);
    else
        snprintf(to, size, "/tmp/vesp-%u", (unsigned)getuid());
    if (mkdir(to, 0700) != 0 && errno != EEXIST)
        return why_set(why, ERR_IO, "make %s: %s", to, strerror(errno));
    if (lstat(to, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != getuid() || (st.st_mode & 077) != 0)
        return why_set(why, ERR_FORBIDDEN, "%s is not a folder of this user's alone", to);
    return ERR_NONE;
}

static bool make_address(struct sockaddr_un *a, const char *folder, const char *name)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    return snprintf(a->sun_path, sizeof a->sun_path, "%s/%s", folder, name) < (int)sizeof a->sun_path;
}

/* --- the listening side ----------------------------------------------------------------------- */

int control_listen(struct why *why)
{
    char folder[512], name[32];
    struct sockaddr_un a;
    if (control_folder(folder, sizeof folder, why) != ERR_NONE)
        return -1;
    snprintf(name, sizeof name, "%ld.sock", (long)getpid());
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    control_unlink(); /* of a vesp with that number that was killed */
    if (!make_address(&a, folder, name) || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 16) != 0) {
        why_set(why, ERR_IO, "listen on %s/%s: %s", folder, name, strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

void control_unlink(void)
{
    char folder[512], path[600];
    if (control_folder(folder, sizeof folder, NULL) != ERR_NONE)
        return;
    snprintf(path, sizeof path, "%s/%ld.sock", folder, (long)getpid());
    unlink(path);
}

static void parse_words(const char *line, struct control_words *w)
{
    *w = (struct control_words){.number = 0};
    if (sscanf(line, "cut %ld %4095[^\n]", &w->number, w->path) == 2)
        snprintf(w->name, sizeof w->name, "cut");
    else if (sscanf(line, "%15s %4095[^\n]", w->name, w->path) < 1)
        w->name[0] = '\0';
}

void control_serve(int listener, void (*answer)(void *context, const struct control_words *words, struct buf *to),
                   void *context)
{
    char line[LINE_BYTES];
    struct control_words words;
    struct buf reply = {0};
    struct timeval limit = {1, 0}; /* whoever connects and says nothing must not hold the nodes up */
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    ssize_t n = recv(fd, line, sizeof line - 1, 0);
    if (n > 0) {
        line[n] = '\0';
        parse_words(line, &words);
        answer(context, &words, &reply);
        if (reply.len > 0 && !reply.is_failed)
            send(fd, reply.at, reply.len, MSG_NOSIGNAL);
    }
    buf_deinit(&reply);
    close(fd);
}

/* --- the asking side -------------------------------------------------------------------------- */

static void ask_one(const char *folder, const char *name, const char *line, struct buf *replies)
{
    struct sockaddr_un a;
    char chunk[4096];
    ssize_t n;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || !make_address(&a, folder, name))
        return;
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
        unlink(a.sun_path); /* its vesp was killed */
    else if (send(fd, line, strlen(line), MSG_NOSIGNAL) > 0)
        while ((n = recv(fd, chunk, sizeof chunk, 0)) > 0)
            buf_add(replies, chunk, (size_t)n);
    close(fd);
}

static enum err ask_all(const char *line, struct buf *replies, struct why *why)
{
    char folder[512];
    enum err err = control_folder(folder, sizeof folder, why);
    DIR *dir = err == ERR_NONE ? opendir(folder) : NULL;
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        if (strstr(e->d_name, ".sock") != NULL)
            ask_one(folder, e->d_name, line, replies);
    if (dir != NULL)
        closedir(dir);
    return err;
}

struct ask_options {
    const char *path, *count;
    bool follows, takes_count;
};

static error_t take_option(int key, char *arg, struct argp_state *state)
{
    struct ask_options *o = state->input;
    switch (key) {
    case 'f':
        o->follows = true;
        return 0;
    case ARGP_KEY_ARG:
        if (o->path != NULL && (o->count != NULL || !o->takes_count))
            argp_usage(state);
        *(o->path == NULL ? &o->path : &o->count) = arg;
        return 0;
    case ARGP_KEY_END:
        if (o->path == NULL)
            argp_error(state, "name the node's flash file");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* The node's own vesp answers with a sentence. */
static enum err ask_node(const char *command, const char *path, struct why *why)
{
    char whole[PATH_MAX], line[LINE_BYTES];
    struct buf replies = {0};
    if (realpath(path, whole) == NULL)
        return why_set(why, ERR_IO, "%s: %s", path, strerror(errno));
    snprintf(line, sizeof line, "%s %s\n", command, whole);
    enum err err = ask_all(line, &replies, why);
    if (err == ERR_NONE && replies.len == 0)
        err = why_set(why, ERR_NOT_FOUND, "no vesp of this user runs %s; `vesp ps` lists what runs", path);
    if (err == ERR_NONE)
        printf("%.*s", (int)replies.len, replies.at);
    buf_deinit(&replies);
    return err;
}

enum err command_reset(int argc, char **argv, struct why *why)
{
    static const struct argp argp = {NULL, take_option, "FLASH", "Reset a running node, as its button does.",
                                     NULL, NULL,        NULL};
    struct ask_options o = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    return ask_node("reset", o.path, why);
}

enum err command_cut(int argc, char **argv, struct why *why)
{
    static const struct argp argp = {NULL,
                                     take_option,
                                     "FLASH [N]",
                                     "Cut a running node's power now, or in the middle of the N-th page program or "
                                     "sector erase from now on.  It comes "
                                     "back at once.",
                                     NULL,
                                     NULL,
                                     NULL};
    struct ask_options o = {.takes_count = true};
    char *end = NULL, command[32];
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    long count = o.count ? strtol(o.count, &end, 10) : 0;
    if (o.count != NULL && (*end != '\0' || count < 1))
        return why_set(why, ERR_USAGE, "%s is no number of flash operations", o.count);
    snprintf(command, sizeof command, "cut %ld", count);
    return ask_node(command, o.path, why);
}

enum err command_ps(int argc, char **argv, struct why *why)
{
    static const struct argp argp = {NULL, NULL, "",  "List the nodes that run, by all vesps of this user.",
                                     NULL, NULL, NULL};
    struct buf replies = {0};
    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    enum err err = ask_all("ps\n", &replies, why);
    if (err == ERR_NONE) {
        printf("%7s %-9s %-10s %-24s %7s %9s %9s  %s\n", "pid", "state", "slot", "application", "resets", "programs",
               "erases", "flash");
        printf("%.*s", (int)replies.len, replies.len ? replies.at : "");
    }
    buf_deinit(&replies);
    return err;
}

/* --- log -------------------------------------------------------------------------------------- */

static enum err print_from(FILE *f)
{
    char chunk[65536];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        fwrite(chunk, 1, n, stdout);
    clearerr(f);
    fflush(stdout);
    return ERR_NONE;
}

enum err command_log(int argc, char **argv, struct why *why)
{
    static const struct argp_option options[] = {{"follow", 'f', NULL, 0, "Go on with what comes", 0}, {0}};
    static const struct argp argp = {options, take_option, "FLASH", "Print what a node printed.", NULL, NULL, NULL};
    struct ask_options o = {0};
    char path[4096];
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    node_path(o.path, ".log", path, sizeof path);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return why_set(why, ERR_NOT_FOUND, "%s has printed nothing yet (%s: %s)", o.path, path, strerror(errno));
    print_from(f);
    while (o.follows) {
        struct timespec t = {0, 200000000};
        nanosleep(&t, NULL);
        print_from(f);
    }
    fclose(f);
    return ERR_NONE;
}
