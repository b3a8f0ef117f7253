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

static enum err read_bytes(struct rest *rest, const struct image *image, struct buf *to, struct why *why)
{
    char chunk[65536];
    int fd = -1;
    int64_t size = 0;
    ssize_t n = -1;
    enum err err = rest->blob->ops->open(rest->blob, image->sha256, &fd, &size, why);
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

enum err sign_image(struct rest *rest, const struct rest_request *q, const char *image_id, const char *const *names,
                    unsigned count, struct image *to, struct why *why)
{
    struct image image;
    struct image_facts facts;
    struct buf file = {0};
    char path[700] = "", name[NAME_SIZE];
    enum err err = check_names(names, count, why);
    if (err == ERR_NONE && fleet_image_get(rest->fleet, image_id, &image, NULL) != ERR_NONE)
        err = why_set(why, ERR_SIGN_IMAGE, "there is no image %.40s", image_id);
    if (err == ERR_NONE && image.project_name[0] == '\0')
        err = why_set(why, ERR_SIGN_RAW, "image %s is of no format that can be signed", image.name);
    if (err == ERR_NONE)
        err = read_bytes(rest, &image, &file, why);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
        struct private_key *key = NULL;
        if ((err = open_key(rest, names[i], &key, why)) == ERR_NONE)
            err = signature_append(&file, key, SIGNATURE_KEEP, why);
        private_key_close(key);
    }
    if (err == ERR_NONE)
        err = write_signed(q, &file, path, sizeof path, why);
    buf_deinit(&file);
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

HANDLER(post_secure_sign)
{
    struct json *doc;
    const char *names[SIGN_KEYS_MAX];
    unsigned count = 0;
    bool wants_bootloader = false;
    struct image image;
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
    if (err == ERR_NONE && wants_bootloader)
        err =
            why_set(why, ERR_SIGN_BOOTLOADER, "the image came without a boot loader: sign it with `pluvio sign image`");
    if (err == ERR_NONE)
        err = sign_image(rest, q, image_id, names, count, &image, why);
    if (err == ERR_NONE)
        err = fleet_request_put(rest->fleet, request.text, image.id, why);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        answer_signed(rest, &out, request.text, &image, q->now);
        json_out_end_object(&out);
    }
    json_free(doc);
    return err;
}

HANDLER(get_secure_sign)
{
    const char *id = query(q, "request_id");
    char *image_id = NULL;
    struct image image;
    enum err err = id && strlen(id) <= ID_LEN ? fleet_request_get(rest->fleet, id, &image_id, why)
                                              : why_set(why, ERR_MAP_REQUEST, "request_id is missing");
    if (err == ERR_NONE && image_id == NULL)
        err = why_set(why, ERR_MAP_REQUEST, "there is no request %.40s", id);
    if (err == ERR_NONE)
        err = fleet_image_get(rest->fleet, image_id, &image, why);
    free(image_id);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        answer_signed(rest, &out, id, &image, q->now);
        json_out_end_object(&out);
    }
    return err;
}
