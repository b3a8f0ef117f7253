/*
 * inner.h - what the two machines of the mind share; for the files of this room only.
 */
#ifndef PLUVIO_OTA_INNER_H
#define PLUVIO_OTA_INNER_H

#include "ota/ota.h"

#define FETCH_DELAY_MS 5000 /* after start, after a confirmation, after a job that was put off */

struct step {
    struct ota *ota;
    const struct ota_event *event;
    const struct ota_now *now;
    struct ota_effects *todo;
    const char *text; /* of a derived event: why */
    int64_t delay_ms;
};

struct ota_effect *ota_add(struct step *s, enum ota_effect_kind kind);

/* Every report of one step is of the same job. */
void ota_report(struct step *s, const char *job_id, enum report_status status, const char *info);

/* mail.c: the job's machine tells, the mail's machine carries */

/* The final status of a job: a row of the outbox, written, then sent.  Without an id, and in params mode, just sent. */
void ota_tell_final(struct step *s, const char *job_id, enum report_status status, const char *info, bool is_closed);

/* The same without sending: the node is not ready yet (at boot) or the act that it tells of is still to come. */
struct ota_row *ota_write_row(struct step *s, const char *job_id, enum report_status status, const char *info,
                              enum ota_row_state state);
void ota_send_row(struct step *s, struct ota_row *row);
struct ota_row *ota_find_row(struct ota *ota, const char *job_id);
bool ota_outbox_is_full(const struct ota *ota);

void ota_fetch_after(struct step *s, int64_t delay_ms);

/* The mail's part of an event.  False when it has none in this state. */
bool ota_mail_step(struct step *s);
int64_t ota_mail_next_ms(const struct ota *ota);

/* Evenly in 1..bound: a node's own, so that nodes that failed together do not come back together. */
int64_t ota_jitter(struct ota *ota, int64_t bound);

#endif
