/*
 * slot.h - verifies the image that lies in a slot, as the bootloader and esp_ota_end() do.
 *
 * Bytes after the image are never looked at: they are what an earlier, longer image left.
 */
#ifndef PLUVIO_BOOT_SLOT_H
#define PLUVIO_BOOT_SLOT_H

#include "flash/flash.h"
#include "image/image.h"

/* ERR_NONE when the slot holds a whole application for that chip. */
enum err slot_verify(struct stretch slot, uint16_t chip_id, struct image_facts *facts, struct why *why);

#endif
