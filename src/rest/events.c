#include "rest/inner.h"

#include <inttypes.h>
#include <stdlib.h>

#define STREAM_BATCH 50

const char *const event_kind_texts[] = {[EVENT_NODE] = "node",
                                        [EVENT_IMAGE] = "image",
                                        [EVENT_JOB] = "job",
                                        [EVENT_EXECUTION] = "execution",
                                        [EVENT_GROUP] = "group"};

static void write_event(struct json_out *out, const struct event *e)
{
    json_out_int(out, "at_ms", e->at);
    if (e->node_id[0])
        json_out_text(out, "node_id", e->node_id);
    if (e->job_id[0])
        json_out_text(out, "ota_job_id", e->job_id);
    if (e->image_id[0])
        json_out_text(out, "ota_image_id", e->image_id);
    if (e->kind == EVENT_GROUP)
        json_out_text(out, "group_id", e->info);
    else if (e->kind != EVENT_EXECUTION && e->info[0])
        json_out_text(out, "description", e->info);
    if (e->kind == EVENT_EXECUTION) {
        json_out_text(out, "state", execution_state_text(e->state));
        json_out_text(out, "status", execution_state_word(e->state));
        json_out_text(out, "additional_info", e->info);
        if (e->percent >= 0)
            json_out_int(out, "percent", e->percent);
    }
}

static void write_data(struct buf *to, const struct event *e)
{
    struct json_out out;
    json_out_init(&out, to);
    json_out_object(&out, NULL);
    write_event(&out, e);
    json_out_end_object(&out);
}

void rest_webhook_body(const struct webhook *hook, const struct event *events, unsigned count, bool is_gap,
                       struct buf *to)
{
    struct json_out out;
    json_out_init(&out, to);
    json_out_object(&out, NULL);
    json_out_text(&out, "webhook_id", hook->id);
    if (is_gap)
        json_out_bool(&out, "reset", true); /* older events are gone: load everything anew */
    json_out_array(&out, "events");
    for (unsigned i = 0; i < count; i++) {
        json_out_object(&out, NULL);
        json_out_int(&out, "id", events[i].id);
        json_out_text(&out, "event", event_kind_texts[events[i].kind]);
        write_event(&out, &events[i]);
        json_out_end_object(&out);
    }
    json_out_end_array(&out);
    json_out_end_object(&out);
}

enum err rest_stream(struct rest *rest, const struct fleet_view *view, int64_t *after, struct buf *to, struct why *why)
{
    struct event events[STREAM_BATCH];
    unsigned count = 0;
    bool is_gap = false;
    int64_t last = 0;
    struct fleet seen = *rest->fleet;
    seen.view = view;
    /* What the view hides is not looked through again: all up to here is told below. */
    enum err err = view ? fleet_event_last(&seen, &last, why) : ERR_NONE;
    if (err == ERR_NONE)
        err = fleet_events(&seen, *after, events, STREAM_BATCH, &count, &is_gap, why);
    if (err == ERR_NONE && is_gap)
        buf_add_text(to, "event: reset\ndata: {}\n\n"); /* the reader's cursor is too old: load everything anew */
    for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
        buf_addf(to, "id: %" PRId64 "\nevent: %s\ndata: ", events[i].id, event_kind_texts[events[i].kind]);
        write_data(to, &events[i]);
        buf_add_text(to, "\n\n");
        *after = events[i].id;
    }
    if (err == ERR_NONE && count < STREAM_BATCH && last > *after)
        *after = last;
    return err;
}

/* From the cursor the client names, else from now on. */
HANDLER(get_events)
{
    const char *cursor = q->header(q, "Last-Event-ID");
    if (cursor == NULL)
        cursor = query(q, "after");
    p->is_event_stream = true;
    p->type = "text/event-stream";
    if (cursor == NULL)
        return fleet_event_last(rest->fleet, &p->stream_after, why);
    char *end;
    p->stream_after = strtoll(cursor, &end, 10);
    return *end == '\0' && p->stream_after >= 0 ? ERR_NONE
                                                : why_set(why, ERR_BODY, "the event cursor must be a number");
}
