/*
 * pluviod - the server.  Nothing but a table of parts with `up` and `down`, walked forward to start and backward to
 * stop.
 */
#include "base/text.h"
#include "blob/folder.h"
#include "blob/s3.h"
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
#include "pluviod/move.h"
#include "pluviod/oidc.h"
#include "pluviod/runner.h"
#include "pluviod/scratch.h"
#include "pluviod/system.h"
#include "store/postgres/postgres_store.h"
#include "store/sqlite/sqlite_store.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEIRLOOMS_MAX 8

extern const struct web_page web_pages[]; /* made from web/ by the build */

struct server {
    struct settings settings;
    struct log log;
    struct entropy entropy;
    struct keys keys;
    struct sqlite_store *sqlite; /* one of these */
    struct postgres_store *postgres;
    struct fleet_store *store;
    struct postgres_listener listener;
    int64_t heirlooms[HEIRLOOMS_MAX]; /* servers that were gone before there was a bus */
    unsigned heirloom_count;
    bool has_gate;
    atomic_bool is_draining;
    struct blob_folder folder; /* one of these */
    struct blob_s3 s3;
    struct blob_store *blob;
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
    struct bus_broker brokers[BROKERS_MAX];
    unsigned broker_count;
    char broker_text[2000]; /* what they point into */
    char mqtt_hosts[BROKERS_MAX][280];
    const char *mqtt_host_list[BROKERS_MAX];
    unsigned mqtt_host_count;
    char public_url[320], password[40], uploads[512];
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

/* Splits at commas and blanks.  False when there are more. */
static bool split(char *text, char **to, unsigned max, unsigned *count)
{
    char *save = NULL;
    *count = 0;
    for (char *at = strtok_r(text, ", ", &save); at != NULL; at = strtok_r(NULL, ", ", &save)) {
        if (*count == max)
            return false;
        to[(*count)++] = at;
    }
    return true;
}

/* %41 is A: what a user name or password may hold. */
static void decode(char *text)
{
    char *to = text;
    for (const char *at = text; *at; at++) {
        unsigned value;
        if (*at == '%' && sscanf(at + 1, "%2x", &value) == 1) {
            *to++ = (char)value;
            at += 2;
        } else
            *to++ = *at;
    }
    *to = '\0';
}

/* mqtts://USER:PASSWORD@HOST:PORT, cut up where it stands. */
static enum err read_broker(char *url, struct bus_broker *to, struct why *why)
{
    static const char tls[] = "mqtts://", plain[] = "mqtt://";
    static const int PORT_TLS = 8883, PORT_PLAIN = 1883;
    *to = (struct bus_broker){.has_tls = strncmp(url, tls, sizeof tls - 1) == 0};
    if (!to->has_tls && strncmp(url, plain, sizeof plain - 1) != 0)
        return why_set(why, ERR_CONFIG, "--broker wants mqtts://USER:PASSWORD@HOST:PORT");
    char *at = strstr(url, "://") + 3, *host = strrchr(at, '@'), *colon;
    if (host != NULL) {
        *host++ = '\0';
        if ((colon = strchr(at, ':')) != NULL) {
            *colon = '\0';
            decode(colon + 1);
            to->password = colon + 1;
        }
        decode(at);
        to->user = at;
    } else
        host = at;
    host[strcspn(host, "/?")] = '\0';
    to->port = to->has_tls ? PORT_TLS : PORT_PLAIN;
    if ((colon = strrchr(host, ':')) != NULL && strchr(colon, ']') == NULL) {
        *colon = '\0';
        to->port = atoi(colon + 1);
    }
    to->host = host;
    return *host && to->port > 0 && to->port < 65536 ? ERR_NONE
                                                     : why_set(why, ERR_CONFIG, "--broker names no host or port");
}

static enum err read_brokers(struct server *s, struct why *why)
{
    char *urls[BROKERS_MAX];
    text_copy(s->broker_text, sizeof s->broker_text, s->settings.broker);
    if (!split(s->broker_text, urls, BROKERS_MAX, &s->broker_count))
        return why_set(why, ERR_CONFIG, "more than %d brokers", BROKERS_MAX);
    enum err err = ERR_NONE;
    for (unsigned i = 0; err == ERR_NONE && i < s->broker_count; i++)
        err = read_broker(urls[i], &s->brokers[i], why);
    return err;
}

/* Where nodes find each broker. */
static enum err name_mqtt_hosts(struct server *s, struct why *why)
{
    static const int MQTT_PORT = 8883;
    char text[sizeof s->settings.mqtt_host], *names[BROKERS_MAX];
    unsigned count = 0, brokers = s->broker_count ? s->broker_count : 1;
    text_copy(text, sizeof text, s->settings.mqtt_host);
    if (!split(text, names, BROKERS_MAX, &count) || (count > 0 && count != brokers))
        return why_set(why, ERR_CONFIG, "--mqtt-host must name %u hosts, one for each broker, in their order", brokers);
    for (unsigned i = 0; i < brokers; i++) {
        const char *name = count > 0 ? names[i] : s->broker_count > 0 ? s->brokers[i].host : s->hosts[0];
        bool has_port = strchr(name, ':') != NULL || s->broker_count > 0 || s->settings.mqtt_port == MQTT_PORT;
        snprintf(s->mqtt_hosts[i], sizeof s->mqtt_hosts[i], has_port ? "%s" : "%s:%d", name, s->settings.mqtt_port);
        s->mqtt_host_list[i] = s->mqtt_hosts[i];
    }
    s->mqtt_host_count = brokers;
    return ERR_NONE;
}

static enum err names_up(struct server *s, struct why *why)
{
    char text[sizeof s->settings.host], *names[HOSTS_MAX];
    text_copy(text, sizeof text, s->settings.host);
    if (!split(text, names, HOSTS_MAX, &s->host_count))
        return why_set(why, ERR_CONFIG, "more than %d names in --host", HOSTS_MAX);
    for (unsigned i = 0; i < s->host_count; i++)
        s->hosts[i] = strdup(names[i]);
    if (s->host_count == 0)
        return why_set(why, ERR_CONFIG, "--host must name this server");
    snprintf(s->public_url, sizeof s->public_url, "https://%s:%d", s->hosts[0], s->settings.https_port);
    enum err err = read_brokers(s, why);
    return err ? err : name_mqtt_hosts(s, why);
}

static void names_down(struct server *s)
{
    for (unsigned i = 0; i < s->host_count; i++)
        free(s->hosts[i]);
}

static enum err keys_up(struct server *s, struct why *why)
{
    char path[512], brokers[BROKERS_MAX][280];
    const char *names[HOSTS_MAX + BROKERS_MAX];
    unsigned count = 0;
    for (; count < s->host_count; count++)
        names[count] = s->hosts[count];
    for (unsigned i = 0; i < s->mqtt_host_count; i++) {
        text_copy(brokers[i], sizeof brokers[i], s->mqtt_hosts[i]);
        brokers[i][strcspn(brokers[i], ":")] = '\0';
        names[count++] = brokers[i];
    }
    if (s->settings.keys[0])
        text_copy(path, sizeof path, s->settings.keys);
    else
        path_in(s, "keys", path, sizeof path);
    return keys_open(&s->keys, path, names, count, &s->entropy, system_now(), why);
}

static void keys_down(struct server *s)
{
    keys_close(&s->keys);
}

/* --- what other servers tell, from the store's thread ---- */

static struct server *of_listener(struct postgres_listener *l)
{
    return (struct server *)(void *)((char *)l - offsetof(struct server, listener));
}

static void others_ring(struct postgres_listener *l)
{
    ring(&of_listener(l)->bell);
}

static void others_change_people(struct postgres_listener *l)
{
    fleet_people_changed(&of_listener(l)->fleet);
}

static void others_change_gate(struct postgres_listener *l)
{
    struct server *s = of_listener(l);
    pthread_mutex_lock(&s->bell_lock);
    bool has_gate = s->has_gate;
    pthread_mutex_unlock(&s->bell_lock);
    if (has_gate)
        s->gate.port.changed(&s->gate.port);
}

static void others_are_gone(struct postgres_listener *l, int64_t server)
{
    struct server *s = of_listener(l);
    pthread_mutex_lock(&s->bell_lock);
    if (s->bus != NULL)
        bus_inherit(s->bus, server);
    else if (s->heirloom_count < HEIRLOOMS_MAX)
        s->heirlooms[s->heirloom_count++] = server;
    pthread_mutex_unlock(&s->bell_lock);
}

/* Two lines: the key's id and the secret. */
static enum err read_blob_key(const struct server *s, char id[130], char secret[130], struct why *why)
{
    const char *path = s->settings.blob_key_file;
    FILE *file = *path ? fopen(path, "re") : NULL;
    bool is_good = file != NULL && fscanf(file, "%129s %129s", id, secret) == 2;
    if (file != NULL)
        fclose(file);
    const char *env_id = getenv("AWS_ACCESS_KEY_ID"), *env_secret = getenv("AWS_SECRET_ACCESS_KEY");
    if (*path == '\0') {
        text_copy(id, 130, env_id);
        text_copy(secret, 130, env_secret);
        return ERR_NONE;
    }
    return is_good ? ERR_NONE : why_set(why, ERR_CONFIG, "%s does not hold a key's id and secret, a line each", path);
}

static enum err blob_up(struct server *s, struct why *why)
{
    char path[512], id[130], secret[130];
    enum err err;
    if (s->settings.blob[0] == '\0') {
        path_in(s, "images", path, sizeof path);
        s->blob = &s->folder.port;
        return blob_folder_open(&s->folder, path, why);
    }
    path_in(s, "fetched-images", path, sizeof path);
    s->blob = &s->s3.port;
    err = read_blob_key(s, id, secret, why);
    return err ? err : blob_s3_open(&s->s3, s->settings.blob, id, secret, path, system_now, why);
}

static enum err store_up(struct server *s, struct why *why)
{
    char path[512];
    enum err err;
    pthread_mutex_init(&s->bell_lock, NULL);
    s->listener = (struct postgres_listener){others_ring, others_change_people, others_change_gate, others_are_gone};
    if (s->settings.store[0]) {
        err = postgres_store_open(&s->postgres, s->settings.store, &s->listener, &s->log, why);
        s->store = err ? NULL : postgres_store_port(s->postgres);
    } else {
        path_in(s, "pluvio.db", path, sizeof path);
        err = sqlite_store_open(&s->sqlite, path, &s->log, why);
        s->store = err ? NULL : sqlite_store_port(s->sqlite);
    }
    return err ? err : blob_up(s, why);
}

static void store_down(struct server *s)
{
    sqlite_store_close(s->sqlite);
    postgres_store_close(s->postgres);
}

static enum err fleet_up(struct server *s, struct why *why)
{
    s->bell.ring = ring;
    fleet_init(&s->fleet, s->store, &s->entropy, &s->log, &s->bell);
    enum err err = settings_budgets(&s->settings, &s->fleet.policy, why);
    s->fleet.policy.needs_two = strcmp(s->settings.four_eyes, "yes") == 0;
    s->fleet.policy.broker_count = s->broker_count;
    /* A broker of our own ended with us; of others we hear when we are connected. */
    return err || s->broker_count > 0 ? err : fleet_start(&s->fleet, 0, system_now(), why);
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
    if (atomic_load(&s->is_draining)) {
        *missing = "this server is about to end";
        return false;
    }
    if (!fleet_outbox_is_ours(&s->fleet)) {
        *missing = "the database does not answer";
        return false;
    }
    *missing = s->broker_count > 1 ? "a broker is not connected" : "the broker is not connected";
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
    if (runner_init(&s->runner, folder, program, s->mqtt_hosts[0], s->keys.ca_pem, &s->log))
        s->rest.runner = &s->runner.port;
}

static enum err rest_up(struct server *s, struct why *why)
{
    s->urls.image_url = image_url;
    scratch_init(&s->scratch);
    s->rest = (struct rest){.fleet = &s->fleet,
                            .blob = s->blob,
                            .keys = &s->keys,
                            .entropy = &s->entropy,
                            .log = &s->log,
                            .public_url = s->public_url,
                            .mqtt_hosts = s->mqtt_host_list,
                            .mqtt_host_count = s->mqtt_host_count,
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
    enum err err = gate_init(&s->gate, s->settings.data, &s->fleet, &s->keys, &s->log, why);
    pthread_mutex_lock(&s->bell_lock);
    s->has_gate = err == ERR_NONE;
    pthread_mutex_unlock(&s->bell_lock);
    return err;
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
    if (err == ERR_USER_EXISTS || (err == ERR_NONE && !is_made)) { /* another server was first; its folder has it */
        char path[512];
        path_in(s, "admin-password", path, sizeof path);
        unlink(path);
        return ERR_NONE;
    }
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

/* The other task of this program: files for a broker elsewhere. */
static enum err write_broker(struct server *s, struct why *why)
{
    char url[BROKER_URL_SIZE], host[280];
    default_plugin(s);
    text_copy(host, sizeof host, s->mqtt_hosts[0]);
    host[strcspn(host, ":")] = '\0';
    struct broker_config config = {.folder = s->settings.write_broker,
                                   .address = s->settings.address,
                                   .port = s->settings.mqtt_port,
                                   .plugin = s->settings.plugin,
                                   .keys = &s->keys,
                                   .authorities = s->gate.authorities};
    enum err err = broker_write(&config, s->settings.broker_port, host, url, &s->entropy, why);
    if (err == ERR_NONE)
        printf("%s\n", url);
    return err;
}

static enum err broker_up(struct server *s, struct why *why)
{
    char folder[512];
    if (s->broker_count > 0)
        return ERR_NONE; /* they are elsewhere */
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
    if (s->broker_count > 0)
        return;
    gate_tell_broker(&s->gate, NULL);
    broker_stop(&s->broker);
}

static int64_t server_number(void *of)
{
    return postgres_store_server(of);
}

static enum err bus_up(struct server *s, struct why *why)
{
    static struct bus_broker own;
    bool is_shared = s->broker_count > 0;
    own = (struct bus_broker){.host = s->broker.socket_path};
    const struct settings *c = &s->settings;
    struct bus_config config = {.fleet = &s->fleet,
                                .urls = &s->urls,
                                .blob = s->blob,
                                .log = &s->log,
                                .brokers = is_shared ? s->brokers : &own,
                                .broker_count = is_shared ? s->broker_count : 1,
                                .is_shared = is_shared,
                                .ca = c->broker_ca[0] ? c->broker_ca : s->keys.ca_cert,
                                .cert = c->broker_cert[0] ? c->broker_cert : NULL,
                                .key = c->broker_key[0] ? c->broker_key : NULL,
                                .server = is_shared && s->postgres ? server_number : NULL,
                                .of = s->postgres,
                                .denied = is_shared ? s->gate.denied : NULL,
                                .fault = s->settings.fault,
                                .counts = &s->counts};
    struct bus_thread *bus = NULL;
    enum err err = bus_start(&bus, &config, why);
    connect_bell(s, bus, s->http);
    bus_ring(bus); /* what was written before it could be rung */
    if (is_shared)
        gate_tell_bus(&s->gate, err == ERR_NONE ? bus : NULL);
    pthread_mutex_lock(&s->bell_lock);
    for (unsigned i = 0; i < s->heirloom_count; i++)
        bus_inherit(bus, s->heirlooms[i]);
    s->heirloom_count = 0;
    pthread_mutex_unlock(&s->bell_lock);
    return err;
}

static void bus_down(struct server *s)
{
    struct bus_thread *bus = s->bus;
    gate_tell_bus(&s->gate, NULL);
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

#define PARTS          (sizeof parts / sizeof parts[0])
#define PARTS_OF_TASKS 6 /* up to rest: what a task that serves nobody needs */

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

/* Whoever divides the work asks /readyz, and sends nothing more; a second signal ends the wait. */
static void drain(struct server *s)
{
    sigset_t set;
    struct timespec wait = {.tv_sec = s->settings.drain};
    if (s->settings.drain == 0)
        return;
    atomic_store(&s->is_draining, true);
    log_line(&s->log, LOG_INFO, "main", "not ready any more; ends in %d s", s->settings.drain);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigtimedwait(&set, NULL, &wait);
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
    if (argc > 1 && strcmp(argv[1], "migrate") == 0)
        return move_main(argc - 1, argv + 1);
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
    bool is_server = s->settings.write_broker[0] == '\0';
    for (; err == ERR_NONE && up < (is_server ? PARTS : PARTS_OF_TASKS); up++)
        if ((err = parts[up].up(s, &why)) != ERR_NONE)
            log_line(&s->log, LOG_DEBUG, "main", "part %s failed", parts[up].name);
    if (err == ERR_NONE && !is_server)
        err = write_broker(s, &why);
    if (err != ERR_NONE)
        fprintf(stderr, "pluviod: %s\n", why_text(&why, err));
    else if (is_server) {
        if (s->broker_count > 0)
            log_line(&s->log, LOG_INFO, "main", "ready: %s, nodes on mqtts://%s%s", s->public_url, s->mqtt_hosts[0],
                     s->broker_count > 1 ? " and other brokers" : "");
        else
            log_line(&s->log, LOG_INFO, "main", "ready: %s, nodes on mqtts://%s:%d", s->public_url, s->hosts[0],
                     s->settings.mqtt_port);
        wait_for_signal();
        drain(s);
        log_line(&s->log, LOG_INFO, "main", "stopping");
    }
    /* A part that failed half-way is taken down too. */
    for (size_t i = up; i-- > 0;)
        if (parts[i].down != NULL)
            parts[i].down(s);
    return err_exit_status(err);
}
