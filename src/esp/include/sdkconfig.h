/*
 * sdkconfig.h - the options an ordinary RainMaker application is built with.
 *
 * An application that wants others has a sdkconfig.h of its own, found before this one.
 */
#ifndef PLUVIO_ESP_SDKCONFIG_H
#define PLUVIO_ESP_SDKCONFIG_H

#define CONFIG_IDF_TARGET                     "linux"
#define CONFIG_IDF_TARGET_LINUX               1
#define CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE 1
#define CONFIG_ESP_RMAKER_OTA_AUTOFETCH       1
#define CONFIG_ESP_RMAKER_OTA_TIME_SUPPORT    1
#define CONFIG_ESP_RMAKER_HTTP_OTA_RESUMPTION 1
#define CONFIG_ESP_RMAKER_USE_CERT_BUNDLE     1

#endif
