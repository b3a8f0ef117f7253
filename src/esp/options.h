/*
 * options.h - the options of a firmware's sdkconfig.h that this room's code asks for at run time.
 *
 * The room is compiled once; every firmware brings its own sdkconfig.h, from which ESP_OPTIONS makes a value.
 */
#ifndef PLUVIO_ESP_OPTIONS_H
#define PLUVIO_ESP_OPTIONS_H

#include <stdbool.h>

struct esp_options {
    bool has_rollback;        /* CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE */
    bool has_anti_rollback;   /* CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK */
    bool is_signed_on_update; /* CONFIG_SECURE_SIGNED_ON_UPDATE_NO_SECURE_BOOT: the running image's keys are trusted */
    bool has_signed_data;     /* CONFIG_SECURE_SIGNED_DATA_PARTITION */
    bool allows_http;         /* CONFIG_ESP_HTTPS_OTA_ALLOW_HTTP */
    bool has_decrypt_cb;      /* CONFIG_ESP_HTTPS_OTA_DECRYPT_CB */
    bool has_partial;         /* CONFIG_ESP_HTTPS_OTA_ENABLE_PARTIAL_DOWNLOAD */
    bool wdt_panics;          /* CONFIG_ESP_TASK_WDT_PANIC */
    int wdt_timeout_s;        /* CONFIG_ESP_TASK_WDT_TIMEOUT_S */
    int event_post_ms;        /* CONFIG_ESP_HTTPS_OTA_EVENT_POST_TIMEOUT */
    int sha_characters;       /* CONFIG_APP_RETRIEVE_LEN_ELF_SHA */
    int log_level;            /* CONFIG_LOG_DEFAULT_LEVEL */
};

/* With everything at ESP-IDF's defaults, but for rollback, which OTA without makes little sense. */
#define ESP_OPTIONS_DEFAULT                                                                                            \
    {                                                                                                                  \
        .has_rollback = true, .wdt_timeout_s = 5, .event_post_ms = 2000, .sha_characters = 9, .log_level = 3,          \
        .has_partial = true                                                                                            \
    }

#endif
