/* pluvio image inspect, encrypt and decrypt. */
#include "pluvio/commands.h"

#include "base/text.h"
#include "codec/encode.h"
#include "image/encrypted.h"
#include "image/image.h"
#include "image/signature.h"
#include "pluvio/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- inspect ---------------------------------------------------------------------------------- */

static void tell_header(struct report *r, const struct image_facts *f)
{
    report_text(r, "kind", "kind", "%s", image_kind_text(f->kind));
    report_text(r, "layout", "layout", "%s", image_layout_text(f->layout));
    if (f->chip == NULL)
        return;
    report_text(r, "chip", NULL, "%s", f->chip->name);
    report_text(r, "platform", NULL, "%s", f->chip->platform);
    if (f->chip_id == CHIP_NONE)
        report_text(r, NULL, "chip", "%s", f->chip->name);
    else
        report_text(r, NULL, "chip", "%s (id 0x%04x)", f->chip->name, f->chip_id);
    report_text(r, NULL, "flash", "%s, %s, %s", chip_flash_mode_text(f->spi_mode),
                chip_flash_size_text(f->chip, f->spi_size), chip_flash_speed_text(f->chip, f->spi_speed));
    report_text(r, "flash_mode", NULL, "%s", chip_flash_mode_text(f->spi_mode));
    report_text(r, "flash_size", NULL, "%s", chip_flash_size_text(f->chip, f->spi_size));
    report_text(r, "flash_speed", NULL, "%s", chip_flash_speed_text(f->chip, f->spi_speed));
    report_address(r, "entry", "entry", f->entry);
    report_number(r, "segment_count", NULL, f->segment_count);
    report_number(r, "min_chip_revision", NULL, f->min_chip_rev);
    report_number(r, "max_chip_revision", NULL, f->max_chip_rev);
    if (f->min_chip_rev)
        report_text(r, NULL, "chip revision", "v%u.%u or later", f->min_chip_rev / 100u, f->min_chip_rev % 100u);
    if (f->max_chip_rev != 0 && f->max_chip_rev != 0xffff)
        report_text(r, NULL, "chip revision", "up to v%u.%u", f->max_chip_rev / 100u, f->max_chip_rev % 100u);
}

static void tell_desc(struct report *r, const struct image_facts *f)
{
    if (f->has_app_desc) {
        report_text(r, "project_name", "project", "%s", f->app.project_name);
        report_text(r, "version", "version", "%s", f->app.version);
        report_number(r, "secure_version", "secure version", f->app.secure_version);
        report_text(r, NULL, "built", "%s %s", f->app.date, f->app.time);
        report_text(r, "date", NULL, "%s", f->app.date);
        report_text(r, "time", NULL, "%s", f->app.time);
        report_text(r, "idf_ver", "ESP-IDF", "%s", f->app.idf_ver);
        report_hex(r, "app_elf_sha256", "ELF SHA-256", bytes_of(f->app.elf_sha256, 32));
        report_number(r, "min_efuse_block_revision", NULL, f->app.min_efuse_rev);
        report_number(r, "max_efuse_block_revision", NULL, f->app.max_efuse_rev);
        if (f->app.mmu_page_log2 > 0 && f->app.mmu_page_log2 < 32)
            report_size(r, "mmu_page_size", "MMU page", UINT64_C(1) << f->app.mmu_page_log2);
    }
    if (f->has_boot_desc) {
        report_number(r, "bootloader_version", "bootloader", f->bootloader.version);
        report_number(r, "secure_version", "secure version", f->bootloader.secure_version);
        report_text(r, "idf_ver", "ESP-IDF", "%s", f->bootloader.idf_ver);
        report_text(r, "date_time", "built", "%s", f->bootloader.date_time);
    }
}

static void tell_segments(struct report *r, const struct image_facts *f)
{
    report_list(r, "segments");
    for (unsigned i = 0; i < f->segments_read; i++) {
        char name[24], size[SIZE_TEXT_SIZE];
        uint32_t address = f->segments[i].address, len = f->segments[i].len;
        const char *use = address == 0                             ? "padding"
                          : f->chip && chip_maps(f->chip, address) ? "mapped from flash"
                                                                   : "loaded into memory";
        snprintf(name, sizeof name, "segment %u", i + 1);
        report_item(r, NULL);
        report_number(r, "address", NULL, address);
        report_number(r, "offset", NULL, f->segments[i].at);
        report_number(r, "length", NULL, len);
        report_text(r, "use", NULL, "%s", use);
        report_end_item(r);
        report_text(r, NULL, name, "0x%08" PRIx32 "  %9s  at 0x%06" PRIx32 "  %s", address, size_text(size, len),
                    f->segments[i].at, use);
    }
    report_end_list(r);
}

static void tell_sums(struct report *r, const struct image_facts *f, bool is_whole)
{
    report_size(r, "image_size", f->image_len > 0 && f->kind != IMAGE_MERGED ? "image" : NULL, f->image_len);
    report_size(r, "file_size", "file", f->file_len);
    report_number(r, "checksum", NULL, f->checksum_stored);
    report_bool(r, "hash_appended", NULL, f->has_digest);
    if (is_whole) {
        report_text(r, NULL, "checksum", "0x%02x, right", f->checksum_stored);
        if (f->has_digest)
            report_hex(r, "image_sha256", "SHA-256", bytes_of(f->digest, SHA256_LEN));
        else
            report_text(r, NULL, "SHA-256", "none appended: only the 8-bit checksum protects this image");
    }
    report_hex(r, "file_sha256", NULL, bytes_of(f->file_sha256, SHA256_LEN));
    report_text(r, "trailing", NULL, "%s", image_trailing_text(f->trailing));
    if (f->trailing != TRAILING_NONE && f->kind != IMAGE_MERGED)
        report_text(r, NULL, "followed by", "%s, %" PRIu64 " bytes", image_trailing_text(f->trailing),
                    f->file_len - f->image_len);
}

/* Signatures are read from the file again: the one pass over it keeps no sector. */
static void tell_signatures(struct report *r, const char *path, const struct image_facts *f)
{
    struct buf file = {0};
    struct signature_report s;
    s.count = 0;
    bool is_signed = f->trailing == TRAILING_SIGNATURE_V1 || f->trailing == TRAILING_SIGNATURE_V2;
    report_list(r, "signatures");
    if (is_signed && read_file(path, &file, NULL) == ERR_NONE) {
        /* What lies behind the signature, as in a dump of a slot, is not part of it. */
        uint64_t len = image_signed_len(f);
        signature_read(&s, bytes_of(file.at, len < file.len ? len : file.len), f->image_len);
        for (unsigned i = 0; i < s.count; i++) {
            report_item(r, NULL);
            report_signature(r, &s, i);
            report_end_item(r);
        }
        if (s.count == 0)
            report_verdict(r, STYLE_YELLOW, "no signature block in its sector is well-formed");
    }
    report_end_list(r);
    if (f->chip != NULL)
        report_chip_limits(r, &s, f->chip);
    buf_deinit(&file);
}

enum err read_image(const char *path, unsigned options, struct image_facts *facts, struct why *why)
{
    static const size_t chunk_size = 32 * 1024; /* stays in the processor's nearest cache */
    struct image_reader reader;
    struct file_stream in;
    size_t n = 0;
    uint8_t *chunk = malloc(chunk_size);
    if (chunk == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    enum err err = file_stream_open(&in, path, why);
    if (err == ERR_NONE) {
        image_reader_init(&reader, options);
        while ((err = file_stream_read(&in, chunk, chunk_size, &n, why)) == ERR_NONE && n > 0)
            image_reader_push(&reader, bytes_of(chunk, n));
        enum err verdict = image_reader_finish(&reader, facts, err ? NULL : why);
        err = err ? ERR_IO : verdict;
        file_stream_close(&in);
    }
    free(chunk);
    return err;
}

struct inspection {
    const struct image_target *target; /* NULL: not asked for */
    unsigned options;
};

static enum err inspect_one(const char *path, struct report *r, const struct inspection *ask, struct why *why)
{
    struct image_facts f = {.kind = IMAGE_UNKNOWN};
    struct why reason = {{0}};
    enum err err = read_image(path, ask->options, &f, why), update = err;
    if (err == ERR_IO || err == ERR_NO_MEMORY)
        return err;
    if (err == ERR_NONE)
        update = image_check_update(&f, &reason);
    report_title(r, "%s", path);
    report_item(r, NULL);
    report_text(r, "file", NULL, "%s", path);
    report_bool(r, "is_whole", NULL, err == ERR_NONE);
    report_bool(r, "is_update", NULL, update == ERR_NONE);
    if (update != ERR_NONE) {
        report_text(r, "code", NULL, "%s", err_name(update));
        report_text(r, "reason", NULL, "%s", err ? why_text(why, err) : reason.text);
    }
    if (f.kind == IMAGE_MERGED) {
        report_text(r, "kind", "kind", "%s", image_kind_text(f.kind));
        report_dump(r, path);
    } else if (f.kind != IMAGE_UNKNOWN || f.chip != NULL) {
        tell_header(r, &f);
        tell_desc(r, &f);
        tell_segments(r, &f);
    }
    tell_sums(r, &f, err == ERR_NONE);
    tell_signatures(r, path, &f);
    if (err != ERR_NONE)
        report_verdict(r, STYLE_RED, "%s", why_text(why, err));
    else if (update == ERR_NONE)
        report_verdict(r, STYLE_GREEN, "whole, and fit to be an update");
    else
        report_verdict(r, STYLE_YELLOW, "whole, but no update: %s", reason.text);
    if (err == ERR_NONE && ask->target != NULL) {
        err = image_check_target(&f, ask->target, why);
        report_bool(r, "fits_target", NULL, err == ERR_NONE);
        if (err == ERR_NONE)
            report_verdict(r, STYLE_GREEN, "runs on this %s", ask->target->chip->name);
        else {
            report_text(r, "target_code", NULL, "%s", err_name(err));
            report_text(r, "target_reason", NULL, "%s", why_text(why, err));
            report_verdict(r, STYLE_RED, "does not run there: %s", why_text(why, err));
        }
    }
    report_end_item(r);
    return err ? why_add(why, err, "%s", path) : ERR_NONE;
}

static enum err take_revision(const char *text, uint16_t *to, struct why *why)
{
    unsigned major, minor;
    char rest;
    *to = IMAGE_REVISION_UNKNOWN;
    if (text == NULL)
        return ERR_NONE;
    if (sscanf(text, "v%u.%u%c", &major, &minor, &rest) != 2 && sscanf(text, "%u.%u%c", &major, &minor, &rest) != 2)
        return why_set(why, ERR_USAGE, "a revision is written as 3.1, not \"%s\"", text);
    if (major > 600 || minor > 99)
        return why_set(why, ERR_USAGE, "there is no revision %s", text);
    *to = (uint16_t)(major * 100 + minor);
    return ERR_NONE;
}

static enum err take_target(const struct options *o, struct image_target *t, bool *is_asked, struct why *why)
{
    const char *chip = option(o, "chip"), *size = option(o, "slot-size"), *secure = option(o, "secure-version");
    int64_t number = 0;
    *t = (struct image_target){0};
    *is_asked = false;
    if (chip != NULL && (t->chip = chip_find_name(chip)) == NULL)
        return why_set(why, ERR_USAGE, "no chip is called %s; try esp32, esp32c3, esp8266", chip);
    enum err err = take_revision(option(o, "chip-revision"), &t->chip_revision, why);
    if (err == ERR_NONE)
        err = take_revision(option(o, "efuse-revision"), &t->efuse_revision, why);
    if (err == ERR_NONE && size != NULL)
        err = take_number("--slot-size", size, 1, UINT32_MAX, &number, why);
    t->slot_bytes = (uint32_t)number;
    number = 0;
    if (err == ERR_NONE && secure != NULL)
        err = take_number("--secure-version", secure, 0, UINT32_MAX, &number, why);
    t->secure_version = (uint32_t)number;
    *is_asked = chip != NULL;
    if (err == ERR_NONE && chip == NULL &&
        (size != NULL || secure != NULL || option(o, "chip-revision") != NULL || option(o, "efuse-revision") != NULL))
        err = why_set(why, ERR_USAGE, "say with --chip for which chip that is");
    return err;
}

enum err command_image_inspect(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"chip", 'c', "CHIP", "Whether it runs on this chip (esp32, esp32c3, ...); needed for some ESP8266 images"},
        {"chip-revision", 0, "X.Y", "... of this revision"},
        {"efuse-revision", 0, "X.Y", "... with this revision of its eFuse block"},
        {"slot-size", 0, "BYTES", "... in a slot of this size (1M, 0x1C0000)"},
        {"secure-version", 0, "NUMBER", "... whose eFuse counts this secure version"},
        {NULL, 0, NULL, NULL}};
    static const struct command_line line = {
        rows, "FILE...",
        "Explain image files: chip, descriptor, segments, checks, signatures. Exit status 65 when one is not whole, or "
        "does not run on the chip that is asked for.",
        1, ARGUMENTS_MAX};
    struct options o;
    struct report r;
    struct image_target target;
    struct inspection ask = {NULL, 0};
    bool is_asked;
    enum err worst = ERR_NONE;
    options_parse(&o, argc, argv, &line);
    enum err err = take_target(&o, &target, &is_asked, why);
    if (err != ERR_NONE)
        return err;
    if (is_asked)
        ask.target = &target;
    if (is_asked && target.chip == chip_esp8266())
        ask.options = IMAGE_IS_ESP8266;
    report_begin(&r, REPORT_LIST, o.is_json);
    for (unsigned i = 0; i < o.count; i++) {
        struct why one = {{0}};
        err = inspect_one(o.arguments[i], &r, &ask, &one);
        if (err != ERR_NONE && o.count > 1 && (err == ERR_IO || err == ERR_NO_MEMORY))
            report_verdict(&r, STYLE_RED, "%s", one.text);
        if (err != ERR_NONE) {
            worst = err;
            *why = one;
        }
    }
    report_end(&r);
    return worst;
}

/* --- encrypt, decrypt ------------------------------------------------------------------------- */

enum err command_image_encrypt(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"key", 'k', "FILE", "The device's key, RSA-3072 or ECDSA P-256, public or private, as PEM"},
        {"output", 'o', "FILE", "The encrypted image to write (- is standard output)"},
        {NULL, 0, NULL, NULL},
    };
    static const struct command_line line = {
        rows, "FILE", "Encrypt an image for a device's key, for nodes that take pre-encrypted updates.", 1, 1};
    struct options o;
    struct buf plain = {0}, sealed = {0};
    struct public_key key;
    struct entropy entropy;
    struct report r;
    options_parse(&o, argc, argv, &line);
    entropy_system_init(&entropy);
    if (option(&o, "key") == NULL || option(&o, "output") == NULL)
        return why_set(why, ERR_USAGE, "give --key and --output");
    enum err err = read_public_key(option(&o, "key"), &key, why);
    if (err == ERR_NONE)
        err = read_file(o.arguments[0], &plain, why);
    if (err == ERR_NONE)
        err = encrypted_make(&sealed, buf_bytes(&plain), &key, &entropy, why);
    if (err == ERR_NONE)
        err = write_output(option(&o, "output"), buf_bytes(&sealed), 0644, why);
    if (err == ERR_NONE) {
        report_begin(&r, REPORT_OBJECT, o.is_json);
        report_written(&r, option(&o, "output"), sealed.len);
        report_text(&r, "scheme", "encrypted for", "%s", key_kind_text(key.kind));
        report_end(&r);
    }
    buf_deinit(&plain);
    buf_deinit(&sealed);
    return err;
}

static enum err open_device_key(const struct options *o, struct private_key **key, struct why *why)
{
    const char *pem = option(o, "key"), *hmac = option(o, "hmac-key");
    struct buf file = {0};
    uint8_t scalar[32];
    *key = NULL;
    if ((pem == NULL) == (hmac == NULL))
        return why_set(why, ERR_USAGE, "give either --key or --hmac-key");
    if (pem != NULL)
        return open_private_key(pem, key, why);
    enum err err = read_file(hmac, &file, why);
    if (err == ERR_NONE && file.len != 32)
        err = why_set(why, ERR_KEY, "%s: an HMAC key has 32 bytes, this file %zu", hmac, file.len);
    if (err == ERR_NONE) {
        encrypted_device_scalar(scalar, (const uint8_t *)file.at);
        err = private_key_open_scalar(key, scalar, why);
    }
    secret_wipe(scalar, sizeof scalar);
    buf_deinit(&file);
    return err;
}

enum err command_image_decrypt(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"key", 'k', "FILE", "The device's private key, RSA-3072 or ECDSA P-256, as PEM"},
        {"hmac-key", 'H', "FILE", "The device's HMAC key of 32 bytes, from which its P-256 key is derived"},
        {"output", 'o', "FILE", "The plain image to write (- is standard output)"},
        {NULL, 0, NULL, NULL},
    };
    static const struct command_line line = {rows, "FILE", "Open an encrypted image with the device's key.", 1, 1};
    struct options o;
    struct buf sealed = {0}, plain = {0};
    struct private_key *key = NULL;
    struct encrypted_reader reader;
    struct report r;
    size_t len = 0;
    options_parse(&o, argc, argv, &line);
    if (option(&o, "output") == NULL)
        return why_set(why, ERR_USAGE, "give --output");
    enum err err = open_device_key(&o, &key, why);
    if (err == ERR_NONE)
        err = read_file(o.arguments[0], &sealed, why);
    if (err == ERR_NONE && !buf_reserve(&plain, sealed.len + 1))
        err = why_set(why, ERR_NO_MEMORY, "no memory");
    if (err == ERR_NONE) {
        encrypted_reader_init(&reader, key);
        err = encrypted_reader_push(&reader, buf_bytes(&sealed), (uint8_t *)plain.at, &len, why);
        enum err verdict = encrypted_reader_finish(&reader, err ? NULL : why);
        err = err ? err : verdict;
    }
    if (err == ERR_NONE)
        err = write_output(option(&o, "output"), bytes_of(plain.at, len), 0644, why);
    if (err == ERR_NONE) {
        report_begin(&r, REPORT_OBJECT, o.is_json);
        report_written(&r, option(&o, "output"), len);
        report_end(&r);
    } else
        err = why_add(why, err, "open %s", o.arguments[0]);
    private_key_close(key);
    buf_deinit(&sealed);
    buf_deinit(&plain);
    return err;
}
