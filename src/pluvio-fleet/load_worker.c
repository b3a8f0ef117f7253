/* One process of `pluvio-fleet load`: its nodes, each with a connection, in one thread; calls of HTTP in a few more. */
#include "pluvio-fleet/load.h"

#include "base/text.h"
#include "codec/encode.h"
#include "codec/json.h"
#include "crypto/digest.h"
#include "pluvio-fleet/pool.h"
#include "sim/node.h"
#include "sim/queue.h"
#include "wire/topic.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <mosquitto.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MQTT_PORT   8883
#define KEEPALIVE_S 60
#define MISC_MS     1000
#define RETRY_MS    1000 /* a node whose connection was lost tries again after one to ten of these */
#define TICKETS     8    /* messages of a node that wait for the broker's word */
#define CONNECTING  45   /* at a time: a broker's backlog is short */
#define CALLS       64   /* given to the pool at a time */

struct load_node {
    struct sim_node mind;
    struct worker *worker;
    char *cert, *key, *host, *url; /* url: of the document it works on */
    int64_t bytes;
    char md5[33], job_id[JOB_ID_SIZE];
    struct mosquitto *client;
    SSL_CTX *tls;
    int socket; /* that epoll watches; -1: none */
    bool watches_writes, is_registered, is_left_out, is_connecting, is_connected;
    int64_t connecting_at, retry_at, fetch_at;
    struct {
        int message_id;
        uint32_t life;
        unsigned ticket;
        int64_t sent_us;
    } tickets[TICKETS];
};

struct worker {
    struct sim_world world;
    const struct load_settings *settings;
    struct load_counts *counts;
    const struct load_shared *shared;
    struct pool *pool;
    struct sim_queue queue;
    struct sim_random random;
    struct ota_options options;
    struct load_node *nodes;
    int64_t *wakes_at;
    unsigned count, index, next_call, calls, connecting;
    char *ca_pem, path[600], ca_path[600];
    X509_STORE *trusted;
    FILE *file; /* credentials of new nodes */
    int epoll;
    int64_t from_ms, now, misc_at;
};

static int64_t monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void count_latency(struct worker *w, enum load_latency kind, double ms)
{
    int bucket = ms <= 0.1 ? 0 : (int)ceil(log(ms / 0.1) / log(1.05));
    atomic_fetch_add(&w->counts->latency[kind][bucket < LOAD_BUCKETS ? bucket : LOAD_BUCKETS - 1], 1);
}

/* --- credentials ------------------------------------------------------------------------------ */

static bool take_credentials(struct worker *w, struct load_node *n, const struct json *doc)
{
    const char *cert = json_text(json_get(doc, "client_cert")), *key = json_text(json_get(doc, "client_key")),
               *host = json_text(json_get(doc, "mqtt_host")), *ca = json_text(json_get(doc, "ca_cert"));
    if (cert == NULL || key == NULL || host == NULL || ca == NULL)
        return false;
    n->cert = strdup(cert);
    n->key = strdup(key);
    n->host = strdup(host);
    if (w->ca_pem == NULL) {
        w->ca_pem = strdup(ca);
        FILE *out = fopen(w->ca_path, "we");
        if (out != NULL) {
            fputs(ca, out);
            fclose(out);
        }
    }
    n->is_registered = true;
    n->retry_at = w->now;
    atomic_fetch_add(&w->counts->registered, 1);
    return true;
}

/* Those of an earlier run: a line each. */
static void read_credentials(struct worker *w)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    FILE *in = fopen(w->path, "re");
    while (in != NULL && (len = getline(&line, &room, in)) > 0) {
        struct json *doc = NULL;
        int64_t place = -1;
        if (json_parse(bytes_of(line, (size_t)len), &doc, NULL) == ERR_NONE &&
            json_int(json_get(doc, "place"), &place) && place >= 0 && place < w->count &&
            !w->nodes[place].is_registered)
            take_credentials(w, &w->nodes[place], doc);
        json_free(doc);
    }
    free(line);
    if (in != NULL)
        fclose(in);
}

static void keep_credentials(struct worker *w, const struct load_node *n)
{
    struct buf text = {0};
    struct json_out out;
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    json_out_int(&out, "place", n->mind.index);
    json_out_text(&out, "client_cert", n->cert);
    json_out_text(&out, "client_key", n->key);
    json_out_text(&out, "mqtt_host", n->host);
    json_out_text(&out, "ca_cert", w->ca_pem);
    json_out_end_object(&out);
    if (w->file != NULL && !text.is_failed)
        fprintf(w->file, "%s\n", text.at);
    if (w->file != NULL)
        fflush(w->file); /* who is killed must not leave nodes whose keys nobody has */
    buf_deinit(&text);
}

static void ask_for(struct worker *w, unsigned node, char *url, char *body, const char *token)
{
    struct pool_task *t = calloc(1, sizeof *t);
    if (t == NULL || url == NULL) {
        free(t);
        return;
    }
    t->url = url;
    t->body = body;
    t->token = token;
    t->node = node;
    t->life = w->nodes[node].mind.life;
    t->ca_file = w->settings->ca_file ? w->settings->ca_file : w->ca_path;
    w->calls++;
    pool_give(w->pool, t);
}

static void register_some(struct worker *w)
{
    for (; w->next_call < w->count && w->calls < CALLS; w->next_call++) {
        struct load_node *n = &w->nodes[w->next_call];
        char *url = NULL, *body = NULL;
        if (n->is_registered || n->is_left_out)
            continue;
        if (asprintf(&url, "%s/v1/admin/nodes", w->settings->server) > 0 &&
            asprintf(&body, "{\"node_id\":\"%s\"}", n->mind.id) > 0)
            ask_for(w, w->next_call, url, body, w->settings->token);
    }
}

static void registered(struct worker *w, struct load_node *n, struct pool_task *t)
{
    struct json *doc = NULL;
    bool is_good = t->err == ERR_NONE && t->answer.status < 300 &&
                   json_parse(buf_bytes(&t->answer.body), &doc, NULL) == ERR_NONE && take_credentials(w, n, doc);
    json_free(doc);
    if (is_good)
        keep_credentials(w, n);
    else if (t->err == ERR_NONE && t->answer.status >= 400 && t->answer.status < 500) {
        fprintf(stderr, "pluvio-fleet: %s is left out: %s\n", n->mind.id, t->answer.body.at);
        n->is_left_out = true;
    } else if (n->mind.index < w->next_call)
        w->next_call = n->mind.index; /* and again, with the next turn */
}

/* --- what nodes do ---------------------------------------------------------------------------- */

static struct load_node *of(struct sim_node *n)
{
    return (struct load_node *)n; /* it is its first member */
}

static void node_publishes(struct sim_world *world, struct sim_node *m, enum topic_kind kind, const char *payload,
                           unsigned ticket)
{
    struct worker *w = (struct worker *)world;
    struct load_node *n = of(m);
    char topic[TOPIC_SIZE];
    int message_id = 0;
    if (!n->is_connected || !topic_write(topic, sizeof topic, kind, m->id, TOPIC_INGEST))
        return;
    int rc = mosquitto_publish(n->client, &message_id, topic, (int)strlen(payload), payload, 1, false);
    if (rc != MOSQ_ERR_SUCCESS)
        return;
    atomic_fetch_add(&w->counts->messages, 1);
    for (int i = 0; i < TICKETS; i++)
        if (n->tickets[i].message_id == 0) {
            n->tickets[i].message_id = message_id;
            n->tickets[i].life = m->life;
            n->tickets[i].ticket = ticket;
            n->tickets[i].sent_us = monotonic_us();
            break;
        }
}

static void node_listens(struct sim_world *world, struct sim_node *m)
{
    (void)world, (void)m; /* it has subscribed when the broker took it in */
}

static void forget_tickets(struct load_node *n)
{
    memset(n->tickets, 0, sizeof n->tickets);
}

static void close_client(struct worker *w, struct load_node *n)
{
    if (n->socket >= 0)
        epoll_ctl(w->epoll, EPOLL_CTL_DEL, n->socket, NULL);
    n->socket = -1;
    if (n->is_connecting)
        w->connecting--;
    if (n->is_connected)
        atomic_fetch_sub(&w->counts->connected, 1);
    n->is_connecting = n->is_connected = false;
    if (n->client != NULL) {
        mosquitto_disconnect(n->client);
        mosquitto_destroy(n->client);
        SSL_CTX_free(n->tls);
    }
    n->client = NULL;
    n->tls = NULL;
    forget_tickets(n);
}

static void node_leaves(struct sim_world *world, struct sim_node *m, bool is_sudden)
{
    (void)world, (void)is_sudden;
    of(m)->retry_at = -1; /* not in the middle of its own callback: the next turn closes it */
}

static int64_t look_up(struct sim_world *world, struct sim_node *m, const char *url, const char **version,
                       struct sim_fate *fate)
{
    struct worker *w = (struct worker *)world;
    struct load_node *n = of(m);
    struct sim_random r = {((uint64_t)m->index * w->settings->workers + w->index) * 2654435761u};
    (void)url;
    for (const char *at = m->offered_version; *at; at++)
        r.state = r.state * 31 + (uint8_t)*at;
    *fate = (struct sim_fate){.dies_on_trial = sim_chance(&r, (int64_t)(w->settings->bad * 10000))};
    *version = m->offered_version;
    if (w->settings->has_downloads && n->url != NULL) {
        m->is_held = true;
        ask_for(w, (unsigned)(n - w->nodes), strdup(n->url), NULL, NULL);
    }
    return m->offered_bytes;
}

static void downloaded(struct worker *w, struct load_node *n, struct pool_task *t)
{
    uint8_t digest[MD5_LEN];
    char md5[2 * MD5_LEN + 1];
    md5_of(digest, buf_bytes(&t->answer.body));
    hex_encode(md5, bytes_of(digest, sizeof digest));
    bool is_good = t->err == ERR_NONE && t->answer.status == 200 && (int64_t)t->answer.body.len == n->bytes &&
                   (n->md5[0] == '\0' || strcmp(md5, n->md5) == 0);
    atomic_fetch_add(is_good ? &w->counts->downloads : &w->counts->download_failures, 1);
    atomic_fetch_add(&w->counts->bytes, (int64_t)t->answer.body.len);
    count_latency(w, LOAD_DOWNLOAD, (double)t->took_ms);
    if (!is_good && !w->settings->is_quiet)
        fprintf(stderr, "%s: download: %d, %zu bytes of %" PRId64 " %s\n", n->mind.id, t->answer.status,
                t->answer.body.len, n->bytes, t->err ? t->why.text : "");
    if (t->life == n->mind.life)
        sim_node_downloaded(&n->mind, &w->world, w->now, is_good);
}

static void node_confirmed(struct sim_world *world, struct sim_node *m, const char *version)
{
    (void)m, (void)version;
    atomic_fetch_add(&((struct worker *)world)->counts->confirmed, 1);
}

/* The connection is this node's own: its wish to connect is what connects it. */
static bool broker_is_reachable(struct sim_world *world)
{
    (void)world;
    return true;
}

/* --- wakes ------------------------------------------------------------------------------------ */

static void arrange_wake(struct worker *w, struct load_node *n)
{
    int64_t next = sim_node_next(&n->mind), planned = w->wakes_at[n->mind.index];
    if (next == 0 || (planned > 0 && planned <= next))
        return;
    w->wakes_at[n->mind.index] = next;
    sim_queue_put(&w->queue, (struct sim_event){.at_ms = next, .node = n->mind.index, .ticket = ++n->mind.wake});
}

static void wake_nodes(struct worker *w)
{
    struct sim_event e;
    while (w->queue.count > 0 && w->queue.at[0].at_ms <= w->now && sim_queue_take(&w->queue, &e)) {
        struct load_node *n = &w->nodes[e.node];
        if (e.ticket != n->mind.wake)
            continue;
        w->wakes_at[e.node] = 0;
        /* It connects when its connection is there. */
        bool would_connect = n->mind.is_on && !n->mind.is_connected && n->mind.connect_at > 0 &&
                             n->mind.connect_at <= w->now && !n->is_connected;
        if (would_connect) {
            n->mind.connect_at = w->now + MISC_MS;
            if (n->client == NULL && n->retry_at < w->now)
                n->retry_at = w->now;
        } else
            sim_node_wake(&n->mind, &w->world, w->now);
        arrange_wake(w, n);
    }
}

/* --- connections ------------------------------------------------------------------------------ */

static void on_connect(struct mosquitto *client, void *user, int rc)
{
    struct load_node *n = user;
    struct worker *w = n->worker;
    char topic[TOPIC_SIZE];
    if (rc != 0) {
        atomic_fetch_add(&w->counts->refused, 1);
        return;
    }
    if (n->is_connecting)
        w->connecting--;
    n->is_connecting = false;
    n->is_connected = true;
    atomic_fetch_add(&w->counts->connected, 1);
    atomic_fetch_add(&w->counts->connects, 1);
    count_latency(w, LOAD_CONNECT, (double)(monotonic_us() - n->connecting_at) / 1000);
    topic_write(topic, sizeof topic, TOPIC_OTAURL, n->mind.id, TOPIC_PLAIN);
    mosquitto_subscribe(client, NULL, topic, 1);
}

static void on_subscribe(struct mosquitto *client, void *user, int message_id, int count, const int *granted)
{
    struct load_node *n = user;
    (void)client, (void)message_id, (void)count, (void)granted;
    if (n->mind.is_on && !n->mind.is_connected) { /* now the mind may know of it */
        n->mind.connect_at = n->worker->now ? n->worker->now : 1;
        sim_node_wake(&n->mind, &n->worker->world, n->worker->now);
        arrange_wake(n->worker, n);
    }
}

static void on_disconnect(struct mosquitto *client, void *user, int rc)
{
    struct load_node *n = user;
    struct worker *w = n->worker;
    (void)client;
    if (rc != 0 && n->is_connected)
        atomic_fetch_add(&w->counts->lost, 1);
    if (rc != 0)
        n->retry_at = -1; /* closed in the next turn */
}

static void note_job(struct load_counts *c, const char *id)
{
    unsigned count = atomic_load(&c->job_count);
    for (unsigned i = 0; i < count; i++)
        if (strcmp(c->jobs[i], id) == 0)
            return;
    if (count == LOAD_JOBS_MAX)
        return;
    text_copy(c->jobs[count], sizeof c->jobs[count], id);
    atomic_store(&c->job_count, count + 1);
}

static void read_document(struct load_node *n, const char *text)
{
    struct worker *w = n->worker;
    struct json *doc = NULL;
    int64_t bytes = 0;
    if (json_parse(bytes_of_text(text), &doc, NULL) != ERR_NONE)
        return;
    const char *job = json_text(json_get(doc, "ota_job_id")), *url = json_text(json_get(doc, "url")),
               *md5 = json_text(json_get(doc, "file_md5"));
    if (job != NULL && strcmp(job, n->job_id) == 0)
        atomic_fetch_add(&w->counts->repeats, 1);
    text_copy(n->job_id, sizeof n->job_id, job);
    if (job != NULL)
        note_job(w->counts, job);
    text_copy(n->md5, sizeof n->md5, md5);
    free(n->url);
    n->url = url ? strdup(url) : NULL;
    json_int(json_get(doc, "file_size"), &bytes);
    n->bytes = bytes;
    json_free(doc);
}

static void on_message(struct mosquitto *client, void *user, const struct mosquitto_message *m)
{
    struct load_node *n = user;
    struct worker *w = n->worker;
    (void)client;
    char *text = m->payloadlen > 0 ? strndup(m->payload, (size_t)m->payloadlen) : NULL;
    if (text == NULL)
        return;
    atomic_fetch_add(&w->counts->documents, 1);
    read_document(n, text);
    if (n->mind.is_connected) {
        sim_node_document(&n->mind, &w->world, w->now, text);
        arrange_wake(w, n);
    }
    free(text);
}

static void on_publish(struct mosquitto *client, void *user, int message_id)
{
    struct load_node *n = user;
    struct worker *w = n->worker;
    (void)client;
    atomic_fetch_add(&w->counts->acknowledged, 1);
    for (int i = 0; i < TICKETS; i++)
        if (n->tickets[i].message_id == message_id) {
            unsigned ticket = n->tickets[i].ticket;
            n->tickets[i].message_id = 0;
            count_latency(w, LOAD_PUBACK, (double)(monotonic_us() - n->tickets[i].sent_us) / 1000);
            if (ticket != OTA_TICKET_NONE && n->tickets[i].life == n->mind.life) {
                sim_node_acknowledged(&n->mind, &w->world, w->now, ticket);
                arrange_wake(w, n);
            }
            return;
        }
}

static SSL_CTX *make_tls(struct worker *w, const struct load_node *n)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    BIO *cert_text = BIO_new_mem_buf(n->cert, -1), *key_text = BIO_new_mem_buf(n->key, -1);
    X509 *cert = PEM_read_bio_X509(cert_text, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(key_text, NULL, NULL, NULL);
    bool is_good = tls != NULL && SSL_CTX_use_certificate(tls, cert) == 1 && SSL_CTX_use_PrivateKey(tls, key) == 1;
    if (is_good) {
        SSL_CTX_set1_cert_store(tls, w->trusted);
        SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    BIO_free(cert_text);
    BIO_free(key_text);
    if (is_good)
        return tls;
    SSL_CTX_free(tls);
    return NULL;
}

static bool trust(struct worker *w)
{
    BIO *text = BIO_new_mem_buf(w->ca_pem, -1);
    X509 *ca = PEM_read_bio_X509(text, NULL, NULL, NULL);
    w->trusted = X509_STORE_new();
    bool is_good = ca != NULL && w->trusted != NULL && X509_STORE_add_cert(w->trusted, ca) == 1;
    X509_free(ca);
    BIO_free(text);
    return is_good;
}

static void watch(struct worker *w, struct load_node *n)
{
    int socket = n->client ? mosquitto_socket(n->client) : -1;
    bool wants = n->client != NULL && mosquitto_want_write(n->client);
    struct epoll_event e = {EPOLLIN | (wants ? EPOLLOUT : 0u), {.u32 = (uint32_t)(n - w->nodes)}};
    if (socket < 0 || (socket == n->socket && wants == n->watches_writes))
        return;
    epoll_ctl(w->epoll, socket == n->socket ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &e);
    n->socket = socket;
    n->watches_writes = wants;
}

static void connect_node(struct worker *w, struct load_node *n)
{
    char host[256], from[24];
    text_copy(host, sizeof host, n->host);
    char *colon = strrchr(host, ':');
    int port = colon ? atoi(colon + 1) : MQTT_PORT;
    if (colon != NULL)
        *colon = '\0';
    /* A source address of its own for each worker: one has some 28,000 ports to the same broker. */
    snprintf(from, sizeof from, "127.0.0.%u", w->index + 2);
    bool is_here = strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0;
    n->retry_at = w->now + sim_between(&w->random, RETRY_MS, 10 * RETRY_MS);
    if ((w->trusted == NULL && !trust(w)) || (n->tls = make_tls(w, n)) == NULL)
        return;
    n->client = mosquitto_new(n->mind.id, true, n);
    if (n->client == NULL) {
        SSL_CTX_free(n->tls);
        return;
    }
    mosquitto_void_option(n->client, MOSQ_OPT_SSL_CTX, n->tls);
    mosquitto_int_option(n->client, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
    mosquitto_connect_callback_set(n->client, on_connect);
    mosquitto_disconnect_callback_set(n->client, on_disconnect);
    mosquitto_subscribe_callback_set(n->client, on_subscribe);
    mosquitto_message_callback_set(n->client, on_message);
    mosquitto_publish_callback_set(n->client, on_publish);
    n->connecting_at = monotonic_us();
    n->is_connecting = true;
    w->connecting++;
    if (mosquitto_connect_bind(n->client, is_here ? "127.0.0.1" : host, port, KEEPALIVE_S, is_here ? from : NULL) !=
        MOSQ_ERR_SUCCESS)
        close_client(w, n);
    watch(w, n);
}

/* So many connect in a second, of all workers together. */
static bool may_connect(const struct worker *w, unsigned place)
{
    return w->now >= (int64_t)(place * 1000.0 * w->settings->workers / w->settings->connect_per_s);
}

static void end_connection(struct worker *w, struct load_node *n)
{
    int64_t back_at = w->now + sim_between(&w->random, RETRY_MS, 10 * RETRY_MS);
    close_client(w, n);
    n->retry_at = back_at;
    if (n->mind.is_connected)
        sim_node_disconnect(&n->mind, &w->world, w->now, back_at);
    n->retry_at = back_at; /* the mind's leaving has set it */
    if (n->mind.boot_at > 0)
        n->retry_at = n->mind.boot_at; /* it restarts: until then it is away */
    arrange_wake(w, n);
}

static void fetch_now(struct worker *w, struct load_node *n)
{
    char text[200];
    if (w->settings->fetch_every_s == 0 || !n->mind.is_connected || w->now < n->fetch_at)
        return;
    n->fetch_at = w->now + w->settings->fetch_every_s * 1000;
    snprintf(text, sizeof text, "{\"node_id\":\"%s\",\"fw_version\":\"%s\"}", n->mind.id, sim_node_version(&n->mind));
    node_publishes(&w->world, &n->mind, TOPIC_OTAFETCH, text, OTA_TICKET_NONE);
    watch(w, n);
}

/* Once in a while: connections that are due, keep-alives, and whether all is done. */
static void look_after(struct worker *w)
{
    int64_t on_target = 0;
    for (unsigned i = 0; i < w->count; i++) {
        struct load_node *n = &w->nodes[i];
        const char *target = w->settings->target;
        if (target != NULL && n->mind.is_connected && strcmp(sim_node_version(&n->mind), target) == 0 &&
            n->mind.ota.state == OTA_IDLE)
            on_target++;
        if (n->client != NULL && mosquitto_socket(n->client) >= 0)
            mosquitto_loop_misc(n->client);
        fetch_now(w, n);
    }
    atomic_store(&w->counts->on_target, on_target);
    if (w->settings->target != NULL && on_target == w->count)
        atomic_store(&w->counts->is_done, true);
}

static void open_and_close(struct worker *w)
{
    for (unsigned i = 0; i < w->count; i++) {
        struct load_node *n = &w->nodes[i];
        if (n->retry_at < 0)
            end_connection(w, n);
        else if (n->client == NULL && n->is_registered && n->mind.is_on && w->now >= n->retry_at &&
                 w->connecting < CONNECTING && may_connect(w, i))
            connect_node(w, n);
        if (n->client != NULL)
            watch(w, n);
    }
}

static void serve(struct worker *w, const struct epoll_event *e)
{
    struct load_node *n = &w->nodes[e->data.u32];
    int rc = MOSQ_ERR_SUCCESS;
    if (n->client == NULL)
        return;
    if (e->events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        rc = mosquitto_loop_read(n->client, 1);
    if (rc == MOSQ_ERR_SUCCESS && e->events & EPOLLOUT)
        rc = mosquitto_loop_write(n->client, 1);
    if (rc != MOSQ_ERR_SUCCESS)
        n->retry_at = -1;
    else
        watch(w, n);
}

static void take_answers(struct worker *w)
{
    struct pool_task *t;
    while ((t = pool_take(w->pool)) != NULL) {
        struct load_node *n = &w->nodes[t->node];
        w->calls--;
        if (t->body != NULL)
            registered(w, n, t);
        else
            downloaded(w, n, t);
        arrange_wake(w, n);
        pool_task_free(t);
    }
    register_some(w);
}

#define POOL_MARK UINT32_MAX
#define EVENTS    256

static void turn(struct worker *w)
{
    struct epoll_event events[EVENTS];
    int64_t wait = 20;
    if (w->queue.count > 0 && w->queue.at[0].at_ms - w->now < wait)
        wait = w->queue.at[0].at_ms > w->now ? w->queue.at[0].at_ms - w->now : 0;
    int count = epoll_wait(w->epoll, events, EVENTS, (int)wait);
    w->now = monotonic_us() / 1000 - w->from_ms;
    for (int i = 0; i < count; i++)
        if (events[i].data.u32 == POOL_MARK)
            take_answers(w);
        else
            serve(w, &events[i]);
    wake_nodes(w);
    open_and_close(w);
    if (w->now >= w->misc_at) {
        w->misc_at = w->now + MISC_MS;
        look_after(w);
        register_some(w);
    }
}

static bool make_nodes(struct worker *w)
{
    const struct load_settings *s = w->settings;
    w->count = s->nodes / s->workers + (w->index < s->nodes % s->workers);
    w->nodes = calloc(w->count, sizeof *w->nodes);
    w->wakes_at = calloc(w->count, sizeof *w->wakes_at);
    w->options = ota_options_default;
    for (unsigned i = 0; w->nodes != NULL && w->wakes_at != NULL && i < w->count; i++) {
        struct load_node *n = &w->nodes[i];
        char id[NODE_ID_SIZE];
        snprintf(id, sizeof id, "%.40s-%06u", s->prefix, i * s->workers + w->index + 1);
        sim_node_init(&n->mind, i, id, s->version, &w->options, sim_next(&w->random));
        text_copy(n->mind.platform, sizeof n->mind.platform, s->platform);
        text_copy(n->mind.model, sizeof n->mind.model, s->model);
        text_copy(n->mind.project, sizeof n->mind.project, s->project);
        n->mind.bytes_per_s = 1000000;
        n->mind.clock_skew_s = (int64_t)time(NULL) - SIM_EPOCH_S;
        n->mind.boot_at = 1;
        n->worker = w;
        n->socket = -1;
        arrange_wake(w, n);
    }
    return w->nodes != NULL && w->wakes_at != NULL;
}

int load_worker(const struct load_settings *settings, struct load_shared *shared, unsigned index)
{
    static struct worker worker;
    struct worker *w = &worker;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    mosquitto_lib_init();
    signal(SIGPIPE, SIG_IGN);
    w->world =
        (struct sim_world){node_publishes, node_listens, node_leaves, look_up, node_confirmed, broker_is_reachable};
    w->settings = settings;
    w->shared = shared;
    w->counts = &shared->workers[index];
    w->index = index;
    w->random.state = (uint64_t)time(NULL) * 1000 + index;
    w->from_ms = monotonic_us() / 1000 - 1;
    w->now = 1;
    snprintf(w->path, sizeof w->path, "%s/%u-of-%u.jsonl", settings->folder, index, settings->workers);
    snprintf(w->ca_path, sizeof w->ca_path, "%s/ca-%u.crt", settings->folder, index);
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->pool = pool_open();
    if (w->epoll < 0 || w->pool == NULL || !make_nodes(w))
        return 71;
    struct epoll_event e = {EPOLLIN, {.u32 = POOL_MARK}};
    epoll_ctl(w->epoll, EPOLL_CTL_ADD, pool_fd(w->pool), &e);
    read_credentials(w);
    w->file = fopen(w->path, "ae");
    register_some(w);
    while (!atomic_load(&shared->is_over))
        turn(w);
    if (w->file != NULL)
        fclose(w->file);
    return 0; /* what it holds goes with it */
}
