/* Options of the measuring firmware: plain HTTP, and no trial, so that it may update itself again and again. */
#pragma once

#define CONFIG_IDF_TARGET               "linux"
#define CONFIG_IDF_TARGET_LINUX         1
#define CONFIG_ESP_HTTPS_OTA_ALLOW_HTTP 1
