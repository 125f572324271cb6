/* content.c: recognising what is not a safetensors file by its first bytes. */
#include <string.h>

#include "safetensors.h"

static const struct {
    const char *magic;
    size_t size;
    const char *description;
} contents[] = {
    {"GGUF", 4, "a GGUF file, which is opened by itself"},
    {"GGML", 4, "an old GGML file; only safetensors is read"},
    {"lmgg", 4, "an old GGML file; only safetensors is read"},
    {"fmgg", 4, "an old GGML file; only safetensors is read"},
    {"tjgg", 4, "an old GGML file; only safetensors is read"},
    {"PK\x03\x04", 4, "a PyTorch checkpoint or another zip archive; only safetensors is read"},
    {"\x80\x02", 2, "a Python pickle, as old PyTorch checkpoints are; only safetensors is read"},
    {"\x80\x03", 2, "a Python pickle, as old PyTorch checkpoints are; only safetensors is read"},
    {"\x80\x04", 2, "a Python pickle, as old PyTorch checkpoints are; only safetensors is read"},
    {"\x80\x05", 2, "a Python pickle, as old PyTorch checkpoints are; only safetensors is read"},
    {"\x93NUMPY", 6, "a NumPy array; only safetensors is read"},
    {"\x89HDF\r\n\x1a\n", 8, "an HDF5 file; only safetensors is read"},
    {"\x1f\x8b", 2, "gzip-compressed; unpack it first"},
    {"\x28\xb5\x2f\xfd", 4, "zstd-compressed; unpack it first"},
    {"version https://git-lfs", 23, "a Git LFS pointer, not the file itself; fetch it with git lfs pull"},
    {"<!DOCTYPE", 9, "a web page, perhaps a failed download"},
    {"<!doctype", 9, "a web page, perhaps a failed download"},
    {"<html", 5, "a web page, perhaps a failed download"},
    {"{", 1, "JSON text; for a model of several files give their directory"},
};

const char *sinq_describe_content(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        if (size >= contents[i].size && memcmp(bytes, contents[i].magic, contents[i].size) == 0) {
            return contents[i].description;
        }
    }
    return NULL;
}
