#include "ota/ota.h"
#include "test.h"

static const struct ota_options options = {3, 300000, 90000, 10000, 5000, true, true, "HTTPS"};

static struct ota_effects step(struct ota *ota, enum ota_event_kind kind, const char *text)
{
    struct ota_effects todo;
    ota_step(ota, &(struct ota_event){kind, "J1", text, 7000}, &todo);
    return todo;
}

static void assert_report(const struct ota_effects *todo, unsigned i, enum report_status status, const char *info)
{
    assert_true(i < todo->count);
    assert_int_equal(todo->at[i].kind, OTA_REPORT);
    assert_int_equal(todo->at[i].status, status);
    assert_string_equal(todo->at[i].info, info);
}

static void a_good_update_says_what_rainmaker_says(void **state)
{
    struct ota ota;
    (void)state;
    ota_init(&ota, &options);
    struct ota_effects todo = step(&ota, OTA_JOB_ARRIVED, NULL);
    assert_int_equal(todo.at[0].kind, OTA_SAVE_JOB); /* before anything is done for it (O2) */
    assert_string_equal(todo.at[0].info, "J1");
    assert_int_equal(todo.at[1].kind, OTA_RUN_CALLBACK);
    todo = step(&ota, OTA_GATE_OPEN, NULL);
    assert_int_equal(todo.at[0].kind, OTA_POST_STARTING);
    assert_report(&todo, 1, REPORT_IN_PROGRESS, "Starting OTA Upgrade (HTTPS attempt 1/3)");
    assert_int_equal(todo.at[2].kind, OTA_RUN_ATTEMPT);
    todo = step(&ota, OTA_ATTEMPT_OK, NULL);
    assert_int_equal(todo.at[0].kind, OTA_SAVE_TRIAL); /* before the reboot (O2) */
    assert_report(&todo, 1, REPORT_IN_PROGRESS, "Rebooting into new firmware (after 1 HTTPS attempt)");
    assert_int_equal(todo.at[2].kind, OTA_REBOOT_LATER);
    assert_int_equal(todo.at[2].delay_ms, 10000);
    ota_init(&ota, &options); /* the new image */
    todo = step(&ota, OTA_BOOTED_ON_TRIAL, NULL);
    assert_int_equal(todo.at[0].kind, OTA_START_TRIAL);
    assert_true(ota_is_busy(&ota));
    todo = step(&ota, OTA_DIAGNOSIS_GOOD, NULL);
    assert_int_equal(todo.at[0].kind, OTA_CONFIRM);
    assert_report(&todo, 2, REPORT_SUCCESS, "OTA Upgrade finished and verified successfully");
    assert_int_equal(todo.at[3].kind, OTA_FETCH_LATER);
}

static void three_failures_then_a_fetch(void **state)
{
    struct ota ota;
    (void)state;
    ota_init(&ota, &options);
    step(&ota, OTA_JOB_ARRIVED, NULL);
    step(&ota, OTA_GATE_OPEN, NULL);
    struct ota_effects todo = step(&ota, OTA_ATTEMPT_FAILED, "OTA Begin failed: ESP_ERR_HTTP_CONNECT");
    assert_report(&todo, 0, REPORT_FAILED, "OTA Attempt 1/3 failed: OTA Begin failed: ESP_ERR_HTTP_CONNECT");
    assert_report(&todo, 1, REPORT_IN_PROGRESS, "Starting OTA Upgrade (HTTPS attempt 2/3)");
    step(&ota, OTA_ATTEMPT_FAILED, "x");
    todo = step(&ota, OTA_ATTEMPT_FAILED, "x");
    assert_report(&todo, 0, REPORT_FAILED, "OTA Attempt 3/3 failed: x");
    assert_int_equal(todo.at[1].kind, OTA_FETCH_LATER);
    assert_int_equal(todo.at[1].delay_ms, 300000);
    assert_false(ota_is_busy(&ota));
}

static void a_rollback_is_told_by_the_old_image(void **state)
{
    struct ota ota;
    (void)state;
    ota_init(&ota, &options);
    step(&ota, OTA_BOOTED_ON_TRIAL, NULL);
    struct ota_effects todo = step(&ota, OTA_TRIAL_OVER, NULL);
    assert_int_equal(todo.at[0].kind, OTA_ROLL_BACK);
    ota_init(&ota, &options);
    step(&ota, OTA_BOOTED_ROLLED_BACK, NULL);
    todo = step(&ota, OTA_STARTED, NULL);
    assert_report(&todo, 1, REPORT_REJECTED, "Firmware rolled back");
    assert_int_equal(todo.at[2].kind, OTA_FETCH_LATER);
}

static void a_busy_node_answers(void **state)
{
    static const enum ota_mind_state busy[] = {OTA_QUEUED, OTA_WORKING, OTA_REBOOTING, OTA_ON_TRIAL};
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct ota ota;
        ota_init(&ota, &options);
        ota.state = busy[i];
        struct ota_effects todo = step(&ota, OTA_JOB_ARRIVED, NULL);
        assert_int_equal(todo.count, 1);
        assert_int_equal(todo.at[0].status, REPORT_DELAYED);
        assert_int_equal(ota.state, busy[i]);
    }
}

static void rejected_and_gated_jobs_end(void **state)
{
    struct ota ota;
    (void)state;
    ota_init(&ota, &options);
    step(&ota, OTA_JOB_ARRIVED, NULL);
    struct ota_effects todo = step(&ota, OTA_GATE_LATER, "Not within download window.");
    assert_report(&todo, 0, REPORT_DELAYED, "Not within download window.");
    assert_int_equal(todo.at[1].delay_ms, 7000);
    step(&ota, OTA_JOB_ARRIVED, NULL);
    todo = step(&ota, OTA_GATE_SHUT, "OTA download window lapsed.");
    assert_report(&todo, 0, REPORT_FAILED, "OTA download window lapsed.");
    assert_int_equal(todo.count, 1);
    step(&ota, OTA_JOB_ARRIVED, NULL);
    step(&ota, OTA_GATE_OPEN, NULL);
    todo = step(&ota, OTA_ATTEMPT_REJECTED, "Same version received");
    assert_report(&todo, 0, REPORT_REJECTED, "Same version received");
    assert_false(ota_is_busy(&ota));
}

static void every_other_pair_changes_nothing(void **state)
{
    (void)state;
    for (int in = 0; in < OTA_MIND_STATES; in++)
        for (int on = 0; on < OTA_EVENT_KINDS; on++) {
            struct ota ota;
            struct ota_effects todo;
            ota_init(&ota, &options);
            ota.state = (enum ota_mind_state)in;
            ota.attempt = 1;
            struct ota_event event = {(enum ota_event_kind)on, "J", "text", 1};
            bool is_legal = ota_step(&ota, &event, &todo);
            assert_true(todo.count <= OTA_EFFECTS_MAX);
            if (!is_legal) {
                assert_int_equal(ota.state, in);
                assert_int_equal(todo.count, 1);
                assert_int_equal(todo.at[0].kind, OTA_IGNORE);
            }
            for (unsigned i = 0; i < todo.count; i++) /* only a trial ends in a confirmation (O3) */
                assert_true(todo.at[i].kind != OTA_CONFIRM || in == OTA_ON_TRIAL);
        }
}

#define NOW 1760000000

static void windows_open_and_shut(void **state)
{
    static const struct {
        const char *metadata;
        int minute;
        enum ota_gate gate;
        int64_t delay_s;
    } rows[] = {
        {NULL, 0, OTA_GATE_IS_OPEN, 0},
        {"no json", 0, OTA_GATE_IS_OPEN, 0},
        {"{\"x\":1}", 0, OTA_GATE_IS_OPEN, 0},
        {"{\"download_window\":{\"start\":1380,\"end\":120}}", 1410, OTA_GATE_IS_OPEN, 0},
        {"{\"download_window\":{\"start\":1380,\"end\":120}}", 119, OTA_GATE_IS_OPEN, 0},
        {"{\"download_window\":{\"start\":1380,\"end\":120}}", 120, OTA_GATE_IS_OPEN, 0},
        {"{\"download_window\":{\"start\":1380,\"end\":120}}", 121, OTA_GATE_IS_LATER, 1259 * 60 + 5},
        {"{\"download_window\":{\"start\":1380,\"end\":120}}", 1080, OTA_GATE_IS_LATER, 300 * 60 + 5},
        {"{\"download_window\":{\"start\":120,\"end\":270}}", 270, OTA_GATE_IS_OPEN, 0},
        {"{\"download_window\":{\"start\":120,\"end\":270}}", 271, OTA_GATE_IS_LATER, (1440 - 151) * 60 + 5},
        {"{\"download_window\":{\"start\":120}}", 130, OTA_GATE_IS_SHUT, 0},
        {"{\"download_window\":{\"end\":120}}", 130, OTA_GATE_IS_OPEN, 0},
        {"{\"validity\":{\"start\":1760000100}}", 0, OTA_GATE_IS_LATER, 105},
        {"{\"validity\":{\"end\":1759999999}}", 0, OTA_GATE_IS_SHUT, 0},
        {"{\"validity\":{\"start\":1760000000,\"end\":1760000000}}", 0, OTA_GATE_IS_OPEN, 0},
        {"{\"validity\":{\"end\":1759999999},\"download_window\":{\"start\":1,\"end\":2}}", 9, OTA_GATE_IS_SHUT, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *text = NULL;
        int64_t delay_ms = 0;
        enum ota_gate gate = ota_check_gate(rows[i].metadata, NOW, rows[i].minute, &text, &delay_ms);
        if (gate != rows[i].gate || delay_ms != rows[i].delay_s * 1000 || (gate != OTA_GATE_IS_OPEN) != (text != NULL))
            fail_msg("row %zu: gate %d, delay %lld ms", i, (int)gate, (long long)delay_ms);
    }
    const char *text;
    int64_t delay_ms;
    assert_int_equal(ota_check_gate("{\"validity\":{}}", 1000, 0, &text, &delay_ms), OTA_GATE_IS_LATER);
    assert_string_equal(text, "No time information available yet.");
}

static void headers_are_compared(void **state)
{
    struct app_desc running = {.project_name = "p", .version = "1"},
                    offered = {.project_name = "p", .version = "2", .secure_version = 1};
    struct ota_header_options o = {.secure_version = 1};
    (void)state;
    assert_null(ota_check_header(&running, &offered, &o));
    o.secure_version = 2;
    assert_string_equal(ota_check_header(&running, &offered, &o), "Lower secure version received");
    strcpy(offered.version, "1");
    assert_string_equal(ota_check_header(&running, &offered, &o), "Same version received");
    strcpy(offered.project_name, "q");
    assert_string_equal(ota_check_header(&running, &offered, &o), "Project Name mismatch");
    o = (struct ota_header_options){true, true, true, 9};
    assert_null(ota_check_header(&running, &offered, &o));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_update_says_what_rainmaker_says),
        cmocka_unit_test(three_failures_then_a_fetch),
        cmocka_unit_test(a_rollback_is_told_by_the_old_image),
        cmocka_unit_test(a_busy_node_answers),
        cmocka_unit_test(rejected_and_gated_jobs_end),
        cmocka_unit_test(every_other_pair_changes_nothing),
        cmocka_unit_test(windows_open_and_shut),
        cmocka_unit_test(headers_are_compared),
    };
    return cmocka_run_group_tests_name("ota", tests, NULL, NULL);
}
