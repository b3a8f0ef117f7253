#include "image/encrypted.h"
#include "faults.h"
#include "test.h"

#define PLAIN_LEN 3000

static struct private_key *rsa, *p256;

static int make_keys(void **state)
{
    struct buf pem = {0};
    (void)state;
    assert_int_equal(private_key_generate(KEY_RSA_3072, &pem, NULL), ERR_NONE);
    assert_int_equal(private_key_open_pem(&rsa, buf_bytes(&pem), NULL), ERR_NONE);
    buf_deinit(&pem);
    uint8_t hmac_key[32] = {7}, scalar[32];
    encrypted_device_scalar(scalar, hmac_key);
    assert_int_equal(private_key_write_scalar_pem(scalar, &pem, NULL), ERR_NONE);
    assert_int_equal(private_key_open_pem(&p256, buf_bytes(&pem), NULL), ERR_NONE);
    buf_deinit(&pem);
    return 0;
}

static int close_keys(void **state)
{
    (void)state;
    private_key_close(rsa);
    private_key_close(p256);
    return 0;
}

static struct buf sealed_for(struct private_key *key, uint8_t *plain)
{
    struct test_entropy entropy;
    struct buf sealed = {0};
    test_entropy_init(&entropy);
    for (size_t i = 0; i < PLAIN_LEN; i++)
        plain[i] = (uint8_t)(i * 13);
    assert_int_equal(encrypted_make(&sealed, bytes_of(plain, PLAIN_LEN), &key->public_key, &entropy.entropy, NULL),
                     ERR_NONE);
    assert_int_equal(sealed.len, PLAIN_LEN + 512);
    return sealed;
}

static enum err open_in_chunks(struct bytes sealed, struct private_key *key, size_t chunk, uint8_t *to, size_t *len)
{
    struct encrypted_reader r;
    enum err err = ERR_NONE;
    encrypted_reader_init(&r, key);
    *len = 0;
    for (size_t at = 0; err == ERR_NONE && at < sealed.len; at += chunk) {
        size_t n, take = sealed.len - at < chunk ? sealed.len - at : chunk;
        err = encrypted_reader_push(&r, bytes_of(sealed.at + at, take), to + *len, &n, NULL);
        assert_true(n <= take);
        *len += n;
    }
    enum err verdict = encrypted_reader_finish(&r, NULL);
    return err ? err : verdict;
}

static void both_forms_open_in_chunks_of_any_size(void **state)
{
    static const size_t chunks[] = {1, 7, 511, 512, 513, 1024, 65536};
    struct private_key *keys[] = {rsa, p256};
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        uint8_t plain[PLAIN_LEN], back[PLAIN_LEN];
        size_t len;
        struct buf sealed = sealed_for(keys[k], plain);
        assert_int_equal(get_u32((uint8_t *)sealed.at), 0x0788b6cf);
        assert_int_equal(get_u32((uint8_t *)sealed.at + 404), PLAIN_LEN);
        assert_true(bytes_all(bytes_of(sealed.at + 424, 88), 0));
        for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
            assert_int_equal(open_in_chunks(buf_bytes(&sealed), keys[k], chunks[i], back, &len), ERR_NONE);
            assert_int_equal(len, PLAIN_LEN);
            assert_memory_equal(back, plain, PLAIN_LEN);
        }
        assert_int_not_equal(open_in_chunks(buf_bytes(&sealed), keys[1 - k], 100, back, &len), ERR_NONE);
        buf_deinit(&sealed);
    }
}

static void every_flipped_bit_is_noticed(void **state)
{
    uint8_t plain[PLAIN_LEN], back[PLAIN_LEN + 4096];
    size_t len;
    struct buf sealed = sealed_for(p256, plain);
    (void)state;
    /* Between the agreed key's salt and the IV, and behind the tag, lie zeros that mean nothing. */
    for (size_t at = 0; at < sealed.len; at += at < 512 ? 1 : 97) {
        bool is_ignored = (at >= 100 && at < 388) || (at >= 424 && at < 512);
        sealed.at[at] ^= 0x20;
        enum err err = open_in_chunks(buf_bytes(&sealed), p256, 4096, back, &len);
        if (is_ignored != (err == ERR_NONE))
            fail_msg("byte %zu: %d", at, err);
        sealed.at[at] ^= 0x20;
    }
    buf_deinit(&sealed);
}

static void cut_and_lengthened_files_are_refused(void **state)
{
    uint8_t plain[PLAIN_LEN], back[PLAIN_LEN + 1];
    size_t len;
    struct buf sealed = sealed_for(rsa, plain);
    struct encrypted_reader r;
    (void)state;
    assert_int_equal(open_in_chunks(bytes_of(sealed.at, sealed.len - 1), rsa, 100, back, &len), ERR_IMAGE_TRUNCATED);
    assert_int_equal(open_in_chunks(bytes_of(sealed.at, 100), rsa, 100, back, &len), ERR_IMAGE_TRUNCATED);
    assert_int_equal(open_in_chunks(bytes_of(sealed.at, 0), rsa, 100, back, &len), ERR_IMAGE_TRUNCATED);
    buf_add(&sealed, "x", 1);
    assert_int_equal(open_in_chunks(buf_bytes(&sealed), rsa, sealed.len, back, &len), ERR_TOO_BIG);
    sealed.at[0] ^= 1;
    encrypted_reader_init(&r, rsa);
    assert_int_equal(encrypted_reader_left(&r), UINT32_MAX);
    assert_int_equal(encrypted_reader_push(&r, bytes_of(sealed.at, 512), back, &len, NULL), ERR_IMAGE_MAGIC);
    assert_int_equal(encrypted_reader_push(&r, bytes_of(sealed.at, 512), back, &len, NULL), ERR_IMAGE_MAGIC);
    assert_int_equal(encrypted_reader_finish(&r, NULL), ERR_IMAGE_MAGIC);
    sealed.at[0] ^= 1;
    encrypted_reader_init(&r, rsa);
    assert_int_equal(encrypted_reader_push(&r, bytes_of(sealed.at, 512), back, &len, NULL), ERR_NONE);
    assert_int_equal(encrypted_reader_left(&r), PLAIN_LEN);
    encrypted_reader_finish(&r, NULL);
    buf_deinit(&sealed);
}

static void keys_of_other_kinds_are_refused(void **state)
{
    struct test_entropy entropy;
    struct buf pem = {0}, sealed = {0};
    struct private_key *p384;
    uint8_t plain[PLAIN_LEN], back[PLAIN_LEN], sealed_key[RSA_3072_LEN];
    size_t len;
    (void)state;
    test_entropy_init(&entropy);
    assert_int_equal(private_key_generate(KEY_P384, &pem, NULL), ERR_NONE);
    assert_int_equal(private_key_open_pem(&p384, buf_bytes(&pem), NULL), ERR_NONE);
    assert_int_equal(encrypted_make(&sealed, bytes_of_text("plain"), &p384->public_key, &entropy.entropy, NULL),
                     ERR_KEY);
    assert_int_equal(encrypted_make(&sealed, bytes_of_text(""), &p256->public_key, &entropy.entropy, NULL), ERR_USAGE);
    buf_deinit(&sealed);
    sealed = sealed_for(rsa, plain);
    assert_int_equal(open_in_chunks(buf_bytes(&sealed), p384, 512, back, &len), ERR_KEY);
    /* A wrapped key of another length than AES-256 has. */
    assert_int_equal(public_key_wrap(&rsa->public_key, bytes_of_text("sixteen bytes!!!"), sealed_key, NULL), ERR_NONE);
    memcpy(sealed.at + 4, sealed_key, sizeof sealed_key);
    assert_int_equal(open_in_chunks(buf_bytes(&sealed), rsa, 512, back, &len), ERR_KEY);
    private_key_close(p384);
    buf_deinit(&sealed);
    buf_deinit(&pem);
}

static void memory_that_runs_out_is_told(void **state)
{
    struct test_entropy entropy;
    struct buf to = {0};
    (void)state;
    test_entropy_init(&entropy);
    test_fail_allocation(0);
    enum err err = encrypted_make(&to, bytes_of_text("plain"), &p256->public_key, &entropy.entropy, NULL);
    test_fail_allocation(-1);
    assert_int_equal(err, ERR_NO_MEMORY);
    assert_int_equal(to.len, 0);
}

/* The sender's scalar comes out of randomness: what is no scalar is thrown again. */
static void fill_badly_first(struct entropy *e, void *to, unsigned len)
{
    struct test_entropy *t = (struct test_entropy *)e;
    memset(to, t->next++ == 1 ? 0 : 0x42, len);
}

static void a_bad_throw_is_thrown_again(void **state)
{
    struct test_entropy entropy = {{fill_badly_first}, 1};
    struct buf to = {0};
    uint8_t back[5];
    size_t len;
    (void)state;
    assert_int_equal(encrypted_make(&to, bytes_of_text("plain"), &p256->public_key, &entropy.entropy, NULL), ERR_NONE);
    assert_int_equal(open_in_chunks(buf_bytes(&to), p256, to.len, back, &len), ERR_NONE);
    assert_memory_equal(back, "plain", 5);
    buf_deinit(&to);
    struct public_key beside = {.kind = KEY_P256, .number = {9}};
    assert_int_equal(encrypted_make(&to, bytes_of_text("plain"), &beside, &entropy.entropy, NULL), ERR_KEY);
    buf_deinit(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_that_runs_out_is_told),          cmocka_unit_test(a_bad_throw_is_thrown_again),
        cmocka_unit_test(both_forms_open_in_chunks_of_any_size), cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(cut_and_lengthened_files_are_refused),  cmocka_unit_test(keys_of_other_kinds_are_refused),
    };
    return cmocka_run_group_tests_name("encrypted", tests, make_keys, close_keys);
}
