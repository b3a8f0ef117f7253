# The dashboard's files become read-only bytes of the server: scripts/web.sh builds them with npm into build/web, which
# all build folders share.
function(web_pages target)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/web/src/* ${CMAKE_SOURCE_DIR}/web/public/*)
  list(APPEND sources ${CMAKE_SOURCE_DIR}/scripts/web.sh)
  foreach(file embed.mjs index.html package.json package-lock.json svelte.config.js tsconfig.json vite.config.ts)
    list(APPEND sources ${CMAKE_SOURCE_DIR}/web/${file})
  endforeach()
  set(made ${CMAKE_SOURCE_DIR}/build/web/web.S ${CMAKE_SOURCE_DIR}/build/web/web_pages.c)
  add_custom_command(OUTPUT ${made} COMMAND ${CMAKE_SOURCE_DIR}/scripts/web.sh DEPENDS ${sources} COMMENT "Building the dashboard" VERBATIM)
  target_sources(${target} PRIVATE ${made})
endfunction()
