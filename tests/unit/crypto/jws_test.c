/* Goal: signatures of identity tokens: right ones of the three kinds, and nothing else. */
#include "test.h"

#include "crypto/jws.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

static const char text[] = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ";

struct made {
    EVP_PKEY *key;
    uint8_t parts[4][1100];
    struct jwk jwk;
};

static struct bytes number(EVP_PKEY *key, const char *name, uint8_t *to, int len)
{
    BIGNUM *n = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(key, name, &n), 1);
    int size = len ? len : BN_num_bytes(n);
    assert_int_equal(BN_bn2binpad(n, to, size), size);
    BN_free(n);
    return bytes_of(to, (size_t)size);
}

static void make_rsa(struct made *m, unsigned bits)
{
    m->key = EVP_RSA_gen(bits);
    assert_non_null(m->key);
    m->jwk = (struct jwk){.n = number(m->key, OSSL_PKEY_PARAM_RSA_N, m->parts[0], 0),
                          .e = number(m->key, OSSL_PKEY_PARAM_RSA_E, m->parts[1], 0)};
}

static void make_point(struct made *m)
{
    m->key = EVP_EC_gen("P-256");
    assert_non_null(m->key);
    m->jwk = (struct jwk){.x = number(m->key, OSSL_PKEY_PARAM_EC_PUB_X, m->parts[2], 32),
                          .y = number(m->key, OSSL_PKEY_PARAM_EC_PUB_Y, m->parts[3], 32)};
}

static size_t sign(EVP_PKEY *key, bool is_pss, uint8_t *to, size_t size)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx;
    size_t len = size;
    assert_int_equal(EVP_DigestSignInit(md, &ctx, EVP_sha256(), NULL, key), 1);
    if (is_pss) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    assert_int_equal(EVP_DigestSign(md, to, &len, (const uint8_t *)text, strlen(text)), 1);
    EVP_MD_CTX_free(md);
    return len;
}

/* Every algorithm but the right one refuses, and so does every bit that is turned round here and there. */
static void check(const struct made *m, const char *algorithm, uint8_t *signature, size_t len)
{
    static const char *const algorithms[] = {"RS256", "PS256", "ES256", "HS256", "none", ""};
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
        assert_int_equal(jws_verify(algorithms[i], &m->jwk, bytes_of_text(text), bytes_of(signature, len), NULL),
                         strcmp(algorithms[i], algorithm) == 0 ? ERR_NONE : ERR_SIGNATURE);
    for (size_t at = 0; at < len; at += 7) {
        signature[at] ^= 1;
        assert_int_equal(jws_verify(algorithm, &m->jwk, bytes_of_text(text), bytes_of(signature, len), NULL),
                         ERR_SIGNATURE);
        signature[at] ^= 1;
    }
    for (size_t cut = 0; cut < len; cut += 13)
        assert_int_equal(jws_verify(algorithm, &m->jwk, bytes_of_text(text), bytes_of(signature, cut), NULL),
                         ERR_SIGNATURE);
    assert_int_equal(jws_verify(algorithm, &m->jwk, bytes_of_text("other"), bytes_of(signature, len), NULL),
                     ERR_SIGNATURE);
}

static void rsa_signatures(void **state)
{
    struct made m = {.key = NULL};
    uint8_t signature[512];
    (void)state;
    make_rsa(&m, 2048);
    check(&m, "RS256", signature, sign(m.key, false, signature, sizeof signature));
    check(&m, "PS256", signature, sign(m.key, true, signature, sizeof signature));
    EVP_PKEY_free(m.key);
}

static void short_rsa_keys_are_not_believed(void **state)
{
    struct made m = {.key = NULL};
    uint8_t signature[512];
    (void)state;
    make_rsa(&m, 1024);
    size_t len = sign(m.key, false, signature, sizeof signature);
    assert_int_equal(jws_verify("RS256", &m.jwk, bytes_of_text(text), bytes_of(signature, len), NULL), ERR_SIGNATURE);
    EVP_PKEY_free(m.key);
}

static void point_signatures(void **state)
{
    struct made m = {.key = NULL};
    uint8_t der[200], signature[64];
    (void)state;
    make_point(&m);
    size_t len = sign(m.key, false, der, sizeof der);
    const uint8_t *at = der;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)len);
    assert_non_null(pair);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, 32), 32);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + 32, 32), 32);
    ECDSA_SIG_free(pair);
    check(&m, "ES256", signature, sizeof signature);
    m.parts[2][0] ^= 1; /* no point of the curve */
    assert_int_equal(jws_verify("ES256", &m.jwk, bytes_of_text(text), bytes_of(signature, 64), NULL), ERR_SIGNATURE);
    EVP_PKEY_free(m.key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rsa_signatures),
        cmocka_unit_test(short_rsa_keys_are_not_believed),
        cmocka_unit_test(point_signatures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
