/*
 * nor.h - an emulated NOR flash that fails inside its operations, for tests that ask what a power cut leaves.
 *
 * A program is one step for every page of 256 bytes that it touches, an erase one step a sector.  A plan names a step
 * and what happens there: power goes before, in the middle of, or after it; bits stay unstable; the operation lies
 * about its outcome.  Sectors are shared between branches until one writes to them, so that thousands of futures of one
 * flash cost little.
 *
 *     struct nor *flash = nor_new(0x100000, why);
 *     ... bring it to where the act begins ...
 *     struct nor *future = nor_branch(flash, why);
 *     nor_plan(future, (struct nor_plan){step, NOR_CUT_HALF_BITS, seed});
 *     act(nor_flash(future));                                fails at that step, and everything after it
 *     nor_power_on(future);
 *     check(nor_flash(future));
 *     nor_free(future);
 *
 * It also watches the rules of NOR flash and says which was broken first: programming a 0 to 1 without an erase,
 * writing where it is forbidden, programming a byte twice where that is forbidden.
 */
#ifndef PLUVIO_FLASH_NOR_H
#define PLUVIO_FLASH_NOR_H

#include "flash/flash.h"

#define NOR_PAGE_BYTES 256u
#define NOR_RANGES_MAX 8

/* What happens at the planned step.  The first eight end the power. */
enum nor_fault {
    NOR_CUT_BEFORE,     /* nothing of it was done */
    NOR_CUT_AFTER,      /* all of it was done */
    NOR_CUT_PREFIX,     /* its first bytes were done, how many is random */
    NOR_CUT_FEW_BITS,   /* each bit was done with a chance of one in ten */
    NOR_CUT_HALF_BITS,  /* ... one in two */
    NOR_CUT_MOST_BITS,  /* ... nine in ten */
    NOR_CUT_ALMOST,     /* ... 98 in a hundred */
    NOR_CUT_METASTABLE, /* half of its bits read differently each time, until the sector is erased */
    NOR_SILENT,         /* reports success, nothing was done */
    NOR_FALSE_ERROR,    /* reports an error, all of it was done */
    NOR_STUCK,          /* one bit of it cannot be changed from now on */
    NOR_DISTURBED,      /* was done, and one bit of the page behind it fell from 1 to 0 */
    NOR_FAULTS,
};

struct nor_plan {
    long step; /* counted from nor_plan(); -1: nothing happens */
    enum nor_fault fault;
    uint64_t seed; /* of whatever is random about it */
};

struct nor_counts {
    unsigned long steps, erases, bytes_programmed, reads;
};

struct nor;

/* All erased.  `size_bytes` is a multiple of a sector.  ERR_NO_MEMORY as NULL. */
struct nor *nor_new(uint32_t size_bytes, struct why *why);
void nor_free(struct nor *n);

/* A copy with the same content, rules and pending power, no plan and its own counts. */
struct nor *nor_branch(const struct nor *n, struct why *why);

/* The flash port of it. */
struct flash *nor_flash(struct nor *n);

void nor_plan(struct nor *n, struct nor_plan plan);
bool nor_has_power(const struct nor *n);

/* Power comes back; the plan is over. */
void nor_power_on(struct nor *n);

/* Whether the planned step was reached. */
bool nor_was_hit(const struct nor *n);

/* From now on no program or erase may touch the range; or no byte of it may be programmed twice without an erase. */
void nor_forbid(struct nor *n, uint32_t at, uint32_t len);
void nor_write_once(struct nor *n, uint32_t at, uint32_t len);

/* Forgets both kinds of rules; what was broken stays known. */
void nor_clear_rules(struct nor *n);

/* Calls back at every step, before it is done: the address, and whether it is an erase. */
void nor_watch(struct nor *n, void (*on_step)(void *context, uint32_t at, bool is_erase), void *context);

/* The first rule that was broken, NULL when none was. */
const char *nor_violation(const struct nor *n);

struct nor_counts nor_counts(const struct nor *n);
unsigned nor_sector_erases(const struct nor *n, unsigned sector);

#endif
