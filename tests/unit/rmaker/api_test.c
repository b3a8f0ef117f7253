/* Goal: RainMaker's names have RainMaker's values, the API answers as its documentation says, and what the agent keeps
 * in NVS tells the truth after every way a boot can go. */
#include "boot/boot.h"
#include "esp/esp.h"
#include "image/pack.h"
#include "rmaker/rmaker.h"
#include "test.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* --- values and layouts (device specification 1) ------------------------------------------------ */

static_assert(RMAKER_OTA_EVENT_INVALID == 0 && RMAKER_OTA_EVENT_STARTING == 1 && RMAKER_OTA_EVENT_IN_PROGRESS == 2 &&
                  RMAKER_OTA_EVENT_SUCCESSFUL == 3 && RMAKER_OTA_EVENT_FAILED == 4 && RMAKER_OTA_EVENT_REJECTED == 5 &&
                  RMAKER_OTA_EVENT_DELAYED == 6 && RMAKER_OTA_EVENT_REQ_FOR_REBOOT == 7,
              "OTA events");
static_assert(OTA_STATUS_IN_PROGRESS == 1 && OTA_STATUS_SUCCESS == 2 && OTA_STATUS_FAILED == 3 &&
                  OTA_STATUS_DELAYED == 4 && OTA_STATUS_REJECTED == 5,
              "statuses");
static_assert(OTA_USING_PARAMS == 1 && OTA_USING_TOPICS == 2, "types");
static_assert(OTA_DIAG_STATUS_FAIL == 0 && OTA_DIAG_STATUS_PENDING == 1 && OTA_DIAG_STATUS_SUCCESS == 2 &&
                  OTA_DIAG_STATE_INIT == 0 && OTA_DIAG_STATE_POST_MQTT == 1,
              "diagnosis");
#define BEFORE(type, a, b) (offsetof(type, a) < offsetof(type, b))
static_assert(BEFORE(esp_rmaker_ota_data_t, url, stream_id) && BEFORE(esp_rmaker_ota_data_t, stream_id, filesize) &&
                  BEFORE(esp_rmaker_ota_data_t, filesize, fw_version) &&
                  BEFORE(esp_rmaker_ota_data_t, fw_version, file_md5) &&
                  BEFORE(esp_rmaker_ota_data_t, file_md5, ota_job_id) &&
                  BEFORE(esp_rmaker_ota_data_t, ota_job_id, server_cert) &&
                  BEFORE(esp_rmaker_ota_data_t, server_cert, priv) && BEFORE(esp_rmaker_ota_data_t, priv, metadata),
              "data");
static_assert(BEFORE(esp_rmaker_ota_config_t, ota_cb, ota_diag) &&
                  BEFORE(esp_rmaker_ota_config_t, ota_diag, server_cert) &&
                  BEFORE(esp_rmaker_ota_config_t, server_cert, priv),
              "config");
static_assert(RMAKER_EVENT_INIT_DONE == 1 && RMAKER_EVENT_USER_NODE_MAPPING_DONE == 5 && RMAKER_EVENT_STARTED == 9 &&
                  RMAKER_EVENT_CONFIG_REPORTED == 10,
              "events");
static_assert(RMAKER_EVENT_REBOOT == 0 && RMAKER_EVENT_WIFI_RESET == 1 && RMAKER_EVENT_FACTORY_RESET == 2 &&
                  RMAKER_MQTT_EVENT_CONNECTED == 3 && RMAKER_MQTT_EVENT_DISCONNECTED == 4 &&
                  RMAKER_MQTT_EVENT_PUBLISHED == 5 && RMAKER_EVENT_TZ_POSIX_CHANGED == 6 &&
                  RMAKER_EVENT_TZ_CHANGED == 7 && RMAKER_MQTT_EVENT_MSG_DELETED == 8,
              "common events");

/* --- a node in memory --------------------------------------------------------------------------- */

#define SIZE 0x100000u

static const char csv[] = "nvs,data,nvs,0x9000,0x6000\notadata,data,ota,0xf000,0x2000\n"
                          "factory,app,factory,0x20000,64K\nota_0,app,ota_0,0x30000,64K\nota_1,app,ota_1,0x40000,64K\n";

static struct rig {
    uint8_t bytes[SIZE];
    struct flash_ram ram;
    struct partition_table table;
    struct esp_options options;
    struct boot_port port;
} rig;

static struct buf make_image(char fill)
{
    uint8_t elf[9000];
    struct buf image = {0};
    struct pack_options o = {"app", "1.0", "", "", 0, CHIP_LINUX};
    memset(elf, fill, sizeof elf);
    memcpy(elf, "\177ELF", 4);
    assert_int_equal(image_pack(&image, bytes_of(elf, sizeof elf), &o, NULL), ERR_NONE);
    return image;
}

static bool is_bootable(struct boot_port *port, const struct partition *slot)
{
    (void)port;
    return rig.bytes[slot->at] == 0xe9;
}

static const char *reset(void)
{
    struct boot_choice c;
    rig.port.is_bootable = is_bootable;
    struct bootloader b = {&rig.ram.flash, &rig.table, &rig.port, OTADATA_SEALED, true, NULL, false};
    assert_int_equal(boot_select(&b, &c, NULL), ERR_NONE);
    struct esp_start start = {
        .flash = &rig.ram.flash, .slot = c.slot->at, .chip = chip_find(CHIP_LINUX), .options = &rig.options};
    assert_int_equal(esp_context_start(&start, NULL), ERR_NONE);
    return esp_ota_get_running_partition()->label;
}

static int set_up(void **state)
{
    uint8_t raw[PARTITION_TABLE_BYTES];
    struct buf image = make_image('0');
    (void)state;
    memset(rig.bytes, 0xff, SIZE);
    flash_ram_init(&rig.ram, rig.bytes, SIZE);
    assert_int_equal(partition_table_read_csv(&rig.table, bytes_of_text(csv), NULL, NULL), ERR_NONE);
    partition_table_write(&rig.table, raw);
    memcpy(rig.bytes + PARTITION_TABLE_AT, raw, sizeof raw);
    memcpy(rig.bytes + 0x20000, image.at, image.len);
    buf_deinit(&image);
    rig.options = (struct esp_options)ESP_OPTIONS_DEFAULT;
    rig.options.log_level = 0;
    memset(&rmaker_context, 0, sizeof rmaker_context);
    assert_string_equal(reset(), "factory");
    return 0;
}

static esp_ota_handle_t write_next(char fill)
{
    struct buf image = make_image(fill);
    esp_ota_handle_t h;
    assert_int_equal(esp_ota_begin(esp_ota_get_next_update_partition(NULL), image.len, &h), ESP_OK);
    assert_int_equal(esp_ota_write(h, image.at, image.len), ESP_OK);
    buf_deinit(&image);
    return h;
}

static void select_next(esp_ota_handle_t h)
{
    const esp_partition_t *slot = esp_ota_get_next_update_partition(NULL);
    assert_int_equal(esp_ota_end(h), ESP_OK);
    assert_int_equal(esp_ota_set_boot_partition(slot), ESP_OK);
}

static struct ota_saved saved;

static void expect_saved(bool is_pending, bool has_flag, enum ota_target target)
{
    rmaker_store_read_saved(&saved);
    assert_int_equal(saved.is_pending_verify, is_pending);
    assert_int_equal(saved.has_trial_flag, has_flag);
    assert_int_equal(saved.target, target);
}

/* --- what NVS and bootloader say together ------------------------------------------------------- */

static void a_trial_that_is_confirmed(void **state)
{
    (void)state;
    expect_saved(false, false, OTA_TARGET_UNKNOWN);
    esp_ota_handle_t h = write_next('1');
    assert_int_equal(rmaker_store_set_trial(true), ESP_OK);
    expect_saved(false, true, OTA_TARGET_UNTRIED); /* power goes here: nothing was selected */
    assert_string_equal(reset(), "factory");
    expect_saved(false, true, OTA_TARGET_UNTRIED);
    h = write_next('1');
    assert_int_equal(rmaker_store_set_trial(true), ESP_OK);
    select_next(h);
    expect_saved(false, true, OTA_TARGET_UNTRIED); /* ... or here: it will be tried */
    assert_string_equal(reset(), "ota_0");
    expect_saved(true, true, OTA_TARGET_RUNS);
    assert_int_equal(esp_ota_mark_app_valid_cancel_rollback(), ESP_OK);
    expect_saved(false, true, OTA_TARGET_RUNS); /* ... or here: it is a success */
    rmaker_store_clear_trial();
    assert_string_equal(reset(), "ota_0");
    expect_saved(false, false, OTA_TARGET_UNKNOWN);
}

static void a_trial_that_is_not(void **state)
{
    (void)state;
    esp_ota_handle_t h = write_next('1');
    assert_int_equal(rmaker_store_set_trial(true), ESP_OK);
    select_next(h);
    assert_string_equal(reset(), "ota_0");
    assert_string_equal(reset(), "factory"); /* a reset on trial */
    expect_saved(false, true, OTA_TARGET_REFUSED);
}

/* Another image in the slot than the one that the flag is for, and a flag of the original's, which says nothing of
 * that. */
static void other_images_and_other_agents(void **state)
{
    uint8_t one = 1;
    (void)state;
    esp_ota_handle_t h = write_next('1');
    assert_int_equal(rmaker_store_set_trial(true), ESP_OK);
    esp_ota_abort(h);
    select_next(write_next('2'));
    assert_string_equal(reset(), "ota_0");
    expect_saved(true, true, OTA_TARGET_REFUSED); /* not the one that runs */
    rmaker_store_clear_trial();
    assert_int_equal(rmaker_store_set_blob("ota_update", &one, 1), ESP_OK);
    expect_saved(true, true, OTA_TARGET_UNKNOWN);
    rmaker_store_clear_trial();
    assert_int_equal(rmaker_store_set_trial(false),
                     ESP_OK); /* an application without rollback: no flag, but a record */
    size_t len = 1;
    assert_int_not_equal(rmaker_store_get_blob("ota_update", &one, &len), ESP_OK);
    rmaker_store_read_saved(&saved);
    assert_true(saved.has_trial_flag);
}

static void rows_and_ids_survive(void **state)
{
    struct ota_row row = {.job_id = "J", .info = "text", .state = OTA_ROW_PENDING, .status = REPORT_REJECTED};
    char longest[JOB_ID_SIZE];
    (void)state;
    memset(longest, 'j', sizeof longest);
    longest[JOB_ID_SIZE - 1] = '\0';
    assert_int_equal(rmaker_store_set_row(2, &row), ESP_OK);
    assert_int_equal(rmaker_store_set_blob("rmaker_ota_id", longest, strlen(longest)), ESP_OK);
    reset();
    rmaker_store_read_saved(&saved);
    assert_string_equal(saved.job_id, longest);
    assert_string_equal(saved.rows[2].job_id, "J");
    assert_int_equal(saved.rows[2].state, OTA_ROW_PENDING);
    assert_int_equal(saved.rows[0].state, OTA_ROW_EMPTY);
}

static void a_download_goes_on_only_as_itself(void **state)
{
    struct rmaker_resume r = {.md5 = "d41d8cd98f00b204e9800998ecf8427e", .etag = "\"a\"", .slot = 0x30000, .kib = 128},
                         back;
    (void)state;
    rmaker_store_get_resume(&back, r.md5, r.slot);
    assert_int_equal(back.kib, 0);
    assert_int_equal(rmaker_store_set_resume(&r), ESP_OK);
    reset();
    rmaker_store_get_resume(&back, r.md5, r.slot);
    assert_int_equal(back.kib, 128);
    assert_string_equal(back.etag, "\"a\"");
    rmaker_store_get_resume(&back, r.md5, 0x40000); /* another slot */
    assert_int_equal(back.kib, 0);
    rmaker_store_get_resume(&back, "d41d8cd98f00b204e9800998ecf8427f", r.slot);
    assert_int_equal(back.kib, 0);
    rmaker_store_clear_resume();
    rmaker_store_get_resume(&back, r.md5, r.slot);
    assert_int_equal(back.kib, 0);
}

/* --- the API's answers -------------------------------------------------------------------------- */

static void what_is_refused(void **state)
{
    char text[] = "text";
    (void)state;
    assert_int_equal(esp_rmaker_ota_report_status(NULL, OTA_STATUS_SUCCESS, text), ESP_FAIL);
    assert_int_equal(esp_rmaker_ota_fetch(), ESP_ERR_INVALID_STATE);
    assert_int_equal(esp_rmaker_ota_enable(NULL, (esp_rmaker_ota_type_t)3), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_rmaker_ota_mark_invalid(), ESP_ERR_INVALID_STATE);
    assert_int_equal(esp_rmaker_start(), ESP_ERR_INVALID_STATE);
    assert_null(esp_rmaker_node_init(NULL, "a", "b"));
    assert_int_equal(esp_rmaker_ota_register_file_handler("x", NULL, NULL), ESP_ERR_INVALID_ARG);
    select_next(write_next('1'));
    reset();
    assert_int_equal(esp_rmaker_ota_mark_valid(), ESP_ERR_INVALID_ARG); /* on trial, but OTA is not enabled */
    assert_int_equal(esp_ota_mark_app_valid_cancel_rollback(), ESP_OK);
    assert_int_equal(esp_rmaker_ota_mark_valid(), ESP_ERR_INVALID_STATE);
    assert_int_equal(esp_rmaker_ota_mark_invalid(), ESP_ERR_INVALID_STATE);
}

static void values_of_every_type(void **state)
{
    esp_rmaker_param_t *p = esp_rmaker_param_create("P", NULL, esp_rmaker_str("a"), PROP_FLAG_READ);
    (void)state;
    assert_non_null(p);
    assert_int_equal(esp_rmaker_param_update(p, esp_rmaker_int(1)), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_rmaker_param_update(p, esp_rmaker_str("b")), ESP_OK);
    assert_string_equal(esp_rmaker_param_get_val(p)->val.s, "b");
    assert_int_equal(esp_rmaker_param_add_bounds(p, esp_rmaker_int(0), esp_rmaker_int(1), esp_rmaker_int(1)),
                     ESP_ERR_INVALID_ARG);
    assert_null(esp_rmaker_param_create(NULL, NULL, esp_rmaker_int(1), 0));
    assert_null(esp_rmaker_device_create(NULL, NULL, NULL));
    esp_rmaker_device_t *d = esp_rmaker_device_create("D", "t", NULL);
    assert_int_equal(esp_rmaker_device_add_param(d, p), ESP_OK);
    assert_int_equal(esp_rmaker_device_add_param(d, p), ESP_ERR_INVALID_ARG); /* twice */
    assert_ptr_equal(esp_rmaker_device_get_param_by_name(d, "P"), p);
    assert_null(esp_rmaker_device_get_param_by_name(d, "Q"));
    assert_int_equal(esp_rmaker_device_delete(d), ESP_OK);
}

static void zones_by_name_and_by_text(void **state)
{
    (void)state;
    assert_string_equal(rmaker_zone_text(), "CST-8"); /* Asia/Shanghai, the original's default */
    assert_string_equal(rmaker_zone_find("Europe/Berlin"), "CET-1CEST,M3.5.0,M10.5.0/3");
    assert_null(rmaker_zone_find("Europe/Nowhere"));
    assert_int_equal(esp_rmaker_time_set_timezone("Europe/Nowhere"), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_rmaker_time_set_timezone_posix("nonsense"), ESP_ERR_INVALID_ARG);
    static const char *const names[] = {"Africa/Abidjan",
                                        "America/New_York",
                                        "America/Sao_Paulo",
                                        "Asia/Kathmandu",
                                        "Australia/Lord_Howe",
                                        "Pacific/Chatham",
                                        "UTC"};
    struct zone zone;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (rmaker_zone_find(names[i]) == NULL || !zone_parse(&zone, rmaker_zone_find(names[i])))
            fail_msg("%s is not known", names[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_trial_that_is_confirmed, set_up),
        cmocka_unit_test_setup(a_trial_that_is_not, set_up),
        cmocka_unit_test_setup(other_images_and_other_agents, set_up),
        cmocka_unit_test_setup(rows_and_ids_survive, set_up),
        cmocka_unit_test_setup(a_download_goes_on_only_as_itself, set_up),
        cmocka_unit_test_setup(what_is_refused, set_up),
        cmocka_unit_test_setup(values_of_every_type, set_up),
        cmocka_unit_test_setup(zones_by_name_and_by_text, set_up),
    };
    return cmocka_run_group_tests_name("rmaker api", tests, NULL, NULL);
}
