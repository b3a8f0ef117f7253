/* The entry of every virtual node's application, compiled with its sdkconfig.h: opens the context, then runs app_main()
 * in the main task. */
#include "esp/esp.h"

#include "esp/options_of_sdkconfig.h"
#include "esp/rtos.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

void app_main(void);

static const struct esp_options options = ESP_OPTIONS_OF_SDKCONFIG;

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    esp_context_open(&options);
    rtos_adopt_main_task();
    app_main();
    /* As on the chip: app_main may return, the other tasks go on. */
    rtos_end_main_task();
    for (;;)
        pause();
}
