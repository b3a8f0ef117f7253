#include "pluviod/gate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAME_NAME_MAX 10 /* authorities whose subjects have the same hash */

struct writer {
    struct name_visitor v;
    FILE *to;
    const char *folder;
};

/* Under the first digit that is free: OpenSSL tries one after the other. */
static bool write_alone(const char *folder, const char *pem)
{
    struct keys_authority authority;
    char path[640];
    int fd = -1;
    if (keys_authority_read(bytes_of_text(pem), &authority, NULL) != ERR_NONE)
        return false;
    for (int i = 0; fd < 0 && i < SAME_NAME_MAX; i++) {
        snprintf(path, sizeof path, "%s/%s%d", folder, authority.file, i);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    }
    bool is_good = fd >= 0 && write(fd, pem, strlen(pem)) == (ssize_t)strlen(pem);
    return fd >= 0 && close(fd) == 0 && is_good;
}

static bool write_pem(struct name_visitor *v, const char *name, const char *pem)
{
    struct writer *w = (struct writer *)v;
    (void)name;
    return fprintf(w->to, "%s\n", pem) > 0 && write_alone(w->folder, pem);
}

static enum err clear_folder(const char *path, struct why *why)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return why_set(why, ERR_IO, "make the folder %s: %s", path, strerror(errno));
    DIR *dir = opendir(path);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(dir), e->d_name, 0);
    if (dir != NULL)
        closedir(dir);
    return ERR_NONE;
}

static bool write_id(struct name_visitor *v, const char *id, const char *text)
{
    struct writer *w = (struct writer *)v;
    (void)text;
    return fprintf(w->to, "%s\n", id) > 0;
}

/* A whole new file takes the old one's place. */
static enum err end_file(struct writer *w, const char *path, const char *fresh, enum err err, struct why *why)
{
    bool is_good = fflush(w->to) == 0 && !ferror(w->to);
    is_good &= fclose(w->to) == 0;
    if (err == ERR_NONE && (!is_good || rename(fresh, path) != 0))
        err = why_set(why, ERR_IO, "write %s: %s", path, strerror(errno));
    if (err != ERR_NONE)
        unlink(fresh);
    return err;
}

static enum err write_trusted(struct gate *g, struct why *why)
{
    char fresh[620];
    snprintf(fresh, sizeof fresh, "%s.new", g->trusted);
    enum err err = clear_folder(g->authorities, why);
    if (err != ERR_NONE)
        return err;
    struct writer w = {{write_pem}, fopen(fresh, "we"), g->authorities};
    if (w.to == NULL)
        return why_set(why, ERR_IO, "write %s: %s", fresh, strerror(errno));
    fputs(g->keys->ca_pem, w.to);
    return end_file(&w, g->trusted, fresh, fleet_authority_scan(g->fleet, &w.v, why), why);
}

static enum err write_denied(struct gate *g, struct why *why)
{
    char fresh[620];
    snprintf(fresh, sizeof fresh, "%s.new", g->denied);
    struct writer w = {{write_id}, fopen(fresh, "we"), NULL};
    if (w.to == NULL)
        return why_set(why, ERR_IO, "write %s: %s", fresh, strerror(errno));
    return end_file(&w, g->denied, fresh, fleet_denied_scan(g->fleet, &w.v, why), why);
}

static void changed(struct rest_gate *port)
{
    struct gate *g = (struct gate *)port;
    struct why why = {{0}};
    pthread_mutex_lock(&g->lock);
    enum err err = write_trusted(g, &why);
    if (err == ERR_NONE)
        err = write_denied(g, &why);
    if (err == ERR_NONE && g->broker != NULL)
        err = broker_reload(g->broker, &why);
    if (err == ERR_NONE)
        bus_denied_changed(g->bus);
    if (err == ERR_NONE && g->http != NULL)
        http_trust_changed(g->http);
    pthread_mutex_unlock(&g->lock);
    if (err != ERR_NONE)
        log_line(g->log, LOG_ERROR, "gate", "who is let in has changed, but %s; it counts from the next start on",
                 why_text(&why, err));
}

void gate_tell_broker(struct gate *g, struct broker *broker)
{
    pthread_mutex_lock(&g->lock);
    g->broker = broker;
    pthread_mutex_unlock(&g->lock);
}

void gate_tell_bus(struct gate *g, struct bus_thread *bus)
{
    pthread_mutex_lock(&g->lock);
    g->bus = bus;
    pthread_mutex_unlock(&g->lock);
}

void gate_tell_http(struct gate *g, struct http *http)
{
    pthread_mutex_lock(&g->lock);
    g->http = http;
    pthread_mutex_unlock(&g->lock);
}

enum err gate_init(struct gate *g, const char *folder, struct fleet *fleet, const struct keys *keys, struct log *log,
                   struct why *why)
{
    *g = (struct gate){.port = {changed}, .fleet = fleet, .log = log, .keys = keys};
    pthread_mutex_init(&g->lock, NULL);
    snprintf(g->trusted, sizeof g->trusted, "%s/trusted.pem", folder);
    snprintf(g->authorities, sizeof g->authorities, "%s/authorities", folder);
    snprintf(g->denied, sizeof g->denied, "%s/denied-nodes", folder);
    enum err err = write_trusted(g, why);
    return err ? err : write_denied(g, why);
}
