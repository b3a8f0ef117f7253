#include "crypto/password.h"
#include "test.h"

static void passwords_are_argon2id_and_salted(void **state)
{
    struct test_entropy e;
    char one[PASSWORD_HASH_SIZE], two[PASSWORD_HASH_SIZE];
    (void)state;
    test_entropy_init(&e);
    assert_int_equal(password_hash(one, "Correct horse 1", &e.entropy, NULL), ERR_NONE);
    assert_int_equal(password_hash(two, "Correct horse 1", &e.entropy, NULL), ERR_NONE);
    assert_memory_equal(one, "$argon2id$v=19$m=19456,t=2,p=1$", 31);
    assert_string_not_equal(one, two);
    assert_true(password_is("Correct horse 1", one));
    assert_false(password_is("correct horse 1", one));
    assert_false(password_is("x", "no hash at all"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_are_argon2id_and_salted),
    };
    return cmocka_run_group_tests_name("password", tests, NULL, NULL);
}
