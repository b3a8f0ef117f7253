#include "broker/broker.h"

#include "base/text.h"
#include "crypto/digest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RESTART_FIRST_MS 100
#define RESTART_MOST_MS  5000
#define QUEUED_MAX       1000000 /* messages that wait for a server, of some 900 bytes each in mosquitto's memory */
#define QUEUED_BYTES_MAX (512 * 1024 * 1024)
#define SETTLED_S        10 /* a child that ran this long resets the delay */

/* --- files ------------------------------------------------------------------------------------ */

static enum err give(const struct broker *b, const char *path, struct why *why)
{
    if (geteuid() != 0 || chown(path, b->uid, b->gid) == 0)
        return ERR_NONE;
    return why_set(why, ERR_IO, "give %s to mosquitto: %s", path, strerror(errno));
}

static enum err write_text(const struct broker *b, const char *path, const char *text, struct why *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        is_good &= close(fd) == 0;
    return is_good ? give(b, path, why) : why_set(why, ERR_IO, "write %s: %s", path, strerror(errno));
}

/* mosquitto runs as its own user, which cannot read our folders: it gets copies. */
static enum err copy(const struct broker *b, const char *from, const char *to, struct why *why)
{
    char chunk[16384];
    unlink(to); /* a plugin that is loaded somewhere keeps its old file */
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t n = in < 0 || out < 0 ? -1 : 1;
    while (n > 0 && (n = read(in, chunk, sizeof chunk)) > 0)
        if (write(out, chunk, (size_t)n) != n)
            n = -1;
    if (in >= 0)
        close(in);
    if (out >= 0 && close(out) != 0)
        n = -1;
    return n == 0 ? give(b, to, why) : why_set(why, ERR_IO, "copy %s to %s: %s", from, to, strerror(errno));
}

/* Takes away those that are not in the source any more. */
static void drop_authorities(const struct broker *b, const char *folder, bool *is_fewer)
{
    char path[KEYS_PATH_SIZE];
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", b->authorities, e->d_name);
        if (e->d_name[0] == '.' || access(path, F_OK) == 0)
            continue;
        *is_fewer = true;
        unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir != NULL)
        closedir(dir);
}

static enum err copy_authorities(const struct broker *b, bool *is_fewer, struct why *why)
{
    char folder[KEYS_PATH_SIZE], from[KEYS_PATH_SIZE + 260], to[KEYS_PATH_SIZE + 260];
    snprintf(folder, sizeof folder, "%s/authorities", b->folder);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return why_set(why, ERR_IO, "make the folder %s: %s", folder, strerror(errno));
    enum err err = give(b, folder, why);
    drop_authorities(b, folder, is_fewer);
    DIR *dir = opendir(b->authorities);
    for (struct dirent *e; err == ERR_NONE && dir != NULL && (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(from, sizeof from, "%s/%s", b->authorities, e->d_name);
        snprintf(to, sizeof to, "%s/%s", folder, e->d_name);
        err = copy(b, from, to, why);
    }
    if (dir != NULL)
        closedir(dir);
    return err;
}

/* Whether that user may pass through every folder on the way. */
static bool can_reach(const struct broker *b, const char *path)
{
    char folder[512];
    struct stat st;
    text_copy(folder, sizeof folder, path);
    for (char *slash = strrchr(folder, '/'); slash != NULL && slash != folder; slash = strrchr(folder, '/')) {
        *slash = '\0';
        if (stat(folder, &st) != 0 || !(st.st_mode & S_IXOTH || (st.st_uid == b->uid && st.st_mode & S_IXUSR)))
            return false;
    }
    return true;
}

static void choose_folder(struct broker *b, const char *wanted)
{
    uint8_t digest[SHA256_LEN];
    text_copy(b->folder, sizeof b->folder, wanted);
    if (geteuid() != 0 || b->uid == 0 || can_reach(b, wanted))
        return;
    b->is_in_run = true;
    sha256_of(digest, bytes_of_text(wanted));
    snprintf(b->folder, sizeof b->folder, "/run/pluvio-%02x%02x%02x%02x", digest[0], digest[1], digest[2], digest[3]);
}

static const char acl[] =
    /* Each node its own topics; nothing else, so neither notices nor other nodes' topics. */
    "pattern readwrite node/%u/#\n"
    "pattern write $aws/rules/+/node/%u/#\n"
    "pattern write $aws/things/%u/streams/+/get/+\n"
    "pattern read $aws/things/%u/streams/+/data/+\n"
    "pattern read $aws/things/%u/streams/+/rejected/+\n";

/* The listener that servers use. */
struct door {
    const char *user, *password_file; /* NULL: a Unix socket, for one server on this machine */
    int port;
};

static enum err write_config(struct broker *b, const struct broker_config *c, const struct door *door, struct why *why)
{
    char text[4096], path[KEYS_PATH_SIZE], server[200] = "";
    struct text t;
    enum err err;
    text_init(&t, text, sizeof text);
    text_add(&t, "per_listener_settings true\nlog_dest stderr\nlog_type error\nlog_type warning\nlog_timestamp false\n"
                 "persistence false\nmax_inflight_messages 200\nset_tcp_nodelay true\n");
    /* The servers may fall behind a fleet that comes back at once; nodes' queues stay short. */
    text_add(&t, "max_queued_messages %d\nmax_queued_bytes %d\n", QUEUED_MAX, QUEUED_BYTES_MAX);
    if (door->user == NULL)
        text_add(&t, "\nlistener 0 %s\nallow_anonymous true\nplugin %s\n", b->socket_path, b->plugin);
    else {
        snprintf(server, sizeof server, "plugin_opt_server %s\n", door->user);
        text_add(&t,
                 "\nlistener %d%s%s\nallow_anonymous false\npassword_file %s\ncertfile %s/server.crt\n"
                 "keyfile %s/server.key\ntls_version tlsv1.2\nplugin %s\n%smax_connections -1\n",
                 door->port, *c->address ? " " : "", c->address, door->password_file, b->folder, b->folder, b->plugin,
                 server);
    }
    text_add(&t, "\nlistener %d%s%s\n", c->port, *c->address ? " " : "", c->address);
    text_add(&t, "cafile %s/ca.crt\ncapath %s/authorities\ncertfile %s/server.crt\nkeyfile %s/server.key\n", b->folder,
             b->folder, b->folder, b->folder);
    text_add(&t, "require_certificate true\nuse_identity_as_username true\nuse_username_as_clientid "
                 "true\nallow_anonymous false\n");
    text_add(&t, "tls_version tlsv1.2\nacl_file %s/acl\nplugin %s\n%s", b->folder, b->plugin, server);
    if (door->user == NULL)
        text_add(&t, "plugin_opt_denied %s/denied\n", b->folder);
    text_add(&t, "max_connections -1\n");
    if (t.is_cut)
        return why_set(why, ERR_CONFIG, "paths are too long for mosquitto's configuration");
    snprintf(path, sizeof path, "%s/acl", b->folder);
    if ((err = write_text(b, path, acl, why)) != ERR_NONE)
        return err;
    static const char *const names[] = {"ca.crt", "server.crt", "server.key", "plugin.so", "denied"};
    const char *const sources[] = {c->keys->ca_cert, c->keys->server_cert, c->keys->server_key, c->plugin, c->denied};
    for (int i = 0; i < (door->user ? 4 : 5); i++) {
        snprintf(path, sizeof path, "%s/%s", b->folder, names[i]);
        if ((err = copy(b, sources[i], path, why)) != ERR_NONE)
            return err;
    }
    bool is_fewer;
    err = copy_authorities(b, &is_fewer, why);
    return err ? err : write_text(b, b->config_path, text, why);
}

/* --- the child -------------------------------------------------------------------------------- */

/* In the child, between fork and exec.  The user changes before PR_SET_PDEATHSIG, which a change of user would clear;
 * if the parent died in between, getppid tells. */
static void become_mosquitto(const struct broker *b, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0); /* Ctrl-C on the terminal is for the server, which stops its child itself */
    if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(b->gid) != 0 || setuid(b->uid) != 0))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(0);
    execl(b->program, "mosquitto", "-c", b->config_path, (char *)NULL);
    _exit(127);
}

static pid_t spawn(struct broker *b)
{
    pid_t parent = getpid(), child = fork();
    if (child == 0)
        become_mosquitto(b, parent);
    return child;
}

static void sleep_unless_stopping(struct broker *b, long ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!b->is_stopping && pthread_cond_timedwait(&b->wake, &b->lock, &until) != ETIMEDOUT)
        ;
}

/* Starts the child again until told to stop.  It is forked in this thread, whose end would be the child's death signal,
 * so the thread lives as long as the child. */
static void *supervise(void *arg)
{
    struct broker *b = arg;
    long delay_ms = RESTART_FIRST_MS;
    pthread_mutex_lock(&b->lock);
    while (!b->is_stopping) {
        time_t started = time(NULL);
        int status = 0;
        b->child = spawn(b);
        pid_t child = b->child;
        pthread_mutex_unlock(&b->lock);
        if (child > 0)
            while (waitpid(child, &status, 0) < 0 && errno == EINTR)
                ;
        pthread_mutex_lock(&b->lock);
        b->child = 0;
        if (b->is_stopping)
            break;
        log_line(b->log, LOG_WARN, "broker", "mosquitto ended with status 0x%x; it is started again in %ld ms", status,
                 delay_ms);
        delay_ms = time(NULL) - started >= SETTLED_S ? RESTART_FIRST_MS : delay_ms;
        sleep_unless_stopping(b, delay_ms);
        delay_ms = delay_ms * 2 > RESTART_MOST_MS ? RESTART_MOST_MS : delay_ms * 2;
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

static bool find_program(struct broker *b, const char *name)
{
    static const char *const folders[] = {"/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"};
    if (strchr(name, '/') != NULL)
        return text_copy(b->program, sizeof b->program, name) && access(name, X_OK) == 0;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        snprintf(b->program, sizeof b->program, "%s/%s", folders[i], name);
        if (access(b->program, X_OK) == 0)
            return true;
    }
    return false;
}

/* What the child and a broker elsewhere have in common: owner, names, folder. */
static enum err prepare(struct broker *b, const struct broker_config *c, struct why *why)
{
    if (access(c->plugin, R_OK) != 0)
        return why_set(why, ERR_CONFIG, "the broker plugin %s is missing", c->plugin);
    struct passwd *user = geteuid() == 0 ? getpwnam("mosquitto") : NULL;
    if (user != NULL) {
        b->uid = user->pw_uid;
        b->gid = user->pw_gid;
    }
    if (b->folder[0] == '\0')
        choose_folder(b, c->folder);
    b->authorities = c->authorities;
    b->denied = c->denied;
    snprintf(b->config_path, sizeof b->config_path, "%s/mosquitto.conf", b->folder);
    snprintf(b->plugin, sizeof b->plugin, "%s/plugin.so", b->folder);
    if (mkdir(b->folder, 0700) != 0 && errno != EEXIST)
        return why_set(why, ERR_IO, "make the folder %s: %s", b->folder, strerror(errno));
    return give(b, b->folder, why);
}

enum err broker_start(struct broker *b, const struct broker_config *c, struct log *log, struct why *why)
{
    *b = (struct broker){.log = log, .uid = geteuid(), .gid = getegid()};
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->wake, NULL);
    if (!find_program(b, c->program))
        return why_set(why, ERR_CONFIG, "%s is not installed (Debian: apt-get install mosquitto)", c->program);
    enum err err = prepare(b, c, why);
    if (err != ERR_NONE)
        return err;
    if ((size_t)snprintf(b->socket_path, sizeof b->socket_path, "%s/mqtt.sock", b->folder) >= sizeof b->socket_path)
        return why_set(why, ERR_CONFIG, "%s/mqtt.sock is too long for a socket: use a data folder with a shorter path",
                       b->folder);
    if ((err = write_config(b, c, &(struct door){.user = NULL}, why)) != ERR_NONE)
        return err;
    b->is_started = pthread_create(&b->thread, NULL, supervise, b) == 0;
    return b->is_started ? ERR_NONE : why_set(why, ERR_NO_MEMORY, "no thread for the broker");
}

/* mosquitto's own tool knows how it keeps passwords. */
static enum err write_password(const struct broker *b, const char *path, const char *user, const char *password,
                               struct why *why)
{
    int status = -1;
    unlink(path);
    pid_t child = fork();
    if (child == 0) {
        execlp("mosquitto_passwd", "mosquitto_passwd", "-c", "-b", path, user, password, (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        return why_set(why, ERR_CONFIG, "mosquitto_passwd, of mosquitto's package, did not write %s", path);
    return give(b, path, why);
}

/* Those of an earlier time, which servers know; else new ones. */
static void choose_name(const char *url_file, char user[48], char password[48], struct entropy *entropy)
{
    FILE *file = fopen(url_file, "re");
    bool is_known = file != NULL && fscanf(file, "mqtts://%47[^:@/]:%47[^:@/]@", user, password) == 2;
    if (file != NULL)
        fclose(file);
    if (is_known)
        return;
    snprintf(user, 48, "pluvio-%s", id_new(entropy).text);
    snprintf(password, 48, "%s", id_new(entropy).text);
}

enum err broker_write(const struct broker_config *c, int server_port, const char *host, char url[BROKER_URL_SIZE],
                      struct entropy *entropy, struct why *why)
{
    struct broker b = {.uid = geteuid(), .gid = getegid()};
    char path[KEYS_PATH_SIZE], url_file[KEYS_PATH_SIZE], user[48], password[48], real[PATH_MAX];
    if (mkdir(c->folder, 0700) != 0 && errno != EEXIST)
        return why_set(why, ERR_IO, "make the folder %s: %s", c->folder, strerror(errno));
    if (realpath(c->folder, real) == NULL || !text_copy(b.folder, sizeof b.folder, real))
        return why_set(why, ERR_IO, "%s: %s", c->folder, strerror(errno));
    enum err err = prepare(&b, c, why);
    snprintf(url_file, sizeof url_file, "%s/url", b.folder);
    choose_name(url_file, user, password, entropy);
    snprintf(path, sizeof path, "%s/password", b.folder);
    if (err == ERR_NONE)
        err = write_password(&b, path, user, password, why);
    if (err == ERR_NONE)
        err = write_config(&b, c, &(struct door){user, path, server_port}, why);
    snprintf(url, BROKER_URL_SIZE, "mqtts://%s:%s@%s:%d", user, password, host, server_port);
    return err ? err : write_text(&b, url_file, url, why);
}

/* A folder of ours in /run holds a copy of the server's key: it goes with the broker. */
static void remove_folder(const struct broker *b)
{
    static const char *const names[] = {"mosquitto.conf", "acl",        "ca.crt",    "denied",
                                        "server.crt",     "server.key", "plugin.so", "mqtt.sock"};
    char path[KEYS_PATH_SIZE];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", b->folder, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/authorities", b->folder);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        unlinkat(dirfd(dir), e->d_name, 0);
    if (dir != NULL)
        closedir(dir);
    rmdir(path);
    rmdir(b->folder);
}

enum err broker_reload(struct broker *b, struct why *why)
{
    char denied[KEYS_PATH_SIZE];
    bool is_fewer = false;
    snprintf(denied, sizeof denied, "%s/denied", b->folder);
    enum err err = copy(b, b->denied, denied, why);
    if (err == ERR_NONE)
        err = copy_authorities(b, &is_fewer, why);
    pthread_mutex_lock(&b->lock);
    if (err == ERR_NONE && b->child > 0)
        kill(b->child, is_fewer ? SIGTERM : SIGHUP);
    pthread_mutex_unlock(&b->lock);
    return err;
}

void broker_stop(struct broker *b)
{
    if (!b->is_started)
        return;
    pthread_mutex_lock(&b->lock);
    b->is_stopping = true;
    if (b->child > 0)
        kill(b->child, SIGTERM);
    pthread_cond_broadcast(&b->wake);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    b->is_started = false;
    if (b->is_in_run)
        remove_folder(b);
}
