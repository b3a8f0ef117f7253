#include "boot/efuse.h"

#include <inttypes.h>

#define BURN_TRIES 2
#define COPIES     3
#define COPY_BYTES 256u /* from one copy to the next: a page of flash */

static enum err read_burnt(const struct efuse *e, uint32_t *burnt, struct why *why)
{
    uint32_t words[COPIES] = {0};
    enum err err = ERR_NONE;
    for (unsigned i = 0; err == ERR_NONE && i < COPIES; i++) {
        uint8_t raw[4];
        err = stretch_read(e->flash, i * COPY_BYTES, raw, sizeof raw, why);
        words[i] = err == ERR_NONE ? ~get_u32(raw) : 0;
    }
    *burnt = (words[0] & words[1]) | (words[1] & words[2]) | (words[0] & words[2]);
    if (e->bits < EFUSE_BITS_MAX)
        *burnt &= (UINT32_C(1) << e->bits) - 1;
    return err ? why_add(why, err, "read the secure version") : ERR_NONE;
}

static uint32_t count_bits(uint32_t word)
{
    uint32_t count = 0;
    for (; word != 0; word &= word - 1)
        count++;
    return count;
}

enum err efuse_secure_version(const struct efuse *e, uint32_t *version, struct why *why)
{
    uint32_t burnt;
    enum err err = read_burnt(e, &burnt, why);
    *version = count_bits(burnt);
    return err;
}

/* The missing ones of the lowest bits, so that burning twice is burning once. */
static enum err burn(const struct efuse *e, uint32_t version, struct why *why)
{
    uint8_t raw[4];
    put_u32(raw, version >= EFUSE_BITS_MAX ? 0 : ~((UINT32_C(1) << version) - 1));
    enum err err = ERR_NONE;
    for (unsigned i = 0; err == ERR_NONE && i < COPIES; i++)
        err = stretch_program(e->flash, i * COPY_BYTES, bytes_of(raw, sizeof raw), why);
    return err;
}

enum err efuse_raise(const struct efuse *e, uint32_t version, struct why *why)
{
    uint32_t now;
    if (version > e->bits)
        return why_set(why, ERR_TOO_BIG, "secure version %" PRIu32 " is more than the eFuse's %u bits can say", version,
                       e->bits);
    enum err err = efuse_secure_version(e, &now, why);
    if (err == ERR_NONE && version < now)
        return why_set(why, ERR_USAGE, "secure version %" PRIu32 " is below the eFuse's %" PRIu32, version, now);
    for (int i = 0; i < BURN_TRIES && err == ERR_NONE && now < version; i++) {
        err = burn(e, version, why);
        if (err == ERR_NONE)
            err = efuse_secure_version(e, &now, why);
    }
    if (err == ERR_NONE && now < version)
        err = why_set(why, ERR_FLASH, "the eFuse did not take secure version %" PRIu32, version);
    return err;
}
