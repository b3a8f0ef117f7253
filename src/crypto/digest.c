#include "crypto/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

void digest_init(struct digest *d, enum digest_kind kind)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const EVP_MD *md = kind == DIGEST_SHA256 ? EVP_sha256() : kind == DIGEST_SHA384 ? EVP_sha384() : EVP_md5();
    if (ctx == NULL || EVP_DigestInit_ex(ctx, md, NULL) != 1)
        abort();
    d->inner = ctx;
}

void digest_update(struct digest *d, struct bytes data)
{
    if (data.len > 0 && EVP_DigestUpdate(d->inner, data.at, data.len) != 1)
        abort();
}

void digest_final(struct digest *d, uint8_t *to)
{
    if (EVP_DigestFinal_ex(d->inner, to, NULL) != 1)
        abort();
    digest_deinit(d);
}

void digest_peek(const struct digest *d, uint8_t *to)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_MD_CTX_copy_ex(ctx, d->inner) != 1 || EVP_DigestFinal_ex(ctx, to, NULL) != 1)
        abort();
    EVP_MD_CTX_free(ctx);
}

void digest_deinit(struct digest *d)
{
    EVP_MD_CTX_free(d->inner);
    d->inner = NULL;
}

void hmac_sha256(uint8_t to[static SHA256_LEN], struct bytes key, struct bytes data)
{
    if (HMAC(EVP_sha256(), key.at, (int)key.len, data.at, data.len, to, NULL) == NULL)
        abort();
}

bool secret_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
