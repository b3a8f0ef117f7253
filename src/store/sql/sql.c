#include "store/sql/sql.h"

#include "base/text.h"
#include "store/sql/expected.h"
#include "store/sql/nouns.h"

#include <stdlib.h>
#include <string.h>

const char *const sql_texts[STATEMENT_COUNT] = {
#define STATEMENT_TEXT(name, sql) [S_##name] = sql,
    STATEMENTS(STATEMENT_TEXT)};

struct run db_start(struct fleet_store *tx, enum statement statement)
{
    struct run r;
    r.c = conn_of(tx);
    r.statement = statement;
    r.parameter = r.column = r.row = r.rc = 0;
    r.handle = NULL;
    r.c->driver->start(&r);
    return r;
}

void db_text_len(struct run *r, const char *text, size_t len)
{
    r->c->driver->text(r, text, len);
}

void db_text(struct run *r, const char *text)
{
    db_text_len(r, text, strlen(text));
}

void db_int(struct run *r, int64_t value)
{
    r->c->driver->number(r, value);
}

bool db_next(struct run *r)
{
    r->column = 0;
    return r->c->driver->next(r);
}

void db_get_text(struct run *r, char *to, size_t size)
{
    text_copy(to, size, r->c->driver->get_text(r, r->column++));
}

int64_t db_get_int(struct run *r)
{
    return r->c->driver->get_number(r, r->column++);
}

enum err db_finish(struct run *r, struct why *why)
{
    return r->c->driver->finish(r, why);
}

enum err db_execute(struct run *r, struct why *why)
{
    r->c->writes++;
    return r->c->driver->execute(r, NULL, why);
}

enum err db_execute_counted(struct run *r, int64_t *count, struct why *why)
{
    r->c->writes++;
    *count = 0;
    return r->c->driver->execute(r, count, why);
}

enum err db_finish_one(struct run *r, bool is_found, struct why *why)
{
    enum err err = db_finish(r, why);
    return err == ERR_NONE && !is_found ? ERR_NOT_FOUND : err;
}

enum err db_one_number(struct run *r, int64_t *to, struct why *why)
{
    *to = db_next(r) ? db_get_int(r) : 0;
    return db_finish(r, why);
}

enum err db_write_texts(struct fleet_store *tx, enum statement statement, const char *a, const char *b, struct why *why)
{
    struct run r = db_start(tx, statement);
    db_text(&r, a);
    if (b != NULL)
        db_text(&r, b);
    return db_execute(&r, why);
}

void sql_forget(struct sql_conn *c)
{
    c->state_count = 0;
    memset(c->known, 0, sizeof c->known);
    memset(c->known_nodes, 0, sizeof c->known_nodes);
    c->events_added = 0;
    c->changes_people = c->changes_gate = false;
    c->writes = 0;
    for (unsigned i = 0; i < BROKERS_MAX; i++) /* until facts say otherwise */
        c->epochs[i] = 1, c->epochs_at[i] = 0;
    expected_free(c->expected);
    c->expected = NULL;
}

void sql_changed(struct fleet_store *tx)
{
    struct sql_conn *c = conn_of(tx);
    c->version = c->next_version(c);
}

/* "epoch" and "epoch_at" are the first broker's, "epoch:3" the fourth's. */
void sql_take_fact(struct sql_conn *c, const char *name, int64_t value)
{
    static const char epoch[] = "epoch", epoch_at[] = "epoch_at";
    const char *colon = strchr(name, ':');
    size_t len = colon ? (size_t)(colon - name) : strlen(name), broker = colon ? strtoul(colon + 1, NULL, 10) : 0;
    if (broker >= BROKERS_MAX)
        return;
    if (len == sizeof epoch - 1 && memcmp(name, epoch, len) == 0)
        c->epochs[broker] = value;
    else if (len == sizeof epoch_at - 1 && memcmp(name, epoch_at, len) == 0)
        c->epochs_at[broker] = value;
    else if (strcmp(name, "nodes") == 0)
        c->node_count = c->node_count_before = value;
}

static int64_t changes(struct fleet_store *tx)
{
    return conn_of(tx)->writes;
}

static enum err version(struct fleet_store *tx, int64_t *to, struct why *why)
{
    (void)why;
    *to = conn_of(tx)->version;
    return ERR_NONE;
}

const struct fleet_store_ops sql_nouns = {
    .changes = changes,
    .version = version,
    .node_get = db_node_get,
    .node_put = db_node_put,
    .node_delete = db_node_delete,
    .node_list = db_node_list,
    .node_scan = db_node_scan,
    .nodes_alike = db_nodes_alike,
    .node_count = db_node_count,
    .nodes_all_offline = db_nodes_all_offline,
    .group_get = db_group_get,
    .group_find_name = db_group_find_name,
    .group_put = db_group_put,
    .group_delete = db_group_delete,
    .group_list = db_group_list,
    .group_children = db_group_children,
    .member_add = db_member_add,
    .member_remove = db_member_remove,
    .member_list = db_member_list,
    .groups_of_node = db_groups_of_node,
    .image_get = db_image_get,
    .image_find_name = db_image_find_name,
    .image_put = db_image_put,
    .image_delete = db_image_delete,
    .image_list = db_image_list,
    .image_uses = db_image_uses,
    .blob_uses = db_blob_uses,
    .job_get = db_job_get,
    .job_find_name = db_job_find_name,
    .job_put = db_job_put,
    .job_list = db_job_list,
    .job_scan_active = db_job_scan_active,
    .job_target_add = db_job_target_add,
    .job_target_list = db_job_target_list,
    .job_has_target = db_job_has_target,
    .job_state_get = db_job_state_get,
    .job_state_put = db_job_state_put,
    .jobs_busy = db_jobs_busy,
    .execution_get = db_execution_get,
    .execution_put = db_execution_put,
    .execution_list = db_execution_list,
    .executions_open = db_executions_open,
    .executions_due = db_executions_due,
    .executions_waiting = db_executions_waiting,
    .network_load = db_network_load,
    .timeline_list = db_timeline_list,
    .outbox_add = db_outbox_add,
    .outbox_text = db_outbox_text,
    .outbox_list = db_outbox_list,
    .outbox_delete = db_outbox_delete,
    .event_add = db_event_add,
    .event_list = db_event_list,
    .event_bounds = db_event_bounds,
    .user_get = db_user_get,
    .user_get_id = db_user_get_id,
    .user_put = db_user_put,
    .user_list = db_user_list,
    .user_delete = db_user_delete,
    .user_count = db_user_count,
    .token_put = db_token_put,
    .token_get = db_token_get,
    .token_delete = db_token_delete,
    .tokens_delete_user = db_tokens_delete_user,
    .card_get = db_card_get,
    .card_put = db_card_put,
    .card_delete = db_card_delete,
    .card_scan = db_card_scan,
};
