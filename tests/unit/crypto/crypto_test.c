#include "codec/encode.h"
#include "crypto/digest.h"
#include "crypto/password.h"
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

static void passwords_are_argon2id_and_salted(void **state)
{
    struct test_entropy e;
    char one[PASSWORD_HASH_SIZE], two[PASSWORD_HASH_SIZE];
    (void)state;
    test_entropy_init(&e);
    assert_int_equal(password_hash(one, "Correct horse 1", &e.entropy, NULL), ERR_NONE);
    assert_int_equal(password_hash(two, "Correct horse 1", &e.entropy, NULL), ERR_NONE);
    assert_memory_equal(one, "$argon2id$v=19$m=19456,t=2,p=1$", 31);
    assert_string_not_equal(one, two);
    assert_true(password_is("Correct horse 1", one));
    assert_false(password_is("correct horse 1", one));
    assert_false(password_is("x", "no hash at all"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_have_their_known_values),
        cmocka_unit_test(a_digest_may_be_given_up),
        cmocka_unit_test(passwords_are_argon2id_and_salted),
    };
    return cmocka_run_group_tests_name("crypto", tests, NULL, NULL);
}
