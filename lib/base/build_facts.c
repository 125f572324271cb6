#include <cjson/cJSON.h>
#include <xxhash.h>

#include "sinq.h"

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

#ifndef SINQ_BUILD_FLAGS
#define SINQ_BUILD_FLAGS "unknown"
#endif
#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif
#if defined(__x86_64__)
#define MACHINE "x86-64"
#elif defined(__aarch64__)
#define MACHINE "arm64"
#else
#define MACHINE "other"
#endif

const char *sinq_build_facts(void) {
    return "compiler: " COMPILER "\n"
           "machine: " MACHINE "\n"
           "flags: " SINQ_BUILD_FLAGS "\n"
           "cJSON: " TEXT(CJSON_VERSION_MAJOR) "." TEXT(CJSON_VERSION_MINOR) "." TEXT(
               CJSON_VERSION_PATCH) "\n"
                                    "xxHash: " TEXT(XXH_VERSION_MAJOR) "." TEXT(XXH_VERSION_MINOR) "." TEXT(
                                        XXH_VERSION_RELEASE) "\n"
                                                             "layout: dual-scale version 1";
}
