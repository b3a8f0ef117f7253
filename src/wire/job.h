/*
 * job.h - the job document (topic `otaurl`): what a server writes, what a node reads.
 *
 * RainMaker's device specification, 3.4.  Unmodified nodes read strings without resolving escapes, so the server writes
 * none; ours resolves them, so that documents of other servers (`\/`, `\u0026`) work too.
 */
#ifndef PLUVIO_WIRE_JOB_H
#define PLUVIO_WIRE_JOB_H

#include "base/buf.h"
#include "base/err.h"
#include "codec/json_view.h"

#define JOB_ID_SIZE     64 /* a node reads it back into 64 bytes */
#define STREAM_ID_SIZE  65
#define FW_VERSION_SIZE 33
#define JOB_URL_SIZE    2048 /* pre-signed URLs with session tokens are long */
#define METADATA_MAX    4096 /* characters of a job's metadata object */

struct job_document {
    char job_id[JOB_ID_SIZE], url[JOB_URL_SIZE], stream_id[STREAM_ID_SIZE], fw_version[FW_VERSION_SIZE], file_md5[33];
    int64_t file_size; /* 0: unknown */
    char *metadata;    /* JSON object as text on the heap, NULL when absent; freed by job_document_deinit */
};

/* ERR_USAGE when a string would need escaping.  Empty members are left out. */
enum err job_document_write(struct buf *to, const struct job_document *doc, struct why *why);
void job_document_deinit(struct job_document *doc);

/* What a node takes of it; the reader of the document is the owner of this memory. */
struct job_offer {
    char job_id[JOB_ID_SIZE], stream_id[STREAM_ID_SIZE], fw_version[FW_VERSION_SIZE];
    char file_md5[65];    /* hex, or whatever else a server uses as a token of identity; "" when absent */
    char file_sha256[65]; /* hex; "" when absent or not 64 digits */
    int64_t file_size;    /* 0: unknown */
    char url[JOB_URL_SIZE], metadata[METADATA_MAX + 1]; /* metadata: the object's text, "" when absent */
};

/* Reads a document in place.  `tokens` are `room` of them, json_view_count(payload) at least.  `needs_stream`: the node
 * downloads over MQTT.  Returns NULL, or RainMaker's text for what is wrong with the document; then `offer->job_id` is
 * set if it was found. */
const char *job_offer_read(struct job_offer *offer, struct bytes payload, struct json_token *tokens, unsigned room,
                           bool needs_stream);

/* True when `text` is `len` hex digits of either case. */
bool job_digest_is_hex(const char *text, size_t len);

#endif
