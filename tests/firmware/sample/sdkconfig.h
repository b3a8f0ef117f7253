/* The options that the samples count on: sdkconfig.defaults, as a build makes a header of it. */
#pragma once

#define CONFIG_IDF_TARGET                      "linux"
#define CONFIG_IDF_TARGET_LINUX                1
#define CONFIG_PARTITION_TABLE_CUSTOM          1
#define CONFIG_PARTITION_TABLE_CUSTOM_FILENAME "partitions.csv"
#define CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE  1
