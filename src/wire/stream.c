#include "wire/stream.h"

#include "base/text.h"
#include "codec/cbor.h"

#include <string.h>

static const char *const kind_words[STREAM_TOPICS] = {"get", "data", "rejected"};
static const char *const form_words[STREAM_FORMS] = {"cbor", "json"};

bool stream_topic_in(char *to, size_t size, enum stream_topic_kind kind, enum stream_form form, const char *node_id,
                     const char *stream_id)
{
    struct text t;
    text_init(&t, to, size);
    text_add(&t, "$aws/things/%s/streams/%s/%s/%s", node_id, stream_id, kind_words[kind], form_words[form]);
    return !t.is_cut;
}

bool stream_topic_write(char *to, size_t size, enum stream_topic_kind kind, const char *node_id, const char *stream_id)
{
    return stream_topic_in(to, size, kind, STREAM_CBOR, node_id, stream_id);
}

/* Takes the part until the next slash, or until the end. */
static bool take_part(const char **at, char *to, size_t size)
{
    size_t len = strcspn(*at, "/");
    if (len >= size)
        return false;
    memcpy(to, *at, len);
    to[len] = '\0';
    *at += len + ((*at)[len] == '/');
    return text_is_plain_id(to, size - 1);
}

static bool find_word(const char *const *words, int count, const char *word, int *to)
{
    for (*to = 0; *to < count; ++*to)
        if (strcmp(words[*to], word) == 0)
            return true;
    return false;
}

bool stream_topic_read(struct stream_topic *to, const char *topic)
{
    static const char prefix[] = "$aws/things/", middle[] = "streams";
    char word[16];
    int kind, form;
    if (strncmp(topic, prefix, sizeof prefix - 1) != 0)
        return false;
    topic += sizeof prefix - 1;
    if (!take_part(&topic, to->node_id, sizeof to->node_id) || !take_part(&topic, word, sizeof word) ||
        strcmp(word, middle) != 0 || !take_part(&topic, to->stream_id, sizeof to->stream_id) ||
        !take_part(&topic, word, sizeof word) || !find_word(kind_words, STREAM_TOPICS, word, &kind) ||
        !take_part(&topic, word, sizeof word) || !find_word(form_words, STREAM_FORMS, word, &form) || *topic != '\0' ||
        topic[-1] == '/')
        return false;
    to->kind = (enum stream_topic_kind)kind;
    to->form = (enum stream_form)form;
    return true;
}

/* --- maps of one-letter keys ------------------------------------------------------------------ */

struct field {
    char key;
    uint32_t *number; /* one of the two */
    struct bytes *data;
    bool is_needed, is_found;
};

static struct field *find_field(struct field *fields, size_t count, struct bytes key)
{
    for (size_t i = 0; i < count; i++)
        if (key.len == 1 && key.at[0] == (uint8_t)fields[i].key)
            return &fields[i];
    return NULL;
}

static bool take_value(struct field *field, const struct cbor_item *value)
{
    field->is_found = true;
    if (field->data != NULL) {
        *field->data = value->data;
        return value->kind == CBOR_ITEM_BYTES;
    }
    *field->number = (uint32_t)value->value;
    return value->kind == CBOR_ITEM_UINT && value->value <= UINT32_MAX;
}

/* Extra keys are passed over. */
static bool read_map(struct bytes input, struct field *fields, size_t count)
{
    struct cbor_item map, key, value;
    if (!cbor_next(&input, &map) || map.kind != CBOR_ITEM_MAP)
        return false;
    for (uint64_t i = 0; i < map.value; i++) {
        if (!cbor_next(&input, &key) || !cbor_skip_content(&input, &key) || !cbor_next(&input, &value))
            return false;
        struct field *field = key.kind == CBOR_ITEM_TEXT ? find_field(fields, count, key.data) : NULL;
        if (field != NULL ? !take_value(field, &value) : !cbor_skip_content(&input, &value))
            return false;
    }
    for (size_t i = 0; i < count; i++)
        if (fields[i].is_needed && !fields[i].is_found)
            return false;
    return true;
}

static void put_number(struct cbor_out *out, const char *key, uint32_t value)
{
    cbor_put_text(out, key);
    cbor_put_uint(out, value);
}

/* --- requests --------------------------------------------------------------------------------- */

size_t stream_request_write(uint8_t *to, size_t size, const struct stream_request *r)
{
    struct cbor_out out = {to, size, 0, false};
    cbor_put_map(&out, r->bitmap.len > 0 ? 5 : 4);
    put_number(&out, "f", r->file_id);
    put_number(&out, "l", r->block_bytes);
    put_number(&out, "o", r->offset);
    if (r->bitmap.len > 0) {
        cbor_put_text(&out, "b");
        cbor_put_bytes(&out, r->bitmap);
    }
    put_number(&out, "n", r->count);
    return out.is_cut ? 0 : out.len;
}

bool stream_request_read(struct stream_request *r, struct bytes payload)
{
    *r = (struct stream_request){.file_id = 0};
    struct field fields[] = {{'f', &r->file_id, NULL, true, false},
                             {'l', &r->block_bytes, NULL, true, false},
                             {'o', &r->offset, NULL, true, false},
                             {'n', &r->count, NULL, true, false},
                             {'b', NULL, &r->bitmap, false, false}};
    return read_map(payload, fields, 5) && r->block_bytes > 0 && r->count > 0 &&
           (!fields[4].is_found || r->bitmap.len >= ((uint64_t)r->count + 7) / 8);
}

/* --- blocks ----------------------------------------------------------------------------------- */

size_t stream_block_write(uint8_t *to, size_t size, const struct stream_block *b)
{
    struct cbor_out out = {to, size, 0, false};
    cbor_put_map(&out, 4);
    put_number(&out, "f", b->file_id);
    put_number(&out, "i", b->index);
    put_number(&out, "l", b->len);
    cbor_put_text(&out, "p");
    cbor_put_bytes(&out, b->data);
    return out.is_cut ? 0 : out.len;
}

bool stream_block_read(struct stream_block *b, struct bytes payload)
{
    *b = (struct stream_block){.file_id = 0};
    struct field fields[] = {{'f', &b->file_id, NULL, true, false},
                             {'i', &b->index, NULL, true, false},
                             {'l', &b->len, NULL, true, false},
                             {'p', NULL, &b->data, true, false}};
    return read_map(payload, fields, 4) && b->data.len == b->len;
}
