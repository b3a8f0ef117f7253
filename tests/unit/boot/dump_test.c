/* Flash dumps taken apart, and the images that lie in slots. */
#include "boot/dump.h"
#include "boot/slot.h"
#include "crypto/key.h"
#include "faults.h"
#include "image/pack.h"
#include "image/signature.h"
#include "test.h"

#define SIZE 0x200000u

static uint8_t flash[SIZE];

static struct buf packed(void)
{
    struct buf image = {0};
    uint8_t elf[5000] = "\x7f"
                        "ELF";
    struct pack_options o = {"blinky", "1.2.3", "", "", 9, CHIP_LINUX};
    assert_int_equal(image_pack(&image, bytes_of(elf, sizeof elf), &o, NULL), ERR_NONE);
    return image;
}

static void put_table(const char *csv, uint32_t at, uint32_t base)
{
    struct partition_table t;
    uint8_t raw[PARTITION_TABLE_BYTES];
    struct partition_options o = {.table_at = at, .has_bootloader = true};
    assert_int_equal(partition_table_read_csv(&t, bytes_of_text(csv), &o, NULL), ERR_NONE);
    partition_table_write(&t, raw);
    memcpy(flash + at - base, raw, sizeof raw);
}

static const char csv[] = "nvs,data,nvs,,24K\notadata,data,ota,,8K\nota_0,app,ota_0,,256K\nota_1,app,ota_1,,256K\n"
                          "../../files,data,fat,,64K\n";

static void fill(void)
{
    struct buf image = packed();
    memset(flash, 0xff, SIZE);
    put_table(csv, 0x8000, 0);
    memcpy(flash + 0x1000, image.at, image.len);
    memcpy(flash + 0x20000, image.at, image.len);
    flash[0x9000] = 0xfe;
    buf_deinit(&image);
}

/* The promise: the pieces cover everything, in order, and put together they are the dump. */
static void pieces_give_the_dump(const struct dump *d)
{
    uint8_t *copy = malloc(d->bytes.len);
    uint64_t end = d->base;
    memset(copy, 0xff, d->bytes.len);
    for (unsigned i = 0; i < d->count; i++) {
        struct bytes b = dump_bytes(d, &d->pieces[i]);
        assert_int_equal(d->pieces[i].at, end);
        end += d->pieces[i].size_bytes;
        if (b.len > 0)
            memcpy(copy + (d->pieces[i].at - d->base), b.at, b.len);
    }
    assert_true(end >= d->base + d->bytes.len);
    assert_memory_equal(copy, d->bytes.at, d->bytes.len);
    free(copy);
}

static const struct dump_piece *piece(const struct dump *d, const char *name)
{
    for (unsigned i = 0; i < d->count; i++)
        if (strcmp(d->pieces[i].name, name) == 0)
            return &d->pieces[i];
    fail_msg("no piece %s", name);
    return NULL;
}

static void a_dump_comes_apart(void **state)
{
    struct dump d;
    struct image_facts f;
    (void)state;
    fill();
    flash[0x150123] = 7; /* behind the last partition */
    assert_int_equal(dump_open(&d, bytes_of(flash, SIZE), NULL, NULL), ERR_NONE);
    assert_int_equal(d.table_at, 0x8000);
    assert_int_equal(d.base, 0);
    pieces_give_the_dump(&d);
    assert_int_equal(piece(&d, "bootloader")->at, 0x1000);
    assert_int_equal(piece(&d, "partition-table")->len, 0xc00);
    assert_int_equal(piece(&d, "nvs")->len, 0x6000); /* whole, because tools want pages */
    assert_int_equal(piece(&d, "otadata")->len, 0);
    assert_int_equal(piece(&d, "_._.._files")->size_bytes, 0x10000);
    assert_int_equal(dump_image(&d, piece(&d, "ota_0"), &f, NULL), ERR_NONE);
    assert_int_equal(piece(&d, "ota_0")->len, f.image_len);
    assert_string_equal(f.app.project_name, "blinky");
    assert_int_equal(dump_image(&d, piece(&d, "ota_1"), &f, NULL), ERR_NOT_FOUND);
    assert_int_equal(dump_image(&d, piece(&d, "nvs"), &f, NULL), ERR_NOT_FOUND);
    assert_int_equal(piece(&d, "gap-0xb0000")->len, 0x150123 / 4096 * 4096 + 4096 - 0xb0000);
    flash[0x20100] ^= 1;
    assert_int_equal(dump_open(&d, bytes_of(flash, SIZE), NULL, NULL), ERR_NONE);
    assert_int_equal(dump_image(&d, piece(&d, "ota_0"), &f, NULL), ERR_IMAGE_CHECKSUM);
    assert_int_equal(piece(&d, "ota_0")->len % 4096, 0);
    pieces_give_the_dump(&d);
}

/* A signature's sector ends in erased bytes that belong to it; so may a digest. */
static void images_keep_their_last_bytes(void **state)
{
    struct buf pem = {0}, image = packed();
    struct private_key *key;
    struct dump d;
    (void)state;
    assert_int_equal(private_key_generate(KEY_P256, &pem, NULL), ERR_NONE);
    assert_int_equal(private_key_open_pem(&key, buf_bytes(&pem), NULL), ERR_NONE);
    assert_int_equal(signature_append(&image, key, SIGNATURE_NEW, NULL), ERR_NONE);
    fill();
    memcpy(flash + 0x60000, image.at, image.len);
    assert_int_equal(dump_open(&d, bytes_of(flash, SIZE), NULL, NULL), ERR_NONE);
    assert_int_equal(piece(&d, "ota_1")->len, image.len);
    pieces_give_the_dump(&d);
    flash[0x60000 + image.len + 5] = 0; /* something behind it is kept, too */
    assert_int_equal(dump_open(&d, bytes_of(flash, SIZE), NULL, NULL), ERR_NONE);
    assert_int_equal(piece(&d, "ota_1")->len, image.len + 4096);
    pieces_give_the_dump(&d);
    private_key_close(key);
    buf_deinit(&pem);
    buf_deinit(&image);
}

static void tables_elsewhere_are_found_or_given(void **state)
{
    struct dump d;
    struct dump_place place = {.has_table = true, .table_at = 0x10000};
    struct why why;
    (void)state;
    memset(flash, 0xff, SIZE);
    put_table("nvs,data,nvs,,24K\n", 0x10000, 0);
    assert_int_equal(dump_open(&d, bytes_of(flash, SIZE), NULL, NULL), ERR_NONE);
    assert_int_equal(d.table_at, 0x10000);
    assert_int_equal(dump_open(&d, bytes_of(flash, SIZE), &place, NULL), ERR_NONE);
    pieces_give_the_dump(&d);
    place.table_at = 0x9000;
    assert_int_equal(dump_open(&d, bytes_of(flash, SIZE), &place, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "0x9000"));
    place.table_at = SIZE;
    assert_int_equal(dump_open(&d, bytes_of(flash, SIZE), &place, NULL), ERR_FORMAT);
    memset(flash, 0xff, SIZE);
    assert_int_equal(dump_open(&d, bytes_of(flash, SIZE), NULL, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "no partition table"));
    assert_int_equal(dump_open(&d, bytes_of(flash, 0), NULL, NULL), ERR_FORMAT);
}

/* esptool leaves out what lies below the bootloader. */
static void a_dump_may_begin_with_its_bootloader(void **state)
{
    struct buf image = packed(); /* its chip has the bootloader at 0x1000 */
    struct dump d;
    struct dump_place place = {.has_base = true, .base = 0x1000};
    (void)state;
    memset(flash, 0xff, SIZE);
    memcpy(flash, image.at, image.len);
    put_table(csv, 0x8000, 0x1000);
    assert_int_equal(dump_open(&d, bytes_of(flash, 0x100000), NULL, NULL), ERR_NONE);
    assert_int_equal(d.base, 0x1000);
    assert_int_equal(d.table_at, 0x8000);
    pieces_give_the_dump(&d);
    assert_int_equal(dump_open(&d, bytes_of(flash, 0x100000), &place, NULL), ERR_NONE);
    assert_int_equal(d.table_at, 0x8000);
    place.base = 0x100000; /* partitions would lie below */
    assert_int_equal(dump_open(&d, bytes_of(flash, 0x100000), &place, NULL), ERR_FORMAT);
    place.base = 0xfffff000;
    assert_int_equal(dump_open(&d, bytes_of(flash, 0x100000), &place, NULL), ERR_FORMAT);
    buf_deinit(&image);
}

/* Newer tables list the bootloader and themselves; dumps may be shorter than their table says. */
static void tables_may_list_themselves(void **state)
{
    struct dump d;
    struct buf image = packed();
    (void)state;
    memset(flash, 0xff, SIZE);
    memcpy(flash, image.at, image.len);
    put_table("boot,bootloader,primary,,\ntable,partition_table,primary,,\nnvs,data,nvs,,24K\nota_0,app,ota_0,,1M\n",
              0x8000, 0);
    struct dump_place place = {.has_base = true};
    assert_int_equal(dump_open(&d, bytes_of(flash, 0x40000), &place, NULL), ERR_NONE);
    pieces_give_the_dump(&d);
    struct image_facts f;
    assert_int_equal(dump_image(&d, piece(&d, "boot"), &f, NULL), ERR_NONE);
    assert_int_equal(d.count, 5); /* the gap from 0xf000 to the slot */
    assert_int_equal(dump_open(&d, bytes_of(flash, 0x9000), &place, NULL),
                     ERR_NONE); /* nothing but the table is there */
    buf_deinit(&image);
}

static void tables_that_overlap_are_refused(void **state)
{
    struct dump d;
    struct partition_table t = {
        .count = 2, .has_md5 = true, .entries = {{1, 2, 0x9000, 0x6000, 0, "a"}, {1, 2, 0xa000, 0x6000, 0, "b"}}};
    uint8_t raw[PARTITION_TABLE_BYTES];
    struct why why;
    (void)state;
    memset(flash, 0xff, SIZE);
    partition_table_write(&t, raw);
    memcpy(flash + 0x8000, raw, sizeof raw);
    assert_int_equal(dump_open(&d, bytes_of(flash, SIZE), NULL, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "overlaps"));
}

/* --- slots ------------------------------------------------------------------------------------ */

static struct slot_rules rules_of(uint16_t chip)
{
    return (struct slot_rules){
        .chip = chip_find(chip), .chip_revision = IMAGE_REVISION_UNKNOWN, .efuse_revision = IMAGE_REVISION_UNKNOWN};
}

static void a_slot_is_verified_as_the_bootloader_does(void **state)
{
    struct buf image = packed();
    struct flash_ram ram;
    struct image_facts f;
    struct slot_rules linux_rules = rules_of(CHIP_LINUX), c3_rules = rules_of(5);
    (void)state;
    memset(flash, 0xff, SIZE);
    flash_ram_init(&ram, flash, SIZE);
    struct stretch slot = {&ram.flash, 0x10000, 0x10000};
    assert_int_equal(slot_verify(slot, &linux_rules, &f, NULL), ERR_IMAGE_MAGIC);
    memcpy(flash + 0x10000, image.at, image.len);
    flash[0x10000 + image.len + 100] = 3; /* what an earlier image left */
    assert_int_equal(slot_verify(slot, &linux_rules, &f, NULL), ERR_NONE);
    assert_int_equal(slot_verify(slot, &c3_rules, &f, NULL), ERR_IMAGE_CHIP);
    slot.size_bytes = (uint32_t)image.len - 1;
    assert_int_equal(slot_verify(slot, &linux_rules, &f, NULL), ERR_IMAGE_TRUNCATED);
    slot.size_bytes = (uint32_t)image.len;
    assert_int_equal(slot_verify(slot, &linux_rules, &f, NULL), ERR_NONE);
    for (long op = 0; op < 2; op++) {
        struct faulty_flash faulty;
        faulty_flash_init(&faulty, &ram.flash, op);
        slot.flash = &faulty.flash;
        assert_int_equal(slot_verify(slot, &linux_rules, &f, NULL), ERR_FLASH);
    }
    buf_deinit(&image);
}

static void a_slot_with_a_bootloader_runs_nothing(void **state)
{
    static const uint8_t ram_image[48] = {0xe9, 1, 2, 0x2f, 0, 0, 0, 0x40, 0xee, 0, 0, 0,    5, 0, 0, 0,
                                          0,    0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0x20, 4, 0, 0, 0,
                                          1,    2, 3, 4,    0, 0, 0, 0,    0,    0, 0, 0,    0, 0, 0, 0xeb};
    struct flash_ram ram;
    struct image_facts f;
    struct slot_rules c3_rules = rules_of(5);
    (void)state;
    memset(flash, 0xff, SIZE);
    memcpy(flash, ram_image, sizeof ram_image);
    flash_ram_init(&ram, flash, SIZE);
    assert_int_equal(slot_verify((struct stretch){&ram.flash, 0, 0x10000}, &c3_rules, &f, NULL), ERR_IMAGE_BOOTLOADER);
}

/* Labels become file names that no shell and no folder minds. */
static void labels_become_file_names(void **state)
{
    static const struct {
        const char *label, *name;
    } rows[] = {{"Aa0-_.z", "Aa0-_.z"},   {".hidden", "_hidden"},   {"a b$(c)", "a_b__c_"},
                {"\xc3\xa4", "\xc3\xa4"}, {"{[^`~@/:", "________"}, {"sixteen_letters_", "sixteen_letters_"}};
    struct partition_table t = {.has_md5 = true};
    uint8_t raw[PARTITION_TABLE_BYTES];
    struct dump d;
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        struct partition p = {1, 6, 0x9000 + i * 0x1000, 0x1000, 0, {0}};
        memcpy(p.label, rows[i].label, strlen(rows[i].label));
        t.entries[t.count++] = p;
    }
    memset(flash, 0xff, SIZE);
    partition_table_write(&t, raw);
    memcpy(flash + 0x8000, raw, sizeof raw);
    flash[0x8000 + 0xc00] = 7; /* a signed table: something follows it in its sector */
    assert_int_equal(dump_open(&d, bytes_of(flash, SIZE), NULL, NULL), ERR_NONE);
    for (unsigned i = 0; i < 6; i++)
        piece(&d, rows[i].name);
    assert_int_equal(piece(&d, "partition-table")->len, 4096);
    pieces_give_the_dump(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_become_file_names),
        cmocka_unit_test(a_dump_comes_apart),
        cmocka_unit_test(images_keep_their_last_bytes),
        cmocka_unit_test(tables_elsewhere_are_found_or_given),
        cmocka_unit_test(a_dump_may_begin_with_its_bootloader),
        cmocka_unit_test(tables_may_list_themselves),
        cmocka_unit_test(tables_that_overlap_are_refused),
        cmocka_unit_test(a_slot_is_verified_as_the_bootloader_does),
        cmocka_unit_test(a_slot_with_a_bootloader_runs_nothing),
    };
    return cmocka_run_group_tests_name("dumps and slots", tests, NULL, NULL);
}
