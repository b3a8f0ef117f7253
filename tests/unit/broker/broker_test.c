/* Goal: what is missing is said before a child is started; what runs is tried end to end. */
#include "broker/broker.h"
#include "test.h"

static void missing_parts_are_named(void **state)
{
    struct broker b;
    struct why why = {{0}};
    struct keys keys = {.folder = "/nonexistent"};
    struct broker_config c = {.folder = "/tmp/pluvio-broker-test",
                              .address = "127.0.0.1",
                              .port = 1,
                              .program = "no-such-broker",
                              .plugin = "/nonexistent/plugin.so",
                              .keys = &keys};
    (void)state;
    assert_int_equal(broker_start(&b, &c, NULL, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "no-such-broker"));
    broker_stop(&b);
    c.program = "/bin/true";
    assert_int_equal(broker_start(&b, &c, NULL, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "/nonexistent/plugin.so"));
    broker_stop(&b);
}

static void a_path_too_long_for_a_socket_is_refused(void **state)
{
    struct broker b;
    struct why why = {{0}};
    struct keys keys = {.folder = "/nonexistent"};
    char folder[200] = "/tmp/";
    (void)state;
    memset(folder + 5, 'x', 150);
    struct broker_config c = {.folder = folder,
                              .address = "127.0.0.1",
                              .port = 1,
                              .program = "/bin/true",
                              .plugin = "/bin/true",
                              .keys = &keys};
    assert_int_equal(broker_start(&b, &c, NULL, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "shorter path"));
    broker_stop(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_parts_are_named),
        cmocka_unit_test(a_path_too_long_for_a_socket_is_refused),
    };
    return cmocka_run_group_tests_name("broker", tests, NULL, NULL);
}
