#include "base/text.h"
#include "image/image.h"

#include <string.h>

bool app_desc_read(struct app_desc *desc, const uint8_t raw[static APP_DESC_LEN])
{
    if (get_u32(raw) != APP_DESC_MAGIC)
        return false;
    *desc = (struct app_desc){
        .secure_version = get_u32(raw + 4),
        .min_efuse_rev = get_u16(raw + 176),
        .max_efuse_rev = get_u16(raw + 178),
        .mmu_page_log2 = raw[180],
        .spi_mode = raw[181],
    };
    text_copy_field(desc->version, sizeof desc->version, raw + 16, 32);
    text_copy_field(desc->project_name, sizeof desc->project_name, raw + 48, 32);
    text_copy_field(desc->time, sizeof desc->time, raw + 80, 16);
    text_copy_field(desc->date, sizeof desc->date, raw + 96, 16);
    text_copy_field(desc->idf_ver, sizeof desc->idf_ver, raw + 112, 32);
    memcpy(desc->elf_sha256, raw + 144, sizeof desc->elf_sha256);
    return true;
}

const char *image_layout_text(enum image_layout layout)
{
    static const char *const texts[] = {"ESP32 family", "ESP8266 V1 (boot ROM)", "ESP8266 V2 (NonOS SDK, OTA)",
                                        "ESP8266 V3 (RTOS SDK)"};
    return texts[layout];
}

const char *image_kind_text(enum image_kind kind)
{
    static const char *const texts[] = {"unknown", "application", "bootloader", "RAM image", "merged flash dump"};
    return texts[kind];
}

const char *image_trailing_text(enum image_trailing trailing)
{
    static const char *const texts[] = {
        "nothing",
        "erased flash (0xff)",
        "a signature (Secure Boot v1)",
        "a signature sector (Secure Boot v2)",
        "segments that its header does not count (Zephyr, NuttX or MCUboot simple boot)",
        "other data"};
    return texts[trailing];
}

/* Files that people take for images by mistake. */
const char *image_guess(struct bytes head)
{
    static const struct {
        const char *magic;
        unsigned len;
        const char *text;
    } rows[] = {
        {"\x7f"
         "ELF",
         4, "an ELF file: make the image with `esptool elf2image` or `idf.py build`, it lies beside as .bin"},
        {"\xaa\x50", 2, "a partition table: `pluvio partition show` explains it"},
        {"\xcf\xb6\x88\x07", 4, "an encrypted image: `pluvio image decrypt` opens it with the device's key"},
        {"\x10\xde\xcd\xfc", 4, "a delta patch (esp_delta_ota), which only fits the image that it was made from"},
        {"\x3d\xb8\xf3\x96", 4, "an MCUboot image, which ESP-IDF's bootloader does not load"},
        {"\xe7\x02", 2, "a Secure Boot v2 signature sector without its image"},
        {"\xe7\x03", 2, "a Secure Boot v2 signature sector without its image"},
        {"\xfe\xff\xff\xff", 4, "an NVS partition: `pluvio nvs show` explains it"},
        {"\xfc\xff\xff\xff", 4, "an NVS partition: `pluvio nvs show` explains it"},
        {"UF2\n", 4, "a UF2 file: take the .bin instead"},
        {":", 1, "an Intel HEX file: take the .bin instead"},
        {"-----BEGIN", 10, "a PEM file, a key or a certificate"},
        {"PK\x03\x04", 4, "a ZIP archive: unpack it first"},
        {"\x1f\x8b", 2, "a gzip file: unpack it first"},
        {"\xff\xff\xff\xff", 4, "erased flash, or a dump that starts with it"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (head.len >= rows[i].len && memcmp(head.at, rows[i].magic, rows[i].len) == 0)
            return rows[i].text;
    return NULL;
}
