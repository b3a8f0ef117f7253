/* Goal: who is who, who may what, whose node is whose, and what is remembered of it all. */
#include "bench.h"

#include "crypto/key.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

struct counted_gate {
    struct rest_gate port;
    int changes;
};

static int log_in_as(struct bench *b, const char *name, const char *password)
{
    char body[8192], text[300];
    b->token[0] = '\0';
    snprintf(text, sizeof text, "{\"user_name\":\"%s\",\"password\":\"%s\"}", name, password);
    int status = CALL("POST", "/v1/login2", NULL, text);
    if (status == 200)
        take_member(body, "accesstoken", b->token, sizeof b->token);
    return status;
}

static void make_user(struct bench *b, const char *name, const char *role)
{
    char body[4096], text[300];
    log_in(b);
    snprintf(text, sizeof text, "{\"user_name\":\"%s\",\"password\":\"Passw0rd\",\"role\":\"%s\"}", name, role);
    assert_int_equal(CALL("POST", "/v1/admin/users", NULL, text), 200);
}

static void make_user_id(struct bench *b, const char *name, char id[ID_LEN + 1])
{
    struct user u;
    assert_int_equal(fleet_user_get(&b->r->fleet, name, &u, NULL), ERR_NONE);
    text_copy(id, ID_LEN + 1, u.id);
}

/* --- accounts --------------------------------------------------------------------------------- */

struct letters {
    struct rest_mail port;
    char to[100], text[500];
};

static void keep_letter(struct rest_mail *mail, const char *to, const char *subject, const char *text)
{
    struct letters *l = (struct letters *)mail;
    (void)subject;
    snprintf(l->to, sizeof l->to, "%s", to);
    snprintf(l->text, sizeof l->text, "%s", text);
}

static void code_of(const struct letters *l, char code[CODE_SIZE])
{
    const char *at = strstr(l->text, " is ");
    assert_non_null(at);
    text_copy_field(code, CODE_SIZE, at + 4, CODE_SIZE - 1);
}

static void a_stranger_becomes_an_end_user(void **state)
{
    struct bench *b = *state;
    struct letters mail = {.port = {keep_letter}};
    char body[4096], code[CODE_SIZE], text[300];
    static const char sign_up[] = "{\"user_name\":\"ann@x.org\",\"password\":\"Passw0rd\"}";
    b->rest.mail = &mail.port;
    assert_int_equal(CALL("POST", "/v1/user2", NULL, sign_up), 403); /* closed unless it was opened */
    b->rest.may_sign_up = true;
    static const struct {
        const char *body;
        int code;
    } bad[] = {
        {"{\"password\":\"Passw0rd\"}", 101001},
        {"{\"user_name\":\"ann\",\"password\":\"Passw0rd\"}", 101002},
        {"{\"user_name\":\"a b@x\",\"password\":\"Passw0rd\"}", 101002},
        {"{\"user_name\":\"ann@x.org\"}", 101003},
        {"{\"user_name\":\"ann@x.org\",\"password\":\"password\"}", 101004},
        {"{\"user_name\":\"ann@x.org\",\"password\":\"Sh0rt\"}", 101004},
        {"{\"user_name\":\"admin@h\",\"password\":\"Passw0rd\"}", 101006},
        {"{\"user_name\":\"admin@h\",\"verification_code\":\"123456\"}", 101011},
        {"{\"user_name\":\"nobody@x\",\"verification_code\":\"123456\"}", 101012},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "\"error_code\":%d,", bad[i].code);
        assert_int_equal(CALL("POST", "/v1/user2", NULL, bad[i].body), 400);
        assert_non_null(strstr(body, text));
    }
    assert_int_equal(CALL("POST", "/v1/user2", NULL, sign_up), 201);
    assert_string_equal(mail.to, "ann@x.org");
    code_of(&mail, code);
    assert_int_equal(log_in_as(b, "ann@x.org", "Passw0rd"), 400); /* 101015: not verified */
    snprintf(text, sizeof text, "{\"user_name\":\"ann@x.org\",\"verification_code\":\"%s\"}", code);
    assert_int_equal(CALL("POST", "/v1/user2", NULL, text), 201);
    assert_int_equal(log_in_as(b, "ann@x.org", "Passw0rd"), 200);
    assert_int_equal(CALL("GET", "/v1/user", NULL, NULL), 200);
    assert_non_null(strstr(body, "\"role\":\"user\""));
    assert_null(strstr(body, "super_admin"));
    /* A forgotten password; the answer is the same for nobody. */
    assert_int_equal(CALL("PUT", "/v1/forgotpassword2", NULL,
                          "{\"user_name\":\"bob@x\",\"password\":null,\"verification_code\":null}"),
                     200);
    mail.text[0] = '\0';
    assert_int_equal(CALL("PUT", "/v1/forgotpassword2", NULL,
                          "{\"user_name\":\"ann@x.org\",\"password\":null,\"verification_code\":null}"),
                     200);
    code_of(&mail, code);
    snprintf(text, sizeof text,
             "{\"user_name\":\"ann@x.org\",\"password\":\"N3wPassword\",\"verification_code\":\"%s\"}", code);
    assert_int_equal(CALL("PUT", "/v1/forgotpassword2", NULL, text), 200);
    assert_int_equal(CALL("PUT", "/v1/forgotpassword2", NULL, text), 400); /* once */
    assert_int_equal(log_in_as(b, "ann@x.org", "Passw0rd"), 400);
    assert_int_equal(log_in_as(b, "ann@x.org", "N3wPassword"), 200);
    assert_int_equal(CALL("PUT", "/v1/password2", NULL, "{\"password\":\"bad\",\"newpassword\":\"Passw0rd\"}"), 400);
    assert_int_equal(CALL("PUT", "/v1/password2", NULL, "{\"password\":\"N3wPassword\",\"newpassword\":\"Passw0rd\"}"),
                     200);
    assert_int_equal(log_in_as(b, "ann@x.org", "Passw0rd"), 200);
    assert_int_equal(CALL("DELETE", "/v1/user2", QUERY("request", "true"), NULL), 200);
    code_of(&mail, code);
    assert_int_equal(CALL("DELETE", "/v1/user2", QUERY("verification_code", "000000x"), NULL), 400);
    assert_int_equal(CALL("DELETE", "/v1/user2", QUERY("verification_code", code), NULL), 200);
    assert_int_equal(CALL("GET", "/v1/user", NULL, NULL), 401);
    assert_int_equal(log_in_as(b, "ann@x.org", "Passw0rd"), 400);
}

static void who_guesses_codes_waits(void **state)
{
    struct bench *b = *state;
    struct letters mail = {.port = {keep_letter}};
    char body[4096], text[200], code[CODE_SIZE];
    b->rest.mail = &mail.port;
    b->rest.may_sign_up = true;
    assert_int_equal(CALL("POST", "/v1/user2", NULL, "{\"user_name\":\"ann@x.org\",\"password\":\"Passw0rd\"}"), 201);
    code_of(&mail, code);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(
            CALL("POST", "/v1/user2", NULL, "{\"user_name\":\"ann@x.org\",\"verification_code\":\"12345x\"}"), 400);
        assert_non_null(strstr(body, "101012"));
    }
    snprintf(text, sizeof text, "{\"user_name\":\"ann@x.org\",\"verification_code\":\"%s\"}", code);
    assert_int_equal(CALL("POST", "/v1/user2", NULL, text), 400); /* even the right one */
    assert_non_null(strstr(body, "101057"));
    b->r->now += 61000;
    assert_int_equal(CALL("POST", "/v1/user2", NULL, text), 201);
    assert_int_equal(CALL("POST", "/v1/login2", NULL, "{\"refreshtoken\":\"none\"}"), 400);
    assert_non_null(strstr(body, "101017"));
}

/* --- organisations ---------------------------------------------------------------------------- */

struct house {
    char node[16], image[64], job[64], group[64], user[ID_LEN + 1], token[64];
};

static void make_house(struct bench *b, struct house *h)
{
    char body[16384], text[400];
    log_in(b);
    strcpy(h->node, "house-node");
    rig_node(b->r, h->node, "1.0");
    char *image = image_body("house-image", "2.0", false);
    assert_int_equal(CALL("POST", "/v1/admin/otaimage", NULL, image), 200);
    free(image);
    take_member(body, "ota_image_id", h->image, sizeof h->image);
    snprintf(text, sizeof text, "{\"group_name\":\"house-group\",\"nodes\":[\"%s\"]}", h->node);
    assert_int_equal(CALL("POST", "/v1/admin/node_group", NULL, text), 200);
    take_member(body, "group_id", h->group, sizeof h->group);
    snprintf(text, sizeof text, "{\"ota_job_name\":\"house-job\",\"ota_image_id\":\"%s\",\"groups\":[\"%s\"]}",
             h->image, h->group);
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL, text), 200);
    take_member(body, "ota_job_id", h->job, sizeof h->job);
    assert_int_equal(CALL("POST", "/v1/admin/key", NULL, "{\"key_name\":\"house-key\",\"key_spec\":\"ECC_NIST_P256\"}"),
                     200);
    make_user(b, "house-user", "operator");
    make_user_id(b, "house-user", h->user);
}

/* What the house sees of itself. */
static void snapshot(struct bench *b, struct buf *to)
{
    static const char *const paths[] = {"/v1/admin/nodes",      "/v1/admin/otaimage", "/v1/admin/otajob",
                                        "/v1/admin/node_group", "/v1/admin/key",      "/v1/admin/users",
                                        "/v1/admin/file"};
    char body[65536];
    log_in(b);
    to->len = 0;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(CALL("GET", paths[i], QUERY("all", "true"), NULL), 200);
        buf_addf(to, "%s\n", body);
    }
    buf_add(to, "", 1);
}

static bool shows(const char *body, const struct house *h)
{
    const char *const secrets[] = {h->node, h->image, h->job, h->group, h->user, "house-"};
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        if (strstr(body, secrets[i]) != NULL)
            return true;
    return false;
}

/* Each route, asked for everything that belongs to the house at once. */
static void try_all_routes(struct bench *b, const struct house *h)
{
    static const char *const own[] = {"/v1/user2", "/v1/logout2", "/v1/password2"};
    static char body[1 << 20];
    size_t count;
    const struct rest_route *routes = rest_routes(&count);
    char json[2000];
    snprintf(
        json, sizeof json,
        "{\"node_id\":\"%s\",\"nodes\":[\"%s\"],\"node_ids\":[\"%s\"],\"ota_image_id\":\"%s\",\"image_id\":\"%s\","
        "\"ota_job_id\":\"%s\",\"group_id\":\"%s\",\"groups\":[\"%s\"],\"parent_group_id\":\"%s\",\"group_name\":\"g\","
        "\"key_names\":[\"house-key\"],\"key_name\":\"k\",\"key_spec\":\"ECC_NIST_P256\",\"user_name\":"
        "\"house-user\",\"role\":\"viewer\",\"roles\":[\"viewer\"],\"password\":\"Passw0rd\",\"disabled\":true,"
        "\"tags\":[\"a:b\"],"
        "\"operation\":\"add\",\"cmd\":1,\"payload\":{},\"ota_job_name\":\"j\",\"query\":\"everyone\",\"priority\":2}",
        h->node, h->node, h->node, h->image, h->image, h->job, h->group, h->group, h->group);
    for (size_t i = 0; i < count; i++) {
        char path[200];
        bool is_own = routes[i].auth != REST_TOKEN;
        for (size_t k = 0; k < sizeof own / sizeof own[0]; k++)
            is_own |= strcmp(routes[i].path, own[k]) == 0 && strcmp(routes[i].method, "GET") != 0;
        if (is_own)
            continue;
        const char *star = strchr(routes[i].path, '*');
        if (star == NULL)
            snprintf(path, sizeof path, "%s", routes[i].path);
        else
            snprintf(path, sizeof path, "/v1/admin/users/%s/nodes/%s/mapping", h->user, h->node);
        for (int is_named = 0; is_named <= 1; is_named++) {
            struct fake f = {
                .q = {.method = routes[i].method, .path = path, .listener = REST_PUBLIC, .body = bytes_of_text(json)},
                .query = {"node_id",   h->node,    "nodeid",    h->node,    "ota_job_id", h->job,      "ota_image_id",
                          h->image,    "group_id", h->group,    "key_name", "house-key",  "user_name", "house-user",
                          "user_id",   h->user,    "entity_id", h->image,   "image_id",   h->image,    "nodes",
                          h->node,     "groups",   h->group,    "archive",  "true",       "activate",  "false",
                          "operation", "add",      "file_name", "f"}};
            if (!is_named)
                f.query[0] = NULL;
            int status = ask(b, &f, body, sizeof body);
            /* Stories of refusal, and the audit log of what they tried themselves, repeat what was asked for. */
            bool repeats = status >= 400 || strcmp(routes[i].path, "/v1/admin/audit") == 0;
            if (!repeats && shows(body, h))
                fail_msg("%s %s answers %d: %.500s", routes[i].method, path, status, body);
            assert_true(status < 500);
        }
    }
}

static void organisations_do_not_see_each_other(void **state)
{
    static const char *const roles[] = {"viewer", "operator", "admin"};
    struct bench *b = *state;
    struct house h;
    struct buf before = {0}, after = {0};
    char body[8192], org[64], text[300], name[40];
    make_house(b, &h);
    log_in(b);
    assert_int_equal(CALL("POST", "/v1/admin/organisations", NULL, "{\"name\":\"Others\"}"), 200);
    take_member(body, "organisation_id", org, sizeof org);
    assert_int_equal(CALL("POST", "/v1/admin/organisations", NULL, "{\"name\":\"Others\"}"), 400);
    b->org = org;
    for (size_t i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "{\"user_name\":\"other-%s\",\"password\":\"Passw0rd\",\"role\":\"%s\"}", roles[i],
                 roles[i]);
        assert_int_equal(CALL("POST", "/v1/admin/users", NULL, text), 200);
    }
    assert_int_equal(CALL("POST", "/v1/admin/users", NULL,
                          "{\"user_name\":\"x\",\"password\":\"Passw0rd\",\"role\":\"super_admin\"}"),
                     403);
    assert_int_equal(CALL("POST", "/v1/admin/users", NULL,
                          "{\"user_name\":\"house-user\",\"password\":\"Passw0rd\",\"role\":\"viewer\"}"),
                     400); /* names are unique everywhere: people log in with them */
    b->org = NULL;
    snapshot(b, &before);
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "other-%s", roles[i]);
        assert_int_equal(log_in_as(b, name, "Passw0rd"), 200);
        try_all_routes(b, &h);
    }
    snapshot(b, &after);
    assert_string_equal(before.at, after.at);
    /* What the others make is theirs, under names that the house has too. */
    assert_int_equal(log_in_as(b, "other-admin", "Passw0rd"), 200);
    b->org = "";
    assert_int_equal(CALL("GET", "/v1/admin/nodes", NULL, NULL), 200);
    b->org = "org-elsewhere";
    assert_int_equal(CALL("GET", "/v1/admin/nodes", NULL, NULL), 403);
    b->org = NULL;
    assert_int_equal(CALL("POST", "/v1/admin/nodes", NULL, "{\"node_id\":\"house-node\"}"), 400); /* ids are unique */
    assert_int_equal(CALL("POST", "/v1/admin/nodes", NULL, "{\"node_id\":\"other-node\"}"), 200);
    char *image = image_body("house-image", "3.0", false);
    assert_int_equal(CALL("POST", "/v1/admin/otaimage", NULL, image), 200);
    take_member(body, "ota_image_id", name, sizeof name);
    free(image);
    snprintf(text, sizeof text, "{\"ota_job_name\":\"house-job\",\"ota_image_id\":\"%s\",\"groups\":[\"FFFF-FFFF\"]}",
             name);
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL, text), 200);
    take_member(body, "ota_job_id", name, sizeof name);
    rig_config(b->r, "other-node", "1.0");
    assert_int_equal(rig_fetch(b->r, "other-node", "1.0"), ERR_NONE);
    assert_int_equal(rig_fetch(b->r, h.node, "1.0"), ERR_NONE);
    assert_int_equal(rig_execution(b->r, name, "other-node").state, EX_OFFERED);
    struct execution e;
    assert_int_not_equal(fleet_execution(&b->r->fleet, name, h.node, b->r->now, &e, NULL),
                         ERR_NONE); /* everyone is everyone of theirs */
    assert_int_equal(CALL("GET", "/v1/admin/audit", NULL, NULL), 200);
    assert_non_null(strstr(body, "other-admin"));
    assert_null(strstr(body, "house-"
                             "group"));
    log_in(b);
    assert_int_equal(CALL("GET", "/v1/admin/nodes", NULL, NULL), 200);
    assert_null(strstr(body, "other-node"));
    b->org = org;
    assert_int_equal(CALL("GET", "/v1/admin/nodes", NULL, NULL), 200);
    assert_non_null(strstr(body, "other-node"));
    b->org = NULL;
    assert_int_equal(CALL("DELETE", "/v1/admin/organisations", QUERY("organisation_id", org), NULL), 400);
    assert_non_null(strstr(body, "still has nodes images jobs users keys"));
    buf_deinit(&before);
    buf_deinit(&after);
}

/* The user's overview, as it is counted beside: the answer before is old. */
static void counts_afterwards(struct bench *b, const char *user, const char *nodes)
{
    char body[8192];
    assert_int_equal(log_in_as(b, user, "Passw0rd"), 200);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(CALL("GET", "/v1/admin/overview", NULL, NULL), 200);
        assert_non_null(strstr(body, nodes));
        for (size_t k = 0; k < REST_TALLIES; k++) {
            struct rest_tally *one = &b->rest.tallies->at[k];
            one->until = one->until > 0 ? one->counted_at + 10000 : 0; /* as if it had taken half a second */
        }
        b->r->now += 11000;
    }
    rest_afterwards(&b->rest, b->r->now);
    assert_int_equal(CALL("GET", "/v1/admin/overview", NULL, NULL), 200);
    assert_non_null(strstr(body, nodes));
    assert_false(atomic_load(&b->rest.tallies->has_wanted));
}

static void counts_made_beside_are_of_the_same_nodes(void **state)
{
    struct bench *b = *state;
    struct rest_tallies *tallies = keep_tallies(b);
    char body[8192], org[64];
    log_in(b);
    rig_node(b->r, "n1", "1.0");
    rig_node(b->r, "n2", "1.0");
    rig_node(b->r, "n3", "1.0");
    assert_int_equal(CALL("PUT", "/v1/admin/nodes", QUERY("node_id", "n1"), "{\"tags\":[\"site:rome\"]}"), 200);
    assert_int_equal(CALL("POST", "/v1/admin/organisations", NULL, "{\"name\":\"Others\"}"), 200);
    take_member(body, "organisation_id", org, sizeof org);
    assert_int_equal(
        CALL("POST", "/v1/admin/users", NULL, "{\"user_name\":\"all\",\"password\":\"Passw0rd\",\"role\":\"viewer\"}"),
        200);
    assert_int_equal(CALL("POST", "/v1/admin/users", NULL,
                          "{\"user_name\":\"rome\",\"password\":\"Passw0rd\",\"role\":\"viewer\",\"scope\":\"tag = "
                          "'site:rome'\"}"),
                     200);
    b->org = org;
    assert_int_equal(CALL("POST", "/v1/admin/nodes", NULL, "{\"node_id\":\"o1\"}"), 200);
    assert_int_equal(CALL("POST", "/v1/admin/nodes", NULL, "{\"node_id\":\"o2\"}"), 200);
    assert_int_equal(CALL("POST", "/v1/admin/users", NULL,
                          "{\"user_name\":\"other\",\"password\":\"Passw0rd\",\"role\":\"viewer\"}"),
                     200);
    b->org = NULL;
    counts_afterwards(b, "all", "\"nodes\":3,\"online\"");
    counts_afterwards(b, "rome", "\"nodes\":1,\"online\"");
    counts_afterwards(b, "other", "\"nodes\":2,\"online\"");
    free(tallies);
}

static void a_scope_is_some_of_the_nodes(void **state)
{
    struct bench *b = *state;
    char body[8192], image[64], job[64], wide[64], text[400];
    log_in(b);
    rig_node(b->r, "n1", "1.0");
    rig_node(b->r, "n2", "1.0");
    assert_int_equal(CALL("PUT", "/v1/admin/nodes", QUERY("node_id", "n1"), "{\"tags\":[\"site:rome\"]}"), 200);
    char *posted = image_body("fw", "2.0", false);
    assert_int_equal(CALL("POST", "/v1/admin/otaimage", NULL, posted), 200);
    free(posted);
    take_member(body, "ota_image_id", image, sizeof image);
    snprintf(text, sizeof text, "{\"ota_job_name\":\"wide\",\"ota_image_id\":\"%s\",\"nodes\":[\"n1\",\"n2\"]}", image);
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL, text), 200);
    take_member(body, "ota_job_id", wide, sizeof wide);
    assert_int_equal(rig_fetch(b->r, "n2", "1.0"), ERR_NONE); /* there is something to hide */
    assert_int_equal(CALL("POST", "/v1/admin/node_group", NULL, "{\"group_name\":\"both\",\"nodes\":[\"n1\",\"n2\"]}"),
                     200);
    assert_int_equal(
        CALL("POST", "/v1/admin/users", NULL,
             "{\"user_name\":\"rome\",\"password\":\"Passw0rd\",\"role\":\"operator\",\"scope\":\"tag =\"}"),
        400);
    assert_int_equal(CALL("POST", "/v1/admin/users", NULL,
                          "{\"user_name\":\"rome\",\"password\":\"Passw0rd\",\"role\":\"admin\",\"scope\":\"online\"}"),
                     400);
    assert_int_equal(CALL("POST", "/v1/admin/users", NULL,
                          "{\"user_name\":\"rome2\",\"password\":\"Passw0rd\",\"role\":\"operator\",\"scope\":\"tag = "
                          "'site:rome'\"}"),
                     200);
    assert_int_equal(log_in_as(b, "rome2", "Passw0rd"), 200);
    assert_int_equal(CALL("GET", "/v1/admin/nodes", NULL, NULL), 200);
    assert_non_null(strstr(body, "\"nodes\":[\"n1\"]"));
    assert_int_equal(CALL("GET", "/v1/admin/nodes", QUERY("node_id", "n2"), NULL), 404);
    assert_int_equal(CALL("PUT", "/v1/user/nodes/params", QUERY("nodeid", "n2"), "{\"L\":{\"P\":1}}"), 404);
    assert_int_equal(CALL("POST", "/v1/admin/node_group", NULL, "{\"group_name\":\"g\"}"), 403);
    assert_int_equal(CALL("GET", "/v1/admin/node_group", QUERY("group_name", "both"), NULL), 200);
    assert_non_null(strstr(body, "\"nodes\":[\"n1\"]"));
    /* A job that others started for more nodes is shown, as far as it goes; it is not theirs to change. */
    assert_int_equal(CALL("GET", "/v1/admin/otajob/status", QUERY("ota_job_id", wide), NULL), 200);
    assert_non_null(strstr(body, "\"n1\""));
    assert_null(strstr(body, "\"n2\""));
    assert_int_equal(CALL("GET", "/v1/admin/otajob/status", QUERY("ota_job_id", wide, "node_id", "n1"), NULL), 200);
    assert_int_equal(CALL("GET", "/v1/admin/otajob/status", QUERY("ota_job_id", wide, "node_id", "n2"), NULL), 400);
    assert_null(strstr(body, "state"));
    assert_true(CALL("GET", "/v1/admin/otajob/timeline", QUERY("ota_job_id", wide, "node_id", "n2"), NULL) >= 400);
    snprintf(text, sizeof text, "{\"ota_job_id\":\"%s\"}", wide);
    assert_int_equal(CALL("PUT", "/v1/admin/otajob", NULL, text), 403);
    /* A job of theirs for everyone is for the nodes that they look after. */
    snprintf(text, sizeof text,
             "{\"ota_job_name\":\"mine\",\"ota_image_id\":\"%s\",\"groups\":[\"FFFF-FFFF\"],\"priority\":1}", image);
    assert_int_equal(CALL("POST", "/v1/admin/otajob/audience", NULL, text), 200);
    assert_non_null(strstr(body, "\"total\":1,"));
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL, text), 200);
    take_member(body, "ota_job_id", job, sizeof job);
    assert_int_equal(rig_fetch(b->r, "n1", "1.0"), ERR_NONE);
    assert_int_equal(rig_fetch(b->r, "n2", "1.0"), ERR_NONE);
    assert_int_equal(rig_execution(b->r, job, "n1").state, EX_OFFERED);
    assert_int_equal(rig_execution(b->r, wide, "n2").state, EX_OFFERED);
    assert_int_equal(CALL("GET", "/v1/admin/otajob/why", QUERY("ota_job_id", job, "node_id", "n2"), NULL), 404);
    snprintf(text, sizeof text, "{\"ota_job_id\":\"%s\"}", job);
    assert_int_equal(CALL("PUT", "/v1/admin/otajob", NULL, text), 200);
    /* Events, too. */
    struct fleet_view view;
    struct buf stream = {0};
    int64_t after = 0;
    assert_int_equal(fleet_view_init(&view, "", "tag = 'site:rome'", b->r->now, NULL), ERR_NONE);
    assert_int_equal(rest_stream(&b->rest, &view, &after, &stream, NULL), ERR_NONE);
    buf_add(&stream, "", 1);
    assert_non_null(strstr(stream.at, "\"n1\""));
    assert_null(strstr(stream.at, "\"n2\""));
    buf_deinit(&stream);
}

/* What nobody comes back for goes, what is young stays. */
static void old_requests_go(void **state)
{
    struct bench *b = *state;
    char body[8192], old[64], young[64], asked[64], command[64];
    time_ms next;
    make_user(b, "bo@x.org", "user");
    log_in(b);
    rig_node(b->r, "n1", "1.0");
    char me[ID_LEN + 1];
    make_user_id(b, "admin@h", me);
    fleet_user_node(&b->r->fleet, me, "n1", true, b->r->now, NULL);
    assert_int_equal(CALL("POST", "/v1/admin/node_ids", NULL, "{\"node_count\":1}"), 200);
    take_member(body, "request_id", old, sizeof old);
    assert_int_equal(CALL("PUT", "/v1/user/nodes/sharing", NULL, "{\"nodes\":[\"n1\"],\"user_name\":\"bo@x.org\"}"),
                     200);
    take_member(body, "request_id", asked, sizeof asked);
    assert_int_equal(CALL("POST", "/v1/user/nodes/cmd", NULL, "{\"node_ids\":[\"n1\"],\"cmd\":1,\"timeout\":60}"), 200);
    take_member(body, "request_id", command, sizeof command);
    b->r->now += 8 * 86400000LL;
    log_in(b);
    assert_int_equal(CALL("POST", "/v1/admin/node_ids", NULL, "{\"node_count\":1}"), 200);
    take_member(body, "request_id", young, sizeof young);
    assert_int_equal(fleet_tick(&b->r->fleet, b->r->now, &next, NULL), ERR_NONE);
    assert_int_equal(CALL("GET", "/v1/admin/node_ids", QUERY("request_id", old), NULL), 400);
    assert_int_equal(CALL("GET", "/v1/admin/node_ids", QUERY("request_id", young), NULL), 200);
    assert_int_equal(CALL("GET", "/v1/user/nodes/cmd", QUERY("request_id", command), NULL), 400);
    assert_int_equal(CALL("GET", "/v1/user/nodes/sharing/requests", QUERY("request_id", asked), NULL), 200);
    b->r->now += 30 * 86400000LL;
    log_in(b);
    assert_int_equal(fleet_tick(&b->r->fleet, b->r->now, &next, NULL), ERR_NONE);
    assert_int_equal(CALL("GET", "/v1/user/nodes/sharing/requests", QUERY("request_id", asked), NULL), 400);
    assert_int_equal(CALL("GET", "/v1/user/nodes/sharing/requests", QUERY("primary_user", "true"), NULL), 200);
    assert_non_null(strstr(body, "\"sharing_requests\":[]"));
}

/* What `otaupgrade` leaves behind does not grow for ever. */
static void a_users_images_are_few(void **state)
{
    struct bench *b = *state;
    char body[16384];
    log_in(b);
    for (int i = 0; i < 13; i++) {
        char version[12];
        snprintf(version, sizeof version, "1.%d", i);
        char *image = image_body("mine", version, false);
        assert_int_equal(CALL("POST", "/v1/user/otaimage", NULL, image), 200);
        free(image);
    }
    assert_int_equal(CALL("GET", "/v1/admin/otaimage", QUERY("image_name", "mine", "contains", "true"), NULL), 200);
    unsigned count = 0;
    for (const char *at = body; (at = strstr(at, "\"ota_image_id\"")) != NULL; at++)
        count++;
    assert_int_equal(count, 10);
    assert_non_null(strstr(body, "\"1.12\""));
    assert_null(strstr(body, "\"1.2\""));
}

static void who_guesses_waits(void **state)
{
    struct bench *b = *state;
    char body[4096];
    make_user(b, "op@h", "operator");
    for (int i = 0; i < 5; i++)
        assert_int_equal(log_in_as(b, "op@h", "wrong"), 400);
    assert_int_equal(CALL("POST", "/v1/login2", NULL, "{\"user_name\":\"op@h\",\"password\":\"Passw0rd\"}"), 400);
    assert_non_null(strstr(body, "101058"));
    b->r->now += 60001;
    assert_int_equal(log_in_as(b, "op@h", "wrong"), 400); /* twice as long now */
    b->r->now += 60001;
    assert_int_equal(log_in_as(b, "op@h", "Passw0rd"), 400);
    b->r->now += 60001;
    assert_int_equal(log_in_as(b, "op@h", "Passw0rd"), 200);
    assert_int_equal(log_in_as(b, "op@h", "wrong"), 400); /* and it begins anew */
    assert_int_equal(log_in_as(b, "op@h", "Passw0rd"), 200);
}

/* --- rights ----------------------------------------------------------------------------------- */

/* Every route with every role, against the right that its row wants. */
static void every_route_asks_for_its_right(void **state)
{
    static const char *const names[ROLES] = {"user@h", "viewer@h", "operator@h", "admin2@h", "super@h"};
    struct bench *b = *state;
    char body[65536];
    size_t count;
    const struct rest_route *routes = rest_routes(&count);
    for (int role = 0; role < ROLES; role++)
        make_user(b, names[role], role_text((enum role)role));
    for (int role = 0; role < ROLES; role++) {
        assert_int_equal(log_in_as(b, names[role], "Passw0rd"), 200);
        struct user user = {.role = (enum role)role};
        for (size_t i = 0; i < count; i++) {
            struct rest_response p;
            struct fake f = {.q = {.method = routes[i].method, .path = routes[i].path}, .token = b->token};
            if (routes[i].auth != REST_TOKEN)
                continue;
            f.q.query = get_query;
            f.q.header = get_header;
            f.q.now = b->r->now;
            bool is_let_in = rest_find(&b->rest, &f.q, &p) != NULL;
            assert_int_equal(is_let_in, user_may(&user, routes[i].right));
            assert_int_equal(p.status, is_let_in ? 200 : 403);
            rest_response_deinit(&p);
        }
    }
    assert_int_equal(log_in_as(b, "viewer@h", "Passw0rd"), 200);
    assert_int_equal(CALL("GET", "/v1/admin/nodes", NULL, NULL), 200);
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL, "{}"), 403);
    assert_int_equal(log_in_as(b, "admin2@h", "Passw0rd"), 200);
    assert_int_equal(CALL("PUT", "/v1/admin/users", QUERY("user_name", "super@h"), "{\"disabled\":true}"), 403);
    assert_int_equal(CALL("PUT", "/v1/admin/users", QUERY("user_name", "viewer@h"), "{\"role\":\"super_admin\"}"), 403);
    assert_int_equal(CALL("PUT", "/v1/admin/users", QUERY("user_name", "viewer@h"), "{\"role\":\"operator\"}"), 200);
    assert_int_equal(CALL("PUT", "/v1/admin/user_role", QUERY("user_name", "viewer@h", "operation", "remove"),
                          "{\"roles\":[\"operator\"]}"),
                     200);
    assert_int_equal(CALL("GET", "/v1/admin/users", QUERY("user_name", "viewer@h"), NULL), 200);
    assert_non_null(strstr(body, "\"role\":\"user\""));
    assert_int_equal(CALL("DELETE", "/v1/admin/users", QUERY("user_name", "viewer@h"), NULL), 200);
    assert_int_equal(log_in_as(b, "super@h", "Passw0rd"), 200);
    assert_int_equal(CALL("PUT", "/v1/admin/users", QUERY("user_name", "admin@h"), "{\"disabled\":true}"), 200);
    assert_int_equal(CALL("PUT", "/v1/admin/users", QUERY("user_name", "super@h"), "{\"role\":\"user\"}"), 403);
    assert_int_equal(log_in_as(b, "admin@h", "Secret-123"), 400); /* disabled */
}

static void an_api_token_is_its_users_and_less(void **state)
{
    struct bench *b = *state;
    char body[4096], token[200], id[64], session[TOKEN_SIZE];
    make_user(b, "op@h", "operator");
    assert_int_equal(log_in_as(b, "op@h", "Passw0rd"), 200);
    assert_int_equal(CALL("POST", "/v1/user/tokens", NULL, "{\"name\":\"ci\",\"role\":\"admin\"}"), 400);
    assert_int_equal(CALL("POST", "/v1/user/tokens", NULL, "{\"name\":\"ci\",\"days\":0}"), 400);
    assert_int_equal(CALL("POST", "/v1/user/tokens", NULL, "{\"name\":\"ci\",\"role\":\"viewer\",\"days\":2}"), 200);
    take_member(body, "token", token, sizeof token);
    take_member(body, "token_id", id, sizeof id);
    text_copy(session, sizeof session, b->token);
    text_copy(b->token, sizeof b->token, token);
    assert_int_equal(CALL("GET", "/v1/admin/nodes", NULL, NULL), 200);
    assert_int_equal(CALL("POST", "/v1/admin/node_group", NULL, "{\"group_name\":\"g\"}"), 403);
    b->r->now += 2 * 86400000LL;
    assert_int_equal(CALL("GET", "/v1/admin/nodes", NULL, NULL), 401);
    b->r->now -= 86400000LL;
    text_copy(b->token, sizeof b->token, session);
    b->r->now -= 86400000LL;
    assert_int_equal(CALL("GET", "/v1/user/tokens", NULL, NULL), 200);
    assert_non_null(strstr(body, "\"name\":\"ci\""));
    assert_null(strstr(body, token));
    assert_int_equal(CALL("DELETE", "/v1/user/tokens", QUERY("token_id", "other"), NULL), 404);
    assert_int_equal(CALL("DELETE", "/v1/user/tokens", QUERY("token_id", id), NULL), 200);
    text_copy(b->token, sizeof b->token, token);
    assert_int_equal(CALL("GET", "/v1/admin/nodes", NULL, NULL), 401);
}

/* --- nodes of users --------------------------------------------------------------------------- */

static void say(struct bench *b, const char *node, const char *user, const char *secret)
{
    char text[300];
    snprintf(text, sizeof text, "{\"node_id\":\"%s\",\"user_id\":\"%s\",\"secret_key\":\"%s\"}", node, user, secret);
    fleet_on_mapping(&b->r->fleet, node, bytes_of_text(text), b->r->now, NULL);
}

static void map_node(struct bench *b, const char *node, const char *user, char request[64])
{
    char body[4096], text[300];
    snprintf(text, sizeof text, "{\"user_id\":\"%s\",\"node_id\":\"%s\",\"secret_key\":\"s-1\",\"operation\":\"add\"}",
             user, node);
    assert_int_equal(CALL("PUT", "/v1/user/nodes/mapping", NULL, text), 200);
    take_member(body, "request_id", request, 64);
}

static void a_node_says_whose_it_is(void **state)
{
    struct bench *b = *state;
    char body[8192], request[64], ann[ID_LEN + 1], bob[ID_LEN + 1], text[300];
    rig_node(b->r, "n1", "1.0");
    rig_node(b->r, "n2", "1.0");
    make_user(b, "ann@h", "user");
    make_user(b, "bob@h", "user");
    make_user_id(b, "ann@h", ann);
    make_user_id(b, "bob@h", bob);
    assert_int_equal(log_in_as(b, "ann@h", "Passw0rd"), 200);
    assert_int_equal(CALL("GET", "/v1/user/nodes", NULL, NULL), 200);
    assert_non_null(strstr(body, "\"nodes\":[]"));
    map_node(b, "n1", ann, request);
    say(b, "n1", ann, "wrong");
    assert_int_equal(CALL("GET", "/v1/user/nodes/mapping", QUERY("request_id", request), NULL), 200);
    assert_non_null(strstr(body, "\"request_status\":\"requested\""));
    say(b, "n1", ann, "s-1");
    CALL("GET", "/v1/user/nodes/mapping", QUERY("request_id", request), NULL);
    assert_non_null(strstr(body, "\"request_status\":\"confirmed\""));
    assert_int_equal(CALL("GET", "/v1/user/nodes", QUERY("node_details", "true"), NULL), 200);
    assert_non_null(strstr(body, "\"nodes\":[\"n1\"],\"node_details\":[{\"id\":\"n1\",\"role\":\"primary\""));
    assert_int_equal(CALL("GET", "/v1/user/nodes/config", QUERY("nodeid", "n1"), NULL), 200);
    assert_int_equal(CALL("GET", "/v1/user/nodes/status", QUERY("node_id", "n1"), NULL), 200);
    assert_non_null(strstr(body, "{\"connectivity\":{\"connected\":true,"));
    assert_int_equal(CALL("GET", "/v1/user/nodes/config", QUERY("nodeid", "n2"), NULL), 400);
    assert_non_null(strstr(body, "103020"));
    assert_int_equal(CALL("GET", "/v1/user/nodes/ota_update", QUERY("node_id", "n2"), NULL), 400);
    assert_non_null(strstr(body, "103020"));
    assert_int_equal(CALL("POST", "/v1/user/nodes/ota_update", NULL, "{\"ota_job_id\":\"j\",\"node_id\":\"n2\"}"), 400);
    assert_non_null(strstr(body, "103013"));
    assert_int_equal(CALL("GET", "/v1/user/nodes/ota_status", QUERY("node_id", "n2", "ota_job_id", "j"), NULL), 400);
    assert_non_null(strstr(body, "100010"));
    /* Bob has nothing of it; when the node takes him, Ann loses it. */
    assert_int_equal(log_in_as(b, "bob@h", "Passw0rd"), 200);
    assert_int_equal(CALL("GET", "/v1/user/nodes/mapping", QUERY("request_id", request), NULL), 400);
    assert_int_equal(CALL("GET", "/v1/user/nodes/params", QUERY("nodeid", "n1"), NULL), 400);
    map_node(b, "n1", bob, request);
    b->r->now += MAP_LIFE_MS + 1;
    CALL("GET", "/v1/user/nodes/mapping", QUERY("request_id", request), NULL);
    assert_non_null(strstr(body, "\"request_status\":\"timedout\""));
    say(b, "n1", bob, "s-1");
    assert_int_equal(CALL("GET", "/v1/user/nodes/params", QUERY("nodeid", "n1"), NULL), 400);
    map_node(b, "n1", bob, request);
    say(b, "n1", bob, "s-1");
    assert_int_equal(CALL("GET", "/v1/user/nodes/params", QUERY("nodeid", "n1"), NULL), 200);
    assert_int_equal(fleet_user_has_node(&b->r->fleet, ann, "n1", NULL), ERR_NOT_THE_USERS);
    snprintf(text, sizeof text, "{\"user_id\":\"%s\",\"node_id\":\"n1\",\"secret_key\":\"\",\"operation\":\"remove\"}",
             ann);
    assert_int_equal(CALL("PUT", "/v1/user/nodes/mapping", NULL, text), 400); /* not his id */
    snprintf(text, sizeof text, "{\"user_id\":\"%s\",\"node_id\":\"n1\",\"secret_key\":\"\",\"operation\":\"remove\"}",
             bob);
    assert_int_equal(CALL("PUT", "/v1/user/nodes/mapping", NULL, text), 200);
    assert_int_equal(CALL("PUT", "/v1/user/nodes/mapping", NULL, text), 400);
    /* An administrator's word, and the node's own after a reset. */
    log_in(b);
    snprintf(text, sizeof text, "/v1/admin/users/%s/nodes/n2/mapping", ann);
    assert_int_equal(CALL("PUT", text, NULL, NULL), 200);
    assert_int_equal(fleet_user_has_node(&b->r->fleet, ann, "n2", NULL), ERR_NONE);
    say(b, "n2", "esp-rmaker", "failed");
    assert_int_equal(fleet_user_has_node(&b->r->fleet, ann, "n2", NULL), ERR_NOT_THE_USERS);
    assert_int_equal(CALL("PUT", text, NULL, NULL), 200);
    assert_int_equal(CALL("DELETE", text, NULL, NULL), 200);
    assert_int_equal(fleet_user_has_node(&b->r->fleet, ann, "n2", NULL), ERR_NOT_THE_USERS);
}

static void parameters_go_both_ways(void **state)
{
    struct bench *b = *state;
    char body[8192];
    unsigned count;
    static struct outgoing out[4];
    rig_node(b->r, "n1", "1.0");
    log_in(b);
    assert_int_equal(CALL("GET", "/v1/user/nodes/params", QUERY("nodeid", "n1"), NULL), 200);
    assert_string_equal(body, "{}");
    fleet_on_params(&b->r->fleet, "n1",
                    bytes_of_text("{\"Light\":{\"Power\":true,\"Level\":3},\"OTA\":{\"Status\":\"\"}}"), true,
                    b->r->now, NULL);
    fleet_on_params(&b->r->fleet, "n1", bytes_of_text("{\"Light\":{\"Level\":7}}"), false, b->r->now, NULL);
    CALL("GET", "/v1/user/nodes/params", QUERY("nodeid", "n1"), NULL);
    assert_string_equal(body, "{\"Light\":{\"Power\":true,\"Level\":7},\"OTA\":{\"Status\":\"\"}}");
    assert_int_equal(
        CALL("PUT", "/v1/user/nodes/params", NULL, "[{\"node_id\":\"n1\",\"payload\":{\"Light\":{\"Power\":false}}}]"),
        200);
    assert_non_null(strstr(body, "[{\"node_id\":\"n1\",\"status\":\"success\""));
    assert_int_equal(CALL("PUT", "/v1/user/nodes/params", QUERY("nodeid", "n1"), "{\"OTA\":{\"URL\":\"https://x\"}}"),
                     200);
    assert_int_equal(CALL("PUT", "/v1/user/nodes/params", NULL,
                          "[{\"node_id\":\"n1\",\"payload\":{}},{\"node_id\":\"nx\",\"payload\":{}}]"),
                     207);
    assert_int_equal(CALL("PUT", "/v1/user/nodes/params", NULL, "[{\"node_id\":\"n1\",\"payload\":3}]"), 400);
    assert_int_equal(CALL("PUT", "/v1/user/nodes/params", NULL, "[]"), 400);
    assert_int_equal(fleet_outbox_list(&b->r->fleet, 0, out, 4, &count, NULL), ERR_NONE);
    assert_int_equal(count, 3);
    assert_int_equal(out[0].row.topic, TOPIC_PARAMS_REMOTE);
    assert_string_equal(out[0].text, "{\"Light\":{\"Power\":false}}");
    assert_string_equal(out[1].text, "{\"OTA\":{\"URL\":\"https://x\"}}");
    /* Tags and metadata. */
    assert_int_equal(CALL("PUT", "/v1/user/nodes", QUERY("node_id", "n1"),
                          "{\"tags\":[\"room:kitchen\"],\"metadata\":{\"a\":{\"b\":1},\"c\":2}}"),
                     200);
    assert_int_equal(
        CALL("PUT", "/v1/user/nodes", QUERY("node_id", "n1"), "{\"metadata\":{\"a\":{\"d\":3},\"c\":null}}"), 200);
    CALL("GET", "/v1/user/nodes", QUERY("node_id", "n1", "node_details", "true"), NULL);
    assert_non_null(strstr(body, "\"tags\":[\"room:kitchen\"]"));
    assert_non_null(strstr(body, "\"metadata\":{\"a\":{\"b\":1,\"d\":3}}"));
    assert_int_equal(CALL("PUT", "/v1/user/nodes", QUERY("node_id", "n1"), "{\"metadata\":null}"), 200);
    CALL("GET", "/v1/user/nodes", QUERY("node_id", "n1", "node_details", "true"), NULL);
    assert_non_null(strstr(body, "\"metadata\":{}"));
    assert_int_equal(CALL("PUT", "/v1/user/nodes", QUERY("node_id", "n1"), "{}"), 400);
    assert_int_equal(CALL("DELETE", "/v1/user/nodes", QUERY("node_id", "n1"), "{\"tags\":[\"room:kitchen\"]}"), 200);
}

static void a_users_groups_are_their_own(void **state)
{
    struct bench *b = *state;
    char body[8192], id[64], ann[ID_LEN + 1];
    rig_node(b->r, "n1", "1.0");
    rig_node(b->r, "n2", "1.0");
    make_user(b, "ann@h", "user");
    make_user(b, "bob@h", "user");
    make_user_id(b, "ann@h", ann);
    fleet_user_node(&b->r->fleet, ann, "n1", true, b->r->now, NULL);
    assert_int_equal(CALL("POST", "/v1/admin/node_group", NULL, "{\"group_name\":\"home\"}"), 200);
    assert_int_equal(log_in_as(b, "ann@h", "Passw0rd"), 200);
    assert_int_equal(CALL("GET", "/v1/user/node_group", NULL, NULL), 200);
    assert_non_null(strstr(body, "\"groups\":[]"));
    assert_int_equal(CALL("POST", "/v1/user/node_group", NULL, "{\"group_name\":\"home\",\"nodes\":[\"n2\"]}"), 400);
    assert_int_equal(CALL("POST", "/v1/user/node_group", NULL, "{\"group_name\":\"home\",\"node_type\":\"x\"}"), 400);
    assert_int_equal(
        CALL("POST", "/v1/user/node_group", NULL,
             "{\"group_name\":\"home\",\"is_matter\":false,\"mutually_exclusive\":true,\"nodes\":[\"n1\"]}"),
        200);
    take_member(body, "group_id", id, sizeof id);
    CALL("GET", "/v1/user/node_group", QUERY("group_id", id, "node_list", "true"), NULL);
    assert_non_null(strstr(body, "{\"groups\":[{\"group_id\""));
    assert_non_null(strstr(body, "\"nodes\":[\"n1\"]"));
    CALL("GET", "/v1/user/node_group", QUERY("group_name", "home"), NULL);
    assert_int_equal(strncmp(body, "[{\"groups\":[{", 13), 0);
    assert_int_equal(CALL("PUT", "/v1/user/node_group", QUERY("group_id", id), "{\"group_name\":\"flat\"}"), 200);
    assert_int_equal(log_in_as(b, "bob@h", "Passw0rd"), 200);
    assert_int_equal(CALL("GET", "/v1/user/node_group", QUERY("group_id", id), NULL), 400);
    assert_int_equal(CALL("PUT", "/v1/user/node_group", QUERY("group_id", id), "{\"group_name\":\"mine\"}"), 400);
    assert_int_equal(CALL("DELETE", "/v1/user/node_group", QUERY("group_id", id), NULL), 400);
    log_in(b);
    CALL("GET", "/v1/admin/node_group", NULL, NULL);
    assert_null(strstr(body, "flat"));
    assert_int_equal(CALL("DELETE", "/v1/admin/users", QUERY("user_id", ann), NULL), 200);
    assert_int_equal(fleet_user_has_node(&b->r->fleet, ann, "n1", NULL), ERR_NOT_THE_USERS);
    struct group g;
    assert_int_equal(fleet_group_get(&b->r->fleet, ann, id, &g, NULL), ERR_GROUP_NOT_FOUND);
}

/* --- credentials ------------------------------------------------------------------------------ */

/* A request for a certificate, as the command line makes it; the key stays with the caller. */
static char *make_request(const char *name, EVP_PKEY **key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    X509_REQ *request = X509_REQ_new();
    X509_NAME *subject = X509_REQ_get_subject_name(request);
    char *at, *text;
    *key = EVP_EC_gen("P-256");
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
    X509_REQ_set_pubkey(request, *key);
    X509_REQ_sign(request, *key, EVP_sha256());
    PEM_write_bio_X509_REQ(bio, request);
    long len = BIO_get_mem_data(bio, &at);
    text = calloc(1, 2 * (size_t)len + 1);
    for (long i = 0, k = 0; i < len; i++) /* as JSON spells it */
        if (at[i] == '\n')
            text[k++] = '\\', text[k++] = 'n';
        else
            text[k++] = at[i];
    BIO_free(bio);
    X509_REQ_free(request);
    return text;
}

static int verify_claim(struct bench *b, const char *name, const char *extra, EVP_PKEY **key, char *body, size_t size)
{
    char text[4096], *csr = make_request(name, key);
    snprintf(text, sizeof text, "{%s\"csr\":\"%s\"}", extra, csr);
    free(csr);
    return call(b, "POST", "/claim/verify", NULL, text, body, size);
}

static void a_device_claims_credentials_and_proves_itself(void **state)
{
    struct bench *b = *state;
    char body[8192], id[64], request[64], challenge[100], text[1000], hex[300];
    uint8_t signature[100];
    size_t len = sizeof signature;
    struct node node;
    EVP_PKEY *key, *other;
    static const char initiate[] = "{\"mac_addr\":\"aabbcc112233\",\"platform\":\"esp32c3\"}";
    assert_int_equal(CALL("POST", "/claim/initiate", NULL, initiate), 401);
    log_in(b);
    assert_int_equal(CALL("POST", "/claim/initiate", NULL, "{\"mac_addr\":\"xx\"}"), 400);
    assert_int_equal(CALL("POST", "/claim/initiate", NULL, initiate), 200);
    take_member(body, "node_id", id, sizeof id);
    assert_int_equal(CALL("POST", "/claim/initiate", NULL, initiate), 200);
    assert_non_null(strstr(body, id)); /* the same one again */
    assert_int_equal(verify_claim(b, "stranger", "", &other, body, sizeof body), 400);
    assert_int_equal(verify_claim(b, id, "", &key, body, sizeof body), 200);
    assert_non_null(strstr(body, "BEGIN CERTIFICATE"));
    assert_int_equal(fleet_node_get(&b->r->fleet, id, &node, NULL), ERR_NONE);
    /* Its key proves it: challenge and answer. */
    assert_int_equal(CALL("POST", "/v1/user/nodes/mapping/initiate", NULL, "{\"timeout\":60}"), 200);
    take_member(body, "request_id", request, sizeof request);
    take_member(body, "challenge", challenge, sizeof challenge);
    for (int round = 0; round < 2; round++) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        len = sizeof signature;
        EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, round == 0 ? other : key);
        assert_int_equal(EVP_DigestSign(ctx, signature, &len, (const uint8_t *)challenge, strlen(challenge)), 1);
        EVP_MD_CTX_free(ctx);
        hex_encode(hex, bytes_of(signature, len));
        snprintf(text, sizeof text, "{\"request_id\":\"%s\",\"node_id\":\"%s\",\"challenge_response\":\"%s\"}", request,
                 id, hex);
        assert_int_equal(CALL("POST", "/v1/user/nodes/mapping/verify", NULL, text), round == 0 ? 400 : 200);
    }
    assert_int_equal(CALL("POST", "/v1/user/nodes/mapping/verify", NULL, text), 400); /* once */
    CALL("GET", "/v1/user/nodes", NULL, NULL);
    assert_non_null(strstr(body, id));
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    /* Somebody else's device, and a chip by itself where that is allowed. */
    make_user(b, "ann@h", "user");
    assert_int_equal(log_in_as(b, "ann@h", "Passw0rd"), 200);
    assert_int_equal(CALL("POST", "/claim/initiate", NULL, initiate), 403);
    struct fake f = {.q = {.method = "POST", .path = "/claim/initiate"}};
    b->rest.may_self_claim = true;
    b->token[0] = '\0';
    f.q.body = bytes_of_text("{\"mac_addr\":\"7CDFA100033B\",\"platform\":\"esp32s3\"}");
    assert_int_equal(ask_openly(b, &f, body, sizeof body), 200);
    assert_non_null(strstr(body, "\"auth_id\":\"7CDFA100033B\""));
    for (int round = 0; round < 2; round++) { /* once: who comes later is nobody we know */
        char claim[4096], *csr = make_request("7CDFA100033B", &key);
        snprintf(claim, sizeof claim, "{\"auth_id\":\"7CDFA100033B\",\"challenge_response\":\"00\",\"csr\":\"%s\"}",
                 csr);
        struct fake v = {.q = {.method = "POST", .path = "/claim/verify"}};
        v.q.body = bytes_of_text(claim);
        assert_int_equal(ask_openly(b, &v, body, sizeof body), round == 0 ? 200 : 403);
        free(csr);
        EVP_PKEY_free(key);
    }
}

static void a_makers_nodes_bring_their_certificates(void **state)
{
    struct bench *b = *state;
    char body[16384], id[64], url[600], text[600], *cert, *key, list[9000], md5[33];
    uint8_t digest[16];
    struct node node;
    log_in(b);
    assert_int_equal(CALL("POST", "/v1/admin/node_ids", NULL, "{\"node_count\":3}"), 200);
    take_member(body, "request_id", id, sizeof id);
    assert_int_equal(CALL("GET", "/v1/admin/node_ids", QUERY("request_id", id), NULL), 200);
    take_member(body, "url", url, sizeof url);
    assert_int_equal(follow(b, "GET", url, NULL, body, sizeof body), 200);
    assert_int_equal(strlen(body) - strlen(strchr(body, ',')) > 10, 1);
    assert_int_equal(CALL("GET", "/v1/admin/rainmaker_deployment_details", QUERY("pre_requisite", "True"), NULL), 200);
    assert_int_equal(CALL("GET", "/v1/admin/node_certificates/register", QUERY("file_name", "node_certs.csv"), NULL),
                     200);
    take_member(body, "request_id", id, sizeof id);
    take_member(body, "url", url, sizeof url);
    int n = snprintf(list, sizeof list, "node_id,certs,qrcode\r\n");
    for (int i = 1; i <= 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "m%d", i);
        assert_int_equal(keys_issue_node(&b->keys, i == 3 ? "other" : name, b->r->now, &cert, &key, NULL), ERR_NONE);
        n += snprintf(list + n, sizeof list - (size_t)n, "%s,\"%s\",\"{\"\"ver\"\":\"\"v1\"\"}\"\r\n", name, cert);
        free(cert);
        free(key);
    }
    assert_int_equal(follow(b, "PUT", url, list, body, sizeof body), 200);
    md5_of(digest, bytes_of_text(list));
    hex_encode(md5, bytes_of(digest, 16));
    snprintf(
        text, sizeof text,
        "{\"request_id\":\"%s\",\"file_name\":\"node_certs.csv\",\"file_md5\":\"%s\",\"group_name\":\"batch\",\"type\":"
        "\"Light\",\"model\":\"L1\",\"tags\":\"site:x,qr:@qrcode\",\"force\":false,\"parent_group_id\":\"\"}",
        id, md5);
    assert_int_equal(CALL("POST", "/v1/admin/node_certificates/register", NULL, text), 400); /* the third one */
    assert_non_null(strstr(body, "node 3 of the list"));
    assert_int_equal(CALL("GET", "/v1/admin/node_certificates/register", QUERY("request_id", id), NULL), 200);
    assert_non_null(strstr(body, "\"status\":\"failure\""));
    assert_int_equal(fleet_node_get(&b->r->fleet, "m2", &node, NULL), ERR_NONE);
    assert_string_equal(node.model, "L1");
    assert_string_equal(node.tags, "site:x\nqr:{\"ver\":\"v1\"}\n");
    assert_int_equal(fleet_node_get(&b->r->fleet, "m3", &node, NULL), ERR_NODE_NOT_FOUND);
    assert_int_equal(CALL("GET", "/v1/admin/node_group", QUERY("group_name", "batch"), NULL), 200);
    assert_non_null(strstr(body, "\"nodes\":[\"m1\",\"m2\"]"));
}

static void note_change(struct rest_gate *gate)
{
    ((struct counted_gate *)gate)->changes++;
}

static void who_is_let_in_can_change(void **state)
{
    struct bench *b = *state;
    struct counted_gate gate = {.port = {note_change}};
    char body[8192], text[4096], id[80];
    struct node node;
    log_in(b);
    rig_node(b->r, "n1", "1.0");
    b->rest.gate = &gate.port;
    size_t k = (size_t)snprintf(text, sizeof text, "{\"certificate\":\"");
    for (const char *at = b->keys.ca_pem; *at; at++) {
        if (*at == '\n')
            text[k++] = '\\';
        text[k++] = *at == '\n' ? 'n' : *at;
    }
    snprintf(text + k, sizeof text - k, "\"}");
    assert_int_equal(CALL("POST", "/v1/admin/authorities", NULL, "{\"certificate\":\"x\"}"), 400);
    assert_int_equal(gate.changes, 0);
    assert_int_equal(CALL("POST", "/v1/admin/authorities", NULL, text), 200);
    take_member(body, "authority_id", id, sizeof id);
    assert_int_equal(gate.changes, 1);
    assert_int_equal(CALL("GET", "/v1/admin/authorities", NULL, NULL), 200);
    assert_non_null(strstr(body, id));
    assert_int_equal(CALL("DELETE", "/v1/admin/authorities", QUERY("authority_id", id), NULL), 200);
    assert_int_equal(CALL("DELETE", "/v1/admin/authorities", QUERY("authority_id", id), NULL), 404);
    assert_int_equal(gate.changes, 2);
    assert_int_equal(CALL("PUT", "/v1/admin/nodes", QUERY("node_id", "n1,nobody", "activate", "false"), NULL), 404);
    assert_int_equal(fleet_node_get(&b->r->fleet, "n1", &node, NULL), ERR_NONE);
    assert_false(node.is_deactivated); /* all or none */
    assert_int_equal(CALL("PUT", "/v1/admin/nodes", QUERY("node_id", "n1", "activate", "maybe"), NULL), 400);
    assert_int_equal(CALL("PUT", "/v1/admin/nodes", QUERY("node_id", "n1", "activate", "false"), NULL), 200);
    assert_int_equal(gate.changes, 3);
    struct fake f = {.q = {.method = "GET", .path = "/v1/node/otafetch", .listener = REST_NODES, .node_id = "n1"}};
    assert_int_equal(ask(b, &f, body, sizeof body), 401);
    assert_int_equal(CALL("PUT", "/v1/admin/nodes", QUERY("node_id", "n1", "activate", "true"), NULL), 200);
    f = (struct fake){.q = {.method = "GET", .path = "/v1/node/otafetch", .listener = REST_NODES, .node_id = "n1"}};
    assert_int_equal(ask(b, &f, body, sizeof body), 400); /* nothing for it */
}

static void who_asks_too_often_waits(void **state)
{
    struct bench *b = *state;
    static struct limiter users, strangers;
    char body[4096];
    int64_t wait_ms;
    limiter_init(&users, 2, 3);
    limiter_init(&strangers, 1, 2);
    log_in(b);
    b->rest.users = &users;
    b->rest.strangers = &strangers;
    for (int i = 0; i < 3; i++)
        assert_int_equal(CALL("GET", "/v1/user", NULL, NULL), 200);
    assert_int_equal(CALL("GET", "/v1/user", NULL, NULL), 429);
    assert_non_null(strstr(body, "\"error_code\":100070"));
    b->r->now += 500;
    assert_int_equal(CALL("GET", "/v1/user", NULL, NULL), 200);
    assert_int_equal(CALL("GET", "/v1/user", NULL, NULL), 429);
    static const char wrong[] = "{\"user_name\":\"nobody@h\",\"password\":\"x\"}";
    for (int i = 0; i < 4; i++) {
        struct fake f = {.q = {.method = "POST", .path = "/v1/login2", .address = i < 3 ? "192.0.2.1" : "192.0.2.2"}};
        f.q.body = bytes_of_text(wrong);
        assert_int_equal(ask_openly(b, &f, body, sizeof body), i == 2 ? 429 : 400);
    }
    assert_int_equal(CALL("GET", "/healthz", NULL, NULL), 200);
    /* The table is small: others come and go, nobody is lost for good. */
    for (int i = 0; i < 20000; i++) {
        char who[16];
        snprintf(who, sizeof who, "u%d", i);
        assert_true(limiter_ask(&users, who, b->r->now + i, &wait_ms));
    }
    limiter_init(&users, 0, 0);
    for (int i = 0; i < 100; i++)
        assert_true(limiter_ask(&users, "x", 1, &wait_ms));
}

static void a_second_person_says_yes(void **state)
{
    struct bench *b = *state;
    char body[8192], text[300], job[64];
    make_user(b, "ann@h", "operator");
    make_user(b, "bob@h", "operator");
    rig_node(b->r, "n1", "1.0");
    struct image image = rig_image(b->r, "two", "2.0");
    b->r->fleet.policy.needs_two = true;
    assert_int_equal(log_in_as(b, "ann@h", "Passw0rd"), 200);
    snprintf(text, sizeof text, "{\"ota_job_name\":\"j\",\"ota_image_id\":\"%s\",\"nodes\":[\"n1\"]}", image.id);
    assert_int_equal(CALL("POST", "/v1/admin/otajob", QUERY("force_push", "true"), text), 200);
    take_member(body, "ota_job_id", job, sizeof job);
    time_ms next;
    fleet_tick(&b->r->fleet, b->r->now, &next, NULL);
    assert_int_equal(rig_outbox(b->r), 0);
    snprintf(text, sizeof text, "{\"ota_job_id\":\"%s\",\"rollout\":\"in-flight 1\"}", job);
    assert_int_equal(CALL("POST", "/v1/admin/otajob/resume", NULL, text), 400);
    assert_non_null(strstr(body, "190041"));
    assert_int_equal(CALL("POST", "/v1/admin/otajob/approve", NULL, text), 403);
    assert_int_equal(log_in_as(b, "bob@h", "Passw0rd"), 200);
    assert_int_equal(CALL("POST", "/v1/admin/otajob/edit", NULL, text), 200);
    assert_int_equal(CALL("POST", "/v1/admin/otajob/approve", NULL, text), 403); /* he changed it */
    log_in(b);
    assert_int_equal(CALL("POST", "/v1/admin/otajob/approve", NULL, text), 200);
    assert_non_null(strstr(body, "\"paused\":false"));
    assert_int_equal(CALL("POST", "/v1/admin/otajob/approve", NULL, text), 400);
    for (int i = 0; i < 5; i++)
        fleet_tick(&b->r->fleet, b->r->now, &next, NULL);
    assert_int_equal(rig_outbox(b->r), 1);
    assert_int_equal(CALL("POST", "/v1/admin/otajob/pause", NULL, text), 200);
    assert_int_equal(CALL("POST", "/v1/admin/otajob/resume", NULL, text), 200); /* a pause is nobody's secret */
}

/* --- the audit log ---------------------------------------------------------------------------- */

static void changes_are_remembered_in_a_chain(void **state)
{
    struct bench *b = *state;
    char body[65536];
    int64_t count, broken;
    struct fleet_store *tx;
    make_user(b, "ann@h", "operator");
    rig_node(b->r, "n1", "1.0");
    assert_int_equal(CALL("POST", "/v1/admin/node_group", NULL, "{\"group_name\":\"g\"}"), 200);
    assert_int_equal(CALL("POST", "/v1/admin/node_group", NULL, "{\"group_name\":\"g\"}"), 400); /* nothing changed */
    assert_int_equal(CALL("PUT", "/v1/admin/nodes", QUERY("node_id", "n1"), "{\"tags\":[\"a:b\"]}"), 200);
    assert_int_equal(CALL("GET", "/v1/admin/audit", NULL, NULL), 200);
    assert_non_null(strstr(body, "\"what\":\"user.add\""));
    assert_non_null(strstr(body, "\"what\":\"group.add\""));
    assert_non_null(strstr(body, "\"who\":\"admin@h\""));
    assert_non_null(strstr(body, "\"query\":{\"node_id\":\"n1\"}"));
    assert_null(strstr(body, "Passw0rd"));
    const char *before = strstr(body, "\"before\":{\"node_id\":\"n1\""),
               *after = strstr(body, "\"after\":{\"node_id\":\"n1\"");
    assert_non_null(before);
    assert_non_null(after);
    assert_non_null(strstr(before, "\"tags\":[]"));
    assert_non_null(strstr(after, "\"tags\":[\"a:b\"]"));
    assert_int_equal(CALL("GET", "/v1/admin/audit/verify", NULL, NULL), 200);
    assert_non_null(strstr(body, "\"entries\":3,\"whole\":true"));
    /* An entry that is changed, and one that is taken out. */
    assert_int_equal(b->r->fleet.store->ops->begin(b->r->fleet.store, false, &tx, NULL), ERR_NONE);
    char *entry;
    assert_int_equal(tx->ops->card_get(tx, CARD_AUDIT, "0000000000000002", &entry, NULL), ERR_NONE);
    entry[70] ^= 1;
    tx->ops->card_put(tx, CARD_AUDIT, "0000000000000002", bytes_of_text(entry), NULL);
    tx->ops->commit(tx, NULL);
    free(entry);
    assert_int_equal(fleet_audit_verify(&b->r->fleet, &count, &broken, NULL), ERR_NONE);
    assert_int_equal(broken, 2);
    assert_int_equal(b->r->fleet.store->ops->begin(b->r->fleet.store, false, &tx, NULL), ERR_NONE);
    tx->ops->card_delete(tx, CARD_AUDIT, "0000000000000001", NULL);
    tx->ops->commit(tx, NULL);
    assert_int_equal(fleet_audit_verify(&b->r->fleet, &count, &broken, NULL), ERR_NONE);
    assert_int_equal(broken, 1);
}

int main(void)
{
#define WITH_REST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_REST(a_stranger_becomes_an_end_user),
        WITH_REST(who_guesses_codes_waits),
        WITH_REST(organisations_do_not_see_each_other),
        WITH_REST(counts_made_beside_are_of_the_same_nodes),
        WITH_REST(a_scope_is_some_of_the_nodes),
        WITH_REST(old_requests_go),
        WITH_REST(a_users_images_are_few),
        WITH_REST(who_guesses_waits),
        WITH_REST(every_route_asks_for_its_right),
        WITH_REST(an_api_token_is_its_users_and_less),
        WITH_REST(a_node_says_whose_it_is),
        WITH_REST(parameters_go_both_ways),
        WITH_REST(a_users_groups_are_their_own),
        WITH_REST(a_device_claims_credentials_and_proves_itself),
        WITH_REST(a_makers_nodes_bring_their_certificates),
        WITH_REST(who_is_let_in_can_change),
        WITH_REST(who_asks_too_often_waits),
        WITH_REST(a_second_person_says_yes),
        WITH_REST(changes_are_remembered_in_a_chain),
    };
    return cmocka_run_group_tests_name("people", tests, NULL, NULL);
}
