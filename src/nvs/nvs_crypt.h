/*
 * nvs_crypt.h - encrypted NVS partitions: XTS-AES-256 over entries of 32 bytes.
 *
 * Each written entry is one unit, its tweak the byte offset in the partition; headers and bitmaps stay plain.  The keys
 * lie in a partition of type nvs_keys, or are derived from an HMAC key in eFuse.
 */
#ifndef PLUVIO_NVS_NVS_CRYPT_H
#define PLUVIO_NVS_NVS_CRYPT_H

#include "crypto/cipher.h"
#include "nvs/nvs_format.h"

#define NVS_KEYS_LEN XTS_KEY_LEN /* data key, then tweak key */

/* Reads a key partition.  ERR_NOT_FOUND when it is blank, ERR_DIGEST when its CRC is wrong, ERR_FORMAT when too short.
 */
enum err nvs_keys_read(uint8_t keys[static NVS_KEYS_LEN], struct bytes partition, struct why *why);

/* Writes a key partition of 4096 bytes. */
void nvs_keys_write(const uint8_t keys[static NVS_KEYS_LEN], uint8_t partition[static NVS_PAGE_BYTES]);

/* The HMAC scheme of newer chips: `hmac_key` is what eFuse holds. */
void nvs_keys_from_hmac(uint8_t keys[static NVS_KEYS_LEN], const uint8_t hmac_key[static 32]);

/* Encrypts or decrypts the written entries of a whole partition in place.  ERR_KEY when both keys are equal, ERR_FORMAT
 * for a size that is no multiple of a page. */
enum err nvs_crypt(uint8_t *bytes, size_t size, const uint8_t keys[static NVS_KEYS_LEN], enum cipher_way way,
                   struct why *why);

/* A flash that encrypts an NVS partition's entries on their way in and decrypts them on their way out: mounted on its
 * stretch, nvs_part reads and writes an encrypted partition.  Blank entries stay blank. */
struct nvs_cipher {
    struct flash flash;
    struct stretch under;
    struct xts xts;
};

/* ERR_KEY when both keys are equal. */
enum err nvs_cipher_init(struct nvs_cipher *c, struct stretch partition, const uint8_t keys[static NVS_KEYS_LEN],
                         struct why *why);
struct stretch nvs_cipher_stretch(struct nvs_cipher *c);
void nvs_cipher_deinit(struct nvs_cipher *c);

#endif
