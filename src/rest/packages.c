/*
 * Packages (C.1): a zip named <project>_<version>.zip with exactly one <project>.bin, perhaps a bootloader.bin, and
 * other files.  The firmware becomes the image, the rest files that belong to it.
 */
#include "rest/inner.h"

#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

#define ENTRIES_MAX 30
#define ENTRY_CHUNK 65536

enum err check_package_name(const char *name, struct why *why)
{
    const char *underscore = name ? strrchr(name, '_') : NULL;
    bool is_good = underscore != NULL && underscore > name && underscore[1] != '\0' && strchr(name, '/') == NULL;
    if (is_good && strlen(name) > PACKAGE_NAME_MAX)
        return why_set(why, ERR_PACKAGE_LONG_NAME, "image_name has more than %d characters", PACKAGE_NAME_MAX);
    return is_good ? ERR_NONE
                   : why_set(why, ERR_PACKAGE_NAME, "a package is named <project>_<version>, not \"%.80s\"",
                             name ? name : "");
}

/* What an entry is called without its folders; NULL for a folder. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    return *name ? name : NULL;
}

struct package {
    zip_t *zip;
    char firmware[PACKAGE_NAME_MAX + 5]; /* <project>.bin */
    zip_int64_t firmware_at, count;
};

/* Everything that can be said from the directory alone. */
static enum err read_directory(struct package *k, struct why *why)
{
    uint64_t total = 0;
    k->firmware_at = -1;
    k->count = zip_get_num_entries(k->zip, 0);
    if (k->count > ENTRIES_MAX)
        return why_set(why, ERR_PACKAGE_NO_BIN, "the package has %" PRId64 " entries, at most %d are taken",
                       (int64_t)k->count, ENTRIES_MAX);
    for (zip_int64_t i = 0; i < k->count; i++) {
        zip_stat_t st;
        if (zip_stat_index(k->zip, (zip_uint64_t)i, 0, &st) != 0 || !(st.valid & ZIP_STAT_SIZE) ||
            !(st.valid & ZIP_STAT_NAME))
            return why_set(why, ERR_PACKAGE_NO_ZIP, "the package's directory is damaged");
        const char *name = base_name(st.name);
        total += st.size;
        if (st.size > (uint64_t)FIRMWARE_MAX || total > (uint64_t)REST_UPLOAD_MAX)
            return why_set(why, ERR_PACKAGE_300MB, "the package unpacks to more than %lld bytes", REST_UPLOAD_MAX);
        if (name == NULL || strcmp(name, k->firmware) != 0)
            continue;
        if (k->firmware_at >= 0)
            return why_set(why, ERR_PACKAGE_NO_BIN, "the package holds %s twice", k->firmware);
        k->firmware_at = i;
    }
    return k->firmware_at >= 0 ? ERR_NONE : why_set(why, ERR_PACKAGE_NO_BIN, "the package holds no %s", k->firmware);
}

/* Unpacks an entry; never more than the directory promised. */
static enum err unpack(struct package *k, zip_int64_t at, const char *path, struct why *why)
{
    zip_stat_t st;
    char *chunk = malloc(ENTRY_CHUNK);
    zip_file_t *in = zip_fopen_index(k->zip, (zip_uint64_t)at, 0);
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_good = chunk != NULL && in != NULL && out >= 0 && zip_stat_index(k->zip, (zip_uint64_t)at, 0, &st) == 0;
    uint64_t left = is_good ? st.size : 0;
    zip_int64_t n = 0;
    while (is_good && (n = zip_fread(in, chunk, ENTRY_CHUNK)) > 0) {
        is_good = (uint64_t)n <= left && write(out, chunk, (size_t)n) == n;
        left -= is_good ? (uint64_t)n : 0;
    }
    is_good &= n == 0 && left == 0;
    if (out >= 0)
        close(out);
    if (in != NULL)
        is_good &= zip_fclose(in) == 0; /* compares the CRC */
    free(chunk);
    if (!is_good)
        unlink(path);
    return is_good ? ERR_NONE
                   : why_set(why, ERR_PACKAGE_NO_ZIP, "the package cannot be unpacked: it is damaged, or encrypted");
}

static enum err take_companion(struct rest *rest, const struct rest_request *q, struct package *k, zip_int64_t at,
                               const char *path, const struct image *image, struct why *why)
{
    struct file file = {.size_bytes = 0};
    const char *name = base_name(zip_get_name(k->zip, (zip_uint64_t)at, 0));
    if (name == NULL)
        return ERR_NONE;
    if (!text_copy(file.name, sizeof file.name, name))
        return why_set(why, ERR_PACKAGE_NO_ZIP, "%.40s... has more than %d characters", name, FILE_NAME_SIZE - 1);
    text_copy(file.image_id, sizeof file.image_id, image->id);
    text_copy(file.uploader, sizeof file.uploader, q->user.id);
    text_copy(file.type, sizeof file.type, strcmp(name, FILE_BOOTLOADER ".bin") == 0 ? FILE_BOOTLOADER : "package");
    enum err err = unpack(k, at, path, why);
    if (err == ERR_NONE)
        err = fleet_file_announce(rest->fleet, &file, q->now, why);
    if (err == ERR_NONE)
        err = adopt_companion(rest, path, &file, q->now, why);
    unlink(path);
    return err;
}

static enum err take_firmware(struct rest *rest, const struct rest_request *q, const struct json *doc,
                              struct package *k, const char *path, struct image *image, struct why *why)
{
    struct image_facts facts;
    const char *underscore = strrchr(image->name, '_');
    enum err err = unpack(k, k->firmware_at, path, why);
    if (err == ERR_NONE)
        err = verify_file(path, &facts, why);
    if (err != ERR_NONE)
        return err;
    const char *version = member_text(doc, "fw_version");
    if (version == NULL && !(facts.has_app_desc && facts.app.version[0]))
        version = underscore + 1; /* the name tells it */
    struct image_upload upload = {.name = image->name,
                                  .fw_version = version,
                                  .model = member_text(doc, "model"),
                                  .type = member_text(doc, "type"),
                                  .uploader = q->user.name,
                                  .facts = &facts};
    return adopt_file(rest, path, image->id, &upload, q->now, image, why);
}

enum err adopt_package(struct rest *rest, const struct rest_request *q, const struct json *doc, const char *path,
                       struct image *image, struct why *why)
{
    struct package k = {.firmware_at = -1};
    struct image_facts facts;
    char unpacked[720];
    int reason = 0;
    if (access(path, R_OK) != 0)
        return why_set(why, ERR_IMAGE_NOT_UPLOADED, "nothing was uploaded");
    enum err err = check_package_name(image->name, why);
    if (err != ERR_NONE)
        return err;
    snprintf(unpacked, sizeof unpacked, "%s-unpacked", path);
    snprintf(k.firmware, sizeof k.firmware, "%.*s.bin", (int)(strrchr(image->name, '_') - image->name), image->name);
    verify_file(path, &facts, NULL);
    if ((err = check_md5(rest, image->id, &facts, why)) != ERR_NONE)
        return err;
    k.zip = zip_open(path, ZIP_RDONLY, &reason);
    if (k.zip == NULL)
        return why_set(why, ERR_PACKAGE_NO_ZIP, "the upload is no zip");
    err = read_directory(&k, why);
    if (err == ERR_NONE)
        err = take_firmware(rest, q, doc, &k, unpacked, image, why);
    for (zip_int64_t i = 0; err == ERR_NONE && i < k.count; i++)
        if (i != k.firmware_at)
            err = take_companion(rest, q, &k, i, unpacked, image, why);
    zip_discard(k.zip);
    unlink(unpacked);
    return err;
}
