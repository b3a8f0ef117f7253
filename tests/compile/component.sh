#!/usr/bin/env bash
# Goal: the ESP-IDF component has every source that it needs, and its Kconfig every option that the code asks for, with the
# code's own defaults.  ESP-IDF itself is not here: its build's one function is played, its headers are room esp's.
#   component.sh SOURCE-FOLDER
set -euo pipefail
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
kconfig=$root/components/esp_rainmaker/Kconfig.projbuild

# Options: those in the code are in Kconfig, and numbers have the same defaults
options=$(grep -ohE 'CONFIG_ESP_RMAKER_[A-Z0-9_]+' "$root"/src/rmaker/*.c "$root"/src/rmaker/*.h | sed 's/^CONFIG_//' | sort -u)
for option in $options; do
  grep -qE "config $option\$" "$kconfig" || { echo "Kconfig lacks $option"; exit 1; }
done
grep -E '^#define CONFIG_ESP_RMAKER' "$root/src/rmaker/rmaker_options.h" | while read -r _ name value; do
  awk -v option="${name#CONFIG_}" -v value="$value" '$1 == "choice" { here = 0 } $1 == "config" { here = $2 == option }
    here && $1 == "default" { found = 1; if ($2 != value) { print option ": Kconfig has " $2 ", the code " value; bad = 1 } } END { exit bad || !found }' "$kconfig" ||
    { echo "$name: its default in Kconfig is another"; exit 1; }
done
for option in $(awk '$1 == "config" { print $2 }' "$kconfig"); do
  case "$option" in ESP_RMAKER_OTA_USE_HTTPS | ESP_RMAKER_MQTT_PORT_8883) continue ;; esac # the other one of a choice
  grep -qx "$option" <<<"$options" || { echo "nobody asks for $option"; exit 1; }
done

cat >"$work/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(component C)
set(COMPONENT_LIB esp_rainmaker)
function(idf_component_register)
  cmake_parse_arguments(ARG "" "" "SRCS;INCLUDE_DIRS;PRIV_INCLUDE_DIRS;REQUIRES" ${ARGN})
  add_library(esp_rainmaker STATIC ${ARG_SRCS})
  target_include_directories(esp_rainmaker PUBLIC ${ARG_INCLUDE_DIRS} PRIVATE ${ARG_PRIV_INCLUDE_DIRS} ${ESP_HEADERS})
endfunction()
add_compile_options(-std=gnu17 -Wall -Wextra -Werror -Wno-format-truncation -Wno-unknown-warning-option -O1)
add_compile_definitions(ESP_PLATFORM)
if(CONFIG_ESP_RMAKER_OTA_USE_MQTT)
  add_compile_definitions(CONFIG_ESP_RMAKER_OTA_USE_MQTT=1)
endif()
add_subdirectory(${COMPONENT} component)
# An application that takes it: everything the component calls and does not bring must come from ESP-IDF or a library.
add_executable(app app.c)
target_include_directories(app PRIVATE ${ESP_HEADERS})
target_link_libraries(app PRIVATE esp_rainmaker ${ESP_LIBRARY} -Wl,--unresolved-symbols=report-all)
CMAKE
cat >"$work/app.c" <<'C'
#include "esp_rmaker_core.h"
#include "esp_rmaker_ota.h"
#include "esp_rmaker_ota_file.h"
#include "esp_rmaker_mqtt.h"
#include "esp_rmaker_user_mapping.h"
int main(void) { return esp_rmaker_ota_enable_default() + esp_rmaker_start() + esp_rmaker_start_user_node_mapping(0, 0) +
  esp_rmaker_timezone_service_enable() + esp_rmaker_ota_register_file_handler(0, 0, 0) + esp_rmaker_node_deinit(0); }
C
for transport in OFF ON; do
  cmake -S "$work" -B "$work/$transport" -G Ninja -DCOMPONENT="$root/components/esp_rainmaker" -DESP_HEADERS="$root/src/esp/include" \
    -DCONFIG_ESP_RMAKER_OTA_USE_MQTT=$transport >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  ninja -C "$work/$transport" esp_rainmaker >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  # What the component needs of others: ESP-IDF's names, C's, the libraries'.
  nm "$work/$transport"/component/*.a | awk '$1 == "U" { print $2 }' | sort -u >"$work/needed"
  nm "$work/$transport"/component/*.a | awk 'NF == 3 { print $3 }' | sort -u >"$work/brought"
  stray=$(comm -23 "$work/needed" "$work/brought" | grep -vE '^(esp_|nvs_|xQueue|xTask|xSemaphore|vTask|vQueue|vSemaphore|mbedtls_|cbor_|_|xEvent)' |
    grep -vxE 'abort|calloc|free|malloc|realloc|mem(cmp|cpy|set|move|chr|mem)|str(cmp|len|ncmp|chr|rchr|spn|cspn|dup|ndup|toul|toll|tod|cpy|str|casecmp|error|ftime)|snprintf|vsnprintf|setenv|tzset|time|localtime_r|bsearch|isalpha|isdigit|errno|stderr|sscanf|printf' || true)
  [ -z "$stray" ] || { echo "the component lacks a source for:" $stray; exit 1; }
done
echo "the component builds, over HTTPS and over MQTT, and its options are the code's"
