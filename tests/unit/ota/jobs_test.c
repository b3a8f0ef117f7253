/*
 * Goal: job messages of every kind (J1 broken ones, J2 in every order with reboots and losses, J3 at every edge of
 * time) and power cuts at every effect: no job is done twice, told two ways, or lost.
 */
#include "play.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND 1000LL
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

/* --- J1: broken documents --------------------------------------------------------------------- */

static const char *const seeds[] = {
    "{\"ota_job_id\":\"ZRhABWWP2GC6DN6yWvvSoK\",\"url\":\"https://h/f.bin?e=1&s=-_\",\"file_size\":1577600,"
    "\"fw_version\":\"2.0\",\"file_md5\":\"d41d8cd98f00b204e9800998ecf8427e\"}",
    "{\"ota_job_id\":\"J\",\"url\":\"u\"}",
    "{\"url\":\"https:\\/\\/h\\/"
    "f.bin\",\"ota_job_id\":\"J\",\"metadata\":{\"download_window\":{\"start\":120,\"end\":270},"
    "\"esp.ota.target\":\"host_mcu\",\"validity\":{\"start\":1703788200,\"end\":1703961000}}}",
    " { \"ota_job_id\" : \"J\" , \"url\" : \"\\u0068\\ud83d\\ude00\" , \"x\" : [ 1 , { \"url\" : 2 } , null ] } ",
    "{\"ota_job_id\":\"J\",\"url\":\"u\",\"file_size\":-5,\"stream_id\":null,\"fw_version\":\"\",\"file_md5\":7}",
};

/* What is read of bytes that lie exactly there, so that a sanitizer sees every step too far. */
static const char *read_exactly(struct job_offer *offer, const char *text, size_t len, bool needs_stream)
{
    char *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    unsigned room = json_view_count(bytes_of(copy, len));
    struct json_token *tokens = calloc(room ? room : 1, sizeof *tokens);
    const char *problem = job_offer_read(offer, bytes_of(copy, len), tokens, room, needs_stream);
    free(tokens);
    free(copy);
    return problem;
}

/* Either it can be used, and then what must be there is there, or it says in RainMaker's words why not. */
static void judge(const struct job_offer *offer, const char *problem)
{
    if (problem == NULL)
        assert_true(offer->job_id[0] != '\0' && offer->url[0] != '\0' && offer->file_size >= 0);
    else
        assert_memory_equal(problem, "Aborted. ", 9);
}

static void every_prefix_and_every_byte(void **state)
{
    static struct job_offer offer;
    unsigned cases = 0;
    (void)state;
    for (size_t s = 0; s < sizeof seeds / sizeof seeds[0]; s++) {
        size_t len = strlen(seeds[s]);
        char *text = strdup(seeds[s]);
        assert_null(read_exactly(&offer, text, len, false));
        for (size_t n = 0; n < len; n++, cases++) {
            const char *problem = read_exactly(&offer, text, n, false);
            judge(&offer, problem);
            assert_true(problem != NULL || text[n] == ' ');
        }
        for (size_t at = 0; at < len; at++)
            for (int value = 0; value < 256; value++, cases++) {
                text[at] = (char)value;
                judge(&offer, read_exactly(&offer, text, len, value % 2));
                text[at] = seeds[s][at];
            }
        free(text);
    }
    print_message("J1: %u documents\n", cases);
}

static void members_of_every_kind(void **state)
{
    static const char *const keys[] = {"ota_job_id", "url",       "file_size", "fw_version",
                                       "file_md5",   "stream_id", "metadata"};
    static const char *const values[] = {"null",
                                         "true",
                                         "\"\"",
                                         "\"x\"",
                                         "7",
                                         "-1",
                                         "1e999",
                                         "18446744073709551616",
                                         "1.5",
                                         "[]",
                                         "{}",
                                         "[[[[]]]]",
                                         "{\"a\":{\"b\":[]}}",
                                         "\"\\ud800\"",
                                         "\"\\u0000\"",
                                         "\"\\x\"",
                                         "\"\xff\xfe\"",
                                         "\"a\",\"b\":1"};
    static struct job_offer offer;
    char text[400];
    (void)state;
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
        for (size_t v = 0; v < sizeof values / sizeof values[0]; v++)
            for (int first = 0; first < 2; first++) { /* before or after the good ones: the first of a name counts */
                int n = snprintf(text, sizeof text,
                                 first ? "{\"%s\":%s,\"ota_job_id\":\"J\",\"url\":\"u\"}"
                                       : "{\"ota_job_id\":\"J\",\"url\":\"u\",\"%s\":%s}",
                                 keys[k], values[v]);
                const char *problem = read_exactly(&offer, text, (size_t)n, false);
                judge(&offer, problem);
                if (!first && k < 2 && problem != NULL) /* a second one of the name is not looked at */
                    assert_string_equal(problem, "Aborted. JSON Payload error");
            }
}

static void job_ids_of_every_length(void **state)
{
    static const size_t lens[] = {0, 1, 62, 63, 64, 65, 1000};
    static struct job_offer offer;
    (void)state;
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        char text[1100], id[1001];
        memset(id, 'j', lens[i]);
        id[lens[i]] = '\0';
        int n = snprintf(text, sizeof text, "{\"ota_job_id\":\"%s\",\"url\":\"u\"}", id);
        const char *problem = read_exactly(&offer, text, (size_t)n, false);
        if (lens[i] == 0)
            assert_string_equal(problem, "Aborted. OTA Updated ID not found in JSON");
        else if (lens[i] > 63)
            assert_string_equal(problem, "Aborted. OTA Updated ID memory allocation failed");
        else
            assert_null(problem);
    }
}

static void depth_and_length_have_no_end(void **state)
{
    enum { DEPTH = 10000 };
    static struct job_offer offer;
    static char text[2 * DEPTH + 100];
    (void)state;
    size_t len = (size_t)snprintf(text, sizeof text, "{\"ota_job_id\":\"J\",\"url\":\"u\",\"x\":");
    memset(text + len, '[', DEPTH);
    memset(text + len + DEPTH, ']', DEPTH);
    text[len + 2 * DEPTH] = '}';
    assert_null(read_exactly(&offer, text, len + 2 * DEPTH + 1, false));
    assert_string_equal(read_exactly(&offer, text, len + DEPTH, false), "Aborted. JSON Payload error");
    len = (size_t)snprintf(text, sizeof text, "{\"ota_job_id\":\"J\",\"url\":\"");
    memset(text + len, 'u', JOB_URL_SIZE);
    memcpy(text + len + JOB_URL_SIZE, "\"}", 2);
    assert_string_equal(read_exactly(&offer, text, len + JOB_URL_SIZE + 2, false),
                        "Aborted. URL memory allocation failed");
    memcpy(text + len + JOB_URL_SIZE - 1, "\"}", 2);
    assert_null(read_exactly(&offer, text, len + JOB_URL_SIZE + 1, false));
}

static void escapes_are_resolved(void **state)
{
    static struct job_offer offer;
    (void)state;
    assert_null(read_exactly(&offer, seeds[2], strlen(seeds[2]), false));
    assert_string_equal(offer.url, "https://h/f.bin");
    assert_non_null(strstr(offer.metadata, "{\"download_window\":{\"start\":120,\"end\":270},"));
    assert_null(read_exactly(&offer, seeds[3], strlen(seeds[3]), false));
    assert_string_equal(offer.url, "h\xf0\x9f\x98\x80");
    assert_null(read_exactly(&offer, seeds[0], strlen(seeds[0]), false));
    assert_int_equal(offer.file_size, 1577600);
    assert_string_equal(offer.file_md5, "d41d8cd98f00b204e9800998ecf8427e");
}

/* --- J2: orders ------------------------------------------------------------------------------- */

enum move { JOB_A, JOB_B, OLD_JOB, REBOOT, DROP, DONE, MOVES };

static void move(struct play *p, enum move m)
{
    static const char *const ids[] = {"A", "B", "OLD"}, *const versions[] = {"2.0", "3.0", "4.0"};
    switch (m) {
    case JOB_A:
    case JOB_B:
    case OLD_JOB:
        if (!ota_is_busy(&p->ota))
            p->attempts[0].version = versions[m];
        play_job(p, ids[m], NULL);
        break;
    case REBOOT:
        play_power_cut(p);
        break;
    case DROP:
        play_disconnect(p);
        play_run(p, 3 * SECOND);
        play_connect(p);
        break;
    case DONE:
        play_finish(p);
        play_run(p, 15 * SECOND);
        break;
    case MOVES:
        break;
    }
    play_run(p, SECOND);
}

/* After a job's success or rejection nothing is begun for it, and the same is told of it whenever it is told. */
static void check_job(const char *said, const char *id)
{
    char name[40], *final = NULL;
    snprintf(name, sizeof name, "\"ota_job_id\":\"%s\",\"status\":\"", id);
    for (const char *at = strstr(said, name); at != NULL; at = strstr(at + 1, name)) {
        const char *status = at + strlen(name);
        bool is_final = strncmp(status, "success", 7) == 0 || strncmp(status, "rejected", 8) == 0;
        if (final != NULL && strncmp(status, final, 7) != 0)
            fail_msg("%s changed its mind:\n%s", id, said);
        if (is_final)
            final = (char *)(uintptr_t)status;
    }
}

static struct play play;

static void play_moves(const enum move *moves, int count)
{
    play_init(&play, &ota_options_default, 11);
    struct ota_row old = {
        .job_id = "OLD", .info = "done", .state = OTA_ROW_TOLD, .status = REPORT_SUCCESS, .is_closed = true};
    ota_row_pack(play.rows[2], &old);
    play.attempts[0].stalls = true;
    play_boot(&play);
    for (int i = 0; i < count; i++)
        move(&play, moves[i]);
    play_finish(&play);
    play_run(&play, 100 * SECOND);
    check_job(play.said, "A");
    check_job(play.said, "B");
    check_job(play.said, "OLD");
    assert_int_equal(play_count(&play, "\"OLD\",\"status\":\"in-progress\""), 0);
    assert_int_equal(play.ota.state, OTA_IDLE);
    for (unsigned i = 0; i < OTA_ROWS; i++) /* all was delivered */
        assert_true(play.ota.rows[i].state == OTA_ROW_EMPTY || play.ota.rows[i].state == OTA_ROW_TOLD);
}

static void every_order_of_messages_and_accidents(void **state)
{
    enum { LENGTH = 5 };
    enum move moves[LENGTH];
    unsigned cases = 0;
    (void)state;
    for (int length = 1; length <= LENGTH; length++) {
        int total = 1;
        for (int i = 0; i < length; i++)
            total *= MOVES;
        for (int n = 0; n < total; n++, cases++) {
            for (int i = 0, rest = n; i < length; i++, rest /= MOVES)
                moves[i] = (enum move)(rest % MOVES);
            play_moves(moves, length);
        }
    }
    print_message("J2: %u orders\n", cases);
}

/* --- power cuts at every effect --------------------------------------------------------------- */

struct story {
    const char *name;
    bool has_rollback, diagnosis_is_bad, reports_failed, verify_fails;
    const char *version;
};

/* The server serves the job at each fetch until it has a final word. */
static void live(struct play *p)
{
    for (int i = 0; i < 40 && p->final_status[0] == '\0'; i++) {
        if (!ota_is_busy(&p->ota) && play_count(p, "otafetch") > 0) {
            play_hush(p);
            play_job(p, "J", NULL);
        }
        play_run(p, 20 * SECOND);
    }
}

/* Then a quiet hour: repeats carry the same word. */
static void check_end(struct play *p, const struct story *s, long cut)
{
    const char *expected = s->diagnosis_is_bad || strcmp(s->version, "1.0") == 0 ? "rejected" : "success";
    play_run(p, HOUR);
    if (s->reports_failed)
        return;
    /* A cut on trial is a rollback, whatever the image is worth. */
    bool is_right = strcmp(p->final_status, expected) == 0 || (p->cuts > 0 && strcmp(p->final_status, "rejected") == 0);
    if (!is_right || p->lies > 0)
        fail_msg("%s, cut %ld: \"%s\", %u lies", s->name, cut, p->final_status, p->lies);
    if (strcmp(p->final_status, "success") == 0 && s->has_rollback)
        assert_string_equal(play_version(p), s->version); /* I5 */
    if (strcmp(p->final_status, "rejected") == 0 && strcmp(play_version(p), "1.0") != 0)
        fail_msg("%s, cut %ld: rejected, but %s runs\n%s", s->name, cut, play_version(p), p->said);
    assert_true(p->slots[p->running].state == PLAY_VALID);
    assert_false(p->has_trial_flag);
}

static void a_power_cut_at_every_effect(void **state)
{
    static const struct story stories[] = {
        {"good", true, false, false, false, "2.0"},     {"bad", true, true, false, false, "2.0"},
        {"rejected", true, false, false, false, "1.0"}, {"no rollback", false, false, false, false, "2.0"},
        {"blamed", true, true, true, false, "2.0"},
    };
    unsigned cases = 0;
    (void)state;
    for (size_t i = 0; i < sizeof stories / sizeof stories[0]; i++) {
        const struct story *s = &stories[i];
        struct ota_options options = ota_options_default;
        options.has_rollback = s->has_rollback;
        options.reports_failed = s->reports_failed;
        for (long cut = 0;; cut++, cases++) {
            for (int second = 0; second < 12; second++) { /* and once more, so many effects later */
                play_init(&play, &options, (uint64_t)cut + 1);
                play.attempts[0].version = s->version;
                play.diagnosis_is_bad = s->diagnosis_is_bad;
                play_boot(&play);
                play.cut_after = cut;
                for (int n = 0; n < 2000 && play.cuts == 0 && play.final_status[0] == '\0'; n++) {
                    if (!ota_is_busy(&play.ota) && play_count(&play, "otafetch") > 0) {
                        play_hush(&play);
                        play_job(&play, "J", NULL);
                    }
                    play_run(&play, SECOND);
                    if (s->reports_failed && n > 300)
                        break;
                }
                if (play.cuts > 0)
                    play.cut_after = second == 11 ? -1 : second;
                live(&play);
                play.cut_after = -1;
                live(&play);
                check_end(&play, s, cut);
            }
            if (play.cuts == 0)
                break;
        }
    }
    print_message("power cuts: %u places, twelve second cuts each\n", cases);
}

/* --- J3: time --------------------------------------------------------------------------------- */

/* What RainMaker's specification says, minute by minute, without arithmetic. */
static int minutes_until_open(int start, int end, int minute)
{
    for (int wait = 0;; wait++) {
        int m = (minute + wait) % 1440;
        if (wait > 0 && m == start)
            return wait;
        if (wait == 0 && (start <= end ? m >= start && m <= end : m >= start || m <= end))
            return 0;
    }
}

static void every_minute_of_every_window(void **state)
{
    static const int edges[] = {0, 1, 59, 60, 533, 719, 720, 1438, 1439};
    struct zone utc = {.has_summer = false};
    (void)state;
    for (size_t s = 0; s < 9; s++)
        for (size_t e = 0; e < 9; e++)
            for (int minute = 0; minute < 1440; minute++) {
                struct ota_terms t = {true, -1, -1, edges[s], edges[e]};
                const char *text = NULL;
                int64_t delay_ms = 0, at = 1759968000 + minute * 60 + minute % 60; /* any second of the minute */
                enum ota_event_kind gate = ota_check_terms(&t, &utc, at, &text, &delay_ms);
                int wait = minutes_until_open(edges[s], edges[e], minute);
                if (gate != (wait == 0 ? OTA_GATE_OPEN : OTA_GATE_LATER) ||
                    (wait > 0 && delay_ms != (wait * 60 + 5) * 1000LL))
                    fail_msg("window %d to %d at %d: %s after %lld ms, expected %d min", edges[s], edges[e], minute,
                             ota_event_name(gate), (long long)delay_ms, wait);
            }
}

static void windows_follow_the_local_clock(void **state)
{
    static const char *const zones[] = {"CST-8",
                                        "CET-1CEST,M3.5.0,M10.5.0/3",
                                        "EST5EDT,M3.2.0,M11.1.0",
                                        "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
                                        "NZST-12NZDT,M9.5.0,M4.1.0/3",
                                        "<-03>3"};
    unsigned cases = 0;
    (void)state;
    for (size_t z = 0; z < sizeof zones / sizeof zones[0]; z++) {
        struct zone zone;
        assert_true(zone_parse(&zone, zones[z]));
        for (int64_t at = 1767225600; at < 1767225600 + 365LL * 86400; at += 1860, cases++) { /* 2026 */
            struct ota_terms t = {true, -1, -1, 120, 180};
            const char *text;
            int64_t delay_ms = 0;
            int minute = zone_minute(&zone, at);
            enum ota_event_kind gate = ota_check_terms(&t, &zone, at, &text, &delay_ms);
            assert_int_equal(gate, minute >= 120 && minute <= 180 ? OTA_GATE_OPEN : OTA_GATE_LATER);
            if (gate == OTA_GATE_OPEN)
                continue;
            /* When the fetch comes it is in the window, summer time or not; where that night has no such hour, near. */
            int then = zone_minute(&zone, at / 60 * 60 + delay_ms / 1000);
            if (!(then >= 120 && then <= 181) && !(then >= 60 && then <= 241))
                fail_msg("%s at %lld: the fetch comes at minute %d", zones[z], (long long)at, then);
        }
    }
    print_message("J3: %u moments in six zones\n", cases);
}

static void validity_has_no_year_2038(void **state)
{
    struct zone utc = {.has_summer = false};
    static const int64_t moments[] = {1546300801, 2147483646, 2147483647, 2147483648, 4102444800};
    (void)state;
    for (size_t i = 0; i < 5; i++)
        for (int64_t d = -1; d <= 1; d++) {
            struct ota_terms from = {true, moments[i], -1, -1, -1}, until = {true, -1, moments[i], -1, -1};
            const char *text;
            int64_t delay_ms = 0;
            if (moments[i] + d <= 1546300800)
                continue;
            assert_int_equal(ota_check_terms(&from, &utc, moments[i] + d, &text, &delay_ms),
                             d < 0 ? OTA_GATE_LATER : OTA_GATE_OPEN);
            if (d < 0)
                assert_int_equal(delay_ms, 6000);
            assert_int_equal(ota_check_terms(&until, &utc, moments[i] + d, &text, &delay_ms),
                             d > 0 ? OTA_GATE_SHUT : OTA_GATE_OPEN);
        }
}

static void the_end_of_time_is_far(void **state)
{
    struct zone utc = {.has_summer = false};
    static const int64_t moments[] = {1760000000 + 367 * 86400, 999999999999999999, -999999999999999999};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct ota_terms from = {true, moments[i], -1, -1, -1}, until = {true, -1, moments[i], -1, -1};
        const char *text;
        int64_t delay_ms = 0;
        assert_int_equal(ota_check_terms(&from, &utc, 1760000000, &text, &delay_ms),
                         moments[i] > 0 ? OTA_GATE_LATER : OTA_GATE_OPEN);
        assert_int_equal(delay_ms, moments[i] > 0 ? 366 * 86400000LL : 0);
        assert_int_equal(ota_check_terms(&until, &utc, 1760000000, &text, &delay_ms),
                         moments[i] > 0 ? OTA_GATE_OPEN : OTA_GATE_SHUT);
    }
}

static void the_order_of_the_questions(void **state)
{
    struct zone utc = {.has_summer = false};
    struct ota_terms t = {true, -1, 1759999999, 1, 2}, odd = {true, -1, -1, 2000, 2100}, end = {true, -1, -1, -1, 5};
    const char *text;
    int64_t delay_ms;
    (void)state;
    assert_int_equal(ota_check_terms(&t, &utc, 1760000000, &text, &delay_ms), OTA_GATE_SHUT);
    assert_string_equal(text, "OTA download window lapsed."); /* validity before the window */
    assert_int_equal(ota_check_terms(&t, &utc, 1000, &text, &delay_ms), OTA_GATE_LATER);
    assert_string_equal(text, "No time information available yet."); /* the clock before both */
    assert_int_equal(ota_check_terms(&odd, &utc, 1760000000, &text, &delay_ms), OTA_GATE_SHUT);
    assert_string_equal(text, "Invalid download window specified.");
    assert_int_equal(ota_check_terms(&end, &utc, 1760000000, &text, &delay_ms), OTA_GATE_OPEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_prefix_and_every_byte),    cmocka_unit_test(members_of_every_kind),
        cmocka_unit_test(job_ids_of_every_length),        cmocka_unit_test(depth_and_length_have_no_end),
        cmocka_unit_test(escapes_are_resolved),           cmocka_unit_test(every_order_of_messages_and_accidents),
        cmocka_unit_test(a_power_cut_at_every_effect),    cmocka_unit_test(every_minute_of_every_window),
        cmocka_unit_test(windows_follow_the_local_clock), cmocka_unit_test(validity_has_no_year_2038),
        cmocka_unit_test(the_end_of_time_is_far),         cmocka_unit_test(the_order_of_the_questions),
    };
    return cmocka_run_group_tests_name("ota jobs", tests, NULL, NULL);
}
