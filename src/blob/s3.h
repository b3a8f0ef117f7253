/*
 * s3.h - image bytes in an S3-compatible object store, one object each, named by their SHA-256.
 *
 * Requests are signed by AWS Signature Version 4; uploads carry their SHA-256, which the store checks, and large ones
 * go in parts.  Nodes are given pre-signed URLs, so that downloads do not pass through us.  What we read ourselves
 * (streams, signing, downloads of those who may not be redirected) is fetched once and kept in a folder, whose oldest
 * files go when it is full.
 */
#ifndef PLUVIO_BLOB_S3_H
#define PLUVIO_BLOB_S3_H

#include "blob/folder.h"

#include <pthread.h>

#define S3_PART_BYTES  (8 * 1024 * 1024)          /* of an upload in parts; larger files go so */
#define S3_CACHE_BYTES (2LL * 1024 * 1024 * 1024) /* of the folder */

struct blob_s3 {
    struct blob_store port;
    char base[300];   /* "https://host:9000", or "https://bucket.host" */
    char host[280];   /* the header's value */
    char prefix[200]; /* of paths, already percent-encoded: "/bucket/images/" */
    char region[64], key_id[130], secret[130], ca_file[400];
    bool redirects; /* nodes get URLs of the store */
    struct blob_folder cache;
    pthread_mutex_t lock; /* one fetch into the folder at a time */
    time_ms (*now)(void);
};

/* `url`: s3+https://HOST[:PORT]/BUCKET[/PREFIX][?region=R&style=path|host&redirect=yes|no&ca=FILE], or s3+http://...
 * Default: us-east-1, path, yes.  `now`: the clock, for signatures.  Asks the store once, so that a wrong key or bucket
 * is told at once.  ERR_CONFIG, ERR_NETWORK. */
enum err blob_s3_open(struct blob_s3 *b, const char *url, const char *key_id, const char *secret,
                      const char *cache_folder, time_ms (*now)(void), struct why *why);

#endif
