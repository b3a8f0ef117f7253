/*
 * signature.h - the signatures of ESP images: Secure Boot v2's sector of up to three blocks, and version 1's 68 bytes.
 *
 * Version 2: the content is padded with 0xff to a multiple of 4096; one sector follows with up to three blocks of 1216
 * bytes, each with its own key: RSA-3072-PSS, or ECDSA on P-192, P-256 or P-384.  A block's numbers are little-endian.
 * Version 1 (also "signed apps without hardware secure boot"): ECDSA P-256, big-endian, right behind the content.
 *
 *     struct signature_report report;
 *     signature_read(&report, file, why);                         what is there, each block with its verdict
 *     signature_verify(&report, &key, why);                       whether one block is by that key
 *     signature_append(&file, key, SIGNATURE_KEEP, why);          signs; with others beside it
 *
 * Layouts and rules: ESP-IDF's secure_boot_v2, espsecure's sign_data and verify_signature.
 */
#ifndef PLUVIO_IMAGE_SIGNATURE_H
#define PLUVIO_IMAGE_SIGNATURE_H

#include "crypto/digest.h"
#include "crypto/key.h"

#define SIGNATURE_SECTOR_LEN 4096
#define SIGNATURE_BLOCK_LEN  1216
#define SIGNATURE_BLOCKS_MAX 3
#define SIGNATURE_V1_LEN     68

/* What eFuses hold of a key that a node trusts. */
struct key_digest {
    uint8_t bytes[SHA256_LEN];
};

/* Both digests of what is signed: which one counts depends on the key's kind. */
struct content_digest {
    uint8_t sha256[SHA256_LEN], sha384[SHA384_LEN];
};

struct signature_block {
    struct public_key key;
    uint8_t key_digest[SHA256_LEN];  /* what eFuses hold; ESP32-C2 takes its first 16 bytes */
    uint8_t digest[SHA384_LEN];      /* key_digest_len() bytes: of the content, as the signer saw it */
    uint8_t signature[RSA_3072_LEN]; /* key_signature_len() bytes, big-endian */
};

struct signature_report {
    unsigned version;     /* 2 or 1; 0: the file is not signed */
    uint64_t content_len; /* bytes that are signed, padding included */
    unsigned count;       /* blocks that are well-formed; version 1 has one, without a key */
    struct signature_block blocks[SIGNATURE_BLOCKS_MAX];
    bool is_digest_right[SIGNATURE_BLOCKS_MAX]; /* the block's digest is the content's */
    bool is_right[SIGNATURE_BLOCKS_MAX];        /* and its signature was made by the key inside it */
    struct content_digest digest;
};

void content_digest_of(struct content_digest *d, struct bytes content);

/* Reads one block: magic, CRC, version, curve.  ERR_SIGNATURE says what is wrong with it. */
enum err signature_block_read(struct signature_block *b, const uint8_t raw[static SIGNATURE_BLOCK_LEN],
                              struct why *why);

/* Makes one block. */
enum err signature_block_make(uint8_t raw[static SIGNATURE_BLOCK_LEN], struct private_key *key,
                              const struct content_digest *digest, struct why *why);

/* Reads a whole file's signature: version 2 in its last sector, else version 1 at its end when the image's own length
 * says so.  Blocks that are not well-formed are skipped, as the bootloader does; without any, `version` is 0.
 * `image_len`: the image's length, 0 when the file is no image (version 1 is then not looked for). */
void signature_read(struct signature_report *report, struct bytes file, uint64_t image_len);

/* Whether one of the signatures is right and by `key`; with NULL, by any key inside the file itself.  ERR_SIGNATURE
 * says why not.  A block whose digest is not the content's is an error even beside a right one: the file was changed.
 */
enum err signature_verify(const struct signature_report *report, const struct public_key *key, struct why *why);

/* As the bootloader decides: the sector's blocks, the content's digests, and the digests of trusted keys.  The first
 * `most` blocks are looked at (1 on ESP32, and where the running app's own key is the trusted one).  `compare_len` is
 * 32, 16 on ESP32-C2. */
enum err signature_check_sector(const uint8_t sector[static SIGNATURE_SECTOR_LEN], const struct content_digest *digest,
                                const struct key_digest *trusted, unsigned count, unsigned most, size_t compare_len,
                                struct why *why);

enum signature_mode {
    SIGNATURE_NEW,     /* the file must not be signed yet: ERR_EXISTS */
    SIGNATURE_KEEP,    /* other signatures stay beside the new one; ERR_TOO_BIG when there are three */
    SIGNATURE_REPLACE, /* other signatures go */
};

/* Signs the file in the buffer with version 2: pads, and adds the sector or a block to it. */
enum err signature_append(struct buf *file, struct private_key *key, enum signature_mode mode, struct why *why);

/* Signs with version 1, right behind the file's bytes.  The key must be P-256. */
enum err signature_append_v1(struct buf *file, struct private_key *key, struct why *why);

/* The key's digest as eFuses hold it. */
enum err signature_key_digest(const struct public_key *key, uint8_t digest[static SHA256_LEN], struct why *why);

#endif
