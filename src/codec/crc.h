/*
 * crc.h - CRC-32 as ESP chips' ROM computes it: zlib's CRC continued from `init`.
 *
 * ESP-IDF starts otadata's and NVS's CRCs with 0xFFFFFFFF, Secure Boot v2's signature blocks with 0.
 */
#ifndef PLUVIO_CODEC_CRC_H
#define PLUVIO_CODEC_CRC_H

#include "base/bytes.h"

#define CRC32_ESP_INIT 0xffffffffu

/* Reflected polynomial 0xEDB88320, register complemented on entry and exit, so that calls may be chained. */
uint32_t crc32_of(uint32_t init, struct bytes data);

#endif
