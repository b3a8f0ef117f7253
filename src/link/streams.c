#include "link/streams.h"

#include "base/text.h"
#include "link/link.h"
#include "wire/stream_json.h"

#include "wire/topic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void streams_init(struct streams *s, struct fleet *fleet, struct blob_store *blob, struct bus *bus, struct log *log)
{
    memset(s, 0, sizeof *s);
    s->fleet = fleet;
    s->blob = blob;
    s->bus = bus;
    s->log = log;
}

static void end_task(struct streams *s, struct stream_task *t)
{
    if (t->is_used) {
        close(t->fd);
        t->is_used = false;
        s->active--;
    }
}

void streams_deinit(struct streams *s)
{
    for (unsigned i = 0; i < STREAMS_MAX; i++)
        end_task(s, &s->tasks[i]);
}

/* --- requests --------------------------------------------------------------------------------- */

static enum err read_request(struct stream_request *r, uint8_t room[static STREAM_BITMAP_MAX], enum stream_form form,
                             struct bytes payload, struct why *why)
{
    bool is_good = form == STREAM_JSON ? stream_request_read_json(r, room, payload) : stream_request_read(r, payload);
    if (!is_good || r->file_id != STREAM_FILE_ID)
        return why_set(why, ERR_FORMAT, "not a request for blocks of file %d", STREAM_FILE_ID);
    if (r->count > STREAM_BATCH_MAX || r->block_bytes > STREAM_RANGE_MAX ||
        (uint64_t)r->count * r->block_bytes > STREAM_RANGE_MAX)
        return why_set(why, ERR_TOO_BIG, "%u blocks of %u bytes; a request is for %d bytes at most", r->count,
                       r->block_bytes, STREAM_RANGE_MAX);
    return ERR_NONE;
}

static struct stream_task *place_for(struct streams *s, const char *node_id)
{
    struct stream_task *free_place = NULL;
    for (unsigned i = 0; i < STREAMS_MAX; i++) {
        struct stream_task *t = &s->tasks[i];
        if (t->is_used && strcmp(t->node_id, node_id) == 0) {
            end_task(s, t);
            return t;
        }
        if (!t->is_used && free_place == NULL)
            free_place = t;
    }
    return free_place;
}

static enum err begin_task(struct streams *s, unsigned broker, const struct stream_topic *topic,
                           const struct stream_request *r, time_ms now, struct why *why)
{
    struct image image;
    struct stream_task *t = place_for(s, topic->node_id);
    int fd = -1;
    int64_t size = 0;
    if (t == NULL)
        return why_set(why, ERR_BUSY, "%d requests are being answered; the node asks again", STREAMS_MAX);
    enum err err = fleet_stream_image(s->fleet, topic->node_id, topic->stream_id, now, &image, why);
    if (err == ERR_NONE && s->blob == NULL)
        err = why_set(why, ERR_NOT_FOUND, "there are no images here");
    if (err == ERR_NONE)
        err = s->blob->ops->open(s->blob, image.sha256, &fd, &size, why);
    if (err != ERR_NONE)
        return err;
    *t = (struct stream_task){.is_used = true,
                              .broker = broker,
                              .form = topic->form,
                              .fd = fd,
                              .size = size,
                              .block_bytes = r->block_bytes,
                              .offset = r->offset,
                              .count = r->count,
                              .has_bitmap = r->bitmap.len > 0};
    memcpy(t->node_id, topic->node_id, sizeof t->node_id);
    memcpy(t->stream_id, topic->stream_id, sizeof t->stream_id);
    if (t->has_bitmap)
        memcpy(t->bitmap, r->bitmap.at, r->bitmap.len < sizeof t->bitmap ? r->bitmap.len : sizeof t->bitmap);
    s->active++;
    return ERR_NONE;
}

/* AWS's answer has a code and a message; RainMaker's nodes give the attempt up at any content. */
static void reject(struct streams *s, unsigned broker, const struct stream_topic *t, enum err err,
                   const struct why *why)
{
    char topic[STREAM_TOPIC_SIZE];
    int message_id;
    log_line(s->log, LOG_WARN, "link", "node=%s stream=%s refused: %s", t->node_id, t->stream_id, why_text(why, err));
    static const char cbor[] = "\xa1\x61"
                               "o\x6fRejectedRequest",
                      json[] = "{\"o\":\"RejectedRequest\"}";
    bool is_json = t->form == STREAM_JSON;
    if (stream_topic_in(topic, sizeof topic, STREAM_REJECTED, t->form, t->node_id, t->stream_id))
        s->bus->publish(s->bus, broker, topic, is_json ? bytes_of_text(json) : bytes_of(cbor, sizeof cbor - 1),
                        &message_id);
}

bool streams_receive(struct streams *s, unsigned broker, const char *text, struct bytes payload, time_ms now)
{
    struct stream_topic topic;
    struct stream_request r;
    struct why why = {{0}};
    uint8_t room[STREAM_BITMAP_MAX];
    char whole[STREAM_TOPIC_SIZE];
    static const char plain[] = TOPIC_THINGS_PLAIN;
    if (strncmp(text, plain, sizeof plain - 1) == 0) { /* as the plugin spells it */
        snprintf(whole, sizeof whole, TOPIC_THINGS "%s", text + sizeof plain - 1);
        text = whole;
    }
    if (strncmp(text, TOPIC_THINGS, strlen(TOPIC_THINGS)) != 0)
        return false;
    if (!stream_topic_read(&topic, text) || topic.kind != STREAM_GET)
        return true; /* nobody's */
    enum err err = read_request(&r, room, topic.form, payload, &why);
    if (err == ERR_NONE)
        err = begin_task(s, broker, &topic, &r, now, &why);
    if (err != ERR_NONE && err != ERR_BUSY)
        reject(s, broker, &topic, err, &why);
    return true;
}

/* --- blocks ----------------------------------------------------------------------------------- */

static bool is_wanted(const struct stream_task *t, uint32_t i)
{
    return !t->has_bitmap || (i / 8 < sizeof t->bitmap && (t->bitmap[i / 8] & 1 << i % 8) != 0);
}

/* The next block that the node wants and that the file has; false when there is none. */
static bool next_block(struct stream_task *t, uint32_t *index, int64_t *at)
{
    for (; t->next < t->count; t->next++) {
        *index = t->offset + t->next;
        *at = (int64_t)*index * t->block_bytes;
        if (*at >= t->size)
            return false; /* the first request may ask beyond the end of a short file */
        if (is_wanted(t, t->next))
            return true;
    }
    return false;
}

static enum bus_sent send_block(struct streams *s, struct stream_task *t, uint32_t index, int64_t at, int *message_id)
{
    char topic[STREAM_TOPIC_SIZE];
    uint32_t len = t->size - at < t->block_bytes ? (uint32_t)(t->size - at) : t->block_bytes;
    uint8_t *data = malloc(2 * (size_t)len + STREAM_BLOCK_HEADER), *cbor = data ? data + len : NULL;
    struct buf json = {0};
    enum bus_sent sent = BUS_AWAY; /* or memory, or the file: the node asks again */
    if (data != NULL && pread(t->fd, data, len, at) == (ssize_t)len &&
        stream_topic_in(topic, sizeof topic, STREAM_DATA, t->form, t->node_id, t->stream_id)) {
        struct stream_block block = {STREAM_FILE_ID, index, len, bytes_of(data, len)};
        struct bytes payload;
        if (t->form == STREAM_JSON) {
            stream_block_write_json(&json, &block);
            payload = buf_bytes(&json);
        } else
            payload = bytes_of(cbor, stream_block_write(cbor, len + STREAM_BLOCK_HEADER, &block));
        if (payload.len > 0)
            sent = s->bus->publish(s->bus, t->broker, topic, payload, message_id);
    }
    free(data);
    buf_deinit(&json);
    return sent;
}

static void note_sent(struct streams *s, unsigned broker, int message_id)
{
    for (unsigned i = 0; i < STREAMS_WINDOW; i++)
        if (s->in_flight[i].message_id == 0) {
            s->in_flight[i].message_id = message_id;
            s->in_flight[i].broker = broker;
            s->in_flight_count++;
            return;
        }
}

void streams_send(struct streams *s)
{
    unsigned idle = 0; /* tasks in a row that had nothing */
    while (s->active > 0 && s->in_flight_count < STREAMS_WINDOW && idle < STREAMS_MAX) {
        struct stream_task *t = &s->tasks[s->turn++ % STREAMS_MAX];
        uint32_t index;
        int64_t at;
        int message_id = 0;
        idle++;
        if (!t->is_used)
            continue;
        if (!next_block(t, &index, &at)) {
            end_task(s, t);
            continue;
        }
        enum bus_sent sent = send_block(s, t, index, at, &message_id);
        if (sent == BUS_FULL)
            return;
        if (sent == BUS_AWAY) {
            end_task(s, t);
            continue;
        }
        t->next++;
        note_sent(s, t->broker, message_id);
        idle = 0;
    }
}

bool streams_acknowledged(struct streams *s, unsigned broker, int message_id)
{
    for (unsigned i = 0; i < STREAMS_WINDOW; i++)
        if (s->in_flight[i].message_id == message_id && message_id != 0 && s->in_flight[i].broker == broker) {
            s->in_flight[i].message_id = 0;
            s->in_flight_count--;
            return true;
        }
    return false;
}

void streams_disconnected(struct streams *s, unsigned broker)
{
    for (unsigned i = 0; i < STREAMS_MAX; i++)
        if (s->tasks[i].broker == broker)
            end_task(s, &s->tasks[i]);
    for (unsigned i = 0; i < STREAMS_WINDOW; i++)
        if (s->in_flight[i].message_id != 0 && s->in_flight[i].broker == broker) {
            s->in_flight[i].message_id = 0;
            s->in_flight_count--;
        }
}
