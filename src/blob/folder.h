/*
 * folder.h - image bytes as files of one folder, named by their SHA-256.
 *
 * A file appears complete or not at all: it is written elsewhere on the same file system, synchronised, then renamed.
 */
#ifndef PLUVIO_BLOB_FOLDER_H
#define PLUVIO_BLOB_FOLDER_H

#include "fleet/port.h"

struct blob_folder {
    struct blob_store port;
    char path[512];
};

/* Makes the folder if need be. */
enum err blob_folder_open(struct blob_folder *b, const char *path, struct why *why);

#endif
