#include "link/link.h"

#include "base/text.h"

#include <string.h>

const char *const link_subscriptions[] = {
    "node/+/config",
    "node/+/otafetch",
    "node/+/otastatus",
    /* A broker without our plugin leaves the basic-ingest form as it is. */
    "$aws/rules/+/node/+/config",
    "$aws/rules/+/node/+/otafetch",
    "$aws/rules/+/node/+/otastatus",
    TOPIC_NOTICE_PREFIX "+/+",
    NULL,
};

void link_init(struct link *l, struct fleet *fleet, struct bus *bus, struct link_urls *urls, struct log *log)
{
    *l = (struct link){.fleet = fleet, .bus = bus, .urls = urls, .log = log};
}

/* --- from nodes ------------------------------------------------------------------------------- */

static enum err take_config(struct link *l, const char *node_id, struct bytes payload, time_ms now, struct why *why)
{
    return fleet_on_config(l->fleet, node_id, payload, now, why);
}

static enum err take_fetch(struct link *l, const char *node_id, struct bytes payload, time_ms now, struct why *why)
{
    struct fetch_message m;
    enum err err = fetch_message_read(&m, payload, why);
    return err ? err : fleet_on_fetch(l->fleet, node_id, &m, now, why);
}

static enum err take_report(struct link *l, const char *node_id, struct bytes payload, time_ms now, struct why *why)
{
    struct status_report r;
    enum err err = status_report_read(&r, payload, why);
    if (err != ERR_NONE)
        return err;
    if (r.is_salvaged)
        log_line(l->log, LOG_INFO, "link",
                 "node=%s sent a report of %zu bytes that is cut off; job and status were recovered", node_id,
                 payload.len);
    return fleet_on_report(l->fleet, node_id, &r, now, why);
}

static enum err (*const takers[TOPIC_COUNT])(struct link *, const char *, struct bytes, time_ms, struct why *) = {
    [TOPIC_CONFIG] = take_config,
    [TOPIC_OTAFETCH] = take_fetch,
    [TOPIC_OTASTATUS] = take_report,
};

static enum err take_notice(struct link *l, const char *rest, time_ms now, struct why *why)
{
    char node_id[NODE_ID_SIZE];
    const char *slash = strchr(rest, '/');
    if (slash == NULL || (size_t)(slash - rest) >= sizeof node_id)
        return why_set(why, ERR_FORMAT, "notice %.100s is malformed", rest);
    memcpy(node_id, rest, (size_t)(slash - rest));
    node_id[slash - rest] = '\0';
    if (strcmp(slash + 1, TOPIC_NOTICE_SUBSCRIBED) == 0)
        return fleet_on_subscribed(l->fleet, node_id, now, why);
    if (strcmp(slash + 1, TOPIC_NOTICE_GONE) == 0)
        return fleet_on_presence(l->fleet, node_id, false, now, why);
    return why_set(why, ERR_FORMAT, "notice %.100s is not known", rest);
}

static enum err take(struct link *l, const char *text, struct bytes payload, time_ms now, struct why *why)
{
    struct topic topic;
    if (strncmp(text, TOPIC_NOTICE_PREFIX, strlen(TOPIC_NOTICE_PREFIX)) == 0)
        return take_notice(l, text + strlen(TOPIC_NOTICE_PREFIX), now, why);
    if (!topic_parse(&topic, text) || takers[topic.kind] == NULL)
        return why_set(why, ERR_FORMAT, "no one listens to this topic");
    if (payload.len > MESSAGE_MAX)
        return why_set(why, ERR_TOO_BIG, "%zu bytes, at most %d are read", payload.len, MESSAGE_MAX);
    return takers[topic.kind](l, topic.node_id, payload, now, why);
}

void link_receive(struct link *l, const char *topic, struct bytes payload, time_ms now)
{
    struct why why = {{0}};
    enum err err = take(l, topic, payload, now, &why);
    if (err != ERR_NONE)
        log_line(l->log, LOG_WARN, "link", "ignored a message on %.150s: %s", topic, why_text(&why, err));
}

/* --- to nodes --------------------------------------------------------------------------------- */

static int free_place(const struct link *l)
{
    for (int i = 0; i < LINK_IN_FLIGHT; i++)
        if (!l->in_flight[i].is_used)
            return i;
    return -1;
}

static bool is_in_flight(const struct link *l, int64_t row)
{
    for (int i = 0; i < LINK_IN_FLIGHT; i++)
        if (l->in_flight[i].is_used && l->in_flight[i].row == row)
            return true;
    return false;
}

static enum err spell(struct link *l, const struct outgoing *o, time_ms now, struct buf *to, struct why *why)
{
    struct job_document doc = {.file_size = o->image.size_bytes, .metadata = NULL};
    char metadata[METADATA_MAX + 1];
    text_copy(doc.job_id, sizeof doc.job_id, o->job.id);
    text_copy(doc.fw_version, sizeof doc.fw_version, o->image.fw_version);
    text_copy(doc.file_md5, sizeof doc.file_md5, o->image.md5);
    l->urls->image_url(l->urls, &o->image, now, doc.url, sizeof doc.url);
    if (o->job.metadata[0]) {
        text_copy(metadata, sizeof metadata, o->job.metadata);
        doc.metadata = metadata;
    }
    return job_document_write(to, &doc, why);
}

static bool send(struct link *l, const struct outgoing *o, int place, time_ms now)
{
    struct buf payload = {0};
    struct why why = {{0}};
    char topic[TOPIC_SIZE];
    int message_id = 0;
    enum err err = spell(l, o, now, &payload, &why);
    if (err == ERR_NONE && !topic_write(topic, sizeof topic, TOPIC_OTAURL, o->row.node_id, TOPIC_PLAIN))
        err = why_set(&why, ERR_TOO_BIG, "topic is too long");
    if (err != ERR_NONE) {
        log_line(l->log, LOG_ERROR, "link", "node=%s job=%s cannot be sent: %s", o->row.node_id, o->row.job_id,
                 why_text(&why, err));
        fleet_outbox_done(l->fleet, o->row.id, &why);
        buf_deinit(&payload);
        return true;
    }
    bool is_sent = l->bus->publish(l->bus, topic, buf_bytes(&payload), &message_id);
    buf_deinit(&payload);
    if (is_sent) {
        l->in_flight[place].row = o->row.id;
        l->in_flight[place].message_id = message_id;
        l->in_flight[place].is_used = true;
    }
    return is_sent;
}

#define DRAIN_BATCH 8

void link_drain(struct link *l, time_ms now)
{
    struct outgoing batch[DRAIN_BATCH];
    struct why why = {{0}};
    unsigned count = DRAIN_BATCH;
    for (int64_t after = 0; count == DRAIN_BATCH;) {
        enum err err = fleet_outbox_list(l->fleet, after, batch, DRAIN_BATCH, &count, &why);
        if (err != ERR_NONE) {
            log_line(l->log, LOG_ERROR, "link", "outbox: %s", why_text(&why, err));
            return;
        }
        for (unsigned i = 0; i < count; i++) {
            int place = free_place(l);
            after = batch[i].row.id;
            if (is_in_flight(l, after))
                continue;
            if (batch[i].is_stale)
                fleet_outbox_done(l->fleet, after, &why);
            else if (place < 0 || !send(l, &batch[i], place, now))
                return;
        }
    }
}

void link_acknowledged(struct link *l, int message_id)
{
    struct why why = {{0}};
    for (int i = 0; i < LINK_IN_FLIGHT; i++)
        if (l->in_flight[i].is_used && l->in_flight[i].message_id == message_id) {
            enum err err = fleet_outbox_done(l->fleet, l->in_flight[i].row, &why);
            if (err != ERR_NONE)
                log_line(l->log, LOG_ERROR, "link", "outbox: %s", why_text(&why, err));
            l->in_flight[i].is_used = false;
        }
}

void link_disconnected(struct link *l)
{
    for (int i = 0; i < LINK_IN_FLIGHT; i++)
        l->in_flight[i].is_used = false;
}
