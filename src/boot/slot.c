#include "boot/slot.h"

#include "crypto/digest.h"

#include <string.h>

#define CHUNK FLASH_SECTOR_BYTES

static enum err read_image(struct stretch slot, struct image_facts *facts, struct why *why)
{
    struct image_reader reader;
    uint8_t chunk[CHUNK];
    enum err err = ERR_NONE;
    image_reader_init(&reader, 0);
    for (uint32_t at = 0; err == ERR_NONE && at < slot.size_bytes && !image_reader_is_done(&reader);
         at += sizeof chunk) {
        uint32_t len = slot.size_bytes - at < sizeof chunk ? slot.size_bytes - at : (uint32_t)sizeof chunk;
        err = stretch_read(slot, at, chunk, len, why);
        if (err == ERR_NONE)
            image_reader_push(&reader, bytes_of(chunk, len));
    }
    enum err verdict = image_reader_finish(&reader, facts, err ? NULL : why);
    return err ? err : verdict;
}

/* --- signature -------------------------------------------------------------------------------- */

static uint64_t content_len(const struct image_facts *facts)
{
    return (facts->image_len + SIGNATURE_SECTOR_LEN - 1) / SIGNATURE_SECTOR_LEN * SIGNATURE_SECTOR_LEN;
}

static enum err read_sector(struct stretch slot, const struct image_facts *facts, uint8_t *sector, struct why *why)
{
    uint64_t at = content_len(facts);
    if (at + SIGNATURE_SECTOR_LEN > slot.size_bytes)
        return why_set(why, ERR_SIGNATURE, "the image is not signed: no room for a signature behind it");
    return stretch_read(slot, (uint32_t)at, sector, SIGNATURE_SECTOR_LEN, why);
}

/* Over the image and its padding, as they lie in flash. */
static enum err digest_content(struct stretch slot, uint64_t len, struct content_digest *d, struct why *why)
{
    struct digest sha256, sha384;
    uint8_t chunk[CHUNK];
    enum err err = ERR_NONE;
    digest_init(&sha256, DIGEST_SHA256);
    digest_init(&sha384, DIGEST_SHA384);
    for (uint64_t at = 0; err == ERR_NONE && at < len; at += sizeof chunk) { /* a multiple of 4096 */
        err = stretch_read(slot, (uint32_t)at, chunk, sizeof chunk, why);
        digest_update(&sha256, bytes_of(chunk, sizeof chunk));
        digest_update(&sha384, bytes_of(chunk, sizeof chunk));
    }
    digest_final(&sha256, d->sha256);
    digest_final(&sha384, d->sha384);
    return err;
}

static enum err check_signature(struct stretch slot, const struct slot_rules *rules, const struct image_facts *facts,
                                struct why *why)
{
    uint8_t sector[SIGNATURE_SECTOR_LEN];
    struct content_digest digest;
    enum err err = read_sector(slot, facts, sector, why);
    if (err == ERR_NONE)
        err = digest_content(slot, content_len(facts), &digest, why);
    size_t compared = rules->chip != NULL && rules->chip->id == 0x000c ? 16 : SHA256_LEN; /* ESP32-C2 keeps half */
    return err ? err
               : signature_check_sector(sector, &digest, rules->trusted, rules->trusted_count,
                                        rules->blocks ? rules->blocks : SIGNATURE_BLOCKS_MAX, compared, why);
}

unsigned slot_signers(struct stretch slot, const struct image_facts *facts, struct key_digest *to, unsigned most)
{
    uint8_t sector[SIGNATURE_SECTOR_LEN];
    unsigned count = 0;
    if (read_sector(slot, facts, sector, NULL) != ERR_NONE)
        return 0;
    for (unsigned i = 0; i < SIGNATURE_BLOCKS_MAX && count < most; i++) {
        struct signature_block block;
        if (signature_block_read(&block, sector + i * SIGNATURE_BLOCK_LEN, NULL) == ERR_NONE)
            memcpy(to[count++].bytes, block.key_digest, SHA256_LEN);
    }
    return count;
}

/* --- the whole -------------------------------------------------------------------------------- */

static enum err verify(struct stretch slot, const struct slot_rules *rules, bool is_app, struct image_facts *facts,
                       struct why *why)
{
    enum err err = read_image(slot, facts, why);
    struct image_target here = {.chip = rules->chip,
                                .chip_revision = rules->chip_revision,
                                .efuse_revision = rules->efuse_revision,
                                .slot_at = slot.at,
                                .slot_bytes = slot.size_bytes,
                                .secure_version = rules->secure_version};
    if (err == ERR_NONE && is_app && facts->kind != IMAGE_APP)
        err = image_check_update(facts, why);
    if (err == ERR_NONE)
        err = image_check_target(facts, &here, why);
    return err == ERR_NONE && rules->needs_signature ? check_signature(slot, rules, facts, why) : err;
}

enum err slot_verify(struct stretch slot, const struct slot_rules *rules, struct image_facts *facts, struct why *why)
{
    return verify(slot, rules, true, facts, why);
}

enum err slot_verify_any(struct stretch slot, const struct slot_rules *rules, struct image_facts *facts,
                         struct why *why)
{
    return verify(slot, rules, false, facts, why);
}
