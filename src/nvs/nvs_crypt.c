#include "nvs/nvs_crypt.h"

#include "crypto/digest.h"
#include "nvs/nvs_part.h"

#include <string.h>

enum err nvs_keys_read(uint8_t keys[static NVS_KEYS_LEN], struct bytes partition, struct why *why)
{
    if (partition.len < NVS_KEYS_LEN + 4)
        return why_set(why, ERR_FORMAT, "a key partition has 4096 bytes, this one %zu", partition.len);
    if (bytes_all(bytes_of(partition.at, NVS_KEYS_LEN + 4), 0xff))
        return why_set(why, ERR_NOT_FOUND, "the key partition is blank: no keys were written to it");
    if (get_u32(partition.at + NVS_KEYS_LEN) != crc32_of(CRC32_ESP_INIT, bytes_of(partition.at, NVS_KEYS_LEN)))
        return why_set(why, ERR_DIGEST, "the key partition's CRC is wrong");
    memcpy(keys, partition.at, NVS_KEYS_LEN);
    return ERR_NONE;
}

void nvs_keys_write(const uint8_t keys[static NVS_KEYS_LEN], uint8_t partition[static NVS_PAGE_BYTES])
{
    memset(partition, 0xff, NVS_PAGE_BYTES);
    memcpy(partition, keys, NVS_KEYS_LEN);
    put_u32(partition + NVS_KEYS_LEN, crc32_of(CRC32_ESP_INIT, bytes_of(keys, NVS_KEYS_LEN)));
}

void nvs_keys_from_hmac(uint8_t keys[static NVS_KEYS_LEN], const uint8_t hmac_key[static 32])
{
    static const uint32_t seeds[2] = {0xaebe5a5a, 0xcedea5a5};
    for (unsigned half = 0; half < 2; half++) {
        uint8_t message[32];
        for (unsigned i = 0; i < 8; i++)
            put_u32(message + 4 * i, seeds[half]);
        hmac_sha256(keys + half * 32, bytes_of(hmac_key, 32), bytes_of(message, sizeof message));
    }
}

enum err nvs_crypt(uint8_t *bytes, size_t size, const uint8_t keys[static NVS_KEYS_LEN], enum cipher_way way,
                   struct why *why)
{
    struct xts xts;
    if (size == 0 || size % NVS_PAGE_BYTES != 0)
        return why_set(why, ERR_FORMAT, "an NVS partition has a multiple of 4096 bytes, not %zu", size);
    if (!xts_init(&xts, keys))
        return why_set(why, ERR_KEY, "the data key and the tweak key are equal: XTS does not allow that");
    for (size_t page = 0; page < size; page += NVS_PAGE_BYTES)
        for (unsigned i = 0; i < NVS_ENTRIES; i++) {
            size_t at = page + NVS_ENTRIES_AT + i * NVS_ENTRY_LEN;
            bool is_written = nvs_mark_of(bytes + page + NVS_BITMAP_AT, i) == NVS_MARK_WRITTEN;
            /* Erased entries keep their old bytes, or are overwritten with zeros by newer firmware. */
            if (is_written || !bytes_all(bytes_of(bytes + at, NVS_ENTRY_LEN), 0xff))
                xts_unit(&xts, way, at, bytes + at, bytes + at, NVS_ENTRY_LEN);
        }
    xts_deinit(&xts);
    return ERR_NONE;
}

/* --- on the way in and out -------------------------------------------------------------------- */

static bool is_in_entries(uint32_t at)
{
    return at % NVS_PAGE_BYTES >= NVS_ENTRIES_AT;
}

/* One entry, or a piece of what is not entries; `len` becomes what was read. */
static enum err read_piece(struct nvs_cipher *c, uint32_t at, uint8_t *to, size_t *len, struct why *why)
{
    uint8_t entry[NVS_ENTRY_LEN];
    uint32_t start = at - at % NVS_ENTRY_LEN, skipped = at - start;
    size_t room = NVS_ENTRY_LEN - skipped;
    *len = *len < room ? *len : room;
    enum err err = stretch_read(c->under, start, entry, sizeof entry, why);
    if (err == ERR_NONE && is_in_entries(at) && !bytes_all(bytes_of(entry, sizeof entry), 0xff))
        xts_unit(&c->xts, CIPHER_OPEN, start, entry, entry, sizeof entry);
    memcpy(to, entry + skipped, *len);
    return err;
}

static enum err cipher_read(struct flash *f, uint32_t at, void *to, size_t len, struct why *why)
{
    struct nvs_cipher *c = (struct nvs_cipher *)f;
    enum err err = ERR_NONE;
    for (size_t done = 0; err == ERR_NONE && done < len;) {
        size_t n = len - done;
        err = read_piece(c, at + (uint32_t)done, (uint8_t *)to + done, &n, why);
        done += n;
    }
    return err;
}

/* Entries come from their start; the last one of a value is filled up with 0xff, as it is in plain partitions. */
static enum err cipher_program(struct flash *f, uint32_t at, struct bytes from, struct why *why)
{
    struct nvs_cipher *c = (struct nvs_cipher *)f;
    enum err err = ERR_NONE;
    if (!is_in_entries(at))
        return stretch_program(c->under, at, from, why);
    for (size_t done = 0; err == ERR_NONE && done < from.len; done += NVS_ENTRY_LEN) {
        uint8_t entry[NVS_ENTRY_LEN];
        size_t n = from.len - done < sizeof entry ? from.len - done : sizeof entry;
        memset(entry, 0xff, sizeof entry);
        memcpy(entry, from.at + done, n);
        xts_unit(&c->xts, CIPHER_SEAL, at + done, entry, entry, sizeof entry);
        err = stretch_program(c->under, at + (uint32_t)done, bytes_of(entry, sizeof entry), why);
    }
    return err;
}

static enum err cipher_erase(struct flash *f, uint32_t sector, struct why *why)
{
    struct nvs_cipher *c = (struct nvs_cipher *)f;
    return stretch_erase(c->under, sector * FLASH_SECTOR_BYTES, FLASH_SECTOR_BYTES, why);
}

enum err nvs_cipher_init(struct nvs_cipher *c, struct stretch partition, const uint8_t keys[static NVS_KEYS_LEN],
                         struct why *why)
{
    static const struct flash_ops ops = {cipher_read, cipher_program, cipher_erase};
    *c = (struct nvs_cipher){.flash = {&ops, partition.size_bytes}, .under = partition};
    return xts_init(&c->xts, keys)
               ? ERR_NONE
               : why_set(why, ERR_KEY, "the data key and the tweak key are equal: XTS does not allow that");
}

struct stretch nvs_cipher_stretch(struct nvs_cipher *c)
{
    return (struct stretch){&c->flash, 0, c->under.size_bytes};
}

void nvs_cipher_deinit(struct nvs_cipher *c)
{
    xts_deinit(&c->xts);
}
