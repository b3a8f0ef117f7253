#include "pluviod/bus.h"

#include "base/text.h"
#include "pluviod/system.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECONNECT_MS  50   /* the broker is a child that may just be starting */
#define RECONNECT_MAX 2000 /* a broker elsewhere that does not answer is asked less and less often */
#define PROBE_MS      1000 /* how long one is waited for when it is asked */
#define MISC_MS       1000 /* libmosquitto's keep-alive and retries */
#define RUN_MS        2000 /* a broker that has not told its run by then has no plugin of ours */
#define LEAD_MS       200  /* how soon it is noticed that this server leads */
#define KEEPALIVE_S   20
#define SESSION_S     300  /* how long a broker keeps what waits for a server that is gone */
#define HEIRLOOM_MS   2000 /* a session that is taken over and says nothing for so long is empty */
#define HEIRS_MAX     16
#define SESSION_NAME  48

enum open_state { BUS_CLOSED, BUS_GREETING, BUS_OPEN };

struct bus_client {
    struct bus_thread *thread;
    unsigned broker;
    struct mosquitto *client;
    char name[SESSION_NAME]; /* of the session */
    enum open_state state;
    bool was_told;
    char run[64]; /* that the broker told; "" before */
    time_ms greeted_at, try_at, heard_at;
    long delay_ms;
    int64_t heir_of; /* the server whose session this is; 0: our own */
};

struct bus_thread {
    struct bus bus;
    struct bus_config config;
    struct link link;
    struct bus_client clients[BROKERS_MAX], heirs[HEIRS_MAX];
    pthread_t thread;
    int wake;
    atomic_bool is_stopping, denied_changed;
    bool has_mail; /* something may wait in the outbox */
    atomic_uint connected;
    atomic_llong gone[HEIRS_MAX]; /* servers whose sessions are to be taken over; 0: free */
    time_ms tick_at;
};

static enum bus_sent publish(struct bus *bus, unsigned broker, const char *topic, struct bytes payload, int *message_id)
{
    struct bus_thread *b = (struct bus_thread *)bus;
    struct bus_client *c = &b->clients[broker % BROKERS_MAX];
    if (broker >= b->config.broker_count || c->state != BUS_OPEN)
        return BUS_AWAY;
    int rc = mosquitto_publish(c->client, message_id, topic, (int)payload.len, payload.at, 1, false);
    return rc == MOSQ_ERR_SUCCESS ? BUS_SENT : rc == MOSQ_ERR_NO_CONN ? BUS_AWAY : BUS_FULL;
}

/* --- one broker ------------------------------------------------------------------------------- */

static void count_open(struct bus_thread *b)
{
    unsigned n = 0;
    for (unsigned i = 0; i < b->config.broker_count; i++)
        n += b->clients[i].state == BUS_OPEN;
    atomic_store(&b->connected, n);
}

static void tell_denied(struct bus_client *c)
{
    const char *path = c->thread->config.denied;
    FILE *file = path ? fopen(path, "re") : NULL;
    long size = file != NULL && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    char *text = size >= 0 ? malloc((size_t)size + 1) : NULL;
    if (text != NULL) {
        rewind(file);
        mosquitto_publish(c->client, NULL, TOPIC_DENIED, (int)fread(text, 1, (size_t)size, file), text, 1, false);
        free(text);
    }
    if (file != NULL)
        fclose(file);
}

/* First of all the broker says which run of it this is; nodes wait before its door until we have understood. */
static void on_connect(struct mosquitto *client, void *user, int rc)
{
    struct bus_client *c = user;
    struct log *log = c->thread->config.log;
    if (rc != 0) {
        log_line(log, LOG_ERROR, "bus", "broker %u refused the server: %s", c->broker + 1,
                 mosquitto_connack_string(rc));
        return;
    }
    c->delay_ms = RECONNECT_MS;
    c->greeted_at = c->heard_at = system_now();
    c->run[0] = '\0';
    c->state = c->heir_of ? BUS_OPEN : BUS_GREETING;
    if (!c->heir_of) {
        tell_denied(c);
        mosquitto_subscribe(client, NULL, TOPIC_RUN, 1);
    }
}

static void subscribe(struct bus_client *c)
{
    char topic[200];
    for (int i = 0; link_subscriptions[i] != NULL; i++) {
        snprintf(topic, sizeof topic, "%s%s", c->thread->config.is_shared ? LINK_SHARED : "", link_subscriptions[i]);
        mosquitto_subscribe(c->client, NULL, topic, 1);
    }
}

/* A broker without our plugin has no names for its runs: what was known of its nodes stays until they say otherwise. */
static void open_when_told(struct bus_client *c)
{
    struct bus_thread *b = c->thread;
    struct why why = {{0}};
    bool is_new = false;
    if (c->state != BUS_GREETING || (c->run[0] == '\0' && system_now() < c->greeted_at + RUN_MS))
        return;
    enum err err =
        c->run[0] ? fleet_on_broker(b->config.fleet, c->broker, c->run, system_now(), &is_new, &why) : ERR_NONE;
    if (err != ERR_NONE) {
        if (err != ERR_STORE_AWAY)
            log_line(b->config.log, LOG_ERROR, "bus", "presence: %s", why_text(&why, err));
        return; /* and again in a moment */
    }
    subscribe(c);
    c->state = BUS_OPEN;
    count_open(b);
    if (b->config.broker_count > 1)
        log_line(b->config.log, LOG_INFO, "bus", "connected to broker %u%s", c->broker + 1,
                 is_new ? ", which began anew" : "");
    else
        log_line(b->config.log, LOG_INFO, "bus", "connected to the broker%s", is_new ? ", which began anew" : "");
    link_connected(&b->link);
    bus_ring(b);
}

static void on_disconnect(struct mosquitto *client, void *user, int rc)
{
    struct bus_client *c = user;
    struct bus_thread *b = c->thread;
    (void)client;
    if (c->state != BUS_CLOSED && rc != 0 && !c->heir_of)
        log_line(b->config.log, LOG_WARN, "bus", "the connection to broker %u was lost: %s", c->broker + 1,
                 mosquitto_strerror(rc));
    c->state = BUS_CLOSED;
    count_open(b);
    if (!c->heir_of)
        link_disconnected(&b->link, c->broker);
}

/* By now libmosquitto has acknowledged the message to the broker: if we die here, it is gone, and only the version that
 * the node shows later brings the truth.  Tests die exactly here. */
static void meet_fault(struct bus_thread *b, const struct mosquitto_message *m)
{
    size_t len = strlen(b->config.fault);
    if (len > 0 && strstr(m->topic, "otastatus") && m->payloadlen > 0 &&
        memmem(m->payload, (size_t)m->payloadlen, b->config.fault, len))
        raise(SIGKILL);
}

static void on_message(struct mosquitto *client, void *user, const struct mosquitto_message *m)
{
    struct bus_client *c = user;
    struct bus_thread *b = c->thread;
    (void)client;
    c->heard_at = system_now();
    if (strcmp(m->topic, TOPIC_RUN) == 0) {
        snprintf(c->run, sizeof c->run, "%.*s", m->payloadlen, (const char *)m->payload);
        return;
    }
    atomic_fetch_add(&b->config.counts->messages, 1);
    meet_fault(b, m);
    link_receive(&b->link, c->broker, m->topic, bytes_of(m->payload, (size_t)m->payloadlen), system_now());
}

static void on_publish(struct mosquitto *client, void *user, int message_id)
{
    struct bus_client *c = user;
    (void)client;
    if (!c->heir_of)
        link_acknowledged(&c->thread->link, c->broker, message_id);
}

/* Connecting blocks this thread, so a broker that does not answer must not be asked to. */
static bool is_there(const struct bus_broker *at)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char port[12];
    bool is_good = false;
    if (at->port == 0)
        return access(at->host, F_OK) == 0;
    snprintf(port, sizeof port, "%d", at->port);
    if (getaddrinfo(at->host, port, &hints, &found) != 0)
        return false;
    for (const struct addrinfo *a = found; a != NULL && !is_good; a = a->ai_next) {
        int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;
        socklen_t len = sizeof error;
        struct pollfd p = {fd, POLLOUT, 0};
        is_good = fd >= 0 && (connect(fd, a->ai_addr, a->ai_addrlen) == 0 ||
                              (errno == EINPROGRESS && poll(&p, 1, PROBE_MS) == 1 &&
                               getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0));
        if (fd >= 0)
            close(fd);
    }
    freeaddrinfo(found);
    return is_good;
}

static bool set_up_tls(struct bus_client *c, const struct bus_broker *at)
{
    const struct bus_config *config = &c->thread->config;
    return !at->has_tls ||
           (mosquitto_tls_set(c->client, config->ca, NULL, config->cert, config->key, NULL) == MOSQ_ERR_SUCCESS &&
            mosquitto_tls_opts_set(c->client, 1, "tlsv1.2", NULL) == MOSQ_ERR_SUCCESS);
}

/* Not a clean session: while our connection is away and the broker lives, it keeps what nodes say. */
static bool make_client(struct bus_client *c, int64_t server)
{
    const struct bus_config *config = &c->thread->config;
    const struct bus_broker *at = &config->brokers[c->broker];
    if (config->is_shared)
        snprintf(c->name, sizeof c->name, "pluvio-server-%lld", (long long)server);
    else
        snprintf(c->name, sizeof c->name, "pluviod");
    c->client = mosquitto_new(c->name, false, c);
    if (c->client == NULL)
        return false;
    mosquitto_int_option(c->client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    mosquitto_int_option(c->client, MOSQ_OPT_SEND_MAXIMUM, LINK_IN_FLIGHT);
    mosquitto_int_option(c->client, MOSQ_OPT_RECEIVE_MAXIMUM, LINK_BATCH);
    if (at->user != NULL)
        mosquitto_username_pw_set(c->client, at->user, at->password);
    mosquitto_connect_callback_set(c->client, on_connect);
    mosquitto_disconnect_callback_set(c->client, on_disconnect);
    mosquitto_message_callback_set(c->client, on_message);
    mosquitto_publish_callback_set(c->client, on_publish);
    return set_up_tls(c, at);
}

static void drop_client(struct bus_client *c)
{
    if (c->client == NULL)
        return;
    mosquitto_disconnect(c->client);
    mosquitto_destroy(c->client);
    c->client = NULL;
    c->state = BUS_CLOSED;
    count_open(c->thread);
}

static int connect_client(struct bus_client *c)
{
    const struct bus_broker *at = &c->thread->config.brokers[c->broker];
    mosquitto_property *properties = NULL;
    mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, SESSION_S);
    int rc = mosquitto_connect_bind_v5(c->client, at->host, at->port, KEEPALIVE_S, NULL, properties);
    mosquitto_property_free_all(&properties);
    return rc;
}

static int64_t own_number(const struct bus_thread *b)
{
    return b->config.server ? b->config.server(b->config.of) : 0;
}

/* Who was not heard of by the store for long may be dead to the others, who then have this session: it is left alone
 * until the store is there again, under the number that we have then.  Whether we may connect. */
static bool may_connect(struct bus_client *c)
{
    char name[SESSION_NAME];
    struct bus_thread *b = c->thread;
    if (!b->config.is_shared || c->heir_of)
        return true;
    bool is_ours = fleet_outbox_is_ours(b->config.fleet);
    snprintf(name, sizeof name, "pluvio-server-%lld", (long long)own_number(b));
    if (c->client != NULL && (!is_ours || strcmp(name, c->name) != 0)) {
        log_line(b->config.log, LOG_WARN, "bus", "broker %u is left alone: %s", c->broker + 1,
                 is_ours ? "this server has a new number" : "the store does not answer");
        drop_client(c);
    }
    return is_ours;
}

static void try_connect(struct bus_client *c)
{
    struct bus_thread *b = c->thread;
    time_ms now = system_now();
    if (!may_connect(c))
        return;
    if (c->client != NULL && mosquitto_socket(c->client) >= 0)
        return;
    if (now < c->try_at)
        return;
    int rc = MOSQ_ERR_NO_CONN;
    if (is_there(&b->config.brokers[c->broker]) &&
        (c->client != NULL || make_client(c, c->heir_of ? c->heir_of : own_number(b))))
        rc = connect_client(c);
    if (rc != MOSQ_ERR_SUCCESS && !c->was_told)
        log_line(b->config.log, LOG_DEBUG, "bus", "waiting for the broker at %s", b->config.brokers[c->broker].host);
    c->was_told = rc != MOSQ_ERR_SUCCESS;
    c->delay_ms = c->delay_ms == 0 || b->config.brokers[c->broker].port == 0 ? RECONNECT_MS : c->delay_ms * 2;
    c->delay_ms = c->delay_ms > RECONNECT_MAX ? RECONNECT_MAX : c->delay_ms;
    c->try_at = system_now() + c->delay_ms;
}

/* --- sessions of servers that are gone -------------------------------------------------------- */

static void begin_heirs(struct bus_thread *b)
{
    for (int i = 0; i < HEIRS_MAX; i++) {
        int64_t server = atomic_exchange(&b->gone[i], 0);
        for (unsigned n = 0; server != 0 && n < b->config.broker_count; n++)
            for (int k = 0; k < HEIRS_MAX; k++)
                if (b->heirs[k].heir_of == 0) {
                    b->heirs[k] = (struct bus_client){.thread = b, .broker = n, .heir_of = server};
                    break;
                }
    }
}

/* Nothing more comes: the session ends, and with it what it subscribed to. */
static void end_heir(struct bus_client *c)
{
    mosquitto_property *properties = NULL;
    if (c->state == BUS_OPEN) {
        mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 0);
        mosquitto_disconnect_v5(c->client, 0, properties);
        mosquitto_property_free_all(&properties);
    }
    if (c->client != NULL)
        mosquitto_destroy(c->client);
    *c = (struct bus_client){.heir_of = 0};
}

static void look_after_heirs(struct bus_thread *b)
{
    time_ms now = system_now();
    begin_heirs(b);
    for (int i = 0; i < HEIRS_MAX; i++) {
        struct bus_client *c = &b->heirs[i];
        if (c->heir_of == 0)
            continue;
        if (c->greeted_at == 0) {
            c->greeted_at = now; /* of its begin, at first */
            c->state = BUS_CLOSED;
        }
        try_connect(c);
        bool is_empty = c->state == BUS_OPEN && now > c->heard_at + HEIRLOOM_MS;
        bool is_late = c->state != BUS_OPEN && now > c->greeted_at + SESSION_S * 1000;
        if (is_empty || is_late)
            end_heir(c);
    }
}

/* --- the thread ------------------------------------------------------------------------------- */

static void do_due(struct bus_thread *b)
{
    struct why why = {{0}};
    time_ms now = system_now();
    if (!fleet_leads(b->config.fleet)) {
        b->tick_at = now + LEAD_MS;
        return;
    }
    enum err err = fleet_tick(b->config.fleet, now, &b->tick_at, &why);
    if (err != ERR_NONE) {
        if (err != ERR_STORE_AWAY)
            log_line(b->config.log, LOG_ERROR, "bus", "tick: %s", why_text(&why, err));
        b->tick_at = now + MISC_MS;
    }
}

/* What came in one turn is one transaction.  What that leaves to send rings the bell, and is looked at then. */
static void flush(struct bus_thread *b)
{
    link_flush(&b->link);
    link_send_blocks(&b->link);
    if (b->has_mail && atomic_load(&b->connected) > 0)
        b->has_mail = link_drain(&b->link, system_now());
    link_flush(&b->link);
}

/* All that is there, for one call reads one message, and what is read together is written together. */
static void read_all(struct bus_client *c)
{
    struct pollfd more = {mosquitto_socket(c->client), POLLIN, 0};
    for (int i = 0; i < LINK_BATCH && mosquitto_loop_read(c->client, 1) == MOSQ_ERR_SUCCESS; i++)
        if (mosquitto_socket(c->client) != more.fd || poll(&more, 1, 0) <= 0)
            break;
}

static void serve(struct bus_client *c, short events, bool is_full)
{
    if (c->client == NULL)
        return;
    if (events & (POLLIN | POLLHUP | POLLERR) && !is_full)
        read_all(c);
    if (events & POLLOUT)
        mosquitto_loop_write(c->client, 1);
    if (mosquitto_socket(c->client) >= 0)
        mosquitto_loop_misc(c->client);
    open_when_told(c);
}

#define CLIENTS_MAX (BROKERS_MAX + HEIRS_MAX)

static struct bus_client *client_at(struct bus_thread *b, unsigned i)
{
    return i < BROKERS_MAX ? &b->clients[i] : &b->heirs[i - BROKERS_MAX];
}

/* What to wait for: the bell first, then each connection. */
static unsigned list_sockets(struct bus_thread *b, struct pollfd *fds, struct bus_client **of, bool is_full,
                             bool *has_all)
{
    unsigned count = 1;
    fds[0] = (struct pollfd){b->wake, POLLIN, 0};
    *has_all = true;
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        struct bus_client *c = client_at(b, i);
        int socket = c->client ? mosquitto_socket(c->client) : -1;
        if (i < b->config.broker_count && c->state != BUS_OPEN)
            *has_all = false;
        if (socket < 0)
            continue;
        of[count] = c;
        fds[count++] = (struct pollfd){
            socket, (short)((is_full ? 0 : POLLIN) | (mosquitto_want_write(c->client) ? POLLOUT : 0)), 0};
    }
    return count;
}

/* One turn: sleeps until a broker, a ring, or the next due time. */
static void turn(struct bus_thread *b)
{
    struct pollfd fds[CLIENTS_MAX + 1];
    struct bus_client *of[CLIENTS_MAX + 1];
    bool has_all, is_full = link_is_full(&b->link);
    unsigned count = list_sockets(b, fds, of, is_full, &has_all);
    time_ms wait = b->tick_at - system_now();
    long limit = has_all ? MISC_MS : RECONNECT_MS;
    wait = wait < 0 ? 0 : wait > limit ? limit : wait;
    if (poll(fds, count, (int)wait) < 0 && errno != EINTR)
        return;
    uint64_t rung = 0;
    bool is_rung = fds[0].revents & POLLIN && read(b->wake, &rung, sizeof rung) > 0;
    b->has_mail |= is_rung;
    for (unsigned i = 1; i < count; i++)
        serve(of[i], fds[i].revents, is_full);
    for (unsigned i = 0; i < b->config.broker_count; i++) {
        try_connect(&b->clients[i]);
        open_when_told(&b->clients[i]);
    }
    look_after_heirs(b);
    if (atomic_exchange(&b->denied_changed, false))
        for (unsigned i = 0; i < b->config.broker_count; i++)
            if (b->clients[i].state == BUS_OPEN)
                tell_denied(&b->clients[i]);
    flush(b);
    if (is_rung)
        b->tick_at = 0; /* a new job may push */
    if (b->tick_at <= system_now()) {
        do_due(b);
        flush(b);
    }
}

static void *run(void *arg)
{
    struct bus_thread *b = arg;
    while (!atomic_load(&b->is_stopping))
        turn(b);
    return NULL;
}

enum err bus_start(struct bus_thread **bus, const struct bus_config *config, struct why *why)
{
    struct bus_thread *b = calloc(1, sizeof *b);
    mosquitto_lib_init();
    if (b == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory for the broker connection");
    b->bus.publish = publish;
    b->config = *config;
    b->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    link_init(&b->link, config->fleet, &b->bus, config->urls, config->blob, config->log);
    for (unsigned i = 0; i < config->broker_count; i++)
        b->clients[i] = (struct bus_client){.thread = b, .broker = i};
    *bus = b;
    if (b->wake < 0 || pthread_create(&b->thread, NULL, run, b) != 0)
        return why_set(why, ERR_NO_MEMORY, "no thread for the broker connection");
    return ERR_NONE;
}

void bus_ring(struct bus_thread *b)
{
    uint64_t one = 1;
    if (b != NULL && write(b->wake, &one, sizeof one) < 0)
        return; /* the counter is full: it will wake anyway */
}

void bus_denied_changed(struct bus_thread *b)
{
    if (b == NULL)
        return;
    atomic_store(&b->denied_changed, true);
    bus_ring(b);
}

void bus_inherit(struct bus_thread *b, int64_t server)
{
    /* At a broker of our own there is one session, and it is ours already. */
    for (int i = 0; b != NULL && b->config.is_shared && i < HEIRS_MAX; i++) {
        long long none = 0;
        if (atomic_compare_exchange_strong(&b->gone[i], &none, server))
            break;
    }
    bus_ring(b);
}

bool bus_is_connected(struct bus_thread *b)
{
    return b != NULL && atomic_load(&b->connected) == b->config.broker_count;
}

void bus_stop(struct bus_thread *b)
{
    if (b == NULL)
        return;
    atomic_store(&b->is_stopping, true);
    bus_ring(b);
    pthread_join(b->thread, NULL);
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        drop_client(client_at(b, i));
    mosquitto_lib_cleanup();
    for (unsigned i = 0; i < b->config.broker_count; i++)
        link_disconnected(&b->link, i); /* what the brokers have is written */
    link_deinit(&b->link);
    close(b->wake);
    free(b);
}
