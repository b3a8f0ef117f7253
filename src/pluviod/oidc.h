/* oidc.h - the way to an OpenID Connect provider, for rest/oidc.c: over libcurl. */
#ifndef PLUVIO_PLUVIOD_OIDC_H
#define PLUVIO_PLUVIOD_OIDC_H

#include "pluviod/settings.h"
#include "rest/rest.h"

struct oidc {
    struct rest_provider port;
    const struct settings *settings;
    char authorization[800]; /* "Authorization: Basic ..." */
};

/* Reads the client's secret.  ERR_CONFIG. */
enum err oidc_init(struct oidc *o, const struct settings *settings, struct why *why);

#endif
