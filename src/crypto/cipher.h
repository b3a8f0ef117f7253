/*
 * cipher.h - AES-256-GCM over bytes as they come, AES-256-XTS over small units, and key derivation.
 *
 * OpenSSL on Linux; on a chip this header is served by mbedTLS.  Contexts hold a library object between init and
 * finish or deinit.
 */
#ifndef PLUVIO_CRYPTO_CIPHER_H
#define PLUVIO_CRYPTO_CIPHER_H

#include "base/bytes.h"
#include "base/id.h"

#define AES_256_LEN 32
#define GCM_IV_LEN  16 /* J0 is derived by GHASH, as for every IV that is not 12 bytes long */
#define GCM_TAG_LEN 16
#define XTS_KEY_LEN 64 /* data key, then tweak key */

enum cipher_way { CIPHER_OPEN, CIPHER_SEAL };

struct gcm {
    void *inner;
    enum cipher_way way;
};

void gcm_init(struct gcm *g, enum cipher_way way, const uint8_t key[static AES_256_LEN],
              const uint8_t iv[static GCM_IV_LEN]);

/* `to` holds from.len bytes and may be `from`. */
void gcm_update(struct gcm *g, uint8_t *to, struct bytes from);

/* Sealing writes the tag and returns true; opening compares it.  Lets go of the library object. */
bool gcm_finish(struct gcm *g, uint8_t tag[static GCM_TAG_LEN]);
void gcm_deinit(struct gcm *g); /* does nothing after finish or on a zeroed struct */

struct xts {
    void *seal, *open;
};

/* False when both halves of the key are equal, which the library refuses. */
bool xts_init(struct xts *x, const uint8_t key[static XTS_KEY_LEN]);

/* One unit of `len` bytes, 16 or more, with its number as a little-endian tweak.  `to` may be `from`. */
void xts_unit(struct xts *x, enum cipher_way way, uint64_t tweak, uint8_t *to, const uint8_t *from, size_t len);
void xts_deinit(struct xts *x);

/* RFC 5869 with SHA-256, extract and expand; at most 255 * 32 bytes. */
void hkdf_sha256(uint8_t *to, size_t len, struct bytes secret, struct bytes salt, struct bytes info);

/* RFC 8018 with HMAC-SHA-256. */
void pbkdf2_sha256(uint8_t *to, size_t len, struct bytes password, struct bytes salt, unsigned rounds);

/* Overwrites memory that held a secret. */
void secret_wipe(void *at, size_t len);

/* The system's randomness, from the library's generator. */
void entropy_system_init(struct entropy *e);

#endif
