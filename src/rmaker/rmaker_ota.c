/* RainMaker's OTA API: the mind (ota/ota.h) tells what to do, this file does it with ESP-IDF. */
#include "rmaker/rmaker.h"

#include "base/text.h"
#include "esp_efuse.h"
#include "esp_log.h"
#include "esp_mac.h"
#include "esp_ota_ops.h"
#include "esp_random.h"
#include "rmaker/rmaker_options.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

ESP_EVENT_DEFINE_BASE(RMAKER_OTA_EVENT);

static const char *const tag = "esp_rmaker_ota";

#define OTA (rmaker_context.ota)

/* What the doing of effects found out, for functions that answer with it. */
struct outcome {
    esp_err_t report, fetch;
};

static void take_tick(void *arg);

/* --- the mind --------------------------------------------------------------------------------- */

static struct ota_now now(void)
{
    /* Tenths of a second would do; 0 stands for never in the mind, so time begins at 1. */
    return (struct ota_now){esp_timer_get_time() / 1000 + 1, (int64_t)time(NULL)};
}

static void arm_timer(void)
{
    int64_t next = ota_next_ms(&OTA.mind), at = now().ms;
    esp_timer_stop(OTA.timer);
    if (next != 0)
        esp_timer_start_once(OTA.timer, next > at ? (uint64_t)(next - at) * 1000 : 1000);
}

enum ota_mind_state rmaker_ota_state(void)
{
    xSemaphoreTake(OTA.lock, portMAX_DELAY);
    enum ota_mind_state state = OTA.mind.state;
    xSemaphoreGive(OTA.lock);
    return state;
}

static void carry_out(const struct ota_effects *todo, struct outcome *outcome);

/* `offer`, unless NULL, becomes the node's when the mind accepts the job. */
static void step(const struct ota_event *event, struct job_offer **offer, struct outcome *outcome)
{
    struct ota_effects *todo = malloc(sizeof *todo);
    struct ota_now at = now();
    if (todo == NULL) {
        ESP_LOGE(tag, "No memory: \"%s\" is lost", ota_event_name(event->kind));
        return;
    }
    xSemaphoreTake(OTA.lock, portMAX_DELAY);
    enum ota_mind_state before = OTA.mind.state;
    ota_step(&OTA.mind, event, &at, todo);
    for (unsigned i = 0; offer != NULL && i < todo->count; i++)
        if (todo->at[i].kind == OTA_RUN_CALLBACK) {
            free(OTA.job);
            OTA.job = *offer;
            *offer = NULL;
        }
    if (OTA.mind.state != before)
        ESP_LOGD(tag, "%s, %s: %s", ota_state_name(before), ota_event_name(event->kind),
                 ota_state_name(OTA.mind.state));
    arm_timer();
    xSemaphoreGive(OTA.lock);
    carry_out(todo, outcome);
    free(todo);
}

void rmaker_ota_tell(const struct ota_event *event)
{
    struct outcome outcome = {.report = ESP_OK};
    step(event, NULL, &outcome);
}

static void tell(enum ota_event_kind kind, const char *text)
{
    rmaker_ota_tell(&(struct ota_event){.kind = kind, .text = text});
}

static void take_tick(void *arg)
{
    (void)arg;
    OTA.is_tick_queued = false;
    tell(OTA_TICK, NULL);
}

/* The verdict on a trial, or on a callback that does not end, does not wait for a work queue that may hang: that may be
 * what is wrong. */
static void on_timer(void *arg)
{
    (void)arg;
    enum ota_mind_state state = rmaker_ota_state();
    if (state == OTA_ON_TRIAL || state == OTA_ROLLING_BACK || state == OTA_QUEUED)
        tell(OTA_TICK, NULL);
    else if (!atomic_exchange(&OTA.is_tick_queued, true) && esp_rmaker_work_queue_add_task(take_tick, NULL) != ESP_OK) {
        OTA.is_tick_queued = false;
        esp_timer_start_once(OTA.timer, 1000000);
    }
}

/* --- publishes -------------------------------------------------------------------------------- */

static void take_ack(void *arg)
{
    rmaker_ota_tell(&(struct ota_event){.kind = OTA_PUBACK, .ticket = (unsigned)(uintptr_t)arg});
}

static void take_failure(void *arg)
{
    rmaker_ota_tell(&(struct ota_event){.kind = OTA_PUBLISH_FAILED, .ticket = (unsigned)(uintptr_t)arg});
}

static esp_err_t publish(enum topic_kind kind, const char *text, size_t len, unsigned ticket)
{
    void *arg = (void *)(uintptr_t)ticket;
    bool is_sent =
        len > 0 && (ticket == OTA_TICKET_NONE ? rmaker_publish(kind, bytes_of(text, len)) >= 0
                                              : rmaker_publish_for(kind, bytes_of(text, len), take_ack, arg));
    if (!is_sent && ticket != OTA_TICKET_NONE)
        take_failure(arg);
    return is_sent ? ESP_OK : ESP_FAIL;
}

/* --- effects ---------------------------------------------------------------------------------- */

static void post_event(enum report_status status, const char *info)
{
    static const esp_rmaker_ota_event_t events[] = {
        [REPORT_INVALID] = RMAKER_OTA_EVENT_INVALID,    [REPORT_IN_PROGRESS] = RMAKER_OTA_EVENT_IN_PROGRESS,
        [REPORT_SUCCESS] = RMAKER_OTA_EVENT_SUCCESSFUL, [REPORT_FAILED] = RMAKER_OTA_EVENT_FAILED,
        [REPORT_DELAYED] = RMAKER_OTA_EVENT_DELAYED,    [REPORT_REJECTED] = RMAKER_OTA_EVENT_REJECTED,
    };
    esp_event_post(RMAKER_OTA_EVENT, events[status], info, strlen(info) + 1, portMAX_DELAY);
}

static void report(const struct ota_effects *todo, const struct ota_effect *e, struct outcome *outcome)
{
    char payload[REPORT_SIZE];
    ESP_LOGI(tag, "Reporting %s: %s", report_status_text(e->status), e->info);
    if (OTA.type == OTA_USING_PARAMS)
        outcome->report = rmaker_ota_params_report(e->status, e->info);
    else
        outcome->report =
            publish(TOPIC_OTASTATUS, payload, ota_report_write(payload, todo, e, NULL, time(NULL)), e->ticket);
    post_event(e->status, e->info);
}

static void fetch(const struct ota_effect *e, struct outcome *outcome)
{
    char payload[FETCH_SIZE];
    if (!esp_rmaker_is_mqtt_connected()) {
        outcome->fetch = ESP_ERR_INVALID_STATE;
        take_failure((void *)(uintptr_t)e->ticket);
        return;
    }
    ESP_LOGI(tag, "Fetching OTA details, if any.");
    size_t len = fetch_write(payload, rmaker_context.node_id, rmaker_context.info.fw_version, NULL);
    outcome->fetch = publish(TOPIC_OTAFETCH, payload, len, e->ticket);
}

static void save_blame(const struct ota_effects *todo, const struct ota_effect *e)
{
    rmaker_store_set_text(KEY_BLAME, e->info);
    rmaker_store_set_blob(KEY_BLAME_JOB, todo->job_id, strlen(todo->job_id));
}

static void save_cycles(const struct ota_effects *todo, uint32_t cycles)
{
    if (cycles == 0) {
        rmaker_store_erase(KEY_CYCLES);
        rmaker_store_erase(KEY_CYCLES_JOB);
        return;
    }
    rmaker_store_set_blob(KEY_CYCLES_JOB, todo->job_id, strlen(todo->job_id));
    rmaker_store_set_number(KEY_CYCLES, cycles);
}

static void roll_back(void)
{
    ESP_LOGE(tag, "Firmware verification failed. Rolling back.");
    esp_err_t err = esp_ota_mark_app_invalid_rollback_and_reboot();
    ESP_LOGE(tag, "Rollback is not possible: %s. Restarting.", esp_err_to_name(err));
    esp_restart(); /* the bootloader aborts the trial */
}

static void confirm(void)
{
    esp_err_t err = esp_ota_mark_app_valid_cancel_rollback();
    if (err != ESP_OK)
        ESP_LOGE(tag, "The image cannot be confirmed: %s", esp_err_to_name(err));
    tell(err == ESP_OK ? OTA_CONFIRMED : OTA_CONFIRM_FAILED, NULL);
}

static void run_callback(void *arg);

/* A full work queue must not leave the job waiting for ever. */
static void queue_callback(void)
{
    static const struct ota_event full = {
        .kind = OTA_APP_REPORT, .status = REPORT_FAILED, .text = "The work queue is full"};
    if (esp_rmaker_work_queue_add_task(run_callback, NULL) == ESP_OK)
        return;
    rmaker_ota_tell(&full);
    tell(OTA_CALLBACK_DONE, NULL);
}

static void must_save(const char *what, esp_err_t err)
{
    if (err != ESP_OK)
        ESP_LOGE(tag, "%s cannot be written to NVS: %s", what, esp_err_to_name(err));
}

static void carry_out_one(const struct ota_effects *todo, const struct ota_effect *e, struct outcome *outcome)
{
    switch (e->kind) {
    case OTA_IGNORE:
        break;
    case OTA_REPORT:
        report(todo, e, outcome);
        break;
    case OTA_POST:
        post_event(e->status, e->info);
        break;
    case OTA_FETCH:
        fetch(e, outcome);
        break;
    case OTA_SAVE_JOB:
        must_save("The job", rmaker_store_set_blob(KEY_JOB_ID, todo->job_id, strlen(todo->job_id)));
        break;
    case OTA_CLEAR_JOB:
        rmaker_store_erase(KEY_JOB_ID);
        break;
    case OTA_SAVE_TRIAL:
        must_save("The trial", rmaker_store_set_trial(e->value != 0));
        break;
    case OTA_CLEAR_TRIAL:
        rmaker_store_clear_trial();
        break;
    case OTA_SAVE_ROW:
        must_save("The final report", rmaker_store_set_row((unsigned)e->value, &todo->row));
        break;
    case OTA_SAVE_BLAME:
        save_blame(todo, e);
        break;
    case OTA_CLEAR_BLAME:
        rmaker_store_erase(KEY_BLAME_JOB);
        rmaker_store_erase(KEY_BLAME);
        break;
    case OTA_SAVE_CYCLES:
        save_cycles(todo, (uint32_t)e->value);
        break;
    case OTA_RUN_CALLBACK:
        queue_callback();
        break;
    case OTA_RUN_ATTEMPT:
        OTA.wants_attempt = true;
        break;
    case OTA_ABORT_ATTEMPT:
        OTA.abort_text = e->info;
        break;
    case OTA_POST_STARTING:
        esp_event_post(RMAKER_OTA_EVENT, RMAKER_OTA_EVENT_STARTING, NULL, 0, portMAX_DELAY);
        break;
    case OTA_REBOOT_LATER:
        esp_rmaker_reboot((int)(e->value / 1000));
        break;
    case OTA_ASK_FOR_REBOOT:
        esp_event_post(RMAKER_OTA_EVENT, RMAKER_OTA_EVENT_REQ_FOR_REBOOT, NULL, 0, portMAX_DELAY);
        break;
    case OTA_RESTART:
        ESP_LOGE(tag, "What was to end did not. Restarting.");
        esp_restart();
        break;
    case OTA_CONFIRM:
        confirm();
        break;
    case OTA_ROLL_BACK:
        roll_back();
        break;
    }
}

static void carry_out(const struct ota_effects *todo, struct outcome *outcome)
{
    for (unsigned i = 0; i < todo->count; i++)
        carry_out_one(todo, &todo->at[i], outcome);
}

/* --- the workflow of one job ------------------------------------------------------------------ */

static char *or_null(char *text)
{
    return text[0] ? text : NULL;
}

static esp_rmaker_ota_data_t job_data(void)
{
    struct job_offer *j = OTA.job;
    return (esp_rmaker_ota_data_t){
        .url = j->url,
        .stream_id = or_null(j->stream_id),
        .filesize = j->file_size <= INT32_MAX ? (int)j->file_size : 0,
        .fw_version = or_null(j->fw_version),
        .file_md5 = or_null(j->file_md5),
        .ota_job_id = or_null(j->job_id),
        .server_cert = OTA.config.server_cert,
        .priv = OTA.config.priv,
        .metadata = or_null(j->metadata),
    };
}

static void run_callback(void *arg)
{
    (void)arg;
    if (OTA.job == NULL)
        return;
    esp_rmaker_ota_data_t data = job_data();
    OTA.config.ota_cb(&OTA, &data);
    tell(OTA_CALLBACK_DONE, NULL);
    xSemaphoreTake(OTA.lock, portMAX_DELAY);
    if (!ota_is_busy(&OTA.mind) || OTA.mind.state == OTA_REBOOTING) {
        free(OTA.job);
        OTA.job = NULL;
    }
    xSemaphoreGive(OTA.lock);
}

static void begin_workflow(const char *metadata)
{
    struct ota_terms terms = {.is_given = false};
    struct ota_event event = {.kind = OTA_WORKFLOW};
    struct bytes text = bytes_of_text(metadata != NULL ? metadata : "");
    unsigned room = json_view_count(text);
    struct json_token *tokens = room > 0 ? calloc(room, sizeof *tokens) : NULL;
    if (tokens != NULL) {
        ota_terms_read(&terms, text, tokens, room);
        event.terms = &terms;
    }
    rmaker_ota_tell(&event);
    free(tokens);
}

static void end_attempt(esp_err_t err, const char *text, bool is_file)
{
    enum ota_event_kind kind = err == ESP_OK && is_file         ? OTA_FILE_DONE
                               : err == ESP_OK                  ? OTA_ATTEMPT_OK
                               : err == ESP_ERR_INVALID_VERSION ? OTA_ATTEMPT_REJECTED
                                                                : OTA_ATTEMPT_FAILED;
    ESP_LOGI(tag, "Attempt ended: %s %s", esp_err_to_name(err), text);
    tell(kind, text);
}

/* The gate, then attempts as long as the mind wants one. */
static esp_err_t run_workflow(rmaker_attempt_t attempt, const esp_rmaker_ota_data_t *data)
{
    char text[STATUS_INFO_SIZE];
    void *priv;
    bool is_file = rmaker_ota_find_file(data->metadata, &priv) != NULL;
    enum ota_mind_state state = rmaker_ota_state();
    if (state != OTA_IDLE && state != OTA_QUEUED)
        return ESP_FAIL; /* one workflow at a time */
    OTA.wants_attempt = false;
    begin_workflow(data->metadata);
    while (OTA.wants_attempt) {
        OTA.wants_attempt = false;
        OTA.abort_text = NULL;
        text[0] = '\0';
        esp_err_t err = is_file ? rmaker_file_attempt(data, text, sizeof text) : attempt(data, text, sizeof text);
        if (err == ESP_ERR_INVALID_VERSION && text[0] == '\0')
            return ESP_FAIL; /* the mind has rejected the header itself */
        end_attempt(err, text, is_file);
        if (err == ESP_OK)
            return ESP_OK;
    }
    return ESP_FAIL;
}

#ifdef CONFIG_ESP_RMAKER_OTA_USE_MQTT
/* The original returns without a word here, and the job seems stuck. */
esp_err_t esp_rmaker_ota_mqtt_cb(esp_rmaker_ota_handle_t handle, esp_rmaker_ota_data_t *ota_data)
{
    if (handle == NULL || ota_data == NULL)
        return ESP_FAIL;
    return run_workflow(rmaker_stream_attempt, ota_data);
}
#else
esp_err_t esp_rmaker_ota_https_cb(esp_rmaker_ota_handle_t handle, esp_rmaker_ota_data_t *ota_data)
{
    if (handle == NULL || ota_data == NULL || ota_data->url == NULL)
        return ESP_FAIL;
    return run_workflow(rmaker_https_attempt, ota_data);
}
#endif

esp_err_t esp_rmaker_ota_default_cb(esp_rmaker_ota_handle_t handle, esp_rmaker_ota_data_t *ota_data)
{
#ifdef CONFIG_ESP_RMAKER_OTA_USE_MQTT
    return esp_rmaker_ota_mqtt_cb(handle, ota_data);
#else
    return esp_rmaker_ota_https_cb(handle, ota_data);
#endif
}

/* --- receiving -------------------------------------------------------------------------------- */

static const char *read_offer(struct job_offer *offer, struct bytes payload)
{
    unsigned room = json_view_count(payload);
    struct json_token *tokens = room > 0 ? calloc(room, sizeof *tokens) : NULL;
    const char *problem =
        tokens == NULL ? "Aborted. JSON Payload error"
                       : job_offer_read(offer, payload, tokens, room, OPTION_IS_ON(CONFIG_ESP_RMAKER_OTA_USE_MQTT));
    free(tokens);
    return problem;
}

static void on_otaurl(const char *topic, void *payload, size_t payload_len, void *priv_data)
{
    struct outcome outcome = {.report = ESP_OK};
    struct job_offer *offer = calloc(1, sizeof *offer);
    (void)priv_data;
    ESP_LOGI(tag, "Upgrade Handler got %.*s on %s topic", (int)payload_len, (const char *)payload, topic);
    if (offer == NULL) {
        tell(OTA_JOB_UNUSABLE, "Aborted. OTA Updated ID memory allocation failed");
        return;
    }
    const char *problem = read_offer(offer, bytes_of(payload, payload_len));
    struct ota_event event = {
        .kind = problem ? OTA_JOB_UNUSABLE : OTA_JOB_ARRIVED, .job_id = offer->job_id, .text = problem};
    struct job_offer *keep = offer;
    step(&event, &keep, &outcome);
    free(keep);
}

esp_err_t rmaker_ota_take_url(const char *url)
{
    struct outcome outcome = {.report = ESP_OK};
    struct job_offer *offer = calloc(1, sizeof *offer);
    if (offer == NULL)
        return ESP_ERR_NO_MEM;
    bool fits = text_copy(offer->url, sizeof offer->url, url);
    if (fits)
        step(&(struct ota_event){.kind = OTA_JOB_ARRIVED, .job_id = ""}, &offer, &outcome);
    bool is_taken = offer == NULL;
    free(offer);
    return is_taken ? ESP_OK : ESP_FAIL;
}

/* --- the API's small functions ---------------------------------------------------------------- */

esp_err_t esp_rmaker_ota_report_status(esp_rmaker_ota_handle_t ota_handle, ota_status_t status, char *additional_info)
{
    struct outcome outcome = {.report = ESP_ERR_INVALID_STATE};
    bool is_known = status >= OTA_STATUS_IN_PROGRESS && status <= OTA_STATUS_REJECTED;
    if (ota_handle == NULL)
        return ESP_FAIL;
    step(&(struct ota_event){.kind = OTA_APP_REPORT,
                             .status = is_known ? (enum report_status)status : REPORT_INVALID,
                             .text = additional_info ? additional_info : ""},
         NULL, &outcome);
    return outcome.report;
}

esp_err_t esp_rmaker_ota_fetch(void)
{
    struct outcome outcome = {.fetch = ESP_OK};
    if (OTA.lock == NULL)
        return ESP_ERR_INVALID_STATE;
    step(&(struct ota_event){.kind = OTA_FETCH_ASKED}, NULL, &outcome);
    return outcome.fetch;
}

esp_err_t esp_rmaker_ota_fetch_with_delay(int seconds)
{
    if (OTA.lock == NULL)
        return ESP_ERR_INVALID_STATE;
    rmaker_ota_tell(&(struct ota_event){.kind = OTA_FETCH_ASKED, .value = seconds > 0 ? seconds * 1000LL : 1});
    return ESP_OK;
}

static bool is_pending_verify(esp_err_t *err)
{
    esp_ota_img_states_t state = ESP_OTA_IMG_UNDEFINED;
    *err = esp_ota_get_state_partition(esp_ota_get_running_partition(), &state);
    return *err == ESP_OK && state == ESP_OTA_IMG_PENDING_VERIFY;
}

esp_err_t esp_rmaker_ota_mark_valid(void)
{
    esp_err_t err;
    if (!is_pending_verify(&err) && err == ESP_OK)
        return ESP_ERR_INVALID_STATE;
    if (!OTA.is_enabled)
        return ESP_ERR_INVALID_ARG;
    tell(OTA_DIAGNOSIS_GOOD, NULL);
    return ESP_OK;
}

esp_err_t esp_rmaker_ota_mark_invalid(void)
{
    esp_err_t err;
    if (!is_pending_verify(&err))
        return ESP_ERR_INVALID_STATE;
    if (OTA.is_enabled)
        tell(OTA_DIAGNOSIS_BAD, NULL);
    else
        roll_back();
    return ESP_FAIL;
}

/* --- trial and start-up ----------------------------------------------------------------------- */

static esp_rmaker_ota_diag_status_t diagnose(esp_rmaker_ota_diag_state_t state)
{
    esp_rmaker_ota_diag_priv_t diag = {state, OTA.was_rmaker_ota};
    return OTA.config.ota_diag ? OTA.config.ota_diag(&diag, OTA.config.priv) : OTA_DIAG_STATUS_SUCCESS;
}

static void evaluate_boot(void)
{
    struct ota_saved *saved = calloc(1, sizeof *saved);
    if (saved == NULL)
        return;
    rmaker_store_read_saved(saved);
    OTA.was_rmaker_ota = saved->has_trial_flag;
    rmaker_ota_tell(&(struct ota_event){.kind = OTA_BOOTED, .saved = saved});
    free(saved);
    if (rmaker_ota_state() == OTA_ON_TRIAL && diagnose(OTA_DIAG_STATE_INIT) == OTA_DIAG_STATUS_FAIL)
        tell(OTA_DIAGNOSIS_BAD, NULL);
}

void rmaker_ota_connected(void)
{
    if (!OTA.is_enabled)
        return;
    tell(OTA_CONNECTED, NULL);
    if (rmaker_ota_state() != OTA_ON_TRIAL)
        return;
    switch (diagnose(OTA_DIAG_STATE_POST_MQTT)) {
    case OTA_DIAG_STATUS_SUCCESS:
        tell(OTA_DIAGNOSIS_GOOD, NULL);
        break;
    case OTA_DIAG_STATUS_FAIL:
        tell(OTA_DIAGNOSIS_BAD, NULL);
        break;
    case OTA_DIAG_STATUS_PENDING:
        break; /* the application decides; the rollback timer goes on */
    }
}

void rmaker_ota_disconnected(void)
{
    if (OTA.is_enabled)
        tell(OTA_DISCONNECTED, NULL);
}

void rmaker_ota_started(void)
{
    if (!OTA.is_enabled)
        return;
    tell(OTA_STARTED, NULL);
    if (OTA.type == OTA_USING_TOPICS)
        rmaker_subscribe(TOPIC_OTAURL, on_otaurl);
}

void rmaker_ota_zone_changed(void)
{
    struct zone zone;
    if (OTA.lock == NULL)
        return;
    if (!zone_parse(&zone, rmaker_zone_text()))
        ESP_LOGW(tag, "\"%s\" is no POSIX time zone: windows are taken in UTC", rmaker_zone_text());
    xSemaphoreTake(OTA.lock, portMAX_DELAY);
    ota_set_zone(&OTA.mind, &zone);
    xSemaphoreGive(OTA.lock);
}

static struct ota_options read_options(esp_rmaker_ota_type_t type)
{
    struct ota_options o = ota_options_default;
    o.attempts_max = CONFIG_ESP_RMAKER_OTA_MAX_RETRIES;
    o.retry_delay_ms = CONFIG_ESP_RMAKER_OTA_RETRY_DELAY_MINUTES * 60000LL;
    o.trial_ms = CONFIG_ESP_RMAKER_OTA_ROLLBACK_WAIT_PERIOD * 1000LL;
    o.autofetch_period_ms = CONFIG_ESP_RMAKER_OTA_AUTOFETCH_PERIOD * 3600000LL;
    o.progress_percent =
        OPTION_IS_ON(CONFIG_ESP_RMAKER_OTA_PROGRESS_SUPPORT) ? CONFIG_ESP_RMAKER_OTA_PROGRESS_INTERVAL : 0;
    o.has_rollback = OPTION_IS_ON(CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE);
    o.is_autofetch = OPTION_IS_ON(CONFIG_ESP_RMAKER_OTA_AUTOFETCH);
    o.has_time = OPTION_IS_ON(CONFIG_ESP_RMAKER_OTA_TIME_SUPPORT);
    o.reports_failed = OPTION_IS_ON(CONFIG_ESP_RMAKER_OTA_ROLLBACK_REPORT_FAILED);
    o.keeps_running = OPTION_IS_ON(CONFIG_ESP_RMAKER_OTA_DISABLE_AUTO_REBOOT);
    o.tests_rollback = OPTION_IS_ON(CONFIG_ESP_RMAKER_OTA_TEST_ROLLBACK);
    o.test_cycles = CONFIG_ESP_RMAKER_OTA_TEST_ROLLBACK_COUNT;
    o.skips_project_name = OPTION_IS_ON(CONFIG_ESP_RMAKER_SKIP_PROJECT_NAME_CHECK);
    o.skips_version = OPTION_IS_ON(CONFIG_ESP_RMAKER_SKIP_VERSION_CHECK);
    o.skips_secure_version = OPTION_IS_ON(CONFIG_ESP_RMAKER_SKIP_SECURE_VERSION_CHECK);
    o.refuses_downgrade = OPTION_IS_ON(CONFIG_ESP_RMAKER_OTA_REFUSE_DOWNGRADE);
    o.secure_version = esp_efuse_read_secure_version();
    o.is_params = type == OTA_USING_PARAMS;
    o.protocol = OPTION_IS_ON(CONFIG_ESP_RMAKER_OTA_USE_MQTT) ? "MQTT" : "HTTPS";
    return o;
}

static esp_err_t prepare(void)
{
    esp_timer_create_args_t timer = {.callback = on_timer, .name = "rmaker_ota"};
    OTA.lock = xSemaphoreCreateMutex();
    if (OTA.lock == NULL || esp_timer_create(&timer, &OTA.timer) != ESP_OK)
        return ESP_ERR_NO_MEM;
    ota_init(&OTA.mind, &OTA.options, (uint64_t)esp_random() << 32 | esp_random());
    rmaker_ota_zone_changed();
    return ESP_OK;
}

esp_err_t esp_rmaker_ota_enable(esp_rmaker_ota_config_t *ota_config, esp_rmaker_ota_type_t type)
{
    if (OTA.is_enabled) {
        ESP_LOGE(tag, "OTA already initialised");
        return ESP_FAIL;
    }
    if (type != OTA_USING_TOPICS && type != OTA_USING_PARAMS)
        return ESP_ERR_INVALID_ARG;
    OTA.type = type;
    OTA.options = read_options(type);
    OTA.config = ota_config != NULL ? *ota_config : (esp_rmaker_ota_config_t){NULL, NULL, NULL, NULL};
    if (OTA.config.ota_cb == NULL)
        OTA.config.ota_cb = esp_rmaker_ota_default_cb;
    esp_err_t err = OTA.lock == NULL ? prepare() : ESP_OK;
    if (err == ESP_OK && type == OTA_USING_PARAMS)
        err = rmaker_ota_params_enable();
    if (err != ESP_OK)
        return err;
    evaluate_boot();
    OTA.is_enabled = true; /* not before: a diagnosis that confirms too early is told so */
    return ESP_OK;
}

esp_err_t esp_rmaker_ota_enable_default(void)
{
    return esp_rmaker_ota_enable(NULL, OTA_USING_TOPICS);
}
