/* Digests of what is there at once, whoever computes them. */
#include "crypto/digest.h"

static void digest_of(uint8_t *to, enum digest_kind kind, struct bytes data)
{
    struct digest d;
    digest_init(&d, kind);
    digest_update(&d, data);
    digest_final(&d, to);
}

void sha256_of(uint8_t to[static SHA256_LEN], struct bytes data)
{
    digest_of(to, DIGEST_SHA256, data);
}

void sha384_of(uint8_t to[static SHA384_LEN], struct bytes data)
{
    digest_of(to, DIGEST_SHA384, data);
}

void md5_of(uint8_t to[static MD5_LEN], struct bytes data)
{
    digest_of(to, DIGEST_MD5, data);
}
