#include "wire/stream_json.h"

#include "codec/encode.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

static bool take_number(const struct json *doc, const char *key, uint32_t *to)
{
    int64_t value;
    if (!json_int(json_get(doc, key), &value) || value < 0 || value > UINT32_MAX)
        return false;
    *to = (uint32_t)value;
    return true;
}

static bool take_bitmap(const struct json *doc, struct stream_request *r, uint8_t room[static STREAM_BITMAP_MAX])
{
    const struct json *member = json_get(doc, "b");
    const char *text = json_text(member);
    uint8_t raw[STREAM_BITMAP_MAX + 8]; /* the decoder's bound is a little above what comes out */
    size_t len = 0;
    if (member == NULL)
        return true;
    if (text == NULL || BASE64_BYTES(strlen(text)) > sizeof raw ||
        !base64_decode(raw, &len, bytes_of_text(text), BASE64_STANDARD) || len > STREAM_BITMAP_MAX)
        return false;
    memcpy(room, raw, len);
    r->bitmap = bytes_of(room, len);
    return len >= ((size_t)r->count + 7) / 8;
}

bool stream_request_read_json(struct stream_request *r, uint8_t room[static STREAM_BITMAP_MAX], struct bytes payload)
{
    struct json *doc;
    *r = (struct stream_request){.file_id = 0};
    if (json_parse(payload, &doc, NULL) != ERR_NONE)
        return false;
    bool is_good = take_number(doc, "f", &r->file_id) && take_number(doc, "l", &r->block_bytes) &&
                   take_number(doc, "o", &r->offset) && take_number(doc, "n", &r->count) && r->block_bytes > 0 &&
                   r->count > 0 && take_bitmap(doc, r, room);
    json_free(doc);
    return is_good;
}

void stream_block_write_json(struct buf *to, const struct stream_block *b)
{
    buf_addf(to, "{\"f\":%u,\"i\":%u,\"l\":%u,\"p\":\"", (unsigned)b->file_id, (unsigned)b->index, (unsigned)b->len);
    if (buf_reserve(to, BASE64_SIZE(b->data.len)))
        to->len += base64_encode(to->at + to->len, b->data, BASE64_STANDARD);
    buf_add_text(to, "\"}");
}
