/* stream_json.h - requests and blocks of file streams in JSON, as a server reads and writes them (stream.h). */
#ifndef PLUVIO_WIRE_STREAM_JSON_H
#define PLUVIO_WIRE_STREAM_JSON_H

#include "base/buf.h"
#include "wire/stream.h"

/* As stream_request_read; the bitmap is base64 and lands in `room`. */
bool stream_request_read_json(struct stream_request *r, uint8_t room[static STREAM_BITMAP_MAX], struct bytes payload);

/* {"f":..,"i":..,"l":..,"p":"<base64>"} */
void stream_block_write_json(struct buf *to, const struct stream_block *b);

#endif
