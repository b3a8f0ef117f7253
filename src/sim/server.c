/* The server's side: messages become fleet calls, outbox rows become messages. */
#include "sim/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define TICK_LEAST 20 /* ms between two ticks */

void sim_tick_later(struct sim *s, int64_t at)
{
    s->tick++;
    sim_put(s, (struct sim_event){
                   .at_ms = at > s->now + TICK_LEAST ? at : s->now + TICK_LEAST, .kind = SIM_TICK, .ticket = s->tick});
}

static void send_document(struct sim *s, const struct outgoing *o)
{
    struct job_document doc = {.file_size = o->image.size_bytes};
    struct buf text = {0};
    unsigned image = 0, node = 0;
    while (image + 1 < s->image_count && strcmp(s->images[image].id, o->image.id) != 0)
        image++;
    for (unsigned i = 0; i < s->job_count; i++)
        if (s->jobs[i].is_stopped && strcmp(s->jobs[i].job.id, o->row.job_id) == 0)
            sim_violated(s, "S3: a document of %s goes to %s after the job was stopped", s->jobs[i].job.name,
                         o->row.node_id);
    text_copy(doc.job_id, sizeof doc.job_id, o->row.job_id);
    text_copy(doc.fw_version, sizeof doc.fw_version, o->image.fw_version);
    snprintf(doc.url, sizeof doc.url, "https://images/%u", image);
    if (job_document_write(&text, &doc, NULL) != ERR_NONE || sscanf(o->row.node_id, "sim-%u", &node) != 1) {
        buf_deinit(&text);
        sim_violated(s, "a document for %s cannot be written", o->row.node_id);
        return;
    }
    s->result.documents++;
    sim_put(s,
            (struct sim_event){.at_ms = s->now + s->config.latency_ms + sim_below(&s->random, s->config.jitter_ms + 1),
                               .kind = SIM_TO_NODE,
                               .node = node,
                               .text = strndup(text.at, text.len)});
    buf_deinit(&text);
}

/* Whether a call's failure was a crash, which is then on its way. */
static bool has_crashed(struct sim *s, enum err err)
{
    if (err != ERR_STORE || s->config.reopen == NULL || s->server_back_at != 0)
        return err == ERR_STORE;
    sim_server_crashes(s);
    return true;
}

static void drain(struct sim *s)
{
    static const unsigned max = 8;
    struct outgoing page[8];
    unsigned count = max;
    if (s->broker_back_at != 0)
        return;
    while (count == max && !s->result.violation[0]) {
        enum err err = fleet_outbox_list(&s->fleet, 0, page, max, &count, NULL);
        for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
            if (page[i].is_stale) {
                err = fleet_outbox_drop(&s->fleet, &page[i].row, sim_server_now(s), NULL);
                continue;
            }
            send_document(s, &page[i]);
            err = fleet_outbox_done(&s->fleet, page[i].row.id, NULL);
        }
        if (has_crashed(s, err) || err != ERR_NONE)
            return;
    }
}

/* A story's outbox is emptied late at times: what was decided in between has to count. */
static void stepped(struct sim *s)
{
    sim_check_step(s);
    if (!s->config.is_wild || sim_below(&s->random, 3) > 0)
        drain(s);
}

static enum err take(struct sim *s, struct sim_node *n, enum topic_kind topic, struct bytes payload, struct why *why)
{
    struct fetch_message fetch;
    struct status_report r;
    enum err err;
    switch (topic) {
    case TOPIC_CONFIG:
        return fleet_on_config(&s->fleet, n->id, payload, sim_server_now(s), why);
    case TOPIC_OTAFETCH:
        err = fetch_message_read(&fetch, payload, why);
        return err ? err : fleet_on_fetch(&s->fleet, n->id, &fetch, sim_server_now(s), why);
    case TOPIC_OTASTATUS:
        err = status_report_read(&r, payload, why);
        return err ? err : fleet_on_report(&s->fleet, n->id, &r, sim_server_now(s), why);
    default:
        return ERR_NONE;
    }
}

void sim_server_takes(struct sim *s, struct sim_node *n, enum topic_kind topic, const char *payload)
{
    struct why why = {{0}};
    enum err err = take(s, n, topic, bytes_of_text(payload), &why);
    if (s->config.reopen != NULL && has_crashed(s, err))
        return;
    if (err == ERR_STORE || err == ERR_NO_MEMORY || err == ERR_FORMAT)
        sim_violated(s, "%s of %s: %s", payload, n->id, why.text);
    stepped(s);
}

void sim_server_notices(struct sim *s, struct sim_node *n, bool is_listening)
{
    enum err err = is_listening ? fleet_on_subscribed(&s->fleet, 0, n->id, NULL, sim_server_now(s), NULL)
                                : fleet_on_presence(&s->fleet, 0, n->id, false, sim_server_now(s), NULL);
    if (!has_crashed(s, err))
        stepped(s);
}

void sim_server_ticks(struct sim *s)
{
    time_ms next = 0;
    struct why why = {{0}};
    enum err err = fleet_tick(&s->fleet, sim_server_now(s), &next, &why);
    if (s->config.reopen != NULL && has_crashed(s, err))
        return;
    if (err != ERR_NONE)
        sim_violated(s, "tick: %s", why.text);
    stepped(s);
    sim_tick_later(s, next - (time_ms)SIM_EPOCH_S * 1000);
}
