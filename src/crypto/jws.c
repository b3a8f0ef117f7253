#include "crypto/jws.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <string.h>

#define RSA_BYTES_MIN 256
#define RSA_BYTES_MAX 1024
#define POINT_LEN     32

static EVP_PKEY *make_key(const char *type, OSSL_PARAM_BLD *parts)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    OSSL_PARAM *parameters = parts ? OSSL_PARAM_BLD_to_param(parts) : NULL;
    if (ctx == NULL || parameters == NULL || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, parameters) <= 0)
        key = NULL;
    OSSL_PARAM_free(parameters);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static EVP_PKEY *rsa_key(const struct jwk *jwk)
{
    OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
    BIGNUM *n = BN_bin2bn(jwk->n.at, (int)jwk->n.len, NULL), *e = BN_bin2bn(jwk->e.at, (int)jwk->e.len, NULL);
    EVP_PKEY *key = NULL;
    if (parts != NULL && n != NULL && e != NULL && OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_N, n) &&
        OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_E, e))
        key = make_key("RSA", parts);
    BN_free(n);
    BN_free(e);
    OSSL_PARAM_BLD_free(parts);
    return key;
}

static EVP_PKEY *point_key(const struct jwk *jwk)
{
    unsigned char point[1 + 2 * POINT_LEN] = {POINT_CONVERSION_UNCOMPRESSED};
    OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    memcpy(point + 1, jwk->x.at, POINT_LEN);
    memcpy(point + 1 + POINT_LEN, jwk->y.at, POINT_LEN);
    if (parts != NULL && OSSL_PARAM_BLD_push_utf8_string(parts, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) &&
        OSSL_PARAM_BLD_push_octet_string(parts, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point))
        key = make_key("EC", parts);
    OSSL_PARAM_BLD_free(parts);
    return key;
}

static bool check(EVP_PKEY *key, bool is_pss, struct bytes text, const unsigned char *signature, size_t len)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx = NULL;
    bool is_right = md != NULL && EVP_DigestVerifyInit(md, &ctx, EVP_sha256(), NULL, key) == 1;
    if (is_right && is_pss)
        is_right = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
                   EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
    is_right = is_right && EVP_DigestVerify(md, signature, len, text.at, text.len) == 1;
    EVP_MD_CTX_free(md);
    return is_right;
}

static bool check_rsa(const struct jwk *jwk, bool is_pss, struct bytes text, struct bytes signature)
{
    if (jwk->n.len < RSA_BYTES_MIN || jwk->n.len > RSA_BYTES_MAX || jwk->e.len == 0 || jwk->e.len > 8)
        return false;
    EVP_PKEY *key = rsa_key(jwk);
    bool is_right = key != NULL && check(key, is_pss, text, signature.at, signature.len);
    EVP_PKEY_free(key);
    return is_right;
}

/* Here a signature is r and s, one after the other; OpenSSL wants them in DER. */
static bool check_point(const struct jwk *jwk, struct bytes text, struct bytes signature)
{
    unsigned char *der = NULL;
    int len = -1;
    if (jwk->x.len != POINT_LEN || jwk->y.len != POINT_LEN || signature.len != 2 * POINT_LEN)
        return false;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature.at, POINT_LEN, NULL), *s = BN_bin2bn(signature.at + POINT_LEN, POINT_LEN, NULL);
    if (pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1)
        len = i2d_ECDSA_SIG(pair, &der);
    else {
        BN_free(r);
        BN_free(s);
    }
    EVP_PKEY *key = len > 0 ? point_key(jwk) : NULL;
    bool is_right = key != NULL && check(key, false, text, der, (size_t)len);
    EVP_PKEY_free(key);
    ECDSA_SIG_free(pair);
    OPENSSL_free(der);
    return is_right;
}

enum err jws_verify(const char *algorithm, const struct jwk *key, struct bytes signed_text, struct bytes signature,
                    struct why *why)
{
    bool is_right = strcmp(algorithm, "ES256") == 0   ? check_point(key, signed_text, signature)
                    : strcmp(algorithm, "RS256") == 0 ? check_rsa(key, false, signed_text, signature)
                    : strcmp(algorithm, "PS256") == 0 ? check_rsa(key, true, signed_text, signature)
                                                      : false;
    return is_right ? ERR_NONE : why_set(why, ERR_SIGNATURE, "the token's signature (%.10s) is not right", algorithm);
}
