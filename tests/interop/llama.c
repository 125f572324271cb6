#define _GNU_SOURCE /* dlsym by name of several libraries */
#include "llama.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what, const char *which) {
    fprintf(stderr, "llama.cpp: %s %s: %s\n", what, which, dlerror());
    exit(1);
}

/* The one library of the folder whose name begins like this and ends in ".so", opened for all. */
static void *open_library(const char *folder, const char *prefix) {
    DIR *const directory = opendir(folder);
    char path[4096] = "";
    if (directory == NULL) fail("no folder", folder);
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        const size_t size = strlen(prefix), length = strlen(entry->d_name);
        const bool fits =
            strncmp(entry->d_name, prefix, size) == 0 && length > 3 && strcmp(entry->d_name + length - 3, ".so") == 0;
        if (fits && path[0] == '\0') (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    }
    closedir(directory);
    void *const library = path[0] == '\0' ? NULL : dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL) fail("cannot open", prefix);
    return library;
}

/* A function's address, of whatever type. */
static void find(void *library, const char *name, void *function) {
    void *const symbol = dlsym(library, name);
    if (symbol == NULL) fail("no function", name);
    memcpy(function, &symbol, sizeof symbol);
}

static void log_errors(int level, const char *text, void *user) {
    static int last;
    (void)user;
    if (level != 5) last = level; /* 5 goes on with the last line */
    if (last >= 4) fputs(text, stderr);
}

struct llama llama_open(const char *folder) {
    struct llama llama;
    void (*load_all)(const char *path);
    (void)open_library(folder, "libggml-base");
    void *const ggml = open_library(folder, "libggml.");
    void *const library = open_library(folder, "libllama.");
    find(ggml, "ggml_backend_load_all_from_path", &load_all);
#define FIND(name) find(library, #name, &llama.name)
    FIND(llama_log_set);
    FIND(llama_backend_init);
    FIND(llama_model_default_params);
    FIND(llama_context_default_params);
    FIND(llama_model_load_from_file);
    FIND(llama_model_free);
    FIND(llama_model_get_vocab);
    FIND(llama_model_n_ctx_train);
    FIND(llama_vocab_n_tokens);
    FIND(llama_tokenize);
    FIND(llama_init_from_model);
    FIND(llama_free);
    FIND(llama_set_n_threads);
    FIND(llama_get_memory);
    FIND(llama_memory_clear);
    FIND(llama_batch_init);
    FIND(llama_batch_free);
    FIND(llama_decode);
    FIND(llama_get_logits_ith);
#undef FIND
    llama.llama_log_set(log_errors, NULL);
    load_all(folder);
    llama.llama_backend_init();
    return llama;
}
