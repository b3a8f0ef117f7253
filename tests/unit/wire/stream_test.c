/* Goal: requests and blocks of a stream as the device specification (6.2, 6.3) has them, both ways, byte for byte. */
#include "codec/encode.h"
#include "test.h"
#include "wire/stream.h"
#include "wire/stream_json.h"

#include <stdlib.h>
#include <string.h>

static void assert_hex(const uint8_t *at, size_t len, const char *hex)
{
    char text[512];
    hex_encode(text, bytes_of(at, len));
    assert_string_equal(text, hex);
}

static void requests_are_what_the_original_sends(void **state)
{
    static const uint8_t all[2] = {0xff, 0xff};
    struct stream_request header = {1, 289, 0, 1, {NULL, 0}}, data = {1, 4096, 0, 16, {all, 2}}, back;
    uint8_t raw[STREAM_REQUEST_SIZE];
    (void)state;
    size_t len = stream_request_write(raw, sizeof raw, &header);
    assert_hex(raw, len, "a4616601616c190121616f00616e01");
    assert_true(stream_request_read(&back, bytes_of(raw, len)));
    assert_int_equal(back.block_bytes, 289);
    assert_int_equal(back.bitmap.len, 0);
    len = stream_request_write(raw, sizeof raw, &data);
    assert_hex(raw, len, "a5616601616c191000616f00616242ffff616e10");
    assert_true(stream_request_read(&back, bytes_of(raw, len)));
    assert_int_equal(back.count, 16);
    assert_memory_equal(back.bitmap.at, all, 2);
    for (size_t size = 0; size < len; size++)
        assert_int_equal(stream_request_write(raw, size, &data), 0);
}

static void blocks_go_there_and_back(void **state)
{
    static const size_t lens[] = {0, 1, 23, 24, 255, 256, 4096, 65536};
    static uint8_t data[65536], raw[65536 + STREAM_BLOCK_HEADER];
    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 31);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct stream_block block = {1, 0xfffffffe, (uint32_t)lens[i], {data, lens[i]}}, back;
        size_t len = stream_block_write(raw, sizeof raw, &block);
        assert_true(len > 0 && len <= lens[i] + STREAM_BLOCK_HEADER);
        assert_true(stream_block_read(&back, bytes_of(raw, len)));
        assert_int_equal(back.index, 0xfffffffe);
        assert_true(bytes_equal(back.data, block.data));
        assert_ptr_equal(back.data.at >= raw && back.data.at <= raw + len ? raw : NULL, raw); /* in place */
        for (size_t cut = 0; cut < len && cut < 300; cut++) {
            uint8_t *copy = malloc(cut ? cut : 1);
            memcpy(copy, raw, cut);
            assert_false(stream_block_read(&back, bytes_of(copy, cut)));
            free(copy);
        }
    }
}

static bool reads_block(const char *hex)
{
    uint8_t raw[128];
    size_t len = sizeof raw;
    struct stream_block block;
    assert_true(hex_decode(raw, &len, bytes_of_text(hex)));
    return stream_block_read(&block, bytes_of(raw, len));
}

static void other_maps_are_none(void **state)
{
    (void)state;
    assert_true(reads_block("a4616601616900616c0161704107"));
    assert_true(reads_block("a561638261616101616601616900616c0161704107")); /* an extra key with an array */
    assert_true(reads_block("a4617041076166016169006"
                            "16c01")); /* in any order */
    assert_false(reads_block("a4616661006169006"
                             "16c0161704107"));                                /* f is a text */
    assert_false(reads_block("a4616601616920616c0161704107"));                 /* i is negative */
    assert_false(reads_block("a461660161691b0000000100000000616c0161704107")); /* i needs 64 bits */
    assert_false(reads_block("a4616601616900616c0261704107"));                 /* l is not p's length */
    assert_false(reads_block("a4616601616900616c0161706107"));                 /* p is a text */
    assert_false(reads_block("a3616601616900616c01"));                         /* no p */
    assert_false(reads_block("bf616601616900616c0161704107ff"));               /* of indefinite length */
    assert_false(reads_block("84016901"));
    assert_false(reads_block(""));
    assert_false(reads_block("bbffffffffffffffff")); /* more pairs than there are bytes */
    assert_false(reads_block("a161639bffffffffffffffff"));
}

static void topics(void **state)
{
    char to[STREAM_TOPIC_SIZE], tight[46];
    (void)state;
    assert_true(stream_topic_write(to, sizeof to, STREAM_GET, "N", "S"));
    assert_string_equal(to, "$aws/things/N/streams/S/get/cbor");
    assert_true(stream_topic_write(to, sizeof to, STREAM_DATA, "N", "S"));
    assert_string_equal(to, "$aws/things/N/streams/S/data/cbor");
    assert_true(stream_topic_write(to, sizeof to, STREAM_REJECTED, "N", "S"));
    assert_string_equal(to, "$aws/things/N/streams/S/rejected/cbor");
    assert_false(stream_topic_write(tight, sizeof tight, STREAM_REJECTED, "0123456789", "0123456789"));
}

static void topics_are_read_back(void **state)
{
    static const char *const wrong[] = {"",
                                        "$aws/things/N/streams/S/get/json/",
                                        "$aws/things/N/streams/S/get",
                                        "$aws/things/N/streams/S/take/json",
                                        "$aws/things/N/shadow/S/get/json",
                                        "$aws/things//streams/S/get/json",
                                        "$aws/things/N/streams/S/get/xml",
                                        "aws/things/N/streams/S/get/json",
                                        "$aws/things/N!/streams/S/get/json"};
    struct stream_topic t;
    char to[STREAM_TOPIC_SIZE];
    (void)state;
    assert_true(stream_topic_read(&t, "$aws/things/N-1/streams/S_2/get/json"));
    assert_string_equal(t.node_id, "N-1");
    assert_string_equal(t.stream_id, "S_2");
    assert_true(t.kind == STREAM_GET && t.form == STREAM_JSON);
    assert_true(stream_topic_in(to, sizeof to, STREAM_DATA, t.form, t.node_id, t.stream_id));
    assert_string_equal(to, "$aws/things/N-1/streams/S_2/data/json");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(stream_topic_read(&t, wrong[i]));
}

static bool json_request(struct stream_request *r, uint8_t *room, const char *bitmap, unsigned count)
{
    char text[400];
    snprintf(text, sizeof text, "{\"f\":1,\"l\":256,\"o\":7,\"n\":%u%s%s%s}", count, bitmap ? ",\"b\":\"" : "",
             bitmap ? bitmap : "", bitmap ? "\"" : "");
    return stream_request_read_json(r, room, bytes_of_text(text));
}

static void json_asks_and_answers_the_same(void **state)
{
    uint8_t room[STREAM_BITMAP_MAX], all[STREAM_BITMAP_MAX + 2];
    char text[BASE64_SIZE(sizeof all)];
    struct stream_request r;
    struct buf out = {0};
    (void)state;
    assert_true(json_request(&r, room, NULL, 16));
    assert_int_equal(r.block_bytes, 256);
    assert_int_equal(r.offset, 7);
    assert_int_equal(r.bitmap.len, 0);
    assert_true(json_request(&r, room, "//8=", 16));
    assert_int_equal(r.bitmap.len, 2);
    assert_false(json_request(&r, room, "//8=", 17)); /* too short for so many */
    assert_false(json_request(&r, room, "?", 1));
    memset(all, 0xa5, sizeof all);
    base64_encode(text, bytes_of(all, STREAM_BITMAP_MAX), BASE64_STANDARD);
    assert_true(json_request(&r, room, text, STREAM_BATCH_MAX));
    assert_int_equal(r.bitmap.len, STREAM_BITMAP_MAX);
    base64_encode(text, bytes_of(all, sizeof all), BASE64_STANDARD);
    assert_false(json_request(&r, room, text, STREAM_BATCH_MAX));
    stream_block_write_json(&out, &(struct stream_block){1, 3, 2, bytes_of("hi", 2)});
    buf_add(&out, "", 1);
    assert_string_equal(out.at, "{\"f\":1,\"i\":3,\"l\":2,\"p\":\"aGk=\"}");
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_what_the_original_sends),
        cmocka_unit_test(blocks_go_there_and_back),
        cmocka_unit_test(other_maps_are_none),
        cmocka_unit_test(topics),
        cmocka_unit_test(topics_are_read_back),
        cmocka_unit_test(json_asks_and_answers_the_same),
    };
    return cmocka_run_group_tests_name("stream messages", tests, NULL, NULL);
}
