/*
 * nvs_csv.h - an NVS partition from a CSV file, as Espressif's nvs_partition_gen reads it.
 *
 * The first row names the columns key, type, encoding and value; lines that start with # are no rows.  Fields may be
 * quoted, over several lines.  Types: namespace, data, file.  Encodings: u8 i8 u16 i16 u32 i32 u64 i64 (decimal),
 * string, hex2bin, base64, binary, blob_fill(N;0xBB), blob_sz_fill(N;0xBB).
 */
#ifndef PLUVIO_NVS_NVS_CSV_H
#define PLUVIO_NVS_NVS_CSV_H

#include "base/buf.h"
#include "nvs/nvs_make.h"

/* Where rows of type `file` have their values from. */
struct nvs_csv_files {
    enum err (*read)(struct nvs_csv_files *files, const char *path, struct buf *to, struct why *why);
};

/* Adds all rows to the image.  `files` may be NULL: rows of type file are errors then.  ERR_FORMAT with the line, or
 * what nvs_maker_add() returns. */
enum err nvs_csv_make(struct nvs_maker *m, struct bytes csv, struct nvs_csv_files *files, struct why *why);

/* The encoding's type: NVS_U8 .. NVS_I64, NVS_TEXT, NVS_BLOB_DATA; NVS_ANY_TYPE for a word that is none. */
enum nvs_part_type nvs_csv_encoding(const char *word);

#endif
