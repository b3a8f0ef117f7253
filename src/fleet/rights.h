/*
 * rights.h - what a user may do: one word for each kind of call, one table of who may what.
 */
#ifndef PLUVIO_FLEET_RIGHTS_H
#define PLUVIO_FLEET_RIGHTS_H

#include "fleet/records.h"

enum right {
    RIGHT_SELF,    /* what is the user's own */
    RIGHT_VIEW,    /* see the fleet */
    RIGHT_OPERATE, /* images, jobs, groups, tags; any node's parameters */
    RIGHT_ADMIN,   /* nodes, users of lower roles, audit */
    RIGHT_SUPER,   /* users of any role */
    RIGHTS
};

bool user_may(const struct user *user, enum right right);

/* "user", "viewer", "operator", "admin", "super_admin". */
const char *role_text(enum role role);
bool role_find(const char *word, enum role *to);

#endif
