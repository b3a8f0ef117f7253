/* Images, jobs, executions, and what leaves: outbox and events. */
#include "store/sql/expected.h"
#include "store/sql/nouns.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* --- images ----------------------------------------------------------------------------------- */

static void read_image(struct run *r, struct image *i)
{
    *i = (struct image){.is_ready = false};
    db_get_text(r, i->id, sizeof i->id);
    db_get_text(r, i->name, sizeof i->name);
    db_get_text(r, i->type, sizeof i->type);
    db_get_text(r, i->model, sizeof i->model);
    db_get_text(r, i->fw_version, sizeof i->fw_version);
    db_get_text(r, i->project_name, sizeof i->project_name);
    db_get_text(r, i->platform, sizeof i->platform);
    db_get_text(r, i->sha256, sizeof i->sha256);
    db_get_text(r, i->md5, sizeof i->md5);
    db_get_text(r, i->uploader, sizeof i->uploader);
    db_get_text(r, i->signed_by, sizeof i->signed_by);
    i->secure_version = (uint32_t)db_get_int(r);
    i->size_bytes = db_get_int(r);
    i->is_archived = db_get_int(r) != 0;
    i->is_ready = db_get_int(r) != 0;
    i->uploaded_at = db_get_int(r);
    db_get_text(r, i->org, sizeof i->org);
}

static enum err image_by(struct fleet_store *tx, enum statement statement, const char *key, const char *second,
                         struct image *to, struct why *why)
{
    struct run r = db_start(tx, statement);
    db_text(&r, key);
    if (second != NULL)
        db_text(&r, second);
    bool is_found = db_next(&r);
    if (is_found)
        read_image(&r, to);
    return db_finish_one(&r, is_found, why);
}

enum err db_image_get(struct fleet_store *tx, const char *id, struct image *to, struct why *why)
{
    return image_by(tx, S_IMAGE_GET, id, NULL, to, why);
}

enum err db_image_find_name(struct fleet_store *tx, const char *org, const char *name, struct image *to,
                            struct why *why)
{
    return image_by(tx, S_IMAGE_NAME, org, name, to, why);
}

enum err db_image_put(struct fleet_store *tx, const struct image *i, struct why *why)
{
    struct run r = db_start(tx, S_IMAGE_PUT);
    const char *const texts[] = {i->id,       i->name,   i->type, i->model,    i->fw_version, i->project_name,
                                 i->platform, i->sha256, i->md5,  i->uploader, i->signed_by};
    for (size_t k = 0; k < COUNT(texts); k++)
        db_text(&r, texts[k]);
    const int64_t numbers[] = {i->secure_version, i->size_bytes, i->is_archived, i->is_ready, i->uploaded_at};
    for (size_t k = 0; k < COUNT(numbers); k++)
        db_int(&r, numbers[k]);
    sql_changed(tx);
    db_text(&r, i->org);
    return db_execute(&r, why);
}

enum err db_image_delete(struct fleet_store *tx, const char *id, struct why *why)
{
    sql_changed(tx);
    return db_write_texts(tx, S_IMAGE_DELETE, id, NULL, why);
}

enum err db_image_list(struct fleet_store *tx, const char *after, struct image *to, unsigned max, unsigned *count,
                       struct why *why)
{
    struct run r = db_start(tx, S_IMAGE_LIST);
    db_text(&r, after);
    db_int(&r, max);
    for (*count = 0; *count < max && db_next(&r); ++*count)
        read_image(&r, &to[*count]);
    return db_finish(&r, why);
}

enum err db_image_uses(struct fleet_store *tx, const char *id, int64_t *jobs, int64_t *active_jobs, struct why *why)
{
    struct run r = db_start(tx, S_IMAGE_USES);
    db_text(&r, id);
    if (db_next(&r)) {
        *jobs = db_get_int(&r);
        *active_jobs = db_get_int(&r);
    }
    return db_finish(&r, why);
}

enum err db_blob_uses(struct fleet_store *tx, const char *sha256, int64_t *images, struct why *why)
{
    struct run r = db_start(tx, S_BLOB_USES);
    db_text(&r, sha256);
    return db_one_number(&r, images, why);
}

/* --- jobs ------------------------------------------------------------------------------------- */

static void read_group_ids(struct job *j, char *text)
{
    char *save = NULL;
    for (char *id = strtok_r(text, " ", &save); id && j->group_count < JOB_GROUPS_MAX; id = strtok_r(NULL, " ", &save))
        text_copy(j->groups[j->group_count++], sizeof j->groups[0], id);
}

static void read_job(struct run *r, struct job *j)
{
    char groups[JOB_GROUPS_MAX * (ID_LEN + 1) + 1];
    *j = (struct job){.priority = 0};
    db_get_text(r, j->id, sizeof j->id);
    db_get_text(r, j->name, sizeof j->name);
    db_get_text(r, j->image_id, sizeof j->image_id);
    db_get_text(r, j->owner, sizeof j->owner);
    db_get_text(r, j->description, sizeof j->description);
    db_get_text(r, groups, sizeof groups);
    db_get_text(r, j->query, sizeof j->query);
    db_get_text(r, j->exclude, sizeof j->exclude);
    db_get_text(r, j->plan, sizeof j->plan);
    db_get_text(r, j->stop_reason, sizeof j->stop_reason);
    db_get_text(r, j->metadata, sizeof j->metadata);
    read_group_ids(j, groups);
    j->status = (enum job_status)db_get_int(r);
    bool *const flags[] = {&j->is_paused,      &j->is_archived,     &j->is_force_push,  &j->is_continuous,
                           &j->needs_approval, &j->notifies,        &j->gives_image,    &j->is_host_mcu,
                           &j->skips_project,  &j->is_for_everyone, &j->has_named_nodes};
    for (size_t i = 0; i < COUNT(flags); i++)
        *flags[i] = db_get_int(r) != 0;
    j->priority = (int)db_get_int(r);
    j->created_at = db_get_int(r);
    j->ended_at = db_get_int(r);
    j->expires_at = db_get_int(r);
    j->valid_from = db_get_int(r);
    j->is_serial = db_get_int(r) != 0;
    j->serial_max = (unsigned)db_get_int(r);
    j->serial_task_ms = db_get_int(r);
    j->serial_min_wait_ms = db_get_int(r);
    j->serial_max_wait_ms = db_get_int(r);
    db_get_text(r, j->org, sizeof j->org);
    db_get_text(r, j->scope, sizeof j->scope);
}

static enum err job_by(struct fleet_store *tx, enum statement statement, const char *key, const char *second,
                       struct job *to, struct why *why)
{
    struct run r = db_start(tx, statement);
    db_text(&r, key);
    if (second != NULL)
        db_text(&r, second);
    bool is_found = db_next(&r);
    if (is_found)
        read_job(&r, to);
    return db_finish_one(&r, is_found, why);
}

enum err db_job_get(struct fleet_store *tx, const char *id, struct job *to, struct why *why)
{
    return job_by(tx, S_JOB_GET, id, NULL, to, why);
}

enum err db_job_find_name(struct fleet_store *tx, const char *org, const char *name, struct job *to, struct why *why)
{
    return job_by(tx, S_JOB_NAME, org, name, to, why);
}

enum err db_job_put(struct fleet_store *tx, const struct job *j, struct why *why)
{
    char groups[JOB_GROUPS_MAX * (ID_LEN + 1) + 1] = "";
    struct text all;
    text_init(&all, groups, sizeof groups);
    for (unsigned i = 0; i < j->group_count; i++)
        text_add(&all, "%s%s", i > 0 ? " " : "", j->groups[i]);
    struct run r = db_start(tx, S_JOB_PUT);
    const char *const texts[] = {j->id,    j->name,    j->image_id, j->owner,       j->description, groups,
                                 j->query, j->exclude, j->plan,     j->stop_reason, j->metadata};
    for (size_t i = 0; i < COUNT(texts); i++)
        db_text(&r, texts[i]);
    const int64_t numbers[] = {j->status,
                               j->is_paused,
                               j->is_archived,
                               j->is_force_push,
                               j->is_continuous,
                               j->needs_approval,
                               j->notifies,
                               j->gives_image,
                               j->is_host_mcu,
                               j->skips_project,
                               j->is_for_everyone,
                               j->has_named_nodes,
                               j->priority,
                               j->created_at,
                               j->ended_at,
                               j->expires_at,
                               j->valid_from,
                               j->is_serial,
                               j->serial_max,
                               j->serial_task_ms,
                               j->serial_min_wait_ms,
                               j->serial_max_wait_ms};
    for (size_t i = 0; i < COUNT(numbers); i++)
        db_int(&r, numbers[i]);
    sql_changed(tx);
    db_text(&r, j->org);
    db_text(&r, j->scope);
    return db_execute(&r, why);
}

enum err db_job_list(struct fleet_store *tx, const char *after, struct job *to, unsigned max, unsigned *count,
                     struct why *why)
{
    struct run r = db_start(tx, S_JOB_LIST);
    db_text(&r, after);
    db_int(&r, max);
    for (*count = 0; *count < max && db_next(&r); ++*count)
        read_job(&r, &to[*count]);
    return db_finish(&r, why);
}

enum err db_job_scan_active(struct fleet_store *tx, struct job_visitor *v, struct why *why)
{
    struct job job;
    struct run r = db_start(tx, S_JOBS_ACTIVE);
    while (db_next(&r)) {
        read_job(&r, &job);
        if (!v->visit(v, &job))
            break;
    }
    return db_finish(&r, why);
}

enum err db_job_target_add(struct fleet_store *tx, const char *job_id, const char *node_id, struct why *why)
{
    return db_write_texts(tx, S_TARGET_ADD, job_id, node_id, why);
}

enum err db_job_target_list(struct fleet_store *tx, const char *job_id, const char *after, char (*to)[NODE_ID_SIZE],
                            unsigned max, unsigned *count, struct why *why)
{
    return db_ids(tx, S_TARGET_LIST, job_id, after, to, max, count, why);
}

enum err db_job_has_target(struct fleet_store *tx, const char *job_id, const char *node_id, bool *has, struct why *why)
{
    return db_has(tx, S_TARGET_HAS, job_id, node_id, has, why);
}

/* --- states of jobs: kept by the transaction, written at its end ------------------------------ */

static void read_numbers(const char *text, int64_t *to, size_t count)
{
    char *end;
    for (size_t i = 0; i < count; i++, text = end)
        to[i] = strtoll(text, &end, 10);
}

static void write_numbers(char *to, size_t size, const int64_t *from, size_t count)
{
    struct text t;
    text_init(&t, to, size);
    for (size_t i = 0; i < count; i++)
        text_add(&t, "%" PRId64 " ", from[i]);
}

static enum err read_state(struct fleet_store *tx, const char *job_id, struct job_state *to, struct why *why)
{
    char numbers[400];
    struct run r = db_start(tx, S_STATE_GET);
    db_text(&r, job_id);
    bool is_found = db_next(&r);
    if (is_found) {
        *to = (struct job_state){.phase = 0};
        db_get_text(&r, to->job_id, sizeof to->job_id);
        db_get_text(&r, numbers, sizeof numbers);
        read_numbers(numbers, to->counts, EX_STATES);
        db_get_text(&r, numbers, sizeof numbers);
        read_numbers(numbers, to->failures, FAILURE_KINDS);
        db_get_text(&r, to->push_after, sizeof to->push_after);
        db_get_text(&r, to->sweep_after, sizeof to->sweep_after);
        to->started = db_get_int(&r);
        to->refused = db_get_int(&r);
        to->audience = db_get_int(&r);
        to->counted_at = db_get_int(&r);
        to->phase = (unsigned)db_get_int(&r);
        to->phase_at = db_get_int(&r);
        to->gate_at = db_get_int(&r);
        to->rate_at = db_get_int(&r);
        to->bytes_at = db_get_int(&r);
        to->is_pushing = db_get_int(&r) != 0;
        to->sweep = (int)db_get_int(&r);
    }
    return db_finish_one(&r, is_found, why);
}

static enum err write_state(struct fleet_store *tx, const struct job_state *s, struct why *why)
{
    char counts[400], failures[400];
    write_numbers(counts, sizeof counts, s->counts, EX_STATES);
    write_numbers(failures, sizeof failures, s->failures, FAILURE_KINDS);
    struct run r = db_start(tx, S_STATE_PUT);
    const char *const texts[] = {s->job_id, counts, failures, s->push_after, s->sweep_after};
    for (size_t i = 0; i < COUNT(texts); i++)
        db_text(&r, texts[i]);
    const int64_t numbers[] = {s->started, s->refused, s->audience, s->counted_at, s->phase, s->phase_at,
                               s->gate_at, s->rate_at, s->bytes_at, s->is_pushing, s->sweep};
    for (size_t i = 0; i < COUNT(numbers); i++)
        db_int(&r, numbers[i]);
    return db_execute(&r, why);
}

static struct cached_state *cached_state(struct sql_conn *c, const char *job_id)
{
    for (unsigned i = 0; i < c->state_count; i++)
        if (strcmp(c->states[i].state.job_id, job_id) == 0)
            return &c->states[i];
    return NULL;
}

enum err db_job_state_get(struct fleet_store *tx, const char *job_id, struct job_state *to, struct why *why)
{
    struct sql_conn *c = conn_of(tx);
    struct cached_state *cached = cached_state(c, job_id);
    if (cached != NULL) {
        *to = cached->state;
        return ERR_NONE;
    }
    enum err err = read_state(tx, job_id, to, why);
    if (err == ERR_NONE && c->state_count < STATES_CACHED)
        c->states[c->state_count++] = (struct cached_state){*to, false};
    return err;
}

enum err db_job_state_put(struct fleet_store *tx, const struct job_state *state, struct why *why)
{
    struct sql_conn *c = conn_of(tx);
    struct cached_state *cached = cached_state(c, state->job_id);
    if (cached == NULL && c->state_count == STATES_CACHED)
        return write_state(tx, state, why);
    if (cached == NULL)
        cached = &c->states[c->state_count++];
    *cached = (struct cached_state){*state, true};
    c->writes++;
    return ERR_NONE;
}

enum err db_write_states(struct sql_conn *c, struct why *why)
{
    enum err err = ERR_NONE;
    for (unsigned i = 0; err == ERR_NONE && i < c->state_count; i++)
        if (c->states[i].is_dirty)
            err = write_state(&c->port, &c->states[i].state, why);
    return err;
}

/* What is being pushed or swept may stand in the cache alone until the commit. */
enum err db_jobs_busy(struct fleet_store *tx, char (*to)[ID_LEN + 1], unsigned max, unsigned *count, struct why *why)
{
    enum err err = db_write_states(conn_of(tx), why);
    struct run r = db_start(tx, S_JOBS_BUSY);
    db_int(&r, max);
    for (*count = 0; *count < max && db_next(&r); ++*count)
        db_get_text(&r, to[*count], ID_LEN + 1);
    return err ? err : db_finish(&r, why);
}

/* --- executions ------------------------------------------------------------------------------- */

void db_read_execution(struct run *r, struct execution *e)
{
    *e = (struct execution){.percent = -1};
    db_get_text(r, e->job_id, sizeof e->job_id);
    db_get_text(r, e->node_id, sizeof e->node_id);
    db_get_text(r, e->info, sizeof e->info);
    db_get_text(r, e->from_version, sizeof e->from_version);
    db_get_text(r, e->network, sizeof e->network);
    e->state = (enum execution_state)db_get_int(r);
    e->failure = (enum failure_kind)db_get_int(r);
    e->percent = (int)db_get_int(r);
    e->offers = (unsigned)db_get_int(r);
    e->failures = (unsigned)db_get_int(r);
    e->timeline_count = (unsigned)db_get_int(r);
    e->is_approved = db_get_int(r) != 0;
    e->has_slot = db_get_int(r) != 0;
    e->offered_at = db_get_int(r);
    e->updated_at = db_get_int(r);
    e->deadline_at = db_get_int(r);
    e->node_ts = db_get_int(r);
    e->invalid_node_ts = db_get_int(r);
}

static struct known_execution *find_known(struct sql_conn *c, const char *job_id, const char *node_id)
{
    for (unsigned i = 0; i < PUTS_KNOWN; i++)
        if (strcmp(c->known[i].node_id, node_id) == 0 && strcmp(c->known[i].job_id, job_id) == 0)
            return &c->known[i];
    return NULL;
}

static void remember(struct sql_conn *c, const char *job_id, const char *node_id, const struct execution *e)
{
    struct known_execution *k = find_known(c, job_id, node_id);
    if (k == NULL)
        k = &c->known[c->known_next++ % PUTS_KNOWN];
    k->is_there = e != NULL;
    text_copy(k->job_id, sizeof k->job_id, job_id);
    text_copy(k->node_id, sizeof k->node_id, node_id);
    text_copy(k->network, sizeof k->network, e ? e->network : "");
    k->state = e ? e->state : EX_TRIGGERED;
    k->deadline_at = e ? e->deadline_at : 0;
}

enum err db_execution_get(struct fleet_store *tx, const char *job_id, const char *node_id, struct execution *to,
                          struct why *why)
{
    bool is_found;
    if (expected_execution(conn_of(tx)->expected, job_id, node_id, to, &is_found)) {
        remember(conn_of(tx), job_id, node_id, is_found ? to : NULL);
        return is_found ? ERR_NONE : ERR_NOT_FOUND;
    }
    struct run r = db_start(tx, S_EXECUTION_GET);
    db_text(&r, job_id);
    db_text(&r, node_id);
    is_found = db_next(&r);
    if (is_found)
        db_read_execution(&r, to);
    enum err err = db_finish_one(&r, is_found, why);
    if (err == ERR_NONE || err == ERR_NOT_FOUND)
        remember(conn_of(tx), job_id, node_id, is_found ? to : NULL);
    return err;
}

static bool is_open(enum execution_state state)
{
    return state < EX_FIRST_OVER;
}

static bool is_waiting(enum execution_state state, time_ms deadline_at)
{
    return state == EX_WAITING && deadline_at > 0;
}

static bool is_at_work(enum execution_state state, const char *network)
{
    return state >= EX_OFFERED && state <= EX_PROVISIONAL && *network;
}

/* Whether the row can be written without touching an index. */
static bool keeps_indices(const struct known_execution *k, const struct execution *e)
{
    return k->deadline_at == e->deadline_at && strcmp(k->network, e->network) == 0 &&
           is_open(k->state) == is_open(e->state) &&
           is_waiting(k->state, k->deadline_at) == is_waiting(e->state, e->deadline_at) &&
           is_at_work(k->state, k->network) == is_at_work(e->state, e->network);
}

/* `count`: as of db_execute_counted; NULL: nobody asks. */
static enum err write_execution(struct fleet_store *tx, enum statement statement, const struct execution *e,
                                const char *line, int64_t *count, struct why *why)
{
    struct run r = db_start(tx, statement);
    const char *const texts[] = {e->job_id, e->node_id, e->info, e->from_version, e->network};
    for (size_t i = 0; i < COUNT(texts); i++)
        db_text(&r, texts[i]);
    const int64_t numbers[] = {e->state,          e->failure,     e->percent,        e->offers,     e->failures,
                               e->timeline_count, e->is_approved, e->has_slot,       e->offered_at, e->updated_at,
                               e->deadline_at,    e->node_ts,     e->invalid_node_ts};
    for (size_t i = 0; i < COUNT(numbers); i++)
        db_int(&r, numbers[i]);
    db_text(&r, line);
    if (statement != S_EXECUTION_TOUCH) {
        db_int(&r, is_open(e->state));
        db_int(&r, is_waiting(e->state, e->deadline_at));
        db_int(&r, is_at_work(e->state, e->network));
    }
    return count ? db_execute_counted(&r, count, why) : db_execute(&r, why);
}

static void write_line(char *to, size_t size, const struct timeline_row *row)
{
    to[0] = '\0';
    if (row == NULL)
        return;
    int n = snprintf(to, size, "%" PRId64 " %d %d %s", row->at, row->is_from_node, (int)row->state, row->info);
    for (char *at = to; *at; at++)
        if (*at == '\n')
            *at = ' ';
    if (n > 0 && (size_t)n < size - 1)
        memcpy(to + n, "\n", 2);
}

static bool is_expected_kept(struct sql_conn *c, const struct execution *e)
{
    return c->expected == NULL || expected_put_execution(c->expected, e);
}

enum err db_execution_put(struct fleet_store *tx, const struct execution *e, const struct timeline_row *row,
                          struct why *why)
{
    struct sql_conn *c = conn_of(tx);
    const struct known_execution *k = find_known(c, e->job_id, e->node_id);
    char line[STATUS_INFO_SIZE + 40];
    int64_t count = 0;
    enum err err;
    write_line(line, sizeof line, row);
    if (k == NULL) {
        err = write_execution(tx, S_EXECUTION_UPDATE, e, line, &count, why);
        if (err == ERR_NONE && count == 0)
            err = write_execution(tx, S_EXECUTION_INSERT, e, line, NULL, why);
    } else
        err = write_execution(tx,
                              !k->is_there          ? S_EXECUTION_INSERT
                              : keeps_indices(k, e) ? S_EXECUTION_TOUCH
                                                    : S_EXECUTION_UPDATE,
                              e, line, NULL, why);
    if (err == ERR_NONE && !is_expected_kept(c, e))
        err = why_set(why, ERR_NO_MEMORY, "no memory");
    remember(c, e->job_id, e->node_id, e);
    return err;
}

enum err db_read_executions(struct run *r, struct execution *to, unsigned max, unsigned *count, struct why *why)
{
    db_int(r, max);
    for (*count = 0; *count < max && db_next(r); ++*count)
        db_read_execution(r, &to[*count]);
    return db_finish(r, why);
}

enum err db_execution_list(struct fleet_store *tx, const char *job_id, const char *after, struct execution *to,
                           unsigned max, unsigned *count, struct why *why)
{
    struct run r = db_start(tx, S_EXECUTION_LIST);
    db_text(&r, job_id);
    db_text(&r, after);
    return db_read_executions(&r, to, max, count, why);
}

enum err db_executions_open(struct fleet_store *tx, const char *node_id, struct execution *to, unsigned max,
                            unsigned *count, struct why *why)
{
    if (expected_open(conn_of(tx)->expected, node_id, to, max, count))
        return ERR_NONE;
    struct run r = db_start(tx, S_EXECUTIONS_OPEN);
    db_text(&r, node_id);
    return db_read_executions(&r, to, max, count, why);
}

enum err db_executions_due(struct fleet_store *tx, time_ms now, struct execution *to, unsigned max, unsigned *count,
                           time_ms *next_at, struct why *why)
{
    struct run r = db_start(tx, S_EXECUTIONS_DUE);
    db_int(&r, now);
    enum err err = db_read_executions(&r, to, max, count, why);
    if (err != ERR_NONE)
        return err;
    struct run next = db_start(tx, S_EXECUTIONS_NEXT);
    db_int(&next, now);
    return db_one_number(&next, next_at, why);
}

enum err db_executions_waiting(struct fleet_store *tx, const char *job_id, struct execution *to, unsigned max,
                               unsigned *count, struct why *why)
{
    struct run r = db_start(tx, S_EXECUTIONS_WAITING);
    db_text(&r, job_id);
    return db_read_executions(&r, to, max, count, why);
}

enum err db_network_load(struct fleet_store *tx, const char *network, const char *job_id, time_ms since, int64_t *count,
                         struct why *why)
{
    struct run r = db_start(tx, *job_id ? S_NETWORK_LOAD : S_NETWORK_LOAD_ALL);
    db_text(&r, network);
    if (*job_id)
        db_text(&r, job_id);
    db_int(&r, since);
    return db_one_number(&r, count, why);
}

static const char *read_line(const char *line, struct timeline_row *row)
{
    char *at;
    row->at = strtoll(line, &at, 10);
    row->is_from_node = strtol(at, &at, 10) != 0;
    row->state = (enum execution_state)strtol(at, &at, 10);
    at += *at == ' ';
    size_t len = strcspn(at, "\n");
    text_copy_field(row->info, sizeof row->info, at, len);
    return at + len + (at[len] == '\n');
}

enum err db_timeline_list(struct fleet_store *tx, const char *job_id, const char *node_id, struct timeline_row *to,
                          unsigned max, unsigned *count, struct why *why)
{
    struct run r = db_start(tx, S_TIMELINE_GET);
    db_text(&r, job_id);
    db_text(&r, node_id);
    const char *line = db_next(&r) ? r.c->driver->get_text(&r, 0) : NULL;
    for (*count = 0; line != NULL && *line && *count < max; ++*count)
        line = read_line(line, &to[*count]);
    return db_finish(&r, why);
}

/* --- what leaves ------------------------------------------------------------------------------ */

enum err db_outbox_add(struct fleet_store *tx, const struct outbox_row *row, const char *text, struct why *why)
{
    struct run r = db_start(tx, S_OUTBOX_ADD);
    db_text(&r, row->node_id);
    db_text(&r, row->job_id);
    db_int(&r, row->at);
    db_int(&r, row->topic);
    db_text(&r, text ? text : "");
    return db_execute(&r, why);
}

enum err db_outbox_text(struct fleet_store *tx, int64_t id, char *to, size_t size, struct why *why)
{
    struct run r = db_start(tx, S_OUTBOX_TEXT);
    to[0] = '\0';
    db_int(&r, id);
    if (db_next(&r))
        db_get_text(&r, to, size);
    return db_finish(&r, why);
}

enum err db_read_outbox(struct run *r, struct outbox_row *to, unsigned max, unsigned *count, struct why *why)
{
    for (*count = 0; *count < max && db_next(r); ++*count) {
        struct outbox_row *row = &to[*count];
        row->id = db_get_int(r);
        db_get_text(r, row->node_id, sizeof row->node_id);
        db_get_text(r, row->job_id, sizeof row->job_id);
        row->at = db_get_int(r);
        row->topic = (enum topic_kind)db_get_int(r);
    }
    return db_finish(r, why);
}

enum err db_outbox_list(struct fleet_store *tx, int64_t after, struct outbox_row *to, unsigned max, unsigned *count,
                        struct why *why)
{
    struct run r = db_start(tx, S_OUTBOX_LIST);
    db_int(&r, after);
    db_int(&r, max);
    return db_read_outbox(&r, to, max, count, why);
}

enum err db_outbox_delete(struct fleet_store *tx, int64_t id, struct why *why)
{
    struct run r = db_start(tx, S_OUTBOX_DELETE);
    db_int(&r, id);
    return db_execute(&r, why);
}

enum err db_event_add(struct fleet_store *tx, const struct event *e, struct why *why)
{
    struct run r = db_start(tx, S_EVENT_ADD);
    db_int(&r, e->kind);
    db_int(&r, e->at);
    db_text(&r, e->node_id);
    db_text(&r, e->job_id);
    db_text(&r, e->image_id);
    db_text(&r, e->info);
    db_int(&r, e->state);
    db_int(&r, e->percent);
    conn_of(tx)->events_added++;
    return db_execute(&r, why);
}

enum err db_event_list(struct fleet_store *tx, int64_t after, struct event *to, unsigned max, unsigned *count,
                       struct why *why)
{
    struct run r = db_start(tx, S_EVENT_LIST);
    db_int(&r, after);
    db_int(&r, max);
    for (*count = 0; *count < max && db_next(&r); ++*count) {
        struct event *e = &to[*count];
        e->id = db_get_int(&r);
        e->kind = (enum event_kind)db_get_int(&r);
        e->at = db_get_int(&r);
        db_get_text(&r, e->node_id, sizeof e->node_id);
        db_get_text(&r, e->job_id, sizeof e->job_id);
        db_get_text(&r, e->image_id, sizeof e->image_id);
        db_get_text(&r, e->info, sizeof e->info);
        e->state = (enum execution_state)db_get_int(&r);
        e->percent = (int)db_get_int(&r);
    }
    return db_finish(&r, why);
}

enum err db_event_bounds(struct fleet_store *tx, int64_t *first, int64_t *last, struct why *why)
{
    struct run r = db_start(tx, S_EVENT_BOUNDS);
    if (db_next(&r)) {
        *first = db_get_int(&r);
        *last = db_get_int(&r);
    }
    return db_finish(&r, why);
}
