# The sample programs beside the project, unchanged: one firmware for each version, with the certificate of a server that
# the tests start.
set(samples ${CMAKE_SOURCE_DIR}/../shared/samples)
if(NOT EXISTS ${samples}/ota.c)
  message(STATUS "The sample programs are not there: their tests skip")
  return()
endif()
set(cert ${CMAKE_BINARY_DIR}/sample_server)
add_custom_command(OUTPUT ${cert}.crt ${cert}.key
  COMMAND openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=127.0.0.1
    -addext subjectAltName=IP:127.0.0.1 -keyout ${cert}.key -out ${cert}.crt
  VERBATIM)
# As ESP-IDF's build embeds a text file: between two symbols, with a NUL at its end.
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/sample_cert.S CONTENT
"        .section .rodata
        .global _binary_server_cert_pem_start, _binary_server_cert_pem_end
_binary_server_cert_pem_start:
        .incbin \"${cert}.crt\"
        .byte 0
_binary_server_cert_pem_end:
        .section .note.GNU-stack,\"\",%progbits
" @ONLY)
set_source_files_properties(${CMAKE_BINARY_DIR}/sample_cert.S PROPERTIES OBJECT_DEPENDS ${cert}.crt)
foreach(version 1.0.0 2.0.0 3.0.0)
  firmware(sample-${version} PLAIN PROJECT sample VERSION ${version} FOLDER tests/firmware/sample
    SOURCES tests/firmware/sample/glue.c ${samples}/ota.c ${samples}/main.c ${CMAKE_BINARY_DIR}/sample_cert.S)
  if(version STREQUAL 3.0.0)
    set(verdict 0) # this one finds itself bad
  else()
    set(verdict 1)
  endif()
  target_compile_definitions(sample-${version}.elf PRIVATE SELF_TEST=${verdict})
endforeach()
set_source_files_properties(${samples}/main.c PROPERTIES COMPILE_DEFINITIONS app_main=sample_app_main)
set_source_files_properties(${samples}/ota.c ${samples}/main.c PROPERTIES COMPILE_OPTIONS "-Wno-missing-prototypes;-Wno-strict-prototypes")
firmware(hang PLAIN PROJECT sample VERSION 4.0.0 FOLDER tests/firmware/hang SOURCES tests/firmware/hang/main.c)
