/*
 * encrypted.h - "pre-encrypted" images: AES-256-GCM behind a header of 512 bytes, as espressif's esp_encrypted_img.
 *
 * The image's key travels in the header: wrapped with the device's RSA-3072 key (PKCS #1 v1.5), or agreed with its
 * P-256 key (ECIES: ECDH, HKDF-SHA-256).  The device's P-256 key may be derived from an eFuse's HMAC key.
 *
 * Opening is a push reader: bytes go in as they come, plain bytes come out at once.  What came out is worth nothing
 * until encrypted_reader_finish() has compared the tag: only then may it be booted.
 */
#ifndef PLUVIO_IMAGE_ENCRYPTED_H
#define PLUVIO_IMAGE_ENCRYPTED_H

#include "crypto/cipher.h"
#include "crypto/key.h"

#define ENCRYPTED_HEADER_LEN 512
#define ENCRYPTED_MAGIC      0x0788b6cfu

/* Seals an image for a device's public key, RSA-3072 or P-256, and appends it to `to`. */
enum err encrypted_make(struct buf *to, struct bytes plain, const struct public_key *device, struct entropy *entropy,
                        struct why *why);

struct encrypted_reader {
    struct private_key *key; /* the device's, borrowed */
    struct gcm gcm;
    uint8_t header[ENCRYPTED_HEADER_LEN];
    uint32_t header_len, left; /* gathered of the header; still expected of the image */
    enum err verdict;
};

/* `key` must live as long as the reader; its kind tells which form is expected. */
void encrypted_reader_init(struct encrypted_reader *r, struct private_key *key);

/* Takes a chunk; writes `*len` plain bytes, at most in.len, to `to`.  ERR_IMAGE_MAGIC, ERR_KEY, ERR_TOO_BIG for bytes
 * after the end.  After an error nothing more is read. */
enum err encrypted_reader_push(struct encrypted_reader *r, struct bytes in, uint8_t *to, size_t *len, struct why *why);

/* Bytes of the image still expected; UINT32_MAX before the header is there. */
uint32_t encrypted_reader_left(const struct encrypted_reader *r);

/* Compares the tag and ends the reader: ERR_IMAGE_TRUNCATED, ERR_IMAGE_DIGEST.  Must be called once after init. */
enum err encrypted_reader_finish(struct encrypted_reader *r, struct why *why);

/* The device's P-256 scalar of an HMAC key of 32 bytes. */
void encrypted_device_scalar(uint8_t scalar[static 32], const uint8_t hmac_key[static 32]);

#endif
