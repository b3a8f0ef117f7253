/*
 * cbor.h - CBOR (RFC 8949), item by item over memory of the caller's, without heap: libcbor behind a small header.
 *
 * Enough for what travels between nodes and servers: maps of numbers, texts and byte strings.
 */
#ifndef PLUVIO_CODEC_CBOR_H
#define PLUVIO_CODEC_CBOR_H

#include "base/bytes.h"

enum cbor_item_kind {
    CBOR_ITEM_UINT,
    CBOR_ITEM_NEGATIVE,
    CBOR_ITEM_BYTES,
    CBOR_ITEM_TEXT,
    CBOR_ITEM_ARRAY,
    CBOR_ITEM_MAP,
    CBOR_ITEM_OTHER
};

struct cbor_item {
    enum cbor_item_kind kind;
    uint64_t value;    /* UINT: the number; NEGATIVE: -1 minus it; ARRAY, MAP: elements, pairs */
    struct bytes data; /* BYTES, TEXT: in the input */
};

/* The next item of `*input`, which moves on.  False at the end, for what is malformed or cut off, and for strings and
 * containers of indefinite length, which none of ours has. */
bool cbor_next(struct bytes *input, struct cbor_item *item);

/* Passes over what is in an item that cbor_next() gave: elements of arrays and maps, however deep. */
bool cbor_skip_content(struct bytes *input, const struct cbor_item *item);

/* Writing: what does not fit is left out and remembered. */
struct cbor_out {
    uint8_t *at;
    size_t size, len;
    bool is_cut;
};

void cbor_put_uint(struct cbor_out *out, uint64_t value);
void cbor_put_map(struct cbor_out *out, size_t pairs);
void cbor_put_text(struct cbor_out *out, const char *text);
void cbor_put_bytes(struct cbor_out *out, struct bytes data);

#endif
