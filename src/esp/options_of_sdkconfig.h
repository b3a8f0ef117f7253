/*
 * options_of_sdkconfig.h - ESP_OPTIONS_OF_SDKCONFIG: the options of the sdkconfig.h that is found first.
 *
 * ESP-IDF leaves options that are off undefined, and some builds define them as 0.
 */
#ifndef PLUVIO_ESP_OPTIONS_OF_SDKCONFIG_H
#define PLUVIO_ESP_OPTIONS_OF_SDKCONFIG_H

#include <sdkconfig.h>

#include "esp/options.h"

/* 1 for an option that is defined as 1, 0 for one that is not defined or 0. */
#define OPTION_SECOND(a, b, ...) b
#define OPTION_PICK(...)         OPTION_SECOND(__VA_ARGS__)
#define OPTION_TEST(value)       OPTION_PASTE(value)
#define OPTION_PASTE(value)      OPTION_PICK(OPTION_IS_##value 1, 0, 0)
#define OPTION_IS_1              ,
#define OPTION_ON(name)          OPTION_TEST(name)

#ifndef CONFIG_ESP_TASK_WDT_TIMEOUT_S
#define CONFIG_ESP_TASK_WDT_TIMEOUT_S 5
#endif
#ifndef CONFIG_ESP_HTTPS_OTA_EVENT_POST_TIMEOUT
#define CONFIG_ESP_HTTPS_OTA_EVENT_POST_TIMEOUT 2000
#endif
#ifndef CONFIG_APP_RETRIEVE_LEN_ELF_SHA
#define CONFIG_APP_RETRIEVE_LEN_ELF_SHA 9
#endif
#ifndef CONFIG_LOG_DEFAULT_LEVEL
#define CONFIG_LOG_DEFAULT_LEVEL 3
#endif

#define ESP_OPTIONS_OF_SDKCONFIG                                                                                       \
    {                                                                                                                  \
        .has_rollback = OPTION_ON(CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE),                                              \
        .has_anti_rollback = OPTION_ON(CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK),                                           \
        .is_signed_on_update = OPTION_ON(CONFIG_SECURE_SIGNED_ON_UPDATE_NO_SECURE_BOOT),                               \
        .has_signed_data = OPTION_ON(CONFIG_SECURE_SIGNED_DATA_PARTITION),                                             \
        .allows_http = OPTION_ON(CONFIG_ESP_HTTPS_OTA_ALLOW_HTTP),                                                     \
        .has_decrypt_cb = OPTION_ON(CONFIG_ESP_HTTPS_OTA_DECRYPT_CB),                                                  \
        .has_partial = OPTION_ON(CONFIG_ESP_HTTPS_OTA_ENABLE_PARTIAL_DOWNLOAD),                                        \
        .wdt_panics = OPTION_ON(CONFIG_ESP_TASK_WDT_PANIC), .wdt_timeout_s = CONFIG_ESP_TASK_WDT_TIMEOUT_S,            \
        .event_post_ms = CONFIG_ESP_HTTPS_OTA_EVENT_POST_TIMEOUT, .sha_characters = CONFIG_APP_RETRIEVE_LEN_ELF_SHA,   \
        .log_level = CONFIG_LOG_DEFAULT_LEVEL                                                                          \
    }

#endif
