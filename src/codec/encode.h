/*
 * encode.h - hexadecimal and base64, both ways, over memory of the caller's.
 */
#ifndef PLUVIO_CODEC_ENCODE_H
#define PLUVIO_CODEC_ENCODE_H

#include "base/bytes.h"

/* Lower-case hex; `to` holds 2 * len + 1 characters. */
void hex_encode(char *to, struct bytes from);

/* Both cases; `to` holds len / 2 bytes.  False for an odd number of characters or one that is no digit. */
bool hex_decode(uint8_t *to, size_t *len, struct bytes text);

enum base64_alphabet { BASE64_STANDARD, BASE64_URL };

/* Characters that `len` bytes need, with the terminator; enough for both alphabets. */
#define BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1)

/* Standard is padded with '=', URL is not.  Returns the number of characters. */
size_t base64_encode(char *to, struct bytes from, enum base64_alphabet alphabet);

/* Bytes that `len` characters decode to, at most. */
#define BASE64_BYTES(len) ((len) / 4 * 3 + 3)

/* Takes padded and unpadded text; white space is skipped in the standard alphabet.  False for any other character, a
 * lone last character, or characters after the padding.  `*len` becomes the number of bytes. */
bool base64_decode(uint8_t *to, size_t *len, struct bytes text, enum base64_alphabet alphabet);

#endif
