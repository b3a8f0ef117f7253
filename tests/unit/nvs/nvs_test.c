#include "nvs/nvs_part.h"
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

int main(void)
{
#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
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
