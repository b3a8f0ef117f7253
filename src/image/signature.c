#include "image/signature.h"

#include "codec/crc.h"

#include <inttypes.h>
#include <string.h>

#define BLOCK_MAGIC   0xe7
#define VERSION_RSA   2
#define VERSION_ECDSA 3
#define CRC_AT        1196

/* Where the parts of a block lie, by the kind of its key.  Written to flash, never renumber. */
static const struct layout {
    uint8_t version, sha_version, curve;
    uint16_t curve_at, key_at, key_room, signature_at;
    uint16_t digested_at, digested_len; /* what the key's digest covers */
} layouts[] = {
    [KEY_RSA_3072] = {VERSION_RSA, 0, 0, 0, 36, RSA_3072_LEN, 812, 36, 776},
    [KEY_P192] = {VERSION_ECDSA, 0, 1, 36, 37, 64, 101, 36, 65},
    [KEY_P256] = {VERSION_ECDSA, 0, 2, 36, 37, 64, 101, 36, 65},
    [KEY_P384] = {VERSION_ECDSA, 1, 3, 52, 53, 96, 149, 52, 97},
};

#define RSA_EXPONENT_AT 420
#define RSA_RINV_AT     424
#define RSA_MPRIME_AT   808

static void copy_reversed(uint8_t *to, const uint8_t *from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = from[len - 1 - i];
}

/* One number for RSA, two of half the length each for ECDSA. */
static void turn_round(uint8_t *to, const uint8_t *from, enum key_kind kind)
{
    size_t half = key_curve_len(kind);
    if (kind == KEY_RSA_3072) {
        copy_reversed(to, from, RSA_3072_LEN);
        return;
    }
    copy_reversed(to, from, half);
    copy_reversed(to + half, from + half, half);
}

void content_digest_of(struct content_digest *d, struct bytes content)
{
    sha256_of(d->sha256, content);
    sha384_of(d->sha384, content);
}

static struct bytes digest_for(const struct content_digest *d, enum key_kind kind)
{
    return bytes_of(kind == KEY_P384 ? d->sha384 : d->sha256, key_digest_len(kind));
}

/* --- one block -------------------------------------------------------------------------------- */

static enum key_kind kind_of(const uint8_t *raw)
{
    for (unsigned kind = KEY_RSA_3072; kind <= KEY_P384; kind++) {
        const struct layout *l = &layouts[kind];
        if (raw[1] == l->version && raw[2] == l->sha_version && (l->curve == 0 || raw[l->curve_at] == l->curve))
            return (enum key_kind)kind;
    }
    return KEY_NONE;
}

enum err signature_block_read(struct signature_block *b, const uint8_t raw[static SIGNATURE_BLOCK_LEN], struct why *why)
{
    memset(b, 0, sizeof *b);
    if (raw[0] != BLOCK_MAGIC)
        return why_set(why, ERR_SIGNATURE, "no signature block: it starts with 0x%02x, not 0x%02x", raw[0],
                       BLOCK_MAGIC);
    uint32_t crc = crc32_of(0, bytes_of(raw, CRC_AT));
    if (crc != get_u32(raw + CRC_AT))
        return why_set(why, ERR_SIGNATURE, "the signature block's CRC is 0x%08" PRIx32 ", its bytes give 0x%08" PRIx32,
                       get_u32(raw + CRC_AT), crc);
    enum key_kind kind = kind_of(raw);
    if (kind == KEY_NONE)
        return why_set(why, ERR_SIGNATURE,
                       "the signature block has version %u, SHA version %u and a curve that no chip has", raw[1],
                       raw[2]);
    const struct layout *l = &layouts[kind];
    b->key.kind = kind;
    turn_round(b->key.number, raw + l->key_at, kind);
    if (kind == KEY_RSA_3072)
        b->key.exponent = get_u32(raw + RSA_EXPONENT_AT);
    turn_round(b->signature, raw + l->signature_at, kind);
    memcpy(b->digest, raw + 4, key_digest_len(kind));
    sha256_of(b->key_digest, bytes_of(raw + l->digested_at, l->digested_len));
    return ERR_NONE;
}

/* -1/n modulo 2^32, by Newton: each round doubles the bits that are right. */
static uint32_t m_prime(uint32_t n)
{
    uint32_t x = 1;
    for (int i = 0; i < 5; i++)
        x *= 2 - n * x;
    return -x;
}

static enum err put_key(uint8_t *raw, const struct public_key *key, struct why *why)
{
    const struct layout *l = &layouts[key->kind];
    turn_round(raw + l->key_at, key->number, key->kind);
    if (key->kind != KEY_RSA_3072) {
        raw[l->curve_at] = l->curve;
        return ERR_NONE;
    }
    uint8_t rinv[RSA_3072_LEN];
    if (!public_key_rinv(key, rinv))
        return why_set(why, ERR_KEY, "the RSA modulus is even: this is no key");
    put_u32(raw + RSA_EXPONENT_AT, key->exponent);
    copy_reversed(raw + RSA_RINV_AT, rinv, sizeof rinv);
    put_u32(raw + RSA_MPRIME_AT, m_prime(get_u32(raw + l->key_at)));
    return ERR_NONE;
}

enum err signature_key_digest(const struct public_key *key, uint8_t digest[static SHA256_LEN], struct why *why)
{
    uint8_t raw[SIGNATURE_BLOCK_LEN] = {0};
    enum err err = put_key(raw, key, why);
    if (err == ERR_NONE)
        sha256_of(digest, bytes_of(raw + layouts[key->kind].digested_at, layouts[key->kind].digested_len));
    return err;
}

enum err signature_block_make(uint8_t raw[static SIGNATURE_BLOCK_LEN], struct private_key *key,
                              const struct content_digest *digest, struct why *why)
{
    const struct public_key *public_key = &key->public_key;
    const struct layout *l = &layouts[public_key->kind];
    struct bytes d = digest_for(digest, public_key->kind);
    uint8_t signature[RSA_3072_LEN];
    memset(raw, 0, SIGNATURE_BLOCK_LEN);
    raw[0] = BLOCK_MAGIC;
    raw[1] = l->version;
    raw[2] = l->sha_version;
    memcpy(raw + 4, d.at, d.len);
    enum err err = put_key(raw, public_key, why);
    if (err == ERR_NONE)
        err = private_key_sign(key, d, signature, why);
    if (err != ERR_NONE)
        return err;
    turn_round(raw + l->signature_at, signature, public_key->kind);
    put_u32(raw + CRC_AT, crc32_of(0, bytes_of(raw, CRC_AT)));
    return ERR_NONE;
}

/* --- whole files ------------------------------------------------------------------------------ */

static bool digest_is(const struct signature_block *b, const struct content_digest *d)
{
    return memcmp(b->digest, digest_for(d, b->key.kind).at, key_digest_len(b->key.kind)) == 0;
}

static void read_sector(struct signature_report *r, struct bytes file)
{
    uint64_t content_len = file.len - SIGNATURE_SECTOR_LEN;
    struct signature_block b;
    for (unsigned i = 0; i < SIGNATURE_BLOCKS_MAX; i++)
        if (signature_block_read(&b, file.at + content_len + i * SIGNATURE_BLOCK_LEN, NULL) == ERR_NONE)
            r->blocks[r->count++] = b;
    if (r->count == 0)
        return;
    r->version = 2;
    r->content_len = content_len;
    content_digest_of(&r->digest, bytes_of(file.at, content_len));
    for (unsigned i = 0; i < r->count; i++) {
        const struct signature_block *block = &r->blocks[i];
        r->is_digest_right[i] = digest_is(block, &r->digest);
        r->is_right[i] = r->is_digest_right[i] &&
                         public_key_verify(&block->key, digest_for(&r->digest, block->key.kind), block->signature);
    }
}

void signature_read(struct signature_report *r, struct bytes file, uint64_t image_len)
{
    memset(r, 0, sizeof *r);
    if (file.len % SIGNATURE_SECTOR_LEN == 0 && file.len > SIGNATURE_SECTOR_LEN)
        read_sector(r, file);
    if (r->version == 0 && image_len > 0 && file.len == image_len + SIGNATURE_V1_LEN &&
        get_u32(file.at + image_len) == 0) {
        r->version = 1;
        r->count = 1;
        r->content_len = image_len;
        memcpy(r->blocks[0].signature, file.at + image_len + 4, SIGNATURE_V1_LEN - 4);
        content_digest_of(&r->digest, bytes_of(file.at, image_len));
    }
}

static enum err verify_v1(const struct signature_report *r, const struct public_key *key, struct why *why)
{
    if (key == NULL)
        return why_set(why, ERR_USAGE, "a signature of version 1 does not carry its key: give the key to verify with");
    if (key->kind != KEY_P256)
        return why_set(why, ERR_KEY, "signatures of version 1 are made with ECDSA P-256, this key is %s",
                       key_kind_text(key->kind));
    if (!public_key_verify(key, bytes_of(r->digest.sha256, SHA256_LEN), r->blocks[0].signature))
        return why_set(why, ERR_SIGNATURE, "the signature is not by this key, or the image was changed after it");
    return ERR_NONE;
}

enum err signature_verify(const struct signature_report *r, const struct public_key *key, struct why *why)
{
    bool is_known = false;
    if (r->version == 0)
        return why_set(why, ERR_SIGNATURE, "the file is not signed");
    if (r->version == 1)
        return verify_v1(r, key, why);
    for (unsigned i = 0; i < r->count; i++)
        if (!r->is_digest_right[i])
            return why_set(why, ERR_SIGNATURE,
                           "block %u is for other content: the file was changed after it was signed", i);
    for (unsigned i = 0; i < r->count; i++) {
        bool is_this = key == NULL || public_key_equal(&r->blocks[i].key, key);
        is_known |= is_this;
        if (is_this && r->is_right[i])
            return ERR_NONE;
    }
    if (!is_known)
        return why_set(why, ERR_SIGNATURE, "none of the %u signatures is by this key (%s)", r->count,
                       key_kind_text(key->kind));
    return why_set(why, ERR_SIGNATURE,
                   "the signature is wrong, though it is for this content: it was damaged or forged");
}

enum err signature_check_sector(const uint8_t sector[static SIGNATURE_SECTOR_LEN], const struct content_digest *digest,
                                const struct key_digest *trusted, unsigned count, unsigned most, size_t compare_len,
                                struct why *why)
{
    unsigned readable = 0, known = 0;
    for (unsigned i = 0; i < most && i < SIGNATURE_BLOCKS_MAX; i++) {
        struct signature_block b;
        if (signature_block_read(&b, sector + i * SIGNATURE_BLOCK_LEN, NULL) != ERR_NONE)
            continue;
        readable++;
        for (unsigned k = 0; k < count; k++) {
            if (memcmp(b.key_digest, trusted[k].bytes, compare_len) != 0)
                continue;
            known++;
            if (digest_is(&b, digest) && public_key_verify(&b.key, digest_for(digest, b.key.kind), b.signature))
                return ERR_NONE;
        }
    }
    if (readable == 0)
        return why_set(why, ERR_SIGNATURE, "the image is not signed, and this node runs signed images only");
    if (known == 0)
        return why_set(why, ERR_SIGNATURE, "none of the image's %u keys is trusted by this node", readable);
    return why_set(why, ERR_SIGNATURE, "the signature by the trusted key is not for these bytes");
}

/* --- signing ---------------------------------------------------------------------------------- */

static void pad_to_sector(struct buf *file)
{
    static const uint8_t erased[SIGNATURE_SECTOR_LEN] = {0};
    size_t more = (SIGNATURE_SECTOR_LEN - file->len % SIGNATURE_SECTOR_LEN) % SIGNATURE_SECTOR_LEN;
    size_t from = file->len;
    buf_add(file, erased, more);
    if (!file->is_failed && more > 0)
        memset(file->at + from, 0xff, more);
}

enum err signature_append(struct buf *file, struct private_key *key, enum signature_mode mode, struct why *why)
{
    uint8_t sector[SIGNATURE_SECTOR_LEN];
    struct signature_report old;
    struct content_digest digest;
    unsigned used = 0;
    memset(sector, 0xff, sizeof sector);
    if (file->len == 0)
        return why_set(why, ERR_USAGE, "there is nothing to sign");
    signature_read(&old, buf_bytes(file), 0);
    if (old.version == 2 && mode == SIGNATURE_NEW)
        return why_set(why, ERR_EXISTS, "the file has %u signature%s already: keep %s and append, or replace",
                       old.count, old.count == 1 ? "" : "s", old.count == 1 ? "it" : "them");
    if (old.version == 2) {
        const uint8_t *raw = (const uint8_t *)file->at + old.content_len;
        for (unsigned i = 0; mode == SIGNATURE_KEEP && i < SIGNATURE_BLOCKS_MAX; i++) {
            struct signature_block b;
            if (signature_block_read(&b, raw + i * SIGNATURE_BLOCK_LEN, NULL) != ERR_NONE)
                continue;
            if (!digest_is(&b, &old.digest))
                return why_set(why, ERR_SIGNATURE, "signature %u is for other content: the file was changed after it",
                               i);
            if (public_key_equal(&b.key, &key->public_key))
                return why_set(why, ERR_EXISTS, "signature %u is by this key already", i);
            memcpy(sector + used++ * SIGNATURE_BLOCK_LEN, raw + i * SIGNATURE_BLOCK_LEN, SIGNATURE_BLOCK_LEN);
        }
        if (used == SIGNATURE_BLOCKS_MAX)
            return why_set(why, ERR_TOO_BIG, "the file has %d signatures already, no chip takes more",
                           SIGNATURE_BLOCKS_MAX);
        file->len = old.content_len;
    }
    pad_to_sector(file);
    if (file->is_failed)
        return why_set(why, ERR_NO_MEMORY, "no memory for the signed file");
    content_digest_of(&digest, buf_bytes(file));
    enum err err = signature_block_make(sector + used * SIGNATURE_BLOCK_LEN, key, &digest, why);
    if (err == ERR_NONE)
        buf_add(file, sector, sizeof sector);
    return err == ERR_NONE && file->is_failed ? why_set(why, ERR_NO_MEMORY, "no memory for the signed file") : err;
}

enum err signature_append_v1(struct buf *file, struct private_key *key, struct why *why)
{
    uint8_t block[SIGNATURE_V1_LEN] = {0}, digest[SHA256_LEN];
    if (key->public_key.kind != KEY_P256)
        return why_set(why, ERR_KEY, "signatures of version 1 are made with ECDSA P-256, this key is %s",
                       key_kind_text(key->public_key.kind));
    sha256_of(digest, buf_bytes(file));
    enum err err = private_key_sign(key, bytes_of(digest, sizeof digest), block + 4, why);
    if (err == ERR_NONE)
        buf_add(file, block, sizeof block);
    return err == ERR_NONE && file->is_failed ? why_set(why, ERR_NO_MEMORY, "no memory for the signed file") : err;
}
