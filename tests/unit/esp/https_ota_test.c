/* Goal: updates over HTTP and HTTPS meet every odd server, end with the right code, and leave only whole images
 * selected. */
#include "esp/esp.h"
#include "esp/include/esp_encrypted_img.h"
#include "esp/include/esp_heap_caps.h"
#include "esp/include/esp_https_ota.h"
#include "image/encrypted.h"
#include "image/pack.h"
#include "odd_server.h"
#include "test.h"

#include <malloc.h>

#define SIZE 0x100000

static const char csv[] =
    "nvs,data,nvs,0x9000,0x6000\notadata,data,ota,0xf000,0x2000\nfactory,app,factory,0x20000,128K\n"
    "ota_0,app,ota_0,0x40000,128K\nota_1,app,ota_1,0x60000,128K\nblob,data,0x40,0x80000,128K\n";

static struct rig {
    uint8_t *bytes;
    struct flash_ram ram;
    struct esp_options options;
    struct odd_server *server;
    struct buf old, new, other_chip, small, big;
    char url[128];
} rig;

static struct buf make_image(const char *version, size_t elf_len, uint16_t chip)
{
    struct buf image = {0};
    uint8_t *elf = calloc(1, elf_len);
    for (size_t i = 0; i < elf_len; i++)
        elf[i] = (uint8_t)(i * 11 + i / 256 + (size_t)version[0]);
    memcpy(elf, "\177ELF", 4);
    struct pack_options o = {"blinky", version, "", "", 0, chip};
    assert_int_equal(image_pack(&image, bytes_of(elf, elf_len), &o, NULL), ERR_NONE);
    free(elf);
    return image;
}

/* A node that runs from factory, its slots empty. */
static void reset_node(void)
{
    struct partition_table table;
    uint8_t raw[PARTITION_TABLE_BYTES];
    struct esp_start start = {
        .flash = &rig.ram.flash, .slot = 0x20000, .chip = chip_find(CHIP_LINUX), .options = &rig.options};
    memset(rig.bytes, 0xff, SIZE);
    flash_ram_init(&rig.ram, rig.bytes, SIZE);
    assert_int_equal(partition_table_read_csv(&table, bytes_of_text(csv), NULL, NULL), ERR_NONE);
    partition_table_write(&table, raw);
    memcpy(rig.bytes + PARTITION_TABLE_AT, raw, sizeof raw);
    memcpy(rig.bytes + 0x20000, rig.old.at, rig.old.len);
    assert_int_equal(esp_context_start(&start, NULL), ERR_NONE);
}

static const struct esp_options defaults = ESP_OPTIONS_DEFAULT;

static int set_up(void **state)
{
    (void)state;
    rig.options = defaults;
    rig.options.allows_http = true;
    rig.options.log_level = 0;
    reset_node();
    return 0;
}

static int start_all(void **state)
{
    (void)state;
    rig.bytes = malloc(SIZE);
    rig.old = make_image("1.0.0", 20000, CHIP_LINUX);
    rig.new = make_image("2.0.0", 60000, CHIP_LINUX);
    rig.other_chip = make_image("2.0.0", 20000, 5);
    rig.small = make_image("2.0.1", 3000, CHIP_LINUX);
    rig.big = make_image("2.0.2", 150000, CHIP_LINUX);
    rig.server = odd_server_start(NULL, NULL, false);
    snprintf(rig.url, sizeof rig.url, "http://127.0.0.1:%d/image.bin", odd_server_port(rig.server));
    return 0;
}

static int stop_all(void **state)
{
    (void)state;
    odd_server_stop(rig.server);
    buf_deinit(&rig.old);
    buf_deinit(&rig.new);
    buf_deinit(&rig.other_chip);
    buf_deinit(&rig.small);
    buf_deinit(&rig.big);
    free(rig.bytes);
    return 0;
}

static esp_err_t update_from(const char *url)
{
    esp_http_client_config_t http = {.url = url, .timeout_ms = 100};
    esp_https_ota_config_t config = {.http_config = &http};
    return esp_https_ota(&config);
}

static bool is_selected(void)
{
    return strcmp(esp_ota_get_boot_partition()->label, "ota_0") == 0;
}

static struct odd_script serving(const struct buf *image)
{
    return (struct odd_script){.content = buf_bytes(image)};
}

/* --- one answer for all requests -------------------------------------------------------------- */

static void answers_have_their_codes(void **state)
{
    static const uint8_t noise[5000] = {1, 2, 3};
    static const char portal[] = "<html><head><title>Sign in</title></head><body>Accept our terms</body></html>";
    struct bytes html = bytes_of((const uint8_t *)portal, sizeof portal - 1);
    struct bytes image = buf_bytes(&rig.new);
    const struct {
        const char *name;
        struct odd_script script;
        esp_err_t expected;
    } rows[] = {
        {"whole", {.content = image}, ESP_OK},
        {"206 unasked", {.content = image, .status = 206}, ESP_OK},
        {"kept alive", {.content = image, .keeps_alive = true}, ESP_OK},
        {"in chunks", {.content = image, .body = BODY_CHUNKED}, ESP_OK},
        {"without a length", {.content = image, .body = BODY_UNTIL_CLOSE}, ESP_OK},
        {"byte by byte", {.content = image, .body = BODY_DRIP}, ESP_OK},
        {"a short first piece", {.content = image, .body = BODY_PAUSE, .at = 100}, ESP_OK},
        {"304", {.status = 304}, ESP_ERR_HTTP_NOT_MODIFIED},
        {"400", {.status = 400}, ESP_FAIL},
        {"401 without a name", {.status = 401}, ESP_FAIL},
        {"403", {.status = 403}, ESP_FAIL},
        {"404", {.status = 404}, ESP_FAIL},
        {"416", {.status = 416}, ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE},
        {"429", {.status = 429, .extra_header = "Retry-After: 1\r\n"}, ESP_FAIL},
        {"500", {.status = 500}, ESP_FAIL},
        {"503", {.status = 503, .extra_header = "Retry-After: 1\r\n"}, ESP_FAIL},
        {"empty", {.content = bytes_of(noise, 0)}, ESP_FAIL},
        {"less than a header", {.content = bytes_of(image.at, 20)}, ESP_FAIL},
        {"less than 1024 bytes", {.content = bytes_of(image.at, 1000)}, ESP_FAIL},
        {"noise", {.content = bytes_of(noise, sizeof noise)}, ESP_ERR_INVALID_VERSION},
        {"captive portal", {.content = html}, ESP_FAIL},
        {"another chip's", {.content = buf_bytes(&rig.other_chip)}, ESP_ERR_INVALID_VERSION},
        {"larger than the slot", {.content = buf_bytes(&rig.big)}, ESP_ERR_INVALID_SIZE},
        {"truncated file", {.content = bytes_of(image.at, 30000)}, ESP_ERR_OTA_VALIDATE_FAILED},
        {"cut", {.content = image, .body = BODY_CUT, .at = 30000}, ESP_FAIL},
        {"reset", {.content = image, .body = BODY_RESET, .at = 30000}, ESP_FAIL},
        {"a length too small", {.content = image, .length_off = -1000}, ESP_ERR_OTA_VALIDATE_FAILED},
        {"a length too large", {.content = image, .length_off = 1000}, ESP_FAIL},
        {"chunks without an end", {.content = image, .body = BODY_CHUNKED_CUT}, ESP_FAIL},
        {"stalled", {.content = image, .body = BODY_STALL, .at = 30000}, ESP_FAIL},
        {"a head that does not come", {.content = image, .has_stalled_head = true}, ESP_FAIL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        reset_node();
        odd_server_play(rig.server, &rows[i].script);
        esp_err_t err = update_from(rig.url);
        if (err != rows[i].expected)
            fail_msg("%s: 0x%x, expected 0x%x", rows[i].name, (unsigned)err, (unsigned)rows[i].expected);
        if (is_selected() != (err == ESP_OK))
            fail_msg("%s: %s", rows[i].name, err == ESP_OK ? "is not selected" : "is selected all the same");
    }
}

static void nobody_listens(void **state)
{
    (void)state;
    assert_int_equal(update_from("http://127.0.0.1:1/image.bin"), ESP_ERR_HTTP_CONNECT);
    assert_int_equal(update_from("http://no-such-host.invalid/image.bin"), ESP_ERR_HTTP_CONNECT);
    assert_int_equal(update_from("http://["), ESP_FAIL);
    assert_false(is_selected());
}

/* --- redirections ----------------------------------------------------------------------------- */

static void redirections_are_followed(void **state)
{
    static const int codes[] = {301, 302, 303, 307, 308};
    char other[128];
    struct odd_script s = serving(&rig.new);
    (void)state;
    snprintf(other, sizeof other, "http://localhost:%d/elsewhere", odd_server_port(rig.server));
    const char *places[] = {"/there", other, "there?x=1"};
    for (int i = 0; i < 5; i++)
        for (int p = 0; p < 3; p++)
            for (int times = 1; times <= 10; times += 3) {
                reset_node();
                s.status = codes[i];
                s.location = places[p];
                s.redirects = times;
                odd_server_play(rig.server, &s);
                s.status = 0;
                assert_int_equal(update_from(rig.url), ESP_OK);
                assert_int_equal(odd_server_requests(rig.server), times + 1);
                assert_true(is_selected());
            }
}

static void redirections_end(void **state)
{
    struct odd_script s = serving(&rig.new);
    (void)state;
    s.status = 302;
    s.redirects = -1;
    s.location = "/round";
    odd_server_play(rig.server, &s);
    assert_int_equal(update_from(rig.url), ESP_ERR_HTTP_MAX_REDIRECT);
    assert_int_equal(odd_server_requests(rig.server), 11);
    esp_http_client_config_t http = {.url = rig.url, .timeout_ms = 100, .max_redirection_count = 2};
    esp_https_ota_config_t config = {.http_config = &http};
    odd_server_play(rig.server, &s);
    assert_int_equal(esp_https_ota(&config), ESP_ERR_HTTP_MAX_REDIRECT);
    assert_int_equal(odd_server_requests(rig.server), 3);
    s.location = NULL; /* to nowhere */
    odd_server_play(rig.server, &s);
    assert_int_equal(update_from(rig.url), ESP_ERR_INVALID_ARG);
    assert_false(is_selected());
}

/* --- authorization and callbacks -------------------------------------------------------------- */

static void a_challenge_is_answered(void **state)
{
    struct odd_script s = serving(&rig.new);
    esp_http_client_config_t http = {.url = rig.url, .timeout_ms = 100, .username = "maker", .password = "secret"};
    esp_https_ota_config_t config = {.http_config = &http};
    (void)state;
    s.needs_authorization = "Authorization: Basic bWFrZXI6c2VjcmV0";
    odd_server_play(rig.server, &s);
    assert_int_equal(esp_https_ota(&config), ESP_OK);
    assert_int_equal(odd_server_requests(rig.server), 2);
    http.auth_type = HTTP_AUTH_TYPE_BASIC; /* at once */
    odd_server_play(rig.server, &s);
    reset_node();
    assert_int_equal(esp_https_ota(&config), ESP_OK);
    assert_int_equal(odd_server_requests(rig.server), 1);
    http.password = "wrong";
    http.max_authorization_retries = 3;
    odd_server_play(rig.server, &s);
    reset_node();
    assert_int_equal(esp_https_ota(&config), ESP_FAIL);
    assert_int_equal(odd_server_requests(rig.server), 4);
    assert_false(is_selected());
}

static esp_err_t add_header(esp_http_client_handle_t client)
{
    esp_http_client_set_header(client, "X-Api-Key", "abc");
    esp_http_client_set_method(client, HTTP_METHOD_POST);
    return esp_http_client_set_post_field(client, "{\"node\":1}", 10);
}

static esp_err_t refuse(esp_http_client_handle_t client)
{
    (void)client;
    return ESP_ERR_NOT_ALLOWED;
}

static void the_init_callback_shapes_the_request(void **state)
{
    struct odd_script s = serving(&rig.new);
    esp_http_client_config_t http = {.url = rig.url, .timeout_ms = 100};
    esp_https_ota_config_t config = {.http_config = &http, .http_client_init_cb = add_header};
    (void)state;
    odd_server_play(rig.server, &s);
    assert_int_equal(esp_https_ota(&config), ESP_OK);
    assert_non_null(strstr(odd_server_last(rig.server), "POST /image.bin"));
    assert_non_null(strstr(odd_server_last(rig.server), "X-Api-Key: abc"));
    assert_non_null(strstr(odd_server_last(rig.server), "Content-Length: 10"));
    config.http_client_init_cb = refuse;
    odd_server_play(rig.server, &s);
    assert_int_equal(esp_https_ota(&config), ESP_ERR_NOT_ALLOWED);
    assert_int_equal(odd_server_requests(rig.server), 0);
}

/* --- step by step ----------------------------------------------------------------------------- */

static void the_advanced_calls_have_their_order(void **state)
{
    struct odd_script s = serving(&rig.new);
    esp_http_client_config_t http = {.url = rig.url, .timeout_ms = 100};
    esp_https_ota_config_t config = {.http_config = &http};
    esp_https_ota_handle_t h = &s;
    esp_app_desc_t desc;
    (void)state;
    odd_server_play(rig.server, &s);
    assert_int_equal(esp_https_ota_begin(NULL, &h), ESP_ERR_INVALID_ARG);
    assert_null(h);
    assert_int_equal(esp_https_ota_begin(&config, NULL), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_https_ota_get_image_size(NULL), -1);
    assert_int_equal(esp_https_ota_get_status_code(NULL), -1);
    assert_int_equal(esp_https_ota_begin(&config, &h), ESP_OK);
    assert_int_equal(esp_https_ota_get_image_len_read(h), -1);
    assert_int_equal(esp_https_ota_get_image_size(h), rig.new.len);
    assert_int_equal(esp_https_ota_get_status_code(h), 200);
    assert_int_equal(esp_https_ota_get_img_desc(h, NULL), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_https_ota_get_img_desc(h, &desc), ESP_OK);
    assert_string_equal(desc.version, "2.0.0");
    assert_string_equal(desc.project_name, "blinky");
    esp_err_t err;
    int last = 0;
    while ((err = esp_https_ota_perform(h)) == ESP_ERR_HTTPS_OTA_IN_PROGRESS) {
        assert_true(esp_https_ota_get_image_len_read(h) > last);
        last = esp_https_ota_get_image_len_read(h);
        assert_int_equal(esp_https_ota_get_img_desc(h, &desc), ESP_ERR_INVALID_STATE);
    }
    assert_int_equal(err, ESP_OK);
    assert_int_equal(last, rig.new.len);
    assert_true(esp_https_ota_is_complete_data_received(h));
    assert_int_equal(esp_https_ota_perform(h), ESP_FAIL); /* it was over */
    assert_int_equal(esp_https_ota_finish(h), ESP_OK);
    assert_true(is_selected());
    assert_int_equal(esp_https_ota_finish(NULL), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_https_ota_abort(NULL), ESP_ERR_INVALID_ARG);
}

/* Finishing before the end verifies and fails; aborting leaves the selection. */
static void ending_early_selects_nothing(void **state)
{
    struct odd_script s = serving(&rig.new);
    esp_http_client_config_t http = {.url = rig.url, .timeout_ms = 100};
    esp_https_ota_config_t config = {.http_config = &http};
    esp_https_ota_handle_t h;
    (void)state;
    odd_server_play(rig.server, &s);
    assert_int_equal(esp_https_ota_begin(&config, &h), ESP_OK);
    assert_int_equal(esp_https_ota_perform(h), ESP_ERR_HTTPS_OTA_IN_PROGRESS);
    assert_int_equal(esp_https_ota_finish(h), ESP_ERR_OTA_VALIDATE_FAILED);
    assert_int_equal(esp_https_ota_begin(&config, &h), ESP_OK);
    assert_int_equal(esp_https_ota_perform(h), ESP_ERR_HTTPS_OTA_IN_PROGRESS);
    assert_int_equal(esp_https_ota_abort(h), ESP_OK);
    assert_int_equal(esp_https_ota_begin(&config, &h), ESP_OK);
    assert_int_equal(esp_https_ota_abort(h), ESP_OK);
    assert_false(is_selected());
}

static void a_server_must_be_verified(void **state)
{
    esp_http_client_config_t http = {.url = rig.url, .timeout_ms = 100};
    esp_https_ota_config_t config = {.http_config = &http};
    (void)state;
    rig.options.allows_http = false;
    assert_int_equal(esp_https_ota(&config), ESP_ERR_INVALID_ARG);
    config.ota_resumption = true;
    assert_int_equal(esp_https_ota(&config), ESP_ERR_NOT_SUPPORTED);
}

struct seen {
    atomic_int count; /* raised when the id is there */
    int32_t ids[200];
};

static void note_event(void *arg, esp_event_base_t base, int32_t id, void *data)
{
    struct seen *seen = arg;
    (void)base, (void)data;
    int n = atomic_load(&seen->count);
    if (n < 200) {
        seen->ids[n] = id;
        atomic_store(&seen->count, n + 1);
    }
}

static void events_come_in_order(void **state)
{
    struct odd_script s = serving(&rig.small);
    struct seen seen = {0};
    esp_event_handler_instance_t instance;
    (void)state;
    assert_int_equal(esp_event_loop_create_default(), ESP_OK);
    assert_int_equal(
        esp_event_handler_instance_register(ESP_HTTPS_OTA_EVENT, ESP_EVENT_ANY_ID, note_event, &seen, &instance),
        ESP_OK);
    odd_server_play(rig.server, &s);
    assert_int_equal(update_from(rig.url), ESP_OK);
    while (seen.count == 0 || seen.ids[seen.count - 1] != ESP_HTTPS_OTA_FINISH)
        vTaskDelay(1);
    static const int32_t wanted[] = {ESP_HTTPS_OTA_START, ESP_HTTPS_OTA_CONNECTED, ESP_HTTPS_OTA_VERIFY_CHIP_ID,
                                     ESP_HTTPS_OTA_VERIFY_CHIP_REVISION, ESP_HTTPS_OTA_WRITE_FLASH};
    for (int i = 0; i < 5; i++)
        assert_int_equal(seen.ids[i], wanted[i]);
    assert_int_equal(seen.ids[seen.count - 2], ESP_HTTPS_OTA_UPDATE_BOOT_PARTITION);
    assert_int_equal(esp_event_handler_instance_unregister(ESP_HTTPS_OTA_EVENT, ESP_EVENT_ANY_ID, instance), ESP_OK);
    assert_int_equal(esp_event_loop_delete_default(), ESP_OK);
    while (xTaskGetHandle("sys_evt") != NULL) /* it frees the loop */
        vTaskDelay(1);
}

/* --- broken connections ----------------------------------------------------------------------- */

/* Goes on where the last connection broke, as an application does; the number of connections it took. */
static int resume_until_done(int *restarts)
{
    size_t written = 0;
    for (int tries = 1; tries < 200; tries++) {
        esp_http_client_config_t http = {.url = rig.url, .timeout_ms = 100};
        esp_https_ota_config_t config = {
            .http_config = &http, .ota_resumption = true, .ota_image_bytes_written = written};
        esp_https_ota_handle_t h;
        esp_err_t err = esp_https_ota_begin(&config, &h);
        assert_int_equal(err, ESP_OK);
        while ((err = esp_https_ota_perform(h)) == ESP_ERR_HTTPS_OTA_IN_PROGRESS)
            ;
        if (err == ESP_OK) {
            assert_int_equal(esp_https_ota_finish(h), ESP_OK);
            return tries;
        }
        int now = esp_https_ota_get_image_len_read(h);
        if (now > 0 && (size_t)now < written)
            ++*restarts;
        written = now > 0 ? (size_t)now : written;
        esp_https_ota_abort(h);
    }
    fail_msg("it does not end");
    return 0;
}

static void a_dropped_connection_is_resumed(void **state)
{
    static const size_t pieces[] = {4096, 1024, 997 * 5, 8191, 30000};
    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct odd_script s = {.content = buf_bytes(&rig.new), .body = BODY_CUT, .at = pieces[i]};
        int restarts = 0;
        reset_node();
        odd_server_play(rig.server, &s);
        int tries = resume_until_done(&restarts);
        assert_int_equal(tries, (int)((rig.new.len + pieces[i] - 1) / pieces[i]));
        assert_int_equal(restarts, 0);
        assert_true(is_selected());
        assert_memory_equal(rig.bytes + 0x40000, rig.new.at, rig.new.len);
    }
}

/* At every 997th byte the connection breaks once; the rest comes whole. */
static void a_break_anywhere_is_resumed(void **state)
{
    (void)state;
    for (size_t at = 0; at < rig.new.len; at += 997) {
        struct odd_script s = {.content = buf_bytes(&rig.new), .body = BODY_CUT, .at = at};
        esp_http_client_config_t http = {.url = rig.url, .timeout_ms = 100};
        esp_https_ota_config_t config = {.http_config = &http, .ota_resumption = true};
        esp_https_ota_handle_t h;
        reset_node();
        odd_server_play(rig.server, &s);
        assert_int_equal(esp_https_ota_begin(&config, &h), ESP_OK);
        while (esp_https_ota_perform(h) == ESP_ERR_HTTPS_OTA_IN_PROGRESS)
            ;
        int written = esp_https_ota_get_image_len_read(h);
        esp_https_ota_abort(h);
        s.body = BODY_WHOLE;
        odd_server_play(rig.server, &s);
        config.ota_image_bytes_written = written > 0 ? (size_t)written : 0;
        assert_int_equal(esp_https_ota_begin(&config, &h), ESP_OK);
        esp_err_t err;
        while ((err = esp_https_ota_perform(h)) == ESP_ERR_HTTPS_OTA_IN_PROGRESS)
            ;
        assert_int_equal(err, ESP_OK);
        assert_int_equal(esp_https_ota_finish(h), ESP_OK);
        assert_true(is_selected());
    }
}

/* Without resumption every break is an error, and nothing is selected: after each byte of a small image. */
static void a_break_at_every_byte_selects_nothing(void **state)
{
    (void)state;
    reset_node();
    for (size_t at = 0; at < rig.small.len; at++) {
        struct odd_script s = {.content = buf_bytes(&rig.small), .body = BODY_CUT, .at = at};
        odd_server_play(rig.server, &s);
        esp_err_t err = update_from(rig.url);
        if (err == ESP_OK || is_selected())
            fail_msg("cut after %zu bytes: 0x%x", at, (unsigned)err);
    }
}

static void resumption_without_ranges_starts_over(void **state)
{
    struct odd_script s = {.content = buf_bytes(&rig.new), .ignores_range = true};
    int restarts = 0;
    (void)state;
    memcpy(rig.bytes + 0x40000, rig.new.at, 8192);
    esp_http_client_config_t http = {.url = rig.url, .timeout_ms = 100};
    esp_https_ota_config_t config = {.http_config = &http, .ota_resumption = true, .ota_image_bytes_written = 8192};
    esp_https_ota_handle_t h;
    odd_server_play(rig.server, &s);
    assert_int_equal(esp_https_ota_begin(&config, &h), ESP_OK); /* 200 in place of 206 */
    assert_int_equal(esp_https_ota_get_image_size(h), rig.new.len);
    assert_int_equal(esp_https_ota_abort(h), ESP_OK);
    s.ignores_range = false;
    config.ota_image_bytes_written = rig.new.len + 5; /* 416: more than there is; the server answers with the whole */
    odd_server_play(rig.server, &s);
    assert_int_equal(esp_https_ota_begin(&config, &h), ESP_OK);
    assert_int_equal(esp_https_ota_get_status_code(h), 200);
    assert_int_equal(esp_https_ota_abort(h), ESP_OK);
    config.ota_image_bytes_written = 1000; /* less than a header: from the start */
    odd_server_play(rig.server, &s);
    assert_int_equal(esp_https_ota_begin(&config, &h), ESP_OK);
    assert_non_null(strstr(odd_server_last(rig.server), "Range: bytes=0-"));
    assert_int_equal(esp_https_ota_abort(h), ESP_OK);
    s.ignores_range = true;
    odd_server_play(rig.server, &s);
    assert_int_equal(resume_until_done(&restarts), 1);
    assert_true(is_selected());
}

/* The size of a resumed download is what remains, and the description comes from flash. */
static void a_resumed_download_tells_what_remains(void **state)
{
    struct odd_script s = serving(&rig.new);
    esp_http_client_config_t http = {.url = rig.url, .timeout_ms = 100};
    esp_https_ota_config_t config = {.http_config = &http, .ota_resumption = true, .ota_image_bytes_written = 5000};
    esp_https_ota_handle_t h;
    esp_app_desc_t desc;
    (void)state;
    memcpy(rig.bytes + 0x40000, rig.new.at, 5000);
    memset(rig.bytes + 0x40000 + 5000, 0x55, 100); /* what an interrupted write left behind it */
    odd_server_play(rig.server, &s);
    assert_int_equal(esp_https_ota_begin(&config, &h), ESP_OK);
    assert_int_equal(esp_https_ota_get_status_code(h), 206);
    assert_int_equal(esp_https_ota_get_image_size(h), rig.new.len - 5000);
    assert_int_equal(esp_https_ota_get_img_desc(h, &desc), ESP_OK);
    assert_string_equal(desc.version, "2.0.0");
    esp_err_t err;
    while ((err = esp_https_ota_perform(h)) == ESP_ERR_HTTPS_OTA_IN_PROGRESS)
        ;
    assert_int_equal(err, ESP_OK);
    assert_int_equal(esp_https_ota_finish(h), ESP_OK);
    assert_memory_equal(rig.bytes + 0x40000, rig.new.at, rig.new.len);
}

static void two_updates_of_one_slot_are_refused(void **state)
{
    struct odd_script s = serving(&rig.new);
    esp_http_client_config_t http = {.url = rig.url, .timeout_ms = 100};
    esp_https_ota_config_t config = {.http_config = &http};
    esp_https_ota_handle_t first, second;
    (void)state;
    odd_server_play(rig.server, &s);
    assert_int_equal(esp_https_ota_begin(&config, &first), ESP_OK);
    assert_int_equal(esp_https_ota_perform(first), ESP_ERR_HTTPS_OTA_IN_PROGRESS);
    assert_int_equal(esp_https_ota_begin(&config, &second), ESP_OK);
    assert_int_equal(esp_https_ota_perform(second), ESP_ERR_OTA_ALREADY_IN_PROGRESS);
    assert_int_equal(esp_https_ota_abort(second), ESP_OK);
    esp_err_t err;
    while ((err = esp_https_ota_perform(first)) == ESP_ERR_HTTPS_OTA_IN_PROGRESS)
        ;
    assert_int_equal(err, ESP_OK);
    assert_int_equal(esp_https_ota_finish(first), ESP_OK);
}

/* --- in pieces -------------------------------------------------------------------------------- */

static esp_err_t update_in_pieces(int piece)
{
    esp_http_client_config_t http = {.url = rig.url, .timeout_ms = 100};
    esp_https_ota_config_t config = {
        .http_config = &http, .partial_http_download = true, .max_http_request_size = piece};
    return esp_https_ota(&config);
}

static void pieces_make_a_whole(void **state)
{
    static const int sizes[] = {4096, 1024, 10000, 60000, 1000000, 0};
    struct odd_script s = serving(&rig.new);
    (void)state;
    for (int k = 0; k < 4; k++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            s.keeps_alive = k & 1;
            s.refuses_head = k & 2;
            reset_node();
            odd_server_play(rig.server, &s);
            assert_int_equal(update_in_pieces(sizes[i]), ESP_OK);
            assert_true(is_selected());
            assert_memory_equal(rig.bytes + 0x40000, rig.new.at, rig.new.len);
        }
}

static void pieces_need_ranges(void **state)
{
    struct odd_script s = {.content = buf_bytes(&rig.new), .ignores_range = true};
    (void)state;
    odd_server_play(rig.server, &s);
    assert_int_equal(update_in_pieces(4096), ESP_FAIL);
    s = (struct odd_script){.status = 304};
    odd_server_play(rig.server, &s);
    assert_int_equal(update_in_pieces(4096), ESP_ERR_HTTP_NOT_MODIFIED);
    s = (struct odd_script){.content = buf_bytes(&rig.new), .body = BODY_CUT, .at = 2000};
    odd_server_play(rig.server, &s);
    assert_int_equal(update_in_pieces(4096), ESP_FAIL);
    assert_false(is_selected());
    rig.options.has_partial = false;
    assert_int_equal(update_in_pieces(4096), ESP_ERR_NOT_SUPPORTED);
}

static void pieces_are_resumed(void **state)
{
    struct odd_script s = serving(&rig.new);
    esp_http_client_config_t http = {.url = rig.url, .timeout_ms = 100};
    esp_https_ota_config_t config = {.http_config = &http,
                                     .partial_http_download = true,
                                     .max_http_request_size = 4096,
                                     .ota_resumption = true,
                                     .ota_image_bytes_written = 20480};
    esp_https_ota_handle_t h;
    (void)state;
    memcpy(rig.bytes + 0x40000, rig.new.at, 20480);
    odd_server_play(rig.server, &s);
    assert_int_equal(esp_https_ota_begin(&config, &h), ESP_OK);
    assert_int_equal(esp_https_ota_get_image_size(h), rig.new.len - 20480);
    esp_err_t err;
    while ((err = esp_https_ota_perform(h)) == ESP_ERR_HTTPS_OTA_IN_PROGRESS)
        ;
    assert_int_equal(err, ESP_OK);
    assert_int_equal(esp_https_ota_finish(h), ESP_OK);
    assert_memory_equal(rig.bytes + 0x40000, rig.new.at, rig.new.len);
}

/* --- decryption and other partitions ---------------------------------------------------------- */

static esp_err_t decrypt(decrypt_cb_arg_t *args, void *context)
{
    pre_enc_decrypt_arg_t a = {.data_in = args->data_in, .data_in_len = args->data_in_len};
    esp_err_t err = esp_encrypted_img_decrypt_data(context, &a);
    if (err != ESP_OK && err != ESP_ERR_NOT_FINISHED)
        return err;
    args->data_out = a.data_out;
    args->data_out_len = a.data_out_len;
    return ESP_OK;
}

static void an_encrypted_image_is_opened_on_its_way(void **state)
{
    struct buf pem = {0}, sealed = {0};
    struct public_key device;
    struct test_entropy entropy;
    (void)state;
    test_entropy_init(&entropy);
    assert_int_equal(private_key_generate(KEY_RSA_3072, &pem, NULL), ERR_NONE);
    assert_int_equal(public_key_read_pem(&device, buf_bytes(&pem), NULL), ERR_NONE);
    assert_int_equal(encrypted_make(&sealed, buf_bytes(&rig.new), &device, &entropy.entropy, NULL), ERR_NONE);
    rig.options.has_decrypt_cb = true;
    assert_int_equal(update_from(rig.url), ESP_ERR_INVALID_ARG); /* without a callback */
    for (int is_damaged = 0; is_damaged < 2; is_damaged++) {
        esp_decrypt_cfg_t cfg = {.rsa_priv_key = pem.at, .rsa_priv_key_len = pem.len};
        esp_decrypt_handle_t d = esp_encrypted_img_decrypt_start(&cfg);
        assert_non_null(d);
        esp_http_client_config_t http = {.url = rig.url, .timeout_ms = 100};
        esp_https_ota_config_t config = {.http_config = &http,
                                         .decrypt_cb = decrypt,
                                         .decrypt_user_ctx = d,
                                         .enc_img_header_size = esp_encrypted_img_get_header_size()};
        esp_https_ota_handle_t h;
        esp_app_desc_t desc;
        reset_node();
        sealed.at[412] ^= (char)is_damaged; /* the tag */
        struct odd_script s = serving(&sealed);
        odd_server_play(rig.server, &s);
        assert_int_equal(esp_https_ota_begin(&config, &h), ESP_OK);
        assert_int_equal(esp_https_ota_get_image_size(h), rig.new.len);
        assert_int_equal(esp_https_ota_get_img_desc(h, &desc), ESP_ERR_NOT_SUPPORTED);
        esp_err_t err;
        while ((err = esp_https_ota_perform(h)) == ESP_ERR_HTTPS_OTA_IN_PROGRESS)
            ;
        assert_int_equal(err, ESP_OK);
        assert_true(esp_encrypted_img_is_complete_data_received(d));
        err = esp_encrypted_img_decrypt_end(d);
        assert_int_equal(err, is_damaged ? ESP_FAIL : ESP_OK);
        if (is_damaged)
            assert_int_equal(esp_https_ota_abort(h), ESP_OK);
        else
            assert_int_equal(esp_https_ota_finish(h), ESP_OK);
        assert_int_equal(is_selected(), !is_damaged);
    }
    buf_deinit(&pem);
    buf_deinit(&sealed);
}

static void other_partitions_are_written(void **state)
{
    struct buf data = {0};
    (void)state;
    for (int i = 0; i < 5000; i++)
        buf_addf(&data, "%d", i);
    struct odd_script s = serving(&data);
    esp_http_client_config_t http = {.url = rig.url, .timeout_ms = 100};
    esp_https_ota_config_t config = {.http_config = &http};
    config.partition.staging = esp_partition_find_first(ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_ANY, "blob");
    odd_server_play(rig.server, &s);
    assert_int_equal(esp_https_ota(&config), ESP_OK);
    assert_memory_equal(rig.bytes + 0x80000, data.at, data.len);
    assert_false(is_selected());
    /* staged in a slot, meant for the data partition */
    memset(rig.bytes + 0x80000, 0xff, 0x20000);
    config.partition.staging = esp_partition_find_first(ESP_PARTITION_TYPE_APP, ESP_PARTITION_SUBTYPE_ANY, "ota_1");
    config.partition.final = esp_partition_find_first(ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_ANY, "blob");
    config.partition.finalize_with_copy = true;
    odd_server_play(rig.server, &s);
    assert_int_equal(esp_https_ota(&config), ESP_OK);
    assert_memory_equal(rig.bytes + 0x80000, data.at, data.len);
    assert_false(is_selected());
    buf_deinit(&data);
}

/* --- TLS -------------------------------------------------------------------------------------- */

#define DAY 86400

static void tls_is_verified(void **state)
{
    static struct odd_cert ca, other_ca, good, expired, early, wrong_name, self;
    odd_cert_make(&ca, "Odd CA", -DAY, DAY, NULL, true);
    odd_cert_make(&other_ca, "Another CA", -DAY, DAY, NULL, true);
    odd_cert_make(&good, "127.0.0.1", -DAY, DAY, &ca, false);
    odd_cert_make(&expired, "127.0.0.1", -2 * DAY, -DAY, &ca, false);
    odd_cert_make(&early, "127.0.0.1", DAY, 2 * DAY, &ca, false);
    odd_cert_make(&wrong_name, "updates.example", -DAY, DAY, &ca, false);
    odd_cert_make(&self, "127.0.0.1", -DAY, DAY, NULL, false);
    const struct {
        const char *name;
        const struct odd_cert *server;
        const char *trusted, *common_name;
        bool skips_name, is_old, is_cut;
        esp_err_t expected;
    } rows[] = {
        {"good", &good, ca.cert, NULL, false, false, false, ESP_OK},
        {"expired", &expired, ca.cert, NULL, false, false, false, ESP_ERR_HTTP_CONNECT},
        {"not yet valid", &early, ca.cert, NULL, false, false, false, ESP_ERR_HTTP_CONNECT},
        {"wrong name", &wrong_name, ca.cert, NULL, false, false, false, ESP_ERR_HTTP_CONNECT},
        {"name not looked at", &wrong_name, ca.cert, NULL, true, false, false, ESP_OK},
        {"the name expected", &wrong_name, ca.cert, "updates.example", false, false, false, ESP_OK},
        {"another expected", &good, ca.cert, "updates.example", false, false, false, ESP_ERR_HTTP_CONNECT},
        {"wrong authority", &good, other_ca.cert, NULL, false, false, false, ESP_ERR_HTTP_CONNECT},
        {"self-signed", &self, ca.cert, NULL, false, false, false, ESP_ERR_HTTP_CONNECT},
        {"self-signed and pinned", &self, self.cert, NULL, false, false, false, ESP_OK},
        {"TLS 1.1", &good, ca.cert, NULL, false, true, false, ESP_ERR_HTTP_CONNECT},
        {"cut", &good, ca.cert, NULL, false, false, true, ESP_FAIL},
    };
    (void)state;
    rig.options.allows_http = false;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct odd_server *server = odd_server_start(rows[i].server->cert, rows[i].server->key, rows[i].is_old);
        struct odd_script s = serving(&rig.new);
        char url[64], there[96];
        s.body = rows[i].is_cut ? BODY_CUT : BODY_WHOLE;
        s.at = 30000;
        snprintf(url, sizeof url, "https://127.0.0.1:%d/image.bin", odd_server_port(server));
        odd_server_play(server, &s);
        reset_node();
        esp_http_client_config_t http = {.url = url,
                                         .timeout_ms = 1000,
                                         .cert_pem = rows[i].trusted,
                                         .common_name = rows[i].common_name,
                                         .skip_cert_common_name_check = rows[i].skips_name};
        esp_https_ota_config_t config = {.http_config = &http};
        esp_err_t err = esp_https_ota(&config);
        if (err != rows[i].expected)
            fail_msg("%s: 0x%x, expected 0x%x", rows[i].name, (unsigned)err, (unsigned)rows[i].expected);
        assert_int_equal(is_selected(), err == ESP_OK);
        if (i == 0) { /* from https to http nobody is led */
            snprintf(there, sizeof there, "%s", rig.url);
            s.status = 302;
            s.redirects = 1;
            s.location = there;
            odd_server_play(server, &s);
            reset_node();
            assert_int_equal(esp_https_ota(&config), ESP_ERR_HTTP_REDIRECT_DOWNGRADE);
        }
        odd_server_stop(server);
    }
}

/* --- the client by itself --------------------------------------------------------------------- */

struct heard {
    int events[11], data;
    char header[64];
};

static esp_err_t note_http(esp_http_client_event_t *e)
{
    struct heard *h = e->user_data;
    h->events[e->event_id]++;
    if (e->event_id == HTTP_EVENT_ON_DATA)
        h->data += e->data_len;
    if (e->event_id == HTTP_EVENT_ON_HEADER && strcmp(e->header_key, "X-Odd") == 0)
        snprintf(h->header, sizeof h->header, "%s", e->header_value);
    return ESP_OK;
}

static void perform_does_a_whole_request(void **state)
{
    struct heard heard = {0};
    struct odd_script s = serving(&rig.small);
    char url[128];
    (void)state;
    s.extra_header = "X-Odd: yes\r\n";
    s.status = 302;
    s.redirects = 1;
    s.location = "/after";
    odd_server_play(rig.server, &s);
    esp_http_client_config_t config = {
        .url = rig.url, .timeout_ms = 100, .event_handler = note_http, .user_data = &heard};
    esp_http_client_handle_t c = esp_http_client_init(&config);
    assert_non_null(c);
    s.redirects = 0;
    assert_int_equal(esp_http_client_perform(c), ESP_OK);
    assert_int_equal(heard.data, rig.small.len);
    assert_string_equal(heard.header, "yes");
    assert_int_equal(heard.events[HTTP_EVENT_REDIRECT], 1);
    assert_int_equal(heard.events[HTTP_EVENT_ON_FINISH], 1);
    assert_true(heard.events[HTTP_EVENT_ON_CONNECTED] >= 1);
    assert_int_equal(esp_http_client_get_url(c, url, sizeof url), ESP_OK);
    assert_non_null(strstr(url, "/after"));
    /* another path on the same host, with a body */
    s = serving(&rig.small);
    odd_server_play(rig.server, &s);
    assert_int_equal(esp_http_client_set_url(c, "/form"), ESP_OK);
    assert_int_equal(esp_http_client_set_method(c, HTTP_METHOD_PUT), ESP_OK);
    assert_int_equal(esp_http_client_set_post_field(c, "a=1", 3), ESP_OK);
    assert_int_equal(esp_http_client_perform(c), ESP_OK);
    assert_non_null(strstr(odd_server_last(rig.server), "PUT /form HTTP/1.1"));
    assert_non_null(strstr(odd_server_last(rig.server), "application/x-www-form-urlencoded"));
    assert_int_equal(esp_http_client_get_content_length(c), rig.small.len);
    assert_int_equal(esp_http_client_cleanup(c), ESP_OK);
    assert_null(esp_http_client_init(&(esp_http_client_config_t){0}));
}

/* --- memory ----------------------------------------------------------------------------------- */

/* What one update adds to the heap at its peak; libcurl's first use, which stays, is before it. */
static void an_update_needs_little_memory(void **state)
{
    struct odd_script s = serving(&rig.new);
    esp_http_client_config_t http = {.url = rig.url, .timeout_ms = 100};
    esp_https_ota_config_t config = {.http_config = &http};
    esp_https_ota_handle_t h;
    (void)state;
    odd_server_play(rig.server, &s);
    assert_int_equal(update_from(rig.url), ESP_OK);
    reset_node();
    odd_server_play(rig.server, &s);
    size_t before = mallinfo2().uordblks, peak = before;
    assert_int_equal(esp_https_ota_begin(&config, &h), ESP_OK);
    while (esp_https_ota_perform(h) == ESP_ERR_HTTPS_OTA_IN_PROGRESS) {
        size_t now = mallinfo2().uordblks;
        peak = now > peak ? now : peak;
    }
    assert_int_equal(esp_https_ota_finish(h), ESP_OK);
    printf("one update adds %zu bytes to the heap\n", peak - before);
#if !defined(__SANITIZE_ADDRESS__)
    assert_true(peak - before < 64 * 1024);
#endif
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup(test, set_up)
    const struct CMUnitTest tests[] = {
        ROW(answers_have_their_codes),
        ROW(nobody_listens),
        ROW(redirections_are_followed),
        ROW(redirections_end),
        ROW(a_challenge_is_answered),
        ROW(the_init_callback_shapes_the_request),
        ROW(the_advanced_calls_have_their_order),
        ROW(ending_early_selects_nothing),
        ROW(a_server_must_be_verified),
        ROW(events_come_in_order),
        ROW(a_dropped_connection_is_resumed),
        ROW(a_break_anywhere_is_resumed),
        ROW(a_break_at_every_byte_selects_nothing),
        ROW(resumption_without_ranges_starts_over),
        ROW(a_resumed_download_tells_what_remains),
        ROW(two_updates_of_one_slot_are_refused),
        ROW(pieces_make_a_whole),
        ROW(pieces_need_ranges),
        ROW(pieces_are_resumed),
        ROW(an_encrypted_image_is_opened_on_its_way),
        ROW(other_partitions_are_written),
        ROW(tls_is_verified),
        ROW(perform_does_a_whole_request),
        ROW(an_update_needs_little_memory),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
