#include "flash/flash.h"

#include <inttypes.h>
#include <string.h>

static enum err check_range(struct stretch s, uint32_t at, size_t len, const char *what, struct why *why)
{
    if (at > s.size_bytes || len > s.size_bytes - at)
        return why_set(why, ERR_FLASH, "%s of %zu bytes at 0x%" PRIx32 " leaves the partition of 0x%" PRIx32 " bytes",
                       what, len, at, s.size_bytes);
    return ERR_NONE;
}

enum err stretch_read(struct stretch s, uint32_t at, void *to, size_t len, struct why *why)
{
    enum err err = check_range(s, at, len, "read", why);
    return err ? err : s.flash->ops->read(s.flash, s.at + at, to, len, why);
}

enum err stretch_program(struct stretch s, uint32_t at, struct bytes from, struct why *why)
{
    enum err err = check_range(s, at, from.len, "write", why);
    return err ? err : s.flash->ops->program(s.flash, s.at + at, from, why);
}

enum err stretch_erase(struct stretch s, uint32_t at, uint32_t len, struct why *why)
{
    enum err err = check_range(s, at, len, "erase", why);
    if (err == ERR_NONE && (at % FLASH_SECTOR_BYTES != 0 || len % FLASH_SECTOR_BYTES != 0))
        err = why_set(why, ERR_FLASH, "erase of 0x%" PRIx32 " bytes at 0x%" PRIx32 " does not cover whole sectors", len,
                      at);
    for (uint32_t done = 0; err == ERR_NONE && done < len; done += FLASH_SECTOR_BYTES)
        err = s.flash->ops->erase(s.flash, (s.at + at + done) / FLASH_SECTOR_BYTES, why);
    return err;
}

#define ERASE_TRIES 2

static enum err check_blank(struct stretch s, uint32_t at, struct why *why)
{
    uint8_t chunk[512];
    for (uint32_t done = 0; done < FLASH_SECTOR_BYTES; done += sizeof chunk) {
        enum err err = stretch_read(s, at + done, chunk, sizeof chunk, why);
        for (unsigned i = 0; err == ERR_NONE && i < sizeof chunk; i++)
            if (chunk[i] != 0xff)
                err = why_set(why, ERR_FLASH, "the sector at 0x%" PRIx32 " is not blank after its erase", s.at + at);
        if (err != ERR_NONE)
            return err;
    }
    return ERR_NONE;
}

enum err stretch_erase_sure(struct stretch s, uint32_t at, uint32_t len, struct why *why)
{
    enum err err = ERR_NONE;
    for (uint32_t done = 0; err == ERR_NONE && done < len; done += FLASH_SECTOR_BYTES) {
        err = ERR_FLASH;
        for (int i = 0; err != ERR_NONE && i < ERASE_TRIES; i++) {
            err = stretch_erase(s, at + done, FLASH_SECTOR_BYTES, why);
            if (err == ERR_NONE)
                err = check_blank(s, at + done, why);
        }
    }
    return err;
}

enum err stretch_program_sure(struct stretch s, uint32_t at, struct bytes from, struct why *why)
{
    uint8_t chunk[512];
    enum err err = stretch_program(s, at, from, why);
    for (size_t done = 0; err == ERR_NONE && done < from.len; done += sizeof chunk) {
        size_t n = from.len - done < sizeof chunk ? from.len - done : sizeof chunk;
        err = stretch_read(s, at + (uint32_t)done, chunk, n, why);
        if (err == ERR_NONE && memcmp(chunk, from.at + done, n) != 0)
            err = why_set(why, ERR_FLASH, "what was written at 0x%" PRIx32 " reads back differently", s.at + at);
    }
    return err;
}

static enum err ram_check(struct flash *f, uint32_t at, size_t len, struct why *why)
{
    if (at > f->size_bytes || len > f->size_bytes - at)
        return why_set(why, ERR_FLASH, "0x%" PRIx32 " + %zu is past the end of flash (0x%" PRIx32 ")", at, len,
                       f->size_bytes);
    return ERR_NONE;
}

static enum err ram_read(struct flash *f, uint32_t at, void *to, size_t len, struct why *why)
{
    enum err err = ram_check(f, at, len, why);
    if (err == ERR_NONE && len > 0)
        memcpy(to, ((struct flash_ram *)f)->bytes + at, len);
    return err;
}

static enum err ram_program(struct flash *f, uint32_t at, struct bytes from, struct why *why)
{
    enum err err = ram_check(f, at, from.len, why);
    uint8_t *to = ((struct flash_ram *)f)->bytes + at;
    for (size_t i = 0; err == ERR_NONE && i < from.len; i++)
        to[i] &= from.at[i];
    return err;
}

static enum err ram_erase(struct flash *f, uint32_t sector, struct why *why)
{
    enum err err = ram_check(f, sector * FLASH_SECTOR_BYTES, FLASH_SECTOR_BYTES, why);
    if (err == ERR_NONE)
        memset(((struct flash_ram *)f)->bytes + sector * FLASH_SECTOR_BYTES, 0xff, FLASH_SECTOR_BYTES);
    return err;
}

static const struct flash_ops ram_ops = {ram_read, ram_program, ram_erase};

void flash_ram_init(struct flash_ram *ram, uint8_t *bytes, uint32_t size_bytes)
{
    *ram = (struct flash_ram){{&ram_ops, size_bytes}, bytes};
}

enum cut { POWER_ON, POWER_GOING, POWER_GONE };

static enum cut count_down(struct flash_cut *c)
{
    if (c->ops_left < 0)
        return POWER_GONE;
    c->ops_left--;
    return c->ops_left < 0 ? POWER_GOING : POWER_ON;
}

static enum err no_power(struct why *why)
{
    return why_set(why, ERR_FLASH, "the power is cut");
}

static enum err cut_read(struct flash *f, uint32_t at, void *to, size_t len, struct why *why)
{
    struct flash_cut *c = (struct flash_cut *)f;
    return c->ops_left < 0 ? no_power(why) : c->under->ops->read(c->under, at, to, len, why);
}

static enum err cut_program(struct flash *f, uint32_t at, struct bytes from, struct why *why)
{
    struct flash_cut *c = (struct flash_cut *)f;
    enum cut cut = count_down(c);
    if (cut == POWER_GOING && c->is_torn)
        c->under->ops->program(c->under, at, bytes_of(from.at, from.len / 2), why);
    return cut == POWER_ON ? c->under->ops->program(c->under, at, from, why) : no_power(why);
}

static enum err cut_erase(struct flash *f, uint32_t sector, struct why *why)
{
    struct flash_cut *c = (struct flash_cut *)f;
    enum cut cut = count_down(c);
    if (cut == POWER_GOING && c->is_torn) {
        /* Half an erase: a pattern that is neither the old content nor erased. */
        uint8_t zeros[FLASH_SECTOR_BYTES / 2] = {0};
        c->under->ops->erase(c->under, sector, why);
        c->under->ops->program(c->under, sector * FLASH_SECTOR_BYTES, bytes_of(zeros, sizeof zeros), why);
    }
    return cut == POWER_ON ? c->under->ops->erase(c->under, sector, why) : no_power(why);
}

static const struct flash_ops cut_ops = {cut_read, cut_program, cut_erase};

void flash_cut_init(struct flash_cut *cut, struct flash *under, long ops_left, bool is_torn)
{
    *cut = (struct flash_cut){{&cut_ops, under->size_bytes}, under, ops_left, is_torn};
}
