#include "nvs/nvs_view.h"

#include "codec/encode.h"
#include "nvs/nvs_make.h"

#include <inttypes.h>
#include <string.h>

static const struct type_row {
    uint8_t type;
    const char *text;
} types[] = {
    {NVS_U8, "u8"},
    {NVS_I8, "i8"},
    {NVS_U16, "u16"},
    {NVS_I16, "i16"},
    {NVS_U32, "u32"},
    {NVS_I32, "i32"},
    {NVS_U64, "u64"},
    {NVS_I64, "i64"},
    {NVS_FLOAT, "float"},
    {NVS_DOUBLE, "double"},
    {NVS_TEXT, "string"},
    {NVS_BLOB_V1, "blob"},
    {NVS_BLOB_DATA, "blob chunk"},
    {NVS_BLOB_INDEX, "blob index"},
};

const char *nvs_type_text(unsigned type)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].type == type)
            return types[i].text;
    return "?";
}

static const uint8_t *page_at(const struct nvs_view *v, unsigned page)
{
    return v->bytes.at + (size_t)page * NVS_PAGE_BYTES;
}

static const uint8_t *entry_at(const struct nvs_view *v, unsigned page, unsigned index)
{
    return page_at(v, page) + NVS_ENTRIES_AT + index * NVS_ENTRY_LEN;
}

static enum nvs_mark mark_at(const struct nvs_view *v, unsigned page, unsigned index)
{
    return nvs_mark_of(page_at(v, page) + NVS_BITMAP_AT, index);
}

static bool is_readable(const struct nvs_view *v, unsigned page)
{
    const uint8_t *p = page_at(v, page);
    return get_u32(p) != 0xffffffff && get_u32(p + 28) == nvs_header_crc(p);
}

void nvs_view_page(const struct nvs_view *v, unsigned page, struct nvs_view_page *p)
{
    static const struct {
        uint32_t word;
        const char *text;
    } states[] = {{0xffffffff, "empty"},
                  {0xfffffffe, "active"},
                  {0xfffffffc, "full"},
                  {0xfffffff8, "freeing"},
                  {0xfffffff0, "corrupt"}};
    const uint8_t *raw = page_at(v, page);
    bool is_blank = bytes_all(bytes_of(raw, NVS_PAGE_BYTES), 0xff);
    *p = (struct nvs_view_page){.state = "unknown", .seq = get_u32(raw + 4)};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (states[i].word == get_u32(raw))
            p->state = states[i].text;
    if (get_u32(raw) == 0xffffffff && !is_blank)
        p->state = "corrupt";
    p->is_header_right = is_blank || is_readable(v, page);
    p->version = is_blank ? 0 : raw[8] == NVS_VERSION_2 ? 2 : raw[8] == NVS_VERSION_1 ? 1 : raw[8];
    for (unsigned i = 0; i < NVS_ENTRIES; i++) {
        enum nvs_mark mark = mark_at(v, page, i);
        p->written += mark == NVS_MARK_WRITTEN;
        p->erased += mark == NVS_MARK_ERASED;
        p->empty += mark == NVS_MARK_EMPTY;
    }
}

static bool data_is_right(const struct nvs_view *v, const struct nvs_item *item)
{
    const uint8_t *e = entry_at(v, item->page, item->index);
    size_t len = get_u16(e + 24);
    if (item->span != 1 + (len + NVS_ENTRY_LEN - 1) / NVS_ENTRY_LEN)
        return false;
    for (unsigned i = 1; i < item->span; i++)
        if (mark_at(v, item->page, item->index + i) != NVS_MARK_WRITTEN)
            return false;
    return crc32_of(CRC32_ESP_INIT, bytes_of(e + NVS_ENTRY_LEN, len)) == get_u32(e + 28);
}

static void read_item(const struct nvs_view *v, struct nvs_item *item)
{
    const uint8_t *e = entry_at(v, item->page, item->index);
    item->space = e[0];
    item->type = e[1];
    item->span = e[2];
    item->chunk = e[3];
    memcpy(item->key, e + 8, NVS_KEY_LEN + 1);
    item->key[NVS_KEY_LEN + 1] = '\0';
    memcpy(item->number, e + 24, 8);
    bool fits = item->span >= 1 && item->index + item->span <= NVS_ENTRIES;
    item->is_right = fits && !item->is_erased && get_u32(e + 4) == nvs_entry_crc(e) &&
                     (nvs_has_data(item->type) ? data_is_right(v, item) : item->span == 1);
    item->len = nvs_has_data(item->type)       ? get_u16(e + 24)
                : item->type == NVS_BLOB_INDEX ? get_u32(e + 24)
                                               : nvs_number_len(item->type);
    /* Erased data entries are no items of their own: the mark of a header covers its span, when that can be believed.
     */
    bool is_believed = fits && get_u32(e + 4) == nvs_entry_crc(e);
    item->next = item->index + (is_believed ? item->span : 1u);
}

bool nvs_view_next(const struct nvs_view *v, struct nvs_item *item)
{
    unsigned page = item->page, index = item->is_started ? item->next : 0;
    for (; page < v->pages; page++, index = 0)
        for (; is_readable(v, page) && index < NVS_ENTRIES; index++) {
            enum nvs_mark mark = mark_at(v, page, index);
            bool is_purged = mark == NVS_MARK_ERASED && bytes_all(bytes_of(entry_at(v, page, index), NVS_ENTRY_LEN), 0);
            if (mark == NVS_MARK_EMPTY || is_purged)
                continue;
            *item = (struct nvs_item){
                .page = page, .index = index, .is_started = true, .is_erased = mark == NVS_MARK_ERASED};
            read_item(v, item);
            return true;
        }
    return false;
}

enum err nvs_view_init(struct nvs_view *v, struct bytes bytes, struct why *why)
{
    memset(v, 0, sizeof *v);
    if (bytes.len == 0 || bytes.len % NVS_PAGE_BYTES != 0)
        return why_set(why, ERR_FORMAT, "an NVS partition has a multiple of 4096 bytes, this file %zu", bytes.len);
    v->bytes = bytes;
    v->pages = (unsigned)(bytes.len / NVS_PAGE_BYTES);
    for (struct nvs_item item = {0}; nvs_view_next(v, &item);)
        if (item.is_right && item.space == NVS_SPACE_OF_NAMES && item.type == NVS_U8)
            memcpy(v->spaces[item.number[0]], item.key, NVS_KEY_LEN + 1);
    for (unsigned i = 0; i < 256; i++)
        v->spaces[i][NVS_KEY_LEN] = '\0';
    return ERR_NONE;
}

static uint32_t seq_of(const struct nvs_view *v, const struct nvs_item *item)
{
    return get_u32(page_at(v, item->page) + 4);
}

/* Later pages and places hold newer values. */
static bool is_newer(const struct nvs_view *v, const struct nvs_item *a, const struct nvs_item *b)
{
    uint32_t first = seq_of(v, a), second = seq_of(v, b);
    return first != second ? first > second : a->index > b->index;
}

static bool find_chunk(const struct nvs_view *v, const struct nvs_item *index, unsigned chunk, struct nvs_item *found)
{
    bool is_found = false;
    for (struct nvs_item item = {0}; nvs_view_next(v, &item);)
        if (item.is_right && item.type == NVS_BLOB_DATA && item.space == index->space && item.chunk == chunk &&
            strcmp(item.key, index->key) == 0 && (!is_found || is_newer(v, &item, found))) {
            *found = item;
            is_found = true;
        }
    return is_found;
}

static void add_data(const struct nvs_view *v, const struct nvs_item *item, struct buf *to)
{
    buf_add(to, entry_at(v, item->page, item->index) + NVS_ENTRY_LEN, item->len);
}

enum err nvs_view_value(const struct nvs_view *v, const struct nvs_item *item, struct buf *to, struct why *why)
{
    if (!item->is_right)
        return why_set(why, ERR_NOT_FOUND, "%s is erased or damaged", item->key);
    if (item->type != NVS_BLOB_INDEX) {
        if (nvs_has_data(item->type))
            add_data(v, item, to);
        else
            buf_add(to, item->number, item->len);
        return to->is_failed ? why_set(why, ERR_NO_MEMORY, "no memory for %s", item->key) : ERR_NONE;
    }
    size_t before = to->len;
    unsigned count = item->number[4], start = item->number[5];
    for (unsigned i = 0; i < count; i++) {
        struct nvs_item chunk;
        if (!find_chunk(v, item, start + i, &chunk))
            return why_set(why, ERR_NOT_FOUND, "the blob %s lacks its chunk %u of %u", item->key, i + 1, count);
        add_data(v, &chunk, to);
    }
    if (to->is_failed)
        return why_set(why, ERR_NO_MEMORY, "no memory for %s", item->key);
    if (to->len - before != item->len)
        return why_set(why, ERR_NOT_FOUND, "the blob %s says %zu bytes, its chunks have %zu", item->key, item->len,
                       to->len - before);
    return ERR_NONE;
}

static bool holds_value(const struct nvs_item *item)
{
    return item->is_right && item->space != NVS_SPACE_OF_NAMES && item->type != NVS_BLOB_DATA;
}

bool nvs_view_find(const struct nvs_view *v, const char *space, const char *key, struct nvs_item *found)
{
    bool is_found = false;
    for (struct nvs_item item = {0}; nvs_view_next(v, &item);)
        if (holds_value(&item) && strcmp(v->spaces[item.space], space) == 0 && strcmp(item.key, key) == 0 &&
            (!is_found || is_newer(v, &item, found))) {
            *found = item;
            is_found = true;
        }
    return is_found;
}

/* --- CSV -------------------------------------------------------------------------------------- */

static void add_quoted(struct buf *to, const char *text, size_t len)
{
    buf_add(to, "\"", 1);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"')
            buf_add(to, "\"", 1);
        buf_add(to, text + i, 1);
    }
    buf_add(to, "\"", 1);
}

/* A string that CSV gives back unchanged: no NUL inside, no line end that would be turned, no line that looks like a
 * comment. */
static bool is_plain_text(struct bytes value)
{
    if (value.len == 0 || value.at[value.len - 1] != '\0' || memchr(value.at, '\0', value.len - 1) != NULL)
        return false;
    for (size_t i = 0; i + 1 < value.len; i++)
        if (value.at[i] == '\r' || (value.at[i] == '\n' && value.at[i + 1] == '#'))
            return false;
    return true;
}

static void add_number(struct buf *to, const struct nvs_item *item)
{
    uint64_t value = 0;
    for (size_t i = 0; i < item->len; i++)
        value |= (uint64_t)item->number[i] << 8 * i;
    if ((item->type & 0x10) == 0) {
        buf_addf(to, "%" PRIu64, value);
        return;
    }
    unsigned unused = 64 - 8 * (unsigned)item->len;
    buf_addf(to, "%" PRId64, (int64_t)(value << unused) >> unused);
}

static enum err add_row(const struct nvs_view *v, const struct nvs_item *item, struct buf *to, struct why *why)
{
    struct buf value = {0}, hex = {0};
    enum err err = nvs_view_value(v, item, &value, why);
    bool is_text = item->type == NVS_TEXT && is_plain_text(buf_bytes(&value));
    if (err == ERR_NONE &&
        (item->type == NVS_FLOAT || item->type == NVS_DOUBLE || (item->type == NVS_TEXT && !is_text)))
        buf_addf(to, "# %s: a value of type %s that CSV has no word for\n", item->key, nvs_type_text(item->type));
    else if (err == ERR_NONE) {
        add_quoted(to, item->key, strlen(item->key));
        if (is_text) {
            buf_add_text(to, ",data,string,");
            add_quoted(to, value.at, value.len - 1);
        } else if (nvs_number_len(item->type) > 0) {
            buf_addf(to, ",data,%s,", nvs_type_text(item->type));
            add_number(to, item);
        } else {
            buf_add_text(to, ",data,hex2bin,");
            if (buf_reserve(&hex, 2 * value.len + 1))
                hex_encode(hex.at, buf_bytes(&value));
            else
                err = why_set(why, ERR_NO_MEMORY, "no memory for %s", item->key);
            buf_add_text(to, hex.at ? hex.at : "");
        }
        buf_add_text(to, "\n");
    }
    buf_deinit(&value);
    buf_deinit(&hex);
    return err;
}

static bool is_newest(const struct nvs_view *v, const struct nvs_item *item)
{
    struct nvs_item newest;
    return nvs_view_find(v, v->spaces[item->space], item->key, &newest) && newest.page == item->page &&
           newest.index == item->index;
}

static enum err add_space(const struct nvs_view *v, unsigned space, struct buf *to, struct why *why)
{
    enum err err = ERR_NONE;
    add_quoted(to, v->spaces[space], strlen(v->spaces[space]));
    buf_add_text(to, ",namespace,,\n");
    for (struct nvs_item item = {0}; err == ERR_NONE && nvs_view_next(v, &item);)
        if (holds_value(&item) && item.space == space && nvs_type_text(item.type)[0] != '?' && is_newest(v, &item))
            err = add_row(v, &item, to, why);
    return err;
}

enum err nvs_view_write_csv(const struct nvs_view *v, struct buf *to, struct why *why)
{
    unsigned values[256] = {0};
    enum err err = ERR_NONE;
    buf_add_text(to, "key,type,encoding,value\n");
    for (struct nvs_item item = {0}; nvs_view_next(v, &item);)
        values[item.space] += holds_value(&item);
    for (unsigned space = 1; err == ERR_NONE && space < 255; space++)
        if (values[space] > 0 && v->spaces[space][0] != '\0')
            err = add_space(v, space, to, why);
        else if (values[space] > 0)
            buf_addf(to, "# %u values of namespace %u, whose name is lost\n", values[space], space);
    if (err == ERR_NONE && to->is_failed)
        err = why_set(why, ERR_NO_MEMORY, "no memory for the table");
    return err;
}
