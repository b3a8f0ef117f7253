/* test.h - cmocka with its prerequisites, and what several tests need. */
#ifndef PLUVIO_TEST_H
#define PLUVIO_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/id.h"

/* Where the golden files are, "" when they are not there: tests that need one skip. */
const char *fixtures(void);

/* Reads a golden file; skips the test when it is missing. */
struct buf fixture(const char *name);

/* Counted randomness: the same every run. */
struct test_entropy {
    struct entropy entropy;
    unsigned next;
};
void test_entropy_init(struct test_entropy *e);

/* A small pseudo-random generator for tests that print their seed. */
uint32_t test_random(uint64_t *state);

#endif
