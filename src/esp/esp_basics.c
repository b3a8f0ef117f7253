/* Errors, log, application descriptor, restart: the small APIs. */
#include "esp/err_names.h"
#include "esp/esp.h"
#include "esp/include/esp_crt_bundle.h"
#include "esp/include/esp_http_client.h"
#include "esp/include/esp_https_ota.h"
#include "esp/include/esp_log.h"
#include "esp/include/esp_timer.h"
#include "esp/include/nvs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* These are named where ESP-TLS is; only their names are needed here. */
enum {
    ESP_ERR_ESP_TLS_CANNOT_RESOLVE_HOSTNAME = 0x8001,
    ESP_ERR_ESP_TLS_CANNOT_CREATE_SOCKET,
    ESP_ERR_ESP_TLS_UNSUPPORTED_PROTOCOL_FAMILY,
    ESP_ERR_ESP_TLS_FAILED_CONNECT_TO_HOST,
    ESP_ERR_ESP_TLS_SOCKET_SETOPT_FAILED,
    ESP_ERR_ESP_TLS_CONNECTION_TIMEOUT,
    ESP_ERR_ESP_TLS_SE_FAILED,
    ESP_ERR_ESP_TLS_TCP_CLOSED_FIN,
    ESP_ERR_ESP_TLS_SERVER_HANDSHAKE_TIMEOUT,
    ESP_ERR_MBEDTLS_SSL_HANDSHAKE_FAILED = 0x801a,
    ESP_ERR_FLASH_OP_FAIL = 0x6001,
    ESP_ERR_FLASH_OP_TIMEOUT,
    ESP_ERR_FLASH_NOT_INITIALISED,
    ESP_ERR_FLASH_UNSUPPORTED_HOST,
    ESP_ERR_FLASH_UNSUPPORTED_CHIP,
    ESP_ERR_FLASH_PROTECTED,
    ESP_ERR_IMAGE_FLASH_FAIL = 0x2001,
    ESP_ERR_IMAGE_INVALID
};

static const struct name {
    esp_err_t code;
    const char *text;
} names[] = {
#define NAME_ROW(code) {code, #code},
    ERR_NAMES(NAME_ROW)};

const char *esp_err_to_name(esp_err_t code)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].code == code)
            return names[i].text;
    return "UNKNOWN ERROR";
}

const char *esp_err_to_name_r(esp_err_t code, char *buf, size_t buflen)
{
    const char *name = esp_err_to_name(code);
    if (strcmp(name, "UNKNOWN ERROR") == 0)
        snprintf(buf, buflen, "UNKNOWN ERROR 0x%x(%d)", (unsigned)code, code);
    else
        snprintf(buf, buflen, "%s", name);
    return buf;
}

void _esp_error_check_failed(esp_err_t rc, const char *file, int line, const char *function, const char *expression)
{
    fprintf(stderr, "ESP_ERROR_CHECK failed: esp_err_t 0x%x (%s) at %s:%d, %s: %s\n", (unsigned)rc, esp_err_to_name(rc),
            file, line, function, expression);
    abort();
}

/* --- log -------------------------------------------------------------------------------------- */

static esp_log_level_t log_level = ESP_LOG_INFO; /* part of the context; here because nothing else asks for it */

void esp_log_level_set(const char *tag, esp_log_level_t level)
{
    if (strcmp(tag, "*") == 0)
        log_level = level;
}

uint32_t esp_log_timestamp(void)
{
    return (uint32_t)(esp_timer_get_time() / 1000);
}

void esp_log_write(esp_log_level_t level, const char *tag, const char *format, ...)
{
    static const char letters[] = "NEWIDV";
    char line[1024];
    va_list args;
    if (level > log_level)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    printf("%c (%u) %s: %s\n", letters[level], (unsigned)esp_log_timestamp(), tag, line);
}

/* --- application ------------------------------------------------------------------------------ */

const esp_app_desc_t *esp_app_get_description(void)
{
    return &esp_context.app_desc;
}

#define ELF_SHA_CHARACTERS 9 /* CONFIG_APP_RETRIEVE_LEN_ELF_SHA's default */

int esp_app_get_elf_sha256(char *dst, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    if (dst == NULL || size < 2)
        return 0;
    size_t n = size - 1 < ELF_SHA_CHARACTERS ? size - 1 : ELF_SHA_CHARACTERS;
    for (size_t i = 0; i < n; i++)
        dst[i] = digits[esp_context.app_desc.app_elf_sha256[i / 2] >> (i % 2 ? 0 : 4) & 15];
    dst[n] = '\0';
    return (int)n + 1;
}

esp_err_t esp_crt_bundle_attach(void *conf)
{
    (void)conf; /* clients look at whether it is set; the bundle itself is in the context */
    return ESP_OK;
}

/* --- restart ---------------------------------------------------------------------------------- */

#define SHUTDOWN_HANDLERS 5

static shutdown_handler_t shutdown_handlers[SHUTDOWN_HANDLERS];

esp_err_t esp_register_shutdown_handler(shutdown_handler_t handler)
{
    for (int i = 0; i < SHUTDOWN_HANDLERS; i++) {
        if (shutdown_handlers[i] == handler)
            return ESP_ERR_INVALID_STATE;
        if (shutdown_handlers[i] == NULL) {
            shutdown_handlers[i] = handler;
            return ESP_OK;
        }
    }
    return ESP_ERR_NO_MEM;
}

void esp_restart(void)
{
    for (int i = SHUTDOWN_HANDLERS - 1; i >= 0; i--)
        if (shutdown_handlers[i] != NULL)
            shutdown_handlers[i]();
    fflush(stdout);
    _exit(ESP_EXIT_RESTART);
}

esp_reset_reason_t esp_reset_reason(void)
{
    return esp_context.reset_reason;
}
