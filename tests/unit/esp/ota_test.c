/* Goal: the OTA functions one by one, and the sequences of ESP-IDF's own tests: from factory to and fro, spoilt
 * otadata, rolling back, staging, signatures, anti-rollback. */
#include "boot/boot.h"
#include "crypto/key.h"
#include "esp/esp.h"
#include "esp/include/esp_efuse.h"
#include "esp/include/esp_flash.h"
#include "esp/include/esp_image_format.h"
#include "esp/include/esp_ota_ops.h"
#include "image/pack.h"
#include "image/signature.h"
#include "test.h"

#define SIZE 0x100000u

static const char csv[] = "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nefuse,data,efuse,0xf000,0x1000\n"
                          "factory,app,factory,0x10000,64K\nota_0,app,ota_0,0x20000,64K\nota_1,app,ota_1,0x30000,64K\n"
                          "ota_2,app,ota_2,0x40000,64K\ntest,app,test,0x50000,64K\ndata,data,undefined,0x60000,64K\n"
                          "table,data,0x41,0x70000,4K\nro,data,0x42,0x71000,4K,readonly\n";

static struct rig {
    uint8_t bytes[SIZE];
    struct flash_ram ram;
    struct partition_table table;
    struct esp_options options;
    struct boot_port port;
    struct efuse efuse;
    struct key_digest trusted;
    bool is_signed;
} rig;

static struct buf make_image(unsigned secure_version, struct private_key *key)
{
    uint8_t elf[9000];
    memset(elf, 0xa5, sizeof elf);
    memcpy(elf, "\177ELF", 4);
    struct buf image = {0};
    char version[8];
    snprintf(version, sizeof version, "%u.0.0", secure_version);
    struct pack_options o = {"blinky", version, "", "", secure_version, CHIP_LINUX};
    assert_int_equal(image_pack(&image, bytes_of(elf, sizeof elf), &o, NULL), ERR_NONE);
    if (key != NULL)
        assert_int_equal(signature_append(&image, key, SIGNATURE_NEW, NULL), ERR_NONE);
    return image;
}

static void put(uint32_t at, unsigned secure_version)
{
    struct buf image = make_image(secure_version, NULL);
    memset(rig.bytes + at, 0xff, 0x10000);
    memcpy(rig.bytes + at, image.at, image.len);
    buf_deinit(&image);
}

static bool is_bootable(struct boot_port *port, const struct partition *slot)
{
    struct image_facts facts;
    struct slot_rules rules = {.chip = chip_find(CHIP_LINUX),
                               .chip_revision = IMAGE_REVISION_UNKNOWN,
                               .efuse_revision = IMAGE_REVISION_UNKNOWN};
    (void)port;
    return slot_verify(partition_stretch(&rig.ram.flash, slot), &rules, &facts, NULL) == ERR_NONE;
}

static void start_from(uint32_t slot)
{
    struct esp_start start = {.flash = &rig.ram.flash,
                              .slot = slot,
                              .chip = chip_find(CHIP_LINUX),
                              .efuse = rig.efuse,
                              .options = &rig.options,
                              .trusted_count = rig.is_signed};
    start.trusted[0] = rig.trusted;
    assert_int_equal(esp_context_start(&start, NULL), ERR_NONE);
}

/* A reset: the bootloader, then the application that it chose. */
static const char *reset(void)
{
    struct boot_choice c;
    rig.port.is_bootable = is_bootable;
    struct bootloader b = {&rig.ram.flash,           &rig.table, &rig.port, OTADATA_SEALED,
                           rig.options.has_rollback, NULL,       false};
    if (rig.options.has_anti_rollback)
        b.efuse = &rig.efuse;
    assert_int_equal(boot_select(&b, &c, NULL), ERR_NONE);
    start_from(c.slot->at);
    return esp_ota_get_running_partition()->label;
}

static int set_up(void **state)
{
    uint8_t raw[PARTITION_TABLE_BYTES];
    (void)state;
    memset(rig.bytes, 0xff, SIZE);
    flash_ram_init(&rig.ram, rig.bytes, SIZE);
    assert_int_equal(partition_table_read_csv(&rig.table, bytes_of_text(csv), NULL, NULL), ERR_NONE);
    partition_table_write(&rig.table, raw);
    memcpy(rig.bytes + PARTITION_TABLE_AT, raw, sizeof raw);
    rig.options = (struct esp_options)ESP_OPTIONS_DEFAULT;
    rig.options.log_level = 0;
    rig.efuse = (struct efuse){{&rig.ram.flash, 0xf000, 0x1000}, 16};
    rig.is_signed = false;
    put(0x10000, 1);
    assert_string_equal(reset(), "factory");
    return 0;
}

static const esp_partition_t *label(const char *name)
{
    return esp_partition_find_first(ESP_PARTITION_TYPE_ANY, ESP_PARTITION_SUBTYPE_ANY, name);
}

/* A whole update of the next slot. */
static void update(void)
{
    struct buf image = make_image(1, NULL);
    const esp_partition_t *slot = esp_ota_get_next_update_partition(NULL);
    esp_ota_handle_t h;
    assert_int_equal(esp_ota_begin(slot, image.len, &h), ESP_OK);
    assert_int_equal(esp_ota_write(h, image.at, image.len), ESP_OK);
    assert_int_equal(esp_ota_end(h), ESP_OK);
    assert_int_equal(esp_ota_set_boot_partition(slot), ESP_OK);
    buf_deinit(&image);
}

static void updates_go_round(void **state)
{
    static const char *const order[] = {"ota_0", "ota_1", "ota_2", "ota_0", "ota_1"};
    (void)state;
    for (int i = 0; i < 5; i++) {
        update();
        assert_string_equal(esp_ota_get_boot_partition()->label, order[i]);
        assert_string_equal(reset(), order[i]);
        assert_int_equal(esp_ota_begin(label("ota_0"), 0, &(esp_ota_handle_t){0}),
                         strcmp(order[i], "ota_0") == 0 ? ESP_ERR_OTA_PARTITION_CONFLICT
                                                        : ESP_ERR_OTA_ROLLBACK_INVALID_STATE);
        assert_int_equal(esp_ota_mark_app_valid_cancel_rollback(), ESP_OK);
        assert_string_equal(reset(), order[i]);
    }
    assert_int_equal(esp_ota_set_boot_partition(label("factory")), ESP_OK);
    assert_string_equal(reset(), "factory");
    assert_int_equal(esp_ota_set_boot_partition(label("test")), ESP_ERR_OTA_VALIDATE_FAILED);
    put(0x50000, 1);
    assert_int_equal(esp_ota_set_boot_partition(label("test")), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_ota_set_boot_partition(label("data")), ESP_ERR_OTA_VALIDATE_FAILED);
    assert_int_equal(esp_ota_set_boot_partition_skip_validate(label("data")), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_ota_set_boot_partition_skip_validate(NULL), ESP_ERR_INVALID_ARG);
}

/* Either record may be lost: the other one decides. */
static void spoilt_otadata_falls_back(void **state)
{
    for (unsigned lost = 0; lost < 2; lost++) {
        set_up(state);
        for (int i = 0; i < 2; i++) {
            update();
            reset();
            assert_int_equal(esp_ota_mark_app_valid_cancel_rollback(), ESP_OK);
        }
        assert_string_equal(reset(), "ota_1");
        memset(rig.bytes + 0xd000 + lost * 0x1000, 0x5a, 32);
        /* the update of ota_1 has erased nothing of ota_0's record, which named the running slot */
        assert_string_equal(reset(), lost == 0 ? "ota_1" : "ota_0");
        assert_string_equal(reset(), lost == 0 ? "ota_1" : "ota_0");
    }
}

static void an_image_gives_up(void **state)
{
    esp_ota_img_states_t s;
    (void)state;
    assert_int_equal(esp_ota_mark_app_invalid_rollback(), ESP_ERR_OTA_ROLLBACK_FAILED); /* from factory */
    update();
    reset();
    assert_true(esp_ota_check_rollback_is_possible()); /* to factory */
    assert_int_equal(esp_ota_mark_app_valid_cancel_rollback(), ESP_OK);
    update();
    assert_string_equal(reset(), "ota_1");
    assert_int_equal(esp_ota_get_state_partition(label("ota_1"), &s), ESP_OK);
    assert_int_equal(s, ESP_OTA_IMG_PENDING_VERIFY);
    assert_null(esp_ota_get_last_invalid_partition());
    assert_int_equal(esp_ota_mark_app_invalid_rollback(), ESP_OK);
    assert_string_equal(reset(), "ota_0");
    assert_int_equal(esp_ota_get_state_partition(label("ota_1"), &s), ESP_OK);
    assert_int_equal(s, ESP_OTA_IMG_INVALID);
    assert_ptr_equal(esp_ota_get_last_invalid_partition(), label("ota_1"));
    memset(rig.bytes + 0x30000, 0, 16);
    assert_null(esp_ota_get_last_invalid_partition()); /* its image is gone */
    assert_int_equal(esp_ota_get_state_partition(label("ota_2"), &s), ESP_ERR_NOT_FOUND);
    assert_int_equal(esp_ota_get_state_partition(NULL, &s), ESP_ERR_INVALID_ARG);
    /* with nothing whole to go back to */
    update();
    assert_string_equal(reset(), "ota_1");
    memset(rig.bytes + 0x20000, 0, 16);
    assert_false(esp_ota_check_rollback_is_possible());
    assert_int_equal(esp_ota_mark_app_invalid_rollback(), ESP_ERR_OTA_ROLLBACK_FAILED);
}

static void the_last_application_is_erased(void **state)
{
    (void)state;
    assert_int_equal(esp_ota_erase_last_boot_app_partition(), ESP_FAIL); /* nothing is selected */
    update();
    reset();
    esp_ota_mark_app_valid_cancel_rollback();
    update();
    reset();
    esp_ota_mark_app_valid_cancel_rollback();
    assert_int_equal(rig.bytes[0x20000], 0xe9);
    assert_int_equal(esp_ota_erase_last_boot_app_partition(), ESP_OK);
    assert_int_equal(rig.bytes[0x20000], 0xff);
    assert_int_equal(rig.bytes[0xd000], 0xff);
    assert_int_equal(esp_ota_invalidate_inactive_ota_data_slot(), ESP_FAIL);
    assert_string_equal(reset(), "ota_1");
}

static void without_rollback_nothing_is_on_trial(void **state)
{
    esp_ota_img_states_t s;
    (void)state;
    rig.options.has_rollback = false;
    update();
    assert_string_equal(reset(), "ota_0");
    assert_int_equal(esp_ota_get_state_partition(label("ota_0"), &s), ESP_OK);
    assert_int_equal(s, ESP_OTA_IMG_UNDEFINED);
    assert_string_equal(reset(), "ota_0");
    update();
    assert_string_equal(reset(), "ota_1");
}

static void low_secure_versions_are_refused(void **state)
{
    (void)state;
    rig.options.has_anti_rollback = true;
    assert_int_equal(esp_efuse_read_secure_version(), 0);
    put(0x20000, 5);
    start_from(0x20000);
    assert_int_equal(esp_ota_set_boot_partition(label("ota_0")), ESP_OK);
    assert_string_equal(reset(), "ota_0");
    assert_int_equal(esp_efuse_read_secure_version(), 0);
    assert_int_equal(esp_ota_mark_app_valid_cancel_rollback(), ESP_OK);
    assert_int_equal(esp_efuse_read_secure_version(), 5);
    assert_true(esp_efuse_check_secure_version(5));
    assert_false(esp_efuse_check_secure_version(4));
    assert_int_equal(esp_efuse_update_secure_version(4), ESP_FAIL);
    assert_int_equal(esp_efuse_update_secure_version(17), ESP_ERR_INVALID_ARG);
    put(0x30000, 4);
    assert_int_equal(esp_ota_set_boot_partition(label("ota_1")), ESP_ERR_OTA_SMALL_SEC_VER);
    assert_int_equal(rig.bytes[0x30000], 0xff); /* it was erased */
    assert_string_equal(reset(), "ota_0");
    assert_false(esp_ota_check_rollback_is_possible()); /* factory is below the floor */
}

static void writes_are_bounded(void **state)
{
    struct buf image = make_image(1, NULL);
    esp_ota_handle_t h, other;
    (void)state;
    assert_int_equal(esp_ota_begin(label("ota_0"), 0x20000, &h), ESP_ERR_INVALID_SIZE);
    assert_int_equal(esp_ota_abort(h), ESP_OK); /* it stays open on an erase error, as on the chip */
    assert_int_equal(esp_ota_begin(label("ota_0"), 5000, &h), ESP_OK);
    assert_int_equal(esp_ota_begin(label("ota_0"), 0, &other), ESP_ERR_OTA_ALREADY_IN_PROGRESS);
    assert_int_equal(esp_ota_begin(label("ota_1"), 0, &other), ESP_OK);
    assert_int_equal(esp_ota_abort(other), ESP_OK);
    assert_int_equal(esp_ota_write(h, NULL, 1), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_ota_write(h, image.at, 0), ESP_OK);
    assert_int_equal(esp_ota_end(h), ESP_ERR_INVALID_ARG); /* nothing written */
    assert_int_equal(esp_ota_begin(label("ota_0"), OTA_SIZE_UNKNOWN, &h), ESP_OK);
    size_t half = image.len / 2; /* in two pieces, the second first */
    assert_int_equal(esp_ota_write_with_offset(h, image.at + half, image.len - half, (uint32_t)half), ESP_OK);
    assert_int_equal(esp_ota_write_with_offset(h, image.at, half, 0), ESP_OK);
    assert_int_equal(esp_ota_write_with_offset(h, image.at, 10, 0x10000 - 5), ESP_ERR_INVALID_SIZE);
    assert_int_equal(esp_ota_end(h), ESP_OK);
    assert_int_equal(esp_ota_set_boot_partition(label("ota_0")), ESP_OK);
    assert_int_equal(esp_ota_resume(label("ota_1"), 0, 0x10001, &h), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_ota_begin(label("ro"), 0, &h), ESP_ERR_NOT_ALLOWED);
    buf_deinit(&image);
}

/* What was verified counts until somebody writes there, by whatever way. */
static void a_verified_slot_that_changes_is_read_again(void **state)
{
    for (int way = 0; way < 3; way++) {
        struct buf image = make_image(1, NULL);
        esp_ota_handle_t h;
        set_up(state);
        assert_int_equal(esp_ota_begin(label("ota_0"), OTA_SIZE_UNKNOWN, &h), ESP_OK);
        assert_int_equal(esp_ota_write(h, image.at, image.len), ESP_OK);
        assert_int_equal(esp_ota_end(h), ESP_OK);
        uint8_t zero = 0;
        if (way == 0)
            assert_int_equal(esp_partition_write(label("ota_0"), 2000, &zero, 1), ESP_OK);
        else if (way == 1)
            assert_int_equal(esp_flash_write(NULL, &zero, 0x20000 + 2001, 1), ESP_OK);
        else
            assert_int_equal(esp_partition_erase_range(label("ota_0"), 4096, 4096), ESP_OK);
        assert_int_equal(esp_ota_set_boot_partition(label("ota_0")), ESP_ERR_OTA_VALIDATE_FAILED);
        buf_deinit(&image);
    }
}

static void tables_and_data_are_staged(void **state)
{
    esp_ota_handle_t h;
    uint8_t raw[PARTITION_TABLE_BYTES];
    const esp_partition_t *t;
    (void)state;
    assert_int_equal(esp_partition_register_external(NULL, 0x8000, 0x1000, "the-table",
                                                     ESP_PARTITION_TYPE_PARTITION_TABLE,
                                                     ESP_PARTITION_SUBTYPE_PARTITION_TABLE_PRIMARY, &t),
                     ESP_OK);
    partition_table_write(&rig.table, raw);
    assert_int_equal(esp_ota_begin(label("ota_1"), OTA_WITH_SEQUENTIAL_WRITES, &h), ESP_OK);
    assert_int_equal(esp_ota_set_final_partition(h, NULL, true), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_ota_set_final_partition(99, t, true), ESP_ERR_NOT_FOUND);
    assert_int_equal(esp_ota_set_final_partition(h, t, true), ESP_OK);
    assert_int_equal(esp_ota_write(h, "\xe9\x00", 2), ESP_ERR_OTA_VALIDATE_FAILED);
    assert_int_equal(esp_ota_write(h, raw, sizeof raw), ESP_OK);
    assert_int_equal(esp_ota_set_final_partition(h, t, true), ESP_ERR_INVALID_STATE);
    assert_int_equal(esp_ota_end(h), ESP_OK);
    assert_memory_equal(rig.bytes + 0x8000, raw, sizeof raw);
    raw[40] ^= 1;
    assert_int_equal(esp_ota_begin(label("ota_1"), OTA_WITH_SEQUENTIAL_WRITES, &h), ESP_OK);
    assert_int_equal(esp_ota_set_final_partition(h, t, true), ESP_OK);
    assert_int_equal(esp_ota_write(h, raw, sizeof raw), ESP_OK);
    assert_int_equal(esp_ota_end(h), ESP_ERR_OTA_VALIDATE_FAILED);
    assert_int_equal(esp_partition_deregister_external(t), ESP_OK);
    assert_int_equal(esp_partition_deregister_external(t), ESP_ERR_NOT_FOUND);
    assert_int_equal(esp_partition_deregister_external(label("ota_0")), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_partition_register_external(NULL, 0x20000, 0x1000, "x", ESP_PARTITION_TYPE_DATA,
                                                     ESP_PARTITION_SUBTYPE_DATA_NVS, NULL),
                     ESP_ERR_INVALID_ARG);
}

static void unsigned_images_are_refused_when_it_is_asked(void **state)
{
    struct buf pem = {0};
    struct private_key *key;
    esp_ota_handle_t h;
    (void)state;
    assert_int_equal(private_key_generate(KEY_P256, &pem, NULL), ERR_NONE);
    assert_int_equal(private_key_open_pem(&key, buf_bytes(&pem), NULL), ERR_NONE);
    assert_int_equal(signature_key_digest(&key->public_key, rig.trusted.bytes, NULL), ERR_NONE);
    for (int scheme = 0; scheme < 2; scheme++) { /* secure boot; the running image's own key */
        struct buf good = make_image(1, key), bad = make_image(1, NULL);
        set_up(state);
        rig.is_signed = scheme == 0;
        rig.options.is_signed_on_update = scheme == 1;
        memset(rig.bytes + 0x10000, 0xff, 0x10000);
        memcpy(rig.bytes + 0x10000, good.at, good.len);
        start_from(0x10000);
        const struct buf *images[] = {&bad, &good};
        for (int i = 0; i < 2; i++) {
            assert_int_equal(esp_ota_begin(label("ota_0"), OTA_SIZE_UNKNOWN, &h), ESP_OK);
            assert_int_equal(esp_ota_write(h, images[i]->at, images[i]->len), ESP_OK);
            assert_int_equal(esp_ota_end(h), i == 0 ? ESP_ERR_OTA_VALIDATE_FAILED : ESP_OK);
            assert_int_equal(esp_ota_set_boot_partition(label("ota_0")), i == 0 ? ESP_ERR_OTA_VALIDATE_FAILED : ESP_OK);
        }
        buf_deinit(&good);
        buf_deinit(&bad);
    }
    private_key_close(key);
    buf_deinit(&pem);
}

static void images_are_described(void **state)
{
    esp_image_metadata_t m;
    esp_partition_pos_t pos = {0x10000, 0x10000};
    esp_image_header_t header;
    esp_app_desc_t desc;
    uint8_t sha[32];
    int count;
    (void)state;
    assert_int_equal(esp_image_verify(ESP_IMAGE_VERIFY, &pos, &m), ESP_OK);
    assert_int_equal(m.start_addr, 0x10000);
    assert_int_equal(m.image.magic, 0xe9);
    uint32_t len = m.image_len;
    assert_int_equal(esp_image_get_metadata(&pos, &m), ESP_OK);
    assert_int_equal(m.image_len, len);
    assert_int_equal(esp_partition_get_sha256(label("factory"), sha), ESP_OK);
    assert_memory_equal(sha, m.image_digest, 32);
    assert_true(esp_partition_check_identity(label("factory"), label("factory")));
    assert_false(esp_partition_check_identity(label("factory"), label("ota_0")));
    pos.offset = 0x20000;
    assert_int_equal(esp_image_verify(ESP_IMAGE_VERIFY_SILENT, &pos, &m), ESP_ERR_IMAGE_INVALID);
    assert_int_equal(esp_image_get_metadata(&pos, &m), ESP_ERR_IMAGE_INVALID);
    assert_int_equal(esp_image_verify(ESP_IMAGE_VERIFY, NULL, &m), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_image_get_flash_size(ESP_IMAGE_FLASH_SIZE_4MB), 4 << 20);
    assert_int_equal(esp_partition_table_verify((const esp_partition_info_t *)(rig.bytes + 0x8000), false, &count),
                     ESP_OK);
    assert_int_equal(count, 11);
    memcpy(&header, rig.bytes + 0x10000, sizeof header);
    assert_int_equal(esp_ota_get_partition_description(label("factory"), &desc), ESP_OK);
    assert_int_equal(esp_ota_check_image_validity(ESP_PARTITION_TYPE_APP, &header, &desc), ESP_OK);
    header.chip_id = ESP_CHIP_ID_ESP32C3;
    assert_int_equal(esp_ota_check_image_validity(ESP_PARTITION_TYPE_APP, &header, &desc), ESP_ERR_INVALID_VERSION);
    assert_int_equal(esp_ota_check_image_validity(ESP_PARTITION_TYPE_DATA, &header, &desc), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_ota_get_bootloader_description(NULL, NULL), ESP_ERR_INVALID_ARG);
    esp_bootloader_desc_t boot;
    assert_int_equal(esp_ota_get_bootloader_description(NULL, &boot), ESP_ERR_NOT_FOUND);
}

static void partitions_are_walked_and_copied(void **state)
{
    static const uint8_t text[] = "some bytes that are copied";
    uint8_t got[sizeof text];
    int count = 0;
    (void)state;
    for (esp_partition_iterator_t it = esp_partition_find(ESP_PARTITION_TYPE_APP, ESP_PARTITION_SUBTYPE_ANY, NULL);
         it != NULL; it = esp_partition_next(it))
        count += esp_partition_get(it)->type == ESP_PARTITION_TYPE_APP;
    assert_int_equal(count, 5);
    esp_partition_iterator_t it;
    assert_int_equal(esp_partition_find_err(ESP_PARTITION_TYPE_ANY, ESP_PARTITION_SUBTYPE_DATA_NVS, NULL, &it),
                     ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_partition_find_err(ESP_PARTITION_TYPE_APP, ESP_PARTITION_SUBTYPE_ANY, "none", &it),
                     ESP_ERR_NOT_FOUND);
    assert_null(it);
    esp_partition_iterator_release(NULL);
    assert_int_equal(esp_partition_write(label("data"), 100, text, sizeof text), ESP_OK);
    assert_int_equal(esp_partition_copy(label("ota_2"), 0, label("data"), 100, sizeof text), ESP_OK);
    assert_int_equal(esp_partition_read(label("ota_2"), 0, got, sizeof got), ESP_OK);
    assert_memory_equal(got, text, sizeof text);
    assert_int_equal(esp_partition_copy(label("ota_2"), 0, label("ota_2"), 0, 1), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_partition_copy(label("table"), 0, label("data"), 0, 8192), ESP_ERR_INVALID_SIZE);
    assert_int_equal(esp_partition_copy(label("ota_2"), 0, label("data"), 100, SIZE_MAX), ESP_OK);
    assert_int_equal(esp_partition_write(label("ro"), 0, text, 1), ESP_ERR_NOT_ALLOWED);
    assert_int_equal(esp_partition_erase_range(label("ro"), 0, 4096), ESP_ERR_NOT_ALLOWED);
    assert_false(esp_partition_main_flash_region_safe(0x10000, 16));
    assert_true(esp_partition_main_flash_region_safe(0x20000, 16));
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup(test, set_up)
    const struct CMUnitTest tests[] = {
        ROW(updates_go_round),
        ROW(spoilt_otadata_falls_back),
        ROW(an_image_gives_up),
        ROW(the_last_application_is_erased),
        ROW(without_rollback_nothing_is_on_trial),
        ROW(low_secure_versions_are_refused),
        ROW(writes_are_bounded),
        ROW(a_verified_slot_that_changes_is_read_again),
        ROW(tables_and_data_are_staged),
        ROW(unsigned_images_are_refused_when_it_is_asked),
        ROW(images_are_described),
        ROW(partitions_are_walked_and_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
