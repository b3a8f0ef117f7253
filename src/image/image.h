/*
 * image.h - ESP application and bootloader images: what is in the bytes, and whether they are whole.
 *
 * A push reader: bytes go in as they come, in chunks of any size; it keeps one header, the descriptors and a hash
 * state, never the image.
 *
 *     struct image_reader r;
 *     image_reader_init(&r, 0);
 *     while (more) image_reader_push(&r, chunk);
 *     enum err verdict = image_reader_finish(&r, &facts, why);
 *
 * Promises: the verdict does not depend on how the bytes were cut; after a broken rule the facts still tell what was
 * read before it.  Rules and layouts: ESP-IDF's application image format and esptool's ESP8266 formats.
 * Does not know slots (flash), selection (boot) or signatures' validity.
 */
#ifndef PLUVIO_IMAGE_IMAGE_H
#define PLUVIO_IMAGE_IMAGE_H

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/digest.h"
#include "image/chip.h"

#define IMAGE_MAGIC             0xe9
#define IMAGE_HEADER_LEN        24
#define IMAGE_SEGMENT_HEADER    8
#define IMAGE_SEGMENTS_MAX      16
#define IMAGE_SEGMENT_BYTES_MAX 0x1000000u /* 16 MB, the bootloader's limit for one segment */
#define IMAGE_CHECKSUM_SEED     0xef
#define APP_DESC_LEN            256
#define APP_DESC_MAGIC          0xabcd5432u
#define APP_DESC_OFFSET         32 /* of ESP32-family images: image header + one segment header */
#define BOOT_DESC_LEN           80
#define BOOT_DESC_MAGIC         0x50

enum image_layout { IMAGE_ESP32, IMAGE_ESP8266_V1, IMAGE_ESP8266_V2, IMAGE_ESP8266_V3 };

enum image_kind {
    IMAGE_UNKNOWN,
    IMAGE_APP,
    IMAGE_BOOTLOADER, /* has a bootloader descriptor */
    IMAGE_RAM,        /* nothing of it is mapped to flash: a bootloader without descriptor, or a RAM application */
    IMAGE_MERGED,     /* a flash dump that holds bootloader and partition table */
};

/* What follows the image in its file.  TRAILING_SEGMENTS: flash-mapped segments that the header does not count, as
 * Zephyr's and NuttX's simple boot images and MCUboot's ports have them. */
enum image_trailing {
    TRAILING_NONE,
    TRAILING_ERASED,
    TRAILING_SIGNATURE_V1,
    TRAILING_SIGNATURE_V2,
    TRAILING_SEGMENTS,
    TRAILING_OTHER
};

/* The application descriptor (esp_app_desc_t), strings terminated and printable. */
struct app_desc {
    uint32_t secure_version;
    char version[33], project_name[33], time[17], date[17], idf_ver[33];
    uint8_t elf_sha256[32];
    uint16_t min_efuse_rev, max_efuse_rev;
    uint8_t mmu_page_log2; /* 0: not said */
    uint8_t spi_mode;      /* since ESP-IDF 6.1; 0: not said */
};

struct image_facts {
    enum image_layout layout;
    enum image_kind kind;
    const struct chip *chip; /* NULL: unknown id */
    uint16_t chip_id;        /* CHIP_NONE on ESP8266 */
    uint8_t spi_mode, spi_speed, spi_size, segment_count;
    uint16_t min_chip_rev, max_chip_rev; /* major * 100 + minor; 0 and 65535 as maximum mean not set */
    uint32_t entry;
    struct {
        uint32_t address, len, at; /* load address, data length, offset of the data in the file */
    } segments[IMAGE_SEGMENTS_MAX + 1];
    uint8_t segments_read; /* how many of them are filled; an ESP8266 V2 image has its irom segment first */
    bool has_app_desc, has_boot_desc;
    struct app_desc app;
    struct {
        uint32_t version;
        char idf_ver[33], date_time[25];
        uint8_t secure_version;
    } bootloader;
    uint8_t checksum_stored, checksum_computed;
    bool has_digest;                 /* a SHA-256 is appended */
    uint8_t digest[SHA256_LEN];      /* as stored when has_digest, else all 0 */
    uint64_t image_len, file_len;    /* bytes of the image itself, and of the whole file */
    uint8_t file_sha256[SHA256_LEN]; /* over the whole file */
    uint8_t file_md5[MD5_LEN];       /* when IMAGE_WANT_MD5 was given, else all 0 */
    enum image_trailing trailing;
    uint64_t trailing_at; /* where the first byte after the image that is not 0xff lies; 0: none */
    uint32_t table_at;    /* IMAGE_MERGED: where the partition table lies in the file */
};

/* Options of a reader. */
enum {
    IMAGE_WANT_MD5 = 1,   /* the file's MD5 too, which costs as much again as the SHA-256 */
    IMAGE_IS_ESP8266 = 2, /* the file is known to be one: its 8-byte header can look like an ESP32's */
};

#define IMAGE_TABLE_RECORD 32 /* of a partition table, looked for in merged dumps */

struct image_reader {
    struct image_facts facts;
    enum { R_HEAD, R_SEGMENT_HEADER, R_DATA, R_SECOND_HEAD, R_TAIL, R_HASH, R_CRC, R_TRAILING, R_BROKEN } state;
    unsigned options;
    struct digest hash, md5;
    uint8_t collect[IMAGE_HEADER_LEN]; /* the structure being gathered */
    uint32_t collected, wanted;
    uint8_t desc[APP_DESC_LEN];          /* first bytes of the segment being read */
    uint8_t computed[SHA256_LEN];        /* of the image, once its checksum byte is past */
    uint8_t after[IMAGE_SEGMENT_HEADER]; /* first bytes after the image */
    uint8_t record[IMAGE_TABLE_RECORD];  /* what may be a partition table's first record */
    uint32_t data_left, crc;
    uint64_t at;
    uint8_t magic_at_0, magic_at_1000, magic_at_2000;
    bool is_v2_irom_done, is_replaying;
    uint64_t broken_at; /* how far reading came when a rule broke */
    enum err verdict;
    struct why why;
    uint8_t segments_expected;
};

/* `options`: IMAGE_ values above, or 0. */
void image_reader_init(struct image_reader *r, unsigned options);

/* Returns ERR_NONE while nothing is wrong, the broken rule's code from then on; the rest may still be pushed, so that
 * the file's own digests are complete. */
enum err image_reader_push(struct image_reader *r, struct bytes chunk);

/* True when the image has ended or a rule is broken: more bytes cannot change the verdict on the image. */
bool image_reader_is_done(const struct image_reader *r);

/* Ends the file.  Fills `facts` in any case; returns the verdict on wholeness.  Must be called once after init. */
enum err image_reader_finish(struct image_reader *r, struct image_facts *facts, struct why *why);

/* The whole file at once. */
enum err image_read(struct bytes file, unsigned options, struct image_facts *facts, struct why *why);

/* Whether a whole image may be sent to nodes as an update: an application with a descriptor, not a bootloader, RAM or
 * merged image. */
enum err image_check_update(const struct image_facts *facts, struct why *why);

#define IMAGE_REVISION_UNKNOWN 0xffff

/* Where an image is to run. */
struct image_target {
    const struct chip *chip;
    uint16_t chip_revision, efuse_revision; /* major * 100 + minor; IMAGE_REVISION_UNKNOWN: not compared */
    uint32_t slot_at, slot_bytes;           /* slot_bytes 0: not compared */
    uint32_t secure_version;                /* of the node's eFuse; 0: everything passes */
    bool ignores_max_revision;              /* its eFuse says so */
};

/* Whether a whole image runs there, by the bootloader's rules in their order: chip, revisions, load addresses,
 * descriptor, length, secure version.  Signatures are checked by `image/signature.h`. */
enum err image_check_target(const struct image_facts *facts, const struct image_target *target, struct why *why);

/* The image with the signature that follows it, padding included. */
uint64_t image_signed_len(const struct image_facts *facts);

/* Reads the 256 bytes; false when the magic is missing. */
bool app_desc_read(struct app_desc *desc, const uint8_t raw[static APP_DESC_LEN]);

/* What a file that is no ESP image seems to be, from its first bytes ("an ELF file: ..."); NULL when nothing is known.
 */
const char *image_guess(struct bytes head);

const char *image_layout_text(enum image_layout layout);
const char *image_kind_text(enum image_kind kind);
const char *image_trailing_text(enum image_trailing trailing);

#endif
