#include "sim/node.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS   2000 /* and up to three times as long */
#define RECONNECT_MS 10000

static struct ota_now now_of(const struct sim_node *n, int64_t now)
{
    return (struct ota_now){now, SIM_EPOCH_S + now / 1000 + n->clock_skew_s};
}

const char *sim_node_version(const struct sim_node *n)
{
    return n->slots[n->running].version;
}

void sim_node_init(struct sim_node *n, unsigned index, const char *id, const char *version,
                   const struct ota_options *options, uint64_t seed)
{
    memset(n, 0, sizeof *n);
    n->index = index;
    n->random.state = seed;
    n->target = -1;
    n->cut_after = -1;
    n->slots[0].state = SIM_VALID;
    text_copy(n->id, sizeof n->id, id);
    text_copy(n->project, sizeof n->project, "app");
    text_copy(n->slots[0].version, sizeof n->slots[0].version, version);
    n->ota.options = options;
}

/* --- words to the mind ------------------------------------------------------------------------ */

static void tell_event(struct sim_node *n, struct sim_world *w, int64_t now, const struct ota_event *event);

static void tell(struct sim_node *n, struct sim_world *w, int64_t now, enum ota_event_kind kind, const char *text)
{
    tell_event(n, w, now, &(struct ota_event){.kind = kind, .text = text});
}

static void remember(struct sim_node *n, enum ota_event_kind kind, unsigned ticket, const char *text)
{
    if (n->word_count == SIM_QUEUE)
        return;
    n->words[n->word_count].kind = kind;
    n->words[n->word_count].ticket = ticket;
    text_copy(n->words[n->word_count++].text, sizeof n->words[0].text, text);
}

/* --- flash and bootloader --------------------------------------------------------------------- */

static void select_slot(struct sim_node *n)
{
    struct sim_slot *s = &n->slots[n->selected];
    if (s->state == SIM_PENDING)
        s->state = SIM_ABORTED; /* it had its trial */
    if (s->state == SIM_NEW)
        s->state = n->ota.options->has_rollback ? SIM_PENDING : SIM_VALID;
    if (s->state == SIM_PENDING || s->state == SIM_VALID)
        n->running = n->selected;
    else
        n->running = n->selected = !n->selected;
}

static enum ota_target find_target(const struct sim_node *n)
{
    if (n->target < 0)
        return OTA_TARGET_UNKNOWN;
    if (n->target == n->running)
        return OTA_TARGET_RUNS;
    int state = n->slots[n->target].state;
    return state == SIM_INVALID || state == SIM_ABORTED ? OTA_TARGET_REFUSED : OTA_TARGET_UNTRIED;
}

static void read_saved(const struct sim_node *n, struct ota_saved *saved)
{
    memset(saved, 0, sizeof *saved);
    saved->is_pending_verify = n->slots[n->running].state == SIM_PENDING;
    saved->has_trial_flag = n->has_trial_flag;
    saved->target = find_target(n);
    text_copy(saved->job_id, sizeof saved->job_id, n->job_id);
    for (unsigned i = 0; i < OTA_ROWS; i++)
        ota_row_unpack(&saved->rows[i], bytes_of(n->rows[i], OTA_ROW_BYTES));
}

/* --- effects ---------------------------------------------------------------------------------- */

static void publish(struct sim_node *n, struct sim_world *w, enum topic_kind topic, const char *payload,
                    unsigned ticket)
{
    if (n->is_connected)
        w->publish(w, n, topic, payload, ticket);
    else if (ticket != OTA_TICKET_NONE)
        remember(n, OTA_PUBLISH_FAILED, ticket, NULL);
}

static void report(struct sim_node *n, struct sim_world *w, int64_t now, const struct ota_effects *todo,
                   const struct ota_effect *e)
{
    char payload[REPORT_SIZE];
    if (ota_report_write(payload, todo, e, NULL, now_of(n, now).unix_s) > 0)
        publish(n, w, TOPIC_OTASTATUS, payload, e->ticket);
}

static void fetch(struct sim_node *n, struct sim_world *w, const struct ota_effect *e)
{
    char payload[FETCH_SIZE];
    fetch_write(payload, n->id, sim_node_version(n), n->network_id);
    publish(n, w, TOPIC_OTAFETCH, payload, e->ticket);
}

static void confirm(struct sim_node *n, struct sim_world *w)
{
    n->slots[n->running].state = SIM_VALID;
    w->confirmed(w, n, sim_node_version(n));
    remember(n, OTA_CONFIRMED, 0, NULL);
}

static void carry_out(struct sim_node *n, struct sim_world *w, int64_t now, const struct ota_effects *todo,
                      const struct ota_effect *e)
{
    switch (e->kind) {
    case OTA_REPORT:
        report(n, w, now, todo, e);
        break;
    case OTA_FETCH:
        fetch(n, w, e);
        break;
    case OTA_SAVE_JOB:
        text_copy(n->job_id, sizeof n->job_id, todo->job_id);
        break;
    case OTA_CLEAR_JOB:
        n->job_id[0] = '\0';
        break;
    case OTA_SAVE_TRIAL:
        n->has_trial_flag = true;
        n->target = !n->running;
        break;
    case OTA_CLEAR_TRIAL:
        n->has_trial_flag = false;
        n->target = -1;
        break;
    case OTA_SAVE_ROW:
        ota_row_pack(n->rows[e->value], &todo->row);
        break;
    case OTA_RUN_CALLBACK:
        n->wants_callback = true;
        break;
    case OTA_RUN_ATTEMPT:
        n->wants_attempt = true;
        break;
    case OTA_ABORT_ATTEMPT:
        n->download = SIM_NO_DOWNLOAD;
        n->step_at = 0;
        remember(n, OTA_ATTEMPT_FAILED, 0, e->info);
        break;
    case OTA_REBOOT_LATER:
        n->reboot_at = now + e->value;
        break;
    case OTA_RESTART:
        n->reboot_at = now;
        break;
    case OTA_CONFIRM:
        confirm(n, w);
        break;
    case OTA_ROLL_BACK:
        n->slots[n->running].state = SIM_INVALID;
        n->selected = !n->running;
        n->reboot_at = now;
        break;
    default: /* events for the application, and options that no simulated node has */
        break;
    }
}

static bool power_goes(struct sim_node *n)
{
    return n->cut_after >= 0 && n->cut_after-- == 0;
}

static void tell_event(struct sim_node *n, struct sim_world *w, int64_t now, const struct ota_event *event)
{
    struct ota_effects todo;
    struct ota_now at = now_of(n, now);
    uint32_t life = n->life;
    ota_step(&n->ota, event, &at, &todo);
    for (unsigned i = 0; i < todo.count && n->life == life; i++) {
        if (power_goes(n))
            sim_node_power_off(n, w, now, now + sim_between(&n->random, 1000, 600000));
        else
            carry_out(n, w, now, &todo, &todo.at[i]);
    }
}

/* --- downloads -------------------------------------------------------------------------------- */

static void begin_attempt(struct sim_node *n, struct sim_world *w, int64_t now)
{
    const char *version = NULL;
    n->wants_attempt = n->is_held = false;
    n->coming_bytes = w->look_up(w, n, n->url, &version, &n->fate);
    text_copy(n->coming, sizeof n->coming, version);
    n->download = SIM_OPENING;
    n->step_at = now + (n->is_held ? 1 : sim_between(&n->random, 50, 2000));
}

static void open_download(struct sim_node *n, struct sim_world *w, int64_t now)
{
    struct app_desc running = {.secure_version = 0}, offered = running;
    uint32_t life = n->life;
    if (n->coming_bytes <= 0) {
        n->download = SIM_NO_DOWNLOAD;
        tell(n, w, now, OTA_ATTEMPT_FAILED, "OTA Begin failed: ESP_ERR_HTTP_CONNECT (errno=111: Connection refused)");
        return;
    }
    text_copy(running.version, sizeof running.version, sim_node_version(n));
    text_copy(offered.version, sizeof offered.version, n->coming);
    text_copy(running.project_name, sizeof running.project_name, n->project);
    text_copy(offered.project_name, sizeof offered.project_name, n->fate.rejects ? "other" : n->project);
    tell_event(n, w, now, &(struct ota_event){.kind = OTA_HEADER_READ, .running = &running, .offered = &offered});
    if (n->life != life || n->ota.state != OTA_DOWNLOADING) {
        n->download = SIM_NO_DOWNLOAD;
        return;
    }
    int64_t takes = n->coming_bytes * 1000 / (n->bytes_per_s > 0 ? n->bytes_per_s : 1);
    bool fails = sim_chance(&n->random, n->fate.fails);
    n->download = SIM_LOADING;
    if (n->is_held)
        return;
    n->step_at = now + 1 + (fails ? sim_below(&n->random, takes) : takes);
    if (!fails)
        n->fate.fails = -1; /* this one comes to its end */
}

static void end_download(struct sim_node *n, struct sim_world *w, int64_t now)
{
    struct sim_slot *other = &n->slots[!n->running];
    uint32_t life = n->life;
    n->download = SIM_NO_DOWNLOAD;
    if (n->fate.fails >= 0) {
        tell(n, w, now, OTA_ATTEMPT_FAILED, n->fate.fails_text);
        return;
    }
    tell(n, w, now, OTA_ALL_RECEIVED, NULL);
    if (n->life != life)
        return;
    other->state = SIM_EMPTY;
    text_copy(other->version, sizeof other->version, n->coming);
    tell(n, w, now, OTA_IMAGE_GOOD, NULL);
    if (n->life != life)
        return;
    other->state = SIM_NEW;
    n->selected = !n->running;
    tell(n, w, now, OTA_ATTEMPT_OK, NULL);
}

static void step_download(struct sim_node *n, struct sim_world *w, int64_t now)
{
    n->step_at = 0;
    if (n->download == SIM_OPENING)
        open_download(n, w, now);
    else if (n->download == SIM_LOADING)
        end_download(n, w, now);
}

/* --- life ------------------------------------------------------------------------------------- */

/* Until the mind has nothing more to say to itself. */
static void settle(struct sim_node *n, struct sim_world *w, int64_t now)
{
    uint32_t life = n->life;
    while (n->is_on && n->life == life) {
        if (n->word_count > 0) {
            struct ota_event event = {.kind = n->words[0].kind, .ticket = n->words[0].ticket};
            char text[sizeof n->words[0].text];
            memcpy(text, n->words[0].text, sizeof text);
            event.text = text;
            memmove(&n->words[0], &n->words[1], --n->word_count * sizeof n->words[0]);
            tell_event(n, w, now, &event);
        } else if (n->wants_callback) {
            n->wants_callback = false;
            n->is_in_callback = true;
            tell_event(n, w, now, &(struct ota_event){.kind = OTA_WORKFLOW, .terms = &n->terms});
        } else if (n->wants_attempt) {
            begin_attempt(n, w, now);
        } else if (n->is_in_callback && n->download == SIM_NO_DOWNLOAD) {
            n->is_in_callback = false;
            tell(n, w, now, OTA_CALLBACK_DONE, NULL);
        } else
            break;
    }
}

static void describe(struct sim_node *n, struct sim_world *w)
{
    char text[600];
    snprintf(text, sizeof text,
             "{\"node_id\":\"%s\",\"config_version\":\"2020-03-20\",\"info\":{\"name\":\"%s\",\"fw_version\":\"%s\","
             "\"type\":\"light\",\"model\":\"%s\",\"project_name\":\"%s\",\"platform\":\"%s\"},\"attributes\":["
             "{\"name\":\"network-id\",\"value\":\"%s\"}]}",
             n->id, n->model, sim_node_version(n), n->model, n->project, n->platform, n->network_id);
    publish(n, w, TOPIC_CONFIG, text, OTA_TICKET_NONE);
}

static bool is_on_trial(const struct sim_node *n)
{
    return n->slots[n->running].state == SIM_PENDING;
}

/* The order in which RainMaker's agent speaks (device specification 3.10): a confirmation before the description, the
 * subscription last. */
static void connect_now(struct sim_node *n, struct sim_world *w, int64_t now)
{
    uint32_t life = n->life;
    n->connect_at = 0;
    if (!w->is_reachable(w) || (is_on_trial(n) && n->fate.dies_on_trial && n->fate.never_connects)) {
        n->connect_at = now + RECONNECT_MS + sim_below(&n->random, RECONNECT_MS);
        return;
    }
    n->is_connected = true;
    tell(n, w, now, OTA_CONNECTED, NULL);
    if (n->life == life && is_on_trial(n) && n->ota.state == OTA_ON_TRIAL)
        tell(n, w, now, n->fate.dies_on_trial ? OTA_DIAGNOSIS_BAD : OTA_DIAGNOSIS_GOOD, NULL);
    if (n->life == life)
        settle(n, w, now);
    if (n->life != life)
        return;
    if (!n->has_described) {
        n->has_described = true;
        describe(n, w);
        tell(n, w, now, OTA_STARTED, NULL);
    }
    if (n->life == life && n->is_connected)
        w->listen(w, n);
}

static void boot(struct sim_node *n, struct sim_world *w, int64_t now)
{
    struct ota_saved saved;
    const struct ota_options *options = n->ota.options;
    uint64_t random = sim_next(&n->random);
    bool was_connected = n->is_connected;
    n->life++;
    n->is_on = true;
    n->is_connected = n->wants_attempt = n->wants_callback = n->is_in_callback = n->has_described = false;
    n->boot_at = n->reboot_at = n->step_at = 0;
    n->download = SIM_NO_DOWNLOAD;
    n->word_count = 0;
    if (was_connected)
        w->leave(w, n, false);
    select_slot(n);
    ota_init(&n->ota, options, random);
    read_saved(n, &saved);
    n->connect_at = now + CONNECT_MS + sim_below(&n->random, 2 * CONNECT_MS);
    tell_event(n, w, now, &(struct ota_event){.kind = OTA_BOOTED, .saved = &saved});
    settle(n, w, now);
}

void sim_node_power_on(struct sim_node *n, struct sim_world *w, int64_t now)
{
    boot(n, w, now);
}

void sim_node_power_off(struct sim_node *n, struct sim_world *w, int64_t now, int64_t back_at)
{
    bool was_connected = n->is_connected;
    (void)now;
    n->life++;
    n->is_on = n->is_connected = false;
    n->cut_after = -1;
    n->connect_at = n->reboot_at = n->step_at = 0;
    n->download = SIM_NO_DOWNLOAD;
    n->boot_at = back_at;
    if (was_connected)
        w->leave(w, n, true);
}

void sim_node_disconnect(struct sim_node *n, struct sim_world *w, int64_t now, int64_t back_at)
{
    if (!n->is_on || !n->is_connected)
        return;
    n->is_connected = false;
    n->connect_at = back_at > now ? back_at : now + RECONNECT_MS;
    w->leave(w, n, false);
    tell(n, w, now, OTA_DISCONNECTED, NULL);
    settle(n, w, now);
}

int64_t sim_node_next(const struct sim_node *n)
{
    if (!n->is_on)
        return n->boot_at;
    const int64_t times[] = {n->reboot_at, n->connect_at, n->step_at, ota_next_ms(&n->ota)};
    int64_t next = 0;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        if (times[i] > 0 && (next == 0 || times[i] < next))
            next = times[i];
    return next;
}

static bool is_due(int64_t at, int64_t now)
{
    return at > 0 && at <= now;
}

void sim_node_wake(struct sim_node *n, struct sim_world *w, int64_t now)
{
    if (!n->is_on) {
        if (is_due(n->boot_at, now))
            boot(n, w, now);
        return;
    }
    if (is_due(n->reboot_at, now)) {
        boot(n, w, now);
        return;
    }
    uint32_t life = n->life;
    if (is_due(n->connect_at, now))
        connect_now(n, w, now);
    if (n->life == life && is_due(n->step_at, now))
        step_download(n, w, now);
    if (n->life == life)
        settle(n, w, now);
    if (n->life == life && n->is_on && is_due(ota_next_ms(&n->ota), now))
        tell(n, w, now, OTA_TICK, NULL);
    settle(n, w, now);
}

void sim_node_document(struct sim_node *n, struct sim_world *w, int64_t now, const char *json)
{
    struct json_token tokens[64];
    static const struct ota_terms none = {false, -1, -1, -1, -1};
    struct job_offer *offer = malloc(sizeof *offer);
    if (offer == NULL || !n->is_connected) {
        free(offer);
        return;
    }
    const char *problem = job_offer_read(offer, bytes_of_text(json), tokens, 64, false);
    if (problem != NULL)
        tell_event(n, w, now, &(struct ota_event){.kind = OTA_JOB_UNUSABLE, .job_id = offer->job_id, .text = problem});
    else {
        if (!ota_is_busy(&n->ota)) {
            n->terms = none;
            if (offer->metadata[0])
                ota_terms_read(&n->terms, bytes_of_text(offer->metadata), tokens, 64);
            text_copy(n->url, sizeof n->url, offer->url);
            text_copy(n->offered_version, sizeof n->offered_version, offer->fw_version);
            n->offered_bytes = offer->file_size;
        }
        tell_event(n, w, now, &(struct ota_event){.kind = OTA_JOB_ARRIVED, .job_id = offer->job_id});
    }
    free(offer);
    settle(n, w, now);
}

void sim_node_downloaded(struct sim_node *n, struct sim_world *w, int64_t now, bool is_good)
{
    uint32_t life = n->life;
    if (n->download == SIM_OPENING)
        step_download(n, w, now);
    if (n->life != life || n->download != SIM_LOADING || !n->is_held)
        return;
    n->fate.fails = is_good && n->fate.fails <= 0 ? -1 : 0;
    n->fate.fails_text = n->fate.fails_text ? n->fate.fails_text : "OTA failed: ESP_ERR_HTTP_READ (errno=104)";
    step_download(n, w, now);
    settle(n, w, now);
}

void sim_node_acknowledged(struct sim_node *n, struct sim_world *w, int64_t now, unsigned ticket)
{
    if (!n->is_on)
        return;
    remember(n, OTA_PUBACK, ticket, NULL);
    settle(n, w, now);
}
