#include "rmaker/rmaker.h"

#include "base/text.h"
#include "esp_log.h"
#include "esp_ota_ops.h"
#include "rmaker/rmaker_options.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REBOOT_DELAY_MS 10000
#define FETCH_DELAY_MS  5000
#define FETCH_ACK_MS    60000
#define FETCH_BASE_MS   30000
#define FETCH_DOUBLINGS 4 /* 30, 60, 120, 240, then 480 s for ever */

ESP_EVENT_DEFINE_BASE(RMAKER_OTA_EVENT);

static const char *const tag = "esp_rmaker_ota";

#define OTA (rmaker_context.ota)

static void carry_out(const struct ota_effects *todo);

/* --- the mind --------------------------------------------------------------------------------- */

static void tell(enum ota_event_kind kind, const char *text, int64_t delay_ms)
{
    struct ota_effects todo;
    struct ota_event event = {kind, NULL, text, delay_ms};
    xSemaphoreTake(OTA.lock, portMAX_DELAY);
    ota_step(&OTA.mind, &event, &todo);
    xSemaphoreGive(OTA.lock);
    carry_out(&todo);
}

/* --- reports ---------------------------------------------------------------------------------- */

/* The running job's id, else the one in flash of the job that was running before the reboot. */
static bool find_job_id(char to[static JOB_ID_SIZE])
{
    size_t len = JOB_ID_SIZE - 1;
    memset(to, 0, JOB_ID_SIZE);
    if (OTA.job.job_id[0]) {
        text_copy(to, JOB_ID_SIZE, OTA.job.job_id);
        return true;
    }
    return rmaker_store_get_blob(KEY_JOB_ID, to, &len) == ESP_OK;
}

static void post_event(enum report_status status, const char *info)
{
    static const esp_rmaker_ota_event_t events[] = {
        [REPORT_INVALID] = RMAKER_OTA_EVENT_INVALID,    [REPORT_IN_PROGRESS] = RMAKER_OTA_EVENT_IN_PROGRESS,
        [REPORT_SUCCESS] = RMAKER_OTA_EVENT_SUCCESSFUL, [REPORT_FAILED] = RMAKER_OTA_EVENT_FAILED,
        [REPORT_DELAYED] = RMAKER_OTA_EVENT_DELAYED,    [REPORT_REJECTED] = RMAKER_OTA_EVENT_REJECTED,
    };
    esp_event_post(RMAKER_OTA_EVENT, events[status], info, strlen(info) + 1, portMAX_DELAY);
}

static esp_err_t send_report(const char *job_id, enum report_status status, const char *info)
{
    struct status_report r = {.status = status, .ts = (int64_t)time(NULL)};
    struct buf text = {0};
    text_copy(r.job_id, sizeof r.job_id, job_id);
    text_copy(r.info, sizeof r.info, info);
    ESP_LOGI(tag, "Reporting %s: %s", report_status_text(status), info);
    bool is_sent =
        status_report_write(&text, &r, NULL) == ERR_NONE && rmaker_publish(TOPIC_OTASTATUS, buf_bytes(&text)) >= 0;
    buf_deinit(&text);
    post_event(status, info);
    return is_sent ? ESP_OK : ESP_FAIL;
}

esp_err_t rmaker_report(enum report_status status, const char *info)
{
    char job_id[JOB_ID_SIZE];
    return find_job_id(job_id) ? send_report(job_id, status, info) : ESP_ERR_INVALID_STATE;
}

esp_err_t esp_rmaker_ota_report_status(esp_rmaker_ota_handle_t ota_handle, ota_status_t status, char *additional_info)
{
    bool is_known = status >= OTA_STATUS_IN_PROGRESS && status <= OTA_STATUS_REJECTED;
    if (ota_handle == NULL)
        return ESP_FAIL;
    return rmaker_report(is_known ? (enum report_status)status : REPORT_INVALID,
                         additional_info ? additional_info : "");
}

/* --- the workflow of one job ------------------------------------------------------------------ */

static esp_rmaker_ota_data_t job_data(void)
{
    struct job_document *j = &OTA.job;
    return (esp_rmaker_ota_data_t){
        .url = j->url,
        .filesize = (int)j->file_size,
        .fw_version = j->fw_version[0] ? j->fw_version : NULL,
        .file_md5 = j->file_md5[0] ? j->file_md5 : NULL,
        .ota_job_id = j->job_id,
        .server_cert = OTA.config.server_cert,
        .priv = OTA.config.priv,
        .metadata = j->metadata,
    };
}

static void pass_gate(const char *metadata)
{
    const char *text = NULL;
    int64_t delay_ms = 0;
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    switch (ota_check_gate(metadata, now, local.tm_hour * 60 + local.tm_min, &text, &delay_ms)) {
    case OTA_GATE_IS_OPEN:
        tell(OTA_GATE_OPEN, NULL, 0);
        break;
    case OTA_GATE_IS_LATER:
        tell(OTA_GATE_LATER, text, delay_ms);
        break;
    case OTA_GATE_IS_SHUT:
        tell(OTA_GATE_SHUT, text, 0);
        break;
    }
}

esp_err_t esp_rmaker_ota_https_cb(esp_rmaker_ota_handle_t handle, esp_rmaker_ota_data_t *ota_data)
{
    if (handle == NULL || ota_data == NULL || ota_data->url == NULL)
        return ESP_FAIL;
    pass_gate(ota_data->metadata); /* and, when it is open, everything up to the reboot */
    return OTA.mind.state == OTA_REBOOTING ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_rmaker_ota_default_cb(esp_rmaker_ota_handle_t handle, esp_rmaker_ota_data_t *ota_data)
{
    return esp_rmaker_ota_https_cb(handle, ota_data);
}

static void run_callback(void *arg)
{
    esp_rmaker_ota_data_t data = job_data();
    (void)arg;
    OTA.config.ota_cb(&OTA, &data);
    tell(OTA_CALLBACK_DONE, NULL, 0);
    xSemaphoreTake(OTA.lock, portMAX_DELAY);
    job_document_deinit(&OTA.job);
    memset(&OTA.job, 0, sizeof OTA.job);
    xSemaphoreGive(OTA.lock);
}

static void run_attempt(void)
{
    char text[STATUS_INFO_SIZE] = "";
    esp_rmaker_ota_data_t data = job_data();
    esp_err_t err = rmaker_https_attempt(&data, text, sizeof text);
    ESP_LOGI(tag, "Attempt ended: %s %s", esp_err_to_name(err), text);
    tell(err == ESP_OK                    ? OTA_ATTEMPT_OK
         : err == ESP_ERR_INVALID_VERSION ? OTA_ATTEMPT_REJECTED
                                          : OTA_ATTEMPT_FAILED,
         text, 0);
}

/* --- receiving -------------------------------------------------------------------------------- */

static void on_otaurl(const char *topic, struct bytes payload)
{
    struct job_document doc;
    struct why why = {{0}};
    struct ota_effects todo;
    ESP_LOGI(tag, "Upgrade Handler got %.*s on %s topic", (int)payload.len, (const char *)payload.at, topic);
    if (job_document_read(&doc, payload, &why) != ERR_NONE) {
        tell(OTA_JOB_UNUSABLE, why.text, 0);
        return;
    }
    struct ota_event event = {OTA_JOB_ARRIVED, doc.job_id, NULL, 0};
    xSemaphoreTake(OTA.lock, portMAX_DELAY);
    bool is_again = ota_is_busy(&OTA.mind) && strcmp(OTA.job.job_id, doc.job_id) == 0;
    bool is_busy = ota_is_busy(&OTA.mind);
    if (!is_again)
        ota_step(&OTA.mind, &event, &todo);
    if (!is_busy)
        OTA.job = doc;
    xSemaphoreGive(OTA.lock);
    if (is_busy) {
        if (!is_again)
            send_report(doc.job_id, todo.at[0].status, todo.at[0].info);
        job_document_deinit(&doc);
        return;
    }
    carry_out(&todo);
}

/* --- fetching --------------------------------------------------------------------------------- */

static void fetch_now(void *arg)
{
    (void)arg;
    esp_rmaker_ota_fetch();
}

/* No PUBACK in time, or the delay of a retry is over. */
static void fetch_again(void *arg)
{
    (void)arg;
    xSemaphoreTake(OTA.lock, portMAX_DELAY);
    OTA.is_fetching = false;
    xSemaphoreGive(OTA.lock);
    esp_rmaker_ota_fetch();
}

static void on_fetch_timer(void *arg)
{
    (void)arg;
    esp_rmaker_work_queue_add_task(fetch_again, NULL);
}

static void arm_fetch_timer(int64_t ms)
{
    esp_timer_stop(OTA.fetch_timer);
    esp_timer_start_once(OTA.fetch_timer, (uint64_t)ms * 1000);
}

static bool begin_fetch(void)
{
    xSemaphoreTake(OTA.lock, portMAX_DELAY);
    bool is_first = !OTA.is_fetching;
    OTA.is_fetching = true;
    OTA.fetch_message = -1;
    OTA.acknowledged_message = -1;
    xSemaphoreGive(OTA.lock);
    return is_first;
}

/* The message id is known after the publish; its PUBACK may have come before that, from another task. */
static void await_puback(int message_id)
{
    xSemaphoreTake(OTA.lock, portMAX_DELAY);
    OTA.fetch_message = message_id;
    OTA.is_fetching = OTA.acknowledged_message < message_id; /* brokers acknowledge in order */
    if (!OTA.is_fetching)
        OTA.fetch_failures = 0;
    bool is_waiting = OTA.is_fetching;
    xSemaphoreGive(OTA.lock);
    if (is_waiting)
        arm_fetch_timer(FETCH_ACK_MS);
}

static esp_err_t fetch_failed(esp_err_t err)
{
    xSemaphoreTake(OTA.lock, portMAX_DELAY);
    OTA.is_fetching = false;
    int doublings = OTA.fetch_failures < FETCH_DOUBLINGS ? OTA.fetch_failures : FETCH_DOUBLINGS;
    OTA.fetch_failures++;
    xSemaphoreGive(OTA.lock);
    arm_fetch_timer((int64_t)FETCH_BASE_MS << doublings);
    return err;
}

esp_err_t esp_rmaker_ota_fetch(void)
{
    struct fetch_message m = {{0}, {0}, {0}};
    struct buf text = {0};
    int message_id = -1;
    if (!begin_fetch())
        return ESP_OK;
    if (!rmaker_context.is_connected)
        return fetch_failed(ESP_ERR_INVALID_STATE);
    text_copy(m.node_id, sizeof m.node_id, rmaker_context.node_id);
    text_copy(m.fw_version, sizeof m.fw_version, rmaker_context.info.fw_version);
    ESP_LOGI(tag, "Fetching OTA details, if any.");
    if (fetch_message_write(&text, &m, NULL) == ERR_NONE)
        message_id = rmaker_publish(TOPIC_OTAFETCH, buf_bytes(&text));
    buf_deinit(&text);
    if (message_id < 0)
        return fetch_failed(ESP_FAIL);
    await_puback(message_id);
    return ESP_OK;
}

void rmaker_ota_published(int message_id)
{
    if (!OTA.is_enabled)
        return;
    xSemaphoreTake(OTA.lock, portMAX_DELAY);
    OTA.acknowledged_message = message_id;
    bool is_ours = OTA.is_fetching && message_id == OTA.fetch_message;
    if (is_ours) {
        OTA.is_fetching = false;
        OTA.fetch_failures = 0;
    }
    xSemaphoreGive(OTA.lock);
    if (is_ours)
        esp_timer_stop(OTA.fetch_timer);
}

static void on_delayed_fetch(void *arg)
{
    (void)arg;
    esp_rmaker_work_queue_add_task(fetch_now, NULL);
}

static esp_err_t start_timer(esp_timer_cb_t callback, int64_t ms, esp_timer_handle_t *timer)
{
    esp_timer_create_args_t args = {.callback = callback, .name = "rmaker_ota"};
    esp_err_t err = esp_timer_create(&args, timer);
    return err ? err : esp_timer_start_once(*timer, (uint64_t)ms * 1000);
}

esp_err_t esp_rmaker_ota_fetch_with_delay(int seconds)
{
    esp_timer_handle_t timer; /* several may run side by side, as in the original; it lives until the next boot */
    return start_timer(on_delayed_fetch, (int64_t)seconds * 1000, &timer) == ESP_OK ? ESP_OK : ESP_ERR_NO_MEM;
}

/* --- trial ------------------------------------------------------------------------------------ */

static void trial_is_over(void *arg)
{
    (void)arg;
    tell(OTA_TRIAL_OVER, NULL, 0);
}

static void on_trial_timer(void *arg)
{
    (void)arg;
    esp_rmaker_work_queue_add_task(trial_is_over, NULL);
}

static esp_rmaker_ota_diag_status_t diagnose(esp_rmaker_ota_diag_state_t state)
{
    esp_rmaker_ota_diag_priv_t diag = {state, OTA.was_rmaker_ota};
    return OTA.config.ota_diag ? OTA.config.ota_diag(&diag, OTA.config.priv) : OTA_DIAG_STATUS_SUCCESS;
}

static bool is_pending_verify(void)
{
    esp_ota_img_states_t state;
    return esp_ota_get_state_partition(esp_ota_get_running_partition(), &state) == ESP_OK &&
           state == ESP_OTA_IMG_PENDING_VERIFY;
}

static void evaluate_boot(void)
{
    uint8_t flag = 0;
    size_t len = sizeof flag;
    OTA.was_rmaker_ota = rmaker_store_get_blob(KEY_TRIAL, &flag, &len) == ESP_OK;
    if (!is_pending_verify()) {
        tell(OTA.was_rmaker_ota ? OTA_BOOTED_ROLLED_BACK : OTA_BOOTED_NORMAL, NULL, 0);
        return;
    }
    tell(OTA_BOOTED_ON_TRIAL, NULL, 0);
    if (diagnose(OTA_DIAG_STATE_INIT) == OTA_DIAG_STATUS_FAIL)
        tell(OTA_DIAGNOSIS_BAD, NULL, 0);
}

void rmaker_ota_connected(void)
{
    if (!OTA.is_enabled || OTA.mind.state != OTA_ON_TRIAL)
        return;
    switch (diagnose(OTA_DIAG_STATE_POST_MQTT)) {
    case OTA_DIAG_STATUS_SUCCESS:
        tell(OTA_DIAGNOSIS_GOOD, NULL, 0);
        break;
    case OTA_DIAG_STATUS_FAIL:
        tell(OTA_DIAGNOSIS_BAD, NULL, 0);
        break;
    case OTA_DIAG_STATUS_PENDING:
        break; /* the application decides; the rollback timer goes on */
    }
}

void rmaker_ota_started(void)
{
    if (!OTA.is_enabled)
        return;
    tell(OTA_STARTED, NULL, 0);
    rmaker_subscribe(TOPIC_OTAURL, on_otaurl);
}

esp_err_t esp_rmaker_ota_mark_valid(void)
{
    esp_ota_img_states_t state;
    if (esp_ota_get_state_partition(esp_ota_get_running_partition(), &state) == ESP_OK &&
        state != ESP_OTA_IMG_PENDING_VERIFY)
        return ESP_ERR_INVALID_STATE;
    if (!OTA.is_enabled || OTA.mind.state != OTA_ON_TRIAL)
        return ESP_ERR_INVALID_ARG;
    tell(OTA_DIAGNOSIS_GOOD, NULL, 0);
    return ESP_OK;
}

esp_err_t esp_rmaker_ota_mark_invalid(void)
{
    if (!is_pending_verify())
        return ESP_ERR_INVALID_STATE;
    return esp_ota_mark_app_invalid_rollback_and_reboot();
}

static void roll_back(void)
{
    ESP_LOGE(tag, "Firmware verification failed. Rolling back.");
    esp_err_t err = esp_ota_mark_app_invalid_rollback_and_reboot();
    ESP_LOGE(tag, "Rollback is not possible: %s. Restarting.", esp_err_to_name(err));
    esp_restart(); /* the bootloader aborts the trial */
}

/* --- effects ---------------------------------------------------------------------------------- */

static void forget_job(enum report_status status)
{
    bool is_final = status == REPORT_SUCCESS || status == REPORT_REJECTED;
    if (is_final && !OTA.job.job_id[0])
        rmaker_store_erase(KEY_JOB_ID); /* told after the reboot: nothing is left to tell */
}

static void carry_out_one(const struct ota_effect *e)
{
    uint8_t one = 1;
    switch (e->kind) {
    case OTA_IGNORE:
        break;
    case OTA_REPORT:
        rmaker_report(e->status, e->info);
        forget_job(e->status);
        break;
    case OTA_SAVE_JOB:
        rmaker_store_set_blob(KEY_JOB_ID, e->info, strlen(e->info));
        break;
    case OTA_RUN_CALLBACK:
        esp_rmaker_work_queue_add_task(run_callback, NULL);
        break;
    case OTA_RUN_ATTEMPT:
        run_attempt();
        break;
    case OTA_SAVE_TRIAL:
        rmaker_store_set_blob(KEY_TRIAL, &one, sizeof one);
        break;
    case OTA_CLEAR_TRIAL:
        rmaker_store_erase(KEY_TRIAL);
        break;
    case OTA_REBOOT_LATER:
        if (OPTION_IS_ON(CONFIG_ESP_RMAKER_OTA_DISABLE_AUTO_REBOOT))
            esp_event_post(RMAKER_OTA_EVENT, RMAKER_OTA_EVENT_REQ_FOR_REBOOT, NULL, 0, portMAX_DELAY);
        else
            esp_rmaker_reboot((int)(e->delay_ms / 1000));
        break;
    case OTA_FETCH_LATER:
        esp_rmaker_ota_fetch_with_delay((int)(e->delay_ms / 1000));
        break;
    case OTA_START_TRIAL:
        start_timer(on_trial_timer, e->delay_ms, &OTA.trial_timer);
        break;
    case OTA_CONFIRM:
        esp_timer_stop(OTA.trial_timer);
        ESP_ERROR_CHECK_WITHOUT_ABORT(esp_ota_mark_app_valid_cancel_rollback());
        break;
    case OTA_ROLL_BACK:
        roll_back();
        break;
    case OTA_POST_STARTING:
        esp_event_post(RMAKER_OTA_EVENT, RMAKER_OTA_EVENT_STARTING, NULL, 0, portMAX_DELAY);
        break;
    }
}

static void carry_out(const struct ota_effects *todo)
{
    for (unsigned i = 0; i < todo->count; i++)
        carry_out_one(&todo->at[i]);
}

/* --- enable ----------------------------------------------------------------------------------- */

esp_err_t esp_rmaker_ota_enable(esp_rmaker_ota_config_t *ota_config, esp_rmaker_ota_type_t type)
{
    struct ota_options options = {
        .attempts_max = CONFIG_ESP_RMAKER_OTA_MAX_RETRIES,
        .retry_delay_ms = CONFIG_ESP_RMAKER_OTA_RETRY_DELAY_MINUTES * 60000LL,
        .trial_ms = CONFIG_ESP_RMAKER_OTA_ROLLBACK_WAIT_PERIOD * 1000LL,
        .reboot_delay_ms = REBOOT_DELAY_MS,
        .fetch_delay_ms = FETCH_DELAY_MS,
        .has_rollback = OPTION_IS_ON(CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE),
        .is_autofetch = OPTION_IS_ON(CONFIG_ESP_RMAKER_OTA_AUTOFETCH),
        .protocol = "HTTPS",
    };
    esp_timer_create_args_t fetch_timer = {.callback = on_fetch_timer, .name = "rmaker_fetch"};
    if (OTA.is_enabled)
        return ESP_FAIL;
    if (type != OTA_USING_TOPICS)
        return ESP_ERR_INVALID_ARG; /* OTA_USING_PARAMS is not there yet */
    OTA.lock = xSemaphoreCreateMutex();
    if (OTA.lock == NULL || esp_timer_create(&fetch_timer, &OTA.fetch_timer) != ESP_OK)
        return ESP_ERR_NO_MEM;
    if (ota_config != NULL)
        OTA.config = *ota_config;
    if (OTA.config.ota_cb == NULL)
        OTA.config.ota_cb = esp_rmaker_ota_default_cb;
    ota_init(&OTA.mind, &options);
    OTA.is_enabled = true;
    evaluate_boot();
    return ESP_OK;
}

esp_err_t esp_rmaker_ota_enable_default(void)
{
    return esp_rmaker_ota_enable(NULL, OTA_USING_TOPICS);
}
