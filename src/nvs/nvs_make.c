#include "nvs/nvs_make.h"

#include <inttypes.h>
#include <string.h>

#define OLD_VALUE_MAX  1984 /* of version 1 */
#define WRITABLE_LEAST 0x3000

size_t nvs_number_len(unsigned type)
{
    switch (type) {
    case NVS_U8:
    case NVS_I8:
    case NVS_U16:
    case NVS_I16:
    case NVS_U32:
    case NVS_I32:
    case NVS_U64:
    case NVS_I64:
        return type & 15u;
    case NVS_FLOAT:
        return 4;
    case NVS_DOUBLE:
        return 8;
    default:
        return 0;
    }
}

static uint8_t *page_at(const struct nvs_maker *m)
{
    return m->bytes + m->page * NVS_PAGE_BYTES;
}

static void start_page(struct nvs_maker *m)
{
    uint8_t *page = page_at(m);
    put_u32(page, 0xfffffffe);
    put_u32(page + 4, m->page);
    page[8] = m->version;
    put_u32(page + 28, nvs_header_crc(page));
    m->entry = 0;
}

enum err nvs_maker_init(struct nvs_maker *m, uint8_t *bytes, uint32_t size, uint8_t version, struct why *why)
{
    memset(m, 0, sizeof *m);
    if (size == 0 || size % NVS_PAGE_BYTES != 0)
        return why_set(why, ERR_USAGE, "an NVS partition has a multiple of 4096 bytes, not %" PRIu32, size);
    m->bytes = bytes;
    m->pages = size / NVS_PAGE_BYTES - (size >= WRITABLE_LEAST);
    m->version = version;
    memset(bytes, 0xff, size);
    start_page(m);
    return ERR_NONE;
}

static enum err next_page(struct nvs_maker *m, struct why *why)
{
    if (m->page + 1 == m->pages)
        return why_set(why, ERR_NO_SPACE, "the partition is full: %u page%s of it may be filled", m->pages,
                       m->pages == 1 ? "" : "s");
    put_u32(page_at(m), 0xfffffffc); /* full */
    m->page++;
    start_page(m);
    return ERR_NONE;
}

static void put_entries(struct nvs_maker *m, struct bytes data)
{
    uint8_t *page = page_at(m);
    unsigned count = (unsigned)((data.len + NVS_ENTRY_LEN - 1) / NVS_ENTRY_LEN);
    if (data.len > 0)
        memcpy(page + NVS_ENTRIES_AT + m->entry * NVS_ENTRY_LEN, data.at, data.len);
    for (unsigned i = m->entry; i < m->entry + count; i++)
        page[NVS_BITMAP_AT + i / 4] &= (uint8_t) ~(1u << (i % 4 * 2));
    m->entry += count;
}

static void make_head(uint8_t *e, unsigned space, unsigned type, unsigned chunk, const char *key)
{
    memset(e, 0xff, NVS_ENTRY_LEN);
    e[0] = (uint8_t)space;
    e[1] = (uint8_t)type;
    e[2] = 1;
    e[3] = (uint8_t)chunk;
    memset(e + 8, 0, NVS_KEY_LEN + 1);
    memcpy(e + 8, key, strlen(key));
}

static void put_head(struct nvs_maker *m, uint8_t *e)
{
    put_u32(e + 4, nvs_entry_crc(e));
    put_entries(m, bytes_of(e, NVS_ENTRY_LEN));
}

static enum err put_number(struct nvs_maker *m, unsigned space, unsigned type, const char *key, struct bytes value,
                           struct why *why)
{
    uint8_t e[NVS_ENTRY_LEN];
    enum err err = m->entry >= NVS_ENTRIES ? next_page(m, why) : ERR_NONE;
    if (err != ERR_NONE)
        return err;
    make_head(e, space, type, NVS_CHUNK_ANY, key);
    memcpy(e + 24, value.at, value.len);
    put_head(m, e);
    return ERR_NONE;
}

static void put_data(struct nvs_maker *m, uint8_t *e, struct bytes value)
{
    e[2] = (uint8_t)(1 + (value.len + NVS_ENTRY_LEN - 1) / NVS_ENTRY_LEN);
    put_u16(e + 24, (uint16_t)value.len);
    put_u32(e + 28, crc32_of(CRC32_ESP_INIT, value));
    put_head(m, e);
    put_entries(m, value);
}

/* Text, and version 1's blobs: in one page, and never into its last entry. */
static enum err put_whole(struct nvs_maker *m, unsigned type, const char *key, struct bytes value, struct why *why)
{
    uint8_t e[NVS_ENTRY_LEN];
    size_t most = m->version == NVS_VERSION_1 ? OLD_VALUE_MAX : NVS_TEXT_MAX;
    unsigned span = 1 + (unsigned)((value.len + NVS_ENTRY_LEN - 1) / NVS_ENTRY_LEN);
    if (value.len > most)
        return why_set(why, ERR_TOO_BIG, "%s has %zu bytes, at most %zu fit", key, value.len, most);
    enum err err = m->entry > 0 && m->entry + span >= NVS_ENTRIES ? next_page(m, why) : ERR_NONE;
    if (err == ERR_NONE && m->entry + span > NVS_ENTRIES)
        err = why_set(why, ERR_TOO_BIG, "%s does not fit a page", key);
    if (err != ERR_NONE)
        return err;
    make_head(e, m->space, type, NVS_CHUNK_ANY, key);
    put_data(m, e, value);
    return ERR_NONE;
}

/* Chunks fill the pages to their ends; the index follows the last. */
static enum err put_chunks(struct nvs_maker *m, const char *key, struct bytes value, struct why *why)
{
    uint8_t e[NVS_ENTRY_LEN];
    size_t done = 0, room, take;
    unsigned chunks = 0;
    enum err err = m->entry >= NVS_ENTRIES ? next_page(m, why) : ERR_NONE;
    while (err == ERR_NONE) {
        room = (NVS_ENTRIES - m->entry - 1) * NVS_ENTRY_LEN;
        take = room < value.len - done ? room : value.len - done;
        if (chunks == 127)
            return why_set(why, ERR_TOO_BIG, "%s has %zu bytes, more than 127 chunks", key, value.len);
        make_head(e, m->space, NVS_BLOB_DATA, chunks++, key);
        put_data(m, e, bytes_of(value.at + done, take));
        done += take;
        if (done < value.len || room - take < NVS_ENTRY_LEN)
            err = next_page(m, why);
        if (done == value.len)
            break;
    }
    if (err != ERR_NONE)
        return err;
    make_head(e, m->space, NVS_BLOB_INDEX, NVS_CHUNK_ANY, key);
    put_u32(e + 24, (uint32_t)value.len);
    e[28] = (uint8_t)chunks;
    e[29] = 0;
    put_head(m, e);
    return ERR_NONE;
}

static enum err check_name(const char *what, const char *name, struct why *why)
{
    size_t len = strlen(name);
    if (len == 0 || len > NVS_KEY_LEN)
        return why_set(why, ERR_USAGE, "%s \"%s\" has %zu bytes; 1 to %d fit", what, name, len, NVS_KEY_LEN);
    return ERR_NONE;
}

enum err nvs_maker_space(struct nvs_maker *m, const char *name, struct why *why)
{
    enum err err = check_name("namespace", name, why);
    if (err != ERR_NONE)
        return err;
    for (unsigned i = 0; i < m->spaces; i++)
        if (strcmp(m->names[i], name) == 0) {
            m->space = (uint8_t)(i + 1);
            return ERR_NONE;
        }
    if (m->spaces == NVS_SPACES_MAX)
        return why_set(why, ERR_NO_SPACE, "a partition holds %d namespaces", NVS_SPACES_MAX);
    uint8_t index = (uint8_t)(m->spaces + 1);
    err = put_number(m, NVS_SPACE_OF_NAMES, NVS_U8, name, bytes_of(&index, 1), why);
    if (err == ERR_NONE) {
        memcpy(m->names[m->spaces++], name, strlen(name) + 1);
        m->space = index;
    }
    return err;
}

enum err nvs_maker_add(struct nvs_maker *m, const char *key, enum nvs_part_type type, struct bytes value,
                       struct why *why)
{
    enum err err = check_name("key", key, why);
    if (err != ERR_NONE)
        return err;
    if (value.at == NULL)
        value = bytes_of("", 0);
    if (m->space == 0)
        return why_set(why, ERR_USAGE, "%s stands before any namespace", key);
    if (type == NVS_BLOB_DATA && m->version == NVS_VERSION_1)
        return put_whole(m, NVS_BLOB_V1, key, value, why);
    if (type == NVS_BLOB_DATA)
        return put_chunks(m, key, value, why);
    if (type == NVS_TEXT)
        return put_whole(m, type, key, value, why);
    if (value.len == 0 || value.len != nvs_number_len(type))
        return why_set(why, ERR_USAGE, "%s: type 0x%02x does not have %zu bytes", key, (unsigned)type, value.len);
    return put_number(m, m->space, type, key, value, why);
}
