/* Blinky's options: the defaults, and progress in percent. */
#ifndef BLINKY_SDKCONFIG_H
#define BLINKY_SDKCONFIG_H

#include_next <sdkconfig.h>

#define CONFIG_ESP_RMAKER_OTA_PROGRESS_SUPPORT  1
#define CONFIG_ESP_RMAKER_OTA_PROGRESS_INTERVAL 10

#endif
