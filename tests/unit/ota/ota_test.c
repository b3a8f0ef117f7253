/*
 * Goal: the tables as tables: every pair of state and event, what each promises, and the questions about headers and
 * versions.
 */
#include "base/text.h"
#include "ota/ota.h"
#include "test.h"

#include <string.h>

#define NOW_S 1760000000

static const struct ota_now now = {1000, NOW_S};

/* A mind in that state, as it gets there. */
static void put_into(struct ota *ota, const struct ota_options *options, enum ota_mind_state state)
{
    struct ota_effects todo;
    struct ota_saved saved;
    memset(&saved, 0, sizeof saved);
    ota_init(ota, options, 5);
    if (state == OTA_OFF)
        return;
    ota_step(ota, &(struct ota_event){.kind = OTA_BOOTED, .saved = &saved}, &now, &todo);
    ota->state = state;
    ota->attempt = 1;
    ota->deadline_ms = state == OTA_IDLE ? 0 : 5000;
    ota->is_of_job = true;
    if (state != OTA_IDLE)
        strcpy(ota->job_id, "J");
}

static const struct app_desc desc = {.version = "2", .project_name = "p"};

/* Every event with everything that some event needs. */
static struct ota_event event_of(enum ota_event_kind kind)
{
    static const struct ota_saved saved;
    static const struct ota_terms terms = {false, -1, -1, -1, -1};
    return (struct ota_event){.kind = kind,
                              .job_id = "K",
                              .text = "text",
                              .saved = &saved,
                              .terms = &terms,
                              .running = &desc,
                              .offered = &desc,
                              .value = 1,
                              .total = 100,
                              .status = REPORT_IN_PROGRESS,
                              .ticket = OTA_TICKET_FETCH};
}

/* The states in which an event means something; the rest is O1's.  One string a state, a letter an event: + it does. */
static const char *const legal[OTA_MIND_STATES] = {
    /* booted, connected, disconnected, started, tick | arrived, unusable, callback done, workflow | header, bytes, all
     * received, image good, attempt ok, file done, failed, rejected | good, bad, confirmed, confirm failed | app
     * report, fetch asked, puback, publish failed */
    [OTA_OFF] = "+---- ---- -------- ---- ----",         [OTA_IDLE] = "-++++ ++++ -------- ---- ++--",
    [OTA_QUEUED] = "-++++ +-++ -------- ---- ++--",      [OTA_CONNECTING] = "-++++ +--- +-----++ ---- ++--",
    [OTA_DOWNLOADING] = "-++++ +--- -++---++ ---- ++--", [OTA_VERIFYING] = "-++++ +--- ---+++++ ---- ++--",
    [OTA_REBOOTING] = "-++++ +-+- -------- ---- ++--",   [OTA_ON_TRIAL] = "-++++ +--- -------- ++-- ++--",
    [OTA_CONFIRMING] = "-++++ +--- -------- --++ ++--",  [OTA_ROLLING_BACK] = "-++++ +--- -------- ---- ++--",
};

static bool is_legal_by_table(int state, int event)
{
    const char *at = legal[state];
    for (int left = event; left > 0 || *at == ' '; at++)
        left -= *at != ' ';
    return *at == '+';
}

static bool same_mind(const struct ota *a, const struct ota *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void every_pair_is_in_the_table_or_changes_nothing(void **state)
{
    (void)state;
    for (int in = 0; in < OTA_MIND_STATES; in++)
        for (int on = 0; on < OTA_BOOTED_NORMAL; on++) {
            struct ota ota, before;
            struct ota_effects todo;
            struct ota_event event = event_of((enum ota_event_kind)on);
            put_into(&ota, &ota_options_default, (enum ota_mind_state)in);
            memcpy(&before, &ota, sizeof ota);
            bool is_legal = ota_step(&ota, &event, &now, &todo);
            assert_true(todo.count <= OTA_EFFECTS_MAX);
            if (is_legal != is_legal_by_table(in, on))
                fail_msg("%s, %s: %s", ota_state_name((enum ota_mind_state)in), ota_event_name((enum ota_event_kind)on),
                         is_legal ? "legal" : "not legal");
            if (!is_legal) {
                assert_true(same_mind(&ota, &before));
                assert_int_equal(todo.count, 1);
                assert_int_equal(todo.at[0].kind, OTA_IGNORE);
            }
            for (unsigned i = 0; i < todo.count; i++) /* only a trial ends in a confirmation (O3) */
                assert_true(todo.at[i].kind != OTA_CONFIRM || in == OTA_ON_TRIAL);
        }
}

/* What the mind derives from events is its own business. */
static void derived_events_are_not_for_callers(void **state)
{
    (void)state;
    for (int in = 0; in < OTA_MIND_STATES; in++)
        for (int on = OTA_BOOTED_NORMAL; on < OTA_EVENT_KINDS; on++) {
            struct ota ota, before;
            struct ota_effects todo;
            struct ota_event event = event_of((enum ota_event_kind)on);
            put_into(&ota, &ota_options_default, (enum ota_mind_state)in);
            memcpy(&before, &ota, sizeof ota);
            assert_false(ota_step(&ota, &event, &now, &todo));
            assert_true(same_mind(&ota, &before));
            assert_string_not_equal(ota_event_name((enum ota_event_kind)on), "?");
        }
}

/* O6: whatever the state, at its deadline something happens, and there is a next one or an end. */
static void every_state_has_a_deadline(void **state)
{
    (void)state;
    for (int in = OTA_QUEUED; in < OTA_MIND_STATES; in++) {
        struct ota ota;
        struct ota_effects todo;
        struct ota_now later = {5000, NOW_S + 4};
        put_into(&ota, &ota_options_default, (enum ota_mind_state)in);
        assert_int_equal(ota_next_ms(&ota), 5000);
        assert_true(ota_step(&ota, &(struct ota_event){.kind = OTA_TICK}, &later, &todo));
        assert_true(todo.count > 0 && todo.at[0].kind != OTA_IGNORE);
        assert_true(ota.state == OTA_IDLE || ota.deadline_ms > later.ms);
    }
}

static void an_attempt_that_does_not_end_is_ended_by_a_restart(void **state)
{
    struct ota ota;
    struct ota_effects todo;
    struct ota_now at = now;
    unsigned aborts = 0;
    (void)state;
    put_into(&ota, &ota_options_default, OTA_DOWNLOADING);
    do {
        at.ms = ota.deadline_ms;
        ota_step(&ota, &(struct ota_event){.kind = OTA_TICK}, &at, &todo);
        aborts += todo.at[0].kind == OTA_ABORT_ATTEMPT;
    } while (todo.at[0].kind == OTA_ABORT_ATTEMPT);
    assert_int_equal(todo.at[0].kind, OTA_RESTART);
    assert_int_equal(aborts, 5);
}

/* Steady trickling is not progress for ever. */
static void a_download_has_an_end(void **state)
{
    struct ota ota;
    struct ota_effects todo;
    struct ota_now at = now;
    (void)state;
    put_into(&ota, &ota_options_default, OTA_IDLE);
    ota_step(&ota, &(struct ota_event){.kind = OTA_JOB_ARRIVED, .job_id = "J"}, &at, &todo);
    ota_step(&ota, &(struct ota_event){.kind = OTA_WORKFLOW}, &at, &todo);
    ota_step(&ota, &(struct ota_event){.kind = OTA_HEADER_READ}, &at, &todo);
    for (int64_t i = 1; i < 7 * 60 * 60; i += 30) {
        at.ms = now.ms + i * 1000;
        ota_step(&ota, &(struct ota_event){.kind = OTA_BYTES, .value = i, .total = 1 << 30}, &at, &todo);
        ota_step(&ota, &(struct ota_event){.kind = OTA_TICK}, &at, &todo);
        if (todo.at[0].kind == OTA_ABORT_ATTEMPT)
            return;
    }
    fail_msg("still downloading after seven hours");
}

static void rows_go_to_flash_and_back(void **state)
{
    struct ota_row row = {.job_id = "J",
                          .info = "text",
                          .state = OTA_ROW_PENDING,
                          .status = REPORT_REJECTED,
                          .is_closed = true,
                          .age = 3,
                          .ts = 1760000000},
                   back;
    uint8_t raw[OTA_ROW_BYTES];
    (void)state;
    ota_row_pack(raw, &row);
    ota_row_unpack(&back, bytes_of(raw, sizeof raw));
    assert_memory_equal(&back, &row, sizeof row);
    for (size_t len = 0; len < sizeof raw; len++) {
        ota_row_unpack(&back, bytes_of(raw, len));
        assert_int_equal(back.state, OTA_ROW_EMPTY);
    }
    for (int value = 0; value < 256; value++) { /* no byte makes more of it than a row */
        raw[1] = (uint8_t)value;
        ota_row_unpack(&back, bytes_of(raw, sizeof raw));
        assert_true(back.state <= OTA_ROW_TOLD);
    }
    memset(raw, 0xff, sizeof raw);
    ota_row_unpack(&back, bytes_of(raw, sizeof raw));
    assert_int_equal(back.state, OTA_ROW_EMPTY);
}

static void versions_are_compared_as_versions(void **state)
{
    static const char *const rising[] = {"",      "0.9",     "0.10", "1",     "1.0-rc1", "1.0",    "1.0.1",
                                         "1.2.9", "1.2.010", "1.11", "2.0.0", "10.0",    "v1.0.0", "v1.10.0"};
    (void)state;
    for (size_t a = 0; a < sizeof rising / sizeof rising[0]; a++)
        for (size_t b = 0; b < sizeof rising / sizeof rising[0]; b++) {
            int order = text_compare_versions(rising[a], rising[b]);
            if ((order < 0) != (a < b) || (order > 0) != (a > b))
                fail_msg("\"%s\" and \"%s\": %d", rising[a], rising[b], order);
        }
    assert_int_equal(text_compare_versions("1.02", "1.2"), 0);
}

static void a_mind_is_small(void **state)
{
    (void)state;
    print_message("a mind takes %zu bytes, its effects %zu\n", sizeof(struct ota), sizeof(struct ota_effects));
    assert_true(sizeof(struct ota) < 2048);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_is_in_the_table_or_changes_nothing),
        cmocka_unit_test(derived_events_are_not_for_callers),
        cmocka_unit_test(every_state_has_a_deadline),
        cmocka_unit_test(an_attempt_that_does_not_end_is_ended_by_a_restart),
        cmocka_unit_test(a_download_has_an_end),
        cmocka_unit_test(rows_go_to_flash_and_back),
        cmocka_unit_test(versions_are_compared_as_versions),
        cmocka_unit_test(a_mind_is_small),
    };
    return cmocka_run_group_tests_name("ota", tests, NULL, NULL);
}
