/* Goal: ESP-IDF's OTA and NVS calls, their codes and what they leave in the flash file. */
#include "boot/boot.h"
#include "esp/esp.h"
#include "esp/include/esp_log.h"
#include "esp/include/esp_ota_ops.h"
#include "esp/include/nvs_flash.h"
#include "image/image.h"
#include "image/pack.h"
#include "test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE 0x400000

static const char csv[] = "nvs,data,nvs,0x9000,0x6000\notadata,data,ota,0xf000,0x2000\nfactory,app,factory,0x20000,1M\n"
                          "ota_0,app,ota_0,0x120000,1M\nota_1,app,ota_1,0x220000,1M\n";

static struct buf make_image(const char *version, size_t elf_len)
{
    struct buf image = {0};
    uint8_t *elf = calloc(1, elf_len);
    for (size_t i = 0; i < elf_len; i++)
        elf[i] = (uint8_t)(i * 11 + i / 256 + (size_t)version[0]);
    memcpy(elf,
           "\x7f"
           "ELF",
           4);
    struct pack_options o = {"blinky", version, "", "", 0, CHIP_LINUX};
    assert_int_equal(image_pack(&image, bytes_of(elf, elf_len), &o, NULL), ERR_NONE);
    free(elf);
    return image;
}

/* One context for the process, as on a chip: the flash is made once, each test goes on from what the last one left. */
static int open_node(void **state)
{
    struct partition_table table;
    uint8_t raw[PARTITION_TABLE_BYTES], *bytes = malloc(SIZE);
    struct buf app = make_image("1.0.0", 50000);
    char text[32];
    int fd = memfd_create("flash", 0);
    (void)state;
    assert_int_equal(partition_table_read_csv(&table, bytes_of_text(csv), NULL, NULL), ERR_NONE);
    partition_table_write(&table, raw);
    memset(bytes, 0xff, SIZE);
    memcpy(bytes + PARTITION_TABLE_AT, raw, sizeof raw);
    memcpy(bytes + 0x20000, app.at, app.len);
    assert_int_equal(write(fd, bytes, SIZE), SIZE);
    snprintf(text, sizeof text, "%d", fd);
    setenv("VESP_FLASH_FD", text, 1);
    setenv("VESP_SLOT", "0x20000", 1);
    setenv("VESP_RESET", "1", 1);
    static const struct esp_options options = ESP_OPTIONS_DEFAULT;
    esp_context_open(&options);
    buf_deinit(&app);
    free(bytes);
    return 0;
}

static const esp_partition_t *label(const char *name)
{
    return esp_partition_find_first(ESP_PARTITION_TYPE_ANY, ESP_PARTITION_SUBTYPE_ANY, name);
}

static void the_running_application_is_known(void **state)
{
    (void)state;
    assert_string_equal(esp_app_get_description()->version, "1.0.0");
    assert_ptr_equal(esp_ota_get_running_partition(), label("factory"));
    assert_ptr_equal(esp_ota_get_boot_partition(), label("factory"));
    assert_ptr_equal(esp_ota_get_next_update_partition(NULL), label("ota_0"));
    assert_ptr_equal(esp_ota_get_next_update_partition(label("ota_0")), label("ota_1"));
    assert_ptr_equal(esp_ota_get_next_update_partition(label("ota_1")), label("ota_0"));
    assert_int_equal(esp_ota_get_app_partition_count(), 2);
    assert_int_equal(esp_reset_reason(), ESP_RST_POWERON);
    assert_string_equal(esp_err_to_name(ESP_ERR_OTA_VALIDATE_FAILED), "ESP_ERR_OTA_VALIDATE_FAILED");
    assert_string_equal(esp_err_to_name(0x7777), "UNKNOWN ERROR");
}

static void wrong_use_has_esp_idfs_codes(void **state)
{
    esp_ota_handle_t h;
    esp_partition_t foreign = *label("ota_0");
    esp_ota_img_states_t s;
    uint8_t bytes[4] = {0};
    (void)state;
    foreign.address += 0x1000;
    assert_int_equal(esp_ota_begin(NULL, 0, &h), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_ota_begin(label("ota_0"), 0, NULL), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_ota_begin(&foreign, 0, &h), ESP_ERR_NOT_FOUND);
    assert_int_equal(esp_ota_begin(label("factory"), 0, &h), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_ota_write(999, bytes, 4), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_ota_end(999), ESP_ERR_NOT_FOUND);
    assert_int_equal(esp_ota_abort(999), ESP_ERR_NOT_FOUND);
    assert_int_equal(esp_ota_set_boot_partition(NULL), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_ota_set_boot_partition(label("ota_1")), ESP_ERR_OTA_VALIDATE_FAILED);
    assert_int_equal(esp_ota_get_state_partition(label("factory"), &s), ESP_ERR_NOT_SUPPORTED);
    assert_int_equal(esp_ota_get_state_partition(label("ota_0"), &s), ESP_ERR_NOT_FOUND);
    assert_int_equal(esp_ota_mark_app_valid_cancel_rollback(), ESP_FAIL);
    assert_int_equal(esp_ota_mark_app_invalid_rollback(), ESP_ERR_OTA_ROLLBACK_FAILED);
    assert_int_equal(esp_partition_read(label("ota_0"), 0x100000, bytes, 4), ESP_ERR_INVALID_SIZE);
    assert_int_equal(esp_partition_read(label("ota_0"), 0x100001, bytes, 0), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_partition_erase_range(label("ota_0"), 1, 4096), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_partition_erase_range(label("ota_0"), 0, 100), ESP_ERR_INVALID_SIZE);
}

static void a_broken_image_is_not_validated(void **state)
{
    struct buf image = make_image("2.0.0", 30000);
    esp_ota_handle_t h;
    (void)state;
    image.at[20000] ^= 1;
    assert_int_equal(esp_ota_begin(label("ota_0"), OTA_SIZE_UNKNOWN, &h), ESP_OK);
    assert_int_equal(esp_ota_write(h, "\x00", 1), ESP_ERR_OTA_VALIDATE_FAILED); /* the first byte is looked at */
    assert_int_equal(esp_ota_write(h, image.at, image.len), ESP_OK);
    assert_int_equal(esp_ota_end(h), ESP_ERR_OTA_VALIDATE_FAILED);
    assert_int_equal(esp_ota_end(h), ESP_ERR_NOT_FOUND); /* the handle is gone in every case */
    buf_deinit(&image);
}

static void sequential_and_resumed_writes_make_a_whole_image(void **state)
{
    struct buf image = make_image("2.0.0", 90000);
    esp_ota_handle_t h;
    size_t at = 0, half = 65536;
    esp_app_desc_t desc;
    (void)state;
    assert_int_equal(esp_ota_begin(label("ota_0"), OTA_WITH_SEQUENTIAL_WRITES, &h), ESP_OK);
    for (size_t n = 1; at + n <= half + 5000; at += n, n = n % 1400 + 1)
        assert_int_equal(esp_ota_write(h, image.at + at, n), ESP_OK);
    assert_int_equal(esp_ota_abort(h), ESP_OK); /* power was lost beyond the checkpoint */
    assert_int_equal(esp_ota_resume(label("ota_0"), OTA_WITH_SEQUENTIAL_WRITES, half, &h), ESP_OK);
    assert_int_equal(esp_ota_write(h, image.at + half, image.len - half), ESP_OK);
    assert_int_equal(esp_ota_end(h), ESP_OK);
    assert_int_equal(esp_ota_get_partition_description(label("ota_0"), &desc), ESP_OK);
    assert_string_equal(desc.version, "2.0.0");
    assert_int_equal(esp_ota_set_boot_partition(label("ota_0")), ESP_OK);
    assert_ptr_equal(esp_ota_get_boot_partition(), label("ota_0"));
    buf_deinit(&image);
}

static void a_new_image_is_on_trial_and_confirmed(void **state)
{
    struct otadata o;
    esp_ota_img_states_t s;
    esp_ota_handle_t h;
    (void)state;
    assert_int_equal(esp_ota_get_state_partition(label("ota_0"), &s), ESP_OK);
    assert_int_equal(s, ESP_OTA_IMG_NEW);
    assert_int_equal(otadata_open(&o, OTADATA_SEALED, esp_context.start.flash, &esp_context.table, NULL), ERR_NONE);
    assert_int_equal(otadata_write(&o, 0, 1, OTA_PENDING_VERIFY, NULL), ERR_NONE); /* the bootloader's part */
    esp_context.running = label("ota_0");
    assert_int_equal(esp_ota_begin(label("ota_1"), 0, &h), ESP_ERR_OTA_ROLLBACK_INVALID_STATE);
    assert_true(esp_ota_check_rollback_is_possible()); /* to factory */
    assert_int_equal(esp_ota_mark_app_valid_cancel_rollback(), ESP_OK);
    assert_int_equal(esp_ota_get_state_partition(label("ota_0"), &s), ESP_OK);
    assert_int_equal(s, ESP_OTA_IMG_VALID);
    assert_int_equal(esp_ota_begin(label("ota_0"), 0, &h), ESP_ERR_OTA_PARTITION_CONFLICT);
    assert_int_equal(esp_ota_begin(label("ota_1"), 4096, &h), ESP_OK);
    assert_int_equal(esp_ota_abort(h), ESP_OK);
    assert_int_equal(esp_ota_mark_app_invalid_rollback(), ESP_OK);
    assert_int_equal(esp_ota_get_state_partition(label("ota_0"), &s), ESP_OK);
    assert_int_equal(s, ESP_OTA_IMG_INVALID);
}

static void nvs_has_esp_idfs_codes(void **state)
{
    nvs_handle_t h, ro;
    char text[16];
    size_t len = sizeof text;
    uint32_t n = 0;
    uint8_t small;
    (void)state;
    assert_int_equal(nvs_open("space", NVS_READONLY, &h), ESP_ERR_NVS_NOT_INITIALIZED);
    assert_int_equal(nvs_flash_init_partition("none"), ESP_ERR_NVS_PART_NOT_FOUND);
    assert_int_equal(nvs_flash_init(), ESP_OK);
    assert_int_equal(nvs_open("space", NVS_READONLY, &h), ESP_ERR_NVS_NOT_FOUND);
    assert_int_equal(nvs_open("a namespace too long", NVS_READWRITE, &h), ESP_ERR_NVS_KEY_TOO_LONG);
    assert_int_equal(nvs_open("space", NVS_READWRITE, &h), ESP_OK);
    assert_int_equal(nvs_set_u32(h, "n", 70000), ESP_OK);
    assert_int_equal(nvs_set_str(h, "s", "hello"), ESP_OK);
    assert_int_equal(nvs_commit(h), ESP_OK);
    assert_int_equal(nvs_open("space", NVS_READONLY, &ro), ESP_OK);
    assert_int_equal(nvs_get_u32(ro, "n", &n), ESP_OK);
    assert_int_equal(n, 70000);
    assert_int_equal(nvs_get_u8(ro, "n", &small), ESP_ERR_NVS_TYPE_MISMATCH);
    assert_int_equal(nvs_get_u32(ro, "none", &n), ESP_ERR_NVS_NOT_FOUND);
    assert_int_equal(nvs_set_u32(ro, "n", 1), ESP_ERR_NVS_READ_ONLY);
    assert_int_equal(nvs_set_u32(h, "a key that is too long", 1), ESP_ERR_NVS_KEY_TOO_LONG);
    assert_int_equal(nvs_get_str(ro, "s", NULL, &len), ESP_OK);
    assert_int_equal(len, 6);
    len = 3;
    assert_int_equal(nvs_get_str(ro, "s", text, &len), ESP_ERR_NVS_INVALID_LENGTH);
    assert_int_equal(len, 6);
    assert_int_equal(nvs_get_str(ro, "s", text, &len), ESP_OK);
    assert_string_equal(text, "hello");
    assert_int_equal(nvs_erase_key(h, "s"), ESP_OK);
    assert_int_equal(nvs_get_str(ro, "s", text, &len), ESP_ERR_NVS_NOT_FOUND);
    nvs_close(h);
    nvs_close(ro);
    assert_int_equal(nvs_commit(h), ESP_ERR_NVS_INVALID_HANDLE);
    assert_int_equal(nvs_flash_deinit(), ESP_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_running_application_is_known),
        cmocka_unit_test(wrong_use_has_esp_idfs_codes),
        cmocka_unit_test(a_broken_image_is_not_validated),
        cmocka_unit_test(sequential_and_resumed_writes_make_a_whole_image),
        cmocka_unit_test(a_new_image_is_on_trial_and_confirmed),
        cmocka_unit_test(nvs_has_esp_idfs_codes),
    };
    return cmocka_run_group_tests_name("esp", tests, open_node, NULL);
}
