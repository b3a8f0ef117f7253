/*
 * What the sample programs leave to the application: the self-test's verdict, and when to update.  The samples are
 * compiled as they are; their app_main() has another name here and is called first, as a start-up is.
 */
#include "esp_app_desc.h"
#include "esp_err.h"
#include "esp_ota_ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sample_app_main(void);
esp_err_t start_ota(const char *url);
esp_err_t start_ota_with_progress(const char *url);
int run_self_test(void);
void app_main(void);

int run_self_test(void)
{
    return SELF_TEST;
}

void app_main(void)
{
    const char *url = getenv("SAMPLE_URL"), *target = getenv("SAMPLE_TARGET");
    const char *version = esp_app_get_description()->version;
    sample_app_main();
    printf("sample runs %s\n", version);
    /* What was refused once is not tried again. */
    if (url == NULL || target == NULL || strcmp(version, target) >= 0 || esp_ota_get_last_invalid_partition() != NULL)
        return;
    esp_err_t err = getenv("SAMPLE_PROGRESS") ? start_ota_with_progress(url) : start_ota(url);
    printf("sample stays: %s\n", esp_err_to_name(err));
}
