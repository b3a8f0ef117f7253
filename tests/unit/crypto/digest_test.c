/* Goal: one suite for digest.h, whoever serves it: OpenSSL on Linux, mbedTLS on a chip. */
#include "codec/encode.h"
#include "crypto/digest.h"
#include "test.h"

static void digests_have_their_known_values(void **state)
{
    uint8_t sha[SHA256_LEN], md5[MD5_LEN], mac[SHA256_LEN];
    char text[65];
    (void)state;
    sha256_of(sha, bytes_of_text("abc"));
    hex_encode(text, bytes_of(sha, sizeof sha));
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    md5_of(md5, bytes_of_text(""));
    hex_encode(text, bytes_of(md5, sizeof md5));
    assert_string_equal(text, "d41d8cd98f00b204e9800998ecf8427e");
    hmac_sha256(mac, bytes_of_text("Jefe"), bytes_of_text("what do ya want for nothing?")); /* RFC 4231, case 2 */
    hex_encode(text, bytes_of(mac, sizeof mac));
    assert_string_equal(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void a_digest_may_be_given_up(void **state)
{
    struct digest d;
    (void)state;
    digest_init(&d, DIGEST_SHA256);
    digest_update(&d, bytes_of_text("half"));
    digest_deinit(&d);
    digest_deinit(&d);
}

static void pieces_make_the_whole(void **state)
{
    static const enum digest_kind kinds[] = {DIGEST_SHA256, DIGEST_SHA384, DIGEST_MD5};
    uint8_t data[500], whole[SHA384_LEN], pieces[SHA384_LEN];
    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    for (int k = 0; k < 3; k++)
        for (size_t step = 1; step < 130; step++) {
            struct digest d;
            memset(whole, 0, sizeof whole);
            memset(pieces, 0, sizeof pieces);
            digest_init(&d, kinds[k]);
            for (size_t at = 0; at < sizeof data; at += step)
                digest_update(&d, bytes_of(data + at, sizeof data - at < step ? sizeof data - at : step));
            digest_update(&d, bytes_of(NULL, 0));
            digest_final(&d, pieces);
            if (k == 0)
                sha256_of(whole, bytes_of(data, sizeof data));
            else if (k == 1)
                sha384_of(whole, bytes_of(data, sizeof data));
            else
                md5_of(whole, bytes_of(data, sizeof data));
            assert_memory_equal(whole, pieces, sizeof whole);
        }
}

static void a_look_in_between_disturbs_nothing(void **state)
{
    uint8_t peeked[SHA256_LEN], expected[SHA256_LEN];
    struct digest d;
    (void)state;
    digest_init(&d, DIGEST_SHA256);
    digest_update(&d, bytes_of_text("ab"));
    digest_peek(&d, peeked);
    sha256_of(expected, bytes_of_text("ab"));
    assert_memory_equal(peeked, expected, SHA256_LEN);
    digest_update(&d, bytes_of_text("c"));
    digest_final(&d, peeked);
    sha256_of(expected, bytes_of_text("abc"));
    assert_memory_equal(peeked, expected, SHA256_LEN);
    assert_true(secret_equal(peeked, expected, SHA256_LEN));
    expected[31] ^= 1;
    assert_false(secret_equal(peeked, expected, SHA256_LEN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_have_their_known_values),
        cmocka_unit_test(a_digest_may_be_given_up),
        cmocka_unit_test(pieces_make_the_whole),
        cmocka_unit_test(a_look_in_between_disturbs_nothing),
    };
    return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
