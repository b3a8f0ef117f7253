#include "flash/partition.h"

#include "base/text.h"
#include "crypto/digest.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD      32u
#define APP_ALIGN   0x10000u
#define OTADATA_LEN 0x2000u
#define NVS_LEAST   0x3000u

static const struct keyword {
    const char *name;
    int type; /* -1: the name of a type */
    uint8_t value;
} keywords[] = {
    {"app", -1, 0x00},        {"data", -1, 0x01},     {"bootloader", -1, 0x02},  {"partition_table", -1, 0x03},
    {"factory", 0x00, 0x00},  {"test", 0x00, 0x20},   {"tee_0", 0x00, 0x30},     {"tee_1", 0x00, 0x31},
    {"ota", 0x01, 0x00},      {"phy", 0x01, 0x01},    {"nvs", 0x01, 0x02},       {"coredump", 0x01, 0x03},
    {"nvs_keys", 0x01, 0x04}, {"efuse", 0x01, 0x05},  {"undefined", 0x01, 0x06}, {"esphttpd", 0x01, 0x80},
    {"fat", 0x01, 0x81},      {"spiffs", 0x01, 0x82}, {"littlefs", 0x01, 0x83},  {"tee_ota", 0x01, 0x90},
    {"primary", 0x02, 0x00},  {"ota", 0x02, 0x01},    {"recovery", 0x02, 0x02},  {"primary", 0x03, 0x00},
    {"ota", 0x03, 0x01},
};

static const char *keyword_of(int type, unsigned value)
{
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
        if (keywords[i].type == type && keywords[i].value == value)
            return keywords[i].name;
    return NULL;
}

const char *partition_type_text(const struct partition *p, char to[static 16])
{
    const char *name = keyword_of(-1, p->type);
    if (name == NULL)
        snprintf(to, 16, "0x%02x", p->type);
    else
        text_copy(to, 16, name);
    return to;
}

const char *partition_subtype_text(const struct partition *p, char to[static 16])
{
    const char *name = keyword_of(p->type, p->subtype);
    if (p->type == PARTITION_APP && (p->subtype & 0xf0) == PARTITION_APP_OTA_0)
        snprintf(to, 16, "ota_%u", p->subtype & 15u);
    else if (name != NULL)
        text_copy(to, 16, name);
    else
        snprintf(to, 16, "0x%02x", p->subtype);
    return to;
}

const struct partition *partition_find(const struct partition_table *t, unsigned type, unsigned subtype,
                                       const char *label)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->entries[i].type == type && t->entries[i].subtype == subtype &&
            (label == NULL || strcmp(t->entries[i].label, label) == 0))
            return &t->entries[i];
    return NULL;
}

const struct partition *partition_find_label(const struct partition_table *t, const char *label)
{
    for (unsigned i = 0; i < t->count; i++)
        if (strcmp(t->entries[i].label, label) == 0)
            return &t->entries[i];
    return NULL;
}

unsigned partition_ota_count(const struct partition_table *t)
{
    unsigned n = 0;
    while (n < 16 && partition_find(t, PARTITION_APP, PARTITION_APP_OTA_0 + n, NULL) != NULL)
        n++;
    return n;
}

struct stretch partition_stretch(struct flash *flash, const struct partition *p)
{
    return (struct stretch){flash, p->at, p->size_bytes};
}

/* --- binary ----------------------------------------------------------------------------------- */

static enum err check_md5(struct bytes records, const uint8_t *stored, struct why *why)
{
    uint8_t md5[MD5_LEN];
    md5_of(md5, records);
    if (memcmp(md5, stored, MD5_LEN) != 0)
        return why_set(why, ERR_FORMAT, "partition table's MD5 does not match its %zu records", records.len / RECORD);
    return ERR_NONE;
}

static enum err take_record(struct partition_table *t, const uint8_t *r, uint32_t flash_size, struct why *why)
{
    struct partition *p = &t->entries[t->count];
    *p = (struct partition){r[2], r[3], get_u32(r + 4), get_u32(r + 8), get_u32(r + 28), {0}};
    text_copy_field(p->label, sizeof p->label, r + 12, PARTITION_LABEL_LEN);
    if (flash_size > 0 && (p->at > flash_size || p->size_bytes > flash_size - p->at))
        return why_set(why, ERR_FORMAT,
                       "partition %s (0x%" PRIx32 " at 0x%" PRIx32 ") leaves the flash of 0x%" PRIx32 " bytes",
                       p->label, p->size_bytes, p->at, flash_size);
    t->count++;
    return ERR_NONE;
}

enum err partition_table_read(struct partition_table *t, struct bytes raw, uint32_t flash_size, struct why *why)
{
    t->count = 0;
    bool has_md5 = false;
    for (uint32_t at = 0; at + RECORD <= raw.len && at < PARTITION_TABLE_BYTES; at += RECORD) {
        const uint8_t *r = raw.at + at;
        unsigned magic = get_u16(r);
        enum err err = ERR_NONE;
        if (magic == 0xffff && r[2] == 0xff && r[3] == 0xff)
            return t->count > 0 ? ERR_NONE : why_set(why, ERR_FORMAT, "partition table is empty");
        if (magic == 0xebeb && !has_md5) {
            has_md5 = true;
            err = check_md5(bytes_of(raw.at, at), r + 16, why);
        } else if (magic == 0x50aa && t->count < PARTITIONS_MAX)
            err = take_record(t, r, flash_size, why);
        else
            err =
                why_set(why, ERR_FORMAT, "partition table record %u has magic 0x%04x", (unsigned)(at / RECORD), magic);
        if (err != ERR_NONE)
            return err;
    }
    return why_set(why, ERR_FORMAT, "partition table has no terminator");
}

void partition_table_write(const struct partition_table *t, uint8_t raw[static PARTITION_TABLE_BYTES])
{
    memset(raw, 0xff, PARTITION_TABLE_BYTES);
    for (unsigned i = 0; i < t->count; i++) {
        const struct partition *p = &t->entries[i];
        uint8_t *r = raw + i * RECORD;
        put_u16(r, 0x50aa);
        r[2] = p->type;
        r[3] = p->subtype;
        put_u32(r + 4, p->at);
        put_u32(r + 8, p->size_bytes);
        memset(r + 12, 0, PARTITION_LABEL_LEN);
        memcpy(r + 12, p->label, strlen(p->label));
        put_u32(r + 28, p->flags);
    }
    uint8_t *md5 = raw + t->count * RECORD;
    put_u16(md5, 0xebeb);
    md5_of(md5 + 16, bytes_of(raw, t->count * RECORD));
}

/* --- CSV -------------------------------------------------------------------------------------- */

enum { F_NAME, F_TYPE, F_SUBTYPE, F_OFFSET, F_SIZE, F_FLAGS, F_COUNT };

struct csv_line {
    char text[256];
    char *fields[F_COUNT];
    unsigned number;
};

static char *strip(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    for (size_t n = strlen(text); n > 0 && isspace((unsigned char)text[n - 1]); n--)
        text[n - 1] = '\0';
    return text;
}

static void split(struct csv_line *line)
{
    char *at = line->text;
    for (int i = 0; i < F_COUNT; i++) {
        char *comma = at ? strchr(at, ',') : NULL;
        if (comma != NULL)
            *comma = '\0';
        line->fields[i] = at ? strip(at) : line->text + strlen(line->text);
        at = comma ? comma + 1 : NULL;
    }
}

/* Decimal, 0x.., with suffix K or M; a leading minus is allowed for sizes. */
static bool parse_number(const char *text, int64_t *to)
{
    char *end;
    bool is_negative = *text == '-';
    const char *digits = text + is_negative;
    if (!isdigit((unsigned char)*digits) || (digits[0] == '0' && isdigit((unsigned char)digits[1])))
        return false;
    unsigned long long value = strtoull(digits, &end, 0);
    unsigned long long unit = *end == 'k' || *end == 'K' ? 1024 : *end == 'm' || *end == 'M' ? 1024 * 1024 : 1;
    end += unit > 1;
    if (*end != '\0' || value > UINT32_MAX)
        return false;
    *to = (int64_t)(value * unit);
    if (is_negative)
        *to = -*to;
    return true;
}

static bool parse_word(const char *text, int type, uint8_t *to)
{
    int64_t number;
    unsigned slot;
    char rest;
    if (type == PARTITION_APP && sscanf(text, "ota_%u%c", &slot, &rest) == 1 && slot < 16) {
        *to = (uint8_t)(PARTITION_APP_OTA_0 + slot);
        return true;
    }
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
        if (keywords[i].type == type && strcasecmp(keywords[i].name, text) == 0) {
            *to = keywords[i].value;
            return true;
        }
    if (!parse_number(text, &number) || number < 0 || number > 0xfe)
        return false;
    *to = (uint8_t)number;
    return true;
}

static bool parse_flags(char *text, uint32_t *flags)
{
    *flags = 0;
    for (char *save, *word = strtok_r(text, ":", &save); word; word = strtok_r(NULL, ":", &save)) {
        word = strip(word);
        if (strcmp(word, "encrypted") == 0)
            *flags |= PARTITION_FLAG_ENCRYPTED;
        else if (strcmp(word, "readonly") == 0)
            *flags |= PARTITION_FLAG_READONLY;
        else
            return false;
    }
    return true;
}

static enum err line_error(const struct csv_line *line, struct why *why, const char *what, const char *value)
{
    return why_set(why, ERR_FORMAT, "partition table line %u: %s%s%s%s", line->number, what, *value ? " \"" : "", value,
                   *value ? "\"" : "");
}

static uint32_t align_up(uint32_t at, uint32_t to)
{
    return (at + to - 1) / to * to;
}

static enum err take_line(struct csv_line *line, struct partition *p, uint32_t *end, struct why *why)
{
    char **f = line->fields;
    int64_t offset = -1, size;
    *p = (struct partition){0};
    text_copy(p->label, sizeof p->label, f[F_NAME]); /* longer names are cut, as the original does */
    if (!*f[F_TYPE] || !parse_word(f[F_TYPE], -1, &p->type))
        return line_error(line, why, "type is not known:", f[F_TYPE]);
    p->subtype = PARTITION_DATA_UNDEFINED;
    if ((!*f[F_SUBTYPE] && p->type == PARTITION_APP) ||
        (*f[F_SUBTYPE] && !parse_word(f[F_SUBTYPE], p->type, &p->subtype)))
        return line_error(line, why, "subtype is not known:", f[F_SUBTYPE]);
    if (*f[F_OFFSET] && (!parse_number(f[F_OFFSET], &offset) || offset < 0))
        return line_error(line, why, "offset is no number:", f[F_OFFSET]);
    if (!*f[F_SIZE] || !parse_number(f[F_SIZE], &size))
        return line_error(line, why, "size is missing or no number:", f[F_SIZE]);
    if (!parse_flags(f[F_FLAGS], &p->flags))
        return line_error(line, why, "flags may be encrypted and readonly:", f[F_FLAGS]);
    uint32_t unit = p->type == PARTITION_APP ? APP_ALIGN : FLASH_SECTOR_BYTES;
    p->at = offset >= 0 ? (uint32_t)offset : align_up(*end, unit);
    if (p->at < *end)
        return line_error(line, why, "starts before the end of the partition above it:", p->label);
    if (p->at % unit != 0)
        return line_error(line, why, "offset is not aligned:", p->label);
    size = size < 0 ? -size - p->at : size;
    if (size <= 0 || size > UINT32_MAX - p->at || size % FLASH_SECTOR_BYTES != 0)
        return line_error(line, why, "size is not a multiple of 4 KB, or nothing is left:", p->label);
    p->size_bytes = (uint32_t)size;
    *end = p->at + p->size_bytes;
    return ERR_NONE;
}

static enum err check_rules(const struct partition_table *t, struct why *why)
{
    unsigned otadata = 0;
    for (unsigned i = 0; i < t->count; i++) {
        const struct partition *p = &t->entries[i];
        bool is_otadata = p->type == PARTITION_DATA && p->subtype == PARTITION_DATA_OTA;
        bool is_nvs = p->type == PARTITION_DATA && p->subtype == PARTITION_DATA_NVS;
        if (partition_find_label(t, p->label) != p)
            return why_set(why, ERR_FORMAT, "two partitions are called %s", p->label);
        if (is_otadata && (p->size_bytes != OTADATA_LEN || ++otadata > 1 || p->flags & PARTITION_FLAG_READONLY))
            return why_set(why, ERR_FORMAT, "there may be one otadata partition, writable, of exactly 0x2000 bytes");
        if (is_nvs && p->size_bytes < NVS_LEAST && !(p->flags & PARTITION_FLAG_READONLY))
            return why_set(why, ERR_FORMAT, "nvs partition %s is smaller than 0x3000 and not readonly", p->label);
    }
    return t->count ? ERR_NONE : why_set(why, ERR_FORMAT, "partition table is empty");
}

enum err partition_table_read_csv(struct partition_table *t, struct bytes csv, struct why *why)
{
    uint32_t end = PARTITION_TABLE_AT + 0x1000;
    struct csv_line line = {.number = 0};
    t->count = 0;
    for (size_t at = 0; at < csv.len;) {
        const uint8_t *newline = memchr(csv.at + at, '\n', csv.len - at);
        size_t len = newline ? (size_t)(newline - csv.at) - at : csv.len - at;
        line.number++;
        if (len >= sizeof line.text)
            return line_error(&line, why, "is longer than 255 characters", "");
        memcpy(line.text, csv.at + at, len);
        line.text[len] = '\0';
        at += len + 1;
        char *text = strip(line.text);
        if (*text == '\0' || *text == '#')
            continue;
        if (t->count == PARTITIONS_MAX)
            return line_error(&line, why, "is one partition too many", "");
        split(&line);
        enum err err = take_line(&line, &t->entries[t->count], &end, why);
        if (err != ERR_NONE)
            return err;
        t->count++;
    }
    return check_rules(t, why);
}
