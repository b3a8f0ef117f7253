#include "image/image.h"

#include <string.h>

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
