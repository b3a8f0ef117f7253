/* Goal: JSON read in place says what the tree says, and CBOR item by item what RFC 8949's examples say. */
#include "codec/cbor.h"
#include "codec/encode.h"
#include "codec/json.h"
#include "codec/json_view.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

static struct json_token tokens[64];

static bool view_of(struct json_view *v, const char *text)
{
    return json_view_parse(v, bytes_of_text(text), tokens, 64);
}

static void members_are_found(void **state)
{
    static const char text[] = "{\"a\":{\"b\":1,\"c\":[{\"b\":2}],\"d\":\"x\"},\"b\":3,\"e\":true,\"b\":4}";
    struct json_view v;
    int64_t n;
    (void)state;
    assert_true(view_of(&v, text));
    assert_int_equal(json_view_count(bytes_of_text(text)), v.count);
    assert_true(json_view_int(&v, json_view_find(&v, 0, "b"), &n) && n == 3); /* not the one inside, and the first */
    int a = json_view_find(&v, 0, "a");
    assert_true(json_view_is_object(&v, a));
    assert_true(json_view_int(&v, json_view_find(&v, a, "b"), &n) && n == 1);
    assert_int_equal(json_view_find(&v, a, "e"), -1);                          /* behind it */
    assert_int_equal(json_view_find(&v, json_view_find(&v, a, "c"), "b"), -1); /* an array has no members */
    assert_int_equal(json_view_find(&v, -1, "b"), -1);
    int count = 0;
    for (int key = json_view_next_key(&v, 0, -1); key >= 0; key = json_view_next_key(&v, 0, key))
        count++;
    assert_int_equal(count, 4);
    assert_false(json_view_parse(&v, bytes_of_text(text), tokens, 5)); /* too few tokens */
}

static void only_one_value_is_a_document(void **state)
{
    static const char *const bad[] = {
        "", " ", "{", "}", "{}{}", "{} x", "{\"a\"", "[1,2", "\"abc", "{\"a\":\"\\x\"}", "nul\x01"};
    static const char *const good[] = {"{}", " {} \n", "[]", "\"x\" ", "7 ", "{\"a\":[{}]}"};
    struct json_view v;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (view_of(&v, bad[i]))
            fail_msg("\"%s\" is taken for a document", bad[i]);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!view_of(&v, good[i]))
            fail_msg("\"%s\" is not taken for a document", good[i]);
    assert_false(json_view_parse(&v, bytes_of("{}\0", 3), tokens, 64));
}

static void numbers_are_exact(void **state)
{
    static const struct {
        const char *text;
        bool is_int;
        int64_t value;
    } rows[] = {{"0", true, 0},
                {"-1", true, -1},
                {"1577600", true, 1577600},
                {"999999999999999999", true, 999999999999999999},
                {"1e3", false, 0},
                {"1.0", false, 0},
                {"18446744073709551616", false, 0},
                {"-", false, 0},
                {"true", false, 0},
                {"1234567890123456789012345678901234567890", false, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[80];
        struct json_view v;
        int64_t n = 0;
        snprintf(text, sizeof text, "{\"a\":%s}", rows[i].text);
        assert_true(view_of(&v, text));
        if (json_view_int(&v, json_view_find(&v, 0, "a"), &n) != rows[i].is_int || n != rows[i].value)
            fail_msg("%s: %lld", rows[i].text, (long long)n);
    }
    struct json_view v;
    double d;
    bool b;
    assert_true(view_of(&v, "{\"a\":1.5e3,\"b\":false,\"c\":\"1\"}"));
    assert_true(json_view_double(&v, json_view_find(&v, 0, "a"), &d) && d > 1499.9 && d < 1500.1);
    assert_true(json_view_bool(&v, json_view_find(&v, 0, "b"), &b) && !b);
    assert_false(json_view_double(&v, json_view_find(&v, 0, "b"), &d));
    assert_false(json_view_bool(&v, json_view_find(&v, 0, "a"), &b));
    assert_false(json_view_double(&v, json_view_find(&v, 0, "c"), &d));
}

/* Every character, escaped as writers may, reads as the tree reads it. */
static void strings_are_what_the_tree_makes_of_them(void **state)
{
    (void)state;
    for (unsigned c = 1; c < 0x10000; c += c < 0x100 ? 1 : 37) {
        char text[40], mine[16];
        struct json_view v;
        struct json *tree;
        snprintf(text, sizeof text, "{\"a\":\"<\\u%04x>\"}", c);
        if (json_parse(bytes_of_text(text), &tree, NULL) != ERR_NONE) {
            assert_true(c >= 0xd800 && c <= 0xdfff); /* half a pair */
            assert_false(view_of(&v, text) && json_view_text(&v, json_view_find(&v, 0, "a"), mine, sizeof mine));
            continue;
        }
        assert_true(view_of(&v, text));
        assert_true(json_view_text(&v, json_view_find(&v, 0, "a"), mine, sizeof mine));
        assert_string_equal(mine, json_text(json_get(tree, "a")));
        json_free(tree);
    }
    struct json_view v;
    char to[16];
    assert_true(view_of(
        &v, "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\",\"b\":\"\\ud83d\\ude00\",\"c\":\"0123456789abcdef\",\"d\":\"\"}"));
    assert_true(json_view_text(&v, json_view_find(&v, 0, "a"), to, sizeof to));
    assert_string_equal(to, "\"\\/\b\f\n\r\t");
    assert_true(json_view_text(&v, json_view_find(&v, 0, "b"), to, 5));
    assert_string_equal(to, "\xf0\x9f\x98\x80");
    assert_false(json_view_text(&v, json_view_find(&v, 0, "b"), to, 4)); /* whole or not at all */
    assert_string_equal(to, "");
    assert_false(json_view_text(&v, json_view_find(&v, 0, "c"), to, 16));
    assert_true(json_view_text(&v, json_view_find(&v, 0, "d"), to, 1));
}

/* --- CBOR (RFC 8949, appendix A) ---------------------------------------------------------------- */

static bool next_of(const char *hex, struct cbor_item *item, struct bytes *rest)
{
    static uint8_t raw[64];
    size_t len = sizeof raw;
    assert_true(hex_decode(raw, &len, bytes_of_text(hex)));
    *rest = bytes_of(raw, len);
    return cbor_next(rest, item);
}

static void items_of_the_standard(void **state)
{
    static const struct {
        const char *hex;
        enum cbor_item_kind kind;
        uint64_t value;
        size_t data;
    } rows[] = {{"00", CBOR_ITEM_UINT, 0, 0},
                {"17", CBOR_ITEM_UINT, 23, 0},
                {"1818", CBOR_ITEM_UINT, 24, 0},
                {"1903e8", CBOR_ITEM_UINT, 1000, 0},
                {"1a000f4240", CBOR_ITEM_UINT, 1000000, 0},
                {"1b000000e8d4a51000", CBOR_ITEM_UINT, 1000000000000, 0},
                {"20", CBOR_ITEM_NEGATIVE, 0, 0},
                {"3903e7", CBOR_ITEM_NEGATIVE, 999, 0},
                {"40", CBOR_ITEM_BYTES, 0, 0},
                {"4401020304", CBOR_ITEM_BYTES, 0, 4},
                {"6449455446", CBOR_ITEM_TEXT, 0, 4},
                {"83010203", CBOR_ITEM_ARRAY, 3, 0},
                {"a201020304", CBOR_ITEM_MAP, 2, 0},
                {"c11a514b67b0", CBOR_ITEM_ARRAY, 1, 0},
                {"f4", CBOR_ITEM_OTHER, 0, 0},
                {"f6", CBOR_ITEM_OTHER, 0, 0},
                {"f7", CBOR_ITEM_OTHER, 0, 0},
                {"f93c00", CBOR_ITEM_OTHER, 0, 0},
                {"fa47c35000", CBOR_ITEM_OTHER, 0, 0},
                {"fb3ff199999999999a", CBOR_ITEM_OTHER, 0, 0}};
    static const char *const none[] = {"",   "18", "1903", "1a000f42", "42", "4201", "61",
                                       "5f", "7f", "9f",   "bf",       "ff", "1c"};
    struct cbor_item item;
    struct bytes rest;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(next_of(rows[i].hex, &item, &rest));
        assert_int_equal(item.kind, rows[i].kind);
        assert_int_equal(item.value, rows[i].value);
        assert_int_equal(item.data.len, rows[i].data);
        assert_true(cbor_skip_content(&rest, &item));
        assert_int_equal(rest.len, 0);
    }
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_false(next_of(none[i], &item, &rest));
}

static void contents_are_passed_over(void **state)
{
    struct cbor_item item;
    struct bytes rest;
    (void)state;
    assert_true(next_of("8301820203820405", &item, &rest) && cbor_skip_content(&rest, &item) && rest.len == 0);
    assert_true(next_of("a26161016162820203f5", &item, &rest) && cbor_skip_content(&rest, &item) && rest.len == 1);
    assert_true(next_of("82018202", &item, &rest) && !cbor_skip_content(&rest, &item)); /* cut off */
    assert_true(next_of("9b7fffffffffffffff", &item, &rest) && !cbor_skip_content(&rest, &item));
    assert_true(next_of("bbffffffffffffffff01", &item, &rest) && !cbor_skip_content(&rest, &item));
}

static void what_does_not_fit_is_remembered(void **state)
{
    uint8_t raw[32];
    (void)state;
    for (size_t size = 0; size <= 12; size++) {
        struct cbor_out out = {raw, size, 0, false};
        cbor_put_map(&out, 1);
        cbor_put_text(&out, "abc");
        cbor_put_bytes(&out, bytes_of("1234", 4));
        cbor_put_uint(&out, 300);
        assert_int_equal(out.is_cut, size < 13);
        assert_true(out.len <= size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_found),
        cmocka_unit_test(only_one_value_is_a_document),
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(strings_are_what_the_tree_makes_of_them),
        cmocka_unit_test(items_of_the_standard),
        cmocka_unit_test(contents_are_passed_over),
        cmocka_unit_test(what_does_not_fit_is_remembered),
    };
    return cmocka_run_group_tests_name("view", tests, NULL, NULL);
}
