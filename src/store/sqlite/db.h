/*
 * db.h - one SQLite connection with its prepared statements, and the life of one statement.  Of store/sqlite alone.
 */
#ifndef PLUVIO_STORE_DB_H
#define PLUVIO_STORE_DB_H

#include "base/log.h"
#include "fleet/port.h"
#include "store/sqlite/statements.h"

#include <pthread.h>
#include <sqlite3.h>

#define STATES_CACHED                                                                                                  \
    64               /* states of jobs that a transaction may touch before the rest goes through to the database       \
                      */
#define PUTS_KNOWN 8 /* executions last read, whose writing can be cheaper */

/* What is known of an execution's row since it was read in this transaction. */
struct known_execution {
    char job_id[ID_LEN + 1], node_id[NODE_ID_SIZE], network[ADDRESS_SIZE];
    bool is_there;
    enum execution_state state;
    time_ms deadline_at;
};

struct cached_state {
    struct job_state state;
    bool is_dirty;
};

struct sqlite_store;

/* A connection is the store as its transactions see it. */
struct conn {
    struct fleet_store port;
    struct sqlite_store *store;
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    pthread_mutex_t lock;
    int64_t writes; /* of this transaction */
    int64_t epoch;  /* nodes whose connection is of another one are offline */
    time_ms epoch_at;
    int64_t node_count, node_count_before;
    struct cached_state states[STATES_CACHED];
    unsigned state_count;
    struct known_execution known[PUTS_KNOWN];
    unsigned known_next;
    int64_t events_added; /* in this transaction */
};

struct sqlite_store {
    struct fleet_store port;
    struct conn writer, reader;
    bool has_reader;   /* a database in memory has one connection */
    int64_t version;   /* of jobs, images, groups */
    int64_t cut_after; /* writes until it breaks; 0: it does not */
    bool is_cut;
    struct log *log;
};

/* One statement, start to end. */
struct run {
    struct conn *c;
    sqlite3_stmt *st;
    int parameter, column;
    int rc;
    enum statement statement;
};

enum err db_failed(struct conn *c, const char *what, struct why *why);
struct run db_start(struct fleet_store *tx, enum statement statement);
void db_text(struct run *r, const char *text);
void db_text_len(struct run *r, const char *text, size_t len);
void db_int(struct run *r, int64_t value);
bool db_next(struct run *r);
void db_get_text(struct run *r, char *to, size_t size);
int64_t db_get_int(struct run *r);
enum err db_finish(struct run *r, struct why *why);

/* A statement without rows, that writes. */
enum err db_execute(struct run *r, struct why *why);
/* Ends a statement of which one row was wanted. */
enum err db_finish_one(struct run *r, bool is_found, struct why *why);
enum err db_one_number(struct run *r, int64_t *to, struct why *why);
/* Statements with only texts and without rows; NULL ends them. */
enum err db_write_texts(struct fleet_store *tx, enum statement statement, const char *a, const char *b,
                        struct why *why);

/* Before a commit: what a transaction kept to itself. */
enum err db_write_states(struct conn *c, struct why *why);

static inline struct conn *conn_of(struct fleet_store *tx)
{
    return (struct conn *)tx;
}

#endif
