/* Goal: a download in blocks ends with every byte in its place, whatever is lost, doubled, late or mixed up on the way.
 */
#include "ota/stream.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

#define FILE_MAX 70000

static uint8_t file[FILE_MAX], got[FILE_MAX];

struct net {
    unsigned random;
    int loss, doubling, late; /* of a hundred */
    unsigned requests, sent;
};

static unsigned chance(struct net *n)
{
    n->random = n->random * 1103515245u + 12345u;
    return (n->random >> 16) % 100;
}

static struct stream_block block_of(uint32_t size, uint32_t l, uint32_t i)
{
    uint32_t at = i * l, len = at >= size ? 0 : size - at < l ? size - at : l;
    return (struct stream_block){1, i, len, bytes_of(file + at, len)};
}

/* What a server sends for a request, in a mixed-up order; blocks past the end do not exist. */
static unsigned answer(struct net *n, const struct stream_request *r, uint32_t size, struct stream_block *to)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        struct stream_block b = block_of(size, r->block_bytes, r->offset + i);
        bool is_wanted = r->bitmap.len == 0 || r->bitmap.at[i / 8] & 1 << i % 8;
        if (!is_wanted || b.len == 0 || (int)chance(n) < n->loss)
            continue;
        to[count++] = b;
        if ((int)chance(n) < n->doubling)
            to[count++] = b;
    }
    for (unsigned i = count; i > 1; i--) {
        unsigned j = chance(n) % i;
        struct stream_block swap = to[i - 1];
        to[i - 1] = to[j];
        to[j] = swap;
    }
    return count;
}

static enum ota_stream_state download(struct net *n, const struct ota_stream_options *o, uint32_t size, uint32_t from,
                                      uint32_t *writes)
{
    struct ota_stream s;
    struct stream_block blocks[2 * STREAM_BATCH_MAX];
    int64_t now = 1000;
    uint32_t at, position = 0;
    *writes = 0;
    ota_stream_begin(&s, o, size, from, now);
    position = ota_stream_position(&s);
    while (s.state < OTA_STREAM_DONE && n->requests < 100000) {
        if (!s.wants_request) {
            now = s.deadline_ms;
            ota_stream_tick(&s, now);
            continue;
        }
        struct stream_request r;
        ota_stream_request(&s, &r, now);
        n->requests++;
        unsigned count = answer(n, &r, size, blocks);
        for (unsigned i = 0; i < count; i++) {
            n->sent++;
            enum ota_stream_verdict v = ota_stream_take(&s, &blocks[i], now, &at);
            if (v == OTA_STREAM_HEADER_HERE)
                ota_stream_accept_header(&s, now);
            if (v < OTA_STREAM_WRITE)
                continue;
            memcpy(got + at, blocks[i].data.at, blocks[i].data.len);
            ++*writes;
            assert_true(ota_stream_position(&s) >= position);
            position = ota_stream_position(&s);
        }
    }
    return s.state;
}

static void whole_files_of_every_size(void **state)
{
    static const uint32_t sizes[] = {1, 288, 289, 4095, 4096, 4097, 65535, 65536, 65537, 70000};
    static const struct ota_stream_options all[] = {
        {4096, 16, 3, 10000}, {256, 512, 3, 10000}, {3072, 42, 3, 10000}, {4096, 1, 3, 10000}, {512, 13, 3, 10000}};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t k = 0; k < 5; k++)
            for (unsigned seed = 0; seed < 20; seed++) {
                struct net n = {.random = seed, .loss = seed % 4 ? 20 : 0, .doubling = seed % 3 ? 20 : 0};
                struct ota_stream_options o = all[k];
                uint32_t writes, blocks = (sizes[i] + o.block_bytes - 1) / o.block_bytes;
                o.retries_max = 60;
                memset(got, 0xee, sizeof got);
                enum ota_stream_state end = download(&n, &o, sizes[i], 0, &writes);
                if (sizes[i] < OTA_STREAM_HEADER_MIN) { /* it has no header to look at */
                    assert_int_equal(end, OTA_STREAM_FAILED);
                    continue;
                }
                assert_int_equal(end, OTA_STREAM_DONE);
                assert_int_equal(writes, blocks); /* each block once */
                assert_memory_equal(got, file, sizes[i]);
            }
}

static void nothing_lost_is_nothing_asked_twice(void **state)
{
    static const struct ota_stream_options o = {4096, 16, 3, 10000};
    struct net n = {.random = 1};
    uint32_t writes;
    (void)state;
    assert_int_equal(download(&n, &o, 70000, 0, &writes), OTA_STREAM_DONE);
    assert_int_equal(n.requests, 1 + 2); /* the header, 16 blocks, 2 blocks */
    assert_int_equal(n.sent, 1 + 18);
}

static void a_silent_server_is_left(void **state)
{
    static const struct ota_stream_options o = {4096, 16, 3, 10000};
    struct net n = {.random = 1, .loss = 100};
    uint32_t writes;
    (void)state;
    assert_int_equal(download(&n, &o, 70000, 0, &writes), OTA_STREAM_FAILED);
    assert_int_equal(n.requests, 1 + 3);
}

static void it_goes_on_where_it_was(void **state)
{
    static const struct ota_stream_options o = {4096, 4, 3, 10000};
    (void)state;
    for (uint32_t from = 1; from < 18; from++) {
        struct net n = {.random = from};
        uint32_t writes;
        memset(got, 0, sizeof got);
        memcpy(got, file, from * 4096);
        assert_int_equal(download(&n, &o, 70000, from, &writes), OTA_STREAM_DONE);
        assert_int_equal(writes, 18 - from);
        assert_memory_equal(got, file, 70000);
    }
    struct net n = {.random = 1};
    uint32_t writes;
    assert_int_equal(download(&n, &o, 70000, 18, &writes), OTA_STREAM_DONE); /* past the end: from the start */
    assert_int_equal(writes, 18);
    assert_int_equal(ota_stream_resume_block(7, 4096, 4096), 7);
    assert_int_equal(ota_stream_resume_block(7, 3072, 4096), 4);
    assert_int_equal(ota_stream_resume_block(3, 3072, 4096), 0);
    assert_int_equal(ota_stream_resume_block(40, 256, 4096), 32);
}

/* A request again asks for what is missing, and only for that. */
static void what_is_missing_is_asked_for(void **state)
{
    static const struct ota_stream_options o = {4096, 16, 3, 10000};
    struct ota_stream s;
    struct stream_request r;
    uint32_t at;
    (void)state;
    ota_stream_begin(&s, &o, 70000, 0, 0);
    ota_stream_accept_header(&s, 0);
    ota_stream_request(&s, &r, 0);
    assert_memory_equal(r.bitmap.at, "\xff\xff", 2);
    for (uint32_t i = 0; i < 16; i++)
        if (i != 3 && i != 12) {
            struct stream_block b = block_of(70000, 4096, i);
            assert_int_equal(ota_stream_take(&s, &b, 5, &at), OTA_STREAM_WRITE);
        }
    assert_int_equal(s.deadline_ms, 10005);
    ota_stream_tick(&s, 10004);
    assert_false(s.wants_request);
    ota_stream_tick(&s, 10005);
    assert_true(s.wants_request);
    ota_stream_request(&s, &r, 10005);
    assert_memory_equal(r.bitmap.at, "\x08\x10", 2);
    assert_int_equal(r.offset, 0);
    assert_int_equal(r.count, 16);
    assert_int_equal(ota_stream_position(&s), 0);
}

static void strange_blocks_are_ignored(void **state)
{
    static const struct ota_stream_options o = {4096, 4, 3, 10000};
    struct ota_stream s;
    uint32_t at;
    (void)state;
    ota_stream_begin(&s, &o, 70000, 0, 0);
    struct stream_block first = block_of(70000, 4096, 0), short_header = {1, 0, 287, {file, 287}};
    assert_int_equal(ota_stream_take(&s, &first, 0, &at), OTA_STREAM_IGNORED); /* a header was asked for */
    assert_int_equal(ota_stream_take(&s, &short_header, 0, &at), OTA_STREAM_IGNORED);
    ota_stream_accept_header(&s, 0);
    struct stream_block other = first, past = block_of(70000, 4096, 4), thin = first, far = first;
    other.file_id = 2;
    thin.len = 4095;
    thin.data.len = 4095;
    far.index = UINT32_MAX;
    assert_int_equal(ota_stream_take(&s, &other, 0, &at), OTA_STREAM_IGNORED);
    assert_int_equal(ota_stream_take(&s, &past, 0, &at), OTA_STREAM_IGNORED);
    assert_int_equal(ota_stream_take(&s, &thin, 0, &at), OTA_STREAM_IGNORED);
    assert_int_equal(ota_stream_take(&s, &far, 0, &at), OTA_STREAM_IGNORED);
    assert_int_equal(ota_stream_take(&s, &first, 0, &at), OTA_STREAM_WRITE);
    assert_int_equal(ota_stream_take(&s, &first, 0, &at), OTA_STREAM_IGNORED); /* it is here */
}

int main(void)
{
    for (size_t i = 0; i < sizeof file; i++)
        file[i] = (uint8_t)(i * 7 + i / 251);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_files_of_every_size),    cmocka_unit_test(nothing_lost_is_nothing_asked_twice),
        cmocka_unit_test(a_silent_server_is_left),      cmocka_unit_test(it_goes_on_where_it_was),
        cmocka_unit_test(what_is_missing_is_asked_for), cmocka_unit_test(strange_blocks_are_ignored),
    };
    return cmocka_run_group_tests_name("ota stream", tests, NULL, NULL);
}
