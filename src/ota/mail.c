/*
 * The mail: asking for jobs (device specification 4.3), and the outbox of final reports.
 *
 * A row of the outbox is written to flash before it is sent, and marked as told after its PUBACK.  Rows go out one by
 * one, so a step has one report at most.
 */
#include "ota/inner.h"

#include "base/text.h"

#include <string.h>

#define ACK_MS           60000 /* a fetch without PUBACK after that has failed */
#define FETCH_BASE_MS    30000
#define FETCH_DOUBLINGS  4 /* 30, 60, 120, 240, then 480 s, for ever */
#define RESEND_BASE_MS   30000
#define RESEND_DOUBLINGS 4
#define PERIOD_JITTER    10 /* a periodic fetch comes up to a tenth of the period late */

int64_t ota_jitter(struct ota *ota, int64_t bound)
{
    /* xorshift64*: small, and good enough to spread nodes */
    ota->random ^= ota->random >> 12;
    ota->random ^= ota->random << 25;
    ota->random ^= ota->random >> 27;
    uint64_t value = ota->random * 2685821657736338717ULL >> 16;
    return bound > 0 ? (int64_t)(value % (uint64_t)bound) + 1 : 0;
}

/* Full jitter, after the cap: evenly between nothing and what exponential back-off would wait. */
static int64_t back_off(struct ota *ota, int64_t base_ms, unsigned failures, unsigned doublings)
{
    return ota_jitter(ota, base_ms << (failures < doublings ? failures : doublings));
}

/* --- outbox ----------------------------------------------------------------------------------- */

struct ota_row *ota_find_row(struct ota *ota, const char *job_id)
{
    for (unsigned i = 0; i < OTA_ROWS; i++)
        if (ota->rows[i].state != OTA_ROW_EMPTY && strcmp(ota->rows[i].job_id, job_id) == 0)
            return &ota->rows[i];
    return NULL;
}

static bool is_free(const struct ota_row *row)
{
    return row->state == OTA_ROW_EMPTY || row->state == OTA_ROW_TOLD;
}

bool ota_outbox_is_full(const struct ota *ota)
{
    for (unsigned i = 0; i < OTA_ROWS; i++)
        if (is_free(&ota->rows[i]))
            return false;
    return true;
}

static bool is_better(const struct ota_row *a, const struct ota_row *b)
{
    if ((a->state == OTA_ROW_EMPTY) != (b->state == OTA_ROW_EMPTY))
        return a->state == OTA_ROW_EMPTY;
    return is_free(a) != is_free(b) ? is_free(a) : a->age > b->age;
}

/* The job's own row, an empty one, the oldest that was told.  A full outbox accepts no job, so one of these is there;
 * if flash held more than that, the oldest of all goes. */
static struct ota_row *claim_row(struct ota *ota, const char *job_id)
{
    struct ota_row *best = ota_find_row(ota, job_id);
    for (unsigned i = 0; best == NULL && i < OTA_ROWS; i++) {
        best = &ota->rows[i];
        for (unsigned j = 0; j < OTA_ROWS; j++)
            if (is_better(&ota->rows[j], best))
                best = &ota->rows[j];
    }
    for (unsigned i = 0; i < OTA_ROWS; i++)
        if (ota->rows[i].age < UINT8_MAX)
            ota->rows[i].age++;
    *best = (struct ota_row){.age = 0};
    return best;
}

static void save_row(struct step *s, const struct ota_row *row)
{
    s->todo->row = *row;
    ota_add(s, OTA_SAVE_ROW)->value = row - s->ota->rows;
}

struct ota_row *ota_write_row(struct step *s, const char *job_id, enum report_status status, const char *info,
                              enum ota_row_state state)
{
    struct ota_row *row = claim_row(s->ota, job_id);
    text_copy(row->job_id, sizeof row->job_id, job_id);
    text_copy(row->info, sizeof row->info, info);
    row->state = (uint8_t)state;
    row->status = (uint8_t)status;
    row->is_closed = true;
    row->ts = s->now->unix_s > 0 && s->now->unix_s <= UINT32_MAX ? (uint32_t)s->now->unix_s : 0;
    save_row(s, row);
    return row;
}

void ota_send_row(struct step *s, struct ota_row *row)
{
    row->resend_ms = s->now->ms + RESEND_BASE_MS / 2 + back_off(s->ota, RESEND_BASE_MS, row->sent, RESEND_DOUBLINGS);
    if (row->sent < UINT8_MAX)
        row->sent++;
    text_copy(s->todo->job_id, sizeof s->todo->job_id, row->job_id);
    struct ota_effect *e = ota_add(s, OTA_REPORT);
    e->status = (enum report_status)row->status;
    e->ticket = OTA_TICKET_ROW + (unsigned)(row - s->ota->rows);
    e->value = row->ts;
    text_copy(s->todo->info[0], STATUS_INFO_SIZE, row->info);
    e->info = s->todo->info[0];
    s->todo->info_count = 1;
}

void ota_tell_final(struct step *s, const char *job_id, enum report_status status, const char *info, bool is_closed)
{
    if (s->ota->options->is_params || job_id[0] == '\0') {
        ota_report(s, job_id, status, info);
        return;
    }
    struct ota_row *row = ota_write_row(s, job_id, status, info, OTA_ROW_PENDING);
    row->is_closed = is_closed;
    s->todo->row.is_closed = is_closed;
    ota_send_row(s, row);
}

/* The next row that waits, when none is under way. */
static bool flush(struct step *s)
{
    struct ota *ota = s->ota;
    if (!ota->is_connected || !ota->is_started || s->todo->info_count > 0)
        return false; /* not now; the next tick is due at once */
    for (unsigned i = 0; i < OTA_ROWS; i++)
        if (ota->rows[i].state == OTA_ROW_PENDING && ota->rows[i].resend_ms <= s->now->ms) {
            ota_send_row(s, &ota->rows[i]);
            return true;
        }
    return false;
}

static void hold_rows(struct ota *ota, int64_t until_ms)
{
    for (unsigned i = 0; i < OTA_ROWS; i++)
        if (ota->rows[i].state == OTA_ROW_PENDING)
            ota->rows[i].resend_ms = until_ms;
}

static void row_is_told(struct step *s)
{
    unsigned i = s->event->ticket - OTA_TICKET_ROW;
    if (i >= OTA_ROWS || s->ota->rows[i].state != OTA_ROW_PENDING)
        return;
    s->ota->rows[i].state = OTA_ROW_TOLD;
    save_row(s, &s->ota->rows[i]);
    flush(s);
}

void ota_row_pack(uint8_t to[static OTA_ROW_BYTES], const struct ota_row *row)
{
    const uint8_t head[] = {1, row->state, row->status, (uint8_t)(row->is_closed | row->age << 1)};
    memset(to, 0, OTA_ROW_BYTES);
    memcpy(to, head, 4);
    put_u32(to + 4, row->ts);
    memcpy(to + 8, row->job_id, JOB_ID_SIZE);
    memcpy(to + 8 + JOB_ID_SIZE, row->info, OTA_ROW_INFO);
}

void ota_row_unpack(struct ota_row *row, struct bytes from)
{
    memset(row, 0, sizeof *row);
    if (from.len != OTA_ROW_BYTES || from.at[0] != 1 || from.at[1] > OTA_ROW_TOLD || from.at[2] > REPORT_REJECTED)
        return;
    row->state = from.at[1];
    row->status = from.at[2];
    row->is_closed = from.at[3] & 1;
    row->age = from.at[3] >> 1;
    row->ts = get_u32(from.at + 4);
    text_copy_field(row->job_id, sizeof row->job_id, from.at + 8, JOB_ID_SIZE - 1);
    text_copy_field(row->info, sizeof row->info, from.at + 8 + JOB_ID_SIZE, OTA_ROW_INFO - 1);
    if (row->job_id[0] == '\0')
        row->state = OTA_ROW_EMPTY;
}

/* --- asking for jobs -------------------------------------------------------------------------- */

void ota_fetch_after(struct step *s, int64_t delay_ms)
{
    int64_t at = s->now->ms + (delay_ms > 0 ? delay_ms : 1);
    int64_t *dues = s->ota->due_ms, *to = &dues[0];
    if (s->ota->options->is_params)
        return;
    for (unsigned i = 0; i < OTA_DUES; i++) {
        if (dues[i] == at)
            return; /* one asks for both */
        if (dues[i] == 0 || (*to != 0 && dues[i] > *to))
            to = &dues[i];
    }
    /* All taken: the latest one gives way when this one is earlier, and this one is forgotten when it is not: whatever
     * is asked first brings an answer that says when to ask next. */
    if (*to == 0 || at < *to)
        *to = at;
}

static void publish_fetch(struct step *s)
{
    s->ota->fetch_deadline_ms = s->now->ms + ACK_MS;
    ota_add(s, OTA_FETCH)->ticket = OTA_TICKET_FETCH;
}

static void fetch_is_acked(struct step *s)
{
    s->ota->fetch_failures = 0;
    s->ota->fetch_deadline_ms = 0;
}

static void fetch_failed(struct step *s)
{
    struct ota *ota = s->ota;
    ota->fetch_deadline_ms = s->now->ms + back_off(ota, FETCH_BASE_MS, ota->fetch_failures, FETCH_DOUBLINGS);
    ota->fetch_failures++;
}

enum fetch_event { WANTED, ACKED, FAILED, DEADLINE, FETCH_EVENTS };

static const struct fetch_row {
    enum ota_fetch_state in;
    enum fetch_event on;
    enum ota_fetch_state to;
    void (*act)(struct step *);
} fetch_rows[] = {
    {OTA_FETCH_RESTING, WANTED, OTA_FETCH_UNACKED, publish_fetch},
    {OTA_FETCH_UNACKED, WANTED, OTA_FETCH_UNACKED, NULL}, /* the one under way asks for both */
    {OTA_FETCH_UNACKED, ACKED, OTA_FETCH_RESTING, fetch_is_acked},
    {OTA_FETCH_UNACKED, FAILED, OTA_FETCH_BACKING_OFF, fetch_failed},
    {OTA_FETCH_UNACKED, DEADLINE, OTA_FETCH_BACKING_OFF, fetch_failed},
    {OTA_FETCH_BACKING_OFF, WANTED, OTA_FETCH_UNACKED, publish_fetch},
    {OTA_FETCH_BACKING_OFF, DEADLINE, OTA_FETCH_UNACKED, publish_fetch},
};

static bool fetch_step(struct step *s, enum fetch_event on)
{
    for (size_t i = 0; i < sizeof fetch_rows / sizeof fetch_rows[0]; i++)
        if (fetch_rows[i].in == s->ota->fetch && fetch_rows[i].on == on) {
            s->ota->fetch = fetch_rows[i].to;
            if (fetch_rows[i].act != NULL)
                fetch_rows[i].act(s);
            return true;
        }
    return false;
}

/* A node that is busy with a job would have to put off the one it asks for: it asks when it is done. */
static void want_fetch(struct step *s)
{
    if (ota_is_busy(s->ota))
        s->ota->owes_fetch = true;
    else
        fetch_step(s, WANTED);
}

static void arm_period(struct step *s)
{
    int64_t period = s->ota->options->autofetch_period_ms;
    if (period > 0)
        s->ota->period_ms = s->now->ms + period + ota_jitter(s->ota, period / PERIOD_JITTER);
}

static void tick(struct step *s)
{
    struct ota *ota = s->ota;
    bool is_wanted = false;
    for (unsigned i = 0; i < OTA_DUES; i++)
        if (ota->due_ms[i] != 0 && ota->due_ms[i] <= s->now->ms) {
            ota->due_ms[i] = 0;
            is_wanted = true;
        }
    if (ota->period_ms != 0 && ota->period_ms <= s->now->ms) {
        is_wanted = true;
        arm_period(s);
    }
    if (is_wanted)
        want_fetch(s);
    else if (ota->fetch_deadline_ms != 0 && ota->fetch_deadline_ms <= s->now->ms)
        fetch_step(s, DEADLINE);
    flush(s);
}

/* --- the mail's part of an event -------------------------------------------------------------- */

static void started(struct step *s)
{
    struct ota *ota = s->ota;
    bool is_first = !ota->is_started;
    ota->is_started = true;
    flush(s);
    if (is_first && ota->options->is_autofetch && !ota->options->is_params) {
        if (!ota_is_busy(ota))
            ota_fetch_after(s, FETCH_DELAY_MS);
        arm_period(s);
    }
}

static void app_report(struct step *s)
{
    enum report_status status = s->event->status;
    bool is_final = status == REPORT_SUCCESS || status == REPORT_REJECTED;
    /* A `failed` of the application's own is the last word of its attempt, but the job may be served again. */
    if (is_final || status == REPORT_FAILED)
        ota_tell_final(s, s->ota->job_id, status, s->event->text, is_final);
    else
        ota_report(s, s->ota->job_id, status, s->event->text);
    if (is_final && s->ota->job_id[0])
        ota_add(s, OTA_CLEAR_JOB);
}

bool ota_mail_step(struct step *s)
{
    struct ota *ota = s->ota;
    bool is_row = s->event->ticket >= OTA_TICKET_ROW;
    if (ota->state == OTA_OFF)
        return false;
    switch (s->event->kind) {
    case OTA_CONNECTED:
        ota->is_connected = true;
        hold_rows(ota, 0);
        flush(s);
        return true;
    case OTA_DISCONNECTED:
        ota->is_connected = false;
        return true;
    case OTA_STARTED:
        started(s);
        return true;
    case OTA_TICK:
        tick(s);
        return true;
    case OTA_FETCH_ASKED:
        if (s->event->value > 0)
            ota_fetch_after(s, s->event->value);
        else
            fetch_step(s, WANTED);
        return true;
    case OTA_APP_REPORT:
        app_report(s);
        return true;
    case OTA_PUBACK:
        if (is_row)
            row_is_told(s);
        return is_row || fetch_step(s, ACKED);
    case OTA_PUBLISH_FAILED:
        return is_row || fetch_step(s, FAILED); /* a row's own time comes again */
    default:
        return false;
    }
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a == 0 ? b : b == 0 ? a : a < b ? a : b;
}

int64_t ota_mail_next_ms(const struct ota *ota)
{
    int64_t next = earliest(ota->fetch_deadline_ms, ota->period_ms);
    for (unsigned i = 0; i < OTA_DUES; i++)
        next = earliest(next, ota->due_ms[i]);
    for (unsigned i = 0; ota->is_connected && ota->is_started && i < OTA_ROWS; i++)
        if (ota->rows[i].state == OTA_ROW_PENDING)
            next = earliest(next, ota->rows[i].resend_ms > 0 ? ota->rows[i].resend_ms : 1);
    return next;
}
