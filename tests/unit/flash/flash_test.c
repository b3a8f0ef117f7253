#include "codec/encode.h"
#include "crypto/digest.h"
#include "flash/partition.h"
#include "faults.h"
#include "test.h"

#define SIZE 16384u

static void nor_rules_hold(void **state)
{
    uint8_t bytes[SIZE], got[4];
    struct flash_ram ram;
    (void)state;
    memset(bytes, 0xff, sizeof bytes);
    flash_ram_init(&ram, bytes, SIZE);
    struct stretch s = {&ram.flash, 4096, 8192};
    assert_int_equal(stretch_program(s, 0, bytes_of("\xf0\xff", 2), NULL), ERR_NONE);
    assert_int_equal(stretch_program(s, 0, bytes_of("\x3f\x0f", 2), NULL), ERR_NONE);
    assert_int_equal(stretch_read(s, 0, got, 2, NULL), ERR_NONE);
    assert_int_equal(got[0], 0x30);
    assert_int_equal(got[1], 0x0f);
    assert_int_equal(stretch_erase(s, 0, 4096, NULL), ERR_NONE);
    assert_int_equal(bytes[4096], 0xff);
}

static void a_stretch_is_never_left(void **state)
{
    uint8_t bytes[SIZE], copy[SIZE], got[8];
    struct flash_ram ram;
    (void)state;
    memset(bytes, 0xff, sizeof bytes);
    memcpy(copy, bytes, sizeof bytes);
    flash_ram_init(&ram, bytes, SIZE);
    struct stretch s = {&ram.flash, 4096, 4096};
    assert_int_equal(stretch_program(s, 4090, bytes_of("12345678", 8), NULL), ERR_FLASH);
    assert_int_equal(stretch_read(s, 5000, got, 1, NULL), ERR_FLASH);
    assert_int_equal(stretch_read(s, 0xffffffff, got, 8, NULL), ERR_FLASH);
    assert_int_equal(stretch_erase(s, 100, 4096, NULL), ERR_FLASH);
    assert_int_equal(stretch_erase(s, 0, 8192, NULL), ERR_FLASH);
    assert_memory_equal(bytes, copy, SIZE);
}

static void a_cut_stops_everything_after_it(void **state)
{
    uint8_t bytes[SIZE];
    struct flash_ram ram;
    struct flash_cut cut;
    (void)state;
    memset(bytes, 0xff, sizeof bytes);
    flash_ram_init(&ram, bytes, SIZE);
    flash_cut_init(&cut, &ram.flash, 1, true);
    struct stretch s = {&cut.flash, 0, SIZE};
    assert_int_equal(stretch_program(s, 0, bytes_of("ab", 2), NULL), ERR_NONE);
    assert_int_equal(stretch_program(s, 10, bytes_of("abcd", 4), NULL), ERR_FLASH);
    assert_memory_equal(bytes + 10, "ab\xff\xff", 4);
    assert_int_equal(stretch_program(s, 20, bytes_of("ab", 2), NULL), ERR_FLASH);
    assert_int_equal(bytes[20], 0xff);
}

/* The generator's own answers: offsets and the MD5 record. */
static void csv_becomes_the_known_table(void **state)
{
    static const char csv[] =
        "nvs,data,nvs,,0x6000\notadata,data,ota,,0x2000\r\n# a comment\n\nota_0,app,ota_0,,1M\nota_1,app,ota_1,,1M\n";
    struct partition_table t, back;
    uint8_t raw[PARTITION_TABLE_BYTES];
    char md5[33];
    (void)state;
    assert_int_equal(partition_table_read_csv(&t, bytes_of_text(csv), NULL, NULL), ERR_NONE);
    assert_int_equal(t.count, 4);
    assert_int_equal(t.entries[0].at, 0x9000);
    assert_int_equal(t.entries[1].at, 0xf000);
    assert_int_equal(t.entries[2].at, 0x20000);
    assert_int_equal(t.entries[3].at, 0x120000);
    partition_table_write(&t, raw);
    hex_encode(md5, bytes_of(raw + 4 * 32 + 16, 16));
    assert_string_equal(md5, "efe07f19303f6e6a20a12122d46412b2");
    assert_int_equal(partition_table_read(&back, bytes_of(raw, sizeof raw), 0, NULL), ERR_NONE);
    assert_int_equal(back.count, 4);
    assert_int_equal(partition_ota_count(&back), 2);
}

static void the_stock_table_has_its_digest(void **state)
{
    static const char csv[] =
        "nvs, data, nvs, 0x9000, 24K\nphy_init, data, phy, 0xf000, 4K\nfactory, app, factory, 0x10000, 1M\n";
    struct partition_table t;
    uint8_t raw[PARTITION_TABLE_BYTES], sha[SHA256_LEN];
    char text[65];
    (void)state;
    assert_int_equal(partition_table_read_csv(&t, bytes_of_text(csv), NULL, NULL), ERR_NONE);
    partition_table_write(&t, raw);
    sha256_of(sha, bytes_of(raw, sizeof raw));
    hex_encode(text, bytes_of(sha, sizeof sha));
    assert_memory_equal(text, "7f00b6c042a89b15", 16);
}

static void wrong_tables_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "# nothing\n",
        "a,app,,,1M\n",
        "a,what,ota_0,,1M\n",
        "a,app,ota_16,,1M\n",
        "a,app,ota_0,0x1234,1M\n",
        "a,app,ota_0,,\n",
        "a,app,ota_0,,1000\n",
        "a,data,nvs,,0x6000\na,data,phy,,0x1000\n",
        "a,data,nvs,,0x1000\n",
        "a,data,ota,,0x1000\n",
        "a,data,nvs,0x5000,0x6000\n",
        "a,data,nvs,0x9000,0x6000\nb,data,phy,0xa000,0x1000\n",
        "a,data,nvs,,0x6000,secret\n",
        "a,data,nvs,010,0x6000\n",
        "a,data,ota,,0x2000\nb,data,ota,,0x2000\n",
    };
    struct partition_table t;
    struct why why;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (partition_table_read_csv(&t, bytes_of_text(bad[i]), NULL, &why) != ERR_FORMAT)
            fail_msg("was accepted: %s", bad[i]);
}

static void a_damaged_table_is_refused(void **state)
{
    static const char csv[] = "nvs,data,nvs,,0x6000\nota_0,app,ota_0,,1M\n";
    struct partition_table t;
    uint8_t raw[PARTITION_TABLE_BYTES];
    (void)state;
    partition_table_read_csv(&t, bytes_of_text(csv), NULL, NULL);
    partition_table_write(&t, raw);
    for (int i = 0; i < 96; i++) {
        raw[i] ^= 4;
        assert_int_equal(partition_table_read(&t, bytes_of(raw, sizeof raw), 0, NULL),
                         i >= 66 && i < 80 ? ERR_NONE : ERR_FORMAT);
        raw[i] ^= 4;
    }
    assert_int_equal(partition_table_read(&t, bytes_of(raw, sizeof raw), 0x100000, NULL), ERR_FORMAT);
    assert_int_equal(partition_table_read(&t, bytes_of(raw, 64), 0, NULL), ERR_FORMAT);
}

static void golden_tables_are_made_byte_for_byte(void **state)
{
    static const char *const names[] = {"flash/seed_partitions", "flash/auto_partitions"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        char path[80];
        struct partition_table t;
        uint8_t raw[PARTITION_TABLE_BYTES];
        snprintf(path, sizeof path, "%s.csv", names[i]);
        struct buf csv = fixture(path);
        snprintf(path, sizeof path, "%s.bin", names[i]);
        struct buf bin = fixture(path);
        assert_int_equal(partition_table_read_csv(&t, buf_bytes(&csv), NULL, NULL), ERR_NONE);
        partition_table_write(&t, raw);
        assert_int_equal(bin.len, sizeof raw);
        assert_memory_equal(raw, bin.at, sizeof raw);
        buf_deinit(&csv);
        buf_deinit(&bin);
    }
}

static void operations_past_the_end_are_refused(void **state)
{
    uint8_t bytes[SIZE], got[8];
    struct flash_ram ram;
    (void)state;
    memset(bytes, 0xff, sizeof bytes);
    flash_ram_init(&ram, bytes, SIZE);
    struct stretch beyond = {&ram.flash, SIZE - 4096, 8192}; /* a table that promises more than there is */
    assert_int_equal(stretch_read(beyond, 4096, got, 8, NULL), ERR_FLASH);
    assert_int_equal(stretch_read(beyond, 4090, got, 8, NULL), ERR_FLASH);
    assert_int_equal(stretch_read(beyond, 4096, got, 0, NULL), ERR_NONE);
    assert_int_equal(stretch_program(beyond, 4090, bytes_of("12345678", 8), NULL), ERR_FLASH);
    assert_int_equal(stretch_erase(beyond, 0, 8192, NULL), ERR_FLASH);
    assert_int_equal(stretch_erase(beyond, 0, 100, NULL), ERR_FLASH);
    assert_int_equal(stretch_read((struct stretch){&ram.flash, SIZE + 4096, 4096}, 0, got, 1, NULL), ERR_FLASH);
}

static void a_cut_may_come_in_an_erase(void **state)
{
    uint8_t bytes[SIZE], got;
    struct flash_ram ram;
    struct flash_cut cut;
    (void)state;
    for (int is_torn = 0; is_torn < 2; is_torn++) {
        memset(bytes, 0x5a, sizeof bytes);
        flash_ram_init(&ram, bytes, SIZE);
        flash_cut_init(&cut, &ram.flash, 1, is_torn);
        struct stretch s = {&cut.flash, 0, SIZE};
        assert_int_equal(stretch_read(s, 0, &got, 1, NULL), ERR_NONE);
        assert_int_equal(stretch_erase(s, 0, 4096, NULL), ERR_NONE);
        assert_int_equal(stretch_erase(s, 4096, 4096, NULL), ERR_FLASH);
        assert_int_equal(bytes[4096], is_torn ? 0 : 0x5a);
        assert_int_equal(bytes[4096 + 4095], is_torn ? 0xff : 0x5a);
        assert_int_equal(stretch_erase(s, 4096, 4096, NULL), ERR_FLASH);
        assert_int_equal(stretch_read(s, 0, &got, 1, NULL), ERR_FLASH);
    }
    flash_cut_init(&cut, &ram.flash, 0, false);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(stretch_program((struct stretch){&cut.flash, 0, SIZE}, 0, bytes_of("ab", 2), NULL), ERR_FLASH);
    assert_int_equal(bytes[0], 0xff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_past_the_end_are_refused),
        cmocka_unit_test(a_cut_may_come_in_an_erase),
        cmocka_unit_test(nor_rules_hold),
        cmocka_unit_test(a_stretch_is_never_left),
        cmocka_unit_test(a_cut_stops_everything_after_it),
        cmocka_unit_test(csv_becomes_the_known_table),
        cmocka_unit_test(the_stock_table_has_its_digest),
        cmocka_unit_test(wrong_tables_are_refused),
        cmocka_unit_test(a_damaged_table_is_refused),
        cmocka_unit_test(golden_tables_are_made_byte_for_byte),
    };
    return cmocka_run_group_tests_name("flash", tests, NULL, NULL);
}
