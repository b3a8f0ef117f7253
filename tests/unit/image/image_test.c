#include "image/image.h"
#include "image/pack.h"
#include "test.h"

#define ELF_LEN 5000

static struct buf packed(void)
{
    struct buf image = {0};
    uint8_t elf[ELF_LEN];
    for (size_t i = 0; i < sizeof elf; i++)
        elf[i] = (uint8_t)(i * 7 + i / 256);
    memcpy(elf,
           "\x7f"
           "ELF",
           4);
    struct pack_options o = {"blinky", "1.2.3", "Nov 21 2026", "01:02:03", 9, CHIP_LINUX};
    assert_int_equal(image_pack(&image, bytes_of(elf, sizeof elf), &o, NULL), ERR_NONE);
    return image;
}

static void a_packed_program_reads_back(void **state)
{
    struct buf image = packed();
    struct image_facts f;
    (void)state;
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_NONE);
    assert_int_equal(f.kind, IMAGE_APP);
    assert_int_equal(f.chip_id, CHIP_LINUX);
    assert_string_equal(f.app.project_name, "blinky");
    assert_string_equal(f.app.version, "1.2.3");
    assert_int_equal(f.app.secure_version, 9);
    assert_int_equal(f.segments_read, 2);
    assert_int_equal(f.segments[1].len, ELF_LEN);
    assert_int_equal(f.image_len, image.len);
    assert_int_equal(image.len % 16, 0);
    assert_int_equal(image_check_update(&f, NULL), ERR_NONE);
    buf_deinit(&image);
}

static void names_that_do_not_fit_are_refused(void **state)
{
    struct buf to = {0};
    uint8_t elf[64] = "\x7f"
                      "ELF";
    struct pack_options o = {"a name of more than thirty-one characters", "1", "", "", 0, CHIP_LINUX};
    (void)state;
    assert_int_equal(image_pack(&to, bytes_of(elf, sizeof elf), &o, NULL), ERR_USAGE);
    o.project_name = "ok";
    o.version = "";
    assert_int_equal(image_pack(&to, bytes_of(elf, sizeof elf), &o, NULL), ERR_USAGE);
    o.version = "1";
    assert_int_equal(image_pack(&to, bytes_of(elf, 10), &o, NULL), ERR_FORMAT);
    assert_int_equal(to.len, 0);
}

static enum err read_in_chunks(struct bytes file, size_t chunk, struct image_facts *f)
{
    struct image_reader r;
    image_reader_init(&r, 0);
    for (size_t at = 0; at < file.len; at += chunk)
        image_reader_push(&r, bytes_of(file.at + at, file.len - at < chunk ? file.len - at : chunk));
    return image_reader_finish(&r, f, NULL);
}

static void assert_same_in_all_chunks(struct bytes file)
{
    static const size_t chunks[] = {1, 2, 3, 7, 23, 24, 25, 31, 32, 255, 4096, 65536};
    struct image_facts whole, f;
    enum err verdict = image_read(file, 0, &whole, NULL);
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        assert_int_equal(read_in_chunks(file, chunks[i], &f), verdict);
        assert_int_equal(f.kind, whole.kind);
        assert_int_equal(f.layout, whole.layout);
        assert_int_equal(f.image_len, whole.image_len);
        assert_int_equal(f.trailing, whole.trailing);
        assert_memory_equal(f.file_sha256, whole.file_sha256, SHA256_LEN);
        assert_string_equal(f.app.version, whole.app.version);
    }
}

static void the_verdict_does_not_depend_on_chunks(void **state)
{
    struct buf image = packed();
    (void)state;
    assert_same_in_all_chunks(buf_bytes(&image));
    image.at[100] ^= 1;
    assert_same_in_all_chunks(buf_bytes(&image));
    assert_same_in_all_chunks(bytes_of(image.at, image.len / 2));
    buf_deinit(&image);
}

static void every_flipped_bit_is_noticed(void **state)
{
    struct buf image = packed();
    struct image_facts f = {0};
    (void)state;
    for (size_t bit = 0; bit < image.len * 8; bit += bit < 512 * 8 ? 1 : 37) {
        image.at[bit / 8] ^= (char)(1 << bit % 8);
        /* Bit 0 of byte 23 says that no SHA-256 follows: then it is other data behind a shorter image, which passes. */
        bool is_digest_disowned = bit == 23 * 8;
        if (image_read(buf_bytes(&image), 0, &f, NULL) == ERR_NONE &&
            !(is_digest_disowned && f.trailing == TRAILING_OTHER))
            fail_msg("bit %zu of byte %zu was flipped and not noticed", bit % 8, bit / 8);
        image.at[bit / 8] ^= (char)(1 << bit % 8);
    }
    buf_deinit(&image);
}

static void every_truncation_is_noticed(void **state)
{
    struct buf image = packed();
    struct image_facts f;
    (void)state;
    for (size_t len = 0; len < image.len; len++)
        assert_int_not_equal(image_read(bytes_of(image.at, len), 0, &f, NULL), ERR_NONE);
    buf_deinit(&image);
}

static void what_follows_is_told_apart(void **state)
{
    struct buf image = packed();
    struct image_facts f;
    (void)state;
    size_t len = image.len;
    for (int i = 0; i < 4096; i++)
        buf_add(&image, "\xff", 1);
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_NONE);
    assert_int_equal(f.trailing, TRAILING_ERASED);
    image.at[len + 10] = 0;
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_NONE);
    assert_int_equal(f.trailing, TRAILING_OTHER);
    assert_int_equal(f.trailing_at, len + 10);
    buf_deinit(&image);
}

static void a_merged_dump_is_no_update(void **state)
{
    struct buf dump = {0}, image = packed();
    struct image_facts f;
    (void)state;
    buf_reserve(&dump, 0x20000);
    memset(dump.at, 0xff, 0x20000);
    dump.len = 0x20000;
    memcpy(dump.at + 0x1000, image.at, image.len);
    dump.at[0x8000] = (char)0xaa;
    dump.at[0x8001] = 0x50;
    assert_int_equal(image_read(buf_bytes(&dump), 0, &f, NULL), ERR_IMAGE_MERGED);
    assert_int_equal(f.kind, IMAGE_MERGED);
    memcpy(dump.at, image.at, image.len); /* chips whose bootloader lies at 0 */
    assert_int_equal(image_read(buf_bytes(&dump), 0, &f, NULL), ERR_IMAGE_MERGED);
    buf_deinit(&dump);
    buf_deinit(&image);
}

static const struct golden {
    const char *file, *version;
    enum err verdict, update;
    enum image_layout layout;
} goldens[] = {
    {"images/esp32-hello_world.bin", "v1.4.1-2-g0296947-dirty", ERR_NONE, ERR_NONE, IMAGE_ESP32},
    {"images/esp32c3-hello_world.bin", "v1.4.1-2-g0296947-dirty", ERR_NONE, ERR_NONE, IMAGE_ESP32},
    {"images/esp32s3-hello_world.bin", "v1.4.1-2-g0296947-dirty", ERR_NONE, ERR_NONE, IMAGE_ESP32},
    {"images/esp32c6-arduino-wireclaw.bin", "dd8478c", ERR_NONE, ERR_NONE, IMAGE_ESP32},
    {"images/esp8266-rtos-hello-world.bin", "v3.4-dirty", ERR_NONE, ERR_NONE, IMAGE_ESP8266_V3},
    {"images/esp8266-nonos-at-user1-v2.bin", "", ERR_NONE, ERR_NONE, IMAGE_ESP8266_V2},
    {"images/esp32-bootloader.bin", "", ERR_NONE, ERR_IMAGE_BOOTLOADER, IMAGE_ESP32},
    {"images/esp32c3-bootloader.bin", "", ERR_NONE, ERR_IMAGE_BOOTLOADER, IMAGE_ESP32},
    {"corrupt/esp32c3-17-segments.bin", "", ERR_IMAGE_SEGMENTS, ERR_NONE, IMAGE_ESP32},
    {"corrupt/esp32c3-claims-esp32s3.bin", "v1.4.1-2-g0296947-dirty", ERR_IMAGE_DIGEST, ERR_NONE, IMAGE_ESP32},
    {"corrupt/esp32c3-flip-checksum.bin", "v1.4.1-2-g0296947-dirty", ERR_IMAGE_CHECKSUM, ERR_NONE, IMAGE_ESP32},
    {"corrupt/esp32c3-flip-sha.bin", "v1.4.1-2-g0296947-dirty", ERR_IMAGE_DIGEST, ERR_NONE, IMAGE_ESP32},
    {"corrupt/esp32c3-no-app-desc.bin", "", ERR_IMAGE_DIGEST, ERR_NONE, IMAGE_ESP32},
    {"corrupt/esp32c3-trailing-ff.bin", "v1.4.1-2-g0296947-dirty", ERR_NONE, ERR_NONE, IMAGE_ESP32},
    {"corrupt/esp32c3-truncated-half.bin", "v1.4.1-2-g0296947-dirty", ERR_IMAGE_TRUNCATED, ERR_NONE, IMAGE_ESP32},
};

static void golden_files_have_their_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
        struct buf file = fixture(goldens[i].file);
        struct image_facts f;
        struct why why = {{0}};
        enum err err = image_read(buf_bytes(&file), 0, &f, &why);
        if (err != goldens[i].verdict)
            fail_msg("%s: %s (%s)", goldens[i].file, err_text(err), why.text);
        assert_string_equal(f.app.version, goldens[i].version);
        assert_int_equal(f.layout, goldens[i].layout);
        if (err == ERR_NONE)
            assert_int_equal(image_check_update(&f, NULL), goldens[i].update);
        if (file.len < 200000)
            assert_same_in_all_chunks(buf_bytes(&file));
        buf_deinit(&file);
    }
}

static void signed_files_show_their_signature(void **state)
{
    struct buf file = fixture("signed/bootloader_signed_v2_rsa.bin");
    struct image_facts f;
    (void)state;
    image_read(buf_bytes(&file), 0, &f, NULL);
    assert_true(f.image_len == 0 || f.trailing == TRAILING_SIGNATURE_V2);
    buf_deinit(&file);
}

static void random_bytes_are_refused_quietly(void **state)
{
    uint64_t seed = 42;
    uint8_t noise[3000];
    struct image_facts f;
    (void)state;
    for (int round = 0; round < 2000; round++) {
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (uint8_t)test_random(&seed);
        noise[0] = round % 2 ? 0xe9 : 0xea;
        noise[1] &= 15;
        noise[23] &= 1;
        assert_int_not_equal(image_read(bytes_of(noise, 1 + test_random(&seed) % sizeof noise), 0, &f, NULL), ERR_NONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packed_program_reads_back),
        cmocka_unit_test(names_that_do_not_fit_are_refused),
        cmocka_unit_test(the_verdict_does_not_depend_on_chunks),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(what_follows_is_told_apart),
        cmocka_unit_test(a_merged_dump_is_no_update),
        cmocka_unit_test(golden_files_have_their_verdicts),
        cmocka_unit_test(signed_files_show_their_signature),
        cmocka_unit_test(random_bytes_are_refused_quietly),
    };
    return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
