#include "wire/job.h"

#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

/* --- writing ---------------------------------------------------------------------------------- */

static enum err put_plain(struct json_out *out, const char *key, const char *value, struct why *why)
{
    if (*value == '\0')
        return ERR_NONE;
    for (const char *c = value; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
            return why_set(why, ERR_USAGE, "%s \"%s\" has a character that nodes cannot read", key, value);
    json_out_text(out, key, value);
    return ERR_NONE;
}

enum err job_document_write(struct buf *to, const struct job_document *doc, struct why *why)
{
    struct json_out out;
    enum err err;
    json_out_init(&out, to);
    json_out_object(&out, NULL);
    if ((err = put_plain(&out, "ota_job_id", doc->job_id, why)) != ERR_NONE ||
        (err = put_plain(&out, "url", doc->url, why)) != ERR_NONE ||
        (err = put_plain(&out, "stream_id", doc->stream_id, why)) != ERR_NONE ||
        (err = put_plain(&out, "fw_version", doc->fw_version, why)) != ERR_NONE ||
        (err = put_plain(&out, "file_md5", doc->file_md5, why)) != ERR_NONE)
        return err;
    if (doc->file_size > 0)
        json_out_int(&out, "file_size", doc->file_size);
    if (doc->metadata != NULL)
        json_out_raw(&out, "metadata", doc->metadata);
    json_out_end_object(&out);
    return to->is_failed ? why_set(why, ERR_NO_MEMORY, "no memory for the job document") : ERR_NONE;
}

void job_document_deinit(struct job_document *doc)
{
    free(doc->metadata);
    doc->metadata = NULL;
}

/* --- reading ---------------------------------------------------------------------------------- */

bool job_digest_is_hex(const char *text, size_t len)
{
    return strlen(text) == len && strspn(text, "0123456789abcdefABCDEF") == len;
}

/* The strings of a document, in the order in which RainMaker's node looks at them. */
static const struct member {
    const char *key;
    size_t at, size;
    const char *absent; /* what is said when it is missing; NULL: it may be */
    const char *unfit;  /* when it does not fit: the original's word for that is want of memory */
    bool is_of_stream;  /* must be there in builds that download over MQTT */
} members[] = {
#define MEMBER(member) offsetof(struct job_offer, member), sizeof((struct job_offer *)0)->member
    {"ota_job_id", MEMBER(job_id), "Aborted. OTA Updated ID not found in JSON",
     "Aborted. OTA Updated ID memory allocation failed", false},
    {"url", MEMBER(url), "Aborted. URL not found in JSON", "Aborted. URL memory allocation failed", false},
    {"stream_id", MEMBER(stream_id), "Aborted. Stream ID not found in JSON",
     "Aborted. Stream ID memory allocation failed", true},
    {"file_md5", MEMBER(file_md5), NULL, "Aborted. File MD5 memory allocation failed", false},
    {"fw_version", MEMBER(fw_version), NULL, "Aborted. Firmware version memory allocation failed", false},
#undef MEMBER
};

static const char *take_member(struct job_offer *offer, const struct json_view *doc, const struct member *m,
                               bool needs_stream)
{
    int value = json_view_find(doc, 0, m->key);
    char *to = (char *)offer + m->at;
    bool is_needed = m->absent != NULL && (!m->is_of_stream || needs_stream);
    if (!json_view_is_text(doc, value) || json_view_raw(doc, value).len == 0)
        return is_needed ? m->absent : NULL;
    return json_view_text(doc, value, to, m->size) || (m->is_of_stream && !needs_stream) ? NULL : m->unfit;
}

static const char *take_metadata(struct job_offer *offer, const struct json_view *doc)
{
    int value = json_view_find(doc, 0, "metadata");
    struct bytes raw = json_view_raw(doc, value);
    if (!json_view_is_object(doc, value))
        return NULL;
    if (raw.len > METADATA_MAX)
        return "Aborted. OTA metadata memory allocation failed";
    memcpy(offer->metadata, raw.at, raw.len);
    offer->metadata[raw.len] = '\0';
    return NULL;
}

const char *job_offer_read(struct job_offer *offer, struct bytes payload, struct json_token *tokens, unsigned room,
                           bool needs_stream)
{
    struct json_view doc;
    memset(offer, 0, sizeof *offer);
    if (!json_view_parse(&doc, payload, tokens, room) || !json_view_is_object(&doc, 0))
        return "Aborted. JSON Payload error";
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const char *problem = take_member(offer, &doc, &members[i], needs_stream);
        if (problem != NULL)
            return problem;
    }
    json_view_text(&doc, json_view_find(&doc, 0, "file_sha256"), offer->file_sha256, sizeof offer->file_sha256);
    if (!job_digest_is_hex(offer->file_sha256, 64))
        offer->file_sha256[0] = '\0';
    if (!json_view_int(&doc, json_view_find(&doc, 0, "file_size"), &offer->file_size) || offer->file_size < 0)
        offer->file_size = 0;
    return take_metadata(offer, &doc);
}
