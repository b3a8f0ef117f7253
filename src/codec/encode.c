#include "codec/encode.h"

#include <string.h>

void hex_encode(char *to, struct bytes from)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < from.len; i++) {
        to[2 * i] = digits[from.at[i] >> 4];
        to[2 * i + 1] = digits[from.at[i] & 15];
    }
    to[2 * from.len] = '\0';
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool hex_decode(uint8_t *to, size_t *len, struct bytes text)
{
    if (text.len % 2 != 0)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_digit(text.at[i]), low = hex_digit(text.at[i + 1]);
        if (high < 0 || low < 0)
            return false;
        to[i / 2] = (uint8_t)(high << 4 | low);
    }
    *len = text.len / 2;
    return true;
}

static const char *const letters[] = {
    [BASE64_STANDARD] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    [BASE64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

size_t base64_encode(char *to, struct bytes from, enum base64_alphabet alphabet)
{
    const char *letter = letters[alphabet];
    size_t n = 0;
    for (size_t i = 0; i < from.len; i += 3) {
        size_t have = from.len - i < 3 ? from.len - i : 3;
        uint32_t three = (uint32_t)from.at[i] << 16 | (have > 1 ? (uint32_t)from.at[i + 1] << 8 : 0) |
                         (have > 2 ? (uint32_t)from.at[i + 2] : 0);
        for (size_t k = 0; k < 4; k++) {
            if (k <= have)
                to[n++] = letter[three >> (18 - 6 * k) & 63];
            else if (alphabet == BASE64_STANDARD)
                to[n++] = '=';
        }
    }
    to[n] = '\0';
    return n;
}

/* The value of each letter plus one; 0 for characters that are none. */
static void make_values(uint8_t values[256], const char *letter)
{
    memset(values, 0, 256);
    for (int i = 0; i < 64; i++)
        values[(unsigned char)letter[i]] = (uint8_t)(i + 1);
}

bool base64_decode(uint8_t *to, size_t *len, struct bytes text, enum base64_alphabet alphabet)
{
    uint8_t values[256];
    make_values(values, letters[alphabet]);
    uint32_t bits = 0;
    unsigned count = 0, pads = 0;
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.at[i];
        if (alphabet == BASE64_STANDARD && (c == '\n' || c == '\r' || c == ' '))
            continue;
        if (c == '=') {
            pads++;
            continue;
        }
        if (pads > 0 || values[c] == 0)
            return false;
        bits = bits << 6 | (uint32_t)(values[c] - 1);
        if (++count % 4 == 0) {
            to[n++] = (uint8_t)(bits >> 16);
            to[n++] = (uint8_t)(bits >> 8);
            to[n++] = (uint8_t)bits;
        }
    }
    unsigned rest = count % 4;
    if (rest == 1 || (pads > 0 && (rest + pads) % 4 != 0))
        return false;
    if (rest == 2)
        to[n++] = (uint8_t)(bits >> 4);
    if (rest == 3) {
        to[n++] = (uint8_t)(bits >> 10);
        to[n++] = (uint8_t)(bits >> 2);
    }
    *len = n;
    return true;
}
