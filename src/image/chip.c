#include "image/chip.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#define KB      *1024u
#define RSA     SCHEME_V2_RSA
#define ECDSA   SCHEME_V2_ECDSA
#define P64     64 KB
#define P8_64   (8 KB + 16 KB + 32 KB + 64 KB)
#define P16_64  (16 KB + 32 KB + 64 KB)
#define P32_256 (32 KB + 64 KB + 128 KB + 256 KB)

/* Its flash window is fixed; segments in it are not page-aligned. */
static const struct chip esp8266 = {CHIP_NONE, "ESP8266", "esp8266", 0x0, 0, 0, 0, 0, {{0x40200000, 0x40300000}}};

/* ESP-IDF's and esptool's tables; where they differ about a mapped range, their union. */
static const struct chip chips[] = {
    {0x0000,
     "ESP32",
     "esp32",
     0x1000,
     P64,
     SCHEME_V1 | RSA,
     32,
     0,
     {{0x400d0000, 0x40400000}, {0x3f400000, 0x3f800000}}},
    {0x0002, "ESP32-S2", "esp32s2", 0x1000, P64, RSA, 16, 0, {{0x40080000, 0x40b80000}, {0x3f000000, 0x3ff80000}}},
    {0x0005, "ESP32-C3", "esp32c3", 0x0, P64, RSA, 16, 0, {{0x42000000, 0x42800000}, {0x3c000000, 0x3c800000}}},
    {0x0009, "ESP32-S3", "esp32s3", 0x0, P64, RSA, 16, 1, {{0x42000000, 0x44000000}, {0x3c000000, 0x3e000000}}},
    {0x000c, "ESP32-C2", "esp32c2", 0x0, P16_64, ECDSA, 4, 0, {{0x42000000, 0x42400000}, {0x3c000000, 0x3c400000}}},
    {0x000d, "ESP32-C6", "esp32c6", 0x0, P8_64, RSA | ECDSA, 16, 0, {{0x42000000, 0x43000000}}},
    {0x0010, "ESP32-H2", "esp32h2", 0x0, P8_64, RSA | ECDSA, 16, 0, {{0x42000000, 0x43000000}}},
    {0x0012,
     "ESP32-P4",
     "esp32p4",
     0x2000,
     P64,
     RSA | ECDSA,
     16,
     1,
     {{0x40000000, 0x44000000}, {0x48000000, 0x4c000000}}},
    {0x0014, "ESP32-C61", "esp32c61", 0x0, P8_64, ECDSA, 16, 1, {{0x42000000, 0x44000000}}},
    {0x0017, "ESP32-C5", "esp32c5", 0x2000, P64, RSA | ECDSA, 9, 1, {{0x42000000, 0x44000000}}},
    {0x0019, "ESP32-H21", "esp32h21", 0x0, P8_64, RSA, 16, 0, {{0x42000000, 0x43000000}}},
    {0x001c, "ESP32-H4", "esp32h4", 0x2000, P8_64, 0, 16, 1, {{0x42000000, 0x44000000}}},
    {0x001f, "ESP32-E22", "esp32e22", 0x0, P64, 0, 0, 0, {{0x3c000000, 0x40000000}}},
    {0x0020,
     "ESP32-S31",
     "esp32s31",
     0x2000,
     P32_256,
     RSA,
     16,
     1,
     {{0x40000000, 0x44000000}, {0x50000000, 0x54000000}}},
    /* Names of early samples, still seen in old images. */
    {0x000a,
     "ESP32-H2 (beta)",
     "esp32h2beta1",
     0x0,
     P64,
     0,
     16,
     0,
     {{0x42000000, 0x42800000}, {0x3c000000, 0x3c800000}}},
    {0x000e,
     "ESP32-H2 (beta 2)",
     "esp32h2beta2",
     0x0,
     P64,
     0,
     16,
     0,
     {{0x42000000, 0x42800000}, {0x3c000000, 0x3c800000}}},
    {0x0011, "ESP32-C5 (beta 3)", "esp32c5beta3", 0x0, P8_64, 0, 16, 0, {{0x42000000, 0x44000000}}},
    {CHIP_LINUX, "Linux node", "linux", 0x1000, 0, SCHEME_V1 | RSA | ECDSA, 32, 1, {{0, 0}}},
};

#define CHIPS (sizeof chips / sizeof chips[0])

const struct chip *chip_find(uint16_t id)
{
    for (size_t i = 0; i < CHIPS; i++)
        if (chips[i].id == id)
            return &chips[i];
    return NULL;
}

const struct chip *chip_at(unsigned index)
{
    return index == 0 ? &esp8266 : index <= CHIPS ? &chips[index - 1] : NULL;
}

const struct chip *chip_find_name(const char *name)
{
    const struct chip *chip;
    for (unsigned i = 0; (chip = chip_at(i)) != NULL; i++)
        if (strcasecmp(chip->platform, name) == 0 || strcasecmp(chip->name, name) == 0)
            return chip;
    return NULL;
}

bool chip_maps(const struct chip *chip, uint32_t address)
{
    for (size_t i = 0; i < sizeof chip->mapped / sizeof chip->mapped[0]; i++)
        if (address >= chip->mapped[i].from && address < chip->mapped[i].to)
            return true;
    return false;
}

uint32_t chip_page(const struct chip *chip, uint8_t log2)
{
    if (log2 < 32 && (chip->pages & 1u << log2) != 0)
        return 1u << log2;
    return chip->pages & -chip->pages;
}

const struct chip *chip_esp8266(void)
{
    return &esp8266;
}

const char *chip_flash_size_text(const struct chip *chip, unsigned code)
{
    static const char *const sizes[] = {"1 MB", "2 MB", "4 MB", "8 MB", "16 MB", "32 MB", "64 MB", "128 MB"};
    static const char *const old[] = {"512 KB",    "256 KB",    "1 MB", "2 MB", "4 MB",
                                      "2 MB (c1)", "4 MB (c1)", "8 MB", "16 MB"};
    if (chip == &esp8266)
        return code < sizeof old / sizeof old[0] ? old[code] : "?";
    return code < sizeof sizes / sizeof sizes[0] ? sizes[code] : "?";
}

/* Codes 15, 0, 1 and 2, in this order. */
const char *chip_flash_speed_text(const struct chip *chip, unsigned code)
{
    static const char *const usual[] = {"80 MHz", "40 MHz", "26 MHz", "20 MHz"};
    static const struct {
        uint16_t id;
        const char *speeds[4];
    } others[] = {
        {0x000c, {"60 MHz", "30 MHz", "20 MHz", "15 MHz"}}, {0x0010, {"48 MHz", "24 MHz", "16 MHz", "12 MHz"}},
        {0x0019, {"48 MHz", "24 MHz", "16 MHz", "12 MHz"}}, {0x001c, {"48 MHz", "24 MHz", "16 MHz", "12 MHz"}},
        {0x0017, {"80 MHz", "40 MHz", "?", "20 MHz"}},      {0x0014, {"80 MHz", "40 MHz", "?", "20 MHz"}},
        {0x000d, {"?", "80 or 40 MHz", "?", "20 MHz"}},
    };
    const char *const *speeds = usual;
    unsigned index = (code + 1) & 15;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (others[i].id == chip->id)
            speeds = others[i].speeds;
    return index < 4 ? speeds[index] : "?";
}

const char *chip_flash_mode_text(unsigned code)
{
    static const char *const modes[] = {"QIO", "QOUT", "DIO", "DOUT", "FAST_READ", "SLOW_READ"};
    return code < sizeof modes / sizeof modes[0] ? modes[code] : "?";
}
