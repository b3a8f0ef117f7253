#include "store/sqlite/sqlite_store.h"

#include "store/sql/nouns.h"
#include "store/sqlite/schema.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CACHE_KB 65536 /* pages of the writer; the reader has a quarter */

struct sqlite_store;

/* A connection.  `sql` is first: the store as its transactions see it. */
struct conn {
    struct sql_conn sql;
    struct sqlite_store *store;
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    pthread_mutex_t lock;
};

struct sqlite_store {
    struct fleet_store port;
    struct fleet_store_ops ops;
    struct conn writer, reader;
    bool has_reader;   /* a database in memory has one connection */
    int64_t cut_after; /* writes until it breaks; 0: it does not */
    bool is_cut;
    struct log *log;
};

static struct conn *connection(struct sql_conn *c)
{
    return (struct conn *)c;
}

static enum err failed(struct conn *c, const char *what, struct why *why)
{
    log_line(c->store->log, LOG_ERROR, "store", "%s: %s", what, sqlite3_errmsg(c->db));
    return why_set(why, ERR_STORE, "database: %s", sqlite3_errmsg(c->db));
}

/* --- the driver ------------------------------------------------------------------------------- */

static void start(struct run *r)
{
    struct conn *c = connection(r->c);
    r->rc = SQLITE_OK;
    if (c->statements[r->statement] == NULL)
        r->rc = sqlite3_prepare_v3(c->db, sql_texts[r->statement], -1, SQLITE_PREPARE_PERSISTENT,
                                   &c->statements[r->statement], NULL);
    r->handle = c->statements[r->statement];
}

static void bind_text(struct run *r, const char *text, size_t len)
{
    if (r->rc == SQLITE_OK)
        r->rc = sqlite3_bind_text(r->handle, ++r->parameter, text, (int)len, SQLITE_STATIC);
}

static void bind_number(struct run *r, int64_t value)
{
    if (r->rc == SQLITE_OK)
        r->rc = sqlite3_bind_int64(r->handle, ++r->parameter, value);
}

static bool next(struct run *r)
{
    if (r->rc == SQLITE_OK || r->rc == SQLITE_ROW)
        r->rc = sqlite3_step(r->handle);
    return r->rc == SQLITE_ROW;
}

static const char *get_text(struct run *r, int column)
{
    return (const char *)sqlite3_column_text(r->handle, column);
}

static int64_t get_number(struct run *r, int column)
{
    return sqlite3_column_int64(r->handle, column);
}

static enum err finish(struct run *r, struct why *why)
{
    bool is_good = r->rc == SQLITE_DONE || r->rc == SQLITE_ROW;
    enum err err = is_good ? ERR_NONE : failed(connection(r->c), sql_texts[r->statement], why);
    sqlite3_reset(r->handle);
    return err;
}

/* Only tests set `cut_after`. */
static bool is_cut(struct sqlite_store *s)
{
    if (s->cut_after > 0 && --s->cut_after == 0)
        s->is_cut = true;
    return s->is_cut;
}

static enum err execute(struct run *r, int64_t *count, struct why *why)
{
    struct conn *c = connection(r->c);
    if (is_cut(c->store)) {
        sqlite3_reset(r->handle);
        return why_set(why, ERR_STORE, "the store was cut");
    }
    while (next(r))
        ;
    if (count != NULL)
        *count = sqlite3_changes(c->db);
    return finish(r, why);
}

static const struct sql_driver driver = {start, bind_text, bind_number, next, get_text, get_number, finish, execute};

/* --- transactions ----------------------------------------------------------------------------- */

static enum err run_sql(struct conn *c, const char *sql, struct why *why)
{
    return sqlite3_exec(c->db, sql, NULL, NULL, NULL) == SQLITE_OK ? ERR_NONE : failed(c, sql, why);
}

static enum err read_facts(struct conn *c, struct why *why)
{
    char name[32];
    struct run r = db_start(&c->sql.port, S_FACTS);
    while (db_next(&r)) {
        db_get_text(&r, name, sizeof name);
        sql_take_fact(&c->sql, name, db_get_int(&r));
    }
    return db_finish(&r, why);
}

static enum err begin(struct fleet_store *port, bool is_reading, struct fleet_store **tx, struct why *why)
{
    struct sqlite_store *s = (struct sqlite_store *)port;
    struct conn *c = is_reading && s->has_reader ? &s->reader : &s->writer;
    pthread_mutex_lock(&c->lock);
    sql_forget(&c->sql);
    enum err err = run_sql(c, is_reading ? "BEGIN" : "BEGIN IMMEDIATE", why);
    if (err == ERR_NONE && (err = read_facts(c, why)) != ERR_NONE)
        run_sql(c, "ROLLBACK", NULL);
    if (err != ERR_NONE)
        pthread_mutex_unlock(&c->lock);
    *tx = &c->sql.port;
    return err;
}

static void rollback(struct fleet_store *tx)
{
    struct conn *c = connection(conn_of(tx));
    run_sql(c, "ROLLBACK", NULL);
    c->sql.version++; /* what was remembered in between is not true */
    pthread_mutex_unlock(&c->lock);
}

static enum err trim_events(struct conn *c, struct why *why)
{
    struct run r = db_start(&c->sql.port, S_EVENT_TRIM);
    db_int(&r, EVENTS_KEPT);
    return db_execute(&r, why);
}

static enum err commit(struct fleet_store *tx, struct why *why)
{
    struct conn *c = connection(conn_of(tx));
    enum err err = db_write_states(&c->sql, why);
    if (err == ERR_NONE)
        err = db_write_node_count(&c->sql, why);
    if (err == ERR_NONE && c->sql.events_added > 0)
        err = trim_events(c, why);
    if (err == ERR_NONE && is_cut(c->store))
        err = why_set(why, ERR_STORE, "the store was cut");
    if (err == ERR_NONE)
        err = run_sql(c, "COMMIT", why);
    if (err != ERR_NONE) {
        rollback(tx);
        return err;
    }
    pthread_mutex_unlock(&c->lock);
    return ERR_NONE;
}

static int64_t next_version(struct sql_conn *c)
{
    return c->version + 1;
}

/* --- open and close --------------------------------------------------------------------------- */

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
        return failed(c, "PRAGMA user_version", why);
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
    c->sql.port.ops = &s->ops;
    c->sql.driver = &driver;
    c->sql.log = s->log;
    c->sql.next_version = next_version;
    c->store = s;
    pthread_mutex_init(&c->lock, NULL);
    mode_t mask = umask(0077);
    int rc = sqlite3_open_v2(path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    umask(mask);
    if (rc != SQLITE_OK)
        return failed(c, "open", why);
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
    s->ops = sql_nouns;
    s->ops.begin = begin;
    s->ops.commit = commit;
    s->ops.rollback = rollback;
    s->port.ops = &s->ops;
    s->log = log;
    enum err err = conn_open(s, &s->writer, path, CACHE_KB, why);
    if (err == ERR_NONE)
        err = migrate(&s->writer, why);
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
