#include "link/link.h"

#include "base/text.h"
#include "codec/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const link_subscriptions[] = {
    "node/+/config",
    "node/+/params/local",
    "node/+/params/local/init",
    "node/+/user/mapping",
    "node/+/otafetch",
    "node/+/otastatus",
    "node/+/from-node",
    /* A broker without our plugin leaves the basic-ingest form as it is. */
    "$aws/rules/+/node/+/config",
    "$aws/rules/+/node/+/params/local",
    "$aws/rules/+/node/+/params/local/init",
    "$aws/rules/+/node/+/user/mapping",
    "$aws/rules/+/node/+/otafetch",
    "$aws/rules/+/node/+/otastatus",
    "$aws/rules/+/node/+/from-node",
    "$aws/things/+/streams/+/get/+",
    TOPIC_THINGS_PLAIN "+/streams/+/get/+",
    /* What other brokers tell of their clients. */
    "$aws/events/subscriptions/subscribed/+",
    "$aws/events/presence/+/+",
    "$SYS/brokers/+/clients/+/connected",
    "$SYS/brokers/+/clients/+/disconnected",
    TOPIC_NOTICES,
    NULL,
};

void link_init(struct link *l, struct fleet *fleet, struct bus *bus, struct link_urls *urls, struct blob_store *blob,
               struct log *log)
{
    memset(l, 0, sizeof *l);
    l->fleet = fleet;
    l->bus = bus;
    l->urls = urls;
    l->log = log;
    streams_init(&l->streams, fleet, blob, bus, log);
}

static void forget_first(struct link *l, unsigned messages, unsigned rows);

void link_deinit(struct link *l)
{
    streams_deinit(&l->streams);
    forget_first(l, l->waiting_count, l->done_count);
}

/* --- from nodes ------------------------------------------------------------------------------- */

static enum err take_config(struct fleet *f, struct link *l, const char *node_id, struct bytes payload, time_ms now,
                            struct why *why)
{
    (void)l;
    return fleet_on_config(f, node_id, payload, now, why);
}

static enum err take_fetch(struct fleet *f, struct link *l, const char *node_id, struct bytes payload, time_ms now,
                           struct why *why)
{
    struct fetch_message m;
    (void)l;
    enum err err = fetch_message_read(&m, payload, why);
    return err ? err : fleet_on_fetch(f, node_id, &m, now, why);
}

static enum err take_report(struct fleet *f, struct link *l, const char *node_id, struct bytes payload, time_ms now,
                            struct why *why)
{
    struct status_report r;
    enum err err = status_report_read(&r, payload, why);
    if (err != ERR_NONE)
        return err;
    if (r.is_salvaged)
        log_line(l->log, LOG_INFO, "link",
                 "node=%s sent a report of %zu bytes that is cut off; job and status were recovered", node_id,
                 payload.len);
    err = fleet_on_report(f, node_id, &r, now, why);
    /* It was kept; a node on MQTT cannot be told. */
    return err == ERR_JOB_OVER || err == ERR_JOB_FINISHED ? ERR_NONE : err;
}

static enum err take_params(struct fleet *f, struct link *l, const char *node_id, struct bytes payload, time_ms now,
                            struct why *why)
{
    (void)l;
    return fleet_on_params(f, node_id, payload, false, now, why);
}

static enum err take_all_params(struct fleet *f, struct link *l, const char *node_id, struct bytes payload, time_ms now,
                                struct why *why)
{
    (void)l;
    return fleet_on_params(f, node_id, payload, true, now, why);
}

static enum err take_mapping(struct fleet *f, struct link *l, const char *node_id, struct bytes payload, time_ms now,
                             struct why *why)
{
    (void)l;
    return fleet_on_mapping(f, node_id, payload, now, why);
}

static enum err take_command(struct fleet *f, struct link *l, const char *node_id, struct bytes payload, time_ms now,
                             struct why *why)
{
    struct command c;
    (void)l;
    enum err err = command_read(&c, payload, why);
    return err ? err : fleet_on_command(f, node_id, &c, now, why);
}

static enum err (*const takers[TOPIC_COUNT])(struct fleet *, struct link *, const char *, struct bytes, time_ms,
                                             struct why *) = {
    [TOPIC_CONFIG] = take_config,        [TOPIC_PARAMS_LOCAL] = take_params, [TOPIC_PARAMS_INIT] = take_all_params,
    [TOPIC_USER_MAPPING] = take_mapping, [TOPIC_OTAFETCH] = take_fetch,      [TOPIC_OTASTATUS] = take_report,
    [TOPIC_FROM_NODE] = take_command,
};

#define SIMULATED_PAGE 100

/* The nodes that a simulator spoke for go with it. */
static enum err end_simulator(struct fleet *f, unsigned broker, const char *simulator, time_ms now, struct why *why)
{
    struct node *page = calloc(SIMULATED_PAGE, sizeof *page);
    char after[NODE_ID_SIZE + 1];
    unsigned count;
    bool has_more = true;
    enum err err = page ? ERR_NONE : why_set(why, ERR_NO_MEMORY, "no memory");
    snprintf(after, sizeof after, "%s-", simulator);
    while (err == ERR_NONE && has_more) {
        err = fleet_node_list(f, after, page, SIMULATED_PAGE, &count, why);
        has_more = err == ERR_NONE && count == SIMULATED_PAGE;
        for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
            text_copy(after, sizeof after, page[i].id);
            if (!simulator_speaks_for(simulator, page[i].id))
                has_more = false;
            else if (page[i].is_online)
                err = fleet_on_presence(f, broker, page[i].id, false, now, why);
        }
    }
    free(page);
    return err;
}

/* "<ms> <address>": when the broker saw it, which may be a while before it came to us, and perhaps another order. */
static time_ms read_notice(const struct link_message *m, char address[ADDRESS_SIZE])
{
    char text[ADDRESS_SIZE + 24], *end;
    text_copy_field(text, sizeof text, m->payload.at, m->payload.len < sizeof text ? m->payload.len : 0);
    time_ms at = strtoll(text, &end, 10);
    bool has_time = end != text && (*end == ' ' || *end == '\0') && at > 0 && at <= m->at;
    text_copy(address, ADDRESS_SIZE, has_time ? end + (*end == ' ') : text);
    return has_time ? at : m->at;
}

static enum err take_notice(struct fleet *f, const struct link_message *m, struct why *why)
{
    char node_id[NODE_ID_SIZE], address[ADDRESS_SIZE];
    const char *notice = topic_notice(m->topic, node_id);
    time_ms at = read_notice(m, address);
    if (strcmp(notice, TOPIC_NOTICE_SUBSCRIBED) == 0)
        return fleet_on_subscribed(f, m->broker, node_id, *address == '{' ? "" : address, at, why);
    if (strcmp(notice, TOPIC_NOTICE_CONNECTED) == 0)
        return fleet_on_presence(f, m->broker, node_id, true, at, why);
    return simulator_is_name(node_id) ? end_simulator(f, m->broker, node_id, at, why)
                                      : fleet_on_presence(f, m->broker, node_id, false, at, why);
}

static enum err take(struct fleet *f, struct link *l, const struct link_message *m, struct why *why)
{
    struct topic topic;
    char node_id[NODE_ID_SIZE];
    if (topic_notice(m->topic, node_id) != NULL)
        return take_notice(f, m, why);
    if (!topic_parse(&topic, m->topic) || takers[topic.kind] == NULL)
        return why_set(why, ERR_FORMAT, "no one listens to this topic");
    return takers[topic.kind](f, l, topic.node_id, m->payload, m->at, why);
}

/* Hands over the first `count` of what waits; how many were. */
static unsigned take_each(struct fleet *f, struct link *l, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct why why = {{0}};
        enum err err = take(f, l, &l->waiting[i], &why);
        if (err == ERR_STORE_AWAY)
            return i;
        if (err != ERR_NONE && err != ERR_BUSY)
            log_line(l->log, LOG_WARN, "link", "ignored a message on %.150s: %s", l->waiting[i].topic,
                     why_text(&why, err));
    }
    return count;
}

/* The same for rows that were sent. */
static unsigned take_done(struct fleet *f, struct link *l)
{
    for (unsigned i = 0; i < l->done_count; i++) {
        struct why why = {{0}};
        enum err err = fleet_outbox_done(f, l->done[i], &why);
        if (err == ERR_STORE_AWAY)
            return i;
        if (err != ERR_NONE && err != ERR_BUSY)
            log_line(l->log, LOG_ERROR, "link", "outbox: %s", why_text(&why, err));
    }
    return l->done_count;
}

static bool has_in_flight(const struct link *l)
{
    for (int i = 0; i < LINK_IN_FLIGHT; i++)
        if (l->in_flight[i].is_used)
            return true;
    return false;
}

static void expect(struct fleet_batch *batch, const struct link *l, unsigned count)
{
    char ids[LINK_BATCH][NODE_ID_SIZE];
    const char *list[LINK_BATCH];
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        struct topic topic;
        bool is_parsed = topic_notice(l->waiting[i].topic, ids[n]) != NULL;
        if (!is_parsed && (is_parsed = topic_parse(&topic, l->waiting[i].topic)))
            text_copy(ids[n], sizeof ids[n], topic.node_id);
        list[n] = ids[n];
        n += is_parsed;
    }
    if (n > 0)
        fleet_batch_expect(batch, list, n, NULL);
}

static void forget_first(struct link *l, unsigned messages, unsigned rows)
{
    for (unsigned i = 0; i < messages; i++)
        free(l->waiting[i].topic);
    l->waiting_count -= messages;
    memmove(l->waiting, l->waiting + messages, l->waiting_count * sizeof l->waiting[0]);
    l->done_count -= rows;
    memmove(l->done, l->done + rows, l->done_count * sizeof l->done[0]);
}

/* A batch of what waits.  False when the store is away. */
static bool write_batch(struct link *l)
{
    struct fleet_batch batch;
    struct why why = {{0}};
    unsigned count = l->waiting_count < LINK_BATCH ? l->waiting_count : LINK_BATCH, rows = l->done_count;
    enum err err = fleet_batch_begin(&batch, l->fleet, &why);
    if (err == ERR_NONE) {
        expect(&batch, l, count);
        take_each(&batch.fleet, l, count);
        take_done(&batch.fleet, l);
        err = fleet_batch_end(&batch, &why);
    }
    if (err != ERR_NONE && err != ERR_STORE_AWAY) {
        unsigned taken = take_each(l->fleet, l, count);
        bool is_away = taken < count;
        rows = is_away ? 0 : take_done(l->fleet, l);
        err = is_away || rows < l->done_count ? ERR_STORE_AWAY : ERR_NONE;
        count = taken;
    } else if (err == ERR_STORE_AWAY)
        count = rows = 0;
    if (err == ERR_STORE_AWAY && !l->is_store_away)
        log_line(l->log, LOG_WARN, "link", "what nodes say waits: %s", why_text(&why, err));
    l->is_store_away = err == ERR_STORE_AWAY;
    forget_first(l, count, rows);
    return err != ERR_STORE_AWAY;
}

static void write_waiting(struct link *l)
{
    while (l->waiting_count > 0 || l->done_count > 0)
        if (!write_batch(l))
            return;
}

void link_flush(struct link *l)
{
    /* Rows that were sent go together: until then a crash sends them again, as it does with what is in flight. */
    if (l->waiting_count > 0 || l->done_count >= LINK_BATCH / 2 || (l->done_count > 0 && !has_in_flight(l)))
        write_waiting(l);
}

bool link_is_full(const struct link *l)
{
    return l->waiting_count >= LINK_WAITING / 2;
}

void link_receive(struct link *l, unsigned broker, const char *topic, struct bytes payload, time_ms now)
{
    size_t len = strlen(topic) + 1;
    if (streams_receive(&l->streams, broker, topic, payload, now))
        return;
    bool has_room = l->waiting_count < LINK_WAITING;
    char *copy = payload.len <= MESSAGE_MAX && has_room ? malloc(len + payload.len) : NULL;
    if (copy == NULL) {
        log_line(l->log, LOG_WARN, "link", "ignored a message on %.150s: %zu bytes, at most %d are read%s", topic,
                 payload.len, MESSAGE_MAX, has_room ? "" : "; too many wait");
        return;
    }
    memcpy(copy, topic, len);
    if (payload.len > 0)
        memcpy(copy + len, payload.at, payload.len);
    l->waiting[l->waiting_count++] = (struct link_message){copy, bytes_of(copy + len, payload.len), now, broker};
    if (l->waiting_count >= LINK_BATCH && !l->is_store_away)
        link_flush(l);
}

/* --- to nodes --------------------------------------------------------------------------------- */

static unsigned free_places(const struct link *l)
{
    unsigned n = 0;
    for (int i = 0; i < LINK_IN_FLIGHT; i++)
        n += !l->in_flight[i].is_used;
    return n;
}

static int free_place(const struct link *l)
{
    for (int i = 0; i < LINK_IN_FLIGHT; i++)
        if (!l->in_flight[i].is_used)
            return i;
    return -1;
}

/* Room is left by link_drain. */
static void is_done(struct link *l, int64_t row)
{
    l->done[l->done_count++] = row;
}

/* It was sent already; its row is only not gone yet. */
static bool is_pending(const struct link *l, int64_t row)
{
    for (int i = 0; i < LINK_IN_FLIGHT; i++)
        if (l->in_flight[i].is_used && l->in_flight[i].row == row)
            return true;
    for (unsigned i = 0; i < l->done_count; i++)
        if (l->done[i] == row)
            return true;
    return false;
}

static enum err spell(struct link *l, const struct outgoing *o, time_ms now, struct buf *to, struct why *why)
{
    struct job_document doc = {.file_size = o->image.size_bytes, .metadata = NULL};
    char metadata[METADATA_MAX + 1];
    text_copy(doc.job_id, sizeof doc.job_id, o->row.job_id);
    text_copy(doc.fw_version, sizeof doc.fw_version, o->image.fw_version);
    text_copy(doc.file_md5, sizeof doc.file_md5, o->image.md5);
    if (strlen(o->row.node_id) + strlen(o->row.job_id) <= STREAM_IDS_MAX && o->image.size_bytes <= STREAM_FILE_MAX)
        text_copy(doc.stream_id, sizeof doc.stream_id, o->row.job_id);
    l->urls->image_url(l->urls, &o->image, now, doc.url, sizeof doc.url);
    if (o->text[0]) {
        text_copy(metadata, sizeof metadata, o->text);
        doc.metadata = metadata;
    }
    return job_document_write(to, &doc, why);
}

/* Messages of bytes wait as hex. */
static enum err spell_bytes(const char *hex, struct buf *to, struct why *why)
{
    uint8_t bytes[METADATA_MAX / 2];
    size_t len;
    if (strlen(hex) > 2 * sizeof bytes || !hex_decode(bytes, &len, bytes_of_text(hex)))
        return why_set(why, ERR_FORMAT, "the message is no hex");
    buf_add(to, bytes, len);
    return ERR_NONE;
}

static enum bus_sent send(struct link *l, const struct outgoing *o, int place, time_ms now)
{
    struct buf payload = {0};
    struct why why = {{0}};
    char topic[TOPIC_SIZE];
    int message_id = 0;
    enum err err = ERR_NONE;
    if (o->row.topic == TOPIC_OTAURL)
        err = spell(l, o, now, &payload, &why);
    else if (o->row.topic == TOPIC_TO_NODE)
        err = spell_bytes(o->text, &payload, &why);
    else
        buf_add(&payload, o->text, strlen(o->text));
    if (err == ERR_NONE && payload.is_failed)
        err = why_set(&why, ERR_NO_MEMORY, "no memory");
    if (err == ERR_NONE && !topic_write(topic, sizeof topic, o->row.topic, o->row.node_id, TOPIC_PLAIN))
        err = why_set(&why, ERR_TOO_BIG, "topic is too long");
    if (err != ERR_NONE) {
        log_line(l->log, LOG_ERROR, "link", "node=%s job=%s cannot be sent: %s", o->row.node_id, o->row.job_id,
                 why_text(&why, err));
        is_done(l, o->row.id);
        buf_deinit(&payload);
        return BUS_SENT;
    }
    enum bus_sent sent = l->bus->publish(l->bus, o->broker, topic, buf_bytes(&payload), &message_id);
    buf_deinit(&payload);
    if (sent == BUS_SENT) {
        l->in_flight[place].row = o->row.id;
        l->in_flight[place].message_id = message_id;
        l->in_flight[place].broker = o->broker;
        l->in_flight[place].is_used = true;
    }
    return sent;
}

static void drop(struct link *l, const struct outbox_row *row, time_ms now)
{
    struct why why = {{0}};
    enum err err = fleet_outbox_drop(l->fleet, row, now, &why);
    if (err != ERR_NONE)
        log_line(l->log, LOG_ERROR, "link", "outbox: %s", why_text(&why, err));
}

void link_send_blocks(struct link *l)
{
    streams_send(&l->streams);
}

bool link_drain(struct link *l, time_ms now)
{
    streams_send(&l->streams);
    struct why why = {{0}};
    unsigned count = 0, max = 0;
    bool is_more = false;
    /* Rows are looked at when many of them can go, not each time that one can. */
    if (free_places(l) < LINK_IN_FLIGHT / 4)
        return true;
    while (!is_more && count == max && l->done_count < LINK_BATCH) {
        unsigned room = free_places(l);
        if (room == 0 || !fleet_outbox_is_ours(l->fleet))
            return true;
        max = room < LINK_DRAIN ? room : LINK_DRAIN;
        enum err err = fleet_outbox_list(l->fleet, l->drained, l->draining, max, &count, &why);
        if (err != ERR_NONE) {
            if (err != ERR_STORE_AWAY)
                log_line(l->log, LOG_ERROR, "link", "outbox: %s", why_text(&why, err));
            return err == ERR_STORE_AWAY; /* it will be there again */
        }
        for (unsigned i = 0; i < count && !is_more; i++) {
            const struct outgoing *o = &l->draining[i];
            int place = free_place(l);
            if (is_pending(l, o->row.id))
                ;
            else if (o->is_stale)
                drop(l, &o->row, now);
            else /* what is for a broker that is away stays, and holds up nobody */
                is_more = place < 0 || l->done_count >= LINK_BATCH || send(l, o, place, now) == BUS_FULL;
            if (!is_more)
                l->drained = o->row.id;
        }
    }
    return is_more || l->done_count >= LINK_BATCH;
}

void link_acknowledged(struct link *l, unsigned broker, int message_id)
{
    if (streams_acknowledged(&l->streams, broker, message_id))
        return;
    for (int i = 0; i < LINK_IN_FLIGHT; i++)
        if (l->in_flight[i].is_used && l->in_flight[i].broker == broker && l->in_flight[i].message_id == message_id) {
            is_done(l, l->in_flight[i].row);
            l->in_flight[i].is_used = false;
        }
}

void link_connected(struct link *l)
{
    l->drained = 0;
}

void link_disconnected(struct link *l, unsigned broker)
{
    write_waiting(l); /* what the broker has must not be sent again */
    streams_disconnected(&l->streams, broker);
    for (int i = 0; i < LINK_IN_FLIGHT; i++)
        if (l->in_flight[i].broker == broker)
            l->in_flight[i].is_used = false;
    l->drained = 0;
}
