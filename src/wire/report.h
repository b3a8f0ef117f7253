/*
 * report.h - what a node says of updates, as it writes it: status report (`otastatus`) and fetch (`otafetch`).
 *
 * RainMaker's device specification, 3.3 and 3.5.  No heap: a node's mind uses this.  The server's reading is in
 * message.h.
 */
#ifndef PLUVIO_WIRE_REPORT_H
#define PLUVIO_WIRE_REPORT_H

#include "wire/job.h"
#include "wire/topic.h"

#define STATUS_INFO_SIZE 160
#define NETWORK_ID_SIZE  17
#define REPORT_SIZE      200 /* a report is at most 199 bytes: the original's buffer */
#define FETCH_SIZE       200

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
    char job_id[JOB_ID_SIZE], network_id[NETWORK_ID_SIZE], info[STATUS_INFO_SIZE];
    enum report_status status;
    int64_t ts;       /* seconds of the node's clock, 0 when not given */
    bool is_salvaged; /* the payload was cut off or broken; id and status were recovered from it */
};

const char *report_status_text(enum report_status status);
bool report_status_parse(enum report_status *status, const char *text);

/* Whole, valid JSON: `info` is shortened until it fits.  An empty job id is left out.  Returns the length, 0 when even
 * no text would fit (a job id full of characters that need escapes). */
size_t status_report_write(char to[static REPORT_SIZE], const struct status_report *r);

/* `network_id` NULL or empty: none.  Returns the length, 0 when it does not fit. */
size_t fetch_write(char to[static FETCH_SIZE], const char *node_id, const char *fw_version, const char *network_id);

#endif
