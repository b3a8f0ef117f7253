/* A node's files. */
#include "vesp/vesp.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <unistd.h>

#define FILE_MAX           (64 * 1024 * 1024)
#define SECURE_VERSION_MAX 32

void node_path(const char *flash_path, const char *suffix, char *to, size_t size)
{
    snprintf(to, size, "%s%s", flash_path, suffix);
}

enum err file_read(const char *path, struct buf *to, struct why *why)
{
    char chunk[65536];
    ssize_t n = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && to->len < FILE_MAX && (n = read(fd, chunk, sizeof chunk)) > 0)
        buf_add(to, chunk, (size_t)n);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    return n == 0 && !to->is_failed
               ? ERR_NONE
               : why_set(why, ERR_IO, "read %s: %s", path, fd < 0 || n < 0 ? strerror(saved) : "too big");
}

enum err file_write(const char *path, struct bytes data, int flags, struct why *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
    bool is_good = fd >= 0;
    for (size_t done = 0; is_good && done < data.len;) {
        ssize_t n = write(fd, data.at + done, data.len - done);
        is_good = n > 0;
        done += is_good ? (size_t)n : 0;
    }
    int saved = errno;
    if (fd >= 0)
        close(fd);
    return is_good ? ERR_NONE
                   : why_set(why, saved == EEXIST ? ERR_EXISTS : ERR_IO, "write %s: %s", path, strerror(saved));
}

enum err size_parse(const char *text, uint32_t *to, struct why *why)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 0), unit = *end == 'M' || *end == 'm'   ? 1 << 20
                                                           : *end == 'K' || *end == 'k' ? 1 << 10
                                                                                        : 1;
    end += unit > 1;
    if (*end != '\0' || n * unit > 0x10000000)
        return why_set(why, ERR_USAGE, "\"%s\" is no size or address up to 256M", text);
    *to = (uint32_t)(n * unit);
    return ERR_NONE;
}

/* --- settings --------------------------------------------------------------------------------- */

void node_settings_default(struct node_settings *s)
{
    *s = (struct node_settings){.chip = chip_find(CHIP_LINUX), .has_rollback = true};
}

enum err node_settings_write(const struct node_settings *s, const char *flash_path, struct why *why)
{
    struct buf text = {0};
    char path[4096];
    buf_addf(&text, "; the chip and the bootloader of this virtual node\n[node]\nchip = %s\nrollback = %s\n",
             s->chip->platform, s->has_rollback ? "yes" : "no");
    buf_addf(&text, "anti_rollback = %s\nchip_bootloader = %s\n", s->has_anti_rollback ? "yes" : "no",
             s->is_chip_loader ? "yes" : "no");
    for (unsigned i = 0; i < s->trusted_count; i++) {
        buf_add_text(&text, "trusted = ");
        for (unsigned k = 0; k < SHA256_LEN; k++)
            buf_addf(&text, "%02x", s->trusted[i].bytes[k]);
        buf_add_text(&text, "\n");
    }
    node_path(flash_path, ".ini", path, sizeof path);
    enum err err = text.is_failed ? why_set(why, ERR_NO_MEMORY, "no memory") : ERR_NONE;
    if (err == ERR_NONE)
        err = file_write(path, buf_bytes(&text), O_TRUNC, why);
    buf_deinit(&text);
    return err;
}

static bool take_digest(struct node_settings *s, const char *hex)
{
    if (s->trusted_count == SIGNATURE_BLOCKS_MAX || strlen(hex) != 2 * SHA256_LEN ||
        strspn(hex, "0123456789abcdefABCDEF") != 2 * SHA256_LEN)
        return false;
    for (unsigned i = 0; i < SHA256_LEN; i++) {
        char byte[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        s->trusted[s->trusted_count].bytes[i] = (uint8_t)strtoul(byte, NULL, 16);
    }
    s->trusted_count++;
    return true;
}

/* libinih's callback: 0 stops with the line's number. */
static int take_setting(void *user, const char *section, const char *name, const char *value)
{
    struct node_settings *s = user;
    bool is_yes = strcasecmp(value, "yes") == 0 || strcmp(value, "1") == 0 || strcasecmp(value, "true") == 0;
    if (strcmp(section, "node") != 0)
        return 0;
    if (strcmp(name, "rollback") == 0)
        s->has_rollback = is_yes;
    else if (strcmp(name, "anti_rollback") == 0)
        s->has_anti_rollback = is_yes;
    else if (strcmp(name, "chip_bootloader") == 0)
        s->is_chip_loader = is_yes;
    else if (strcmp(name, "chip") == 0)
        s->chip = chip_find_name(value);
    else
        return strcmp(name, "trusted") == 0 && take_digest(s, value);
    return s->chip != NULL;
}

static enum err read_settings(struct node_settings *s, const char *flash_path, struct why *why)
{
    char path[4096];
    node_settings_default(s);
    node_path(flash_path, ".ini", path, sizeof path);
    if (access(path, F_OK) != 0)
        return ERR_NONE;
    int line = ini_parse(path, take_setting, s);
    return line == 0 ? ERR_NONE
                     : why_set(why, ERR_FORMAT,
                               "%s line %d: known are chip, rollback, anti_rollback, chip_bootloader and up to three "
                               "of trusted, in [node]",
                               path, line);
}

/* --- files ------------------------------------------------------------------------------------ */

/* The eFuse is where a partition of that kind is, else in a file of its own. */
static enum err open_efuse(struct node *n, const char *flash_path, struct why *why)
{
    char path[4096];
    const struct partition *p = partition_find(&n->table, PARTITION_DATA, PARTITION_DATA_EFUSE, NULL);
    unsigned bits = n->settings.chip->secure_versions ? n->settings.chip->secure_versions : SECURE_VERSION_MAX;
    n->efuse_file.fd = -1;
    if (p != NULL) {
        n->efuse = (struct efuse){partition_stretch(&n->file.flash, p), bits};
        return ERR_NONE;
    }
    node_path(flash_path, ".efuse", path, sizeof path);
    if (access(path, F_OK) != 0 && !n->settings.has_anti_rollback)
        return ERR_NONE;
    if (access(path, F_OK) != 0) {
        uint8_t blank[FLASH_SECTOR_BYTES];
        memset(blank, 0xff, sizeof blank);
        enum err err = file_write(path, bytes_of(blank, sizeof blank), O_EXCL, why);
        if (err != ERR_NONE)
            return err;
    }
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return why_set(why, ERR_IO, "open %s: %s", path, strerror(errno));
    enum err err = flash_file_init(&n->efuse_file, fd, why);
    n->efuse_file.fd = fd;
    n->efuse = (struct efuse){{&n->efuse_file.flash, 0, FLASH_SECTOR_BYTES}, bits};
    return err ? why_add(why, err, "%s", path) : ERR_NONE;
}

static enum err read_table(struct node *n, struct why *why)
{
    uint8_t raw[PARTITION_TABLE_BYTES];
    struct flash *f = &n->file.flash;
    enum err err = f->ops->read(f, PARTITION_TABLE_AT, raw, sizeof raw, why);
    return err ? err : partition_table_read(&n->table, bytes_of(raw, sizeof raw), f->size_bytes, why);
}

enum err node_open(struct node *n, const char *path, struct why *why)
{
    memset(n, 0, sizeof *n);
    n->file.fd = n->efuse_file.fd = -1;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return why_set(why, ERR_IO, "open %s: %s", path, strerror(errno));
    enum err err =
        flock(fd, LOCK_EX | LOCK_NB) == 0 ? ERR_NONE : why_set(why, ERR_BUSY, "%s is in use by another vesp", path);
    bool is_busy = err == ERR_BUSY;
    if (err == ERR_NONE)
        err = flash_file_init(&n->file, fd, why);
    n->file.fd = fd;
    if (err == ERR_NONE)
        err = read_table(n, why);
    if (err == ERR_NONE)
        err = read_settings(&n->settings, path, why);
    if (err == ERR_NONE)
        err = open_efuse(n, path, why);
    if (err == ERR_NONE)
        return ERR_NONE;
    node_close(n);
    return is_busy ? err : why_add(why, err, "%s", path);
}

void node_close(struct node *n)
{
    flash_file_deinit(&n->file);
    flash_file_deinit(&n->efuse_file);
    if (n->file.fd >= 0)
        close(n->file.fd);
    if (n->efuse_file.fd >= 0)
        close(n->efuse_file.fd);
    n->file.fd = n->efuse_file.fd = -1;
}

enum err node_slot_rules(struct node *n, struct slot_rules *rules, struct why *why)
{
    const struct node_settings *s = &n->settings;
    *rules = (struct slot_rules){.chip = s->chip,
                                 .chip_revision = IMAGE_REVISION_UNKNOWN,
                                 .efuse_revision = IMAGE_REVISION_UNKNOWN,
                                 .needs_signature = s->trusted_count > 0,
                                 .trusted_count = s->trusted_count,
                                 .blocks = s->chip->id == 0 ? 1 : SIGNATURE_BLOCKS_MAX};
    memcpy(rules->trusted, s->trusted, sizeof rules->trusted);
    return s->has_anti_rollback && n->efuse.flash.flash != NULL
               ? efuse_secure_version(&n->efuse, &rules->secure_version, why)
               : ERR_NONE;
}
