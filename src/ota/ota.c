/* The job: from its arrival to the reboot, and the trial of the new image (device specification 4.2, 4.5 to 4.8). */
#include "ota/ota.h"

#include "base/text.h"
#include "ota/inner.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define SECOND_MS        1000LL
#define MINUTE_MS        (60 * SECOND_MS)
#define HOUR_MS          (60 * MINUTE_MS)
#define CALLBACK_MAX_MS  (24 * HOUR_MS) /* an application's own callback may flash another processor meanwhile */
#define CONNECT_MAX_MS   (10 * MINUTE_MS)
#define STALL_MS         MINUTE_MS     /* without one byte */
#define DOWNLOAD_MAX_MS  (6 * HOUR_MS) /* however steadily they trickle */
#define VERIFY_MAX_MS    (10 * MINUTE_MS)
#define REBOOT_DELAY_MS  (10 * SECOND_MS)
#define REBOOT_MAX_MS    (REBOOT_DELAY_MS + MINUTE_MS)
#define REBOOT_ASK_MS    (24 * HOUR_MS) /* an application that reboots by itself is reminded */
#define CONFIRM_MAX_MS   MINUTE_MS
#define ROLL_BACK_MAX_MS (30 * SECOND_MS)
#define ABORTS_MAX       5 /* an attempt that does not end when told to, so many times: the node restarts */
#define TEST_REPORT_MS   (5 * SECOND_MS) /* for the report of a forced rollback to leave */

const struct ota_options ota_options_default = {
    .attempts_max = 3,
    .retry_delay_ms = 5 * MINUTE_MS,
    .trial_ms = 90 * SECOND_MS,
    .has_rollback = true,
    .is_autofetch = true,
    .has_time = true,
    .protocol = "HTTPS",
};

void ota_init(struct ota *ota, const struct ota_options *options, uint64_t seed)
{
    *ota = (struct ota){.options = options, .random = seed != 0 ? seed : 1};
}

void ota_set_zone(struct ota *ota, const struct zone *zone)
{
    ota->zone = *zone;
}

bool ota_is_busy(const struct ota *ota)
{
    return ota->state != OTA_OFF && ota->state != OTA_IDLE;
}

/* --- effects ---------------------------------------------------------------------------------- */

struct ota_effect *ota_add(struct step *s, enum ota_effect_kind kind)
{
    assert(s->todo->count < OTA_EFFECTS_MAX);
    struct ota_effect *e = &s->todo->at[s->todo->count++];
    *e = (struct ota_effect){.kind = kind, .info = ""};
    return e;
}

void ota_report(struct step *s, const char *job_id, enum report_status status, const char *info)
{
    struct ota_effects *todo = s->todo;
    assert(todo->info_count < 2);
    text_copy(todo->job_id, sizeof todo->job_id, job_id);
    text_copy(todo->info[todo->info_count], STATUS_INFO_SIZE, info);
    /* Only a document that could not be read is reported without saying of which job. */
    bool is_sent = s->ota->options->is_params || job_id[0] != '\0' || s->event->kind == OTA_JOB_UNUSABLE;
    struct ota_effect *e = ota_add(s, is_sent ? OTA_REPORT : OTA_POST);
    e->status = status;
    e->info = todo->info[todo->info_count++];
}

static void say(struct step *s, const char *info)
{
    ota_report(s, s->ota->job_id, REPORT_IN_PROGRESS, info);
}

static void deadline(struct step *s, int64_t ms)
{
    s->ota->deadline_ms = s->now->ms + ms;
}

size_t ota_report_write(char to[static REPORT_SIZE], const struct ota_effects *todo, const struct ota_effect *effect,
                        const char *network_id, int64_t unix_s)
{
    struct status_report r = {.status = effect->status, .ts = effect->value > 0 ? effect->value : unix_s};
    text_copy(r.job_id, sizeof r.job_id, todo->job_id);
    text_copy(r.network_id, sizeof r.network_id, network_id);
    text_copy(r.info, sizeof r.info, effect->info);
    return status_report_write(to, &r);
}

/* --- boot ------------------------------------------------------------------------------------- */

static void take_saved(struct ota *ota, const struct ota_saved *saved)
{
    memcpy(ota->rows, saved->rows, sizeof ota->rows);
    text_copy(ota->job_id, sizeof ota->job_id, saved->job_id);
    ota->cycles = saved->cycles;
    ota->is_of_job = saved->has_trial_flag && saved->target != OTA_TARGET_REFUSED &&
                     saved->target != OTA_TARGET_UNTRIED && saved->job_id[0] != '\0';
}

/* What the trial flag, the bootloader's verdict and the image that runs mean together. */
static enum ota_event_kind read_boot(const struct ota_saved *saved)
{
    static const enum ota_event_kind flagged[] = {
        [OTA_TARGET_UNKNOWN] = OTA_BOOTED_ROLLED_BACK, /* all that the original knows */
        [OTA_TARGET_RUNS] = OTA_BOOTED_CONFIRMED,
        [OTA_TARGET_REFUSED] = OTA_BOOTED_ROLLED_BACK,
        [OTA_TARGET_UNTRIED] = OTA_BOOTED_INTERRUPTED,
    };
    if (saved->is_pending_verify)
        return OTA_BOOTED_ON_TRIAL;
    return saved->has_trial_flag ? flagged[saved->target] : OTA_BOOTED_NORMAL;
}

static void begin_trial(struct step *s)
{
    deadline(s, s->ota->options->trial_ms);
    if (s->event->saved->has_trial_flag && !s->ota->is_of_job) {
        ota_add(s, OTA_CLEAR_TRIAL); /* another image than the job's was put here */
        ota_add(s, OTA_CLEAR_JOB);
        s->ota->job_id[0] = '\0';
    }
}

/* A rollback that was blamed on the network is told as `failed`: its job may come again. */
static void remember_blame(struct step *s)
{
    const struct ota_saved *saved = s->event->saved;
    if (saved->blame_job_id[0] == '\0' || s->ota->options->is_params)
        return;
    const char *why = saved->blame[0] ? saved->blame : "Firmware verification failed";
    struct ota_row *row = ota_write_row(s, saved->blame_job_id, REPORT_FAILED, why, OTA_ROW_PENDING);
    row->is_closed = false;
    s->todo->row.is_closed = false;
    ota_add(s, OTA_CLEAR_BLAME);
}

static void forget_job(struct step *s)
{
    if (s->ota->job_id[0])
        ota_add(s, OTA_CLEAR_JOB);
    s->ota->job_id[0] = '\0';
    s->ota->is_of_job = false;
}

/* The row is written before the flag goes; it is sent when the node has started. */
static void end_trial(struct step *s, enum report_status status, const char *info)
{
    if (s->ota->options->is_params)
        ota_report(s, "", status, info);
    else if (s->ota->job_id[0])
        ota_write_row(s, s->ota->job_id, status, info, OTA_ROW_PENDING);
    ota_add(s, OTA_CLEAR_TRIAL);
    forget_job(s);
}

static void was_confirmed(struct step *s)
{
    end_trial(s, REPORT_SUCCESS, "OTA Upgrade finished and verified successfully");
}

static void was_rolled_back(struct step *s)
{
    if (s->event->saved->blame_job_id[0] && !s->ota->options->is_params) {
        remember_blame(s);
        ota_add(s, OTA_CLEAR_TRIAL);
        return;
    }
    end_trial(s, REPORT_REJECTED, "Firmware rolled back");
}

/* Nothing was selected, so nothing was tried: the job goes on when it is served again. */
static void was_interrupted(struct step *s)
{
    ota_add(s, OTA_CLEAR_TRIAL);
}

/* --- a job ------------------------------------------------------------------------------------ */

static void accept_job(struct step *s)
{
    text_copy(s->ota->job_id, sizeof s->ota->job_id, s->event->job_id);
    text_copy(s->todo->job_id, sizeof s->todo->job_id, s->event->job_id);
    if (!s->ota->options->is_params)
        ota_add(s, OTA_SAVE_JOB);
    ota_add(s, OTA_RUN_CALLBACK);
    deadline(s, CALLBACK_MAX_MS);
}

/* The original drops a job silently while busy; a server cannot tell that from a lost message. */
static void put_off(struct step *s)
{
    ota_report(s, s->event->job_id, REPORT_DELAYED, "Another OTA is in progress.");
    s->ota->owes_fetch = true;
}

static void put_off_crowded(struct step *s)
{
    ota_report(s, s->event->job_id, REPORT_DELAYED, "Reports of earlier jobs are not delivered yet.");
}

/* A job that is over is not done again; whoever offers it missed how it ended. */
static void repeat_final(struct step *s)
{
    struct ota_row *row = ota_find_row(s->ota, s->event->job_id);
    if (row->state != OTA_ROW_PROVISIONAL)
        ota_send_row(s, row);
}

/* Without an id nothing is known of which job it was: the report has none, where the original takes that of the last
 * job. */
static void refuse_document(struct step *s)
{
    ota_tell_final(s, s->event->job_id, REPORT_FAILED, s->event->text, false);
}

static void begin_attempt(struct step *s)
{
    char info[STATUS_INFO_SIZE];
    struct ota *ota = s->ota;
    snprintf(info, sizeof info, "Starting OTA Upgrade (%s attempt %u/%u)", ota->options->protocol, ota->attempt,
             ota->options->attempts_max);
    say(s, info);
    ota_add(s, OTA_RUN_ATTEMPT);
    ota->aborts = 0;
    ota->last_percent = 0;
    ota->attempt_end_ms = s->now->ms + DOWNLOAD_MAX_MS;
    deadline(s, CONNECT_MAX_MS);
}

static void start_work(struct step *s)
{
    s->ota->attempt = 1;
    ota_add(s, OTA_POST_STARTING);
    begin_attempt(s);
}

static void delay_job(struct step *s)
{
    ota_report(s, s->ota->job_id, REPORT_DELAYED, s->text);
    ota_fetch_after(s, s->delay_ms);
    forget_job(s);
}

static void fail_job(struct step *s)
{
    ota_tell_final(s, s->ota->job_id, REPORT_FAILED, s->text, true);
    forget_job(s);
}

static void reject_job(struct step *s)
{
    ota_tell_final(s, s->ota->job_id, REPORT_REJECTED, s->text ? s->text : s->event->text, true);
    forget_job(s);
}

static void leave_callback(struct step *s)
{
    ota_report(s, s->ota->job_id, REPORT_FAILED, "The OTA callback did not end in time");
    ota_fetch_after(s, ota_jitter(s->ota, s->ota->options->retry_delay_ms));
    forget_job(s);
}

static void begin_download(struct step *s)
{
    say(s, "Downloading Firmware Image");
    deadline(s, STALL_MS);
}

/* A multiple of the interval is told when it is passed, once, and never 0 or 100. */
static void tell_progress(struct step *s)
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
    say(s, info);
}

static void end_download(struct step *s)
{
    say(s, "Firmware Image download complete");
    deadline(s, VERIFY_MAX_MS);
}

/* Before the slot is selected: after a power cut the flag tells that it was to be, the bootloader whether it was.
 * RainMaker's own flag only where there is a trial: an image with the original's agent would take it for a rollback. */
static void expect_trial(struct step *s)
{
    ota_add(s, OTA_SAVE_TRIAL)->value = s->ota->options->has_rollback;
}

static void finish_attempt(struct step *s)
{
    char info[STATUS_INFO_SIZE];
    struct ota *ota = s->ota;
    const struct ota_options *o = ota->options;
    const char *plural = ota->attempt == 1 ? "" : "s";
    if (o->has_rollback) {
        snprintf(info, sizeof info, "Rebooting into new firmware (after %u %s attempt%s)", ota->attempt, o->protocol,
                 plural);
        say(s, info);
    } else {
        snprintf(info, sizeof info, "%s OTA Upgrade finished successfully (after %u attempt%s)", o->protocol,
                 ota->attempt, plural);
        ota_tell_final(s, ota->job_id, REPORT_SUCCESS, info, true);
        ota_add(s, OTA_CLEAR_JOB);
    }
    if (o->keeps_running)
        ota_add(s, OTA_ASK_FOR_REBOOT);
    else
        ota_add(s, OTA_REBOOT_LATER)->value = REBOOT_DELAY_MS;
    deadline(s, o->keeps_running ? REBOOT_ASK_MS : REBOOT_MAX_MS);
}

/* Another processor's image, a file of the application's: it was handed over, verified. */
static void finish_file(struct step *s)
{
    char info[STATUS_INFO_SIZE];
    struct ota *ota = s->ota;
    snprintf(info, sizeof info, "%s OTA Upgrade finished successfully (after %u attempt%s)", ota->options->protocol,
             ota->attempt, ota->attempt == 1 ? "" : "s");
    ota_tell_final(s, ota->job_id, REPORT_SUCCESS, info, true);
    forget_job(s);
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

static void next_attempt(struct step *s)
{
    tell_failure(s);
    s->ota->attempt++;
    begin_attempt(s);
}

/* After the last one the node asks again, later: the server decides whether the job is served once more. */
static void end_attempts(struct step *s)
{
    tell_failure(s);
    ota_fetch_after(s, ota_jitter(s->ota, s->ota->options->retry_delay_ms));
    forget_job(s);
}

static void next_attempt_after_all(struct step *s)
{
    ota_add(s, OTA_CLEAR_TRIAL);
    next_attempt(s);
}

static void end_attempts_after_all(struct step *s)
{
    ota_add(s, OTA_CLEAR_TRIAL);
    end_attempts(s);
}

static void abort_attempt(struct step *s)
{
    static const char *const why[OTA_MIND_STATES] = {
        [OTA_CONNECTING] = "OTA Begin failed: no answer in time",
        [OTA_DOWNLOADING] = "OTA failed: no data in time",
        [OTA_VERIFYING] = "OTA finish failed: no end in time",
    };
    deadline(s, MINUTE_MS);
    ota_add(s, s->ota->aborts++ < ABORTS_MAX ? OTA_ABORT_ATTEMPT : OTA_RESTART)->info = why[s->ota->state];
}

static void reboot_again(struct step *s)
{
    ota_add(s, s->ota->options->keeps_running ? OTA_ASK_FOR_REBOOT : OTA_RESTART);
    deadline(s, s->ota->options->keeps_running ? REBOOT_ASK_MS : REBOOT_MAX_MS);
}

/* --- trial ------------------------------------------------------------------------------------ */

static bool is_cycling(const struct ota *ota)
{
    const struct ota_options *o = ota->options;
    return o->tests_rollback && ota->job_id[0] && (o->test_cycles == 0 || ota->cycles < o->test_cycles);
}

/* The row first, ESP-IDF's confirmation next: power may be cut between the two, and the next boot knows which it was.
 */
static void confirm(struct step *s)
{
    char info[STATUS_INFO_SIZE] = "OTA Upgrade finished and verified successfully";
    struct ota *ota = s->ota;
    if (ota->options->tests_rollback)
        snprintf(info, sizeof info, "TEST_ROLLBACK_END: %u/%u cycles complete; marking valid", (unsigned)ota->cycles,
                 (unsigned)ota->options->test_cycles);
    if (ota->is_of_job && !ota->options->is_params)
        ota_write_row(s, ota->job_id, REPORT_SUCCESS, info, OTA_ROW_PROVISIONAL);
    ota_add(s, OTA_CONFIRM);
    deadline(s, CONFIRM_MAX_MS);
}

static void settle(struct step *s)
{
    struct ota *ota = s->ota;
    struct ota_row *row = ota->is_of_job ? ota_find_row(ota, ota->job_id) : NULL;
    if (row != NULL) {
        row->state = OTA_ROW_PENDING;
        s->todo->row = *row;
        ota_add(s, OTA_SAVE_ROW)->value = row - ota->rows;
    }
    ota_add(s, OTA_CLEAR_TRIAL);
    if (row != NULL)
        ota_send_row(s, row);
    else if (ota->options->is_params)
        ota_report(s, "", REPORT_SUCCESS, "OTA Upgrade finished and verified successfully");
    if (ota->options->tests_rollback)
        ota_add(s, OTA_SAVE_CYCLES)->value = 0;
    forget_job(s);
    ota_fetch_after(s, FETCH_DELAY_MS);
}

static void roll_back(struct step *s)
{
    ota_add(s, OTA_ROLL_BACK);
    deadline(s, ROLL_BACK_MAX_MS);
}

static void give_up_trial(struct step *s)
{
    char info[STATUS_INFO_SIZE];
    struct ota *ota = s->ota;
    if (ota->options->reports_failed && ota->is_of_job) {
        snprintf(info, sizeof info, "MQTT did not connect within %lld seconds",
                 (long long)(ota->options->trial_ms / SECOND_MS));
        text_copy(s->todo->job_id, sizeof s->todo->job_id, ota->job_id);
        text_copy(s->todo->info[0], STATUS_INFO_SIZE, info);
        s->todo->info_count = 1;
        ota_add(s, OTA_SAVE_BLAME)->info = s->todo->info[0];
        ota_add(s, OTA_CLEAR_JOB);
    }
    roll_back(s);
}

static void force_rollback(struct step *s)
{
    char info[STATUS_INFO_SIZE], of[16];
    struct ota *ota = s->ota;
    snprintf(of, sizeof of, "/%u", (unsigned)ota->options->test_cycles);
    ota->cycles++;
    snprintf(info, sizeof info, "TEST_ROLLBACK: forced failure to re-trigger OTA (cycle %u%s)", (unsigned)ota->cycles,
             ota->options->test_cycles ? of : ", indefinite");
    ota_report(s, ota->job_id, REPORT_FAILED, info);
    ota_add(s, OTA_SAVE_CYCLES)->value = ota->cycles;
    ota_add(s, OTA_CLEAR_TRIAL);
    ota_add(s, OTA_CLEAR_JOB);
    deadline(s, TEST_REPORT_MS);
}

/* --- the table -------------------------------------------------------------------------------- */

/* Bytes in place of enums: the table is a twentieth of the node's code. */
static const struct row {
    uint8_t in, on, to;
    void (*act)(struct step *);
} rows[] = {
    {OTA_OFF, OTA_BOOTED_NORMAL, OTA_IDLE, remember_blame},
    {OTA_OFF, OTA_BOOTED_ON_TRIAL, OTA_ON_TRIAL, begin_trial},
    {OTA_OFF, OTA_BOOTED_CONFIRMED, OTA_IDLE, was_confirmed},
    {OTA_OFF, OTA_BOOTED_ROLLED_BACK, OTA_IDLE, was_rolled_back},
    {OTA_OFF, OTA_BOOTED_INTERRUPTED, OTA_IDLE, was_interrupted},

    {OTA_IDLE, OTA_JOB_NEW, OTA_QUEUED, accept_job},
    {OTA_IDLE, OTA_JOB_OVER, OTA_IDLE, repeat_final},
    {OTA_IDLE, OTA_JOB_CROWDED, OTA_IDLE, put_off_crowded},
    {OTA_IDLE, OTA_JOB_UNUSABLE, OTA_IDLE, refuse_document},
    /* An application may keep what its callback was given, and begin later. */
    {OTA_IDLE, OTA_GATE_OPEN, OTA_CONNECTING, start_work},
    {OTA_IDLE, OTA_GATE_LATER, OTA_IDLE, delay_job},
    {OTA_IDLE, OTA_GATE_SHUT, OTA_IDLE, fail_job},
    {OTA_IDLE, OTA_CALLBACK_DONE, OTA_IDLE, NULL},

    {OTA_QUEUED, OTA_JOB_NEW, OTA_QUEUED, put_off},
    {OTA_QUEUED, OTA_JOB_AGAIN, OTA_QUEUED, NULL},
    {OTA_QUEUED, OTA_JOB_OVER, OTA_QUEUED, repeat_final},
    {OTA_QUEUED, OTA_GATE_OPEN, OTA_CONNECTING, start_work},
    {OTA_QUEUED, OTA_GATE_LATER, OTA_IDLE, delay_job},
    {OTA_QUEUED, OTA_GATE_SHUT, OTA_IDLE, fail_job},
    {OTA_QUEUED, OTA_CALLBACK_DONE, OTA_IDLE, NULL}, /* the application may still report: the id stays */
    {OTA_QUEUED, OTA_TIME_UP, OTA_IDLE, leave_callback},

    {OTA_CONNECTING, OTA_JOB_NEW, OTA_CONNECTING, put_off},
    {OTA_CONNECTING, OTA_JOB_AGAIN, OTA_CONNECTING, NULL},
    {OTA_CONNECTING, OTA_JOB_OVER, OTA_CONNECTING, repeat_final},
    {OTA_CONNECTING, OTA_HEADER_GOOD, OTA_DOWNLOADING, begin_download},
    {OTA_CONNECTING, OTA_HEADER_BAD, OTA_IDLE, reject_job},
    {OTA_CONNECTING, OTA_ATTEMPT_FAILED, OTA_CONNECTING, next_attempt},
    {OTA_CONNECTING, OTA_LAST_FAILED, OTA_IDLE, end_attempts},
    {OTA_CONNECTING, OTA_ATTEMPT_REJECTED, OTA_IDLE, reject_job},
    {OTA_CONNECTING, OTA_TIME_UP, OTA_CONNECTING, abort_attempt},

    {OTA_DOWNLOADING, OTA_JOB_NEW, OTA_DOWNLOADING, put_off},
    {OTA_DOWNLOADING, OTA_JOB_AGAIN, OTA_DOWNLOADING, NULL},
    {OTA_DOWNLOADING, OTA_JOB_OVER, OTA_DOWNLOADING, repeat_final},
    {OTA_DOWNLOADING, OTA_BYTES, OTA_DOWNLOADING, tell_progress},
    {OTA_DOWNLOADING, OTA_ALL_RECEIVED, OTA_VERIFYING, end_download},
    {OTA_DOWNLOADING, OTA_ATTEMPT_FAILED, OTA_CONNECTING, next_attempt},
    {OTA_DOWNLOADING, OTA_LAST_FAILED, OTA_IDLE, end_attempts},
    {OTA_DOWNLOADING, OTA_ATTEMPT_REJECTED, OTA_IDLE, reject_job},
    {OTA_DOWNLOADING, OTA_TIME_UP, OTA_DOWNLOADING, abort_attempt},

    {OTA_VERIFYING, OTA_JOB_NEW, OTA_VERIFYING, put_off},
    {OTA_VERIFYING, OTA_JOB_AGAIN, OTA_VERIFYING, NULL},
    {OTA_VERIFYING, OTA_JOB_OVER, OTA_VERIFYING, repeat_final},
    {OTA_VERIFYING, OTA_IMAGE_GOOD, OTA_VERIFYING, expect_trial},
    {OTA_VERIFYING, OTA_ATTEMPT_OK, OTA_REBOOTING, finish_attempt},
    {OTA_VERIFYING, OTA_FILE_DONE, OTA_IDLE, finish_file},
    {OTA_VERIFYING, OTA_ATTEMPT_FAILED, OTA_CONNECTING, next_attempt_after_all},
    {OTA_VERIFYING, OTA_LAST_FAILED, OTA_IDLE, end_attempts_after_all},
    {OTA_VERIFYING, OTA_ATTEMPT_REJECTED, OTA_IDLE, reject_job},
    {OTA_VERIFYING, OTA_TIME_UP, OTA_VERIFYING, abort_attempt},

    {OTA_REBOOTING, OTA_JOB_NEW, OTA_REBOOTING, put_off},
    {OTA_REBOOTING, OTA_JOB_AGAIN, OTA_REBOOTING, NULL},
    {OTA_REBOOTING, OTA_JOB_OVER, OTA_REBOOTING, repeat_final},
    {OTA_REBOOTING, OTA_CALLBACK_DONE, OTA_REBOOTING, NULL},
    {OTA_REBOOTING, OTA_TIME_UP, OTA_REBOOTING, reboot_again},

    {OTA_ON_TRIAL, OTA_JOB_NEW, OTA_ON_TRIAL, put_off},
    {OTA_ON_TRIAL, OTA_JOB_AGAIN, OTA_ON_TRIAL, NULL},
    {OTA_ON_TRIAL, OTA_JOB_OVER, OTA_ON_TRIAL, repeat_final},
    {OTA_ON_TRIAL, OTA_DIAGNOSIS_GOOD, OTA_CONFIRMING, confirm},
    {OTA_ON_TRIAL, OTA_DIAGNOSIS_BAD, OTA_ROLLING_BACK, roll_back},
    {OTA_ON_TRIAL, OTA_CYCLE, OTA_ROLLING_BACK, force_rollback},
    {OTA_ON_TRIAL, OTA_TIME_UP, OTA_ROLLING_BACK, give_up_trial},

    {OTA_CONFIRMING, OTA_JOB_NEW, OTA_CONFIRMING, put_off},
    {OTA_CONFIRMING, OTA_JOB_AGAIN, OTA_CONFIRMING, NULL},
    {OTA_CONFIRMING, OTA_JOB_OVER, OTA_CONFIRMING, repeat_final},
    {OTA_CONFIRMING, OTA_CONFIRMED, OTA_IDLE, settle},
    {OTA_CONFIRMING, OTA_CONFIRM_FAILED, OTA_ROLLING_BACK, roll_back},
    {OTA_CONFIRMING, OTA_TIME_UP, OTA_ROLLING_BACK, roll_back},

    {OTA_ROLLING_BACK, OTA_JOB_NEW, OTA_ROLLING_BACK, put_off},
    {OTA_ROLLING_BACK, OTA_JOB_AGAIN, OTA_ROLLING_BACK, NULL},
    {OTA_ROLLING_BACK, OTA_TIME_UP, OTA_ROLLING_BACK, roll_back},
};

/* The one place that writes the state.  A state that is entered has no deadline but what its action sets. */
static bool run_row(struct step *s, enum ota_event_kind on)
{
    struct ota *ota = s->ota;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        if (r->in != ota->state || r->on != on)
            continue;
        if (r->to != r->in)
            ota->deadline_ms = 0;
        ota->state = (enum ota_mind_state)r->to;
        if (r->act != NULL)
            r->act(s);
        return true;
    }
    return false;
}

/* --- what happened, in the table's words ------------------------------------------------------ */

static enum ota_event_kind read_job(struct ota *ota, const char *job_id)
{
    if (ota->options->is_params)
        return ota_is_busy(ota) ? OTA_JOB_AGAIN : OTA_JOB_NEW;
    if (ota_is_busy(ota) && ota->job_id[0] && strcmp(ota->job_id, job_id) == 0)
        return OTA_JOB_AGAIN;
    const struct ota_row *row = ota_find_row(ota, job_id);
    if (row != NULL && row->is_closed)
        return OTA_JOB_OVER;
    return row == NULL && ota_outbox_is_full(ota) && !ota_is_busy(ota) ? OTA_JOB_CROWDED : OTA_JOB_NEW;
}

static enum ota_event_kind read_header(struct step *s)
{
    if (s->event->offered == NULL)
        return OTA_HEADER_GOOD;
    s->text = ota_check_header(s->event->running, s->event->offered, s->ota->options);
    return s->text == NULL ? OTA_HEADER_GOOD : OTA_HEADER_BAD;
}

static enum ota_event_kind derive(struct step *s)
{
    struct ota *ota = s->ota;
    const struct ota_event *e = s->event;
    switch (e->kind) {
    case OTA_BOOTED:
        return read_boot(e->saved);
    case OTA_JOB_ARRIVED:
        return read_job(ota, e->job_id);
    case OTA_WORKFLOW:
        return ota_check_terms(ota->options->has_time ? e->terms : NULL, &ota->zone, s->now->unix_s, &s->text,
                               &s->delay_ms);
    case OTA_HEADER_READ:
        return read_header(s);
    case OTA_ATTEMPT_FAILED:
        return ota->attempt < ota->options->attempts_max ? OTA_ATTEMPT_FAILED : OTA_LAST_FAILED;
    case OTA_DIAGNOSIS_GOOD:
        return is_cycling(ota) ? OTA_CYCLE : OTA_DIAGNOSIS_GOOD;
    case OTA_TICK:
        return ota->deadline_ms != 0 && ota->deadline_ms <= s->now->ms ? OTA_TIME_UP : OTA_TICK;
    default:
        return e->kind;
    }
}

bool ota_step(struct ota *ota, const struct ota_event *event, const struct ota_now *now, struct ota_effects *todo)
{
    struct step s = {ota, event, now, todo, NULL, 0};
    *todo = (struct ota_effects){.count = 0};
    if (event->kind >= OTA_BOOTED_NORMAL) {
        ota_add(&s, OTA_IGNORE); /* derived events are not for callers */
        return false;
    }
    enum ota_event_kind on = derive(&s);
    if (event->kind == OTA_BOOTED && ota->state == OTA_OFF)
        take_saved(ota, event->saved);
    bool is_legal = run_row(&s, on);
    is_legal = ota_mail_step(&s) || is_legal;
    if (ota->state == OTA_IDLE && ota->owes_fetch) {
        ota->owes_fetch = false;
        ota_fetch_after(&s, FETCH_DELAY_MS);
    }
    if (!is_legal)
        ota_add(&s, OTA_IGNORE);
    return is_legal;
}

int64_t ota_next_ms(const struct ota *ota)
{
    int64_t mail = ota_mail_next_ms(ota);
    if (ota->deadline_ms == 0 || (mail != 0 && mail < ota->deadline_ms))
        return mail;
    return ota->deadline_ms;
}

/* --- names, for the log ----------------------------------------------------------------------- */

const char *ota_state_name(enum ota_mind_state state)
{
    static const char *const names[OTA_MIND_STATES] = {"off",         "idle",        "queued",    "connecting",
                                                       "downloading", "verifying",   "rebooting", "on trial",
                                                       "confirming",  "rolling back"};
    return (unsigned)state < OTA_MIND_STATES ? names[state] : "?";
}

const char *ota_event_name(enum ota_event_kind kind)
{
    static const char *const names[OTA_EVENT_KINDS] = {"booted",
                                                       "connected",
                                                       "disconnected",
                                                       "started",
                                                       "tick",
                                                       "job arrived",
                                                       "job unusable",
                                                       "callback done",
                                                       "workflow",
                                                       "header read",
                                                       "bytes",
                                                       "all received",
                                                       "image good",
                                                       "attempt ok",
                                                       "file done",
                                                       "attempt failed",
                                                       "attempt rejected",
                                                       "diagnosis good",
                                                       "diagnosis bad",
                                                       "confirmed",
                                                       "confirm failed",
                                                       "app report",
                                                       "fetch asked",
                                                       "puback",
                                                       "publish failed",
                                                       "booted normal",
                                                       "booted on trial",
                                                       "booted confirmed",
                                                       "booted rolled back",
                                                       "booted interrupted",
                                                       "job new",
                                                       "job again",
                                                       "job over",
                                                       "job crowded",
                                                       "gate open",
                                                       "gate later",
                                                       "gate shut",
                                                       "header good",
                                                       "header bad",
                                                       "last failed",
                                                       "cycle",
                                                       "time up"};
    return (unsigned)kind < OTA_EVENT_KINDS ? names[kind] : "?";
}
