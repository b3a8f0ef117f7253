#include "codec/json.h"

#include "base/text.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

/* `struct json` is cJSON's own struct under our name; nothing outside this file sees it. */
static const cJSON *inner(const struct json *value)
{
    return (const cJSON *)(const void *)value;
}

static const struct json *outer(const cJSON *value)
{
    return (const struct json *)(const void *)value;
}

/* True when brackets nest no deeper than the limit.  Strings are skipped; broken ones are left to the parser. */
static bool depth_is_fine(struct bytes in)
{
    int depth = 0;
    bool in_text = false;
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.at[i];
        if (in_text && c == '\\')
            i++;
        else if (c == '"')
            in_text = !in_text;
        else if (!in_text && (c == '{' || c == '[')) {
            if (++depth > JSON_DEPTH_MAX)
                return false;
        } else if (!in_text && (c == '}' || c == ']'))
            depth--;
    }
    return true;
}

enum err json_parse(struct bytes input, struct json **doc, struct why *why)
{
    *doc = NULL;
    if (input.len == 0)
        return why_set(why, ERR_FORMAT, "JSON is empty");
    if (!depth_is_fine(input))
        return why_set(why, ERR_FORMAT, "JSON nests deeper than %d levels", JSON_DEPTH_MAX);
    const char *stop = NULL;
    cJSON *value = cJSON_ParseWithLengthOpts((const char *)input.at, input.len, &stop, 0);
    size_t at = stop ? (size_t)((const uint8_t *)stop - input.at) : 0;
    if (value == NULL)
        return why_set(why, ERR_FORMAT, "JSON is wrong near byte %zu of %zu", at, input.len);
    while (at < input.len && strchr(" \t\r\n", input.at[at]) != NULL && input.at[at] != 0)
        at++;
    if (at < input.len) {
        cJSON_Delete(value);
        return why_set(why, ERR_FORMAT, "JSON is followed by other text at byte %zu", at);
    }
    *doc = (struct json *)(void *)value;
    return ERR_NONE;
}

void json_free(struct json *doc)
{
    cJSON_Delete((cJSON *)(void *)doc);
}

const struct json *json_get(const struct json *value, const char *key)
{
    return cJSON_IsObject(inner(value)) ? outer(cJSON_GetObjectItemCaseSensitive(inner(value), key)) : NULL;
}

const char *json_text(const struct json *value)
{
    return cJSON_GetStringValue((cJSON *)(void *)(uintptr_t)value);
}

bool json_copy_text(const struct json *object, const char *key, char *to, size_t size)
{
    return text_copy(to, size, json_text(json_get(object, key)));
}

bool json_is_object(const struct json *value)
{
    return cJSON_IsObject(inner(value));
}

bool json_is_array(const struct json *value)
{
    return value != NULL && cJSON_IsArray(inner(value));
}

bool json_is_null(const struct json *value)
{
    return value != NULL && cJSON_IsNull(inner(value));
}

bool json_int(const struct json *value, int64_t *to)
{
    if (!cJSON_IsNumber(inner(value)))
        return false;
    double number = inner(value)->valuedouble;
    if (!(fabs(number) <= 9007199254740992.0) || number != floor(number))
        return false;
    *to = (int64_t)number;
    return true;
}

bool json_bool(const struct json *value, bool *to)
{
    const char *text = json_text(value);
    bool is_true = cJSON_IsTrue(inner(value)) || (text && strcmp(text, "true") == 0);
    bool is_false = cJSON_IsFalse(inner(value)) || (text && strcmp(text, "false") == 0);
    if (is_true || is_false)
        *to = is_true;
    return is_true || is_false;
}

const struct json *json_first(const struct json *value)
{
    return cJSON_IsArray(inner(value)) || cJSON_IsObject(inner(value)) ? outer(inner(value)->child) : NULL;
}

const struct json *json_next(const struct json *value)
{
    return outer(inner(value)->next);
}

const char *json_name(const struct json *member)
{
    return member ? inner(member)->string : NULL;
}

static bool merge(cJSON *to, const cJSON *from)
{
    for (const cJSON *new = from->child; new != NULL; new = new->next) {
        cJSON *old = cJSON_GetObjectItemCaseSensitive(to, new->string);
        if (cJSON_IsObject(old) && cJSON_IsObject(new)) {
            if (!merge(old, new))
                return false;
            continue;
        }
        if (old != NULL)
            cJSON_DeleteItemFromObjectCaseSensitive(to, new->string);
        if (cJSON_IsNull(new))
            continue;
        cJSON *copy = cJSON_Duplicate(new, 1);
        if (copy == NULL || !cJSON_AddItemToObject(to, new->string, copy)) {
            cJSON_Delete(copy);
            return false;
        }
    }
    return true;
}

bool json_merge(struct json *to, const struct json *from)
{
    cJSON *into = (cJSON *)(void *)to;
    return cJSON_IsObject(into) && cJSON_IsObject(inner(from)) && merge(into, inner(from));
}

char *json_dup_text(const struct json *value)
{
    return cJSON_PrintUnformatted(inner(value));
}
