/* mail.h - letters to people, by a program that is called as sendmail is. */
#ifndef PLUVIO_PLUVIOD_MAIL_H
#define PLUVIO_PLUVIOD_MAIL_H

#include "rest/rest.h"

struct mail_program {
    struct rest_mail port;
    const char *program;
    struct log *log;
};

/* `program` stays the caller's. */
void mail_init(struct mail_program *m, const char *program, struct log *log);

#endif
