/*
 * fault.c - the fault suite: every step of a node's life at which power can go or flash can lie, by classes.
 *
 *   fault [--part N] [--jobs N] [--seed N]     a fixed N-th of the cases (default: all), on so many processes
 *   fault --tell-chip 1 ...                     prints what even our library cannot mend under the chip's bootloader
 *   fault --replay CASE                        one case, as a failure prints it
 *
 * Classes (reliability: which faults, which invariants): P1 one cut before or after a step; P2 inside a step; P3 bits
 * that stay unstable and flash that lies; P4 two cuts, metadata only; P6 cuts while confirming, rolling back and
 * raising the floor, with many seeds; P7 any content of flash.
 */
#include "rig.h"

#include "codec/crc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define METADATA "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nefuse,data,efuse,0xf000,0x1000\n"
#define WITH_FACTORY                                                                                                   \
    METADATA "factory,app,factory,0x10000,64K\nota_0,app,ota_0,0x20000,64K\nota_1,app,ota_1,0x30000,64K\n"
#define TWO_SLOTS METADATA "ota_0,app,ota_0,0x10000,64K\nota_1,app,ota_1,0x20000,64K\n"

/* name, plot, table, runs from, rollback, anti-rollback, chip, history, fallen */
#define SCENARIOS(suffix, is_chip)                                                                                     \
    {"first" suffix, PLOT_UPDATE, WITH_FACTORY, "factory", true, false, is_chip, false, false},                        \
        {"a-to-b" suffix, PLOT_UPDATE, WITH_FACTORY, "ota_0", true, false, is_chip, true, false},                      \
        {"b-to-a" suffix, PLOT_UPDATE, WITH_FACTORY, "ota_1", true, false, is_chip, true, false},                      \
        {"first-plain" suffix, PLOT_UPDATE, WITH_FACTORY, "factory", false, false, is_chip, false, false},             \
        {"a-to-b-plain" suffix, PLOT_UPDATE, WITH_FACTORY, "ota_0", false, false, is_chip, true, false},               \
        {"b-to-a-plain" suffix, PLOT_UPDATE, WITH_FACTORY, "ota_1", false, false, is_chip, true, false},               \
        {"two-slots" suffix, PLOT_UPDATE, TWO_SLOTS, "ota_0", true, false, is_chip, false, false},                     \
        {"self-test" suffix, PLOT_SELF_TEST, WITH_FACTORY, "ota_0", true, false, is_chip, true, false},                \
        {"watchdog" suffix, PLOT_WATCHDOG, WITH_FACTORY, "ota_0", true, false, is_chip, true, false},                  \
        {"first-watchdog" suffix, PLOT_WATCHDOG, WITH_FACTORY, "factory", true, false, is_chip, false, false},         \
        {"fallen" suffix, PLOT_UPDATE, WITH_FACTORY, "factory", true, false, is_chip, false, true},                    \
        {"floor" suffix, PLOT_UPDATE, TWO_SLOTS, "ota_0", true, true, is_chip, true, false},                           \
    {                                                                                                                  \
        "rewrite" suffix, PLOT_REWRITE, WITH_FACTORY, "ota_0", true, false, is_chip, true, false                       \
    }

static const struct scenario scenarios[] = {
    SCENARIOS("", false),
    {"nvs", PLOT_NVS, WITH_FACTORY, "factory", true, false, false, false, false},
    SCENARIOS("-chip", true),
};

#define SCENARIO_COUNT ((unsigned)(sizeof scenarios / sizeof scenarios[0]))

enum class { P1, P2, P3, P4, P6, P7, CLASSES };
static const char *const class_names[CLASSES] = {"P1", "P2", "P3", "P4", "P6", "P7"};

/* Shared by the processes: what was counted. */
struct tally {
    unsigned long cases[CLASSES], failed, chip_cases, chip_broken[INVARIANTS], unguarded, mended;
};

static struct {
    unsigned long part; /* every part-th case */
    unsigned jobs, job;
    uint64_t seed;
    unsigned long number; /* of the case, counted over all classes */
    struct tally *tally;  /* of this process */
    unsigned told;
    const char *program;
    bool tells_chip;
} suite = {.part = 1, .jobs = 1, .seed = 1};

#define FAILURES_TOLD 10

static bool is_ours(void)
{
    unsigned long n = suite.number++;
    return n % suite.part == 0 && n / suite.part % suite.jobs == suite.job;
}

static void count(enum class class, bool is_chip, const struct verdict *v, const char *replay)
{
    bool is_broken = v->story[0] != '\0';
    suite.tally->cases[class]++;
    if (is_chip) {
        suite.tally->chip_cases++;
        suite.tally->unguarded += v->unguarded;
        suite.tally->mended += v->mended;
        for (unsigned i = 0; i < INVARIANTS; i++)
            suite.tally->chip_broken[i] += v->broken[i] > 0;
        if (v->unguarded > v->mended && suite.tells_chip)
            printf("not mended: %s\n", replay);
        return;
    }
    suite.tally->failed += is_broken;
    if (is_broken && suite.told++ < FAILURES_TOLD)
        printf("FAILED %s  %s\n       replay: %s --replay %s\n", class_names[class], v->story, suite.program, replay);
}

static void run_case(enum class class, const struct fault_case *c)
{
    struct verdict v;
    char replay[160];
    if (!is_ours())
        return;
    rig_run(c, &v, NULL);
    snprintf(replay, sizeof replay, "%s:%ld:%d:%ld:%d:%" PRIu64, c->scenario->name, c->step[0], (int)c->fault[0],
             c->step[1], (int)c->fault[1], c->seed);
    count(class, c->scenario->is_chip, &v, replay);
}

/* --- P1 to P3: one fault at every step -------------------------------------------------------- */

static void one_fault(enum class class, const struct scenario *s, long steps, enum nor_fault from, enum nor_fault to,
                      unsigned seeds)
{
    for (long step = 0; step < steps; step++)
        for (unsigned fault = from; fault <= to; fault++)
            for (unsigned seed = 0; seed < seeds; seed++) {
                struct fault_case c = {
                    s, {step, -1}, {(enum nor_fault)fault, NOR_CUT_BEFORE}, suite.seed * 1000 + seed};
                run_case(class, &c);
            }
}

/* --- P4: two cuts ----------------------------------------------------------------------------- */

static const enum nor_fault nested[] = {NOR_CUT_AFTER, NOR_CUT_PREFIX, NOR_CUT_HALF_BITS, NOR_CUT_ALMOST};

#define NESTED       4
#define SECOND_STEPS 60 /* of the life after the first cut */

static void two_cuts(const struct scenario *s, const struct steps *steps)
{
    for (unsigned k = 0; k < steps->count; k++)
        for (long second = 0; rig_is_metadata(s, steps->list[k].at) && second < SECOND_STEPS; second++)
            for (unsigned v = 0; v < NESTED * NESTED; v++) {
                struct fault_case c = {
                    s, {(long)k, second}, {nested[v / NESTED], nested[v % NESTED]}, suite.seed * 1000 + v};
                run_case(P4, &c);
            }
}

/* --- P6: the steps of a verdict, many seeds --------------------------------------------------- */

static void verdict_steps(const struct scenario *s, const struct steps *steps, unsigned seeds)
{
    for (unsigned k = 0; k < steps->count; k++) {
        uint32_t at = steps->list[k].at;
        for (unsigned fault = 0; at >= 0xd000 && at < 0x10000 && fault < NOR_FAULTS; fault++)
            for (unsigned seed = 0; seed < seeds; seed++) {
                struct fault_case c = {
                    s, {(long)k, -1}, {(enum nor_fault)fault, NOR_CUT_BEFORE}, suite.seed * 7777 + seed};
                run_case(P6, &c);
            }
    }
}

/* --- P7: any content -------------------------------------------------------------------------- */

#define RECORDS 256

/* A grammar of records: numbers, states, CRC and seal right or wrong. */
static void make_record(uint8_t *r, unsigned i)
{
    static const uint32_t seqs[] = {0, 1, 2, 3, 7, 0x7fffffff, 0xfffffffe, 0xffffffff};
    static const uint32_t states[] = {0, 1, 2, 3, 4, 0xffffffff, 5, 0xfffffffe};
    uint8_t sealed[12];
    bool has_crc = (i >> 6 & 1) == 0, has_seal = (i >> 7 & 1) != 0;
    memset(r, 0xff, 32);
    put_u32(r, seqs[i & 7]);
    put_u32(r + 24, states[i >> 3 & 7]);
    put_u32(r + 28, crc32_of(CRC32_ESP_INIT, bytes_of(r, 4)));
    put_u32(sealed, seqs[i & 7]);
    put_u32(sealed + 4, states[i >> 3 & 7]);
    put_u32(sealed + 8, get_u32(r + 28));
    if (has_seal) {
        uint32_t seal = crc32_of(CRC32_ESP_INIT, bytes_of(sealed, 12)) ^ (i % 5 == 0);
        put_u32(r + 4, 0x3153564c);
        put_u32(r + 8, seal);
        put_u32(r + 12, seal);
    }
    if (!has_crc)
        r[28] ^= 0x10;
}

static void any_otadata(bool is_chip)
{
    for (unsigned i = 0; i < RECORDS * RECORDS; i++) {
        uint8_t first[32], second[32];
        struct verdict v;
        char replay[64];
        if (!is_ours())
            continue;
        make_record(first, i % RECORDS);
        make_record(second, i / RECORDS);
        rig_boot_otadata(first, second, is_chip, &v);
        snprintf(replay, sizeof replay, "otadata%s:%u", is_chip ? "-chip" : "", i);
        count(P7, is_chip, &v, replay);
    }
}

static void any_content(void)
{
    for (unsigned i = 0; i < 5 * 2000; i++) {
        struct verdict v;
        char replay[64];
        if (!is_ours())
            continue;
        rig_boot_anything(i % 5, suite.seed * 100000 + i / 5, &v);
        snprintf(replay, sizeof replay, "content:%u:%" PRIu64, i % 5, suite.seed * 100000 + i / 5);
        count(P7, false, &v, replay);
    }
}

/* --- the whole -------------------------------------------------------------------------------- */

static void run_scenario(const struct scenario *s)
{
    struct steps steps = {0};
    struct verdict v;
    struct fault_case clean = {s, {-1, -1}, {NOR_CUT_BEFORE, NOR_CUT_BEFORE}, 0};
    rig_run(&clean, &v, &steps);
    if (v.story[0] != '\0') {
        printf("FAILED without a fault: %s: %s\n", s->name, v.story);
        suite.tally->failed++;
    }
    bool is_verdict = s->plot != PLOT_NVS && s->plot != PLOT_UPDATE;
    one_fault(P1, s, steps.count, NOR_CUT_BEFORE, NOR_CUT_AFTER, 1);
    one_fault(P2, s, steps.count, NOR_CUT_PREFIX, NOR_CUT_ALMOST, 20);
    one_fault(P3, s, steps.count, NOR_CUT_METASTABLE, NOR_DISTURBED, 10);
    if (strcmp(s->name, "first") == 0 || strcmp(s->name, "a-to-b") == 0 || strcmp(s->name, "floor") == 0)
        two_cuts(s, &steps);
    if (is_verdict || s->has_anti_rollback)
        verdict_steps(s, &steps, 50);
    free(steps.list);
}

static void run_all(void)
{
    rig_init();
    for (unsigned i = 0; i < SCENARIO_COUNT; i++)
        run_scenario(&scenarios[i]);
    any_otadata(false);
    any_otadata(true);
    any_content();
    rig_deinit();
}

static int replay(const char *text)
{
    struct fault_case c = {.step = {-1, -1}};
    struct verdict v;
    int first = 0, second = 0;
    unsigned number = 0;
    char name[64] = "";
    rig_init();
    if (sscanf(text, "content:%u:%" SCNu64, &number, &c.seed) == 2)
        rig_boot_anything(number, c.seed, &v);
    else if (sscanf(text, "otadata:%u", &number) == 1 || sscanf(text, "otadata-chip:%u", &number) == 1) {
        uint8_t records[2][32];
        make_record(records[0], number % RECORDS);
        make_record(records[1], number / RECORDS);
        rig_boot_otadata(records[0], records[1], strncmp(text, "otadata-chip", 12) == 0, &v);
    } else {
        if (sscanf(text, "%63[^:]:%ld:%d:%ld:%d:%" SCNu64, name, &c.step[0], &first, &c.step[1], &second, &c.seed) != 6)
            return 64;
        c.fault[0] = (enum nor_fault)first;
        c.fault[1] = (enum nor_fault)second;
        for (unsigned i = 0; i < SCENARIO_COUNT; i++)
            if (strcmp(scenarios[i].name, name) == 0)
                c.scenario = &scenarios[i];
        if (c.scenario == NULL)
            return 64;
        rig_run(&c, &v, NULL);
    }
    printf("%s: %s (%u boots, %ld steps; %u boots without a trial, %u of them mended)\n", text,
           v.story[0] ? v.story : "everything holds", v.boots, v.steps, v.unguarded, v.mended);
    return v.story[0] != '\0';
}

static void report(const struct tally *all, double seconds)
{
    unsigned long cases = 0, failed = 0, chip_cases = 0, unguarded = 0, mended = 0, chip[INVARIANTS] = {0},
                  by_class[CLASSES] = {0};
    for (unsigned j = 0; j < suite.jobs; j++) {
        for (unsigned k = 0; k < CLASSES; k++)
            by_class[k] += all[j].cases[k];
        for (unsigned k = 0; k < INVARIANTS; k++)
            chip[k] += all[j].chip_broken[k];
        failed += all[j].failed;
        chip_cases += all[j].chip_cases;
        unguarded += all[j].unguarded;
        mended += all[j].mended;
    }
    for (unsigned k = 0; k < CLASSES; k++) {
        printf("%s %lu  ", class_names[k], by_class[k]);
        cases += by_class[k];
    }
    printf("\n%lu cases, seed %" PRIu64 ", %.0f cases a second on %u processes, %.1f s\n", cases, suite.seed,
           (double)cases / seconds, suite.jobs, seconds);
    printf("our bootloader: %lu cases, %lu violations\nthe chip's bootloader: %lu cases, violations:",
           cases - chip_cases, failed, chip_cases);
    for (unsigned k = 0; k < INVARIANTS; k++)
        printf(" %s %lu%s", invariant_names[k], chip[k], k + 1 < INVARIANTS ? "," : "\n");
    printf("of its %lu boots without a trial our library put %lu on trial at its start\n", unguarded, mended);
}

static int run_jobs(void)
{
    struct timespec from, to;
    bool is_good = true;
    struct tally *all = mmap(NULL, suite.jobs * sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        return 1;
    clock_gettime(CLOCK_MONOTONIC, &from);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (suite.job = 0; suite.job < suite.jobs; suite.job++) {
        suite.tally = &all[suite.job];
        if (fork() == 0) {
            run_all();
            exit(suite.tally->failed > 0);
        }
    }
    for (unsigned j = 0; j < suite.jobs; j++) {
        int status = 0;
        wait(&status);
        is_good = is_good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    report(all, (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
    return is_good ? 0 : 1;
}

int main(int argc, char **argv)
{
    suite.program = argv[0];
    for (int i = 1; i + 1 < argc; i += 2) {
        unsigned long value = strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--replay") == 0)
            return replay(argv[i + 1]);
        if (strcmp(argv[i], "--part") == 0 && value > 0)
            suite.part = value;
        else if (strcmp(argv[i], "--jobs") == 0 && value > 0)
            suite.jobs = (unsigned)value;
        else if (strcmp(argv[i], "--tell-chip") == 0)
            suite.tells_chip = value != 0;
        else if (strcmp(argv[i], "--seed") == 0)
            suite.seed = value;
        else
            return 64;
    }
    return run_jobs();
}
