# One warning set, always errors.
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
  -Wwrite-strings -Wvla -Wundef -Wformat=2 -Werror -fno-common -fstack-protector-strong)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  # Texts are cut on purpose in many places, into arrays whose size says so.
  add_compile_options(-Wno-format-truncation -Wno-stringop-truncation)
else()
  add_compile_options(-Wno-gnu-zero-variadic-macro-arguments)
endif()
