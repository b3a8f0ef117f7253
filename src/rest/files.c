/* Files that belong to images (C.1, companion files). */
#include "rest/inner.h"

#include "base/text.h"
#include "codec/encode.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES_PAGE 32

void file_url(const struct rest *rest, const struct rest_request *q, const char *id, char *to, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/v1/files/%s", id);
    request_url(rest, q, "GET", path, URL_LIFE_S, to, size);
}

static void write_file(struct json_out *out, const struct rest *rest, const struct rest_request *q,
                       const struct file *f)
{
    char url[JOB_URL_SIZE];
    file_url(rest, q, f->id, url, sizeof url);
    json_out_object(out, NULL);
    json_out_text(out, "file_id", f->id);
    json_out_text(out, "file_name", f->name);
    json_out_text(out, "file_type", f->type);
    json_out_text(out, "description", f->description);
    json_out_text(out, "entity_id", f->image_id);
    json_out_text(out, "entity_type", "ota_image");
    json_out_text(out, "user_id", f->uploader);
    json_out_text(out, "file_url", url);
    json_out_text(out, "file_md5", f->md5);
    json_out_text(out, "file_sha256", f->sha256);
    json_out_int(out, "file_size", f->size_bytes);
    json_out_int(out, "upload_timestamp", f->uploaded_at / 1000);
    if (f->metadata[0])
        json_out_raw(out, "metadata", f->metadata);
    json_out_end_object(out);
}

HANDLER(get_file_upload)
{
    struct file file = {.size_bytes = 0};
    const char *name = query(q, "file_name"), *entity = query(q, "entity_id"), *type = query(q, "entity_type");
    if (name == NULL || !text_copy(file.name, sizeof file.name, name))
        return why_set(why, ERR_BODY, "file_name must have 1 to %d characters", FILE_NAME_SIZE - 1);
    if (entity == NULL || (type != NULL && strcmp(type, "ota_image") != 0))
        return why_set(why, ERR_BODY, "entity_id must name an image, entity_type be ota_image");
    text_copy(file.image_id, sizeof file.image_id, entity);
    text_copy(file.uploader, sizeof file.uploader, q->user.id);
    enum err err = fleet_file_announce(rest->fleet, &file, q->now, why);
    if (err == ERR_NONE)
        err = announce_md5(rest, q, file.id, why);
    if (err == ERR_NONE)
        answer_upload(rest, q, p, "file_id", file.id, "upload_url");
    return err;
}

enum err adopt_companion(struct rest *rest, const char *path, struct file *file, time_ms now, struct why *why)
{
    struct image_facts facts;
    enum err err = verify_file(path, &facts, why);
    if (err == ERR_IMAGE_NOT_UPLOADED || err == ERR_IO)
        return err; /* anything else is a file that is no image */
    if ((err = check_md5(rest, file->id, &facts, why)) != ERR_NONE)
        return err;
    hex_encode(file->sha256, bytes_of(facts.file_sha256, SHA256_LEN));
    hex_encode(file->md5, bytes_of(facts.file_md5, MD5_LEN));
    file->size_bytes = (int64_t)facts.file_len;
    if (file->size_bytes > COMPANION_MAX)
        return why_set(why, ERR_TOO_BIG, "a file has at most %lld bytes", COMPANION_MAX);
    if ((err = rest->blob->ops->take(rest->blob, path, file->sha256, why)) != ERR_NONE)
        return err;
    return fleet_file_add(rest->fleet, file, now, why);
}

static enum err read_texts(const struct json *doc, struct file *file, struct why *why)
{
    const char *description = member_text(doc, "description"), *type = member_text(doc, "file_type");
    const struct json *metadata = json_get(doc, "metadata");
    if (metadata == NULL)
        metadata = json_get(doc, "metatdata"); /* RainMaker's examples spell it so */
    if (!text_copy(file->description, sizeof file->description, description) ||
        !text_copy(file->type, sizeof file->type, type))
        return why_set(why, ERR_BODY, "description has at most %d characters, file_type %zu", NAME_SIZE - 1,
                       sizeof file->type - 1);
    if (metadata == NULL || json_is_null(metadata))
        return ERR_NONE;
    char *text = json_dup_text(metadata);
    bool fits = text != NULL && text_copy(file->metadata, sizeof file->metadata, text);
    free(text);
    return fits ? ERR_NONE : why_set(why, ERR_BODY, "metadata has at most %zu characters", sizeof file->metadata - 1);
}

HANDLER(post_file_confirm)
{
    struct json *doc;
    struct file file;
    char path[700];
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *id = member_text(doc, "file_id");
    err = id && text_is_plain_id(id, ID_LEN) ? fleet_file_get(rest->fleet, id, &file, why)
                                             : why_set(why, ERR_BODY, "file_id is missing");
    if (err == ERR_NONE && file.is_ready)
        err = why_set(why, ERR_EXISTS, "file %s is confirmed already", file.name);
    if (err == ERR_NONE)
        err = read_texts(doc, &file, why);
    if (err == ERR_NONE) {
        upload_path(q, file.id, path, sizeof path);
        err = adopt_companion(rest, path, &file, q->now, why);
        unlink(path);
    }
    if (err == ERR_NONE) {
        char url[JOB_URL_SIZE];
        file_url(rest, q, file.id, url, sizeof url);
        struct json_out out = answer_success(p);
        json_out_text(&out, "file_id", file.id);
        json_out_text(&out, "file_url", url);
        json_out_end_object(&out);
    }
    json_free(doc);
    return err;
}

static bool is_wanted(const struct rest_request *q, const struct file *f)
{
    const char *name = query(q, "file_name"), *type = query(q, "file_type"), *entity = query(q, "entity_id");
    return f->is_ready && (!name || strcmp(name, f->name) == 0) && (!type || strcmp(type, f->type) == 0) &&
           (!entity || strcmp(entity, f->image_id) == 0);
}

HANDLER(get_files)
{
    struct file *page = calloc(FILES_PAGE, sizeof *page);
    const char *id = query(q, "file_id"), *image = query(q, "entity_id");
    char after[ID_LEN + 1];
    unsigned count = 0, shown = 0;
    enum err err = page ? ERR_NONE : why_set(why, ERR_NO_MEMORY, "no memory");
    text_copy(after, sizeof after, query(q, "start_id"));
    struct json_out out = answer(p);
    json_out_array(&out, "file_details");
    do {
        if (err == ERR_NONE && id != NULL) {
            err = fleet_file_get(rest->fleet, id, page, why);
            count = err == ERR_NONE;
        } else if (err == ERR_NONE && image != NULL)
            err = fleet_file_list(rest->fleet, image, page, FILES_PAGE, &count, why);
        else if (err == ERR_NONE)
            err = fleet_file_scan(rest->fleet, after, page, FILES_PAGE, &count, why);
        for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
            text_copy(after, sizeof after, page[i].id);
            if (!is_wanted(q, &page[i]))
                continue;
            write_file(&out, rest, q, &page[i]);
            shown++;
        }
    } while (err == ERR_NONE && id == NULL && image == NULL && count == FILES_PAGE && shown == 0);
    json_out_end_array(&out);
    if (id == NULL && image == NULL && count == FILES_PAGE)
        json_out_text(&out, "next_id", after);
    json_out_end_object(&out);
    free(page);
    return err;
}

void forget_bytes(struct rest *rest, const char *sha256)
{
    bool is_used = true;
    if (*sha256 && fleet_blob_is_used(rest->fleet, sha256, &is_used, NULL) == ERR_NONE && !is_used)
        rest->blob->ops->remove(rest->blob, sha256, NULL);
}

HANDLER(delete_file)
{
    struct file file;
    const char *id = query(q, "file_id");
    enum err err =
        id ? fleet_file_delete(rest->fleet, id, q->now, &file, why) : why_set(why, ERR_BODY, "file_id is missing");
    if (err != ERR_NONE)
        return err;
    forget_bytes(rest, file.sha256);
    answer_done(p, "File deleted");
    return ERR_NONE;
}
