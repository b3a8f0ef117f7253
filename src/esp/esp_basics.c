/* Errors, the application's description, random numbers, addresses of the network interfaces: the small APIs. */
#include "esp/err_names.h"
#include "esp/esp.h"
#include "esp/include/esp_chip_info.h"
#include "esp/include/esp_crt_bundle.h"
#include "esp/include/esp_efuse.h"
#include "esp/include/esp_http_client.h"
#include "esp/include/esp_https_ota.h"
#include "esp/include/esp_idf_version.h"
#include "esp/include/esp_image_format.h"
#include "esp/include/esp_mac.h"
#include "esp/include/esp_random.h"
#include "esp/include/esp_tls_errors.h"
#include "esp/include/nvs.h"
#include "esp/include/spi_flash_mmap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

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

/* Codes that are none of ESP-IDF's may be errno's. */
const char *esp_err_to_name_r(esp_err_t code, char *buf, size_t buflen)
{
    const char *name = esp_err_to_name(code);
    if (strcmp(name, "UNKNOWN ERROR") != 0)
        snprintf(buf, buflen, "%s", name);
    else if (code > 0 && code < 134 && strncmp(strerror(code), "Unknown", 7) != 0)
        snprintf(buf, buflen, "%s", strerror(code));
    else
        snprintf(buf, buflen, "UNKNOWN ERROR 0x%x(%d)", (unsigned)code, code);
    return buf;
}

static void tell_failed(esp_err_t rc, const char *file, int line, const char *function, const char *expression)
{
    fprintf(stderr, "ESP_ERROR_CHECK failed: esp_err_t 0x%x (%s) at %s:%d, %s: %s\n", (unsigned)rc, esp_err_to_name(rc),
            file, line, function, expression);
}

void _esp_error_check_failed(esp_err_t rc, const char *file, int line, const char *function, const char *expression)
{
    tell_failed(rc, file, line, function, expression);
    abort();
}

void _esp_error_check_failed_without_abort(esp_err_t rc, const char *file, int line, const char *function,
                                           const char *expression)
{
    tell_failed(rc, file, line, function, expression);
}

/* --- application ------------------------------------------------------------------------------ */

const esp_app_desc_t *esp_app_get_description(void)
{
    return &esp_context.app_desc;
}

const esp_app_desc_t *esp_ota_get_app_description(void)
{
    return &esp_context.app_desc;
}

int esp_app_get_elf_sha256(char *dst, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    size_t most = (size_t)esp_context.start.options->sha_characters;
    if (dst == NULL || size < 2)
        return 0;
    size_t n = size - 1 < most ? size - 1 : most;
    for (size_t i = 0; i < n; i++)
        dst[i] = digits[esp_context.app_desc.app_elf_sha256[i / 2] >> (i % 2 ? 0 : 4) & 15];
    dst[n] = '\0';
    return (int)n + 1;
}

int esp_ota_get_app_elf_sha256(char *dst, size_t size)
{
    return esp_app_get_elf_sha256(dst, size);
}

char *esp_app_get_elf_sha256_str(void)
{
    static char text[2 * 32 + 1]; /* as on the chip: one text for all callers */
    esp_app_get_elf_sha256(text, sizeof text);
    return text;
}

const char *esp_get_idf_version(void)
{
    return "v5.5.5";
}

/* Clients look at whether it is set; the bundle itself is in the context. */
esp_err_t esp_crt_bundle_attach(void *conf)
{
    (void)conf;
    return ESP_OK;
}

void esp_crt_bundle_detach(void *conf)
{
    (void)conf;
}

/* What vesp was given stays the bundle. */
esp_err_t esp_crt_bundle_set(const uint8_t *x509_bundle, size_t bundle_size)
{
    return x509_bundle != NULL && bundle_size > 0 ? ESP_OK : ESP_ERR_INVALID_ARG;
}

/* --- chip ------------------------------------------------------------------------------------- */

void esp_chip_info(esp_chip_info_t *out_info)
{
    uint16_t id = esp_context.start.chip->id;
    *out_info = (esp_chip_info_t){.model = id == CHIP_LINUX ? CHIP_POSIX_LINUX
                                           : id == 0        ? CHIP_ESP32
                                                            : (esp_chip_model_t)id,
                                  .features = CHIP_FEATURE_WIFI_BGN,
                                  .cores = 1};
}

uint32_t esp_random(void)
{
    uint32_t value = 0;
    esp_fill_random(&value, sizeof value);
    return value;
}

void esp_fill_random(void *buf, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = getrandom((uint8_t *)buf + done, len - done, 0);
        done += n > 0 ? (size_t)n : 0;
    }
}

/* A local address that stays with the flash file. */
esp_err_t esp_efuse_mac_get_default(uint8_t *mac)
{
    struct stat st = {0};
    fstat(esp_context.file.fd, &st);
    uint64_t number = ((uint64_t)st.st_ino * 0x9e3779b97f4a7c15u) ^ (uint64_t)st.st_dev;
    if (mac == NULL)
        return ESP_ERR_INVALID_ARG;
    mac[0] = 0x02;
    for (int i = 1; i < 6; i++)
        mac[i] = (uint8_t)(number >> (8 * i));
    mac[5] &= 0xfc; /* the interfaces' addresses count on from it */
    return ESP_OK;
}

esp_err_t esp_read_mac(uint8_t *mac, esp_mac_type_t type)
{
    esp_err_t err = esp_efuse_mac_get_default(mac);
    if (err == ESP_OK && type <= ESP_MAC_ETH)
        mac[5] = (uint8_t)(mac[5] + (unsigned)type);
    return err;
}

esp_err_t esp_base_mac_addr_get(uint8_t *mac)
{
    return esp_efuse_mac_get_default(mac);
}

/* --- secure version --------------------------------------------------------------------------- */

uint32_t esp_efuse_read_secure_version(void)
{
    uint32_t version = 0;
    if (esp_context.start.efuse.flash.flash != NULL)
        efuse_secure_version(&esp_context.start.efuse, &version, NULL);
    return version;
}

bool esp_efuse_check_secure_version(uint32_t secure_version)
{
    return secure_version >= esp_efuse_read_secure_version();
}

esp_err_t esp_efuse_update_secure_version(uint32_t secure_version)
{
    if (esp_context.start.efuse.flash.flash == NULL)
        return ESP_ERR_NOT_SUPPORTED;
    switch (efuse_raise(&esp_context.start.efuse, secure_version, NULL)) {
    case ERR_NONE:
        return ESP_OK;
    case ERR_TOO_BIG:
        return ESP_ERR_INVALID_ARG;
    default:
        return ESP_FAIL;
    }
}
