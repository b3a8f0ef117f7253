/*
 * log.h - the log port: rooms say what happened, a program decides where it goes.
 *
 * One event, one line; the text holds no newline.  `room` is the speaking room's name.
 */
#ifndef PLUVIO_BASE_LOG_H
#define PLUVIO_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log {
    /* Called with a finished line; may be called from several threads at once. */
    void (*write)(struct log *log, enum log_level level, const char *room, const char *text);
    enum log_level level; /* lines above it are not made */
};

/* `log` may be NULL: nothing happens.  Control characters in the text become '?', so input cannot forge lines. */
void log_line(struct log *log, enum log_level level, const char *room, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
