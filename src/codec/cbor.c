#include "codec/cbor.h"

#include <cbor.h>
#include <string.h>

/* --- reading ---------------------------------------------------------------------------------- */

struct found {
    struct cbor_item *item;
    bool is_unfit;
};

static void found(void *to, enum cbor_item_kind kind, uint64_t value)
{
    *((struct found *)to)->item = (struct cbor_item){.kind = kind, .value = value};
}

/* libcbor has a callback for each width. */
#define ON_NUMBER(name, type, kind)                                                                                    \
    static void name(void *to, type v)                                                                                 \
    {                                                                                                                  \
        found(to, kind, v);                                                                                            \
    }
ON_NUMBER(on_uint8, uint8_t, CBOR_ITEM_UINT)
ON_NUMBER(on_uint16, uint16_t, CBOR_ITEM_UINT)
ON_NUMBER(on_uint32, uint32_t, CBOR_ITEM_UINT)
ON_NUMBER(on_uint64, uint64_t, CBOR_ITEM_UINT)
ON_NUMBER(on_negative8, uint8_t, CBOR_ITEM_NEGATIVE)
ON_NUMBER(on_negative16, uint16_t, CBOR_ITEM_NEGATIVE)
ON_NUMBER(on_negative32, uint32_t, CBOR_ITEM_NEGATIVE)
ON_NUMBER(on_negative64, uint64_t, CBOR_ITEM_NEGATIVE)

static void on_bytes(void *to, cbor_data at, size_t len)
{
    found(to, CBOR_ITEM_BYTES, 0);
    ((struct found *)to)->item->data = bytes_of(at, len);
}

static void on_text(void *to, cbor_data at, size_t len)
{
    found(to, CBOR_ITEM_TEXT, 0);
    ((struct found *)to)->item->data = bytes_of(at, len);
}

static void on_array(void *to, size_t count)
{
    found(to, CBOR_ITEM_ARRAY, count);
}

static void on_map(void *to, size_t count)
{
    found(to, CBOR_ITEM_MAP, count);
}

/* A tag stands before an item: as one more level, it is an array of one. */
static void on_tag(void *to, uint64_t tag)
{
    (void)tag;
    found(to, CBOR_ITEM_ARRAY, 1);
}

static void on_float(void *to, float v)
{
    (void)v;
    found(to, CBOR_ITEM_OTHER, 0);
}

static void on_double(void *to, double v)
{
    (void)v;
    found(to, CBOR_ITEM_OTHER, 0);
}

static void on_bool(void *to, bool v)
{
    (void)v;
    found(to, CBOR_ITEM_OTHER, 0);
}

static void on_nothing(void *to)
{
    found(to, CBOR_ITEM_OTHER, 0);
}

static void on_indefinite(void *to)
{
    ((struct found *)to)->is_unfit = true;
}

static const struct cbor_callbacks callbacks = {
    .uint8 = on_uint8,
    .uint16 = on_uint16,
    .uint32 = on_uint32,
    .uint64 = on_uint64,
    .negint8 = on_negative8,
    .negint16 = on_negative16,
    .negint32 = on_negative32,
    .negint64 = on_negative64,
    .byte_string_start = on_indefinite,
    .byte_string = on_bytes,
    .string = on_text,
    .string_start = on_indefinite,
    .indef_array_start = on_indefinite,
    .array_start = on_array,
    .indef_map_start = on_indefinite,
    .map_start = on_map,
    .tag = on_tag,
    .float2 = on_float,
    .float4 = on_float,
    .float8 = on_double,
    .undefined = on_nothing,
    .null = on_nothing,
    .boolean = on_bool,
    .indef_break = on_indefinite,
};

bool cbor_next(struct bytes *input, struct cbor_item *item)
{
    struct found to = {item, false};
    if (input->len == 0)
        return false;
    struct cbor_decoder_result result = cbor_stream_decode(input->at, input->len, &callbacks, &to);
    if (result.status != CBOR_DECODER_FINISHED || to.is_unfit)
        return false;
    *input = bytes_of(input->at + result.read, input->len - result.read);
    return true;
}

bool cbor_skip_content(struct bytes *input, const struct cbor_item *item)
{
    /* Each item takes a byte at least, so more elements than bytes are a lie; that also bounds the count. */
    uint64_t left = 0, more = item->kind == CBOR_ITEM_ARRAY ? item->value
                              : item->kind == CBOR_ITEM_MAP ? item->value * 2
                                                            : 0;
    if ((item->kind == CBOR_ITEM_MAP && item->value > input->len) || more > input->len)
        return false;
    for (left = more; left > 0; left--) {
        struct cbor_item inner;
        if (!cbor_next(input, &inner))
            return false;
        if (inner.kind == CBOR_ITEM_ARRAY || inner.kind == CBOR_ITEM_MAP) {
            if (inner.value > input->len)
                return false;
            left += inner.kind == CBOR_ITEM_MAP ? inner.value * 2 : inner.value;
        }
    }
    return true;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void advance(struct cbor_out *out, size_t written)
{
    out->is_cut |= written == 0;
    out->len += written;
}

static void put_raw(struct cbor_out *out, const void *at, size_t len)
{
    if (out->is_cut || out->size - out->len < len) {
        out->is_cut = true;
        return;
    }
    if (len > 0)
        memcpy(out->at + out->len, at, len);
    out->len += len;
}

void cbor_put_uint(struct cbor_out *out, uint64_t value)
{
    if (!out->is_cut)
        advance(out, cbor_encode_uint(value, out->at + out->len, out->size - out->len));
}

void cbor_put_map(struct cbor_out *out, size_t pairs)
{
    if (!out->is_cut)
        advance(out, cbor_encode_map_start(pairs, out->at + out->len, out->size - out->len));
}

void cbor_put_text(struct cbor_out *out, const char *text)
{
    size_t len = strlen(text);
    if (!out->is_cut)
        advance(out, cbor_encode_string_start(len, out->at + out->len, out->size - out->len));
    put_raw(out, text, len);
}

void cbor_put_bytes(struct cbor_out *out, struct bytes data)
{
    if (!out->is_cut)
        advance(out, cbor_encode_bytestring_start(data.len, out->at + out->len, out->size - out->len));
    put_raw(out, data.at, data.len);
}
