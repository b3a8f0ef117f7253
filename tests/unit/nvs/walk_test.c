/* Goal: NVS partitions are listed, counted, encrypted, and survive flash that lies or bits that do not stay. */
#include "faults.h"
#include "flash/nor.h"
#include "nvs/nvs_crypt.h"
#include "nvs/nvs_part.h"
#include "test.h"

#define SIZE 0x5000u

static uint8_t bytes[SIZE];
static struct flash_ram ram;
static struct nvs_part nvs;

static int set_up(void **state)
{
    (void)state;
    memset(bytes, 0xff, sizeof bytes);
    flash_ram_init(&ram, bytes, sizeof bytes);
    assert_int_equal(nvs_part_mount(&nvs, (struct stretch){&ram.flash, 0, SIZE}, NULL), ERR_NONE);
    return 0;
}

static enum err put_u8_of(struct nvs_part *n, const char *space, const char *key, uint8_t value)
{
    return nvs_part_write(n, space, key, NVS_U8, bytes_of(&value, 1), NULL);
}

static void values_are_walked_in_the_order_of_writing(void **state)
{
    uint8_t blob[5000];
    struct nvs_part_item item = {0};
    enum nvs_part_type type;
    (void)state;
    memset(blob, 7, sizeof blob);
    assert_int_equal(put_u8_of(&nvs, "one", "a", 1), ERR_NONE);
    assert_int_equal(nvs_part_write(&nvs, "two", "text", NVS_TEXT, bytes_of((const uint8_t *)"hi", 3), NULL), ERR_NONE);
    assert_int_equal(nvs_part_write(&nvs, "one", "blob", NVS_BLOB_DATA, bytes_of(blob, sizeof blob), NULL), ERR_NONE);
    static const struct {
        const char *space, *key;
        enum nvs_part_type type;
    } wanted[] = {{"one", "a", NVS_U8}, {"two", "text", NVS_TEXT}, {"one", "blob", NVS_BLOB_DATA}};
    for (int i = 0; i < 3; i++) {
        assert_true(nvs_part_next(&nvs, &item));
        assert_string_equal(item.space, wanted[i].space);
        assert_string_equal(item.key, wanted[i].key);
        assert_int_equal(item.type, wanted[i].type);
    }
    assert_false(nvs_part_next(&nvs, &item));
    assert_int_equal(nvs_part_type(&nvs, "one", "blob", &type, NULL), ERR_NONE);
    assert_int_equal(type, NVS_BLOB_DATA);
    assert_int_equal(nvs_part_type(&nvs, "one", "none", &type, NULL), ERR_NOT_FOUND);
    assert_int_equal(nvs_part_type(&nvs, "none", "a", &type, NULL), ERR_NOT_FOUND);
    /* an item of a namespace that nobody defined is no value */
    struct nvs_part_stats s;
    nvs_part_stats(&nvs, &s);
    assert_int_equal(s.spaces, 2);
    assert_int_equal(s.total, 5 * NVS_ENTRIES);
    assert_int_equal(nvs_part_space_entries(&nvs, "two"), 2);
    assert_int_equal(nvs_part_space_entries(&nvs, "none"), 0);
    assert_int_equal(s.used, 2 + 2 + nvs_part_space_entries(&nvs, "one"));
}

static void namespaces_are_made(void **state)
{
    (void)state;
    assert_int_equal(nvs_part_make_space(&nvs, "space", NULL), ERR_NONE);
    assert_int_equal(nvs_part_make_space(&nvs, "space", NULL), ERR_NONE);
    assert_true(nvs_part_has_space(&nvs, "space"));
    assert_int_equal(nvs_part_make_space(&nvs, "a-name-that-is-too-long", NULL), ERR_USAGE);
    assert_int_equal(nvs_part_make_space(&nvs, "", NULL), ERR_USAGE);
    struct nvs_part small;
    assert_int_equal(nvs_part_mount(&small, (struct stretch){&ram.flash, 0, 0x1000}, NULL), ERR_NONE);
    assert_int_equal(nvs_part_make_space(&small, "new", NULL), ERR_FORBIDDEN);
    memset(bytes + 64, 0, 32); /* its definition is gone, the values are orphans */
    assert_int_equal(nvs_part_mount(&nvs, (struct stretch){&ram.flash, 0, SIZE}, NULL), ERR_NONE);
    struct nvs_part_item item = {0};
    assert_false(nvs_part_next(&nvs, &item));
}

/* --- encryption ------------------------------------------------------------------------------- */

static void an_encrypted_partition_is_written_and_read(void **state)
{
    static uint8_t keys[NVS_KEYS_LEN], plain[SIZE], blob[3000], got[3000];
    struct nvs_cipher c;
    struct nvs_part part;
    size_t len;
    (void)state;
    for (unsigned i = 0; i < sizeof keys; i++)
        keys[i] = (uint8_t)(i * 7);
    for (unsigned i = 0; i < sizeof blob; i++)
        blob[i] = (uint8_t)i;
    struct stretch s = {&ram.flash, 0, SIZE};
    assert_int_equal(nvs_cipher_init(&c, s, keys, NULL), ERR_NONE);
    assert_int_equal(nvs_part_mount(&part, nvs_cipher_stretch(&c), NULL), ERR_NONE);
    for (int round = 0; round < 12; round++) { /* until pages are freed */
        blob[0] = (uint8_t)round;
        assert_int_equal(nvs_part_write(&part, "space", "blob", NVS_BLOB_DATA, bytes_of(blob, sizeof blob), NULL),
                         ERR_NONE);
        assert_int_equal(put_u8_of(&part, "space", "n", (uint8_t)round), ERR_NONE);
    }
    assert_int_equal(nvs_part_mount(&part, nvs_cipher_stretch(&c), NULL), ERR_NONE);
    assert_int_equal(nvs_part_read(&part, "space", "blob", NVS_BLOB_DATA, got, sizeof got, &len, NULL), ERR_NONE);
    assert_int_equal(len, sizeof blob);
    assert_memory_equal(got, blob, len);
    nvs_cipher_deinit(&c);
    /* what lies in flash is what the whole-partition tool opens */
    memcpy(plain, bytes, SIZE);
    assert_int_equal(nvs_crypt(plain, SIZE, keys, CIPHER_OPEN, NULL), ERR_NONE);
    struct flash_ram opened;
    flash_ram_init(&opened, plain, SIZE);
    assert_int_equal(nvs_part_mount(&part, (struct stretch){&opened.flash, 0, SIZE}, NULL), ERR_NONE);
    assert_int_equal(nvs_part_read(&part, "space", "blob", NVS_BLOB_DATA, got, sizeof got, &len, NULL), ERR_NONE);
    assert_memory_equal(got, blob, len);
    memset(keys, 1, sizeof keys);
    assert_int_equal(nvs_cipher_init(&c, s, keys, NULL), ERR_KEY);
}

static void errors_come_through_the_cipher(void **state)
{
    static uint8_t keys[NVS_KEYS_LEN];
    for (unsigned i = 0; i < sizeof keys; i++)
        keys[i] = (uint8_t)i;
    for (long op = 0; op < 400; op++) {
        struct faulty_flash faulty;
        struct nvs_cipher c;
        struct nvs_part part;
        uint8_t got[200];
        size_t len;
        set_up(state);
        faulty_flash_init(&faulty, &ram.flash, op);
        assert_int_equal(nvs_cipher_init(&c, (struct stretch){&faulty.flash, 0, SIZE}, keys, NULL), ERR_NONE);
        enum err err = nvs_part_mount(&part, nvs_cipher_stretch(&c), NULL);
        if (err == ERR_NONE)
            err = nvs_part_write(&part, "space", "text", NVS_TEXT, bytes_of((const uint8_t *)"hello", 6), NULL);
        if (err == ERR_NONE)
            err = nvs_part_read(&part, "space", "text", NVS_TEXT, got, sizeof got, &len, NULL);
        assert_true(err == ERR_NONE || err == ERR_FLASH || err == ERR_NO_SPACE || err == ERR_NOT_FOUND);
        nvs_cipher_deinit(&c);
    }
}

/* --- flash that lies -------------------------------------------------------------------------- */

/* At every step of a workload the flash lies once: what was reported as written is there, before and after a mount. */
static void what_was_reported_as_written_is_there(void **state)
{
    (void)state;
    for (unsigned fault = NOR_SILENT; fault <= NOR_FALSE_ERROR; fault++)
        for (long step = 0; step < 260; step++) {
            struct nor *n = nor_new(0x4000, NULL);
            struct nvs_part part;
            uint8_t value = 0, blob[900], got[900];
            size_t len;
            bool is_told[2] = {false, false};
            struct stretch s = {nor_flash(n), 0, 0x4000};
            assert_int_equal(nvs_part_mount(&part, s, NULL), ERR_NONE);
            nor_plan(n, (struct nor_plan){step, (enum nor_fault)fault, (uint64_t)step});
            for (unsigned round = 0; round < 24; round++) {
                uint8_t wanted = (uint8_t)(round + 1);
                memset(blob, (int)round, sizeof blob);
                is_told[0] = nvs_part_write(&part, "s", "n", NVS_U8, bytes_of(&wanted, 1), NULL) == ERR_NONE;
                is_told[1] =
                    nvs_part_write(&part, "s", "b", NVS_BLOB_DATA, bytes_of(blob, sizeof blob), NULL) == ERR_NONE;
                for (int k = 0; k < 2; k++) {
                    if (k == 1)
                        assert_int_equal(nvs_part_mount(&part, s, NULL), ERR_NONE);
                    if (is_told[0]) {
                        assert_int_equal(nvs_part_read(&part, "s", "n", NVS_U8, &value, 1, &len, NULL), ERR_NONE);
                        assert_int_equal(value, wanted);
                    }
                    if (is_told[1]) {
                        assert_int_equal(nvs_part_read(&part, "s", "b", NVS_BLOB_DATA, got, sizeof got, &len, NULL),
                                         ERR_NONE);
                        assert_memory_equal(got, blob, sizeof blob);
                    }
                }
            }
            nor_free(n);
        }
}

/* Bits that a cut left between 0 and 1: whatever they read as, the partition mounts, settles and can be written. */
static void bits_between_0_and_1_settle(void **state)
{
    (void)state;
    for (long step = 0; step < 260; step++)
        for (unsigned seed = 0; seed < 12; seed++) {
            struct nor *n = nor_new(0x4000, NULL);
            struct nvs_part part;
            uint8_t value, blob[900], first, second;
            size_t len;
            struct stretch s = {nor_flash(n), 0, 0x4000};
            assert_int_equal(nvs_part_mount(&part, s, NULL), ERR_NONE);
            nor_plan(n, (struct nor_plan){step, NOR_CUT_METASTABLE, seed});
            for (unsigned round = 0; round < 24 && nor_has_power(n); round++) {
                value = (uint8_t)(round + 1);
                memset(blob, (int)round, sizeof blob);
                nvs_part_write(&part, "s", "n", NVS_U8, bytes_of(&value, 1), NULL);
                nvs_part_write(&part, "s", "b", NVS_BLOB_DATA, bytes_of(blob, sizeof blob), NULL);
            }
            nor_power_on(n);
            struct why why = {{0}};
            enum err mounted = nvs_part_mount(&part, s, &why);
            if (mounted != ERR_NONE) {
                for (unsigned i = 0; i < part.page_count; i++)
                    print_message("page %u: state %d, seq %u, next %u, %s\n", i, (int)part.pages[i].state,
                                  part.pages[i].seq, part.pages[i].next,
                                  part.pages[i].is_unsound ? "unsound" : "sound");
                fail_msg("step %ld, seed %u: %s", step, seed, why_text(&why, mounted));
            }
            enum err err = nvs_part_read(&part, "s", "n", NVS_U8, &first, 1, &len, NULL);
            assert_true(err == ERR_NONE || err == ERR_NOT_FOUND);
            assert_int_equal(nvs_part_mount(&part, s, NULL), ERR_NONE);
            assert_int_equal(put_u8_of(&part, "s", "other", 9), ERR_NONE);
            for (int k = 0; k < 5; k++) {
                assert_int_equal(nvs_part_mount(&part, s, NULL), ERR_NONE);
                assert_int_equal(nvs_part_read(&part, "s", "other", NVS_U8, &second, 1, &len, NULL), ERR_NONE);
                assert_int_equal(second, 9);
            }
            nor_free(n);
        }
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup(test, set_up)
    const struct CMUnitTest tests[] = {
        ROW(values_are_walked_in_the_order_of_writing),  ROW(namespaces_are_made),
        ROW(an_encrypted_partition_is_written_and_read), ROW(errors_come_through_the_cipher),
        ROW(what_was_reported_as_written_is_there),      ROW(bits_between_0_and_1_settle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
