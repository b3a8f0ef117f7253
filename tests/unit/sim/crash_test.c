/* Goal: the server may die at any write of its store; started again, the story ends as without the crash, and nothing
 * that was committed is lost. */
#include "sim/sim.h"
#include "store/sqlite/sqlite_store.h"
#include "test.h"

#include <unistd.h>

static char path[64];

struct opener {
    struct sqlite_store *store;
};

static void remove_files(void)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char name[80];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

static struct fleet_store *reopen(void *opener)
{
    struct opener *o = opener;
    sqlite_store_close(o->store);
    return sqlite_store_open(&o->store, path, NULL, NULL) == ERR_NONE ? sqlite_store_port(o->store) : NULL;
}

/* Four nodes, of which some take the image and some roll back; a plan with a phase, a retry and a limit. */
static struct sim_config story(struct opener *o)
{
    struct sim_config c = sim_calm(4);
    c.seed = 5;
    c.bad_image = 400000;
    c.plan = "phase 50% ended 50% success 0%; in-flight 2";
    c.fetch_period_ms = 3600000;
    c.duration_ms = 48 * 3600000LL;
    c.reopen = reopen;
    c.opener = o;
    return c;
}

static void write_log(struct log *log, enum log_level level, const char *room, const char *text)
{
    (void)log, (void)level;
    fprintf(stderr, "%s: %s\n", room, text);
}

/* Returns how the nodes ended; `*has_crashed` whether the cut was met. */
static uint64_t play(int64_t cut_after, bool *has_crashed)
{
    struct opener o = {NULL};
    struct sim_config c = story(&o);
    static struct log log = {write_log, LOG_DEBUG};
    c.log = getenv("CRASH_TELL") && cut_after == atoi(getenv("CRASH_TELL")) ? &log : NULL;
    struct sim *sim;
    struct why why = {{0}};
    remove_files();
    assert_int_equal(sqlite_store_open(&o.store, path, NULL, NULL), ERR_NONE);
    assert_int_equal(sim_new(&sim, &c, sqlite_store_port(o.store), &why), ERR_NONE);
    sqlite_store_cut_after(o.store, cut_after);
    if (sim_run(sim, &why) != ERR_NONE)
        fail_msg("cut at write %lld: %s", (long long)cut_after, why.text);
    const struct sim_result *r = sim_result(sim);
    uint64_t ends = r->ends;
    for (int i = 0; i < EX_STATES && getenv("CRASH_TELL"); i++)
        if (r->states[i])
            printf("cut %lld: %s %lld\n", (long long)cut_after, execution_state_text((enum execution_state)i),
                   (long long)r->states[i]);
    *has_crashed = r->server_restarts > 0;
    if (r->jobs != 1 || r->jobs_over != 1)
        fail_msg("cut at write %lld: the job did not end", (long long)cut_after);
    sim_free(sim);
    sqlite_store_close(o.store);
    return ends;
}

static void a_crash_at_any_write_changes_no_end(void **state)
{
    bool has_crashed = true;
    int64_t cut = 0;
    (void)state;
    uint64_t expected = play(0, &has_crashed);
    assert_false(has_crashed);
    for (has_crashed = true; has_crashed;) {
        uint64_t ends = play(++cut, &has_crashed);
        if (ends != expected)
            fail_msg("cut at write %lld: the nodes ended otherwise", (long long)cut);
    }
    print_message("%lld writes, each with a crash before it\n", (long long)cut - 1);
    assert_true(cut > 150);
    remove_files();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_crash_at_any_write_changes_no_end)};
    snprintf(path, sizeof path, "%s/pluvio-crash-%d.db", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
             (int)getpid());
    return cmocka_run_group_tests_name("sim crash", tests, NULL, NULL);
}
