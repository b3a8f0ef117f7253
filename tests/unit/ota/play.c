#include "play.h"

#include "base/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_MS 1

/* --- what is said ----------------------------------------------------------------------------- */

static void say(struct play *p, const char *topic, const char *payload)
{
    int n = snprintf(p->said + p->said_len, sizeof p->said - p->said_len, "[%lld] %s %s\n",
                     (long long)((p->now.ms - p->up_since_ms) / 1000), topic, payload);
    if (n > 0 && (size_t)n < sizeof p->said - p->said_len)
        p->said_len += (size_t)n;
}

void play_hush(struct play *p)
{
    p->said[0] = '\0';
    p->said_len = 0;
}

int play_count(const struct play *p, const char *text)
{
    int count = 0;
    for (const char *at = p->said; (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

const char *play_version(const struct play *p)
{
    return p->slots[p->running].version;
}

/* --- flash and bootloader --------------------------------------------------------------------- */

void play_init(struct play *p, const struct ota_options *options, uint64_t seed)
{
    memset(p, 0, sizeof *p);
    p->options = options;
    p->now = (struct ota_now){1, PLAY_BOOTED_S};
    p->slots[0] = (struct play_slot){"1.0", "app", PLAY_VALID};
    p->target = -1;
    p->cut_after = -1;
    p->is_connected = true;
    p->ota.random = seed;
    p->attempts[0] = (struct play_attempt){.version = "2.0", .project = "app"};
    p->attempt_count = 1;
}

static void select_slot(struct play *p)
{
    struct play_slot *s = &p->slots[p->selected];
    if (s->state == PLAY_PENDING)
        s->state = PLAY_ABORTED; /* it had its trial */
    if (s->state == PLAY_NEW)
        s->state = p->options->has_rollback ? PLAY_PENDING : PLAY_VALID;
    if (s->state == PLAY_PENDING || s->state == PLAY_VALID) {
        p->running = p->selected;
        return;
    }
    p->running = p->selected = !p->selected;
}

static enum ota_target find_target(const struct play *p)
{
    if (p->target < 0)
        return OTA_TARGET_UNKNOWN;
    if (p->target == p->running)
        return OTA_TARGET_RUNS;
    const struct play_slot *s = &p->slots[p->target];
    return s->state == PLAY_INVALID || s->state == PLAY_ABORTED ? OTA_TARGET_REFUSED : OTA_TARGET_UNTRIED;
}

static void read_saved(const struct play *p, struct ota_saved *saved)
{
    memset(saved, 0, sizeof *saved);
    saved->is_pending_verify = p->slots[p->running].state == PLAY_PENDING;
    saved->has_trial_flag = p->has_trial_flag;
    saved->target = find_target(p);
    text_copy(saved->job_id, sizeof saved->job_id, p->job_id);
    text_copy(saved->blame_job_id, sizeof saved->blame_job_id, p->blame_job_id);
    text_copy(saved->blame, sizeof saved->blame, p->blame);
    if (strcmp(p->cycles_job_id, p->job_id) == 0)
        saved->cycles = p->cycles;
    for (unsigned i = 0; i < OTA_ROWS; i++)
        ota_row_unpack(&saved->rows[i], bytes_of(p->rows[i], OTA_ROW_BYTES));
}

/* --- effects ---------------------------------------------------------------------------------- */

static void push(struct play *p, enum ota_event_kind kind, unsigned ticket, const char *text)
{
    assert(p->queued < PLAY_QUEUE);
    p->queue[p->queued].kind = kind;
    p->queue[p->queued].ticket = ticket;
    text_copy(p->queue[p->queued++].text, STATUS_INFO_SIZE, text);
}

static void publish(struct play *p, const char *topic, const char *payload, unsigned ticket)
{
    if (p->is_connected && !p->loses_messages)
        say(p, topic, payload);
    if (ticket == OTA_TICKET_NONE)
        return;
    if (!p->is_connected)
        push(p, OTA_PUBLISH_FAILED, ticket, NULL);
    else if (!p->loses_acks && !p->loses_messages)
        push(p, OTA_PUBACK, ticket, NULL);
}

/* Invariants I5 and I6, as the broker would see them broken. */
static void judge(struct play *p, const char *job_id, enum report_status status)
{
    const char *word = report_status_text(status);
    if (!p->is_connected || p->loses_messages || (status != REPORT_SUCCESS && status != REPORT_REJECTED))
        return;
    p->lies += strcmp(p->final_job, job_id) == 0 && strcmp(p->final_status, word) != 0;
    text_copy(p->final_job, sizeof p->final_job, job_id);
    text_copy(p->final_status, sizeof p->final_status, word);
}

static void report(struct play *p, const struct ota_effects *todo, const struct ota_effect *e)
{
    char payload[REPORT_SIZE];
    p->events[e->status]++;
    if (p->options->is_params) {
        snprintf(payload, sizeof payload, "{\"OTA\":{\"Info\":\"%s\"}}", e->info);
        publish(p, "params/local", payload, 0);
        snprintf(payload, sizeof payload, "{\"OTA\":{\"Status\":\"%s\"}}", report_status_text(e->status));
        publish(p, "params/local", payload, 0);
        return;
    }
    ota_report_write(payload, todo, e, NULL, p->now.unix_s);
    publish(p, "otastatus", payload, e->ticket);
    judge(p, todo->job_id, e->status);
}

static void fetch(struct play *p, const struct ota_effect *e)
{
    char payload[FETCH_SIZE];
    fetch_write(payload, "N", play_version(p), NULL);
    publish(p, "otafetch", payload, e->ticket);
}

static void roll_back(struct play *p)
{
    p->slots[p->running].state = PLAY_INVALID;
    p->selected = !p->running;
    p->reboot_ms = p->now.ms;
}

static void carry_out_one(struct play *p, const struct ota_effects *todo, const struct ota_effect *e)
{
    switch (e->kind) {
    case OTA_IGNORE:
        break;
    case OTA_REPORT:
        report(p, todo, e);
        break;
    case OTA_POST:
        p->events[e->status]++;
        break;
    case OTA_FETCH:
        fetch(p, e);
        break;
    case OTA_SAVE_JOB:
        text_copy(p->job_id, sizeof p->job_id, todo->job_id);
        break;
    case OTA_CLEAR_JOB:
        p->job_id[0] = '\0';
        break;
    case OTA_SAVE_TRIAL:
        p->has_trial_flag = true;
        p->target = !p->running;
        break;
    case OTA_CLEAR_TRIAL:
        p->has_trial_flag = false;
        p->target = -1;
        break;
    case OTA_SAVE_ROW:
        ota_row_pack(p->rows[e->value], &todo->row);
        break;
    case OTA_SAVE_BLAME:
        text_copy(p->blame, sizeof p->blame, e->info);
        text_copy(p->blame_job_id, sizeof p->blame_job_id, todo->job_id);
        break;
    case OTA_CLEAR_BLAME:
        p->blame[0] = p->blame_job_id[0] = '\0';
        break;
    case OTA_SAVE_CYCLES:
        p->cycles = (uint32_t)e->value;
        text_copy(p->cycles_job_id, sizeof p->cycles_job_id, todo->job_id);
        break;
    case OTA_RUN_CALLBACK:
        p->wants_callback = true;
        break;
    case OTA_RUN_ATTEMPT:
        p->wants_attempt = true;
        break;
    case OTA_ABORT_ATTEMPT:
        p->is_aborted = true;
        push(p, OTA_ATTEMPT_FAILED, 0, e->info);
        break;
    case OTA_POST_STARTING:
        p->starting_events++;
        break;
    case OTA_REBOOT_LATER:
        p->reboot_ms = p->now.ms + e->value;
        break;
    case OTA_ASK_FOR_REBOOT:
        p->reboot_requests++;
        break;
    case OTA_RESTART:
        p->restarts++;
        p->reboot_ms = p->now.ms;
        break;
    case OTA_CONFIRM:
        p->slots[p->running].state = PLAY_VALID;
        push(p, OTA_CONFIRMED, 0, NULL);
        break;
    case OTA_ROLL_BACK:
        roll_back(p);
        break;
    }
}

static bool power_is_gone(struct play *p)
{
    if (p->cut_after < 0 || p->cut_after-- > 0)
        return false;
    return true;
}

void play_tell(struct play *p, const struct ota_event *event)
{
    struct ota_effects todo;
    ota_step(&p->ota, event, &p->now, &todo);
    for (unsigned i = 0; i < todo.count; i++) {
        if (power_is_gone(p)) {
            play_power_cut(p);
            return;
        }
        p->effects++;
        carry_out_one(p, &todo, &todo.at[i]);
    }
}

static void tell(struct play *p, enum ota_event_kind kind, const char *text)
{
    play_tell(p, &(struct ota_event){.kind = kind, .text = text});
}

/* --- life ------------------------------------------------------------------------------------- */

static void diagnose(struct play *p)
{
    if (p->ota.state != OTA_ON_TRIAL || p->diagnosis_is_pending)
        return;
    tell(p, p->diagnosis_is_bad ? OTA_DIAGNOSIS_BAD : OTA_DIAGNOSIS_GOOD, NULL);
}

static void drain(struct play *p);

void play_connect(struct play *p)
{
    unsigned boots = p->boots;
    p->is_connected = true;
    tell(p, OTA_CONNECTED, NULL);
    if (p->boots == boots)
        diagnose(p);
    if (p->boots == boots)
        drain(p);
    if (p->boots == boots && !p->ota.is_started)
        tell(p, OTA_STARTED, NULL);
}

void play_disconnect(struct play *p)
{
    p->is_connected = false;
    tell(p, OTA_DISCONNECTED, NULL);
}

void play_boot(struct play *p)
{
    struct ota_saved saved;
    uint64_t random = p->ota.random;
    unsigned boots = ++p->boots;
    p->queued = 0;
    p->wants_attempt = p->wants_callback = p->is_aborted = p->has_begun_attempt = false;
    p->reboot_ms = 0;
    p->up_since_ms = p->now.ms;
    select_slot(p);
    ota_init(&p->ota, p->options, random);
    read_saved(p, &saved);
    play_tell(p, &(struct ota_event){.kind = OTA_BOOTED, .saved = &saved});
    if (p->boots == boots && p->is_connected)
        play_connect(p);
}

void play_power_cut(struct play *p)
{
    p->cuts++;
    p->now.ms += STEP_MS;
    play_boot(p);
}

/* --- a download ------------------------------------------------------------------------------- */

static bool is_over(struct play *p, unsigned boots)
{
    return p->boots != boots || p->is_aborted;
}

static void fill_slot(struct play *p, const struct play_attempt *a)
{
    struct play_slot *s = &p->slots[!p->running];
    text_copy(s->version, sizeof s->version, a->version);
    text_copy(s->project, sizeof s->project, a->project);
    s->state = PLAY_EMPTY;
}

static bool read_header(struct play *p, const struct play_attempt *a)
{
    struct app_desc running = {.secure_version = 0}, offered = {.secure_version = a->secure_version};
    struct play_slot *own = &p->slots[p->running];
    text_copy(running.version, sizeof running.version, own->version);
    text_copy(running.project_name, sizeof running.project_name, own->project);
    text_copy(offered.version, sizeof offered.version, a->version);
    text_copy(offered.project_name, sizeof offered.project_name, a->project);
    struct ota_event event = {.kind = OTA_HEADER_READ, .running = &running, .offered = &offered};
    if (a->is_file)
        event.running = event.offered = NULL;
    play_tell(p, &event);
    return p->ota.state == OTA_DOWNLOADING;
}

static void install(struct play *p, const struct play_attempt *a)
{
    unsigned boots = p->boots;
    fill_slot(p, a);
    tell(p, OTA_IMAGE_GOOD, NULL);
    if (is_over(p, boots))
        return;
    if (a->finish_fails != NULL) {
        tell(p, OTA_ATTEMPT_FAILED, a->finish_fails);
        return;
    }
    if (power_is_gone(p)) { /* right before the slot is selected */
        play_power_cut(p);
        return;
    }
    p->slots[!p->running].state = PLAY_NEW;
    p->selected = !p->running;
    tell(p, OTA_ATTEMPT_OK, NULL);
}

static void run_attempt(struct play *p)
{
    const struct play_attempt *a = &p->attempts[p->attempt < p->attempt_count ? p->attempt : p->attempt_count - 1];
    unsigned boots = p->boots;
    p->attempt++;
    p->wants_attempt = p->is_aborted = false;
    if (a->begin_fails != NULL) {
        tell(p, OTA_ATTEMPT_FAILED, a->begin_fails);
        return;
    }
    if (!read_header(p, a) || is_over(p, boots))
        return;
    for (int i = 0; i < 16 && a->percents[i] != 0 && !is_over(p, boots); i++)
        play_tell(p, &(struct ota_event){.kind = OTA_BYTES, .value = a->percents[i] * 1000, .total = 100000});
    if (is_over(p, boots) || a->stalls)
        return;
    if (a->rejects != NULL || a->download_fails != NULL) {
        tell(p, a->rejects ? OTA_ATTEMPT_REJECTED : OTA_ATTEMPT_FAILED, a->rejects ? a->rejects : a->download_fails);
        return;
    }
    tell(p, OTA_ALL_RECEIVED, NULL);
    if (is_over(p, boots))
        return;
    if (a->verify_fails != NULL) {
        tell(p, OTA_ATTEMPT_FAILED, a->verify_fails);
        return;
    }
    if (a->is_file) {
        tell(p, OTA_FILE_DONE, NULL);
        return;
    }
    install(p, a);
}

void play_finish(struct play *p)
{
    unsigned boots = p->boots;
    if (p->ota.state != OTA_DOWNLOADING)
        return;
    tell(p, OTA_ALL_RECEIVED, NULL);
    if (!is_over(p, boots))
        install(p, &p->attempts[0]);
}

static void run_callback(struct play *p)
{
    unsigned boots = p->boots;
    p->wants_callback = false;
    p->attempt = 0;
    if (!p->has_own_callback)
        play_tell(p, &(struct ota_event){.kind = OTA_WORKFLOW, .terms = &p->terms});
    while (p->boots == boots && p->wants_attempt)
        run_attempt(p);
    if (p->boots == boots)
        tell(p, OTA_CALLBACK_DONE, NULL);
}

static void drain(struct play *p)
{
    unsigned boots = p->boots;
    while (p->boots == boots && (p->queued > 0 || p->wants_callback || p->wants_attempt)) {
        if (p->queued > 0) {
            struct ota_event event = {.kind = p->queue[0].kind, .ticket = p->queue[0].ticket};
            char text[STATUS_INFO_SIZE];
            text_copy(text, sizeof text, p->queue[0].text);
            event.text = text;
            memmove(&p->queue[0], &p->queue[1], --p->queued * sizeof p->queue[0]);
            play_tell(p, &event);
        } else if (p->wants_callback) {
            run_callback(p);
        } else {
            run_attempt(p);
        }
    }
}

void play_job(struct play *p, const char *job_id, const char *metadata)
{
    struct json_token tokens[64];
    struct ota_terms terms = {false, -1, -1, -1, -1};
    if (metadata != NULL)
        ota_terms_read(&terms, bytes_of_text(metadata), tokens, 64);
    if (!ota_is_busy(&p->ota))
        p->terms = terms;
    play_tell(p, &(struct ota_event){.kind = OTA_JOB_ARRIVED, .job_id = job_id});
    drain(p);
}

void play_document(struct play *p, const char *json)
{
    struct job_offer *offer = malloc(sizeof *offer);
    struct json_token tokens[64];
    const char *problem =
        job_offer_read(offer, bytes_of_text(json), tokens, 64, strcmp(p->options->protocol, "MQTT") == 0);
    if (problem == NULL)
        play_job(p, offer->job_id, offer->metadata[0] ? offer->metadata : NULL);
    else
        play_tell(p, &(struct ota_event){.kind = OTA_JOB_UNUSABLE, .job_id = offer->job_id, .text = problem});
    drain(p);
    free(offer);
}

/* --- time ------------------------------------------------------------------------------------- */

static void advance(struct play *p, int64_t to)
{
    int64_t before = p->now.ms;
    p->now.ms = to;
    if (p->now.unix_s > 0)
        p->now.unix_s = PLAY_BOOTED_S + (p->now.unix_s - PLAY_BOOTED_S) + to / 1000 - before / 1000;
}

void play_run(struct play *p, int64_t ms)
{
    int64_t end = p->now.ms + ms;
    for (;;) {
        drain(p);
        int64_t next = ota_next_ms(&p->ota);
        bool is_reboot = p->reboot_ms != 0 && (next == 0 || p->reboot_ms <= next);
        if (is_reboot)
            next = p->reboot_ms;
        if (next == 0 || next > end)
            break;
        advance(p, next > p->now.ms ? next : p->now.ms);
        if (is_reboot)
            play_boot(p);
        else
            tell(p, OTA_TICK, NULL);
    }
    advance(p, end);
}
