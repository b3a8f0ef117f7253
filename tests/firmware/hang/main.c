/* A firmware that hangs in its first boot: the task watchdog resets the node, and the bootloader rolls back. */
#include "esp_app_desc.h"
#include "esp_log.h"
#include "esp_task_wdt.h"

static const char *const tag = "hang";

void app_main(void)
{
    ESP_LOGI(tag, "%s hangs", esp_app_get_description()->version);
    ESP_ERROR_CHECK(esp_task_wdt_add(NULL));
    for (;;)
        vTaskDelay(portMAX_DELAY);
}
