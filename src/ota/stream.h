/*
 * stream.h - a download in blocks over MQTT, as a mind: what to ask for, what to do with what comes.
 *
 * RainMaker's device specification, 6.2 to 6.5.  A batch of blocks is asked for with a bitmap; what is missing after a
 * while is asked for again, and only that.  The caller sends, writes and keeps the position:
 *
 *     ota_stream_begin(&s, &options, file_size, resume_at_block, now_ms);
 *     loop: while (s.wants_request) send ota_stream_request();  on a block: ota_stream_take(); on silence:
 * ota_stream_tick()
 *
 * Invariants: a block is given out for writing once in a batch, and only with the length that it must have; a batch
 * begins where all before it is there.
 */
#ifndef PLUVIO_OTA_STREAM_H
#define PLUVIO_OTA_STREAM_H

#include "wire/stream.h"

/* ESP image header, first segment's header, app descriptor, and one more, as the original asks. */
#define OTA_STREAM_HEADER_BYTES 289
#define OTA_STREAM_HEADER_MIN   288

struct ota_stream_options {
    uint32_t block_bytes;  /* MQTT_OTA_BLOCK_SIZE, 256..131072 */
    uint32_t batch_blocks; /* MQTT_OTA_NO_OF_BLOCKS, 1..512; both together at most STREAM_RANGE_MAX */
    unsigned retries_max;  /* MQTT_OTA_MAX_RETRIES: requests again after silences in a row */
    int64_t wait_ms;       /* MQTT_OTA_BLOCK_WAIT_SEC */
};

enum ota_stream_state { OTA_STREAM_HEADER, OTA_STREAM_BLOCKS, OTA_STREAM_DONE, OTA_STREAM_FAILED };

struct ota_stream {
    const struct ota_stream_options *options;
    enum ota_stream_state state;
    uint32_t file_size, block_count; /* of the whole file */
    uint32_t first, count, here;     /* the batch: its first block, its length, how many of it came */
    uint8_t wanted[STREAM_BITMAP_MAX];
    unsigned silences; /* in a row */
    bool wants_request;
    int64_t deadline_ms;
};

enum ota_stream_verdict {
    OTA_STREAM_IGNORED,     /* not asked for, here already, or of a wrong length */
    OTA_STREAM_HEADER_HERE, /* look at it; then ota_stream_accept_header(), or leave */
    OTA_STREAM_WRITE,       /* write the data at the offset; the batch goes on */
    OTA_STREAM_BATCH_DONE,  /* the same, and all before ota_stream_position() is there */
    OTA_STREAM_ALL_DONE     /* the same, and that was the last one */
};

/* `at_block` > 0 goes on there without looking at the header again; past the end: from the start.  `file_size` > 0. */
void ota_stream_begin(struct ota_stream *s, const struct ota_stream_options *options, uint32_t file_size,
                      uint32_t at_block, int64_t now_ms);
void ota_stream_accept_header(struct ota_stream *s, int64_t now_ms);

/* What is to be asked for now; the bitmap lies in the stream.  Clears wants_request. */
void ota_stream_request(struct ota_stream *s, struct stream_request *request, int64_t now_ms);

/* `*at` is where the data belongs in the file. */
enum ota_stream_verdict ota_stream_take(struct ota_stream *s, const struct stream_block *block, int64_t now_ms,
                                        uint32_t *at);

/* At s.deadline_ms: asks again, or, after too many silences, OTA_STREAM_FAILED. */
void ota_stream_tick(struct ota_stream *s, int64_t now_ms);

/* Blocks from the start that are all there: what may be kept for another boot. */
uint32_t ota_stream_position(const struct ota_stream *s);

/* The last block not after `position` that begins a sector: what lies behind it is erased before it is written again.
 */
uint32_t ota_stream_resume_block(uint32_t position, uint32_t block_bytes, uint32_t sector_bytes);

#endif
