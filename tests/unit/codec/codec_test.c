#include "codec/crc.h"
#include "codec/encode.h"
#include "codec/json.h"
#include "test.h"

static void json_is_refused_with_a_place(void **state)
{
    static const char *const bad[] = {"", "{", "{\"a\":}", "[1,2", "{} x", "nul", "{\"a\":\"\\u12\"}", "\"open"};
    struct json *doc;
    struct why why;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(json_parse(bytes_of_text(bad[i]), &doc, &why), ERR_FORMAT);
        assert_null(doc);
    }
}

static void json_depth_is_bounded(void **state)
{
    char deep[20001];
    struct json *doc;
    (void)state;
    memset(deep, '[', 20000);
    deep[20000] = '\0';
    assert_int_equal(json_parse(bytes_of_text(deep), &doc, NULL), ERR_FORMAT);
    const char *brackets_in_text = "{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"}";
    assert_int_equal(json_parse(bytes_of_text(brackets_in_text), &doc, NULL), ERR_NONE);
    json_free(doc);
}

static void json_numbers_are_whole_or_nothing(void **state)
{
    struct json *doc;
    int64_t n = 7;
    (void)state;
    assert_int_equal(
        json_parse(bytes_of_text("{\"a\":12,\"b\":1.5,\"c\":1e300,\"d\":\"3\",\"e\":-9007199254740992}"), &doc, NULL),
        ERR_NONE);
    assert_true(json_int(json_get(doc, "a"), &n) && n == 12);
    assert_false(json_int(json_get(doc, "b"), &n));
    assert_false(json_int(json_get(doc, "c"), &n));
    assert_false(json_int(json_get(doc, "d"), &n));
    assert_true(json_int(json_get(doc, "e"), &n) && n == -9007199254740992);
    assert_false(json_int(json_get(doc, "missing"), &n));
    json_free(doc);
}

static void what_is_written_reads_back(void **state)
{
    struct buf text = {0};
    struct json_out out;
    struct json *doc;
    (void)state;
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    json_out_text(&out, "quote\"d", "a\"b\\c\n\x01 \xc3\xa9 \xf0\x9f\x92\xa1 \xff>");
    json_out_int(&out, "n", -5);
    json_out_array(&out, "list");
    json_out_bool(&out, NULL, true);
    json_out_text(&out, NULL, NULL);
    json_out_end_array(&out);
    json_out_end_object(&out);
    assert_string_equal(text.at, "{\"quote\\\"d\":\"a\\\"b\\\\c\\u000a\\u0001 \xc3\xa9 \xf0\x9f\x92\xa1 "
                                 "\xef\xbf\xbd>\",\"n\":-5,\"list\":[true,null]}");
    assert_int_equal(json_parse(buf_bytes(&text), &doc, NULL), ERR_NONE);
    json_free(doc);
    buf_deinit(&text);
}

static void ascii_json_has_no_letter_that_divides_the_alphabets(void **state)
{
    (void)state;
    for (int pad = 0; pad < 3; pad++) {
        struct buf text = {0};
        struct json_out out;
        char encoded[400];
        json_out_init(&out, &text);
        json_out_ascii(&out);
        json_out_object(&out, NULL);
        json_out_text(&out, &"xxx"[pad], "?\77\77>>>~~~\x7f\xc3\xa9\xf0\x9f\x92\xa1 ?\77>~");
        json_out_end_object(&out);
        base64_encode(encoded, buf_bytes(&text), BASE64_URL);
        assert_null(strpbrk(encoded, "-_"));
        buf_deinit(&text);
    }
}

static void base64_vectors_of_rfc_4648(void **state)
{
    static const char *const rows[][2] = {{"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
                                          {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"foobar", "Zm9vYmFy"}};
    static const char *const bad[] = {"A", "A===", "AA=A", "A-AA", "AA=", "AAAA="};
    char text[32];
    uint8_t back[32];
    size_t len;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        base64_encode(text, bytes_of_text(rows[i][0]), BASE64_STANDARD);
        assert_string_equal(text, rows[i][1]);
        assert_true(base64_decode(back, &len, bytes_of_text(text), BASE64_STANDARD));
        assert_int_equal(len, strlen(rows[i][0]));
        assert_memory_equal(back, rows[i][0], len);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(base64_decode(back, &len, bytes_of_text(bad[i]), BASE64_STANDARD));
}

static void hex_is_lower_case(void **state)
{
    static const uint8_t b[] = {0x1a, 0xff, 0x00};
    char text[7];
    (void)state;
    hex_encode(text, bytes_of(b, sizeof b));
    assert_string_equal(text, "1aff00");
}

/* otadata's CRCs by sequence number, from real devices. */
static void crc_is_the_roms(void **state)
{
    static const struct {
        uint32_t seq, crc;
    } rows[] = {{0, 0xffffffff},  {1, 0x4743989a},   {2, 0x55f63774},         {3, 0xed4a5011},
                {10, 0x90421f9b}, {100, 0x4bbb9fab}, {0xfffffffe, 0x99f8b879}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t raw[4];
        put_u32(raw, rows[i].seq);
        assert_int_equal(crc32_of(CRC32_ESP_INIT, bytes_of(raw, 4)), rows[i].crc);
        assert_int_equal(crc32_of(crc32_of(CRC32_ESP_INIT, bytes_of(raw, 1)), bytes_of(raw + 1, 3)), rows[i].crc);
    }
    assert_int_equal(crc32_of(0, bytes_of_text("123456789")), 0xcbf43926);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_refused_with_a_place),
        cmocka_unit_test(json_depth_is_bounded),
        cmocka_unit_test(json_numbers_are_whole_or_nothing),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(ascii_json_has_no_letter_that_divides_the_alphabets),
        cmocka_unit_test(base64_vectors_of_rfc_4648),
        cmocka_unit_test(hex_is_lower_case),
        cmocka_unit_test(crc_is_the_roms),
    };
    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
