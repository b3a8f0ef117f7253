# An application of a Linux node: its sources and RainMaker's, compiled with its own sdkconfig.h, linked with the stand-in
# for ESP-IDF, and packed into an ESP image.  NAME.bin lies in the build folder.  PLAIN: without RainMaker.
function(firmware name)
  cmake_parse_arguments(ARG "PLAIN" "PROJECT;VERSION;FOLDER;SECURE_VERSION" "SOURCES;DEFINES" ${ARGN})
  if(NOT ARG_SECURE_VERSION)
    set(ARG_SECURE_VERSION 0)
  endif()
  set(rmaker)
  if(NOT ARG_PLAIN)
    file(GLOB rmaker CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/rmaker/*.c)
  endif()
  add_executable(${name}.elf ${ARG_SOURCES} ${rmaker} ${CMAKE_SOURCE_DIR}/src/esp/esp_main.c)
  set_target_properties(${name}.elf PROPERTIES C_EXTENSIONS ON)
  target_include_directories(${name}.elf BEFORE PRIVATE ${CMAKE_SOURCE_DIR}/${ARG_FOLDER} ${CMAKE_SOURCE_DIR}/src/rmaker/include
    ${CMAKE_SOURCE_DIR}/src/esp/include ${CMAKE_SOURCE_DIR}/src)
  target_compile_options(${name}.elf PRIVATE -Wno-pedantic -Wno-missing-prototypes)
  target_compile_definitions(${name}.elf PRIVATE PROJECT_VER="${ARG_VERSION}" ESP_PLATFORM ${ARG_DEFINES})
  target_link_libraries(${name}.elf PRIVATE ota wire crypto esp Threads::Threads)
  target_compile_options(${name}.elf PRIVATE -ffunction-sections -fdata-sections)
  target_link_options(${name}.elf PRIVATE -s -Wl,--gc-sections -Wl,--wrap=time -Wl,--wrap=gettimeofday -Wl,--wrap=settimeofday)
  add_custom_command(OUTPUT ${name}.bin
    COMMAND pluvio image pack $<TARGET_FILE:${name}.elf> --output ${name}.bin --project ${ARG_PROJECT} --version ${ARG_VERSION}
      --secure-version ${ARG_SECURE_VERSION} --quiet
    DEPENDS ${name}.elf pluvio VERBATIM)
  add_custom_target(${name} ALL DEPENDS ${name}.bin)
endfunction()
