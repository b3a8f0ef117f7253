#include "image/pack.h"

#include "image/image.h"

#include <string.h>

#define NAME_MAX_LEN 31

static enum err check_name(const char *what, const char *name, struct why *why)
{
    size_t len = name ? strlen(name) : 0;
    if (len == 0 || len > NAME_MAX_LEN)
        return why_set(why, ERR_USAGE, "%s must have 1 to %d characters, \"%s\" has %zu", what, NAME_MAX_LEN,
                       name ? name : "", len);
    return ERR_NONE;
}

static void add_header(struct buf *to, unsigned segments, uint16_t chip_id)
{
    uint8_t head[IMAGE_HEADER_LEN] = {IMAGE_MAGIC, (uint8_t)segments, 0x02, 0x2f};
    put_u32(head + 4, PACK_ELF_ADDRESS);
    head[8] = 0xee; /* no write-protect pin */
    put_u16(head + 12, chip_id);
    put_u16(head + 17, 0xffff); /* no highest chip revision */
    head[23] = 1;               /* SHA-256 appended */
    buf_add(to, head, sizeof head);
}

static void add_segment(struct buf *to, uint32_t address, struct bytes data)
{
    uint8_t head[IMAGE_SEGMENT_HEADER];
    uint32_t padded = ((uint32_t)data.len + 3) & ~3u;
    put_u32(head, address);
    put_u32(head + 4, padded);
    buf_add(to, head, sizeof head);
    buf_add(to, data.at, data.len);
    buf_add(to, "\0\0\0", padded - data.len);
}

static void make_desc(uint8_t raw[static APP_DESC_LEN], struct bytes elf, const struct pack_options *o)
{
    memset(raw, 0, APP_DESC_LEN);
    put_u32(raw, APP_DESC_MAGIC);
    put_u32(raw + 4, o->secure_version);
    strncpy((char *)raw + 16, o->version, NAME_MAX_LEN);
    strncpy((char *)raw + 48, o->project_name, NAME_MAX_LEN);
    strncpy((char *)raw + 80, o->time, 15);
    strncpy((char *)raw + 96, o->date, 15);
    strncpy((char *)raw + 112, "v5.5-pluvio", NAME_MAX_LEN);
    sha256_of(raw + 144, elf);
}

static uint8_t checksum_of(struct bytes image)
{
    uint8_t sum = IMAGE_CHECKSUM_SEED;
    size_t at = IMAGE_HEADER_LEN;
    for (unsigned i = 0; i < image.at[1]; i++) {
        uint32_t len = get_u32(image.at + at + 4);
        at += IMAGE_SEGMENT_HEADER;
        for (uint32_t k = 0; k < len; k++)
            sum ^= image.at[at + k];
        at += len;
    }
    return sum;
}

enum err image_pack(struct buf *to, struct bytes elf, const struct pack_options *o, struct why *why)
{
    static const size_t piece = IMAGE_SEGMENT_BYTES_MAX - 4096; /* a whole number of pages below the limit */
    enum err err;
    if ((err = check_name("the project name", o->project_name, why)) != ERR_NONE ||
        (err = check_name("the version", o->version, why)) != ERR_NONE)
        return err;
    if (elf.len < 64 || memcmp(elf.at,
                               "\x7f"
                               "ELF",
                               4) != 0)
        return why_set(why, ERR_FORMAT, "the program is not an ELF file");
    size_t pieces = (elf.len + piece - 1) / piece;
    if (pieces > IMAGE_SEGMENTS_MAX - 1)
        return why_set(why, ERR_TOO_BIG, "the program has %zu bytes, an image holds %zu", elf.len,
                       piece * (IMAGE_SEGMENTS_MAX - 1));
    struct buf image = {0};
    uint8_t desc[APP_DESC_LEN];
    make_desc(desc, elf, o);
    add_header(&image, 1 + (unsigned)pieces, o->chip_id);
    add_segment(&image, PACK_DESC_ADDRESS, bytes_of(desc, sizeof desc));
    for (size_t i = 0; i < pieces; i++) {
        size_t at = i * piece, len = elf.len - at < piece ? elf.len - at : piece;
        add_segment(&image, PACK_ELF_ADDRESS + (uint32_t)at, bytes_of(elf.at + at, len));
    }
    while (!image.is_failed && image.len % 16 != 15)
        buf_add(&image, "", 1);
    if (image.is_failed) {
        buf_deinit(&image);
        return why_set(why, ERR_NO_MEMORY, "no memory for the image");
    }
    uint8_t sum = checksum_of(buf_bytes(&image)), digest[SHA256_LEN];
    buf_add(&image, &sum, 1);
    sha256_of(digest, buf_bytes(&image));
    buf_add(&image, digest, sizeof digest);
    buf_add(to, image.at, image.len);
    bool is_failed = image.is_failed || to->is_failed;
    buf_deinit(&image);
    return is_failed ? why_set(why, ERR_NO_MEMORY, "no memory for the image") : ERR_NONE;
}
