#include "store/migrate.h"

#include "base/buf.h"
#include "base/text.h"
#include "store/postgres/pg.h"
#include "store/postgres/postgres_store.h"
#include "store/sqlite/sqlite_store.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 48

/* Columns in capitals are numbers.  `rowid` keeps the order of what has one. */
static const struct table {
    const char *name, *columns;
    bool has_identity; /* its first column is numbered by the database */
    const char *where; /* rows that are the store's own business are left */
} tables[] = {
    {"facts", "name,VALUE", false, " WHERE name LIKE 'epoch%' OR name='nodes'"},
    {"nodes",
     "id,name,fw_version,type,subtype,model,project_name,platform,network_id,address,key_digests,expected_version,tags,"
     "SECURE_VERSION,SLOT_BYTES,IS_ASTRAY,REGISTERED_AT,ACTIVATED_AT,SEEN_AT,BOOTED_AT,PRESENCE_AT,SUBSCRIBED_AT,EPOCH,"
     "IS_DEACTIVATED,org,BROKER",
     false, ""},
    {"cards", "KIND,key,value", false, ""},
    {"groups", "id,name,parent_id,type,description,custom_data,query,owner,CREATED_AT,TOTAL", false, ""},
    {"members", "group_id,node_id,JOINED_AT", false, ""},
    {"images",
     "ROWID,id,name,type,model,fw_version,project_name,platform,sha256,md5,uploader,signed_by,SECURE_VERSION,"
     "SIZE_BYTES,IS_ARCHIVED,IS_READY,UPLOADED_AT,org",
     true, ""},
    {"jobs",
     "ROWID,id,name,image_id,owner,description,groups,query,exclude,plan,stop_reason,metadata,STATUS,IS_PAUSED,"
     "IS_ARCHIVED,IS_FORCE_PUSH,IS_CONTINUOUS,NEEDS_APPROVAL,NOTIFIES,GIVES_IMAGE,IS_HOST_MCU,SKIPS_PROJECT,"
     "IS_FOR_EVERYONE,HAS_NAMED_NODES,PRIORITY,CREATED_AT,ENDED_AT,EXPIRES_AT,VALID_FROM,IS_SERIAL,SERIAL_MAX,"
     "SERIAL_TASK_MS,SERIAL_MIN_WAIT_MS,SERIAL_MAX_WAIT_MS,org,scope",
     true, ""},
    {"job_targets", "job_id,node_id", false, ""},
    {"job_states",
     "job_id,counts,failures,push_after,sweep_after,STARTED,REFUSED,AUDIENCE,COUNTED_AT,PHASE,PHASE_AT,GATE_AT,RATE_AT,"
     "BYTES_AT,IS_PUSHING,SWEEP",
     false, ""},
    {"executions",
     "job_id,node_id,info,from_version,network,STATE,FAILURE,PERCENT,OFFERS,FAILURES,TIMELINE_COUNT,IS_APPROVED,"
     "HAS_SLOT,OFFERED_AT,UPDATED_AT,DEADLINE_AT,NODE_TS,INVALID_NODE_TS,timeline,IS_OPEN,IS_WAITING,IS_AT_WORK",
     false, ""},
    {"outbox", "ID,node_id,job_id,AT,TOPIC,text", true, ""},
    {"events", "ID,KIND,AT,node_id,job_id,image_id,info,STATE,PERCENT", true, ""},
    {"users",
     "id,name,password_hash,code,ROLE,IS_VERIFIED,IS_DISABLED,FAILURES,LOCKED_UNTIL,CODE_UNTIL,CREATED_AT,org,scope",
     false, ""},
    {"tokens", "digest,user_id,EXPIRES_AT", false, ""},
};

#define TABLES (sizeof tables / sizeof tables[0])

struct columns {
    char text[700]; /* as SQL: lower case */
    bool is_number[COLUMNS_MAX];
    unsigned count;
};

static struct columns columns_of(const struct table *t)
{
    struct columns c = {.count = 1};
    size_t n = 0;
    bool is_number = true;
    for (const char *at = t->columns; *at && n + 1 < sizeof c.text; at++) {
        if (*at >= 'a' && *at <= 'z')
            is_number = false;
        if (*at == ',') {
            c.is_number[c.count - 1] = is_number;
            c.count++;
            is_number = true;
        }
        c.text[n++] = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
    }
    c.text[n] = '\0';
    c.is_number[c.count - 1] = is_number;
    return c;
}

/* One end: either of them. */
struct end {
    const char *path;
    sqlite3 *lite;
    struct pg_conn pg;
    sqlite3_stmt *st; /* of the table that is being read, or written */
    PGresult *rows;
    struct columns columns;
    struct buf line;
    unsigned column;
};

static bool is_postgres(const char *path)
{
    return strncmp(path, "postgres", 8) == 0;
}

static enum err lite_failed(const struct end *e, struct why *why)
{
    return why_set(why, ERR_STORE, "%.100s: %s", e->path, sqlite3_errmsg(e->lite));
}

static enum err run_on(struct end *e, const char *sql, struct why *why)
{
    if (e->lite == NULL)
        return pg_run(&e->pg, sql, why);
    return sqlite3_exec(e->lite, sql, NULL, NULL, NULL) == SQLITE_OK ? ERR_NONE : lite_failed(e, why);
}

static enum err number_of(struct end *e, const char *sql, int64_t *to, struct why *why)
{
    sqlite3_stmt *st = NULL;
    if (e->lite == NULL)
        return pg_number(&e->pg, sql, to, why);
    bool is_good = sqlite3_prepare_v2(e->lite, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW;
    if (is_good)
        *to = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return is_good ? ERR_NONE : lite_failed(e, why);
}

/* --- opening ---------------------------------------------------------------------------------- */

/* Makes the tables, or brings them up to date. */
static enum err bring_up(const char *path, struct log *log, struct why *why)
{
    if (is_postgres(path)) {
        struct postgres_store *s;
        enum err err = postgres_store_open(&s, path, NULL, log, why);
        if (err == ERR_NONE)
            postgres_store_close(s);
        return err;
    }
    struct sqlite_store *s;
    enum err err = sqlite_store_open(&s, path, log, why);
    if (err == ERR_NONE)
        sqlite_store_close(s);
    return err;
}

static enum err open_end(struct end *e, const char *path, struct why *why)
{
    *e = (struct end){.path = path, .pg = {.url = path}};
    if (is_postgres(path))
        return pg_connect(&e->pg, why);
    if (sqlite3_open_v2(path, &e->lite, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        return lite_failed(e, why);
    sqlite3_busy_timeout(e->lite, 5000);
    return ERR_NONE;
}

static void close_end(struct end *e)
{
    sqlite3_close(e->lite);
    pg_close(&e->pg);
    buf_deinit(&e->line);
}

/* --- reading ---------------------------------------------------------------------------------- */

static enum err begin_reading(struct end *e, const struct table *t, struct why *why)
{
    char sql[1000];
    e->columns = columns_of(t);
    snprintf(sql, sizeof sql, "SELECT %s FROM %s%s%s", e->columns.text, t->name, t->where,
             t->has_identity ? " ORDER BY 1" : "");
    if (e->lite != NULL)
        return sqlite3_prepare_v2(e->lite, sql, -1, &e->st, NULL) == SQLITE_OK ? ERR_NONE : lite_failed(e, why);
    if (PQsendQuery(e->pg.db, sql) != 1 || PQsetSingleRowMode(e->pg.db) != 1)
        return why_set(why, ERR_STORE_AWAY, "database: %s", PQerrorMessage(e->pg.db));
    return ERR_NONE;
}

/* False after the last row, and when it failed. */
static bool next_row(struct end *e, enum err *err, struct why *why)
{
    *err = ERR_NONE;
    if (e->lite != NULL) {
        int rc = sqlite3_step(e->st);
        if (rc != SQLITE_ROW && rc != SQLITE_DONE)
            *err = lite_failed(e, why);
        return rc == SQLITE_ROW;
    }
    PQclear(e->rows);
    e->rows = PQgetResult(e->pg.db);
    if (e->rows == NULL || PQresultStatus(e->rows) == PGRES_SINGLE_TUPLE)
        return e->rows != NULL;
    if (PQresultStatus(e->rows) != PGRES_TUPLES_OK)
        *err = why_set(why, ERR_STORE, "database: %s", PQresultErrorMessage(e->rows));
    return false;
}

static const char *text_at(struct end *e, unsigned i, size_t *len)
{
    static const char none[] = "";
    const char *text;
    if (e->lite != NULL) {
        text = (const char *)sqlite3_column_text(e->st, (int)i);
        *len = (size_t)sqlite3_column_bytes(e->st, (int)i);
    } else {
        text = PQgetvalue(e->rows, 0, (int)i);
        *len = (size_t)PQgetlength(e->rows, 0, (int)i);
    }
    if (text == NULL || *len == 0)
        *len = 0;
    return text ? text : none;
}

static void end_reading(struct end *e)
{
    sqlite3_finalize(e->st);
    e->st = NULL;
    PQclear(e->rows);
    e->rows = NULL;
    if (e->lite == NULL)
        for (PGresult *r; (r = PQgetResult(e->pg.db)) != NULL;)
            PQclear(r);
}

/* --- writing ---------------------------------------------------------------------------------- */

static enum err begin_writing(struct end *e, const struct table *t, struct why *why)
{
    char sql[1600];
    struct text s;
    enum err err = ERR_NONE;
    e->columns = columns_of(t);
    if (*t->where != '\0') { /* what the empty store has of these */
        snprintf(sql, sizeof sql, "DELETE FROM %s%s", t->name, t->where);
        if ((err = run_on(e, sql, why)) != ERR_NONE)
            return err;
    }
    text_init(&s, sql, sizeof sql);
    if (e->lite != NULL) {
        text_add(&s, "INSERT INTO %s (%s) VALUES (", t->name, e->columns.text);
        for (unsigned i = 0; i < e->columns.count; i++)
            text_add(&s, "%s?", i ? "," : "");
        text_add(&s, ")");
        return sqlite3_prepare_v2(e->lite, sql, -1, &e->st, NULL) == SQLITE_OK ? ERR_NONE : lite_failed(e, why);
    }
    /* Nobody's server yet: who comes first takes the messages over. */
    if (strcmp(t->name, "outbox") == 0 &&
        (err = pg_run(&e->pg, "ALTER TABLE outbox ALTER COLUMN server SET DEFAULT 0", why)) != ERR_NONE)
        return err;
    text_add(&s, "COPY %s (%s) FROM STDIN", t->name, e->columns.text);
    PGresult *r = PQexec(e->pg.db, sql);
    if (PQresultStatus(r) != PGRES_COPY_IN)
        err = why_set(why, ERR_STORE, "database: %s", PQerrorMessage(e->pg.db));
    PQclear(r);
    return err;
}

/* As COPY reads it. */
static void add_escaped(struct buf *to, const char *text, size_t len)
{
    char *copy = pg_repaired(text, len);
    const char *from = copy ? copy : text;
    for (size_t i = 0; i < len; i++)
        switch (from[i]) {
        case '\\':
            buf_add_text(to, "\\\\");
            break;
        case '\n':
            buf_add_text(to, "\\n");
            break;
        case '\r':
            buf_add_text(to, "\\r");
            break;
        case '\t':
            buf_add_text(to, "\\t");
            break;
        default:
            buf_add(to, &from[i], 1);
        }
    free(copy);
}

static void put_value(struct end *e, const char *text, size_t len)
{
    unsigned i = e->column++;
    bool is_number = e->columns.is_number[i];
    if (e->lite != NULL) {
        if (is_number)
            sqlite3_bind_int64(e->st, (int)i + 1, strtoll(text, NULL, 10));
        else
            sqlite3_bind_text(e->st, (int)i + 1, text, (int)len, SQLITE_TRANSIENT);
        return;
    }
    if (i > 0)
        buf_add_text(&e->line, "\t");
    if (is_number)
        buf_addf(&e->line, "%" PRId64, (int64_t)strtoll(text, NULL, 10));
    else
        add_escaped(&e->line, text, len);
}

static enum err end_row(struct end *e, struct why *why)
{
    e->column = 0;
    if (e->lite != NULL) {
        bool is_good = sqlite3_step(e->st) == SQLITE_DONE;
        enum err err = is_good ? ERR_NONE : lite_failed(e, why);
        sqlite3_reset(e->st);
        return err;
    }
    buf_add_text(&e->line, "\n");
    bool is_good = !e->line.is_failed && PQputCopyData(e->pg.db, e->line.at, (int)e->line.len) == 1;
    e->line.len = 0;
    return is_good ? ERR_NONE : why_set(why, ERR_STORE_AWAY, "database: %s", PQerrorMessage(e->pg.db));
}

/* The database's own numbers go on behind the last one. */
static enum err set_identity(struct end *e, const struct table *t, struct why *why)
{
    char sql[300], column[32];
    int64_t next = 0;
    snprintf(column, sizeof column, "%.*s", (int)strcspn(e->columns.text, ","), e->columns.text);
    snprintf(sql, sizeof sql,
             "SELECT setval(pg_get_serial_sequence('%s','%s'),(SELECT coalesce(max(%s),0)+1 FROM %s),"
             "false)",
             t->name, column, column, t->name);
    return pg_number(&e->pg, sql, &next, why);
}

static enum err end_writing(struct end *e, const struct table *t, enum err err, struct why *why)
{
    if (e->lite != NULL) {
        sqlite3_finalize(e->st);
        e->st = NULL;
        return err;
    }
    if (PQputCopyEnd(e->pg.db, err ? "given up" : NULL) != 1 && err == ERR_NONE)
        err = why_set(why, ERR_STORE_AWAY, "database: %s", PQerrorMessage(e->pg.db));
    for (PGresult *r; (r = PQgetResult(e->pg.db)) != NULL; PQclear(r))
        if (PQresultStatus(r) == PGRES_FATAL_ERROR && err == ERR_NONE)
            err = why_set(why, ERR_STORE, "table %s: %s", t->name, PQresultErrorMessage(r));
    if (err == ERR_NONE && strcmp(t->name, "outbox") == 0)
        err = pg_run(&e->pg, "ALTER TABLE outbox ALTER COLUMN server DROP DEFAULT", why);
    return err == ERR_NONE && t->has_identity ? set_identity(e, t, why) : err;
}

/* --- all of it -------------------------------------------------------------------------------- */

static enum err copy_table(struct end *from, struct end *to, const struct table *t, int64_t *rows, struct why *why)
{
    enum err err = begin_reading(from, t, why);
    if (err == ERR_NONE && (err = begin_writing(to, t, why)) == ERR_NONE) {
        while (err == ERR_NONE && next_row(from, &err, why)) {
            for (unsigned i = 0; i < from->columns.count; i++) {
                size_t len;
                const char *text = text_at(from, i, &len);
                put_value(to, text, len);
            }
            err = end_row(to, why);
            ++*rows;
        }
        err = end_writing(to, t, err, why);
    }
    end_reading(from);
    return err;
}

static enum err check_source(struct end *e, struct why *why)
{
    int64_t alive = 0;
    char sql[160];
    if (e->lite != NULL)
        return ERR_NONE;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM servers WHERE seen_at > clock_timestamp() - interval '%d ms'",
             SERVER_DEAD_MS);
    enum err err = pg_number(&e->pg, sql, &alive, why);
    return err == ERR_NONE && alive > 0
               ? why_set(why, ERR_BUSY, "%" PRId64 " servers work with %.100s: stop them first", alive, e->path)
               : err;
}

static enum err check_target(struct end *e, struct why *why)
{
    static const char *const empty[] = {"nodes", "users", "jobs", "images", "cards"};
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
        char sql[80];
        int64_t count = 0;
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", empty[i]);
        enum err err = number_of(e, sql, &count, why);
        if (err != ERR_NONE)
            return err;
        if (count > 0)
            return why_set(why, ERR_EXISTS, "%.100s is not empty: it has %" PRId64 " %s", e->path, count, empty[i]);
    }
    return ERR_NONE;
}

static int64_t *count_of(struct migrated *m, const char *table, int64_t *other)
{
    return strcmp(table, "nodes") == 0        ? &m->nodes
           : strcmp(table, "images") == 0     ? &m->images
           : strcmp(table, "jobs") == 0       ? &m->jobs
           : strcmp(table, "executions") == 0 ? &m->executions
                                              : other;
}

static enum err copy_all(struct end *from, struct end *to, struct migrated *m, struct why *why)
{
    enum err err = check_source(from, why);
    if (err == ERR_NONE)
        err = check_target(to, why);
    if (err == ERR_NONE)
        err = run_on(from, from->lite ? "BEGIN" : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", why);
    if (err == ERR_NONE)
        err = run_on(to, "BEGIN", why);
    for (size_t i = 0; err == ERR_NONE && i < TABLES; i++) {
        int64_t rows = 0, other = 0;
        err = copy_table(from, to, &tables[i], &rows, why);
        *count_of(m, tables[i].name, &other) = rows;
        m->rows += rows;
        if (err != ERR_NONE)
            why_add(why, err, "table %s", tables[i].name);
    }
    if (err == ERR_NONE)
        err = run_on(to, "COMMIT", why);
    else
        run_on(to, "ROLLBACK", NULL);
    run_on(from, "ROLLBACK", NULL);
    return err;
}

enum err store_migrate(const char *from, const char *to, struct log *log, struct migrated *count, struct why *why)
{
    struct end source, target;
    *count = (struct migrated){.rows = 0};
    if (strcmp(from, to) == 0)
        return why_set(why, ERR_USAGE, "source and target are the same");
    enum err err = bring_up(from, log, why);
    if (err == ERR_NONE)
        err = bring_up(to, log, why);
    if (err != ERR_NONE)
        return err;
    if ((err = open_end(&source, from, why)) == ERR_NONE) {
        if ((err = open_end(&target, to, why)) == ERR_NONE)
            err = copy_all(&source, &target, count, why);
        close_end(&target);
    }
    close_end(&source);
    return err;
}

/* --- bytes ------------------------------------------------------------------------------------ */

struct card_reader {
    struct card_visitor port;
    struct digest_visitor *v;
    struct why *why;
    enum err err;
};

/* The key of such a card is <SHA-256>/<file>. */
static bool take_card(struct card_visitor *port, const char *key, const char *text)
{
    struct card_reader *r = (struct card_reader *)port;
    char sha256[SHA256_TEXT];
    (void)text;
    text_copy_field(sha256, sizeof sha256, key, strcspn(key, "/") < SHA256_TEXT ? strcspn(key, "/") : SHA256_TEXT - 1);
    r->err = r->v->visit(r->v, sha256, r->why);
    return r->err == ERR_NONE;
}

static enum err visit_images(struct fleet_store *tx, struct digest_visitor *v, struct why *why)
{
    struct image page[16];
    char after[ID_LEN + 1] = "";
    unsigned count = 16;
    enum err err = ERR_NONE;
    while (err == ERR_NONE && count == 16) {
        err = tx->ops->image_list(tx, after, page, 16, &count, why);
        for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
            text_copy(after, sizeof after, page[i].id);
            if (page[i].sha256[0])
                err = v->visit(v, page[i].sha256, why);
        }
    }
    return err;
}

static enum err visit_all(struct fleet_store *s, struct digest_visitor *v, struct why *why)
{
    struct fleet_store *tx;
    struct card_reader reader = {{take_card}, v, why, ERR_NONE};
    enum err err = s->ops->begin(s, true, &tx, why);
    if (err != ERR_NONE)
        return err;
    err = visit_images(tx, v, why);
    if (err == ERR_NONE)
        err = tx->ops->card_scan(tx, CARD_FILE_BYTES, "", "", &reader.port, why);
    tx->ops->rollback(tx);
    return err ? err : reader.err;
}

enum err store_digests(const char *path, struct digest_visitor *v, struct why *why)
{
    if (is_postgres(path)) {
        struct postgres_store *s;
        enum err err = postgres_store_open(&s, path, NULL, NULL, why);
        if (err == ERR_NONE) {
            err = visit_all(postgres_store_port(s), v, why);
            postgres_store_close(s);
        }
        return err;
    }
    struct sqlite_store *s;
    enum err err = sqlite_store_open(&s, path, NULL, why);
    if (err == ERR_NONE) {
        err = visit_all(sqlite_store_port(s), v, why);
        sqlite_store_close(s);
    }
    return err;
}
