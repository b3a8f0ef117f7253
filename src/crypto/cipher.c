#include "crypto/cipher.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

/* The library fails here for want of memory only: there is no sensible way on. */
static void must(bool is_good)
{
    if (!is_good)
        abort();
}

void gcm_init(struct gcm *g, enum cipher_way way, const uint8_t key[static AES_256_LEN],
              const uint8_t iv[static GCM_IV_LEN])
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    *g = (struct gcm){ctx, way};
    must(ctx != NULL && EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, NULL, NULL, way == CIPHER_SEAL) &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_IVLEN, GCM_IV_LEN, NULL) &&
         EVP_CipherInit_ex(ctx, NULL, NULL, key, iv, way == CIPHER_SEAL));
}

void gcm_update(struct gcm *g, uint8_t *to, struct bytes from)
{
    int len = 0;
    must(from.len == 0 || EVP_CipherUpdate(g->inner, to, &len, from.at, (int)from.len));
}

bool gcm_finish(struct gcm *g, uint8_t tag[static GCM_TAG_LEN])
{
    uint8_t none[16];
    int len = 0;
    bool is_good = true;
    if (g->way == CIPHER_OPEN)
        is_good = EVP_CIPHER_CTX_ctrl(g->inner, EVP_CTRL_GCM_SET_TAG, GCM_TAG_LEN, tag) &&
                  EVP_CipherFinal_ex(g->inner, none, &len) > 0;
    else
        must(EVP_CipherFinal_ex(g->inner, none, &len) &&
             EVP_CIPHER_CTX_ctrl(g->inner, EVP_CTRL_GCM_GET_TAG, GCM_TAG_LEN, tag));
    gcm_deinit(g);
    return is_good;
}

void gcm_deinit(struct gcm *g)
{
    EVP_CIPHER_CTX_free(g->inner);
    g->inner = NULL;
}

static EVP_CIPHER_CTX *xts_context(const uint8_t *key, int is_seal)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    must(ctx != NULL && EVP_CipherInit_ex(ctx, EVP_aes_256_xts(), NULL, key, NULL, is_seal));
    return ctx;
}

bool xts_init(struct xts *x, const uint8_t key[static XTS_KEY_LEN])
{
    *x = (struct xts){NULL, NULL};
    if (CRYPTO_memcmp(key, key + XTS_KEY_LEN / 2, XTS_KEY_LEN / 2) == 0)
        return false;
    *x = (struct xts){xts_context(key, 1), xts_context(key, 0)};
    return true;
}

void xts_unit(struct xts *x, enum cipher_way way, uint64_t tweak, uint8_t *to, const uint8_t *from, size_t len)
{
    EVP_CIPHER_CTX *ctx = way == CIPHER_SEAL ? x->seal : x->open;
    uint8_t iv[16] = {0};
    int done = 0;
    for (int i = 0; i < 8; i++)
        iv[i] = (uint8_t)(tweak >> 8 * i);
    must(EVP_CipherInit_ex(ctx, NULL, NULL, NULL, iv, -1) && EVP_CipherUpdate(ctx, to, &done, from, (int)len));
}

void xts_deinit(struct xts *x)
{
    EVP_CIPHER_CTX_free(x->seal);
    EVP_CIPHER_CTX_free(x->open);
    *x = (struct xts){NULL, NULL};
}

void hkdf_sha256(uint8_t *to, size_t len, struct bytes secret, struct bytes salt, struct bytes info)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret.at, secret.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt.at, salt.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info.at, info.len),
        OSSL_PARAM_construct_end(),
    };
    must(ctx != NULL && EVP_KDF_derive(ctx, to, len, params) > 0);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

void pbkdf2_sha256(uint8_t *to, size_t len, struct bytes password, struct bytes salt, unsigned rounds)
{
    must(PKCS5_PBKDF2_HMAC((const char *)password.at, (int)password.len, salt.at, (int)salt.len, (int)rounds,
                           EVP_sha256(), (int)len, to));
}

void secret_wipe(void *at, size_t len)
{
    OPENSSL_cleanse(at, len);
}

static void fill_random(struct entropy *e, void *to, unsigned len)
{
    (void)e;
    must(RAND_bytes(to, (int)len) == 1);
}

void entropy_system_init(struct entropy *e)
{
    e->fill = fill_random;
}
