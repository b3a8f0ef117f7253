/*
 * esp_log.h - log lines in ESP-IDF's form: level (milliseconds since boot) tag: text.
 */
#ifndef PLUVIO_ESP_ESP_LOG_H
#define PLUVIO_ESP_ESP_LOG_H

#include <sdkconfig.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>

typedef enum {
    ESP_LOG_NONE = 0,
    ESP_LOG_ERROR = 1,
    ESP_LOG_WARN = 2,
    ESP_LOG_INFO = 3,
    ESP_LOG_DEBUG = 4,
    ESP_LOG_VERBOSE = 5,
    ESP_LOG_MAX = 6
} esp_log_level_t;

typedef int (*vprintf_like_t)(const char *, va_list);

/* What a source file compiles in; a file may set it before the include. */
#ifndef LOG_LOCAL_LEVEL
#ifdef CONFIG_LOG_MAXIMUM_LEVEL
#define LOG_LOCAL_LEVEL CONFIG_LOG_MAXIMUM_LEVEL
#else
#define LOG_LOCAL_LEVEL ESP_LOG_VERBOSE
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Lines above the level are not shown; `tag` "*" sets every tag's. */
void esp_log_level_set(const char *tag, esp_log_level_t level);
esp_log_level_t esp_log_level_get(const char *tag);
/* Lines go through this function from now on; returns the one before. */
vprintf_like_t esp_log_set_vprintf(vprintf_like_t func);
uint32_t esp_log_timestamp(void);
uint32_t esp_log_early_timestamp(void);
char *esp_log_system_timestamp(void);
/* The text as it is, without level and tag before it. */
void esp_log_write(esp_log_level_t level, const char *tag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void esp_log_writev(esp_log_level_t level, const char *tag, const char *format, va_list args);
/* A whole line: what the macros call. */
void esp_log_line(esp_log_level_t level, const char *tag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void esp_log_buffer_hex_internal(const char *tag, const void *buffer, uint16_t buff_len, esp_log_level_t level);
void esp_log_buffer_char_internal(const char *tag, const void *buffer, uint16_t buff_len, esp_log_level_t level);
void esp_log_buffer_hexdump_internal(const char *tag, const void *buffer, uint16_t buff_len, esp_log_level_t level);

#ifdef __cplusplus
}
#endif

#define ESP_LOG_LEVEL(level, tag, format, ...) esp_log_line(level, tag, format, ##__VA_ARGS__)
#define ESP_LOG_LEVEL_LOCAL(level, tag, format, ...)                                                                   \
    do {                                                                                                               \
        if (LOG_LOCAL_LEVEL >= (level))                                                                                \
            ESP_LOG_LEVEL(level, tag, format, ##__VA_ARGS__);                                                          \
    } while (0)
#define ESP_LOGE(tag, format, ...) ESP_LOG_LEVEL_LOCAL(ESP_LOG_ERROR, tag, format, ##__VA_ARGS__)
#define ESP_LOGW(tag, format, ...) ESP_LOG_LEVEL_LOCAL(ESP_LOG_WARN, tag, format, ##__VA_ARGS__)
#define ESP_LOGI(tag, format, ...) ESP_LOG_LEVEL_LOCAL(ESP_LOG_INFO, tag, format, ##__VA_ARGS__)
#define ESP_LOGD(tag, format, ...) ESP_LOG_LEVEL_LOCAL(ESP_LOG_DEBUG, tag, format, ##__VA_ARGS__)
#define ESP_LOGV(tag, format, ...) ESP_LOG_LEVEL_LOCAL(ESP_LOG_VERBOSE, tag, format, ##__VA_ARGS__)

#define ESP_EARLY_LOGE ESP_LOGE
#define ESP_EARLY_LOGW ESP_LOGW
#define ESP_EARLY_LOGI ESP_LOGI
#define ESP_EARLY_LOGD ESP_LOGD
#define ESP_EARLY_LOGV ESP_LOGV
#define ESP_DRAM_LOGE  ESP_LOGE
#define ESP_DRAM_LOGW  ESP_LOGW
#define ESP_DRAM_LOGI  ESP_LOGI
#define ESP_DRAM_LOGD  ESP_LOGD
#define ESP_DRAM_LOGV  ESP_LOGV

#define ESP_LOG_BUFFER_HEX_LEVEL(tag, buffer, len, level)                                                              \
    do {                                                                                                               \
        if (LOG_LOCAL_LEVEL >= (level))                                                                                \
            esp_log_buffer_hex_internal(tag, buffer, len, level);                                                      \
    } while (0)
#define ESP_LOG_BUFFER_CHAR_LEVEL(tag, buffer, len, level)                                                             \
    do {                                                                                                               \
        if (LOG_LOCAL_LEVEL >= (level))                                                                                \
            esp_log_buffer_char_internal(tag, buffer, len, level);                                                     \
    } while (0)
#define ESP_LOG_BUFFER_HEXDUMP(tag, buffer, len, level)                                                                \
    do {                                                                                                               \
        if (LOG_LOCAL_LEVEL >= (level))                                                                                \
            esp_log_buffer_hexdump_internal(tag, buffer, len, level);                                                  \
    } while (0)
#define ESP_LOG_BUFFER_HEX(tag, buffer, len)  ESP_LOG_BUFFER_HEX_LEVEL(tag, buffer, len, ESP_LOG_INFO)
#define ESP_LOG_BUFFER_CHAR(tag, buffer, len) ESP_LOG_BUFFER_CHAR_LEVEL(tag, buffer, len, ESP_LOG_INFO)

#endif
