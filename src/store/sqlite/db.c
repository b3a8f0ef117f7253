#include "store/sqlite/db.h"

#include "base/text.h"

#include <string.h>

const char *const sql_texts[STATEMENT_COUNT] = {
#define STATEMENT_TEXT(name, sql) [S_##name] = sql,
    STATEMENTS(STATEMENT_TEXT)};

enum err db_failed(struct conn *c, const char *what, struct why *why)
{
    log_line(c->store->log, LOG_ERROR, "store", "%s: %s", what, sqlite3_errmsg(c->db));
    return why_set(why, ERR_STORE, "database: %s", sqlite3_errmsg(c->db));
}

struct run db_start(struct fleet_store *tx, enum statement statement)
{
    struct conn *c = conn_of(tx);
    struct run r = {.c = c, .statement = statement, .rc = SQLITE_OK};
    if (c->statements[statement] == NULL)
        r.rc = sqlite3_prepare_v3(c->db, sql_texts[statement], -1, SQLITE_PREPARE_PERSISTENT, &c->statements[statement],
                                  NULL);
    r.st = c->statements[statement];
    return r;
}

void db_text_len(struct run *r, const char *text, size_t len)
{
    if (r->rc == SQLITE_OK)
        r->rc = sqlite3_bind_text(r->st, ++r->parameter, text, (int)len, SQLITE_STATIC);
}

void db_text(struct run *r, const char *text)
{
    db_text_len(r, text, strlen(text));
}

void db_int(struct run *r, int64_t value)
{
    if (r->rc == SQLITE_OK)
        r->rc = sqlite3_bind_int64(r->st, ++r->parameter, value);
}

bool db_next(struct run *r)
{
    r->column = 0;
    if (r->rc == SQLITE_OK || r->rc == SQLITE_ROW)
        r->rc = sqlite3_step(r->st);
    return r->rc == SQLITE_ROW;
}

void db_get_text(struct run *r, char *to, size_t size)
{
    text_copy(to, size, (const char *)sqlite3_column_text(r->st, r->column++));
}

int64_t db_get_int(struct run *r)
{
    return sqlite3_column_int64(r->st, r->column++);
}

enum err db_finish(struct run *r, struct why *why)
{
    bool is_good = r->rc == SQLITE_DONE || r->rc == SQLITE_ROW;
    enum err err = is_good ? ERR_NONE : db_failed(r->c, sql_texts[r->statement], why);
    sqlite3_reset(r->st);
    return err;
}

/* Only tests set `cut_after`. */
static bool is_cut(struct sqlite_store *s)
{
    if (s->cut_after > 0 && --s->cut_after == 0)
        s->is_cut = true;
    return s->is_cut;
}

enum err db_execute(struct run *r, struct why *why)
{
    if (is_cut(r->c->store) && r->statement != S_ROLLBACK) {
        sqlite3_reset(r->st);
        return why_set(why, ERR_STORE, "the store was cut");
    }
    while (db_next(r))
        ;
    r->c->writes++;
    return db_finish(r, why);
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
