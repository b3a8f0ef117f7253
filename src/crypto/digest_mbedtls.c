/* digest.h on a chip, over mbedTLS's generic digests; on Linux it is digest.c, over OpenSSL. */
#include "crypto/digest.h"

#include <mbedtls/md.h>
#include <stdlib.h>
#include <string.h>

static const mbedtls_md_info_t *info_of(enum digest_kind kind)
{
    return mbedtls_md_info_from_type(kind == DIGEST_SHA256   ? MBEDTLS_MD_SHA256
                                     : kind == DIGEST_SHA384 ? MBEDTLS_MD_SHA384
                                                             : MBEDTLS_MD_MD5);
}

static void must(bool holds)
{
    if (!holds)
        abort();
}

static mbedtls_md_context_t *new_context(const mbedtls_md_info_t *info)
{
    mbedtls_md_context_t *ctx = calloc(1, sizeof *ctx);
    must(ctx != NULL && info != NULL);
    mbedtls_md_init(ctx);
    must(mbedtls_md_setup(ctx, info, 0) == 0);
    return ctx;
}

static void free_context(mbedtls_md_context_t *ctx)
{
    if (ctx != NULL)
        mbedtls_md_free(ctx);
    free(ctx);
}

void digest_init(struct digest *d, enum digest_kind kind)
{
    mbedtls_md_context_t *ctx = new_context(info_of(kind));
    must(mbedtls_md_starts(ctx) == 0);
    d->inner = ctx;
}

void digest_update(struct digest *d, struct bytes data)
{
    must(data.len == 0 || mbedtls_md_update(d->inner, data.at, data.len) == 0);
}

void digest_final(struct digest *d, uint8_t *to)
{
    must(mbedtls_md_finish(d->inner, to) == 0);
    digest_deinit(d);
}

/* Only SHA-256 is looked at before its end: the library does not say of which kind a context is. */
void digest_peek(const struct digest *d, uint8_t *to)
{
    mbedtls_md_context_t *ctx = new_context(info_of(DIGEST_SHA256));
    must(mbedtls_md_clone(ctx, d->inner) == 0 && mbedtls_md_finish(ctx, to) == 0);
    free_context(ctx);
}

void digest_deinit(struct digest *d)
{
    free_context(d->inner);
    d->inner = NULL;
}

void hmac_sha256(uint8_t to[static SHA256_LEN], struct bytes key, struct bytes data)
{
    must(mbedtls_md_hmac(info_of(DIGEST_SHA256), key.at, key.len, data.at, data.len, to) == 0);
}

bool secret_equal(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *x = a, *y = b;
    uint8_t difference = 0;
    for (size_t i = 0; i < len; i++)
        difference |= (uint8_t)(x[i] ^ y[i]);
    return difference == 0;
}
