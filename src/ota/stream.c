#include "ota/stream.h"

#include <string.h>

static void begin_batch(struct ota_stream *s, uint32_t first, int64_t now_ms)
{
    uint32_t left = s->block_count - first;
    s->first = first;
    s->count = left < s->options->batch_blocks ? left : s->options->batch_blocks;
    s->here = 0;
    s->silences = 0;
    memset(s->wanted, 0, sizeof s->wanted);
    for (uint32_t i = 0; i < s->count; i++)
        s->wanted[i / 8] |= (uint8_t)(1u << i % 8);
    s->state = s->count > 0 ? OTA_STREAM_BLOCKS : OTA_STREAM_DONE;
    s->wants_request = s->count > 0;
    s->deadline_ms = now_ms + s->options->wait_ms;
}

void ota_stream_begin(struct ota_stream *s, const struct ota_stream_options *options, uint32_t file_size,
                      uint32_t at_block, int64_t now_ms)
{
    *s = (struct ota_stream){.options = options, .state = OTA_STREAM_HEADER, .file_size = file_size};
    s->block_count = file_size / options->block_bytes + (file_size % options->block_bytes != 0);
    if (at_block > 0 && at_block < s->block_count) {
        begin_batch(s, at_block, now_ms);
        return;
    }
    s->wants_request = true;
    s->deadline_ms = now_ms + options->wait_ms;
}

void ota_stream_accept_header(struct ota_stream *s, int64_t now_ms)
{
    begin_batch(s, 0, now_ms);
}

void ota_stream_request(struct ota_stream *s, struct stream_request *request, int64_t now_ms)
{
    s->wants_request = false;
    s->deadline_ms = now_ms + s->options->wait_ms;
    *request = (struct stream_request){.file_id = STREAM_FILE_ID, .block_bytes = OTA_STREAM_HEADER_BYTES, .count = 1};
    if (s->state == OTA_STREAM_HEADER)
        return;
    request->block_bytes = s->options->block_bytes;
    request->offset = s->first;
    request->count = s->count;
    request->bitmap = bytes_of(s->wanted, (s->count + 7) / 8);
}

static uint32_t block_len(const struct ota_stream *s, uint32_t index)
{
    uint32_t rest = s->file_size % s->options->block_bytes;
    return index + 1 == s->block_count && rest > 0 ? rest : s->options->block_bytes;
}

static enum ota_stream_verdict take_header(struct ota_stream *s, const struct stream_block *b, uint32_t *at)
{
    if (b->index != 0 || b->len < OTA_STREAM_HEADER_MIN || b->len > OTA_STREAM_HEADER_BYTES)
        return OTA_STREAM_IGNORED;
    *at = 0;
    s->silences = 0;
    return OTA_STREAM_HEADER_HERE;
}

enum ota_stream_verdict ota_stream_take(struct ota_stream *s, const struct stream_block *b, int64_t now_ms,
                                        uint32_t *at)
{
    if (s->state == OTA_STREAM_HEADER && b->file_id == STREAM_FILE_ID)
        return take_header(s, b, at);
    uint32_t i = b->index - s->first; /* wraps for blocks before the batch, and is too large then */
    if (s->state != OTA_STREAM_BLOCKS || b->file_id != STREAM_FILE_ID || b->index < s->first || i >= s->count ||
        !(s->wanted[i / 8] & 1u << i % 8) || b->len != block_len(s, b->index))
        return OTA_STREAM_IGNORED;
    s->wanted[i / 8] &= (uint8_t) ~(1u << i % 8);
    *at = b->index * s->options->block_bytes;
    s->silences = 0;
    s->deadline_ms = now_ms + s->options->wait_ms;
    if (++s->here < s->count)
        return OTA_STREAM_WRITE;
    begin_batch(s, s->first + s->count, now_ms);
    return s->state == OTA_STREAM_DONE ? OTA_STREAM_ALL_DONE : OTA_STREAM_BATCH_DONE;
}

void ota_stream_tick(struct ota_stream *s, int64_t now_ms)
{
    if (now_ms < s->deadline_ms || s->state >= OTA_STREAM_DONE)
        return;
    if (++s->silences > s->options->retries_max) {
        s->state = OTA_STREAM_FAILED;
        return;
    }
    s->wants_request = true;
    s->deadline_ms = now_ms + s->options->wait_ms;
}

uint32_t ota_stream_position(const struct ota_stream *s)
{
    return s->first;
}

uint32_t ota_stream_resume_block(uint32_t position, uint32_t block_bytes, uint32_t sector_bytes)
{
    while (position > 0 && (uint64_t)position * block_bytes % sector_bytes != 0)
        position--;
    return position;
}
