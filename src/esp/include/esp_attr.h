/*
 * esp_attr.h - placement attributes, which mean nothing here (ESP-IDF 5.5).
 */
#ifndef PLUVIO_ESP_ESP_ATTR_H
#define PLUVIO_ESP_ESP_ATTR_H

#define IRAM_ATTR
#define DRAM_ATTR
#define RTC_DATA_ATTR
#define RTC_IRAM_ATTR
#define RTC_RODATA_ATTR
#define RTC_NOINIT_ATTR
#define RTC_SLOW_ATTR
#define RTC_FAST_ATTR
#define DMA_ATTR
#define WORD_ALIGNED_ATTR __attribute__((aligned(4)))
#define EXT_RAM_BSS_ATTR
#define NOINLINE_ATTR     __attribute__((noinline))
#define FORCE_INLINE_ATTR static inline __attribute__((always_inline))
#define __NOINIT_ATTR
#define DRAM_STR(str) (str)

#endif
