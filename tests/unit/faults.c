#include "faults.h"

#include <stdlib.h>

static enum err gone(struct faulty_flash *f, struct why *why)
{
    if (f->left < 0 || f->left-- > 0)
        return ERR_NONE;
    f->left = 0;
    return why_set(why, ERR_FLASH, "the flash does not answer");
}

static enum err read(struct flash *flash, uint32_t at, void *to, size_t len, struct why *why)
{
    struct faulty_flash *f = (struct faulty_flash *)flash;
    enum err err = gone(f, why);
    return err ? err : f->under->ops->read(f->under, at, to, len, why);
}

static enum err program(struct flash *flash, uint32_t at, struct bytes from, struct why *why)
{
    struct faulty_flash *f = (struct faulty_flash *)flash;
    enum err err = gone(f, why);
    return err ? err : f->under->ops->program(f->under, at, from, why);
}

static enum err erase(struct flash *flash, uint32_t sector, struct why *why)
{
    struct faulty_flash *f = (struct faulty_flash *)flash;
    enum err err = gone(f, why);
    return err ? err : f->under->ops->erase(f->under, sector, why);
}

void faulty_flash_init(struct faulty_flash *f, struct flash *under, long left)
{
    static const struct flash_ops ops = {read, program, erase};
    *f = (struct faulty_flash){{&ops, under->size_bytes}, under, left};
}

static long allocations_left = -1;

void test_fail_allocation(long left)
{
    allocations_left = left;
}

static int fails(void)
{
    if (allocations_left < 0)
        return 0;
    return allocations_left-- == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *at, size_t size);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *at, size_t size)
{
    return fails() ? NULL : __real_realloc(at, size);
}
