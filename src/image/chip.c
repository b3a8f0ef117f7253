#include "image/chip.h"

#include <stddef.h>
#include <string.h>

#define KB *1024u

static const struct chip chips[] = {
    {0x0000, "ESP32", "esp32", 0x1000, 64 KB, {{0x400d0000, 0x40400000}, {0x3f400000, 0x3f800000}}},
    {0x0002, "ESP32-S2", "esp32s2", 0x1000, 64 KB, {{0x40080000, 0x40b80000}, {0x3f000000, 0x3ff80000}}},
    {0x0005, "ESP32-C3", "esp32c3", 0x0, 64 KB, {{0x42000000, 0x42800000}, {0x3c000000, 0x3c800000}}},
    {0x0009, "ESP32-S3", "esp32s3", 0x0, 64 KB, {{0x42000000, 0x44000000}, {0x3c000000, 0x3e000000}}},
    {0x000c, "ESP32-C2", "esp32c2", 0x0, 16 KB, {{0x42000000, 0x42400000}, {0x3c000000, 0x3c400000}}},
    {0x000d, "ESP32-C6", "esp32c6", 0x0, 8 KB, {{0x42000000, 0x43000000}}},
    {0x0010, "ESP32-H2", "esp32h2", 0x0, 8 KB, {{0x42000000, 0x43000000}}},
    {0x0012, "ESP32-P4", "esp32p4", 0x2000, 64 KB, {{0x40000000, 0x44000000}, {0x48000000, 0x4c000000}}},
    {0x0014, "ESP32-C61", "esp32c61", 0x0, 8 KB, {{0x42000000, 0x44000000}}},
    {0x0017, "ESP32-C5", "esp32c5", 0x2000, 64 KB, {{0x42000000, 0x44000000}}},
    {0x0019, "ESP32-H21", "esp32h21", 0x0, 8 KB, {{0x42000000, 0x43000000}}},
    {0x001c, "ESP32-H4", "esp32h4", 0x2000, 8 KB, {{0x42000000, 0x44000000}}},
    {0x001f, "ESP32-E22", "esp32e22", 0x0, 64 KB, {{0x3c000000, 0x40000000}}},
    {0x0020, "ESP32-S31", "esp32s31", 0x2000, 32 KB, {{0x40000000, 0x44000000}, {0x50000000, 0x54000000}}},
    /* Names of early samples, still seen in old images. */
    {0x000a, "ESP32-H2 (beta)", "esp32h2beta1", 0x0, 64 KB, {{0x42000000, 0x42800000}, {0x3c000000, 0x3c800000}}},
    {0x000e, "ESP32-H2 (beta 2)", "esp32h2beta2", 0x0, 64 KB, {{0x42000000, 0x42800000}, {0x3c000000, 0x3c800000}}},
    {0x0011, "ESP32-C5 (beta 3)", "esp32c5beta3", 0x0, 8 KB, {{0x42000000, 0x44000000}}},
    {CHIP_LINUX, "Linux node", "linux", 0x1000, 0, {{0, 0}}},
};

/* Its flash window is fixed; segments in it are not page-aligned. */
static const struct chip esp8266 = {CHIP_NONE, "ESP8266", "esp8266", 0x0, 0, {{0x40200000, 0x40300000}}};

const struct chip *chip_find(uint16_t id)
{
    for (size_t i = 0; i < sizeof chips / sizeof chips[0]; i++)
        if (chips[i].id == id)
            return &chips[i];
    return NULL;
}

bool chip_maps(const struct chip *chip, uint32_t address)
{
    for (size_t i = 0; i < sizeof chip->mapped / sizeof chip->mapped[0] && chip->mapped[i].from < chip->mapped[i].to;
         i++)
        if (address >= chip->mapped[i].from && address < chip->mapped[i].to)
            return true;
    return false;
}

const struct chip *chip_esp8266(void)
{
    return &esp8266;
}
