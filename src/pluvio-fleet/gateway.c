/*
 * Simulated nodes at a real server: the same node minds over modelled flash, in real time, multiplexed over the one
 * connection of a simulator.  Downloads are modelled too: they take the time that size and speed say.
 */
#include "pluvio-fleet/verbs.h"

#include "base/buf.h"
#include "base/text.h"
#include "codec/json.h"
#include "sim/node.h"
#include "sim/queue.h"
#include "wire/topic.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <mosquitto.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define MQTT_PORT     8883
#define KEEPALIVE_S   60
#define RECONNECT_MS  1000
#define TELL_MS       5000
#define IN_FLIGHT_MAX 2000 /* messages that wait for the broker's word */
#define NODES_MAX     1000000
#define WAIT_MAX_MS   500

struct settings {
    const char *folder, *broker, *version, *platform, *model, *project;
    double bad, flaky, connect_per_s;
    int64_t bytes_per_s, seconds;
    unsigned networks;
    bool is_quiet;
};

/* Which node waits for the acknowledgement of a message. */
struct ticket {
    unsigned node;
    uint32_t life;
    unsigned ticket; /* 0: nobody */
};

struct gateway {
    struct sim_world world;
    struct settings settings;
    struct sim_random random;
    struct sim_queue queue; /* wakes of nodes */
    struct ota_options options;
    struct sim_node *nodes;
    int64_t *wakes_at;
    unsigned count;
    char simulator[NODE_ID_SIZE], host[256];
    int port;
    struct mosquitto *client;
    struct ticket tickets[UINT16_MAX + 1];
    int64_t started_ms, now, retry_at, tell_at;
    bool is_connected, is_listening, is_over;
    struct {
        int64_t messages, documents, downloads, confirmed, connected;
    } counts;
};

static int64_t monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- what nodes do ---------------------------------------------------------------------------- */

static void send_text(struct gateway *g, const char *topic, const char *text, int *message_id)
{
    g->counts.messages++;
    if (mosquitto_publish(g->client, message_id, topic, (int)strlen(text), text, 1, false) != MOSQ_ERR_SUCCESS)
        *message_id = 0;
}

static void node_publishes(struct sim_world *w, struct sim_node *n, enum topic_kind kind, const char *payload,
                           unsigned ticket)
{
    struct gateway *g = (struct gateway *)w;
    char topic[TOPIC_SIZE];
    int message_id = 0;
    if (!topic_write(topic, sizeof topic, kind, n->id, TOPIC_INGEST))
        return;
    send_text(g, topic, payload, &message_id);
    if (message_id > 0 && ticket != OTA_TICKET_NONE)
        g->tickets[message_id & UINT16_MAX] = (struct ticket){n->index, n->life, ticket};
}

static void give_notice(struct gateway *g, const struct sim_node *n, const char *notice)
{
    char topic[TOPIC_SIZE];
    int message_id = 0;
    snprintf(topic, sizeof topic, TOPIC_NOTICE_PREFIX "%s/%s", n->id, notice);
    send_text(g, topic, "", &message_id);
}

static void node_listens(struct sim_world *w, struct sim_node *n)
{
    struct gateway *g = (struct gateway *)w;
    g->counts.connected++;
    give_notice(g, n, TOPIC_NOTICE_SUBSCRIBED);
}

static void node_leaves(struct sim_world *w, struct sim_node *n, bool is_sudden)
{
    struct gateway *g = (struct gateway *)w;
    (void)is_sudden;
    g->counts.connected--;
    if (g->is_listening)
        give_notice(g, n, TOPIC_NOTICE_GONE);
}

static int64_t look_up(struct sim_world *w, struct sim_node *n, const char *url, const char **version,
                       struct sim_fate *fate)
{
    struct gateway *g = (struct gateway *)w;
    struct sim_random r = {(uint64_t)n->index *
                           2654435761u}; /* whether a node can live with an image does not change */
    (void)url;
    for (const char *at = n->offered_version; *at; at++)
        r.state = r.state * 31 + (uint8_t)*at;
    g->counts.downloads++;
    *fate = (struct sim_fate){.fails = (int64_t)(g->settings.flaky * 10000),
                              .fails_text = "OTA failed: ESP_ERR_HTTP_READ (errno=104: Connection reset by peer)",
                              .dies_on_trial = sim_chance(&r, (int64_t)(g->settings.bad * 10000))};
    *version = n->offered_version;
    return n->offered_bytes;
}

static void node_confirmed(struct sim_world *w, struct sim_node *n, const char *version)
{
    (void)n, (void)version;
    ((struct gateway *)w)->counts.confirmed++;
}

static bool broker_is_reachable(struct sim_world *w)
{
    return ((struct gateway *)w)->is_listening;
}

static void arrange_wake(struct gateway *g, struct sim_node *n)
{
    int64_t next = sim_node_next(n), planned = g->wakes_at[n->index];
    if (next == 0 || (planned > 0 && planned <= next))
        return;
    g->wakes_at[n->index] = next;
    if (!sim_queue_put(&g->queue, (struct sim_event){.at_ms = next, .node = n->index, .ticket = ++n->wake})) {
        fprintf(stderr, "pluvio-fleet: no memory\n");
        g->is_over = true;
    }
}

static void wake_nodes(struct gateway *g)
{
    struct sim_event e;
    while (g->queue.count > 0 && g->queue.at[0].at_ms <= g->now && sim_queue_take(&g->queue, &e)) {
        struct sim_node *n = &g->nodes[e.node];
        if (e.ticket != n->wake)
            continue; /* another wake has taken its place */
        g->wakes_at[n->index] = 0;
        sim_node_wake(n, &g->world, g->now);
        arrange_wake(g, n);
    }
}

/* --- what the broker says --------------------------------------------------------------------- */

static void on_connect(struct mosquitto *client, void *user, int rc)
{
    struct gateway *g = user;
    if (rc != 0) {
        fprintf(stderr, "pluvio-fleet: the broker refuses %s: %s\n", g->simulator, mosquitto_connack_string(rc));
        return;
    }
    g->is_connected = true;
    mosquitto_subscribe(client, NULL, "node/+/otaurl", 1);
}

static void on_subscribe(struct mosquitto *client, void *user, int message_id, int count, const int *granted)
{
    struct gateway *g = user;
    (void)client, (void)message_id;
    if (count < 1 || granted[0] > 2) {
        fprintf(stderr, "pluvio-fleet: the broker does not let %s listen for its nodes: its plugin is not Pluvio's\n",
                g->simulator);
        g->is_over = true;
    }
    g->is_listening = !g->is_over;
}

static void on_disconnect(struct mosquitto *client, void *user, int rc)
{
    struct gateway *g = user;
    (void)client;
    if (rc != 0 && g->is_connected)
        fprintf(stderr, "pluvio-fleet: the connection was lost: %s\n", mosquitto_strerror(rc));
    g->is_connected = g->is_listening = false;
    memset(g->tickets, 0, sizeof g->tickets);
    for (unsigned i = 0; i < g->count; i++)
        if (g->nodes[i].is_connected) {
            sim_node_disconnect(&g->nodes[i], &g->world, g->now,
                                g->now + sim_between(&g->random, RECONNECT_MS, 10 * RECONNECT_MS));
            arrange_wake(g, &g->nodes[i]);
        }
}

/* The number in a node's id is its place. */
static struct sim_node *find_node(struct gateway *g, const char *id)
{
    size_t len = strlen(g->simulator);
    unsigned long number = simulator_speaks_for(g->simulator, id) ? strtoul(id + len + 1, NULL, 10) : 0;
    return number >= 1 && number <= g->count ? &g->nodes[number - 1] : NULL;
}

static void on_message(struct mosquitto *client, void *user, const struct mosquitto_message *m)
{
    struct gateway *g = user;
    struct topic topic;
    (void)client;
    struct sim_node *n = topic_parse(&topic, m->topic) ? find_node(g, topic.node_id) : NULL;
    char *text = n && n->is_connected ? strndup(m->payload, (size_t)m->payloadlen) : NULL;
    if (text == NULL)
        return; /* a node that is away misses it */
    g->counts.documents++;
    sim_node_document(n, &g->world, g->now, text);
    arrange_wake(g, n);
    free(text);
}

static void on_publish(struct mosquitto *client, void *user, int message_id)
{
    struct gateway *g = user;
    struct ticket t = g->tickets[message_id & UINT16_MAX];
    (void)client;
    g->tickets[message_id & UINT16_MAX].ticket = OTA_TICKET_NONE;
    if (t.ticket == OTA_TICKET_NONE || g->nodes[t.node].life != t.life)
        return;
    sim_node_acknowledged(&g->nodes[t.node], &g->world, g->now, t.ticket);
    arrange_wake(g, &g->nodes[t.node]);
}

/* --- a run ------------------------------------------------------------------------------------ */

static void tell(struct gateway *g)
{
    if (g->settings.is_quiet)
        return;
    printf("%" PRId64 " s: %" PRId64 " of %u connected, %" PRId64 " messages, %" PRId64 " documents, %" PRId64
           " downloads, %" PRId64 " confirmed\n",
           g->now / 1000, g->counts.connected, g->count, g->counts.messages, g->counts.documents, g->counts.downloads,
           g->counts.confirmed);
    fflush(stdout);
}

static int64_t wait_ms(const struct gateway *g)
{
    int64_t wait = WAIT_MAX_MS;
    if (g->queue.count > 0 && g->queue.at[0].at_ms - g->now < wait)
        wait = g->queue.at[0].at_ms - g->now;
    return wait < 0 ? 0 : wait;
}

static void turn(struct gateway *g, int signals)
{
    int socket = mosquitto_socket(g->client);
    struct pollfd fds[2] = {{signals, POLLIN, 0}, {socket, POLLIN, 0}};
    if (socket >= 0 && mosquitto_want_write(g->client))
        fds[1].events |= POLLOUT;
    if (poll(fds, socket < 0 ? 1 : 2, (int)wait_ms(g)) < 0 && errno != EINTR)
        g->is_over = true;
    g->now = monotonic_ms() - g->started_ms;
    if (fds[0].revents & POLLIN || (g->settings.seconds > 0 && g->now >= g->settings.seconds * 1000))
        g->is_over = true;
    if (socket < 0 && g->now >= g->retry_at) {
        g->retry_at = g->now + RECONNECT_MS;
        mosquitto_connect(g->client, g->host, g->port, KEEPALIVE_S);
    } else if (socket >= 0) {
        if (fds[1].revents & (POLLIN | POLLHUP | POLLERR))
            mosquitto_loop_read(g->client, 100);
        if (fds[1].revents & POLLOUT)
            mosquitto_loop_write(g->client, 1);
        mosquitto_loop_misc(g->client);
    }
    wake_nodes(g);
    if (g->now >= g->tell_at) {
        tell(g);
        g->tell_at = g->now + TELL_MS;
    }
}

static void make_node(struct gateway *g, unsigned i)
{
    const struct settings *s = &g->settings;
    struct sim_node *n = &g->nodes[i];
    char id[NODE_ID_SIZE];
    snprintf(id, sizeof id, "%.40s-%06u", g->simulator, i + 1);
    sim_node_init(n, i, id, s->version, &g->options, sim_next(&g->random));
    text_copy(n->platform, sizeof n->platform, s->platform);
    text_copy(n->model, sizeof n->model, s->model);
    text_copy(n->project, sizeof n->project, s->project);
    snprintf(n->network_id, sizeof n->network_id, "%08X", i % (s->networks ? s->networks : g->count / 3 + 1));
    n->bytes_per_s = s->bytes_per_s / 2 + sim_below(&g->random, s->bytes_per_s);
    n->clock_skew_s = (int64_t)time(NULL) - SIM_EPOCH_S;
    n->boot_at = 1 + (int64_t)(i * 1000.0 / s->connect_per_s);
    arrange_wake(g, n);
}

static enum err read_text(const char *folder, const char *name, struct buf *to, struct why *why)
{
    char path[4096], chunk[4096];
    size_t n;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return why_set(why, ERR_IO, "open %s: %s; `pluvio simulator add COUNT --out FOLDER` makes a simulator's folder",
                       path, strerror(errno));
    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
        buf_add(to, chunk, n);
    fclose(file);
    return to->is_failed ? why_set(why, ERR_NO_MEMORY, "no memory") : ERR_NONE;
}

static enum err read_folder(struct gateway *g, struct why *why)
{
    struct buf text = {0};
    struct json *doc = NULL;
    int64_t count = 0;
    enum err err = read_text(g->settings.folder, "simulator.json", &text, why);
    if (err == ERR_NONE)
        err = json_parse(bytes_of(text.at, text.len), &doc, why);
    buf_deinit(&text);
    if (err != ERR_NONE)
        return why_add(why, err, "%s/simulator.json", g->settings.folder);
    const char *name = json_text(json_get(doc, "simulator")), *host = json_text(json_get(doc, "mqtt_host"));
    if (g->settings.broker != NULL)
        host = g->settings.broker;
    if (name == NULL || !simulator_is_name(name) || host == NULL || !text_copy(g->host, sizeof g->host, host) ||
        !text_copy(g->simulator, sizeof g->simulator, name) || !json_int(json_get(doc, "node_count"), &count) ||
        count < 1 || count > NODES_MAX)
        err =
            why_set(why, ERR_FORMAT, "%s/simulator.json is not as `pluvio simulator add` made it", g->settings.folder);
    json_free(doc);
    g->count = (unsigned)count;
    char *colon = strrchr(g->host, ':');
    g->port = colon ? (int)strtol(colon + 1, NULL, 10) : MQTT_PORT;
    if (colon != NULL)
        *colon = '\0';
    return err;
}

static enum err open_client(struct gateway *g, struct why *why)
{
    char ca[4096], cert[4096], key[4096];
    snprintf(ca, sizeof ca, "%s/ca.crt", g->settings.folder);
    snprintf(cert, sizeof cert, "%s/node.crt", g->settings.folder);
    snprintf(key, sizeof key, "%s/node.key", g->settings.folder);
    g->client = mosquitto_new(g->simulator, true, g);
    if (g->client == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    int rc = mosquitto_tls_set(g->client, ca, NULL, cert, key, NULL);
    if (rc != MOSQ_ERR_SUCCESS)
        return why_set(why, ERR_IO, "the credentials in %s: %s", g->settings.folder, mosquitto_strerror(rc));
    mosquitto_max_inflight_messages_set(g->client, IN_FLIGHT_MAX);
    mosquitto_int_option(g->client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_connect_callback_set(g->client, on_connect);
    mosquitto_disconnect_callback_set(g->client, on_disconnect);
    mosquitto_subscribe_callback_set(g->client, on_subscribe);
    mosquitto_message_callback_set(g->client, on_message);
    mosquitto_publish_callback_set(g->client, on_publish);
    return ERR_NONE;
}

static enum err make_nodes(struct gateway *g, struct why *why)
{
    g->nodes = calloc(g->count, sizeof *g->nodes);
    g->wakes_at = calloc(g->count, sizeof *g->wakes_at);
    if (g->nodes == NULL || g->wakes_at == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory for %u nodes", g->count);
    g->options = ota_options_default;
    for (unsigned i = 0; i < g->count; i++)
        make_node(g, i);
    return ERR_NONE;
}

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static enum err run(struct gateway *g, struct why *why)
{
    int signals = open_signals();
    enum err err = read_folder(g, why);
    if (err == ERR_NONE)
        err = open_client(g, why);
    if (err == ERR_NONE)
        err = make_nodes(g, why);
    g->started_ms = monotonic_ms();
    g->tell_at = TELL_MS;
    while (err == ERR_NONE && !g->is_over)
        turn(g, signals);
    tell(g);
    if (g->client != NULL) {
        mosquitto_disconnect(g->client);
        mosquitto_destroy(g->client);
    }
    close(signals);
    return err;
}

/* --- the command line ------------------------------------------------------------------------- */

enum { OPTION_PLATFORM = 1000, OPTION_MODEL, OPTION_PROJECT, OPTION_NETWORKS };

static const struct argp_option options_known[] = {
    {"broker", 'b', "HOST[:PORT]", 0, "Where the broker is (default: what the server told)", 0},
    {"version", 'V', "VERSION", 0, "What the nodes run at first (1.0)", 0},
    {"project", OPTION_PROJECT, "NAME", 0, "Their project (app)", 0},
    {"platform", OPTION_PLATFORM, "CHIP", 0, "Their platform (esp32c3)", 0},
    {"model", OPTION_MODEL, "NAME", 0, "Their model (simulated)", 0},
    {"networks", OPTION_NETWORKS, "N", 0, "Local networks that they live in (a third of their number)", 0},
    {"speed", 's', "BYTES/S", 0, "How fast a node downloads (100000)", 0},
    {"rate", 'r', "NODES/S", 0, "How many connect in a second (1000)", 0},
    {"bad", 'B', "PERCENT", 0, "Nodes on which an image fails its trial", 0},
    {"flaky", 'f', "PERCENT", 0, "Downloads that break", 0},
    {"seconds", 'S', "N", 0, "Leave after so many seconds (default: at Ctrl-C)", 0},
    {"quiet", 'q', NULL, 0, "Say nothing", 0},
    {0}};

static error_t take_option(int key, char *value, struct argp_state *state)
{
    struct settings *s = state->input;
    switch (key) {
    case 'b':
        s->broker = value;
        break;
    case 'V':
        s->version = value;
        break;
    case OPTION_PROJECT:
        s->project = value;
        break;
    case OPTION_PLATFORM:
        s->platform = value;
        break;
    case OPTION_MODEL:
        s->model = value;
        break;
    case OPTION_NETWORKS:
        s->networks = (unsigned)strtoul(value, NULL, 10);
        break;
    case 's':
        s->bytes_per_s = strtoll(value, NULL, 10);
        if (s->bytes_per_s < 1)
            argp_error(state, "--speed must be at least 1 byte/s");
        break;
    case 'r':
        s->connect_per_s = strtod(value, NULL);
        if (!(s->connect_per_s >= 0.001))
            argp_error(state, "--rate must be at least 0.001 nodes/s");
        break;
    case 'B':
        s->bad = strtod(value, NULL);
        break;
    case 'f':
        s->flaky = strtod(value, NULL);
        break;
    case 'S':
        s->seconds = strtoll(value, NULL, 10);
        break;
    case 'q':
        s->is_quiet = true;
        break;
    case ARGP_KEY_ARG:
        if (s->folder != NULL)
            argp_error(state, "one folder is enough");
        s->folder = value;
        break;
    case ARGP_KEY_END:
        if (s->folder == NULL)
            argp_error(state, "give the folder that `pluvio simulator add` made");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int verb_gateway(int argc, char **argv)
{
    static const struct argp parser = {
        options_known, take_option, "FOLDER", "Joins the nodes of a simulator to its server, over one connection.",
        NULL,          NULL,        NULL};
    struct why why = {{0}};
    struct gateway *g = calloc(1, sizeof *g);
    if (g == NULL)
        return 1;
    g->world =
        (struct sim_world){node_publishes, node_listens, node_leaves, look_up, node_confirmed, broker_is_reachable};
    g->random.state = (uint64_t)time(NULL);
    g->settings = (struct settings){.version = "1.0",
                                    .project = "app",
                                    .platform = "esp32c3",
                                    .model = "simulated",
                                    .connect_per_s = 1000,
                                    .bytes_per_s = 100000};
    argp_parse(&parser, argc, argv, 0, NULL, &g->settings);
    mosquitto_lib_init();
    enum err err = run(g, &why);
    if (err != ERR_NONE)
        fprintf(stderr, "pluvio-fleet: %s\n", why_text(&why, err));
    mosquitto_lib_cleanup();
    sim_queue_free(&g->queue);
    free(g->nodes);
    free(g->wakes_at);
    free(g);
    return err_exit_status(err);
}
