/* Goal: what a commit reported is there after the process is gone; what was not committed is not. */
#include "store/sqlite/sqlite_store.h"
#include "test.h"

#include <sqlite3.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/pluvio-store-%d.db", (int)getpid());
    unlink(path);
    return 0;
}

static int tear_down(void **state)
{
    char more[80];
    (void)state;
    unlink(path);
    snprintf(more, sizeof more, "%s-wal", path);
    unlink(more);
    snprintf(more, sizeof more, "%s-shm", path);
    unlink(more);
    return 0;
}

static struct sqlite_store *open_store(void)
{
    struct sqlite_store *s;
    struct why why = {{0}};
    if (sqlite_store_open(&s, path, NULL, &why) != ERR_NONE)
        fail_msg("%s", why.text);
    return s;
}

static void put_node(struct fleet_store *s, const char *id)
{
    struct node n = {.seen_at = 5};
    snprintf(n.id, sizeof n.id, "%s", id);
    assert_int_equal(s->ops->node_put(s, &n, NULL), ERR_NONE);
}

static void commits_survive_a_kill_and_nothing_else_does(void **state)
{
    (void)state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct fleet_store *s = sqlite_store_port(open_store());
        s->ops->begin(s, NULL);
        put_node(s, "committed");
        s->ops->commit(s, NULL);
        s->ops->begin(s, NULL);
        put_node(s, "half-way");
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    char x;
    assert_int_equal(read(ready[0], &x, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    struct sqlite_store *store = open_store();
    struct fleet_store *s = sqlite_store_port(store);
    struct node n;
    assert_int_equal(s->ops->begin(s, NULL), ERR_NONE);
    assert_int_equal(s->ops->node_get(s, "committed", &n, NULL), ERR_NONE);
    assert_int_equal(n.seen_at, 5);
    assert_int_equal(s->ops->node_get(s, "half-way", &n, NULL), ERR_NOT_FOUND);
    s->ops->rollback(s);
    sqlite_store_close(store);
}

static void a_rollback_leaves_no_trace(void **state)
{
    struct sqlite_store *store = open_store();
    struct fleet_store *s = sqlite_store_port(store);
    int64_t count;
    (void)state;
    s->ops->begin(s, NULL);
    put_node(s, "a");
    s->ops->rollback(s);
    s->ops->begin(s, NULL);
    s->ops->node_count(s, &count, NULL);
    assert_int_equal(count, 0);
    s->ops->rollback(s);
    sqlite_store_close(store);
}

static void lists_come_in_pages(void **state)
{
    struct sqlite_store *store = open_store();
    struct fleet_store *s = sqlite_store_port(store);
    static struct node page[10];
    char id[16], after[16] = "";
    unsigned count, seen = 0;
    int64_t total;
    (void)state;
    s->ops->begin(s, NULL);
    for (int i = 0; i < 25; i++) {
        snprintf(id, sizeof id, "n%02d", i);
        put_node(s, id);
        put_node(s, id); /* again: the same row */
    }
    s->ops->node_count(s, &total, NULL);
    assert_int_equal(total, 25);
    do {
        assert_int_equal(s->ops->node_list(s, after, page, 10, &count, NULL), ERR_NONE);
        for (unsigned i = 0; i < count; i++) {
            assert_true(strcmp(page[i].id, after) > 0);
            snprintf(after, sizeof after, "%s", page[i].id);
        }
        seen += count;
    } while (count == 10);
    assert_int_equal(seen, 25);
    s->ops->commit(s, NULL);
    sqlite_store_close(store);
}

static void counts_follow_every_change_of_state(void **state)
{
    struct sqlite_store *store = open_store();
    struct fleet_store *s = sqlite_store_port(store);
    int64_t counts[EX_STATES];
    struct execution e = {.job_id = "J", .node_id = "n", .state = EX_OFFERED};
    (void)state;
    s->ops->begin(s, NULL);
    for (int to = EX_OFFERED; to < EX_STATES; to++) {
        e.state = (enum execution_state)to;
        assert_int_equal(s->ops->execution_put(s, &e, NULL), ERR_NONE);
        assert_int_equal(s->ops->execution_put(s, &e, NULL), ERR_NONE);
        s->ops->execution_counts(s, "J", counts, NULL);
        for (int i = 0; i < EX_STATES; i++)
            assert_int_equal(counts[i], i == to);
    }
    s->ops->commit(s, NULL);
    sqlite_store_close(store);
}

static void the_file_is_private_and_a_newer_one_is_refused(void **state)
{
    struct stat st;
    sqlite3 *db;
    struct sqlite_store *store = open_store();
    struct why why;
    (void)state;
    sqlite_store_close(store);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    sqlite3_open(path, &db);
    sqlite3_exec(db, "PRAGMA user_version=999", NULL, NULL, NULL);
    sqlite3_close(db);
    assert_int_equal(sqlite_store_open(&store, path, NULL, &why), ERR_STORE);
    assert_non_null(strstr(why.text, "newer version"));
}

int main(void)
{
#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FILE(commits_survive_a_kill_and_nothing_else_does),
        WITH_FILE(a_rollback_leaves_no_trace),
        WITH_FILE(lists_come_in_pages),
        WITH_FILE(counts_follow_every_change_of_state),
        WITH_FILE(the_file_is_private_and_a_newer_one_is_refused),
    };
    return cmocka_run_group_tests_name("store sqlite", tests, NULL, NULL);
}
