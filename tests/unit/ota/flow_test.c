/*
 * Goal: what a node says, in which order and when, for every outcome of RainMaker's device specification
 * (4.2, 4.4, 4.5, 4.6, 4.8, 4.9), as docs/differences.md leaves it.  Times and texts exactly, on a virtual clock.
 */
#include "play.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND 1000LL
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

static struct play play; /* large; one at a time */

static struct play *node(const struct ota_options *options)
{
    play_init(&play, options, 7);
    play_boot(&play);
    play_run(&play, 4 * SECOND);
    play_hush(&play);
    return &play;
}

static struct play *usual(void)
{
    return node(&ota_options_default);
}

/* One line of what was said: "in-progress Downloading Firmware Image" of job J at that second. */
static void expect(char *to, size_t size, const char *topic, int second, const char *job, const char *status,
                   const char *info, int64_t ts)
{
    size_t len = strlen(to);
    if (strcmp(topic, "otafetch") == 0)
        snprintf(to + len, size - len, "[%d] otafetch {\"node_id\":\"N\",\"fw_version\":\"%s\"}\n", second, info);
    else
        snprintf(to + len, size - len,
                 "[%d] otastatus {\"ota_job_id\":\"%s\",\"status\":\"%s\",\"additional_info\":\"%s\",\"ts\":%lld}\n",
                 second, job, status, info, (long long)ts);
}

struct line {
    int second;
    const char *status, *info; /* status NULL: an otafetch of version `info` */
};

/* `from`: the clock at the boot that the seconds count from. */
static void assert_said(const struct play *p, int64_t from, const struct line *lines, size_t count)
{
    char expected[PLAY_SAID_SIZE] = "";
    int64_t base = from;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && lines[i].second < lines[i - 1].second)
            base += lines[i - 1].second; /* a reboot right after the line before: seconds begin again */
        expect(expected, sizeof expected, lines[i].status ? "otastatus" : "otafetch", lines[i].second, "J",
               lines[i].status, lines[i].info, base + lines[i].second);
    }
    assert_string_equal(p->said, expected);
}

#define ASSERT_SAID(p, from, ...)                                                                                      \
    do {                                                                                                               \
        static const struct line lines[] = {__VA_ARGS__};                                                              \
        assert_said(p, from, lines, sizeof lines / sizeof lines[0]);                                                   \
    } while (0)

/* --- 4.9 -------------------------------------------------------------------------------------- */

static void a_normal_update(void **state)
{
    struct play *p = usual();
    (void)state;
    play_job(p, "J", NULL);
    play_run(p, 9 * SECOND);
    ASSERT_SAID(p, PLAY_BOOTED_S, {4, "in-progress", "Starting OTA Upgrade (HTTPS attempt 1/3)"},
                {4, "in-progress", "Downloading Firmware Image"},
                {4, "in-progress", "Firmware Image download complete"},
                {4, "in-progress", "Rebooting into new firmware (after 1 HTTPS attempt)"});
    assert_int_equal(p->starting_events, 1);
    assert_int_equal(p->boots, 1);
    play_hush(p);
    play_run(p, 8 * SECOND); /* 10 s after the last report it reboots; the fetch comes 5 s after its success */
    ASSERT_SAID(p, PLAY_BOOTED_S + 14, {0, "success", "OTA Upgrade finished and verified successfully"},
                {5, NULL, "2.0"});
    assert_string_equal(play_version(p), "2.0");
    assert_int_equal(p->slots[p->running].state, PLAY_VALID);
    assert_false(p->has_trial_flag);
    assert_string_equal(p->job_id, "");
    play_hush(p);
    play_run(p, HOUR);
    assert_string_equal(p->said, "");
}

static void the_same_version(void **state)
{
    struct play *p = usual();
    (void)state;
    p->attempts[0].version = "1.0";
    play_job(p, "J", NULL);
    play_run(p, 500);
    ASSERT_SAID(p, PLAY_BOOTED_S, {4, "in-progress", "Starting OTA Upgrade (HTTPS attempt 1/3)"},
                {4, "rejected", "Same version received"});
    assert_int_equal(p->ota.state, OTA_IDLE);
}

static void a_server_that_cannot_be_reached(void **state)
{
    struct play *p = usual();
    (void)state;
    play_run(p, 2 * SECOND); /* past the boot's fetch */
    play_hush(p);
    p->attempts[0] = (struct play_attempt){.begin_fails = "OTA Begin failed: ESP_ERR_HTTP_CONNECT (errno=111: x)"};
    play_job(p, "J", NULL);
    ASSERT_SAID(p, PLAY_BOOTED_S, {6, "in-progress", "Starting OTA Upgrade (HTTPS attempt 1/3)"},
                {6, "failed", "OTA Attempt 1/3 failed: OTA Begin failed: ESP_ERR_HTTP_CONNECT (errno=111: x)"},
                {6, "in-progress", "Starting OTA Upgrade (HTTPS attempt 2/3)"},
                {6, "failed", "OTA Attempt 2/3 failed: OTA Begin failed: ESP_ERR_HTTP_CONNECT (errno=111: x)"},
                {6, "in-progress", "Starting OTA Upgrade (HTTPS attempt 3/3)"},
                {6, "failed", "OTA Attempt 3/3 failed: OTA Begin failed: ESP_ERR_HTTP_CONNECT (errno=111: x)"});
    play_hush(p);
    play_run(p, 5 * MINUTE);
    assert_int_equal(play_count(p, "otafetch"), 1); /* within RETRY_DELAY_MINUTES, full jitter */
    assert_int_equal(p->ota.state, OTA_IDLE);
}

static void outside_of_the_window(void **state)
{
    struct play *p = usual();
    (void)state;
    /* 2025-10-09 08:53:24 UTC: minute 533; the window opens at minute 540. */
    play_job(p, "J", "{\"download_window\":{\"start\":540,\"end\":600}}");
    play_run(p, 3 * SECOND);
    ASSERT_SAID(p, PLAY_BOOTED_S, {4, "delayed", "Not within download window."}, {5, NULL, "1.0"});
    play_hush(p);
    play_run(p, 10 * MINUTE);
    assert_string_equal(p->said, "[429] otafetch {\"node_id\":\"N\",\"fw_version\":\"1.0\"}\n"); /* 7 min + 5 s */
    assert_int_equal(p->starting_events, 0);
}

static void an_image_that_does_not_reach_the_broker(void **state)
{
    struct play *p = usual();
    (void)state;
    play_job(p, "J", NULL);
    play_hush(p);
    p->is_connected = false;
    play_run(p, 11 * SECOND);
    assert_string_equal(play_version(p), "2.0");
    play_run(p, 88 * SECOND);
    assert_string_equal(play_version(p), "2.0");
    p->is_connected = true; /* the old image gets through again */
    play_run(p, 2 * SECOND);
    assert_string_equal(play_version(p), "1.0");
    ASSERT_SAID(p, PLAY_BOOTED_S + 104, {0, "rejected", "Firmware rolled back"});
    assert_string_equal(p->job_id, "");
}

static void power_cut_in_a_download(void **state)
{
    struct play *p = usual();
    (void)state;
    p->attempts[0].stalls = true;
    play_job(p, "J", NULL);
    play_hush(p);
    play_power_cut(p);
    play_run(p, 6 * SECOND);
    assert_string_equal(p->said, "[5] otafetch {\"node_id\":\"N\",\"fw_version\":\"1.0\"}\n");
    p->attempts[0].stalls = false;
    play_job(p, "J", NULL); /* the server serves it again */
    play_run(p, MINUTE);
    assert_string_equal(play_version(p), "2.0");
}

static void busy(void **state)
{
    struct play *p = usual();
    (void)state;
    p->attempts[0].stalls = true;
    play_job(p, "J", NULL);
    play_hush(p);
    play_job(p, "J", NULL); /* the same one again: nothing */
    assert_string_equal(p->said, "");
    play_job(p, "B", NULL);
    assert_string_equal(p->said, "[4] otastatus {\"ota_job_id\":\"B\",\"status\":\"delayed\",\"additional_info\":"
                                 "\"Another OTA is in progress.\",\"ts\":1760000004}\n");
    assert_string_equal(p->ota.job_id, "J");
}

/* In every state in which a job runs, the same one again is no news: nothing is said, nothing changes. */
static void the_same_job_again(void **state)
{
    static const enum ota_mind_state states[] = {OTA_QUEUED,    OTA_CONNECTING, OTA_DOWNLOADING, OTA_VERIFYING,
                                                 OTA_REBOOTING, OTA_ON_TRIAL,   OTA_CONFIRMING,  OTA_ROLLING_BACK};
    struct play *p = usual();
    (void)state;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        struct ota_effects todo;
        p->ota.state = states[i];
        snprintf(p->ota.job_id, sizeof p->ota.job_id, "J");
        assert_true(ota_step(&p->ota, &(struct ota_event){.kind = OTA_JOB_ARRIVED, .job_id = "J"}, &p->now, &todo));
        assert_int_equal(todo.count, 0);
        assert_int_equal(p->ota.state, states[i]);
        assert_false(p->ota.owes_fetch);
        assert_true(ota_step(&p->ota, &(struct ota_event){.kind = OTA_JOB_ARRIVED, .job_id = "B"}, &p->now, &todo));
        assert_int_equal(todo.at[0].status, REPORT_DELAYED);
        assert_true(p->ota.owes_fetch);
        p->ota.owes_fetch = false;
    }
}

/* A job that is over is answered in every state, in the words in which it ended. */
static void a_job_that_is_over(void **state)
{
    static const enum ota_mind_state states[] = {OTA_IDLE,      OTA_QUEUED,    OTA_CONNECTING, OTA_DOWNLOADING,
                                                 OTA_VERIFYING, OTA_REBOOTING, OTA_ON_TRIAL,   OTA_CONFIRMING};
    struct play *p = usual();
    (void)state;
    p->ota.rows[1] = (struct ota_row){
        .job_id = "OLD", .info = "done", .state = OTA_ROW_TOLD, .status = REPORT_SUCCESS, .is_closed = true};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        struct ota_effects todo;
        p->ota.state = states[i];
        assert_true(ota_step(&p->ota, &(struct ota_event){.kind = OTA_JOB_ARRIVED, .job_id = "OLD"}, &p->now, &todo));
        assert_int_equal(todo.count, 1);
        assert_int_equal(todo.at[0].kind, OTA_REPORT);
        assert_int_equal(todo.at[0].status, REPORT_SUCCESS);
        assert_string_equal(todo.at[0].info, "done");
        assert_string_equal(todo.job_id, "OLD");
        assert_int_equal(p->ota.state, states[i]);
    }
}

/* States that are entered on the way have deadlines of their own. */
static void verification_and_confirmation_have_an_end(void **state)
{
    struct play *p = usual();
    struct ota_effects todo;
    (void)state;
    play_run(p, 2 * SECOND);
    p->attempts[0].stalls = true;
    play_job(p, "J", NULL);
    ota_step(&p->ota, &(struct ota_event){.kind = OTA_ALL_RECEIVED}, &p->now, &todo);
    assert_int_equal(ota_next_ms(&p->ota), p->now.ms + 10 * MINUTE);
    p->ota.state = OTA_ON_TRIAL;
    ota_step(&p->ota, &(struct ota_event){.kind = OTA_DIAGNOSIS_GOOD}, &p->now, &todo);
    assert_int_equal(p->ota.state, OTA_CONFIRMING);
    assert_int_equal(ota_next_ms(&p->ota), p->now.ms + MINUTE);
}

/* What was put off, rejected or failed is no longer the node's job, in RAM nor in flash. */
static void a_job_that_ended_is_forgotten(void **state)
{
    static const char *const metadata[] = {"{\"validity\":{\"start\":1900000000}}", "{\"validity\":{\"end\":5}}", NULL,
                                           NULL};
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct play *p = usual();
        if (i == 2)
            p->attempts[0].version = "1.0";
        if (i == 3)
            p->attempts[0].is_file = true;
        play_job(p, "J", metadata[i]);
        assert_int_equal(p->ota.state, OTA_IDLE);
        assert_string_equal(p->ota.job_id, "");
        assert_string_equal(p->job_id, "");
    }
}

/* A fetch that is asked for does not wait for the back-off of an earlier one. */
static void a_fetch_that_is_asked_for_goes_at_once(void **state)
{
    struct play *p = usual();
    (void)state;
    play_run(p, 2 * SECOND);
    play_disconnect(p);
    play_tell(p, &(struct ota_event){.kind = OTA_FETCH_ASKED});
    play_run(p, 1);
    assert_int_equal(p->ota.fetch, OTA_FETCH_BACKING_OFF);
    play_connect(p);
    play_hush(p);
    play_tell(p, &(struct ota_event){.kind = OTA_FETCH_ASKED});
    assert_int_equal(play_count(p, "otafetch"), 1);
}

/* An application that never comes back from its callback does not block the node for ever. */
static void a_callback_that_does_not_end(void **state)
{
    struct play *p = usual();
    struct ota_effects todo;
    (void)state;
    play_run(p, 2 * SECOND);
    play_hush(p);
    play_tell(p, &(struct ota_event){.kind = OTA_JOB_ARRIVED, .job_id = "J"});
    p->wants_callback = false; /* it hangs */
    play_run(p, 24 * HOUR - SECOND);
    assert_string_equal(p->said, "");
    play_run(p, SECOND + 5 * MINUTE);
    assert_int_equal(play_count(p, "\"failed\",\"additional_info\":\"The OTA callback did not end in time\""), 1);
    assert_int_equal(play_count(p, "otafetch"), 1);
    assert_string_equal(p->job_id, "");
    assert_string_equal(p->ota.job_id, "");
    assert_true(ota_step(&p->ota, &(struct ota_event){.kind = OTA_CALLBACK_DONE}, &p->now, &todo));
    assert_int_equal(todo.count, 0);
}

/* --- 4.2 -------------------------------------------------------------------------------------- */

static void unusable_documents(void **state)
{
    static const struct {
        const char *json, *said;
    } rows[] = {
        {"{\"url\":", "{\"status\":\"failed\",\"additional_info\":\"Aborted. JSON Payload error\""},
        {"{\"url\":\"u\"}", "{\"status\":\"failed\",\"additional_info\":\"Aborted. OTA Updated ID not found in JSON\""},
        {"{\"ota_job_id\":7,\"url\":\"u\"}",
         "{\"status\":\"failed\",\"additional_info\":\"Aborted. OTA Updated ID not found in JSON\""},
        {"{\"ota_job_id\":\"J\"}",
         "{\"ota_job_id\":\"J\",\"status\":\"failed\",\"additional_info\":\"Aborted. URL not found in JSON\""},
        {"{\"ota_job_id\":\"J\",\"url\":\"u\",\"fw_version\":\"123456789012345678901234567890123\"}",
         "{\"ota_job_id\":\"J\",\"status\":\"failed\",\"additional_info\":\"Aborted. Firmware version memory "
         "allocation "
         "failed\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct play *p = usual();
        play_document(p, rows[i].json);
        assert_non_null(strstr(p->said, rows[i].said));
        assert_int_equal(p->ota.state, OTA_IDLE);
        assert_string_equal(p->job_id, "");
        /* The job may come again, whole. */
        play_document(p, "{\"ota_job_id\":\"J\",\"url\":\"u\"}");
        assert_int_equal(p->ota.state, OTA_REBOOTING);
    }
}

static void a_stream_is_needed_where_downloads_are_streams(void **state)
{
    struct ota_options options = ota_options_default;
    (void)state;
    options.protocol = "MQTT";
    struct play *p = node(&options);
    play_document(p, "{\"ota_job_id\":\"J\",\"url\":\"u\"}");
    assert_non_null(strstr(p->said, "\"additional_info\":\"Aborted. Stream ID not found in JSON\""));
    play_hush(p);
    play_document(p, "{\"ota_job_id\":\"J\",\"url\":\"u\",\"stream_id\":\"s\"}");
    assert_non_null(strstr(p->said, "Starting OTA Upgrade (MQTT attempt 1/3)"));
    assert_non_null(strstr(p->said, "Rebooting into new firmware (after 1 MQTT attempt)"));
}

/* --- 4.4, beyond the rows that are tested as a function (jobs_test.c) -------------------------- */

static void gates(void **state)
{
    static const struct {
        const char *metadata, *status, *info;
        int fetch_at; /* seconds since boot; 0: none but the boot's */
    } rows[] = {
        {"{\"validity\":{\"start\":1760000104}}", "delayed", "Not within valid window.", 109},
        {"{\"validity\":{\"end\":1760000003}}", "failed", "OTA download window lapsed.", 0},
        {"{\"download_window\":{\"start\":60}}", "failed", "Invalid download window specified.", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char info[200];
        struct play *p = usual();
        play_run(p, 2 * SECOND);
        play_hush(p);
        play_job(p, "J", rows[i].metadata);
        snprintf(info, sizeof info, "\"status\":\"%s\",\"additional_info\":\"%s\"", rows[i].status, rows[i].info);
        assert_non_null(strstr(p->said, info));
        assert_int_equal(p->ota.state, OTA_IDLE);
        assert_int_equal(p->starting_events, 0);
        play_hush(p);
        play_run(p, 10 * MINUTE);
        assert_int_equal(play_count(p, "otafetch"), rows[i].fetch_at != 0);
        if (rows[i].fetch_at != 0) {
            snprintf(info, sizeof info, "[%d] otafetch", rows[i].fetch_at);
            assert_non_null(strstr(p->said, info));
        }
    }
}

static void without_a_clock_it_asks_again_soon(void **state)
{
    struct play *p = &play;
    (void)state;
    play_init(p, &ota_options_default, 1);
    p->now.unix_s = 17; /* never set */
    play_boot(p);
    play_run(p, 6 * SECOND);
    play_hush(p);
    play_job(p, "J", "{\"validity\":{}}");
    assert_non_null(strstr(p->said, "\"delayed\",\"additional_info\":\"No time information available yet.\""));
    play_hush(p);
    play_run(p, 31 * SECOND);
    assert_int_equal(play_count(p, "otafetch"), 1);
    assert_non_null(strstr(p->said, "[36] otafetch"));
    play_job(p, "J2", "{\"other\":1}"); /* nothing in it needs a clock */
    assert_int_equal(p->starting_events, 1);
}

/* --- 4.5 -------------------------------------------------------------------------------------- */

static void headers_are_rejected(void **state)
{
    static const struct {
        const char *version, *project, *text;
        uint32_t secure;
    } rows[] = {{"2.0", "other", "Project Name mismatch", 3},
                {"1.0", "app", "Same version received", 3},
                {"2.0", "app", "Lower secure version received", 1},
                {"0.9", "app", "Lower version received", 3}};
    struct ota_options options = ota_options_default;
    (void)state;
    options.secure_version = 2;
    options.refuses_downgrade = true;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char info[120];
        struct play *p = node(&options);
        p->attempts[0] = (struct play_attempt){
            .version = rows[i].version, .project = rows[i].project, .secure_version = rows[i].secure};
        play_job(p, "J", NULL);
        snprintf(info, sizeof info, "\"status\":\"rejected\",\"additional_info\":\"%s\"", rows[i].text);
        assert_non_null(strstr(p->said, info));
        assert_null(strstr(p->said, "Downloading"));
        play_hush(p);
        play_run(p, HOUR);
        assert_int_equal(play_count(p, "otafetch"), 1); /* the boot's alone: a rejected job is over */
    }
    struct ota_options lax = options;
    lax.skips_project_name = lax.skips_version = lax.skips_secure_version = true;
    lax.refuses_downgrade = false;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct play *p = node(&lax);
        p->attempts[0] = (struct play_attempt){.version = rows[i].version, .project = rows[i].project};
        play_job(p, "J", NULL);
        assert_int_equal(p->ota.state, OTA_REBOOTING);
    }
}

static void a_chip_that_does_not_fit(void **state)
{
    struct play *p = usual();
    (void)state;
    p->attempts[0].rejects = "Chip revision mismatch";
    play_job(p, "J", NULL);
    ASSERT_SAID(p, PLAY_BOOTED_S, {4, "in-progress", "Starting OTA Upgrade (HTTPS attempt 1/3)"},
                {4, "in-progress", "Downloading Firmware Image"}, {4, "rejected", "Chip revision mismatch"});
}

static void attempts_until_one_works(void **state)
{
    struct play *p = usual();
    (void)state;
    p->attempts[0].download_fails = "Complete data was not received";
    p->attempts[1] =
        (struct play_attempt){.version = "2.0", .project = "app", .verify_fails = "Image validation failed"};
    p->attempts[2] = (struct play_attempt){.version = "2.0", .project = "app"};
    p->attempt_count = 3;
    play_job(p, "J", NULL);
    ASSERT_SAID(
        p, PLAY_BOOTED_S, {4, "in-progress", "Starting OTA Upgrade (HTTPS attempt 1/3)"},
        {4, "in-progress", "Downloading Firmware Image"},
        {4, "failed", "OTA Attempt 1/3 failed: Complete data was not received"},
        {4, "in-progress", "Starting OTA Upgrade (HTTPS attempt 2/3)"},
        {4, "in-progress", "Downloading Firmware Image"}, {4, "in-progress", "Firmware Image download complete"},
        {4, "failed", "OTA Attempt 2/3 failed: Image validation failed"},
        {4, "in-progress", "Starting OTA Upgrade (HTTPS attempt 3/3)"},
        {4, "in-progress", "Downloading Firmware Image"}, {4, "in-progress", "Firmware Image download complete"},
        {4, "in-progress", "Rebooting into new firmware (after 3 HTTPS attempts)"});
}

/* The trial flag was written for a slot that then could not be selected: it is taken back. */
static void a_slot_that_cannot_be_selected(void **state)
{
    struct play *p = usual();
    (void)state;
    p->attempts[0].finish_fails = "OTA finish failed: ESP_FAIL";
    play_job(p, "J", NULL);
    assert_int_equal(play_count(p, "OTA Attempt 3/3 failed: OTA finish failed: ESP_FAIL"), 1);
    assert_false(p->has_trial_flag);
    p = usual();
    p->attempts[0].finish_fails = "OTA finish failed: ESP_FAIL";
    p->attempts[1] = (struct play_attempt){.version = "2.0", .project = "app", .stalls = true};
    p->attempt_count = 2;
    play_job(p, "J", NULL);
    assert_int_equal(p->ota.state, OTA_DOWNLOADING);
    assert_false(p->has_trial_flag);
    play_power_cut(p);
    play_run(p, SECOND);
    assert_int_equal(play_count(p, "rejected"), 0); /* nothing was rolled back */
}

static void progress_is_told_once_for_each_step(void **state)
{
    static const int percents[] = {1, 9, 10, 11, 19, 35, 35, 60, 99, 100};
    struct ota_options options = ota_options_default;
    (void)state;
    options.progress_percent = 10;
    struct play *p = node(&options);
    memcpy(p->attempts[0].percents, percents, sizeof percents);
    play_job(p, "J", NULL);
    ASSERT_SAID(
        p, PLAY_BOOTED_S, {4, "in-progress", "Starting OTA Upgrade (HTTPS attempt 1/3)"},
        {4, "in-progress", "Downloading Firmware Image"}, {4, "in-progress", "Downloaded 10% Firmware Image"},
        {4, "in-progress", "Downloaded 30% Firmware Image"}, {4, "in-progress", "Downloaded 60% Firmware Image"},
        {4, "in-progress", "Downloaded 90% Firmware Image"}, {4, "in-progress", "Firmware Image download complete"},
        {4, "in-progress", "Rebooting into new firmware (after 1 HTTPS attempt)"});
    /* Without a size there are no percents, and nothing is divided by it. */
    struct ota_effects todo;
    p = node(&options);
    p->attempts[0].stalls = true;
    play_job(p, "J", NULL);
    assert_true(ota_step(&p->ota, &(struct ota_event){.kind = OTA_BYTES, .value = 5}, &p->now, &todo));
    assert_int_equal(todo.count, 0);
}

static void a_stalled_server_is_left(void **state)
{
    struct play *p = usual();
    (void)state;
    play_run(p, 2 * SECOND);
    p->attempts[0].stalls = true;
    play_job(p, "J", NULL);
    play_hush(p);
    play_run(p, 61 * SECOND);
    ASSERT_SAID(p, PLAY_BOOTED_S, {66, "failed", "OTA Attempt 1/3 failed: OTA failed: no data in time"},
                {66, "in-progress", "Starting OTA Upgrade (HTTPS attempt 2/3)"},
                {66, "in-progress", "Downloading Firmware Image"});
    play_run(p, 200 * SECOND);
    assert_int_equal(p->ota.state, OTA_IDLE);
    assert_int_equal(p->restarts, 0);
}

/* --- 4.6 -------------------------------------------------------------------------------------- */

static void without_rollback_success_comes_before_the_reboot(void **state)
{
    struct ota_options options = ota_options_default;
    (void)state;
    options.has_rollback = false;
    struct play *p = node(&options);
    play_job(p, "J", NULL);
    play_run(p, 500);
    ASSERT_SAID(p, PLAY_BOOTED_S, {4, "in-progress", "Starting OTA Upgrade (HTTPS attempt 1/3)"},
                {4, "in-progress", "Downloading Firmware Image"},
                {4, "in-progress", "Firmware Image download complete"},
                {4, "success", "HTTPS OTA Upgrade finished successfully (after 1 attempt)"});
    play_hush(p);
    play_run(p, 20 * SECOND);
    assert_string_equal(play_version(p), "2.0");
    assert_string_equal(p->said, "[5] otafetch {\"node_id\":\"N\",\"fw_version\":\"2.0\"}\n");
}

static void the_application_reboots_when_it_wants(void **state)
{
    struct ota_options options = ota_options_default;
    (void)state;
    options.keeps_running = true;
    struct play *p = node(&options);
    play_job(p, "J", NULL);
    assert_int_equal(p->reboot_requests, 1);
    play_run(p, 23 * HOUR);
    assert_int_equal(p->boots, 1);
    play_run(p, 2 * HOUR);
    assert_int_equal(p->reboot_requests, 2); /* it is reminded */
    assert_int_equal(p->restarts, 0);
    play_hush(p);
    play_boot(p);
    play_run(p, SECOND);
    assert_non_null(strstr(p->said, "OTA Upgrade finished and verified successfully"));
}

static void a_file_for_another_processor_needs_no_reboot(void **state)
{
    struct play *p = usual();
    (void)state;
    p->attempts[0].is_file = true;
    play_job(p, "J", NULL);
    ASSERT_SAID(p, PLAY_BOOTED_S, {4, "in-progress", "Starting OTA Upgrade (HTTPS attempt 1/3)"},
                {4, "in-progress", "Downloading Firmware Image"},
                {4, "in-progress", "Firmware Image download complete"},
                {4, "success", "HTTPS OTA Upgrade finished successfully (after 1 attempt)"});
    play_run(p, HOUR);
    assert_int_equal(p->boots, 1);
}

/* --- 4.8 -------------------------------------------------------------------------------------- */

static struct play *on_trial(const struct ota_options *options)
{
    struct play *p = node(options);
    play_job(p, "J", NULL);
    p->is_connected = false;
    play_run(p, 11 * SECOND);
    assert_int_equal(p->ota.state, OTA_ON_TRIAL);
    play_hush(p);
    return p;
}

static void a_bad_diagnosis_rolls_back(void **state)
{
    struct play *p = on_trial(&ota_options_default);
    (void)state;
    p->diagnosis_is_bad = true;
    play_connect(p);
    play_run(p, SECOND);
    assert_string_equal(play_version(p), "1.0");
    assert_int_equal(play_count(p, "rejected\",\"additional_info\":\"Firmware rolled back"), 1);
    assert_int_equal(play_count(p, "otastatus"), 1); /* the new image says nothing */
}

static void a_pending_diagnosis_waits_for_the_application(void **state)
{
    struct play *p = on_trial(&ota_options_default);
    (void)state;
    p->diagnosis_is_pending = true;
    play_connect(p);
    play_run(p, 60 * SECOND);
    assert_string_equal(p->said, "");
    play_tell(p, &(struct ota_event){.kind = OTA_DIAGNOSIS_GOOD}); /* mark_valid */
    play_run(p, SECOND);
    assert_int_equal(play_count(p, "\"success\""), 1);
    assert_int_equal(p->slots[p->running].state, PLAY_VALID);
    p = on_trial(&ota_options_default);
    p->diagnosis_is_pending = true;
    play_connect(p);
    play_run(p, 91 * SECOND); /* the timer runs on */
    assert_string_equal(play_version(p), "1.0");
}

static void a_reset_on_trial_rolls_back(void **state)
{
    struct play *p = on_trial(&ota_options_default);
    (void)state;
    p->is_connected = true;
    play_power_cut(p);
    play_run(p, SECOND);
    ASSERT_SAID(p, PLAY_BOOTED_S + 15, {0, "rejected", "Firmware rolled back"});
}

static void a_rollback_may_be_told_as_failed(void **state)
{
    struct ota_options options = ota_options_default;
    (void)state;
    options.reports_failed = true;
    struct play *p = on_trial(&options);
    play_run(p, 90 * SECOND);
    assert_string_equal(play_version(p), "1.0");
    play_connect(p);
    play_run(p, SECOND);
    assert_int_equal(
        play_count(p, "\"J\",\"status\":\"failed\",\"additional_info\":\"MQTT did not connect within 90 seconds\""), 1);
    assert_string_equal(p->blame_job_id, "");
    play_hush(p);
    play_job(p, "J", NULL); /* it may come again */
    assert_int_equal(p->ota.state, OTA_REBOOTING);
}

static void rollbacks_can_be_tested(void **state)
{
    struct ota_options options = ota_options_default;
    (void)state;
    options.tests_rollback = true;
    options.test_cycles = 2;
    struct play *p = node(&options);
    for (int cycle = 1; cycle <= 2; cycle++) {
        char info[120];
        play_job(p, "J", NULL);
        play_hush(p);
        play_run(p, 20 * SECOND);
        snprintf(info, sizeof info,
                 "\"failed\",\"additional_info\":\"TEST_ROLLBACK: forced failure to re-trigger OTA (cycle %d/2)\"",
                 cycle);
        assert_int_equal(play_count(p, info), 1);
        assert_int_equal(play_count(p, "rejected"), 0);
        assert_string_equal(play_version(p), "1.0");
    }
    play_job(p, "J", NULL);
    play_run(p, 20 * SECOND);
    assert_int_equal(play_count(p, "\"success\",\"additional_info\":\"TEST_ROLLBACK_END: 2/2 cycles complete; marking "
                                   "valid\""),
                     1);
    assert_string_equal(play_version(p), "2.0");
    assert_int_equal(p->cycles, 0);
    options.test_cycles = 0;
    p = node(&options);
    play_job(p, "J", NULL);
    play_run(p, 20 * SECOND);
    assert_int_equal(play_count(p, "(cycle 1, indefinite)"), 1);
}

/* The original calls this rolled back: power went between the confirmation and its report. */
static void a_confirmed_image_is_a_success(void **state)
{
    struct play *p = on_trial(&ota_options_default);
    (void)state;
    p->is_connected = true;
    p->slots[p->running].state = PLAY_VALID;
    play_boot(p);
    play_run(p, SECOND);
    ASSERT_SAID(p, PLAY_BOOTED_S + 15, {0, "success", "OTA Upgrade finished and verified successfully"});
}

static void an_image_of_nobody_s_job_is_confirmed_without_a_word(void **state)
{
    struct play *p = &play;
    (void)state;
    play_init(p, &ota_options_default, 3);
    p->slots[0].state = PLAY_NEW; /* flashed by cable */
    snprintf(p->job_id, sizeof p->job_id, "old");
    play_boot(p);
    play_run(p, SECOND);
    assert_string_equal(p->said, "");
    assert_int_equal(p->slots[0].state, PLAY_VALID);
}

/* --- outbox ----------------------------------------------------------------------------------- */

static void a_final_report_survives_what_is_lost(void **state)
{
    struct play *p = usual();
    (void)state;
    play_run(p, 2 * SECOND);
    p->attempts[0].version = "1.0";
    p->loses_acks = true;
    play_job(p, "J", NULL);
    play_hush(p);
    play_run(p, 60 * SECOND); /* no PUBACK: again, after a while */
    assert_true(play_count(p, "\"rejected\"") >= 1);
    play_power_cut(p);
    play_hush(p);
    p->loses_acks = false;
    play_boot(p);
    play_run(p, SECOND);
    assert_int_equal(
        play_count(p, "\"J\",\"status\":\"rejected\",\"additional_info\":\"Same version received\",\"ts\":1760000006"),
        1); /* the same value, with the time when it happened */
    play_hush(p);
    play_run(p, HOUR);
    assert_int_equal(play_count(p, "otastatus"), 0); /* told once */
    play_hush(p);
    play_job(p, "J", NULL); /* whoever offers it again is told how it ended; it is not done again */
    assert_int_equal(play_count(p, "Same version received"), 1);
    assert_int_equal(play_count(p, "Starting"), 0);
}

static void a_full_outbox_takes_no_job(void **state)
{
    struct play *p = usual();
    (void)state;
    p->attempts[0].version = "1.0";
    p->loses_acks = true;
    for (int i = 0; i < OTA_ROWS; i++) {
        char id[8];
        snprintf(id, sizeof id, "J%d", i);
        play_job(p, id, NULL);
    }
    play_hush(p);
    play_job(p, "K", NULL);
    assert_int_equal(play_count(p, "Reports of earlier jobs are not delivered yet."), 1);
    p->loses_acks = false;
    play_run(p, HOUR);
    play_hush(p);
    play_job(p, "K", NULL);
    assert_int_equal(play_count(p, "Same version received"), 1);
}

static void a_disconnected_node_tells_when_it_is_back(void **state)
{
    struct play *p = usual();
    (void)state;
    p->attempts[0].version = "1.0";
    p->attempts[0].stalls = false;
    play_disconnect(p);
    play_job(p, "J", NULL);
    play_run(p, HOUR);
    assert_string_equal(p->said, "");
    play_connect(p);
    play_run(p, SECOND);
    assert_int_equal(play_count(p, "\"rejected\""), 1);
    /* A connection that comes back soon is not waited for any longer. */
    p = usual();
    p->attempts[0].version = "1.0";
    play_disconnect(p);
    play_job(p, "J", NULL);
    play_run(p, SECOND);
    play_connect(p);
    assert_int_equal(play_count(p, "\"rejected\""), 1);
}

static void a_failure_of_the_application_s_own_is_kept(void **state)
{
    struct play *p = usual();
    (void)state;
    play_run(p, 2 * SECOND);
    p->has_own_callback = true;
    play_job(p, "J", NULL);
    p->loses_messages = true;
    play_tell(p, &(struct ota_event){.kind = OTA_APP_REPORT, .status = REPORT_FAILED, .text = "host: no answer"});
    p->loses_messages = false;
    play_hush(p);
    play_run(p, MINUTE);
    assert_int_equal(play_count(p, "host: no answer"), 1);
    play_hush(p);
    play_job(p, "J", NULL); /* and the job may come again */
    assert_int_equal(play_count(p, "host: no answer"), 0);
    assert_int_equal(p->ota.state, OTA_IDLE);
}

static void a_report_from_before_the_clock_was_set(void **state)
{
    struct play *p = &play;
    (void)state;
    play_init(p, &ota_options_default, 1);
    p->now.unix_s = 0;
    p->attempts[0].version = "1.0";
    p->loses_acks = true;
    play_boot(p);
    play_job(p, "J", NULL);
    assert_int_equal(play_count(p, "\"Same version received\",\"ts\":0}"), 1);
    p->now.unix_s = PLAY_BOOTED_S;
    play_hush(p);
    play_run(p, MINUTE);
    assert_true(play_count(p, "\"Same version received\",\"ts\":17600000") >=
                1); /* when it is told, for want of better */
}

/* --- 4.3 -------------------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* How far the samples are from an even distribution over 0..1, at most (Kolmogorov and Smirnov). */
static double distance_from_even(double *samples, size_t count)
{
    double most = 0;
    qsort(samples, count, sizeof *samples, compare_doubles);
    for (size_t i = 0; i < count; i++) {
        double above = (double)(i + 1) / (double)count - samples[i], below = samples[i] - (double)i / (double)count;
        double here = above > below ? above : below;
        most = here > most ? here : most;
    }
    return most;
}

static void fetches_back_off_with_full_jitter(void **state)
{
    static const int caps[] = {30, 60, 120, 240, 480, 480, 480};
    enum { NODES = 10000, FAILURES = 7 };
    static double share[FAILURES][NODES];
    (void)state;
    for (unsigned n = 0; n < NODES; n++) {
        struct ota ota;
        struct ota_effects todo;
        struct ota_saved saved;
        struct ota_now now = {1, PLAY_BOOTED_S};
        memset(&saved, 0, sizeof saved);
        ota_init(&ota, &ota_options_default, n * 7919 + 1);
        ota_step(&ota, &(struct ota_event){.kind = OTA_BOOTED, .saved = &saved}, &now, &todo);
        ota_step(&ota, &(struct ota_event){.kind = OTA_FETCH_ASKED}, &now, &todo);
        for (int i = 0; i < FAILURES; i++) {
            assert_int_equal(todo.at[0].kind, OTA_FETCH);
            ota_step(&ota, &(struct ota_event){.kind = OTA_PUBLISH_FAILED, .ticket = OTA_TICKET_FETCH}, &now, &todo);
            int64_t wait = ota_next_ms(&ota) - now.ms;
            assert_true(wait >= 1 && wait <= caps[i] * SECOND);
            share[i][n] = (double)wait / (double)(caps[i] * SECOND);
            now.ms += wait;
            ota_step(&ota, &(struct ota_event){.kind = OTA_TICK}, &now, &todo);
        }
    }
    for (int i = 0; i < FAILURES; i++) { /* 1.95 / sqrt(n): what chance exceeds once in a thousand times */
        double distance = distance_from_even(share[i], NODES);
        if (distance > 1.95 / 100)
            fail_msg("after %d failures the waits of %d nodes are %f from even", i + 1, NODES, distance);
    }
}

static void one_fetch_at_a_time(void **state)
{
    struct play *p = usual();
    (void)state;
    play_run(p, 2 * SECOND);
    play_hush(p);
    p->loses_acks = true;
    play_tell(p, &(struct ota_event){.kind = OTA_FETCH_ASKED});
    play_tell(p, &(struct ota_event){.kind = OTA_FETCH_ASKED}); /* while the first one waits for its PUBACK */
    assert_int_equal(play_count(p, "otafetch"), 1);
    play_run(p, 59 * SECOND);
    assert_int_equal(play_count(p, "otafetch"), 1);
    play_run(p, 31 * SECOND + SECOND); /* 60 s, then within 30 s */
    assert_int_equal(play_count(p, "otafetch"), 2);
}

static void several_delayed_fetches_stand_side_by_side(void **state)
{
    struct play *p = usual();
    (void)state;
    play_run(p, 2 * SECOND);
    play_hush(p);
    for (int i = 1; i <= 3; i++)
        play_tell(p, &(struct ota_event){.kind = OTA_FETCH_ASKED, .value = i * 10 * SECOND});
    play_run(p, MINUTE);
    assert_string_equal(p->said, "[16] otafetch {\"node_id\":\"N\",\"fw_version\":\"1.0\"}\n"
                                 "[26] otafetch {\"node_id\":\"N\",\"fw_version\":\"1.0\"}\n"
                                 "[36] otafetch {\"node_id\":\"N\",\"fw_version\":\"1.0\"}\n");
}

static void autofetch_by_period(void **state)
{
    struct ota_options options = ota_options_default;
    (void)state;
    options.autofetch_period_ms = 24 * HOUR;
    struct play *p = node(&options);
    play_run(p, 24 * HOUR - 5 * SECOND);
    assert_int_equal(play_count(p, "otafetch"), 1); /* the boot's */
    play_run(p, 3 * HOUR);
    assert_int_equal(play_count(p, "otafetch"), 2);
    options.is_autofetch = false;
    p = node(&options);
    play_run(p, 100 * HOUR);
    assert_int_equal(play_count(p, "otafetch"), 0);
}

/* A node that put a job off asks for it when it is done. */
static void a_job_that_was_put_off_is_asked_for(void **state)
{
    struct play *p = usual();
    (void)state;
    play_run(p, 2 * SECOND);
    p->attempts[0].stalls = true;
    play_job(p, "J", NULL);
    play_job(p, "B", NULL);
    play_hush(p);
    play_run(p, 20 * SECOND);
    assert_string_equal(p->said, ""); /* not before */
    play_tell(p, &(struct ota_event){.kind = OTA_ATTEMPT_REJECTED, .text = "Chip revision mismatch"});
    play_hush(p);
    play_run(p, 5 * SECOND);
    assert_int_equal(play_count(p, "otafetch"), 1);
}

/* --- 5: params -------------------------------------------------------------------------------- */

static void params_tell_text_then_status(void **state)
{
    struct ota_options options = ota_options_default;
    (void)state;
    options.is_params = true;
    struct play *p = node(&options);
    play_run(p, 10 * SECOND);
    assert_string_equal(p->said, ""); /* no fetch in this mode */
    play_job(p, "", NULL);
    assert_non_null(strstr(p->said,
                           "[14] params/local {\"OTA\":{\"Info\":\"Starting OTA Upgrade (HTTPS attempt 1/3)\"}}\n"
                           "[14] params/local {\"OTA\":{\"Status\":\"in-progress\"}}\n"));
    assert_null(strstr(p->said, "otastatus"));
    play_hush(p);
    play_job(p, "", NULL); /* busy: nothing */
    assert_string_equal(p->said, "");
    play_run(p, 20 * SECOND);
    assert_string_equal(p->said,
                        "[0] params/local {\"OTA\":{\"Info\":\"OTA Upgrade finished and verified successfully\"}}\n"
                        "[0] params/local {\"OTA\":{\"Status\":\"success\"}}\n");
    p = node(&options);
    p->attempts[0] = (struct play_attempt){.begin_fails = "x"};
    play_job(p, "", NULL);
    play_run(p, HOUR);
    assert_int_equal(play_count(p, "otafetch"), 0); /* no new try after the last attempt */
}

/* --- the application's own way ------------------------------------------------------------------ */

static void an_own_callback_reports_by_itself(void **state)
{
    struct play *p = usual();
    (void)state;
    play_run(p, 2 * SECOND);
    play_hush(p);
    p->has_own_callback = true;
    play_job(p, "J", NULL);
    assert_int_equal(p->ota.state, OTA_IDLE);
    assert_string_equal(p->said, "");
    play_tell(p, &(struct ota_event){.kind = OTA_APP_REPORT, .status = REPORT_IN_PROGRESS, .text = "host: erasing"});
    play_tell(p, &(struct ota_event){.kind = OTA_APP_REPORT, .status = REPORT_SUCCESS, .text = "host: done"});
    play_run(p, SECOND);
    assert_string_equal(p->said, "[6] otastatus {\"ota_job_id\":\"J\",\"status\":\"in-progress\",\"additional_info\":"
                                 "\"host: erasing\",\"ts\":1760000006}\n"
                                 "[6] otastatus {\"ota_job_id\":\"J\",\"status\":\"success\",\"additional_info\":"
                                 "\"host: done\",\"ts\":1760000006}\n");
    play_hush(p);
    play_job(p, "J", NULL);
    assert_int_equal(play_count(p, "host: done"), 1);
}

/* The user is asked first: the workflow begins long after the callback returned. */
static void the_workflow_may_begin_later(void **state)
{
    struct play *p = usual();
    (void)state;
    p->has_own_callback = true;
    play_job(p, "J", NULL);
    play_run(p, HOUR);
    play_hush(p);
    play_tell(p, &(struct ota_event){.kind = OTA_WORKFLOW});
    play_run(p, 20 * SECOND);
    assert_int_equal(play_count(p, "\"J\",\"status\":\"success\""), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_normal_update),
        cmocka_unit_test(the_same_version),
        cmocka_unit_test(a_server_that_cannot_be_reached),
        cmocka_unit_test(outside_of_the_window),
        cmocka_unit_test(an_image_that_does_not_reach_the_broker),
        cmocka_unit_test(power_cut_in_a_download),
        cmocka_unit_test(busy),
        cmocka_unit_test(the_same_job_again),
        cmocka_unit_test(a_job_that_is_over),
        cmocka_unit_test(verification_and_confirmation_have_an_end),
        cmocka_unit_test(a_job_that_ended_is_forgotten),
        cmocka_unit_test(a_fetch_that_is_asked_for_goes_at_once),
        cmocka_unit_test(a_callback_that_does_not_end),
        cmocka_unit_test(a_slot_that_cannot_be_selected),
        cmocka_unit_test(a_failure_of_the_application_s_own_is_kept),
        cmocka_unit_test(a_report_from_before_the_clock_was_set),
        cmocka_unit_test(unusable_documents),
        cmocka_unit_test(a_stream_is_needed_where_downloads_are_streams),
        cmocka_unit_test(gates),
        cmocka_unit_test(without_a_clock_it_asks_again_soon),
        cmocka_unit_test(headers_are_rejected),
        cmocka_unit_test(a_chip_that_does_not_fit),
        cmocka_unit_test(attempts_until_one_works),
        cmocka_unit_test(progress_is_told_once_for_each_step),
        cmocka_unit_test(a_stalled_server_is_left),
        cmocka_unit_test(without_rollback_success_comes_before_the_reboot),
        cmocka_unit_test(the_application_reboots_when_it_wants),
        cmocka_unit_test(a_file_for_another_processor_needs_no_reboot),
        cmocka_unit_test(a_bad_diagnosis_rolls_back),
        cmocka_unit_test(a_pending_diagnosis_waits_for_the_application),
        cmocka_unit_test(a_reset_on_trial_rolls_back),
        cmocka_unit_test(a_rollback_may_be_told_as_failed),
        cmocka_unit_test(rollbacks_can_be_tested),
        cmocka_unit_test(a_confirmed_image_is_a_success),
        cmocka_unit_test(an_image_of_nobody_s_job_is_confirmed_without_a_word),
        cmocka_unit_test(a_final_report_survives_what_is_lost),
        cmocka_unit_test(a_full_outbox_takes_no_job),
        cmocka_unit_test(a_disconnected_node_tells_when_it_is_back),
        cmocka_unit_test(fetches_back_off_with_full_jitter),
        cmocka_unit_test(one_fetch_at_a_time),
        cmocka_unit_test(several_delayed_fetches_stand_side_by_side),
        cmocka_unit_test(autofetch_by_period),
        cmocka_unit_test(a_job_that_was_put_off_is_asked_for),
        cmocka_unit_test(params_tell_text_then_status),
        cmocka_unit_test(an_own_callback_reports_by_itself),
        cmocka_unit_test(the_workflow_may_begin_later),
    };
    return cmocka_run_group_tests_name("ota flow", tests, NULL, NULL);
}
