/* The entry of every virtual node's application: opens the context, then runs app_main() in the main task. */
#include "esp/esp.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

void app_main(void);

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    esp_context_open();
    app_main();
    /* As on the chip: app_main may return, the other tasks go on. */
    for (;;)
        pause();
}
