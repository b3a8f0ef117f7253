/* Goal: a query finds the nodes that it says, and a text that is none is told where it is wrong. */
#include "fleet/query.h"
#include "test.h"

#define NOW 1760000000000

static bool in_group(struct query_groups *groups, const struct node *node, const char *group)
{
    (void)groups;
    return strcmp(node->id, "n1") == 0 && strcmp(group, "lab") == 0;
}

static const struct node light = {.id = "n1",
                                  .name = "Kitchen \"A\"",
                                  .type = "light",
                                  .subtype = "",
                                  .model = "L1",
                                  .fw_version = "1.10.0",
                                  .project_name = "app",
                                  .platform = "esp32c3",
                                  .network_id = "ABCD",
                                  .address = "10.0.0.7",
                                  .tags = "site:berlin\nbatch:7\n",
                                  .is_online = true,
                                  .seen_at = NOW - 3600000,
                                  .registered_at = NOW - 864000000,
                                  .secure_version = 3};

static void queries_find_what_they_say(void **state)
{
    static const struct {
        const char *text;
        bool fits;
    } rows[] = {
        {"everyone", true},
        {"type = light", true},
        {"type == light", true},
        {"type: light", true},
        {"type != light", false},
        {"type=heater or model=L1", true},
        {"type=light and model=L2", false},
        {"not type=heater", true},
        {"! type=light", false},
        {"not not type=light", true},
        {"type=heater or type=light and model=L1", true},
        {"(type=heater or type=light) and model=L2", false},
        {"node_type: light && node_model: L1 && node_fw_version: 1.10.0", true},
        {"node_type: light || node_model: L9", true},
        {"model in (L0, L1, L2)", true},
        {"model in (L0)", false},
        {"not model in (L0, L1)", false},
        {"model ~ \"L*\"", true},
        {"model ~ L?", false}, /* ? is no name's character: see the errors */
        {"model !~ 'X*'", true},
        {"fw_version < 1.9", false},
        {"fw_version > 1.9.9", true},
        {"fw_version >= 1.10.0", true},
        {"version <= 1.10.0", true},
        {"fw_version < 1.10.0-rc1", false},
        {"fw_version < 2", true},
        {"name = \"Kitchen \\\"A\\\"\"", true},
        {"tag = \"site:berlin\"", true},
        {"tag = \"site:ber\"", false},
        {"tag ~ \"batch:*\"", true},
        {"tag != \"site:berlin\"", false},
        {"tag !~ \"color:*\"", true},
        {"group = lab", true},
        {"group != lab", false},
        {"group = shed", false},
        {"online", true},
        {"online = false", false},
        {"online != false", true},
        {"seen < 2h", true},
        {"seen < 30m", false},
        {"seen >= 1h", true},
        {"registered > 1w", true},
        {"registered < 90", false},
        {"secure_version >= 3", true},
        {"secure_version = 4", false},
        {"network = ABCD and address ~ 10.0.*", true},
        {"platform=esp32c3 and project=app and id=n1", true},
        {"TYPE = light AND Model = L1", true},
        {"", false},
        {"   ", false},
    };
    struct query_groups groups = {in_group};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct query q;
        struct why why = {{0}};
        if (query_read(&q, rows[i].text, &why) != ERR_NONE) {
            if (strchr(rows[i].text, '?') == NULL)
                fail_msg("%s: %s", rows[i].text, why.text);
            continue;
        }
        if (query_matches(&q, &light, &groups, NOW) != rows[i].fits)
            fail_msg("%s: should%s fit", rows[i].text, rows[i].fits ? "" : " not");
    }
}

/* A node that tells no version and was never seen is neither below nor above anything. */
static void what_is_unknown_fits_nothing(void **state)
{
    static const char *const texts[] = {"fw_version < 9", "fw_version >= 0", "seen < 100y",
                                        "seen > 0s",      "tag ~ \"*\"",     "group = lab"};
    const struct node blank = {.id = "n2"};
    struct query q;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(query_read(&q, texts[i], NULL), ERR_NONE);
        assert_false(query_matches(&q, &blank, NULL, NOW));
    }
}

static void errors_have_a_place(void **state)
{
    static const struct {
        const char *text, *story;
    } rows[] = {
        {"colour = red", "there is no field \"colour\", at column 1"},
        {"type", "type lacks an operator"},
        {"type =", "a value for type is missing, at column 7"},
        {"type = light model = L1", "\"model\" does not belong here"},
        {"type = light and", "a field is missing, at column 17"},
        {"(type = light", "a closing bracket is missing, at column 14"},
        {"type = light)", "\")\" does not belong here"},
        {"type < light", "type cannot be compared with <, at column 6"},
        {"online > true", "online cannot be compared with >"},
        {"online = maybe", "online cannot be \"maybe\""},
        {"seen = 7d", "seen cannot be compared with ="},
        {"seen < soon", "seen cannot be \"soon\": give an age"},
        {"seen in (1h)", "seen takes < or >"},
        {"secure_version > x", "secure_version cannot be \"x\""},
        {"model in L1", "\"in\" needs a list in brackets"},
        {"model in (L1 L2)", "the list lacks a comma"},
        {"model in ()", "a value for model is missing"},
        {"name = \"Kit", "a value for name is missing"},
        {"model = ?", "a value for model is missing"},
        {"= light", "a field is missing, at column 1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct query q;
        struct why why = {{0}};
        assert_int_equal(query_read(&q, rows[i].text, &why), ERR_FORMAT);
        if (strstr(why.text, rows[i].story) == NULL)
            fail_msg("%s: %s", rows[i].text, why.text);
        assert_non_null(strstr(why.text, "at column"));
    }
}

static void limits_are_told(void **state)
{
    char text[8000] = "";
    struct query q;
    struct why why = {{0}};
    (void)state;
    for (int i = 0; i < 40; i++)
        strcat(text, i ? " or type=a" : "type=a");
    assert_int_equal(query_read(&q, text, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "more than 32"));
    memset(text, '(', 5000);
    text[5000] = '\0';
    assert_int_equal(query_read(&q, text, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "brackets in each other"));
    text[0] = '\0';
    for (int i = 0; i < 2000; i++)
        strcat(text, "not");
    assert_int_equal(query_read(&q, text, &why), ERR_FORMAT);
    memset(text, 'a', 200);
    memcpy(text, "type=", 5);
    text[200] = '\0';
    assert_int_equal(query_read(&q, text, &why), ERR_FORMAT);
    snprintf(text, sizeof text, "tag=%0100d or tag=%0100d or tag=%0100d or tag=%0100d or tag=%0100d or tag=%0100d", 1,
             2, 3, 4, 5, 6);
    assert_int_equal(query_read(&q, text, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "together"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_find_what_they_say),
        cmocka_unit_test(what_is_unknown_fits_nothing),
        cmocka_unit_test(errors_have_a_place),
        cmocka_unit_test(limits_are_told),
    };
    return cmocka_run_group_tests_name("fleet query", tests, NULL, NULL);
}
