#include "crypto/key.h"

#include "crypto/digest.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#define PSS_SALT_LEN  32
#define CURVE_LEN_MAX 48

static const struct kind_row {
    const char *text, *short_name, *group;
    size_t curve_len;
} kinds[] = {
    [KEY_NONE] = {"no key", "", NULL, 0},
    [KEY_RSA_3072] = {"RSA-3072", "rsa3072", NULL, 0},
    [KEY_P192] = {"ECDSA P-192", "p192", "prime192v1", 24},
    [KEY_P256] = {"ECDSA P-256", "p256", "prime256v1", 32},
    [KEY_P384] = {"ECDSA P-384", "p384", "secp384r1", 48},
};

#define KINDS (sizeof kinds / sizeof kinds[0])

const char *key_kind_text(enum key_kind kind)
{
    return kinds[kind].text;
}

enum key_kind key_kind_find(const char *short_name)
{
    for (unsigned i = KEY_RSA_3072; i < KINDS; i++)
        if (strcmp(kinds[i].short_name, short_name) == 0)
            return (enum key_kind)i;
    return KEY_NONE;
}

size_t key_curve_len(enum key_kind kind)
{
    return kinds[kind].curve_len;
}

size_t key_signature_len(enum key_kind kind)
{
    return kind == KEY_RSA_3072 ? RSA_3072_LEN : 2 * kinds[kind].curve_len;
}

size_t key_digest_len(enum key_kind kind)
{
    return kind == KEY_P384 ? SHA384_LEN : SHA256_LEN;
}

bool public_key_equal(const struct public_key *a, const struct public_key *b)
{
    return a->kind == b->kind && a->exponent == b->exponent && memcmp(a->number, b->number, sizeof a->number) == 0;
}

/* OpenSSL's own words for what failed. */
static enum err failed(struct why *why, enum err code, const char *doing)
{
    char text[160] = "the library gives no reason";
    unsigned long first = ERR_get_error();
    if (first != 0)
        ERR_error_string_n(first, text, sizeof text);
    ERR_clear_error();
    return why_set(why, code, "%s: %s", doing, text);
}

/* --- between struct public_key and OpenSSL's -------------------------------------------------- */

static bool add_numbers(OSSL_PARAM_BLD *b, const struct public_key *key, const uint8_t *point, BIGNUM **n, BIGNUM **e)
{
    if (key->kind != KEY_RSA_3072)
        return OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, kinds[key->kind].group, 0) &&
               OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * kinds[key->kind].curve_len);
    *n = BN_bin2bn(key->number, RSA_3072_LEN, NULL);
    *e = BN_new();
    return *n != NULL && *e != NULL && BN_set_word(*e, key->exponent) &&
           OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, *n) && OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, *e);
}

/* NULL for a key that OpenSSL does not take, such as a point beside its curve. */
static EVP_PKEY *to_openssl(const struct public_key *key)
{
    EVP_PKEY *pkey = NULL;
    BIGNUM *n = NULL, *e = NULL;
    uint8_t point[1 + 2 * CURVE_LEN_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
    memcpy(point + 1, key->number, 2 * kinds[key->kind].curve_len);
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = b && add_numbers(b, key, point, &n, &e) ? OSSL_PARAM_BLD_to_param(b) : NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, key->kind == KEY_RSA_3072 ? "RSA" : "EC", NULL);
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) <= 0)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(b);
    BN_free(n);
    BN_free(e);
    ERR_clear_error();
    return pkey;
}

static bool take_modulus(struct public_key *key, const EVP_PKEY *pkey)
{
    BIGNUM *n = NULL, *e = NULL;
    bool is_good = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) &&
                   EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) && BN_num_bits(n) == RSA_3072_LEN * 8 &&
                   BN_num_bits(e) <= 32 && BN_bn2binpad(n, key->number, RSA_3072_LEN) == RSA_3072_LEN;
    if (is_good) {
        key->kind = KEY_RSA_3072;
        key->exponent = (uint32_t)BN_get_word(e);
    }
    BN_free(n);
    BN_free(e);
    return is_good;
}

static bool take_point(struct public_key *key, const EVP_PKEY *pkey)
{
    char group[32] = "";
    BIGNUM *x = NULL, *y = NULL;
    bool is_good = EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) &&
                   EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) &&
                   EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y);
    for (unsigned i = KEY_P192; is_good && i < KINDS; i++)
        if (strcmp(group, kinds[i].group) == 0) {
            int len = (int)kinds[i].curve_len;
            key->kind = (enum key_kind)i;
            is_good = BN_bn2binpad(x, key->number, len) == len && BN_bn2binpad(y, key->number + len, len) == len;
        }
    BN_free(x);
    BN_free(y);
    return is_good && key->kind != KEY_NONE;
}

static enum err from_openssl(struct public_key *key, const EVP_PKEY *pkey, struct why *why)
{
    memset(key, 0, sizeof *key);
    int kind = EVP_PKEY_get_base_id(pkey);
    if (kind == EVP_PKEY_RSA ? take_modulus(key, pkey) : kind == EVP_PKEY_EC && take_point(key, pkey))
        return ERR_NONE;
    ERR_clear_error();
    return why_set(why, ERR_KEY,
                   "this is a key of %d bits that ESP chips do not use: they take RSA-3072 and ECDSA P-192, "
                   "P-256 and P-384",
                   EVP_PKEY_get_bits(pkey));
}

/* --- PEM -------------------------------------------------------------------------------------- */

/* Without it OpenSSL would ask on the terminal. */
static int no_password(char *to, int size, int rwflag, void *user)
{
    (void)to, (void)size, (void)rwflag, (void)user;
    return -1;
}

static EVP_PKEY *read_private(struct bytes pem)
{
    BIO *in = BIO_new_mem_buf(pem.at, (int)pem.len);
    EVP_PKEY *pkey = in ? PEM_read_bio_PrivateKey(in, NULL, no_password, NULL) : NULL;
    BIO_free(in);
    return pkey;
}

static EVP_PKEY *read_public(struct bytes pem)
{
    BIO *in = BIO_new_mem_buf(pem.at, (int)pem.len);
    EVP_PKEY *pkey = in ? PEM_read_bio_PUBKEY(in, NULL, no_password, NULL) : NULL;
    BIO_free(in);
    return pkey;
}

#define PEM_MAX 65536 /* a larger file is not a key */

enum err public_key_read_pem(struct public_key *key, struct bytes pem, struct why *why)
{
    EVP_PKEY *pkey = pem.len > 0 && pem.len <= PEM_MAX ? read_public(pem) : NULL;
    if (pkey == NULL && pem.len > 0 && pem.len <= PEM_MAX)
        pkey = read_private(pem);
    if (pkey == NULL)
        return failed(why, ERR_KEY, "read a key from PEM (keys with a password are not taken)");
    ERR_clear_error();
    enum err err = from_openssl(key, pkey, why);
    EVP_PKEY_free(pkey);
    return err;
}

static enum err take_bio(BIO *out, bool is_good, struct buf *to, struct why *why)
{
    char *text;
    long len = is_good ? BIO_get_mem_data(out, &text) : 0;
    if (len > 0)
        buf_add(to, text, (size_t)len);
    BIO_free(out);
    return len > 0 && !to->is_failed ? ERR_NONE : failed(why, ERR_CRYPTO, "write a key as PEM");
}

enum err public_key_write_pem(const struct public_key *key, struct buf *to, struct why *why)
{
    EVP_PKEY *pkey = to_openssl(key);
    BIO *out = BIO_new(BIO_s_mem());
    enum err err = take_bio(out, pkey && out && PEM_write_bio_PUBKEY(out, pkey), to, why);
    EVP_PKEY_free(pkey);
    return err;
}

static enum err write_private(EVP_PKEY *pkey, struct buf *to, struct why *why)
{
    BIO *out = BIO_new(BIO_s_mem());
    return take_bio(out, pkey && out && PEM_write_bio_PKCS8PrivateKey(out, pkey, NULL, NULL, 0, NULL, NULL), to, why);
}

enum err private_key_generate(enum key_kind kind, struct buf *pem, struct why *why)
{
    EVP_PKEY *pkey = kind == KEY_RSA_3072 ? EVP_RSA_gen(RSA_3072_LEN * 8) : EVP_EC_gen(kinds[kind].group);
    if (pkey == NULL)
        return failed(why, ERR_CRYPTO, "generate a key");
    enum err err = write_private(pkey, pem, why);
    EVP_PKEY_free(pkey);
    return err;
}

/* --- verify ----------------------------------------------------------------------------------- */

static bool use_pss(EVP_PKEY_CTX *ctx)
{
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, PSS_SALT_LEN) > 0 &&
           EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) > 0 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) > 0;
}

/* r and s as DER; the caller frees `*der` with OPENSSL_free.  0 when memory is out. */
static int to_der(const uint8_t *signature, size_t curve_len, uint8_t **der)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, (int)curve_len, NULL), *s = BN_bin2bn(signature + curve_len, (int)curve_len, NULL);
    int len = 0;
    *der = NULL;
    if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s)) {
        r = s = NULL; /* owned by sig now */
        len = i2d_ECDSA_SIG(sig, der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return len > 0 ? len : 0;
}

bool public_key_verify(const struct public_key *key, struct bytes digest, const uint8_t *signature)
{
    EVP_PKEY *pkey = key->kind == KEY_NONE ? NULL : to_openssl(key);
    EVP_PKEY_CTX *ctx = pkey ? EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL) : NULL;
    bool is_good = false;
    if (ctx != NULL && EVP_PKEY_verify_init(ctx) > 0) {
        if (key->kind == KEY_RSA_3072)
            is_good = use_pss(ctx) && EVP_PKEY_verify(ctx, signature, RSA_3072_LEN, digest.at, digest.len) == 1;
        else {
            uint8_t *der;
            int len = to_der(signature, kinds[key->kind].curve_len, &der);
            is_good = len > 0 && EVP_PKEY_verify(ctx, der, (size_t)len, digest.at, digest.len) == 1;
            OPENSSL_free(der);
        }
    }
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return is_good;
}

bool public_key_rinv(const struct public_key *key, uint8_t rinv[static RSA_3072_LEN])
{
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *n = BN_bin2bn(key->number, RSA_3072_LEN, NULL), *r = BN_new();
    bool is_good = ctx && n && r && BN_is_odd(n) && BN_set_bit(r, RSA_3072_LEN * 8 * 2) && BN_mod(r, r, n, ctx) &&
                   BN_bn2binpad(r, rinv, RSA_3072_LEN) == RSA_3072_LEN;
    BN_free(n);
    BN_free(r);
    BN_CTX_free(ctx);
    return is_good;
}

enum err public_key_wrap(const struct public_key *key, struct bytes secret, uint8_t *sealed, struct why *why)
{
    EVP_PKEY *pkey = to_openssl(key);
    EVP_PKEY_CTX *ctx = pkey ? EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL) : NULL;
    size_t len = RSA_3072_LEN;
    bool is_good = ctx && EVP_PKEY_encrypt_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0 &&
                   EVP_PKEY_encrypt(ctx, sealed, &len, secret.at, secret.len) > 0 && len == RSA_3072_LEN;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return is_good ? ERR_NONE : failed(why, ERR_CRYPTO, "wrap a key with RSA");
}

/* --- the PEM adapter -------------------------------------------------------------------------- */

struct pem_key {
    struct private_key key;
    EVP_PKEY *pkey;
};

static bool sign_ecdsa(EVP_PKEY_CTX *ctx, struct bytes digest, uint8_t *signature, size_t curve_len)
{
    uint8_t der[2 * CURVE_LEN_MAX + 16];
    const uint8_t *at = der;
    size_t len = sizeof der;
    if (EVP_PKEY_sign(ctx, der, &len, digest.at, digest.len) <= 0)
        return false;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
    bool is_good = sig != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, (int)curve_len) > 0 &&
                   BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + curve_len, (int)curve_len) > 0;
    ECDSA_SIG_free(sig);
    return is_good;
}

static enum err pem_sign(struct private_key *key, struct bytes digest, uint8_t *signature, struct why *why)
{
    enum key_kind kind = key->public_key.kind;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, ((struct pem_key *)key)->pkey, NULL);
    size_t len = RSA_3072_LEN;
    bool is_good = ctx && EVP_PKEY_sign_init(ctx) > 0;
    if (is_good && kind == KEY_RSA_3072)
        is_good = use_pss(ctx) && EVP_PKEY_sign(ctx, signature, &len, digest.at, digest.len) > 0;
    else if (is_good)
        is_good = sign_ecdsa(ctx, digest, signature, kinds[kind].curve_len);
    EVP_PKEY_CTX_free(ctx);
    return is_good ? ERR_NONE : failed(why, ERR_CRYPTO, "sign");
}

static enum err pem_unwrap(struct private_key *key, const uint8_t *sealed, uint8_t *to, size_t *len, struct why *why)
{
    uint8_t plain[RSA_3072_LEN];
    size_t got = sizeof plain;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, ((struct pem_key *)key)->pkey, NULL);
    bool is_good = ctx && EVP_PKEY_decrypt_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0 &&
                   EVP_PKEY_decrypt(ctx, plain, &got, sealed, RSA_3072_LEN) > 0 && got <= *len;
    if (is_good) {
        memcpy(to, plain, got);
        *len = got;
    }
    OPENSSL_cleanse(plain, sizeof plain);
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return is_good ? ERR_NONE : why_set(why, ERR_KEY, "this private key does not open what was sealed: it is another");
}

static enum err pem_agree(struct private_key *key, const struct public_key *other, uint8_t *secret, struct why *why)
{
    EVP_PKEY *peer = to_openssl(other);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, ((struct pem_key *)key)->pkey, NULL);
    size_t len = kinds[key->public_key.kind].curve_len;
    bool is_good = peer && ctx && EVP_PKEY_derive_init(ctx) > 0 && EVP_PKEY_derive_set_peer(ctx, peer) > 0 &&
                   EVP_PKEY_derive(ctx, secret, &len) > 0;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(peer);
    return is_good ? ERR_NONE : failed(why, ERR_KEY, "agree on a key: the other's public key is not on the curve");
}

static void pem_close(struct private_key *key)
{
    EVP_PKEY_free(((struct pem_key *)key)->pkey);
    free(key);
}

static const struct private_key_ops pem_ops = {pem_sign, pem_unwrap, pem_agree, pem_close};

/* Keeps `pkey`. */
static enum err open_pkey(struct private_key **to, EVP_PKEY *pkey, struct why *why)
{
    struct pem_key *k = calloc(1, sizeof *k);
    enum err err = k ? from_openssl(&k->key.public_key, pkey, why) : why_set(why, ERR_NO_MEMORY, "no memory for a key");
    if (err != ERR_NONE) {
        EVP_PKEY_free(pkey);
        free(k);
        return err;
    }
    k->key.ops = &pem_ops;
    k->pkey = pkey;
    *to = &k->key;
    return ERR_NONE;
}

enum err private_key_open_pem(struct private_key **key, struct bytes pem, struct why *why)
{
    EVP_PKEY *pkey = pem.len > 0 && pem.len <= PEM_MAX ? read_private(pem) : NULL;
    *key = NULL;
    if (pkey == NULL)
        return failed(why, ERR_KEY, "read a private key from PEM (keys with a password are not taken)");
    return open_pkey(key, pkey, why);
}

/* The public point is the scalar times the curve's generator. */
static EVP_PKEY *scalar_to_openssl(const uint8_t scalar[static 32])
{
    uint8_t point[65];
    EVP_PKEY *pkey = NULL;
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    BIGNUM *d = BN_bin2bn(scalar, 32, NULL);
    EC_POINT *q = group ? EC_POINT_new(group) : NULL;
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM *params = NULL;
    if (d && q && b && ctx && !BN_is_zero(d) && BN_cmp(d, EC_GROUP_get0_order(group)) < 0 &&
        EC_POINT_mul(group, q, d, NULL, NULL, NULL) &&
        EC_POINT_point2oct(group, q, POINT_CONVERSION_UNCOMPRESSED, point, sizeof point, NULL) == sizeof point &&
        OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
        OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) &&
        OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_PRIV_KEY, d) && (params = OSSL_PARAM_BLD_to_param(b)) != NULL &&
        EVP_PKEY_fromdata_init(ctx) > 0 && EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params) <= 0)
        pkey = NULL;
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(b);
    EVP_PKEY_CTX_free(ctx);
    EC_POINT_free(q);
    BN_clear_free(d);
    EC_GROUP_free(group);
    return pkey;
}

enum err private_key_open_scalar(struct private_key **key, const uint8_t scalar[static 32], struct why *why)
{
    EVP_PKEY *pkey = scalar_to_openssl(scalar);
    *key = NULL;
    if (pkey == NULL)
        return why_set(why, ERR_KEY, "the number is no private key of P-256");
    return open_pkey(key, pkey, why);
}

enum err private_key_write_scalar_pem(const uint8_t scalar[static 32], struct buf *pem, struct why *why)
{
    EVP_PKEY *pkey = scalar_to_openssl(scalar);
    enum err err =
        pkey ? write_private(pkey, pem, why) : why_set(why, ERR_KEY, "the number is no private key of P-256");
    EVP_PKEY_free(pkey);
    return err;
}

enum err private_key_sign(struct private_key *key, struct bytes digest, uint8_t *signature, struct why *why)
{
    if (digest.len != key_digest_len(key->public_key.kind))
        return why_set(why, ERR_USAGE, "%s signs digests of %zu bytes, not %zu", key_kind_text(key->public_key.kind),
                       key_digest_len(key->public_key.kind), digest.len);
    return key->ops->sign(key, digest, signature, why);
}

void private_key_close(struct private_key *key)
{
    if (key != NULL)
        key->ops->close(key);
}
