/*
 * slot.h - verifies the image that lies in a slot, as the bootloader and esp_ota_end() do.
 *
 * Bytes after the image are never looked at: they are what an earlier, longer image left.  Document: ESP-IDF's
 * esp_image_verify; signatures as its secure_boot_v2.
 */
#ifndef PLUVIO_BOOT_SLOT_H
#define PLUVIO_BOOT_SLOT_H

#include "flash/flash.h"
#include "image/image.h"
#include "image/signature.h"

/* What an image is measured by. */
struct slot_rules {
    const struct chip *chip;
    uint16_t chip_revision, efuse_revision; /* IMAGE_REVISION_UNKNOWN: not compared */
    uint32_t secure_version;                /* the floor; 0: everything passes */
    bool needs_signature;                   /* a Secure Boot v2 signature by one of the trusted keys */
    struct key_digest trusted[SIGNATURE_BLOCKS_MAX];
    unsigned trusted_count;
    unsigned blocks; /* how many signature blocks are looked at: 1 on ESP32, and where the running image is the trust */
};

/* ERR_NONE when the slot holds a whole application for that chip, signed when that is asked for. */
enum err slot_verify(struct stretch slot, const struct slot_rules *rules, struct image_facts *facts, struct why *why);

/* The same for any kind of image, the bootloader's too. */
enum err slot_verify_any(struct stretch slot, const struct slot_rules *rules, struct image_facts *facts,
                         struct why *why);

/* Reads the key digests of the signature blocks that follow a slot's image, at most `most`; 0 when it is not signed. */
unsigned slot_signers(struct stretch slot, const struct image_facts *facts, struct key_digest *to, unsigned most);

#endif
