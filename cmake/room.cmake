# A room is a folder under src/ and a static library of the same name.  What it may use is what it links to; the include
# arrows themselves are checked by tests/arch.
function(room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;LIBRARIES" ${ARGN})
  list(TRANSFORM ARG_SOURCES PREPEND "${CMAKE_SOURCE_DIR}/src/")
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${name} PUBLIC ${ARG_USES} PRIVATE ${ARG_LIBRARIES})
endfunction()

function(program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;LIBRARIES" ${ARGN})
  list(TRANSFORM ARG_SOURCES PREPEND "${CMAKE_SOURCE_DIR}/src/")
  add_executable(${name} ${ARG_SOURCES})
  target_compile_definitions(${name} PRIVATE PLUVIO_VERSION="${PROJECT_VERSION}")
  target_link_libraries(${name} PRIVATE ${ARG_USES} ${ARG_LIBRARIES})
endfunction()
