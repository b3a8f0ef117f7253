#include "store/sqlite/sqlite_store.h"

#include "store/sqlite/nouns.h"
#include "store/sqlite/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CACHE_KB 65536 /* pages of the writer; the reader has a quarter */

/* --- transactions ----------------------------------------------------------------------------- */

static enum err run_one(struct conn *c, enum statement statement, struct why *why)
{
    struct run r = db_start(&c->port, statement);
    return db_execute(&r, why);
}

static void forget(struct conn *c)
{
    c->state_count = 0;
    memset(c->known, 0, sizeof c->known);
    c->events_added = 0;
    c->writes = 0;
}

static enum err begin(struct fleet_store *port, bool is_reading, struct fleet_store **tx, struct why *why)
{
    struct sqlite_store *s = (struct sqlite_store *)port;
    struct conn *c = is_reading && s->has_reader ? &s->reader : &s->writer;
    pthread_mutex_lock(&c->lock);
    forget(c);
    enum err err = run_one(c, is_reading ? S_BEGIN_READ : S_BEGIN, why);
    /* The writer is the only one who changes them; it has them in memory. */
    if (err == ERR_NONE && c == &s->reader && (err = db_read_facts(c, why)) != ERR_NONE)
        run_one(c, S_ROLLBACK, NULL);
    c->node_count_before = c->node_count;
    c->writes = 0;
    if (err != ERR_NONE)
        pthread_mutex_unlock(&c->lock);
    *tx = &c->port;
    return err;
}

static void rollback(struct fleet_store *tx)
{
    struct conn *c = conn_of(tx);
    run_one(c, S_ROLLBACK, NULL);
    if (c == &c->store->writer) {
        c->store->version++; /* what was remembered in between is not true */
        db_read_facts(c, NULL);
    }
    pthread_mutex_unlock(&c->lock);
}

static enum err trim_events(struct conn *c, struct why *why)
{
    struct run r = db_start(&c->port, S_EVENT_TRIM);
    db_int(&r, EVENTS_KEPT);
    return db_execute(&r, why);
}

static enum err commit(struct fleet_store *tx, struct why *why)
{
    struct conn *c = conn_of(tx);
    enum err err = db_write_states(c, why);
    if (err == ERR_NONE)
        err = db_write_node_count(c, why);
    if (err == ERR_NONE && c->events_added > 0)
        err = trim_events(c, why);
    if (err == ERR_NONE)
        err = run_one(c, S_COMMIT, why);
    if (err != ERR_NONE) {
        rollback(tx);
        return err;
    }
    pthread_mutex_unlock(&c->lock);
    return ERR_NONE;
}

static int64_t changes(struct fleet_store *tx)
{
    return conn_of(tx)->writes;
}

static enum err version(struct fleet_store *tx, int64_t *version, struct why *why)
{
    (void)why;
    *version = conn_of(tx)->store->version;
    return ERR_NONE;
}

static const struct fleet_store_ops ops = {
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .changes = changes,
    .version = version,
    .node_get = db_node_get,
    .node_put = db_node_put,
    .node_delete = db_node_delete,
    .node_list = db_node_list,
    .node_scan = db_node_scan,
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

/* --- open and close --------------------------------------------------------------------------- */

static enum err run_sql(struct conn *c, const char *sql, struct why *why)
{
    return sqlite3_exec(c->db, sql, NULL, NULL, NULL) == SQLITE_OK ? ERR_NONE : db_failed(c, sql, why);
}

static int schema_version(struct conn *c)
{
    sqlite3_stmt *st;
    int version = -1;
    if (sqlite3_prepare_v2(c->db, "PRAGMA user_version", -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
        version = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return version;
}

static bool has_table(struct conn *c, const char *name)
{
    sqlite3_stmt *st;
    bool is_there = sqlite3_prepare_v2(c->db, "SELECT 1 FROM sqlite_master WHERE type='table' AND name=?1", -1, &st,
                                       NULL) == SQLITE_OK &&
                    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW;
    sqlite3_finalize(st);
    return is_there;
}

/* Each migration is one transaction with its number. */
static enum err migrate(struct conn *c, struct why *why)
{
    const int newest = (int)(sizeof migrations / sizeof migrations[0]);
    int version = schema_version(c);
    if (version < 0)
        return db_failed(c, "PRAGMA user_version", why);
    if (version > newest)
        return why_set(why, ERR_STORE, "the database was written by a newer version (schema %d, this program knows %d)",
                       version, newest);
    enum err err = ERR_NONE;
    for (; err == ERR_NONE && version < newest; version++) {
        char set[48];
        snprintf(set, sizeof set, "PRAGMA user_version=%d", version + 1);
        if ((err = run_sql(c, "BEGIN IMMEDIATE", why)) != ERR_NONE ||
            (err = run_sql(c, migrations[version], why)) != ERR_NONE || (err = run_sql(c, set, why)) != ERR_NONE ||
            (err = run_sql(c, "COMMIT", why)) != ERR_NONE)
            sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    }
    /* The first schema was rewritten until the first release; what was made by such a build cannot be read. */
    if (err == ERR_NONE && !has_table(c, "cards"))
        err = why_set(why, ERR_STORE, "it was made by a build before the first release: move it away, and begin anew");
    return err;
}

static enum err conn_open(struct sqlite_store *s, struct conn *c, const char *path, int cache_kb, struct why *why)
{
    char pragmas[200];
    c->port.ops = &ops;
    c->store = s;
    pthread_mutex_init(&c->lock, NULL);
    mode_t mask = umask(0077);
    int rc = sqlite3_open_v2(path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    umask(mask);
    if (rc != SQLITE_OK)
        return db_failed(c, "open", why);
    sqlite3_busy_timeout(c->db, 5000);
    snprintf(pragmas, sizeof pragmas,
             "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA cache_size=-%d;"
             "PRAGMA wal_autocheckpoint=4000;",
             cache_kb);
    return run_sql(c, pragmas, why);
}

static void conn_close(struct conn *c)
{
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(c->statements[i]);
    sqlite3_close(c->db);
    pthread_mutex_destroy(&c->lock);
}

enum err sqlite_store_open(struct sqlite_store **store, const char *path, struct log *log, struct why *why)
{
    struct sqlite_store *s = calloc(1, sizeof *s);
    if (s == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory for the store");
    s->port.ops = &ops;
    s->log = log;
    enum err err = conn_open(s, &s->writer, path, CACHE_KB, why);
    if (err == ERR_NONE)
        err = migrate(&s->writer, why);
    if (err == ERR_NONE)
        err = db_read_facts(&s->writer, why);
    s->has_reader = err == ERR_NONE && strcmp(path, ":memory:") != 0;
    if (s->has_reader)
        err = conn_open(s, &s->reader, path, CACHE_KB / 4, why);
    if (err != ERR_NONE) {
        sqlite_store_close(s);
        return why_add(why, err, "open the database %s", path);
    }
    *store = s;
    return ERR_NONE;
}

void sqlite_store_close(struct sqlite_store *s)
{
    if (s == NULL)
        return;
    if (s->has_reader)
        conn_close(&s->reader);
    conn_close(&s->writer);
    free(s);
}

void sqlite_store_cut_after(struct sqlite_store *s, int64_t n)
{
    s->cut_after = n;
}

struct fleet_store *sqlite_store_port(struct sqlite_store *s)
{
    return &s->port;
}
