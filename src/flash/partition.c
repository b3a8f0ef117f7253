#include "flash/partition.h"

#include "crypto/digest.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define RECORD 32u

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

bool partition_word(const char *word, int type, uint8_t *value)
{
    unsigned slot;
    char rest;
    if (type == PARTITION_APP && strncasecmp(word, "ota_", 4) == 0 && isdigit((unsigned char)word[4]) &&
        (word[4] != '0' || word[5] == '\0') && sscanf(word + 4, "%u%c", &slot, &rest) == 1 && slot < 16) {
        *value = (uint8_t)(PARTITION_APP_OTA_0 + slot);
        return true;
    }
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
        if (keywords[i].type == type && strcasecmp(keywords[i].name, word) == 0) {
            *value = keywords[i].value;
            return true;
        }
    return false;
}

const char *partition_type_text(const struct partition *p, char to[static 16])
{
    const char *name = keyword_of(-1, p->type);
    if (name == NULL)
        snprintf(to, 16, "%u", p->type);
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
        snprintf(to, 16, "%u", p->subtype);
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
    memcpy(p->label, r + 12, PARTITION_LABEL_LEN); /* may fill its field without a terminator */
    if (flash_size > 0 && (p->at > flash_size || p->size_bytes > flash_size - p->at))
        return why_set(why, ERR_FORMAT,
                       "partition %s (0x%" PRIx32 " at 0x%" PRIx32 ") leaves the flash of 0x%" PRIx32 " bytes",
                       p->label, p->size_bytes, p->at, flash_size);
    t->count++;
    return ERR_NONE;
}

enum err partition_table_read(struct partition_table *t, struct bytes raw, uint32_t flash_size, struct why *why)
{
    memset(t, 0, sizeof *t);
    for (uint32_t at = 0; at + RECORD <= raw.len && at < PARTITION_TABLE_BYTES; at += RECORD) {
        const uint8_t *r = raw.at + at;
        unsigned magic = get_u16(r);
        enum err err = ERR_NONE;
        if (magic == 0xffff && r[2] == 0xff && r[3] == 0xff)
            return t->count > 0 ? ERR_NONE : why_set(why, ERR_FORMAT, "partition table is empty");
        if (magic == 0xebeb && !t->has_md5) {
            t->has_md5 = true;
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
    if (!t->has_md5)
        return;
    uint8_t *md5 = raw + t->count * RECORD;
    put_u16(md5, 0xebeb);
    md5_of(md5 + 16, bytes_of(raw, t->count * RECORD));
}
