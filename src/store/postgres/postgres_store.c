#include "store/postgres/postgres_store.h"

#include "base/text.h"
#include "store/postgres/pg.h"
#include "store/postgres/schema.h"
#include "store/sql/expected.h"
#include "store/sql/nouns.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define READERS    4
#define BURIED_MAX 8   /* at a time */
#define TRIM_EVERY 512 /* events, after which old ones are dropped */

struct postgres_store {
    struct fleet_store port;
    struct fleet_store_ops ops;
    struct log *log;
    char *url;
    struct client {
        struct pg_conn pg; /* first: the store as its transactions see it */
        pthread_mutex_t lock;
        struct postgres_store *store;
        bool is_reading;
        int64_t version_before, events_since;
        int64_t trimmed; /* events up to this one are gone */
    } writer, readers[READERS];
    atomic_llong server;   /* our row's id */
    atomic_llong lease_ms; /* of the monotonic clock: until then nobody takes us for dead */
    atomic_bool leads;
    atomic_uint turn;           /* which reader is next */
    atomic_llong local_version; /* of what a transaction changed and has not committed */
    pthread_mutex_t listener_lock;
    struct postgres_listener *listener;
    pthread_t thread;
    bool has_thread;
    int wake;
    atomic_bool is_stopping;
    struct pg_conn beat; /* of the thread */
};

static struct client *client_of(struct fleet_store *tx)
{
    return (struct client *)tx;
}

static struct pg_conn *pg_of(struct fleet_store *tx)
{
    return &client_of(tx)->pg;
}

static int64_t monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void pause_ms(int ms)
{
    poll(NULL, 0, ms);
}

/* --- servers ---------------------------------------------------------------------------------- */

static void is_alive(struct postgres_store *s, int64_t asked_at)
{
    atomic_store(&s->lease_ms, asked_at + SERVER_LEASE_MS);
}

static bool outbox_is_ours(struct fleet_store *port)
{
    struct postgres_store *s = (struct postgres_store *)port;
    return monotonic_ms() < atomic_load(&s->lease_ms);
}

static bool leads(struct fleet_store *port)
{
    return atomic_load(&((struct postgres_store *)port)->leads) && outbox_is_ours(port);
}

/* A row of our own.  The connection is in no transaction. */
static enum err join(struct postgres_store *s, struct pg_conn *c, struct why *why)
{
    int64_t now = monotonic_ms();
    struct run r = pg_start(c, PG_JOIN);
    int64_t id = 0;
    enum err err = db_one_number(&r, &id, why);
    if (err != ERR_NONE)
        return err;
    int64_t before = atomic_exchange(&s->server, id);
    is_alive(s, now);
    if (before != 0)
        log_line(s->log, LOG_WARN, "store",
                 "server %" PRId64 " was taken for dead by the others; it goes on as server %" PRId64, before, id);
    return ERR_NONE;
}

/* --- transactions ----------------------------------------------------------------------------- */

static void begin_anew(struct pg_conn *c)
{
    c->is_failed = false;
    c->code = ERR_NONE;
    c->why.text[0] = '\0';
}

static enum err read_facts(struct pg_conn *c, int64_t server, bool *is_member, struct why *why)
{
    char name[32];
    struct run r = pg_start(c, PG_BEGIN_FACTS);
    *is_member = false;
    db_int(&r, server);
    while (db_next(&r)) {
        db_get_text(&r, name, sizeof name);
        int64_t value = db_get_int(&r);
        *is_member |= name[0] == '\0';
        if (strcmp(name, "version") == 0)
            c->sql.version = value;
        sql_take_fact(&c->sql, name, value);
    }
    return db_finish(&r, why);
}

/* One round trip: the transaction, the lock of all writers, and what one must know. */
static enum err try_begin(struct client *t, bool *is_member, struct why *why)
{
    struct pg_conn *c = &t->pg;
    begin_anew(c);
    sql_forget(&c->sql);
    enum err err = pg_connect(c, why);
    if (err == ERR_NONE)
        err = pg_send(c, t->is_reading ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" : "BEGIN", why);
    if (err == ERR_NONE && !t->is_reading) {
        struct run lock = pg_start(c, PG_LOCK);
        err = pg_execute(&lock, why);
    }
    return err ? err : read_facts(c, t->is_reading ? 0 : atomic_load(&t->store->server), is_member, why);
}

static void roll_back(struct pg_conn *c)
{
    bool had_failed = c->is_failed;
    if (c->db == NULL)
        return;
    begin_anew(c);
    enum err err = pg_send(c, "ROLLBACK", NULL);
    if (err == ERR_NONE && had_failed) { /* some were perhaps never prepared */
        err = pg_send(c, "DEALLOCATE ALL", NULL);
        memset(c->is_prepared, 0, sizeof c->is_prepared);
    }
    if (err != ERR_NONE || pg_sync(c, NULL) != ERR_NONE)
        pg_close(c);
}

static enum err begin_as(struct client *t, struct why *why)
{
    struct postgres_store *s = t->store;
    bool is_member = false, was_connected = t->pg.db != NULL;
    enum err err = try_begin(t, &is_member, why);
    if (err == ERR_STORE_AWAY && was_connected) { /* it was away meanwhile, perhaps */
        pg_close(&t->pg);
        err = try_begin(t, &is_member, why);
    }
    if (err == ERR_NONE && !is_member && !t->is_reading) {
        roll_back(&t->pg);
        if ((err = join(s, &t->pg, why)) == ERR_NONE)
            err = try_begin(t, &is_member, why);
    }
    if (err != ERR_NONE)
        roll_back(&t->pg);
    t->pg.server = atomic_load(&s->server);
    t->version_before = t->pg.sql.version;
    t->pg.sql.writes = 0;
    return err;
}

static struct client *free_reader(struct postgres_store *s)
{
    unsigned first = atomic_fetch_add(&s->turn, 1);
    for (unsigned i = 0; i < READERS; i++) {
        struct client *t = &s->readers[(first + i) % READERS];
        if (pthread_mutex_trylock(&t->lock) == 0)
            return t;
    }
    struct client *t = &s->readers[first % READERS];
    pthread_mutex_lock(&t->lock);
    return t;
}

static enum err begin(struct fleet_store *port, bool is_reading, struct fleet_store **tx, struct why *why)
{
    struct postgres_store *s = (struct postgres_store *)port;
    struct client *t = is_reading ? free_reader(s) : &s->writer;
    if (!is_reading)
        pthread_mutex_lock(&t->lock);
    enum err err = begin_as(t, why);
    if (err != ERR_NONE)
        pthread_mutex_unlock(&t->lock);
    *tx = &t->pg.sql.port;
    return err;
}

static void rollback(struct fleet_store *tx)
{
    struct client *t = client_of(tx);
    roll_back(&t->pg);
    sql_forget(&t->pg.sql);
    pthread_mutex_unlock(&t->lock);
}

static enum err notify(struct client *t, char what, struct why *why)
{
    char text[32];
    snprintf(text, sizeof text, "%c%lld", what, atomic_load(&t->store->server));
    struct run r = pg_start(&t->pg, PG_NOTIFY);
    db_text(&r, text);
    return pg_execute(&r, why);
}

static enum err trim_events(struct client *t, struct why *why)
{
    t->events_since += t->pg.sql.events_added;
    if (t->events_since < TRIM_EVERY)
        return ERR_NONE;
    t->events_since = 0;
    int64_t last = 0, until;
    struct run r = pg_start(&t->pg, PG_LAST_EVENT);
    enum err err = db_one_number(&r, &last, why);
    if (err != ERR_NONE || (until = last - EVENTS_KEPT) <= t->trimmed)
        return err;
    /* From where we came to: an index holds on to what was deleted until it is vacuumed. */
    r = pg_start(&t->pg, PG_TRIM);
    db_int(&r, until);
    db_int(&r, t->trimmed);
    t->trimmed = until;
    return pg_execute(&r, why);
}

/* What belongs to a commit beside what the mind wrote. */
static enum err write_rest(struct client *t, struct why *why)
{
    struct sql_conn *c = &t->pg.sql;
    enum err err = db_write_states(c, why);
    if (err == ERR_NONE)
        err = db_write_node_count(c, why);
    if (err == ERR_NONE && c->version != t->version_before) {
        struct run r = pg_start(&t->pg, PG_VERSION_UP);
        err = pg_execute(&r, why);
    }
    if (err == ERR_NONE && c->events_added > 0 && (err = trim_events(t, why)) == ERR_NONE)
        err = notify(t, 'e', why);
    if (err == ERR_NONE && c->changes_people)
        err = notify(t, 'p', why);
    if (err == ERR_NONE && c->changes_gate)
        err = notify(t, 'g', why);
    return err;
}

/* The answer to a commit was lost with the connection. */
static enum err ask_about(struct client *t, int64_t xid, struct why *why)
{
    char text[24], status[16] = "";
    int64_t until = monotonic_ms() + COMMIT_ASK_MS;
    snprintf(text, sizeof text, "%" PRId64, xid);
    log_line(t->store->log, LOG_WARN, "store", "the answer to commit %s was lost; asking what became of it", text);
    while (monotonic_ms() < until) {
        pg_close(&t->pg);
        begin_anew(&t->pg);
        enum err err = pg_connect(&t->pg, NULL);
        if (err == ERR_NONE) {
            struct run r = pg_start(&t->pg, PG_XID_STATUS);
            db_text(&r, text);
            if (db_next(&r))
                db_get_text(&r, status, sizeof status);
            err = db_finish(&r, NULL);
        }
        if (err == ERR_NONE && strcmp(status, "in progress") != 0) {
            bool is_committed = strcmp(status, "committed") == 0;
            log_line(t->store->log, LOG_WARN, "store", "commit %s: %s", text, status);
            return is_committed ? ERR_NONE
                                : why_set(why, ERR_STORE_AWAY, "the database went away; nothing was written");
        }
        pause_ms(200);
    }
    return why_set(why, ERR_STORE_AWAY, "the database went away, and whether it has written this is not known");
}

static enum err commit_writes(struct client *t, struct why *why)
{
    struct pg_conn *c = &t->pg;
    int64_t xid = 0;
    struct run r = pg_start(c, PG_XID);
    enum err err = db_one_number(&r, &xid, why);
    if (err != ERR_NONE)
        return err;
    if ((err = pg_send(c, "COMMIT", why)) == ERR_NONE)
        err = pg_sync(c, why);
    return err == ERR_STORE_AWAY && xid > 0 ? ask_about(t, xid, why) : err;
}

static enum err commit(struct fleet_store *tx, struct why *why)
{
    struct client *t = client_of(tx);
    enum err err = t->is_reading ? ERR_NONE : write_rest(t, why);
    if (err == ERR_NONE && t->pg.sql.writes > 0)
        err = commit_writes(t, why);
    else if (err == ERR_NONE && (err = pg_send(&t->pg, "COMMIT", why)) == ERR_NONE)
        err = pg_sync(&t->pg, why);
    if (err != ERR_NONE) {
        rollback(tx);
        return err;
    }
    sql_forget(&t->pg.sql);
    pthread_mutex_unlock(&t->lock);
    return ERR_NONE;
}

/* What is not committed has a number that no commit ever gets. */
static int64_t next_version(struct sql_conn *c)
{
    return -(1 + (int64_t)atomic_fetch_add(&client_of(&c->port)->store->local_version, 1));
}

/* --- what is done otherwise than by SQLite ---------------------------------------------------- */

static enum err outbox_add(struct fleet_store *tx, const struct outbox_row *row, const char *text, struct why *why)
{
    struct run r = pg_start(pg_of(tx), PG_OUTBOX_ADD);
    db_text(&r, row->node_id);
    db_text(&r, row->job_id);
    db_int(&r, row->at);
    db_int(&r, row->topic);
    db_text(&r, text ? text : "");
    db_int(&r, pg_of(tx)->server);
    return db_execute(&r, why);
}

static enum err outbox_list(struct fleet_store *tx, int64_t after, struct outbox_row *to, unsigned max, unsigned *count,
                            struct why *why)
{
    struct run r = pg_start(pg_of(tx), PG_OUTBOX_LIST);
    db_int(&r, after);
    db_int(&r, max);
    db_int(&r, pg_of(tx)->server);
    return db_read_outbox(&r, to, max, count, why);
}

/* {"a","b"}: what the database reads as an array. */
static char *array_of(const char *const *ids, unsigned count)
{
    size_t size = 3;
    for (unsigned i = 0; i < count; i++)
        size += 2 * strlen(ids[i]) + 3;
    char *text = malloc(size), *at = text;
    if (text == NULL)
        return NULL;
    *at++ = '{';
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            *at++ = ',';
        *at++ = '"';
        for (const char *c = ids[i]; *c; c++) {
            if (*c == '"' || *c == '\\')
                *at++ = '\\';
            *at++ = *c;
        }
        *at++ = '"';
    }
    memcpy(at, "}", 2);
    return text;
}

static bool read_expected(struct pg_conn *c, struct expected *x, const char *array, struct why *why)
{
    char id[ID_LEN + 1];
    struct node node;
    struct execution e;
    bool is_good = true;
    struct run r = pg_start(c, PG_EXPECT_JOBS);
    while (db_next(&r) && is_good) {
        db_get_text(&r, id, sizeof id);
        is_good = expected_add_job(x, id);
    }
    is_good &= db_finish(&r, why) == ERR_NONE;
    r = pg_start(c, PG_EXPECT_NODES);
    db_text(&r, array);
    while (is_good && db_next(&r)) {
        db_read_node(&r, &node);
        expected_put_node(x, &node);
    }
    is_good &= db_finish(&r, why) == ERR_NONE;
    r = pg_start(c, PG_EXPECT_EXECUTIONS);
    db_text(&r, array);
    while (is_good && db_next(&r)) {
        db_read_execution(&r, &e);
        is_good = expected_put_execution(x, &e);
    }
    return db_finish(&r, why) == ERR_NONE && is_good;
}

/* It is a hint: when it cannot be followed, rows are read as they are asked for. */
static enum err nodes_expected(struct fleet_store *tx, const char *const *ids, unsigned count, struct why *why)
{
    struct pg_conn *c = pg_of(tx);
    unsigned kept = count < EXPECTED_NODES_MAX ? count : EXPECTED_NODES_MAX;
    char *array = array_of(ids, kept);
    struct expected *x = expected_new();
    bool is_good = array != NULL && x != NULL;
    expected_free(c->sql.expected);
    c->sql.expected = NULL;
    for (unsigned i = 0; is_good && i < kept; i++)
        is_good = expected_add_id(x, ids[i]);
    is_good = is_good && read_expected(c, x, array, why);
    free(array);
    if (is_good)
        c->sql.expected = x;
    else
        expected_free(x);
    return c->is_failed ? why_set(why, c->code, "%s", c->why.text) : ERR_NONE;
}

/* --- the schema ------------------------------------------------------------------------------- */

static bool has_schema(struct pg_conn *c, int64_t *number, int64_t *least)
{
    return pg_number(c, "SELECT 1 WHERE to_regclass('facts') IS NOT NULL", number, NULL) == ERR_NONE &&
           pg_number(c, "SELECT value FROM facts WHERE name='schema'", number, NULL) == ERR_NONE &&
           pg_number(c, "SELECT value FROM facts WHERE name='schema_least'", least, NULL) == ERR_NONE;
}

static enum err migrate_in(struct pg_conn *c, struct why *why)
{
    int64_t number = 0, least = 0;
    char set[100];
    enum err err = pg_run(c, "SELECT pg_advisory_xact_lock(1886156406, hashtext(current_schema()))", why);
    if (err != ERR_NONE)
        return err;
    if (!has_schema(c, &number, &least))
        number = 0;
    if (least > SCHEMA)
        return why_set(why, ERR_STORE,
                       "the database was written by a newer version (it wants a program that knows schema %" PRId64
                       ", this one knows %d)",
                       least, SCHEMA);
    for (size_t i = 0; err == ERR_NONE && i < sizeof migrations / sizeof migrations[0]; i++)
        if (migrations[i].number > number)
            err = pg_run(c, migrations[i].sql, why);
    if (err != ERR_NONE || number >= SCHEMA)
        return err;
    snprintf(set, sizeof set, "UPDATE facts SET value=%d WHERE name='schema'", SCHEMA);
    return pg_run(c, set, why);
}

/* All or nothing, and one server at a time. */
static enum err migrate(struct pg_conn *c, struct why *why)
{
    enum err err = pg_run(c, "BEGIN", why);
    if (err == ERR_NONE)
        err = migrate_in(c, why);
    if (err == ERR_NONE)
        return pg_run(c, "COMMIT", why);
    pg_run(c, "ROLLBACK", NULL);
    return err;
}

/* --- the thread: what other servers do -------------------------------------------------------- */

static void tell(struct postgres_store *s, char what)
{
    pthread_mutex_lock(&s->listener_lock);
    struct postgres_listener *l = s->listener;
    if (l != NULL && what == 'e')
        l->ring(l);
    if (l != NULL && what == 'p')
        l->people_changed(l);
    if (l != NULL && what == 'g')
        l->gate_changed(l);
    pthread_mutex_unlock(&s->listener_lock);
}

static void take_notices(struct postgres_store *s)
{
    PGnotify *n;
    bool told[128] = {false};
    PQconsumeInput(s->beat.db);
    while ((n = PQnotifies(s->beat.db)) != NULL) {
        bool is_own = strtoll(n->extra[0] ? n->extra + 1 : "0", NULL, 10) == atomic_load(&s->server);
        if (!is_own && n->extra[0] > 0)
            told[(unsigned char)n->extra[0] % sizeof told] = true;
        PQfreemem(n);
    }
    for (unsigned char what = 1; what < sizeof told; what++)
        if (told[what])
            tell(s, (char)what);
}

/* What belonged to servers that are gone is ours now; new numbers put it behind what our link has looked at. */
static enum err adopt(struct postgres_store *s, struct pg_conn *c, int64_t *count, struct why *why)
{
    char sql[600];
    snprintf(sql, sizeof sql,
             "WITH gone AS (DELETE FROM outbox WHERE server NOT IN (SELECT id FROM servers) RETURNING *), kept AS ("
             "INSERT INTO outbox (node_id,job_id,at,topic,text,server)"
             " SELECT node_id,job_id,at,topic,text,%lld FROM gone ORDER BY gone.id RETURNING 1)"
             " SELECT count(*) FROM kept",
             atomic_load(&s->server));
    return pg_number(c, sql, count, why);
}

/* Of those that end in order, "seen" is long ago. */
static enum err bury_one(struct pg_conn *c, int64_t *server, struct why *why)
{
    char sql[300];
    snprintf(sql, sizeof sql,
             "DELETE FROM servers WHERE id=(SELECT min(id) FROM servers"
             " WHERE seen_at < clock_timestamp() - interval '%d ms') RETURNING id",
             SERVER_DEAD_MS);
    return pg_number(c, sql, server, why);
}

struct burial {
    int64_t gone[BURIED_MAX], rows;
    unsigned count;
};

static enum err bury_in(struct postgres_store *s, struct pg_conn *c, bool is_start, struct burial *to, struct why *why)
{
    enum err err = pg_run(c, "SELECT pg_advisory_xact_lock(1886156406, hashtext(current_schema()))", why);
    while (err == ERR_NONE && to->count < BURIED_MAX && (err = bury_one(c, &to->gone[to->count], why)) == ERR_NONE)
        to->count++;
    err = err == ERR_NOT_FOUND ? ERR_NONE : err;
    return err == ERR_NONE && (to->count > 0 || is_start) ? adopt(s, c, &to->rows, why) : err;
}

static void tell_gone(struct postgres_store *s, const struct burial *burial)
{
    for (unsigned i = 0; i < burial->count; i++)
        log_line(s->log, LOG_INFO, "store", "server %" PRId64 " is gone; this one takes over what it had to do",
                 burial->gone[i]);
    pthread_mutex_lock(&s->listener_lock);
    for (unsigned i = 0; s->listener != NULL && i < burial->count; i++)
        s->listener->server_gone(s->listener, burial->gone[i]);
    pthread_mutex_unlock(&s->listener_lock);
    if (burial->rows > 0)
        tell(s, 'e');
}

static enum err bury(struct postgres_store *s, bool is_start, struct why *why)
{
    struct pg_conn *c = &s->beat;
    struct burial burial = {.count = 0};
    int64_t late = 0;
    char sql[160];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM servers WHERE seen_at < clock_timestamp() - interval '%d ms'",
             SERVER_DEAD_MS);
    enum err err = pg_number(c, sql, &late, why);
    if (err != ERR_NONE || (late == 0 && !is_start))
        return err;
    if ((err = pg_run(c, "BEGIN", why)) == ERR_NONE && (err = bury_in(s, c, is_start, &burial, why)) == ERR_NONE)
        err = pg_run(c, "COMMIT", why);
    if (err != ERR_NONE)
        pg_run(c, "ROLLBACK", NULL);
    else
        tell_gone(s, &burial);
    return err;
}

static enum err beat(struct postgres_store *s, bool is_start, struct why *why)
{
    struct pg_conn *c = &s->beat;
    int64_t now = monotonic_ms(), there = 0;
    char sql[160];
    snprintf(sql, sizeof sql,
             "WITH beat AS (UPDATE servers SET seen_at=clock_timestamp() WHERE id=%lld RETURNING 1)"
             " SELECT count(*) FROM beat",
             atomic_load(&s->server));
    enum err err = pg_number(c, sql, &there, why);
    if (err != ERR_NONE)
        return err;
    if (there > 0)
        is_alive(s, now); /* else the next transaction makes us a new server */
    if (!atomic_load(&s->leads)) {
        int64_t has_lock = 0;
        err = pg_number(c, "SELECT pg_try_advisory_lock(1886156407, hashtext(current_schema()))::int", &has_lock, why);
        atomic_store(&s->leads, err == ERR_NONE && has_lock != 0);
    }
    return err ? err : bury(s, is_start, why);
}

static void wait_for_notices(struct postgres_store *s, int ms)
{
    struct pollfd fds[2] = {{s->wake, POLLIN, 0}, {s->beat.db ? PQsocket(s->beat.db) : -1, POLLIN, 0}};
    poll(fds, 2, ms);
    if (s->beat.db != NULL && fds[1].revents)
        take_notices(s);
}

/* While nothing can be heard, what was remembered of users may have changed. */
static void is_deaf(struct postgres_store *s)
{
    atomic_store(&s->leads, false);
    pg_close(&s->beat);
    tell(s, 'p');
}

static void *run(void *arg)
{
    struct postgres_store *s = arg;
    bool was_deaf = true;
    int64_t next_at = 0;
    while (!atomic_load(&s->is_stopping)) {
        int64_t now = monotonic_ms();
        if (now < next_at) {
            wait_for_notices(s, (int)(next_at - now));
            continue;
        }
        next_at = now + SERVER_BEAT_MS;
        struct why why = {{0}};
        enum err err = pg_connect(&s->beat, &why);
        if (err == ERR_NONE && was_deaf)
            err = pg_run(&s->beat, "LISTEN pluvio", &why);
        if (err == ERR_NONE)
            err = beat(s, was_deaf, &why);
        if (err != ERR_NONE) {
            log_line(s->log, LOG_WARN, "store", "%s", why_text(&why, err));
            is_deaf(s);
        } else if (was_deaf) {
            tell(s, 'e');
            tell(s, 'p');
            tell(s, 'g');
        }
        was_deaf = err != ERR_NONE;
    }
    return NULL;
}

/* --- open and close --------------------------------------------------------------------------- */

static void client_init(struct postgres_store *s, struct client *t, bool is_reading)
{
    t->pg.sql.port.ops = &s->ops;
    t->pg.sql.driver = &pg_driver;
    t->pg.sql.log = s->log;
    t->pg.sql.next_version = next_version;
    t->pg.url = s->url;
    t->store = s;
    t->is_reading = is_reading;
    pthread_mutex_init(&t->lock, NULL);
}

static void client_deinit(struct client *t)
{
    pg_close(&t->pg);
    expected_free(t->pg.sql.expected);
    pthread_mutex_destroy(&t->lock);
}

static enum err open_in(struct postgres_store *s, const char *url, struct why *why)
{
    if ((s->url = strdup(url)) == NULL || (s->wake = eventfd(0, EFD_CLOEXEC)) < 0)
        return why_set(why, ERR_NO_MEMORY, "no memory for the store");
    client_init(s, &s->writer, false);
    for (int i = 0; i < READERS; i++)
        client_init(s, &s->readers[i], true);
    s->beat.url = s->url;
    s->beat.sql.log = s->log;
    enum err err = pg_connect(&s->beat, why);
    if (err == ERR_NONE)
        err = migrate(&s->beat, why);
    if (err == ERR_NONE)
        err = pg_connect(&s->writer.pg, why);
    if (err == ERR_NONE)
        err = join(s, &s->writer.pg, why);
    if (err == ERR_NONE && pthread_create(&s->thread, NULL, run, s) != 0)
        err = why_set(why, ERR_NO_MEMORY, "no thread for the store");
    s->has_thread = err == ERR_NONE;
    return err;
}

enum err postgres_store_open(struct postgres_store **store, const char *url, struct postgres_listener *listener,
                             struct log *log, struct why *why)
{
    struct postgres_store *s = calloc(1, sizeof *s);
    if (s == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory for the store");
    s->ops = sql_nouns;
    s->ops.begin = begin;
    s->ops.commit = commit;
    s->ops.rollback = rollback;
    s->ops.outbox_add = outbox_add;
    s->ops.outbox_list = outbox_list;
    s->ops.outbox_is_ours = outbox_is_ours;
    s->ops.leads = leads;
    s->ops.nodes_expected = nodes_expected;
    s->port.ops = &s->ops;
    s->log = log;
    s->listener = listener;
    s->wake = -1;
    pthread_mutex_init(&s->listener_lock, NULL);
    enum err err = open_in(s, url, why);
    if (err != ERR_NONE) {
        postgres_store_close(s);
        return why_add(why, err, "open the database");
    }
    *store = s;
    return ERR_NONE;
}

/* The others need not wait until we are taken for dead. */
static void leave(struct postgres_store *s)
{
    char sql[100];
    snprintf(sql, sizeof sql, "UPDATE servers SET seen_at='-infinity' WHERE id=%lld", atomic_load(&s->server));
    if (s->beat.db != NULL && pg_run(&s->beat, sql, NULL) != ERR_NONE)
        log_line(s->log, LOG_WARN, "store", "the other servers were not told that this one ends");
}

void postgres_store_close(struct postgres_store *s)
{
    if (s == NULL)
        return;
    atomic_store(&s->is_stopping, true);
    if (s->has_thread) {
        uint64_t one = 1;
        if (write(s->wake, &one, sizeof one) == sizeof one)
            pthread_join(s->thread, NULL);
        leave(s);
    }
    pg_close(&s->beat);
    client_deinit(&s->writer);
    for (int i = 0; i < READERS; i++)
        client_deinit(&s->readers[i]);
    if (s->wake >= 0)
        close(s->wake);
    pthread_mutex_destroy(&s->listener_lock);
    free(s->url);
    free(s);
}

struct fleet_store *postgres_store_port(struct postgres_store *s)
{
    return &s->port;
}

void postgres_store_listen(struct postgres_store *s, struct postgres_listener *listener)
{
    pthread_mutex_lock(&s->listener_lock);
    s->listener = listener;
    pthread_mutex_unlock(&s->listener_lock);
}

int64_t postgres_store_server(struct postgres_store *s)
{
    return atomic_load(&s->server);
}
