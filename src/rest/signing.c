/*
 * Keys that sign images, and signing with them (C.9).  A private key lies in the store sealed with a key that follows
 * from the installation's own secret: a copy of the database alone opens nothing.
 */
#include "rest/inner.h"

#include "base/text.h"
#include "codec/encode.h"
#include "crypto/cipher.h"
#include "crypto/digest.h"
#include "crypto/key.h"
#include "image/signature.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_NAME_MAX    150 /* a card's key holds it */
#define DESCRIPTION_MAX 256
#define SEALED_MAX      8192
#define SIGNED_MAX      200 /* rows in one answer */
#define SIGN_BYTES_MAX  (64 * 1024 * 1024)

static const struct spec {
    const char *name;
    enum key_kind kind;
} specs[] = {{"RSA_3072", KEY_RSA_3072}, {"ECC_NIST_P256", KEY_P256}};

/* --- sealing ---------------------------------------------------------------------------------- */

static void sealing_key(const struct keys *keys, uint8_t to[static AES_256_LEN])
{
    char secret[KEYS_SECRET_SIZE];
    size_t len;
    keys_derive(keys, "image signing keys", secret);
    hex_decode(to, &len, bytes_of_text(secret));
    secret_wipe(secret, sizeof secret);
}

/* IV, tag, and what was sealed; in base64. */
static enum err seal(struct rest *rest, struct bytes plain, struct buf *to, struct why *why)
{
    uint8_t key[AES_256_LEN], *sealed = malloc(GCM_IV_LEN + GCM_TAG_LEN + plain.len);
    char *text = malloc(BASE64_SIZE(GCM_IV_LEN + GCM_TAG_LEN + plain.len));
    struct gcm gcm;
    if (sealed != NULL && text != NULL) {
        rest->entropy->fill(rest->entropy, sealed, GCM_IV_LEN);
        sealing_key(rest->keys, key);
        gcm_init(&gcm, CIPHER_SEAL, key, sealed);
        gcm_update(&gcm, sealed + GCM_IV_LEN + GCM_TAG_LEN, plain);
        gcm_finish(&gcm, sealed + GCM_IV_LEN);
        base64_encode(text, bytes_of(sealed, GCM_IV_LEN + GCM_TAG_LEN + plain.len), BASE64_STANDARD);
        buf_add(to, text, strlen(text));
        secret_wipe(key, sizeof key);
    }
    bool is_good = sealed != NULL && text != NULL && !to->is_failed;
    free(sealed);
    free(text);
    return is_good ? ERR_NONE : why_set(why, ERR_NO_MEMORY, "no memory");
}

static enum err open_sealed(struct rest *rest, const char *text, struct private_key **to, struct why *why)
{
    uint8_t key[AES_256_LEN], sealed[BASE64_BYTES(SEALED_MAX)];
    struct gcm gcm;
    size_t len = 0;
    if (strlen(text) > SEALED_MAX || !base64_decode(sealed, &len, bytes_of_text(text), BASE64_STANDARD) ||
        len < GCM_IV_LEN + GCM_TAG_LEN)
        return why_set(why, ERR_KEY, "the kept key is damaged");
    uint8_t *plain = sealed + GCM_IV_LEN + GCM_TAG_LEN;
    size_t plain_len = len - GCM_IV_LEN - GCM_TAG_LEN;
    sealing_key(rest->keys, key);
    gcm_init(&gcm, CIPHER_OPEN, key, sealed);
    gcm_update(&gcm, plain, bytes_of(plain, plain_len));
    bool is_whole = gcm_finish(&gcm, sealed + GCM_IV_LEN);
    enum err err = is_whole ? private_key_open_pem(to, bytes_of(plain, plain_len), why)
                            : why_set(why, ERR_KEY, "the kept key was sealed by another installation");
    secret_wipe(sealed, sizeof sealed);
    secret_wipe(key, sizeof key);
    return err;
}

/* --- keys ------------------------------------------------------------------------------------- */

static enum err check_key_name(const char *name, struct why *why)
{
    static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_-";
    return name != NULL && *name && strlen(name) <= KEY_NAME_MAX && strspn(name, fine) == strlen(name)
               ? ERR_NONE
               : why_set(why, ERR_SIGN_KEY_NAME, "key_name must have 1 to %d letters, digits, / _ -", KEY_NAME_MAX);
}

static enum err make_card(struct rest *rest, const struct spec *spec, const char *description, time_ms now,
                          struct buf *card, char digest[2 * SHA256_LEN + 1], struct why *why)
{
    struct buf pem = {0}, sealed = {0}, public_pem = {0};
    struct private_key *key = NULL;
    uint8_t raw[SHA256_LEN];
    struct json_out out;
    enum err err = private_key_generate(spec->kind, &pem, why);
    if (err == ERR_NONE)
        err = private_key_open_pem(&key, buf_bytes(&pem), why);
    if (err == ERR_NONE)
        err = signature_key_digest(&key->public_key, raw, why);
    if (err == ERR_NONE)
        err = public_key_write_pem(&key->public_key, &public_pem, why);
    if (err == ERR_NONE)
        err = seal(rest, buf_bytes(&pem), &sealed, why);
    if (err == ERR_NONE) {
        hex_encode(digest, bytes_of(raw, sizeof raw));
        json_out_init(&out, card);
        json_out_object(&out, NULL);
        json_out_text(&out, "key_spec", spec->name);
        json_out_text(&out, "public_key_digest", digest);
        json_out_text(&out, "public_key", public_pem.at);
        json_out_text(&out, "description", description ? description : "");
        json_out_int(&out, "created_at", now / 1000);
        json_out_text(&out, "sealed", sealed.at);
        json_out_end_object(&out);
    }
    private_key_close(key);
    if (pem.at != NULL)
        secret_wipe(pem.at, pem.len);
    buf_deinit(&pem);
    buf_deinit(&sealed);
    buf_deinit(&public_pem);
    return err;
}

static enum err add_key(struct rest *rest, const struct json *doc, time_ms now, char digest[2 * SHA256_LEN + 1],
                        struct why *why)
{
    const char *name = member_text(doc, "key_name"), *wanted = member_text(doc, "key_spec"),
               *description = member_text(doc, "description");
    const struct spec *spec = NULL;
    char *known = NULL;
    struct buf card = {0};
    for (size_t i = 0; wanted != NULL && i < sizeof specs / sizeof specs[0]; i++)
        spec = strcmp(specs[i].name, wanted) == 0 ? &specs[i] : spec;
    enum err err = check_key_name(name, why);
    if (err == ERR_NONE && spec == NULL)
        err = why_set(why, ERR_SIGN_KEY_SPEC, "key_spec must be RSA_3072 or ECC_NIST_P256");
    if (err == ERR_NONE && description != NULL && strlen(description) > DESCRIPTION_MAX)
        err = why_set(why, ERR_BODY, "description has more than %d characters", DESCRIPTION_MAX);
    if (err == ERR_NONE)
        err = fleet_sign_key_get(rest->fleet, name, &known, why);
    if (err == ERR_NONE && known != NULL)
        err = why_set(why, ERR_SIGN_KEY_EXISTS, "a key named %s exists already", name);
    free(known);
    if (err == ERR_NONE)
        err = make_card(rest, spec, description, now, &card, digest, why);
    if (err == ERR_NONE)
        err = fleet_sign_key_put(rest->fleet, name, card.at, why);
    buf_deinit(&card);
    return err;
}

HANDLER(post_key)
{
    struct json *doc;
    char digest[2 * SHA256_LEN + 1];
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    if ((err = add_key(rest, doc, q->now, digest, why)) == ERR_NONE) {
        struct json_out out = answer_success(p);
        json_out_text(&out, "key_name", member_text(doc, "key_name"));
        json_out_text(&out, "public_key_digest", digest);
        json_out_end_object(&out);
    }
    json_free(doc);
    return err;
}

struct key_lister {
    struct name_visitor v;
    struct json_out *out;
    const char *wanted; /* NULL: all */
    unsigned count;
};

/* Everything but the private half. */
static bool write_key(struct name_visitor *v, const char *name, const char *text)
{
    static const char *const members[] = {"key_spec", "public_key_digest", "public_key", "description"};
    struct key_lister *l = (struct key_lister *)v;
    struct json *doc = NULL;
    int64_t at = 0;
    if ((l->wanted != NULL && strcmp(l->wanted, name) != 0) || json_parse(bytes_of_text(text), &doc, NULL) != ERR_NONE)
        return true;
    l->count++;
    json_out_object(l->out, NULL);
    json_out_text(l->out, "key_name", name);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        json_out_text(l->out, members[i],
                      json_text(json_get(doc, members[i])) ? json_text(json_get(doc, members[i])) : "");
    json_int(json_get(doc, "created_at"), &at);
    json_out_int(l->out, "created_at", at);
    json_out_end_object(l->out);
    json_free(doc);
    return true;
}

HANDLER(get_keys)
{
    struct json_out out = answer(p);
    struct key_lister l = {{write_key}, &out, query(q, "key_name"), 0};
    json_out_array(&out, "keys");
    enum err err = fleet_sign_key_scan(rest->fleet, &l.v, why);
    json_out_end_array(&out);
    json_out_end_object(&out);
    if (err == ERR_NONE && l.wanted != NULL && l.count == 0)
        err = why_set(why, ERR_SIGN_KEY_NONE, "there is no key named %.150s", l.wanted);
    return err;
}

static enum err check_key_known(struct rest *rest, const char *name, struct why *why)
{
    char *known = NULL;
    enum err err = check_key_name(name, why);
    if (err == ERR_NONE)
        err = fleet_sign_key_get(rest->fleet, name, &known, why);
    if (err == ERR_NONE && known == NULL)
        err = why_set(why, ERR_SIGN_KEY_NONE, "there is no key named %.150s", name);
    free(known);
    return err;
}

/* What it has signed stays signed; nothing can be signed with it any more. */
HANDLER(delete_key)
{
    const char *name = query(q, "key_name");
    enum err err = check_key_known(rest, name, why);
    if (err == ERR_NONE)
        err = fleet_sign_key_drop(rest->fleet, name, why);
    if (err == ERR_NONE)
        answer_done(p, "The key is gone: what it has signed stays signed");
    return err;
}

static enum err open_key(struct rest *rest, const char *name, struct private_key **to, struct why *why)
{
    char *text = NULL;
    struct json *doc = NULL;
    enum err err = strlen(name) <= KEY_NAME_MAX ? fleet_sign_key_get(rest->fleet, name, &text, why) : ERR_NONE;
    if (err == ERR_NONE && text == NULL)
        err = why_set(why, ERR_SIGN_KEY_UNKNOWN, "there is no key named %.150s", name);
    if (err == ERR_NONE)
        err = json_parse(bytes_of_text(text), &doc, why);
    if (err == ERR_NONE)
        err = open_sealed(rest, json_text(json_get(doc, "sealed")) ? json_text(json_get(doc, "sealed")) : "", to, why);
    json_free(doc);
    free(text);
    return err;
}

/* --- signing ---------------------------------------------------------------------------------- */

static enum err read_bytes(struct rest *rest, const char *sha256, struct buf *to, struct why *why)
{
    char chunk[65536];
    int fd = -1;
    int64_t size = 0;
    ssize_t n = -1;
    enum err err = rest->blob->ops->open(rest->blob, sha256, &fd, &size, why);
    if (err != ERR_NONE)
        return err;
    if (size > SIGN_BYTES_MAX)
        err = why_set(why, ERR_TOO_BIG, "images of at most %d bytes are signed here", SIGN_BYTES_MAX);
    while (err == ERR_NONE && (n = read(fd, chunk, sizeof chunk)) > 0)
        buf_add(to, chunk, (size_t)n);
    close(fd);
    if (err == ERR_NONE && (n < 0 || to->is_failed))
        err = why_set(why, ERR_IO, "read the image: %s", strerror(errno));
    return err;
}

static enum err write_signed(const struct rest_request *q, const struct buf *file, char *path, size_t size,
                             struct why *why)
{
    const char *slash = strrchr(q->body_file, '/');
    snprintf(path, size, "%.*s/body-signed-%s", (int)(slash - q->body_file), q->body_file, slash + 1);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_good = fd >= 0 && write(fd, file->at, file->len) == (ssize_t)file->len;
    if (fd >= 0)
        is_good &= close(fd) == 0;
    return is_good ? ERR_NONE : why_set(why, ERR_IO, "keep the signed image: %s", strerror(errno));
}

static enum err check_names(const char *const *names, unsigned count, struct why *why)
{
    if (count == 0)
        return why_set(why, ERR_SIGN_KEY_NAME, "key_names are missing");
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = 0; k < i; k++)
            if (strcmp(names[i], names[k]) == 0)
                return why_set(why, ERR_SIGN_KEY_TWICE, "key %.150s is named twice", names[i]);
    return ERR_NONE;
}

/* The bytes with signatures by all the keys, in a file of the upload folder. */
static enum err sign_bytes(struct rest *rest, const struct rest_request *q, const char *sha256,
                           const char *const *names, unsigned count, char *path, size_t size, struct why *why)
{
    struct buf file = {0};
    enum err err = read_bytes(rest, sha256, &file, why);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
        struct private_key *key = NULL;
        if ((err = open_key(rest, names[i], &key, why)) == ERR_NONE)
            err = signature_append(&file, key, SIGNATURE_KEEP, why);
        private_key_close(key);
    }
    if (err == ERR_NONE)
        err = write_signed(q, &file, path, size, why);
    buf_deinit(&file);
    return err;
}

/* What became of the original, for those who ask by image or by key. */
static enum err remember_signed(struct rest *rest, const struct rest_request *q, const char *image_id,
                                const char *signed_id, const char *const *names, unsigned count, struct why *why)
{
    struct buf card = {0};
    struct json_out out;
    json_out_init(&out, &card);
    json_out_object(&out, NULL);
    json_out_text(&out, "user_id", q->user.id);
    json_out_int(&out, "at", q->now);
    json_out_array(&out, "keys");
    for (unsigned i = 0; i < count; i++)
        json_out_text(&out, NULL, names[i]);
    json_out_end_array(&out);
    json_out_end_object(&out);
    buf_add(&card, "", 1);
    enum err err = card.is_failed ? why_set(why, ERR_NO_MEMORY, "no memory")
                                  : fleet_signed_put(rest->fleet, image_id, signed_id, card.at, why);
    buf_deinit(&card);
    return err;
}

/* The boot loader that came with an image; ERR_SIGN_BOOTLOADER. */
static enum err find_bootloader(struct rest *rest, const char *image_id, struct file *to, struct why *why)
{
    struct file files[8];
    unsigned count = 0;
    enum err err = fleet_file_list(rest->fleet, image_id, files, 8, &count, why);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++)
        if (strcmp(files[i].type, FILE_BOOTLOADER) == 0) {
            *to = files[i];
            return ERR_NONE;
        }
    return err ? err
               : why_set(why, ERR_SIGN_BOOTLOADER,
                         "the image came without a boot loader: upload it in a package, or as "
                         "a file of the type " FILE_BOOTLOADER);
}

/* Signs the original's boot loader, as a file of the signed image. */
static enum err sign_bootloader(struct rest *rest, const struct rest_request *q, const char *image_id,
                                const char *signed_id, const char *const *names, unsigned count, struct file *to,
                                struct why *why)
{
    struct file original;
    char path[700] = "";
    enum err err = find_bootloader(rest, image_id, &original, why);
    if (err == ERR_NONE)
        err = sign_bytes(rest, q, original.sha256, names, count, path, sizeof path, why);
    if (err != ERR_NONE)
        return err;
    *to = (struct file){.size_bytes = 0};
    text_copy(to->name, sizeof to->name, original.name);
    text_copy(to->type, sizeof to->type, FILE_BOOTLOADER);
    text_copy(to->image_id, sizeof to->image_id, signed_id);
    text_copy(to->uploader, sizeof to->uploader, q->user.id);
    err = fleet_file_announce(rest->fleet, to, q->now, why);
    if (err == ERR_NONE)
        err = adopt_companion(rest, path, to, q->now, why);
    unlink(path);
    return err;
}

enum err sign_image(struct rest *rest, const struct rest_request *q, const char *image_id, const char *const *names,
                    unsigned count, struct image *to, struct why *why)
{
    struct image image;
    struct image_facts facts;
    char path[700] = "", name[NAME_SIZE];
    enum err err = check_names(names, count, why);
    if (err == ERR_NONE && fleet_image_get(rest->fleet, image_id, &image, NULL) != ERR_NONE)
        err = why_set(why, ERR_SIGN_IMAGE, "there is no image %.40s", image_id);
    if (err == ERR_NONE && image.project_name[0] == '\0')
        err = why_set(why, ERR_SIGN_RAW, "image %s is of no format that can be signed", image.name);
    if (err == ERR_NONE)
        err = sign_bytes(rest, q, image.sha256, names, count, path, sizeof path, why);
    if (err == ERR_NONE)
        err = verify_file(path, &facts, why);
    snprintf(name, sizeof name, "%.150s, signed by %.80s", image.name, count > 0 ? names[0] : "");
    const struct image_upload upload = {.name = name,
                                        .fw_version = image.fw_version,
                                        .model = image.model,
                                        .type = image.type,
                                        .uploader = q->user.name,
                                        .facts = &facts};
    if (err == ERR_NONE)
        err = adopt_file(rest, path, NULL, &upload, q->now, to, why);
    if (err == ERR_NONE)
        err = remember_signed(rest, q, image.id, to->id, names, count, why);
    if (err != ERR_NONE && path[0])
        unlink(path);
    return err;
}

static void answer_signed(struct rest *rest, struct json_out *out, const char *request_id, const struct image *image,
                          time_ms now)
{
    char url[JOB_URL_SIZE];
    rest_image_url(rest, image, now, url, sizeof url);
    json_out_text(out, "request_id", request_id);
    json_out_text(out, "description", "The image is signed");
    json_out_text(out, "ota_image_id", image->id);
    json_out_text(out, "signed_firmware_url", url);
    json_out_text(out, "signed_by", image->signed_by);
}

/* What is kept of a request: "<signed image>" or "<signed image> <signed boot loader>". */
static void answer_bootloader(struct rest *rest, const struct rest_request *q, struct json_out *out,
                              const char *file_id)
{
    char url[JOB_URL_SIZE];
    json_out_bool(out, "sign_boot_loader", file_id[0] != '\0');
    if (file_id[0] == '\0')
        return;
    file_url(rest, q, file_id, url, sizeof url);
    json_out_text(out, "signed_bootloader_url", url);
}

HANDLER(post_secure_sign)
{
    struct json *doc;
    const char *names[SIGN_KEYS_MAX];
    unsigned count = 0;
    bool wants_bootloader = false;
    struct image image;
    struct file bootloader = {.id = ""};
    char kept[2 * ID_LEN + 2];
    struct id request = id_new(rest->entropy);
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *image_id = member_text(doc, "image_id");
    JSON_EACH (name, json_get(doc, "key_names")) {
        if (err == ERR_NONE && count == SIGN_KEYS_MAX)
            err = why_set(why, ERR_SIGN_KEYS_MANY, "an image carries %d signatures at most", SIGN_KEYS_MAX);
        else if (err == ERR_NONE && json_text(name) == NULL)
            err = why_set(why, ERR_SIGN_KEY_NAME, "key_names must be strings");
        else if (err == ERR_NONE)
            names[count++] = json_text(name);
    }
    json_bool(json_get(doc, "sign_boot_loader"), &wants_bootloader);
    if (err == ERR_NONE && image_id == NULL)
        err = why_set(why, ERR_SIGN_IMAGE, "image_id is missing");
    if (err == ERR_NONE && wants_bootloader && fleet_image_get(rest->fleet, image_id, &image, NULL) == ERR_NONE)
        err = find_bootloader(rest, image_id, &bootloader, why);
    if (err == ERR_NONE)
        err = sign_image(rest, q, image_id, names, count, &image, why);
    if (err == ERR_NONE && wants_bootloader)
        err = sign_bootloader(rest, q, image_id, image.id, names, count, &bootloader, why);
    snprintf(kept, sizeof kept, "%s %s", image.id, bootloader.id);
    if (err == ERR_NONE)
        err = fleet_request_put(rest->fleet, request.text, kept, q->now, why);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        answer_signed(rest, &out, request.text, &image, q->now);
        answer_bootloader(rest, q, &out, bootloader.id);
        json_out_end_object(&out);
    }
    json_free(doc);
    return err;
}

HANDLER(get_secure_sign)
{
    const char *id = query(q, "request_id");
    char *kept = NULL, image_id[ID_LEN + 1] = "", file_id[ID_LEN + 1] = "";
    struct image image;
    enum err err = id && strlen(id) <= ID_LEN ? fleet_request_get(rest->fleet, id, &kept, why)
                                              : why_set(why, ERR_MAP_REQUEST, "request_id is missing");
    if (err == ERR_NONE && kept == NULL)
        err = why_set(why, ERR_MAP_REQUEST, "there is no request %.40s", id);
    if (err == ERR_NONE) {
        const char *blank = strchr(kept, ' ');
        text_copy_field(image_id, sizeof image_id, kept, blank ? (size_t)(blank - kept) : strlen(kept));
        text_copy(file_id, sizeof file_id, blank ? blank + 1 : "");
        err = fleet_image_get(rest->fleet, image_id, &image, why);
    }
    free(kept);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        answer_signed(rest, &out, id, &image, q->now);
        answer_bootloader(rest, q, &out, file_id);
        json_out_end_object(&out);
    }
    return err;
}

/* --- what was signed by what ------------------------------------------------------------------ */

/* A scan holds the store, so rows are gathered first. */
struct signed_rows {
    struct name_visitor v;
    struct signed_row {
        char image_id[ID_LEN + 1], signed_id[ID_LEN + 1];
        struct json *doc;
    } rows[SIGNED_MAX];
    unsigned count;
};

static bool has_key(const struct json *doc, const char *name)
{
    JSON_EACH (key, json_get(doc, "keys"))
        if (json_text(key) != NULL && strcmp(json_text(key), name) == 0)
            return true;
    return false;
}

static bool note_signed(struct name_visitor *v, const char *name, const char *text)
{
    struct signed_rows *l = (struct signed_rows *)v;
    struct signed_row *row = &l->rows[l->count];
    const char *slash = strchr(name, '/');
    if (slash == NULL || json_parse(bytes_of_text(text), &row->doc, NULL) != ERR_NONE)
        return true;
    text_copy_field(row->image_id, sizeof row->image_id, name, (size_t)(slash - name));
    text_copy(row->signed_id, sizeof row->signed_id, slash + 1);
    return ++l->count < SIGNED_MAX;
}

/* `image_id` "": of all images. */
static enum err gather_signed(struct rest *rest, const char *image_id, struct signed_rows **to, struct why *why)
{
    *to = calloc(1, sizeof **to);
    if (*to == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    (*to)->v.visit = note_signed;
    return fleet_signed_scan(rest->fleet, image_id, &(*to)->v, why);
}

static void free_signed(struct signed_rows *rows)
{
    for (unsigned i = 0; rows != NULL && i < rows->count; i++)
        json_free(rows->rows[i].doc);
    free(rows);
}

static void write_one_signed(struct rest *rest, const struct rest_request *q, struct json_out *out,
                             const struct signed_row *row, const char *file_id)
{
    struct image image;
    char url[JOB_URL_SIZE];
    int64_t at = 0;
    if (fleet_image_get(rest->fleet, row->signed_id, &image, NULL) != ERR_NONE)
        return; /* deleted since */
    json_int(json_get(row->doc, "at"), &at);
    json_out_object(out, NULL);
    json_out_text(out, "image_id", row->image_id);
    json_out_text(out, "signed_image_id", row->signed_id);
    if (file_id == NULL)
        rest_image_url(rest, &image, q->now, url, sizeof url);
    else
        file_url(rest, q, file_id, url, sizeof url);
    json_out_text(out, "signed_image_url", url);
    json_out_text(out, "user_id", json_text(json_get(row->doc, "user_id")));
    json_out_int(out, "timestamp", at * 1000000); /* RainMaker's are nanoseconds here */
    json_out_text(out, "file_type", file_id ? "SECURELY_SIGNED_BOOTLOADER" : "SECURELY_SIGNED_FIRMWARE");
    json_out_end_object(out);
}

/* `key_name` NULL: whatever signed them. */
static void write_signed_images(struct rest *rest, const struct rest_request *q, struct json_out *out,
                                const struct signed_rows *l, const char *key_name)
{
    struct file bootloader;
    json_out_array(out, "images");
    for (unsigned i = 0; i < l->count; i++) {
        if (key_name != NULL && !has_key(l->rows[i].doc, key_name))
            continue;
        write_one_signed(rest, q, out, &l->rows[i], NULL);
        if (find_bootloader(rest, l->rows[i].signed_id, &bootloader, NULL) == ERR_NONE)
            write_one_signed(rest, q, out, &l->rows[i], bootloader.id);
    }
    json_out_end_array(out);
}

/* One key in short. */
static void write_key_digest(struct rest *rest, struct json_out *out, const char *name)
{
    char *text = NULL;
    struct json *doc = NULL;
    if (fleet_sign_key_get(rest->fleet, name, &text, NULL) == ERR_NONE && text != NULL &&
        json_parse(bytes_of_text(text), &doc, NULL) == ERR_NONE) {
        json_out_object(out, NULL);
        json_out_text(out, "key_name", name);
        json_out_text(out, "public_key_digest", json_text(json_get(doc, "public_key_digest")));
        json_out_end_object(out);
    }
    json_free(doc);
    free(text);
}

HANDLER(get_signed_images)
{
    const char *name = query(q, "key_name");
    enum err err = check_key_known(rest, name, why);
    if (err != ERR_NONE)
        return err;
    struct signed_rows *rows;
    if ((err = gather_signed(rest, "", &rows, why)) == ERR_NONE) {
        struct json_out out = answer(p);
        json_out_array(&out, "keys");
        write_key_digest(rest, &out, name);
        json_out_end_array(&out);
        write_signed_images(rest, q, &out, rows, name);
        json_out_end_object(&out);
    }
    free_signed(rows);
    return err;
}

/* Whether a row before names the key, too. */
static bool is_told(const struct signed_rows *l, unsigned before, const char *name)
{
    for (unsigned i = 0; i < before; i++)
        if (has_key(l->rows[i].doc, name))
            return true;
    return false;
}

HANDLER(get_signing_keys)
{
    const char *id = query(q, "image_id");
    struct image image;
    struct signed_rows *rows;
    if (id == NULL || fleet_image_get(rest->fleet, id, &image, NULL) != ERR_NONE)
        return why_set(why, ERR_SIGN_IMAGE, "there is no image %.40s", id ? id : "");
    enum err err = gather_signed(rest, id, &rows, why);
    if (err == ERR_NONE) {
        struct json_out out = answer(p);
        json_out_array(&out, "keys");
        for (unsigned i = 0; i < rows->count; i++)
            JSON_EACH (key, json_get(rows->rows[i].doc, "keys"))
                if (json_text(key) != NULL && !is_told(rows, i, json_text(key)))
                    write_key_digest(rest, &out, json_text(key));
        json_out_end_array(&out);
        write_signed_images(rest, q, &out, rows, NULL);
        json_out_end_object(&out);
    }
    free_signed(rows);
    return err;
}

struct name_list {
    struct name_visitor v;
    char (*to)[KEY_NAME_MAX + 1];
    unsigned max, count;
};

static bool note_name(struct name_visitor *v, const char *name, const char *text)
{
    struct name_list *l = (struct name_list *)v;
    (void)text;
    if (l->count < l->max)
        text_copy(l->to[l->count], sizeof l->to[0], name);
    return ++l->count <= l->max;
}

enum err sign_with_each(struct rest *rest, const struct rest_request *q, const char *image_id, char (*to)[ID_LEN + 1],
                        unsigned max, unsigned *count, struct why *why)
{
    char names[JOB_VARIANTS_MAX][KEY_NAME_MAX + 1];
    struct name_list l = {.v = {note_name}, .to = names, .max = JOB_VARIANTS_MAX};
    struct image image;
    enum err err = fleet_sign_key_scan(rest->fleet, &l.v, why);
    *count = 0;
    if (err == ERR_NONE && l.count == 0)
        err = why_set(why, ERR_SIGN_KEY_NONE, "there is no key to choose from: make one, or import it");
    if (err == ERR_NONE && (l.count > JOB_VARIANTS_MAX || l.count > max))
        err = why_set(why, ERR_SIGN_KEYS_MANY, "auto_select_key chooses among at most %d keys: name them in key_names",
                      JOB_VARIANTS_MAX);
    for (unsigned i = 0; err == ERR_NONE && i < l.count; i++) {
        const char *name = names[i];
        if ((err = sign_image(rest, q, image_id, &name, 1, &image, why)) == ERR_NONE)
            text_copy(to[(*count)++], ID_LEN + 1, image.id);
    }
    return err;
}
