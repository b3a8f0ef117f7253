/*
 * rmaker_options.h - RainMaker's Kconfig options that touch OTA, with their names and defaults.
 *
 * An application sets them in its sdkconfig.h, as ESP-IDF's build does; what it leaves out has the default.  Switches
 * that are off are not defined, as Kconfig has it.
 */
#ifndef PLUVIO_RMAKER_OPTIONS_H
#define PLUVIO_RMAKER_OPTIONS_H

#include <sdkconfig.h>

#ifndef CONFIG_ESP_RMAKER_OTA_AUTOFETCH_PERIOD
#define CONFIG_ESP_RMAKER_OTA_AUTOFETCH_PERIOD 0
#endif
#ifndef CONFIG_ESP_RMAKER_OTA_ROLLBACK_WAIT_PERIOD
#define CONFIG_ESP_RMAKER_OTA_ROLLBACK_WAIT_PERIOD 90
#endif
#ifndef CONFIG_ESP_RMAKER_OTA_PROGRESS_INTERVAL
#define CONFIG_ESP_RMAKER_OTA_PROGRESS_INTERVAL 10
#endif
#ifndef CONFIG_ESP_RMAKER_OTA_MAX_RETRIES
#define CONFIG_ESP_RMAKER_OTA_MAX_RETRIES 3
#endif
#ifndef CONFIG_ESP_RMAKER_OTA_RETRY_DELAY_MINUTES
#define CONFIG_ESP_RMAKER_OTA_RETRY_DELAY_MINUTES 5
#endif
#ifndef CONFIG_ESP_RMAKER_OTA_HTTP_RX_BUFFER_SIZE
#define CONFIG_ESP_RMAKER_OTA_HTTP_RX_BUFFER_SIZE 1024
#endif

/* An option that is off in Kconfig is not defined; this makes 1 or 0 of it, so that code needs no #if. */
#define OPTION_IS_ON(option)      OPTION_VALUE_(option)
#define OPTION_VALUE_(value)      OPTION_PICK_(OPTION_COMMA_##value 1, 0)
#define OPTION_COMMA_1            0,
#define OPTION_PICK_(...)         OPTION_SECOND_(__VA_ARGS__, 0)
#define OPTION_SECOND_(a, b, ...) b

#endif
