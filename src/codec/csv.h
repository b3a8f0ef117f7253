/*
 * csv.h - one field of comma-separated values after the other (RFC 4180), in the reader's own memory.
 *
 *     for (char *at = text; *at;)
 *         for (bool is_last = false; !is_last;)
 *             use(csv_field(&at, &is_last));
 *
 * Quoted fields may hold commas, line breaks and doubled quotes; outside of quotes carriage returns are dropped.
 */
#ifndef PLUVIO_CODEC_CSV_H
#define PLUVIO_CODEC_CSV_H

#include <stdbool.h>

/* The field at `*at`, unquoted in place and terminated; `*at` moves behind it, `*is_last`: the line ends with it. */
char *csv_field(char **at, bool *is_last);

#endif
