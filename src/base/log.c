#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void log_line(struct log *log, enum log_level level, const char *room, const char *format, ...)
{
    if (log == NULL || level > log->level)
        return;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    log->write(log, level, room, text);
}
