/*
 * Files that belong to images: a test report, a boot loader, what came in a package.  A file's bytes lie beside images'
 * bytes, under their SHA-256; its card says the rest.
 */
#include "fleet/inner.h"

#include "base/text.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

static enum err put_file(struct tx *tx, const struct file *file)
{
    struct buf text = {0};
    struct json_out out;
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    json_out_text(&out, "name", file->name);
    json_out_text(&out, "description", file->description);
    json_out_text(&out, "type", file->type);
    json_out_text(&out, "image", file->image_id);
    json_out_text(&out, "uploader", file->uploader);
    json_out_text(&out, "metadata", file->metadata);
    json_out_text(&out, "sha256", file->sha256);
    json_out_text(&out, "md5", file->md5);
    json_out_int(&out, "size", file->size_bytes);
    json_out_int(&out, "at", file->uploaded_at);
    json_out_bool(&out, "ready", file->is_ready);
    json_out_end_object(&out);
    enum err err = tx_card_put(tx, CARD_FILE, file->id, &text);
    buf_deinit(&text);
    return err;
}

static bool read_file(const char *id, const char *text, struct file *to)
{
    struct json *doc;
    *to = (struct file){.size_bytes = 0};
    if (json_parse(bytes_of_text(text), &doc, NULL) != ERR_NONE)
        return false;
    text_copy(to->id, sizeof to->id, id);
    json_copy_text(doc, "name", to->name, sizeof to->name);
    json_copy_text(doc, "description", to->description, sizeof to->description);
    json_copy_text(doc, "type", to->type, sizeof to->type);
    json_copy_text(doc, "image", to->image_id, sizeof to->image_id);
    json_copy_text(doc, "uploader", to->uploader, sizeof to->uploader);
    json_copy_text(doc, "metadata", to->metadata, sizeof to->metadata);
    json_copy_text(doc, "sha256", to->sha256, sizeof to->sha256);
    json_copy_text(doc, "md5", to->md5, sizeof to->md5);
    json_int(json_get(doc, "size"), &to->size_bytes);
    json_int(json_get(doc, "at"), &to->uploaded_at);
    json_bool(json_get(doc, "ready"), &to->is_ready);
    json_free(doc);
    return true;
}

static enum err get_file(struct tx *tx, const char *id, struct file *to)
{
    char *text = NULL;
    enum err err = strlen(id) <= ID_LEN ? tx_card(tx, CARD_FILE, id, &text) : ERR_NONE;
    if (err == ERR_NONE && (text == NULL || !read_file(id, text, to)))
        err = why_set(tx->why, ERR_FILE_NOT_FOUND, "there is no file %.40s", id);
    free(text);
    return err;
}

enum err fleet_file_get(struct fleet *f, const char *id, struct file *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, get_file(&tx, id, to));
}

/* The same name again takes the place of the file before, as with images. */
static enum err announce(struct tx *tx, struct file *file)
{
    struct image image;
    struct key_list l;
    struct file other;
    char key[CARD_KEY_SIZE];
    enum err err = tx_image(tx, file->image_id, &image);
    if (err == ERR_NONE)
        err = tx_keys(tx, CARD_FILE_OF, file->image_id, &l);
    for (unsigned i = 0; err == ERR_NONE && i < l.count; i++)
        if (get_file(tx, l.ids[i], &other) == ERR_NONE && strcmp(other.name, file->name) == 0 && !other.is_ready)
            err = files_drop(tx, &other);
    if (err == ERR_NONE && l.count == KEYS_MAX)
        return why_set(tx->why, ERR_TOO_BIG, "an image has at most %d files", KEYS_MAX - 1);
    text_copy(file->id, sizeof file->id, id_new(tx->f->entropy).text);
    file->is_ready = false;
    file->uploaded_at = tx->now;
    card_key(key, file->image_id, file->id);
    if (err == ERR_NONE)
        err = tx->db->card_put(tx->s, CARD_FILE_OF, key, bytes_of_text("{}"), tx->why);
    return err ? err : put_file(tx, file);
}

enum err fleet_file_announce(struct fleet *f, struct file *file, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, announce(&tx, file));
}

static enum err add(struct tx *tx, const struct file *file)
{
    struct file known;
    char key[CARD_KEY_SIZE];
    enum err err = get_file(tx, file->id, &known);
    if (err != ERR_NONE)
        return err;
    known = *file;
    known.is_ready = true;
    known.uploaded_at = tx->now;
    card_key(key, file->sha256, file->id);
    if ((err = put_file(tx, &known)) != ERR_NONE ||
        (err = tx->db->card_put(tx->s, CARD_FILE_BYTES, key, bytes_of_text("{}"), tx->why)) != ERR_NONE)
        return err;
    return tx_event(tx, EVENT_IMAGE, NULL, NULL, file->image_id);
}

enum err fleet_file_add(struct fleet *f, const struct file *file, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, add(&tx, file));
}

static enum err list(struct tx *tx, const char *image_id, struct file *to, unsigned max, unsigned *count)
{
    struct key_list l;
    enum err err = tx_keys(tx, CARD_FILE_OF, image_id, &l);
    for (unsigned i = 0; err == ERR_NONE && i < l.count && *count < max; i++)
        if ((err = get_file(tx, l.ids[i], &to[*count])) == ERR_NONE)
            *count += to[*count].is_ready;
    return err;
}

enum err fleet_file_list(struct fleet *f, const char *image_id, struct file *to, unsigned max, unsigned *count,
                         struct why *why)
{
    struct tx tx;
    *count = 0;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, list(&tx, image_id, to, max, count));
}

struct file_scan {
    struct card_visitor v;
    struct file *to;
    unsigned max, count;
};

static bool note_file(struct card_visitor *v, const char *key, const char *text)
{
    struct file_scan *s = (struct file_scan *)v;
    s->count += read_file(key, text, &s->to[s->count]);
    return s->count < s->max;
}

enum err fleet_file_scan(struct fleet *f, const char *after, struct file *to, unsigned max, unsigned *count,
                         struct why *why)
{
    struct tx tx;
    struct file_scan s = {{note_file}, to, max, 0};
    enum err err = tx_begin_reading(&tx, f, why);
    if (err == ERR_NONE)
        err = tx_end(&tx, tx.db->card_scan(tx.s, CARD_FILE, "", after, &s.v, why));
    *count = s.count;
    return err;
}

enum err files_drop(struct tx *tx, const struct file *file)
{
    char key[CARD_KEY_SIZE];
    card_key(key, file->image_id, file->id);
    enum err err = tx->db->card_delete(tx->s, CARD_FILE_OF, key, tx->why);
    card_key(key, file->sha256, file->id);
    if (err == ERR_NONE)
        err = tx->db->card_delete(tx->s, CARD_FILE_BYTES, key, tx->why);
    return err ? err : tx->db->card_delete(tx->s, CARD_FILE, file->id, tx->why);
}

static enum err delete_file(struct tx *tx, const char *id, struct file *to)
{
    enum err err = get_file(tx, id, to);
    if (err == ERR_NONE)
        err = files_drop(tx, to);
    return err ? err : tx_event(tx, EVENT_IMAGE, NULL, NULL, to->image_id);
}

enum err fleet_file_delete(struct fleet *f, const char *id, time_ms now, struct file *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, delete_file(&tx, id, to));
}

enum err blob_users(struct tx *tx, const char *sha256, int64_t *count)
{
    struct key_list l;
    enum err err = tx->db->blob_uses(tx->s, sha256, count, tx->why);
    if (err == ERR_NONE && (err = tx_keys(tx, CARD_FILE_BYTES, sha256, &l)) == ERR_NONE)
        *count += l.count;
    return err;
}
