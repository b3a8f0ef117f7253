/* Goal: what is uploaded is kept whole or not at all, in one piece or in several; packages; files of images; and a job
 * that gives each node the signature it wants. */
#include "bench.h"

#include <zip.h>

static void expect_code(const char *body, int code)
{
    char text[40];
    snprintf(text, sizeof text, "\"error_code\":%d,", code);
    if (strstr(body, text) == NULL)
        fail_msg("not %d: %s", code, body);
}

static int announce(struct bench *b, const char *name, const char *type, char id[64], char url[JOB_URL_SIZE])
{
    char body[4096];
    int status = CALL("GET", "/v1/admin/otaimage/upload_request", QUERY("image_name", name, "image_type", type), NULL);
    if (status == 200) {
        take_member(body, "ota_image_id", id, 64);
        take_member(body, "upload_url", url, JOB_URL_SIZE);
    }
    return status;
}

static int confirm(struct bench *b, const char *id, const char *type, char *body, size_t size)
{
    char text[200];
    snprintf(text, sizeof text, "{\"ota_image_id\":\"%s\",\"image_type\":\"%s\"}", id, type);
    return call(b, "POST", "/v1/admin/otaimage/upload_confirm", NULL, text, body, size);
}

static void an_upload_goes_on_where_it_was(void **state)
{
    struct bench *b = *state;
    char body[4096], id[64], url[JOB_URL_SIZE], offset[20];
    struct buf image = {0};
    log_in(b);
    small_image(&image, "2.0");
    assert_int_equal(announce(b, "pieces", "firmware", id, url), 200);
    assert_int_equal(follow(b, "PATCH", url, "x", body, sizeof body), 400); /* it has to say where */
    write_body(b, bytes_of(image.at, 100));
    assert_int_equal(follow_file(b, "PATCH", url, 100, "7", body, sizeof body), 409);
    expect_code(body, 190044);
    for (size_t at = 0; at < image.len; at += 100) {
        size_t len = image.len - at < 100 ? image.len - at : 100;
        snprintf(offset, sizeof offset, "%zu", at);
        write_body(b, bytes_of(image.at + at, len));
        assert_int_equal(follow_file(b, "PATCH", url, (int64_t)len, offset, body, sizeof body), 200);
        assert_int_equal(follow_file(b, "PATCH", url, (int64_t)len, "1", body, sizeof body), 409);
    }
    assert_int_equal(follow(b, "HEAD", url, NULL, body, sizeof body), 200);
    assert_int_equal(confirm(b, id, "firmware", body, sizeof body), 200);
    assert_non_null(strstr(body, "\"fw_version\":\"2.0\""));
    /* It is consumed: there is nothing to confirm again. */
    assert_int_equal(confirm(b, id, "firmware", body, sizeof body), 400);
    expect_code(body, 104032);
    buf_deinit(&image);
}

static void what_was_announced_is_held_against_the_bytes(void **state)
{
    struct bench *b = *state;
    char body[4096], id[64], url[JOB_URL_SIZE], md5[BASE64_SIZE(MD5_LEN)];
    uint8_t digest[MD5_LEN];
    struct buf image = {0};
    log_in(b);
    small_image(&image, "2.0");
    md5_of(digest, buf_bytes(&image));
    base64_encode(md5, bytes_of(digest, sizeof digest), BASE64_STANDARD);
    assert_int_equal(
        CALL("GET", "/v1/admin/otaimage/upload_request", QUERY("image_name", "sum", "md5_checksum", "AAAA"), NULL),
        400);
    expect_code(body, 104039);
    for (int is_right = 0; is_right <= 1; is_right++) {
        const char *told = is_right ? md5 : "AAAAAAAAAAAAAAAAAAAAAA==";
        assert_int_equal(
            CALL("GET", "/v1/admin/otaimage/upload_request", QUERY("image_name", "sum", "md5_checksum", told), NULL),
            200);
        take_member(body, "ota_image_id", id, sizeof id);
        take_member(body, "upload_url", url, sizeof url);
        write_body(b, buf_bytes(&image));
        assert_int_equal(follow_file(b, "PUT", url, (int64_t)image.len, NULL, body, sizeof body), 200);
        assert_int_equal(confirm(b, id, "firmware", body, sizeof body), is_right ? 200 : 400);
    }
    /* Announced anew without a sum, the one before is forgotten.  Bytes of no format are not signed. */
    assert_int_equal(announce(b, "sum", "raw", id, url), 200);
    assert_int_equal(follow(b, "PUT", url, "other bytes", body, sizeof body), 200);
    char text[200];
    snprintf(text, sizeof text, "{\"ota_image_id\":\"%s\",\"image_type\":\"raw\",\"fw_version\":\"1\",\"model\":\"m\"}",
             id);
    assert_int_equal(CALL("POST", "/v1/admin/otaimage/upload_confirm", NULL, text), 200);
    assert_int_equal(CALL("POST", "/v1/admin/key", NULL, "{\"key_name\":\"k\",\"key_spec\":\"ECC_NIST_P256\"}"), 200);
    snprintf(text, sizeof text, "{\"image_id\":\"%s\",\"key_names\":[\"k\"]}", id);
    assert_int_equal(CALL("POST", "/v1/admin/secure_sign", NULL, text), 400);
    expect_code(body, 136032);
    buf_deinit(&image);
}

static void what_is_too_large_has_a_code(void **state)
{
    struct bench *b = *state;
    char body[4096], id[64], url[JOB_URL_SIZE], path[100];
    log_in(b);
    size_t len = (5 * 1024 * 1024 + 1 + 2) / 3 * 4;
    struct buf text = {0};
    buf_add_text(&text, "{\"image_name\":\"large\",\"base64_fwimage\":\"");
    assert_true(buf_reserve(&text, len));
    memset(text.at + text.len, 'A', len);
    text.len += len;
    buf_add(&text, "\"}", 3);
    assert_int_equal(CALL("POST", "/v1/admin/otaimage", NULL, text.at), 400);
    expect_code(body, 104010);
    buf_deinit(&text);
    assert_int_equal(announce(b, "huge", "firmware", id, url), 200);
    write_body(b, bytes_of("", 0));
    snprintf(path, sizeof path, "%s/body-1", b->folder);
    assert_int_equal(truncate(path, FIRMWARE_MAX + 1), 0);
    assert_int_equal(follow_file(b, "PUT", url, FIRMWARE_MAX + 1, NULL, body, sizeof body), 200);
    assert_int_equal(confirm(b, id, "raw", body, sizeof body), 400);
    expect_code(body, 104030);
}

/* --- packages --------------------------------------------------------------------------------- */

struct entry {
    const char *name, *text; /* text NULL: a small image */
};

static void zip_it(struct bench *b, const struct entry *entries, struct buf *image)
{
    char path[100];
    int reason = 0;
    snprintf(path, sizeof path, "%s/body-1", b->folder);
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &reason);
    assert_non_null(zip);
    for (; entries->name != NULL; entries++) {
        size_t len = entries->text ? strlen(entries->text) : image->len;
        zip_source_t *source = zip_source_buffer(zip, entries->text ? entries->text : image->at, len, 0);
        assert_true(zip_file_add(zip, entries->name, source, ZIP_FL_ENC_UTF_8) >= 0);
    }
    assert_int_equal(zip_close(zip), 0);
}

static void a_package_is_an_image_and_its_files(void **state)
{
    struct bench *b = *state;
    char body[8192], id[64], url[JOB_URL_SIZE], text[300], signed_id[64];
    struct buf image = {0};
    const struct entry good[] = {
        {"build/blinky.bin", NULL}, {"bootloader.bin", NULL}, {"notes/read me.txt", "new"}, {NULL, NULL}};
    log_in(b);
    small_image(&image, "2.0");
    assert_int_equal(CALL("GET", "/v1/admin/otaimage/upload_request",
                          QUERY("image_name", "no-version", "image_type", "package"), NULL),
                     400);
    expect_code(body, 112000);
    const struct {
        const char *name;
        struct entry entries[4];
        int code;
    } bad[] = {
        {"blinky_1", {{"other.bin", NULL}}, 112004},
        {"blinky_2", {{"blinky.bin", NULL}, {"b/blinky.bin", NULL}}, 112004},
        {"blinky_3", {{"blinky.bin", "no image"}}, 104003},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(announce(b, bad[i].name, "package", id, url), 200);
        zip_it(b, bad[i].entries, &image);
        assert_int_equal(follow_file(b, "PUT", url, 1, NULL, body, sizeof body), 200);
        assert_int_equal(confirm(b, id, "package", body, sizeof body), 400);
        expect_code(body, bad[i].code);
    }
    /* What unpacks to too much is not unpacked. */
    struct buf zeros = {0};
    assert_true(buf_reserve(&zeros, FIRMWARE_MAX + 1));
    memset(zeros.at, 0, FIRMWARE_MAX + 1);
    zeros.len = FIRMWARE_MAX + 1;
    assert_int_equal(announce(b, "blinky_5", "package", id, url), 200);
    zip_it(b, (const struct entry[]){{"blinky.bin", NULL}, {NULL, NULL}}, &zeros);
    buf_deinit(&zeros);
    assert_int_equal(follow_file(b, "PUT", url, 1, NULL, body, sizeof body), 200);
    assert_int_equal(confirm(b, id, "package", body, sizeof body), 400);
    expect_code(body, 112014);
    assert_int_equal(announce(b, "blinky_4", "package", id, url), 200);
    assert_int_equal(follow(b, "PUT", url, "no zip", body, sizeof body), 200);
    assert_int_equal(confirm(b, id, "package", body, sizeof body), 400);
    expect_code(body, 112013);
    assert_int_equal(announce(b, "blinky_2.0", "package", id, url), 200);
    zip_it(b, good, &image);
    assert_int_equal(follow_file(b, "PUT", url, 1, NULL, body, sizeof body), 200);
    assert_int_equal(confirm(b, id, "package", body, sizeof body), 200);
    assert_int_equal(CALL("GET", "/v1/admin/file", QUERY("entity_id", id), NULL), 200);
    assert_non_null(strstr(body, "\"file_name\":\"bootloader.bin\",\"file_type\":\"bootloader\""));
    assert_non_null(strstr(body, "\"file_name\":\"read me.txt\",\"file_type\":\"package\""));
    /* Its boot loader is signed with it. */
    assert_int_equal(CALL("POST", "/v1/admin/key", NULL, "{\"key_name\":\"k\",\"key_spec\":\"ECC_NIST_P256\"}"), 200);
    snprintf(text, sizeof text, "{\"image_id\":\"%s\",\"key_names\":[\"k\"],\"sign_boot_loader\":true}", id);
    assert_int_equal(CALL("POST", "/v1/admin/secure_sign", NULL, text), 200);
    assert_non_null(strstr(body, "\"signed_bootloader_url\":\"https://h:8443/v1/files/"));
    take_member(body, "ota_image_id", signed_id, sizeof signed_id);
    assert_int_equal(CALL("GET", "/v1/admin/secure_sign/signed_images", QUERY("key_name", "k"), NULL), 200);
    assert_non_null(strstr(body, signed_id));
    assert_non_null(strstr(body, "SECURELY_SIGNED_BOOTLOADER"));
    assert_int_equal(CALL("GET", "/v1/admin/secure_sign/signing_keys", QUERY("image_id", id), NULL), 200);
    assert_non_null(strstr(body, "\"key_name\":\"k\""));
    /* What belongs to an image goes with it. */
    assert_int_equal(CALL("DELETE", "/v1/admin/otaimage", QUERY("ota_image_id", id), NULL), 200);
    assert_int_equal(CALL("GET", "/v1/admin/file", QUERY("entity_id", id), NULL), 200);
    assert_string_equal(body, "{\"file_details\":[]}");
    buf_deinit(&image);
}

static void the_older_form_of_packages(void **state)
{
    struct bench *b = *state;
    char body[4096], url[JOB_URL_SIZE], name[200] = "";
    struct buf image = {0};
    const struct entry good[] = {{"blinky.bin", NULL}, {NULL, NULL}};
    log_in(b);
    small_image(&image, "2.0");
    assert_int_equal(CALL("GET", "/v1/admin/otaimage/package/upload", QUERY("file_name", "blinky_1.tar"), NULL), 400);
    expect_code(body, 112013);
    memset(name, 'x', 130);
    strcat(name, "_1.zip");
    assert_int_equal(CALL("GET", "/v1/admin/otaimage/package/upload", QUERY("file_name", name), NULL), 400);
    expect_code(body, 112001);
    assert_int_equal(CALL("GET", "/v1/admin/otaimage/package/upload", QUERY("file_name", "blinky_2.0.zip"), NULL), 200);
    take_member(body, "url", url, sizeof url);
    zip_it(b, good, &image);
    assert_int_equal(follow_file(b, "PUT", url, 1, NULL, body, sizeof body), 200);
    assert_int_equal(CALL("POST", "/v1/admin/otaimage/package", NULL,
                          "{\"image_name\":\"blinky_2.0\",\"type\":\"t\",\"file_path\":\"up/blinky_2.0.zip\"}"),
                     200);
    buf_deinit(&image);
}

/* --- files ------------------------------------------------------------------------------------ */

static void files_belong_to_images(void **state)
{
    struct bench *b = *state;
    char body[8192], image[64], id[64], url[JOB_URL_SIZE], text[200];
    log_in(b);
    char *good = image_body("fw", "2.0", false);
    assert_int_equal(CALL("POST", "/v1/admin/otaimage", NULL, good), 200);
    take_member(body, "ota_image_id", image, sizeof image);
    free(good);
    assert_int_equal(CALL("GET", "/v1/admin/file/upload_request", QUERY("file_name", "a", "entity_id", "none"), NULL),
                     400);
    expect_code(body, 104015);
    assert_int_equal(
        CALL("GET", "/v1/admin/file/upload_request", QUERY("file_name", "qa.txt", "entity_id", image), NULL), 200);
    take_member(body, "file_id", id, sizeof id);
    take_member(body, "upload_url", url, sizeof url);
    snprintf(text, sizeof text, "{\"file_id\":\"%s\",\"file_type\":\"qa_report\",\"metatdata\":{\"by\":1}}", id);
    assert_int_equal(CALL("POST", "/v1/admin/file/upload_confirm", NULL, text), 400);
    expect_code(body, 104032);
    assert_int_equal(follow(b, "PUT", url, "all good", body, sizeof body), 200);
    assert_int_equal(CALL("POST", "/v1/admin/file/upload_confirm", NULL, text), 200);
    assert_int_equal(CALL("POST", "/v1/admin/file/upload_confirm", NULL, text), 400); /* once */
    assert_int_equal(follow(b, "PUT", url, "others", body, sizeof body), 400);        /* it is what it is */
    assert_int_equal(CALL("GET", "/v1/admin/file", QUERY("file_type", "qa_report"), NULL), 200);
    assert_non_null(strstr(body, "\"metadata\":{\"by\":1}"));
    assert_non_null(strstr(body, "\"file_size\":8"));
    assert_int_equal(CALL("DELETE", "/v1/admin/file", QUERY("file_id", id), NULL), 200);
    assert_int_equal(CALL("GET", "/v1/admin/file", QUERY("file_id", id), NULL), 404);
}

/* --- a key for each node ---------------------------------------------------------------------- */

static void node_with_key(struct bench *b, const char *id, const char *digest)
{
    struct node node;
    struct fleet_store *tx;
    assert_int_equal(fleet_node_add(&b->r->fleet, id, b->r->now, &node, NULL), ERR_NONE);
    assert_int_equal(b->r->fleet.store->ops->begin(b->r->fleet.store, false, &tx, NULL), ERR_NONE);
    text_copy(node.key_digests, sizeof node.key_digests, digest);
    text_copy(node.fw_version, sizeof node.fw_version, "1.0");
    assert_int_equal(tx->ops->node_put(tx, &node, NULL), ERR_NONE);
    assert_int_equal(tx->ops->commit(tx, NULL), ERR_NONE);
}

static void each_node_gets_the_signature_it_wants(void **state)
{
    static const char *const nodes[] = {"one", "two", "none"};
    struct bench *b = *state;
    char body[8192], image[64], text[300], digests[2][80];
    log_in(b);
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "{\"key_name\":\"k%d\",\"key_spec\":\"ECC_NIST_P256\"}", i);
        assert_int_equal(CALL("POST", "/v1/admin/key", NULL, text), 200);
        take_member(body, "public_key_digest", digests[i], sizeof digests[i]);
        node_with_key(b, nodes[i], digests[i]);
    }
    node_with_key(b, "none", "");
    char *good = image_body("fw", "2.0", false);
    assert_int_equal(CALL("POST", "/v1/admin/otaimage", NULL, good), 200);
    take_member(body, "ota_image_id", image, sizeof image);
    free(good);
    snprintf(text, sizeof text,
             "{\"ota_job_name\":\"auto\",\"ota_image_id\":\"%s\",\"nodes\":[\"one\",\"two\",\"none\"],"
             "\"secure_boot\":{\"auto_select_key\":true}}",
             image);
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL, text), 200);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rig_fetch(b->r, nodes[i], "1.0"), ERR_NONE);
    static struct outgoing out[32];
    unsigned count;
    assert_int_equal(fleet_outbox_list(&b->r->fleet, 0, out, 32, &count, NULL), ERR_NONE);
    assert_int_equal(count, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_false(out[i].is_stale);
        if (i < 2)
            assert_string_equal(out[i].image.signed_by, digests[i]);
        else
            assert_string_equal(out[i].image.id, image);
        struct image streamed;
        assert_int_equal(fleet_stream_image(&b->r->fleet, nodes[i], out[i].row.job_id, b->r->now, &streamed, NULL),
                         ERR_NONE);
        assert_string_equal(streamed.id, out[i].image.id);
    }
    /* What the job gives may not be taken from under it. */
    assert_int_equal(CALL("DELETE", "/v1/admin/otaimage", QUERY("ota_image_id", out[0].image.id), NULL), 400);
    expect_code(body, 104020);
    snprintf(text, sizeof text, "{\"ota_job_id\":\"%s\"}", out[0].row.job_id);
    assert_int_equal(CALL("PUT", "/v1/admin/otajob", NULL, text), 200);
    assert_int_equal(CALL("DELETE", "/v1/admin/otaimage", QUERY("ota_image_id", out[0].image.id), NULL), 400);
    expect_code(body, 104016);
    assert_int_equal(
        CALL("DELETE", "/v1/admin/otaimage", QUERY("ota_image_id", out[0].image.id, "force_delete", "true"), NULL),
        200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_upload_goes_on_where_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_announced_is_held_against_the_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_too_large_has_a_code, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_package_is_an_image_and_its_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_older_form_of_packages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_belong_to_images, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_node_gets_the_signature_it_wants, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
