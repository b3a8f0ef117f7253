#include "test.h"

#include <unistd.h>

const char *fixtures(void)
{
    const char *folder = getenv("PLUVIO_FIXTURES");
    return folder != NULL && access(folder, R_OK) == 0 ? folder : "";
}

struct buf fixture(const char *name)
{
    struct buf b = {0};
    char path[512], chunk[65536];
    size_t n;
    snprintf(path, sizeof path, "%s/%s", fixtures(), name);
    FILE *f = *fixtures() ? fopen(path, "rb") : NULL;
    if (f == NULL) {
        print_message("golden file %s is missing: skipped\n", name);
        skip();
    }
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_add(&b, chunk, n);
    fclose(f);
    return b;
}

static void fill(struct entropy *e, void *to, unsigned len)
{
    struct test_entropy *t = (struct test_entropy *)e;
    for (unsigned i = 0; i < len; i++)
        ((uint8_t *)to)[i] = (uint8_t)((t->next + i) * 131 >> (i % 3));
    t->next += 7919;
}

void test_entropy_init(struct test_entropy *e)
{
    *e = (struct test_entropy){{fill}, 1};
}

uint32_t test_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}
