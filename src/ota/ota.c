/* The job's machine: its table, what events mean in its words, and how effects are gathered. */
#include "ota/ota.h"

#include "base/text.h"
#include "ota/inner.h"

#include <assert.h>
#include <string.h>

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

void ota_say(struct step *s, const char *info)
{
    ota_report(s, s->ota->job_id, REPORT_IN_PROGRESS, info);
}

void ota_deadline(struct step *s, int64_t ms)
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

/* --- the table -------------------------------------------------------------------------------- */

/* Bytes in place of enums: the table is a twentieth of the node's code. */
static const struct row {
    uint8_t in, on, to;
    void (*act)(struct step *);
} rows[] = {
    {OTA_OFF, OTA_BOOTED_NORMAL, OTA_IDLE, act_remember_blame},
    {OTA_OFF, OTA_BOOTED_ON_TRIAL, OTA_ON_TRIAL, act_begin_trial},
    {OTA_OFF, OTA_BOOTED_CONFIRMED, OTA_IDLE, act_was_confirmed},
    {OTA_OFF, OTA_BOOTED_ROLLED_BACK, OTA_IDLE, act_was_rolled_back},
    {OTA_OFF, OTA_BOOTED_INTERRUPTED, OTA_IDLE, act_was_interrupted},

    {OTA_IDLE, OTA_JOB_NEW, OTA_QUEUED, act_accept_job},
    {OTA_IDLE, OTA_JOB_OVER, OTA_IDLE, act_repeat_final},
    {OTA_IDLE, OTA_JOB_CROWDED, OTA_IDLE, act_put_off_crowded},
    {OTA_IDLE, OTA_JOB_UNUSABLE, OTA_IDLE, act_refuse_document},
    /* An application may keep what its callback was given, and begin later. */
    {OTA_IDLE, OTA_GATE_OPEN, OTA_CONNECTING, act_start_work},
    {OTA_IDLE, OTA_GATE_LATER, OTA_IDLE, act_delay_job},
    {OTA_IDLE, OTA_GATE_SHUT, OTA_IDLE, act_fail_job},
    {OTA_IDLE, OTA_CALLBACK_DONE, OTA_IDLE, NULL},

    {OTA_QUEUED, OTA_JOB_NEW, OTA_QUEUED, act_put_off},
    {OTA_QUEUED, OTA_JOB_AGAIN, OTA_QUEUED, NULL},
    {OTA_QUEUED, OTA_JOB_OVER, OTA_QUEUED, act_repeat_final},
    {OTA_QUEUED, OTA_GATE_OPEN, OTA_CONNECTING, act_start_work},
    {OTA_QUEUED, OTA_GATE_LATER, OTA_IDLE, act_delay_job},
    {OTA_QUEUED, OTA_GATE_SHUT, OTA_IDLE, act_fail_job},
    {OTA_QUEUED, OTA_CALLBACK_DONE, OTA_IDLE, NULL}, /* the application may still report: the id stays */
    {OTA_QUEUED, OTA_TIME_UP, OTA_IDLE, act_leave_callback},

    {OTA_CONNECTING, OTA_JOB_NEW, OTA_CONNECTING, act_put_off},
    {OTA_CONNECTING, OTA_JOB_AGAIN, OTA_CONNECTING, NULL},
    {OTA_CONNECTING, OTA_JOB_OVER, OTA_CONNECTING, act_repeat_final},
    {OTA_CONNECTING, OTA_HEADER_GOOD, OTA_DOWNLOADING, act_begin_download},
    {OTA_CONNECTING, OTA_HEADER_BAD, OTA_IDLE, act_reject_job},
    {OTA_CONNECTING, OTA_ATTEMPT_FAILED, OTA_CONNECTING, act_next_attempt},
    {OTA_CONNECTING, OTA_LAST_FAILED, OTA_IDLE, act_end_attempts},
    {OTA_CONNECTING, OTA_ATTEMPT_REJECTED, OTA_IDLE, act_reject_job},
    {OTA_CONNECTING, OTA_TIME_UP, OTA_CONNECTING, act_abort_attempt},

    {OTA_DOWNLOADING, OTA_JOB_NEW, OTA_DOWNLOADING, act_put_off},
    {OTA_DOWNLOADING, OTA_JOB_AGAIN, OTA_DOWNLOADING, NULL},
    {OTA_DOWNLOADING, OTA_JOB_OVER, OTA_DOWNLOADING, act_repeat_final},
    {OTA_DOWNLOADING, OTA_BYTES, OTA_DOWNLOADING, act_tell_progress},
    {OTA_DOWNLOADING, OTA_ALL_RECEIVED, OTA_VERIFYING, act_end_download},
    {OTA_DOWNLOADING, OTA_ATTEMPT_FAILED, OTA_CONNECTING, act_next_attempt},
    {OTA_DOWNLOADING, OTA_LAST_FAILED, OTA_IDLE, act_end_attempts},
    {OTA_DOWNLOADING, OTA_ATTEMPT_REJECTED, OTA_IDLE, act_reject_job},
    {OTA_DOWNLOADING, OTA_TIME_UP, OTA_DOWNLOADING, act_abort_attempt},

    {OTA_VERIFYING, OTA_JOB_NEW, OTA_VERIFYING, act_put_off},
    {OTA_VERIFYING, OTA_JOB_AGAIN, OTA_VERIFYING, NULL},
    {OTA_VERIFYING, OTA_JOB_OVER, OTA_VERIFYING, act_repeat_final},
    {OTA_VERIFYING, OTA_IMAGE_GOOD, OTA_VERIFYING, act_expect_trial},
    {OTA_VERIFYING, OTA_ATTEMPT_OK, OTA_REBOOTING, act_finish_attempt},
    {OTA_VERIFYING, OTA_FILE_DONE, OTA_IDLE, act_finish_file},
    {OTA_VERIFYING, OTA_ATTEMPT_FAILED, OTA_CONNECTING, act_next_attempt_after_all},
    {OTA_VERIFYING, OTA_LAST_FAILED, OTA_IDLE, act_end_attempts_after_all},
    {OTA_VERIFYING, OTA_ATTEMPT_REJECTED, OTA_IDLE, act_reject_job},
    {OTA_VERIFYING, OTA_TIME_UP, OTA_VERIFYING, act_abort_attempt},

    {OTA_REBOOTING, OTA_JOB_NEW, OTA_REBOOTING, act_put_off},
    {OTA_REBOOTING, OTA_JOB_AGAIN, OTA_REBOOTING, NULL},
    {OTA_REBOOTING, OTA_JOB_OVER, OTA_REBOOTING, act_repeat_final},
    {OTA_REBOOTING, OTA_CALLBACK_DONE, OTA_REBOOTING, NULL},
    {OTA_REBOOTING, OTA_TIME_UP, OTA_REBOOTING, act_reboot_again},

    {OTA_ON_TRIAL, OTA_JOB_NEW, OTA_ON_TRIAL, act_put_off},
    {OTA_ON_TRIAL, OTA_JOB_AGAIN, OTA_ON_TRIAL, NULL},
    {OTA_ON_TRIAL, OTA_JOB_OVER, OTA_ON_TRIAL, act_repeat_final},
    {OTA_ON_TRIAL, OTA_DIAGNOSIS_GOOD, OTA_CONFIRMING, act_confirm},
    {OTA_ON_TRIAL, OTA_DIAGNOSIS_BAD, OTA_ROLLING_BACK, act_roll_back},
    {OTA_ON_TRIAL, OTA_CYCLE, OTA_ROLLING_BACK, act_force_rollback},
    {OTA_ON_TRIAL, OTA_TIME_UP, OTA_ROLLING_BACK, act_give_up_trial},

    {OTA_CONFIRMING, OTA_JOB_NEW, OTA_CONFIRMING, act_put_off},
    {OTA_CONFIRMING, OTA_JOB_AGAIN, OTA_CONFIRMING, NULL},
    {OTA_CONFIRMING, OTA_JOB_OVER, OTA_CONFIRMING, act_repeat_final},
    {OTA_CONFIRMING, OTA_CONFIRMED, OTA_IDLE, act_settle},
    {OTA_CONFIRMING, OTA_CONFIRM_FAILED, OTA_ROLLING_BACK, act_roll_back},
    {OTA_CONFIRMING, OTA_TIME_UP, OTA_ROLLING_BACK, act_roll_back},

    {OTA_ROLLING_BACK, OTA_JOB_NEW, OTA_ROLLING_BACK, act_put_off},
    {OTA_ROLLING_BACK, OTA_JOB_AGAIN, OTA_ROLLING_BACK, NULL},
    {OTA_ROLLING_BACK, OTA_TIME_UP, OTA_ROLLING_BACK, act_roll_back},
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
        return ota_read_boot(e->saved);
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
        return ota_is_cycling(ota) ? OTA_CYCLE : OTA_DIAGNOSIS_GOOD;
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
        ota_take_saved(ota, event->saved);
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
