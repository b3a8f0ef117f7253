#include "wire/message.h"

#include "base/text.h"
#include "codec/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Copies a string member; false when it is there but too long or no string. */
static bool take_text(const struct json *doc, const char *key, char *to, size_t size)
{
    const struct json *value = json_get(doc, key);
    const char *text = json_text(value);
    to[0] = '\0';
    return value == NULL || (text != NULL && text_copy(to, size, text));
}

/* --- fetch ------------------------------------------------------------------------------------ */

enum err fetch_message_read(struct fetch_message *m, struct bytes payload, struct why *why)
{
    struct json *json;
    *m = (struct fetch_message){{0}, {0}, {0}};
    enum err err = json_parse(payload, &json, why);
    if (err != ERR_NONE)
        return why_add(why, err, "otafetch");
    if (!json_is_object(json))
        err = why_set(why, ERR_FORMAT, "otafetch: not a JSON object");
    else if (!take_text(json, "node_id", m->node_id, sizeof m->node_id) ||
             !take_text(json, "fw_version", m->fw_version, sizeof m->fw_version) ||
             !take_text(json, "network_id", m->network_id, sizeof m->network_id))
        err = why_set(why, ERR_FORMAT, "otafetch: node_id, fw_version or network_id is no string or too long");
    json_free(json);
    return err;
}

/* --- status report ---------------------------------------------------------------------------- */

/* The string member of a broken document, found by its key alone.  A value that is cut off is taken as far as it goes.
 * Returns 0 when absent, 1 when cut off, 2 when whole. */
static int salvage(struct bytes payload, const char *key, char *to, size_t size)
{
    char pattern[40];
    int n = snprintf(pattern, sizeof pattern, "\"%s\"", key);
    const char *text = (const char *)payload.at, *end = text + payload.len;
    const char *at = memmem(text, payload.len, pattern, (size_t)n);
    if (at == NULL)
        return 0;
    at += n;
    while (at < end && (*at == ' ' || *at == ':'))
        at++;
    if (at == end || *at != '"')
        return 0;
    const char *from = ++at;
    while (at < end && *at != '"')
        at++;
    text_copy_field(to, size, from, (size_t)(at - from));
    return at < end ? 2 : 1;
}

static enum err salvage_report(struct status_report *r, struct bytes payload, struct why *why)
{
    char word[16];
    if (salvage(payload, "ota_job_id", r->job_id, sizeof r->job_id) != 2 ||
        salvage(payload, "status", word, sizeof word) != 2 || !report_status_parse(&r->status, word) ||
        !text_is_plain_id(r->job_id, JOB_ID_SIZE - 1))
        return why_set(why, ERR_FORMAT, "otastatus: %zu bytes are no JSON, and job id and status are not to be found",
                       payload.len);
    salvage(payload, "additional_info", r->info, sizeof r->info);
    r->is_salvaged = true;
    return ERR_NONE;
}

enum err status_report_read(struct status_report *r, struct bytes payload, struct why *why)
{
    struct json *json;
    *r = (struct status_report){.status = REPORT_INVALID};
    if (json_parse(payload, &json, NULL) != ERR_NONE)
        return salvage_report(r, payload, why);
    enum err err = ERR_NONE;
    const char *status = json_text(json_get(json, "status"));
    if (!take_text(json, "ota_job_id", r->job_id, sizeof r->job_id) || !text_is_plain_id(r->job_id, JOB_ID_SIZE - 1))
        err = why_set(why, ERR_FORMAT, "otastatus: ota_job_id is missing or no job id");
    else if (status == NULL || !report_status_parse(&r->status, status))
        err = why_set(why, ERR_FORMAT, "otastatus: status \"%.20s\" is not known", status ? status : "");
    const char *info = json_text(json_get(json, "additional_info"));
    text_copy_field(r->info, sizeof r->info, info ? info : "", info ? strlen(info) : 0);
    take_text(json, "network_id", r->network_id, sizeof r->network_id);
    if (!json_int(json_get(json, "ts"), &r->ts))
        r->ts = 0;
    json_free(json);
    return err;
}

int status_info_percent(const char *info)
{
    int percent = -1;
    char tail[16] = "";
    if (sscanf(info, "Downloaded %d%% %15s", &percent, tail) == 2 && strcmp(tail, "Firmware") == 0 && percent >= 0 &&
        percent <= 100)
        return percent;
    return strcmp(info, "Downloading Firmware Image") == 0         ? 0
           : strcmp(info, "Firmware Image download complete") == 0 ? 100
                                                                   : -1;
}

bool status_info_is_rebooting(const char *info)
{
    return strncmp(info, "Rebooting into new firmware", 27) == 0;
}

bool status_info_is_rollback(const char *info)
{
    return strncmp(info, "Firmware rolled back", 20) == 0 || strncmp(info, "Firmware verification failed", 28) == 0 ||
           strncmp(info, "MQTT did not connect within", 27) == 0;
}

/* --- node description ------------------------------------------------------------------------- */

static void copy_member(const struct json *object, const char *key, char *to, size_t size)
{
    const char *text = json_text(json_get(object, key));
    text_copy_field(to, size, text ? text : "", text ? strlen(text) : 0);
}

/* Attributes that tell what updates the node can take; their values are texts, as all attributes'. */
static void take_attribute(struct node_description *d, const struct json *attribute)
{
    const char *name = json_text(json_get(attribute, "name")), *value = json_text(json_get(attribute, "value"));
    if (name == NULL || value == NULL)
        return;
    if (strcmp(name, "network-id") == 0)
        text_copy_field(d->network_id, sizeof d->network_id, value, strlen(value));
    else if (strcmp(name, "secure-version") == 0)
        d->secure_version = (uint32_t)strtoul(value, NULL, 0);
    else if (strcmp(name, "ota-slot-size") == 0)
        d->slot_bytes = (int64_t)strtoul(value, NULL, 0);
}

/* {"k0": "<hex>", "k1": null, ...} */
static void take_digests(struct node_description *d, const struct json *digests)
{
    struct text all;
    text_init(&all, d->key_digests, sizeof d->key_digests);
    JSON_EACH (digest, digests) {
        const char *hex = json_text(digest);
        if (hex != NULL && strlen(hex) == 64 && strspn(hex, "0123456789abcdefABCDEF") == 64)
            text_add(&all, "%s%s", all.len > 0 ? " " : "", hex);
    }
}

enum err node_description_read(struct node_description *d, struct bytes payload, struct why *why)
{
    struct json *json;
    memset(d, 0, sizeof *d);
    enum err err = json_parse(payload, &json, why);
    if (err != ERR_NONE)
        return why_add(why, err, "config");
    const struct json *info = json_get(json, "info");
    if (!json_is_object(info))
        err = why_set(why, ERR_FORMAT, "config: the object \"info\" is missing");
    copy_member(json, "node_id", d->node_id, sizeof d->node_id);
    copy_member(info, "name", d->name, sizeof d->name);
    copy_member(info, "fw_version", d->fw_version, sizeof d->fw_version);
    copy_member(info, "type", d->type, sizeof d->type);
    copy_member(info, "subtype", d->subtype, sizeof d->subtype);
    copy_member(info, "model", d->model, sizeof d->model);
    copy_member(info, "project_name", d->project_name, sizeof d->project_name);
    copy_member(info, "platform", d->platform, sizeof d->platform);
    JSON_EACH (attribute, json_get(json, "attributes"))
        take_attribute(d, attribute);
    take_digests(d, json_get(info, "secure_boot_digest"));
    json_free(json);
    return err;
}
