/*
 * Uploads by URL: announced, brought in one piece or in several, confirmed (C.1); and downloads.
 *
 * What is brought lies in the upload folder until it is confirmed.  Pieces (PATCH with Upload-Offset, HEAD tells how
 * far it is) make a long upload resumable; what was cut off in a piece is not kept, and an upload that nobody confirms
 * is cleared away after a day.
 */
#include "rest/inner.h"

#include "base/text.h"
#include "codec/encode.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void upload_path(const struct rest_request *q, const char *id, char *to, size_t size)
{
    const char *slash = strrchr(q->body_file, '/');
    snprintf(to, size, "%.*s/upload-%.40s", (int)(slash - q->body_file), q->body_file, id);
}

enum err keep_upload(const struct rest_request *q, const char *id, struct why *why)
{
    char path[700];
    upload_path(q, id, path, sizeof path);
    return rename(q->body_file, path) == 0 ? ERR_NONE : why_set(why, ERR_IO, "keep the upload: %s", strerror(errno));
}

/* --- announcing ------------------------------------------------------------------------------- */

enum upload_kind { UPLOAD_FIRMWARE, UPLOAD_RAW, UPLOAD_PACKAGE };

static enum err take_kind(const char *type, enum upload_kind *to, struct why *why)
{
    static const char *const words[] = {"firmware", "raw", "package"};
    *to = UPLOAD_FIRMWARE;
    for (int i = 0; type != NULL && i <= UPLOAD_PACKAGE; i++)
        if (strcmp(type, words[i]) == 0) {
            *to = (enum upload_kind)i;
            return ERR_NONE;
        }
    return type == NULL ? ERR_NONE
                        : why_set(why, ERR_IMAGE_TYPE, "image_type must be firmware, raw or package, not %.40s", type);
}

/* Of an announcement before. */
static enum err forget_md5(struct rest *rest, const struct rest_request *q, const char *id, struct why *why)
{
    char *known = NULL;
    enum err err = fleet_request_get(rest->fleet, id, &known, why);
    if (err == ERR_NONE && known != NULL)
        err = fleet_request_put(rest->fleet, id, "", q->now, why);
    free(known);
    return err;
}

enum err announce_md5(struct rest *rest, const struct rest_request *q, const char *id, struct why *why)
{
    const char *md5 = query(q, "md5_checksum");
    uint8_t raw[BASE64_BYTES(BASE64_SIZE(MD5_LEN) + 4)];
    size_t len = 0;
    if (md5 == NULL)
        return forget_md5(rest, q, id, why);
    if (strlen(md5) >= BASE64_SIZE(MD5_LEN) + 4 || !base64_decode(raw, &len, bytes_of_text(md5), BASE64_STANDARD) ||
        len != MD5_LEN)
        return why_set(why, ERR_IMAGE_MD5, "md5_checksum must be the base64 of 16 bytes");
    char hex[MD5_TEXT];
    hex_encode(hex, bytes_of(raw, len));
    return fleet_request_put(rest->fleet, id, hex, q->now, why);
}

void answer_upload(const struct rest *rest, const struct rest_request *q, struct rest_response *p, const char *id_name,
                   const char *id, const char *url_name)
{
    char path[64], url[JOB_URL_SIZE];
    snprintf(path, sizeof path, "/v1/uploads/%s", id);
    request_url(rest, q, "PUT", path, UPLOAD_LIFE_S, url, sizeof url);
    struct json_out out = answer_success(p);
    json_out_text(&out, id_name, id);
    json_out_text(&out, url_name, url);
    json_out_end_object(&out);
}

HANDLER(get_image_upload)
{
    struct image image;
    enum upload_kind kind;
    enum err err = take_kind(query(q, "image_type"), &kind, why);
    if (err == ERR_NONE && kind == UPLOAD_PACKAGE && query(q, "image_name") != NULL)
        err = check_package_name(query(q, "image_name"), why);
    if (err == ERR_NONE)
        err = fleet_image_announce(rest->fleet, query(q, "image_name"), q->user.name, q->now, &image, why);
    if (err == ERR_NONE)
        err = announce_md5(rest, q, image.id, why);
    if (err == ERR_NONE)
        answer_upload(rest, q, p, "ota_image_id", image.id, "upload_url");
    return err;
}

/* The older form for packages names the file. */
HANDLER(get_package_upload)
{
    struct image image;
    char name[NAME_SIZE];
    const char *file_name = query(q, "file_name");
    size_t len = file_name ? strlen(file_name) : 0;
    if (len < 5 || strcmp(file_name + len - 4, ".zip") != 0)
        return why_set(why, ERR_PACKAGE_NO_ZIP, "file_name must end in .zip");
    if (len > PACKAGE_NAME_MAX)
        return why_set(why, ERR_PACKAGE_LONG_NAME, "file_name has more than %d characters", PACKAGE_NAME_MAX);
    text_copy_field(name, sizeof name, file_name, len - 4);
    enum err err = check_package_name(name, why);
    if (err == ERR_NONE)
        err = fleet_image_announce(rest->fleet, name, q->user.name, q->now, &image, why);
    if (err == ERR_NONE)
        answer_upload(rest, q, p, "ota_image_id", image.id, "url");
    return err;
}

/* --- bringing --------------------------------------------------------------------------------- */

/* The URL's id is of an image or of a file that is awaited. */
static enum err check_awaited(struct rest *rest, const struct rest_request *q, struct why *why)
{
    struct image image;
    struct file file;
    enum err err = fleet_file_get(rest->fleet, q->parameter, &file, NULL);
    if (err == ERR_NONE && file.is_ready)
        return why_set(why, ERR_EXISTS, "file %s is there already", file.name);
    return err ? fleet_image_get(rest->fleet, q->parameter, &image, why) : ERR_NONE;
}

enum err check_md5(struct rest *rest, const char *id, const struct image_facts *facts, struct why *why)
{
    char *announced = NULL, md5[MD5_TEXT];
    hex_encode(md5, bytes_of(facts->file_md5, MD5_LEN));
    enum err err = fleet_request_get(rest->fleet, id, &announced, why);
    if (err == ERR_NONE && announced != NULL && *announced && strcmp(announced, md5) != 0)
        err = why_set(why, ERR_DIGEST, "the MD5 %s was announced, the bytes have %s", announced, md5);
    free(announced);
    return err;
}

static enum err check_header_md5(const struct rest_request *q, struct why *why)
{
    struct image_facts facts;
    const char *told = q->header(q, "Content-MD5");
    char md5[BASE64_SIZE(MD5_LEN)];
    if (told == NULL)
        return ERR_NONE;
    verify_file(q->body_file, &facts, NULL);
    base64_encode(md5, bytes_of(facts.file_md5, MD5_LEN), BASE64_STANDARD);
    return strcmp(told, md5) == 0
               ? ERR_NONE
               : why_set(why, ERR_DIGEST, "the header Content-MD5 says %.30s, the bytes give %s", told, md5);
}

HANDLER(put_upload)
{
    enum err err = check_awaited(rest, q, why);
    if (err == ERR_NONE)
        err = check_header_md5(q, why);
    p->type = "text/plain";
    return err ? err : keep_upload(q, q->parameter, why);
}

static int64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : 0;
}

/* Appends one file to another; what was there stays as it was when that fails. */
static enum err append(const char *from, const char *to, int64_t at, struct why *why)
{
    char chunk[65536];
    ssize_t n = -1;
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    bool is_good = in >= 0 && out >= 0 && lseek(out, at, SEEK_SET) == at;
    while (is_good && (n = read(in, chunk, sizeof chunk)) > 0)
        is_good = write(out, chunk, (size_t)n) == n;
    is_good &= n == 0;
    int reason = errno;
    if (out >= 0 && !is_good && ftruncate(out, at) != 0)
        is_good = false;
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return is_good ? ERR_NONE : why_set(why, ERR_NO_SPACE, "keep the upload: %s", strerror(reason));
}

HANDLER(patch_upload)
{
    char path[700], *end = NULL;
    const char *told = q->header(q, "Upload-Offset");
    int64_t offset = told ? strtoll(told, &end, 10) : -1;
    if (offset < 0 || end == told || *end != '\0')
        return why_set(why, ERR_BODY, "the header Upload-Offset must say at which byte the piece begins");
    enum err err = check_awaited(rest, q, why);
    if (err == ERR_NONE)
        err = check_header_md5(q, why);
    if (err != ERR_NONE)
        return err;
    upload_path(q, q->parameter, path, sizeof path);
    int64_t there = size_of(path);
    if (offset == 0 && there > 0)
        there = unlink(path) == 0 ? 0 : there; /* it begins anew */
    if (offset != there)
        return why_set(why, ERR_UPLOAD_OFFSET, "%" PRId64 " bytes are here, the piece begins at %" PRId64, there,
                       offset);
    if (there + q->body_file_len > REST_UPLOAD_MAX)
        return why_set(why, ERR_IMAGE_200MB, "an upload has at most %lld bytes", REST_UPLOAD_MAX);
    if ((err = append(q->body_file, path, there, why)) != ERR_NONE)
        return err;
    p->type = "text/plain";
    p->upload_offset = there + q->body_file_len;
    return ERR_NONE;
}

HANDLER(head_upload)
{
    char path[700];
    enum err err = check_awaited(rest, q, why);
    if (err != ERR_NONE)
        return err;
    upload_path(q, q->parameter, path, sizeof path);
    p->type = "text/plain";
    p->upload_offset = size_of(path);
    return ERR_NONE;
}

/* --- confirming ------------------------------------------------------------------------------- */

static enum err adopt_firmware(struct rest *rest, struct rest_request *q, const struct json *doc, const char *path,
                               bool is_raw, struct image *image, struct why *why)
{
    struct image_facts facts;
    enum err err = verify_file(path, &facts, why);
    if (is_raw && err != ERR_IMAGE_NOT_UPLOADED && err != ERR_IO && facts.file_len > 0)
        err = ERR_NONE; /* only its digests count */
    /* RainMaker answers 500 to this; but it is the file that is wrong, not the server. */
    if (err_rainmaker_code(err) == err_rainmaker_code(ERR_IMAGE_MAGIC) && facts.segments_read == 0)
        err = ERR_IMAGE_UNREADABLE;
    if (err == ERR_NONE && facts.file_len > FIRMWARE_MAX)
        err = why_set(why, ERR_IMAGE_200MB, "the image has %" PRIu64 " bytes, at most %lld are taken", facts.file_len,
                      FIRMWARE_MAX);
    if (err == ERR_NONE)
        err = check_md5(rest, image->id, &facts, why);
    struct image_upload upload = {.name = image->name,
                                  .fw_version = member_text(doc, "fw_version"),
                                  .model = member_text(doc, "model"),
                                  .type = member_text(doc, "type"),
                                  .uploader = q->user.name,
                                  .facts = &facts,
                                  .is_raw = is_raw};
    return err ? err : adopt_file(rest, path, image->id, &upload, q->now, image, why);
}

static enum err confirm(struct rest *rest, struct rest_request *q, const struct json *doc, struct image *image,
                        enum upload_kind kind, struct rest_response *p, struct why *why)
{
    char path[700];
    upload_path(q, image->id, path, sizeof path);
    enum err err = kind == UPLOAD_PACKAGE ? adopt_package(rest, q, doc, path, image, why)
                                          : adopt_firmware(rest, q, doc, path, kind == UPLOAD_RAW, image, why);
    if (err == ERR_NONE)
        write_added(rest, image, q->now, p);
    unlink(path); /* an image that is refused has to be uploaded again */
    return err;
}

HANDLER(post_image_confirm)
{
    struct json *doc;
    struct image image;
    enum upload_kind kind;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *id = member_text(doc, "ota_image_id");
    err = id && text_is_plain_id(id, ID_LEN) ? fleet_image_get(rest->fleet, id, &image, why)
                                             : why_set(why, ERR_IMAGE_ID, "ota_image_id is missing");
    if (err == ERR_NONE)
        err = take_kind(member_text(doc, "image_type"), &kind, why);
    if (err == ERR_NONE)
        err = confirm(rest, q, doc, &image, kind, p, why);
    json_free(doc);
    return err;
}

HANDLER(post_package)
{
    struct json *doc;
    struct image image;
    char name[NAME_SIZE];
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *path = member_text(doc, "file_path"), *given = member_text(doc, "image_name");
    const char *slash = path ? strrchr(path, '/') : NULL, *file = slash ? slash + 1 : path;
    size_t len = file ? strlen(file) : 0;
    if (given == NULL)
        err = why_set(why, ERR_IMAGE_NAME, "image_name is missing");
    else if (len < 5 || len >= sizeof name || strcmp(file + len - 4, ".zip") != 0)
        err = why_set(why, ERR_PACKAGE_NO_ZIP, "file_path must name the .zip that was uploaded");
    else {
        text_copy_field(name, sizeof name, file, len - 4);
        err = fleet_image_announce(rest->fleet, name, q->user.name, q->now, &image, why);
    }
    if (err == ERR_NONE)
        err = confirm(rest, q, doc, &image, UPLOAD_PACKAGE, p, why);
    json_free(doc);
    return err;
}

/* --- download --------------------------------------------------------------------------------- */

/* One range, RFC 9110 14.1.2.  A header that is malformed or names several ranges is ignored, as the RFC allows. */
static bool parse_range(const char *text, int64_t size, int64_t *from, int64_t *to)
{
    char *end;
    *from = 0;
    *to = size - 1;
    if (text == NULL || strncmp(text, "bytes=", 6) != 0)
        return false;
    text += 6;
    if (*text == '-') {
        int64_t last = strtoll(text + 1, &end, 10);
        if (*end != '\0' || end == text + 1)
            return false;
        *from = last == 0 ? size : last < size ? size - last : 0;
        return true;
    }
    *from = strtoll(text, &end, 10);
    if (end == text || *end != '-' || *from < 0)
        return false;
    if (end[1] == '\0')
        return true;
    text = end + 1;
    *to = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || *to < *from)
        return false;
    if (*to >= size)
        *to = size - 1;
    return true;
}

/* The URL's id is of an image or of a file. */
HANDLER(get_bytes)
{
    struct image image;
    struct file file;
    int64_t from, to;
    const char *sha256 = image.sha256;
    enum err err = fleet_image_get(rest->fleet, q->parameter, &image, why);
    if (err == ERR_IMAGE_NOT_FOUND && fleet_file_get(rest->fleet, q->parameter, &file, NULL) == ERR_NONE) {
        sha256 = file.sha256;
        err = ERR_NONE;
    }
    if (err == ERR_NONE)
        err = rest->blob->ops->open(rest->blob, sha256, &p->file_fd, &p->file_size, why);
    if (err != ERR_NONE)
        return err;
    p->type = "application/octet-stream";
    p->cache = "private, max-age=86400, immutable";
    snprintf(p->etag, sizeof p->etag, "\"%s\"", sha256);
    const char *if_range = q->header(q, "If-Range");
    bool is_same = if_range == NULL || strcmp(if_range, p->etag) == 0;
    bool is_range = parse_range(is_same ? q->header(q, "Range") : NULL, p->file_size, &from, &to);
    if (is_range && from >= p->file_size)
        return why_set(why, ERR_RANGE, "range starts at %" PRId64 " of %" PRId64 " bytes", from, p->file_size);
    p->status = is_range ? 206 : 200;
    p->file_at = is_range ? from : 0;
    p->file_len = is_range ? to - from + 1 : p->file_size;
    if (rest->counts != NULL) {
        atomic_fetch_add(&rest->counts->files, p->file_at == 0);
        atomic_fetch_add(&rest->counts->file_bytes, p->file_len);
    }
    return ERR_NONE;
}
