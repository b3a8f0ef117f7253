/* The emulated NOR flash: its rules, its branches, and each of its faults. */
#include "faults.h"
#include "flash/nor.h"
#include "test.h"

#define SIZE (8 * 4096u)

static struct nor *fresh(void)
{
    struct nor *n = nor_new(SIZE, NULL);
    assert_non_null(n);
    return n;
}

static enum err program(struct nor *n, uint32_t at, const void *data, size_t len)
{
    return nor_flash(n)->ops->program(nor_flash(n), at, bytes_of(data, len), NULL);
}

static enum err erase(struct nor *n, uint32_t sector)
{
    return nor_flash(n)->ops->erase(nor_flash(n), sector, NULL);
}

static enum err look(struct nor *n, uint32_t at, void *to, size_t len)
{
    return nor_flash(n)->ops->read(nor_flash(n), at, to, len, NULL);
}

static void it_is_a_flash(void **state)
{
    struct nor *n = fresh();
    uint8_t got[600];
    (void)state;
    assert_int_equal(program(n, 4000, "hello", 5), ERR_NONE);
    assert_int_equal(look(n, 3998, got, 9), ERR_NONE);
    assert_memory_equal(got, "\xff\xffhello\xff\xff", 9);
    memset(got, 0, sizeof got);
    assert_int_equal(program(n, 4090, got, 600), ERR_NONE); /* over a sector's end, three pages */
    assert_int_equal(look(n, 4089, got, 2), ERR_NONE);
    assert_memory_equal(got, "\xff\0", 2);
    assert_int_equal(erase(n, 1), ERR_NONE);
    assert_int_equal(look(n, 4095, got, 2), ERR_NONE);
    assert_memory_equal(got, "\0\xff", 2);
    assert_int_equal(look(n, SIZE - 1, got, 2), ERR_FLASH);
    assert_int_equal(look(n, SIZE + 9, got, 1), ERR_FLASH);
    assert_int_equal(program(n, SIZE - 1, got, 2), ERR_FLASH);
    assert_int_equal(erase(n, 8), ERR_FLASH);
    assert_null(nor_violation(n));
    struct nor_counts c = nor_counts(n);
    assert_int_equal(c.steps, 1 + 4 + 1);
    assert_int_equal(c.erases, 1);
    assert_int_equal(c.bytes_programmed, 605);
    assert_int_equal(nor_sector_erases(n, 1), 1);
    assert_int_equal(nor_sector_erases(n, 0), 0);
    nor_free(n);
    nor_free(NULL);
}

static void branches_part_where_they_write(void **state)
{
    struct nor *n = fresh();
    uint8_t got[4];
    (void)state;
    assert_int_equal(program(n, 0, "base", 4), ERR_NONE);
    nor_forbid(n, 0x5000, 0x1000);
    struct nor *a = nor_branch(n, NULL), *b = nor_branch(n, NULL);
    assert_int_equal(erase(a, 0), ERR_NONE);
    assert_int_equal(program(a, 0, "left", 4), ERR_NONE);
    assert_int_equal(look(n, 0, got, 4), ERR_NONE);
    assert_memory_equal(got, "base", 4);
    nor_free(n);
    assert_int_equal(look(b, 0, got, 4), ERR_NONE);
    assert_memory_equal(got, "base", 4);
    assert_int_equal(look(a, 0, got, 4), ERR_NONE);
    assert_memory_equal(got, "left", 4);
    assert_int_equal(nor_counts(b).steps, 0);
    assert_int_equal(erase(b, 5), ERR_NONE); /* rules are inherited */
    assert_non_null(nor_violation(b));
    nor_free(a);
    nor_free(b);
}

static void broken_rules_are_told_first_come(void **state)
{
    struct nor *n = fresh();
    (void)state;
    assert_int_equal(program(n, 10, "\x0f", 1), ERR_NONE);
    assert_int_equal(program(n, 10, "\x0f", 1), ERR_NONE); /* the same again is harmless */
    assert_null(nor_violation(n));
    assert_int_equal(program(n, 10, "\xff", 1), ERR_NONE);
    assert_non_null(strstr(nor_violation(n), "0 to 1 at 0xa"));
    nor_free(n);
    n = fresh();
    nor_write_once(n, 0x1000, 0x1000);
    assert_int_equal(program(n, 0x1000, "\x0f", 1), ERR_NONE);
    assert_int_equal(program(n, 0x1001, "\x0f", 1), ERR_NONE);
    assert_int_equal(erase(n, 1), ERR_NONE);
    assert_int_equal(program(n, 0x1000, "\x0f", 1), ERR_NONE);
    assert_null(nor_violation(n));
    assert_int_equal(program(n, 0xfff, "\x0f\x0f", 2), ERR_NONE);
    assert_non_null(strstr(nor_violation(n), "twice at 0x1000"));
    nor_free(n);
    n = fresh();
    nor_forbid(n, 0x2000, 0x100);
    assert_int_equal(program(n, 0x2100, "\x0f", 1), ERR_NONE);
    assert_null(nor_violation(n));
    assert_int_equal(program(n, 0x20ff, "\x0f", 1), ERR_NONE);
    assert_non_null(strstr(nor_violation(n), "none may be"));
    assert_int_equal(program(n, 0, "\x0f", 1), ERR_NONE);
    assert_non_null(strstr(nor_violation(n), "none may be"));
    nor_free(n);
}

/* How many bits of a programmed page, and of an erased sector, came as they were wanted. */
static unsigned done_bits(struct nor *n, uint32_t at, uint32_t len, uint8_t expected)
{
    uint8_t got[4096];
    unsigned bits = 0;
    assert_int_equal(look(n, at, got, len), ERR_NONE);
    for (uint32_t i = 0; i < len; i++)
        bits += (unsigned)__builtin_popcount(0xffu & ~(unsigned)(got[i] ^ expected));
    return bits;
}

static void cuts_leave_what_they_say(void **state)
{
    static const struct {
        enum nor_fault fault;
        unsigned least, most; /* per thousand of the bits */
    } rows[] = {{NOR_CUT_BEFORE, 0, 0},        {NOR_CUT_AFTER, 1000, 1000},   {NOR_CUT_FEW_BITS, 60, 140},
                {NOR_CUT_HALF_BITS, 450, 550}, {NOR_CUT_MOST_BITS, 860, 940}, {NOR_CUT_ALMOST, 960, 998}};
    uint8_t zeros[256] = {0};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int is_erase = 0; is_erase < 2; is_erase++) {
            struct nor *n = fresh();
            for (uint32_t at = 0; is_erase && at < 4096; at += 256)
                assert_int_equal(program(n, at, zeros, 256), ERR_NONE);
            nor_plan(n, (struct nor_plan){0, rows[i].fault, 7});
            assert_int_equal(is_erase ? erase(n, 0) : program(n, 0, zeros, 256), ERR_FLASH);
            assert_true(nor_was_hit(n));
            assert_false(nor_has_power(n));
            uint8_t got;
            assert_int_equal(look(n, 0, &got, 1), ERR_FLASH);
            assert_int_equal(program(n, 0, zeros, 1), ERR_FLASH);
            assert_int_equal(erase(n, 0), ERR_FLASH);
            struct nor *dark = nor_branch(n, NULL);
            assert_false(nor_has_power(dark));
            nor_free(dark);
            nor_power_on(n);
            uint32_t len = is_erase ? 4096 : 256;
            unsigned share = done_bits(n, 0, len, is_erase ? 0xff : 0) * 1000 / (len * 8);
            if (share < rows[i].least || share > rows[i].most)
                fail_msg("fault %zu: %u of 1000 bits", i, share);
            nor_free(n);
        }
}

static void a_prefix_ends_somewhere(void **state)
{
    uint8_t zeros[256] = {0}, got[256];
    unsigned shortest = 256, longest = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct nor *n = fresh();
        nor_plan(n, (struct nor_plan){0, NOR_CUT_PREFIX, seed});
        assert_int_equal(program(n, 0, zeros, 256), ERR_FLASH);
        nor_power_on(n);
        assert_int_equal(look(n, 0, got, 256), ERR_NONE);
        unsigned done = 0;
        while (done < 256 && got[done] == 0)
            done++;
        for (unsigned i = done; i < 256; i++)
            assert_int_equal(got[i], 0xff);
        shortest = done < shortest ? done : shortest;
        longest = done > longest ? done : longest;
        nor_free(n);
    }
    assert_true(shortest < 30 && longest > 220);
    struct nor *n = fresh(); /* of an erase, too */
    for (uint32_t at = 0; at < 4096; at += 256)
        assert_int_equal(program(n, at, zeros, 256), ERR_NONE);
    nor_plan(n, (struct nor_plan){0, NOR_CUT_PREFIX, 5});
    assert_int_equal(erase(n, 0), ERR_FLASH);
    nor_free(n);
}

static void metastable_bits_settle_with_an_erase(void **state)
{
    uint8_t zeros[256] = {0}, first[256], second[256];
    (void)state;
    for (int is_erase = 0; is_erase < 2; is_erase++) {
        struct nor *n = fresh();
        if (is_erase)
            assert_int_equal(program(n, 0, zeros, 256), ERR_NONE);
        nor_plan(n, (struct nor_plan){0, NOR_CUT_METASTABLE, 3});
        assert_int_equal(is_erase ? erase(n, 0) : program(n, 0, zeros, 256), ERR_FLASH);
        nor_power_on(n);
        assert_int_equal(look(n, 0, first, 256), ERR_NONE);
        assert_int_equal(look(n, 0, second, 256), ERR_NONE);
        assert_memory_not_equal(first, second, 256);
        assert_int_equal(erase(n, 0), ERR_NONE);
        assert_int_equal(look(n, 0, first, 256), ERR_NONE);
        for (int i = 0; i < 256; i++)
            assert_int_equal(first[i], 0xff);
        nor_free(n);
    }
}

static void lies_do_not_cut_the_power(void **state)
{
    uint8_t got[2];
    (void)state;
    struct nor *n = fresh();
    nor_plan(n, (struct nor_plan){1, NOR_SILENT, 0});
    assert_int_equal(program(n, 0, "a", 1), ERR_NONE);
    assert_false(nor_was_hit(n));
    assert_int_equal(program(n, 1, "b", 1), ERR_NONE);
    assert_true(nor_was_hit(n));
    assert_int_equal(look(n, 0, got, 2), ERR_NONE);
    assert_memory_equal(got, "a\xff", 2);
    nor_plan(n, (struct nor_plan){0, NOR_FALSE_ERROR, 0});
    assert_int_equal(program(n, 1, "b", 1), ERR_FLASH);
    assert_true(nor_has_power(n));
    assert_int_equal(look(n, 0, got, 2), ERR_NONE);
    assert_memory_equal(got, "ab", 2);
    nor_plan(n, (struct nor_plan){-1, NOR_SILENT, 0});
    assert_int_equal(program(n, 2, "c", 1), ERR_NONE);
    assert_false(nor_was_hit(n));
    nor_plan(n, (struct nor_plan){0, NOR_FAULTS, 0}); /* no fault at all: nothing is done, nothing is said */
    assert_int_equal(program(n, 3, "d", 1), ERR_NONE);
    nor_free(n);
}

static void a_stuck_bit_stays(void **state)
{
    uint8_t zeros[256] = {0};
    (void)state;
    struct nor *n = fresh();
    nor_plan(n, (struct nor_plan){0, NOR_STUCK, 9});
    assert_int_equal(program(n, 0, zeros, 256), ERR_NONE);
    assert_int_equal(done_bits(n, 0, 256, 0), 256 * 8 - 1);
    assert_int_equal(erase(n, 0), ERR_NONE);
    assert_int_equal(program(n, 0, zeros, 256), ERR_NONE);
    assert_int_equal(done_bits(n, 0, 256, 0), 256 * 8 - 1);
    nor_free(n);
}

static void a_neighbour_is_disturbed(void **state)
{
    uint8_t zeros[256] = {0};
    (void)state;
    for (int is_last = 0; is_last < 2; is_last++) {
        struct nor *n = fresh();
        uint32_t at = is_last ? SIZE - 256 : 4096 - 256; /* the page behind lies in the next sector, or at the start */
        nor_plan(n, (struct nor_plan){0, NOR_DISTURBED, 4});
        assert_int_equal(program(n, at, zeros, 256), ERR_NONE);
        assert_int_equal(done_bits(n, at, 256, 0), 256 * 8);
        assert_int_equal(done_bits(n, is_last ? 0 : 4096, 256, 0xff), 256 * 8 - 1);
        nor_free(n);
    }
}

/* The same seed, the same bytes. */
static void faults_are_the_same_again(void **state)
{
    uint8_t zeros[256] = {0}, first[256], second[256];
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++)
        for (int fault = NOR_CUT_PREFIX; fault <= NOR_CUT_ALMOST; fault++) {
            for (int round = 0; round < 2; round++) {
                struct nor *n = fresh();
                nor_plan(n, (struct nor_plan){0, (enum nor_fault)fault, seed});
                assert_int_equal(program(n, 0, zeros, 256), ERR_FLASH);
                nor_power_on(n);
                assert_int_equal(look(n, 0, round ? second : first, 256), ERR_NONE);
                nor_free(n);
            }
            assert_memory_equal(first, second, 256);
        }
}

static void memory_that_runs_out_is_told(void **state)
{
    struct why why;
    (void)state;
    for (long i = 0; i < 4; i++) {
        test_fail_allocation(i);
        struct nor *n = nor_new(SIZE, &why);
        test_fail_allocation(-1);
        assert_null(n);
    }
    struct nor *n = fresh();
    for (long i = 0; i < 3; i++) {
        test_fail_allocation(i);
        struct nor *b = nor_branch(n, &why);
        test_fail_allocation(-1);
        assert_null(b);
    }
    assert_non_null(strstr(why.text, "memory"));
    nor_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_a_flash),
        cmocka_unit_test(branches_part_where_they_write),
        cmocka_unit_test(broken_rules_are_told_first_come),
        cmocka_unit_test(cuts_leave_what_they_say),
        cmocka_unit_test(a_prefix_ends_somewhere),
        cmocka_unit_test(metastable_bits_settle_with_an_erase),
        cmocka_unit_test(lies_do_not_cut_the_power),
        cmocka_unit_test(a_stuck_bit_stays),
        cmocka_unit_test(a_neighbour_is_disturbed),
        cmocka_unit_test(faults_are_the_same_again),
        cmocka_unit_test(memory_that_runs_out_is_told),
    };
    return cmocka_run_group_tests_name("nor", tests, NULL, NULL);
}
