#include "base/id.h"

#include <string.h>

static const char alphabet[] = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"; /* 57 letters */

/* Divides the 128-bit number by 57 and returns the remainder: the next digit. */
static unsigned next_digit(uint8_t number[static 16])
{
    unsigned rest = 0;
    for (int i = 0; i < 16; i++) {
        unsigned value = rest << 8 | number[i];
        number[i] = (uint8_t)(value / 57);
        rest = value % 57;
    }
    return rest;
}

struct id id_from_random(const uint8_t random[static 16])
{
    uint8_t number[16];
    memcpy(number, random, sizeof number);
    struct id id = {{0}};
    for (int i = 0; i < ID_LEN; i++)
        id.text[ID_LEN - 1 - i] = alphabet[next_digit(number)];
    return id;
}

struct id id_new(struct entropy *e)
{
    uint8_t random[16];
    e->fill(e, random, sizeof random);
    return id_from_random(random);
}
