/*
 * sdkconfig.h - the options an ordinary RainMaker application is built with.
 *
 * An application that wants others has a sdkconfig.h of its own, in a folder that is searched before this one; that is
 * why headers include it in angle brackets, which do not look beside the header first.
 */
#ifndef PLUVIO_ESP_SDKCONFIG_H
#define PLUVIO_ESP_SDKCONFIG_H

#define CONFIG_IDF_TARGET                              "linux"
#define CONFIG_IDF_TARGET_LINUX                        1
#define CONFIG_IDF_FIRMWARE_CHIP_ID                    0x4c50
#define CONFIG_FREERTOS_HZ                             1000
#define CONFIG_PARTITION_TABLE_OFFSET                  0x8000
#define CONFIG_BOOTLOADER_OFFSET_IN_FLASH              0x0
#define CONFIG_LOG_DEFAULT_LEVEL                       3
#define CONFIG_APP_RETRIEVE_LEN_ELF_SHA                9
#define CONFIG_ESP_TASK_WDT_TIMEOUT_S                  5
#define CONFIG_ESP_MAIN_TASK_STACK_SIZE                3584
#define CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE          1
#define CONFIG_ESP_RMAKER_OTA_AUTOFETCH                1
#define CONFIG_ESP_RMAKER_OTA_TIME_SUPPORT             1
#define CONFIG_ESP_RMAKER_HTTP_OTA_RESUMPTION          1
#define CONFIG_ESP_RMAKER_USE_CERT_BUNDLE              1
#define CONFIG_ESP_RMAKER_CMD_RESP_ENABLE              1
#define CONFIG_ESP_RMAKER_MQTT_USE_BASIC_INGEST_TOPICS 1
#define CONFIG_ESP_RMAKER_MQTT_ENABLE_BUDGETING        1
#define CONFIG_ESP_RMAKER_MQTT_SEND_USERNAME           1

#endif
