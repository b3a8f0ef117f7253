/* Options of the test agent; its variants come as definitions of the build. */
#ifndef AGENT_SDKCONFIG_H
#define AGENT_SDKCONFIG_H

#define CONFIG_IDF_TARGET                              "linux"
#define CONFIG_IDF_TARGET_LINUX                        1
#define CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE          1
#define CONFIG_ESP_RMAKER_OTA_AUTOFETCH                1
#define CONFIG_ESP_RMAKER_OTA_TIME_SUPPORT             1
#define CONFIG_ESP_RMAKER_HTTP_OTA_RESUMPTION          1
#define CONFIG_ESP_RMAKER_USE_CERT_BUNDLE              1
#define CONFIG_ESP_RMAKER_CMD_RESP_ENABLE              1
#define CONFIG_ESP_RMAKER_MQTT_USE_BASIC_INGEST_TOPICS 1
#define CONFIG_ESP_RMAKER_MQTT_ENABLE_BUDGETING        1
#define CONFIG_ESP_RMAKER_MQTT_SEND_USERNAME           1
#define CONFIG_ESP_RMAKER_OTA_ROLLBACK_WAIT_PERIOD     30
#ifdef AGENT_STREAM
#define CONFIG_ESP_RMAKER_OTA_USE_MQTT            1
#define CONFIG_ESP_RMAKER_MQTT_OTA_BLOCK_WAIT_SEC 5
#endif

#endif
