/* pluvio sign: keys, signatures, and what they are worth. */
#include "pluvio/commands.h"

#include "crypto/cipher.h"
#include "image/image.h"
#include "image/signature.h"
#include "pluvio/report.h"

#include <stdio.h>
#include <string.h>

/* The signature of a file: behind its image when it holds one and more follows, as in a dump of a slot; else at its
 * end. */
static void read_signature(struct signature_report *s, struct bytes file)
{
    struct image_facts facts;
    bool is_image = image_read(file, 0, &facts, NULL) == ERR_NONE;
    uint64_t len = is_image ? image_signed_len(&facts) : file.len;
    signature_read(s, bytes_of(file.at, len < file.len ? len : file.len), is_image ? facts.image_len : 0);
    if (s->version == 0)
        signature_read(s, file, is_image ? facts.image_len : 0);
}

void report_signature(struct report *r, const struct signature_report *s, unsigned i)
{
    const struct signature_block *b = &s->blocks[i];
    char label[24];
    report_number(r, "block", NULL, i);
    report_number(r, "version", NULL, s->version);
    if (s->version == 1) {
        report_text(r, "scheme", "signature", "ECDSA P-256, version 1 (its key is not in the file)");
        return;
    }
    snprintf(label, sizeof label, "signature %u", i + 1);
    report_text(r, NULL, label, "%s: %s", key_kind_text(b->key.kind),
                s->is_right[i]          ? "right, by the key inside it"
                : s->is_digest_right[i] ? "WRONG: it is not by the key inside it"
                                        : "WRONG: it is for other content");
    report_text(r, "scheme", NULL, "%s", key_kind_text(b->key.kind));
    report_bool(r, "is_digest_right", NULL, s->is_digest_right[i]);
    report_bool(r, "is_right", NULL, s->is_right[i]);
    report_hex(r, "key_digest", "  key digest", bytes_of(b->key_digest, SHA256_LEN));
    report_hex(r, "content_digest", NULL, bytes_of(b->digest, key_digest_len(b->key.kind)));
}

static bool verifies(const struct chip *chip, const struct signature_report *s, unsigned i)
{
    if (s->version == 1)
        return true; /* also checked by the application itself, on every chip */
    return (chip->schemes & (s->blocks[i].key.kind == KEY_RSA_3072 ? SCHEME_V2_RSA : SCHEME_V2_ECDSA)) != 0;
}

void report_chip_limits(struct report *r, const struct signature_report *s, const struct chip *chip)
{
    bool is_taken = false;
    for (unsigned i = 0; i < s->count; i++)
        is_taken |= verifies(chip, s, i);
    if (s->count == 0 || chip->schemes == 0)
        return;
    report_bool(r, "is_scheme_of_chip", NULL, is_taken);
    if (!is_taken)
        report_verdict(r, STYLE_YELLOW, "the secure boot of %s takes %s signatures only: it would not start this",
                       chip->name, chip->schemes & SCHEME_V2_RSA ? "RSA-3072" : "ECDSA");
    else if (chip->id == 0 && s->version == 2 && s->count > 1)
        report_verdict(r, STYLE_YELLOW, "%s looks at the first signature only", chip->name);
}

/* --- keys ------------------------------------------------------------------------------------- */

enum err command_sign_key(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"type", 't', "TYPE", "rsa3072 (default), p256, p384, p192"},
        {"output", 'o', "FILE", "Where the private key goes, as PEM; a file that exists is never overwritten"},
        {NULL, 0, NULL, NULL},
    };
    static const struct command_line line = {rows, "", "Generate a signing key. Keep it safe: who has it can sign.", 0,
                                             0};
    struct options o;
    struct buf pem = {0};
    struct public_key key;
    struct report r;
    uint8_t digest[SHA256_LEN];
    options_parse(&o, argc, argv, &line);
    const char *type = option(&o, "type"), *output = option(&o, "output");
    enum key_kind kind = key_kind_find(type ? type : "rsa3072");
    if (kind == KEY_NONE)
        return why_set(why, ERR_USAGE, "there is no key type %s: rsa3072, p256, p384, p192", type);
    if (output == NULL)
        return why_set(why, ERR_USAGE, "give --output");
    enum err err = private_key_generate(kind, &pem, why);
    if (err == ERR_NONE)
        err = write_new_file(output, buf_bytes(&pem), 0600, why);
    if (err == ERR_NONE)
        err = public_key_read_pem(&key, buf_bytes(&pem), why);
    if (err == ERR_NONE)
        err = signature_key_digest(&key, digest, why);
    if (pem.at != NULL)
        secret_wipe(pem.at, pem.len);
    buf_deinit(&pem);
    if (err != ERR_NONE)
        return err;
    report_begin(&r, REPORT_OBJECT, o.is_json);
    report_text(&r, "output", "private key", "%s", output);
    report_text(&r, "scheme", "scheme", "%s", key_kind_text(kind));
    report_hex(&r, "key_digest", "key digest", bytes_of(digest, sizeof digest));
    report_end(&r);
    return ERR_NONE;
}

enum err command_sign_public(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"output", 'o', "FILE", "Where the public key goes (default: standard output)"},
        {"raw", 0, NULL, "As 64 bytes X and Y instead of PEM, to compile into a version 1 verifier (P-256 only)"},
        {NULL, 0, NULL, NULL},
    };
    static const struct command_line line = {rows, "KEY", "Extract the public key of a private one.", 1, 1};
    struct options o;
    struct public_key key;
    struct buf pem = {0};
    options_parse(&o, argc, argv, &line);
    const char *output = option(&o, "output");
    bool is_raw = option(&o, "raw") != NULL;
    enum err err = read_public_key(o.arguments[0], &key, why);
    if (err == ERR_NONE && is_raw && key.kind != KEY_P256)
        err = why_set(why, ERR_KEY, "version 1 takes ECDSA P-256, this key is %s", key_kind_text(key.kind));
    if (err == ERR_NONE && is_raw)
        err = write_output(output ? output : "-", bytes_of(key.number, 64), 0644, why);
    else if (err == ERR_NONE && (err = public_key_write_pem(&key, &pem, why)) == ERR_NONE)
        err = report_whole_text(&o, "pem", output, buf_bytes(&pem), 0644, why);
    buf_deinit(&pem);
    return err;
}

enum err command_sign_digest(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"output", 'o', "FILE", "Write the 32 bytes to this file, to burn into eFuse"},
        {NULL, 0, NULL, NULL},
    };
    static const struct command_line line = {
        rows, "KEY...", "Print the digests of keys as eFuses hold them (ESP32-C2 takes the first 16 bytes).", 1,
        ARGUMENTS_MAX};
    struct options o;
    struct report r;
    enum err err = ERR_NONE;
    options_parse(&o, argc, argv, &line);
    if (option(&o, "output") != NULL && o.count > 1)
        return why_set(why, ERR_USAGE, "--output takes one key");
    report_begin(&r, REPORT_LIST, o.is_json);
    for (unsigned i = 0; err == ERR_NONE && i < o.count; i++) {
        struct public_key key;
        uint8_t digest[SHA256_LEN];
        err = read_public_key(o.arguments[i], &key, why);
        if (err == ERR_NONE)
            err = signature_key_digest(&key, digest, why);
        if (err == ERR_NONE && option(&o, "output") != NULL)
            err = write_output(option(&o, "output"), bytes_of(digest, sizeof digest), 0644, why);
        if (err != ERR_NONE)
            break;
        report_title(&r, "%s", o.arguments[i]);
        report_item(&r, NULL);
        report_text(&r, "key", NULL, "%s", o.arguments[i]);
        report_text(&r, "scheme", "scheme", "%s", key_kind_text(key.kind));
        report_hex(&r, "key_digest", "key digest", bytes_of(digest, sizeof digest));
        report_end_item(&r);
    }
    if (option(&o, "output") == NULL || strcmp(option(&o, "output"), "-") != 0)
        report_end(&r);
    else
        buf_deinit(&r.text);
    return err;
}

/* --- signing ---------------------------------------------------------------------------------- */

static enum err sign_file(struct buf *file, const struct options *o, const char *key_path, bool is_first,
                          struct why *why)
{
    struct private_key *key = NULL;
    bool keeps = option(o, "append") != NULL || !is_first, replaces = option(o, "replace") != NULL && is_first;
    enum err err = open_private_key(key_path, &key, why);
    if (err == ERR_NONE && option(o, "v1") != NULL)
        err = signature_append_v1(file, key, why);
    else if (err == ERR_NONE)
        err = signature_append(file, key, replaces ? SIGNATURE_REPLACE : keeps ? SIGNATURE_KEEP : SIGNATURE_NEW, why);
    private_key_close(key);
    return err;
}

enum err command_sign_image(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"key", 'k', "FILE[,FILE...]", "Private keys as PEM; each signs once, up to three"},
        {"output", 'o', "FILE", "The signed file (default: in place; - is standard output)"},
        {"append", 'a', NULL, "Keep the signatures that the file has"},
        {"replace", 'r', NULL, "Drop the signatures that the file has"},
        {"v1", '1', NULL, "A version 1 signature (ECDSA P-256, 68 bytes behind the image)"},
        {NULL, 0, NULL, NULL},
    };
    static const struct command_line line = {
        rows, "FILE", "Sign an image, a bootloader or other data with Secure Boot v2's scheme.", 1, 1};
    struct options o;
    struct buf file = {0};
    struct report r;
    char keys[4096];
    unsigned count = 0;
    options_parse(&o, argc, argv, &line);
    const char *list = option(&o, "key");
    const char *output = option(&o, "output") ? option(&o, "output") : o.arguments[0];
    if (list == NULL)
        return why_set(why, ERR_USAGE, "give --key");
    if (strlen(list) >= sizeof keys)
        return why_set(why, ERR_USAGE, "the list of keys is too long");
    if (option(&o, "append") != NULL && option(&o, "replace") != NULL)
        return why_set(why, ERR_USAGE, "--append and --replace exclude each other");
    memcpy(keys, list, strlen(list) + 1);
    enum err err = read_file(o.arguments[0], &file, why);
    for (char *save, *key = strtok_r(keys, ",", &save); err == ERR_NONE && key; key = strtok_r(NULL, ",", &save))
        err = sign_file(&file, &o, key, count++ == 0, why);
    if (err == ERR_NONE && option(&o, "v1") != NULL && count != 1)
        err = why_set(why, ERR_USAGE, "version 1 takes one key");
    if (err == ERR_NONE)
        err = write_output(output, buf_bytes(&file), 0644, why);
    if (err == ERR_NONE) {
        struct signature_report s;
        signature_read(&s, buf_bytes(&file), file.len >= SIGNATURE_V1_LEN ? file.len - SIGNATURE_V1_LEN : 0);
        report_begin(&r, REPORT_OBJECT, o.is_json);
        report_written(&r, output, file.len);
        report_list(&r, "signatures");
        for (unsigned i = 0; i < s.count; i++) {
            report_item(&r, NULL);
            report_signature(&r, &s, i);
            report_end_item(&r);
        }
        report_end_list(&r);
        struct image_facts facts;
        if (image_read(buf_bytes(&file), 0, &facts, NULL) == ERR_NONE)
            report_chip_limits(&r, &s, facts.chip);
        report_end(&r);
    } else
        err = why_add(why, err, "sign %s", o.arguments[0]);
    buf_deinit(&file);
    return err;
}

/* --- verifying -------------------------------------------------------------------------------- */

static enum err verify_one(const char *path, const struct public_key *key, struct report *r, struct why *why)
{
    struct buf file = {0};
    struct signature_report s;
    enum err err = read_file(path, &file, why);
    if (err != ERR_NONE)
        return err;
    read_signature(&s, buf_bytes(&file));
    if (s.version == 0 && key != NULL && file.len > SIGNATURE_V1_LEN) /* data that is no image may be signed so, too */
        signature_read(&s, buf_bytes(&file), file.len - SIGNATURE_V1_LEN);
    err = signature_verify(&s, key, why);
    report_title(r, "%s", path);
    report_item(r, NULL);
    report_text(r, "file", NULL, "%s", path);
    report_bool(r, "is_verified", NULL, err == ERR_NONE);
    if (err != ERR_NONE)
        report_text(r, "reason", NULL, "%s", why_text(why, err));
    report_list(r, "signatures");
    for (unsigned i = 0; i < s.count; i++) {
        report_item(r, NULL);
        report_signature(r, &s, i);
        report_end_item(r);
    }
    report_end_list(r);
    report_end_item(r);
    if (err == ERR_NONE)
        report_verdict(r, STYLE_GREEN, key ? "signed by this key" : "signed, each signature by the key beside it");
    else
        report_verdict(r, STYLE_RED, "%s", why_text(why, err));
    buf_deinit(&file);
    return err ? why_add(why, err, "%s", path) : ERR_NONE;
}

static enum err verify_all(struct options *o, const struct public_key *key, bool is_strict, struct why *why)
{
    struct report r;
    enum err worst = ERR_NONE;
    report_begin(&r, REPORT_LIST, o->is_json);
    for (unsigned i = 0; i < o->count; i++) {
        struct why one = {{0}};
        enum err err = verify_one(o->arguments[i], key, &r, &one);
        if (err != ERR_NONE && (is_strict || err == ERR_IO)) {
            worst = err;
            *why = one;
        }
    }
    report_end(&r);
    return worst;
}

enum err command_sign_verify(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"key", 'k', "FILE", "The key that must have signed, public or private, as PEM"},
        {NULL, 0, NULL, NULL},
    };
    static const struct command_line line = {rows, "FILE...",
                                             "Verify signatures. Without --key only that the files were not changed: "
                                             "the keys inside them prove nothing about "
                                             "who signed. Exit status 65 when one does not verify.",
                                             1, ARGUMENTS_MAX};
    struct options o;
    struct public_key key;
    options_parse(&o, argc, argv, &line);
    const char *path = option(&o, "key");
    enum err err = path ? read_public_key(path, &key, why) : ERR_NONE;
    return err ? err : verify_all(&o, path ? &key : NULL, true, why);
}

enum err command_sign_info(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {{NULL, 0, NULL, NULL}};
    static const struct command_line line = {
        rows, "FILE...", "Print the signatures of files and the digests of their keys.", 1, ARGUMENTS_MAX};
    struct options o;
    options_parse(&o, argc, argv, &line);
    return verify_all(&o, NULL, false, why);
}
