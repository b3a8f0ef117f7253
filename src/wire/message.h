/*
 * message.h - what node and server say to each other about updates: job document (otaurl), fetch (otafetch), status
 * report (otastatus), node description (config).
 *
 * RainMaker's device specification, 3.3 to 3.6.  Both directions of each message are here, so node and server cannot
 * drift apart.  Reading tolerates what real nodes send: unknown keys, reports cut at 199 bytes, unescaped texts.
 */
#ifndef PLUVIO_WIRE_MESSAGE_H
#define PLUVIO_WIRE_MESSAGE_H

#include "base/buf.h"
#include "base/err.h"
#include "wire/topic.h"

#define JOB_ID_SIZE      64 /* a node reads it back into 64 bytes */
#define FW_VERSION_SIZE  33
#define STATUS_INFO_SIZE 160
#define JOB_URL_SIZE     1024
#define METADATA_MAX     4096         /* characters of a job's metadata object */
#define MESSAGE_MAX      (128 * 1024) /* longer messages of nodes are refused unread */

/* --- job document ----------------------------------------------------------------------------- */

struct job_document {
    char job_id[JOB_ID_SIZE], url[JOB_URL_SIZE], stream_id[JOB_ID_SIZE], fw_version[FW_VERSION_SIZE], file_md5[33];
    int64_t file_size; /* 0: unknown */
    char *metadata;    /* JSON object as text on the heap, NULL when absent; freed by job_document_deinit */
};

/* Nodes do not unescape strings, so ERR_USAGE when one would need escaping.  Empty members are left out. */
enum err job_document_write(struct buf *to, const struct job_document *doc, struct why *why);

/* What a node cannot work with is an error whose story is the exact text that RainMaker's node reports. */
enum err job_document_read(struct job_document *doc, struct bytes payload, struct why *why);
void job_document_deinit(struct job_document *doc);

/* --- fetch ------------------------------------------------------------------------------------ */

struct fetch_message {
    char node_id[NODE_ID_SIZE], fw_version[FW_VERSION_SIZE], network_id[17];
};

enum err fetch_message_write(struct buf *to, const struct fetch_message *m, struct why *why);
enum err fetch_message_read(struct fetch_message *m, struct bytes payload, struct why *why);

/* --- status report ---------------------------------------------------------------------------- */

/* Numbers of RainMaker's ota_status_t. */
enum report_status {
    REPORT_INVALID = 0,
    REPORT_IN_PROGRESS = 1,
    REPORT_SUCCESS = 2,
    REPORT_FAILED = 3,
    REPORT_DELAYED = 4,
    REPORT_REJECTED = 5,
};

struct status_report {
    char job_id[JOB_ID_SIZE], network_id[17], info[STATUS_INFO_SIZE];
    enum report_status status;
    int64_t ts;       /* seconds of the node's clock, 0 when not given */
    bool is_salvaged; /* the payload was cut off or broken; id and status were recovered from it */
};

const char *report_status_text(enum report_status status);
bool report_status_parse(enum report_status *status, const char *text);

/* Always whole, valid JSON of at most 199 bytes: `info` is shortened until it fits, as RainMaker's servers expect. */
enum err status_report_write(struct buf *to, const struct status_report *r, struct why *why);

/* ERR_FORMAT when job id or status cannot be found. */
enum err status_report_read(struct status_report *r, struct bytes payload, struct why *why);

/* Percentage in "Downloaded <n>% Firmware Image", -1 for other texts. */
int status_info_percent(const char *info);

/* Texts that a server must tell apart, since the status word alone does not. */
bool status_info_is_rebooting(const char *info);
bool status_info_is_rollback(const char *info);

/* --- node description ------------------------------------------------------------------------- */

struct node_description {
    char node_id[NODE_ID_SIZE], name[65], fw_version[FW_VERSION_SIZE], type[65], subtype[65], model[65],
        project_name[33], platform[33], network_id[17];
};

enum err node_description_read(struct node_description *d, struct bytes payload, struct why *why);

#endif
