#include "codec/json.h"
#include "test.h"
#include "wire/message.h"

#include <stdlib.h>
#include <string.h>

static void topics_read_in_both_forms(void **state)
{
    struct topic t;
    char text[TOPIC_SIZE];
    (void)state;
    for (int kind = 0; kind < TOPIC_COUNT; kind++)
        for (int form = TOPIC_PLAIN; form <= TOPIC_INGEST; form++) {
            assert_true(topic_write(text, sizeof text, (enum topic_kind)kind, "N-1", (enum topic_form)form));
            assert_true(topic_parse(&t, text));
            assert_int_equal(t.kind, kind);
            assert_string_equal(t.node_id, "N-1");
            assert_int_equal(text[0] == '$', form == TOPIC_INGEST && kind < TOPIC_OTAURL);
        }
    assert_true(topic_parse(&t, "$aws/rules/esp_node_otafetch/node/N/otafetch"));
}

static void other_topics_are_none(void **state)
{
    static const char *const bad[] = {
        "",
        "node",
        "node/",
        "node/x",
        "node//otafetch",
        "node/x/otafetch/y",
        "node/a+b/otafetch",
        "$aws/rules/",
        "$aws/rules/x",
        "$aws/rules/x/y/otafetch",
        "nodes/x/otafetch",
        "node/x/none",
        "node/0123456789012345678901234567890123456789012345678901234567890123456789/otafetch"};
    struct topic t;
    char text[20];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(topic_parse(&t, bad[i]));
    assert_false(topic_write(text, sizeof text, TOPIC_OTASTATUS, "a-long-node-id", TOPIC_INGEST));
}

static void a_job_document_goes_there_and_back(void **state)
{
    struct job_document doc = {.job_id = "J",
                               .url = "https://h/f.bin?e=1&s=-_",
                               .fw_version = "1.1",
                               .file_md5 = "d41d8cd98f00b204e9800998ecf8427e",
                               .file_size = 1048576,
                               .metadata = (char *)(uintptr_t) "{\"a\":1}"};
    static struct job_offer back;
    struct json_token tokens[32];
    struct buf text = {0};
    (void)state;
    assert_int_equal(job_document_write(&text, &doc, NULL), ERR_NONE);
    assert_string_equal(
        text.at, "{\"ota_job_id\":\"J\",\"url\":\"https://h/f.bin?e=1&s=-_\",\"fw_version\":\"1.1\","
                 "\"file_md5\":\"d41d8cd98f00b204e9800998ecf8427e\",\"file_size\":1048576,\"metadata\":{\"a\":1}}");
    assert_null(job_offer_read(&back, buf_bytes(&text), tokens, 32, false));
    assert_string_equal(back.url, doc.url);
    assert_int_equal(back.file_size, doc.file_size);
    assert_string_equal(back.metadata, "{\"a\":1}");
    buf_deinit(&text);
}

/* Nodes do not unescape: what would need it must not go out. */
static void a_document_that_needs_escapes_is_refused(void **state)
{
    struct job_document doc = {.job_id = "J", .url = "https://h/\"x"};
    struct buf text = {0};
    (void)state;
    assert_int_equal(job_document_write(&text, &doc, NULL), ERR_USAGE);
    buf_deinit(&text);
}

static void a_report_is_whole_and_short_whatever_it_says(void **state)
{
    struct status_report r = {.job_id = "ZRhABWWP2GC6DN6yWvvSoK", .status = REPORT_FAILED, .ts = 1760000000}, back;
    (void)state;
    for (int n = 0; n < STATUS_INFO_SIZE - 1; n++) {
        static const char *const fill[] = {"x", "\"", "\xc3\xa4", "\xf0\x9f\x98\x80", "\x01"};
        char text[REPORT_SIZE];
        size_t unit = strlen(fill[n % 5]);
        for (int i = 0; i < n; i++)
            r.info[i] = fill[n % 5][(size_t)i % unit];
        r.info[(size_t)n / unit * unit] = '\0';
        size_t len = status_report_write(text, &r);
        assert_true(len > 0 && len <= 199);
        assert_null(memchr(text, '\0', len));
        assert_int_equal(status_report_read(&back, bytes_of(text, len), NULL), ERR_NONE);
        if (n % 5 != 4) /* control characters are not kept by the reader */
            assert_memory_equal(back.info, r.info, strlen(back.info)); /* a beginning of it, whole characters */
        assert_false(back.is_salvaged);
        assert_string_equal(back.job_id, r.job_id);
        assert_int_equal(back.ts, r.ts);
    }
}

/* Old nodes cut reports at 199 bytes; job and status come first and are found in every prefix that holds them. */
static void cut_reports_are_salvaged(void **state)
{
    static const char whole[] = "{\"ota_job_id\":\"J1\",\"status\":\"failed\",\"additional_info\":\"OTA Attempt 1/3 "
                                "failed: \"quoted\" ESP_FAIL\",\"ts\":17";
    size_t needed = strstr(whole, "\"failed\"") + 8 - whole;
    struct status_report r;
    (void)state;
    for (size_t len = 0; len < sizeof whole; len++) {
        char *cut = malloc(len + 1); /* exactly as long, so that a sanitizer sees every step too far */
        memcpy(cut, whole, len);
        enum err err = status_report_read(&r, bytes_of(cut, len), NULL);
        free(cut);
        assert_int_equal(err, len >= needed ? ERR_NONE : ERR_FORMAT);
        if (err == ERR_NONE) {
            assert_string_equal(r.job_id, "J1");
            assert_int_equal(r.status, REPORT_FAILED);
            assert_true(r.is_salvaged);
        }
    }
}

static void odd_reports_are_errors_not_crashes(void **state)
{
    static const char *const bad[] = {"null",
                                      "[]",
                                      "7",
                                      "{}",
                                      "{\"ota_job_id\":1,\"status\":\"success\"}",
                                      "{\"ota_job_id\":\"J\",\"status\":\"what\"}",
                                      "\"status\"\"delayed\"ota_job_id\"\"\"\"a\"o",
                                      "{\"ota_job_id\":\"a b\",\"status\":\"success\"}"};
    struct status_report r;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(status_report_read(&r, bytes_of_text(bad[i]), NULL), ERR_FORMAT);
}

static void texts_are_understood(void **state)
{
    (void)state;
    assert_int_equal(status_info_percent("Downloaded 40% Firmware Image"), 40);
    assert_int_equal(status_info_percent("Downloaded 400% Firmware Image"), -1);
    assert_int_equal(status_info_percent("Downloading Firmware Image"), 0);
    assert_int_equal(status_info_percent("Firmware Image download complete"), 100);
    assert_int_equal(status_info_percent("Starting OTA Upgrade (HTTPS attempt 1/3)"), -1);
    assert_true(status_info_is_rebooting("Rebooting into new firmware (after 2 HTTPS attempts)"));
    assert_true(status_info_is_rollback("Firmware rolled back"));
    assert_false(status_info_is_rollback("Project Name mismatch"));
}

static void fetch_and_config_are_read(void **state)
{
    struct fetch_message m;
    struct node_description d;
    (void)state;
    assert_int_equal(fetch_message_read(&m, bytes_of_text("{\"node_id\":\"N\",\"fw_version\":\"1.0\"}"), NULL),
                     ERR_NONE);
    assert_string_equal(m.fw_version, "1.0");
    assert_int_equal(fetch_message_read(&m, bytes_of_text("{\"node_id\":7}"), NULL), ERR_FORMAT);
    assert_int_equal(fetch_message_read(&m, bytes_of_text("{\"node_id\":\"N\",\"fw_v"), NULL), ERR_FORMAT);
    assert_int_equal(node_description_read(
                         &d,
                         bytes_of_text("{\"node_id\":\"N\",\"info\":{\"fw_version\":\"2\",\"platform\":\"esp32c3\"},"
                                       "\"attributes\":[{\"name\":\"network-id\",\"value\":\"ABCD1234\"}]}"),
                         NULL),
                     ERR_NONE);
    assert_string_equal(d.platform, "esp32c3");
    assert_string_equal(d.network_id, "ABCD1234");
    assert_int_equal(node_description_read(&d, bytes_of_text("{\"node_id\":\"N\"}"), NULL), ERR_FORMAT);
}

static void a_simulator_speaks_for_nodes_of_its_name(void **state)
{
    char node_id[NODE_ID_SIZE];
    (void)state;
    assert_true(simulator_is_name("sim-1a2b"));
    assert_false(simulator_is_name("sim-1a2b-000001"));
    assert_false(simulator_is_name("simple"));
    assert_true(simulator_speaks_for("sim-1a2b", "sim-1a2b-000001"));
    assert_false(simulator_speaks_for("sim-1a2b", "sim-1a2b"));
    assert_false(simulator_speaks_for("sim-1a2b", "sim-1a2bc-000001"));
    assert_false(simulator_speaks_for("sim-1a2b", "n1"));
    assert_false(simulator_speaks_for("n1", "n1-1"));
    assert_string_equal(topic_notice("pluvio/presence/n1/otaurl", node_id), "otaurl");
    assert_string_equal(node_id, "n1");
    assert_null(topic_notice("pluvio/presence/n1", node_id));
    assert_null(topic_notice("node/n1/otaurl", node_id));
}

/* What our plugin tells, and what other brokers tell of their clients. */
static void notices_of_several_brokers_are_understood(void **state)
{
    static const struct {
        const char *topic, *id, *notice;
    } cases[] = {
        {"pluvio/presence/n1/otaurl", "n1", "otaurl"},
        {"pluvio/presence/n1/disconnected", "n1", "disconnected"},
        {"pluvio/presence/n1/connected", "n1", "connected"},
        {"$aws/events/presence/connected/n-2", "n-2", "connected"},
        {"$aws/events/presence/disconnected/n-2", "n-2", "disconnected"},
        {"$aws/events/subscriptions/subscribed/n-2", "n-2", "otaurl"},
        {"$SYS/brokers/emqx@127.0.0.1/clients/n3/connected", "n3", "connected"},
        {"$SYS/brokers/emqx@127.0.0.1/clients/n3/disconnected", "n3", "disconnected"},
        {"pluvio/presence/n1/other", NULL, NULL},
        {"pluvio/presence//otaurl", NULL, NULL},
        {"$SYS/brokers/a/b/clients/n3/connected", NULL, NULL},
        {"$SYS/brokers/a/clients/n3/connected/x", NULL, NULL},
        {"$aws/events/presence/connected/", NULL, NULL},
        {"pluvio/presence/0123456789012345678901234567890123456789012345678901234567890123456789/otaurl", NULL, NULL},
        {"", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char id[NODE_ID_SIZE] = "";
        const char *notice = topic_notice(cases[i].topic, id);
        if (cases[i].notice == NULL)
            assert_null(notice);
        else {
            assert_string_equal(notice, cases[i].notice);
            assert_string_equal(id, cases[i].id);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_read_in_both_forms),
        cmocka_unit_test(other_topics_are_none),
        cmocka_unit_test(a_job_document_goes_there_and_back),
        cmocka_unit_test(a_document_that_needs_escapes_is_refused),
        cmocka_unit_test(a_report_is_whole_and_short_whatever_it_says),
        cmocka_unit_test(cut_reports_are_salvaged),
        cmocka_unit_test(odd_reports_are_errors_not_crashes),
        cmocka_unit_test(texts_are_understood),
        cmocka_unit_test(fetch_and_config_are_read),
        cmocka_unit_test(a_simulator_speaks_for_nodes_of_its_name),
        cmocka_unit_test(notices_of_several_brokers_are_understood),
    };
    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
