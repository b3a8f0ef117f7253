/* Goal: the mind allocates nothing, whatever happens to it: a whole update, a rollback, failures, a document read in
 * place. */
#include "ota/stream.h"
#include "play.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

static unsigned allocations;
static bool is_counting;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);

void *__wrap_malloc(size_t size)
{
    allocations += is_counting;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations += is_counting;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *at, size_t size)
{
    allocations += is_counting;
    return __real_realloc(at, size);
}

static struct play play;

static void live(const struct ota_options *options, const struct play_attempt *attempt, bool is_bad)
{
    play_init(&play, options, 3);
    play.attempts[0] = *attempt;
    play.diagnosis_is_bad = is_bad;
    play_boot(&play);
    play_job(&play, "J",
             "{\"validity\":{\"start\":1,\"end\":4000000000},\"download_window\":{\"start\":0,\"end\":1439}}");
    play_job(&play, "B", NULL);
    play_run(&play, 100000);
    play_disconnect(&play);
    play_run(&play, 1000);
    play_connect(&play);
    play_job(&play, "J", NULL);
    play_run(&play, 3600000);
}

static void lives_without_heap(void **state)
{
    static const struct play_attempt good = {.version = "2.0", .project = "app", .percents = {10, 50, 90}},
                                     same = {.version = "1.0", .project = "app"}, broken = {.begin_fails = "x"},
                                     silent = {.version = "2.0", .project = "app", .stalls = true};
    struct ota_options params = ota_options_default;
    (void)state;
    params.is_params = true;
    is_counting = true;
    live(&ota_options_default, &good, false);
    live(&ota_options_default, &good, true);
    live(&ota_options_default, &same, false);
    live(&ota_options_default, &broken, false);
    live(&ota_options_default, &silent, false);
    live(&params, &good, false);
    is_counting = false;
    assert_int_equal(allocations, 0);
}

static void messages_without_heap(void **state)
{
    static const char text[] = "{\"ota_job_id\":\"J\",\"url\":\"https:\\/\\/h\",\"metadata\":{\"a\":[1,2,{}]}}";
    static struct job_offer offer;
    struct json_token tokens[32];
    struct stream_request request = {1, 4096, 0, 16, {(const uint8_t *)"\xff\xff", 2}};
    uint8_t raw[64];
    (void)state;
    is_counting = true;
    const char *problem = job_offer_read(&offer, bytes_of_text(text), tokens, 32, false);
    size_t len = stream_request_write(raw, sizeof raw, &request);
    bool is_read = stream_request_read(&request, bytes_of(raw, len));
    is_counting = false;
    assert_null(problem);
    assert_true(is_read);
    assert_int_equal(allocations, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives_without_heap),
        cmocka_unit_test(messages_without_heap),
    };
    return cmocka_run_group_tests_name("ota heap", tests, NULL, NULL);
}
