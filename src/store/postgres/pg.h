/* pg.h - one PostgreSQL connection as a driver of store/sql, in pipeline mode.  Of store/postgres alone. */
#ifndef PLUVIO_STORE_PG_H
#define PLUVIO_STORE_PG_H

#include "store/sql/sql.h"

#include <libpq-fe.h>

/* Statements of this store alone. */
#define PG_STATEMENTS(X)                                                                                               \
    X(LOCK, "SELECT pg_advisory_xact_lock(1886156406, hashtext(current_schema()))")                                    \
    X(BEGIN_FACTS, "SELECT name,value FROM facts UNION ALL SELECT '',id FROM servers WHERE id=$1")                     \
    X(VERSION_UP, "UPDATE facts SET value=value+1 WHERE name='version'")                                               \
    X(XID, "SELECT coalesce(pg_current_xact_id_if_assigned()::text::bigint,0)")                                        \
    X(XID_STATUS, "SELECT coalesce(pg_xact_status($1::text::xid8),'')")                                                \
    X(NOTIFY, "SELECT pg_notify('pluvio',$1)")                                                                         \
    X(JOIN, "INSERT INTO servers (seen_at) VALUES (clock_timestamp()) RETURNING id")                                   \
    X(TRIM, "DELETE FROM events WHERE id<=$1 AND id>$2")                                                               \
    X(LAST_EVENT, "SELECT coalesce(max(id),0) FROM events")                                                            \
    X(OUTBOX_ADD, "INSERT INTO outbox (node_id,job_id,at,topic,text,server) VALUES ($1,$2,$3,$4,$5,$6)")               \
    X(OUTBOX_LIST, "SELECT id,node_id,job_id,at,topic FROM outbox WHERE id>$1 AND server=$3 ORDER BY id LIMIT $2")     \
    X(EXPECT_NODES, "SELECT " NODE_COLUMNS " FROM nodes WHERE id=ANY($1::text[])")                                     \
    X(EXPECT_EXECUTIONS, "SELECT " EXECUTION_COLUMNS " FROM executions WHERE node_id=ANY($1::text[]) AND"              \
                         " (is_open=1 OR job_id IN (SELECT id FROM jobs WHERE status=0))")                             \
    X(EXPECT_JOBS, "SELECT id FROM jobs WHERE status=0")

#define PG_ENUM(name, sql) PG_##name,
enum pg_statement { PG_FIRST = STATEMENT_COUNT - 1, PG_STATEMENTS(PG_ENUM) PG_STATEMENT_COUNT };

#define PG_ANSWER_MS    10000 /* how long an answer is waited for; longer than the lock of all writers is held */
#define PG_FLUSH_EVERY  16
#define PG_UNSYNCED_MAX 128 /* statements that may be under way before their results are looked at */

struct pg_conn {
    struct sql_conn sql;
    PGconn *db; /* NULL: not connected */
    const char *url;
    bool is_prepared[PG_STATEMENT_COUNT];
    unsigned unsynced;    /* results that have not come yet */
    bool is_failed;       /* since the transaction began: all that follows is refused */
    enum err code;        /* of the failure */
    struct why why;       /* the first failure */
    int64_t result_count; /* rows that the last awaited statement changed */
    int64_t server;       /* whose outbox rows are listed */
};

extern const struct sql_driver pg_driver;

/* Connects when it is not.  ERR_STORE_AWAY. */
enum err pg_connect(struct pg_conn *c, struct why *why);
void pg_close(struct pg_conn *c);

/* Text of no statement, without parameters; not awaited. */
enum err pg_send(struct pg_conn *c, const char *sql, struct why *why);
/* Waits for all that is under way; the first error of it. */
enum err pg_sync(struct pg_conn *c, struct why *why);
/* A statement of PG_STATEMENTS. */
struct run pg_start(struct pg_conn *c, enum pg_statement statement);
/* Sends it without waiting; its rows are not looked at. */
enum err pg_execute(struct run *r, struct why *why);
/* Any text, awaited, outside of the pipeline: for schemas. */
enum err pg_run(struct pg_conn *c, const char *sql, struct why *why);
/* One number, outside of transactions; ERR_NOT_FOUND when there is no row. */
enum err pg_number(struct pg_conn *c, const char *sql, int64_t *to, struct why *why);

/* The text as the database takes it, on the heap; NULL when it takes it as it is (or memory is out). */
char *pg_repaired(const char *text, size_t len);

#endif
