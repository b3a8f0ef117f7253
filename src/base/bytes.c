#include "base/bytes.h"

#include <string.h>

struct bytes bytes_of_text(const char *text)
{
    return bytes_of(text, strlen(text));
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool bytes_all(struct bytes b, uint8_t value)
{
    for (size_t i = 0; i < b.len; i++)
        if (b.at[i] != value)
            return false;
    return true;
}
