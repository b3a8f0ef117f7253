/* Every rule of the image format, on images that the test builds itself: of every chip, layout and kind. */
#include "codec/crc.h"
#include "crypto/digest.h"
#include "image/image.h"
#include "image/pack.h"
#include "faults.h"
#include "test.h"

/* --- a builder, apart from the product's packer on purpose ------------------------------------ */

struct spec {
    const struct chip *chip;
    unsigned count; /* of segments */
    struct {
        uint32_t address, len;
    } segments[20];
    bool has_desc, has_boot_desc, has_no_hash;
    uint8_t mmu_page_log2;
    uint16_t min_rev, max_rev, min_efuse, max_efuse;
    uint32_t secure_version;
};

static void put(struct buf *b, const void *at, size_t len)
{
    buf_add(b, at, len);
}

static void put_word(struct buf *b, uint32_t value)
{
    uint8_t raw[4];
    put_u32(raw, value);
    put(b, raw, 4);
}

static void put_segment(struct buf *b, const struct spec *s, unsigned i)
{
    put_word(b, s->segments[i].address);
    put_word(b, s->segments[i].len);
    size_t from = b->len;
    for (uint32_t k = 0; k < s->segments[i].len; k++)
        put(b, &(uint8_t){(uint8_t)(k * 5 + i)}, 1);
    uint8_t *data = (uint8_t *)b->at + from;
    if (i == 0 && s->has_desc && s->segments[0].len >= APP_DESC_LEN) {
        memset(data, 0, APP_DESC_LEN);
        put_u32(data, APP_DESC_MAGIC);
        put_u32(data + 4, s->secure_version);
        memcpy(data + 16, "1.2.3", 5);
        memcpy(data + 48, "thing", 5);
        put_u16(data + 176, s->min_efuse);
        put_u16(data + 178, s->max_efuse);
        data[180] = s->mmu_page_log2;
        data[181] = 3;
    }
    if (i == 0 && s->has_boot_desc) {
        memset(data, 0, BOOT_DESC_LEN);
        data[0] = BOOT_DESC_MAGIC;
        data[3] = 2;
        put_u32(data + 4, 7);
        memcpy(data + 8, "v5.5", 4);
    }
}

static void put_tail(struct buf *b, size_t checksum_from, unsigned count, bool has_hash)
{
    uint8_t sum = 0xef, digest[SHA256_LEN];
    size_t at = checksum_from;
    for (unsigned i = 0; i < count; i++) {
        uint32_t len = get_u32((uint8_t *)b->at + at + 4);
        for (uint32_t k = 0; k < len; k++)
            sum ^= (uint8_t)b->at[at + 8 + k];
        at += 8 + len;
    }
    while (b->len % 16 != 15)
        put(b, "", 1);
    put(b, &sum, 1);
    sha256_of(digest, buf_bytes(b));
    if (has_hash)
        put(b, digest, sizeof digest);
}

static struct buf built(const struct spec *s)
{
    struct buf b = {0};
    uint8_t head[24] = {0xe9, (uint8_t)s->count, 2, 0x2f};
    put_u32(head + 4, 0x40000000);
    head[8] = 0xee;
    put_u16(head + 12, s->chip->id);
    put_u16(head + 15, s->min_rev);
    put_u16(head + 17, s->max_rev);
    head[23] = !s->has_no_hash;
    put(&b, head, sizeof head);
    for (unsigned i = 0; i < s->count; i++)
        put_segment(&b, s, i);
    put_tail(&b, 24, s->count, !s->has_no_hash);
    return b;
}

/* An application with its descriptor mapped and code in memory. */
static struct spec app_of(const struct chip *chip)
{
    return (struct spec){.chip = chip,
                         .count = 2,
                         .segments = {{chip->mapped[0].from + 0x20, 1024}, {0x20000000, 256}},
                         .has_desc = true};
}

static const struct chip *c6(void)
{
    return chip_find(0x000d);
}

static enum err read_built(const struct spec *s, struct image_facts *f)
{
    struct buf image = built(s);
    enum err err = image_read(buf_bytes(&image), 0, f, NULL);
    buf_deinit(&image);
    return err;
}

/* --- chips ------------------------------------------------------------------------------------ */

static void every_chip_has_its_images(void **state)
{
    const struct chip *chip;
    (void)state;
    for (unsigned i = 1; (chip = chip_at(i)) != NULL; i++) {
        struct image_facts f;
        struct spec s = app_of(chip);
        if (chip->mapped[0].to == 0)
            s.segments[0].address = PACK_DESC_ADDRESS;
        assert_int_equal(read_built(&s, &f), ERR_NONE);
        assert_ptr_equal(f.chip, chip);
        assert_int_equal(f.kind, IMAGE_APP);
        assert_int_equal(f.app.spi_mode, 3);
        assert_int_equal(image_check_update(&f, NULL), ERR_NONE);
        assert_ptr_equal(chip_find_name(chip->platform), chip);
        assert_ptr_equal(chip_find_name(chip->name), chip);
        struct spec boot = {.chip = chip, .count = 1, .segments = {{0x20000000, 256}}, .has_boot_desc = true};
        assert_int_equal(read_built(&boot, &f), ERR_NONE);
        assert_int_equal(f.kind, IMAGE_BOOTLOADER);
        assert_int_equal(f.bootloader.version, 7);
        assert_int_equal(f.bootloader.secure_version, 2);
        assert_int_equal(image_check_update(&f, NULL), ERR_IMAGE_BOOTLOADER);
        boot.has_boot_desc = false;
        assert_int_equal(read_built(&boot, &f), ERR_NONE);
        assert_int_equal(f.kind, IMAGE_RAM);
        assert_int_equal(image_check_update(&f, NULL), ERR_IMAGE_BOOTLOADER);
    }
    assert_null(chip_find_name("esp64"));
    assert_null(chip_find(0x1234));
    assert_ptr_equal(chip_find_name("esp8266"), chip_esp8266());
}

static void flash_codes_have_names(void **state)
{
    const struct chip *c2 = chip_find(0x000c), *c3 = chip_find(0x0005);
    (void)state;
    assert_string_equal(chip_flash_size_text(c3, 2), "4 MB");
    assert_string_equal(chip_flash_size_text(c3, 9), "?");
    assert_string_equal(chip_flash_size_text(chip_esp8266(), 0), "512 KB");
    assert_string_equal(chip_flash_size_text(chip_esp8266(), 8), "16 MB");
    assert_string_equal(chip_flash_speed_text(c3, 15), "80 MHz");
    assert_string_equal(chip_flash_speed_text(c3, 2), "20 MHz");
    assert_string_equal(chip_flash_speed_text(c3, 7), "?");
    assert_string_equal(chip_flash_speed_text(c2, 15), "60 MHz");
    assert_string_equal(chip_flash_speed_text(c6(), 0), "80 or 40 MHz");
    assert_string_equal(chip_flash_mode_text(2), "DIO");
    assert_string_equal(chip_flash_mode_text(77), "?");
}

/* --- the container's rules -------------------------------------------------------------------- */

static void each_rule_has_its_code(void **state)
{
    struct spec s = app_of(c6());
    struct image_facts f;
    struct why why = {{0}};
    struct buf image;
    (void)state;
    image = built(&s);
    image.at[0] = (char)0x7f;
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_IMAGE_MAGIC);
    image.at[0] = (char)0xe9;
    image.at[23] = 2;
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_IMAGE_HEADER);
    image.at[23] = 1;
    image.at[12] = 0x77;
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_IMAGE_CHIP);
    image.at[12] = 0x0d;
    image.at[13] = 0x12; /* the low byte alone is a chip's */
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_IMAGE_CHIP);
    image.at[13] = 0;
    image.at[1] = 17;
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_IMAGE_SEGMENTS);
    image.at[1] = 2;
    image.at[28] ^= 2; /* a length that is no multiple of 4 */
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_IMAGE_SEGMENT_LEN);
    image.at[28] ^= 2;
    image.at[31] = 1; /* 16 MB and more */
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_IMAGE_SEGMENT_LEN);
    image.at[31] = 0;
    image.at[32] ^= 1; /* the descriptor's magic */
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, &why), ERR_IMAGE_CHECKSUM);
    assert_non_null(strstr(why.text, "descriptor")); /* which nobody should have to find out by himself */
    image.at[32] ^= 1;
    image.at[500] ^= 1;
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_IMAGE_CHECKSUM);
    image.at[500] ^= 1;
    image.at[image.len - 1] ^= 1;
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_IMAGE_DIGEST);
    image.at[image.len - 1] ^= 1;
    assert_int_equal(image_read(bytes_of(image.at, image.len - 1), 0, &f, NULL), ERR_IMAGE_TRUNCATED);
    assert_int_equal(image_read(bytes_of("", 0), 0, &f, NULL), ERR_IMAGE_TRUNCATED);
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_NONE);
    buf_deinit(&image);
    s.segments[0].len = 252;
    assert_int_equal(read_built(&s, &f), ERR_NONE);
    assert_int_equal(image_check_update(&f, NULL), ERR_IMAGE_FIRST_SEGMENT);
    s.segments[0].len = 1024;
    s.segments[0].address += 0x100;
    assert_int_equal(read_built(&s, &f), ERR_IMAGE_MAPPING);
}

static void sixteen_segments_and_none(void **state)
{
    struct spec s = app_of(c6());
    struct image_facts f;
    (void)state;
    for (s.count = 16; s.count > 2; s.count--) {
        s.segments[s.count - 1].address = s.count % 2 ? 0 : 0x20000000;
        s.segments[s.count - 1].len = 4 * s.count;
    }
    s.count = 16;
    assert_int_equal(read_built(&s, &f), ERR_NONE);
    assert_int_equal(f.segments_read, 16);
    s = (struct spec){.chip = c6()};
    assert_int_equal(read_built(&s, &f), ERR_NONE); /* the format allows it */
    assert_int_equal(f.kind, IMAGE_RAM);
    s = (struct spec){.chip = c6(), .count = 2, .segments = {{0x20000000, 0}, {0x20000000, 4}}};
    assert_int_equal(read_built(&s, &f), ERR_NONE); /* so are empty segments */
}

/* Mapping follows the page that the descriptor names, when the chip has such pages; else the chip's smallest. */
static void pages_come_from_the_descriptor(void **state)
{
    static const struct {
        uint8_t log2;
        uint32_t shift;
        enum err verdict;
    } rows[] = {
        {16, 0, ERR_NONE},
        {16, 0x8000, ERR_IMAGE_MAPPING},
        {15, 0x8000, ERR_NONE},
        {13, 0x2000, ERR_NONE},
        {13, 0x1000, ERR_IMAGE_MAPPING},
        {0, 0x2000, ERR_NONE},
        {0, 0x1000, ERR_IMAGE_MAPPING},
        {20, 0x2000, ERR_NONE},
        {99, 0x1000, ERR_IMAGE_MAPPING},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct spec s = app_of(c6());
        struct image_facts f;
        s.mmu_page_log2 = rows[i].log2;
        s.segments[0].address += rows[i].shift;
        if (read_built(&s, &f) != rows[i].verdict)
            fail_msg("row %zu", i);
    }
    struct spec s3 = app_of(chip_find(0x0009));
    struct image_facts f;
    s3.mmu_page_log2 = 15; /* a page that this chip does not have: 64 KB counts */
    s3.segments[0].address += 0x8000;
    assert_int_equal(read_built(&s3, &f), ERR_IMAGE_MAPPING);
}

/* Old applications, and those of other systems in ESP's container, are whole without a descriptor.  They are no
 * updates, and chips that read their page's size from it do not start them. */
static void applications_without_a_descriptor_are_whole(void **state)
{
    static const struct {
        uint16_t chip;
        enum err target;
    } rows[] = {{0, ERR_NONE}, {5, ERR_NONE}, {9, ERR_NONE}, {0x0d, ERR_IMAGE_DESC}, {0x0c, ERR_IMAGE_DESC}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct spec s = app_of(chip_find(rows[i].chip));
        struct image_facts f;
        struct why why = {{0}};
        struct image_target t = {
            .chip = s.chip, .chip_revision = IMAGE_REVISION_UNKNOWN, .efuse_revision = IMAGE_REVISION_UNKNOWN};
        s.has_desc = false;
        assert_int_equal(read_built(&s, &f), ERR_NONE);
        assert_int_equal(f.kind, IMAGE_APP);
        assert_int_equal(image_check_update(&f, &why), ERR_IMAGE_DESC);
        assert_non_null(strstr(why.text, "descriptor"));
        assert_int_equal(image_check_target(&f, &t, NULL), rows[i].target);
    }
}

static void without_a_hash_the_checksum_is_all(void **state)
{
    struct spec s = app_of(c6());
    struct image_facts f;
    (void)state;
    s.has_no_hash = true;
    struct buf image = built(&s);
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_NONE);
    assert_false(f.has_digest);
    assert_int_equal(f.image_len, image.len);
    image.at[700] ^= 1;
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_IMAGE_CHECKSUM);
    image.at[701] ^= 1; /* a second flip of the same bit undoes it: that is what 8 bits are worth */
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_NONE);
    buf_deinit(&image);
}

/* --- every bit of an image of 8 KB ------------------------------------------------------------ */

static void every_flipped_bit_is_detected(void **state)
{
    struct spec s = app_of(c6());
    struct image_facts f;
    (void)state;
    s.segments[1].len = 8192 - 24 - 8 - 1024 - 8 - 16 - 32;
    struct buf image = built(&s);
    assert_in_range(image.len, 8176, 8192);
    for (size_t bit = 0; bit < image.len * 8; bit++) {
        image.at[bit / 8] ^= (char)(1 << bit % 8);
        enum err err = image_read(buf_bytes(&image), 0, &f, NULL);
        /* The one bit that the format ignores, or rather obeys: "no SHA-256 follows".  What is left is another whole
         * image, of the checksum alone, with 32 bytes of other data behind it. */
        bool is_obeyed = bit == 23 * 8 && f.trailing == TRAILING_OTHER && f.image_len + SHA256_LEN == image.len;
        if ((err == ERR_NONE) != is_obeyed)
            fail_msg("bit %zu of byte %zu: %s", bit % 8, bit / 8, err_name(err));
        image.at[bit / 8] ^= (char)(1 << bit % 8);
    }
    buf_deinit(&image);
}

/* --- generated images ------------------------------------------------------------------------- */

static void what_is_packed_is_inspected(void **state)
{
    uint64_t seed = 7;
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        uint8_t elf[9000];
        char project[32], version[32];
        struct buf image = {0};
        struct image_facts whole, f;
        size_t len = 64 + test_random(&seed) % (sizeof elf - 64);
        for (size_t i = 0; i < len; i++)
            elf[i] = (uint8_t)test_random(&seed);
        memcpy(elf,
               "\x7f"
               "ELF",
               4);
        snprintf(project, sizeof project, "%.*s", 1 + (int)(test_random(&seed) % 31),
                 "a-project-name-of-31-characters");
        snprintf(version, sizeof version, "%u.%u.%u", test_random(&seed), test_random(&seed) % 100, round);
        struct pack_options o = {project, version, "Nov 21 2026", "12:00:00", test_random(&seed) % 32, CHIP_LINUX};
        assert_int_equal(image_pack(&image, bytes_of(elf, len), &o, NULL), ERR_NONE);
        assert_int_equal(image_read(buf_bytes(&image), 0, &whole, NULL), ERR_NONE);
        assert_string_equal(whole.app.project_name, project);
        assert_string_equal(whole.app.version, version);
        assert_int_equal(whole.app.secure_version, o.secure_version);
        assert_memory_equal(image.at + whole.segments[1].at, elf, len);
        struct image_reader r;
        image_reader_init(&r, IMAGE_WANT_MD5);
        for (size_t at = 0, n; at < image.len; at += n) {
            n = 1 + test_random(&seed) % 300;
            n = n < image.len - at ? n : image.len - at;
            image_reader_push(&r, bytes_of(image.at + at, n));
        }
        assert_true(image_reader_is_done(&r));
        uint8_t md5[MD5_LEN], sha[SHA256_LEN];
        md5_of(md5, buf_bytes(&image));
        sha256_of(sha, buf_bytes(&image));
        assert_int_equal(image_reader_finish(&r, &f, NULL), ERR_NONE);
        assert_memory_equal(f.file_md5, md5, MD5_LEN);
        assert_memory_equal(f.file_sha256, sha, SHA256_LEN);
        assert_int_equal(f.image_len, whole.image_len);
        buf_deinit(&image);
    }
}

/* --- ESP8266 ---------------------------------------------------------------------------------- */

static struct buf esp8266_image(unsigned count, const uint32_t *addresses, uint32_t len, bool has_hash, bool has_desc)
{
    struct buf b = {0};
    struct spec s = {.chip = chip_esp8266()};
    uint8_t head[8] = {0xe9, (uint8_t)count, 0, 0x40};
    put_u32(head + 4, 0x40100004);
    put(&b, head, sizeof head);
    for (unsigned i = 0; i < count; i++) {
        s.segments[i].address = addresses[i];
        s.segments[i].len = len;
        size_t from = b.len + 8;
        put_segment(&b, &s, i);
        if (i == 1 && has_desc) {
            memset(b.at + from, 0, APP_DESC_LEN);
            put_u32((uint8_t *)b.at + from, APP_DESC_MAGIC);
            memcpy(b.at + from + 16, "3.4", 3);
            memcpy(b.at + from + 48, "rtos", 4);
        }
    }
    put_tail(&b, 8, count, has_hash);
    return b;
}

static void esp8266_images_of_all_versions(void **state)
{
    static const uint32_t ram[] = {0x40100000, 0x3ffe8000}, mapped[] = {0x40210000, 0x40220000};
    struct image_facts f;
    (void)state;
    struct buf v1 = esp8266_image(2, ram, 512, false, false);
    assert_int_equal(image_read(buf_bytes(&v1), 0, &f, NULL), ERR_NONE);
    assert_int_equal(f.layout, IMAGE_ESP8266_V1);
    assert_int_equal(f.chip_id, CHIP_NONE);
    assert_false(f.has_digest);
    struct buf v3 = esp8266_image(2, mapped, 512, true, true);
    assert_int_equal(image_read(buf_bytes(&v3), 0, &f, NULL), ERR_NONE);
    assert_int_equal(f.layout, IMAGE_ESP8266_V3);
    assert_string_equal(f.app.project_name, "rtos");
    v3.at[v3.len - 5] ^= 1;
    assert_int_equal(image_read(buf_bytes(&v3), 0, &f, NULL), ERR_IMAGE_DIGEST);

    /* V2: an irom part that the checksum does not cover, then a V1 image, then a CRC over all. */
    struct buf v2 = {0};
    uint8_t head[8] = {0xea, 4, 0, 0};
    put(&v2, head, sizeof head);
    put_word(&v2, 0);
    put_word(&v2, 64);
    for (int i = 0; i < 64; i++)
        put(&v2, "x", 1);
    size_t second = v2.len;
    put(&v2, v1.at, 8 + 2 * (8 + 512)); /* without its own padding: the checksum's place counts from the file's start */
    put_tail(&v2, second + 8, 2, false);
    uint32_t crc = crc32_of(0, buf_bytes(&v2));
    put_word(&v2, crc & 0x80000000u ? ~crc : crc + 1);
    assert_int_equal(image_read(buf_bytes(&v2), 0, &f, NULL), ERR_NONE);
    assert_int_equal(f.layout, IMAGE_ESP8266_V2);
    assert_int_equal(f.segments_read, 3);
    v2.at[40] ^= 1; /* irom: only the CRC sees it */
    assert_int_equal(image_read(buf_bytes(&v2), 0, &f, NULL), ERR_IMAGE_CRC);
    v2.at[40] ^= 1;
    v2.at[1] = 3;
    assert_int_equal(image_read(buf_bytes(&v2), 0, &f, NULL), ERR_IMAGE_HEADER);
    v2.at[1] = 4;
    v2.at[second] = 0x11;
    assert_int_equal(image_read(buf_bytes(&v2), 0, &f, NULL), ERR_IMAGE_HEADER);
    v2.at[second] = (char)0xe9;
    v2.at[second + 1] = 17;
    assert_int_equal(image_read(buf_bytes(&v2), 0, &f, NULL), ERR_IMAGE_SEGMENTS);
    buf_deinit(&v1);
    buf_deinit(&v2);
    buf_deinit(&v3);
}

/* Bytes 12 and 23 can look like an ESP32's header; saying which chip it is settles it. */
static void an_esp8266_image_can_be_named(void **state)
{
    static const uint32_t ram[] = {0x40100000};
    struct image_facts f;
    (void)state;
    struct buf v1 = esp8266_image(1, ram, 512, false, false); /* byte 12 is the length's low byte: 0, as ESP32's id */
    assert_int_equal(v1.at[12], 0);
    v1.at[23] = 1; /* inside the segment's data */
    v1.len = 8 + 8 + 512;
    put_tail(&v1, 8, 1, false);
    assert_int_not_equal(image_read(buf_bytes(&v1), 0, &f, NULL), ERR_NONE);
    assert_int_equal(image_read(buf_bytes(&v1), IMAGE_IS_ESP8266, &f, NULL), ERR_NONE);
    assert_int_equal(f.layout, IMAGE_ESP8266_V1);
    buf_deinit(&v1);
}

/* --- what is no image, and what follows one --------------------------------------------------- */

static void other_files_are_named(void **state)
{
    static const struct {
        const char *start, *told;
        size_t len;
    } rows[] = {
        {"\x7f"
         "ELF\2\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
         "ELF", 24},
        {"\xaa\x50\1\2\0\x90\0\0\0\x60\0\0nvs\0\0\0\0\0\0\0\0\0", "partition table", 24},
        {"\xcf\xb6\x88\7aaaaaaaaaaaaaaaaaaaa", "encrypted", 24},
        {"\x10\xde\xcd\xfc"
         "aaaaaaaaaaaaaaaaaaaa",
         "delta", 24},
        {"\x3d\xb8\xf3\x96"
         "aaaaaaaaaaaaaaaaaaaa",
         "MCUboot", 24},
        {"UF2\n]aaaaaaaaaaaaaaaaaaa", "UF2", 24},
        {":020000040000FAaaaaaaaaaaaa", "HEX", 24},
        {"-----BEGIN CERTIFICATE-----", "PEM", 24},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "erased",
         24},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct image_facts f;
        struct why why = {{0}};
        assert_int_equal(image_read(bytes_of(rows[i].start, rows[i].len), 0, &f, &why), ERR_IMAGE_MAGIC);
        if (strstr(why.text, rows[i].told) == NULL)
            fail_msg("%s: %s", rows[i].told, why.text);
    }
    assert_null(image_guess(bytes_of("????", 4)));
    assert_null(image_guess(bytes_of("", 0)));
}

static void what_follows_an_image_is_told(void **state)
{
    struct spec s = app_of(c6());
    struct image_facts f;
    (void)state;
    struct buf image = built(&s);
    size_t len = image.len;
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_NONE);
    assert_int_equal(f.trailing, TRAILING_NONE);
    assert_int_equal(image_signed_len(&f), len);
    for (int i = 0; i < 68; i++)
        put(&image, i < 4 ? "" : "s", 1);
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_NONE);
    assert_int_equal(f.trailing, TRAILING_SIGNATURE_V1);
    assert_int_equal(image_signed_len(&f), len + 68);
    image.at[len] = 1; /* not version 0 */
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_NONE);
    assert_int_equal(f.trailing, TRAILING_OTHER);
    image.len = len;
    while (image.len % 4096 != 0)
        put(&image, "\xff", 1);
    put(&image, "\xe7\x02", 2);
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_NONE);
    assert_int_equal(f.trailing, TRAILING_SIGNATURE_V2);
    assert_int_equal(image_signed_len(&f), (len + 4095) / 4096 * 4096 + 4096);
    buf_deinit(&image);

    /* Simple boot: the header counts the memory's segments, mapped ones follow. */
    struct spec ram = {.chip = c6(), .count = 1, .segments = {{0x20000000, 256}}, .has_no_hash = true};
    image = built(&ram);
    put_word(&image, c6()->mapped[0].from);
    put_word(&image, 16);
    put(&image, "0123456789abcdef", 16);
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_NONE);
    assert_int_equal(f.trailing, TRAILING_SEGMENTS);
    assert_int_equal(f.kind, IMAGE_RAM);
    buf_deinit(&image);
    for (enum image_trailing t = TRAILING_NONE; t <= TRAILING_OTHER; t++)
        assert_true(image_trailing_text(t)[0] != '\0');
}

static void put_table(uint8_t *at)
{
    static const uint8_t record[32] = {0xaa, 0x50, 1, 2, 0, 0x90, 0, 0, 0, 0x60, 0, 0, 'n', 'v', 's'};
    memcpy(at, record, sizeof record);
}

static void merged_dumps_are_recognised_wherever_the_table_lies(void **state)
{
    static const struct {
        uint32_t boot_at, table_at;
        bool is_merged;
    } rows[] = {
        {0x0, 0x8000, true},     {0x1000, 0x8000, true},   {0x2000, 0x8000, true}, {0x1000, 0x9000, true},
        {0x1000, 0x10000, true}, {0x0, 0x7000, true},      {0x0, 0x40000, true},   {0x3000, 0x8000, false},
        {0x1000, 0x8100, false}, {0x1000, 0x41000, false},
    };
    struct spec boot = {.chip = chip_find(0), .count = 1, .segments = {{0x20000000, 256}}, .has_boot_desc = true};
    struct buf bootloader = built(&boot);
    uint8_t *dump = malloc(0x50000);
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t chunk = 1; chunk <= 0x50000; chunk = chunk * 17 + 5) {
            struct image_facts f;
            struct image_reader r;
            memset(dump, 0xff, 0x50000);
            memcpy(dump + rows[i].boot_at, bootloader.at, bootloader.len);
            put_table(dump + rows[i].table_at);
            image_reader_init(&r, 0);
            for (size_t at = 0; at < 0x50000; at += chunk)
                image_reader_push(&r, bytes_of(dump + at, 0x50000 - at < chunk ? 0x50000 - at : chunk));
            enum err err = image_reader_finish(&r, &f, NULL);
            if ((err == ERR_IMAGE_MERGED) != rows[i].is_merged)
                fail_msg("row %zu, chunks of %zu: %s", i, chunk, err_name(err));
            assert_int_equal(f.table_at, rows[i].is_merged ? rows[i].table_at : 0);
            if (rows[i].is_merged)
                assert_int_equal(image_check_update(&f, NULL), ERR_IMAGE_MERGED);
        }
    /* A broken bootloader in front of a table is a merged dump still; a table inside an application is none. */
    struct image_facts f;
    memset(dump, 0xff, 0x50000);
    memcpy(dump, bootloader.at, bootloader.len);
    dump[1] = 17;
    put_table(dump + 0x8000);
    assert_int_equal(image_read(bytes_of(dump, 0x50000), 0, &f, NULL), ERR_IMAGE_MERGED);
    struct spec app = app_of(chip_find(0));
    app.segments[1].len = 0x9000;
    struct buf image = built(&app);
    put_table((uint8_t *)image.at + 0x8000);
    image.len = 24 + 8 + 1024 + 8 + 0x9000;
    put_tail(&image, 24, 2, true);
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_NONE);
    assert_int_equal(f.kind, IMAGE_APP);
    buf_deinit(&image);
    buf_deinit(&bootloader);
    free(dump);
}

/* --- one node's rules ------------------------------------------------------------------------- */

static void a_target_takes_what_its_bootloader_takes(void **state)
{
    struct spec s = app_of(c6());
    struct image_facts f;
    struct why why = {{0}};
    struct image_target any = {.chip = c6(),
                               .chip_revision = IMAGE_REVISION_UNKNOWN,
                               .efuse_revision = IMAGE_REVISION_UNKNOWN},
                        t;
    (void)state;
    s.min_rev = 100;
    s.max_rev = 299;
    s.min_efuse = 1;
    s.max_efuse = 199;
    s.secure_version = 3;
    assert_int_equal(read_built(&s, &f), ERR_NONE);
    assert_int_equal(image_check_target(&f, &any, NULL), ERR_NONE);

    t = any;
    t.chip = chip_find(0x0005);
    assert_int_equal(image_check_target(&f, &t, &why), ERR_IMAGE_CHIP);
    assert_non_null(strstr(why.text, "ESP32-C6"));
    t = any;
    t.chip_revision = 99;
    assert_int_equal(image_check_target(&f, &t, NULL), ERR_IMAGE_REVISION);
    t.chip_revision = 300;
    assert_int_equal(image_check_target(&f, &t, NULL), ERR_IMAGE_REVISION);
    t.ignores_max_revision = true;
    assert_int_equal(image_check_target(&f, &t, NULL), ERR_NONE);
    t.chip_revision = 100;
    assert_int_equal(image_check_target(&f, &t, NULL), ERR_NONE);
    t = any;
    t.efuse_revision = 0;
    assert_int_equal(image_check_target(&f, &t, NULL), ERR_IMAGE_EFUSE_REVISION);
    t.efuse_revision = 200;
    assert_int_equal(image_check_target(&f, &t, NULL), ERR_IMAGE_EFUSE_REVISION);
    t.efuse_revision = 150;
    assert_int_equal(image_check_target(&f, &t, NULL), ERR_NONE);
    t = any;
    t.slot_bytes = (uint32_t)f.image_len;
    assert_int_equal(image_check_target(&f, &t, NULL), ERR_NONE);
    t.slot_bytes--;
    assert_int_equal(image_check_target(&f, &t, NULL), ERR_IMAGE_TOO_LONG);
    t.slot_bytes = 0x1000001;
    assert_int_equal(image_check_target(&f, &t, NULL), ERR_IMAGE_SLOT);
    t.slot_bytes = 0x100000;
    t.slot_at = 0xffffff00;
    assert_int_equal(image_check_target(&f, &t, NULL), ERR_IMAGE_WRAPS);
    t = any;
    t.secure_version = 3;
    assert_int_equal(image_check_target(&f, &t, NULL), ERR_NONE);
    t.secure_version = 4;
    assert_int_equal(image_check_target(&f, &t, NULL), ERR_IMAGE_SECURE_VERSION);

    /* A chip that reads large slots; maxima that say "not set"; the first chip has no eFuse block revision. */
    struct spec s3 = app_of(chip_find(0x0009));
    s3.max_rev = 65535;
    s3.max_efuse = 65535;
    assert_int_equal(read_built(&s3, &f), ERR_NONE);
    t = (struct image_target){.chip = f.chip, .chip_revision = 9999, .efuse_revision = 9999, .slot_bytes = 0x2000000};
    assert_int_equal(image_check_target(&f, &t, NULL), ERR_NONE);
    struct spec first = app_of(chip_find(0));
    first.max_efuse = 1;
    assert_int_equal(read_built(&first, &f), ERR_NONE);
    t.chip = f.chip;
    t.slot_bytes = 0;
    assert_int_equal(image_check_target(&f, &t, NULL), ERR_NONE);
    /* Bootloaders have a lowest revision, no highest. */
    struct spec boot = {.chip = c6(), .count = 1, .segments = {{0x20000000, 256}}, .has_boot_desc = true, .max_rev = 5};
    assert_int_equal(read_built(&boot, &f), ERR_NONE);
    t = any;
    t.chip_revision = 100;
    assert_int_equal(image_check_target(&f, &t, NULL), ERR_NONE);
    /* A segment past the end of memory. */
    s.segments[1].address = 0xffffff80;
    assert_int_equal(read_built(&s, &f), ERR_NONE);
    assert_int_equal(image_check_target(&f, &any, NULL), ERR_IMAGE_LOAD);
    s.segments[1].address = 0x0fffff80; /* not loaded at all */
    assert_int_equal(read_built(&s, &f), ERR_NONE);
    assert_int_equal(image_check_target(&f, &any, NULL), ERR_NONE);
}

static void what_is_unknown_is_no_update(void **state)
{
    struct image_facts f = {.kind = IMAGE_UNKNOWN};
    (void)state;
    assert_int_equal(image_check_update(&f, NULL), ERR_IMAGE_MAGIC);
    assert_string_equal(image_layout_text(IMAGE_ESP8266_V1), "ESP8266 V1 (boot ROM)");
    assert_string_equal(image_kind_text(IMAGE_MERGED), "merged flash dump");
}

static void packing_has_limits(void **state)
{
    struct buf to = {0};
    struct pack_options o = {"p", "1", "", "", 0, CHIP_LINUX};
    size_t len = 15u * (0x1000000 - 4096) + 1;
    uint8_t *elf = calloc(1, len);
    (void)state;
    if (elf == NULL)
        skip();
    memcpy(elf,
           "\x7f"
           "ELF",
           4);
    assert_int_equal(image_pack(&to, bytes_of(elf, len), &o, NULL), ERR_TOO_BIG);
    assert_int_equal(
        image_pack(&to, bytes_of("not an ELF file at all, but long enough to be looked at, is it not?", 64), &o, NULL),
        ERR_FORMAT);
    o.project_name = NULL;
    assert_int_equal(image_pack(&to, bytes_of(elf, 64), &o, NULL), ERR_USAGE);
    buf_deinit(&to);
    free(elf);
}

static void memory_that_runs_out_is_told(void **state)
{
    uint8_t elf[6000] = "\x7f"
                        "ELF";
    struct pack_options o = {"p", "1", "", "", 0, CHIP_LINUX};
    (void)state;
    for (long n = 0;; n++) {
        struct buf to = {0};
        test_fail_allocation(n);
        enum err err = image_pack(&to, bytes_of(elf, sizeof elf), &o, NULL);
        test_fail_allocation(-1);
        buf_deinit(&to);
        if (err == ERR_NONE) {
            assert_true(n > 1);
            break;
        }
        assert_int_equal(err, ERR_NO_MEMORY);
    }
}

/* What nearly looks like something, and is not. */
static void near_misses_are_told_apart(void **state)
{
    struct spec boot = {
        .chip = c6(), .count = 1, .segments = {{0x20000000, 256}}, .has_boot_desc = true, .has_no_hash = true};
    struct image_facts f;
    (void)state;
    struct buf image = built(&boot);
    image.at[33] = 1; /* a reserved byte of the descriptor: the first byte was chance */
    image.at[image.len - 1] ^= 1;
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_NONE);
    assert_int_equal(f.kind, IMAGE_RAM);
    size_t len = image.len;
    static const struct {
        uint32_t address, len;
        enum image_trailing trailing;
    } rows[] = {{0x42000000, 16, TRAILING_SEGMENTS},
                {0x42000000, 15, TRAILING_OTHER},
                {0x42000000, 0, TRAILING_OTHER},
                {0x42000000, 0x1000000, TRAILING_OTHER},
                {0x20000000, 16, TRAILING_OTHER}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        image.len = len;
        put_word(&image, rows[i].address);
        put_word(&image, rows[i].len);
        assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_NONE);
        assert_int_equal(f.trailing, rows[i].trailing);
    }
    image.len = len;
    put(&image, "\xff\xff\xff\xe7\x02", 5); /* a signature's magic, but on no sector's boundary */
    assert_int_equal(image_read(buf_bytes(&image), 0, &f, NULL), ERR_NONE);
    assert_int_equal(f.trailing, TRAILING_OTHER);
    buf_deinit(&image);

    struct spec mapped = app_of(c6()); /* the same byte at the start of what is mapped is code or data */
    mapped.has_desc = false;
    mapped.has_boot_desc = true;
    assert_int_equal(read_built(&mapped, &f), ERR_NONE);
    assert_int_equal(f.kind, IMAGE_APP);
    assert_false(f.has_boot_desc);

    static const uint8_t many[24] = {0xe9, 17, 0, 0, 0, 0, 0, 0, 4, 0, 0x10, 0x40};
    assert_int_equal(image_read(bytes_of(many, sizeof many), IMAGE_IS_ESP8266, &f, NULL), ERR_IMAGE_SEGMENTS);

    /* A table and a bootloader's magic in a file that starts with neither an image nor erased flash. */
    uint8_t *file = calloc(1, 0x10000);
    put_table(file + 0x8000);
    file[0x1000] = 0xe9;
    assert_int_equal(image_read(bytes_of(file, 0x10000), 0, &f, NULL), ERR_IMAGE_MAGIC);
    file[0] = 0xff;
    assert_int_equal(image_read(bytes_of(file, 0x10000), 0, &f, NULL), ERR_IMAGE_MERGED);
    file[0x1000] = 0;
    assert_int_equal(image_read(bytes_of(file, 0x10000), 0, &f, NULL), ERR_IMAGE_MAGIC);
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(near_misses_are_told_apart),
        cmocka_unit_test(memory_that_runs_out_is_told),
        cmocka_unit_test(every_chip_has_its_images),
        cmocka_unit_test(flash_codes_have_names),
        cmocka_unit_test(each_rule_has_its_code),
        cmocka_unit_test(sixteen_segments_and_none),
        cmocka_unit_test(pages_come_from_the_descriptor),
        cmocka_unit_test(applications_without_a_descriptor_are_whole),
        cmocka_unit_test(without_a_hash_the_checksum_is_all),
        cmocka_unit_test(every_flipped_bit_is_detected),
        cmocka_unit_test(what_is_packed_is_inspected),
        cmocka_unit_test(esp8266_images_of_all_versions),
        cmocka_unit_test(an_esp8266_image_can_be_named),
        cmocka_unit_test(other_files_are_named),
        cmocka_unit_test(what_follows_an_image_is_told),
        cmocka_unit_test(merged_dumps_are_recognised_wherever_the_table_lies),
        cmocka_unit_test(a_target_takes_what_its_bootloader_takes),
        cmocka_unit_test(what_is_unknown_is_no_update),
        cmocka_unit_test(packing_has_limits),
    };
    return cmocka_run_group_tests_name("image rules", tests, NULL, NULL);
}
