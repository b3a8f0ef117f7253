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

/* Signature schemes that a chip's boot ROM or bootloader takes, as bits. */
enum { SCHEME_V1 = 1, SCHEME_V2_RSA = 2, SCHEME_V2_ECDSA = 4 };

struct chip {
    uint16_t id;
    const char *name;           /* "ESP32-C3" */
    const char *platform;       /* ESP-IDF's target name, as nodes report it: "esp32c3" */
    uint32_t bootloader_offset; /* where the second-stage bootloader lies in flash */
    uint32_t pages;             /* MMU page sizes it can use, as the sum of them; 0: not mapped in pages */
    uint8_t schemes;            /* Secure Boot schemes, SCHEME_ bits; 0: none, or not known */
    uint8_t secure_versions;    /* bits of the eFuse that counts secure versions; 0: none */
    bool takes_large_slots;     /* slots of more than 16 MB are allowed */
    struct {
        uint32_t from, to; /* addresses mapped to flash, end exclusive; from == to ends the list */
    } mapped[2];
};

/* NULL for an id that no chip has. */
const struct chip *chip_find(uint16_t id);

/* By ESP-IDF's target name or by its display name, in any case; NULL when none has it. */
const struct chip *chip_find_name(const char *name);

/* The n-th chip in the order of the table, ESP8266 first; NULL past the end. */
const struct chip *chip_at(unsigned index);

bool chip_maps(const struct chip *chip, uint32_t address);

/* The MMU page to judge by: 2^log2 when the chip has such pages, else its smallest, because older images do not say
 * theirs.  0 for chips without pages. */
uint32_t chip_page(const struct chip *chip, uint8_t log2);

/* The ESP8266, which has no id. */
const struct chip *chip_esp8266(void);

/* What the header's flash byte says: "4 MB", "80 MHz"; "?" for a code that the chip does not have. */
const char *chip_flash_size_text(const struct chip *chip, unsigned code);
const char *chip_flash_speed_text(const struct chip *chip, unsigned code);
const char *chip_flash_mode_text(unsigned code);

#endif
