/* The partition table's CSV form and its rules, against what gen_esp32part does. */
#include "flash/partition.h"
#include "test.h"

static enum err read_with(struct partition_table *t, const char *csv, const struct partition_options *o,
                          struct why *why)
{
    return partition_table_read_csv(t, bytes_of_text(csv), o, why);
}

static void numbers_are_pythons(void **state)
{
    static const struct {
        const char *size;
        int64_t expected; /* -1: refused */
    } rows[] = {
        {"0x6000", 0x6000},
        {"24K", 0x6000},
        {"24k", 0x6000},
        {"1M", 0x100000},
        {"0X10000", 0x10000},
        {"0o60000", 0x6000},
        {"0b110000000000000", 0x6000},
        {"24576", 24576},
        {"0x6k", 0x1800},
        {"0x1_0000", 0x10000},
        {"24_576", 24576},
        {"+24K", 0x6000},
        {"0x_6000", 0x6000},
        {"1kk", 0x100000},
        {"010", -1},
        {"00", 0},
        {"0", 0},
        {"", -1},
        {"K", -1},
        {"0x", -1},
        {"0xg", -1},
        {"24__576", -1},
        {"24576_", -1},
        {"_24", -1},
        {"5G", -1},
        {"4294967296", -1},
        {"4096M", -1},
        {"99999999999999999999", -1},
        {"0b12", -1},
        {"1kkkkk", -1},
        {"1 2", -1},
        {"12a", -1},
        {"-", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char csv[128];
        struct partition_table t;
        snprintf(csv, sizeof csv, "a,0x40,0,,%s,\n", rows[i].size);
        enum err err = read_with(&t, csv, NULL, NULL);
        if ((err == ERR_NONE) != (rows[i].expected >= 0) ||
            (err == ERR_NONE && t.entries[0].size_bytes != rows[i].expected))
            fail_msg("size %s: %s, 0x%x", rows[i].size, err_name(err), t.entries[0].size_bytes);
    }
}

static void types_are_words_or_numbers(void **state)
{
    static const struct {
        const char *line;
        int type, subtype; /* -1: refused */
    } rows[] = {
        {"a,app,factory,,1M", 0, 0},
        {"a,APP,OTA_15,,1M", 0, 0x1f},
        {"a,app,test,,1M", 0, 0x20},
        {"a,app,tee_0,,1M", 0, 0x30},
        {"a,0,0x11,,1M", 0, 0x11},
        {"a,data,nvs_keys,,4K", 1, 4},
        {"a,data,littlefs,,64K", 1, 0x83},
        {"a,data,,,4K", 1, 6},
        {"a,0x40,7,,4K", 0x40, 7},
        {"a,254,254,,4K", 254, 254},
        {"a,data,tee_ota,,8K", 1, 0x90},
        {"a,0x40,,,4K", 0x40, 6},
        {"a,app,,,1M", -1, 0},
        {"a,app,ota_16,,1M", -1, 0},
        {"a,app,ota_01,,1M", -1, 0},
        {"a,app,ota_,,1M", -1, 0},
        {"a,app,ota_x,,1M", -1, 0},
        {"a,,nvs,,4K", -1, 0},
        {"a,256,0,,4K", -1, 0},
        {"a,data,256,,4K", -1, 0},
        {"a,data,-1,,4K", -1, 0},
        {"a,0x40,nvs,,4K", -1, 0},
        {"a", -1, 0},
        {"a,data,special,,4K", -1, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct partition_table t;
        enum err err = read_with(&t, rows[i].line, NULL, NULL);
        if ((err == ERR_NONE) != (rows[i].type >= 0) ||
            (err == ERR_NONE && (t.entries[0].type != rows[i].type || t.entries[0].subtype != rows[i].subtype)))
            fail_msg("%s: %s", rows[i].line, err_name(err));
    }
    struct partition_options o = {.extra_subtypes = "data, special, 0x55\n# no row\ndata,huge,999\nnothing,at,1\n"
                                                    "app, mine,0x41\r\n data,bad,x"};
    struct partition_table t;
    assert_int_equal(read_with(&t, "a,data,special,,4K\nb,app,MINE,,64K", &o, NULL), ERR_NONE);
    assert_int_equal(t.entries[0].subtype, 0x55);
    assert_int_equal(t.entries[1].subtype, 0x41);
    assert_int_equal(read_with(&t, "a,data,huge,,4K", &o, NULL), ERR_FORMAT);
    assert_int_equal(read_with(&t, "a,data,bad,,4K", &o, NULL), ERR_FORMAT);
    assert_int_equal(read_with(&t, "a,app,special,,1M", &o, NULL), ERR_FORMAT);
}

static void flags_are_a_list(void **state)
{
    struct partition_table t;
    (void)state;
    assert_int_equal(read_with(&t,
                               "a,data,nvs,,24K,encrypted:readonly\nb,data,nvs,,4K,readonly\nc,data,phy,,4K,:\n"
                               "d,data,phy,,4K,encrypted,and,more",
                               NULL, NULL),
                     ERR_NONE);
    assert_int_equal(t.entries[0].flags, 3);
    assert_int_equal(t.entries[1].flags, 2);
    assert_int_equal(t.entries[2].flags, 0);
    assert_int_equal(t.entries[3].flags, 1);
}

static void offsets_follow_each_other(void **state)
{
    struct partition_table t;
    (void)state;
    assert_int_equal(read_with(&t,
                               "a,data,nvs,,0x6100\nb,data,phy,,0x10\nc,app,ota_0,,64K\nd,data,nvs,0x30000,24K\n"
                               "e,data,fat,,-0x100000\n",
                               NULL, NULL),
                     ERR_NONE);
    assert_int_equal(t.entries[0].at, 0x9000);
    assert_int_equal(t.entries[1].at, 0x10000);
    assert_int_equal(t.entries[2].at, 0x20000);
    assert_int_equal(t.entries[4].at, 0x36000);
    assert_int_equal(t.entries[4].size_bytes, 0x100000 - 0x36000);
    struct partition_options o = {.table_at = 0x10000};
    assert_int_equal(read_with(&t, "a,data,nvs,,24K", &o, NULL), ERR_NONE);
    assert_int_equal(t.entries[0].at, 0x11000);
    assert_int_equal(read_with(&t, "a,data,nvs,0x9000,24K", &o, NULL), ERR_FORMAT);
    assert_int_equal(read_with(&t, "a,data,fat,0x20000,-0x10000", NULL, NULL), ERR_FORMAT); /* ends before it begins */
    assert_int_equal(read_with(&t, "a,data,fat,0xfffff000,0x2000", NULL, NULL), ERR_FORMAT);
    assert_int_equal(read_with(&t, "a,data,fat,-4096,0x1000", NULL, NULL), ERR_FORMAT);
    assert_int_equal(read_with(&t, "a,data,fat,0x9000,0xffff0000\nb,data,fat,,0x10000", NULL, NULL), ERR_FORMAT);
}

static void bootloaders_and_tables_have_their_own_places(void **state)
{
    static const char csv[] =
        "boot,bootloader,primary,N/A,N/A\ntable,partition_table,primary,N/A,N/A\nnvs,data,nvs,,24K\n"
        "rescue,bootloader,recovery,,\n";
    struct partition_options o = {.primary_bootloader_at = 0x1000,
                                  .recovery_bootloader_at = 0x20000,
                                  .has_bootloader = true,
                                  .has_recovery = true};
    struct partition_table t;
    (void)state;
    assert_int_equal(read_with(&t, csv, &o, NULL), ERR_NONE);
    assert_int_equal(t.entries[0].at, 0x1000);
    assert_int_equal(t.entries[0].size_bytes, 0x7000);
    assert_int_equal(t.entries[1].at, 0x8000);
    assert_int_equal(t.entries[1].size_bytes, 0x1000);
    assert_int_equal(t.entries[2].at, 0x9000);
    assert_int_equal(t.entries[3].at, 0x20000);
    o.has_recovery = false;
    assert_int_equal(read_with(&t, csv, &o, NULL), ERR_FORMAT);
    o.has_bootloader = false;
    assert_int_equal(read_with(&t, csv, &o, NULL), ERR_FORMAT);
    o.has_bootloader = true;
    assert_int_equal(read_with(&t, "spare,bootloader,ota,,\nt2,partition_table,ota,,\n", &o, NULL), ERR_NONE);
    assert_int_equal(t.entries[0].at, 0x9000);
    assert_int_equal(t.entries[1].at, 0x10000);
}

static const char *one_variable(void *context, const char *name)
{
    (void)context;
    return strcmp(name, "SIZE") == 0   ? "24K"
           : strcmp(name, "LONG") == 0 ? "0123456789012345678901234567890123456789"
                                       : NULL;
}

static void variables_are_put_in(void **state)
{
    struct partition_options o = {.variable = one_variable};
    struct partition_table t;
    struct why why;
    char csv[600] = "a,data,nvs,,$LONG";
    (void)state;
    assert_int_equal(read_with(&t, "a,data,nvs,,$SIZE\nb,data,nvs,,${SIZE}", &o, NULL), ERR_NONE);
    assert_int_equal(t.entries[1].size_bytes, 0x6000);
    assert_int_equal(read_with(&t, "a,data,nvs,,$NONE", &o, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "NONE"));
    assert_int_equal(read_with(&t, "a,data,nvs,,$SIZE", NULL, NULL), ERR_FORMAT);
    assert_int_equal(read_with(&t, "a$,data,nvs,,24K", &o, NULL), ERR_NONE);
    assert_string_equal(t.entries[0].label, "a$");
    assert_int_equal(read_with(&t, "${SIZE,data,nvs,,24K", &o, NULL), ERR_NONE);
    while (strlen(csv) < 490)
        strcat(csv, "$LONG");
    assert_int_equal(read_with(&t, csv, &o, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "long"));
}

/* The same table in every encoding that a byte order mark tells. */
static void text_may_be_of_any_unicode_form(void **state)
{
    static const char label[] = "n\xc3\xa4\xe2\x82\xac\xf0\x9f\x92\xa1";
    static const uint16_t utf16[] = {0xfeff, 'n', 0xe4, 0x20ac, 0xd83d, 0xdca1, ',', '1',
                                     ',',    '2', ',',  ',',    '2',    '4',    'K', '\n'};
    static const uint32_t utf32[] = {0xfeff, 'n', 0xe4, 0x20ac, 0x1f4a1, ',', '1', ',', '2', ',', ',', '2', '4', 'K'};
    struct partition_table t;
    (void)state;
    for (int is_big = 0; is_big < 2; is_big++) {
        uint8_t raw[80];
        for (size_t i = 0; i < 16; i++) {
            raw[2 * i + (is_big ? 1 : 0)] = (uint8_t)utf16[i];
            raw[2 * i + (is_big ? 0 : 1)] = (uint8_t)(utf16[i] >> 8);
        }
        assert_int_equal(partition_table_read_csv(&t, bytes_of(raw, 32), NULL, NULL), ERR_NONE);
        assert_string_equal(t.entries[0].label, label);
        for (size_t i = 0; i < 14; i++)
            for (unsigned k = 0; k < 4; k++)
                raw[4 * i + (is_big ? 3 - k : k)] = (uint8_t)(utf32[i] >> 8 * k);
        assert_int_equal(partition_table_read_csv(&t, bytes_of(raw, 56), NULL, NULL), ERR_NONE);
        assert_string_equal(t.entries[0].label, label);
        if (!is_big)
            raw[7] = 0x7f; /* no character */
        assert_int_equal(partition_table_read_csv(&t, bytes_of(raw, 56), NULL, NULL), is_big ? ERR_NONE : ERR_FORMAT);
    }
    assert_int_equal(read_with(&t, "\xef\xbb\xbfn\xc3\xa4\xe2\x82\xac\xf0\x9f\x92\xa1,1,2,,24K", NULL, NULL), ERR_NONE);
    assert_string_equal(t.entries[0].label, label);
    assert_int_equal(partition_table_read_csv(&t, bytes_of("\xff\xfe\x3d\xd8", 4), NULL, NULL),
                     ERR_FORMAT); /* half a pair */
    assert_int_equal(partition_table_read_csv(&t,
                                              bytes_of("\xff\xfe"
                                                       "a",
                                                       3),
                                              NULL, NULL),
                     ERR_FORMAT);
}

static void names_of_sixteen_bytes_have_no_terminator(void **state)
{
    struct partition_table t, back;
    uint8_t raw[PARTITION_TABLE_BYTES];
    (void)state;
    assert_int_equal(read_with(&t,
                               "sixteen_letters_and_more,data,nvs,,24K\nabcdefghijklmn\xc3\xa4\xc3\xa4,data,phy,,4K",
                               NULL, NULL),
                     ERR_NONE);
    assert_string_equal(t.entries[0].label, "sixteen_letters_");
    partition_table_write(&t, raw);
    assert_int_equal(partition_table_read(&back, bytes_of(raw, sizeof raw), 0, NULL), ERR_NONE);
    assert_string_equal(back.entries[0].label, "sixteen_letters_");
    assert_string_equal(back.entries[1].label, "abcdefghijklmn\xc3\xa4");
}

static void rules_are_the_generators(void **state)
{
    static const struct {
        const char *csv;
        struct partition_options o;
        const char *told; /* NULL: taken */
    } rows[] = {
        {"a,data,ota,,8K,readonly", {0}, "readonly"},
        {"a,data,coredump,,64K,readonly", {0}, "readonly"},
        {"a,data,nvs,,8K", {0}, "0x3000"},
        {"a,data,nvs,,8K,readonly", {0}, NULL},
        {"a,data,ota,,12K", {0}, "0x2000"},
        {"a,data,tee_ota,,12K", {0}, "0x2000"},
        {"a,data,tee_ota,,8K\nb,data,tee_ota,,8K", {0}, "two"},
        {"a,data,tee_ota,,8K\nb,data,ota,,8K", {0}, NULL},
        {"a,data,nvs,,24K\na,data,phy,,4K", {0}, "called a"},
        {"a,data,nvs,,24K\nA,data,phy,,4K", {0}, NULL},
        {"a,app,factory,,0x11000", {0}, NULL},
        {"a,app,factory,,0x11000", {.is_secure_v1 = true}, "0x10000"},
        {"a,app,factory,,0x800", {0}, "0x1000"},
        {"a,app,factory,0x11000,64K", {0}, "0x10000"},
        {"a,data,phy,0x9800,4K", {0}, "0x1000"},
        {"a,data,fat,,4M", {.flash_size = 0x400000}, "flash"},
        {"a,data,fat,0x500000,4K", {.flash_size = 0x400000}, "flash"},
        {"a,data,fat,,-4M", {.flash_size = 0x400000}, NULL},
        {"a,data,undefined,,100", {0}, NULL},
        {"a,data,phy,0x8000,4K", {0}, "table"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct partition_table t;
        struct why why = {{0}};
        enum err err = read_with(&t, rows[i].csv, &rows[i].o, &why);
        if ((err == ERR_NONE) != (rows[i].told == NULL) || (err && strstr(why.text, rows[i].told) == NULL))
            fail_msg("%s: %s %s", rows[i].csv, err_name(err), why.text);
    }
}

/* Binary tables come in any order, and may break rules that the reader of CSV never lets pass. */
static void binary_tables_are_checked_on_request(void **state)
{
    struct partition_table t = {
        .count = 2, .has_md5 = true, .entries = {{1, 2, 0x12000, 0x6000, 0, "b"}, {1, 1, 0x9000, 0xa000, 0, "a"}}};
    struct why why;
    (void)state;
    assert_int_equal(partition_table_check(&t, NULL, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "overlap"));
    t.entries[1].size_bytes = 0x1000;
    assert_int_equal(partition_table_check(&t, NULL, &why), ERR_NONE);
    t.entries[1].at = 0x4000;
    assert_int_equal(partition_table_check(&t, NULL, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "below"));
    t.count = 0;
    assert_int_equal(partition_table_check(&t, NULL, &why), ERR_FORMAT);
}

static void names_that_mislead_are_warned_of(void **state)
{
    struct partition_table t;
    (void)state;
    assert_int_equal(read_with(&t,
                               "app,data,fat,,4K\nphy,data,nvs,,24K\nfactory,data,fat,,4K\nnvs,app,ota_0,,64K\n"
                               "ota_1,app,ota_1,,64K\nota_0,data,fat,,4K\ndata,data,fat,,4K\nfine,data,fat,,4K",
                               NULL, NULL),
                     ERR_NONE);
    assert_non_null(partition_warning(&t, 0));
    assert_non_null(partition_warning(&t, 1));
    assert_non_null(partition_warning(&t, 2));
    assert_non_null(partition_warning(&t, 3));
    assert_null(partition_warning(&t, 4));
    assert_non_null(partition_warning(&t, 5));
    assert_null(partition_warning(&t, 6));
    assert_null(partition_warning(&t, 7));
}

static void tables_of_old_tools_have_no_md5(void **state)
{
    struct partition_table t, back;
    struct partition_options o = {.is_without_md5 = true};
    uint8_t raw[PARTITION_TABLE_BYTES];
    (void)state;
    assert_int_equal(read_with(&t, "a,data,nvs,,24K", &o, NULL), ERR_NONE);
    partition_table_write(&t, raw);
    assert_int_equal(raw[32], 0xff);
    assert_int_equal(partition_table_read(&back, bytes_of(raw, sizeof raw), 0, NULL), ERR_NONE);
    assert_false(back.has_md5);
    /* Entries behind the MD5 record are tolerated up to the terminator, as firmware does; a second record is not. */
    t.has_md5 = true;
    partition_table_write(&t, raw);
    memcpy(raw + 64, raw, 32);
    assert_int_equal(partition_table_read(&back, bytes_of(raw, sizeof raw), 0, NULL), ERR_NONE);
    assert_int_equal(back.count, 2);
    memcpy(raw + 64, raw + 32, 32);
    assert_int_equal(partition_table_read(&back, bytes_of(raw, sizeof raw), 0, NULL), ERR_FORMAT);
    memset(raw, 0xff, sizeof raw);
    assert_int_equal(partition_table_read(&back, bytes_of(raw, sizeof raw), 0, NULL), ERR_FORMAT);
}

static void a_table_has_room_for_so_many(void **state)
{
    struct buf csv = {0};
    struct partition_table t, back;
    uint8_t raw[PARTITION_TABLE_BYTES];
    struct partition_options o = {.is_without_md5 = true};
    (void)state;
    for (int i = 0; i < 94; i++)
        buf_addf(&csv, "p%d,0x40,0,,4K\n", i);
    assert_int_equal(partition_table_read_csv(&t, buf_bytes(&csv), NULL, NULL), ERR_NONE);
    partition_table_write(&t, raw);
    assert_int_equal(partition_table_read(&back, bytes_of(raw, sizeof raw), 0, NULL), ERR_NONE);
    assert_int_equal(back.count, 94);
    buf_addf(&csv, "more,0x40,0,,4K\n");
    assert_int_equal(partition_table_read_csv(&t, buf_bytes(&csv), NULL, NULL), ERR_FORMAT);
    assert_int_equal(partition_table_read_csv(&t, buf_bytes(&csv), &o, NULL), ERR_NONE);
    partition_table_write(&t, raw);
    assert_int_equal(partition_table_read(&back, bytes_of(raw, sizeof raw), 0, NULL), ERR_NONE);
    assert_int_equal(back.count, 95);
    memcpy(raw + 95 * 32, raw, 32); /* no terminator, and one too many */
    assert_int_equal(partition_table_read(&back, bytes_of(raw, sizeof raw), 0, NULL), ERR_FORMAT);
    buf_deinit(&csv);
}

static void lines_have_a_length(void **state)
{
    char csv[700];
    struct partition_table t;
    struct why why;
    (void)state;
    memset(csv, 'x', sizeof csv);
    memcpy(csv + 600, ",data,nvs,,24K", 15);
    assert_int_equal(read_with(&t, csv, NULL, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "line 1"));
    assert_int_equal(partition_table_read_csv(&t, bytes_of("a\0b,data,nvs,,24K", 17), NULL, NULL), ERR_FORMAT);
}

static void searching_finds_by_kind_and_name(void **state)
{
    struct partition_table t;
    char text[16];
    (void)state;
    assert_int_equal(
        read_with(&t, "one,data,nvs,,24K\ntwo,data,nvs,,24K\nodd,0x77,0x88,,4K\nslot,app,ota_3,,64K", NULL, NULL),
        ERR_NONE);
    assert_string_equal(partition_find(&t, 1, 2, "two")->label, "two");
    assert_string_equal(partition_find(&t, 1, 2, NULL)->label, "one");
    assert_null(partition_find(&t, 1, 2, "three"));
    assert_null(partition_find(&t, 1, 1, NULL));
    assert_non_null(partition_find_label(&t, "odd"));
    assert_null(partition_find_label(&t, "even"));
    assert_int_equal(partition_ota_count(&t), 0);
    assert_string_equal(partition_type_text(&t.entries[2], text), "119");
    assert_string_equal(partition_subtype_text(&t.entries[2], text), "136");
    assert_string_equal(partition_subtype_text(&t.entries[3], text), "ota_3");
    struct partition slots[16];
    t.count = 16;
    for (unsigned i = 0; i < 16; i++) {
        slots[i] = (struct partition){.type = 0, .subtype = (uint8_t)(0x10 + i)};
        t.entries[i] = slots[i];
    }
    assert_int_equal(partition_ota_count(&t), 16);
}

/* CSV -> binary -> CSV -> binary, over generated tables. */
static void tables_survive_both_forms(void **state)
{
    uint64_t seed = 42;
    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        struct buf csv = {0};
        struct partition_table t, back, again;
        uint8_t raw[PARTITION_TABLE_BYTES], second[PARTITION_TABLE_BYTES];
        char text[PARTITION_CSV_SIZE];
        struct text out;
        struct why why;
        unsigned count = 1 + test_random(&seed) % 90;
        for (unsigned i = 0; i < count; i++) {
            static const char *const kinds[] = {"app,factory", "app,0x35", "data,nvs", "data,fat",
                                                "0x41,9",      "data,",    "200,200",  "app,test"};
            static const char *const sizes[] = {"0x10000", "64K", "1M", "0x11000", "128K"};
            static const char *const flags[] = {"", "encrypted", "readonly", "encrypted:readonly"};
            unsigned kind = test_random(&seed) % 8;
            buf_addf(&csv, "name-%u%.*s,%s,,%s,%s\n", i, (int)(test_random(&seed) % 9), "_letters_", kinds[kind],
                     sizes[test_random(&seed) % 5], flags[test_random(&seed) % 4]);
        }
        if (partition_table_read_csv(&t, buf_bytes(&csv), NULL, &why) != ERR_NONE)
            fail_msg("%s\n%s", why.text, csv.at);
        partition_table_write(&t, raw);
        assert_int_equal(partition_table_read(&back, bytes_of(raw, sizeof raw), 0, NULL), ERR_NONE);
        text_init(&out, text, sizeof text);
        partition_table_write_csv(&back, &out);
        assert_false(out.is_cut);
        if (partition_table_read_csv(&again, bytes_of(text, out.len), NULL, &why) != ERR_NONE)
            fail_msg("%s\n%s", why.text, text);
        partition_table_write(&again, second);
        assert_memory_equal(raw, second, sizeof raw);
        buf_deinit(&csv);
    }
}

static void csv_is_printed_as_the_generator_prints_it(void **state)
{
    struct partition_table t = {.count = 3,
                                .entries = {{0, 0x10, 0x10000, 0x180000, 1, "ota_0"},
                                            {1, 0x82, 0x190000, 0x100000, 3, "files"},
                                            {0x40, 1, 0x290000, 0x123, 2, "odd"}}};
    char text[PARTITION_CSV_SIZE];
    struct text out;
    (void)state;
    text_init(&out, text, sizeof text);
    partition_table_write_csv(&t, &out);
    assert_string_equal(text,
                        "# ESP-IDF Partition Table\n# Name, Type, SubType, Offset, Size, Flags\n"
                        "ota_0,app,ota_0,0x10000,1536K,encrypted\nfiles,data,spiffs,0x190000,1M,encrypted:readonly\n"
                        "odd,64,1,0x290000,0x123,readonly\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_pythons),
        cmocka_unit_test(types_are_words_or_numbers),
        cmocka_unit_test(flags_are_a_list),
        cmocka_unit_test(offsets_follow_each_other),
        cmocka_unit_test(bootloaders_and_tables_have_their_own_places),
        cmocka_unit_test(variables_are_put_in),
        cmocka_unit_test(text_may_be_of_any_unicode_form),
        cmocka_unit_test(names_of_sixteen_bytes_have_no_terminator),
        cmocka_unit_test(rules_are_the_generators),
        cmocka_unit_test(binary_tables_are_checked_on_request),
        cmocka_unit_test(names_that_mislead_are_warned_of),
        cmocka_unit_test(tables_of_old_tools_have_no_md5),
        cmocka_unit_test(a_table_has_room_for_so_many),
        cmocka_unit_test(lines_have_a_length),
        cmocka_unit_test(searching_finds_by_kind_and_name),
        cmocka_unit_test(tables_survive_both_forms),
        cmocka_unit_test(csv_is_printed_as_the_generator_prints_it),
    };
    return cmocka_run_group_tests_name("partition tables", tests, NULL, NULL);
}
