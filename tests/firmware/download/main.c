/* A firmware that measures: it updates itself from DOWNLOAD_URL as often as DOWNLOAD_ROUNDS says and prints how long
 * each took, then waits. */
#include "esp_https_ota.h"
#include "esp_log.h"
#include "esp_timer.h"

#include <stdlib.h>

static void measure(const char *url)
{
    esp_http_client_config_t http = {.url = url, .timeout_ms = 10000, .keep_alive_enable = true};
    esp_https_ota_config_t config = {.http_config = &http};
    int64_t from = esp_timer_get_time();
    esp_err_t err = esp_https_ota(&config);
    printf("download %s %lld us\n", esp_err_to_name(err), (long long)(esp_timer_get_time() - from));
}

void app_main(void)
{
    const char *url = getenv("DOWNLOAD_URL"), *rounds = getenv("DOWNLOAD_ROUNDS");
    for (int i = rounds ? atoi(rounds) : 0; i > 0; i--)
        measure(url);
    printf("idle\n");
}
