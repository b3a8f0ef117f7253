#include "nvs/nvs_format.h"
#include "nvs/nvs_part.h"
#include "faults.h"
#include "test.h"

#define PAGES 4u
#define SIZE  (PAGES * FLASH_SECTOR_BYTES)

struct rig {
    uint8_t bytes[SIZE];
    struct flash_ram ram;
    struct nvs_part nvs;
};

static void mount(struct rig *r)
{
    flash_ram_init(&r->ram, r->bytes, SIZE);
    assert_int_equal(nvs_part_mount(&r->nvs, (struct stretch){&r->ram.flash, 0, SIZE}, NULL), ERR_NONE);
}

static int set_up(void **state)
{
    struct rig *r = malloc(sizeof *r);
    memset(r->bytes, 0xff, SIZE);
    mount(r);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static enum err write_text(struct nvs_part *n, const char *key, const char *value)
{
    return nvs_part_write(n, "space", key, NVS_TEXT, bytes_of(value, strlen(value) + 1), NULL);
}

static void assert_text(struct nvs_part *n, const char *key, const char *expected)
{
    char got[NVS_TEXT_MAX];
    size_t len;
    assert_int_equal(nvs_part_read(n, "space", key, NVS_TEXT, got, sizeof got, &len, NULL), ERR_NONE);
    assert_string_equal(got, expected);
}

static void values_survive_a_mount(void **state)
{
    struct rig *r = *state;
    uint8_t blob[5000], got[5000], byte = 200;
    size_t len;
    for (size_t i = 0; i < sizeof blob; i++)
        blob[i] = (uint8_t)(i * 3);
    assert_int_equal(write_text(&r->nvs, "name", "blinky"), ERR_NONE);
    assert_int_equal(nvs_part_write(&r->nvs, "other", "count", NVS_U8, bytes_of(&byte, 1), NULL), ERR_NONE);
    assert_int_equal(nvs_part_write(&r->nvs, "other", "big", NVS_BLOB_DATA, bytes_of(blob, sizeof blob), NULL),
                     ERR_NONE);
    mount(r);
    assert_text(&r->nvs, "name", "blinky");
    byte = 0;
    assert_int_equal(nvs_part_read(&r->nvs, "other", "count", NVS_U8, &byte, 1, &len, NULL), ERR_NONE);
    assert_int_equal(byte, 200);
    assert_int_equal(nvs_part_read(&r->nvs, "other", "big", NVS_BLOB_DATA, got, sizeof got, &len, NULL), ERR_NONE);
    assert_int_equal(len, sizeof blob);
    assert_memory_equal(got, blob, sizeof blob);
}

static void questions_have_clear_answers(void **state)
{
    struct rig *r = *state;
    char got[4];
    size_t len;
    write_text(&r->nvs, "name", "blinky");
    assert_int_equal(nvs_part_read(&r->nvs, "space", "none", NVS_TEXT, got, sizeof got, &len, NULL), ERR_NOT_FOUND);
    assert_int_equal(nvs_part_read(&r->nvs, "nowhere", "name", NVS_TEXT, got, sizeof got, &len, NULL), ERR_NOT_FOUND);
    assert_int_equal(nvs_part_read(&r->nvs, "space", "name", NVS_U8, got, sizeof got, &len, NULL), ERR_TYPE);
    assert_int_equal(nvs_part_read(&r->nvs, "space", "name", NVS_TEXT, got, sizeof got, &len, NULL), ERR_TOO_BIG);
    assert_int_equal(len, 7);
    assert_int_equal(nvs_part_write(&r->nvs, "space", "a key that is too long", NVS_TEXT, bytes_of("x", 2), NULL),
                     ERR_USAGE);
    assert_int_equal(nvs_part_write(&r->nvs, "a namespace too long", "k", NVS_TEXT, bytes_of("x", 2), NULL), ERR_USAGE);
    assert_int_equal(nvs_part_erase(&r->nvs, "space", "name", NULL), ERR_NONE);
    assert_int_equal(nvs_part_read(&r->nvs, "space", "name", NVS_TEXT, NULL, 0, &len, NULL), ERR_NOT_FOUND);
}

static void a_new_type_replaces_the_old(void **state)
{
    struct rig *r = *state;
    uint8_t n = 5;
    size_t len;
    write_text(&r->nvs, "k", "text");
    assert_int_equal(nvs_part_write(&r->nvs, "space", "k", NVS_U8, bytes_of(&n, 1), NULL), ERR_NONE);
    assert_int_equal(nvs_part_read(&r->nvs, "space", "k", NVS_TEXT, NULL, 0, &len, NULL), ERR_TYPE);
    assert_int_equal(nvs_part_write(&r->nvs, "space", "k", NVS_BLOB_DATA, bytes_of("blob", 4), NULL), ERR_NONE);
    mount(r);
    assert_int_equal(nvs_part_read(&r->nvs, "space", "k", NVS_BLOB_DATA, NULL, 0, &len, NULL), ERR_NONE);
    assert_int_equal(len, 4);
}

/* Thousands of rewrites go round the pages; what is not rewritten stays. */
static void rewriting_goes_on_for_ever(void **state)
{
    struct rig *r = *state;
    char text[100];
    write_text(&r->nvs, "stays", "here");
    for (int i = 0; i < 3000; i++) {
        snprintf(text, sizeof text, "value number %d, long enough to take a few entries of the page", i);
        assert_int_equal(write_text(&r->nvs, "changes", text), ERR_NONE);
        if (i % 500 == 0)
            mount(r);
    }
    mount(r);
    assert_text(&r->nvs, "stays", "here");
    assert_text(&r->nvs, "changes", text);
}

static void an_unchanged_value_is_not_written(void **state)
{
    struct rig *r = *state;
    uint8_t before[SIZE];
    write_text(&r->nvs, "k", "same");
    memcpy(before, r->bytes, SIZE);
    assert_int_equal(write_text(&r->nvs, "k", "same"), ERR_NONE);
    assert_memory_equal(before, r->bytes, SIZE);
}

static void full_is_said_and_loses_nothing(void **state)
{
    struct rig *r = *state;
    char key[16], value[900];
    enum err err = ERR_NONE;
    int count = 0;
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (; err == ERR_NONE && count < 100; count++) {
        snprintf(key, sizeof key, "k%d", count);
        err = write_text(&r->nvs, key, value);
    }
    assert_int_equal(err, ERR_NO_SPACE);
    mount(r);
    for (int i = 0; i < count - 1; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_text(&r->nvs, key, value);
    }
}

/* One rewrite of a text or blob with the power cut at every flash operation, clean and torn: old or new, never else. */
static void cut_everywhere(struct rig *r, enum nvs_part_type type, const char *old, const char *new, int rounds)
{
    static uint8_t start[SIZE];
    char got[NVS_TEXT_MAX];
    size_t len;
    for (int i = 0; i < rounds; i++) { /* so that cuts meet turning pages, too */
        char filler[60];
        snprintf(filler, sizeof filler, "filler %d ..........................................", i);
        write_text(&r->nvs, "filler", filler);
    }
    assert_int_equal(nvs_part_write(&r->nvs, "space", "k", type, bytes_of(old, strlen(old) + 1), NULL), ERR_NONE);
    memcpy(start, r->bytes, SIZE);
    for (int torn = 0; torn < 2; torn++)
        for (long ops = 0;; ops++) {
            struct flash_cut cut;
            struct nvs_part n;
            memcpy(r->bytes, start, SIZE);
            flash_cut_init(&cut, &r->ram.flash, ops, torn);
            enum err err = nvs_part_mount(&n, (struct stretch){&cut.flash, 0, SIZE}, NULL);
            if (err == ERR_NONE)
                err = nvs_part_write(&n, "space", "k", type, bytes_of(new, strlen(new) + 1), NULL);
            mount(r);
            assert_int_equal(nvs_part_read(&r->nvs, "space", "k", type, got, sizeof got, &len, NULL), ERR_NONE);
            bool is_old = strcmp(got, old) == 0, is_new = strcmp(got, new) == 0;
            if (!(is_old || is_new) || (err == ERR_NONE && !is_new))
                fail_msg("cut %ld (torn %d) after %d rounds left \"%s\"", ops, torn, rounds, got);
            assert_int_equal(nvs_part_write(&r->nvs, "space", "k", type, bytes_of(new, strlen(new) + 1), NULL),
                             ERR_NONE);
            if (err == ERR_NONE)
                break;
        }
    memcpy(r->bytes, start, SIZE);
    mount(r);
}

static void a_cut_leaves_the_old_value_or_the_new(void **state)
{
    static const int rounds[] = {0, 20, 38, 39, 40, 41, 42, 80, 119, 120, 121, 122, 123, 124, 160};
    struct rig *r = *state;
    for (size_t i = 0; i < sizeof rounds / sizeof rounds[0]; i++) {
        memset(r->bytes, 0xff, SIZE);
        mount(r);
        cut_everywhere(r, NVS_TEXT, "the old value of this key", "the new one, which is longer than the old one was",
                       rounds[i]);
        memset(r->bytes, 0xff, SIZE);
        mount(r);
        cut_everywhere(r, NVS_BLOB_DATA, "the old value of this key",
                       "the new one, which is longer than the old one was", rounds[i]);
    }
}

static void random_flash_mounts_or_is_refused(void **state)
{
    struct rig *r = *state;
    uint64_t seed = 7;
    for (int round = 0; round < 300; round++) {
        size_t len;
        for (size_t i = 0; i < SIZE; i++)
            if (test_random(&seed) % 50 == 0)
                r->bytes[i] &= (uint8_t)test_random(&seed);
        flash_ram_init(&r->ram, r->bytes, SIZE);
        if (nvs_part_mount(&r->nvs, (struct stretch){&r->ram.flash, 0, SIZE}, NULL) == ERR_NONE) {
            nvs_part_read(&r->nvs, "space", "k", NVS_TEXT, NULL, 0, &len, NULL);
            write_text(&r->nvs, "k", "value");
        } else
            memset(r->bytes, 0xff, SIZE);
    }
}

/* The bytes of ESP-IDF's generator for the same CSV. */
static void a_factory_partition_is_the_generators(void **state)
{
    static const char *const files[] = {"node_id.txt", "mqtt_host.txt", "client.crt", "client.key.sample"};
    static const char *const keys[] = {"node_id", "mqtt_host", "client_cert", "client_key"};
    struct buf golden = fixture("nvs/fctry.bin");
    uint8_t bytes[0x6000], random[64];
    struct flash_ram ram;
    struct nvs_part nvs;
    (void)state;
    assert_int_equal(golden.len, sizeof bytes);
    memset(bytes, 0xff, sizeof bytes);
    flash_ram_init(&ram, bytes, sizeof bytes);
    assert_int_equal(nvs_part_mount(&nvs, (struct stretch){&ram.flash, 0, sizeof bytes}, NULL), ERR_NONE);
    for (int i = 0; i < 4; i++) {
        char path[64];
        snprintf(path, sizeof path, "nvs/%s", files[i]);
        struct buf value = fixture(path);
        assert_int_equal(nvs_part_write(&nvs, "rmaker_creds", keys[i], NVS_BLOB_DATA, buf_bytes(&value), NULL),
                         ERR_NONE);
        buf_deinit(&value);
    }
    for (int i = 0; i < 64; i++)
        random[i] = (uint8_t)i;
    assert_int_equal(nvs_part_write(&nvs, "rmaker_creds", "random", NVS_BLOB_DATA, bytes_of(random, 64), NULL),
                     ERR_NONE);
    assert_memory_equal(bytes, golden.at, sizeof bytes);
    buf_deinit(&golden);
}

/* --- faults ----------------------------------------------------------------------------------- */

typedef enum err act(struct nvs_part *n);

static enum err act_number(struct nvs_part *n)
{
    return nvs_part_write(n, "space", "number", NVS_U32, bytes_of("1234", 4), NULL);
}

static enum err act_text(struct nvs_part *n)
{
    return write_text(n, "text", "another text than before, longer than one entry");
}

static enum err act_blob(struct nvs_part *n)
{
    static uint8_t blob[6000] = {1};
    return nvs_part_write(n, "space", "blob", NVS_BLOB_DATA, bytes_of(blob, sizeof blob), NULL);
}

static enum err act_type(struct nvs_part *n)
{
    return nvs_part_write(n, "space", "blob", NVS_U8, bytes_of("x", 1), NULL);
}

static enum err act_space(struct nvs_part *n)
{
    return nvs_part_write(n, "another", "number", NVS_U8, bytes_of("1", 1), NULL);
}

static enum err act_erase(struct nvs_part *n)
{
    return nvs_part_erase(n, "space", "blob", NULL);
}

static enum err act_erase_space(struct nvs_part *n)
{
    return nvs_part_erase_space(n, "space", NULL);
}

static enum err act_many(struct nvs_part *n)
{
    enum err err = ERR_NONE;
    for (int i = 0; err == ERR_NONE && i < 60; i++) {
        char value[80];
        snprintf(value, sizeof value, "%070d", i);
        err = write_text(n, "text", value);
    }
    return err;
}

static enum err act_read(struct nvs_part *n)
{
    static uint8_t blob[6000];
    size_t len;
    char text[100];
    enum err err = nvs_part_read(n, "space", "blob", NVS_BLOB_DATA, blob, sizeof blob, &len, NULL);
    return err ? err : nvs_part_read(n, "space", "text", NVS_TEXT, text, sizeof text, &len, NULL);
}

static void prepare(struct rig *r)
{
    static uint8_t blob[3000] = {2};
    memset(r->bytes, 0xff, SIZE);
    mount(r);
    assert_int_equal(write_text(&r->nvs, "text", "a text"), ERR_NONE);
    assert_int_equal(nvs_part_write(&r->nvs, "space", "blob", NVS_BLOB_DATA, bytes_of(blob, sizeof blob), NULL),
                     ERR_NONE);
}

/* Flash that stops answering at any operation, reads included: the failure is told, or what is not found is not made
 * up; the partition mounts afterwards. */
static void every_flash_error_is_survived(void **state)
{
    static act *const acts[] = {act_number, act_text,        act_blob, act_type, act_space,
                                act_erase,  act_erase_space, act_many, act_read};
    struct rig *r = *state;
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        long failed = 0;
        bool is_done = false;
        for (long op = 0; !is_done; op += op < 1200 ? 1 : 97) {
            struct faulty_flash faulty;
            struct nvs_part part;
            struct why why;
            prepare(r);
            faulty_flash_init(&faulty, &r->ram.flash, op);
            enum err err = nvs_part_mount(&part, (struct stretch){&faulty.flash, 0, SIZE}, &why);
            if (err == ERR_NONE)
                err = acts[i](&part);
            is_done = err == ERR_NONE && faulty.left > 0;
            failed += err != ERR_NONE;
            mount(r);
        }
        assert_true(failed > 4);
    }
}

/* Pages as no firmware leaves them: each is refused or taken for empty, and what lies beside it is kept. */
static void damaged_pages_do_not_spread(void **state)
{
    struct rig *r = *state;
    struct why why;
    struct nvs_part part;
    prepare(r);
    r->bytes[8] = 0xfd; /* a newer version, with a CRC that holds */
    put_u32(r->bytes + 28, nvs_header_crc(r->bytes));
    assert_int_equal(nvs_part_mount(&part, (struct stretch){&r->ram.flash, 0, SIZE}, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "newer"));
    prepare(r);
    r->bytes[4] ^= 1; /* a header whose CRC is wrong: the page is lost, its items with it */
    mount(r);
    assert_false(nvs_part_has_space(&r->nvs, "space"));
    assert_int_equal(write_text(&r->nvs, "text", "again"), ERR_NONE);
    assert_text(&r->nvs, "text", "again");
    for (unsigned p = 0; p < PAGES; p++) { /* every page full: no free one is left */
        memset(r->bytes + p * 4096, 0xff, 4096);
        put_u32(r->bytes + p * 4096, 0xfffffffc);
        put_u32(r->bytes + p * 4096 + 4, p);
        r->bytes[p * 4096 + 8] = 0xfe;
        put_u32(r->bytes + p * 4096 + 28, nvs_header_crc(r->bytes + p * 4096));
    }
    assert_int_equal(nvs_part_mount(&part, (struct stretch){&r->ram.flash, 0, SIZE}, NULL), ERR_NO_SPACE);
}

static void sizes_have_bounds(void **state)
{
    static uint8_t large[65 * 4096];
    struct flash_ram ram;
    struct nvs_part part;
    uint8_t byte = 1;
    size_t len;
    (void)state;
    memset(large, 0xff, sizeof large);
    flash_ram_init(&ram, large, sizeof large);
    assert_int_equal(nvs_part_mount(&part, (struct stretch){&ram.flash, 0, 65 * 4096}, NULL), ERR_FORMAT);
    assert_int_equal(nvs_part_mount(&part, (struct stretch){&ram.flash, 0, 100}, NULL), ERR_FORMAT);
    assert_int_equal(nvs_part_mount(&part, (struct stretch){&ram.flash, 0, 4096}, NULL), ERR_NONE);
    assert_int_equal(nvs_part_write(&part, "n", "k", NVS_U8, bytes_of(&byte, 1), NULL), ERR_FORBIDDEN);
    assert_int_equal(nvs_part_mount(&part, (struct stretch){&ram.flash, 0, 64 * 4096}, NULL), ERR_NONE);
    assert_int_equal(nvs_part_write(&part, "n", "", NVS_U8, bytes_of(&byte, 1), NULL), ERR_USAGE);
    assert_int_equal(nvs_part_write(&part, "", "k", NVS_U8, bytes_of(&byte, 1), NULL), ERR_USAGE);
    assert_int_equal(nvs_part_write(&part, "n", "a_name_of_16____", NVS_U8, bytes_of(&byte, 1), NULL), ERR_USAGE);
    assert_int_equal(nvs_part_write(&part, "n", "k", NVS_TEXT, bytes_of(large, 4001), NULL), ERR_TOO_BIG);
    assert_int_equal(nvs_part_write(&part, "n", "empty", NVS_BLOB_DATA, bytes_of("", 0), NULL), ERR_NONE);
    assert_int_equal(nvs_part_read(&part, "n", "empty", NVS_BLOB_DATA, large, sizeof large, &len, NULL), ERR_NONE);
    assert_int_equal(len, 0);
    for (unsigned i = 1; i < 255; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%u", i);
        assert_int_equal(nvs_part_write(&part, name, "k", NVS_U8, bytes_of(&byte, 1), NULL),
                         i < 254 ? ERR_NONE : ERR_NO_SPACE);
    }
    assert_int_equal(nvs_part_erase_space(&part, "none", NULL), ERR_NOT_FOUND);
    assert_int_equal(nvs_part_erase(&part, "n", "none", NULL), ERR_NOT_FOUND);
    assert_int_equal(nvs_part_erase(&part, "none", "k", NULL), ERR_NOT_FOUND);
}

/* Any one bit of a used partition: it mounts, or says why not; what it gives was written. */
static void every_flipped_bit_is_survived(void **state)
{
    struct rig *r = *state;
    for (size_t bit = 0; bit < 4096 * 8; bit += bit < 800 * 8 ? 1 : 61) {
        struct nvs_part part;
        char text[100];
        size_t len;
        prepare(r);
        r->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (nvs_part_mount(&part, (struct stretch){&r->ram.flash, 0, SIZE}, NULL) == ERR_NONE &&
            nvs_part_read(&part, "space", "text", NVS_TEXT, text, sizeof text, &len, NULL) == ERR_NONE)
            assert_string_equal(text, "a text");
    }
}

/* --- partitions as they should not be --------------------------------------------------------- */

static void craft_page(uint8_t *page, uint32_t state, uint32_t seq)
{
    memset(page, 0xff, 4096);
    put_u32(page, state);
    put_u32(page + 4, seq);
    page[8] = 0xfe;
    put_u32(page + 28, nvs_header_crc(page));
}

static uint8_t *craft(uint8_t *page, unsigned index, unsigned space, unsigned type, unsigned span, unsigned chunk,
                      const char *key, const void *data)
{
    uint8_t *e = page + 64 + index * 32;
    memset(e, 0xff, 32);
    e[0] = (uint8_t)space;
    e[1] = (uint8_t)type;
    e[2] = (uint8_t)span;
    e[3] = (uint8_t)chunk;
    memset(e + 8, 0, 16);
    memcpy(e + 8, key, strlen(key));
    memcpy(e + 24, data, 8);
    put_u32(e + 4, nvs_entry_crc(e));
    for (unsigned i = index; i < index + (span ? span : 1) && i < 126; i++)
        page[32 + i / 4] &= (uint8_t) ~(1u << (i % 4 * 2));
    return e;
}

static void craft_data(uint8_t *page, unsigned index, unsigned type, unsigned chunk, const char *key, unsigned len)
{
    uint8_t head[8];
    uint8_t *data = page + 64 + (index + 1) * 32;
    memset(data, 0x33, len);
    put_u16(head, (uint16_t)len);
    put_u16(head + 2, 0xffff);
    put_u32(head + 4, crc32_of(CRC32_ESP_INIT, bytes_of(data, len)));
    craft(page, index, 1, type, 1 + (len + 31) / 32, chunk, key, head);
}

static void craft_index(uint8_t *page, unsigned index, const char *key, uint32_t len, uint8_t count, uint8_t start)
{
    uint8_t data[8] = {0};
    put_u32(data, len);
    data[4] = count;
    data[5] = start;
    craft(page, index, 1, NVS_BLOB_INDEX, 1, 0xff, key, data);
}

/* A partition of two pages is read as it is: nothing is repaired, nothing wrong is given out. */
static void read_only_partitions_are_not_trusted(void **state)
{
    struct rig *r = *state;
    struct nvs_part part;
    uint8_t got[500];
    size_t len;
    craft_page(r->bytes, 0xfffffffc, 0);
    craft_page(r->bytes + 4096, 0xfffffffe, 1);
    craft(r->bytes, 0, 0, NVS_U8, 1, 0xff, "space", "\1\xff\xff\xff\xff\xff\xff\xff");
    craft_data(r->bytes, 1, NVS_TEXT, 0xff, "wrong", 10);
    r->bytes[64 + 2 * 32] ^= 1;
    craft_data(r->bytes, 3, NVS_BLOB_DATA, 0, "missing", 40);
    craft_index(r->bytes, 6, "missing", 80, 2, 0);
    craft_data(r->bytes, 7, NVS_BLOB_DATA, 0, "long", 40);
    craft_index(r->bytes, 10, "long", 30, 1, 0);
    craft_data(r->bytes, 11, NVS_BLOB_DATA, 0, "short", 40);
    craft_index(r->bytes, 14, "short", 50, 1, 0);
    craft(r->bytes, 15, 1, NVS_U8, 0, 0xff, "span0", "\1\xff\xff\xff\xff\xff\xff\xff");
    craft(r->bytes, 16, 1, NVS_U8, 200, 0xff, "span200", "\1\xff\xff\xff\xff\xff\xff\xff");
    craft_data(r->bytes + 4096, 0, NVS_BLOB_DATA, 0, "bad", 40);
    r->bytes[4096 + 64 + 40] ^= 1;
    craft_index(r->bytes + 4096, 3, "bad", 40, 1, 0);
    assert_int_equal(nvs_part_mount(&part, (struct stretch){&r->ram.flash, 0, 8192}, NULL), ERR_NONE);
    assert_true(nvs_part_has_space(&part, "space"));
    assert_int_equal(nvs_part_read(&part, "space", "wrong", NVS_TEXT, got, sizeof got, &len, NULL), ERR_DIGEST);
    assert_int_equal(nvs_part_read(&part, "space", "missing", NVS_BLOB_DATA, got, sizeof got, &len, NULL),
                     ERR_NOT_FOUND);
    assert_int_equal(nvs_part_read(&part, "space", "long", NVS_BLOB_DATA, got, sizeof got, &len, NULL), ERR_NOT_FOUND);
    assert_int_equal(nvs_part_read(&part, "space", "short", NVS_BLOB_DATA, got, sizeof got, &len, NULL), ERR_NOT_FOUND);
    assert_int_equal(nvs_part_read(&part, "space", "bad", NVS_BLOB_DATA, got, sizeof got, &len, NULL), ERR_DIGEST);
    assert_int_equal(nvs_part_read(&part, "space", "span0", NVS_U8, got, sizeof got, &len, NULL), ERR_NOT_FOUND);
    assert_int_equal(nvs_part_read(&part, "space", "wrong", NVS_TEXT, NULL, 0, &len, NULL), ERR_NONE);
    assert_int_equal(len, 10);
    assert_int_equal(nvs_part_read(&part, "space", "missing", NVS_BLOB_DATA, got, 20, &len, NULL), ERR_TOO_BIG);
}

/* What a mount repairs: spans that lie, marks that stop half way, data that fails its CRC. */
static void a_mount_takes_out_what_is_broken(void **state)
{
    struct rig *r = *state;
    uint8_t got[500];
    size_t len;
    memset(r->bytes, 0xff, SIZE);
    craft_page(r->bytes, 0xfffffffe, 0);
    craft_page(r->bytes + 4096, 0xfffffffe, 1); /* two active pages: the later one is written to */
    craft(r->bytes, 0, 0, NVS_U8, 1, 0xff, "space", "\1\xff\xff\xff\xff\xff\xff\xff");
    craft(r->bytes, 1, 1, NVS_U8, 0, 0xff, "span0", "\1\xff\xff\xff\xff\xff\xff\xff");
    craft(r->bytes, 2, 1, NVS_U8, 2, 0xff, "span2", "\1\xff\xff\xff\xff\xff\xff\xff");
    craft(r->bytes, 125, 1, NVS_U8, 9, 0xff, "over", "\1\xff\xff\xff\xff\xff\xff\xff");
    craft_data(r->bytes, 10, NVS_TEXT, 0xff, "marks", 60);
    r->bytes[32 + 12 / 4] |= 3 << (12 % 4 * 2); /* the last data entry was never marked */
    craft_data(r->bytes, 20, NVS_TEXT, 0xff, "text", 60);
    uint8_t *wide = craft(r->bytes, 30, 1, NVS_TEXT, 5, 0xff, "wide", r->bytes + 64 + 20 * 32 + 24);
    (void)wide;
    craft(r->bytes + 4096, 0, 0, NVS_U8, 1, 0xff, "five", "\5\xff\xff\xff\xff\xff\xff\xff");
    craft(r->bytes + 4096, 1, 0, NVS_U8, 1, 0xff, "three", "\3\xff\xff\xff\xff\xff\xff\xff");
    mount(r);
    static const char *const gone[] = {"span0", "span2", "over", "marks", "wide"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(nvs_part_read(&r->nvs, "space", gone[i], NVS_TEXT, got, sizeof got, &len, NULL),
                         ERR_NOT_FOUND);
    assert_int_equal(nvs_part_read(&r->nvs, "space", "text", NVS_TEXT, got, sizeof got, &len, NULL), ERR_NONE);
    assert_int_equal(nvs_part_write(&r->nvs, "six", "k", NVS_U8, bytes_of("1", 1), NULL),
                     ERR_NONE); /* above the highest */
    assert_int_equal(r->bytes[4096 + 64 + 2 * 32 + 24], 6);
}

/* A move that a cut interrupted goes on at the next mount; one that cannot is told. */
static void moves_go_on_or_are_told(void **state)
{
    struct rig *r = *state;
    struct nvs_part part;
    uint8_t got[500];
    size_t len;
    memset(r->bytes, 0xff, SIZE);
    craft_page(r->bytes, 0xfffffff8, 0); /* freeing */
    craft(r->bytes, 0, 0, NVS_U8, 1, 0xff, "space", "\1\xff\xff\xff\xff\xff\xff\xff");
    craft_data(r->bytes, 2, NVS_TEXT, 0xff, "text", 60);
    craft(r->bytes, 9, 1, NVS_U8, 1, 0xff, "one", "\7\xff\xff\xff\xff\xff\xff\xff");
    mount(r);
    assert_int_equal(nvs_part_read(&r->nvs, "space", "text", NVS_TEXT, got, sizeof got, &len, NULL), ERR_NONE);
    assert_int_equal(nvs_part_read(&r->nvs, "space", "one", NVS_U8, got, sizeof got, &len, NULL), ERR_NONE);
    assert_int_equal(got[0], 7);
    /* the active page has no room for what has to move: the next one is opened */
    memset(r->bytes, 0xff, SIZE);
    craft_page(r->bytes, 0xfffffff8, 0);
    craft_data(r->bytes, 0, NVS_TEXT, 0xff, "text", 500);
    craft_page(r->bytes + 4096, 0xfffffffe, 1);
    craft_data(r->bytes + 4096, 0, NVS_TEXT, 0xff, "other", 3900);
    assert_int_equal(nvs_part_mount(&part, (struct stretch){&r->ram.flash, 0, SIZE}, NULL), ERR_NONE);
    craft_page(r->bytes, 0xfffffff8, 0);
    craft_data(r->bytes, 0, NVS_TEXT, 0xff, "text", 500);
    /* nor is there a page to move to */
    for (unsigned p = 1; p < PAGES; p++)
        craft_page(r->bytes + p * 4096, 0xfffffffc, p);
    assert_int_equal(nvs_part_mount(&part, (struct stretch){&r->ram.flash, 0, SIZE}, NULL), ERR_NO_SPACE);
}

/* The largest sequence number has no successor, and two pages may claim the same: every item is met once. */
static void odd_sequence_numbers_are_walked_once(void **state)
{
    struct rig *r = *state;
    uint8_t got[8];
    size_t len;
    memset(r->bytes, 0xff, SIZE);
    craft_page(r->bytes, 0xfffffffc, 0xffffffff);
    craft(r->bytes, 0, 0, NVS_U8, 1, 0xff, "space", "\1\xff\xff\xff\xff\xff\xff\xff");
    craft(r->bytes, 1, 1, NVS_U8, 1, 0xff, "one", "\1\xff\xff\xff\xff\xff\xff\xff");
    craft_page(r->bytes + 4096, 0xfffffffc, 0xffffffff);
    craft(r->bytes + 4096, 0, 1, NVS_U8, 1, 0xff, "two", "\2\xff\xff\xff\xff\xff\xff\xff");
    mount(r);
    assert_int_equal(nvs_part_read(&r->nvs, "space", "one", NVS_U8, got, sizeof got, &len, NULL), ERR_NONE);
    assert_int_equal(nvs_part_read(&r->nvs, "space", "two", NVS_U8, got, sizeof got, &len, NULL), ERR_NONE);
    assert_int_equal(got[0], 2);
}

/* An active page that is not the last is closed: what is written is found again, whatever lies on later pages. */
static void only_the_last_page_is_written_to(void **state)
{
    struct rig *r = *state;
    uint8_t got;
    size_t len;
    memset(r->bytes, 0xff, SIZE);
    craft_page(r->bytes, 0xfffffffc, 0x500);
    craft(r->bytes, 0, 0, NVS_U8, 1, 0xff, "space", "\1\xff\xff\xff\xff\xff\xff\xff");
    craft(r->bytes, 1, 1, NVS_U8, 1, 0xff, "key", "\1\xff\xff\xff\xff\xff\xff\xff");
    craft_page(r->bytes + 4096, 0xfffffffe, 1);
    mount(r);
    assert_int_equal(nvs_part_write(&r->nvs, "space", "key", NVS_U8, bytes_of("\2", 1), NULL), ERR_NONE);
    mount(r);
    assert_int_equal(nvs_part_read(&r->nvs, "space", "key", NVS_U8, &got, 1, &len, NULL), ERR_NONE);
    assert_int_equal(got, 2);
}

/* After the last page number there is none: nothing is written that would not be found again. */
static void page_numbers_do_not_begin_again(void **state)
{
    struct rig *r = *state;
    uint8_t got;
    size_t len;
    for (uint32_t last = 0xfffffffd; last != 0; last++) {
        memset(r->bytes, 0xff, SIZE);
        craft_page(r->bytes, 0xfffffffc, last);
        craft(r->bytes, 0, 0, NVS_U8, 1, 0xff, "space", "\1\xff\xff\xff\xff\xff\xff\xff");
        craft(r->bytes, 1, 1, NVS_U8, 1, 0xff, "key", "\1\xff\xff\xff\xff\xff\xff\xff");
        mount(r);
        enum err err = nvs_part_write(&r->nvs, "space", "key", NVS_U8, bytes_of("\2", 1), NULL);
        assert_int_equal(err, last < 0xfffffffe ? ERR_NONE : ERR_NO_SPACE);
        mount(r);
        assert_int_equal(nvs_part_read(&r->nvs, "space", "key", NVS_U8, &got, 1, &len, NULL), ERR_NONE);
        assert_int_equal(got, err == ERR_NONE ? 2 : 1);
    }
}

static void a_blob_is_rewritten_from_either_start(void **state)
{
    struct rig *r = *state;
    uint8_t blob[200], got[200];
    size_t len;
    for (int round = 0; round < 5; round++) {
        memset(blob, round, sizeof blob);
        assert_int_equal(nvs_part_write(&r->nvs, "n", "b", NVS_BLOB_DATA, bytes_of(blob, sizeof blob), NULL), ERR_NONE);
        mount(r);
        assert_int_equal(nvs_part_read(&r->nvs, "n", "b", NVS_BLOB_DATA, got, sizeof got, &len, NULL), ERR_NONE);
        assert_memory_equal(got, blob, sizeof blob);
    }
}

/* --- against a model -------------------------------------------------------------------------- */

#define MODEL_KEYS 12

struct model {
    struct {
        bool is_there;
        enum nvs_part_type type;
        uint8_t value[3000];
        size_t len;
    } keys[MODEL_KEYS];
};

static void model_is(struct rig *r, const struct model *m)
{
    static uint8_t got[3000];
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        char key[16];
        size_t len;
        snprintf(key, sizeof key, "key%u", i);
        enum err err = nvs_part_read(&r->nvs, "space", key, m->keys[i].is_there ? m->keys[i].type : NVS_U8, got,
                                     sizeof got, &len, NULL);
        if (!m->keys[i].is_there) {
            assert_int_equal(err, ERR_NOT_FOUND);
            continue;
        }
        assert_int_equal(err, ERR_NONE);
        assert_int_equal(len, m->keys[i].len);
        assert_memory_equal(got, m->keys[i].value, len);
    }
}

/* Random writes of all types and lengths, erasures and mounts: the partition always holds what the model holds, and
 * what it refuses for want of room changes nothing. */
static void it_holds_what_a_model_holds(void **state)
{
    static const enum nvs_part_type types[] = {NVS_U8, NVS_I16, NVS_U32, NVS_I64, NVS_TEXT, NVS_BLOB_DATA};
    static const size_t lens[] = {1, 2, 4, 8, 0, 0};
    static struct model m;
    struct rig *r = *state;
    uint64_t seed = 11;
    unsigned refused = 0;
    memset(&m, 0, sizeof m);
    for (unsigned step = 0; step < 3000; step++) {
        unsigned i = test_random(&seed) % MODEL_KEYS, kind = test_random(&seed) % 6, what = test_random(&seed) % 20;
        char key[16];
        uint8_t value[3000];
        snprintf(key, sizeof key, "key%u", i);
        if (what == 0)
            mount(r);
        else if (what < 3) {
            enum err err = nvs_part_erase(&r->nvs, "space", key, NULL);
            assert_int_equal(err, m.keys[i].is_there ? ERR_NONE : ERR_NOT_FOUND);
            m.keys[i].is_there = false;
        } else {
            kind = what < 12 ? 4 + kind % 2 : kind;
            size_t len = lens[kind] ? lens[kind] : 1 + test_random(&seed) % (what < 8 ? 2900 : 90);
            for (size_t k = 0; k < len; k++)
                value[k] = (uint8_t)(test_random(&seed) >> 3);
            enum err err = nvs_part_write(&r->nvs, "space", key, types[kind], bytes_of(value, len), NULL);
            if (err == ERR_NONE) {
                m.keys[i].is_there = true;
                m.keys[i].type = types[kind];
                m.keys[i].len = len;
                memcpy(m.keys[i].value, value, len);
            } else {
                assert_int_equal(err, ERR_NO_SPACE);
                refused++;
                mount(r); /* chunks of the refused blob are taken out */
            }
        }
        if (step % 7 == 0)
            model_is(r, &m);
    }
    model_is(r, &m);
    print_message("%u of 3000 steps were refused for want of room\n", refused);
}

int main(void)
{
#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_holds_what_a_model_holds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(read_only_partitions_are_not_trusted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_mount_takes_out_what_is_broken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(moves_go_on_or_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(odd_sequence_numbers_are_walked_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_the_last_page_is_written_to, set_up, tear_down),
        cmocka_unit_test_setup_teardown(page_numbers_do_not_begin_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_blob_is_rewritten_from_either_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_flash_error_is_survived, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_pages_do_not_spread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sizes_have_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_flipped_bit_is_survived, set_up, tear_down),
        WITH_RIG(values_survive_a_mount),
        WITH_RIG(questions_have_clear_answers),
        WITH_RIG(a_new_type_replaces_the_old),
        WITH_RIG(rewriting_goes_on_for_ever),
        WITH_RIG(an_unchanged_value_is_not_written),
        WITH_RIG(full_is_said_and_loses_nothing),
        WITH_RIG(a_cut_leaves_the_old_value_or_the_new),
        WITH_RIG(random_flash_mounts_or_is_refused),
        WITH_RIG(a_factory_partition_is_the_generators),
    };
    return cmocka_run_group_tests_name("nvs", tests, NULL, NULL);
}
