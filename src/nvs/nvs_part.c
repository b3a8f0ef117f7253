#include "nvs/nvs_part.h"

#include "nvs/nvs_format.h"

#include <string.h>

#define PAGE  NVS_PAGE_BYTES
#define ENTRY NVS_ENTRY_LEN

/* Written to flash; each next state only clears bits. */
static const uint32_t page_words[] = {
    [NVS_PAGE_FREE] = 0xffffffff,    [NVS_PAGE_ACTIVE] = 0xfffffffe,  [NVS_PAGE_FULL] = 0xfffffffc,
    [NVS_PAGE_FREEING] = 0xfffffff8, [NVS_PAGE_CORRUPT] = 0xfffffff0,
};

struct place {
    unsigned page, index;
};

struct entry {
    uint8_t raw[ENTRY];
};

static uint32_t entry_at(struct place p)
{
    return p.page * PAGE + NVS_ENTRIES_AT + p.index * ENTRY;
}

static enum err read_entry(struct nvs_part *n, struct place p, struct entry *e, struct why *why)
{
    return stretch_read(n->flash, entry_at(p), e->raw, ENTRY, why);
}

static unsigned span_of(unsigned type, size_t len)
{
    return nvs_has_data(type) ? 1 + (unsigned)((len + ENTRY - 1) / ENTRY) : 1;
}

static enum err read_bitmap(struct nvs_part *n, unsigned page, struct why *why)
{
    return stretch_read(n->flash, page * PAGE + NVS_BITMAP_AT, n->pages[page].map, 32, why);
}

/* Marks `count` entries.  Marks beside them are written as they are, because only 1 bits may be cleared. */
static enum err set_marks(struct nvs_part *n, struct place p, unsigned count, enum nvs_mark mark, struct why *why)
{
    uint8_t *map = n->pages[p.page].map;
    for (unsigned i = p.index; i < p.index + count; i++)
        map[i / 4] &= (uint8_t) ~((3u & ~(unsigned)mark) << (i % 4 * 2));
    unsigned first = p.index / 4, last = (p.index + count - 1) / 4;
    return stretch_program_sure(n->flash, p.page * PAGE + NVS_BITMAP_AT + first,
                                bytes_of(map + first, last - first + 1), why);
}

static enum err erase_item(struct nvs_part *n, struct place p, unsigned span, struct why *why)
{
    n->pages[p.page].erased = (uint8_t)(n->pages[p.page].erased + span);
    return set_marks(n, p, span, NVS_MARK_ERASED, why);
}

/* At mount: bits that a cut left between 0 and 1 may not take the mark, and an item that looks erased now may not
 * later.  Such a page is given up once everything is read. */
static enum err repair_item(struct nvs_part *n, struct place p, unsigned span, struct why *why)
{
    struct entry e;
    enum err err = erase_item(n, p, span, why);
    if (err != ERR_FLASH || read_entry(n, p, &e, NULL) != ERR_NONE)
        return err; /* a flash that cannot even be read is no matter of bits */
    n->pages[p.page].is_unsound = true;
    return ERR_NONE;
}

/* --- walking ---------------------------------------------------------------------------------- */

struct walk {
    struct nvs_part *n;
    struct place at, item; /* where it goes on; where the entry lies */
    struct entry entry;
    uint64_t order; /* pages are visited by sequence number, then as they lie; it is wider than a number, so that a walk
                       ends */
    bool is_on_page;
};

static bool next_page(struct walk *w)
{
    uint64_t best = UINT64_MAX;
    for (unsigned i = 0; i < w->n->page_count; i++) {
        const struct nvs_page *p = &w->n->pages[i];
        bool is_used = p->state != NVS_PAGE_FREE && p->state != NVS_PAGE_CORRUPT;
        uint64_t order = (uint64_t)p->seq << 8 | i;
        if (is_used && order >= w->order && order < best) {
            best = order;
            w->at = (struct place){i, 0};
        }
    }
    w->order = best + 1;
    w->is_on_page = best != UINT64_MAX;
    return w->is_on_page;
}

/* Bits that do not stay may spoil an entry after it was found whole, so each reading asks again. */
static bool read_item(struct nvs_part *n, struct place at, struct entry *e)
{
    return read_entry(n, at, e, NULL) == ERR_NONE && e->raw[2] >= 1 && e->raw[2] <= NVS_ENTRIES - at.index &&
           get_u32(e->raw + 4) == nvs_entry_crc(e->raw);
}

/* Goes to the next written item; false at the end.  The caller starts with {.n = n}. */
static bool next_item(struct walk *w)
{
    if (!w->is_on_page && !next_page(w))
        return false;
    for (;;) {
        while (w->at.index < NVS_ENTRIES) {
            struct place here = w->at;
            if (nvs_mark_of(w->n->pages[here.page].map, here.index) != NVS_MARK_WRITTEN ||
                !read_item(w->n, here, &w->entry)) {
                w->at.index++;
                continue;
            }
            w->item = here;
            w->at.index += w->entry.raw[2];
            return true;
        }
        if (!next_page(w))
            return false;
    }
}

static bool entry_is(const struct entry *e, unsigned space, const char *key, unsigned type, unsigned chunk)
{
    return e->raw[0] == space && strncmp((const char *)e->raw + 8, key, NVS_KEY_LEN + 1) == 0 &&
           (type == NVS_ANY_TYPE || e->raw[1] == type) && (chunk == NVS_CHUNK_ANY || e->raw[3] == chunk);
}

/* The last item of that name; later pages and places hold newer values (N2). */
static bool find(struct nvs_part *n, unsigned space, const char *key, unsigned type, unsigned chunk, struct entry *e,
                 struct place *at)
{
    bool is_found = false;
    for (struct walk w = {.n = n}; next_item(&w);)
        if (entry_is(&w.entry, space, key, type, chunk) && !(type == NVS_ANY_TYPE && w.entry.raw[1] == NVS_BLOB_DATA)) {
            *e = w.entry;
            *at = w.item;
            is_found = true;
        }
    return is_found;
}

static bool find_space(struct nvs_part *n, const char *name, uint8_t *index)
{
    struct entry e;
    struct place at;
    bool is_found = find(n, NVS_SPACE_OF_NAMES, name, NVS_U8, NVS_CHUNK_ANY, &e, &at);
    *index = is_found ? e.raw[24] : 0;
    return is_found;
}

/* --- mount ------------------------------------------------------------------------------------ */

static bool item_is_whole(struct nvs_part *n, const uint8_t *map, struct place at, const struct entry *e)
{
    unsigned span = e->raw[2], type = e->raw[1];
    if (get_u32(e->raw + 4) != nvs_entry_crc(e->raw) || span < 1 || at.index + span > NVS_ENTRIES)
        return false;
    for (unsigned i = 1; i < span; i++)
        if (nvs_mark_of(map, at.index + i) != NVS_MARK_WRITTEN)
            return false;
    if (!nvs_has_data(type))
        return span == 1;
    size_t len = get_u16(e->raw + 24);
    if (span != span_of(type, len))
        return false;
    uint32_t crc = CRC32_ESP_INIT;
    for (size_t done = 0; done < len; done += ENTRY) {
        struct entry data;
        size_t take = len - done < ENTRY ? len - done : ENTRY;
        at.index++;
        if (read_entry(n, at, &data, NULL) != ERR_NONE)
            return false;
        crc = crc32_of(crc, bytes_of(data.raw, take));
    }
    return crc == get_u32(e->raw + 28);
}

#define STEADY_READS 16

/* Whether bytes read the same each time. */
static bool is_steady(struct nvs_part *n, uint32_t at, uint32_t len)
{
    for (uint32_t done = 0; done < len; done += ENTRY) {
        uint8_t first[ENTRY], again[ENTRY];
        uint32_t take = len - done < ENTRY ? len - done : ENTRY;
        if (stretch_read(n->flash, at + done, first, take, NULL) != ERR_NONE)
            return true; /* that is told elsewhere */
        for (int i = 1; i < STEADY_READS; i++)
            if (stretch_read(n->flash, at + done, again, take, NULL) != ERR_NONE || memcmp(first, again, take) != 0)
                return false;
    }
    return true;
}

/* The item that was written last may be what a cut left between 0 and 1.  It reads well now; it must do so tomorrow. */
static void check_last_item(struct nvs_part *n, struct place at, unsigned span)
{
    uint32_t mark = at.page * PAGE + NVS_BITMAP_AT + at.index / 4;
    if (!is_steady(n, mark, (at.index + span - 1) / 4 - at.index / 4 + 1) || !is_steady(n, entry_at(at), span * ENTRY))
        n->pages[at.page].is_unsound = true;
}

/* Erases what is broken on a page, counts, and finds the first entry that was never written. */
static enum err repair_page(struct nvs_part *n, unsigned page, struct why *why)
{
    struct nvs_page *p = &n->pages[page];
    const uint8_t *map = p->map;
    enum err err = ERR_NONE;
    struct place last = {page, NVS_ENTRIES};
    p->next = p->erased = 0;
    for (unsigned i = 0; err == ERR_NONE && i < NVS_ENTRIES;) {
        struct place at = {page, i};
        struct entry e;
        err = read_entry(n, at, &e, why);
        enum nvs_mark mark = nvs_mark_of(map, i);
        bool is_blank = bytes_all(bytes_of(e.raw, ENTRY), 0xff);
        unsigned span = 1;
        if (err != ERR_NONE)
            break;
        if (mark == NVS_MARK_ERASED)
            p->erased++;
        else if (mark == NVS_MARK_WRITTEN && item_is_whole(n, map, at, &e)) {
            span = e.raw[2];
            last = at;
        } else if (mark == NVS_MARK_WRITTEN || !is_blank)
            err = repair_item(n, at, 1, why); /* a cut while it was written */
        i += span;
        if (mark != NVS_MARK_EMPTY || !is_blank)
            p->next = (uint8_t)i;
    }
    /* Empty entries below one that was used are holes: they count as erased. */
    if (err == ERR_NONE && p->state == NVS_PAGE_ACTIVE && last.index < NVS_ENTRIES) {
        struct entry e;
        if (read_entry(n, last, &e, NULL) == ERR_NONE && e.raw[2] >= 1 && e.raw[2] <= NVS_ENTRIES - last.index)
            check_last_item(n, last, e.raw[2]);
    }
    return err;
}

static enum err free_page(struct nvs_part *n, unsigned page, struct why *why)
{
    n->pages[page] = (struct nvs_page){.state = NVS_PAGE_FREE};
    return stretch_erase_sure(n->flash, page * PAGE, PAGE, why);
}

/* A page that was opened and holds nothing yet may be what a cut left of its opening: bits that read well now may not
 * the next time, when it holds something.  It is opened anew. */
static enum err close_empty_page(struct nvs_part *n, unsigned page, struct why *why)
{
    const struct nvs_page *p = &n->pages[page];
    return p->state == NVS_PAGE_ACTIVE && p->next == 0 ? free_page(n, page, why) : ERR_NONE;
}

static bool is_blank_page(struct nvs_part *n, unsigned page)
{
    uint8_t chunk[256];
    for (uint32_t at = 0; at < PAGE; at += sizeof chunk)
        if (stretch_read(n->flash, page * PAGE + at, chunk, sizeof chunk, NULL) != ERR_NONE ||
            !bytes_all(bytes_of(chunk, sizeof chunk), 0xff))
            return false;
    return true;
}

static enum err load_page(struct nvs_part *n, unsigned page, struct why *why)
{
    uint8_t head[32];
    struct nvs_page *p = &n->pages[page];
    enum err err = stretch_read(n->flash, page * PAGE, head, sizeof head, why);
    if (err != ERR_NONE)
        return err;
    uint32_t word = get_u32(head);
    *p = (struct nvs_page){.state = NVS_PAGE_CORRUPT, .seq = get_u32(head + 4)};
    if (word == page_words[NVS_PAGE_FREE]) { /* free only when every byte is blank: an erase may have been cut */
        p->state = is_blank_page(n, page) ? NVS_PAGE_FREE : NVS_PAGE_CORRUPT;
        return ERR_NONE;
    }
    if (get_u32(head + 28) != nvs_header_crc(head))
        return ERR_NONE;
    if (head[8] < NVS_VERSION_2)
        return why_set(why, ERR_FORMAT, "NVS page %u has the newer version 0x%02x", page, head[8]);
    for (int s = NVS_PAGE_ACTIVE; s <= NVS_PAGE_FREEING; s++)
        if (word == page_words[s])
            p->state = s;
    if (p->state != NVS_PAGE_CORRUPT && p->seq >= n->next_seq)
        n->next_seq = p->seq < UINT32_MAX ? p->seq + 1 : UINT32_MAX;
    return read_bitmap(n, page, why);
}

static unsigned count_free(const struct nvs_part *n)
{
    unsigned free_pages = 0;
    for (unsigned i = 0; i < n->page_count; i++)
        free_pages += n->pages[i].state == NVS_PAGE_FREE || n->pages[i].state == NVS_PAGE_CORRUPT;
    return free_pages;
}

static enum err move_items(struct nvs_part *n, unsigned from, struct why *why);
static enum err erase_matches(struct nvs_part *n, unsigned space, const char *key, unsigned type, unsigned chunk,
                              struct place keep, struct why *why);

static enum err copy_item(struct nvs_part *n, unsigned to, const struct entry *e, struct place at, struct why *why);
static bool find_active(const struct nvs_part *n, unsigned *page);

/* Two items of one name are what a cut leaves between writing the new one and erasing the old.  Before the old one
 * goes, the new one is written once more: the cut may have left its bits between 0 and 1. */
static enum err renew(struct nvs_part *n, const struct entry *e, struct place at, struct why *why)
{
    unsigned to = 0;
    if (!find_active(n, &to) || n->pages[to].next + e->raw[2] > NVS_ENTRIES)
        return ERR_NONE;
    enum err err = copy_item(n, to, e, at, why);
    n->pages[to].is_unsound |= err == ERR_FLASH; /* the page takes nothing any more: its items move */
    return err ? err : repair_item(n, at, e->raw[2], why);
}

/* Of two items with one name the later one stays (N2).  Blob chunks are told apart by their chunk index. */
static enum err erase_duplicates(struct nvs_part *n, struct why *why)
{
    for (struct walk w = {.n = n}; next_item(&w);) {
        struct entry e;
        struct place at;
        char key[NVS_KEY_LEN + 1];
        memcpy(key, w.entry.raw + 8, NVS_KEY_LEN);
        key[NVS_KEY_LEN] = '\0';
        bool is_chunk = w.entry.raw[1] == NVS_BLOB_DATA;
        if (!find(n, w.entry.raw[0], key, is_chunk ? NVS_BLOB_DATA : NVS_ANY_TYPE, w.entry.raw[3], &e, &at))
            continue;
        struct place here = w.item;
        if (at.page != here.page || at.index != here.index) {
            enum err err = renew(n, &e, at, why);
            if (err == ERR_NONE || err == ERR_FLASH)
                err = repair_item(n, here, w.entry.raw[2], why);
            if (err != ERR_NONE)
                return err;
        }
    }
    return ERR_NONE;
}

/* Chunks that no index counts are what is left of a blob whose writing was cut. */
static enum err erase_orphans(struct nvs_part *n, struct why *why)
{
    for (struct walk w = {.n = n}; next_item(&w);) {
        struct entry index;
        struct place at;
        char key[NVS_KEY_LEN + 1] = {0};
        memcpy(key, w.entry.raw + 8, NVS_KEY_LEN);
        if (w.entry.raw[1] != NVS_BLOB_DATA)
            continue;
        unsigned chunk = w.entry.raw[3];
        bool is_counted = find(n, w.entry.raw[0], key, NVS_BLOB_INDEX, NVS_CHUNK_ANY, &index, &at) &&
                          chunk >= index.raw[29] && chunk < index.raw[29] + index.raw[28];
        enum err err = is_counted ? ERR_NONE : repair_item(n, w.item, w.entry.raw[2], why);
        if (err != ERR_NONE)
            return err;
    }
    return ERR_NONE;
}

static enum err set_page_state(struct nvs_part *n, unsigned page, int state, struct why *why);

/* Only the last page may be written to: what lies on later pages is taken for newer.  Firmware never leaves another one
 * active; damage may. */
static enum err close_pages_before_the_last(struct nvs_part *n, struct why *why)
{
    enum err err = ERR_NONE;
    for (unsigned i = 0; i < n->page_count; i++)
        for (unsigned k = 0; err == ERR_NONE && k < n->page_count; k++) {
            const struct nvs_page *a = &n->pages[i], *b = &n->pages[k];
            bool is_used = b->state == NVS_PAGE_ACTIVE || b->state == NVS_PAGE_FULL || b->state == NVS_PAGE_FREEING;
            if (a->state == NVS_PAGE_ACTIVE && is_used && (b->seq > a->seq || (b->seq == a->seq && k > i)))
                err = set_page_state(n, i, NVS_PAGE_FULL, why);
        }
    return err;
}

enum err nvs_part_mount(struct nvs_part *n, struct stretch flash, struct why *why)
{
    enum err err = ERR_NONE;
    *n = (struct nvs_part){.flash = flash, .page_count = flash.size_bytes / PAGE};
    if (n->page_count == 0 || n->page_count > NVS_PAGES_MAX)
        return why_set(why, ERR_FORMAT, "an NVS partition has 1 to %d pages, this one %u", NVS_PAGES_MAX,
                       n->page_count);
    n->is_readonly = n->page_count < 3;
    for (unsigned i = 0; err == ERR_NONE && i < n->page_count; i++)
        err = load_page(n, i, why);
    if (n->is_readonly || err != ERR_NONE)
        return err;
    for (unsigned i = 0; err == ERR_NONE && i < n->page_count; i++)
        if (n->pages[i].state == NVS_PAGE_ACTIVE || n->pages[i].state == NVS_PAGE_FULL ||
            n->pages[i].state == NVS_PAGE_FREEING)
            err = repair_page(n, i, why);
    for (unsigned i = 0; err == ERR_NONE && i < n->page_count; i++)
        err = close_empty_page(n, i, why);
    if (err == ERR_NONE)
        err = close_pages_before_the_last(n, why);
    if (err == ERR_NONE)
        err = erase_duplicates(n, why);
    if (err == ERR_NONE)
        err = erase_orphans(n, why);
    for (unsigned i = 0; err == ERR_NONE && i < n->page_count; i++) {
        bool is_used = n->pages[i].state == NVS_PAGE_ACTIVE || n->pages[i].state == NVS_PAGE_FULL;
        if (is_used && n->pages[i].is_unsound && count_free(n) > 0)
            err = set_page_state(n, i, NVS_PAGE_FREEING, why);
        if (err == ERR_NONE && n->pages[i].state == NVS_PAGE_FREEING)
            err = move_items(n, i, why); /* or the move that a cut interrupted */
    }
    if (err == ERR_NONE && count_free(n) == 0)
        err = why_set(why, ERR_NO_SPACE, "NVS has no free page");
    return err;
}

/* --- writing ---------------------------------------------------------------------------------- */

static enum err set_page_state(struct nvs_part *n, unsigned page, int state, struct why *why)
{
    uint8_t word[4];
    put_u32(word, page_words[state]);
    n->pages[page].state = state;
    return stretch_program(n->flash, page * PAGE, bytes_of(word, 4), why);
}

#define TRIES 2 /* at opening a page */
#define PLACES_TRIED                                                                                                   \
    16 /* for an item: a page program that was cut short leaves bits that do not stay in eight entries */

static enum err open_page(struct nvs_part *n, unsigned page, struct why *why)
{
    uint8_t head[32];
    /* Pages are read in the order of their numbers: one that began again at 0 would hide what is written to it.  No
     * flash lives so long, but a spoilt header may say anything. */
    if (n->next_seq == UINT32_MAX)
        return why_set(why, ERR_NO_SPACE, "NVS has used up its page numbers: erase it");
    enum err err = n->pages[page].state == NVS_PAGE_CORRUPT ? free_page(n, page, why) : ERR_NONE;
    memset(head, 0xff, sizeof head);
    put_u32(head, page_words[NVS_PAGE_ACTIVE]);
    put_u32(head + 4, n->next_seq);
    head[8] = NVS_VERSION_2;
    put_u32(head + 28, nvs_header_crc(head));
    if (err == ERR_NONE)
        err = stretch_program_sure(n->flash, page * PAGE, bytes_of(head, sizeof head), why);
    n->pages[page] = (struct nvs_page){.state = err ? NVS_PAGE_CORRUPT : NVS_PAGE_ACTIVE, .seq = n->next_seq++};
    memset(n->pages[page].map, 0xff, sizeof n->pages[page].map);
    return err;
}

/* The first one that the flash lets open. */
static enum err activate_free_page(struct nvs_part *n, unsigned *page, struct why *why)
{
    enum err err = why_set(why, ERR_NO_SPACE, "NVS has no free page");
    for (unsigned i = 0; err != ERR_NONE && i < n->page_count; i++)
        for (int k = 0; err != ERR_NONE && k < TRIES; k++)
            if (n->pages[i].state == NVS_PAGE_FREE || n->pages[i].state == NVS_PAGE_CORRUPT) {
                *page = i;
                err = open_page(n, i, why);
            }
    return err;
}

static bool find_active(const struct nvs_part *n, unsigned *page)
{
    bool is_found = false;
    for (unsigned i = 0; i < n->page_count; i++)
        if (n->pages[i].state == NVS_PAGE_ACTIVE && (!is_found || n->pages[i].seq > n->pages[*page].seq)) {
            *page = i;
            is_found = true;
        }
    return is_found;
}

/* Everything is read back, so that nothing old is erased for something new that is not there.  What did not arrive is
 * marked erased; its entries are lost until the page is freed. */
static enum err append_raw(struct nvs_part *n, unsigned page, const struct entry *head, struct bytes data,
                           struct place *at, struct why *why)
{
    unsigned span = head->raw[2];
    *at = (struct place){page, n->pages[page].next};
    enum err err = stretch_program_sure(n->flash, entry_at(*at), bytes_of(head->raw, ENTRY), why);
    if (err == ERR_NONE && data.len > 0)
        err = stretch_program_sure(n->flash, entry_at(*at) + ENTRY, data, why);
    if (err == ERR_NONE)
        err = set_marks(n, *at, span, NVS_MARK_WRITTEN, why);
    n->pages[page].next = (uint8_t)(at->index + span);
    if (err != ERR_NONE)
        erase_item(n, *at, span, NULL);
    return err;
}

/* Appends a copy of an item to the active page, which must have room for it. */
static enum err copy_item(struct nvs_part *n, unsigned to, const struct entry *e, struct place at, struct why *why)
{
    uint8_t data[NVS_TEXT_MAX];
    struct place now;
    size_t len = nvs_has_data(e->raw[1]) ? get_u16(e->raw + 24) : 0;
    enum err err = len > sizeof data ? why_set(why, ERR_FORMAT, "an NVS item of %zu bytes", len) : ERR_NONE;
    if (err == ERR_NONE && len > 0)
        err = stretch_read(n->flash, entry_at(at) + ENTRY, data, len, why);
    if (err != ERR_NONE)
        return err;
    err = ERR_FLASH;
    while (err == ERR_FLASH && n->pages[to].next + e->raw[2] <= NVS_ENTRIES) /* each try takes the next place */
        err = append_raw(n, to, e, bytes_of(data, len), &now, why);
    return err;
}

/* Copies the items of a page that is being freed to the active page, then erases it.  May run again after a cut: items
 * already copied are duplicates and were erased from the older page at mount. */
static enum err move_items(struct nvs_part *n, unsigned from, struct why *why)
{
    const uint8_t *map = n->pages[from].map;
    unsigned to = 0;
    enum err err = ERR_NONE;
    if (!find_active(n, &to))
        err = activate_free_page(n, &to, why);
    for (unsigned i = 0; err == ERR_NONE && i < NVS_ENTRIES;) {
        struct place at = {from, i};
        struct entry e;
        if (nvs_mark_of(map, i) != NVS_MARK_WRITTEN || !read_item(n, at, &e)) {
            i++; /* what was spoilt since the mount cannot be moved */
            continue;
        }
        err = copy_item(n, to, &e, at, why);
        if (err == ERR_FLASH) { /* no room is left there, or none that takes it: another page does */
            err = set_page_state(n, to, NVS_PAGE_FULL, why);
            if (err == ERR_NONE)
                err = activate_free_page(n, &to, why);
            if (err == ERR_NONE)
                err = copy_item(n, to, &e, at, why);
        }
        i += e.raw[2];
    }
    return err == ERR_NONE ? free_page(n, from, why) : err;
}

/* The page with most to gain; only pages that hold erased entries are worth it. */
static bool find_victim(const struct nvs_part *n, unsigned *page)
{
    unsigned best = 0;
    for (unsigned i = 0; i < n->page_count; i++)
        if (n->pages[i].state == NVS_PAGE_FULL && n->pages[i].erased > best) {
            best = n->pages[i].erased;
            *page = i;
        }
    return best > 0;
}

/* Closes the active page and opens the next, freeing one when only one is left (N3). */
static enum err turn_page(struct nvs_part *n, unsigned *page, struct why *why)
{
    unsigned victim;
    enum err err = ERR_NONE;
    if (find_active(n, page))
        err = set_page_state(n, *page, NVS_PAGE_FULL, why);
    if (err == ERR_NONE && count_free(n) <= 1) {
        if (!find_victim(n, &victim))
            return why_set(why, ERR_NO_SPACE, "NVS is full");
        err = set_page_state(n, victim, NVS_PAGE_FREEING, why);
        if (err == ERR_NONE)
            err = move_items(n, victim, why);
        find_active(n, page); /* what was moved lies on it */
        return err;
    }
    return err == ERR_NONE ? activate_free_page(n, page, why) : err;
}

/* Finds `span` entries on one page. */
static enum err make_room(struct nvs_part *n, unsigned span, unsigned *page, struct why *why)
{
    for (unsigned tries = 0; tries <= n->page_count; tries++) {
        if (find_active(n, page) && n->pages[*page].next + span <= NVS_ENTRIES)
            return ERR_NONE;
        enum err err = turn_page(n, page, why);
        if (err != ERR_NONE)
            return err;
    }
    return why_set(why, ERR_NO_SPACE, "NVS has no room for %u entries", span);
}

static void make_head(struct entry *e, unsigned space, unsigned type, unsigned chunk, const char *key,
                      struct bytes value)
{
    memset(e->raw, 0xff, ENTRY);
    e->raw[0] = (uint8_t)space;
    e->raw[1] = (uint8_t)type;
    e->raw[2] = (uint8_t)span_of(type, value.len);
    e->raw[3] = (uint8_t)chunk;
    memset(e->raw + 8, 0, NVS_KEY_LEN + 1);
    memcpy(e->raw + 8, key, strlen(key));
    if (nvs_has_data(type)) {
        put_u16(e->raw + 24, (uint16_t)value.len);
        put_u32(e->raw + 28, crc32_of(CRC32_ESP_INIT, value));
    } else
        memcpy(e->raw + 24, value.at, value.len);
    put_u32(e->raw + 4, nvs_entry_crc(e->raw));
}

static enum err append(struct nvs_part *n, unsigned space, unsigned type, unsigned chunk, const char *key,
                       struct bytes value, struct place *at, struct why *why)
{
    struct entry e;
    make_head(&e, space, type, chunk, key, value);
    enum err err = ERR_FLASH;
    for (int i = 0; err == ERR_FLASH && i < PLACES_TRIED; i++) {
        unsigned page;
        err = make_room(n, e.raw[2], &page, why);
        if (err == ERR_NONE)
            err = append_raw(n, page, &e, nvs_has_data(type) ? value : bytes_of(NULL, 0), at, why);
    }
    return err;
}

/* Erases every item of that name except the one at `keep`. */
static enum err erase_matches(struct nvs_part *n, unsigned space, const char *key, unsigned type, unsigned chunk,
                              struct place keep, struct why *why)
{
    enum err err = ERR_NONE;
    for (struct walk w = {.n = n}; err == ERR_NONE && next_item(&w);) {
        struct place here = w.item;
        bool is_kept = here.page == keep.page && here.index == keep.index;
        if (entry_is(&w.entry, space, key, type, chunk) && !is_kept)
            err = erase_item(n, here, w.entry.raw[2], why);
    }
    return err;
}

static const struct place nowhere = {NVS_PAGES_MAX, 0};

_Static_assert(NVS_PAGES_MAX < 127, "a blob has one chunk on a page, and its index counts 127");

/* Chunks first, the index last: until the index is there, the old blob is the value. */
static enum err write_blob(struct nvs_part *n, unsigned space, const char *key, struct bytes value, struct why *why)
{
    struct entry old;
    struct place at;
    bool has_old = find(n, space, key, NVS_BLOB_INDEX, NVS_CHUNK_ANY, &old, &at);
    uint8_t start = has_old && old.raw[29] == 0 ? 0x80 : 0;
    unsigned chunks = 0;
    enum err err = ERR_NONE;
    for (size_t done = 0; err == ERR_NONE && (done < value.len || chunks == 0); chunks++) {
        unsigned page;
        /* A chunk fills the tail of its page; a tail of less than one data entry is left. */
        err = make_room(n, 2, &page, why);
        if (err != ERR_NONE)
            break;
        size_t room = (size_t)(NVS_ENTRIES - n->pages[page].next - 1) * ENTRY;
        size_t take = value.len - done < room ? value.len - done : room;
        err = append(n, space, NVS_BLOB_DATA, start + chunks, key, bytes_of(value.at + done, take), &at, why);
        done += take;
    }
    uint8_t index[8] = {0};
    put_u32(index, (uint32_t)value.len);
    index[4] = (uint8_t)chunks;
    index[5] = start;
    put_u16(index + 6, 0xffff);
    if (err == ERR_NONE)
        err = append(n, space, NVS_BLOB_INDEX, NVS_CHUNK_ANY, key, bytes_of(index, sizeof index), &at, why);
    if (err == ERR_NONE)
        err = erase_matches(n, space, key, NVS_BLOB_INDEX, NVS_CHUNK_ANY, at, why);
    for (unsigned i = 0; err == ERR_NONE && has_old && i < old.raw[28]; i++)
        err = erase_matches(n, space, key, NVS_BLOB_DATA, old.raw[29] + i, nowhere, why);
    return err;
}

static bool name_fits(const char *name)
{
    size_t len = strlen(name);
    return len >= 1 && len <= NVS_KEY_LEN;
}

static enum err open_space(struct nvs_part *n, const char *name, uint8_t *index, struct why *why)
{
    struct place at;
    if (find_space(n, name, index))
        return ERR_NONE;
    uint8_t highest = 0;
    for (struct walk w = {.n = n}; next_item(&w);)
        if (w.entry.raw[0] == NVS_SPACE_OF_NAMES && w.entry.raw[24] > highest)
            highest = w.entry.raw[24];
    if (highest >= NVS_SPACES_MAX)
        return why_set(why, ERR_NO_SPACE, "NVS holds %d namespaces already", NVS_SPACES_MAX);
    *index = highest + 1;
    return append(n, NVS_SPACE_OF_NAMES, NVS_U8, NVS_CHUNK_ANY, name, bytes_of(index, 1), &at, why);
}

static bool is_unchanged(struct nvs_part *n, const char *space, const char *key, enum nvs_part_type type,
                         struct bytes value)
{
    uint8_t old[NVS_TEXT_MAX];
    size_t len;
    if (value.len > sizeof old || nvs_part_read(n, space, key, type, old, sizeof old, &len, NULL) != ERR_NONE)
        return false;
    return bytes_equal(bytes_of(old, len), value);
}

enum err nvs_part_write(struct nvs_part *n, const char *space, const char *key, enum nvs_part_type type,
                        struct bytes value, struct why *why)
{
    uint8_t index;
    struct place at = nowhere;
    if (n->is_readonly)
        return why_set(why, ERR_FORBIDDEN, "an NVS partition of fewer than three pages is read-only");
    if (!name_fits(space) || !name_fits(key))
        return why_set(why, ERR_USAGE, "NVS names have 1 to %d characters: \"%s\", \"%s\"", NVS_KEY_LEN, space, key);
    if (type == NVS_TEXT && value.len > NVS_TEXT_MAX)
        return why_set(why, ERR_TOO_BIG, "NVS string %s has %zu bytes, at most %d fit", key, value.len, NVS_TEXT_MAX);
    if (is_unchanged(n, space, key, type, value))
        return ERR_NONE;
    enum err err = open_space(n, space, &index, why);
    if (err != ERR_NONE)
        return err;
    bool is_blob = type == NVS_BLOB_DATA;
    if (is_blob)
        err = write_blob(n, index, key, value, why);
    else
        err = append(n, index, type, NVS_CHUNK_ANY, key, value, &at, why);
    /* What the key held under another type goes last. */
    for (struct walk w = {.n = n}; err == ERR_NONE && next_item(&w);) {
        struct place here = w.item;
        unsigned t = w.entry.raw[1];
        bool is_new = (here.page == at.page && here.index == at.index) ||
                      (is_blob && (t == NVS_BLOB_INDEX || t == NVS_BLOB_DATA));
        if (entry_is(&w.entry, index, key, NVS_ANY_TYPE, NVS_CHUNK_ANY) && !is_new)
            err = erase_item(n, here, w.entry.raw[2], why);
    }
    return err;
}

/* --- reading and erasing ---------------------------------------------------------------------- */

static enum err read_data(struct nvs_part *n, struct place at, const struct entry *e, uint8_t *to, struct why *why)
{
    size_t len = get_u16(e->raw + 24);
    enum err err = stretch_read(n->flash, entry_at(at) + ENTRY, to, len, why);
    if (err == ERR_NONE && crc32_of(CRC32_ESP_INIT, bytes_of(to, len)) != get_u32(e->raw + 28))
        err = why_set(why, ERR_DIGEST, "NVS value's CRC does not match");
    return err;
}

static enum err read_blob(struct nvs_part *n, unsigned space, const char *key, const struct entry *index, uint8_t *to,
                          struct why *why)
{
    size_t total = get_u32(index->raw + 24), done = 0;
    for (unsigned i = 0; i < index->raw[28]; i++) {
        struct entry e;
        struct place at;
        if (!find(n, space, key, NVS_BLOB_DATA, index->raw[29] + i, &e, &at) || done + get_u16(e.raw + 24) > total)
            return why_set(why, ERR_NOT_FOUND, "NVS blob %s lacks its chunk %u", key, i);
        enum err err = read_data(n, at, &e, to + done, why);
        if (err != ERR_NONE)
            return err;
        done += get_u16(e.raw + 24);
    }
    return done == total ? ERR_NONE : why_set(why, ERR_NOT_FOUND, "NVS blob %s has %zu of %zu bytes", key, done, total);
}

static bool type_fits(enum nvs_part_type wanted, unsigned stored)
{
    bool is_blob = stored == NVS_BLOB_V1 || stored == NVS_BLOB_INDEX;
    return wanted == NVS_BLOB_DATA ? is_blob : stored == (unsigned)wanted;
}

enum err nvs_part_read(struct nvs_part *n, const char *space, const char *key, enum nvs_part_type type, void *to,
                       size_t size, size_t *len, struct why *why)
{
    uint8_t index;
    struct entry e;
    struct place at;
    *len = 0;
    if (!find_space(n, space, &index) || !find(n, index, key, NVS_ANY_TYPE, NVS_CHUNK_ANY, &e, &at))
        return why_set(why, ERR_NOT_FOUND, "NVS has no %s/%s", space, key);
    unsigned stored = e.raw[1];
    if (!type_fits(type, stored))
        return why_set(why, ERR_TYPE, "NVS holds %s/%s as type 0x%02x, not 0x%02x", space, key, stored, (unsigned)type);
    *len = stored == NVS_BLOB_INDEX ? get_u32(e.raw + 24) : nvs_has_data(stored) ? get_u16(e.raw + 24) : stored & 15u;
    if (to == NULL)
        return ERR_NONE;
    if (*len > size)
        return why_set(why, ERR_TOO_BIG, "NVS value %s/%s has %zu bytes", space, key, *len);
    if (stored == NVS_BLOB_INDEX)
        return read_blob(n, index, key, &e, to, why);
    if (nvs_has_data(stored))
        return read_data(n, at, &e, to, why);
    memcpy(to, e.raw + 24, *len);
    return ERR_NONE;
}

enum err nvs_part_erase(struct nvs_part *n, const char *space, const char *key, struct why *why)
{
    uint8_t index;
    struct entry e;
    struct place at;
    if (!find_space(n, space, &index) || !find(n, index, key, NVS_ANY_TYPE, NVS_CHUNK_ANY, &e, &at))
        return why_set(why, ERR_NOT_FOUND, "NVS has no %s/%s", space, key);
    /* The index of a blob goes before its chunks: chunks without index are erased at the next mount. */
    enum err err = erase_item(n, at, e.raw[2], why);
    return err == ERR_NONE ? erase_matches(n, index, key, NVS_ANY_TYPE, NVS_CHUNK_ANY, nowhere, why) : err;
}

enum err nvs_part_erase_space(struct nvs_part *n, const char *space, struct why *why)
{
    uint8_t index;
    enum err err = ERR_NONE;
    if (!find_space(n, space, &index))
        return why_set(why, ERR_NOT_FOUND, "NVS has no namespace %s", space);
    for (struct walk w = {.n = n}; err == ERR_NONE && next_item(&w);)
        if (w.entry.raw[0] == index)
            err = erase_item(n, w.item, w.entry.raw[2], why);
    return err;
}

bool nvs_part_has_space(struct nvs_part *n, const char *space)
{
    uint8_t index;
    return find_space(n, space, &index);
}

enum err nvs_part_make_space(struct nvs_part *n, const char *space, struct why *why)
{
    uint8_t index;
    if (!name_fits(space))
        return why_set(why, ERR_USAGE, "NVS names have 1 to %d characters: \"%s\"", NVS_KEY_LEN, space);
    if (n->is_readonly)
        return why_set(why, ERR_FORBIDDEN, "an NVS partition of fewer than three pages is read-only");
    return open_space(n, space, &index, why);
}

static enum nvs_part_type type_of(unsigned stored)
{
    return stored == NVS_BLOB_INDEX || stored == NVS_BLOB_V1 ? NVS_BLOB_DATA : (enum nvs_part_type)stored;
}

enum err nvs_part_type(struct nvs_part *n, const char *space, const char *key, enum nvs_part_type *type,
                       struct why *why)
{
    uint8_t index;
    struct entry e;
    struct place at;
    if (!find_space(n, space, &index) || !find(n, index, key, NVS_ANY_TYPE, NVS_CHUNK_ANY, &e, &at))
        return why_set(why, ERR_NOT_FOUND, "NVS has no %s/%s", space, key);
    *type = type_of(e.raw[1]);
    return ERR_NONE;
}

/* --- looking at all of it --------------------------------------------------------------------- */

static bool name_of_space(struct nvs_part *n, unsigned index, char *to)
{
    for (struct walk w = {.n = n}; next_item(&w);)
        if (w.entry.raw[0] == NVS_SPACE_OF_NAMES && w.entry.raw[24] == index) {
            memcpy(to, w.entry.raw + 8, NVS_KEY_LEN);
            to[NVS_KEY_LEN] = '\0';
            return true;
        }
    return false;
}

bool nvs_part_next(struct nvs_part *n, struct nvs_part_item *item)
{
    struct walk w = {.n = n, .at = {item->page, item->index}, .order = item->order, .is_on_page = item->is_on_page};
    while (next_item(&w)) {
        const uint8_t *raw = w.entry.raw;
        if (raw[0] == NVS_SPACE_OF_NAMES || raw[1] == NVS_BLOB_DATA || !name_of_space(n, raw[0], item->space))
            continue;
        memcpy(item->key, raw + 8, NVS_KEY_LEN);
        item->key[NVS_KEY_LEN] = '\0';
        item->type = type_of(raw[1]);
        item->order = w.order;
        item->page = w.at.page;
        item->index = w.at.index;
        item->is_on_page = w.is_on_page;
        return true;
    }
    return false;
}

void nvs_part_stats(struct nvs_part *n, struct nvs_part_stats *stats)
{
    *stats = (struct nvs_part_stats){.total = n->page_count * NVS_ENTRIES};
    for (struct walk w = {.n = n}; next_item(&w);) {
        stats->used += w.entry.raw[2];
        stats->spaces += w.entry.raw[0] == NVS_SPACE_OF_NAMES;
    }
}

unsigned nvs_part_space_entries(struct nvs_part *n, const char *space)
{
    uint8_t index;
    unsigned count = 0;
    if (find_space(n, space, &index))
        for (struct walk w = {.n = n}; next_item(&w);)
            count += w.entry.raw[0] == index ? w.entry.raw[2] : 0;
    return count;
}
