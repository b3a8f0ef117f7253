#include "ota/ota.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

void ota_init(struct ota *ota, const struct ota_options *options)
{
    *ota = (struct ota){.options = *options};
}

bool ota_is_busy(const struct ota *ota)
{
    return ota->state != OTA_IDLE && ota->state != OTA_ROLLED_BACK;
}

/* --- effects ---------------------------------------------------------------------------------- */

struct step {
    struct ota *ota;
    const struct ota_event *event;
    struct ota_effects *todo;
};

static struct ota_effect *add(struct step *s, enum ota_effect_kind kind)
{
    struct ota_effect *e = &s->todo->at[s->todo->count++];
    *e = (struct ota_effect){.kind = kind};
    return e;
}

static void report(struct step *s, enum report_status status, const char *info)
{
    struct ota_effect *e = add(s, OTA_REPORT);
    e->status = status;
    text_copy(e->info, sizeof e->info, info);
}

static void after(struct step *s, enum ota_effect_kind kind, int64_t delay_ms)
{
    add(s, kind)->delay_ms = delay_ms;
}

/* --- actions, one for each row that needs one ------------------------------------------------- */

static void begin_trial(struct step *s)
{
    after(s, OTA_START_TRIAL, s->ota->options.trial_ms);
}

static void accept_job(struct step *s)
{
    struct ota_effect *e = add(s, OTA_SAVE_JOB);
    text_copy(e->info, sizeof e->info, s->event->job_id);
    add(s, OTA_RUN_CALLBACK);
}

/* The original drops a job silently while busy; a server cannot tell that from a lost message. */
static void refuse_busy(struct step *s)
{
    report(s, REPORT_DELAYED, "Another OTA is in progress.");
}

static void report_unusable(struct step *s)
{
    report(s, REPORT_FAILED, s->event->text);
}

static void begin_attempt(struct step *s)
{
    char info[STATUS_INFO_SIZE];
    struct ota *ota = s->ota;
    snprintf(info, sizeof info, "Starting OTA Upgrade (%s attempt %u/%u)", ota->options.protocol, ota->attempt,
             ota->options.attempts_max);
    report(s, REPORT_IN_PROGRESS, info);
    add(s, OTA_RUN_ATTEMPT)->attempt = ota->attempt;
}

static void start_work(struct step *s)
{
    s->ota->attempt = 1;
    add(s, OTA_POST_STARTING);
    begin_attempt(s);
}

static void delay_job(struct step *s)
{
    report(s, REPORT_DELAYED, s->event->text);
    after(s, OTA_FETCH_LATER, s->event->delay_ms);
}

static void refuse_job(struct step *s)
{
    report(s, REPORT_FAILED, s->event->text);
}

static void reject_job(struct step *s)
{
    report(s, REPORT_REJECTED, s->event->text);
}

static void finish_flash(struct step *s)
{
    char info[STATUS_INFO_SIZE];
    const struct ota_options *o = &s->ota->options;
    const char *plural = s->ota->attempt == 1 ? "" : "s";
    if (o->has_rollback) {
        add(s, OTA_SAVE_TRIAL);
        snprintf(info, sizeof info, "Rebooting into new firmware (after %u %s attempt%s)", s->ota->attempt, o->protocol,
                 plural);
        report(s, REPORT_IN_PROGRESS, info);
    } else {
        snprintf(info, sizeof info, "%s OTA Upgrade finished successfully (after %u attempt%s)", o->protocol,
                 s->ota->attempt, plural);
        report(s, REPORT_SUCCESS, info);
    }
    after(s, OTA_REBOOT_LATER, o->reboot_delay_ms);
}

/* Each attempt reports its failure; after the last one the node asks again later. */
static void next_attempt(struct step *s)
{
    char info[STATUS_INFO_SIZE];
    struct ota *ota = s->ota;
    snprintf(info, sizeof info, "OTA Attempt %u/%u failed: %s", ota->attempt, ota->options.attempts_max,
             s->event->text);
    report(s, REPORT_FAILED, info);
    if (ota->attempt < ota->options.attempts_max) {
        ota->attempt++;
        begin_attempt(s);
        return;
    }
    ota->state = OTA_IDLE;
    after(s, OTA_FETCH_LATER, ota->options.retry_delay_ms);
}

static void confirm(struct step *s)
{
    add(s, OTA_CONFIRM);
    add(s, OTA_CLEAR_TRIAL);
    report(s, REPORT_SUCCESS, "OTA Upgrade finished and verified successfully");
    after(s, OTA_FETCH_LATER, s->ota->options.fetch_delay_ms);
}

static void roll_back(struct step *s)
{
    add(s, OTA_ROLL_BACK);
}

static void first_fetch(struct step *s)
{
    if (s->ota->options.is_autofetch)
        after(s, OTA_FETCH_LATER, s->ota->options.fetch_delay_ms);
}

static void tell_rollback(struct step *s)
{
    add(s, OTA_CLEAR_TRIAL);
    report(s, REPORT_REJECTED, "Firmware rolled back");
    first_fetch(s);
}

/* --- the table -------------------------------------------------------------------------------- */

static const struct row {
    enum ota_mind_state in;
    enum ota_event_kind on;
    enum ota_mind_state to;
    void (*act)(struct step *);
} rows[] = {
    {OTA_IDLE, OTA_BOOTED_NORMAL, OTA_IDLE, NULL},
    {OTA_IDLE, OTA_BOOTED_ON_TRIAL, OTA_ON_TRIAL, begin_trial},
    {OTA_IDLE, OTA_BOOTED_ROLLED_BACK, OTA_ROLLED_BACK, NULL},
    {OTA_IDLE, OTA_STARTED, OTA_IDLE, first_fetch},
    {OTA_IDLE, OTA_JOB_ARRIVED, OTA_QUEUED, accept_job},
    {OTA_IDLE, OTA_JOB_UNUSABLE, OTA_IDLE, report_unusable},
    {OTA_QUEUED, OTA_JOB_ARRIVED, OTA_QUEUED, refuse_busy},
    {OTA_QUEUED, OTA_GATE_OPEN, OTA_WORKING, start_work},
    {OTA_QUEUED, OTA_GATE_LATER, OTA_IDLE, delay_job},
    {OTA_QUEUED, OTA_GATE_SHUT, OTA_IDLE, refuse_job},
    {OTA_QUEUED, OTA_CALLBACK_DONE, OTA_IDLE, NULL},
    {OTA_WORKING, OTA_JOB_ARRIVED, OTA_WORKING, refuse_busy},
    {OTA_WORKING, OTA_ATTEMPT_OK, OTA_REBOOTING, finish_flash},
    {OTA_WORKING, OTA_ATTEMPT_FAILED, OTA_WORKING, next_attempt},
    {OTA_WORKING, OTA_ATTEMPT_REJECTED, OTA_IDLE, reject_job},
    {OTA_REBOOTING, OTA_JOB_ARRIVED, OTA_REBOOTING, refuse_busy},
    {OTA_REBOOTING, OTA_CALLBACK_DONE, OTA_REBOOTING, NULL},
    {OTA_ON_TRIAL, OTA_JOB_ARRIVED, OTA_ON_TRIAL, refuse_busy},
    {OTA_ON_TRIAL, OTA_STARTED, OTA_ON_TRIAL, NULL},
    {OTA_ON_TRIAL, OTA_DIAGNOSIS_GOOD, OTA_IDLE, confirm},
    {OTA_ON_TRIAL, OTA_DIAGNOSIS_BAD, OTA_ON_TRIAL, roll_back},
    {OTA_ON_TRIAL, OTA_TRIAL_OVER, OTA_ON_TRIAL, roll_back},
    {OTA_ROLLED_BACK, OTA_STARTED, OTA_IDLE, tell_rollback},
};

bool ota_step(struct ota *ota, const struct ota_event *event, struct ota_effects *todo)
{
    struct step s = {ota, event, todo};
    todo->count = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].in == ota->state && rows[i].on == event->kind) {
            ota->state = rows[i].to;
            if (rows[i].act != NULL)
                rows[i].act(&s);
            return true;
        }
    add(&s, OTA_IGNORE);
    return false;
}
