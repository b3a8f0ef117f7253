/*
 * inner.h - what the two machines of the mind share; for the files of this room only.
 */
#ifndef PLUVIO_OTA_INNER_H
#define PLUVIO_OTA_INNER_H

#include "ota/ota.h"

#define SECOND_MS 1000LL
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS   (60 * MINUTE_MS)

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

/* The running job's `in-progress`. */
void ota_say(struct step *s, const char *info);

/* Of the state that was just entered, from now on. */
void ota_deadline(struct step *s, int64_t ms);

/* --- trial.c ---------------------------------------------------------------------------------- */

void ota_take_saved(struct ota *ota, const struct ota_saved *saved);
/* What the trial flag, the bootloader's verdict and the image that runs mean together: one of OTA_BOOTED_*. */
enum ota_event_kind ota_read_boot(const struct ota_saved *saved);
void ota_forget_job(struct step *s);
/* True while a build for testing rollbacks has some left. */
bool ota_is_cycling(const struct ota *ota);

/* --- job.c and trial.c: what the rows of the table do ------------------------------------------- */

void act_abort_attempt(struct step *s);
void act_accept_job(struct step *s);
void act_begin_download(struct step *s);
void act_begin_trial(struct step *s);
void act_confirm(struct step *s);
void act_delay_job(struct step *s);
void act_end_attempts(struct step *s);
void act_end_attempts_after_all(struct step *s);
void act_end_download(struct step *s);
void act_expect_trial(struct step *s);
void act_fail_job(struct step *s);
void act_finish_attempt(struct step *s);
void act_finish_file(struct step *s);
void act_force_rollback(struct step *s);
void act_give_up_trial(struct step *s);
void act_leave_callback(struct step *s);
void act_next_attempt(struct step *s);
void act_next_attempt_after_all(struct step *s);
void act_put_off(struct step *s);
void act_put_off_crowded(struct step *s);
void act_reboot_again(struct step *s);
void act_refuse_document(struct step *s);
void act_reject_job(struct step *s);
void act_remember_blame(struct step *s);
void act_repeat_final(struct step *s);
void act_roll_back(struct step *s);
void act_settle(struct step *s);
void act_start_work(struct step *s);
void act_tell_progress(struct step *s);
void act_was_confirmed(struct step *s);
void act_was_interrupted(struct step *s);
void act_was_rolled_back(struct step *s);

/* --- mail.c ----------------------------------------------------------------------------------- */

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
