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
#include "codec/crc.h"

#include <inttypes.h>
#include <string.h>

#define ESP8266_HEADER_LEN 8
#define V2_MAGIC           0xea
#define NO_WP_PIN          0xee
#define SIGNATURE_SECTOR   4096
#define SIGNATURE_V1_LEN   68

static enum err broken(struct image_reader *r, enum err code)
{
    r->state = R_BROKEN;
    r->broken_at = r->at;
    r->verdict = code;
    return code;
}

#define BREAK(r, code, ...) broken((r), why_set(&(r)->why, (code), __VA_ARGS__))

void image_reader_init(struct image_reader *r, unsigned options)
{
    *r = (struct image_reader){.state = R_HEAD, .wanted = IMAGE_HEADER_LEN, .options = options};
    digest_init(&r->hash, DIGEST_SHA256);
    if (options & IMAGE_WANT_MD5)
        digest_init(&r->md5, DIGEST_MD5);
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
    if (count > IMAGE_SEGMENTS_MAX)
        return BREAK(r, ERR_IMAGE_SEGMENTS, "header says %u segments, an image has at most %d", count,
                     IMAGE_SEGMENTS_MAX);
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
    if (head[23] > 1)
        return BREAK(r, ERR_IMAGE_HEADER, "byte 23 of the header is 0x%02x; it is 1 when a SHA-256 follows, else 0",
                     head[23]);
    if (f->chip == NULL)
        return BREAK(r, ERR_IMAGE_CHIP, "header names chip id 0x%04x, which no known chip has", f->chip_id);
    return check_segment_count(r);
}

/* esptool's rule: byte 23 is 0 or 1 and byte 12 is the low byte of a known chip id -> not an ESP8266.  A header with
 * the write-protect pin esptool always writes is no ESP8266's: byte 8 is the low byte of a load address there, which is
 * a multiple of 4. */
static bool is_esp32_family(const uint8_t *head)
{
    bool is_known = chip_find(head[12]) != NULL || get_u16(head + 12) == CHIP_LINUX;
    return head[8] == NO_WP_PIN ? is_known || head[13] == 0 : head[23] <= 1 && is_known;
}

static enum err push_bytes(struct image_reader *r, struct bytes chunk);

static enum err take_head(struct image_reader *r)
{
    uint8_t head[IMAGE_HEADER_LEN];
    memcpy(head, r->collect, sizeof head);
    struct image_facts *f = &r->facts;
    if (head[0] != IMAGE_MAGIC && head[0] != V2_MAGIC) {
        const char *guess = image_guess(bytes_of(head, sizeof head));
        return BREAK(r, ERR_IMAGE_MAGIC, "file starts with 0x%02x, an image with 0x%02x%s%s", head[0], IMAGE_MAGIC,
                     guess ? "; this seems to be " : "", guess ? guess : "");
    }
    read_common_header(f, head);
    if (head[0] == IMAGE_MAGIC && !(r->options & IMAGE_IS_ESP8266) && is_esp32_family(head))
        return take_extended_header(r, head);

    /* ESP8266: only 8 bytes are header; what was gathered beyond is the beginning of what follows. */
    f->chip = chip_esp8266();
    f->layout = head[0] == V2_MAGIC ? IMAGE_ESP8266_V2 : IMAGE_ESP8266_V1;
    r->crc = crc32_of(0, bytes_of(head, ESP8266_HEADER_LEN));
    r->at = ESP8266_HEADER_LEN;
    if (f->layout == IMAGE_ESP8266_V2) {
        if (head[1] != 4)
            return BREAK(r, ERR_IMAGE_HEADER, "ESP8266 V2 header has %u in byte 1, it must be 4", head[1]);
        r->segments_expected = 1;
        next_segment(r);
    } else if (check_segment_count(r) != ERR_NONE)
        return r->verdict;
    r->is_replaying = true; /* these bytes are in the hash already */
    push_bytes(r, bytes_of(head + ESP8266_HEADER_LEN, sizeof head - ESP8266_HEADER_LEN));
    r->is_replaying = false;
    return r->verdict;
}

static enum err take_segment_header(struct image_reader *r)
{
    struct image_facts *f = &r->facts;
    uint32_t address = get_u32(r->collect), len = get_u32(r->collect + 4);
    unsigned index = f->segments_read;
    if (len % 4 != 0 || len >= IMAGE_SEGMENT_BYTES_MAX)
        return BREAK(r, ERR_IMAGE_SEGMENT_LEN,
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
    uint32_t page = chip_page(f->chip, f->has_app_desc ? f->app.mmu_page_log2 : 0);
    for (unsigned i = 0; f->layout == IMAGE_ESP32 && page > 0 && i < f->segments_read; i++) {
        uint32_t address = f->segments[i].address;
        if (chip_maps(f->chip, address) && (f->segments[i].at - address) % page != 0)
            return BREAK(r, ERR_IMAGE_MAPPING,
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

/* Said beside other damage: a file without the descriptor was perhaps never an application of ESP-IDF. */
static const char *missing_desc_text(const struct image_facts *f)
{
    bool is_missing = f->kind == IMAGE_APP && f->layout == IMAGE_ESP32 && !f->has_app_desc;
    return is_missing ? "; it has no app descriptor either" : "";
}

static enum err take_checksum(struct image_reader *r)
{
    struct image_facts *f = &r->facts;
    decide_kind(f);
    if (check_mapping(r) != ERR_NONE)
        return r->verdict;
    if (f->checksum_stored != f->checksum_computed)
        return BREAK(r, ERR_IMAGE_CHECKSUM, "checksum byte is 0x%02x, the segments give 0x%02x: the file was damaged%s",
                     f->checksum_stored, f->checksum_computed, missing_desc_text(f));
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
    end_of_image(r);
    if (memcmp(r->computed, f->digest, SHA256_LEN) != 0)
        return BREAK(r, ERR_IMAGE_DIGEST,
                     "the appended SHA-256 does not match the %s image: its bytes, or its header (chip id, "
                     "flash mode), were changed after it was built%s",
                     f->chip->name, missing_desc_text(f));
    return ERR_NONE;
}

static enum err take_crc(struct image_reader *r)
{
    uint32_t expected = r->crc & 0x80000000u ? ~r->crc : r->crc + 1;
    uint32_t stored = get_u32(r->collect);
    end_of_image(r);
    if (stored != expected)
        return BREAK(r, ERR_IMAGE_CRC, "the ESP8266 V2 image ends in CRC 0x%08" PRIx32 ", its bytes give 0x%08" PRIx32,
                     stored, expected);
    return ERR_NONE;
}

/* The XOR of all bytes, eight at a time. */
static uint8_t xor_of(struct bytes data)
{
    uint64_t wide = 0, word;
    uint8_t sum = 0;
    size_t i = 0;
    for (; i + sizeof word <= data.len; i += sizeof word) {
        memcpy(&word, data.at + i, sizeof word);
        wide ^= word;
    }
    for (; i < data.len; i++)
        sum ^= data.at[i];
    wide ^= wide >> 32;
    wide ^= wide >> 16;
    return (uint8_t)(sum ^ wide ^ wide >> 8);
}

static void take_data(struct image_reader *r, struct bytes data)
{
    struct image_facts *f = &r->facts;
    uint32_t done = f->segments[f->segments_read - 1].len - r->data_left;
    f->checksum_computed ^= xor_of(data);
    if (done < sizeof r->desc) {
        size_t n = sizeof r->desc - done < data.len ? sizeof r->desc - done : data.len;
        memcpy(r->desc + done, data.at, n);
    }
    r->data_left -= (uint32_t)data.len;
}

/* Takes bytes for the state at hand; returns how many.  Not called in R_TRAILING and R_BROKEN. */
static size_t step(struct image_reader *r, struct bytes chunk)
{
    struct image_facts *f = &r->facts;
    size_t n = r->state == R_DATA ? r->data_left : r->wanted - r->collected;
    if (n > chunk.len)
        n = chunk.len;
    struct bytes taken = bytes_of(chunk.at, n);
    if (r->state == R_DATA)
        take_data(r, taken);
    else if (r->state == R_TAIL) {
        if (n > 0)
            f->checksum_stored = chunk.at[n - 1];
        r->collected += (uint32_t)n;
    } else if (n > 0) {
        memcpy((r->state == R_HASH ? f->digest : r->collect) + r->collected, chunk.at, n);
        r->collected += (uint32_t)n;
    }
    if (!r->is_replaying)
        digest_update(&r->hash, taken);
    if (r->state == R_TAIL && r->collected == r->wanted)
        digest_peek(&r->hash, r->computed);
    if (f->layout == IMAGE_ESP8266_V2 && r->state != R_CRC && r->state != R_HEAD)
        r->crc = crc32_of(r->crc, taken);
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

/* What a signature of version 1 begins with: its own version, 0. */
static bool starts_signature_v1(const struct image_reader *r)
{
    return get_u32(r->after) == 0;
}

static bool starts_segment(const struct image_reader *r)
{
    uint32_t address = get_u32(r->after), len = get_u32(r->after + 4);
    return r->facts.chip != NULL && chip_maps(r->facts.chip, address) && len % 4 == 0 && len > 0 &&
           len < IMAGE_SEGMENT_BYTES_MAX;
}

static void watch_trailing(struct image_reader *r, struct bytes chunk)
{
    struct image_facts *f = &r->facts;
    for (size_t i = 0; i < chunk.len && r->at + i < f->image_len + sizeof r->after; i++)
        r->after[r->at + i - f->image_len] = chunk.at[i];
    for (size_t i = 0; i < chunk.len && f->trailing_at == 0; i++)
        if (chunk.at[i] != 0xff) {
            f->trailing_at = r->at + i;
            bool is_v2 = chunk.at[i] == 0xe7 && f->trailing_at % SIGNATURE_SECTOR == 0;
            f->trailing = is_v2 ? TRAILING_SIGNATURE_V2 : TRAILING_OTHER;
        }
}

static enum err push_bytes(struct image_reader *r, struct bytes chunk)
{
    while (r->state != R_BROKEN && r->state != R_TRAILING && (chunk.len > 0 || is_gathered(r))) {
        size_t n = step(r, chunk);
        chunk = bytes_of(chunk.at + n, chunk.len - n);
        if (is_gathered(r))
            finish_state(r);
    }
    if (r->state == R_TRAILING)
        watch_trailing(r, chunk);
    if (!r->is_replaying)
        digest_update(&r->hash, chunk);
    r->at += chunk.len;
    return r->verdict;
}

#define TABLE_STEP  0x1000u
#define TABLE_USUAL 0x8000u
#define TABLE_LAST  0x40000u /* partition tables lie below, as esptool's and ESP-IDF's settings have it */
#define TABLE_MAGIC 0x50aa

/* A first record that a partition table could have: known type, sector-aligned, not empty.  At the usual place its
 * magic alone is enough. */
static bool is_table_record(const uint8_t *record, uint64_t table_at)
{
    uint32_t at = get_u32(record + 4), size = get_u32(record + 8);
    bool is_plausible = (record[2] <= 3 || record[2] >= 0x40) && at % TABLE_STEP == 0 && size > 0;
    return get_u16(record) == TABLE_MAGIC && (is_plausible || table_at == TABLE_USUAL);
}

static void watch_byte(uint8_t *to, uint64_t where, uint64_t from, struct bytes chunk)
{
    if (where >= from && where < from + chunk.len)
        *to = chunk.at[where - from];
}

/* Merged dumps are known by a partition table on a sector's boundary and a bootloader at one of three places. */
static void watch_merged(struct image_reader *r, uint64_t from, struct bytes chunk)
{
    watch_byte(&r->magic_at_0, 0, from, chunk);
    watch_byte(&r->magic_at_1000, 0x1000, from, chunk);
    watch_byte(&r->magic_at_2000, 0x2000, from, chunk);
    for (uint64_t at = from; at < from + chunk.len && at <= TABLE_LAST + IMAGE_TABLE_RECORD;) {
        uint64_t within = at % TABLE_STEP;
        if (within >= IMAGE_TABLE_RECORD || at < TABLE_STEP) {
            at += TABLE_STEP - within;
            continue;
        }
        r->record[within] = chunk.at[at - from];
        if (within == IMAGE_TABLE_RECORD - 1 && r->facts.table_at == 0 && is_table_record(r->record, at - within))
            r->facts.table_at = (uint32_t)(at - within);
        at++;
    }
}

enum err image_reader_push(struct image_reader *r, struct bytes chunk)
{
    watch_merged(r, r->facts.file_len, chunk);
    r->facts.file_len += chunk.len;
    if (r->options & IMAGE_WANT_MD5)
        digest_update(&r->md5, chunk);
    return push_bytes(r, chunk);
}

static bool is_merged(const struct image_reader *r)
{
    const struct image_facts *f = &r->facts;
    if (f->table_at == 0)
        return false;
    if (r->magic_at_0 != IMAGE_MAGIC)
        return r->magic_at_0 == 0xff && (r->magic_at_1000 == IMAGE_MAGIC || r->magic_at_2000 == IMAGE_MAGIC);
    return (f->image_len > 0 ? f->image_len : r->broken_at) <= f->table_at;
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
    if (r->state < R_TRAILING)
        cut_off(r);
    if (is_merged(r)) {
        f->kind = IMAGE_MERGED;
        r->verdict = why_set(&r->why, ERR_IMAGE_MERGED,
                             "this is a merged flash dump (a partition table lies at 0x%" PRIx32
                             "): it is no application, `pluvio flash split` takes the application out",
                             f->table_at);
    } else
        f->table_at = 0;
    uint64_t extra = f->file_len - f->image_len;
    if (f->image_len > 0 && extra > 0 && f->trailing == TRAILING_NONE)
        f->trailing = TRAILING_ERASED;
    if (f->trailing == TRAILING_OTHER && extra == SIGNATURE_V1_LEN && starts_signature_v1(r))
        f->trailing = TRAILING_SIGNATURE_V1;
    else if (f->trailing == TRAILING_OTHER && starts_segment(r))
        f->trailing = TRAILING_SEGMENTS;
    digest_final(&r->hash, f->file_sha256);
    if (r->options & IMAGE_WANT_MD5)
        digest_final(&r->md5, f->file_md5);
    *facts = *f;
    if (r->verdict != ERR_NONE && why != NULL)
        *why = r->why;
    return r->verdict;
}

enum err image_read(struct bytes file, unsigned options, struct image_facts *facts, struct why *why)
{
    struct image_reader r;
    image_reader_init(&r, options);
    image_reader_push(&r, file);
    return image_reader_finish(&r, facts, why);
}
