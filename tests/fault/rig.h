/*
 * rig.h - one node on an emulated flash: its bootloader, its application, the server's image, and what must hold.
 *
 * A life is: the bootloader selects, the application starts, confirms itself or not, updates itself, restarts.  A case
 * is a life with a fault planned at one step of the flash, or at two.  After a cut the power comes back and the life
 * goes on until nothing more is to be done.  Every boot and every end is checked; what does not hold has the name of
 * an invariant.
 */
#ifndef PLUVIO_FAULT_RIG_H
#define PLUVIO_FAULT_RIG_H

#include "base/buf.h"
#include "boot/boot.h"
#include "flash/nor.h"

#include <stdbool.h>
#include <stdint.h>

enum invariant {
    I1_NEVER_BRICK,
    I2_VERIFIED_ONLY,
    I3_MONITORED,
    I4_FLOOR,
    I7_CONVERGES,
    I8_NO_MIX,
    I9_HANDS_OFF,
    I12_BOUNDED_WEAR,
    NVS_OLD_OR_NEW, /* a value is the old or the new one, others stay */
    INVARIANTS
};

extern const char *const invariant_names[INVARIANTS];

/* What the application does about its images. */
enum plot {
    PLOT_UPDATE,    /* take the new image, confirm it */
    PLOT_SELF_TEST, /* take it; it finds itself bad and rolls back */
    PLOT_WATCHDOG,  /* take it; it hangs and is reset */
    PLOT_REWRITE,   /* select partitions to and fro */
    PLOT_NVS,       /* write, rewrite and erase values */
};

struct scenario {
    const char *name;
    enum plot plot;
    const char *table;     /* partition table, CSV */
    const char *runs_from; /* label of the partition that runs at the start */
    bool has_rollback, has_anti_rollback;
    bool is_chip;     /* the chip's bootloader: no seals */
    bool has_history; /* both otadata records are written, the other slot holds a longer image */
    bool has_fallen;  /* otadata names ota_0, whose image is broken: the bootloader falls through */
};

struct fault_case {
    const struct scenario *scenario;
    long step[2]; /* of the first fault, and of the second counted from where power came back; -1: none */
    enum nor_fault fault[2];
    uint64_t seed;
};

struct verdict {
    unsigned broken[INVARIANTS]; /* how often */
    char story[256];             /* of the first */
    long steps;                  /* of the whole life */
    unsigned boots;
    unsigned unguarded, mended; /* boots without a trial; of them, those that the application's start put on trial */
};

/* A step of a life, for lists of steps worth cutting. */
struct step {
    uint32_t at;
    bool is_erase;
};

struct steps {
    struct step *list;
    unsigned count, room;
};

void rig_init(void);
void rig_deinit(void);

/* Lives the case.  `steps` gets every step of it when it is not NULL. */
void rig_run(const struct fault_case *c, struct verdict *v, struct steps *steps);

/* P7: boots flash with that otadata (two records of 32 bytes) and those images; the rules of `is_chip`. */
void rig_boot_otadata(const uint8_t *first, const uint8_t *second, bool is_chip, struct verdict *v);

/* P7: boots flash full of something: 0 random bytes over all but the table, 1 all 0x00, 2 all 0xff, 3 random otadata
 * and slots cut short, 4 another image in each slot. */
void rig_boot_anything(unsigned kind, uint64_t seed, struct verdict *v);

/* Whether the address is in NVS, otadata or eFuse. */
bool rig_is_metadata(const struct scenario *s, uint32_t at);

#endif
