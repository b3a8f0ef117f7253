#include "fleet/inner.h"

#include "base/text.h"

#include <string.h>

static void hex(char *to, const uint8_t *from, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        to[2 * i] = digits[from[i] >> 4];
        to[2 * i + 1] = digits[from[i] & 15];
    }
    to[2 * len] = '\0';
}

static enum err check_name(struct tx *tx, const char *name)
{
    if (name == NULL || *name == '\0')
        return why_set(tx->why, ERR_IMAGE_NAME, "image_name is missing");
    if (strlen(name) >= NAME_SIZE)
        return why_set(tx->why, ERR_IMAGE_NAME, "image_name is longer than %d characters", NAME_SIZE - 1);
    return ERR_NONE;
}

/* An image of the same name that no job uses gives way, its id stays. */
static enum err row_for_name(struct tx *tx, const char *name, struct image *to)
{
    int64_t jobs = 0, active = 0;
    enum err err = tx->db->image_find_name(tx->s, "", name, to, tx->why);
    if (err == ERR_NONE)
        err = tx->db->image_uses(tx->s, to->id, &jobs, &active, tx->why);
    if (err == ERR_NONE && jobs > 0)
        return why_set(tx->why, ERR_IMAGE_TAKEN,
                       "an image named %s exists and is used by %lld job(s): choose another name", name,
                       (long long)jobs);
    if (err != ERR_NOT_FOUND)
        return err;
    *to = (struct image){.is_ready = false};
    struct id id = id_new(tx->f->entropy);
    text_copy(to->id, sizeof to->id, id.text);
    text_copy(to->name, sizeof to->name, name);
    return ERR_NONE;
}

static enum err announce(struct tx *tx, const char *name, const char *uploader, struct image *to)
{
    enum err err;
    if ((err = check_name(tx, name)) != ERR_NONE || (err = row_for_name(tx, name, to)) != ERR_NONE)
        return err;
    text_copy(to->uploader, sizeof to->uploader, uploader);
    if (!to->is_ready)
        to->uploaded_at = tx->now;
    return tx->db->image_put(tx->s, to, tx->why);
}

enum err fleet_image_announce(struct fleet *f, const char *name, const char *uploader, time_ms now, struct image *to,
                              struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, announce(&tx, name, uploader, to));
}

static const char *first_of(const char *given, const char *read)
{
    return given && *given ? given : read;
}

static enum err fill(struct tx *tx, const struct image_upload *u, struct image *to)
{
    const struct image_facts *facts = u->facts;
    bool has_desc = facts->has_app_desc && !u->is_raw;
    const char *version = first_of(u->fw_version, has_desc ? facts->app.version : "");
    const char *model = first_of(u->model, has_desc ? facts->app.project_name : "");
    if (*version == '\0')
        return why_set(tx->why, ERR_IMAGE_VERSION, "the image tells no version: give fw_version");
    if (*model == '\0')
        return why_set(tx->why, ERR_IMAGE_MODEL, "the image tells no project name: give model");
    if (!text_copy(to->fw_version, sizeof to->fw_version, version) || !text_copy(to->model, sizeof to->model, model) ||
        !text_copy(to->type, sizeof to->type, u->type))
        return why_set(tx->why, ERR_TOO_BIG, "fw_version has at most 32 characters, model and type 64");
    text_copy(to->project_name, sizeof to->project_name, has_desc ? facts->app.project_name : "");
    text_copy(to->platform, sizeof to->platform, facts->chip && !u->is_raw ? facts->chip->platform : "");
    hex(to->sha256, facts->file_sha256, sizeof facts->file_sha256);
    hex(to->md5, facts->file_md5, sizeof facts->file_md5);
    to->secure_version = has_desc ? facts->app.secure_version : 0;
    text_copy(to->signed_by, sizeof to->signed_by, u->signed_by);
    to->size_bytes = (int64_t)facts->file_len;
    to->is_ready = true;
    to->is_archived = false;
    to->uploaded_at = tx->now;
    return ERR_NONE;
}

static enum err add_image(struct tx *tx, const char *id, const struct image_upload *u, struct image *to)
{
    enum err err = u->is_raw ? ERR_NONE : image_check_update(u->facts, tx->why);
    if (err != ERR_NONE)
        return err;
    if (id != NULL)
        err = tx_image(tx, id, to);
    else if ((err = check_name(tx, u->name)) == ERR_NONE)
        err = row_for_name(tx, u->name, to);
    if (err == ERR_NONE)
        err = fill(tx, u, to);
    text_copy(to->uploader, sizeof to->uploader, u->uploader);
    if (err == ERR_NONE)
        err = tx->db->image_put(tx->s, to, tx->why);
    return err ? err : tx_event(tx, EVENT_IMAGE, NULL, NULL, to->id);
}

enum err fleet_image_add(struct fleet *f, const char *id, const struct image_upload *upload, time_ms now,
                         struct image *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, add_image(&tx, id, upload, to));
}

enum err fleet_image_get(struct fleet *f, const char *id, struct image *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx_image(&tx, id, to));
}

enum err fleet_image_list(struct fleet *f, const char *after, struct image *to, unsigned max, unsigned *count,
                          struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->image_list(tx.s, after, to, max, count, why));
}

static enum err archive(struct tx *tx, const char *id, bool is_archived)
{
    struct image image;
    enum err err = tx_image(tx, id, &image);
    if (err != ERR_NONE)
        return err;
    if (image.is_archived == is_archived)
        return why_set(tx->why, is_archived ? ERR_ARCHIVED_ALREADY : ERR_ARCHIVED_NOT, "image %s is %s", image.name,
                       is_archived ? "archived already" : "not archived");
    image.is_archived = is_archived;
    err = tx->db->image_put(tx->s, &image, tx->why);
    return err ? err : tx_event(tx, EVENT_IMAGE, NULL, NULL, id);
}

enum err fleet_image_archive(struct fleet *f, const char *id, bool is_archived, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, archive(&tx, id, is_archived));
}

/* Jobs that give the image to nodes with a key of their own. */
static enum err variant_uses(struct tx *tx, const char *id, int64_t *jobs, int64_t *active)
{
    struct key_list l;
    struct job job;
    enum err err = tx_keys(tx, CARD_VARIANT_OF, id, &l);
    for (unsigned i = 0; err == ERR_NONE && i < l.count; i++) {
        err = tx->db->job_get(tx->s, l.ids[i], &job, tx->why);
        *jobs += err == ERR_NONE;
        *active += err == ERR_NONE && job.status == JOB_ACTIVE;
        err = err == ERR_NOT_FOUND ? ERR_NONE : err;
    }
    return err;
}

static enum err delete_image(struct tx *tx, const char *id, bool is_forced, char sha256[SHA256_TEXT])
{
    struct image image;
    int64_t jobs = 0, active = 0, others = 0;
    enum err err;
    if ((err = tx_image(tx, id, &image)) != ERR_NONE ||
        (err = tx->db->image_uses(tx->s, id, &jobs, &active, tx->why)) != ERR_NONE ||
        (err = variant_uses(tx, id, &jobs, &active)) != ERR_NONE)
        return err;
    if (active > 0)
        return why_set(tx->why, ERR_IMAGE_IN_ACTIVE_USE, "image %s is used by %lld active job(s): cancel them first",
                       image.name, (long long)active);
    if (jobs > 0 && !is_forced)
        return why_set(tx->why, ERR_IMAGE_IN_USE, "image %s is used by %lld job(s): delete with force_delete=true",
                       image.name, (long long)jobs);
    if ((err = tx->db->image_delete(tx->s, id, tx->why)) != ERR_NONE ||
        (err = blob_users(tx, image.sha256, &others)) != ERR_NONE)
        return err;
    text_copy(sha256, SHA256_TEXT, others > 0 ? "" : image.sha256);
    return tx_event(tx, EVENT_IMAGE, NULL, NULL, id);
}

enum err fleet_image_delete(struct fleet *f, const char *id, bool is_forced, time_ms now, char sha256[SHA256_TEXT],
                            struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, delete_image(&tx, id, is_forced, sha256));
}

enum err fleet_blob_is_used(struct fleet *f, const char *sha256, bool *is_used, struct why *why)
{
    struct tx tx;
    int64_t images = 0;
    enum err err = tx_begin(&tx, f, 0, why);
    if (err != ERR_NONE)
        return err;
    err = tx_end(&tx, blob_users(&tx, sha256, &images));
    *is_used = images > 0;
    return err;
}
