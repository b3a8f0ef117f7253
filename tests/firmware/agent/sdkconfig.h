/* Options of the test agent: the defaults, and a short trial; its variants come as definitions of the build. */
#ifndef AGENT_SDKCONFIG_H
#define AGENT_SDKCONFIG_H

#include_next <sdkconfig.h>

#define CONFIG_ESP_RMAKER_OTA_ROLLBACK_WAIT_PERIOD 30
#ifdef AGENT_STREAM
#define CONFIG_ESP_RMAKER_OTA_USE_MQTT            1
#define CONFIG_ESP_RMAKER_MQTT_OTA_BLOCK_WAIT_SEC 5
#endif

#endif
