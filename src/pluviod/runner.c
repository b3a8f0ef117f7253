#include "pluviod/runner.h"

#include "base/text.h"
#include "codec/json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define AGAIN_MS 2000

/* --- folders ---------------------------------------------------------------------------------- */

static const char *const files[] = {"simulator.json", "behaviour.json", "node.crt", "node.key", "ca.crt"};

static enum err write_text(const char *folder, const char *name, const char *text, struct why *why)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t len = strlen(text);
    bool is_good = fd >= 0 && write(fd, text, len) == (ssize_t)len;
    if (fd >= 0)
        is_good &= close(fd) == 0;
    return is_good ? ERR_NONE : why_set(why, ERR_IO, "write %s: %s", path, strerror(errno));
}

static enum err write_json(const char *folder, const char *name, const struct buf *text, struct why *why)
{
    return text->is_failed ? why_set(why, ERR_NO_MEMORY, "no memory") : write_text(folder, name, text->at, why);
}

static enum err write_folder(const struct runner *r, const char *folder, const struct rest_simulation *s,
                             struct why *why)
{
    struct json_out out;
    struct buf what = {0}, how = {0};
    json_out_init(&out, &what);
    json_out_object(&out, NULL);
    json_out_text(&out, "simulator", s->name);
    json_out_int(&out, "node_count", s->node_count);
    json_out_text(&out, "mqtt_host", r->mqtt_host);
    json_out_end_object(&out);
    json_out_init(&out, &how);
    json_out_object(&out, NULL);
    json_out_int(&out, "bad_percent", s->bad);
    json_out_int(&out, "flaky_percent", s->flaky);
    json_out_text(&out, "fw_version", s->fw_version);
    json_out_text(&out, "project_name", s->project_name);
    json_out_text(&out, "platform", s->platform);
    json_out_text(&out, "model", s->model);
    json_out_end_object(&out);
    enum err err = ERR_NONE;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        err = why_set(why, ERR_IO, "make the folder %s: %s", folder, strerror(errno));
    const char *const texts[] = {NULL, NULL, s->cert, s->key, r->ca_pem};
    if (err == ERR_NONE)
        err = write_json(folder, files[0], &what, why);
    for (int i = 2; err == ERR_NONE && i < 5; i++)
        err = write_text(folder, files[i], texts[i], why);
    /* Last: a folder without it is not run. */
    if (err == ERR_NONE)
        err = write_json(folder, files[1], &how, why);
    buf_deinit(&what);
    buf_deinit(&how);
    return err;
}

static void remove_folder(const char *folder)
{
    char path[700];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
}

/* --- children --------------------------------------------------------------------------------- */

/* Options of the gateway. */
struct behaviour {
    char at[6][80];
};

static bool read_behaviour(const char *folder, struct behaviour *to)
{
    static const struct {
        const char *option, *key;
    } rows[] = {{"bad", "bad_percent"},      {"flaky", "flaky_percent"}, {"version", "fw_version"},
                {"project", "project_name"}, {"platform", "platform"},   {"model", "model"}};
    char path[700], text[800];
    struct json *doc;
    snprintf(path, sizeof path, "%s/behaviour.json", folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : -1;
    if (fd >= 0)
        close(fd);
    if (n <= 0 || json_parse(bytes_of(text, (size_t)n), &doc, NULL) != ERR_NONE)
        return false;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t number = 0;
        const char *word = json_text(json_get(doc, rows[i].key));
        if (word != NULL)
            snprintf(to->at[i], sizeof to->at[i], "--%s=%.65s", rows[i].option, word);
        else if (json_int(json_get(doc, rows[i].key), &number))
            snprintf(to->at[i], sizeof to->at[i], "--%s=%" PRId64, rows[i].option, number);
        else
            snprintf(to->at[i], sizeof to->at[i], "--quiet");
    }
    json_free(doc);
    return true;
}

/* In the child, between fork and exec. */
static void become_gateway(const struct runner *r, const char *folder, const struct behaviour *b, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0); /* Ctrl-C on the terminal is for the server, which stops its children itself */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(0);
    execl(r->program, "pluvio-fleet", "gateway", folder, "--quiet", b->at[0], b->at[1], b->at[2], b->at[3], b->at[4],
          b->at[5], (char *)NULL);
    _exit(127);
}

static void sleep_unless_stopping(struct runner_child *c, long ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    while (!c->is_stopping && pthread_cond_timedwait(&c->of->wake, &c->of->lock, &until) != ETIMEDOUT)
        ;
}

/* The thread that forks lives as long as the child: its end would be the child's death signal. */
static void *supervise(void *arg)
{
    struct runner_child *c = arg;
    struct runner *r = c->of;
    char folder[600];
    struct behaviour behaviour;
    snprintf(folder, sizeof folder, "%s/%s", r->folder, c->name);
    bool is_known = read_behaviour(folder, &behaviour);
    pthread_mutex_lock(&r->lock);
    while (is_known && !c->is_stopping) {
        int status = 0;
        pid_t parent = getpid(), pid = fork();
        if (pid == 0)
            become_gateway(r, folder, &behaviour, parent);
        c->pid = pid > 0 ? pid : 0;
        pthread_mutex_unlock(&r->lock);
        if (pid > 0)
            while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        pthread_mutex_lock(&r->lock);
        c->pid = 0;
        if (c->is_stopping)
            break;
        log_line(r->log, LOG_WARN, "runner", "simulator %s ended with status 0x%x; it is started again in %d ms",
                 c->name, status, AGAIN_MS);
        sleep_unless_stopping(c, AGAIN_MS);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static enum err run(struct runner *r, const char *name, struct why *why)
{
    enum err err = ERR_NONE;
    pthread_mutex_lock(&r->lock);
    struct runner_child *c = r->children;
    while (c < r->children + RUNNER_MAX && c->is_used)
        c++;
    if (c == r->children + RUNNER_MAX)
        err = why_set(why, ERR_BUSY, "%d simulators run here already: remove one first", RUNNER_MAX);
    else {
        *c = (struct runner_child){.of = r, .is_used = true};
        text_copy(c->name, sizeof c->name, name);
        if (pthread_create(&c->thread, NULL, supervise, c) != 0) {
            c->is_used = false;
            err = why_set(why, ERR_NO_MEMORY, "no thread for the simulator");
        }
    }
    pthread_mutex_unlock(&r->lock);
    if (err == ERR_NONE)
        log_line(r->log, LOG_INFO, "runner", "simulator %s runs", name);
    return err;
}

/* Called with the lock, which is given away while the child ends. */
static void end(struct runner *r, struct runner_child *c)
{
    c->is_stopping = true;
    if (c->pid > 0)
        kill(c->pid, SIGTERM);
    pthread_cond_broadcast(&r->wake);
    pthread_mutex_unlock(&r->lock);
    pthread_join(c->thread, NULL);
    pthread_mutex_lock(&r->lock);
    c->is_used = false;
}

/* --- the port --------------------------------------------------------------------------------- */

static enum err start(struct rest_runner *port, const struct rest_simulation *s, struct why *why)
{
    struct runner *r = (struct runner *)port;
    char folder[600];
    snprintf(folder, sizeof folder, "%s/%s", r->folder, s->name);
    enum err err = write_folder(r, folder, s, why);
    return err ? err : run(r, s->name, why);
}

static struct runner_child *find(struct runner *r, const char *name)
{
    for (struct runner_child *c = r->children; c < r->children + RUNNER_MAX; c++)
        if (c->is_used && !c->is_stopping && strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

static void stop(struct rest_runner *port, const char *name)
{
    struct runner *r = (struct runner *)port;
    char folder[600];
    pthread_mutex_lock(&r->lock);
    struct runner_child *c = find(r, name);
    if (c != NULL)
        end(r, c);
    pthread_mutex_unlock(&r->lock);
    snprintf(folder, sizeof folder, "%s/%s", r->folder, name);
    remove_folder(folder);
}

static bool is_running(struct rest_runner *port, const char *name)
{
    struct runner *r = (struct runner *)port;
    pthread_mutex_lock(&r->lock);
    const struct runner_child *c = find(r, name);
    bool is = c != NULL && c->pid > 0;
    pthread_mutex_unlock(&r->lock);
    return is;
}

static bool has_room(struct rest_runner *port)
{
    struct runner *r = (struct runner *)port;
    bool has = false;
    pthread_mutex_lock(&r->lock);
    for (const struct runner_child *c = r->children; c < r->children + RUNNER_MAX; c++)
        has |= !c->is_used;
    pthread_mutex_unlock(&r->lock);
    return has;
}

/* --- life ------------------------------------------------------------------------------------- */

bool runner_init(struct runner *r, const char *folder, const char *program, const char *mqtt_host, const char *ca_pem,
                 struct log *log)
{
    *r = (struct runner){
        .port = {start, stop, is_running, has_room}, .mqtt_host = mqtt_host, .ca_pem = ca_pem, .log = log};
    text_copy(r->folder, sizeof r->folder, folder);
    text_copy(r->program, sizeof r->program, program);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    return access(r->program, X_OK) == 0;
}

enum err runner_start(struct runner *r, struct why *why)
{
    if (mkdir(r->folder, 0700) != 0 && errno != EEXIST)
        return why_set(why, ERR_IO, "make the folder %s: %s", r->folder, strerror(errno));
    DIR *dir = opendir(r->folder);
    enum err err = dir ? ERR_NONE : why_set(why, ERR_IO, "open the folder %s: %s", r->folder, strerror(errno));
    for (struct dirent *e; dir != NULL && err == ERR_NONE && (e = readdir(dir)) != NULL;)
        if (strncmp(e->d_name, SIMULATOR_PREFIX, strlen(SIMULATOR_PREFIX)) == 0 && strlen(e->d_name) < 32)
            err = run(r, e->d_name, why);
    if (dir != NULL)
        closedir(dir);
    return err;
}

void runner_stop(struct runner *r)
{
    pthread_mutex_lock(&r->lock);
    for (struct runner_child *c = r->children; c < r->children + RUNNER_MAX; c++)
        if (c->is_used)
            end(r, c);
    pthread_mutex_unlock(&r->lock);
}
