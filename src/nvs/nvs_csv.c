#include "nvs/nvs_csv.h"

#include "base/text.h"
#include "codec/encode.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { C_KEY, C_TYPE, C_ENCODING, C_VALUE, C_COUNT };

#define FIELDS_MAX 16
#define FILL_MAX   (64 * NVS_PAGE_BYTES)

static const char *const columns[C_COUNT] = {"key", "type", "encoding", "value"};

static const struct encoding {
    const char *word;
    enum nvs_part_type type;
} encodings[] = {
    {"u8", NVS_U8},
    {"i8", NVS_I8},
    {"u16", NVS_U16},
    {"i16", NVS_I16},
    {"u32", NVS_U32},
    {"i32", NVS_I32},
    {"u64", NVS_U64},
    {"i64", NVS_I64},
    {"string", NVS_TEXT},
    {"hex2bin", NVS_BLOB_DATA},
    {"base64", NVS_BLOB_DATA},
    {"binary", NVS_BLOB_DATA},
};

enum nvs_part_type nvs_csv_encoding(const char *word)
{
    for (size_t i = 0; i < sizeof encodings / sizeof encodings[0]; i++)
        if (strcasecmp(encodings[i].word, word) == 0)
            return encodings[i].type;
    return NVS_ANY_TYPE;
}

/* --- rows ------------------------------------------------------------------------------------- */

struct reader {
    struct bytes csv;
    size_t at;
    unsigned line, row_line; /* the line being read, and the one that the row began on */
    struct buf fields[FIELDS_MAX];
    unsigned count;
    int place[C_COUNT]; /* which field is which column; -1: none */
};

static void clear(struct reader *r)
{
    for (unsigned i = 0; i < FIELDS_MAX; i++)
        r->fields[i].len = 0;
    r->count = 0;
}

static void skip_comments(struct reader *r)
{
    while (r->at < r->csv.len && r->csv.at[r->at] == '#') {
        while (r->at < r->csv.len && r->csv.at[r->at] != '\n')
            r->at++;
        r->at += r->at < r->csv.len;
        r->line++;
    }
}

/* The next character, line ends of all systems as \n; -1 at the end.  Comment lines are taken out before rows are
 * looked at, so they may stand inside a quoted field. */
static int next_char(struct reader *r)
{
    if (r->at == 0)
        skip_comments(r);
    if (r->at >= r->csv.len)
        return -1;
    int c = r->csv.at[r->at++];
    if (c == '\r') {
        r->at += r->at < r->csv.len && r->csv.at[r->at] == '\n';
        c = '\n';
    }
    if (c == '\n') {
        r->line++;
        skip_comments(r);
    }
    return c;
}

/* Reads one row into the fields: false at the end.  As Python's csv with its default dialect. */
static bool next_row(struct reader *r)
{
    bool is_quoted = false, was_quote = false, is_start = true;
    int c;
    clear(r);
    skip_comments(r);
    r->row_line = r->line;
    while ((c = next_char(r)) >= 0) {
        struct buf *field = &r->fields[r->count < FIELDS_MAX ? r->count : FIELDS_MAX - 1];
        char letter = (char)c;
        if (is_quoted && c == '"') {
            is_quoted = false;
            was_quote = true;
        } else if (!is_quoted && c == '"' && (is_start || was_quote)) {
            if (was_quote) /* a doubled quote is one */
                buf_add(field, &letter, 1);
            is_quoted = true;
            is_start = was_quote = false;
        } else if (!is_quoted && c == '\n') {
            r->count++;
            return true;
        } else if (!is_quoted && c == ',') {
            r->count++;
            is_start = true;
            was_quote = false;
        } else {
            buf_add(field, &letter, 1);
            is_start = was_quote = false;
        }
    }
    bool is_any = r->count > 0 || r->fields[0].len > 0 || !is_start;
    r->count += is_any;
    return is_any;
}

static bool is_blank(const struct reader *r)
{
    return r->count == 1 && r->fields[0].len == 0;
}

static enum err row_error(const struct reader *r, struct why *why, const char *what, const char *value)
{
    return why_set(why, ERR_FORMAT, "NVS table line %u: %s%s%s%s", r->row_line, what, *value ? " \"" : "", value,
                   *value ? "\"" : "");
}

static const char *field_text(const struct reader *r, int column)
{
    int place = r->place[column];
    return place >= 0 && (unsigned)place < r->count && place < FIELDS_MAX && r->fields[place].len > 0
               ? r->fields[place].at
               : "";
}

static struct bytes field_bytes(const struct reader *r, int column)
{
    return field_text(r, column)[0] ? buf_bytes(&r->fields[r->place[column]]) : bytes_of("", 0);
}

static enum err read_header(struct reader *r, struct why *why)
{
    bool is_row;
    while ((is_row = next_row(r)) && is_blank(r))
        ;
    if (!is_row)
        return row_error(r, why, "the table is empty", "");
    for (int c = 0; c < C_COUNT; c++) {
        r->place[c] = -1;
        for (unsigned i = 0; i < r->count && i < FIELDS_MAX; i++)
            if (r->fields[i].len > 0 && strcmp(r->fields[i].at, columns[c]) == 0)
                r->place[c] = (int)i;
        if (r->place[c] < 0)
            return row_error(r, why, "the first row must be key,type,encoding,value; it lacks", columns[c]);
    }
    return ERR_NONE;
}

/* --- values ----------------------------------------------------------------------------------- */

static struct bytes strip(struct bytes b)
{
    while (b.len > 0 && isspace(b.at[0]))
        b = bytes_of(b.at + 1, b.len - 1);
    while (b.len > 0 && isspace(b.at[b.len - 1]))
        b.len--;
    return b;
}

/* A decimal number that the type can hold, little-endian. */
static bool parse_number(struct bytes text, enum nvs_part_type type, uint8_t to[static 8])
{
    bool is_signed = (type & 0x10) != 0, is_negative;
    unsigned bits = (unsigned)nvs_number_len(type) * 8;
    uint64_t value = 0, most = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    text = strip(text);
    is_negative = text.len > 0 && text.at[0] == '-';
    if (text.len > 0 && (is_negative || text.at[0] == '+'))
        text = bytes_of(text.at + 1, text.len - 1);
    if (text.len == 0)
        return false;
    most = is_signed ? most / 2 + is_negative : is_negative ? 0 : most;
    for (size_t i = 0; i < text.len; i++) {
        if (!isdigit(text.at[i]) || value > (UINT64_MAX - (uint64_t)(text.at[i] - '0')) / 10)
            return false;
        value = value * 10 + (uint64_t)(text.at[i] - '0');
    }
    if (value > most)
        return false;
    value = is_negative ? 0 - value : value;
    for (unsigned i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> 8 * i);
    return true;
}

/* blob_fill(N;0xBB): N times the byte; blob_sz_fill: the last of them is 0. */
static bool parse_fill(const char *word, struct buf *to)
{
    bool is_text = strncasecmp(word, "blob_sz_fill(", 13) == 0;
    if (!is_text && strncasecmp(word, "blob_fill(", 10) != 0)
        return false;
    char *end;
    unsigned long count = strtoul(word + (is_text ? 13 : 10), &end, 0);
    unsigned long byte = *end == ';' ? strtoul(end + 1, &end, 0) : 256;
    if (strcmp(end, ")") != 0 || byte > 255 || count > FILL_MAX || (is_text && count == 0))
        return false;
    for (unsigned long i = 0; i < count; i++)
        buf_add(to, &(uint8_t){is_text && i + 1 == count ? 0 : (uint8_t)byte}, 1);
    return !to->is_failed;
}

static enum err add_blob(struct reader *r, struct nvs_maker *m, const char *encoding, struct bytes text,
                         struct why *why)
{
    struct buf value = {0};
    bool is_good = true;
    if (!buf_reserve(&value, BASE64_BYTES(text.len)))
        return why_set(why, ERR_NO_MEMORY, "no memory");
    if (strcasecmp(encoding, "hex2bin") == 0)
        is_good = hex_decode((uint8_t *)value.at, &value.len, strip(text));
    else if (strcasecmp(encoding, "base64") == 0)
        is_good = base64_decode((uint8_t *)value.at, &value.len, text, BASE64_STANDARD);
    else
        buf_add(&value, text.at, text.len);
    enum err err = is_good ? nvs_maker_add(m, field_text(r, C_KEY), NVS_BLOB_DATA, buf_bytes(&value), why)
                           : row_error(r, why, "the value is not", encoding);
    buf_deinit(&value);
    return err;
}

static enum err add_text(struct reader *r, struct nvs_maker *m, struct bytes text, struct why *why)
{
    struct buf value = {0};
    buf_add(&value, text.at, text.len);
    buf_add(&value, "", 1);
    enum err err = value.is_failed ? why_set(why, ERR_NO_MEMORY, "no memory")
                                   : nvs_maker_add(m, field_text(r, C_KEY), NVS_TEXT, buf_bytes(&value), why);
    buf_deinit(&value);
    return err;
}

static enum err add_value(struct reader *r, struct nvs_maker *m, struct bytes text, struct why *why)
{
    const char *encoding = field_text(r, C_ENCODING);
    enum nvs_part_type type = nvs_csv_encoding(encoding);
    uint8_t number[8];
    struct buf fill = {0};
    if (type == NVS_BLOB_DATA)
        return add_blob(r, m, encoding, text, why);
    if (type == NVS_TEXT)
        return add_text(r, m, text, why);
    if (type != NVS_ANY_TYPE) {
        if (!parse_number(text, type, number))
            return row_error(r, why, "the value is no decimal number of type", encoding);
        return nvs_maker_add(m, field_text(r, C_KEY), type, bytes_of(number, nvs_number_len(type)), why);
    }
    enum err err = parse_fill(encoding, &fill)
                       ? nvs_maker_add(m, field_text(r, C_KEY), NVS_BLOB_DATA, buf_bytes(&fill), why)
                       : row_error(r, why, "this encoding is not known:", encoding);
    buf_deinit(&fill);
    return err;
}

static enum err add_row(struct reader *r, struct nvs_maker *m, struct nvs_csv_files *files, struct why *why)
{
    const char *type = field_text(r, C_TYPE);
    if (strcmp(type, "namespace") == 0)
        return nvs_maker_space(m, field_text(r, C_KEY), why);
    if (strcmp(type, "data") == 0)
        return add_value(r, m, field_bytes(r, C_VALUE), why);
    if (strcmp(type, "file") != 0)
        return row_error(r, why, "type must be namespace, data or file, not", type);
    struct buf file = {0};
    enum err err = files ? files->read(files, field_text(r, C_VALUE), &file, why)
                         : row_error(r, why, "files cannot be read here:", field_text(r, C_VALUE));
    if (err == ERR_NONE)
        err = add_value(r, m, bytes_of(file.at ? file.at : "", file.len), why);
    buf_deinit(&file);
    return err;
}

enum err nvs_csv_make(struct nvs_maker *m, struct bytes csv, struct nvs_csv_files *files, struct why *why)
{
    struct reader r = {.csv = csv, .line = 1};
    if (csv.len >= 3 && memcmp(csv.at, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
        r.csv = bytes_of(csv.at + 3, csv.len - 3);
    enum err err = read_header(&r, why);
    while (err == ERR_NONE && next_row(&r)) {
        if (is_blank(&r))
            continue;
        bool has_nul = false, is_failed = false;
        for (unsigned i = 0; i < r.count && i < FIELDS_MAX; i++) {
            is_failed |= r.fields[i].is_failed;
            has_nul |= r.fields[i].len > 0 && strlen(r.fields[i].at) != r.fields[i].len;
        }
        if (is_failed)
            err = why_set(why, ERR_NO_MEMORY, "no memory");
        else if (r.count > FIELDS_MAX)
            err = row_error(&r, why, "has too many fields", "");
        else if (has_nul)
            err = row_error(&r, why, "holds a NUL", "");
        else if ((err = add_row(&r, m, files, why)) != ERR_NONE && err != ERR_FORMAT)
            err = why_add(why, err, "NVS table line %u", r.row_line);
    }
    for (unsigned i = 0; i < FIELDS_MAX; i++)
        buf_deinit(&r.fields[i]);
    return err;
}
