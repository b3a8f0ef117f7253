/*
 * digest.h - SHA-256, SHA-384 and MD5 over bytes as they come, and HMAC-SHA-256.
 *
 * OpenSSL on Linux; on a chip this header is served by mbedTLS.  A digest holds a library object between init and
 * final or deinit, one of which must be called.
 */
#ifndef PLUVIO_CRYPTO_DIGEST_H
#define PLUVIO_CRYPTO_DIGEST_H

#include "base/bytes.h"

#define SHA256_LEN 32
#define SHA384_LEN 48
#define MD5_LEN    16

enum digest_kind { DIGEST_SHA256, DIGEST_SHA384, DIGEST_MD5 };

struct digest {
    void *inner;
};

/* Aborts the process when the library has no memory: there is no sensible way on. */
void digest_init(struct digest *d, enum digest_kind kind);
void digest_update(struct digest *d, struct bytes data);

/* Writes 32, 48 or 16 bytes and lets go of the library object. */
void digest_final(struct digest *d, uint8_t *to);

/* The digest of what has come so far; more may follow. */
void digest_peek(const struct digest *d, uint8_t *to);

/* Lets go without a result; does nothing after final or on a zeroed struct. */
void digest_deinit(struct digest *d);

void sha256_of(uint8_t to[static SHA256_LEN], struct bytes data);
void sha384_of(uint8_t to[static SHA384_LEN], struct bytes data);
void md5_of(uint8_t to[static MD5_LEN], struct bytes data);
void hmac_sha256(uint8_t to[static SHA256_LEN], struct bytes key, struct bytes data);

/* Equal in a time that depends on `len` alone. */
bool secret_equal(const void *a, const void *b, size_t len);

#endif
