/* The partition table's CSV form: fields, numbers as Python reads them, offsets in order, and the generator's rules. */
#include "flash/partition.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define APP_ALIGN   0x10000u
#define DATA_ALIGN  0x1000u
#define OTADATA_LEN 0x2000u
#define NVS_LEAST   0x3000u
#define LINE_SIZE   512
#define NAME_SIZE   64 /* of a variable */

enum { F_NAME, F_TYPE, F_SUBTYPE, F_OFFSET, F_SIZE, F_FLAGS, F_COUNT };

struct csv_line {
    char text[LINE_SIZE];
    char *fields[F_COUNT];
    unsigned number;
};

static const struct partition_options no_options;

static enum err line_error(const struct csv_line *line, struct why *why, const char *what, const char *value)
{
    return why_set(why, ERR_FORMAT, "partition table line %u: %s%s%s%s", line->number, what, *value ? " \"" : "", value,
                   *value ? "\"" : "");
}

/* --- characters ------------------------------------------------------------------------------- */

/* A text in UTF-8, -16 or -32, told by its byte order mark; read one character at a time. */
struct csv_text {
    struct bytes raw;
    size_t at;
    unsigned unit; /* bytes of one: 1, 2 or 4 */
    bool is_big;
};

static void open_text(struct csv_text *t, struct bytes raw)
{
    static const struct {
        const char *mark;
        unsigned len, unit;
        bool is_big;
    } marks[] = {{"\xef\xbb\xbf", 3, 1, false},
                 {"\xff\xfe\0\0", 4, 4, false},
                 {"\0\0\xfe\xff", 4, 4, true},
                 {"\xff\xfe", 2, 2, false},
                 {"\xfe\xff", 2, 2, true}};
    *t = (struct csv_text){raw, 0, 1, false};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (raw.len >= marks[i].len && memcmp(raw.at, marks[i].mark, marks[i].len) == 0) {
            *t = (struct csv_text){raw, marks[i].len, marks[i].unit, marks[i].is_big};
            return;
        }
}

static uint32_t next_unit(struct csv_text *t)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < t->unit; i++)
        value |= (uint32_t)t->raw.at[t->at + i] << 8 * (t->is_big ? t->unit - 1 - i : i);
    t->at += t->unit;
    return value;
}

static bool has_unit(const struct csv_text *t)
{
    return t->raw.len - t->at >= t->unit;
}

/* Writes the next character as UTF-8; returns its length, 0 at the end or for half a surrogate pair. */
static unsigned next_character(struct csv_text *t, char to[static 4])
{
    if (!has_unit(t))
        return 0;
    uint32_t c = next_unit(t);
    if (t->unit == 1) {
        to[0] = (char)c;
        return 1;
    }
    if (t->unit == 2 && c >= 0xd800 && c < 0xdc00 && has_unit(t))
        c = 0x10000 + ((c - 0xd800) << 10) + ((next_unit(t) - 0xdc00) & 0x3ff);
    if (c > 0x10ffff)
        return 0;
    unsigned more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    to[0] = (char)(lead[more] | c >> 6 * more);
    for (unsigned i = 1; i <= more; i++)
        to[i] = (char)(0x80 | (c >> 6 * (more - i) & 0x3f));
    return more + 1;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* False at the end of the text. */
static bool next_line(struct csv_text *t, struct csv_line *line, bool *is_too_long)
{
    size_t len = 0;
    unsigned n;
    char c[4];
    bool is_any = false;
    *is_too_long = false;
    while ((n = next_character(t, c)) > 0) {
        is_any = true;
        if (c[0] == '\n')
            break;
        if (c[0] == '\0' || len + n >= sizeof line->text)
            *is_too_long = true;
        else {
            memcpy(line->text + len, c, n);
            len += n;
        }
    }
    line->text[len] = '\0';
    line->number++;
    return is_any;
}

static char *strip(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    for (size_t n = strlen(text); n > 0 && isspace((unsigned char)text[n - 1]); n--)
        text[n - 1] = '\0';
    return text;
}

/* Puts the value of $NAME and ${NAME} in their place. */
static enum err expand(struct csv_line *line, const struct partition_options *o, struct why *why)
{
    char from[LINE_SIZE], name[NAME_SIZE];
    struct text to;
    memcpy(from, line->text, sizeof from);
    text_init(&to, line->text, sizeof line->text);
    for (const char *at = from; *at;) {
        size_t braced = at[0] == '$' && at[1] == '{';
        size_t len = at[0] == '$' ? strspn(at + 1 + braced, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                                            "0123456789_")
                                  : 0;
        if (len == 0 || (braced && at[2 + len] != '}')) {
            text_add(&to, "%c", *at++);
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)len, at + 1 + braced);
        const char *value = o->variable ? o->variable(o->context, name) : NULL;
        if (value == NULL)
            return line_error(line, why, "this variable is not set:", name);
        text_add(&to, "%s", value);
        at += 1 + len + 2 * braced;
    }
    return to.is_cut ? line_error(line, why, "is too long with its variables", "") : ERR_NONE;
}

static void split(struct csv_line *line)
{
    char *at = line->text;
    for (int i = 0; i < F_COUNT; i++) {
        char *comma = at ? strchr(at, ',') : NULL;
        if (comma != NULL)
            *comma = '\0';
        line->fields[i] = at ? strip(at) : line->text + strlen(line->text);
        at = comma ? comma + 1 : NULL;
    }
}

/* --- fields ----------------------------------------------------------------------------------- */

static bool parse_digits(const char *text, size_t len, int64_t *to)
{
    static const struct {
        char letter;
        unsigned base;
    } prefixes[] = {{'x', 16}, {'o', 8}, {'b', 2}};
    unsigned base = 10;
    uint64_t value = 0;
    bool was_digit = false;
    for (size_t i = 0; len > 2 && i < 3; i++)
        if (text[0] == '0' && tolower((unsigned char)text[1]) == prefixes[i].letter) {
            base = prefixes[i].base;
            was_digit = text[2] == '_'; /* Python allows one underscore between prefix and digits */
            text += 2;
            len -= 2;
        }
    if (len == 0 || (base == 10 && text[0] == '0' && strspn(text, "0_") < len))
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned c = (unsigned char)tolower((unsigned char)text[i]);
        unsigned digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
        if (c == '_' && was_digit && i + 1 < len) {
            was_digit = false;
            continue;
        }
        if (digit >= base || value > UINT32_MAX)
            return false;
        was_digit = true;
        value = value * base + digit;
    }
    *to = (int64_t)value;
    return true;
}

/* As Python's int(text, 0), with suffixes k and m that multiply. */
static bool parse_number(const char *text, int64_t *to)
{
    size_t len = strlen(text);
    int64_t unit = 1;
    bool is_negative = text[0] == '-';
    if (text[0] == '-' || text[0] == '+') {
        text++;
        len--;
    }
    for (; len > 1 && strchr("kKmM", text[len - 1]) != NULL; len--)
        unit = unit > UINT32_MAX ? unit : unit * (tolower((unsigned char)text[len - 1]) == 'k' ? 1024 : 1024 * 1024);
    if (!parse_digits(text, len, to) || *to > UINT32_MAX / unit)
        return false;
    *to *= is_negative ? -unit : unit;
    return true;
}

/* A line "type, name, value" of the extra subtypes. */
static bool extra_word(const char *lines, const char *word, int type, uint8_t *to)
{
    for (const char *at = lines; at != NULL && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        char own_type[32], name[32], value[32];
        uint8_t own;
        int64_t number;
        if (sscanf(at, " %31[^, \n] , %31[^, \n] , %31[^, \r\n]", own_type, name, value) == 3 &&
            partition_word(own_type, -1, &own) && own == type && strcasecmp(name, word) == 0 &&
            parse_number(value, &number) && number >= 0 && number <= 0xff) {
            *to = (uint8_t)number;
            return true;
        }
    }
    return false;
}

static bool parse_word(const char *text, int type, const struct partition_options *o, uint8_t *to)
{
    int64_t number;
    if (partition_word(text, type, to) || (type >= 0 && extra_word(o->extra_subtypes, text, type, to)))
        return true;
    if (!parse_number(text, &number) || number < 0 || number > 0xff)
        return false;
    *to = (uint8_t)number;
    return true;
}

static bool parse_flags(char *text, uint32_t *flags)
{
    *flags = 0;
    for (char *save, *word = strtok_r(text, ":", &save); word; word = strtok_r(NULL, ":", &save)) {
        word = strip(word);
        if (strcmp(word, "encrypted") == 0)
            *flags |= PARTITION_FLAG_ENCRYPTED;
        else if (strcmp(word, "readonly") == 0)
            *flags |= PARTITION_FLAG_READONLY;
        else
            return false;
    }
    return true;
}

/* --- rows ------------------------------------------------------------------------------------- */

static uint32_t table_at(const struct partition_options *o)
{
    return o->table_at ? o->table_at : PARTITION_TABLE_AT;
}

static bool is_primary(const struct partition *p)
{
    return (p->type == PARTITION_BOOTLOADER && p->subtype == PARTITION_BOOTLOADER_PRIMARY) ||
           (p->type == PARTITION_TABLE && p->subtype == PARTITION_TABLE_PRIMARY);
}

static enum err take_kind(struct csv_line *line, struct partition *p, const struct partition_options *o,
                          struct why *why)
{
    char **f = line->fields;
    size_t len = strlen(f[F_NAME]);
    memcpy(p->label, f[F_NAME], len < PARTITION_LABEL_LEN ? len : PARTITION_LABEL_LEN); /* cut, as the original does */
    if (!*f[F_TYPE] || !parse_word(f[F_TYPE], -1, o, &p->type))
        return line_error(line, why, "type is not known:", f[F_TYPE]);
    p->subtype = PARTITION_DATA_UNDEFINED;
    if (!*f[F_SUBTYPE] && p->type == PARTITION_APP)
        return line_error(line, why, "an app partition needs a subtype:", f[F_NAME]);
    if (*f[F_SUBTYPE] && !parse_word(f[F_SUBTYPE], p->type, o, &p->subtype))
        return line_error(line, why, "subtype is not known:", f[F_SUBTYPE]);
    if (!parse_flags(f[F_FLAGS], &p->flags))
        return line_error(line, why, "flags may be encrypted and readonly:", f[F_FLAGS]);
    return ERR_NONE;
}

/* Bootloaders and partition tables have their places from the options, whatever the row says. */
static enum err take_fixed(struct csv_line *line, const struct partition *p, const struct partition_options *o,
                           int64_t *offset, int64_t *size, struct why *why)
{
    bool is_recovery = p->type == PARTITION_BOOTLOADER && p->subtype == PARTITION_BOOTLOADER_RECOVERY;
    if (p->type == PARTITION_TABLE) {
        *size = PARTITION_SECTOR;
        if (is_primary(p))
            *offset = table_at(o);
        return ERR_NONE;
    }
    if (!o->has_bootloader)
        return line_error(line, why, "a bootloader partition needs the offset of the primary bootloader", "");
    if (is_recovery && !o->has_recovery)
        return line_error(line, why, "a recovery bootloader needs its offset", "");
    *size = (int64_t)table_at(o) - o->primary_bootloader_at;
    if (is_primary(p))
        *offset = o->primary_bootloader_at;
    else if (is_recovery)
        *offset = o->recovery_bootloader_at;
    return ERR_NONE;
}

static enum err take_place(struct csv_line *line, const struct partition *p, const struct partition_options *o,
                           int64_t *offset, int64_t *size, struct why *why)
{
    char **f = line->fields;
    bool is_fixed = p->type == PARTITION_BOOTLOADER || p->type == PARTITION_TABLE;
    *offset = -1;
    if (is_fixed) {
        enum err err = take_fixed(line, p, o, offset, size, why);
        if (err != ERR_NONE || *offset >= 0)
            return err;
    }
    if (*f[F_OFFSET] && (!parse_number(f[F_OFFSET], offset) || *offset < 0))
        return line_error(line, why, "offset is no number:", f[F_OFFSET]);
    if (!is_fixed && !*f[F_SIZE])
        return line_error(line, why, "size is missing:", f[F_NAME]);
    if (!is_fixed && !parse_number(f[F_SIZE], size))
        return line_error(line, why, "size is no number:", f[F_SIZE]);
    return ERR_NONE;
}

static enum err take_line(struct csv_line *line, struct partition *p, uint64_t *end, const struct partition_options *o,
                          struct why *why)
{
    int64_t offset, size = 0;
    *p = (struct partition){0};
    enum err err = take_kind(line, p, o, why);
    if (err == ERR_NONE)
        err = take_place(line, p, o, &offset, &size, why);
    if (err != ERR_NONE)
        return err;
    uint64_t unit = p->type == PARTITION_APP ? APP_ALIGN : DATA_ALIGN;
    if (offset < 0)
        offset = (int64_t)((*end + unit - 1) / unit * unit);
    else if (!is_primary(p) && (uint64_t)offset < *end)
        return line_error(line, why, "starts before the end of what is above it, or inside the table:", p->label);
    size = size < 0 ? -size - offset : size; /* negative: up to that address */
    if (size < 0 || offset > UINT32_MAX || size > UINT32_MAX - offset)
        return line_error(line, why, "does not fit between its offset and its end:", p->label);
    p->at = (uint32_t)offset;
    p->size_bytes = (uint32_t)size;
    if (!is_primary(p))
        *end = (uint64_t)p->at + p->size_bytes;
    return ERR_NONE;
}

enum err partition_table_read_csv(struct partition_table *t, struct bytes csv, const struct partition_options *o,
                                  struct why *why)
{
    struct csv_line line = {.number = 0};
    struct csv_text text;
    bool is_too_long;
    o = o ? o : &no_options;
    uint64_t end = table_at(o) + PARTITION_SECTOR;
    memset(t, 0, sizeof *t);
    t->has_md5 = !o->is_without_md5;
    open_text(&text, csv);
    while (next_line(&text, &line, &is_too_long)) {
        if (is_too_long)
            return line_error(&line, why, "is longer than 511 bytes, or holds a NUL", "");
        enum err err = expand(&line, o, why);
        char *row = strip(line.text);
        if (err != ERR_NONE)
            return err;
        if (*row == '\0' || *row == '#')
            continue;
        if (t->count == PARTITIONS_MAX - (t->has_md5 ? 1u : 0u))
            return line_error(&line, why, "is one partition too many for a table", "");
        split(&line);
        err = take_line(&line, &t->entries[t->count], &end, o, why);
        if (err != ERR_NONE)
            return err;
        t->count++;
    }
    return partition_table_check(t, o, why);
}

/* --- rules ------------------------------------------------------------------------------------ */

static enum err check_one(const struct partition *p, const struct partition_options *o, struct why *why)
{
    bool is_readonly = (p->flags & PARTITION_FLAG_READONLY) != 0;
    bool is_app = p->type == PARTITION_APP, is_data = p->type == PARTITION_DATA;
    uint32_t unit = is_app ? APP_ALIGN : DATA_ALIGN;
    uint32_t size_unit = !is_app ? 1 : o->is_secure_v1 ? APP_ALIGN : DATA_ALIGN;
    if (p->at % unit != 0)
        return why_set(why, ERR_FORMAT, "partition %s: offset 0x%" PRIx32 " is no multiple of 0x%" PRIx32, p->label,
                       p->at, unit);
    if (p->size_bytes % size_unit != 0)
        return why_set(why, ERR_FORMAT, "partition %s: size 0x%" PRIx32 " is no multiple of 0x%" PRIx32, p->label,
                       p->size_bytes, size_unit);
    if (is_data && is_readonly && (p->subtype == PARTITION_DATA_OTA || p->subtype == PARTITION_DATA_COREDUMP))
        return why_set(why, ERR_FORMAT, "partition %s is written by firmware, it cannot be readonly", p->label);
    if (is_data && p->subtype == PARTITION_DATA_NVS && p->size_bytes < NVS_LEAST && !is_readonly)
        return why_set(why, ERR_FORMAT, "nvs partition %s is smaller than 0x3000 and not readonly", p->label);
    if (p->at < table_at(o) + PARTITION_SECTOR && !is_primary(p))
        return why_set(why, ERR_FORMAT, "partition %s: offset 0x%" PRIx32 " is below 0x%" PRIx32, p->label, p->at,
                       table_at(o) + PARTITION_SECTOR);
    if (o->flash_size > 0 && (p->at > o->flash_size || p->size_bytes > o->flash_size - p->at))
        return why_set(why, ERR_FORMAT, "partition %s ends at 0x%" PRIx64 ", the flash at 0x%" PRIx32, p->label,
                       (uint64_t)p->at + p->size_bytes, o->flash_size);
    return ERR_NONE;
}

static enum err check_pair(const struct partition *a, const struct partition *b, struct why *why)
{
    bool is_otadata = a->subtype == PARTITION_DATA_OTA || a->subtype == PARTITION_DATA_TEE_OTA;
    if (strcmp(a->label, b->label) == 0)
        return why_set(why, ERR_FORMAT, "two partitions are called %s", a->label);
    if (a->type == PARTITION_DATA && b->type == PARTITION_DATA && is_otadata && a->subtype == b->subtype)
        return why_set(why, ERR_FORMAT, "there are two otadata partitions, %s and %s", a->label, b->label);
    if (a->at < (uint64_t)b->at + b->size_bytes && b->at < (uint64_t)a->at + a->size_bytes)
        return why_set(why, ERR_FORMAT, "partitions %s and %s overlap", a->label, b->label);
    return ERR_NONE;
}

enum err partition_table_check(const struct partition_table *t, const struct partition_options *o, struct why *why)
{
    o = o ? o : &no_options;
    enum err err = t->count ? ERR_NONE : why_set(why, ERR_FORMAT, "partition table is empty");
    for (unsigned i = 0; err == ERR_NONE && i < t->count; i++) {
        const struct partition *p = &t->entries[i];
        bool is_otadata =
            p->type == PARTITION_DATA && (p->subtype == PARTITION_DATA_OTA || p->subtype == PARTITION_DATA_TEE_OTA);
        err = check_one(p, o, why);
        if (err == ERR_NONE && is_otadata && p->size_bytes != OTADATA_LEN)
            err = why_set(why, ERR_FORMAT, "otadata partition %s must have exactly 0x2000 bytes", p->label);
        for (unsigned k = 0; err == ERR_NONE && k < i; k++)
            err = check_pair(&t->entries[k], p, why);
    }
    return err;
}

const char *partition_warning(const struct partition_table *t, unsigned index)
{
    const struct partition *p = &t->entries[index];
    uint8_t value;
    if (partition_word(p->label, -1, &value) && value != p->type)
        return "its name is the name of another type";
    if (partition_word(p->label, p->type, &value))
        return value == p->subtype ? NULL : "its name is the name of another subtype";
    for (unsigned type = PARTITION_APP; type <= PARTITION_DATA; type++)
        if (type != p->type && partition_word(p->label, (int)type, &value))
            return "its name is the name of another type's subtype";
    return NULL;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void add_size(struct text *to, uint32_t size)
{
    if (size % 0x100000 == 0)
        text_add(to, "%" PRIu32 "M", size / 0x100000);
    else if (size % 0x400 == 0)
        text_add(to, "%" PRIu32 "K", size / 0x400);
    else
        text_add(to, "0x%" PRIx32, size);
}

void partition_table_write_csv(const struct partition_table *t, struct text *to)
{
    text_add(to, "# ESP-IDF Partition Table\n# Name, Type, SubType, Offset, Size, Flags\n");
    for (unsigned i = 0; i < t->count; i++) {
        const struct partition *p = &t->entries[i];
        char type[16], subtype[16];
        bool is_encrypted = (p->flags & PARTITION_FLAG_ENCRYPTED) != 0;
        bool is_readonly = (p->flags & PARTITION_FLAG_READONLY) != 0;
        text_add(to, "%s,%s,%s,0x%" PRIx32 ",", p->label, partition_type_text(p, type),
                 partition_subtype_text(p, subtype), p->at);
        add_size(to, p->size_bytes);
        text_add(to, ",%s%s%s\n", is_encrypted ? "encrypted" : "", is_encrypted && is_readonly ? ":" : "",
                 is_readonly ? "readonly" : "");
    }
}
