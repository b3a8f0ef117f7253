#include "codec/crc.h"
#include "image/image.h"
#include "image/signature.h"
#include "faults.h"
#include "test.h"

#define IMAGE_LEN 5000

static struct private_key *keys[5]; /* one of each kind, made once: RSA keys take a while */

static int make_keys(void **state)
{
    (void)state;
    for (unsigned kind = KEY_RSA_3072; kind <= KEY_P384; kind++) {
        struct buf pem = {0};
        assert_int_equal(private_key_generate((enum key_kind)kind, &pem, NULL), ERR_NONE);
        assert_int_equal(private_key_open_pem(&keys[kind], buf_bytes(&pem), NULL), ERR_NONE);
        buf_deinit(&pem);
    }
    return 0;
}

static int close_keys(void **state)
{
    (void)state;
    for (unsigned kind = KEY_RSA_3072; kind <= KEY_P384; kind++)
        private_key_close(keys[kind]);
    return 0;
}

static struct buf some_file(size_t len)
{
    struct buf file = {0};
    for (size_t i = 0; i < len; i++)
        buf_add(&file, &(uint8_t){(uint8_t)(i * 31 + i / 100)}, 1);
    return file;
}

static void every_kind_of_key_signs_a_file(void **state)
{
    (void)state;
    for (unsigned kind = KEY_RSA_3072; kind <= KEY_P384; kind++) {
        struct buf file = some_file(IMAGE_LEN);
        struct signature_report r;
        uint8_t digest[32];
        assert_int_equal(signature_append(&file, keys[kind], SIGNATURE_NEW, NULL), ERR_NONE);
        assert_int_equal(file.len, 8192 + 4096);
        assert_int_equal((uint8_t)file.at[IMAGE_LEN], 0xff);
        signature_read(&r, buf_bytes(&file), 0);
        assert_int_equal(r.version, 2);
        assert_int_equal(r.count, 1);
        assert_int_equal(r.content_len, 8192);
        assert_true(r.is_right[0]);
        assert_true(public_key_equal(&r.blocks[0].key, &keys[kind]->public_key));
        assert_int_equal(signature_key_digest(&keys[kind]->public_key, digest, NULL), ERR_NONE);
        assert_memory_equal(r.blocks[0].key_digest, digest, 32);
        assert_int_equal(signature_verify(&r, &keys[kind]->public_key, NULL), ERR_NONE);
        assert_int_equal(signature_verify(&r, NULL, NULL), ERR_NONE);
        assert_int_equal(signature_verify(&r, &keys[kind == KEY_P256 ? KEY_P384 : KEY_P256]->public_key, NULL),
                         ERR_SIGNATURE);
        buf_deinit(&file);
    }
}

static void three_signatures_and_no_fourth(void **state)
{
    struct buf file = some_file(4096); /* no padding at all */
    struct signature_report r;
    (void)state;
    assert_int_equal(signature_append(&file, keys[KEY_RSA_3072], SIGNATURE_KEEP, NULL), ERR_NONE);
    assert_int_equal(signature_append(&file, keys[KEY_P256], SIGNATURE_NEW, NULL), ERR_EXISTS);
    assert_int_equal(signature_append(&file, keys[KEY_RSA_3072], SIGNATURE_KEEP, NULL), ERR_EXISTS);
    assert_int_equal(signature_append(&file, keys[KEY_P256], SIGNATURE_KEEP, NULL), ERR_NONE);
    assert_int_equal(signature_append(&file, keys[KEY_P384], SIGNATURE_KEEP, NULL), ERR_NONE);
    assert_int_equal(file.len, 8192);
    assert_int_equal(signature_append(&file, keys[KEY_P192], SIGNATURE_KEEP, NULL), ERR_TOO_BIG);
    signature_read(&r, buf_bytes(&file), 0);
    assert_int_equal(r.count, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(r.is_right[i]);
    assert_int_equal(signature_verify(&r, &keys[KEY_P384]->public_key, NULL), ERR_NONE);
    assert_int_equal(signature_verify(&r, &keys[KEY_P192]->public_key, NULL), ERR_SIGNATURE);
    assert_int_equal(signature_append(&file, keys[KEY_P192], SIGNATURE_REPLACE, NULL), ERR_NONE);
    signature_read(&r, buf_bytes(&file), 0);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.content_len, 4096);
    buf_deinit(&file);
}

static void a_changed_file_keeps_no_signature(void **state)
{
    struct buf file = some_file(IMAGE_LEN);
    struct signature_report r;
    struct why why = {{0}};
    (void)state;
    assert_int_equal(signature_append(&file, keys[KEY_P256], SIGNATURE_NEW, NULL), ERR_NONE);
    static const size_t flips[] = {0, IMAGE_LEN - 1, IMAGE_LEN /* padding is signed too */, 8191};
    for (size_t i = 0; i < 4; i++) {
        file.at[flips[i]] ^= 4;
        signature_read(&r, buf_bytes(&file), 0);
        assert_int_equal(signature_verify(&r, &keys[KEY_P256]->public_key, &why), ERR_SIGNATURE);
        assert_non_null(strstr(why.text, "changed"));
        assert_int_equal(signature_append(&file, keys[KEY_P384], SIGNATURE_KEEP, NULL), ERR_SIGNATURE);
        file.at[flips[i]] ^= 4;
    }
    buf_deinit(&file);
}

/* Every bit of a block that is not zero filling is under its CRC; a block with a new CRC fails by its signature. */
static void every_flipped_bit_of_a_block_is_noticed(void **state)
{
    (void)state;
    for (unsigned kind = KEY_RSA_3072; kind <= KEY_P384; kind++) {
        struct buf file = some_file(100);
        struct signature_report r;
        assert_int_equal(signature_append(&file, keys[kind], SIGNATURE_NEW, NULL), ERR_NONE);
        for (size_t bit = 0; bit < 1200 * 8; bit += 5) {
            file.at[4096 + bit / 8] ^= (char)(1 << bit % 8);
            signature_read(&r, buf_bytes(&file), 0);
            assert_int_equal(r.count, 0);
            file.at[4096 + bit / 8] ^= (char)(1 << bit % 8);
        }
        /* With a CRC that is made right again: digest, key or signature, each change is a wrong signature. */
        size_t end = kind == KEY_RSA_3072 ? 420 : kind == KEY_P192 ? 37 + 48 : 101;
        for (size_t at = 4; at < end; at += 13) {
            uint8_t *block = (uint8_t *)file.at + 4096;
            block[at] ^= 1;
            put_u32(block + 1196, crc32_of(0, bytes_of(block, 1196)));
            signature_read(&r, buf_bytes(&file), 0);
            assert_int_not_equal(signature_verify(&r, &keys[kind]->public_key, NULL), ERR_NONE);
            block[at] ^= 1;
            put_u32(block + 1196, crc32_of(0, bytes_of(block, 1196)));
        }
        uint8_t *block = (uint8_t *)file.at + 4096;
        block[kind == KEY_RSA_3072 ? 900 : 150] ^= 0x10;
        put_u32(block + 1196, crc32_of(0, bytes_of(block, 1196)));
        signature_read(&r, buf_bytes(&file), 0);
        if (kind != KEY_P192) {
            struct why why = {{0}};
            assert_int_equal(signature_verify(&r, &keys[kind]->public_key, &why), ERR_SIGNATURE);
        }
        buf_deinit(&file);
    }
}

static void the_bootloader_trusts_digests(void **state)
{
    struct buf file = some_file(100);
    struct content_digest digest;
    struct key_digest trusted[2];
    struct why why = {{0}};
    (void)state;
    assert_int_equal(signature_append(&file, keys[KEY_RSA_3072], SIGNATURE_NEW, NULL), ERR_NONE);
    assert_int_equal(signature_append(&file, keys[KEY_P256], SIGNATURE_KEEP, NULL), ERR_NONE);
    content_digest_of(&digest, bytes_of(file.at, 4096));
    const uint8_t *sector = (uint8_t *)file.at + 4096;
    memset(trusted, 0, sizeof trusted);
    assert_int_equal(signature_check_sector(sector, &digest, trusted, 2, 3, 32, &why), ERR_SIGNATURE);
    assert_non_null(strstr(why.text, "trusted"));
    assert_int_equal(signature_key_digest(&keys[KEY_P256]->public_key, trusted[1].bytes, NULL), ERR_NONE);
    assert_int_equal(signature_check_sector(sector, &digest, trusted, 2, 3, 32, &why), ERR_NONE);
    assert_int_equal(signature_check_sector(sector, &digest, trusted, 2, 1, 32, &why), ERR_SIGNATURE);
    memset(trusted[1].bytes + 16, 0, 16); /* ESP32-C2 keeps half of it */
    assert_int_equal(signature_check_sector(sector, &digest, trusted, 2, 3, 32, &why), ERR_SIGNATURE);
    assert_int_equal(signature_check_sector(sector, &digest, trusted, 2, 3, 16, &why), ERR_NONE);
    digest.sha256[0] ^= 1;
    assert_int_equal(signature_check_sector(sector, &digest, trusted, 2, 3, 16, &why), ERR_SIGNATURE);
    assert_non_null(strstr(why.text, "bytes"));
    uint8_t erased[SIGNATURE_SECTOR_LEN];
    memset(erased, 0xff, sizeof erased);
    assert_int_equal(signature_check_sector(erased, &digest, trusted, 2, 3, 32, &why), ERR_SIGNATURE);
    assert_non_null(strstr(why.text, "not signed"));
    buf_deinit(&file);
}

static void version_1_stands_right_behind_the_image(void **state)
{
    struct buf file = some_file(IMAGE_LEN);
    struct signature_report r;
    (void)state;
    assert_int_equal(signature_append_v1(&file, keys[KEY_P384], NULL), ERR_KEY);
    assert_int_equal(signature_append_v1(&file, keys[KEY_P256], NULL), ERR_NONE);
    assert_int_equal(file.len, IMAGE_LEN + 68);
    signature_read(&r, buf_bytes(&file), IMAGE_LEN);
    assert_int_equal(r.version, 1);
    assert_int_equal(signature_verify(&r, &keys[KEY_P256]->public_key, NULL), ERR_NONE);
    assert_int_equal(signature_verify(&r, NULL, NULL), ERR_USAGE);
    assert_int_equal(signature_verify(&r, &keys[KEY_RSA_3072]->public_key, NULL), ERR_KEY);
    file.at[7] ^= 1;
    signature_read(&r, buf_bytes(&file), IMAGE_LEN);
    assert_int_equal(signature_verify(&r, &keys[KEY_P256]->public_key, NULL), ERR_SIGNATURE);
    file.at[IMAGE_LEN] = 1; /* another version */
    signature_read(&r, buf_bytes(&file), IMAGE_LEN);
    assert_int_equal(r.version, 0);
    assert_int_equal(signature_verify(&r, NULL, NULL), ERR_SIGNATURE);
    buf_deinit(&file);
}

static void nothing_is_not_signed(void **state)
{
    struct buf file = {0};
    (void)state;
    assert_int_equal(signature_append(&file, keys[KEY_P256], SIGNATURE_NEW, NULL), ERR_USAGE);
    buf_deinit(&file);
}

static void a_key_that_is_none_makes_no_digest(void **state)
{
    struct public_key even = {.kind = KEY_RSA_3072, .number = {1}, .exponent = 65537};
    uint8_t digest[32];
    (void)state;
    assert_int_equal(signature_key_digest(&even, digest, NULL), ERR_KEY);
}

/* Files signed by Espressif's own tool, with the digests that it printed. */
static void files_signed_by_others_verify(void **state)
{
    static const struct {
        const char *file, *key, *digest;
    } rows[] = {
        {"signed/bootloader_signed_v2_rsa.bin", "signed/rsa_secure_boot_signing_pubkey.pem",
         "signed/rsa_public_key_digest.bin"},
        {"signed/bootloader_signed_v2_ecdsa256.bin", "signed/ecdsa256_secure_boot_signing_pubkey.pem",
         NULL /* the digest that lies there is of another key than the one beside it */},
    };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct buf file = fixture(rows[i].file), pem = fixture(rows[i].key);
        struct buf unsigned_file = fixture("signed/bootloader_unsigned_v2.bin");
        struct public_key key;
        struct signature_report r;
        uint8_t made[32];
        assert_int_equal(public_key_read_pem(&key, buf_bytes(&pem), NULL), ERR_NONE);
        assert_int_equal(signature_key_digest(&key, made, NULL), ERR_NONE);
        signature_read(&r, buf_bytes(&file), 0);
        assert_int_equal(r.count, 1);
        assert_memory_equal(r.blocks[0].key_digest, made, 32);
        if (rows[i].digest != NULL) {
            struct buf digest = fixture(rows[i].digest);
            assert_memory_equal(made, digest.at, 32);
            buf_deinit(&digest);
        }
        assert_int_equal(signature_verify(&r, &key, NULL), ERR_NONE);
        assert_int_equal(r.content_len, unsigned_file.len);
        /* Signing the same content again with a key of ours puts every other byte where it was. */
        struct buf ours = {0};
        buf_add(&ours, unsigned_file.at, unsigned_file.len);
        assert_int_equal(signature_append(&ours, keys[key.kind], SIGNATURE_NEW, NULL), ERR_NONE);
        assert_int_equal(ours.len, file.len);
        assert_memory_equal(ours.at, file.at, file.len - 4096 + 36);
        assert_memory_equal(ours.at + ours.len - 4096 + 1216, file.at + file.len - 4096 + 1216, 4096 - 1216);
        /* What hardware wants beside the modulus, as the other tool computed it. */
        uint8_t rinv[RSA_3072_LEN];
        if (key.kind == KEY_RSA_3072) {
            const uint8_t *block = (const uint8_t *)file.at + file.len - 4096;
            assert_true(public_key_rinv(&key, rinv));
            for (size_t k = 0; k < sizeof rinv; k++)
                assert_int_equal(rinv[k], block[424 + 383 - k]);
            assert_int_equal((uint32_t)(get_u32(block + 808) * get_u32(block + 36)), 0xffffffffu);
        }
        buf_deinit(&ours);
        buf_deinit(&unsigned_file);
        buf_deinit(&file);
        buf_deinit(&pem);
    }
}

static void memory_that_runs_out_is_told(void **state)
{
    (void)state;
    for (int version = 1; version <= 2; version++)
        for (long n = 0;; n++) {
            struct buf file = some_file(5000);
            file.cap = file.len + 1; /* so that growing needs memory */
            test_fail_allocation(n);
            enum err err = version == 1 ? signature_append_v1(&file, keys[KEY_P256], NULL)
                                        : signature_append(&file, keys[KEY_P256], SIGNATURE_NEW, NULL);
            test_fail_allocation(-1);
            buf_deinit(&file);
            if (err == ERR_NONE)
                break;
            assert_int_equal(err, ERR_NO_MEMORY);
        }
}

/* A key on a token that was pulled out. */
static enum err sign_nothing(struct private_key *key, struct bytes digest, uint8_t *signature, struct why *why)
{
    (void)key, (void)digest, (void)signature;
    return why_set(why, ERR_CRYPTO, "the token is gone");
}

static void a_key_that_does_not_sign_leaves_no_signature(void **state)
{
    static const struct private_key_ops gone = {.sign = sign_nothing};
    struct private_key token = {&gone, keys[KEY_P256]->public_key};
    struct private_key even = {&gone, {.kind = KEY_RSA_3072, .number = {1}, .exponent = 3}};
    struct buf file = some_file(5000);
    struct signature_report r;
    struct why why;
    (void)state;
    assert_int_equal(signature_append(&file, &token, SIGNATURE_NEW, &why), ERR_CRYPTO);
    assert_non_null(strstr(why.text, "token"));
    assert_int_equal(signature_append(&file, &even, SIGNATURE_NEW, &why), ERR_KEY);
    signature_read(&r, buf_bytes(&file), 0);
    assert_int_equal(r.version, 0);
    file.len = 5000;
    assert_int_equal(signature_append_v1(&file, &token, NULL), ERR_CRYPTO);
    assert_int_equal(file.len, 5000);
    buf_deinit(&file);
}

/* Blocks after a damaged one count, as they do for the bootloader. */
static void a_damaged_block_is_skipped(void **state)
{
    struct buf file = some_file(100);
    struct signature_report r;
    struct content_digest digest;
    struct key_digest trusted[1];
    (void)state;
    assert_int_equal(signature_append(&file, keys[KEY_P384], SIGNATURE_NEW, NULL), ERR_NONE);
    assert_int_equal(signature_append(&file, keys[KEY_P256], SIGNATURE_KEEP, NULL), ERR_NONE);
    file.at[4096] ^= 1;
    signature_read(&r, buf_bytes(&file), 0);
    assert_int_equal(r.count, 1);
    assert_int_equal(signature_verify(&r, &keys[KEY_P256]->public_key, NULL), ERR_NONE);
    content_digest_of(&digest, bytes_of(file.at, 4096));
    assert_int_equal(signature_key_digest(&keys[KEY_P256]->public_key, trusted[0].bytes, NULL), ERR_NONE);
    assert_int_equal(signature_check_sector((uint8_t *)file.at + 4096, &digest, trusted, 1, 9, 32, NULL), ERR_NONE);
    /* Adding to it drops the damaged block: there is room for two more. */
    assert_int_equal(signature_append(&file, keys[KEY_P384], SIGNATURE_KEEP, NULL), ERR_NONE);
    assert_int_equal(signature_append(&file, keys[KEY_RSA_3072], SIGNATURE_KEEP, NULL), ERR_NONE);
    signature_read(&r, buf_bytes(&file), 0);
    assert_int_equal(r.count, 3);
    buf_deinit(&file);
}

/* A block whose layout no chip has, with a CRC that holds. */
static void unknown_layouts_are_refused(void **state)
{
    static const struct {
        uint8_t version, sha, curve;
    } rows[] = {{1, 0, 0}, {4, 0, 0}, {3, 0, 3}, {3, 0, 9}, {3, 1, 2}, {3, 2, 1}, {2, 1, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t raw[SIGNATURE_BLOCK_LEN] = {0xe7, rows[i].version, rows[i].sha};
        struct signature_block b;
        struct why why;
        raw[36] = rows[i].curve;
        put_u32(raw + 1196, crc32_of(0, bytes_of(raw, 1196)));
        assert_int_equal(signature_block_read(&b, raw, &why), ERR_SIGNATURE);
        assert_non_null(strstr(why.text, "no chip"));
    }
}

/* Files of any length, signed in any order: each signature verifies, by its own key and no other; one flipped bit
 * anywhere in the content undoes them all. */
static void what_is_signed_verifies(void **state)
{
    uint64_t seed = 3;
    (void)state;
    for (unsigned round = 0; round < 40; round++) {
        struct buf file = some_file(1 + test_random(&seed) % 20000);
        size_t len = file.len;
        bool has_signed[5] = {false};
        struct signature_report r;
        unsigned count = 0;
        for (unsigned i = 0; i < 3; i++) {
            unsigned kind = 1 + test_random(&seed) % 4;
            enum err err = signature_append(&file, keys[kind], SIGNATURE_KEEP, NULL);
            assert_int_equal(err, has_signed[kind] ? ERR_EXISTS : ERR_NONE);
            count += !has_signed[kind];
            has_signed[kind] = true;
        }
        assert_int_equal(file.len, (len + 4095) / 4096 * 4096 + 4096);
        signature_read(&r, buf_bytes(&file), 0);
        assert_int_equal(r.count, count);
        for (unsigned kind = KEY_RSA_3072; kind <= KEY_P384; kind++)
            assert_int_equal(signature_verify(&r, &keys[kind]->public_key, NULL) == ERR_NONE, has_signed[kind]);
        file.at[test_random(&seed) % (file.len - 4096)] ^= (char)(1 << test_random(&seed) % 8);
        signature_read(&r, buf_bytes(&file), 0);
        for (unsigned kind = KEY_RSA_3072; kind <= KEY_P384; kind++)
            assert_int_equal(signature_verify(&r, &keys[kind]->public_key, NULL), ERR_SIGNATURE);
        buf_deinit(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_signed_verifies),
        cmocka_unit_test(memory_that_runs_out_is_told),
        cmocka_unit_test(a_key_that_does_not_sign_leaves_no_signature),
        cmocka_unit_test(a_damaged_block_is_skipped),
        cmocka_unit_test(unknown_layouts_are_refused),
        cmocka_unit_test(every_kind_of_key_signs_a_file),
        cmocka_unit_test(three_signatures_and_no_fourth),
        cmocka_unit_test(a_changed_file_keeps_no_signature),
        cmocka_unit_test(every_flipped_bit_of_a_block_is_noticed),
        cmocka_unit_test(the_bootloader_trusts_digests),
        cmocka_unit_test(version_1_stands_right_behind_the_image),
        cmocka_unit_test(nothing_is_not_signed),
        cmocka_unit_test(a_key_that_is_none_makes_no_digest),
        cmocka_unit_test(files_signed_by_others_verify),
    };
    return cmocka_run_group_tests_name("signature", tests, make_keys, close_keys);
}
