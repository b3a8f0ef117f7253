/* Options of the firmware that hangs: rollback, and a watchdog that resets after a second. */
#pragma once

#define CONFIG_IDF_TARGET                     "linux"
#define CONFIG_IDF_TARGET_LINUX               1
#define CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE 1
#define CONFIG_ESP_TASK_WDT_PANIC             1
#define CONFIG_ESP_TASK_WDT_TIMEOUT_S         1
