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
