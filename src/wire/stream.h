/*
 * stream.h - a file in blocks over MQTT: AWS IoT's "MQTT-based file delivery" as RainMaker's nodes use it, CBOR.
 *
 * RainMaker's device specification, 6.1 to 6.3.  Both directions of each message are here.  No heap; what is read lies
 * in the payload.
 */
#ifndef PLUVIO_WIRE_STREAM_H
#define PLUVIO_WIRE_STREAM_H

#include "base/bytes.h"
#include "wire/topic.h"

#define STREAM_FILE_ID      1   /* RainMaker's nodes ask for this one always */
#define STREAM_BATCH_MAX    512 /* blocks in one request */
#define STREAM_BITMAP_MAX   (STREAM_BATCH_MAX / 8)
#define STREAM_REQUEST_SIZE 200          /* the node's buffer for a request */
#define STREAM_BLOCK_HEADER 40           /* what a block message has beside its data, at most */
#define STREAM_RANGE_MAX    (128 * 1024) /* bytes that one request may ask for */
#define STREAM_TOPIC_SIZE   150

enum stream_topic_kind { STREAM_GET, STREAM_DATA, STREAM_REJECTED, STREAM_TOPICS };

/* RainMaker's nodes speak CBOR; AWS's protocol knows JSON too, and servers answer in the words they were asked in. */
enum stream_form { STREAM_CBOR, STREAM_JSON, STREAM_FORMS };

/* $aws/things/<node id>/streams/<stream id>/{get,data,rejected}/cbor.  False when it does not fit. */
bool stream_topic_write(char *to, size_t size, enum stream_topic_kind kind, const char *node_id, const char *stream_id);
/* The same in either form. */
bool stream_topic_in(char *to, size_t size, enum stream_topic_kind kind, enum stream_form form, const char *node_id,
                     const char *stream_id);

struct stream_topic {
    char node_id[NODE_ID_SIZE], stream_id[NODE_ID_SIZE];
    enum stream_topic_kind kind;
    enum stream_form form;
};

/* False for other topics, and for ids that are not plain or too long. */
bool stream_topic_read(struct stream_topic *to, const char *topic);

/* A node's topic buffers hold so many characters of both ids together; for longer ones a server offers no stream. */
#define STREAM_IDS_MAX  64
#define STREAM_FILE_MAX (24 * 1024 * 1024) /* larger images are offered without a stream, as RainMaker does */

struct stream_request {
    uint32_t file_id, block_bytes, offset, count; /* `count` blocks from the `offset`-th, of block_bytes each */
    struct bytes bitmap;                          /* bit 0 of byte 0 is block `offset`, 1 = wanted; empty: all */
};

/* The length, 0 when it does not fit. */
size_t stream_request_write(uint8_t *to, size_t size, const struct stream_request *r);

/* False for anything but a map with numbers under f, l, o, n in 32 bits and, if any, a byte string under b that is long
 * enough for n. */
bool stream_request_read(struct stream_request *r, struct bytes payload);

struct stream_block {
    uint32_t file_id, index, len; /* `len` as the sender says it */
    struct bytes data;
};

size_t stream_block_write(uint8_t *to, size_t size, const struct stream_block *b);

/* False for anything but a map with numbers under f, i, l and a byte string under p, of `l` bytes. */
bool stream_block_read(struct stream_block *b, struct bytes payload);

#endif
