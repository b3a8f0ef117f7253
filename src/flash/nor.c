#include "flash/nor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR FLASH_SECTOR_BYTES

/* A sector's bytes, shared by every branch that has not written to it. */
struct sector {
    unsigned owners;
    uint8_t bytes[SECTOR];
    uint8_t shaky[SECTOR];       /* bits that read differently each time */
    uint8_t stuck[SECTOR];       /* bits that cannot be changed */
    uint8_t touched[SECTOR / 8]; /* a bit for each byte that was programmed since the last erase */
    bool has_faults;             /* shaky or stuck holds something, or a bit fell by itself */
};

struct range {
    uint32_t at, len;
    bool is_forbidden; /* else: write once */
};

struct nor {
    struct flash flash;
    struct sector **sectors;
    unsigned *erases;
    unsigned count;
    struct nor_plan plan;
    long steps_left; /* until the planned step; -1: past, or none */
    bool is_dark, was_hit;
    uint64_t random;
    struct range ranges[NOR_RANGES_MAX];
    unsigned range_count;
    struct nor_counts counts;
    char violation[128];
    void (*on_step)(void *context, uint32_t at, bool is_erase);
    void *context;
};

/* xorshift64*: the same numbers for the same seed, on every machine. */
static uint32_t throw_dice(struct nor *n)
{
    n->random ^= n->random >> 12;
    n->random ^= n->random << 25;
    n->random ^= n->random >> 27;
    return (uint32_t)(n->random * 0x2545f4914f6cdd1du >> 32);
}

/* A byte whose bits are each 1 with the given chance in a thousand. */
static uint8_t random_bits(struct nor *n, unsigned chance)
{
    uint8_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits = (uint8_t)(bits << 1 | (throw_dice(n) % 1000 < chance));
    return bits;
}

/* --- sectors ---------------------------------------------------------------------------------- */

static struct sector *sector_new(void)
{
    struct sector *s = calloc(1, sizeof *s);
    if (s != NULL) {
        s->owners = 1;
        memset(s->bytes, 0xff, SECTOR);
    }
    return s;
}

static void sector_drop(struct sector *s)
{
    if (--s->owners == 0)
        free(s);
}

/* The sector for this branch alone. */
static struct sector *own(struct nor *n, unsigned index)
{
    struct sector *s = n->sectors[index];
    if (s->owners == 1)
        return s;
    struct sector *mine = malloc(sizeof *mine);
    if (mine == NULL)
        abort(); /* a test rig without memory has nothing to say */
    *mine = *s;
    mine->owners = 1;
    s->owners--;
    return n->sectors[index] = mine;
}

/* --- rules ------------------------------------------------------------------------------------ */

static void violate(struct nor *n, const char *what, uint32_t at)
{
    if (n->violation[0] == '\0')
        snprintf(n->violation, sizeof n->violation, "%s at 0x%" PRIx32 ", step %lu", what, at, n->counts.steps);
}

static bool overlaps(const struct range *r, uint32_t at, uint32_t len)
{
    return at < r->at + r->len && r->at < at + len;
}

static void check_forbidden(struct nor *n, uint32_t at, uint32_t len)
{
    for (unsigned i = 0; i < n->range_count; i++)
        if (n->ranges[i].is_forbidden && overlaps(&n->ranges[i], at, len))
            violate(n, "a write where none may be", at);
}

static void check_program(struct nor *n, const struct sector *s, uint32_t at, struct bytes from)
{
    check_forbidden(n, at, (uint32_t)from.len);
    for (uint32_t i = 0; i < from.len; i++) {
        uint32_t k = (at + i) % SECTOR;
        /* Where the flash itself changed bits, that is not the firmware's doing. */
        if ((s->bytes[k] & from.at[i]) != from.at[i] && !s->has_faults)
            violate(n, "a bit programmed from 0 to 1", at + i);
        for (unsigned r = 0; r < n->range_count; r++)
            if (!n->ranges[r].is_forbidden && overlaps(&n->ranges[r], at + i, 1) &&
                (s->touched[k / 8] & 1 << k % 8) != 0)
                violate(n, "a byte programmed twice", at + i);
    }
}

/* --- steps ------------------------------------------------------------------------------------ */

static enum err no_power(struct why *why)
{
    return why_set(why, ERR_FLASH, "the power is cut");
}

/* Sets a byte as far as its stuck bits let it. */
static void put(struct sector *s, uint32_t k, uint8_t value)
{
    s->bytes[k] = (uint8_t)((value & ~s->stuck[k]) | (s->bytes[k] & s->stuck[k]));
}

/* What the step would leave of a byte. */
static uint8_t wanted(const struct sector *s, uint32_t k, const uint8_t *data)
{
    return data ? s->bytes[k] & *data : 0xff;
}

/* Does the step for the bits that `mask` says, byte by byte. */
static void do_bits(struct nor *n, struct sector *s, uint32_t k, const uint8_t *data, unsigned chance)
{
    uint8_t to = wanted(s, k, data), mask = random_bits(n, chance);
    put(s, k, (uint8_t)((to & mask) | (s->bytes[k] & ~mask)));
}

static void touch(struct sector *s, uint32_t from, uint32_t len)
{
    for (uint32_t i = from; i < from + len; i++)
        s->touched[i / 8] |= (uint8_t)(1 << i % 8);
}

/* What an erase mends; stuck bits stay. */
static void forget_faults(struct sector *s)
{
    memset(s->shaky, 0, SECTOR);
    s->has_faults = false;
    for (uint32_t i = 0; i < SECTOR; i++)
        s->has_faults = s->has_faults || s->stuck[i] != 0;
}

static void do_all(struct sector *s, uint32_t from, struct bytes data, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++)
        put(s, from + i, wanted(s, from + i, data.at ? data.at + i : NULL));
    if (data.at != NULL)
        touch(s, from, len);
    if (data.at == NULL) { /* an erase ends what was unstable */
        if (s->has_faults)
            forget_faults(s);
        memset(s->touched, 0, sizeof s->touched);
    }
}

/* One bit of the page behind, or of the first page for the last one, falls. */
static void disturb(struct nor *n, uint32_t at)
{
    uint32_t page = (at / NOR_PAGE_BYTES + 1) * NOR_PAGE_BYTES % n->flash.size_bytes;
    uint32_t hit = page + throw_dice(n) % NOR_PAGE_BYTES;
    struct sector *s = own(n, hit / SECTOR);
    put(s, hit % SECTOR, (uint8_t)(s->bytes[hit % SECTOR] & ~(1 << throw_dice(n) % 8)));
    s->has_faults = true;
}

static void make_shaky(struct nor *n, struct sector *s, uint32_t from, struct bytes data, uint32_t len)
{
    s->has_faults = true;
    for (uint32_t i = 0; i < len; i++) {
        uint8_t to = wanted(s, from + i, data.at ? data.at + i : NULL);
        s->shaky[from + i] |= (uint8_t)((to ^ s->bytes[from + i]) & random_bits(n, 500));
    }
}

/* Does one step with its fault; `data.at` NULL is an erase. */
static enum err do_fault(struct nor *n, uint32_t at, struct bytes data, uint32_t len, struct why *why)
{
    static const unsigned chances[] = {
        [NOR_CUT_FEW_BITS] = 100, [NOR_CUT_HALF_BITS] = 500, [NOR_CUT_MOST_BITS] = 900, [NOR_CUT_ALMOST] = 980};
    struct sector *s = own(n, at / SECTOR);
    uint32_t from = at % SECTOR, prefix = throw_dice(n) % (len + 1);
    n->was_hit = true;
    if (data.at != NULL && n->plan.fault != NOR_CUT_BEFORE && n->plan.fault != NOR_SILENT)
        touch(s, from, len); /* how much of it came through is nothing that firmware may count on */
    switch (n->plan.fault) {
    case NOR_CUT_BEFORE:
    case NOR_SILENT:
        break;
    case NOR_CUT_AFTER:
    case NOR_FALSE_ERROR:
        do_all(s, from, data, len);
        break;
    case NOR_CUT_PREFIX:
        for (uint32_t i = 0; i < prefix; i++)
            put(s, from + i, wanted(s, from + i, data.at ? data.at + i : NULL));
        break;
    case NOR_CUT_FEW_BITS:
    case NOR_CUT_HALF_BITS:
    case NOR_CUT_MOST_BITS:
    case NOR_CUT_ALMOST:
        for (uint32_t i = 0; i < len; i++)
            do_bits(n, s, from + i, data.at ? data.at + i : NULL, chances[n->plan.fault]);
        break;
    case NOR_CUT_METASTABLE:
        make_shaky(n, s, from, data, len);
        break;
    case NOR_STUCK:
        s->has_faults = true;
        s->stuck[from + throw_dice(n) % len] |= (uint8_t)(1 << throw_dice(n) % 8);
        do_all(s, from, data, len);
        break;
    case NOR_DISTURBED:
        do_all(s, from, data, len);
        disturb(n, at + len - 1);
        break;
    case NOR_FAULTS:
        break;
    }
    n->is_dark = n->plan.fault <= NOR_CUT_METASTABLE;
    if (n->is_dark)
        return no_power(why);
    return n->plan.fault == NOR_FALSE_ERROR ? why_set(why, ERR_FLASH, "the flash reports an error") : ERR_NONE;
}

static enum err do_step(struct nor *n, uint32_t at, struct bytes data, uint32_t len, struct why *why)
{
    n->counts.steps++;
    if (n->on_step != NULL)
        n->on_step(n->context, at, data.at == NULL);
    if (n->steps_left >= 0 && n->steps_left-- == 0)
        return do_fault(n, at, data, len, why);
    do_all(own(n, at / SECTOR), at % SECTOR, data, len);
    return ERR_NONE;
}

/* --- the port --------------------------------------------------------------------------------- */

static enum err check(struct nor *n, uint32_t at, size_t len, struct why *why)
{
    if (n->is_dark)
        return no_power(why);
    if (at > n->flash.size_bytes || len > n->flash.size_bytes - at)
        return why_set(why, ERR_FLASH, "0x%" PRIx32 " + %zu is past the end of flash (0x%" PRIx32 ")", at, len,
                       n->flash.size_bytes);
    return ERR_NONE;
}

static enum err nor_read(struct flash *f, uint32_t at, void *to, size_t len, struct why *why)
{
    struct nor *n = (struct nor *)f;
    enum err err = check(n, at, len, why);
    n->counts.reads++;
    for (size_t i = 0; err == ERR_NONE && i < len;) {
        const struct sector *s = n->sectors[(at + i) / SECTOR];
        size_t k = (at + i) % SECTOR, take = SECTOR - k < len - i ? SECTOR - k : len - i;
        memcpy((uint8_t *)to + i, s->bytes + k, take);
        for (size_t j = 0; s->has_faults && j < take; j++)
            ((uint8_t *)to)[i + j] ^= (uint8_t)(s->shaky[k + j] & throw_dice(n));
        i += take;
    }
    return err;
}

static enum err nor_program(struct flash *f, uint32_t at, struct bytes from, struct why *why)
{
    struct nor *n = (struct nor *)f;
    enum err err = check(n, at, from.len, why);
    for (size_t i = 0; err == ERR_NONE && i < from.len;) {
        uint32_t here = at + (uint32_t)i, room = NOR_PAGE_BYTES - here % NOR_PAGE_BYTES;
        uint32_t len = from.len - i < room ? (uint32_t)(from.len - i) : room;
        struct bytes page = bytes_of(from.at + i, len);
        check_program(n, n->sectors[here / SECTOR], here, page);
        n->counts.bytes_programmed += len;
        err = do_step(n, here, page, len, why);
        i += len;
    }
    return err;
}

static enum err nor_erase(struct flash *f, uint32_t sector, struct why *why)
{
    struct nor *n = (struct nor *)f;
    enum err err = sector < n->count ? check(n, sector * SECTOR, SECTOR, why)
                                     : why_set(why, ERR_FLASH, "there is no sector %" PRIu32, sector);
    if (err != ERR_NONE)
        return err;
    check_forbidden(n, sector * SECTOR, SECTOR);
    n->counts.erases++;
    n->erases[sector]++;
    return do_step(n, sector * SECTOR, bytes_of(NULL, 0), SECTOR, why);
}

/* --- life ------------------------------------------------------------------------------------- */

static struct nor *allocate(unsigned count, struct why *why)
{
    static const struct flash_ops ops = {nor_read, nor_program, nor_erase};
    struct nor *n = calloc(1, sizeof *n);
    if (n != NULL) {
        n->flash = (struct flash){&ops, count * SECTOR};
        n->count = count;
        n->steps_left = n->plan.step = -1;
        n->random = 1;
        n->sectors = calloc(count, sizeof(struct sector *));
        n->erases = calloc(count, sizeof *n->erases);
    }
    if (n == NULL || n->sectors == NULL || n->erases == NULL) {
        nor_free(n);
        why_set(why, ERR_NO_MEMORY, "no memory for an emulated flash");
        return NULL;
    }
    return n;
}

struct nor *nor_new(uint32_t size_bytes, struct why *why)
{
    struct nor *n = allocate(size_bytes / SECTOR, why);
    struct sector *erased = n ? sector_new() : NULL; /* one for all, until somebody writes */
    if (erased == NULL) {
        nor_free(n);
        return NULL;
    }
    for (unsigned i = 0; i < n->count; i++)
        n->sectors[i] = erased;
    erased->owners = n->count;
    return n;
}

void nor_free(struct nor *n)
{
    if (n == NULL)
        return;
    for (unsigned i = 0; n->sectors != NULL && i < n->count; i++)
        if (n->sectors[i] != NULL)
            sector_drop(n->sectors[i]);
    free(n->sectors);
    free(n->erases);
    free(n);
}

struct nor *nor_branch(const struct nor *from, struct why *why)
{
    struct nor *n = allocate(from->count, why);
    if (n == NULL)
        return NULL;
    for (unsigned i = 0; i < n->count; i++) {
        n->sectors[i] = from->sectors[i];
        n->sectors[i]->owners++;
    }
    memcpy(n->ranges, from->ranges, sizeof n->ranges);
    n->range_count = from->range_count;
    n->is_dark = from->is_dark;
    return n;
}

struct flash *nor_flash(struct nor *n)
{
    return &n->flash;
}

void nor_plan(struct nor *n, struct nor_plan plan)
{
    n->plan = plan;
    n->steps_left = plan.step;
    n->was_hit = false;
    n->random = plan.seed * 2 + 1; /* never 0, which would stay 0 */
    for (int i = 0; i < 4; i++)
        throw_dice(n); /* so that small seeds differ */
}

bool nor_has_power(const struct nor *n)
{
    return !n->is_dark;
}

void nor_power_on(struct nor *n)
{
    n->is_dark = false;
    n->steps_left = -1;
}

bool nor_was_hit(const struct nor *n)
{
    return n->was_hit;
}

static void add_range(struct nor *n, struct range r)
{
    if (n->range_count == NOR_RANGES_MAX)
        abort(); /* a mistake in the test */
    n->ranges[n->range_count++] = r;
}

void nor_forbid(struct nor *n, uint32_t at, uint32_t len)
{
    add_range(n, (struct range){at, len, true});
}

void nor_write_once(struct nor *n, uint32_t at, uint32_t len)
{
    add_range(n, (struct range){at, len, false});
}

void nor_clear_rules(struct nor *n)
{
    n->range_count = 0;
}

void nor_watch(struct nor *n, void (*on_step)(void *context, uint32_t at, bool is_erase), void *context)
{
    n->on_step = on_step;
    n->context = context;
}

const char *nor_violation(const struct nor *n)
{
    return n->violation[0] ? n->violation : NULL;
}

struct nor_counts nor_counts(const struct nor *n)
{
    return n->counts;
}

unsigned nor_sector_erases(const struct nor *n, unsigned sector)
{
    return n->erases[sector];
}
