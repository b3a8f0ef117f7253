/*
 * sql.h - what the stores that speak SQL share: the nouns' functions over a driver, and the life of one statement.
 *
 * The statements are written once (statements.h), with parameters as ?1, ?2; a driver runs them: SQLite at once,
 * PostgreSQL with writes in a pipeline, whose errors come out at the next reading statement or at the commit.
 */
#ifndef PLUVIO_STORE_SQL_H
#define PLUVIO_STORE_SQL_H

#include "base/log.h"
#include "fleet/port.h"
#include "store/sql/statements.h"

#define SQL_PARAMETERS 36
#define STATES_CACHED                                                                                                  \
    64               /* states of jobs that a transaction may touch before the rest goes through to the database       \
                      */
#define PUTS_KNOWN 8 /* executions and nodes last read, whose writing can be cheaper */

/* What is known of an execution's row since it was read in this transaction. */
struct known_execution {
    char job_id[ID_LEN + 1], node_id[NODE_ID_SIZE], network[ADDRESS_SIZE];
    bool is_there;
    enum execution_state state;
    time_ms deadline_at;
};

/* The same of a node's row. */
struct known_node {
    char id[NODE_ID_SIZE];
    bool is_there;
};

struct cached_state {
    struct job_state state;
    bool is_dirty;
};

struct sql_conn;

/* One statement, start to end. */
struct run {
    struct sql_conn *c;
    enum statement statement;
    int parameter, column;
    int rc; /* the driver's; its own meaning */
    /* of the driver */
    void *handle;
    int row;
    struct {
        const char *text;
        uint64_t number; /* as the driver sends it */
        int len;
        bool is_number;
    } values[SQL_PARAMETERS];
};

struct sql_driver {
    void (*start)(struct run *r);
    /* `text` stays the caller's until the statement ran. */
    void (*text)(struct run *r, const char *text, size_t len);
    void (*number)(struct run *r, int64_t value);
    /* Runs it, or goes on to the next row; false after the last one and when it failed. */
    bool (*next)(struct run *r);
    /* Of the present row; NULL where it is NULL. */
    const char *(*get_text)(struct run *r, int column);
    int64_t (*get_number)(struct run *r, int column);
    enum err (*finish)(struct run *r, struct why *why);
    /* One without rows, that writes.  `*count`: rows that it changed; NULL when nobody asks, then it may run later. */
    enum err (*execute)(struct run *r, int64_t *count, struct why *why);
};

struct expected; /* expected.h */

/* A connection is the store as its transactions see it. */
struct sql_conn {
    struct fleet_store port;
    const struct sql_driver *driver;
    struct log *log;
    int64_t writes;  /* of this transaction */
    int64_t version; /* of jobs, images, groups */
    int64_t (*next_version)(struct sql_conn *c);
    int64_t epochs[BROKERS_MAX]; /* nodes whose connection is of another one are offline */
    time_ms epochs_at[BROKERS_MAX];
    int64_t node_count, node_count_before;
    struct cached_state states[STATES_CACHED];
    unsigned state_count;
    struct known_execution known[PUTS_KNOWN];
    struct known_node known_nodes[PUTS_KNOWN];
    unsigned known_next, known_nodes_next;
    int64_t events_added; /* in this transaction */
    bool changes_people,
        changes_gate;          /* this transaction: what other servers remember of users, and of who is let in */
    struct expected *expected; /* NULL: nothing is */
};

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
enum err db_execute_counted(struct run *r, int64_t *count, struct why *why);
/* Ends a statement of which one row was wanted. */
enum err db_finish_one(struct run *r, bool is_found, struct why *why);
enum err db_one_number(struct run *r, int64_t *to, struct why *why);
/* Statements with only texts and without rows; NULL ends them. */
enum err db_write_texts(struct fleet_store *tx, enum statement statement, const char *a, const char *b,
                        struct why *why);

/* At the start of a transaction: nothing is known. */
void sql_forget(struct sql_conn *c);
/* Jobs, images or groups are changed. */
void sql_changed(struct fleet_store *tx);
/* Before a commit: what a transaction kept to itself. */
enum err db_write_states(struct sql_conn *c, struct why *why);
enum err db_write_node_count(struct sql_conn *c, struct why *why);
/* Takes one row of table facts: epochs and the count of nodes. */
void sql_take_fact(struct sql_conn *c, const char *name, int64_t value);

/* The nouns' part of a store's functions. */
extern const struct fleet_store_ops sql_nouns;

static inline struct sql_conn *conn_of(struct fleet_store *tx)
{
    return (struct sql_conn *)tx;
}

#endif
