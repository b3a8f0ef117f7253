/* Goal: what must always hold holds in stories out of numbers; the same number tells the same story, over any store. */
#include "sim/sim.h"
#include "store/memory/memory_store.h"
#include "store/sqlite/sqlite_store.h"
#include "test.h"

static struct sim_result run(const struct sim_config *config, bool is_sqlite)
{
    struct memory_store *memory = NULL;
    struct sqlite_store *sqlite = NULL;
    struct sim *sim;
    struct why why = {{0}};
    if (is_sqlite)
        assert_int_equal(sqlite_store_open(&sqlite, ":memory:", NULL, NULL), ERR_NONE);
    else
        assert_int_equal(memory_store_open(&memory, NULL), ERR_NONE);
    assert_int_equal(sim_new(&sim, config, is_sqlite ? sqlite_store_port(sqlite) : memory_store_port(memory), &why),
                     ERR_NONE);
    if (sim_run(sim, &why) != ERR_NONE)
        fail_msg("%s\nagain: pluvio-fleet simulate --seed %llu --trace", why.text, (unsigned long long)config->seed);
    struct sim_result result = *sim_result(sim);
    sim_free(sim);
    memory_store_close(memory);
    sqlite_store_close(sqlite);
    return result;
}

static void the_same_seed_tells_the_same_story_over_both_stores(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct sim_config c = sim_wild(seed);
        uint64_t first = run(&c, false).hash;
        assert_true(run(&c, false).hash == first);
        assert_true(run(&c, true).hash == first);
        c.seed += 1000;
        assert_true(run(&c, false).hash != first);
    }
}

static void a_calm_campaign_ends_well(void **state)
{
    struct sim_config c = sim_calm(200);
    (void)state;
    c.plan = "phase 5% soak 10m; phase 50%; in-flight 40";
    struct sim_result r = run(&c, false);
    assert_int_equal(r.states[EX_SUCCESS], 200);
    assert_int_equal(r.jobs_over, 1);
    assert_true(r.most_at_work <= 40);
    c.is_force_push = false;
    assert_int_equal(run(&c, false).states[EX_SUCCESS], 200);
}

static void a_bad_image_stops_at_the_limit(void **state)
{
    struct sim_config c = sim_calm(1000);
    (void)state;
    c.bad_image = 500000;
    c.plan = "phase 2% ended 90% success 90%; abort rolled-back 20% min 10";
    struct sim_result r = run(&c, false);
    assert_non_null(strstr(r.stopped, "rolled-back"));
    assert_true(r.documents <= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_tells_the_same_story_over_both_stores),
        cmocka_unit_test(a_calm_campaign_ends_well),
        cmocka_unit_test(a_bad_image_stops_at_the_limit),
    };
    return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
