#include "codec/encode.h"
#include "crypto/cipher.h"
#include "crypto/digest.h"
#include "crypto/key.h"
#include "test.h"

static const enum key_kind all_kinds[] = {KEY_RSA_3072, KEY_P192, KEY_P256, KEY_P384};

static struct private_key *new_key(enum key_kind kind)
{
    struct buf pem = {0};
    struct private_key *key;
    assert_int_equal(private_key_generate(kind, &pem, NULL), ERR_NONE);
    assert_int_equal(private_key_open_pem(&key, buf_bytes(&pem), NULL), ERR_NONE);
    assert_int_equal(key->public_key.kind, kind);
    buf_deinit(&pem);
    return key;
}

static void every_kind_signs_and_verifies(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct private_key *key = new_key(all_kinds[i]), *other = new_key(all_kinds[i]);
        uint8_t digest[SHA384_LEN] = {1, 2, 3}, signature[RSA_3072_LEN];
        struct bytes d = bytes_of(digest, key_digest_len(all_kinds[i]));
        assert_int_equal(private_key_sign(key, d, signature, NULL), ERR_NONE);
        assert_true(public_key_verify(&key->public_key, d, signature));
        assert_false(public_key_verify(&other->public_key, d, signature));
        signature[key_signature_len(all_kinds[i]) / 2] ^= 1;
        assert_false(public_key_verify(&key->public_key, d, signature));
        signature[key_signature_len(all_kinds[i]) / 2] ^= 1;
        digest[0] ^= 1;
        assert_false(public_key_verify(&key->public_key, d, signature));
        struct why why = {{0}};
        assert_int_equal(private_key_sign(key, bytes_of(digest, 20), signature, &why), ERR_USAGE);
        assert_non_null(strstr(why.text, "20"));
        private_key_close(key);
        private_key_close(other);
    }
}

static void public_keys_survive_pem(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct private_key *key = new_key(all_kinds[i]);
        struct buf pem = {0};
        struct public_key again;
        assert_int_equal(public_key_write_pem(&key->public_key, &pem, NULL), ERR_NONE);
        assert_int_equal(public_key_read_pem(&again, buf_bytes(&pem), NULL), ERR_NONE);
        assert_true(public_key_equal(&again, &key->public_key));
        assert_true(strncmp(pem.at, "-----BEGIN PUBLIC KEY-----", 26) == 0);
        buf_deinit(&pem);
        private_key_close(key);
    }
}

static void what_is_no_key_is_refused(void **state)
{
    static const char rsa_2048[] = "-----BEGIN PUBLIC KEY-----\n"
                                   "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMI7ZRrZPWWbXKxWXAqwhPWVUg0KeZQH\n"
                                   "-----END PUBLIC KEY-----\n";
    struct public_key key;
    struct private_key *private;
    struct why why = {{0}};
    (void)state;
    assert_int_equal(public_key_read_pem(&key, bytes_of_text("no key"), &why), ERR_KEY);
    assert_true(why.text[0] != '\0');
    assert_int_equal(public_key_read_pem(&key, bytes_of_text(rsa_2048), &why), ERR_KEY);
    assert_int_equal(public_key_read_pem(&key, bytes_of(NULL, 0), &why), ERR_KEY);
    assert_int_equal(private_key_open_pem(&private, bytes_of_text("no key"), &why), ERR_KEY);
    private_key_close(NULL);
    uint8_t scalar[32] = {0};
    assert_int_equal(private_key_open_scalar(&private, scalar, &why), ERR_KEY);
    memset(scalar, 0xff, sizeof scalar);
    assert_int_equal(private_key_open_scalar(&private, scalar, &why), ERR_KEY);
    assert_int_equal(private_key_write_scalar_pem(scalar, &(struct buf){0}, &why), ERR_KEY);
}

static void a_point_beside_its_curve_verifies_nothing(void **state)
{
    struct public_key key = {.kind = KEY_P256, .number = {1, 2, 3}};
    uint8_t digest[32] = {0}, signature[64] = {1};
    (void)state;
    assert_false(public_key_verify(&key, bytes_of(digest, 32), signature));
    assert_false(public_key_verify(&(struct public_key){KEY_NONE, {0}, 0}, bytes_of(digest, 32), signature));
}

static void names_of_kinds_go_both_ways(void **state)
{
    (void)state;
    assert_int_equal(key_kind_find("p384"), KEY_P384);
    assert_int_equal(key_kind_find("rsa3072"), KEY_RSA_3072);
    assert_int_equal(key_kind_find("ed25519"), KEY_NONE);
    assert_string_equal(key_kind_text(KEY_P192), "ECDSA P-192");
}

static void both_sides_agree(void **state)
{
    struct private_key *one = new_key(KEY_P256), *two = new_key(KEY_P256);
    uint8_t a[32], b[32];
    (void)state;
    assert_int_equal(one->ops->agree(one, &two->public_key, a, NULL), ERR_NONE);
    assert_int_equal(two->ops->agree(two, &one->public_key, b, NULL), ERR_NONE);
    assert_memory_equal(a, b, 32);
    struct public_key beside = {.kind = KEY_P256, .number = {9}};
    assert_int_equal(one->ops->agree(one, &beside, a, NULL), ERR_KEY);
    private_key_close(one);
    private_key_close(two);
}

static void a_wrapped_secret_opens_with_its_key_alone(void **state)
{
    struct private_key *key = new_key(KEY_RSA_3072), *other = new_key(KEY_RSA_3072);
    uint8_t sealed[RSA_3072_LEN], back[RSA_3072_LEN];
    size_t len = sizeof back;
    (void)state;
    assert_int_equal(public_key_wrap(&key->public_key, bytes_of_text("secret"), sealed, NULL), ERR_NONE);
    assert_int_equal(key->ops->unwrap(key, sealed, back, &len, NULL), ERR_NONE);
    assert_int_equal(len, 6);
    assert_memory_equal(back, "secret", 6);
    len = 5;
    assert_int_equal(key->ops->unwrap(key, sealed, back, &len, NULL), ERR_KEY);
    len = sizeof back;
    assert_int_equal(other->ops->unwrap(other, sealed, back, &len, NULL), ERR_KEY);
    private_key_close(key);
    private_key_close(other);
}

static void from_hex(uint8_t *to, const char *hex)
{
    for (; hex[0]; hex += 2)
        sscanf(hex, "%2hhx", to++);
}

/* RFC 5869, test case 1; RFC 7914's PBKDF2 vector for HMAC-SHA-256. */
static void key_derivation_gives_the_published_vectors(void **state)
{
    uint8_t secret[22], salt[13], info[10], got[64], expected[64];
    (void)state;
    memset(secret, 0x0b, sizeof secret);
    for (unsigned i = 0; i < sizeof salt; i++)
        salt[i] = (uint8_t)i;
    for (unsigned i = 0; i < sizeof info; i++)
        info[i] = (uint8_t)(0xf0 + i);
    hkdf_sha256(got, 42, bytes_of(secret, 22), bytes_of(salt, 13), bytes_of(info, 10));
    from_hex(expected, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    assert_memory_equal(got, expected, 42);
    pbkdf2_sha256(got, 64, bytes_of_text("passwd"), bytes_of_text("salt"), 1);
    from_hex(expected, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
                       "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783");
    assert_memory_equal(got, expected, 64);
}

/* IEEE 1619, vector 10 (XTS-AES-256, data unit 0xff). */
static void xts_gives_the_published_vector(void **state)
{
    uint8_t key[64], plain[512], sealed[512], start[32];
    struct xts x;
    (void)state;
    from_hex(key, "27182818284590452353602874713526624977572470936999595749669676273"
                  "141592653589793238462643383279502884197169399375105820974944592");
    for (unsigned i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)i;
    assert_true(xts_init(&x, key));
    xts_unit(&x, CIPHER_SEAL, 0xff, sealed, plain, sizeof plain);
    from_hex(start, "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b");
    assert_memory_equal(sealed, start, sizeof start);
    xts_unit(&x, CIPHER_OPEN, 0xff, sealed, sealed, sizeof sealed);
    assert_memory_equal(sealed, plain, sizeof plain);
    xts_deinit(&x);
    memset(key, 1, sizeof key);
    assert_false(xts_init(&x, key));
}

static void gcm_notices_every_change(void **state)
{
    uint8_t key[32] = {1}, iv[16] = {2}, tag[16], text[100] = {3}, sealed[100];
    struct gcm g;
    (void)state;
    gcm_init(&g, CIPHER_SEAL, key, iv);
    gcm_update(&g, sealed, bytes_of(text, 33));
    gcm_update(&g, sealed + 33, bytes_of(text + 33, 67));
    assert_true(gcm_finish(&g, tag));
    for (int flip = -1; flip < 3; flip++) {
        uint8_t back[100], changed[16];
        memcpy(changed, tag, 16);
        if (flip == 0)
            changed[15] ^= 1;
        if (flip == 1)
            sealed[99] ^= 1;
        gcm_init(&g, CIPHER_OPEN, key, iv);
        gcm_update(&g, back, bytes_of(sealed, 100));
        assert_int_equal(gcm_finish(&g, changed), flip == -1 || flip == 2);
        if (flip == 1)
            sealed[99] ^= 1;
    }
    gcm_deinit(&g);
}

static void peeking_does_not_end_a_digest(void **state)
{
    struct digest d;
    uint8_t part[SHA384_LEN], whole[SHA384_LEN], expected[SHA384_LEN];
    (void)state;
    digest_init(&d, DIGEST_SHA384);
    digest_update(&d, bytes_of_text("ab"));
    digest_peek(&d, part);
    sha384_of(expected, bytes_of_text("ab"));
    assert_memory_equal(part, expected, SHA384_LEN);
    digest_update(&d, bytes_of_text("c"));
    digest_final(&d, whole);
    sha384_of(expected, bytes_of_text("abc"));
    assert_memory_equal(whole, expected, SHA384_LEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_signs_and_verifies),
        cmocka_unit_test(public_keys_survive_pem),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(a_point_beside_its_curve_verifies_nothing),
        cmocka_unit_test(names_of_kinds_go_both_ways),
        cmocka_unit_test(both_sides_agree),
        cmocka_unit_test(a_wrapped_secret_opens_with_its_key_alone),
        cmocka_unit_test(key_derivation_gives_the_published_vectors),
        cmocka_unit_test(xts_gives_the_published_vector),
        cmocka_unit_test(gcm_notices_every_change),
        cmocka_unit_test(peeking_does_not_end_a_digest),
    };
    return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
