#include "sim/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim_config sim_calm(unsigned nodes)
{
    return (struct sim_config){
        .seed = 1,
        .nodes = nodes,
        .duration_ms = 7 * 24 * HOUR,
        .ends_early = true,
        .latency_ms = 40,
        .jitter_ms = 60,
        .node_bytes_per_s = 100000,
        .fetch_period_ms = 24 * HOUR,
        .networks = nodes / 3 + 1,
        .image_bytes = 1500000,
        .is_force_push = true,
        .policy = fleet_default_policy,
    };
}

struct sim_config sim_wild(uint64_t seed)
{
    struct sim_random r = {seed};
    struct sim_config c = sim_calm((unsigned)sim_between(&r, 3, 60));
    c.seed = seed;
    c.is_wild = true;
    c.ends_early = false;
    c.duration_ms = sim_between(&r, 6, 72) * HOUR;
    c.jitter_ms = sim_between(&r, 1, 30000); /* far enough to bring messages out of order */
    c.loss = sim_below(&r, 2) * sim_below(&r, 200000);
    c.duplicates = sim_below(&r, 2) * sim_below(&r, 200000);
    c.node_bytes_per_s = sim_between(&r, 2000, 200000);
    c.offline = sim_below(&r, 3) == 0 ? sim_below(&r, 400000) : 0;
    c.away_ms = sim_below(&r, 2) * sim_between(&r, HOUR / 4, 12 * HOUR);
    c.power_cut_ms = sim_below(&r, 2) * sim_between(&r, HOUR / 2, 24 * HOUR);
    c.broker_down_ms = sim_below(&r, 3) == 0 ? sim_between(&r, HOUR, 12 * HOUR) : 0;
    c.server_down_ms = sim_below(&r, 3) == 0 ? sim_between(&r, HOUR, 12 * HOUR) : 0;
    c.fetch_period_ms = sim_below(&r, 3) * 6 * HOUR;
    c.bad_image = sim_below(&r, 3) == 0 ? sim_below(&r, 600000) : 0;
    c.flaky_image = sim_below(&r, 3) == 0 ? sim_below(&r, 700000) : 0;
    c.networks = (unsigned)sim_between(&r, 1, c.nodes);
    c.image_bytes = sim_between(&r, 100000, 2000000);
    if (sim_below(&r, 4) == 0)
        c.policy.max_in_flight = sim_between(&r, 1, 10);
    if (sim_below(&r, 4) == 0)
        c.policy.per_hour = sim_between(&r, 20, 2000);
    if (sim_below(&r, 6) == 0)
        c.policy.network_max = (unsigned)sim_between(&r, 1, 3);
    c.policy.retries = (unsigned)sim_below(&r, 4);
    return c;
}

/* --- the hash --------------------------------------------------------------------------------- */

void sim_mix(struct sim *s, const void *at, size_t len)
{
    const uint8_t *byte = at;
    for (size_t i = 0; i < len; i++)
        s->result.hash = (s->result.hash ^ byte[i]) * 1099511628211u;
}

void sim_violated(struct sim *s, const char *format, ...)
{
    va_list args;
    if (s->result.violation[0])
        return;
    va_start(args, format);
    vsnprintf(s->result.violation, sizeof s->result.violation, format, args);
    va_end(args);
}

/* --- the network ------------------------------------------------------------------------------ */

void sim_put(struct sim *s, struct sim_event event)
{
    if (!sim_queue_put(&s->queue, event)) {
        free(event.text);
        sim_violated(s, "no memory for what is to come");
    }
}

static int64_t on_the_way(struct sim *s)
{
    return s->now + s->config.latency_ms + sim_below(&s->random, s->config.jitter_ms + 1);
}

static void node_publishes(struct sim_world *w, struct sim_node *n, enum topic_kind topic, const char *payload,
                           unsigned ticket)
{
    struct sim *s = (struct sim *)w;
    s->result.messages++;
    if (sim_chance(&s->random, s->config.loss))
        return; /* nobody hears it, and no acknowledgement comes */
    unsigned copies = 1 + sim_chance(&s->random, s->config.duplicates);
    for (unsigned i = 0; i < copies; i++)
        sim_put(s, (struct sim_event){.at_ms = on_the_way(s),
                                      .kind = SIM_TO_SERVER,
                                      .node = n->index,
                                      .value = topic,
                                      .text = strdup(payload)});
    if (ticket != OTA_TICKET_NONE && !sim_chance(&s->random, s->config.loss))
        sim_put(s, (struct sim_event){
                       .at_ms = on_the_way(s), .kind = SIM_ACK, .node = n->index, .ticket = n->life, .value = ticket});
}

static void node_listens(struct sim_world *w, struct sim_node *n)
{
    struct sim *s = (struct sim *)w;
    sim_put(s, (struct sim_event){
                   .at_ms = s->now + s->config.latency_ms, .kind = SIM_LISTENS, .node = n->index, .ticket = n->life});
}

/* The broker notices a closed connection at once, a silent one after one and a half keep-alives of 120 s. */
static void node_leaves(struct sim_world *w, struct sim_node *n, bool is_sudden)
{
    struct sim *s = (struct sim *)w;
    if (s->broker_back_at == 0)
        sim_put(s,
                (struct sim_event){
                    .at_ms = s->now + (is_sudden ? 180000 : 1), .kind = SIM_GONE, .node = n->index, .ticket = n->life});
}

static int64_t look_up(struct sim_world *w, struct sim_node *n, const char *url, const char **version,
                       struct sim_fate *fate)
{
    struct sim *s = (struct sim *)w;
    unsigned index = (unsigned)strtoul(url + strcspn(url, "0123456789"), NULL, 10);
    *version = "";
    *fate = (struct sim_fate){.fails = s->config.flaky_image,
                              .fails_text = "OTA failed: ESP_ERR_HTTP_READ (errno=104: Connection reset by peer)"};
    if (s->server_back_at != 0 || index >= s->image_count)
        return 0;
    /* Whether a node can live with an image does not change from try to try. */
    struct sim_random r = {s->config.seed ^ (n->index * 2654435761u + index)};
    fate->dies_on_trial = sim_chance(&r, s->config.bad_image);
    fate->never_connects = fate->dies_on_trial && sim_below(&r, 2) == 0;
    *version = s->images[index].fw_version;
    s->result.bytes += s->images[index].size_bytes;
    return s->images[index].size_bytes;
}

static void node_confirmed(struct sim_world *w, struct sim_node *n, const char *version)
{
    struct sim *s = (struct sim *)w;
    for (unsigned i = 0; i < s->image_count; i++)
        if (strcmp(s->images[i].fw_version, version) == 0)
            s->truths[n->index].confirmed |= 1u << i;
}

static bool broker_is_reachable(struct sim_world *w)
{
    return ((struct sim *)w)->broker_back_at == 0;
}

/* --- nodes ------------------------------------------------------------------------------------ */

/* After anything that happened to a node: when it wants to be woken next. */
static void arrange_wake(struct sim *s, struct sim_node *n)
{
    int64_t next = sim_node_next(n), planned = s->truths[n->index].wakes_at;
    if (next > 0 && next <= s->now)
        next = s->now + 1;
    if (next == 0 || (planned > s->now && planned <= next))
        return;
    s->truths[n->index].wakes_at = next;
    sim_put(s, (struct sim_event){.at_ms = next, .kind = SIM_WAKE, .node = n->index, .ticket = ++n->wake});
}

static int64_t around(struct sim *s, int64_t mean)
{
    return s->now + 1 + sim_below(&s->random, 2 * mean);
}

static enum err make_node(struct sim *s, unsigned i, struct why *why)
{
    struct sim_node *n = &s->nodes[i];
    struct node row;
    char id[24];
    snprintf(id, sizeof id, "sim-%07u", i);
    sim_node_init(n, i, id, "1.0", &s->options, sim_next(&s->random));
    text_copy(n->platform, sizeof n->platform, "esp32c3");
    snprintf(n->model, sizeof n->model, "m%u", i % 3);
    if (i % 8 != 7) /* some tell none */
        snprintf(n->network_id, sizeof n->network_id, "%08X", i % s->config.networks);
    n->bytes_per_s = s->config.node_bytes_per_s / 2 + sim_below(&s->random, s->config.node_bytes_per_s);
    n->clock_skew_s = s->config.is_wild && i % 10 == 9 ? -SIM_EPOCH_S : 0;
    enum err err = fleet_node_add(&s->fleet, id, sim_server_now(s), &row, why);
    if (!sim_chance(&s->random, s->config.offline)) {
        n->boot_at = 1 + sim_below(&s->random, s->config.is_wild ? HOUR : 60000);
        arrange_wake(s, n);
    }
    if (s->config.away_ms > 0)
        sim_put(s, (struct sim_event){.at_ms = around(s, s->config.away_ms), .kind = SIM_AWAY, .node = i});
    if (s->config.power_cut_ms > 0)
        sim_put(s, (struct sim_event){.at_ms = around(s, s->config.power_cut_ms), .kind = SIM_POWER, .node = i});
    return err;
}

static void cut_power(struct sim *s, struct sim_node *n)
{
    if (n->is_on) {
        s->result.power_cuts++;
        if (sim_below(&s->random, 2) == 0)
            sim_node_power_off(n, &s->world, s->now, s->now + sim_between(&s->random, 1000, HOUR));
        else
            n->cut_after = sim_below(&s->random, 6); /* in the middle of what it does next */
    }
    sim_put(s, (struct sim_event){.at_ms = around(s, s->config.power_cut_ms), .kind = SIM_POWER, .node = n->index});
}

/* --- broker and server ------------------------------------------------------------------------ */

static void stop_broker(struct sim *s)
{
    s->result.broker_restarts++;
    s->broker_back_at = s->now + sim_between(&s->random, 1000, HOUR / 2);
    for (unsigned i = 0; i < s->config.nodes; i++) {
        sim_node_disconnect(&s->nodes[i], &s->world, s->now, s->now + sim_between(&s->random, 10000, 40000));
        arrange_wake(s, &s->nodes[i]);
    }
    sim_put(s, (struct sim_event){.at_ms = s->broker_back_at, .kind = SIM_BROKER_BACK});
}

static void stop_server(struct sim *s)
{
    s->result.server_restarts++;
    fleet_deinit(&s->fleet);
    s->server_back_at = s->now + sim_between(&s->random, 100, HOUR / 2);
    sim_put(s, (struct sim_event){.at_ms = s->server_back_at, .kind = SIM_SERVER_BACK});
}

/* What it had committed is all that it knows when it is back; what nodes said in between it never hears. */
void sim_server_crashes(struct sim *s)
{
    int64_t last = 0;
    s->result.server_restarts++;
    fleet_deinit(&s->fleet);
    s->store = s->config.reopen(s->config.opener);
    if (s->store == NULL) {
        sim_violated(s, "the store cannot be opened again");
        return;
    }
    fleet_init(&s->fleet, s->store, &s->entropy.port, s->config.log, NULL);
    s->fleet.policy = s->config.policy;
    fleet_event_last(&s->fleet, &last, NULL);
    if (last < s->last_event)
        sim_violated(s, "S7: event %lld was committed and is lost", (long long)s->last_event);
    s->server_back_at = s->now + sim_between(&s->random, 100, 20000);
    sim_put(s, (struct sim_event){.at_ms = s->server_back_at, .kind = SIM_SERVER_BACK});
}

static void start_server(struct sim *s)
{
    s->server_back_at = 0;
    fleet_init(&s->fleet, s->store, &s->entropy.port, s->config.log, NULL);
    s->fleet.policy = s->config.policy;
    fleet_start(&s->fleet, 0, sim_server_now(s), NULL);
    sim_tick_later(s, s->now);
}

static void broker_back(struct sim *s)
{
    s->broker_back_at = 0;
    if (s->server_back_at == 0)
        fleet_start(&s->fleet, 0, sim_server_now(s), NULL);
    sim_put(s, (struct sim_event){.at_ms = around(s, s->config.broker_down_ms), .kind = SIM_BROKER_STOPS});
}

/* --- one event -------------------------------------------------------------------------------- */

static bool is_server_up(const struct sim *s)
{
    return s->server_back_at == 0 && s->broker_back_at == 0;
}

static void at_node(struct sim *s, const struct sim_event *e, struct sim_node *n)
{
    switch (e->kind) {
    case SIM_WAKE:
        if (e->ticket != n->wake)
            return; /* another wake has taken its place */
        s->truths[n->index].wakes_at = 0;
        sim_node_wake(n, &s->world, s->now);
        break;
    case SIM_TO_NODE:
        if (n->is_connected)
            sim_node_document(n, &s->world, s->now, e->text);
        break;
    case SIM_ACK:
        if (n->life == e->ticket)
            sim_node_acknowledged(n, &s->world, s->now, e->value);
        break;
    case SIM_AWAY:
        sim_node_disconnect(n, &s->world, s->now, s->now + sim_between(&s->random, 1000, HOUR));
        sim_put(s, (struct sim_event){.at_ms = around(s, s->config.away_ms), .kind = SIM_AWAY, .node = n->index});
        break;
    case SIM_POWER:
        cut_power(s, n);
        break;
    default:
        break;
    }
    arrange_wake(s, n);
}

static void tell_log(struct sim *s, const struct sim_event *e)
{
    static const char *const kinds[] = {"wake",         "to-server",   "to-node",      "ack",        "listens",
                                        "gone",         "away",        "power",        "tick",       "person",
                                        "broker-stops", "broker-back", "server-stops", "server-back"};
    if (e->kind != SIM_WAKE && e->kind != SIM_TICK && e->kind != SIM_ACK)
        log_line(s->config.log, LOG_DEBUG, "sim", "%.3f %s node=%u %s", (double)s->now / 1000, kinds[e->kind], e->node,
                 e->text ? e->text : "");
}

static void happen(struct sim *s, const struct sim_event *e)
{
    tell_log(s, e);
    switch (e->kind) {
    case SIM_TO_SERVER:
        if (is_server_up(s))
            sim_server_takes(s, &s->nodes[e->node], (enum topic_kind)e->value, e->text);
        break;
    case SIM_LISTENS:
        if (is_server_up(s) && s->nodes[e->node].life == e->ticket && s->nodes[e->node].is_connected)
            sim_server_notices(s, &s->nodes[e->node], true);
        break;
    case SIM_GONE:
        /* A node that is back has a new connection; the end of its old one is no news. */
        if (is_server_up(s) && !s->nodes[e->node].is_connected)
            sim_server_notices(s, &s->nodes[e->node], false);
        break;
    case SIM_TICK:
        if (s->server_back_at == 0 && e->ticket == s->tick)
            sim_server_ticks(s);
        break;
    case SIM_PERSON:
        sim_person_acts(s);
        break;
    case SIM_BROKER_STOPS:
        stop_broker(s);
        break;
    case SIM_BROKER_BACK:
        broker_back(s);
        break;
    case SIM_SERVER_STOPS:
        stop_server(s);
        break;
    case SIM_SERVER_BACK:
        fleet_deinit(&s->fleet);
        start_server(s);
        if (s->config.server_down_ms > 0)
            sim_put(s, (struct sim_event){.at_ms = around(s, s->config.server_down_ms), .kind = SIM_SERVER_STOPS});
        break;
    default:
        at_node(s, e, &s->nodes[e->node]);
        break;
    }
}

/* --- a run ------------------------------------------------------------------------------------ */

static void fill_entropy(struct entropy *e, void *to, unsigned len)
{
    struct sim_entropy *own = (struct sim_entropy *)e;
    uint8_t *at = to;
    for (unsigned i = 0; i < len; i++)
        at[i] = (uint8_t)sim_next(&own->random);
}

enum err sim_new(struct sim **sim, const struct sim_config *config, struct fleet_store *store, struct why *why)
{
    struct sim *s = calloc(1, sizeof *s);
    if (s == NULL || (s->nodes = calloc(config->nodes, sizeof *s->nodes)) == NULL ||
        (s->truths = calloc(config->nodes, sizeof *s->truths)) == NULL) {
        sim_free(s);
        return why_set(why, ERR_NO_MEMORY, "no memory for %u nodes", config->nodes);
    }
    s->world =
        (struct sim_world){node_publishes, node_listens, node_leaves, look_up, node_confirmed, broker_is_reachable};
    s->config = *config;
    s->random.state = config->seed;
    s->entropy = (struct sim_entropy){{fill_entropy}, {config->seed ^ 0x5eed}};
    s->store = store;
    s->result.hash = 14695981039346656037u;
    s->options = ota_options_default;
    s->options.autofetch_period_ms = config->fetch_period_ms;
    fleet_init(&s->fleet, store, &s->entropy.port, config->log, NULL);
    s->fleet.policy = config->policy;
    enum err err = fleet_start(&s->fleet, 0, sim_server_now(s), why);
    for (unsigned i = 0; err == ERR_NONE && i < config->nodes; i++)
        err = make_node(s, i, why);
    if (err == ERR_NONE)
        err = sim_prepare(s, why);
    if (err != ERR_NONE) {
        sim_free(s);
        return err;
    }
    if (config->broker_down_ms > 0)
        sim_put(s, (struct sim_event){.at_ms = around(s, config->broker_down_ms), .kind = SIM_BROKER_STOPS});
    if (config->server_down_ms > 0)
        sim_put(s, (struct sim_event){.at_ms = around(s, config->server_down_ms), .kind = SIM_SERVER_STOPS});
    sim_tick_later(s, 1);
    *sim = s;
    return ERR_NONE;
}

enum err sim_run(struct sim *s, struct why *why)
{
    struct sim_event e;
    while (!s->result.violation[0] && !(s->config.ends_early && s->is_over && s->server_back_at == 0) &&
           sim_queue_take(&s->queue, &e)) {
        if (e.at_ms > s->config.duration_ms) {
            free(e.text);
            break;
        }
        s->now = e.at_ms;
        s->result.steps++;
        sim_mix(s, &e.at_ms, sizeof e.at_ms);
        sim_mix(s, &e.kind, sizeof e.kind);
        sim_mix(s, &e.node, sizeof e.node);
        if (e.text != NULL)
            sim_mix(s, e.text, strlen(e.text));
        happen(s, &e);
        free(e.text);
    }
    s->result.now_ms = s->now;
    sim_check_end(s);
    return s->result.violation[0]
               ? why_set(why, ERR_JOB_FAILED, "seed %llu, after %llu steps: %s", (unsigned long long)s->config.seed,
                         (unsigned long long)s->result.steps, s->result.violation)
               : ERR_NONE;
}

const struct sim_result *sim_result(const struct sim *sim)
{
    return &sim->result;
}

void sim_free(struct sim *s)
{
    if (s == NULL)
        return;
    fleet_deinit(&s->fleet);
    sim_queue_free(&s->queue);
    free(s->nodes);
    free(s->truths);
    free(s);
}
