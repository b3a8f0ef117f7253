#include "store/postgres/pg.h"

#include "base/text.h"

#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define OID_INT8 20
#define OID_TEXT 25

static const char *const pg_texts[PG_STATEMENT_COUNT - STATEMENT_COUNT] = {
#define PG_TEXT(name, sql) [PG_##name - STATEMENT_COUNT] = sql,
    PG_STATEMENTS(PG_TEXT)};

static struct pg_conn *connection(struct sql_conn *c)
{
    return (struct pg_conn *)c;
}

/* --- failures --------------------------------------------------------------------------------- */

/* The database ends the connection with it, if it has not yet. */
static bool is_fatal(const PGresult *r)
{
    const char *severity = r ? PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED) : NULL;
    return severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
}

/* `r`: the result that tells of it; NULL: there is none. */
static void note(struct pg_conn *c, const PGresult *r, const char *what, const char *message)
{
    if (c->is_failed)
        return;
    c->is_failed = true;
    c->code = PQstatus(c->db) == CONNECTION_OK && !is_fatal(r) ? ERR_STORE : ERR_STORE_AWAY;
    size_t len = strcspn(message, "\n");
    why_set(&c->why, c->code, "database: %.*s", (int)len, message);
    log_line(c->sql.log, LOG_ERROR, "store", "%.100s: %.*s", what, (int)len, message);
}

static enum err failure(const struct pg_conn *c, struct why *why)
{
    return c->is_failed ? why_set(why, c->code, "%s", c->why.text) : ERR_NONE;
}

/* --- connections ------------------------------------------------------------------------------ */

void pg_close(struct pg_conn *c)
{
    PQfinish(c->db);
    c->db = NULL;
    c->unsynced = 0;
    memset(c->is_prepared, 0, sizeof c->is_prepared);
}

/* A half-open connection must not hold the lock of all writers, nor keep us waiting: both ends give it up within ten
 * seconds or so.  What the URL says itself wins. */
static PGconn *connect_to(const char *url)
{
    const char *const names[] = {"connect_timeout",  "tcp_user_timeout", "keepalives_idle", "keepalives_interval",
                                 "keepalives_count", "application_name", "dbname",          NULL};
    const char *const values[] = {"3", "8000", "3", "2", "3", "pluviod", url, NULL};
    return PQconnectdbParams(names, values, 1);
}

static void quiet(void *arg, const PGresult *result)
{
    (void)arg, (void)result;
}

enum err pg_connect(struct pg_conn *c, struct why *why)
{
    static const char settings[] = "SET client_encoding='UTF8'; SET idle_in_transaction_session_timeout='5s';"
                                   "SET lock_timeout='8s'; SET tcp_user_timeout='8s'; SET tcp_keepalives_idle='3s';"
                                   "SET tcp_keepalives_interval='2s'; SET tcp_keepalives_count=3;"
                                   "SET default_transaction_isolation='read committed'; SET jit=off;"
                                   /* Each statement has its index; plans are made while tables are small, and kept. */
                                   "SET enable_seqscan=off";
    if (c->db != NULL && PQstatus(c->db) == CONNECTION_OK)
        return ERR_NONE;
    pg_close(c);
    c->db = connect_to(c->url);
    if (PQstatus(c->db) == CONNECTION_OK) {
        PQsetNoticeReceiver(c->db, quiet, NULL);
        pg_run(c, settings, NULL);
    }
    if (PQstatus(c->db) == CONNECTION_OK)
        return ERR_NONE;
    const char *message = PQerrorMessage(c->db);
    enum err err = why_set(why, ERR_STORE_AWAY, "database: %.*s", (int)strcspn(message, "\n"), message);
    pg_close(c);
    return err;
}

static int64_t monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Until a result can be had without waiting.  A database, or what lies between, may hold a connection open and say
 * nothing for ever: after a while we are better off without it. */
static bool await(PGconn *db)
{
    int64_t until = monotonic_ms() + PG_ANSWER_MS;
    while (PQstatus(db) == CONNECTION_OK && PQisBusy(db)) {
        struct pollfd p = {PQsocket(db), POLLIN, 0};
        int64_t left = until - monotonic_ms();
        if (left <= 0 || poll(&p, 1, (int)left) == 0) {
            shutdown(PQsocket(db), SHUT_RDWR);
            PQconsumeInput(db); /* sees that it is gone */
            return false;
        }
        if (!PQconsumeInput(db))
            return false;
    }
    return PQstatus(db) == CONNECTION_OK;
}

/* The last result of a text; NULL when the connection is gone. */
static PGresult *query(struct pg_conn *c, const char *sql)
{
    PGresult *last = NULL, *r;
    if (PQsendQuery(c->db, sql) != 1)
        return NULL;
    while (await(c->db) && (r = PQgetResult(c->db)) != NULL) {
        bool was_good = last == NULL || PQresultStatus(last) != PGRES_FATAL_ERROR;
        if (was_good) { /* the first error is the one to tell */
            PQclear(last);
            last = r;
        } else
            PQclear(r);
    }
    if (PQstatus(c->db) == CONNECTION_OK)
        return last;
    PQclear(last);
    return NULL;
}

static enum err of_result(const struct pg_conn *c, const PGresult *r, struct why *why)
{
    ExecStatusType status = PQresultStatus(r);
    if (r != NULL && (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK))
        return ERR_NONE;
    const char *message = r ? PQresultErrorMessage(r) : PQerrorMessage(c->db);
    return why_set(why, r && !is_fatal(r) ? ERR_STORE : ERR_STORE_AWAY, "database: %.*s", (int)strcspn(message, "\n"),
                   *message ? message : "no answer");
}

enum err pg_run(struct pg_conn *c, const char *sql, struct why *why)
{
    PGresult *r = query(c, sql);
    enum err err = of_result(c, r, why);
    PQclear(r);
    return err;
}

enum err pg_number(struct pg_conn *c, const char *sql, int64_t *to, struct why *why)
{
    PGresult *r = query(c, sql);
    enum err err = of_result(c, r, why);
    if (err == ERR_NONE && PQntuples(r) == 0)
        err = ERR_NOT_FOUND;
    if (err == ERR_NONE)
        *to = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    return err;
}

/* --- the pipeline ----------------------------------------------------------------------------- */

static const char *sql_of(int statement)
{
    return statement < (int)STATEMENT_COUNT ? sql_texts[statement] : pg_texts[statement - (int)STATEMENT_COUNT];
}

/* ?12 is $12 here. */
static void translate(char *to, size_t size, const char *sql)
{
    text_copy(to, size, sql);
    for (char *at = to; *at; at++)
        if (at[0] == '?' && at[1] >= '0' && at[1] <= '9')
            *at = '$';
}

/* Reads up to the next synchronisation point, which has been sent.  `keep`: becomes the last result that has rows. */
static void read_to_sync(struct pg_conn *c, PGresult **keep)
{
    for (bool is_over = false; !is_over && await(c->db);) {
        PGresult *r = PQgetResult(c->db);
        if (r == NULL)
            continue; /* between two statements */
        ExecStatusType status = PQresultStatus(r);
        is_over = status == PGRES_PIPELINE_SYNC;
        if (status == PGRES_FATAL_ERROR)
            note(c, r, "a statement", PQresultErrorMessage(r));
        if (status == PGRES_COMMAND_OK)
            c->result_count = strtoll(PQcmdTuples(r), NULL, 10);
        if (status == PGRES_TUPLES_OK && keep != NULL) {
            PQclear(*keep);
            *keep = r;
        } else
            PQclear(r);
    }
    if (PQstatus(c->db) != CONNECTION_OK)
        note(c, NULL, "the connection", *PQerrorMessage(c->db) ? PQerrorMessage(c->db) : "no answer");
    c->unsynced = 0;
}

static bool enter(struct pg_conn *c)
{
    return PQpipelineStatus(c->db) != PQ_PIPELINE_OFF || PQenterPipelineMode(c->db) == 1;
}

static enum err sync_keeping(struct pg_conn *c, PGresult **keep, struct why *why)
{
    if (c->db == NULL || !enter(c) || PQpipelineSync(c->db) != 1)
        note(c, NULL, "the pipeline", c->db ? PQerrorMessage(c->db) : "not connected");
    else
        read_to_sync(c, keep);
    return failure(c, why);
}

enum err pg_sync(struct pg_conn *c, struct why *why)
{
    return c->unsynced == 0 ? failure(c, why) : sync_keeping(c, NULL, why);
}

static enum err sent(struct pg_conn *c, bool is_good, struct why *why)
{
    if (!is_good)
        note(c, NULL, "the pipeline", c->db ? PQerrorMessage(c->db) : "not connected");
    if (++c->unsynced % PG_FLUSH_EVERY == 0 && c->db != NULL)
        PQflush(c->db); /* so that the database works while we do */
    return failure(c, why);
}

enum err pg_send(struct pg_conn *c, const char *sql, struct why *why)
{
    return sent(c, c->db != NULL && enter(c) && PQsendQueryParams(c->db, sql, 0, NULL, NULL, NULL, NULL, 0) == 1, why);
}

/* --- the driver ------------------------------------------------------------------------------- */

static void start(struct run *r)
{
    (void)r;
}

struct run pg_start(struct pg_conn *c, enum pg_statement statement)
{
    return db_start(&c->sql.port, (enum statement)statement);
}

/* The database refuses what is no UTF-8, which a node may well say, or a text that was cut; SQLite keeps it.  Each byte
 * that fits nowhere becomes a question mark, so that lengths stay. */
static size_t utf8_len(const unsigned char *at, size_t left)
{
    size_t len = at[0] < 0x80                    ? 1
                 : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
                 : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
                 : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
                                                 : 0;
    if (len == 0 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
        (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return len;
}

char *pg_repaired(const char *text, size_t len)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t good = 0;
    while (good < len && at[good] < 0x80 && at[good] != 0)
        good++;
    for (size_t n; good < len && at[good] != 0 && (n = utf8_len(at + good, len - good)) > 0;)
        good += n;
    if (good == len)
        return NULL;
    char *copy = malloc(len + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, len);
    for (size_t i = good; i < len;) {
        size_t n = at[i] == 0 ? 0 : utf8_len(at + i, len - i);
        if (n == 0)
            copy[i++] = '?';
        else
            i += n;
    }
    return copy;
}

/* A repaired text is freed when the statement was sent. */
static void bind_text(struct run *r, const char *text, size_t len)
{
    int i = r->parameter++;
    char *copy = pg_repaired(text, len);
    r->values[i].text = copy ? copy : text;
    r->values[i].number = copy != NULL;
    r->values[i].len = (int)len;
    r->values[i].is_number = false;
}

static void bind_number(struct run *r, int64_t value)
{
    int i = r->parameter++;
    r->values[i].number = htobe64((uint64_t)value);
    r->values[i].text = NULL;
    r->values[i].len = sizeof r->values[i].number;
    r->values[i].is_number = true;
}

static void free_values(struct run *r)
{
    for (int i = 0; i < r->parameter; i++)
        if (!r->values[i].is_number && r->values[i].number != 0)
            free((void *)(uintptr_t)r->values[i].text);
    r->parameter = 0;
}

static enum err send_statement(struct run *r, struct why *why)
{
    struct pg_conn *c = connection(r->c);
    const char *values[SQL_PARAMETERS];
    int lens[SQL_PARAMETERS], formats[SQL_PARAMETERS], count = r->parameter, statement = (int)r->statement;
    Oid types[SQL_PARAMETERS];
    char name[8], sql[2048];
    bool is_good = c->db != NULL && !c->is_failed && enter(c);
    for (int i = 0; i < count; i++) {
        values[i] = r->values[i].is_number ? (const char *)&r->values[i].number : r->values[i].text;
        lens[i] = r->values[i].len;
        formats[i] = 1;
        types[i] = r->values[i].is_number ? OID_INT8 : OID_TEXT;
    }
    snprintf(name, sizeof name, "s%d", statement);
    if (is_good && !c->is_prepared[statement]) {
        translate(sql, sizeof sql, sql_of(statement));
        is_good = PQsendPrepare(c->db, name, sql, count, types) == 1;
        c->is_prepared[statement] = is_good;
        c->unsynced++;
    }
    is_good = is_good && PQsendQueryPrepared(c->db, name, count, values, lens, formats, 1) == 1;
    free_values(r);
    return sent(c, is_good, why);
}

static bool next(struct run *r)
{
    struct pg_conn *c = connection(r->c);
    if (r->rc == 0) { /* not run yet */
        PGresult *rows = NULL;
        r->rc = 1;
        if (send_statement(r, NULL) == ERR_NONE)
            sync_keeping(c, &rows, NULL);
        r->handle = rows;
        r->row = -1;
    }
    return r->handle != NULL && ++r->row < PQntuples(r->handle);
}

static const char *get_text(struct run *r, int column)
{
    return PQgetisnull(r->handle, r->row, column) ? NULL : PQgetvalue(r->handle, r->row, column);
}

static int64_t get_number(struct run *r, int column)
{
    uint64_t value;
    if (PQgetisnull(r->handle, r->row, column) || PQgetlength(r->handle, r->row, column) != sizeof value)
        return 0;
    memcpy(&value, PQgetvalue(r->handle, r->row, column), sizeof value);
    return (int64_t)be64toh(value);
}

static enum err finish(struct run *r, struct why *why)
{
    PQclear(r->handle);
    r->handle = NULL;
    free_values(r);
    return failure(connection(r->c), why);
}

static enum err execute(struct run *r, int64_t *count, struct why *why)
{
    struct pg_conn *c = connection(r->c);
    enum err err = send_statement(r, why);
    if (err == ERR_NONE && (count != NULL || c->unsynced >= PG_UNSYNCED_MAX)) {
        err = sync_keeping(c, NULL, why);
        if (count != NULL)
            *count = c->result_count;
    }
    return err;
}

enum err pg_execute(struct run *r, struct why *why)
{
    return execute(r, NULL, why);
}

const struct sql_driver pg_driver = {start, bind_text, bind_number, next, get_text, get_number, finish, execute};
