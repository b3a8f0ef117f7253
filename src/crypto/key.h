/*
 * key.h - public keys, and the private key port: signing, unwrapping, agreeing.
 *
 * A private key is a port, so that a PEM file today and a token (PKCS #11, a cloud's key service) later look the same
 * to those who sign.  The PEM adapter is OpenSSL's; on a chip this header is served by mbedTLS.
 *
 *     struct private_key *key;
 *     private_key_open_pem(&key, pem, why);
 *     private_key_sign(key, bytes_of(digest, SHA256_LEN), signature, why);   key_signature_len(kind) bytes
 *     private_key_close(key);
 *
 * Numbers are big-endian here, as everywhere but in ESP's own structures; `image/signature.h` turns them round.
 */
#ifndef PLUVIO_CRYPTO_KEY_H
#define PLUVIO_CRYPTO_KEY_H

#include "base/buf.h"
#include "base/err.h"

#define RSA_3072_LEN 384

enum key_kind { KEY_NONE, KEY_RSA_3072, KEY_P192, KEY_P256, KEY_P384 };

struct public_key {
    enum key_kind kind;
    uint8_t number[RSA_3072_LEN]; /* RSA: the modulus; ECDSA: X then Y, each of key_curve_len() bytes */
    uint32_t exponent;            /* RSA only */
};

/* "RSA-3072", "ECDSA P-256"; and the short name that the command line takes: "rsa3072", "p256". */
const char *key_kind_text(enum key_kind kind);
enum key_kind key_kind_find(const char *short_name); /* KEY_NONE for a name that is none */

size_t key_curve_len(enum key_kind kind);     /* 24, 32 or 48; 0 for RSA */
size_t key_signature_len(enum key_kind kind); /* 384 for RSA; r then s for ECDSA */
size_t key_digest_len(enum key_kind kind);    /* SHA-384 for P-384, else SHA-256 */

/* Reads a public key, or the public half of a private one, from PEM.  ERR_KEY for text that is no key, for a password,
 * or for a kind that ESP chips do not use. */
enum err public_key_read_pem(struct public_key *key, struct bytes pem, struct why *why);
enum err public_key_write_pem(const struct public_key *key, struct buf *to, struct why *why);

bool public_key_equal(const struct public_key *a, const struct public_key *b);

/* True when the signature over `digest` was made with that key: RSA-PSS with MGF1-SHA-256 and 32 bytes of salt, or
 * ECDSA.  False for a point that is not on its curve, too. */
bool public_key_verify(const struct public_key *key, struct bytes digest, const uint8_t *signature);

/* What RSA hardware wants beside the modulus: 2^6144 mod n, big-endian.  False for an even modulus. */
bool public_key_rinv(const struct public_key *key, uint8_t rinv[static RSA_3072_LEN]);

struct private_key;

struct private_key_ops {
    /* Writes key_signature_len() bytes over a digest of key_digest_len() bytes. */
    enum err (*sign)(struct private_key *key, struct bytes digest, uint8_t *signature, struct why *why);
    /* RSA PKCS #1 v1.5: opens `sealed` (384 bytes); `*len` is the room in `to`, then what was in it. */
    enum err (*unwrap)(struct private_key *key, const uint8_t *sealed, uint8_t *to, size_t *len, struct why *why);
    /* ECDH: the x-coordinate, of key_curve_len() bytes. */
    enum err (*agree)(struct private_key *key, const struct public_key *other, uint8_t *secret, struct why *why);
    void (*close)(struct private_key *key);
};

struct private_key {
    const struct private_key_ops *ops;
    struct public_key public_key;
};

enum err private_key_open_pem(struct private_key **key, struct bytes pem, struct why *why);

/* The P-256 key of a scalar of 32 bytes, big-endian; ERR_KEY when it is 0 or not below the curve's order. */
enum err private_key_open_scalar(struct private_key **key, const uint8_t scalar[static 32], struct why *why);

enum err private_key_sign(struct private_key *key, struct bytes digest, uint8_t *signature, struct why *why);
void private_key_close(struct private_key *key); /* NULL is fine */

/* Makes a new key as PKCS #8 PEM. */
enum err private_key_generate(enum key_kind kind, struct buf *pem, struct why *why);

/* The private key of a scalar as PKCS #8 PEM. */
enum err private_key_write_scalar_pem(const uint8_t scalar[static 32], struct buf *pem, struct why *why);

/* RSA PKCS #1 v1.5 with the public key; `sealed` gets 384 bytes. */
enum err public_key_wrap(const struct public_key *key, struct bytes secret, uint8_t *sealed, struct why *why);

#endif
