#include "codec/csv.h"

char *csv_field(char **at, bool *is_last)
{
    char *from = *at, *to = *at, *field = *at;
    bool is_quoted = *from == '"';
    if (is_quoted)
        field = to = ++from;
    while (*from) {
        if (is_quoted && from[0] == '"' && from[1] == '"')
            from++; /* one quote */
        else if (is_quoted && from[0] == '"') {
            is_quoted = false;
            from++;
            continue;
        } else if (!is_quoted && (*from == ',' || *from == '\n'))
            break;
        if (is_quoted || *from != '\r')
            *to++ = *from;
        from++;
    }
    *is_last = *from != ',';
    *at = *from ? from + 1 : from;
    *to = '\0';
    return field;
}
