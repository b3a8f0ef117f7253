#include "wire/report.h"

#include "base/text.h"
#include "codec/json.h"

#include <string.h>

static const char *const status_words[] = {"invalid", "in-progress", "success", "failed", "delayed", "rejected"};

const char *report_status_text(enum report_status status)
{
    return status_words[(unsigned)status <= REPORT_REJECTED ? status : REPORT_INVALID];
}

bool report_status_parse(enum report_status *status, const char *text)
{
    for (int i = 0; i <= REPORT_REJECTED; i++)
        if (strcmp(status_words[i], text) == 0) {
            *status = (enum report_status)i;
            return true;
        }
    return false;
}

static size_t write_once(char *to, const struct status_report *r, const char *info)
{
    struct buf text;
    struct json_out out;
    buf_over(&text, to, REPORT_SIZE);
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    if (r->job_id[0])
        json_out_text(&out, "ota_job_id", r->job_id);
    json_out_text(&out, "status", report_status_text(r->status));
    if (r->network_id[0])
        json_out_text(&out, "network_id", r->network_id);
    json_out_text(&out, "additional_info", info);
    json_out_int(&out, "ts", r->ts);
    json_out_end_object(&out);
    return text.is_failed ? 0 : text.len;
}

size_t status_report_write(char to[static REPORT_SIZE], const struct status_report *r)
{
    char info[STATUS_INFO_SIZE];
    text_copy(info, sizeof info, r->info);
    for (size_t len = strlen(info);; len--) {
        info[len] = '\0';
        if (len > 0 && (r->info[len] & 0xc0) == 0x80)
            continue; /* not in the middle of a character */
        size_t written = write_once(to, r, info);
        if (written > 0 || len == 0)
            return written;
    }
}

size_t fetch_write(char to[static FETCH_SIZE], const char *node_id, const char *fw_version, const char *network_id)
{
    struct buf text;
    struct json_out out;
    buf_over(&text, to, FETCH_SIZE);
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    json_out_text(&out, "node_id", node_id);
    json_out_text(&out, "fw_version", fw_version);
    if (network_id != NULL && network_id[0] != '\0')
        json_out_text(&out, "network_id", network_id);
    json_out_end_object(&out);
    return text.is_failed ? 0 : text.len;
}
