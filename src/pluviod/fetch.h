/* fetch.h - files from elsewhere, over libcurl, for rest/rest.h. */
#ifndef PLUVIO_PLUVIOD_FETCH_H
#define PLUVIO_PLUVIOD_FETCH_H

#include "rest/rest.h"

struct fetcher {
    struct rest_fetch port;
    bool calls_own_hosts;
};

/* `calls_own_hosts`: addresses of this machine may be asked, too. */
void fetch_init(struct fetcher *f, bool calls_own_hosts);

#endif
