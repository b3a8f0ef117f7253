/* Goal: PostgreSQL keeps the port's promises, alone and with other servers beside it. */
#include "store/postgres/postgres_store.h"

#include "base/text.h"
#include "contract.h"

#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char base[200], url[260];

static void run_in(const char *database, const char *sql)
{
    char name[260];
    snprintf(name, sizeof name, "%s/%s", base, database);
    PGconn *db = PQconnectdb(name);
    PGresult *r = PQexec(db, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(db));
    PQclear(r);
    PQfinish(db);
}

static void make_database(void)
{
    static unsigned number;
    char sql[120];
    snprintf(url, sizeof url, "%s/pluvio_test_%d_%u", base, (int)getpid(), ++number);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s", strrchr(url, '/') + 1);
    run_in("postgres", sql);
}

static void drop_database(void)
{
    char sql[120];
    snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %s WITH (FORCE)", strrchr(url, '/') + 1);
    run_in("postgres", sql);
}

static struct postgres_store *open_store(void)
{
    struct postgres_store *s;
    struct why why = {{0}};
    if (postgres_store_open(&s, url, NULL, NULL, &why) != ERR_NONE)
        fail_msg("%s", why.text);
    return s;
}

/* --- the contract ----------------------------------------------------------------------------- */

static void close_contract(struct contract *c)
{
    postgres_store_close(c->adapter);
    drop_database();
}

static int open_contract(struct contract *c)
{
    make_database();
    struct postgres_store *s = open_store();
    *c = (struct contract){postgres_store_port(s), close_contract, s};
    return 0;
}

/* --- beyond it -------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    make_database();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    drop_database();
    return 0;
}

static struct fleet_store *begin(struct postgres_store *s, bool is_reading)
{
    struct fleet_store *port = postgres_store_port(s), *tx;
    struct why why = {{0}};
    if (port->ops->begin(port, is_reading, &tx, &why) != ERR_NONE)
        fail_msg("%s", why.text);
    return tx;
}

static void commit(struct fleet_store *tx)
{
    struct why why = {{0}};
    if (tx->ops->commit(tx, &why) != ERR_NONE)
        fail_msg("%s", why.text);
}

static void put_node(struct fleet_store *tx, const char *id)
{
    struct node n = {.seen_at = 5};
    text_copy(n.id, sizeof n.id, id);
    assert_int_equal(tx->ops->node_put(tx, &n, NULL), ERR_NONE);
}

static bool has_node(struct fleet_store *tx, const char *id)
{
    struct node n;
    return tx->ops->node_get(tx, id, &n, NULL) == ERR_NONE;
}

static void add_row(struct fleet_store *tx, const char *node)
{
    struct outbox_row row = {.topic = TOPIC_OTAURL, .at = 1};
    text_copy(row.node_id, sizeof row.node_id, node);
    text_copy(row.job_id, sizeof row.job_id, "J");
    assert_int_equal(tx->ops->outbox_add(tx, &row, NULL, NULL), ERR_NONE);
}

static unsigned rows_of(struct postgres_store *s, struct outbox_row *to)
{
    struct outbox_row rows[10];
    unsigned count;
    struct fleet_store *tx = begin(s, false);
    assert_int_equal(tx->ops->outbox_list(tx, 0, to ? to : rows, 10, &count, NULL), ERR_NONE);
    commit(tx);
    return count;
}

static void commits_survive_a_kill_and_nothing_else_does(void **state)
{
    int ready[2];
    char x;
    (void)state;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct postgres_store *s = open_store();
        struct fleet_store *tx = begin(s, false);
        put_node(tx, "committed");
        commit(tx);
        tx = begin(s, false);
        put_node(tx, "half-way");
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &x, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    struct postgres_store *s = open_store();
    struct fleet_store *tx = begin(s, false);
    assert_true(has_node(tx, "committed"));
    assert_false(has_node(tx, "half-way"));
    tx->ops->rollback(tx);
    postgres_store_close(s);
}

static void a_reader_sees_one_moment_and_waits_for_nobody(void **state)
{
    struct postgres_store *a = open_store(), *b = open_store();
    (void)state;
    struct fleet_store *writer = begin(a, false), *reader = begin(b, true);
    put_node(writer, "n");
    assert_false(has_node(reader, "n"));
    commit(writer);
    assert_false(has_node(reader, "n"));
    commit(reader);
    reader = begin(b, true);
    assert_true(has_node(reader, "n"));
    commit(reader);
    postgres_store_close(a);
    postgres_store_close(b);
}

/* Two servers add to one number, each in a transaction; no step is lost. */
static struct postgres_store *racers[2];

static void *race(void *arg)
{
    struct postgres_store *s = arg;
    for (int i = 0; i < 100; i++) {
        struct job_state state = {.started = 0};
        struct fleet_store *tx = begin(s, false);
        tx->ops->job_state_get(tx, "J", &state, NULL);
        text_copy(state.job_id, sizeof state.job_id, "J");
        state.started++;
        assert_int_equal(tx->ops->job_state_put(tx, &state, NULL), ERR_NONE);
        commit(tx);
    }
    return NULL;
}

static void writers_of_two_servers_come_one_after_the_other(void **state)
{
    pthread_t threads[2];
    struct job_state result;
    (void)state;
    for (int i = 0; i < 2; i++)
        racers[i] = open_store();
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, race, racers[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    struct fleet_store *tx = begin(racers[0], true);
    assert_int_equal(tx->ops->job_state_get(tx, "J", &result, NULL), ERR_NONE);
    assert_int_equal(result.started, 200);
    commit(tx);
    postgres_store_close(racers[0]);
    postgres_store_close(racers[1]);
}

static void what_changes_jobs_is_seen_by_the_other_server(void **state)
{
    struct postgres_store *a = open_store(), *b = open_store();
    struct group g = {.id = "g", .name = "g"};
    int64_t before, within, after, later;
    (void)state;
    struct fleet_store *tx = begin(b, false);
    tx->ops->version(tx, &before, NULL);
    commit(tx);
    tx = begin(a, false);
    tx->ops->group_put(tx, &g, NULL);
    tx->ops->version(tx, &within, NULL);
    tx->ops->rollback(tx);
    tx = begin(b, false);
    tx->ops->version(tx, &after, NULL);
    commit(tx);
    assert_int_equal(after, before); /* nothing has changed, and what was half-way has a number of its own */
    assert_int_not_equal(within, before);
    tx = begin(a, false);
    tx->ops->group_put(tx, &g, NULL);
    commit(tx);
    tx = begin(b, false);
    tx->ops->version(tx, &later, NULL);
    commit(tx);
    assert_int_not_equal(later, after);
    assert_int_not_equal(later, within);
    postgres_store_close(a);
    postgres_store_close(b);
}

static void each_server_sends_its_own_and_leaves_the_rest_to_others(void **state)
{
    struct postgres_store *a = open_store(), *b = open_store();
    struct outbox_row rows[10];
    (void)state;
    struct fleet_store *tx = begin(a, false);
    add_row(tx, "of-a");
    add_row(tx, "of-a-too");
    commit(tx);
    tx = begin(b, false);
    add_row(tx, "of-b");
    commit(tx);
    assert_int_equal(rows_of(a, NULL), 2);
    assert_int_equal(rows_of(b, rows), 1);
    assert_string_equal(rows[0].node_id, "of-b");
    postgres_store_close(a); /* an end in order hands over, with the other's next beat */
    for (int i = 0; i < 500 && rows_of(b, NULL) < 3; i++)
        poll(NULL, 0, 10);
    assert_int_equal(rows_of(b, rows), 3);
    assert_string_equal(rows[1].node_id, "of-a");
    assert_true(rows[1].id > rows[0].id);
    postgres_store_close(b);
    b = open_store(); /* nobody was there to take them; who comes has them */
    for (int i = 0; i < 500 && rows_of(b, NULL) < 3; i++)
        poll(NULL, 0, 10);
    assert_int_equal(rows_of(b, NULL), 3);
    postgres_store_close(b);
}

/* One that was stopped for long finds itself dead: its rows are another's, it may not send, and it goes on anew. */
static void who_was_not_heard_of_is_replaced(void **state)
{
    struct postgres_store *a = open_store(), *b = open_store();
    (void)state;
    int64_t was = postgres_store_server(a);
    char sql[120];
    struct fleet_store *tx = begin(a, false);
    add_row(tx, "of-a");
    commit(tx);
    struct fleet_store *port = postgres_store_port(a);
    assert_true(port->ops->outbox_is_ours(port));
    snprintf(sql, sizeof sql, "DELETE FROM servers WHERE id=%lld", (long long)was);
    run_in(strrchr(url, '/') + 1, sql);
    /* Its beats count no more. */
    for (int i = 0; i < 1000 && port->ops->outbox_is_ours(port); i++)
        poll(NULL, 0, 10);
    assert_false(port->ops->outbox_is_ours(port));
    commit(begin(a, false));
    assert_int_not_equal(postgres_store_server(a), was);
    assert_true(port->ops->outbox_is_ours(port));
    assert_int_equal(rows_of(a, NULL), 0);
    postgres_store_close(a);
    postgres_store_close(b);
}

static void a_dead_server_is_noticed_by_time(void **state)
{
    struct postgres_store *b = open_store();
    (void)state;
    /* A server that died a minute ago. */
    run_in(strrchr(url, '/') + 1, "INSERT INTO servers (seen_at) VALUES (now() - interval '1 minute')");
    run_in(strrchr(url, '/') + 1, "INSERT INTO outbox (node_id,job_id,at,topic,text,server)"
                                  " SELECT 'left','J',1,8,'',max(id) FROM servers");
    for (int i = 0; i < 1000 && rows_of(b, NULL) == 0; i++)
        poll(NULL, 0, 10);
    assert_int_equal(rows_of(b, NULL), 1);
    postgres_store_close(b);
}

struct told {
    struct postgres_listener port;
    atomic_int rings, people, gates, gone;
};

static void on_ring(struct postgres_listener *l)
{
    atomic_fetch_add(&((struct told *)l)->rings, 1);
}

static void on_people(struct postgres_listener *l)
{
    atomic_fetch_add(&((struct told *)l)->people, 1);
}

static void on_gate(struct postgres_listener *l)
{
    atomic_fetch_add(&((struct told *)l)->gates, 1);
}

static void on_gone(struct postgres_listener *l, int64_t server)
{
    assert_true(server > 0);
    atomic_fetch_add(&((struct told *)l)->gone, 1);
}

static bool rises(atomic_int *number, int from)
{
    for (int i = 0; i < 1000 && atomic_load(number) == from; i++)
        poll(NULL, 0, 10);
    return atomic_load(number) > from;
}

static void the_others_are_told(void **state)
{
    struct postgres_store *a = open_store(), *b;
    struct told told = {{on_ring, on_people, on_gate, on_gone}, 0, 0, 0, 0};
    (void)state;
    assert_int_equal(postgres_store_open(&b, url, &told.port, NULL, NULL), ERR_NONE);
    assert_true(rises(&told.gates, 0)); /* once at first: it may have missed something */
    int rings = told.rings, people = told.people, gates = told.gates;
    struct fleet_store *tx = begin(a, false);
    struct event e = {.kind = EVENT_NODE};
    tx->ops->event_add(tx, &e, NULL);
    commit(tx);
    assert_true(rises(&told.rings, rings));
    tx = begin(a, false);
    tx->ops->token_delete(tx, "x", NULL);
    commit(tx);
    assert_true(rises(&told.people, people));
    assert_int_equal(told.gates, gates);
    tx = begin(a, false);
    tx->ops->card_put(tx, CARD_DENIED, "n", bytes_of_text("{}"), NULL);
    commit(tx);
    assert_true(rises(&told.gates, gates));
    postgres_store_close(a);
    assert_true(rises(&told.gone, 0));
    postgres_store_listen(b, NULL);
    postgres_store_close(b);
}

static bool does_lead(struct postgres_store *s)
{
    struct fleet_store *port = postgres_store_port(s);
    return port->ops->leads(port);
}

static void one_of_them_leads_and_another_when_it_is_gone(void **state)
{
    struct postgres_store *a = open_store();
    (void)state;
    for (int i = 0; i < 1000 && !does_lead(a); i++)
        poll(NULL, 0, 10);
    struct postgres_store *b = open_store();
    commit(begin(b, false));
    assert_true(does_lead(a));
    assert_false(does_lead(b));
    postgres_store_close(a);
    for (int i = 0; i < 1000 && !does_lead(b); i++)
        poll(NULL, 0, 10);
    assert_true(does_lead(b));
    postgres_store_close(b);
}

/* The database ends all connections: the next transaction finds new ones, one under way fails whole. */
static void connections_come_back(void **state)
{
    struct postgres_store *s = open_store();
    struct why why = {{0}};
    (void)state;
    struct fleet_store *tx = begin(s, false);
    put_node(tx, "half-way");
    run_in("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'pluvio_test%'");
    assert_int_not_equal(tx->ops->commit(tx, &why), ERR_NONE);
    tx = begin(s, false);
    assert_false(has_node(tx, "half-way"));
    put_node(tx, "after");
    commit(tx);
    run_in("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'pluvio_test%'");
    tx = begin(s, true);
    assert_true(has_node(tx, "after"));
    commit(tx);
    postgres_store_close(s);
}

static void what_is_no_utf8_is_kept_as_far_as_it_is(void **state)
{
    struct postgres_store *s = open_store();
    struct node n = {.seen_at = 1}, m;
    (void)state;
    struct fleet_store *tx = begin(s, false);
    text_copy(n.id, sizeof n.id, "n");
    text_copy(n.name, sizeof n.name, "gr\xc3\xbc\xc3\x9f \xff\xe2\x82");
    assert_int_equal(tx->ops->node_put(tx, &n, NULL), ERR_NONE);
    commit(tx);
    tx = begin(s, true);
    assert_int_equal(tx->ops->node_get(tx, "n", &m, NULL), ERR_NONE);
    assert_string_equal(m.name, "gr\xc3\xbc\xc3\x9f ???");
    commit(tx);
    postgres_store_close(s);
}

/* What is expected is what would have been read, and follows what is written. */
static void what_is_expected_is_what_is_there(void **state)
{
    struct postgres_store *s = open_store();
    const char *ids[] = {"a", "b", "q\"\\,{}"};
    struct execution e = {.state = EX_OFFERED}, list[4];
    struct job j = {.id = "J", .name = "j"};
    struct node n;
    unsigned count;
    (void)state;
    struct fleet_store *tx = begin(s, false);
    put_node(tx, "a");
    put_node(tx, ids[2]);
    tx->ops->job_put(tx, &j, NULL);
    text_copy(e.node_id, sizeof e.node_id, "a");
    text_copy(e.job_id, sizeof e.job_id, "J");
    tx->ops->execution_put(tx, &e, NULL, NULL);
    text_copy(e.job_id, sizeof e.job_id, "OLD");
    e.state = EX_SUCCESS;
    tx->ops->execution_put(tx, &e, NULL, NULL);
    commit(tx);
    tx = begin(s, false);
    assert_int_equal(tx->ops->nodes_expected(tx, ids, 3, NULL), ERR_NONE);
    assert_true(has_node(tx, "a") && has_node(tx, ids[2]) && !has_node(tx, "b"));
    assert_int_equal(tx->ops->execution_get(tx, "J", "a", &e, NULL), ERR_NONE);
    assert_int_equal(tx->ops->execution_get(tx, "J", "b", &e, NULL), ERR_NOT_FOUND);
    assert_int_equal(tx->ops->execution_get(tx, "OLD", "a", &e, NULL), ERR_NONE);
    assert_int_equal(tx->ops->executions_open(tx, "a", list, 4, &count, NULL), ERR_NONE);
    assert_int_equal(count, 1);
    assert_string_equal(list[0].job_id, "J");
    list[0].state = EX_SUCCESS;
    assert_int_equal(tx->ops->execution_put(tx, &list[0], NULL, NULL), ERR_NONE);
    assert_int_equal(tx->ops->executions_open(tx, "a", list, 4, &count, NULL), ERR_NONE);
    assert_int_equal(count, 0);
    put_node(tx, "b");
    assert_int_equal(tx->ops->node_delete(tx, "a", NULL), ERR_NONE);
    assert_true(has_node(tx, "b") && !has_node(tx, "a"));
    commit(tx);
    tx = begin(s, true);
    assert_true(has_node(tx, "b") && !has_node(tx, "a"));
    assert_int_equal(tx->ops->node_get(tx, "b", &n, NULL), ERR_NONE);
    assert_int_equal(n.seen_at, 5);
    commit(tx);
    postgres_store_close(s);
}

/* A newer version has added a column; as long as it says that this one can live with it, both work. */
static void a_newer_schema_is_lived_with_when_it_may_be(void **state)
{
    struct postgres_store *s = open_store();
    struct why why = {{0}};
    (void)state;
    const char *database = strrchr(url, '/') + 1;
    run_in(database, "ALTER TABLE nodes ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'");
    run_in(database, "UPDATE facts SET value=value+1 WHERE name='schema'");
    struct fleet_store *tx = begin(s, false);
    put_node(tx, "old-program");
    commit(tx);
    postgres_store_close(s);
    s = open_store();
    tx = begin(s, false);
    assert_true(has_node(tx, "old-program"));
    commit(tx);
    postgres_store_close(s);
    run_in(database, "UPDATE facts SET value=99 WHERE name='schema_least'");
    assert_int_equal(postgres_store_open(&s, url, NULL, NULL, &why), ERR_STORE);
    assert_non_null(strstr(why.text, "newer version"));
}

static void a_database_that_is_away_is_an_error_of_its_own(void **state)
{
    struct postgres_store *s;
    struct why why = {{0}};
    (void)state;
    assert_int_equal(postgres_store_open(&s, "postgres://x@127.0.0.1:1/x", NULL, NULL, &why), ERR_STORE_AWAY);
    assert_int_equal(err_http_status(ERR_STORE_AWAY), 503);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        FRESH(commits_survive_a_kill_and_nothing_else_does),
        FRESH(a_reader_sees_one_moment_and_waits_for_nobody),
        FRESH(writers_of_two_servers_come_one_after_the_other),
        FRESH(what_changes_jobs_is_seen_by_the_other_server),
        FRESH(each_server_sends_its_own_and_leaves_the_rest_to_others),
        FRESH(who_was_not_heard_of_is_replaced),
        FRESH(a_dead_server_is_noticed_by_time),
        FRESH(the_others_are_told),
        FRESH(one_of_them_leads_and_another_when_it_is_gone),
        FRESH(connections_come_back),
        FRESH(what_is_no_utf8_is_kept_as_far_as_it_is),
        FRESH(what_is_expected_is_what_is_there),
        FRESH(a_newer_schema_is_lived_with_when_it_may_be),
        FRESH(a_database_that_is_away_is_an_error_of_its_own),
    };
    const char *path = getenv("PLUVIO_POSTGRES_URL_FILE");
    FILE *file = path ? fopen(path, "re") : NULL;
    if (file == NULL || fscanf(file, "%199s", base) != 1) {
        fputs("PLUVIO_POSTGRES_URL_FILE names no file with the URL of a PostgreSQL\n", stderr);
        return 1;
    }
    fclose(file);
    int failed = contract_run("store postgres", open_contract);
    return failed + cmocka_run_group_tests_name("store postgres, beyond", tests, NULL, NULL);
}
