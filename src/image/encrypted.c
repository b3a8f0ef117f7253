#include "image/encrypted.h"

#include <inttypes.h>
#include <string.h>

/* Where the header's parts lie.  Written to files, never renumber. */
#define KEY_AT     4
#define SALT_AT    68
#define SALT_LEN   32
#define IV_AT      388
#define LEN_AT     404
#define TAG_AT     408
#define POINT_LEN  64
#define ECIES_INFO "_esp_enc_img_ecc"
#define IMAGE_MAX  0x7fffffff /* the cipher's limit for one call */
#define KDF_ROUNDS 2048

static const uint8_t scalar_salt[32] = {0x0e, 0x21, 0x60, 0x64, 0x2d, 0xae, 0x76, 0xd3, 0x34, 0x48, 0xe4,
                                        0x3d, 0x77, 0x20, 0x12, 0x3d, 0x9f, 0x3b, 0x1e, 0xce, 0xb8, 0x8e,
                                        0x57, 0x3a, 0x4e, 0x8f, 0x7f, 0xb9, 0x4f, 0xf0, 0xc8, 0x69};

void encrypted_device_scalar(uint8_t scalar[static 32], const uint8_t hmac_key[static 32])
{
    pbkdf2_sha256(scalar, 32, bytes_of(hmac_key, 32), bytes_of(scalar_salt, sizeof scalar_salt), KDF_ROUNDS);
}

static void derive(uint8_t *aes_key, const uint8_t *secret, const uint8_t *salt)
{
    hkdf_sha256(aes_key, AES_256_LEN, bytes_of(secret, 32), bytes_of(salt, SALT_LEN), bytes_of_text(ECIES_INFO));
}

/* --- making ----------------------------------------------------------------------------------- */

/* A key pair of the sender's for this image alone; its public point goes into the header. */
static enum err agree(uint8_t *header, uint8_t *aes_key, const struct public_key *device, struct entropy *entropy,
                      struct why *why)
{
    struct private_key *sender = NULL;
    uint8_t scalar[32], secret[32];
    do /* all but one of 2^32 numbers are scalars */
        entropy->fill(entropy, scalar, sizeof scalar);
    while (private_key_open_scalar(&sender, scalar, NULL) != ERR_NONE);
    memcpy(header + KEY_AT, sender->public_key.number, POINT_LEN);
    entropy->fill(entropy, header + SALT_AT, SALT_LEN);
    enum err err = sender->ops->agree(sender, device, secret, why);
    if (err == ERR_NONE)
        derive(aes_key, secret, header + SALT_AT);
    private_key_close(sender);
    secret_wipe(scalar, sizeof scalar);
    secret_wipe(secret, sizeof secret);
    return err;
}

static enum err seal_key(uint8_t *header, uint8_t *aes_key, const struct public_key *device, struct entropy *entropy,
                         struct why *why)
{
    if (device->kind == KEY_P256)
        return agree(header, aes_key, device, entropy, why);
    if (device->kind != KEY_RSA_3072)
        return why_set(why, ERR_KEY, "images are encrypted for RSA-3072 or P-256 keys, this one is %s",
                       key_kind_text(device->kind));
    entropy->fill(entropy, aes_key, AES_256_LEN);
    return public_key_wrap(device, bytes_of(aes_key, AES_256_LEN), header + KEY_AT, why);
}

enum err encrypted_make(struct buf *to, struct bytes plain, const struct public_key *device, struct entropy *entropy,
                        struct why *why)
{
    uint8_t header[ENCRYPTED_HEADER_LEN] = {0}, aes_key[AES_256_LEN];
    struct gcm gcm;
    if (plain.len == 0 || plain.len > IMAGE_MAX)
        return why_set(why, ERR_USAGE, "an image has 1 to %d bytes, this one %zu", IMAGE_MAX, plain.len);
    if (!buf_reserve(to, sizeof header + plain.len))
        return why_set(why, ERR_NO_MEMORY, "no memory for the encrypted image");
    enum err err = seal_key(header, aes_key, device, entropy, why);
    if (err != ERR_NONE)
        return err;
    put_u32(header, ENCRYPTED_MAGIC);
    put_u32(header + LEN_AT, (uint32_t)plain.len);
    entropy->fill(entropy, header + IV_AT, GCM_IV_LEN);
    uint8_t *sealed = (uint8_t *)to->at + to->len + sizeof header;
    gcm_init(&gcm, CIPHER_SEAL, aes_key, header + IV_AT);
    gcm_update(&gcm, sealed, plain);
    gcm_finish(&gcm, header + TAG_AT);
    secret_wipe(aes_key, sizeof aes_key);
    memcpy(to->at + to->len, header, sizeof header);
    to->len += sizeof header + plain.len;
    to->at[to->len] = '\0';
    return ERR_NONE;
}

/* --- opening ---------------------------------------------------------------------------------- */

void encrypted_reader_init(struct encrypted_reader *r, struct private_key *key)
{
    *r = (struct encrypted_reader){.key = key};
}

static enum err open_key(struct encrypted_reader *r, uint8_t *aes_key, struct why *why)
{
    struct private_key *key = r->key;
    if (key->public_key.kind == KEY_P256) {
        struct public_key sender = {.kind = KEY_P256};
        uint8_t secret[32];
        memcpy(sender.number, r->header + KEY_AT, POINT_LEN);
        enum err err = key->ops->agree(key, &sender, secret, why);
        if (err == ERR_NONE)
            derive(aes_key, secret, r->header + SALT_AT);
        secret_wipe(secret, sizeof secret);
        return err;
    }
    if (key->public_key.kind != KEY_RSA_3072)
        return why_set(why, ERR_KEY, "images are encrypted for RSA-3072 or P-256 keys, this one is %s",
                       key_kind_text(key->public_key.kind));
    uint8_t unwrapped[RSA_3072_LEN];
    size_t len = sizeof unwrapped;
    enum err err = key->ops->unwrap(key, r->header + KEY_AT, unwrapped, &len, why);
    if (err == ERR_NONE && len != AES_256_LEN)
        err = why_set(why, ERR_KEY, "the wrapped key has %zu bytes, not %d", len, AES_256_LEN);
    if (err == ERR_NONE)
        memcpy(aes_key, unwrapped, AES_256_LEN);
    secret_wipe(unwrapped, sizeof unwrapped);
    return err;
}

static enum err take_header(struct encrypted_reader *r, struct why *why)
{
    uint8_t aes_key[AES_256_LEN];
    if (get_u32(r->header) != ENCRYPTED_MAGIC)
        return why_set(why, ERR_IMAGE_MAGIC, "file starts with 0x%08" PRIx32 ", an encrypted image with 0x%08x",
                       get_u32(r->header), ENCRYPTED_MAGIC);
    enum err err = open_key(r, aes_key, why);
    if (err != ERR_NONE)
        return err;
    gcm_init(&r->gcm, CIPHER_OPEN, aes_key, r->header + IV_AT);
    secret_wipe(aes_key, sizeof aes_key);
    r->left = get_u32(r->header + LEN_AT);
    return ERR_NONE;
}

enum err encrypted_reader_push(struct encrypted_reader *r, struct bytes in, uint8_t *to, size_t *len, struct why *why)
{
    *len = 0;
    if (r->verdict != ERR_NONE)
        return why_set(why, r->verdict, "the encrypted image was refused before");
    if (r->header_len < ENCRYPTED_HEADER_LEN) {
        size_t n = ENCRYPTED_HEADER_LEN - r->header_len;
        n = n < in.len ? n : in.len;
        if (n > 0)
            memcpy(r->header + r->header_len, in.at, n);
        r->header_len += (uint32_t)n;
        in = bytes_of(in.at + n, in.len - n);
        if (r->header_len == ENCRYPTED_HEADER_LEN)
            r->verdict = take_header(r, why);
    }
    if (r->verdict != ERR_NONE || in.len == 0)
        return r->verdict;
    if (in.len > r->left)
        return r->verdict = why_set(why, ERR_TOO_BIG, "the encrypted image goes on for %zu bytes after its end",
                                    in.len - (size_t)r->left);
    gcm_update(&r->gcm, to, in);
    *len = in.len;
    r->left -= (uint32_t)in.len;
    return ERR_NONE;
}

uint32_t encrypted_reader_left(const struct encrypted_reader *r)
{
    return r->header_len < ENCRYPTED_HEADER_LEN ? UINT32_MAX : r->left;
}

enum err encrypted_reader_finish(struct encrypted_reader *r, struct why *why)
{
    bool is_open = r->gcm.inner != NULL;
    enum err err = r->verdict;
    if (err == ERR_NONE && (!is_open || r->left > 0))
        err = why_set(why, ERR_IMAGE_TRUNCATED, "the encrypted image is cut off: %" PRIu32 " bytes are missing",
                      is_open ? r->left : ENCRYPTED_HEADER_LEN - r->header_len);
    if (err == ERR_NONE && !gcm_finish(&r->gcm, r->header + TAG_AT))
        err = why_set(why, ERR_IMAGE_DIGEST,
                      "the encrypted image's tag is wrong: it was damaged, or is for another device's key");
    gcm_deinit(&r->gcm);
    return err;
}
