/*
 * The reader is a small machine over bytes.  States and what is true in each:
 *   HEAD           gathering 24 bytes; ESP8266's shorter header is told apart only then, and the rest replayed
 *   SEGMENT_HEADER gathering the 8 bytes of the next segment's header
 *   DATA           inside a segment; its first 256 bytes are kept to look for descriptors
 *   SECOND_HEAD    ESP8266 V2 only: the header of the RAM part, after the irom segment
 *   TAIL           padding up to and including the checksum byte
 *   HASH, CRC      the appended SHA-256 (32 bytes), or ESP8266 V2's CRC (4 bytes)
 *   TRAILING       past the image
 *   BROKEN         a rule is broken; bytes only count for the file's own digests
 */
#include "image/image.h"

#include "base/text.h"

#include <inttypes.h>
#include <string.h>

#define ESP8266_HEADER_LEN 8
#define V2_MAGIC           0xea
#define SIGNATURE_SECTOR   4096
#define SIGNATURE_V1_LEN   68

/* zlib's CRC, needed for ESP8266 V2 only; `codec` is not below this room. */
static uint32_t crc32_step(uint32_t crc, struct bytes data)
{
    crc = ~crc;
    for (size_t i = 0; i < data.len; i++) {
        crc ^= data.at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
    }
    return ~crc;
}

static enum err broken(struct image_reader *r, enum err code)
{
    r->state = R_BROKEN;
    r->verdict = code;
    return code;
}

#define BREAK(r, code, ...) broken((r), why_set(&(r)->why, (code), __VA_ARGS__))

void image_reader_init(struct image_reader *r)
{
    *r = (struct image_reader){.state = R_HEAD, .wanted = IMAGE_HEADER_LEN};
    digest_init(&r->image_hash, DIGEST_SHA256);
    digest_init(&r->file_hash, DIGEST_SHA256);
    digest_init(&r->file_md5, DIGEST_MD5);
    r->is_image_hash_open = true;
    r->facts.chip_id = CHIP_NONE;
    r->facts.checksum_computed = IMAGE_CHECKSUM_SEED;
}

/* Which descriptor the segment's first bytes hold, if any. */
static void look_for_descriptors(struct image_reader *r)
{
    struct image_facts *f = &r->facts;
    if (f->has_app_desc)
        return;
    bool is_first = f->segments_read == 1;
    bool may_hold_app = f->layout == IMAGE_ESP32 ? is_first : true;
    if (may_hold_app && app_desc_read(&f->app, r->desc)) {
        f->has_app_desc = true;
        return;
    }
    if (f->layout == IMAGE_ESP32 && is_first && r->desc[0] == BOOT_DESC_MAGIC && get_u16(r->desc + 1) == 0 &&
        !(f->chip && chip_maps(f->chip, f->segments[0].address))) {
        f->has_boot_desc = true;
        f->bootloader.secure_version = r->desc[3];
        f->bootloader.version = get_u32(r->desc + 4);
        text_copy_field(f->bootloader.idf_ver, sizeof f->bootloader.idf_ver, r->desc + 8, 32);
        text_copy_field(f->bootloader.date_time, sizeof f->bootloader.date_time, r->desc + 40, 24);
    }
}

static void want(struct image_reader *r, int state, uint32_t count)
{
    r->state = state;
    r->collected = 0;
    r->wanted = count;
}

/* Offsets for the tail: the checksum lies at the next offset that is 15 modulo 16. */
static void begin_tail(struct image_reader *r)
{
    uint64_t end = (r->at + 16) & ~(uint64_t)15;
    want(r, R_TAIL, (uint32_t)(end - r->at));
}

static void next_segment(struct image_reader *r)
{
    if (r->segments_expected > 0)
        want(r, R_SEGMENT_HEADER, IMAGE_SEGMENT_HEADER);
    else
        begin_tail(r);
}

static void end_of_image(struct image_reader *r)
{
    r->facts.image_len = r->at;
    r->state = R_TRAILING;
}

static void read_common_header(struct image_facts *f, const uint8_t *head)
{
    f->segment_count = head[1];
    f->spi_mode = head[2];
    f->spi_speed = head[3] & 15;
    f->spi_size = head[3] >> 4;
    f->entry = get_u32(head + 4);
}

static enum err check_segment_count(struct image_reader *r)
{
    unsigned count = r->facts.segment_count;
    if (count == 0 || count > IMAGE_SEGMENTS_MAX)
        return BREAK(r, ERR_IMAGE_SEGMENTS, "header says %u segments, an image has 1 to %d", count, IMAGE_SEGMENTS_MAX);
    r->segments_expected = (uint8_t)count;
    next_segment(r);
    return ERR_NONE;
}

static enum err take_extended_header(struct image_reader *r, const uint8_t *head)
{
    struct image_facts *f = &r->facts;
    f->layout = IMAGE_ESP32;
    f->chip_id = get_u16(head + 12);
    f->chip = chip_find(f->chip_id);
    f->min_chip_rev = get_u16(head + 15);
    f->max_chip_rev = get_u16(head + 17);
    f->has_digest = head[23] == 1;
    if (f->chip == NULL)
        return BREAK(r, ERR_IMAGE_CHIP, "header names chip id 0x%04x, which no known chip has", f->chip_id);
    return check_segment_count(r);
}

/* esptool's rule: byte 23 is 0 or 1 and byte 12 is the low byte of a known chip id -> not an ESP8266.  A header with
 * the write-protect pin esptool always writes is taken for a chip that we do not know yet, rather than for an ESP8266.
 */
static bool is_esp32_family(const uint8_t *head)
{
    bool is_known = chip_find(head[12]) != NULL || get_u16(head + 12) == CHIP_LINUX;
    return head[23] <= 1 && (is_known || (head[8] == 0xee && head[13] == 0));
}

static enum err push_bytes(struct image_reader *r, struct bytes chunk);

static enum err take_head(struct image_reader *r)
{
    uint8_t head[IMAGE_HEADER_LEN];
    memcpy(head, r->collect, sizeof head);
    struct image_facts *f = &r->facts;
    if (head[0] == 0xff)
        return BREAK(r, ERR_IMAGE_MAGIC, "file starts with 0xff, an image with 0x%02x", IMAGE_MAGIC);
    if (head[0] != IMAGE_MAGIC && head[0] != V2_MAGIC)
        return BREAK(r, ERR_IMAGE_MAGIC, "file starts with 0x%02x, an image with 0x%02x", head[0], IMAGE_MAGIC);
    read_common_header(f, head);
    digest_update(&r->image_hash, bytes_of(head, sizeof head));
    if (head[0] == IMAGE_MAGIC && is_esp32_family(head))
        return take_extended_header(r, head);

    /* ESP8266: only 8 bytes are header; what was gathered beyond is the beginning of what follows. */
    f->chip = chip_esp8266();
    f->layout = head[0] == V2_MAGIC ? IMAGE_ESP8266_V2 : IMAGE_ESP8266_V1;
    digest_deinit(&r->image_hash);
    digest_init(&r->image_hash, DIGEST_SHA256);
    digest_update(&r->image_hash, bytes_of(head, ESP8266_HEADER_LEN));
    r->crc = crc32_step(0, bytes_of(head, ESP8266_HEADER_LEN));
    r->at = ESP8266_HEADER_LEN;
    if (f->layout == IMAGE_ESP8266_V2) {
        if (head[1] != 4)
            return BREAK(r, ERR_IMAGE_HEADER, "ESP8266 V2 header has %u in byte 1, it must be 4", head[1]);
        r->segments_expected = 1;
        next_segment(r);
    } else if (check_segment_count(r) != ERR_NONE)
        return r->verdict;
    return push_bytes(r, bytes_of(head + ESP8266_HEADER_LEN, sizeof head - ESP8266_HEADER_LEN));
}

static enum err take_segment_header(struct image_reader *r)
{
    struct image_facts *f = &r->facts;
    uint32_t address = get_u32(r->collect), len = get_u32(r->collect + 4);
    unsigned index = f->segments_read;
    if (len % 4 != 0 || len >= IMAGE_SEGMENT_BYTES_MAX)
        return BREAK(r, ERR_IMAGE_SEGMENTS,
                     "segment %u of %u says %" PRIu32 " bytes at 0x%08" PRIx32
                     "; a length is a multiple of 4 below 16 MB"
                     " (is the file cut off, or padded with 0xff?)",
                     index + 1, f->segment_count, len, address);
    f->segments[index].address = address;
    f->segments[index].len = len;
    f->segments[index].at = (uint32_t)r->at;
    f->segments_read++;
    if (f->layout == IMAGE_ESP8266_V1 && index == 0 && chip_maps(f->chip, address)) {
        f->layout = IMAGE_ESP8266_V3; /* the RTOS SDK's: flash-mapped segments first, SHA-256 always appended */
        f->has_digest = true;
    }
    r->segments_expected--;
    r->data_left = len;
    memset(r->desc, 0, sizeof r->desc);
    want(r, R_DATA, 0);
    return ERR_NONE;
}

/* Flash is mapped page by page, so offset and address must agree within a page.  An image starts on a page. */
static enum err check_mapping(struct image_reader *r)
{
    struct image_facts *f = &r->facts;
    for (unsigned i = 0; f->layout == IMAGE_ESP32 && f->chip->page_bytes && i < f->segments_read; i++) {
        uint8_t log2 = f->has_app_desc ? f->app.mmu_page_log2 : 0;
        uint32_t page = log2 >= 13 && log2 <= 18 ? 1u << log2 : f->chip->page_bytes;
        uint32_t address = f->segments[i].address;
        if (chip_maps(f->chip, address) && (f->segments[i].at - address) % page != 0)
            return BREAK(r, ERR_IMAGE_SEGMENTS,
                         "segment %u lies at file offset 0x%" PRIx32 ", which its address 0x%08" PRIx32 " cannot map "
                         "with pages of %" PRIu32 " KB",
                         i + 1, f->segments[i].at, address, page / 1024);
    }
    return ERR_NONE;
}

static enum err end_segment(struct image_reader *r)
{
    struct image_facts *f = &r->facts;
    look_for_descriptors(r);
    bool is_first = f->segments_read == 1;
    if (f->layout == IMAGE_ESP32 && is_first && !f->has_app_desc && chip_maps(f->chip, f->segments[0].address))
        return BREAK(r, ERR_IMAGE_DESC,
                     "the %s application has no app descriptor: the magic 0x%08x is missing at offset %d",
                     f->chip->name, APP_DESC_MAGIC, APP_DESC_OFFSET);
    if (f->layout == IMAGE_ESP8266_V2 && !r->is_v2_irom_done) {
        r->is_v2_irom_done = true;
        want(r, R_SECOND_HEAD, ESP8266_HEADER_LEN);
        return ERR_NONE;
    }
    next_segment(r);
    return ERR_NONE;
}

static enum err take_second_head(struct image_reader *r)
{
    if (r->collect[0] != IMAGE_MAGIC)
        return BREAK(r, ERR_IMAGE_HEADER, "the RAM part of the ESP8266 V2 image starts with 0x%02x, not 0x%02x",
                     r->collect[0], IMAGE_MAGIC);
    read_common_header(&r->facts, r->collect);
    r->facts.checksum_computed = IMAGE_CHECKSUM_SEED; /* irom is not part of the checksum */
    return check_segment_count(r);
}

static void decide_kind(struct image_facts *f)
{
    bool is_mapped = false;
    for (unsigned i = 0; i < f->segments_read; i++)
        is_mapped |= f->chip != NULL && chip_maps(f->chip, f->segments[i].address);
    f->kind = f->has_app_desc || f->layout != IMAGE_ESP32 || is_mapped ? IMAGE_APP
              : f->has_boot_desc                                       ? IMAGE_BOOTLOADER
                                                                       : IMAGE_RAM;
}

static enum err take_checksum(struct image_reader *r)
{
    struct image_facts *f = &r->facts;
    decide_kind(f);
    if (check_mapping(r) != ERR_NONE)
        return r->verdict;
    if (f->checksum_stored != f->checksum_computed)
        return BREAK(r, ERR_IMAGE_CHECKSUM, "checksum byte is 0x%02x, the segments give 0x%02x: the file was damaged",
                     f->checksum_stored, f->checksum_computed);
    if (f->has_digest)
        want(r, R_HASH, SHA256_LEN);
    else if (f->layout == IMAGE_ESP8266_V2)
        want(r, R_CRC, 4);
    else
        end_of_image(r);
    return ERR_NONE;
}

static enum err end_hash(struct image_reader *r)
{
    struct image_facts *f = &r->facts;
    uint8_t computed[SHA256_LEN];
    digest_final(&r->image_hash, computed);
    r->is_image_hash_open = false;
    end_of_image(r);
    if (memcmp(computed, f->digest, SHA256_LEN) != 0)
        return BREAK(r, ERR_IMAGE_DIGEST,
                     "the appended SHA-256 does not match the %s image: its bytes, or its header (chip id, "
                     "flash mode), were changed after it was built",
                     f->chip->name);
    return ERR_NONE;
}

static enum err take_crc(struct image_reader *r)
{
    uint32_t expected = r->crc & 0x80000000u ? ~r->crc : r->crc + 1;
    uint32_t stored = get_u32(r->collect);
    end_of_image(r);
    if (stored != expected)
        return BREAK(r, ERR_IMAGE_CHECKSUM,
                     "the ESP8266 V2 image ends in CRC 0x%08" PRIx32 ", its bytes give 0x%08" PRIx32, stored, expected);
    return ERR_NONE;
}

/* Takes bytes for the state at hand; returns how many. */
static size_t step(struct image_reader *r, struct bytes chunk)
{
    struct image_facts *f = &r->facts;
    size_t n = r->state == R_DATA ? r->data_left : r->wanted - r->collected;
    if (n > chunk.len)
        n = chunk.len;
    if (r->state == R_TRAILING || r->state == R_BROKEN)
        return chunk.len;
    if (r->state == R_DATA) {
        uint32_t done = f->segments[f->segments_read - 1].len - r->data_left;
        for (size_t i = 0; i < n; i++) {
            f->checksum_computed ^= chunk.at[i];
            if (done + i < sizeof r->desc)
                r->desc[done + i] = chunk.at[i];
        }
        r->data_left -= (uint32_t)n;
    } else if (r->state == R_TAIL) {
        if (n > 0)
            f->checksum_stored = chunk.at[n - 1];
        r->collected += (uint32_t)n;
    } else {
        uint8_t *to = r->state == R_HASH ? f->digest : r->collect;
        memcpy(to + r->collected, chunk.at, n);
        r->collected += (uint32_t)n;
    }
    if (r->state != R_HEAD && r->state != R_HASH)
        digest_update(&r->image_hash, bytes_of(chunk.at, n));
    if (f->layout == IMAGE_ESP8266_V2 && r->state != R_CRC && r->state != R_HEAD)
        r->crc = crc32_step(r->crc, bytes_of(chunk.at, n));
    r->at += n;
    return n;
}

static bool is_gathered(const struct image_reader *r)
{
    return r->state == R_DATA ? r->data_left == 0 : r->state != R_TRAILING && r->collected == r->wanted;
}

static enum err finish_state(struct image_reader *r)
{
    switch (r->state) {
    case R_HEAD:
        return take_head(r);
    case R_SEGMENT_HEADER:
        return take_segment_header(r);
    case R_DATA:
        return end_segment(r);
    case R_SECOND_HEAD:
        return take_second_head(r);
    case R_TAIL:
        return take_checksum(r);
    case R_HASH:
        return end_hash(r);
    case R_CRC:
        return take_crc(r);
    case R_TRAILING:
    case R_BROKEN:
        break;
    }
    return r->verdict;
}

static void watch_trailing(struct image_reader *r, uint64_t at, struct bytes chunk)
{
    struct image_facts *f = &r->facts;
    for (size_t i = 0; i < chunk.len && f->trailing_at == 0; i++)
        if (chunk.at[i] != 0xff) {
            f->trailing_at = at + i;
            bool is_v2 = chunk.at[i] == 0xe7 && f->trailing_at % SIGNATURE_SECTOR == 0;
            f->trailing = is_v2 ? TRAILING_SIGNATURE_V2 : TRAILING_OTHER;
        }
}

static enum err push_bytes(struct image_reader *r, struct bytes chunk)
{
    while (r->state != R_BROKEN && (chunk.len > 0 || is_gathered(r))) {
        if (r->state == R_TRAILING) {
            watch_trailing(r, r->at, chunk);
            r->at += chunk.len;
            break;
        }
        size_t n = step(r, chunk);
        chunk = bytes_of(chunk.at + n, chunk.len - n);
        if (is_gathered(r))
            finish_state(r);
        else if (chunk.len == 0)
            break;
    }
    return r->verdict;
}

/* Merged dumps are known by the partition table at its usual place and a bootloader at one of three. */
static void watch_merged(struct image_reader *r, uint64_t from, struct bytes chunk)
{
    static const uint64_t at_table = 0x8000;
    for (unsigned i = 0; i < 2; i++)
        if (at_table + i >= from && at_table + i < from + chunk.len)
            r->head_at_8000[i] = chunk.at[at_table + i - from];
    if (0x1000 >= from && 0x1000 < from + chunk.len)
        r->has_boot_magic_at_1000 = chunk.at[0x1000 - from] == IMAGE_MAGIC;
    if (0x2000 >= from && 0x2000 < from + chunk.len)
        r->has_boot_magic_at_2000 = chunk.at[0x2000 - from] == IMAGE_MAGIC;
}

enum err image_reader_push(struct image_reader *r, struct bytes chunk)
{
    watch_merged(r, r->facts.file_len, chunk);
    r->facts.file_len += chunk.len;
    digest_update(&r->file_hash, chunk);
    digest_update(&r->file_md5, chunk);
    return push_bytes(r, chunk);
}

static bool is_merged(const struct image_reader *r)
{
    bool has_table = r->head_at_8000[0] == 0xaa && r->head_at_8000[1] == 0x50;
    bool has_bootloader = r->has_boot_magic_at_1000 || r->has_boot_magic_at_2000 ||
                          (r->facts.image_len > 0 && r->facts.image_len <= 0x8000);
    return has_table && has_bootloader;
}

bool image_reader_is_done(const struct image_reader *r)
{
    return r->state >= R_TRAILING;
}

/* Where the file stopped too early. */
static enum err cut_off(struct image_reader *r)
{
    struct image_facts *f = &r->facts;
    static const char *const places[] = {
        [R_HEAD] = "in its header",       [R_SEGMENT_HEADER] = "before a segment header",
        [R_DATA] = "inside a segment",    [R_SECOND_HEAD] = "before its RAM part",
        [R_TAIL] = "before its checksum", [R_HASH] = "inside its SHA-256",
        [R_CRC] = "inside its CRC",
    };
    if (f->file_len == 0)
        return BREAK(r, ERR_IMAGE_TRUNCATED, "the file is empty");
    return BREAK(r, ERR_IMAGE_TRUNCATED, "the file is cut off after %llu bytes, %s (segment %u of %u)",
                 (unsigned long long)f->file_len, places[r->state], f->segments_read, f->segment_count);
}

enum err image_reader_finish(struct image_reader *r, struct image_facts *facts, struct why *why)
{
    struct image_facts *f = &r->facts;
    if (is_merged(r)) {
        f->kind = IMAGE_MERGED;
        r->verdict = why_set(&r->why, ERR_IMAGE_MERGED,
                             "this is a merged flash dump (a partition table lies at 0x8000): "
                             "take the application out of it first");
    } else if (r->state < R_TRAILING)
        cut_off(r);
    uint64_t extra = f->file_len - f->image_len;
    if (f->image_len > 0 && extra > 0 && f->trailing == TRAILING_NONE)
        f->trailing = TRAILING_ERASED;
    if (f->trailing == TRAILING_OTHER && extra == SIGNATURE_V1_LEN)
        f->trailing = TRAILING_SIGNATURE_V1;
    digest_final(&r->file_hash, f->file_sha256);
    digest_final(&r->file_md5, f->file_md5);
    if (r->is_image_hash_open)
        digest_deinit(&r->image_hash);
    *facts = *f;
    if (r->verdict != ERR_NONE && why != NULL)
        *why = r->why;
    return r->verdict;
}

enum err image_read(struct bytes file, struct image_facts *facts, struct why *why)
{
    struct image_reader r;
    image_reader_init(&r);
    image_reader_push(&r, file);
    return image_reader_finish(&r, facts, why);
}

enum err image_check_update(const struct image_facts *f, struct why *why)
{
    switch (f->kind) {
    case IMAGE_APP:
        return ERR_NONE;
    case IMAGE_BOOTLOADER:
        return why_set(why, ERR_IMAGE_BOOTLOADER,
                       "this is a bootloader of %s (ESP-IDF %s), not an application: upload the "
                       "application's .bin",
                       f->chip->name, f->bootloader.idf_ver);
    case IMAGE_MERGED:
        return why_set(why, ERR_IMAGE_MERGED, "this is a merged flash dump: take the application out of it first");
    case IMAGE_RAM:
        return why_set(why, ERR_IMAGE_BOOTLOADER,
                       "nothing in this image is mapped to flash: it is a bootloader or a RAM "
                       "application, not an update");
    case IMAGE_UNKNOWN:
        break;
    }
    return why_set(why, ERR_IMAGE_MAGIC, "this is not an ESP image");
}

bool app_desc_read(struct app_desc *desc, const uint8_t raw[static APP_DESC_LEN])
{
    if (get_u32(raw) != APP_DESC_MAGIC)
        return false;
    *desc = (struct app_desc){
        .secure_version = get_u32(raw + 4),
        .min_efuse_rev = get_u16(raw + 176),
        .max_efuse_rev = get_u16(raw + 178),
        .mmu_page_log2 = raw[180],
    };
    text_copy_field(desc->version, sizeof desc->version, raw + 16, 32);
    text_copy_field(desc->project_name, sizeof desc->project_name, raw + 48, 32);
    text_copy_field(desc->time, sizeof desc->time, raw + 80, 16);
    text_copy_field(desc->date, sizeof desc->date, raw + 96, 16);
    text_copy_field(desc->idf_ver, sizeof desc->idf_ver, raw + 112, 32);
    memcpy(desc->elf_sha256, raw + 144, sizeof desc->elf_sha256);
    return true;
}

const char *image_layout_text(enum image_layout layout)
{
    static const char *const texts[] = {"ESP32 family", "ESP8266 V1 (boot ROM)", "ESP8266 V2 (NonOS SDK, OTA)",
                                        "ESP8266 V3 (RTOS SDK)"};
    return texts[layout];
}

const char *image_kind_text(enum image_kind kind)
{
    static const char *const texts[] = {"unknown", "application", "bootloader", "RAM image", "merged flash dump"};
    return texts[kind];
}

const char *image_trailing_text(enum image_trailing trailing)
{
    static const char *const texts[] = {"nothing", "erased flash (0xff)", "a signature (Secure Boot v1)",
                                        "a signature sector (Secure Boot v2)", "other data"};
    return texts[trailing];
}
