/*
 * chip.h - the chips that an ESP image can name, and what differs between their images.
 */
#ifndef PLUVIO_IMAGE_CHIP_H
#define PLUVIO_IMAGE_CHIP_H

#include <stdbool.h>
#include <stdint.h>

/* Our own id for nodes that run on Linux.  Its low byte is no chip's id either, because esptool looks at that byte
 * alone.  Written into images, never renumber. */
#define CHIP_LINUX 0x4c50

#define CHIP_NONE 0xffff /* ESP8266 images carry no chip id */

struct chip {
    uint16_t id;
    const char *name;           /* "ESP32-C3" */
    const char *platform;       /* ESP-IDF's target name, as nodes report it: "esp32c3" */
    uint32_t bootloader_offset; /* where the second-stage bootloader lies in flash */
    uint32_t page_bytes;        /* smallest MMU page that its flash-mapped segments may be aligned to; 0: not mapped */
    struct {
        uint32_t from, to; /* addresses mapped to flash, end exclusive; from == to ends the list */
    } mapped[3];
};

/* NULL for an id that no chip has. */
const struct chip *chip_find(uint16_t id);
bool chip_maps(const struct chip *chip, uint32_t address);

/* The ESP8266, which has no id. */
const struct chip *chip_esp8266(void);

#endif
