/* Goal: a plan means what it says: phases fill exactly, rates grow, gates hold, failures stop. */
#include "fleet/rollout.h"
#include "test.h"

static struct rollout plan(const char *text)
{
    struct rollout r;
    struct why why = {{0}};
    if (rollout_read(&r, text, &why) != ERR_NONE)
        fail_msg("%s: %s", text, why.text);
    return r;
}

static void plans_are_read(void **state)
{
    (void)state;
    struct rollout r = plan("phase 1% success 95% ended 70% soak 1h; phase 500 nodes; phase 100%;"
                            "rate 50/min x1.5 every 1000 succeeded max 1000/min;"
                            "abort rolled-back 5% min 20 pause; abort any 20% sequential;"
                            "in-flight 200; bytes 5M/s; retry 3 backoff 10m");
    assert_int_equal(r.phase_count, 3);
    assert_int_equal(r.phases[0].permille, 10);
    assert_int_equal(r.phases[0].success_permille, 950);
    assert_int_equal(r.phases[0].ended_permille, 700);
    assert_int_equal(r.phases[0].soak_ms, 3600000);
    assert_int_equal(r.phases[1].count, 500);
    assert_int_equal(r.phases[1].success_permille, 900);
    assert_int_equal(r.rate.per_hour, 3000);
    assert_int_equal(r.rate.growth_percent, 150);
    assert_true(r.rate.is_by_success);
    assert_int_equal(r.rate.max_per_hour, 60000);
    assert_int_equal(r.aborts[0].kinds, 1u << FAILURE_ROLLED_BACK);
    assert_true(r.aborts[0].is_pause && r.aborts[1].is_sequential && !r.aborts[1].is_pause);
    assert_int_equal(r.max_in_flight, 200);
    assert_int_equal(r.bytes_per_second, 5000000);
    assert_int_equal(r.retries, 3);
    assert_int_equal(r.backoff_ms, 600000);
    r = plan("");
    assert_int_equal(r.phase_count + r.abort_count, 0);
    assert_int_equal(r.retries, -1);
    plan(" ; ;phase 3; ");
}

static void plans_are_written_as_they_were_read(void **state)
{
    static const char *const texts[] = {
        "",
        "phase 1% success 95% ended 70% soak 1h; phase 500 nodes; phase 100%",
        "in-flight 200; bytes 5M/s; retry 3",
        "rate 50/min x1.5 every 1000 succeeded max 1000/min; retry 0 backoff 10m",
        "rate 3/s; abort failed 0.5% min 3",
        "abort rolled-back 5% min 20 pause; abort any 20% sequential; abort timed-out 3%"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char text[PLAN_SIZE];
        struct rollout r = plan(texts[i]);
        assert_true(rollout_write(&r, text, sizeof text));
        struct rollout again = plan(text);
        assert_memory_equal(&r, &again, sizeof r);
    }
}

static void errors_have_a_place(void **state)
{
    static const struct {
        const char *text, *story;
    } rows[] = {
        {"faze 1%", "phase, rate, abort, in-flight, bytes or retry expected, not \"faze\", at column 1"},
        {"phase", "a share like 5% or a number of nodes"},
        {"phase 0%", "a share like 5%"},
        {"phase 101%", "a share like 5%"},
        {"phase 1% success", "a share like 5% expected, at column 17"},
        {"phase 1% soak never", "a time like 30s"},
        {"phase 50%; phase 10%", "a phase must be larger than the one before"},
        {"phase 50; phase 50", "a phase must be larger"},
        {"phase 1% phase 2%", "; or the end expected, not \"phase\""},
        {"rate fast", "a rate like 50/min"},
        {"rate 5/min x0.5 every 3 started", "a growth from x1 to x100"},
        {"rate 5/min x2 every 3 ended", "started or succeeded expected"},
        {"rate 5/min x2 for 3", "every expected"},
        {"abort bad 5%", "a kind of failure"},
        {"abort any 0%", "would stop every job"},
        {"in-flight 0", "a number expected"},
        {"bytes 5", "bytes like 500k/s"},
        {"retry many", "a number expected"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rollout r;
        struct why why = {{0}};
        assert_int_equal(rollout_read(&r, rows[i].text, &why), ERR_FORMAT);
        if (strstr(why.text, rows[i].story) == NULL)
            fail_msg("%s: %s", rows[i].text, why.text);
    }
}

static void phases_fill_in_fleets_of_any_size(void **state)
{
    struct rollout r = plan("phase 1%; phase 20%; phase 50 nodes");
    (void)state;
    assert_int_equal(rollout_limit(&r, 0, 5), 1); /* at least one */
    assert_int_equal(rollout_limit(&r, 0, 1000000), 10000);
    assert_int_equal(rollout_limit(&r, 2, 20), 20);
    assert_int_equal(rollout_limit(&r, 3, 77), 77);
    static const int64_t sizes[] = {1, 2, 5, 30, 1000, 20000};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++)
        for (unsigned job = 0; job < 20; job++) {
            int64_t within[2] = {0, 0};
            char id[24], job_id[24];
            snprintf(job_id, sizeof job_id, "job-%u", job);
            for (int64_t n = 0; n < sizes[k]; n++) {
                snprintf(id, sizeof id, "node-%lld", (long long)n);
                for (unsigned p = 0; p < 2; p++)
                    within[p] += rollout_place(job_id, id) < rollout_reach(&r, p, sizes[k]);
            }
            for (unsigned p = 0; p < 2; p++) {
                assert_true(within[p] >= rollout_limit(&r, p, sizes[k]));
                if (sizes[k] >= 20000)
                    assert_true(within[p] < 2 * rollout_limit(&r, p, sizes[k]));
            }
        }
}

static void rates_grow(void **state)
{
    struct rollout r = plan("rate 60/h x2 every 10 started max 400/h");
    (void)state;
    assert_int_equal(rollout_rate_now(&r, 0, 0), 60);
    assert_int_equal(rollout_rate_now(&r, 9, 0), 60);
    assert_int_equal(rollout_rate_now(&r, 10, 0), 120);
    assert_int_equal(rollout_rate_now(&r, 25, 99), 240);
    assert_int_equal(rollout_rate_now(&r, 1000000000, 0), 400);
    r = plan("rate 1/s x1.1 every 1 succeeded");
    assert_int_equal(rollout_rate_now(&r, 500, 1), 3960);
    assert_true(rollout_rate_now(&r, 0, 1000000) > 0);
    r = plan("rate 7/h x1 every 1 started");
    assert_int_equal(rollout_rate_now(&r, 1000, 0), 7);
}

static void gates_hold(void **state)
{
    struct rollout r = plan("phase 10 nodes ended 50% success 80%; phase 100%");
    struct rollout_score s = {.audience = 100};
    (void)state;
    assert_false(rollout_gate_holds(&r, 0, &s)); /* nothing has happened */
    s.ended = 4, s.succeeded = 4;
    assert_false(rollout_gate_holds(&r, 0, &s));
    s.ended = 5, s.succeeded = 4;
    assert_true(rollout_gate_holds(&r, 0, &s));
    s.ended = 6;
    assert_false(rollout_gate_holds(&r, 0, &s));
    assert_false(rollout_gate_holds(&r, 2, &s));
}

static void failures_stop_at_their_limit(void **state)
{
    struct rollout r = plan("abort rolled-back 10% min 20");
    struct rollout_score s = {.audience = 1000, .ended = 19, .failures = {[FAILURE_ROLLED_BACK] = 19}};
    char text[160];
    (void)state;
    assert_null(rollout_crossed(&r, &s, text, sizeof text)); /* too few */
    s.ended = 20, s.failures[FAILURE_ROLLED_BACK] = 2;
    assert_non_null(rollout_crossed(&r, &s, text, sizeof text));
    assert_string_equal(text, "2 of 20 nodes that ended are rolled-back, limit 10.0%");
    s.failures[FAILURE_ROLLED_BACK] = 1, s.failures[FAILURE_NETWORK] = 19;
    assert_null(rollout_crossed(&r, &s, text, sizeof text)); /* another kind */
    r = plan("abort failed 50%");
    assert_non_null(rollout_crossed(&r, &s, text, sizeof text));
    s.failures[FAILURE_NETWORK] = 0, s.failures[FAILURE_REJECTED] = 20;
    assert_null(rollout_crossed(&r, &s, text, sizeof text));
    r = plan("abort any 50%");
    assert_non_null(rollout_crossed(&r, &s, text, sizeof text));
}

/* Wald's test sees four failures of four long before a hundred have ended, and leaves what is normal alone. */
static void the_sequential_test_stops_early(void **state)
{
    struct rollout r = plan("abort any 20% min 100 sequential");
    struct rollout_score s = {.audience = 1000, .ended = 4, .failures = {[FAILURE_ROLLED_BACK] = 4}};
    char text[160];
    (void)state;
    assert_non_null(rollout_crossed(&r, &s, text, sizeof text));
    assert_non_null(strstr(text, "clearly above"));
    s.failures[FAILURE_ROLLED_BACK] = 2, s.ended = 40;
    assert_null(rollout_crossed(&r, &s, text, sizeof text));
    r = plan("abort any 20% min 100");
    s = (struct rollout_score){.audience = 1000, .ended = 4, .failures = {[FAILURE_ROLLED_BACK] = 4}};
    assert_null(rollout_crossed(&r, &s, text, sizeof text));
}

static void errors_have_kinds(void **state)
{
    static const struct {
        const char *info;
        enum failure_kind kind;
    } rows[] = {
        {"OTA Attempt 3/3 failed: OTA Begin failed: ESP_ERR_HTTP_CONNECT (errno=113: Host is unreachable)",
         FAILURE_NETWORK},
        {"OTA Attempt 1/3 failed: OTA failed: ESP_ERR_HTTP_CONNECTION_CLOSED (errno=104: x)", FAILURE_NETWORK},
        {"OTA Attempt 3/3 failed: Complete data was not received", FAILURE_NETWORK},
        {"OTA Attempt 3/3 failed: Image validation failed", FAILURE_IMAGE},
        {"OTA finish failed: ESP_ERR_OTA_VALIDATE_FAILED (errno=0: x)", FAILURE_IMAGE},
        {"Failed to read image decription", FAILURE_IMAGE},
        {"OTA failed: ESP_ERR_NO_MEM (errno=12: x)", FAILURE_MEMORY},
        {"OTA failed: ESP_ERR_FLASH_OP_FAIL (errno=0: x)", FAILURE_FLASH},
        {"Missing stream_id or filesize for MQTT OTA", FAILURE_SERVER},
        {"MQTT did not connect within 90 seconds", FAILURE_ROLLED_BACK},
        {"MQTT not connected", FAILURE_NETWORK},
        {"ESP HTTPS OTA Begin failed", FAILURE_NETWORK},
        {"What now", FAILURE_OTHER},
        {"", FAILURE_OTHER},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (failure_kind_of(rows[i].info) != rows[i].kind)
            fail_msg("\"%s\" is %s", rows[i].info, failure_kind_text(failure_kind_of(rows[i].info)));
    assert_int_equal(failure_backoff_ms(FAILURE_NETWORK, 1, 0), 300000);
    assert_int_equal(failure_backoff_ms(FAILURE_NETWORK, 3, 0), 1200000);
    assert_int_equal(failure_backoff_ms(FAILURE_IMAGE, 1, 0), 3600000);
    assert_int_equal(failure_backoff_ms(FAILURE_IMAGE, 2, 60000), 120000);
    assert_int_equal(failure_backoff_ms(FAILURE_OTHER, 4000000000u, 0), 86400000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_read),
        cmocka_unit_test(plans_are_written_as_they_were_read),
        cmocka_unit_test(errors_have_a_place),
        cmocka_unit_test(phases_fill_in_fleets_of_any_size),
        cmocka_unit_test(rates_grow),
        cmocka_unit_test(gates_hold),
        cmocka_unit_test(failures_stop_at_their_limit),
        cmocka_unit_test(the_sequential_test_stops_early),
        cmocka_unit_test(errors_have_kinds),
    };
    return cmocka_run_group_tests_name("fleet rollout", tests, NULL, NULL);
}
