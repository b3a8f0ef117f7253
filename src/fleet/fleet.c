#include "fleet/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fleet_init(struct fleet *f, struct fleet_store *store, struct entropy *entropy, struct log *log,
                struct fleet_bell *bell)
{
    *f = (struct fleet){store, entropy, log, bell, fleet_default_policy, NULL, NULL, NULL};
    f->memory = calloc(1, sizeof *f->memory); /* without it calls answer ERR_NO_MEMORY */
}

void fleet_deinit(struct fleet *f)
{
    memory_free(f->memory);
    f->memory = NULL;
}

/* --- transactions ----------------------------------------------------------------------------- */

static enum err begin(struct tx *tx, struct fleet *f, time_ms now, bool is_reading, struct why *why)
{
    struct fleet_batch *b = f->batch;
    *tx = (struct tx){.f = f, .now = now, .why = why};
    if (f->memory == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    if (b != NULL && b->is_spoilt)
        return why_set(why, ERR_BUSY, "an earlier call of this batch failed half-way");
    enum err err = b == NULL ? f->store->ops->begin(f->store, is_reading, &tx->s, why) : ERR_NONE;
    if (b != NULL) {
        tx->s = b->tx;
        b->changes = b->tx->ops->changes(b->tx);
    }
    if (err == ERR_NONE && f->view != NULL)
        tx->s = view_store_init(&tx->seen, tx->s, f->view);
    tx->db = err == ERR_NONE ? tx->s->ops : NULL;
    return err;
}

enum err tx_begin(struct tx *tx, struct fleet *f, time_ms now, struct why *why)
{
    return begin(tx, f, now, false, why);
}

enum err tx_begin_reading(struct tx *tx, struct fleet *f, struct why *why)
{
    return begin(tx, f, 0, true, why);
}

/* A call of a batch that failed before it wrote anything leaves the batch whole. */
static enum err end_of_batched(struct tx *tx, enum err err)
{
    struct fleet_batch *b = tx->f->batch;
    if (err == ERR_NONE)
        b->is_ringing |= tx->is_ringing, b->changes_people |= tx->changes_people;
    else if (tx->db->changes(tx->s) != b->changes)
        b->is_spoilt = true;
    return err;
}

enum err tx_end(struct tx *tx, enum err err)
{
    if (tx->f->batch != NULL)
        return end_of_batched(tx, err);
    if (err != ERR_NONE) {
        tx->db->rollback(tx->s);
        return err;
    }
    err = tx->db->commit(tx->s, tx->why);
    if (tx->changes_people)
        atomic_fetch_add(&tx->f->memory->people, 1);
    if (err == ERR_NONE && tx->is_ringing && tx->f->bell != NULL)
        tx->f->bell->ring(tx->f->bell);
    return err;
}

long long fleet_people_version(const struct fleet *f)
{
    return f->memory ? atomic_load(&f->memory->people) : 0;
}

void fleet_people_changed(struct fleet *f)
{
    if (f->memory != NULL)
        atomic_fetch_add(&f->memory->people, 1);
}

/* --- batches ---------------------------------------------------------------------------------- */

enum err fleet_batch_begin(struct fleet_batch *b, struct fleet *f, struct why *why)
{
    *b = (struct fleet_batch){.fleet = *f, .of = f};
    b->fleet.batch = b;
    return f->store->ops->begin(f->store, false, &b->tx, why);
}

enum err fleet_batch_end(struct fleet_batch *b, struct why *why)
{
    if (b->is_spoilt) {
        b->tx->ops->rollback(b->tx);
        return why_set(why, ERR_BUSY, "a call of the batch failed half-way; nothing of it was written");
    }
    enum err err = b->tx->ops->commit(b->tx, why);
    if (b->changes_people)
        atomic_fetch_add(&b->of->memory->people, 1);
    if (err == ERR_NONE && b->is_ringing && b->of->bell != NULL)
        b->of->bell->ring(b->of->bell);
    return err;
}

/* --- what the mind remembers ------------------------------------------------------------------ */

void memory_free(struct fleet_memory *m)
{
    if (m == NULL)
        return;
    for (unsigned i = 0; i < m->room; i++)
        free(m->jobs[i]);
    free(m->jobs);
    free(m);
}

static enum err fill_variants(struct tx *tx, struct active *to)
{
    struct key_list l;
    enum err err = tx_keys(tx, CARD_VARIANT, to->job.id, &l);
    to->variant_count = 0;
    for (unsigned i = 0; err == ERR_NONE && i < l.count && to->variant_count < JOB_VARIANTS_MAX; i++) {
        err = tx->db->image_get(tx->s, l.ids[i], &to->variants[to->variant_count], tx->why);
        to->variant_count += err == ERR_NONE;
        err = err == ERR_NOT_FOUND ? ERR_NONE : err;
    }
    return err;
}

const struct image *active_image(const struct active *a, const struct node *node)
{
    if (!a->has_image)
        return NULL;
    for (unsigned i = 0; node->key_digests[0] != '\0' && i < a->variant_count; i++)
        if (image_is_signed_for(&a->variants[i], node))
            return &a->variants[i];
    return &a->image;
}

enum err active_fill(struct tx *tx, const struct job *job, struct active *to)
{
    to->job = *job;
    enum err err = tx->db->image_get(tx->s, job->image_id, &to->image, tx->why);
    to->has_image = err == ERR_NONE;
    if (err == ERR_NOT_FOUND)
        err = ERR_NONE;
    if (err == ERR_NONE)
        err = fill_variants(tx, to);
    /* They were read once when the job was written; a text that cannot be read now stands for nothing. */
    rollout_read(&to->plan, job->plan, NULL);
    to->has_query = query_read(&to->query, job->query, NULL) == ERR_NONE && to->query.count > 0;
    query_read(&to->scope, job->scope, NULL);
    to->has_exclude = query_read(&to->exclude, job->exclude, NULL) == ERR_NONE && to->exclude.count > 0;
    return err;
}

static bool make_room(struct fleet_memory *m)
{
    if (m->count < m->room)
        return true;
    struct active **jobs = realloc(m->jobs, (m->room + 1) * sizeof(struct active *));
    if (jobs == NULL)
        return false;
    m->jobs = jobs;
    m->jobs[m->room] = calloc(1, sizeof **jobs);
    m->room += m->jobs[m->room] != NULL;
    return m->count < m->room;
}

struct filler {
    struct job_visitor port;
    struct fleet_memory *memory;
    bool is_full;
};

static bool take_job(struct job_visitor *v, const struct job *job)
{
    struct filler *filler = (struct filler *)v;
    filler->is_full = !make_room(filler->memory);
    if (!filler->is_full)
        filler->memory->jobs[filler->memory->count++]->job = *job;
    return !filler->is_full;
}

static enum err refresh(struct tx *tx)
{
    struct fleet_memory *m = tx->f->memory;
    struct filler filler = {{take_job}, m, false};
    int64_t version = 0;
    /* What is remembered is remembered for everybody. */
    struct tx whole = *tx;
    if (tx->f->view != NULL)
        whole.s = tx->seen.raw, whole.db = tx->seen.raw->ops;
    enum err err = tx->has_checked ? ERR_NONE : tx->db->version(tx->s, &version, tx->why);
    if (err != ERR_NONE || tx->has_checked || (m->is_filled && m->version == version)) {
        tx->has_checked = err == ERR_NONE;
        return err;
    }
    m->is_filled = false;
    m->count = 0;
    err = whole.db->job_scan_active(whole.s, &filler.port, tx->why);
    if (err == ERR_NONE && filler.is_full)
        err = why_set(tx->why, ERR_NO_MEMORY, "no memory for the active jobs");
    for (unsigned i = 0; err == ERR_NONE && i < m->count; i++) {
        struct job job = m->jobs[i]->job;
        err = active_fill(&whole, &job, m->jobs[i]);
    }
    m->is_filled = tx->has_checked = err == ERR_NONE;
    m->version = version;
    return err;
}

enum err active_list(struct tx *tx, struct active ***to, unsigned *count)
{
    enum err err = refresh(tx);
    *to = tx->f->memory->jobs;
    *count = err == ERR_NONE ? tx->f->memory->count : 0;
    return err;
}

static struct active *in_memory(struct fleet_memory *m, const char *job_id)
{
    for (unsigned i = 0; i < m->count; i++)
        if (strcmp(m->jobs[i]->job.id, job_id) == 0)
            return m->jobs[i];
    return NULL;
}

enum err active_find(struct tx *tx, const char *job_id, struct active **to)
{
    struct job job;
    enum err err = refresh(tx);
    /* It may be somebody else's. */
    if (err == ERR_NONE && tx->f->view != NULL)
        err = tx_job(tx, job_id, &job);
    if (err != ERR_NONE || (*to = in_memory(tx->f->memory, job_id)) != NULL)
        return err;
    *to = &tx->f->memory->spare;
    err = tx_job(tx, job_id, &job);
    return err ? err : active_fill(tx, &job, *to);
}

enum err active_write(struct tx *tx, const struct job *job)
{
    struct active *a = in_memory(tx->f->memory, job->id);
    if (a == NULL && strcmp(tx->f->memory->spare.job.id, job->id) == 0)
        a = &tx->f->memory->spare;
    if (a != NULL && &a->job != job)
        a->job = *job;
    return tx->db->job_put(tx->s, job, tx->why);
}

static enum err named(struct tx *tx, enum err err, enum err code, const char *what, const char *id)
{
    return err == ERR_NOT_FOUND ? why_set(tx->why, code, "there is no %s %s", what, id) : err;
}

enum err tx_expect(struct tx *tx, const char *const *ids, unsigned count)
{
    const struct fleet_store_ops *db = tx->db;
    return db->nodes_expected && count > 0 ? db->nodes_expected(tx->s, ids, count, tx->why) : ERR_NONE;
}

enum err tx_node(struct tx *tx, const char *id, struct node *to)
{
    return named(tx, tx->db->node_get(tx->s, id, to, tx->why), ERR_NODE_NOT_FOUND, "node", id);
}

enum err tx_image(struct tx *tx, const char *id, struct image *to)
{
    return named(tx, tx->db->image_get(tx->s, id, to, tx->why), ERR_IMAGE_NOT_FOUND, "image", id);
}

enum err tx_job(struct tx *tx, const char *id, struct job *to)
{
    return named(tx, tx->db->job_get(tx->s, id, to, tx->why), ERR_JOB_NOT_FOUND, "job", id);
}

enum err tx_group(struct tx *tx, const char *id, struct group *to)
{
    return named(tx, tx->db->group_get(tx->s, id, to, tx->why), ERR_GROUP_NOT_FOUND, "group", id);
}

enum err tx_card(struct tx *tx, enum card_kind kind, const char *key, char **to)
{
    enum err err = tx->db->card_get(tx->s, kind, key, to, tx->why);
    return err == ERR_NOT_FOUND ? ERR_NONE : err;
}

enum err tx_card_put(struct tx *tx, enum card_kind kind, const char *key, const struct buf *text)
{
    if (text->is_failed)
        return why_set(tx->why, ERR_NO_MEMORY, "no memory");
    return tx->db->card_put(tx->s, kind, key, bytes_of(text->at, text->len), tx->why);
}

void card_key(char to[CARD_KEY_SIZE], const char *a, const char *b)
{
    snprintf(to, CARD_KEY_SIZE, "%.90s/%.90s", a, b);
}

static bool note_key(struct card_visitor *v, const char *key, const char *text)
{
    struct key_list *l = (struct key_list *)v;
    (void)text;
    text_copy(l->ids[l->count], sizeof l->ids[0], strchr(key, '/') + 1);
    return ++l->count < KEYS_MAX;
}

enum err tx_keys(struct tx *tx, enum card_kind kind, const char *before, struct key_list *to)
{
    char prefix[CARD_KEY_SIZE];
    *to = (struct key_list){.v = {note_key}};
    card_key(prefix, before, "");
    return tx->db->card_scan(tx->s, kind, prefix, "", &to->v, tx->why);
}

enum err tx_state(struct tx *tx, const char *job_id, struct job_state *to)
{
    enum err err = tx->db->job_state_get(tx->s, job_id, to, tx->why);
    if (err != ERR_NOT_FOUND)
        return err;
    *to = (struct job_state){.audience = 0};
    text_copy(to->job_id, sizeof to->job_id, job_id);
    return ERR_NONE;
}

static enum err add_event(struct tx *tx, struct event *e, const char *node_id, const char *job_id)
{
    text_copy(e->node_id, sizeof e->node_id, node_id);
    text_copy(e->job_id, sizeof e->job_id, job_id);
    tx->is_ringing = true;
    return tx->db->event_add(tx->s, e, tx->why);
}

enum err tx_event(struct tx *tx, enum event_kind kind, const char *node_id, const char *job_id, const char *image_id)
{
    struct event e = {.kind = kind, .at = tx->now, .percent = -1};
    text_copy(e.image_id, sizeof e.image_id, image_id);
    return add_event(tx, &e, node_id, job_id);
}

enum err tx_event_told(struct tx *tx, enum event_kind kind, const char *node_id, const char *job_id, const char *info)
{
    struct event e = {.kind = kind, .at = tx->now, .percent = -1};
    text_copy(e.info, sizeof e.info, info);
    return add_event(tx, &e, node_id, job_id);
}

enum err fleet_start(struct fleet *f, unsigned broker, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    if (err != ERR_NONE)
        return err;
    err = tx.db->nodes_all_offline(tx.s, broker, now, why);
    return tx_end(&tx, err ? err : tx_event(&tx, EVENT_NODE, NULL, NULL, NULL));
}

static enum err note_broker(struct tx *tx, unsigned broker, const char *run, bool *is_new)
{
    char key[12], *before = NULL;
    snprintf(key, sizeof key, "%u", broker);
    enum err err = tx_card(tx, CARD_BROKER, key, &before);
    *is_new = err == ERR_NONE && (before == NULL || strcmp(before, run) != 0);
    free(before);
    if (!*is_new)
        return err;
    err = tx->db->card_put(tx->s, CARD_BROKER, key, bytes_of_text(run), tx->why);
    if (err == ERR_NONE)
        err = tx->db->nodes_all_offline(tx->s, broker, tx->now, tx->why);
    return err ? err : tx_event(tx, EVENT_NODE, NULL, NULL, NULL);
}

enum err fleet_on_broker(struct fleet *f, unsigned broker, const char *run, time_ms now, bool *is_new, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, note_broker(&tx, broker, run, is_new));
}

enum err fleet_batch_expect(struct fleet_batch *b, const char *const *ids, unsigned count, struct why *why)
{
    return b->tx->ops->nodes_expected ? b->tx->ops->nodes_expected(b->tx, ids, count, why) : ERR_NONE;
}

bool fleet_outbox_is_ours(struct fleet *f)
{
    return f->store->ops->outbox_is_ours == NULL || f->store->ops->outbox_is_ours(f->store);
}

bool fleet_leads(struct fleet *f)
{
    return f->store->ops->leads == NULL || f->store->ops->leads(f->store);
}

enum err fleet_events(struct fleet *f, int64_t after, struct event *to, unsigned max, unsigned *count, bool *is_gap,
                      struct why *why)
{
    struct tx tx;
    int64_t first = 0, last = 0;
    enum err err = tx_begin_reading(&tx, f, why);
    if (err != ERR_NONE)
        return err;
    err = tx.db->event_bounds(tx.s, &first, &last, why);
    *is_gap = first > 0 && after + 1 < first;
    if (err == ERR_NONE)
        err = tx.db->event_list(tx.s, after, to, max, count, why);
    return tx_end(&tx, err);
}

enum err fleet_event_last(struct fleet *f, int64_t *id, struct why *why)
{
    struct tx tx;
    int64_t first;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, tx.db->event_bounds(tx.s, &first, id, why));
}
