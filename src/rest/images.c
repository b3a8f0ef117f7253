#include "rest/inner.h"

#include "base/text.h"
#include "codec/encode.h"
#include "image/signature.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_DEFAULT    25
#define PAGE_MAX        100
#define IMAGE_FILES_MAX 32
#define USER_IMAGES_MAX 10 /* of one user: what `otaupgrade` leaves behind */

static void signed_url(const struct rest *rest, const char *base, const char *method, const char *path,
                       int64_t expires_s, char *to, size_t size)
{
    char signature[URL_SIGNATURE_SIZE];
    url_sign(rest->keys, method, path, expires_s, signature);
    snprintf(to, size, "%s%s?e=%" PRId64 "&s=%s", base, path, expires_s, signature);
}

void rest_image_url(const struct rest *rest, const struct image *image, time_ms now, char *to, size_t size)
{
    char path[64];
    if (rest->blob->ops->url && image->sha256[0] &&
        rest->blob->ops->url(rest->blob, image->sha256, now, URL_LIFE_S, to, size))
        return;
    snprintf(path, sizeof path, "/v1/files/%s", image->id);
    signed_url(rest, rest->public_url, "GET", path, now / 1000 + URL_LIFE_S, to, size);
}

static void write_image(struct json_out *out, const char *key, const struct rest *rest, const struct image *i,
                        time_ms now)
{
    char url[JOB_URL_SIZE];
    json_out_object(out, key);
    json_out_text(out, "ota_image_id", i->id);
    json_out_text(out, "image_name", i->name);
    json_out_text(out, "type", i->type);
    json_out_text(out, "model", i->model);
    json_out_text(out, "fw_version", i->fw_version);
    rest_image_url(rest, i, now, url, sizeof url);
    json_out_text(out, "image_url", url);
    json_out_int(out, "upload_timestamp", i->uploaded_at / 1000);
    json_out_int(out, "file_size", i->size_bytes);
    json_out_text(out, "file_md5", i->md5);
    json_out_text(out, "file_sha256", i->sha256);
    json_out_text(out, "signed_by", i->signed_by);
    json_out_text(out, "project_name", i->project_name);
    json_out_text(out, "platform", i->platform);
    json_out_int(out, "secure_version", i->secure_version);
    json_out_bool(out, "archived", i->is_archived);
    json_out_end_object(out);
}

static bool image_wanted(const struct rest_request *q, const struct image *i)
{
    const char *type = query(q, "type"), *model = query(q, "model"), *name = query(q, "image_name");
    bool is_contained =
        name == NULL || (query_is_true(q, "contains") ? strstr(i->name, name) != NULL : strcmp(i->name, name) == 0);
    bool is_shown = query_is_true(q, "all") || i->is_archived == query_is_true(q, "archived");
    return i->is_ready && is_contained && is_shown && (!type || strcmp(type, i->type) == 0) &&
           (!model || strcmp(model, i->model) == 0);
}

static enum err one_image(struct rest *rest, struct rest_request *q, struct rest_response *p, struct why *why)
{
    struct image image;
    enum err err = fleet_image_get(rest->fleet, query(q, "ota_image_id"), &image, why);
    if (err != ERR_NONE)
        return err;
    struct json_out out;
    json_out_init(&out, &p->body);
    write_image(&out, NULL, rest, &image, q->now);
    return ERR_NONE;
}

/* Pages of the store are filtered until the answer is full: `next_id` is absent only at the true end. */
HANDLER(get_images)
{
    int64_t max;
    struct image page[PAGE_DEFAULT];
    char after[ID_LEN + 1];
    unsigned count = 0, shown = 0;
    if (query(q, "ota_image_id") != NULL)
        return one_image(rest, q, p, why);
    enum err err = query_int(q, "num_records", 1, PAGE_MAX, PAGE_DEFAULT, &max, why);
    text_copy(after, sizeof after, query(q, "start_id"));
    struct json_out out = answer(p);
    json_out_array(&out, "ota_images");
    do {
        if (err == ERR_NONE)
            err = fleet_image_list(rest->fleet, after, page, PAGE_DEFAULT, &count, why);
        for (unsigned i = 0; err == ERR_NONE && i < count && shown < max; i++) {
            text_copy(after, sizeof after, page[i].id);
            if (!image_wanted(q, &page[i]))
                continue;
            write_image(&out, NULL, rest, &page[i], q->now);
            shown++;
        }
    } while (err == ERR_NONE && count == PAGE_DEFAULT && shown < max);
    json_out_end_array(&out);
    if (shown == max)
        json_out_text(&out, "next_id", after);
    json_out_end_object(&out);
    return err;
}

/* --- upload ----------------------------------------------------------------------------------- */

#define READ_CHUNK 65536

static enum err read_facts(int fd, struct image_facts *facts, struct why *why)
{
    struct image_reader reader;
    uint8_t *chunk = malloc(READ_CHUNK);
    ssize_t n = -1;
    image_reader_init(&reader, IMAGE_WANT_MD5);
    while (chunk != NULL && (n = read(fd, chunk, READ_CHUNK)) > 0)
        image_reader_push(&reader, bytes_of(chunk, (size_t)n));
    free(chunk);
    enum err err = image_reader_finish(&reader, facts, why);
    return n < 0 ? why_set(why, ERR_IO, "read the uploaded image: %s", strerror(errno)) : err;
}

enum err verify_file(const char *path, struct image_facts *facts, struct why *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return why_set(why, ERR_IMAGE_NOT_UPLOADED, "nothing was uploaded");
    enum err err = read_facts(fd, facts, why);
    close(fd);
    return err ? err : image_check_update(facts, why);
}

/* Digests of the keys whose right signatures the file carries: what nodes' eFuses are held against. */
static enum err read_signers(const char *path, const struct image_facts *facts, char to[static DIGESTS_SIZE],
                             struct why *why)
{
    struct signature_report *report = calloc(1, sizeof *report);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *at = fd >= 0 && facts->file_len > 0 ? mmap(NULL, facts->file_len, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    struct text t;
    text_init(&t, to, DIGESTS_SIZE);
    bool is_good = report != NULL && at != MAP_FAILED;
    if (is_good)
        signature_read(report, bytes_of(at, facts->file_len), facts->image_len);
    for (unsigned i = 0; is_good && i < report->count; i++) {
        char digest[2 * SHA256_LEN + 1];
        if (!report->is_right[i] || report->version != 2)
            continue;
        hex_encode(digest, bytes_of(report->blocks[i].key_digest, SHA256_LEN));
        text_add(&t, "%s%s", t.len > 0 ? " " : "", digest);
    }
    if (at != MAP_FAILED)
        munmap(at, facts->file_len);
    if (fd >= 0)
        close(fd);
    free(report);
    return is_good ? ERR_NONE : why_set(why, ERR_IO, "read the uploaded image: %s", strerror(errno));
}

void write_added(struct rest *rest, const struct image *image, time_ms now, struct rest_response *p)
{
    char url[JOB_URL_SIZE];
    rest_image_url(rest, image, now, url, sizeof url);
    struct json_out out = answer_success(p);
    json_out_text(&out, "ota_image_id", image->id);
    json_out_text(&out, "image_url", url);
    json_out_text(&out, "fw_version", image->fw_version);
    json_out_text(&out, "model", image->model);
    json_out_end_object(&out);
}

/* A verified file in the upload folder becomes an image: bytes first, then the row that names them. */
enum err adopt_file(struct rest *rest, const char *path, const char *id, const struct image_upload *upload, time_ms now,
                    struct image *to, struct why *why)
{
    char sha256[SHA256_TEXT], signers[DIGESTS_SIZE];
    struct image_upload whole = *upload;
    hex_encode(sha256, bytes_of(upload->facts->file_sha256, SHA256_LEN));
    enum err err = read_signers(path, upload->facts, signers, why);
    if (err == ERR_NONE)
        err = rest->blob->ops->take(rest->blob, path, sha256, why);
    if (err != ERR_NONE)
        return err;
    whole.signed_by = signers;
    err = fleet_image_add(rest->fleet, id, &whole, now, to, why);
    bool is_used = true;
    if (err != ERR_NONE && fleet_blob_is_used(rest->fleet, sha256, &is_used, NULL) == ERR_NONE && !is_used)
        rest->blob->ops->remove(rest->blob, sha256, NULL);
    return err;
}

static enum err decode_image(const struct json *doc, uint8_t **to, size_t *len, struct why *why)
{
    const char *text = member_text(doc, "base64_fwimage");
    *to = NULL;
    if (text == NULL)
        return why_set(why, ERR_IMAGE_MISSING, "base64_fwimage is missing");
    size_t text_len = strlen(text);
    *to = malloc(BASE64_BYTES(text_len));
    if (*to == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory for the image");
    if (!base64_decode(*to, len, bytes_of(text, text_len), BASE64_STANDARD))
        return why_set(why, ERR_IMAGE_BASE64, "base64_fwimage is not valid base64");
    return *len > IMAGE_BASE64_MAX
               ? why_set(why, ERR_IMAGE_5MB, "the image has %zu bytes, %d fit here: use upload_request", *len,
                         IMAGE_BASE64_MAX)
               : ERR_NONE;
}

static enum err write_upload(const struct rest_request *q, struct bytes data, struct why *why)
{
    int fd = open(q->body_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_good = fd >= 0 && write(fd, data.at, data.len) == (ssize_t)data.len;
    if (fd >= 0)
        is_good &= close(fd) == 0;
    return is_good ? ERR_NONE : why_set(why, ERR_IO, "store the uploaded image: %s", strerror(errno));
}

static enum err add_posted(struct rest *rest, struct rest_request *q, const struct json *doc, const char *name,
                           struct rest_response *p, struct why *why)
{
    struct image_facts facts;
    struct image image;
    uint8_t *data;
    size_t len = 0;
    if (name == NULL)
        return why_set(why, ERR_IMAGE_NAME, "image_name is missing");
    enum err err = decode_image(doc, &data, &len, why);
    if (err == ERR_NONE)
        err = image_read(bytes_of(data, len), IMAGE_WANT_MD5, &facts, why);
    if (err == ERR_NONE)
        err = image_check_update(&facts, why);
    if (err == ERR_NONE)
        err = write_upload(q, bytes_of(data, len), why);
    free(data);
    struct image_upload upload = {.name = name,
                                  .fw_version = member_text(doc, "fw_version"),
                                  .model = member_text(doc, "model"),
                                  .type = member_text(doc, "type"),
                                  .uploader = q->user.name,
                                  .facts = &facts};
    if (err == ERR_NONE)
        err = adopt_file(rest, q->body_file, NULL, &upload, q->now, &image, why);
    if (err == ERR_NONE)
        write_added(rest, &image, q->now, p);
    return err;
}

void request_url(const struct rest *rest, const struct rest_request *q, const char *method, const char *path,
                 int64_t life_s, char *to, size_t size)
{
    char local[300];
    const char *host = q->listener == REST_LOCAL ? q->header(q, "Host") : NULL;
    snprintf(local, sizeof local, "http://%s", host ? host : "");
    signed_url(rest, host ? local : rest->public_url, method, path, q->now / 1000 + life_s, to, size);
}

HANDLER(post_image)
{
    struct json *doc;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    err = add_posted(rest, q, doc, member_text(doc, "image_name"), p, why);
    json_free(doc);
    return err;
}

/* An image of a user's own (C.4): its name is told apart from all others, so that it takes nobody's place. */
/* Of a user's own images the newest stay, and those that a job uses. */
static enum err make_room_for(struct rest *rest, const struct rest_request *q, struct why *why)
{
    struct image *page = calloc(PAGE_DEFAULT, sizeof *page);
    char after[ID_LEN + 1] = "", mark[NAME_SIZE], sha256[SHA256_TEXT];
    unsigned count = PAGE_DEFAULT, kept = 0;
    enum err err = page ? ERR_NONE : why_set(why, ERR_NO_MEMORY, "no memory");
    snprintf(mark, sizeof mark, " (%.100s, ", q->user.name);
    while (err == ERR_NONE && count == PAGE_DEFAULT) {
        err = fleet_image_list(rest->fleet, after, page, PAGE_DEFAULT, &count, why);
        for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
            text_copy(after, sizeof after, page[i].id);
            bool is_own = strcmp(page[i].uploader, q->user.name) == 0 && strstr(page[i].name, mark) != NULL;
            if (!is_own || ++kept < USER_IMAGES_MAX)
                continue;
            if (fleet_image_delete(rest->fleet, page[i].id, false, q->now, sha256, NULL) == ERR_NONE)
                forget_bytes(rest, sha256);
        }
    }
    free(page);
    return err;
}

HANDLER(post_user_image)
{
    struct json *doc;
    char name[NAME_SIZE];
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *wanted = member_text(doc, "image_name");
    snprintf(name, sizeof name, "%.100s (%.100s, %.8s)", wanted ? wanted : "", q->user.name,
             id_new(rest->entropy).text);
    if ((err = make_room_for(rest, q, why)) == ERR_NONE)
        err = add_posted(rest, q, doc, wanted ? name : NULL, p, why);
    json_free(doc);
    return err;
}

/* --- archive, delete -------------------------------------------------------------------------- */

HANDLER(put_image)
{
    const char *id = query(q, "ota_image_id"), *flag = query(q, "archive");
    if (id == NULL)
        return why_set(why, ERR_IMAGE_ID, "ota_image_id is missing");
    if (flag == NULL)
        return why_set(why, ERR_ARCHIVE_FLAG, "archive is missing: true or false");
    if (strcmp(flag, "true") != 0 && strcmp(flag, "false") != 0)
        return why_set(why, ERR_ARCHIVE_VALUE, "archive must be true or false");
    enum err err = fleet_image_archive(rest->fleet, id, *flag == 't', q->now, why);
    if (err == ERR_NONE)
        answer_done(p, *flag == 't' ? "Image archived" : "Image is back");
    return err;
}

/* What belongs to an image goes with it. */
static enum err delete_files(struct rest *rest, const char *image_id, time_ms now, struct why *why)
{
    struct file *files = calloc(IMAGE_FILES_MAX, sizeof *files), gone;
    unsigned count = 0;
    enum err err = files ? fleet_file_list(rest->fleet, image_id, files, IMAGE_FILES_MAX, &count, why)
                         : why_set(why, ERR_NO_MEMORY, "no memory");
    for (unsigned i = 0; err == ERR_NONE && i < count; i++)
        if ((err = fleet_file_delete(rest->fleet, files[i].id, now, &gone, why)) == ERR_NONE)
            forget_bytes(rest, gone.sha256);
    free(files);
    return err;
}

HANDLER(delete_image)
{
    char sha256[SHA256_TEXT];
    const char *id = query(q, "ota_image_id");
    if (id == NULL)
        return why_set(why, ERR_IMAGE_ID, "ota_image_id is missing");
    enum err err = fleet_image_delete(rest->fleet, id, query_is_true(q, "force_delete"), q->now, sha256, why);
    if (err == ERR_NONE)
        err = delete_files(rest, id, q->now, why);
    if (err != ERR_NONE)
        return err;
    if (sha256[0])
        forget_bytes(rest, sha256);
    answer_done(p, "Image deleted");
    return ERR_NONE;
}
