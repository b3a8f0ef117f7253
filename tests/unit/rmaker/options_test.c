/* Goal: options mean what Kconfig means by them, without #if in the code. */
#include "rmaker/rmaker_options.h"
#include "test.h"

#define CONFIG_SWITCHED_ON 1

static void switches_are_one_or_absent(void **state)
{
    (void)state;
    assert_int_equal(OPTION_IS_ON(CONFIG_SWITCHED_ON), 1);
    assert_int_equal(OPTION_IS_ON(CONFIG_NEVER_HEARD_OF), 0);
    assert_int_equal(OPTION_IS_ON(CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE), 1);
    assert_int_equal(OPTION_IS_ON(CONFIG_ESP_RMAKER_SKIP_VERSION_CHECK), 0);
}

static void numbers_have_rainmakers_defaults(void **state)
{
    (void)state;
    assert_int_equal(CONFIG_ESP_RMAKER_OTA_MAX_RETRIES, 3);
    assert_int_equal(CONFIG_ESP_RMAKER_OTA_RETRY_DELAY_MINUTES, 5);
    assert_int_equal(CONFIG_ESP_RMAKER_OTA_ROLLBACK_WAIT_PERIOD, 90);
    assert_int_equal(CONFIG_ESP_RMAKER_OTA_AUTOFETCH_PERIOD, 0);
    assert_int_equal(CONFIG_ESP_RMAKER_OTA_PROGRESS_INTERVAL, 10);
    assert_int_equal(CONFIG_ESP_RMAKER_OTA_HTTP_RX_BUFFER_SIZE, 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(switches_are_one_or_absent),
        cmocka_unit_test(numbers_have_rainmakers_defaults),
    };
    return cmocka_run_group_tests_name("rmaker options", tests, NULL, NULL);
}
