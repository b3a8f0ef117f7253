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
        struct fleet_store *s = sqlite_store_port(open_store()), *tx;
        s->ops->begin(s, false, &tx, NULL);
        put_node(tx, "committed");
        tx->ops->commit(tx, NULL);
        s->ops->begin(s, false, &tx, NULL);
        put_node(tx, "half-way");
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
    struct fleet_store *s = sqlite_store_port(store), *tx;
    struct node n;
    assert_int_equal(s->ops->begin(s, false, &tx, NULL), ERR_NONE);
    assert_int_equal(tx->ops->node_get(tx, "committed", &n, NULL), ERR_NONE);
    assert_int_equal(n.seen_at, 5);
    assert_int_equal(tx->ops->node_get(tx, "half-way", &n, NULL), ERR_NOT_FOUND);
    tx->ops->rollback(tx);
    sqlite_store_close(store);
}

/* What a reader sees is the last commit, also while a writer is in the middle of something. */
static void readers_do_not_wait_for_the_writer(void **state)
{
    struct sqlite_store *store = open_store();
    struct fleet_store *s = sqlite_store_port(store), *writer, *reader;
    struct node n;
    int64_t count;
    (void)state;
    s->ops->begin(s, false, &writer, NULL);
    put_node(writer, "committed");
    writer->ops->commit(writer, NULL);
    s->ops->begin(s, false, &writer, NULL);
    put_node(writer, "half-way");
    assert_int_equal(s->ops->begin(s, true, &reader, NULL), ERR_NONE);
    assert_int_equal(reader->ops->node_get(reader, "committed", &n, NULL), ERR_NONE);
    assert_int_equal(reader->ops->node_get(reader, "half-way", &n, NULL), ERR_NOT_FOUND);
    reader->ops->node_count(reader, &count, NULL);
    assert_int_equal(count, 1);
    reader->ops->commit(reader, NULL);
    writer->ops->commit(writer, NULL);
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
        WITH_FILE(readers_do_not_wait_for_the_writer),
        WITH_FILE(the_file_is_private_and_a_newer_one_is_refused),
    };
    return cmocka_run_group_tests_name("store sqlite", tests, NULL, NULL);
}
