#include "codec/encode.h"
#include "nvs/nvs_crypt.h"
#include "nvs/nvs_csv.h"
#include "nvs/nvs_view.h"
#include "faults.h"
#include "test.h"

#define PART (8 * 4096)

static uint8_t bytes[PART];

struct fixture_files {
    struct nvs_csv_files files;
};

static enum err read_fixture(struct nvs_csv_files *files, const char *path, struct buf *to, struct why *why)
{
    char name[256];
    (void)files;
    (void)why;
    if (strcmp(path, "missing") == 0)
        return why_set(why, ERR_NOT_FOUND, "no such file");
    snprintf(name, sizeof name, "nvs/%s", path);
    *to = fixture(name);
    return ERR_NONE;
}

static struct nvs_csv_files files = {read_fixture};

static void made_is(const char *csv_name, const char *bin_name, uint32_t size)
{
    struct buf csv = fixture(csv_name), bin = fixture(bin_name);
    struct nvs_maker m;
    struct why why = {{0}};
    assert_int_equal(bin.len, size);
    assert_int_equal(nvs_maker_init(&m, bytes, size, NVS_VERSION_2, NULL), ERR_NONE);
    if (nvs_csv_make(&m, buf_bytes(&csv), &files, &why) != ERR_NONE)
        fail_msg("%s", why.text);
    assert_memory_equal(bytes, bin.at, size);
    buf_deinit(&csv);
    buf_deinit(&bin);
}

/* Byte for byte what Espressif's generator makes of the same tables. */
static void golden_partitions_are_made(void **state)
{
    (void)state;
    made_is("nvs/fctry.csv", "nvs/fctry.bin", 0x6000);
    made_is("nvs/sample_singlepage_blob.csv", "nvs/sample_singlepage.bin", 0x3000);
}

static enum err make(const char *csv, uint32_t size, struct why *why)
{
    struct nvs_maker m;
    why->text[0] = '\0';
    assert_int_equal(nvs_maker_init(&m, bytes, size, NVS_VERSION_2, NULL), ERR_NONE);
    return nvs_csv_make(&m, bytes_of_text(csv), &files, why);
}

static struct buf value_of(const char *space, const char *key)
{
    struct nvs_view v;
    struct nvs_item item;
    struct buf value = {0};
    assert_int_equal(nvs_view_init(&v, bytes_of(bytes, PART), NULL), ERR_NONE);
    assert_true(nvs_view_find(&v, space, key, &item));
    assert_int_equal(nvs_view_value(&v, &item, &value, NULL), ERR_NONE);
    return value;
}

static void value_is(const char *space, const char *key, const void *expected, size_t len)
{
    struct buf value = value_of(space, key);
    assert_int_equal(value.len, len);
    if (len > 0)
        assert_memory_equal(value.at, expected, len);
    buf_deinit(&value);
}

static void every_encoding_is_read(void **state)
{
    static const char csv[] = "# a comment\r\n"
                              "key,type,encoding,value\r\n"
                              "\n"
                              "one,namespace,,\n"
                              "a,data,u8,255\nb,data,i8,-128\nc,data,u16,65535\nd,data,i16,-32768\n"
                              "e,data,u32,4294967295\nf,data,i32,-2147483648\n"
                              "g,data,u64,18446744073709551615\nh,data,i64,-9223372036854775808\n"
                              "i,data,STRING,\"two \"\"words\"\",\n# not this line\r\nand more\"\n"
                              "j,data,hex2bin, 00fFAb \nk,data,base64,aGVsbG8=\nl,data,binary,plain\n"
                              "m,data,blob_fill(3;0xBB),\nn,data,blob_sz_fill(3;7),\n"
                              "two,namespace,,\na,data,u8, +7 \n"
                              "one,namespace,,\nz,data,u8,1,too,many\n"
                              "empty,data,binary,\nnothing,data,string,";
    struct why why;
    (void)state;
    if (make(csv, PART, &why) != ERR_NONE)
        fail_msg("%s", why.text);
    value_is("one", "a", "\xff", 1);
    value_is("one", "b", "\x80", 1);
    value_is("one", "c", "\xff\xff", 2);
    value_is("one", "d", "\0\x80", 2);
    value_is("one", "e", "\xff\xff\xff\xff", 4);
    value_is("one", "f", "\0\0\0\x80", 4);
    value_is("one", "g", "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    value_is("one", "h", "\0\0\0\0\0\0\0\x80", 8);
    value_is("one", "i", "two \"words\",\nand more", 22);
    value_is("one", "j", "\0\xff\xab", 3);
    value_is("one", "k", "hello", 5);
    value_is("one", "l", "plain", 5);
    value_is("one", "m", "\xbb\xbb\xbb", 3);
    value_is("one", "n", "\x07\x07", 3);
    value_is("two", "a", "\x07", 1);
    value_is("one", "z", "\x01", 1);
    value_is("one", "empty", "", 0);
    value_is("one", "nothing", "", 1);
}

static void wrong_tables_say_which_line(void **state)
{
    static const struct {
        const char *csv, *told;
    } rows[] = {
        {"", "empty"},
        {"# only a comment\n", "empty"},
        {"key,type,value\n", "encoding"},
        {"key,type,encoding,value\nk,data,u8,1\n", "namespace"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,u8,256\n", "line 3"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,u8,-1\n", "line 3"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,i8,-129\n", "line 3"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,u8,0x10\n", "decimal"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,u8,\n", "decimal"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,u64,18446744073709551616\n", "decimal"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,u128,1\n", "u128"},
        {"key,type,encoding,value\nn,namespace,,\nk,what,u8,1\n", "what"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,hex2bin,abc\n", "hex2bin"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,hex2bin,zz\n", "hex2bin"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,base64,?\n", "base64"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,blob_fill(3),\n", "blob_fill"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,blob_fill(3;256),\n", "blob_fill"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,blob_sz_fill(0;1),\n", "blob_sz_fill"},
        {"key,type,encoding,value\nn,namespace,,\nsixteen_letters_,data,u8,1\n", "line 3"},
        {"key,type,encoding,value\n,namespace,,\n", "line 2"},
        {"key,type,encoding,value\nn,namespace,,\nk,file,binary,missing\n", "no such file"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,u8,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n", "many"},
    };
    struct why why;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (make(rows[i].csv, PART, &why) == ERR_NONE)
            fail_msg("was taken: %s", rows[i].csv);
        if (strstr(why.text, rows[i].told) == NULL)
            fail_msg("%s: does not say %s", why.text, rows[i].told);
    }
    struct nvs_maker m;
    assert_int_equal(nvs_maker_init(&m, bytes, PART, NVS_VERSION_2, NULL), ERR_NONE);
    assert_int_equal(
        nvs_csv_make(&m, bytes_of_text("key,type,encoding,value\nn,namespace,,\nk,file,u8,x\n"), NULL, &why),
        ERR_FORMAT);
    static const char with_nul[] = "key,type,encoding,value\nn\0,namespace,,\n";
    assert_int_equal(nvs_maker_init(&m, bytes, PART, NVS_VERSION_2, NULL), ERR_NONE);
    assert_int_equal(nvs_csv_make(&m, bytes_of(with_nul, sizeof with_nul - 1), NULL, &why), ERR_FORMAT);
}

static void a_maker_knows_its_limits(void **state)
{
    struct nvs_maker m;
    uint8_t big[5000] = {0};
    struct why why;
    (void)state;
    assert_int_equal(nvs_maker_init(&m, bytes, 100, NVS_VERSION_2, NULL), ERR_USAGE);
    assert_int_equal(nvs_maker_init(&m, bytes, 0, NVS_VERSION_2, NULL), ERR_USAGE);
    assert_int_equal(nvs_maker_init(&m, bytes, 0x1000, NVS_VERSION_2, NULL), ERR_NONE);
    assert_int_equal(nvs_maker_space(&m, "n", NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "k", NVS_TEXT, bytes_of(big, 4001), NULL), ERR_TOO_BIG);
    assert_int_equal(nvs_maker_add(&m, "k", NVS_U16, bytes_of(big, 1), NULL), ERR_USAGE);
    assert_int_equal(nvs_maker_add(&m, "k", NVS_BLOB_INDEX, bytes_of(big, 0), NULL), ERR_USAGE);
    assert_int_equal(nvs_maker_add(&m, "k", NVS_TEXT, bytes_of(big, 4000), NULL), ERR_NO_SPACE);
    assert_int_equal(nvs_maker_add(&m, "f", NVS_FLOAT, bytes_of(big, 4), NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "d", NVS_DOUBLE, bytes_of(big, 8), NULL), ERR_NONE);
    for (int i = 3; i < 126; i++)
        assert_int_equal(nvs_maker_add(&m, "k", NVS_U8, bytes_of(big, 1), NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "k", NVS_U8, bytes_of(big, 1), &why), ERR_NO_SPACE);
    assert_int_equal(nvs_maker_add(&m, "k", NVS_BLOB_DATA, bytes_of(big, 1), NULL), ERR_NO_SPACE);
    assert_int_equal(nvs_maker_add(&m, "k", NVS_TEXT, bytes_of(big, 1), NULL), ERR_NO_SPACE);
    assert_int_equal(nvs_maker_space(&m, "other", NULL), ERR_NO_SPACE);
    assert_int_equal(nvs_maker_init(&m, bytes, 0x2000, NVS_VERSION_2, NULL), ERR_NONE); /* both pages may be filled */
    assert_int_equal(nvs_maker_space(&m, "n", NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "k", NVS_BLOB_DATA, bytes_of(big, 5000), NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "l", NVS_BLOB_DATA, bytes_of(big, 5000), &why), ERR_NO_SPACE);
    assert_non_null(strstr(why.text, "2 pages"));
    /* 254 namespaces, and their index in one byte */
    assert_int_equal(nvs_maker_init(&m, bytes, PART, NVS_VERSION_2, NULL), ERR_NONE);
    for (unsigned i = 0; i < 255; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%u", i);
        assert_int_equal(nvs_maker_space(&m, name, NULL), i < 254 ? ERR_NONE : ERR_NO_SPACE);
    }
}

/* A blob of more than 127 chunks: chunks of 31 bytes, because each begins at the last but one entry of its page. */
static void a_blob_has_at_most_127_chunks(void **state)
{
    uint8_t *large = calloc(140, 4096), *value = calloc(130, 4096);
    struct nvs_maker m;
    (void)state;
    assert_int_equal(nvs_maker_init(&m, large, 140 * 4096, NVS_VERSION_2, NULL), ERR_NONE);
    assert_int_equal(nvs_maker_space(&m, "n", NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "k", NVS_BLOB_DATA, bytes_of(value, 128 * 4000), NULL), ERR_TOO_BIG);
    free(large);
    free(value);
}

/* Images of version 1 hold blobs in one item. */
static void version_1_is_made_and_read(void **state)
{
    struct nvs_maker m;
    uint8_t blob[1984];
    (void)state;
    memset(blob, 0x5a, sizeof blob);
    assert_int_equal(nvs_maker_init(&m, bytes, PART, NVS_VERSION_1, NULL), ERR_NONE);
    assert_int_equal(nvs_maker_space(&m, "n", NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "one", NVS_BLOB_DATA, bytes_of(blob, 1984), NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "two", NVS_BLOB_DATA, bytes_of(blob, 1984), NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "big", NVS_BLOB_DATA, bytes_of(blob, 1985), NULL), ERR_TOO_BIG);
    value_is("n", "one", blob, 1984);
    value_is("n", "two", blob, 1984);
    struct flash_ram ram;
    struct nvs_part part;
    uint8_t back[2000];
    size_t len;
    flash_ram_init(&ram, bytes, PART);
    assert_int_equal(nvs_part_mount(&part, (struct stretch){&ram.flash, 0, PART}, NULL), ERR_NONE);
    assert_int_equal(nvs_part_read(&part, "n", "two", NVS_BLOB_DATA, back, sizeof back, &len, NULL), ERR_NONE);
    assert_int_equal(len, 1984);
    struct nvs_view v;
    struct nvs_view_page p;
    assert_int_equal(nvs_view_init(&v, bytes_of(bytes, PART), NULL), ERR_NONE);
    nvs_view_page(&v, 0, &p);
    assert_int_equal(p.version, 1);
}

/* --- generated tables ------------------------------------------------------------------------- */

struct entry {
    char space[16], key[16];
    enum nvs_part_type type;
    uint8_t value[9000];
    size_t len;
};

static void random_entry(struct entry *e, unsigned i, uint64_t *seed)
{
    static const enum nvs_part_type kinds[] = {NVS_U8,  NVS_I8,  NVS_U16,  NVS_I16,       NVS_U32,       NVS_I32,
                                               NVS_U64, NVS_I64, NVS_TEXT, NVS_BLOB_DATA, NVS_BLOB_DATA, NVS_TEXT};
    e->type = kinds[test_random(seed) % 12];
    snprintf(e->space, sizeof e->space, "space%u", test_random(seed) % 3);
    snprintf(e->key, sizeof e->key, "key-%u", i);
    static const size_t most[] = {5, 40, 500, 4000, 9000};
    size_t limit = most[test_random(seed) % 5];
    e->len = nvs_number_len(e->type) ? nvs_number_len(e->type) : test_random(seed) % limit + 1;
    if (e->type == NVS_TEXT && e->len > 3900)
        e->len = 3900;
    for (size_t k = 0; k < e->len; k++)
        e->value[k] = (uint8_t)test_random(seed);
    for (size_t k = 0; e->type == NVS_TEXT && k < e->len; k++)
        e->value[k] = k + 1 == e->len ? 0 : (uint8_t) " \"#,\nabc"[e->value[k] % 8];
}

/* What the maker writes the view reads; the CSV that the view writes makes the same values again; firmware's own code
 * mounts it and reads the same; an encrypted copy opens to the same bytes. */
static void what_is_made_is_read(void **state)
{
    enum { COUNT = 22 };
    static struct entry entries[COUNT];
    static uint8_t copy[PART];
    uint64_t seed = 20261121;
    unsigned full = 0;
    (void)state;
    for (unsigned round = 0; round < 120; round++) {
        struct nvs_maker m;
        struct nvs_view v;
        unsigned count = 0;
        assert_int_equal(nvs_maker_init(&m, bytes, PART, NVS_VERSION_2, NULL), ERR_NONE);
        for (; count < COUNT; count++) {
            struct entry *e = &entries[count];
            random_entry(e, count, &seed);
            if (nvs_maker_space(&m, e->space, NULL) != ERR_NONE ||
                nvs_maker_add(&m, e->key, e->type, bytes_of(e->value, e->len), NULL) != ERR_NONE)
                break;
        }
        full += count < COUNT;
        struct buf csv = {0};
        assert_int_equal(nvs_view_init(&v, bytes_of(bytes, PART), NULL), ERR_NONE);
        for (unsigned i = 0; i < count; i++)
            value_is(entries[i].space, entries[i].key, entries[i].value, entries[i].len);
        struct flash_ram ram;
        struct nvs_part part;
        memcpy(copy, bytes, PART);
        flash_ram_init(&ram, copy, PART);
        assert_int_equal(nvs_part_mount(&part, (struct stretch){&ram.flash, 0, PART}, NULL), ERR_NONE);
        for (unsigned i = 0; i < count; i++) {
            static uint8_t back[9000];
            size_t len;
            assert_int_equal(
                nvs_part_read(&part, entries[i].space, entries[i].key, entries[i].type, back, sizeof back, &len, NULL),
                ERR_NONE);
            assert_int_equal(len, entries[i].len);
            assert_memory_equal(back, entries[i].value, len);
        }
        uint8_t keys[NVS_KEYS_LEN];
        for (unsigned i = 0; i < sizeof keys; i++)
            keys[i] = (uint8_t)test_random(&seed);
        memcpy(copy, bytes, PART);
        assert_int_equal(nvs_crypt(copy, PART, keys, CIPHER_SEAL, NULL), ERR_NONE);
        assert_memory_not_equal(copy + 64, bytes + 64, 32);
        assert_memory_equal(copy, bytes, 64);
        assert_int_equal(nvs_crypt(copy, PART, keys, CIPHER_OPEN, NULL), ERR_NONE);
        assert_memory_equal(copy, bytes, PART);
        if (count == COUNT) { /* else the last, failed one may have left chunks */
            assert_int_equal(nvs_view_write_csv(&v, &csv, NULL), ERR_NONE);
            struct why why = {{0}};
            assert_int_equal(nvs_maker_init(&m, bytes, PART, NVS_VERSION_2, NULL), ERR_NONE);
            if (nvs_csv_make(&m, buf_bytes(&csv), NULL, &why) != ERR_NONE)
                fail_msg("round %u: %s\n%s", round, why.text, csv.at);
            for (unsigned i = 0; i < count; i++) {
                bool is_comment = entries[i].type == NVS_TEXT && strstr((char *)entries[i].value, "\n#") != NULL;
                if (!is_comment)
                    value_is(entries[i].space, entries[i].key, entries[i].value, entries[i].len);
            }
        }
        buf_deinit(&csv);
    }
    assert_in_range(full, 1, 119); /* both happened */
}

/* --- the view --------------------------------------------------------------------------------- */

static void a_view_shows_damage(void **state)
{
    struct nvs_view v;
    struct nvs_item item = {0};
    struct nvs_view_page p;
    struct buf value = {0};
    struct why why;
    (void)state;
    assert_int_equal(nvs_view_init(&v, bytes_of(bytes, 100), NULL), ERR_FORMAT);
    assert_int_equal(nvs_view_init(&v, bytes_of(bytes, 0), NULL), ERR_FORMAT);
    assert_int_equal(make("key,type,encoding,value\nn,namespace,,\nk,data,string,text\nb,data,blob_fill(5000;1),\n"
                          "f,data,u8,3\n",
                          PART, &why),
                     ERR_NONE);
    bytes[64 + 2 * 32] ^= 1; /* the text's own bytes */
    assert_int_equal(nvs_view_init(&v, bytes_of(bytes, PART), NULL), ERR_NONE);
    assert_true(nvs_view_next(&v, &item)); /* the namespace */
    assert_true(item.is_right);
    assert_true(nvs_view_next(&v, &item));
    assert_string_equal(item.key, "k");
    assert_false(item.is_right);
    assert_int_equal(nvs_view_value(&v, &item, &value, NULL), ERR_NOT_FOUND);
    assert_false(nvs_view_find(&v, "n", "k", &item));
    assert_true(nvs_view_find(&v, "n", "b", &item));
    bytes[4096] = 0xf0; /* the page of the second chunk and the index stays readable in any state */
    nvs_view_page(&v, 1, &p);
    assert_string_equal(p.state, "corrupt");
    bytes[4096] = 0x77;
    nvs_view_page(&v, 1, &p);
    assert_string_equal(p.state, "unknown");
    bytes[4096 + 4] ^= 1; /* its header: the page is passed over */
    nvs_view_page(&v, 1, &p);
    assert_false(p.is_header_right);
    assert_false(nvs_view_find(&v, "n", "b", &item));
    bytes[4096 + 4] ^= 1;
    assert_true(nvs_view_find(&v, "n", "b", &item));
    bytes[64 + 3 * 32 + 8] ^= 1; /* the first chunk's header */
    assert_int_equal(nvs_view_value(&v, &item, &value, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "chunk 1"));
    bytes[7 * 4096 + 100] = 1; /* something in an empty page */
    nvs_view_page(&v, 7, &p);
    assert_string_equal(p.state, "corrupt");
    nvs_view_page(&v, 6, &p);
    assert_string_equal(p.state, "empty");
    assert_int_equal(p.version, 0);
    buf_deinit(&value);
}

/* What firmware erased is still there to be seen, until it is purged. */
static void erased_items_are_shown_as_such(void **state)
{
    struct flash_ram ram;
    struct nvs_part part;
    struct nvs_view v;
    unsigned erased = 0, right = 0;
    (void)state;
    memset(bytes, 0xff, sizeof bytes);
    flash_ram_init(&ram, bytes, PART);
    assert_int_equal(nvs_part_mount(&part, (struct stretch){&ram.flash, 0, PART}, NULL), ERR_NONE);
    for (uint8_t i = 0; i < 3; i++)
        assert_int_equal(nvs_part_write(&part, "n", "k", NVS_U8, bytes_of(&i, 1), NULL), ERR_NONE);
    assert_int_equal(nvs_part_write(&part, "n", "t", NVS_TEXT, bytes_of("old text that spans two entries", 32), NULL),
                     ERR_NONE);
    assert_int_equal(nvs_part_write(&part, "n", "t", NVS_TEXT, bytes_of("new", 4), NULL), ERR_NONE);
    assert_int_equal(nvs_view_init(&v, bytes_of(bytes, PART), NULL), ERR_NONE);
    for (struct nvs_item item = {0}; nvs_view_next(&v, &item);) {
        erased += item.is_erased;
        right += item.is_right;
    }
    assert_int_equal(erased, 3);
    assert_int_equal(right, 3);
    value_is("n", "k", "\2", 1);
    value_is("n", "t", "new", 4);
    memset(bytes + 64 + 32, 0, 32); /* purged */
    erased = 0;
    for (struct nvs_item item = {0}; nvs_view_next(&v, &item);)
        erased += item.is_erased;
    assert_int_equal(erased, 2);
}

static void types_have_names(void **state)
{
    (void)state;
    assert_string_equal(nvs_type_text(NVS_U8), "u8");
    assert_string_equal(nvs_type_text(0x77), "?");
    assert_int_equal(nvs_csv_encoding("I64"), NVS_I64);
    assert_int_equal(nvs_csv_encoding("what"), NVS_ANY_TYPE);
}

/* Values of types that CSV lacks, and text that it cannot carry, are told in a comment. */
static void csv_says_what_it_cannot_say(void **state)
{
    struct nvs_maker m;
    struct nvs_view v;
    struct buf csv = {0};
    (void)state;
    assert_int_equal(nvs_maker_init(&m, bytes, PART, NVS_VERSION_2, NULL), ERR_NONE);
    assert_int_equal(nvs_maker_space(&m, "n", NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "float", NVS_FLOAT, bytes_of("1234", 4), NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "cr", NVS_TEXT, bytes_of("a\rb", 4), NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "hash", NVS_TEXT, bytes_of("a\n#b", 5), NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "open", NVS_TEXT, bytes_of("ab", 2), NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "nul", NVS_TEXT, bytes_of("a\0b", 4), NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "fine", NVS_TEXT, bytes_of("ab", 3), NULL), ERR_NONE);
    assert_int_equal(nvs_view_init(&v, bytes_of(bytes, PART), NULL), ERR_NONE);
    assert_int_equal(nvs_view_write_csv(&v, &csv, NULL), ERR_NONE);
    assert_non_null(strstr(csv.at, "# float:"));
    assert_non_null(strstr(csv.at, "# cr:"));
    assert_non_null(strstr(csv.at, "# hash:"));
    assert_non_null(strstr(csv.at, "# open:"));
    assert_non_null(strstr(csv.at, "# nul:"));
    assert_non_null(strstr(csv.at, "\"fine\",data,string,\"ab\"\n"));
    buf_deinit(&csv);
}

static void keys_partitions_are_checked(void **state)
{
    uint8_t partition[4096], keys[NVS_KEYS_LEN], back[NVS_KEYS_LEN], hmac_key[32] = {0};
    (void)state;
    for (unsigned i = 0; i < sizeof keys; i++)
        keys[i] = (uint8_t)i;
    nvs_keys_write(keys, partition);
    assert_int_equal(nvs_keys_read(back, bytes_of(partition, sizeof partition), NULL), ERR_NONE);
    assert_memory_equal(back, keys, sizeof keys);
    partition[3] ^= 1;
    assert_int_equal(nvs_keys_read(back, bytes_of(partition, sizeof partition), NULL), ERR_DIGEST);
    assert_int_equal(nvs_keys_read(back, bytes_of(partition, 60), NULL), ERR_FORMAT);
    memset(partition, 0xff, sizeof partition);
    assert_int_equal(nvs_keys_read(back, bytes_of(partition, sizeof partition), NULL), ERR_NOT_FOUND);
    nvs_keys_from_hmac(keys, hmac_key);
    assert_memory_not_equal(keys, keys + 32, 32);
    memset(keys, 1, sizeof keys);
    assert_int_equal(nvs_crypt(bytes, PART, keys, CIPHER_SEAL, NULL), ERR_KEY);
    assert_int_equal(nvs_crypt(bytes, 100, keys, CIPHER_SEAL, NULL), ERR_FORMAT);
    assert_int_equal(nvs_crypt(bytes, 0, keys, CIPHER_SEAL, NULL), ERR_FORMAT);
}

static void memory_that_runs_out_is_told(void **state)
{
    static const char csv[] = "key,type,encoding,value\nn,namespace,,\na,data,string,text\nb,data,hex2bin,00ff\n"
                              "c,data,base64,aGVsbG8=\nd,data,binary,plain\ne,data,blob_fill(9;1),\nf,data,u8,1\n";
    static struct nvs_maker m;
    struct nvs_view v;
    struct nvs_item item;
    (void)state;
    for (long n = 0;; n++) {
        assert_int_equal(nvs_maker_init(&m, bytes, PART, NVS_VERSION_2, NULL), ERR_NONE);
        test_fail_allocation(n);
        enum err err = nvs_csv_make(&m, bytes_of_text(csv), NULL, NULL);
        test_fail_allocation(-1);
        if (err == ERR_NONE)
            break;
    }
    assert_int_equal(nvs_view_init(&v, bytes_of(bytes, PART), NULL), ERR_NONE);
    for (long n = 0;; n++) {
        struct buf out = {0};
        test_fail_allocation(n);
        enum err err = nvs_view_write_csv(&v, &out, NULL);
        test_fail_allocation(-1);
        buf_deinit(&out);
        if (err == ERR_NONE)
            break;
        assert_int_equal(err, ERR_NO_MEMORY);
    }
    static const char *const keys[] = {"f", "a", "e"};
    for (size_t i = 0; i < 3; i++) {
        struct buf out = {0};
        assert_true(nvs_view_find(&v, "n", keys[i], &item));
        test_fail_allocation(0);
        assert_int_equal(nvs_view_value(&v, &item, &out, NULL), ERR_NO_MEMORY);
        test_fail_allocation(-1);
    }
}

/* A blob whose index and chunks do not add up. */
static void blobs_that_do_not_add_up_are_told(void **state)
{
    struct nvs_view v;
    struct nvs_item item;
    struct buf value = {0};
    struct why why;
    (void)state;
    assert_int_equal(make("key,type,encoding,value\nn,namespace,,\nb,data,blob_fill(40;1),\n", PART, &why), ERR_NONE);
    uint8_t *index = bytes + 64 + 4 * 32; /* namespace, chunk of three entries, index */
    assert_int_equal(index[1], NVS_BLOB_INDEX);
    put_u32(index + 24, 41);
    put_u32(index + 4, nvs_entry_crc(index));
    assert_int_equal(nvs_view_init(&v, bytes_of(bytes, PART), NULL), ERR_NONE);
    assert_true(nvs_view_find(&v, "n", "b", &item));
    assert_int_equal(nvs_view_value(&v, &item, &value, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "41"));
    assert_int_equal(nvs_view_write_csv(&v, &value, NULL), ERR_NOT_FOUND);
    buf_deinit(&value);
}

/* Random flips and noise: the view never reads past its bytes (the sanitizer watches), and what it calls right is. */
static void noise_is_looked_at_calmly(void **state)
{
    uint64_t seed = 99;
    struct why why;
    (void)state;
    for (unsigned round = 0; round < 400; round++) {
        struct nvs_view v;
        struct nvs_view_page p;
        struct buf csv = {0};
        assert_int_equal(
            make("key,type,encoding,value\nn,namespace,,\nt,data,string,text\nb,data,blob_fill(5000;1),\n", PART, &why),
            ERR_NONE);
        for (unsigned i = 0; i < 1 + round % 20; i++)
            bytes[test_random(&seed) % 8192] ^= (uint8_t)(1 << test_random(&seed) % 8);
        for (unsigned page = 0; round % 5 == 0 && page < 2; page++)
            for (unsigned i = 32; i < 4096; i += 1 + test_random(&seed) % 40)
                bytes[page * 4096 + i] = (uint8_t)test_random(&seed);
        assert_int_equal(nvs_view_init(&v, bytes_of(bytes, PART), NULL), ERR_NONE);
        for (unsigned page = 0; page < v.pages; page++)
            nvs_view_page(&v, page, &p);
        for (struct nvs_item item = {0}; nvs_view_next(&v, &item);) {
            struct buf value = {0};
            nvs_view_value(&v, &item, &value, NULL);
            buf_deinit(&value);
        }
        nvs_view_write_csv(&v, &csv, NULL);
        buf_deinit(&csv);
    }
}

/* Corners of the text form. */
static void corners_of_the_text_are_read_as_python_reads_them(void **state)
{
    static const struct {
        const char *csv, *key, *value; /* value NULL: refused */
    } rows[] = {
        {"# no line end", "", NULL},
        {"\n\n\nkey,type,encoding,value\nn,namespace,,\nk,data,string,x", "k", "x"},
        {"\xef\xbb\xbfkey,type,encoding,value\nn,namespace\nk,data,string,x", "k", "x"},
        {"key,type,encoding,value\rn,namespace,,\rk,data,string,x\r", "k", "x"},
        {"value,encoding,type,key\n,,namespace,n\nx,string,data,k\n", "k", "x"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,string,a\"b\"c\n", "k", "a\"b\"c"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,string,\"open\nend", "k", "open\nend"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,string,\"a\"b\n", "k", "ab"},
        {"key,type,encoding,value\nn,namespace,,\nk,data,string,\"\"", "k", ""},
        {"key,type,encoding,value\nn,namespace,,\nk,data,string", "k", ""},
        {"key,type,encoding,value\nn,namespace,,\nk,data", "k", NULL},
        {"key,type,encoding,value\nn,namespace,,\nk,data,blob_fill(999999999;1),\n", "k", NULL},
        {"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,key,type,encoding,value\n", "k", NULL},
    };
    struct why why;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum err err = make(rows[i].csv, PART, &why);
        if ((err == ERR_NONE) != (rows[i].value != NULL))
            fail_msg("row %zu: %s", i, why.text);
        if (rows[i].value != NULL)
            value_is("n", rows[i].key, rows[i].value, strlen(rows[i].value) + 1);
    }
}

static uint8_t *entry(unsigned page, unsigned index)
{
    return bytes + page * 4096 + 64 + index * 32;
}

/* Items that say something else than they are, with CRCs that hold, and several of one name. */
static void the_view_takes_the_newest_that_is_right(void **state)
{
    static struct nvs_maker m;
    struct nvs_view v;
    struct nvs_item item;
    struct buf csv = {0};
    (void)state;
    assert_int_equal(nvs_maker_init(&m, bytes, PART, NVS_VERSION_2, NULL), ERR_NONE);
    assert_int_equal(nvs_maker_space(&m, "n", NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "k", NVS_U8, bytes_of("\1", 1), NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "k", NVS_U8, bytes_of("\2", 1), NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "b", NVS_BLOB_DATA, bytes_of("old", 3), NULL), ERR_NONE); /* 3, 4; index 5 */
    assert_int_equal(nvs_maker_add(&m, "b", NVS_BLOB_DATA, bytes_of("new", 3), NULL), ERR_NONE); /* 6, 7; index 8 */
    assert_int_equal(nvs_maker_add(&m, "d", NVS_DOUBLE, bytes_of("12345678", 8), NULL), ERR_NONE);
    assert_int_equal(nvs_maker_add(&m, "odd", NVS_U8, bytes_of("\1", 1), NULL), ERR_NONE);    /* 10 */
    assert_int_equal(nvs_maker_add(&m, "wide", NVS_U8, bytes_of("\1", 1), NULL), ERR_NONE);   /* 11 */
    assert_int_equal(nvs_maker_add(&m, "text", NVS_TEXT, bytes_of("12", 3), NULL), ERR_NONE); /* 12, 13 */
    assert_int_equal(nvs_maker_add(&m, "last", NVS_TEXT, bytes_of("12", 3), NULL), ERR_NONE);
    entry(0, 10)[1] = 0x66; /* a type that is none */
    put_u32(entry(0, 10) + 4, nvs_entry_crc(entry(0, 10)));
    entry(0, 11)[2] = 2;
    put_u32(entry(0, 11) + 4, nvs_entry_crc(entry(0, 11)));
    put_u16(entry(0, 12) + 24, 40); /* longer than its span */
    put_u32(entry(0, 12) + 4, nvs_entry_crc(entry(0, 12)));
    assert_int_equal(nvs_view_init(&v, bytes_of(bytes, PART), NULL), ERR_NONE);
    value_is("n", "k", "\2", 1);
    value_is("n", "b", "new", 3);
    assert_false(nvs_view_find(&v, "n", "wide", &item));
    assert_false(nvs_view_find(&v, "n", "text", &item));
    assert_false(nvs_view_find(&v, "m", "k", &item));
    assert_int_equal(nvs_view_write_csv(&v, &csv, NULL), ERR_NONE);
    assert_non_null(strstr(csv.at, "\"k\",data,u8,2\n"));
    assert_null(strstr(csv.at, "u8,1\n"));
    assert_null(strstr(csv.at, "odd"));
    assert_non_null(strstr(csv.at, "# d:"));
    buf_deinit(&csv);
    /* The same names on a page of a higher sequence that lies before: it is newer. */
    memcpy(bytes + 4096, bytes, 4096);
    put_u32(bytes + 4, 9);
    put_u32(bytes + 28, nvs_header_crc(bytes));
    assert_int_equal(nvs_view_init(&v, bytes_of(bytes, PART), NULL), ERR_NONE);
    entry(0, 2)[24] = 77;
    put_u32(entry(0, 2) + 4, nvs_entry_crc(entry(0, 2)));
    value_is("n", "k", "\x4d", 1);
    assert_int_equal(nvs_view_init(&v, bytes_of(bytes, PART), NULL), ERR_NONE);
    assert_int_equal(nvs_view_write_csv(&v, &csv, NULL), ERR_NONE);
    assert_non_null(strstr(csv.at, "\"k\",data,u8,77\n"));
    buf_deinit(&csv);
    /* A namespace whose definition is lost takes its values with it, and that is said. */
    entry(0, 0)[8] ^= 1;
    entry(1, 0)[8] ^= 1;
    assert_int_equal(nvs_view_init(&v, bytes_of(bytes, PART), NULL), ERR_NONE);
    assert_int_equal(nvs_view_write_csv(&v, &csv, NULL), ERR_NONE);
    assert_non_null(strstr(csv.at, "whose name is lost"));
    buf_deinit(&csv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corners_of_the_text_are_read_as_python_reads_them),
        cmocka_unit_test(the_view_takes_the_newest_that_is_right),
        cmocka_unit_test(memory_that_runs_out_is_told),
        cmocka_unit_test(blobs_that_do_not_add_up_are_told),
        cmocka_unit_test(noise_is_looked_at_calmly),
        cmocka_unit_test(golden_partitions_are_made),
        cmocka_unit_test(every_encoding_is_read),
        cmocka_unit_test(wrong_tables_say_which_line),
        cmocka_unit_test(a_maker_knows_its_limits),
        cmocka_unit_test(a_blob_has_at_most_127_chunks),
        cmocka_unit_test(version_1_is_made_and_read),
        cmocka_unit_test(what_is_made_is_read),
        cmocka_unit_test(a_view_shows_damage),
        cmocka_unit_test(erased_items_are_shown_as_such),
        cmocka_unit_test(types_have_names),
        cmocka_unit_test(csv_says_what_it_cannot_say),
        cmocka_unit_test(keys_partitions_are_checked),
    };
    return cmocka_run_group_tests_name("nvs tables", tests, NULL, NULL);
}
