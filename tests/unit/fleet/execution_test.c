/* Goal: the table of execution states, pair by pair. */
#include "rig.h"

static void every_other_pair_changes_nothing(void **state)
{
    unsigned legal = 0;
    (void)state;
    for (int in = 0; in < EX_STATES; in++)
        for (int on = 0; on < EX_EVENTS; on++) {
            struct execution e = {.state = (enum execution_state)in};
            bool is_legal = execution_step(&e, (enum execution_event)on);
            legal += is_legal;
            if (!is_legal)
                assert_int_equal(e.state, in);
        }
    assert_in_range(legal, 120, 180);
}

/* An end is undone by nothing but a truer end, by people, and by a node that is found on another version. */
static void ends_stay(void **state)
{
    (void)state;
    for (int in = 0; in < EX_STATES; in++)
        for (int on = 0; on < EX_EVENTS; on++) {
            struct execution e = {.state = (enum execution_state)in};
            if (!execution_is_over(e.state) || !execution_step(&e, (enum execution_event)on))
                continue;
            bool is_truer = e.state == EX_ROLLED_BACK || e.state == EX_SUCCESS;
            bool is_asked = on == EX_RETRY || on == EX_EXCLUDE || on == EX_STRAYED;
            assert_true(is_truer || is_asked);
            assert_true(in != EX_SUCCESS || e.state == EX_ROLLED_BACK || on == EX_STRAYED);
        }
}

static void success_needs_a_word_from_the_new_version(void **state)
{
    (void)state;
    for (int in = 0; in < EX_STATES; in++)
        for (int on = 0; on < EX_EVENTS; on++) {
            struct execution e = {.state = (enum execution_state)in};
            bool was = in == EX_SUCCESS;
            execution_step(&e, (enum execution_event)on);
            if (e.state == EX_SUCCESS && !was)
                assert_true(on == EX_R_SUCCESS || on == EX_TARGET_CONFIRMED || on == EX_TARGET_SEEN);
        }
}

static void words_are_rainmakers(void **state)
{
    static const char *const words[] = {"triggered", "started", "in-progress", "delayed",
                                        "failed",    "success", "rejected",    "unknown"};
    (void)state;
    for (int s = 0; s < EX_STATES; s++) {
        bool is_known = false;
        for (int i = 0; i < 8; i++)
            is_known |= strcmp(execution_state_word((enum execution_state)s), words[i]) == 0;
        assert_true(is_known);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_other_pair_changes_nothing),
        cmocka_unit_test(ends_stay),
        cmocka_unit_test(success_needs_a_word_from_the_new_version),
        cmocka_unit_test(words_are_rainmakers),
    };
    return cmocka_run_group_tests_name("fleet execution", tests, NULL, NULL);
}
