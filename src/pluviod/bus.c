#include "pluviod/bus.h"

#include "base/text.h"
#include "pluviod/system.h"

#include <errno.h>
#include <mosquitto.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RECONNECT_MS 50   /* the broker is a child that may just be starting */
#define MISC_MS      1000 /* libmosquitto's keep-alive and retries */
#define KEEPALIVE_S  60

struct bus_thread {
    struct bus bus;
    struct bus_config config;
    struct link link;
    struct mosquitto *client;
    pthread_t thread;
    int wake;
    atomic_bool is_stopping;
    atomic_bool is_connected;
    bool was_told;
    time_ms tick_at;
};

static bool publish(struct bus *bus, const char *topic, struct bytes payload, int *message_id)
{
    struct bus_thread *b = (struct bus_thread *)bus;
    return b->is_connected &&
           mosquitto_publish(b->client, message_id, topic, (int)payload.len, payload.at, 1, false) == MOSQ_ERR_SUCCESS;
}

static void on_connect(struct mosquitto *client, void *user, int rc)
{
    struct bus_thread *b = user;
    if (rc != 0) {
        log_line(b->config.log, LOG_ERROR, "bus", "the broker refused the server: %s", mosquitto_connack_string(rc));
        return;
    }
    struct why why = {{0}};
    enum err err = fleet_start(b->config.fleet, system_now(), &why); /* notices of who left were lost meanwhile */
    if (err != ERR_NONE)
        log_line(b->config.log, LOG_ERROR, "bus", "presence: %s", why_text(&why, err));
    b->is_connected = true;
    for (int i = 0; link_subscriptions[i] != NULL; i++)
        mosquitto_subscribe(client, NULL, link_subscriptions[i], 1);
    log_line(b->config.log, LOG_INFO, "bus", "connected to the broker");
    bus_ring(b);
}

static void on_disconnect(struct mosquitto *client, void *user, int rc)
{
    struct bus_thread *b = user;
    (void)client;
    if (b->is_connected && rc != 0)
        log_line(b->config.log, LOG_WARN, "bus", "the broker's connection was lost: %s", mosquitto_strerror(rc));
    b->is_connected = false;
    link_disconnected(&b->link);
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
    struct bus_thread *b = user;
    (void)client;
    atomic_fetch_add(&b->config.counts->messages, 1);
    meet_fault(b, m);
    link_receive(&b->link, m->topic, bytes_of(m->payload, (size_t)m->payloadlen), system_now());
}

static void on_publish(struct mosquitto *client, void *user, int message_id)
{
    struct bus_thread *b = user;
    (void)client;
    link_acknowledged(&b->link, message_id);
}

static void try_connect(struct bus_thread *b)
{
    int rc = mosquitto_connect(b->client, b->config.socket_path, 0, KEEPALIVE_S);
    if (rc != MOSQ_ERR_SUCCESS && !b->was_told) {
        log_line(b->config.log, LOG_DEBUG, "bus", "waiting for the broker at %s", b->config.socket_path);
        b->was_told = true;
    }
}

static void do_due(struct bus_thread *b)
{
    struct why why = {{0}};
    time_ms now = system_now();
    enum err err = fleet_tick(b->config.fleet, now, &b->tick_at, &why);
    if (err != ERR_NONE) {
        log_line(b->config.log, LOG_ERROR, "bus", "tick: %s", why_text(&why, err));
        b->tick_at = now + MISC_MS;
    }
    if (b->is_connected)
        link_drain(&b->link, now);
}

/* What came in one turn is one transaction; what that leaves to send goes out at once. */
static void flush(struct bus_thread *b)
{
    link_flush(&b->link);
    if (b->is_connected)
        link_drain(&b->link, system_now());
    link_flush(&b->link);
}

/* One turn: sleeps until the broker, a ring, or the next due time. */
static void turn(struct bus_thread *b)
{
    int socket = mosquitto_socket(b->client);
    time_ms now = system_now(), wait = b->tick_at - now;
    long limit = socket < 0 ? RECONNECT_MS : MISC_MS;
    struct pollfd fds[2] = {{b->wake, POLLIN, 0}, {socket, POLLIN, 0}};
    if (socket >= 0 && mosquitto_want_write(b->client))
        fds[1].events |= POLLOUT;
    wait = wait < 0 ? 0 : wait > limit ? limit : wait;
    if (poll(fds, socket < 0 ? 1 : 2, (int)wait) < 0 && errno != EINTR)
        return;
    uint64_t rung = 0;
    bool is_rung = fds[0].revents & POLLIN && read(b->wake, &rung, sizeof rung) > 0;
    if (socket < 0)
        try_connect(b);
    else {
        if (fds[1].revents & (POLLIN | POLLHUP | POLLERR))
            mosquitto_loop_read(b->client, 100);
        if (fds[1].revents & POLLOUT)
            mosquitto_loop_write(b->client, 1);
        mosquitto_loop_misc(b->client);
    }
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
    /* Not a clean session: while our connection is away and the broker lives, it keeps what nodes say. */
    if (b == NULL || (b->client = mosquitto_new("pluviod", false, b)) == NULL) {
        free(b);
        return why_set(why, ERR_NO_MEMORY, "no memory for the broker connection");
    }
    b->bus.publish = publish;
    b->config = *config;
    b->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    link_init(&b->link, config->fleet, &b->bus, config->urls, config->blob, config->log);
    mosquitto_connect_callback_set(b->client, on_connect);
    mosquitto_disconnect_callback_set(b->client, on_disconnect);
    mosquitto_message_callback_set(b->client, on_message);
    mosquitto_publish_callback_set(b->client, on_publish);
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

bool bus_is_connected(const struct bus_thread *b)
{
    return b != NULL && atomic_load(&b->is_connected);
}

void bus_stop(struct bus_thread *b)
{
    if (b == NULL)
        return;
    atomic_store(&b->is_stopping, true);
    bus_ring(b);
    pthread_join(b->thread, NULL);
    mosquitto_disconnect(b->client);
    mosquitto_destroy(b->client);
    mosquitto_lib_cleanup();
    link_disconnected(&b->link); /* what the broker has is written */
    link_deinit(&b->link);
    close(b->wake);
    free(b);
}
