#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "test.h"

static void every_error_has_a_text_a_status_and_an_exit_status(void **state)
{
    (void)state;
    for (int e = ERR_NONE; e < ERR_COUNT; e++) {
        assert_non_null(err_text((enum err)e));
        assert_in_range(err_http_status((enum err)e), 200, 599);
        assert_true(e == ERR_NONE || err_exit_status((enum err)e) != 0);
        assert_true(e == ERR_NONE || err_rainmaker_code((enum err)e) >= 100000);
    }
}

static void stories_are_prefixed_upward_and_cut_at_the_end(void **state)
{
    struct why why = {{0}};
    (void)state;
    assert_int_equal(why_set(&why, ERR_IO, "short read"), ERR_IO);
    why_add(&why, ERR_IO, "load %s", "ota_0");
    assert_string_equal(why.text, "load ota_0: short read");
    for (int i = 0; i < 100; i++)
        why_add(&why, ERR_IO, "level %d", i);
    assert_true(strlen(why.text) < sizeof why.text);
    assert_int_equal(why_set(NULL, ERR_IO, "nobody listens"), ERR_IO);
}

static void text_builder_never_overruns(void **state)
{
    char line[8];
    struct text t;
    (void)state;
    text_init(&t, line, sizeof line);
    text_add(&t, "abc");
    assert_false(t.is_cut);
    text_add(&t, "%s", "defghij");
    assert_true(t.is_cut);
    assert_string_equal(line, "abcdefg");
    assert_false(text_copy(line, sizeof line, "12345678"));
    assert_string_equal(line, "1234567");
}

static void plain_ids_are_safe_in_topics_and_paths(void **state)
{
    static const char *const bad[] = {"", "a/b", "+", "#", "a b", "..", ".x", "ü", "a\nb"};
    (void)state;
    assert_true(text_is_plain_id("lamp-1_A.b", 64));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(text_is_plain_id(bad[i], 64));
    assert_false(text_is_plain_id("123456", 5));
}

static void ids_are_22_letters_and_differ(void **state)
{
    uint8_t zero[16] = {0}, ones[16];
    (void)state;
    memset(ones, 0xff, sizeof ones);
    struct id a = id_from_random(zero), b = id_from_random(ones);
    assert_string_equal(a.text, "2222222222222222222222");
    assert_int_equal(strlen(b.text), ID_LEN);
    assert_string_not_equal(a.text, b.text);
}

static char last_line[600];

static void keep_line(struct log *log, enum log_level level, const char *room, const char *text)
{
    (void)log, (void)level, (void)room;
    snprintf(last_line, sizeof last_line, "%s", text);
}

static void log_lines_cannot_be_forged(void **state)
{
    struct log log = {keep_line, LOG_INFO};
    (void)state;
    log_line(&log, LOG_INFO, "test", "a %s", "b\n12:00 error forged");
    assert_string_equal(last_line, "a b?12:00 error forged");
    log_line(&log, LOG_DEBUG, "test", "too much");
    assert_string_equal(last_line, "a b?12:00 error forged");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_text_a_status_and_an_exit_status),
        cmocka_unit_test(stories_are_prefixed_upward_and_cut_at_the_end),
        cmocka_unit_test(text_builder_never_overruns),
        cmocka_unit_test(plain_ids_are_safe_in_topics_and_paths),
        cmocka_unit_test(ids_are_22_letters_and_differ),
        cmocka_unit_test(log_lines_cannot_be_forged),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
