/* A job, from its arrival to the reboot (device specification 4.2, 4.5, 4.6): the actions of the table in ota.c. */
#include "ota/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define CALLBACK_MAX_MS (24 * HOUR_MS) /* an application's own callback may flash another processor meanwhile */
#define CONNECT_MAX_MS  (10 * MINUTE_MS)
#define STALL_MS        MINUTE_MS     /* without one byte */
#define DOWNLOAD_MAX_MS (6 * HOUR_MS) /* however steadily they trickle */
#define VERIFY_MAX_MS   (10 * MINUTE_MS)
#define REBOOT_DELAY_MS (10 * SECOND_MS)
#define REBOOT_MAX_MS   (REBOOT_DELAY_MS + MINUTE_MS)
#define REBOOT_ASK_MS   (24 * HOUR_MS) /* an application that reboots by itself is reminded */
#define ABORTS_MAX      5              /* an attempt that does not end when told to, so many times: the node restarts */

void act_accept_job(struct step *s)
{
    text_copy(s->ota->job_id, sizeof s->ota->job_id, s->event->job_id);
    text_copy(s->todo->job_id, sizeof s->todo->job_id, s->event->job_id);
    if (!s->ota->options->is_params)
        ota_add(s, OTA_SAVE_JOB);
    ota_add(s, OTA_RUN_CALLBACK);
    ota_deadline(s, CALLBACK_MAX_MS);
}

/* The original drops a job silently while busy; a server cannot tell that from a lost message. */
void act_put_off(struct step *s)
{
    ota_report(s, s->event->job_id, REPORT_DELAYED, "Another OTA is in progress.");
    s->ota->owes_fetch = true;
}

void act_put_off_crowded(struct step *s)
{
    ota_report(s, s->event->job_id, REPORT_DELAYED, "Reports of earlier jobs are not delivered yet.");
}

/* A job that is over is not done again; whoever offers it missed how it ended. */
void act_repeat_final(struct step *s)
{
    struct ota_row *row = ota_find_row(s->ota, s->event->job_id);
    if (row->state != OTA_ROW_PROVISIONAL)
        ota_send_row(s, row);
}

/* Without an id nothing is known of which job it was: the report has none, where the original takes that of the last
 * job. */
void act_refuse_document(struct step *s)
{
    ota_tell_final(s, s->event->job_id, REPORT_FAILED, s->event->text, false);
}

static void begin_attempt(struct step *s)
{
    char info[STATUS_INFO_SIZE];
    struct ota *ota = s->ota;
    snprintf(info, sizeof info, "Starting OTA Upgrade (%s attempt %u/%u)", ota->options->protocol, ota->attempt,
             ota->options->attempts_max);
    ota_say(s, info);
    ota_add(s, OTA_RUN_ATTEMPT);
    ota->aborts = 0;
    ota->last_percent = 0;
    ota->attempt_end_ms = s->now->ms + DOWNLOAD_MAX_MS;
    ota_deadline(s, CONNECT_MAX_MS);
}

void act_start_work(struct step *s)
{
    s->ota->attempt = 1;
    ota_add(s, OTA_POST_STARTING);
    begin_attempt(s);
}

void act_delay_job(struct step *s)
{
    ota_report(s, s->ota->job_id, REPORT_DELAYED, s->text);
    ota_fetch_after(s, s->delay_ms);
    ota_forget_job(s);
}

void act_fail_job(struct step *s)
{
    ota_tell_final(s, s->ota->job_id, REPORT_FAILED, s->text, true);
    ota_forget_job(s);
}

void act_reject_job(struct step *s)
{
    ota_tell_final(s, s->ota->job_id, REPORT_REJECTED, s->text ? s->text : s->event->text, true);
    ota_forget_job(s);
}

void act_leave_callback(struct step *s)
{
    ota_report(s, s->ota->job_id, REPORT_FAILED, "The OTA callback did not end in time");
    ota_fetch_after(s, ota_jitter(s->ota, s->ota->options->retry_delay_ms));
    ota_forget_job(s);
}

void act_begin_download(struct step *s)
{
    ota_say(s, "Downloading Firmware Image");
    ota_deadline(s, STALL_MS);
}

/* A multiple of the interval is told when it is passed, once, and never 0 or 100. */
void act_tell_progress(struct step *s)
{
    char info[STATUS_INFO_SIZE];
    struct ota *ota = s->ota;
    int interval = ota->options->progress_percent;
    int64_t end = s->now->ms + STALL_MS;
    ota->deadline_ms = end < ota->attempt_end_ms ? end : ota->attempt_end_ms;
    if (interval == 0 || s->event->total <= 0 || s->event->value < 0)
        return;
    int percent = (int)(s->event->value * 100 / s->event->total);
    percent -= percent % interval;
    if (percent <= ota->last_percent || percent >= 100)
        return;
    ota->last_percent = percent;
    snprintf(info, sizeof info, "Downloaded %d%% Firmware Image", percent);
    ota_say(s, info);
}

void act_end_download(struct step *s)
{
    ota_say(s, "Firmware Image download complete");
    ota_deadline(s, VERIFY_MAX_MS);
}

/* Before the slot is selected: after a power cut the flag tells that it was to be, the bootloader whether it was.
 * RainMaker's own flag only where there is a trial: an image with the original's agent would take it for a rollback. */
void act_expect_trial(struct step *s)
{
    ota_add(s, OTA_SAVE_TRIAL)->value = s->ota->options->has_rollback;
}

static void tell_finished(struct step *s)
{
    char info[STATUS_INFO_SIZE];
    const struct ota *ota = s->ota;
    snprintf(info, sizeof info, "%s OTA Upgrade finished successfully (after %u attempt%s)", ota->options->protocol,
             ota->attempt, ota->attempt == 1 ? "" : "s");
    ota_tell_final(s, ota->job_id, REPORT_SUCCESS, info, true);
}

void act_finish_attempt(struct step *s)
{
    char info[STATUS_INFO_SIZE];
    struct ota *ota = s->ota;
    const struct ota_options *o = ota->options;
    if (o->has_rollback) {
        snprintf(info, sizeof info, "Rebooting into new firmware (after %u %s attempt%s)", ota->attempt, o->protocol,
                 ota->attempt == 1 ? "" : "s");
        ota_say(s, info);
    } else {
        tell_finished(s);
        ota_add(s, OTA_CLEAR_JOB);
    }
    if (o->keeps_running)
        ota_add(s, OTA_ASK_FOR_REBOOT);
    else
        ota_add(s, OTA_REBOOT_LATER)->value = REBOOT_DELAY_MS;
    ota_deadline(s, o->keeps_running ? REBOOT_ASK_MS : REBOOT_MAX_MS);
}

/* Another processor's image, a file of the application's: it was handed over, verified. */
void act_finish_file(struct step *s)
{
    tell_finished(s);
    ota_forget_job(s);
}

/* Each attempt reports its failure. */
static void tell_failure(struct step *s)
{
    char info[STATUS_INFO_SIZE];
    struct ota *ota = s->ota;
    snprintf(info, sizeof info, "OTA Attempt %u/%u failed: %.127s", ota->attempt, ota->options->attempts_max,
             s->event->text);
    ota_report(s, ota->job_id, REPORT_FAILED, info);
}

void act_next_attempt(struct step *s)
{
    tell_failure(s);
    s->ota->attempt++;
    begin_attempt(s);
}

/* After the last one the node asks again, later: the server decides whether the job is served once more. */
void act_end_attempts(struct step *s)
{
    tell_failure(s);
    ota_fetch_after(s, ota_jitter(s->ota, s->ota->options->retry_delay_ms));
    ota_forget_job(s);
}

void act_next_attempt_after_all(struct step *s)
{
    ota_add(s, OTA_CLEAR_TRIAL);
    act_next_attempt(s);
}

void act_end_attempts_after_all(struct step *s)
{
    ota_add(s, OTA_CLEAR_TRIAL);
    act_end_attempts(s);
}

void act_abort_attempt(struct step *s)
{
    static const char *const why[OTA_MIND_STATES] = {
        [OTA_CONNECTING] = "OTA Begin failed: no answer in time",
        [OTA_DOWNLOADING] = "OTA failed: no data in time",
        [OTA_VERIFYING] = "OTA finish failed: no end in time",
    };
    ota_deadline(s, MINUTE_MS);
    ota_add(s, s->ota->aborts++ < ABORTS_MAX ? OTA_ABORT_ATTEMPT : OTA_RESTART)->info = why[s->ota->state];
}

void act_reboot_again(struct step *s)
{
    ota_add(s, s->ota->options->keeps_running ? OTA_ASK_FOR_REBOOT : OTA_RESTART);
    ota_deadline(s, s->ota->options->keeps_running ? REBOOT_ASK_MS : REBOOT_MAX_MS);
}
