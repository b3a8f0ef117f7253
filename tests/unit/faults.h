/* faults.h - what tests break on purpose: the n-th flash operation, reads included, and the n-th allocation. */
#ifndef PLUVIO_TEST_FAULTS_H
#define PLUVIO_TEST_FAULTS_H

#include "flash/flash.h"

/* An adapter whose operation number `left` fails, and every one after it; -1: none does. */
struct faulty_flash {
    struct flash flash, *under;
    long left;
};

void faulty_flash_init(struct faulty_flash *f, struct flash *under, long left);

/* From now on allocation number `left` of the code under test fails, once; -1: none does.  Needs the linker's --wrap,
 * which tests get from unit_with_faults() in CMake. */
void test_fail_allocation(long left);

#endif
