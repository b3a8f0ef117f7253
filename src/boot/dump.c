#include "boot/dump.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SCAN_LAST 0x40000u /* partition tables lie below */

static bool has_table(struct bytes dump, uint32_t at)
{
    struct partition_table t;
    return at < dump.len && partition_table_read(&t, bytes_of(dump.at + at, dump.len - at), 0, NULL) == ERR_NONE;
}

static bool find_table(struct bytes dump, uint32_t *at)
{
    if (has_table(dump, *at = PARTITION_TABLE_AT))
        return true;
    for (*at = PARTITION_SECTOR; *at <= SCAN_LAST; *at += PARTITION_SECTOR)
        if (has_table(dump, *at))
            return true;
    return false;
}

/* A dump that starts with a bootloader whose chip has it at another address starts there. */
static uint32_t guess_base(struct bytes dump)
{
    const struct chip *chip =
        dump.len > IMAGE_HEADER_LEN && dump.at[0] == IMAGE_MAGIC ? chip_find(get_u16(dump.at + 12)) : NULL;
    return chip ? chip->bootloader_offset : 0;
}

static uint32_t used_len(struct bytes b)
{
    size_t n = b.len;
    while (n > 0 && b.at[n - 1] == 0xff)
        n--;
    return (uint32_t)n;
}

static struct bytes cut(const struct dump *d, uint32_t at, uint32_t size)
{
    uint64_t from = at - d->base, end = from + size;
    if (from > d->bytes.len)
        from = d->bytes.len;
    if (end > d->bytes.len)
        end = d->bytes.len;
    return bytes_of(d->bytes.at + from, (size_t)(end - from));
}

static struct dump_piece *add(struct dump *d, int kind, uint32_t at, uint32_t size, const char *name)
{
    struct dump_piece *p = &d->pieces[d->count++];
    *p = (struct dump_piece){.at = at, .size_bytes = size};
    p->kind = kind;
    snprintf(p->name, sizeof p->name, "%s", name);
    return p;
}

/* Labels come from the dump: whatever could leave a folder or confuse a shell is replaced. */
static void file_name(char *to, size_t size, const char *label)
{
    size_t n = 0;
    for (; label[n] != '\0' && n + 1 < size; n++) {
        unsigned char c = (unsigned char)label[n];
        bool is_plain = c == '_' || c == '-' || c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                        (c >= 'A' && c <= 'Z') || (c == '.' && n > 0);
        to[n] = is_plain ? (char)c : '_';
    }
    to[n] = '\0';
}

static enum err add_partition(struct dump *d, const struct partition *p, struct why *why)
{
    char name[32];
    if (p->at < d->base)
        return why_set(why, ERR_FORMAT, "partition %s at 0x%" PRIx32 " lies below the dump, which starts at 0x%" PRIx32,
                       p->label, p->at, d->base);
    file_name(name, sizeof name, p->label);
    add(d, DUMP_PARTITION, p->at, p->size_bytes, name)->partition = p;
    return ERR_NONE;
}

static void sort(struct dump *d)
{
    for (unsigned i = 1; i < d->count; i++)
        for (unsigned k = i; k > 0 && d->pieces[k].at < d->pieces[k - 1].at; k--) {
            struct dump_piece swap = d->pieces[k];
            d->pieces[k] = d->pieces[k - 1];
            d->pieces[k - 1] = swap;
        }
}

static uint32_t round_up(uint32_t len, uint32_t to)
{
    return (len + to - 1) / to * to;
}

/* Other tools want images with their last byte, signature sectors whole, tables of 3072 bytes and whole partitions,
 * even where those end in erased bytes. */
static void measure(struct dump *d, struct dump_piece *p)
{
    struct bytes room = cut(d, p->at, p->size_bytes);
    struct image_facts f;
    uint64_t len = p->len = used_len(room);
    if (len == 0)
        return;
    if (dump_image(d, p, &f, NULL) == ERR_NONE && len <= image_signed_len(&f))
        len = image_signed_len(&f);
    else if (p->kind == DUMP_PARTITION && p->partition->type != PARTITION_APP)
        len = p->size_bytes;
    else if (p->kind == DUMP_TABLE && len <= PARTITION_TABLE_BYTES)
        len = PARTITION_TABLE_BYTES;
    else
        len = round_up((uint32_t)len, FLASH_SECTOR_BYTES);
    p->len = (uint32_t)(len < room.len ? len : room.len);
}

static bool is_covered(const struct dump *d, uint32_t at)
{
    for (unsigned i = 0; i < d->count; i++)
        if (at >= d->pieces[i].at && at - d->pieces[i].at < d->pieces[i].size_bytes)
            return true;
    return false;
}

/* What no piece covers becomes one of its own. */
static enum err add_gaps(struct dump *d, struct why *why)
{
    unsigned count = d->count;
    uint64_t end = d->base;
    for (unsigned i = 0; i <= count; i++) {
        uint64_t next = i < count ? d->pieces[i].at : d->base + d->bytes.len;
        if (next < end && i < count)
            return why_set(why, ERR_FORMAT, "%s at 0x%" PRIx32 " overlaps what lies before it", d->pieces[i].name,
                           d->pieces[i].at);
        if (next > end && end < d->base + d->bytes.len) {
            char name[32];
            snprintf(name, sizeof name, "gap-0x%" PRIx32, (uint32_t)end);
            add(d, DUMP_GAP, (uint32_t)end, (uint32_t)(next - end), name);
        }
        if (i < count)
            end = (uint64_t)d->pieces[i].at + d->pieces[i].size_bytes;
    }
    sort(d);
    return ERR_NONE;
}

enum err dump_open(struct dump *d, struct bytes bytes, const struct dump_place *place, struct why *why)
{
    uint32_t found;
    memset(d, 0, sizeof *d);
    d->bytes = bytes;
    d->base = place && place->has_base ? place->base : guess_base(bytes);
    if (bytes.len > UINT32_MAX - d->base)
        return why_set(why, ERR_FORMAT, "a flash dump has less than 4 GB, this file %zu bytes", bytes.len);
    if (place && place->has_table)
        found = place->table_at - d->base;
    else if (!find_table(bytes, &found))
        return why_set(why, ERR_FORMAT,
                       "no partition table was found in the first 256 KB: give its offset if it lies elsewhere");
    d->table_at = d->base + found;
    if (found >= bytes.len)
        return why_set(why, ERR_FORMAT, "the dump of %zu bytes ends before the partition table", bytes.len);
    enum err err = partition_table_read(&d->table, bytes_of(bytes.at + found, bytes.len - found), 0, why);
    if (err != ERR_NONE)
        return why_add(why, err, "read the partition table at 0x%" PRIx32, d->table_at);
    for (unsigned i = 0; err == ERR_NONE && i < d->table.count; i++)
        err = add_partition(d, &d->table.entries[i], why);
    if (err != ERR_NONE)
        return err;
    if (!is_covered(d, d->table_at)) /* newer tables list themselves and the bootloader */
        add(d, DUMP_TABLE, d->table_at, PARTITION_SECTOR, "partition-table");
    for (uint32_t at = d->base; at <= 0x2000 && at < d->table_at; at += 0x1000)
        if (at - d->base < bytes.len && bytes.at[at - d->base] == IMAGE_MAGIC && !is_covered(d, at)) {
            add(d, DUMP_BOOTLOADER, at, d->table_at - at, "bootloader");
            break;
        }
    sort(d);
    err = add_gaps(d, why);
    for (unsigned i = 0; err == ERR_NONE && i < d->count; i++)
        measure(d, &d->pieces[i]);
    return err;
}

struct bytes dump_bytes(const struct dump *d, const struct dump_piece *piece)
{
    return cut(d, piece->at, piece->len);
}

enum err dump_image(const struct dump *d, const struct dump_piece *piece, struct image_facts *facts, struct why *why)
{
    const struct partition *p = piece->partition;
    bool may_hold =
        piece->kind == DUMP_BOOTLOADER || (p != NULL && (p->type == PARTITION_APP || p->type == PARTITION_BOOTLOADER));
    if (!may_hold || piece->len == 0)
        return why_set(why, ERR_NOT_FOUND, "%s holds no image", piece->name);
    return image_read(cut(d, piece->at, piece->size_bytes), 0, facts, why);
}
