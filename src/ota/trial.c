/* What a boot means, and the trial of a new image (device specification 4.8): actions of the table in ota.c. */
#include "ota/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define CONFIRMED        "OTA Upgrade finished and verified successfully"
#define CONFIRM_MAX_MS   MINUTE_MS
#define ROLL_BACK_MAX_MS (30 * SECOND_MS)
#define TEST_REPORT_MS   (5 * SECOND_MS) /* for the report of a forced rollback to leave */

/* --- boot ------------------------------------------------------------------------------------- */

void ota_take_saved(struct ota *ota, const struct ota_saved *saved)
{
    memcpy(ota->rows, saved->rows, sizeof ota->rows);
    text_copy(ota->job_id, sizeof ota->job_id, saved->job_id);
    ota->cycles = saved->cycles;
    ota->is_of_job = saved->has_trial_flag && saved->target != OTA_TARGET_REFUSED &&
                     saved->target != OTA_TARGET_UNTRIED && saved->job_id[0] != '\0';
}

enum ota_event_kind ota_read_boot(const struct ota_saved *saved)
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

void act_begin_trial(struct step *s)
{
    ota_deadline(s, s->ota->options->trial_ms);
    if (s->event->saved->has_trial_flag && !s->ota->is_of_job) {
        ota_add(s, OTA_CLEAR_TRIAL); /* another image than the job's was put here */
        ota_add(s, OTA_CLEAR_JOB);
        s->ota->job_id[0] = '\0';
    }
}

/* A rollback that was blamed on the network is told as `failed`: its job may come again. */
void act_remember_blame(struct step *s)
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

void ota_forget_job(struct step *s)
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
    ota_forget_job(s);
}

void act_was_confirmed(struct step *s)
{
    end_trial(s, REPORT_SUCCESS, CONFIRMED);
}

void act_was_rolled_back(struct step *s)
{
    if (s->event->saved->blame_job_id[0] && !s->ota->options->is_params) {
        act_remember_blame(s);
        ota_add(s, OTA_CLEAR_TRIAL);
        return;
    }
    end_trial(s, REPORT_REJECTED, "Firmware rolled back");
}

/* Nothing was selected, so nothing was tried: the job goes on when it is served again. */
void act_was_interrupted(struct step *s)
{
    ota_add(s, OTA_CLEAR_TRIAL);
}

/* --- trial ------------------------------------------------------------------------------------ */

bool ota_is_cycling(const struct ota *ota)
{
    const struct ota_options *o = ota->options;
    return o->tests_rollback && ota->job_id[0] && (o->test_cycles == 0 || ota->cycles < o->test_cycles);
}

/* The row first, ESP-IDF's confirmation next: power may be cut between the two, and the next boot knows which it was.
 */
void act_confirm(struct step *s)
{
    char cycles[STATUS_INFO_SIZE];
    const char *info = CONFIRMED;
    struct ota *ota = s->ota;
    if (ota->options->tests_rollback) {
        info = cycles;
        snprintf(cycles, sizeof cycles, "TEST_ROLLBACK_END: %u/%u cycles complete; marking valid",
                 (unsigned)ota->cycles, (unsigned)ota->options->test_cycles);
    }
    if (ota->is_of_job && !ota->options->is_params)
        ota_write_row(s, ota->job_id, REPORT_SUCCESS, info, OTA_ROW_PROVISIONAL);
    ota_add(s, OTA_CONFIRM);
    ota_deadline(s, CONFIRM_MAX_MS);
}

void act_settle(struct step *s)
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
        ota_report(s, "", REPORT_SUCCESS, CONFIRMED);
    if (ota->options->tests_rollback)
        ota_add(s, OTA_SAVE_CYCLES)->value = 0;
    ota_forget_job(s);
    ota_fetch_after(s, FETCH_DELAY_MS);
}

void act_roll_back(struct step *s)
{
    ota_add(s, OTA_ROLL_BACK);
    ota_deadline(s, ROLL_BACK_MAX_MS);
}

void act_give_up_trial(struct step *s)
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
    act_roll_back(s);
}

void act_force_rollback(struct step *s)
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
    ota_deadline(s, TEST_REPORT_MS);
}
