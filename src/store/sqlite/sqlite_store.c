#include "store/sqlite/sqlite_store.h"

#include "base/text.h"
#include "store/sqlite/schema.h"

#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NODE_COLUMNS                                                                                                   \
    "id,name,fw_version,type,subtype,model,project_name,platform,network_id,is_online,registered_at,activated_at,"     \
    "seen_at,booted_at,presence_at,subscribed_at"
#define IMAGE_COLUMNS                                                                                                  \
    "id,name,type,model,fw_version,project_name,platform,sha256,md5,uploader,secure_version,size_bytes,is_archived,"   \
    "is_ready,uploaded_at"
#define JOB_COLUMNS                                                                                                    \
    "id,name,image_id,owner,description,status,is_archived,is_force_push,is_continuous,is_for_everyone,priority,"      \
    "created_at,ended_at,push_after,is_pushing,metadata"
#define EXECUTION_COLUMNS                                                                                              \
    "job_id,node_id,info,from_version,state,percent,offers,failures,offered_at,updated_at,deadline_at,node_ts,"        \
    "invalid_node_ts"

/* Every statement of this store, prepared at first use. */
#define STATEMENTS(X)                                                                                                  \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                                        \
    X(COMMIT, "COMMIT")                                                                                                \
    X(ROLLBACK, "ROLLBACK")                                                                                            \
    X(NODE_GET, "SELECT " NODE_COLUMNS " FROM nodes WHERE id=?1")                                                      \
    X(NODE_PUT, "INSERT INTO nodes (" NODE_COLUMNS ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)" \
                " ON CONFLICT (id) DO UPDATE SET name=?2,fw_version=?3,type=?4,subtype=?5,model=?6,project_name=?7,"   \
                "platform=?8,network_id=?9,is_online=?10,registered_at=?11,activated_at=?12,seen_at=?13,"              \
                "booted_at=?14,presence_at=?15,subscribed_at=?16")                                                     \
    X(NODE_LIST, "SELECT " NODE_COLUMNS " FROM nodes WHERE id>?1 ORDER BY id LIMIT ?2")                                \
    X(NODE_COUNT, "SELECT count FROM node_total")                                                                      \
    X(NODES_OFFLINE, "UPDATE nodes SET is_online=0,subscribed_at=0,presence_at=?1 WHERE is_online=1")                  \
    X(CONFIG_PUT, "UPDATE nodes SET config=?2 WHERE id=?1")                                                            \
    X(CONFIG_GET, "SELECT config FROM nodes WHERE id=?1")                                                              \
    X(IMAGE_GET, "SELECT " IMAGE_COLUMNS " FROM images WHERE id=?1")                                                   \
    X(IMAGE_NAME, "SELECT " IMAGE_COLUMNS " FROM images WHERE name=?1")                                                \
    X(IMAGE_PUT, "INSERT INTO images (" IMAGE_COLUMNS ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)"  \
                 " ON CONFLICT (id) DO UPDATE SET name=?2,type=?3,model=?4,fw_version=?5,project_name=?6,platform=?7," \
                 "sha256=?8,md5=?9,uploader=?10,secure_version=?11,size_bytes=?12,is_archived=?13,is_ready=?14,"       \
                 "uploaded_at=?15")                                                                                    \
    X(IMAGE_DELETE, "DELETE FROM images WHERE id=?1")                                                                  \
    X(IMAGE_LIST, "SELECT " IMAGE_COLUMNS " FROM images WHERE ?1='' OR rowid<(SELECT rowid FROM images WHERE id=?1)"   \
                  " ORDER BY rowid DESC LIMIT ?2")                                                                     \
    X(IMAGE_USES, "SELECT count(*),total(status=0) FROM jobs WHERE image_id=?1")                                       \
    X(BLOB_USES, "SELECT count(*) FROM images WHERE sha256=?1")                                                        \
    X(JOB_GET, "SELECT " JOB_COLUMNS " FROM jobs WHERE id=?1")                                                         \
    X(JOB_NAME, "SELECT " JOB_COLUMNS " FROM jobs WHERE name=?1")                                                      \
    X(JOB_PUT, "INSERT INTO jobs (" JOB_COLUMNS ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)"    \
               " ON CONFLICT (id) DO UPDATE SET name=?2,image_id=?3,owner=?4,description=?5,status=?6,is_archived=?7," \
               "is_force_push=?8,is_continuous=?9,is_for_everyone=?10,priority=?11,created_at=?12,ended_at=?13,"       \
               "push_after=?14,is_pushing=?15,metadata=?16")                                                           \
    X(JOB_LIST, "SELECT " JOB_COLUMNS " FROM jobs WHERE ?1='' OR rowid<(SELECT rowid FROM jobs WHERE id=?1)"           \
                " ORDER BY rowid DESC LIMIT ?2")                                                                       \
    X(TARGET_ADD, "INSERT OR IGNORE INTO job_targets VALUES (?1,?2)")                                                  \
    X(TARGET_LIST, "SELECT node_id FROM job_targets WHERE job_id=?1 AND node_id>?2 ORDER BY node_id LIMIT ?3")         \
    X(TARGET_LIST_ALL, "SELECT id FROM nodes WHERE id>?1 ORDER BY id LIMIT ?2")                                        \
    X(TARGET_COUNT, "SELECT count(*) FROM job_targets WHERE job_id=?1")                                                \
    X(TARGET_HAS, "SELECT 1 FROM job_targets WHERE job_id=?1 AND node_id=?2")                                          \
    X(JOBS_OF_NODE,                                                                                                    \
      "SELECT " JOB_COLUMNS " FROM jobs WHERE status=0 AND (is_for_everyone=1 OR id IN"                                \
      " (SELECT job_id FROM job_targets WHERE node_id=?1))"                                                            \
      " AND NOT EXISTS (SELECT 1 FROM executions e WHERE e.job_id=jobs.id AND e.node_id=?1 AND e.state>7)"             \
      " ORDER BY priority, created_at DESC, rowid DESC LIMIT ?2")                                                      \
    X(JOBS_PUSHING, "SELECT " JOB_COLUMNS " FROM jobs WHERE status=0 AND is_pushing=1 ORDER BY rowid LIMIT ?1")        \
    X(EXECUTION_GET, "SELECT " EXECUTION_COLUMNS " FROM executions WHERE job_id=?1 AND node_id=?2")                    \
    X(EXECUTION_PUT,                                                                                                   \
      "INSERT INTO executions (" EXECUTION_COLUMNS ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)"             \
      " ON CONFLICT (job_id,node_id) DO UPDATE SET info=?3,from_version=?4,state=?5,percent=?6,offers=?7,"             \
      "failures=?8,offered_at=?9,updated_at=?10,deadline_at=?11,node_ts=?12,invalid_node_ts=?13")                      \
    X(EXECUTION_LIST,                                                                                                  \
      "SELECT " EXECUTION_COLUMNS " FROM executions WHERE job_id=?1 AND node_id>?2 ORDER BY node_id LIMIT ?3")         \
    X(EXECUTIONS_OPEN,                                                                                                 \
      "SELECT " EXECUTION_COLUMNS " FROM executions WHERE node_id=?1 AND state BETWEEN 1 AND 7 LIMIT ?2")              \
    X(EXECUTIONS_DUE, "SELECT " EXECUTION_COLUMNS " FROM executions WHERE deadline_at>0 AND deadline_at<=?1"           \
                      " ORDER BY deadline_at LIMIT ?2")                                                                \
    X(COUNTS, "SELECT state,count FROM job_counts WHERE job_id=?1")                                                    \
    X(TIMELINE_ADD, "INSERT INTO timeline (job_id,node_id,at,is_from_node,state,info) VALUES (?1,?2,?3,?4,?5,?6)")     \
    X(TIMELINE_LIST,                                                                                                   \
      "SELECT at,is_from_node,state,info FROM timeline WHERE job_id=?1 AND node_id=?2 ORDER BY seq LIMIT ?3")          \
    X(OUTBOX_ADD, "INSERT INTO outbox (node_id,job_id,at) VALUES (?1,?2,?3)")                                          \
    X(OUTBOX_LIST, "SELECT id,node_id,job_id,at FROM outbox WHERE id>?1 ORDER BY id LIMIT ?2")                         \
    X(OUTBOX_DELETE, "DELETE FROM outbox WHERE id=?1")                                                                 \
    X(EVENT_ADD,                                                                                                       \
      "INSERT INTO events (kind,at,node_id,job_id,image_id,info,state,percent) VALUES (?1,?2,?3,?4,?5,?6,?7,?8)")      \
    X(EVENT_TRIM, "DELETE FROM events WHERE id<=?1")                                                                   \
    X(EVENT_LIST,                                                                                                      \
      "SELECT id,kind,at,node_id,job_id,image_id,info,state,percent FROM events WHERE id>?1 ORDER BY id LIMIT ?2")     \
    X(EVENT_BOUNDS, "SELECT (SELECT min(id) FROM events),(SELECT max(id) FROM events)")                                \
    X(USER_GET, "SELECT id,name,password_hash,is_admin,created_at FROM users WHERE name=?1")                           \
    X(USER_GET_ID, "SELECT id,name,password_hash,is_admin,created_at FROM users WHERE id=?1")                          \
    X(USER_PUT, "INSERT INTO users (id,name,password_hash,is_admin,created_at) VALUES (?1,?2,?3,?4,?5)"                \
                " ON CONFLICT (id) DO UPDATE SET name=?2,password_hash=?3,is_admin=?4,created_at=?5")                  \
    X(USER_COUNT, "SELECT count(*) FROM users")                                                                        \
    X(TOKEN_PUT, "INSERT OR REPLACE INTO tokens VALUES (?1,?2,?3)")                                                    \
    X(TOKEN_GET, "SELECT user_id,expires_at FROM tokens WHERE digest=?1")                                              \
    X(TOKEN_DELETE, "DELETE FROM tokens WHERE digest=?1")                                                              \
    X(TOKENS_DELETE, "DELETE FROM tokens WHERE user_id=?1")

#define STATEMENT_ENUM(name, sql) Q_##name,
enum query { STATEMENTS(STATEMENT_ENUM) Q_COUNT };

static const char *const sql_texts[Q_COUNT] = {
#define STATEMENT_TEXT(name, sql) [Q_##name] = sql,
    STATEMENTS(STATEMENT_TEXT)};

struct sqlite_store {
    struct fleet_store port;
    sqlite3 *db;
    sqlite3_stmt *statements[Q_COUNT];
    pthread_mutex_t lock;
    struct log *log;
};

/* --- one statement, start to end -------------------------------------------------------------- */

struct run {
    struct sqlite_store *s;
    sqlite3_stmt *st;
    int parameter, column;
    int rc;
    enum query query;
};

static enum err failed(struct sqlite_store *s, const char *what, struct why *why)
{
    log_line(s->log, LOG_ERROR, "store", "%s: %s", what, sqlite3_errmsg(s->db));
    return why_set(why, ERR_STORE, "database: %s", sqlite3_errmsg(s->db));
}

static struct run start(struct fleet_store *port, enum query query)
{
    struct sqlite_store *s = (struct sqlite_store *)port;
    struct run r = {.s = s, .query = query, .rc = SQLITE_OK};
    if (s->statements[query] == NULL)
        r.rc = sqlite3_prepare_v3(s->db, sql_texts[query], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[query], NULL);
    r.st = s->statements[query];
    return r;
}

static void bind_text(struct run *r, const char *text)
{
    if (r->rc == SQLITE_OK)
        r->rc = sqlite3_bind_text(r->st, ++r->parameter, text, -1, SQLITE_STATIC);
}

static void bind_int(struct run *r, int64_t value)
{
    if (r->rc == SQLITE_OK)
        r->rc = sqlite3_bind_int64(r->st, ++r->parameter, value);
}

static bool next_row(struct run *r)
{
    r->column = 0;
    if (r->rc == SQLITE_OK || r->rc == SQLITE_ROW)
        r->rc = sqlite3_step(r->st);
    return r->rc == SQLITE_ROW;
}

static void get_text(struct run *r, char *to, size_t size)
{
    text_copy(to, size, (const char *)sqlite3_column_text(r->st, r->column++));
}

static int64_t get_int(struct run *r)
{
    return sqlite3_column_int64(r->st, r->column++);
}

static enum err finish(struct run *r, struct why *why)
{
    bool is_good = r->rc == SQLITE_DONE || r->rc == SQLITE_ROW;
    enum err err = is_good ? ERR_NONE : failed(r->s, sql_texts[r->query], why);
    sqlite3_reset(r->st);
    sqlite3_clear_bindings(r->st);
    return err;
}

/* A statement without rows. */
static enum err execute(struct run *r, struct why *why)
{
    while (next_row(r))
        ;
    return finish(r, why);
}

/* Ends a statement of which one row was wanted. */
static enum err finish_one(struct run *r, bool is_found, struct why *why)
{
    enum err err = finish(r, why);
    return err == ERR_NONE && !is_found ? ERR_NOT_FOUND : err;
}

/* --- transactions ----------------------------------------------------------------------------- */

static enum err db_begin(struct fleet_store *port, struct why *why)
{
    struct sqlite_store *s = (struct sqlite_store *)port;
    pthread_mutex_lock(&s->lock);
    struct run r = start(port, Q_BEGIN);
    enum err err = execute(&r, why);
    if (err != ERR_NONE)
        pthread_mutex_unlock(&s->lock);
    return err;
}

static void db_rollback(struct fleet_store *port)
{
    struct sqlite_store *s = (struct sqlite_store *)port;
    struct run r = start(port, Q_ROLLBACK);
    execute(&r, NULL);
    pthread_mutex_unlock(&s->lock);
}

static enum err db_commit(struct fleet_store *port, struct why *why)
{
    struct sqlite_store *s = (struct sqlite_store *)port;
    struct run r = start(port, Q_COMMIT);
    enum err err = execute(&r, why);
    if (err != ERR_NONE) {
        db_rollback(port);
        return err;
    }
    pthread_mutex_unlock(&s->lock);
    return ERR_NONE;
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void read_node(struct run *r, struct node *n)
{
    *n = (struct node){.is_online = false};
    get_text(r, n->id, sizeof n->id);
    get_text(r, n->name, sizeof n->name);
    get_text(r, n->fw_version, sizeof n->fw_version);
    get_text(r, n->type, sizeof n->type);
    get_text(r, n->subtype, sizeof n->subtype);
    get_text(r, n->model, sizeof n->model);
    get_text(r, n->project_name, sizeof n->project_name);
    get_text(r, n->platform, sizeof n->platform);
    get_text(r, n->network_id, sizeof n->network_id);
    n->is_online = get_int(r) != 0;
    n->registered_at = get_int(r);
    n->activated_at = get_int(r);
    n->seen_at = get_int(r);
    n->booted_at = get_int(r);
    n->presence_at = get_int(r);
    n->subscribed_at = get_int(r);
}

static enum err db_node_get(struct fleet_store *s, const char *id, struct node *to, struct why *why)
{
    struct run r = start(s, Q_NODE_GET);
    bind_text(&r, id);
    bool is_found = next_row(&r);
    if (is_found)
        read_node(&r, to);
    return finish_one(&r, is_found, why);
}

static enum err db_node_put(struct fleet_store *s, const struct node *n, struct why *why)
{
    struct run r = start(s, Q_NODE_PUT);
    const char *const texts[] = {n->id,    n->name,         n->fw_version, n->type,      n->subtype,
                                 n->model, n->project_name, n->platform,   n->network_id};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        bind_text(&r, texts[i]);
    const int64_t numbers[] = {n->is_online, n->registered_at, n->activated_at, n->seen_at,
                               n->booted_at, n->presence_at,   n->subscribed_at};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        bind_int(&r, numbers[i]);
    return execute(&r, why);
}

static enum err db_node_list(struct fleet_store *s, const char *after, struct node *to, unsigned max, unsigned *count,
                             struct why *why)
{
    struct run r = start(s, Q_NODE_LIST);
    bind_text(&r, after);
    bind_int(&r, max);
    for (*count = 0; *count < max && next_row(&r); ++*count)
        read_node(&r, &to[*count]);
    return finish(&r, why);
}

static enum err one_number(struct run *r, int64_t *to, struct why *why)
{
    *to = next_row(r) ? get_int(r) : 0;
    return finish(r, why);
}

static enum err db_node_count(struct fleet_store *s, int64_t *count, struct why *why)
{
    struct run r = start(s, Q_NODE_COUNT);
    return one_number(&r, count, why);
}

static enum err db_nodes_all_offline(struct fleet_store *s, time_ms now, struct why *why)
{
    struct run r = start(s, Q_NODES_OFFLINE);
    bind_int(&r, now);
    return execute(&r, why);
}

static enum err db_node_config_put(struct fleet_store *s, const char *id, struct bytes config, struct why *why)
{
    struct run r = start(s, Q_CONFIG_PUT);
    bind_text(&r, id);
    if (r.rc == SQLITE_OK)
        r.rc = sqlite3_bind_text(r.st, ++r.parameter, (const char *)config.at, (int)config.len, SQLITE_STATIC);
    return execute(&r, why);
}

static enum err db_node_config_get(struct fleet_store *s, const char *id, char **to, struct why *why)
{
    struct run r = start(s, Q_CONFIG_GET);
    bind_text(&r, id);
    bool is_found = next_row(&r);
    const char *text = is_found ? (const char *)sqlite3_column_text(r.st, 0) : NULL;
    *to = text ? strdup(text) : NULL;
    return finish_one(&r, is_found, why);
}

/* --- images ----------------------------------------------------------------------------------- */

static void read_image(struct run *r, struct image *i)
{
    *i = (struct image){.is_ready = false};
    get_text(r, i->id, sizeof i->id);
    get_text(r, i->name, sizeof i->name);
    get_text(r, i->type, sizeof i->type);
    get_text(r, i->model, sizeof i->model);
    get_text(r, i->fw_version, sizeof i->fw_version);
    get_text(r, i->project_name, sizeof i->project_name);
    get_text(r, i->platform, sizeof i->platform);
    get_text(r, i->sha256, sizeof i->sha256);
    get_text(r, i->md5, sizeof i->md5);
    get_text(r, i->uploader, sizeof i->uploader);
    i->secure_version = (uint32_t)get_int(r);
    i->size_bytes = get_int(r);
    i->is_archived = get_int(r) != 0;
    i->is_ready = get_int(r) != 0;
    i->uploaded_at = get_int(r);
}

static enum err image_by(struct fleet_store *s, enum query query, const char *key, struct image *to, struct why *why)
{
    struct run r = start(s, query);
    bind_text(&r, key);
    bool is_found = next_row(&r);
    if (is_found)
        read_image(&r, to);
    return finish_one(&r, is_found, why);
}

static enum err db_image_get(struct fleet_store *s, const char *id, struct image *to, struct why *why)
{
    return image_by(s, Q_IMAGE_GET, id, to, why);
}

static enum err db_image_find_name(struct fleet_store *s, const char *name, struct image *to, struct why *why)
{
    return image_by(s, Q_IMAGE_NAME, name, to, why);
}

static enum err db_image_put(struct fleet_store *s, const struct image *i, struct why *why)
{
    struct run r = start(s, Q_IMAGE_PUT);
    const char *const texts[] = {i->id,           i->name,     i->type,   i->model, i->fw_version,
                                 i->project_name, i->platform, i->sha256, i->md5,   i->uploader};
    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++)
        bind_text(&r, texts[k]);
    const int64_t numbers[] = {i->secure_version, i->size_bytes, i->is_archived, i->is_ready, i->uploaded_at};
    for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++)
        bind_int(&r, numbers[k]);
    return execute(&r, why);
}

static enum err db_image_delete(struct fleet_store *s, const char *id, struct why *why)
{
    struct run r = start(s, Q_IMAGE_DELETE);
    bind_text(&r, id);
    return execute(&r, why);
}

static enum err db_image_list(struct fleet_store *s, const char *after, struct image *to, unsigned max, unsigned *count,
                              struct why *why)
{
    struct run r = start(s, Q_IMAGE_LIST);
    bind_text(&r, after);
    bind_int(&r, max);
    for (*count = 0; *count < max && next_row(&r); ++*count)
        read_image(&r, &to[*count]);
    return finish(&r, why);
}

static enum err db_image_uses(struct fleet_store *s, const char *id, int64_t *jobs, int64_t *active_jobs,
                              struct why *why)
{
    struct run r = start(s, Q_IMAGE_USES);
    bind_text(&r, id);
    if (next_row(&r)) {
        *jobs = get_int(&r);
        *active_jobs = get_int(&r);
    }
    return finish(&r, why);
}

static enum err db_blob_uses(struct fleet_store *s, const char *sha256, int64_t *images, struct why *why)
{
    struct run r = start(s, Q_BLOB_USES);
    bind_text(&r, sha256);
    return one_number(&r, images, why);
}

/* --- jobs ------------------------------------------------------------------------------------- */

static void read_job(struct run *r, struct job *j)
{
    *j = (struct job){.priority = 0};
    get_text(r, j->id, sizeof j->id);
    get_text(r, j->name, sizeof j->name);
    get_text(r, j->image_id, sizeof j->image_id);
    get_text(r, j->owner, sizeof j->owner);
    get_text(r, j->description, sizeof j->description);
    j->status = (enum job_status)get_int(r);
    j->is_archived = get_int(r) != 0;
    j->is_force_push = get_int(r) != 0;
    j->is_continuous = get_int(r) != 0;
    j->is_for_everyone = get_int(r) != 0;
    j->priority = (int)get_int(r);
    j->created_at = get_int(r);
    j->ended_at = get_int(r);
    get_text(r, j->push_after, sizeof j->push_after);
    j->is_pushing = get_int(r) != 0;
    get_text(r, j->metadata, sizeof j->metadata);
}

static enum err job_by(struct fleet_store *s, enum query query, const char *key, struct job *to, struct why *why)
{
    struct run r = start(s, query);
    bind_text(&r, key);
    bool is_found = next_row(&r);
    if (is_found)
        read_job(&r, to);
    return finish_one(&r, is_found, why);
}

static enum err db_job_get(struct fleet_store *s, const char *id, struct job *to, struct why *why)
{
    return job_by(s, Q_JOB_GET, id, to, why);
}

static enum err db_job_find_name(struct fleet_store *s, const char *name, struct job *to, struct why *why)
{
    return job_by(s, Q_JOB_NAME, name, to, why);
}

static enum err db_job_put(struct fleet_store *s, const struct job *j, struct why *why)
{
    struct run r = start(s, Q_JOB_PUT);
    const char *const texts[] = {j->id, j->name, j->image_id, j->owner, j->description};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        bind_text(&r, texts[i]);
    const int64_t numbers[] = {j->status,          j->is_archived, j->is_force_push, j->is_continuous,
                               j->is_for_everyone, j->priority,    j->created_at,    j->ended_at};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        bind_int(&r, numbers[i]);
    bind_text(&r, j->push_after);
    bind_int(&r, j->is_pushing);
    bind_text(&r, j->metadata);
    return execute(&r, why);
}

static enum err read_jobs(struct run *r, struct job *to, unsigned max, unsigned *count, struct why *why)
{
    for (*count = 0; *count < max && next_row(r); ++*count)
        read_job(r, &to[*count]);
    return finish(r, why);
}

static enum err db_job_list(struct fleet_store *s, const char *after, struct job *to, unsigned max, unsigned *count,
                            struct why *why)
{
    struct run r = start(s, Q_JOB_LIST);
    bind_text(&r, after);
    bind_int(&r, max);
    return read_jobs(&r, to, max, count, why);
}

static enum err db_job_target_add(struct fleet_store *s, const char *job_id, const char *node_id, struct why *why)
{
    struct run r = start(s, Q_TARGET_ADD);
    bind_text(&r, job_id);
    bind_text(&r, node_id);
    return execute(&r, why);
}

static enum err db_job_target_list(struct fleet_store *s, const struct job *job, const char *after,
                                   char (*to)[NODE_ID_SIZE], unsigned max, unsigned *count, struct why *why)
{
    struct run r = start(s, job->is_for_everyone ? Q_TARGET_LIST_ALL : Q_TARGET_LIST);
    if (!job->is_for_everyone)
        bind_text(&r, job->id);
    bind_text(&r, after);
    bind_int(&r, max);
    for (*count = 0; *count < max && next_row(&r); ++*count)
        get_text(&r, to[*count], NODE_ID_SIZE);
    return finish(&r, why);
}

static enum err db_job_target_count(struct fleet_store *s, const struct job *job, int64_t *count, struct why *why)
{
    if (job->is_for_everyone)
        return db_node_count(s, count, why);
    struct run r = start(s, Q_TARGET_COUNT);
    bind_text(&r, job->id);
    return one_number(&r, count, why);
}

static enum err db_job_has_target(struct fleet_store *s, const struct job *job, const char *node_id, bool *has,
                                  struct why *why)
{
    *has = true;
    if (job->is_for_everyone)
        return ERR_NONE;
    struct run r = start(s, Q_TARGET_HAS);
    bind_text(&r, job->id);
    bind_text(&r, node_id);
    *has = next_row(&r);
    return finish(&r, why);
}

static enum err db_jobs_of_node(struct fleet_store *s, const char *node_id, struct job *to, unsigned max,
                                unsigned *count, struct why *why)
{
    struct run r = start(s, Q_JOBS_OF_NODE);
    bind_text(&r, node_id);
    bind_int(&r, max);
    return read_jobs(&r, to, max, count, why);
}

static enum err db_jobs_pushing(struct fleet_store *s, struct job *to, unsigned max, unsigned *count, struct why *why)
{
    struct run r = start(s, Q_JOBS_PUSHING);
    bind_int(&r, max);
    return read_jobs(&r, to, max, count, why);
}

/* --- executions ------------------------------------------------------------------------------- */

static void read_execution(struct run *r, struct execution *e)
{
    *e = (struct execution){.percent = -1};
    get_text(r, e->job_id, sizeof e->job_id);
    get_text(r, e->node_id, sizeof e->node_id);
    get_text(r, e->info, sizeof e->info);
    get_text(r, e->from_version, sizeof e->from_version);
    e->state = (enum execution_state)get_int(r);
    e->percent = (int)get_int(r);
    e->offers = (unsigned)get_int(r);
    e->failures = (unsigned)get_int(r);
    e->offered_at = get_int(r);
    e->updated_at = get_int(r);
    e->deadline_at = get_int(r);
    e->node_ts = get_int(r);
    e->invalid_node_ts = get_int(r);
}

static enum err db_execution_get(struct fleet_store *s, const char *job_id, const char *node_id, struct execution *to,
                                 struct why *why)
{
    struct run r = start(s, Q_EXECUTION_GET);
    bind_text(&r, job_id);
    bind_text(&r, node_id);
    bool is_found = next_row(&r);
    if (is_found)
        read_execution(&r, to);
    return finish_one(&r, is_found, why);
}

static enum err db_execution_put(struct fleet_store *s, const struct execution *e, struct why *why)
{
    struct run r = start(s, Q_EXECUTION_PUT);
    const char *const texts[] = {e->job_id, e->node_id, e->info, e->from_version};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        bind_text(&r, texts[i]);
    const int64_t numbers[] = {e->state,      e->percent,     e->offers,  e->failures,       e->offered_at,
                               e->updated_at, e->deadline_at, e->node_ts, e->invalid_node_ts};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        bind_int(&r, numbers[i]);
    return execute(&r, why);
}

static enum err read_executions(struct run *r, struct execution *to, unsigned max, unsigned *count, struct why *why)
{
    for (*count = 0; *count < max && next_row(r); ++*count)
        read_execution(r, &to[*count]);
    return finish(r, why);
}

static enum err db_execution_list(struct fleet_store *s, const char *job_id, const char *after_node,
                                  struct execution *to, unsigned max, unsigned *count, struct why *why)
{
    struct run r = start(s, Q_EXECUTION_LIST);
    bind_text(&r, job_id);
    bind_text(&r, after_node);
    bind_int(&r, max);
    return read_executions(&r, to, max, count, why);
}

static enum err db_executions_open(struct fleet_store *s, const char *node_id, struct execution *to, unsigned max,
                                   unsigned *count, struct why *why)
{
    struct run r = start(s, Q_EXECUTIONS_OPEN);
    bind_text(&r, node_id);
    bind_int(&r, max);
    return read_executions(&r, to, max, count, why);
}

static enum err db_executions_due(struct fleet_store *s, time_ms now, struct execution *to, unsigned max,
                                  unsigned *count, struct why *why)
{
    struct run r = start(s, Q_EXECUTIONS_DUE);
    bind_int(&r, now);
    bind_int(&r, max);
    return read_executions(&r, to, max, count, why);
}

static enum err db_execution_counts(struct fleet_store *s, const char *job_id, int64_t counts[EX_STATES],
                                    struct why *why)
{
    struct run r = start(s, Q_COUNTS);
    memset(counts, 0, EX_STATES * sizeof counts[0]);
    bind_text(&r, job_id);
    while (next_row(&r)) {
        int64_t state = get_int(&r), count = get_int(&r);
        if (state >= 0 && state < EX_STATES)
            counts[state] = count;
    }
    return finish(&r, why);
}

static enum err db_timeline_add(struct fleet_store *s, const char *job_id, const char *node_id,
                                const struct timeline_row *row, struct why *why)
{
    struct run r = start(s, Q_TIMELINE_ADD);
    bind_text(&r, job_id);
    bind_text(&r, node_id);
    bind_int(&r, row->at);
    bind_int(&r, row->is_from_node);
    bind_int(&r, row->state);
    bind_text(&r, row->info);
    return execute(&r, why);
}

static enum err db_timeline_list(struct fleet_store *s, const char *job_id, const char *node_id,
                                 struct timeline_row *to, unsigned max, unsigned *count, struct why *why)
{
    struct run r = start(s, Q_TIMELINE_LIST);
    bind_text(&r, job_id);
    bind_text(&r, node_id);
    bind_int(&r, max);
    for (*count = 0; *count < max && next_row(&r); ++*count) {
        struct timeline_row *t = &to[*count];
        t->at = get_int(&r);
        t->is_from_node = get_int(&r) != 0;
        t->state = (enum execution_state)get_int(&r);
        get_text(&r, t->info, sizeof t->info);
    }
    return finish(&r, why);
}

/* --- outbox, events --------------------------------------------------------------------------- */

static enum err db_outbox_add(struct fleet_store *s, const struct outbox_row *row, struct why *why)
{
    struct run r = start(s, Q_OUTBOX_ADD);
    bind_text(&r, row->node_id);
    bind_text(&r, row->job_id);
    bind_int(&r, row->at);
    return execute(&r, why);
}

static enum err db_outbox_list(struct fleet_store *s, int64_t after, struct outbox_row *to, unsigned max,
                               unsigned *count, struct why *why)
{
    struct run r = start(s, Q_OUTBOX_LIST);
    bind_int(&r, after);
    bind_int(&r, max);
    for (*count = 0; *count < max && next_row(&r); ++*count) {
        struct outbox_row *o = &to[*count];
        o->id = get_int(&r);
        get_text(&r, o->node_id, sizeof o->node_id);
        get_text(&r, o->job_id, sizeof o->job_id);
        o->at = get_int(&r);
    }
    return finish(&r, why);
}

static enum err db_outbox_delete(struct fleet_store *s, int64_t id, struct why *why)
{
    struct run r = start(s, Q_OUTBOX_DELETE);
    bind_int(&r, id);
    return execute(&r, why);
}

static enum err db_event_add(struct fleet_store *s, const struct event *e, struct why *why)
{
    struct run r = start(s, Q_EVENT_ADD);
    bind_int(&r, e->kind);
    bind_int(&r, e->at);
    bind_text(&r, e->node_id);
    bind_text(&r, e->job_id);
    bind_text(&r, e->image_id);
    bind_text(&r, e->info);
    bind_int(&r, e->state);
    bind_int(&r, e->percent);
    enum err err = execute(&r, why);
    int64_t id = sqlite3_last_insert_rowid(((struct sqlite_store *)s)->db);
    if (err != ERR_NONE || id % 256 != 0)
        return err;
    struct run trim = start(s, Q_EVENT_TRIM);
    bind_int(&trim, id - EVENTS_KEPT);
    return execute(&trim, why);
}

static enum err db_event_list(struct fleet_store *s, int64_t after, struct event *to, unsigned max, unsigned *count,
                              struct why *why)
{
    struct run r = start(s, Q_EVENT_LIST);
    bind_int(&r, after);
    bind_int(&r, max);
    for (*count = 0; *count < max && next_row(&r); ++*count) {
        struct event *e = &to[*count];
        e->id = get_int(&r);
        e->kind = (enum event_kind)get_int(&r);
        e->at = get_int(&r);
        get_text(&r, e->node_id, sizeof e->node_id);
        get_text(&r, e->job_id, sizeof e->job_id);
        get_text(&r, e->image_id, sizeof e->image_id);
        get_text(&r, e->info, sizeof e->info);
        e->state = (enum execution_state)get_int(&r);
        e->percent = (int)get_int(&r);
    }
    return finish(&r, why);
}

static enum err db_event_bounds(struct fleet_store *s, int64_t *first, int64_t *last, struct why *why)
{
    struct run r = start(s, Q_EVENT_BOUNDS);
    *first = *last = 0;
    if (next_row(&r)) {
        *first = get_int(&r);
        *last = get_int(&r);
    }
    return finish(&r, why);
}

/* --- users, tokens ---------------------------------------------------------------------------- */

static enum err user_by(struct fleet_store *s, enum query query, const char *key, struct user *to, struct why *why)
{
    struct run r = start(s, query);
    bind_text(&r, key);
    bool is_found = next_row(&r);
    if (is_found) {
        get_text(&r, to->id, sizeof to->id);
        get_text(&r, to->name, sizeof to->name);
        get_text(&r, to->password_hash, sizeof to->password_hash);
        to->is_admin = get_int(&r) != 0;
        to->created_at = get_int(&r);
    }
    return finish_one(&r, is_found, why);
}

static enum err db_user_get(struct fleet_store *s, const char *name, struct user *to, struct why *why)
{
    return user_by(s, Q_USER_GET, name, to, why);
}

static enum err db_user_get_id(struct fleet_store *s, const char *id, struct user *to, struct why *why)
{
    return user_by(s, Q_USER_GET_ID, id, to, why);
}

static enum err db_user_put(struct fleet_store *s, const struct user *u, struct why *why)
{
    struct run r = start(s, Q_USER_PUT);
    bind_text(&r, u->id);
    bind_text(&r, u->name);
    bind_text(&r, u->password_hash);
    bind_int(&r, u->is_admin);
    bind_int(&r, u->created_at);
    return execute(&r, why);
}

static enum err db_user_count(struct fleet_store *s, int64_t *count, struct why *why)
{
    struct run r = start(s, Q_USER_COUNT);
    return one_number(&r, count, why);
}

static enum err db_token_put(struct fleet_store *s, const char *digest, const char *user_id, time_ms expires_at,
                             struct why *why)
{
    struct run r = start(s, Q_TOKEN_PUT);
    bind_text(&r, digest);
    bind_text(&r, user_id);
    bind_int(&r, expires_at);
    return execute(&r, why);
}

static enum err db_token_get(struct fleet_store *s, const char *digest, char user_id[ID_LEN + 1], time_ms *expires_at,
                             struct why *why)
{
    struct run r = start(s, Q_TOKEN_GET);
    bind_text(&r, digest);
    bool is_found = next_row(&r);
    if (is_found) {
        get_text(&r, user_id, ID_LEN + 1);
        *expires_at = get_int(&r);
    }
    return finish_one(&r, is_found, why);
}

static enum err one_text(struct fleet_store *s, enum query query, const char *text, struct why *why)
{
    struct run r = start(s, query);
    bind_text(&r, text);
    return execute(&r, why);
}

static enum err db_token_delete(struct fleet_store *s, const char *digest, struct why *why)
{
    return one_text(s, Q_TOKEN_DELETE, digest, why);
}

static enum err db_tokens_delete_user(struct fleet_store *s, const char *user_id, struct why *why)
{
    return one_text(s, Q_TOKENS_DELETE, user_id, why);
}

static const struct fleet_store_ops ops = {
    .begin = db_begin,
    .commit = db_commit,
    .rollback = db_rollback,
    .node_get = db_node_get,
    .node_put = db_node_put,
    .node_list = db_node_list,
    .node_count = db_node_count,
    .nodes_all_offline = db_nodes_all_offline,
    .node_config_put = db_node_config_put,
    .node_config_get = db_node_config_get,
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
    .job_target_add = db_job_target_add,
    .job_target_list = db_job_target_list,
    .job_target_count = db_job_target_count,
    .job_has_target = db_job_has_target,
    .jobs_of_node = db_jobs_of_node,
    .jobs_pushing = db_jobs_pushing,
    .execution_get = db_execution_get,
    .execution_put = db_execution_put,
    .execution_list = db_execution_list,
    .executions_open = db_executions_open,
    .executions_due = db_executions_due,
    .execution_counts = db_execution_counts,
    .timeline_add = db_timeline_add,
    .timeline_list = db_timeline_list,
    .outbox_add = db_outbox_add,
    .outbox_list = db_outbox_list,
    .outbox_delete = db_outbox_delete,
    .event_add = db_event_add,
    .event_list = db_event_list,
    .event_bounds = db_event_bounds,
    .user_get = db_user_get,
    .user_get_id = db_user_get_id,
    .user_put = db_user_put,
    .user_count = db_user_count,
    .token_put = db_token_put,
    .token_get = db_token_get,
    .token_delete = db_token_delete,
    .tokens_delete_user = db_tokens_delete_user,
};

/* --- open and close --------------------------------------------------------------------------- */

static enum err run_sql(struct sqlite_store *s, const char *sql, struct why *why)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? ERR_NONE : failed(s, sql, why);
}

static int schema_version(struct sqlite_store *s)
{
    sqlite3_stmt *st;
    int version = -1;
    if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
        version = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return version;
}

/* Each migration is one transaction with its number. */
static enum err migrate(struct sqlite_store *s, struct why *why)
{
    const int newest = (int)(sizeof migrations / sizeof migrations[0]);
    int version = schema_version(s);
    if (version < 0)
        return failed(s, "PRAGMA user_version", why);
    if (version > newest)
        return why_set(why, ERR_STORE, "the database was written by a newer version (schema %d, this program knows %d)",
                       version, newest);
    enum err err = ERR_NONE;
    for (; err == ERR_NONE && version < newest; version++) {
        char set[48];
        snprintf(set, sizeof set, "PRAGMA user_version=%d", version + 1);
        if ((err = run_sql(s, "BEGIN IMMEDIATE", why)) != ERR_NONE ||
            (err = run_sql(s, migrations[version], why)) != ERR_NONE || (err = run_sql(s, set, why)) != ERR_NONE ||
            (err = run_sql(s, "COMMIT", why)) != ERR_NONE)
            sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    }
    return err;
}

enum err sqlite_store_open(struct sqlite_store **store, const char *path, struct log *log, struct why *why)
{
    struct sqlite_store *s = calloc(1, sizeof *s);
    if (s == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory for the store");
    s->port.ops = &ops;
    s->log = log;
    pthread_mutex_init(&s->lock, NULL);
    mode_t mask = umask(0077);
    int rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    umask(mask);
    enum err err = rc == SQLITE_OK ? ERR_NONE : failed(s, "open", why);
    if (err == ERR_NONE)
        sqlite3_busy_timeout(s->db, 5000);
    if (err == ERR_NONE)
        err = run_sql(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;", why);
    if (err == ERR_NONE)
        err = migrate(s, why);
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
    for (int i = 0; i < Q_COUNT; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

struct fleet_store *sqlite_store_port(struct sqlite_store *s)
{
    return &s->port;
}
