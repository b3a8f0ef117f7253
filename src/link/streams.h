/*
 * streams.h - the server of file streams: images in blocks over MQTT, for nodes that download so (RainMaker's device
 * specification, 6).
 *
 * A stream's id is its job's.  A node may read it while it has been offered the job or works on it.  Requests are kept,
 * one a node, and answered block by block in turns, so that one node's 128 KiB do not stand before another's header; a
 * new request of a node takes the place of its last one.
 */
#ifndef PLUVIO_LINK_STREAMS_H
#define PLUVIO_LINK_STREAMS_H

#include "base/log.h"
#include "fleet/fleet.h"
#include "wire/stream.h"

#define STREAMS_MAX    512 /* requests being answered; more are dropped, and nodes ask again after ten seconds */
#define STREAMS_WINDOW 64  /* blocks sent and not acknowledged */

struct bus;

struct stream_task {
    bool is_used;
    unsigned broker; /* where its node is */
    char node_id[NODE_ID_SIZE], stream_id[NODE_ID_SIZE];
    enum stream_form form;
    int fd;
    int64_t size;
    uint32_t block_bytes, offset, count, next; /* `next` of `count` blocks */
    bool has_bitmap;
    uint8_t bitmap[STREAM_BITMAP_MAX];
};

struct streams {
    struct fleet *fleet;
    struct blob_store *blob;
    struct bus *bus;
    struct log *log;
    struct stream_task tasks[STREAMS_MAX];
    unsigned turn, active;
    struct {
        int message_id; /* 0: free */
        unsigned broker;
    } in_flight[STREAMS_WINDOW];
    unsigned in_flight_count;
};

/* `blob` NULL: every request is refused. */
void streams_init(struct streams *s, struct fleet *fleet, struct blob_store *blob, struct bus *bus, struct log *log);
void streams_deinit(struct streams *s);

/* True when the topic is a stream's, and was taken care of. */
bool streams_receive(struct streams *s, unsigned broker, const char *topic, struct bytes payload, time_ms now);

/* Sends what the window has room for. */
void streams_send(struct streams *s);
/* True when it was one of ours. */
bool streams_acknowledged(struct streams *s, unsigned broker, int message_id);
void streams_disconnected(struct streams *s, unsigned broker);

#endif
