/* What a whole image may be used for: as an update at all, and on one node's chip and slot. */
#include "image/image.h"

#include <inttypes.h>

#define SLOT_MAX         0x1000000u
#define RAM_FROM         0x10000000u /* addresses below are not loaded at all */
#define REVISION_NOT_SET 65535

/* Rules 9 and 10.  Applications older than the descriptor, and those of other systems in ESP's container (Zephyr,
 * NuttX), are whole without it; nodes refuse an update whose project and version they cannot read. */
static enum err check_descriptor(const struct image_facts *f, struct why *why)
{
    if (f->layout != IMAGE_ESP32 || f->has_app_desc)
        return ERR_NONE;
    if (f->segments[0].len < APP_DESC_LEN)
        return why_set(why, ERR_IMAGE_FIRST_SEGMENT,
                       "the first segment of this %s application has %" PRIu32
                       " bytes, too few for an app descriptor of %d",
                       f->chip->name, f->segments[0].len, APP_DESC_LEN);
    return why_set(
        why, ERR_IMAGE_DESC,
        "this %s application has no app descriptor (magic 0x%08x at offset %d): it is older than ESP-IDF 3.2, "
        "or not built with ESP-IDF",
        f->chip->name, APP_DESC_MAGIC, APP_DESC_OFFSET);
}

enum err image_check_update(const struct image_facts *f, struct why *why)
{
    switch (f->kind) {
    case IMAGE_APP:
        return check_descriptor(f, why);
    case IMAGE_BOOTLOADER:
        return why_set(why, ERR_IMAGE_BOOTLOADER,
                       "this is a bootloader of %s (ESP-IDF %s), not an application: upload the "
                       "application's .bin",
                       f->chip->name, f->bootloader.idf_ver);
    case IMAGE_MERGED:
        return why_set(
            why, ERR_IMAGE_MERGED,
            "this is a merged flash dump, not an application: `pluvio flash split` takes the application out");
    case IMAGE_RAM:
        return why_set(why, ERR_IMAGE_BOOTLOADER,
                       "nothing in this image is mapped to flash: it is a bootloader or a RAM "
                       "application, not an update");
    case IMAGE_UNKNOWN:
        break;
    }
    return why_set(why, ERR_IMAGE_MAGIC, "this is not an ESP image");
}

static enum err check_slot(const struct image_facts *f, const struct image_target *t, struct why *why)
{
    if (t->slot_bytes > SLOT_MAX && !t->chip->takes_large_slots)
        return why_set(why, ERR_IMAGE_SLOT,
                       "the slot has 0x%" PRIx32 " bytes; the bootloader of %s reads 16 MB at most", t->slot_bytes,
                       t->chip->name);
    if (t->slot_bytes > 0 && f->image_len > UINT32_MAX - t->slot_at)
        return why_set(why, ERR_IMAGE_WRAPS, "an image of %" PRIu64 " bytes at 0x%" PRIx32 " passes the address space",
                       f->image_len, t->slot_at);
    return ERR_NONE;
}

static enum err check_revision(const struct image_facts *f, const struct image_target *t, struct why *why)
{
    unsigned have = t->chip_revision;
    bool has_max = f->max_chip_rev != 0 && f->max_chip_rev != REVISION_NOT_SET && f->kind == IMAGE_APP;
    if (have == IMAGE_REVISION_UNKNOWN)
        return ERR_NONE;
    if (have < f->min_chip_rev)
        return why_set(why, ERR_IMAGE_REVISION, "the image needs revision v%u.%u of %s or later, this chip is v%u.%u",
                       f->min_chip_rev / 100u, f->min_chip_rev % 100u, t->chip->name, have / 100, have % 100);
    if (has_max && have > f->max_chip_rev && !t->ignores_max_revision)
        return why_set(why, ERR_IMAGE_REVISION, "the image is for %s up to revision v%u.%u, this chip is v%u.%u",
                       t->chip->name, f->max_chip_rev / 100u, f->max_chip_rev % 100u, have / 100, have % 100);
    return ERR_NONE;
}

static enum err check_efuse_revision(const struct image_facts *f, const struct image_target *t, struct why *why)
{
    unsigned have = t->efuse_revision, most = f->app.max_efuse_rev;
    if (have == IMAGE_REVISION_UNKNOWN || !f->has_app_desc || f->chip_id == 0)
        return ERR_NONE;
    if (have < f->app.min_efuse_rev || (most != 0 && most != REVISION_NOT_SET && have > most))
        return why_set(why, ERR_IMAGE_EFUSE_REVISION,
                       "the image needs eFuse block revision v%u.%u to v%u.%u, this chip has v%u.%u",
                       f->app.min_efuse_rev / 100u, f->app.min_efuse_rev % 100u, most / 100, most % 100, have / 100,
                       have % 100);
    return ERR_NONE;
}

/* A segment that is neither mapped nor padding is copied to memory; it must end where addresses do. */
static enum err check_load(const struct image_facts *f, const struct image_target *t, struct why *why)
{
    for (unsigned i = 0; i < f->segments_read; i++) {
        uint32_t address = f->segments[i].address, len = f->segments[i].len;
        if (address >= RAM_FROM && !chip_maps(t->chip, address) && len > UINT32_MAX - address)
            return why_set(why, ERR_IMAGE_LOAD,
                           "segment %u loads %" PRIu32 " bytes at 0x%08" PRIx32 ", past the end of the address space",
                           i + 1, len, address);
    }
    return ERR_NONE;
}

uint64_t image_signed_len(const struct image_facts *f)
{
    if (f->trailing == TRAILING_SIGNATURE_V1)
        return f->image_len + 68;
    if (f->trailing == TRAILING_SIGNATURE_V2)
        return f->trailing_at + 4096;
    return f->image_len;
}

enum err image_check_target(const struct image_facts *f, const struct image_target *t, struct why *why)
{
    enum err err = check_slot(f, t, why);
    if (err == ERR_NONE && f->chip != t->chip)
        err = why_set(why, ERR_IMAGE_CHIP, "the image is for %s (chip id 0x%04x), this node is %s (0x%04x)",
                      f->chip->name, f->chip_id, t->chip->name, t->chip->id);
    if (err == ERR_NONE)
        err = check_revision(f, t, why);
    if (err == ERR_NONE)
        err = check_load(f, t, why);
    /* Chips that can use pages of several sizes read theirs from the descriptor. */
    if (err == ERR_NONE && f->kind == IMAGE_APP && (t->chip->pages & (t->chip->pages - 1)) != 0)
        err = check_descriptor(f, why);
    if (err == ERR_NONE)
        err = check_efuse_revision(f, t, why);
    if (err == ERR_NONE && t->slot_bytes > 0 && image_signed_len(f) > t->slot_bytes)
        err = why_set(why, ERR_IMAGE_TOO_LONG, "the image has %" PRIu64 " bytes, the slot %" PRIu32,
                      image_signed_len(f), t->slot_bytes);
    if (err == ERR_NONE && f->app.secure_version < t->secure_version)
        err = why_set(why, ERR_IMAGE_SECURE_VERSION,
                      "the image has secure version %" PRIu32 ", this node takes %" PRIu32 " or higher",
                      f->app.secure_version, t->secure_version);
    return err;
}
