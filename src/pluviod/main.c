/*
 * pluviod - the server.  Nothing but a table of parts with `up` and `down`, walked forward to start and backward to
 * stop.
 */
#include "base/text.h"
#include "blob/folder.h"
#include "broker/broker.h"
#include "fleet/fleet.h"
#include "keys/keys.h"
#include "pluviod/bus.h"
#include "pluviod/http.h"
#include "pluviod/settings.h"
#include "pluviod/fetch.h"
#include "pluviod/gate.h"
#include "pluviod/hooks.h"
#include "pluviod/mail.h"
#include "pluviod/oidc.h"
#include "pluviod/runner.h"
#include "pluviod/scratch.h"
#include "pluviod/system.h"
#include "store/sqlite/sqlite_store.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

extern const struct web_page web_pages[]; /* made from web/ by the build */

struct server {
    struct settings settings;
    struct log log;
    struct entropy entropy;
    struct keys keys;
    struct sqlite_store *store;
    struct blob_folder blob;
    struct fleet fleet;
    struct fleet_bell bell;
    pthread_mutex_t bell_lock;
    struct link_urls urls;
    struct broker broker;
    struct bus_thread *bus;
    struct mail_program mail;
    struct oidc oidc;
    struct fetcher fetcher;
    struct gate gate;
    struct rest_health health;
    struct rest_counts counts;
    struct rest_tallies tallies;
    struct runner runner;
    struct limiter users, strangers;
    struct known_tokens known;
    struct rest rest;
    struct scratch scratch;
    struct http *http;
    struct hooks *hooks;
    char *hosts[HOSTS_MAX];
    unsigned host_count;
    int lock_fd;
    char public_url[320], mqtt_host[280], password[40], uploads[512];
};

static void path_in(const struct server *s, const char *name, char *to, size_t size)
{
    snprintf(to, size, "%s/%s", s->settings.data, name);
}

/* --- small adapters --------------------------------------------------------------------------- */

static void ring(struct fleet_bell *bell)
{
    struct server *s = (struct server *)(void *)((char *)bell - offsetof(struct server, bell));
    pthread_mutex_lock(&s->bell_lock);
    bus_ring(s->bus);
    http_ring(s->http);
    hooks_ring(s->hooks);
    pthread_mutex_unlock(&s->bell_lock);
}

/* Who is rung, from any thread: parts come and go while others ring. */
static void connect_bell(struct server *s, struct bus_thread *bus, struct http *http)
{
    pthread_mutex_lock(&s->bell_lock);
    s->bus = bus;
    s->http = http;
    pthread_mutex_unlock(&s->bell_lock);
}

static void image_url(struct link_urls *urls, const struct image *image, time_ms now, char *to, size_t size)
{
    struct server *s = (struct server *)(void *)((char *)urls - offsetof(struct server, urls));
    rest_image_url(&s->rest, image, now, to, size);
}

/* --- parts ------------------------------------------------------------------------------------ */

/* One server for one folder: the lock goes with the process, however it ends. */
static enum err lock_data(struct server *s, struct why *why)
{
    char path[512];
    path_in(s, "lock", path, sizeof path);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return why_set(why, ERR_IO, "open %s: %s", path, strerror(errno));
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return ERR_NONE;
    close(s->lock_fd);
    return why_set(why, ERR_BUSY, "another pluviod works in %s", s->settings.data);
}

static enum err data_up(struct server *s, struct why *why)
{
    char path[512];
    text_copy(path, sizeof path, s->settings.data);
    for (char *slash = path + 1; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        *slash = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            return why_set(why, ERR_IO, "make the folder %s: %s", path, strerror(errno));
    }
    /* Others may pass through, as the broker's user must, but not look around; what is secret has its own folder. */
    if (mkdir(path, 0711) != 0 && errno != EEXIST)
        return why_set(why, ERR_IO, "make the folder %s: %s", path, strerror(errno));
    return lock_data(s, why);
}

static void data_down(struct server *s)
{
    close(s->lock_fd);
}

static enum err names_up(struct server *s, struct why *why)
{
    const struct settings *c = &s->settings;
    static const int MQTT_PORT = 8883;
    char *save = NULL, *names = strdup(c->host);
    for (char *name = names ? strtok_r(names, ", ", &save) : NULL; name; name = strtok_r(NULL, ", ", &save)) {
        if (s->host_count == HOSTS_MAX) {
            free(names);
            return why_set(why, ERR_CONFIG, "more than %d names in --host", HOSTS_MAX);
        }
        s->hosts[s->host_count++] = strdup(name);
    }
    free(names);
    if (s->host_count == 0)
        return why_set(why, ERR_CONFIG, "--host must name this server");
    snprintf(s->public_url, sizeof s->public_url, "https://%s:%d", s->hosts[0], c->https_port);
    const char *mqtt = c->mqtt_host[0] ? c->mqtt_host : s->hosts[0];
    snprintf(s->mqtt_host, sizeof s->mqtt_host, c->mqtt_port == MQTT_PORT ? "%s" : "%s:%d", mqtt, c->mqtt_port);
    return ERR_NONE;
}

static void names_down(struct server *s)
{
    for (unsigned i = 0; i < s->host_count; i++)
        free(s->hosts[i]);
}

static enum err keys_up(struct server *s, struct why *why)
{
    char path[512];
    const char *names[HOSTS_MAX + 1];
    unsigned count = 0;
    for (; count < s->host_count; count++)
        names[count] = s->hosts[count];
    if (s->settings.mqtt_host[0])
        names[count++] = s->settings.mqtt_host;
    path_in(s, "keys", path, sizeof path);
    return keys_open(&s->keys, path, names, count, &s->entropy, system_now(), why);
}

static void keys_down(struct server *s)
{
    keys_close(&s->keys);
}

static enum err store_up(struct server *s, struct why *why)
{
    char path[512];
    path_in(s, "pluvio.db", path, sizeof path);
    enum err err = sqlite_store_open(&s->store, path, &s->log, why);
    path_in(s, "images", path, sizeof path);
    return err ? err : blob_folder_open(&s->blob, path, why);
}

static void store_down(struct server *s)
{
    sqlite_store_close(s->store);
}

static enum err fleet_up(struct server *s, struct why *why)
{
    s->bell.ring = ring;
    pthread_mutex_init(&s->bell_lock, NULL);
    fleet_init(&s->fleet, sqlite_store_port(s->store), &s->entropy, &s->log, &s->bell);
    enum err err = settings_budgets(&s->settings, &s->fleet.policy, why);
    s->fleet.policy.needs_two = strcmp(s->settings.four_eyes, "yes") == 0;
    return err ? err : fleet_start(&s->fleet, system_now(), why);
}

static void fleet_down(struct server *s)
{
    fleet_deinit(&s->fleet);
}

static bool is_ready(struct rest_health *health, const char **missing)
{
    struct server *s = (struct server *)(void *)((char *)health - offsetof(struct server, health));
    pthread_mutex_lock(&s->bell_lock);
    bool is_connected = bus_is_connected(s->bus);
    pthread_mutex_unlock(&s->bell_lock);
    *missing = "the broker is not connected";
    return is_connected;
}

static bool is_count(const char *text)
{
    return *text != '\0' && strspn(text, "0123456789") == strlen(text);
}

static bool is_one_of(const char *text, const char *a, const char *b)
{
    return strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

/* A file that lies beside this program. */
static void beside(const char *name, char *to, size_t size)
{
    char self[320];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    snprintf(to, size, "%.*s/%s", slash ? (int)(slash - self) : 0, self, name);
}

static void runner_make(struct server *s)
{
    char folder[512], program[512];
    path_in(s, "simulators", folder, sizeof folder);
    beside("pluvio-fleet", program, sizeof program);
    if (runner_init(&s->runner, folder, program, s->mqtt_host, s->keys.ca_pem, &s->log))
        s->rest.runner = &s->runner.port;
}

static enum err rest_up(struct server *s, struct why *why)
{
    s->urls.image_url = image_url;
    scratch_init(&s->scratch);
    s->rest = (struct rest){.fleet = &s->fleet,
                            .blob = &s->blob.port,
                            .keys = &s->keys,
                            .entropy = &s->entropy,
                            .log = &s->log,
                            .public_url = s->public_url,
                            .mqtt_host = s->mqtt_host,
                            .version = PLUVIO_VERSION,
                            .pages = web_pages,
                            .scratch = &s->scratch.port,
                            .may_sign_up = strcmp(s->settings.sign_up, "open") == 0,
                            .may_self_claim = strcmp(s->settings.self_claim, "yes") == 0};
    fetch_init(&s->fetcher, strcmp(s->settings.webhook_loopback, "yes") == 0);
    s->rest.fetch = &s->fetcher.port;
    if (s->settings.oidc_issuer[0]) {
        enum err err;
        if ((err = oidc_init(&s->oidc, &s->settings, why)) != ERR_NONE)
            return err;
        s->rest.provider = &s->oidc.port;
    }
    if (s->settings.mail_program[0]) {
        mail_init(&s->mail, s->settings.mail_program, &s->log);
        s->rest.mail = &s->mail.port;
    }
    if (!is_one_of(s->settings.sign_up, "open", "closed") || !is_one_of(s->settings.self_claim, "yes", "no") ||
        !is_one_of(s->settings.webhook_loopback, "yes", "no") || !is_one_of(s->settings.four_eyes, "yes", "no"))
        return why_set(why, ERR_CONFIG,
                       "--sign-up must be open or closed; --self-claim, --webhook-loopback and --four-eyes yes or no");
    if (!is_count(s->settings.max_requests) || !is_count(s->settings.max_logins))
        return why_set(why, ERR_CONFIG, "--max-requests and --max-logins must be numbers, 0 for no limit");
    s->health.is_ready = is_ready;
    limiter_init(&s->users, strtod(s->settings.max_requests, NULL), strtod(s->settings.max_requests, NULL) * 3);
    limiter_init(&s->strangers, strtod(s->settings.max_logins, NULL), strtod(s->settings.max_logins, NULL) * 10);
    known_init(&s->known);
    s->rest.known = &s->known;
    s->rest.users = &s->users;
    s->rest.strangers = &s->strangers;
    s->rest.health = &s->health;
    s->rest.counts = &s->counts;
    rest_tallies_init(&s->tallies);
    s->rest.tallies = &s->tallies;
    runner_make(s);
    s->rest.gate = &s->gate.port;
    return gate_init(&s->gate, s->settings.data, &s->fleet, &s->keys, &s->log, why);
}

/* RainMaker's password rule: upper case, lower case, a digit, no blanks. */
static void make_password(struct server *s)
{
    struct id id = id_new(&s->entropy);
    snprintf(s->password, sizeof s->password, "Pv7-%.18s", id.text);
}

static enum err save_password(struct server *s, struct why *why)
{
    char path[512], text[400];
    path_in(s, "admin-password", path, sizeof path);
    int n = snprintf(text, sizeof text, "%s\n%s\n", s->settings.admin_user, s->password);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_good = fd >= 0 && write(fd, text, (size_t)n) == n && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return is_good ? ERR_NONE : why_set(why, ERR_IO, "write %s: %s", path, strerror(errno));
}

/* The file is written before the account exists: a crash in between leaves a password that opens nothing, never an
 * account whose password nobody knows. */
static enum err admin_up(struct server *s, struct why *why)
{
    int64_t users = 0;
    bool is_made = false;
    enum err err = fleet_user_count(&s->fleet, &users, why);
    if (err != ERR_NONE || users > 0)
        return err;
    make_password(s);
    if ((err = save_password(s, why)) != ERR_NONE)
        return err;
    err = rest_first_user(&s->rest, s->settings.admin_user, s->password, system_now(), &is_made, why);
    if (is_made)
        log_line(&s->log, LOG_INFO, "main", "first start: %s was made; its password is in %s/admin-password",
                 s->settings.admin_user, s->settings.data);
    return err;
}

static enum err http_up(struct server *s, struct why *why)
{
    path_in(s, "uploads", s->uploads, sizeof s->uploads);
    struct http_config config = {
        .rest = &s->rest,
        .log = &s->log,
        .upload_folder = s->uploads,
        .address = s->settings.address,
        .http_address = s->settings.http_address,
        .https_port = s->settings.https_port,
        .http_port = s->settings.http_port,
        .node_port = s->settings.node_port,
        .cert_path = s->keys.server_cert,
        .key_path = s->keys.server_key,
        .ca_path = s->gate.trusted,
    };
    struct http *http = NULL;
    enum err err = http_start(&http, &config, why);
    connect_bell(s, s->bus, http);
    gate_tell_http(&s->gate, http);
    return err;
}

static void http_down(struct server *s)
{
    struct http *http = s->http;
    connect_bell(s, s->bus, NULL);
    gate_tell_http(&s->gate, NULL);
    http_stop(http);
}

static void default_plugin(struct server *s)
{
    if (s->settings.plugin[0])
        return;
    beside("pluvio-mosquitto.so", s->settings.plugin, sizeof s->settings.plugin);
    if (access(s->settings.plugin, R_OK) != 0)
        beside("../lib/pluvio/pluvio-mosquitto.so", s->settings.plugin, sizeof s->settings.plugin);
}

static enum err broker_up(struct server *s, struct why *why)
{
    char folder[512];
    path_in(s, "broker", folder, sizeof folder);
    default_plugin(s);
    struct broker_config config = {.folder = folder,
                                   .address = s->settings.address,
                                   .port = s->settings.mqtt_port,
                                   .program = s->settings.mosquitto,
                                   .plugin = s->settings.plugin,
                                   .keys = &s->keys,
                                   .authorities = s->gate.authorities,
                                   .denied = s->gate.denied};
    enum err err = broker_start(&s->broker, &config, &s->log, why);
    gate_tell_broker(&s->gate, err == ERR_NONE ? &s->broker : NULL);
    return err;
}

static void broker_down(struct server *s)
{
    gate_tell_broker(&s->gate, NULL);
    broker_stop(&s->broker);
}

static enum err bus_up(struct server *s, struct why *why)
{
    struct bus_config config = {&s->fleet,         &s->urls,  &s->blob.port, &s->log, s->broker.socket_path,
                                s->settings.fault, &s->counts};
    struct bus_thread *bus = NULL;
    enum err err = bus_start(&bus, &config, why);
    connect_bell(s, bus, s->http);
    bus_ring(bus); /* what was written before it could be rung */
    return err;
}

static void bus_down(struct server *s)
{
    struct bus_thread *bus = s->bus;
    connect_bell(s, NULL, s->http);
    bus_stop(bus);
}

static enum err hooks_up(struct server *s, struct why *why)
{
    struct hooks *hooks = NULL;
    enum err err =
        hooks_start(&hooks, &s->fleet, &s->keys, strcmp(s->settings.webhook_loopback, "yes") == 0, &s->log, why);
    pthread_mutex_lock(&s->bell_lock);
    s->hooks = hooks;
    pthread_mutex_unlock(&s->bell_lock);
    return err;
}

static void hooks_down(struct server *s)
{
    pthread_mutex_lock(&s->bell_lock);
    struct hooks *hooks = s->hooks;
    s->hooks = NULL;
    pthread_mutex_unlock(&s->bell_lock);
    hooks_stop(hooks);
}

static enum err runner_up(struct server *s, struct why *why)
{
    return s->rest.runner ? runner_start(&s->runner, why) : ERR_NONE;
}

static void runner_down(struct server *s)
{
    runner_stop(&s->runner);
}

static const struct part {
    const char *name;
    enum err (*up)(struct server *s, struct why *why);
    void (*down)(struct server *s);
} parts[] = {
    {"data folder", data_up, data_down}, {"names", names_up, names_down},    {"keys", keys_up, keys_down},
    {"store", store_up, store_down},     {"fleet", fleet_up, fleet_down},    {"rest", rest_up, NULL},
    {"admin", admin_up, NULL},           {"http", http_up, http_down},       {"broker", broker_up, broker_down},
    {"bus", bus_up, bus_down},           {"webhooks", hooks_up, hooks_down}, {"simulators", runner_up, runner_down},
};

#define PARTS (sizeof parts / sizeof parts[0])

/* --- the program ------------------------------------------------------------------------------ */

static void wait_for_signal(void)
{
    sigset_t set;
    int signal;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigwait(&set, &signal);
}

/* Before any thread starts, so that all of them inherit it. */
static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void raise_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    mallopt(M_MMAP_THRESHOLD, 128 * 1024); /* a login's 19 MiB go back to the system */
    mallopt(M_ARENA_MAX, 2);
}

/* For docs/api/openapi.yaml: method, path and right of each route. */
static int print_routes(void)
{
    static const char *const rights[RIGHTS] = {"self", "view", "operate", "admin", "super"};
    size_t count;
    const struct rest_route *routes = rest_routes(&count);
    for (size_t i = 0; i < count; i++)
        printf("%s %s %s\n", routes[i].method, routes[i].path,
               routes[i].auth == REST_TOKEN ? rights[routes[i].right] : "-");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--routes") == 0)
        return print_routes();
    static struct server server;
    struct server *s = &server;
    struct why why = {{0}};
    size_t up = 0;
    enum err err = settings_read(&s->settings, argc, argv, &why);
    system_log_init(&s->log, settings_log_level(&s->settings));
    system_entropy_init(&s->entropy);
    raise_limits();
    block_signals();
    umask(0022);
    for (; err == ERR_NONE && up < PARTS; up++)
        if ((err = parts[up].up(s, &why)) != ERR_NONE)
            log_line(&s->log, LOG_DEBUG, "main", "part %s failed", parts[up].name);
    if (err == ERR_NONE) {
        log_line(&s->log, LOG_INFO, "main", "ready: %s, nodes on mqtts://%s:%d", s->public_url, s->hosts[0],
                 s->settings.mqtt_port);
        wait_for_signal();
        log_line(&s->log, LOG_INFO, "main", "stopping");
    } else
        fprintf(stderr, "pluviod: %s\n", why_text(&why, err));
    /* A part that failed half-way is taken down too. */
    for (size_t i = up; i-- > 0;)
        if (parts[i].down != NULL)
            parts[i].down(s);
    return err_exit_status(err);
}
