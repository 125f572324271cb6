/* One safetensors file: what is read from it, and everything that is refused. */
#define _GNU_SOURCE
#include <fcntl.h>

#include "base/hash.h"
#include "checkpoint/source.h"
#include "checkpoint_files.h"
#include "unit.h"

static const uint8_t zeros[4096];

#define T(name, dtype, shape, offsets)                                                                                 \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

START_TEST(tensors_are_listed_by_offset) {
    make_folder();
    const char *const path = path_of("a.safetensors");
    write_safetensors(
        "a.safetensors",
        "{\"__metadata__\":{\"format\":\"pt\",\"\\u00e9\":\"\"}," T("b", "F32", "[2,3]", "[4,28]") "," T(
            "a/\\u00e4\\ud83d\\ude00", "BF16", "[2]",
            "[0,4]") "," T("empty", "I64", "[7,0]", "[28,28]") ","
                                                               " \"scalar\" : {\"shape\" : [ ] ,\n\"extra\":"
                                                               "[1,{\"x\":-1.5e3}],\t\"dtype\":\"F8_E4M3\","
                                                               "\"data_offsets\":[28,29]} }   ",
        zeros, 29);
    struct sinq_source *const source = open_good(path);
    static const struct {
        const char *name;
        enum sinq_dtype dtype;
        uint32_t rank;
        uint64_t shape[2], bytes;
    } expected[] = {{"a/\xc3\xa4\xf0\x9f\x98\x80", SINQ_BF16, 1, {2, 0}, 4},
                    {"b", SINQ_F32, 2, {2, 3}, 24},
                    {"empty", SINQ_I64, 2, {7, 0}, 0},
                    {"scalar", SINQ_F8_E4M3, 0, {0, 0}, 1}};
    ck_assert_uint_eq(sinq_source_tensor_count(source), 4);
    uint64_t offset = sinq_source_shard_bytes(source, 0) - 29;
    for (size_t i = 0; i < 4; i++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(source, i);
        ck_assert_str_eq(tensor->name, expected[i].name);
        ck_assert_int_eq((int)tensor->dtype, (int)expected[i].dtype);
        ck_assert_uint_eq(tensor->rank, expected[i].rank);
        for (uint32_t d = 0; d < tensor->rank; d++) ck_assert_uint_eq(tensor->shape[d], expected[i].shape[d]);
        ck_assert_uint_eq(tensor->bytes, expected[i].bytes);
        ck_assert_uint_eq(tensor->offset, offset);
        ck_assert_int_eq(sinq_source_find(source, expected[i].name), (int64_t)i);
        ck_assert(tensor->scale_tensor == -1 && !tensor->is_block_scale && tensor->shard == 0);
        offset += tensor->bytes;
    }
    ck_assert_int_eq(sinq_source_find(source, "c"), -1);
    ck_assert_str_eq(sinq_source_path(source), path);
    ck_assert_str_eq(sinq_source_shard_path(source, 0), path);
    ck_assert_str_eq(sinq_source_format(source), "safetensors file");
    ck_assert(!sinq_source_is_directory(source));
    ck_assert_ptr_null(sinq_source_config(source));
    ck_assert_ptr_null(sinq_source_model_type(source));
    ck_assert_ptr_null(sinq_source_quantization(source));
    ck_assert_uint_eq(sinq_source_sidecar_count(source), 0);
    ck_assert_uint_eq(sinq_source_shard_count(source), 1);
    sinq_source_close(source);
    remove_folder();
}
END_TEST

START_TEST(files_without_tensors_are_read) {
    static const char *const headers[] = {"{}", "{ }  ", "{\"__metadata__\":{}}"};
    make_folder();
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        write_safetensors("a.safetensors", headers[i], NULL, 0);
        struct sinq_source *const source = open_good(path_of("a.safetensors"));
        ck_assert_uint_eq(sinq_source_tensor_count(source), 0);
        ck_assert_int_eq(sinq_source_find(source, "a"), -1);
        ck_assert_ptr_null(sinq_source_tensor(source, 0));
        sinq_source_close(source);
    }
    remove_folder();
}
END_TEST

START_TEST(metadata_of_our_own_is_taken_over) {
    make_folder();
    write_safetensors("a.safetensors",
                      "{\"__metadata__\":{\"checksums\":\"{\\\"b\\\":\\\"000102030405060708090a0b0c0d0eff\\\"}\","
                      "\"quantization_config\":\"{\\\"quant_method\\\": \\\"x\\\"}\"}," T(
                          "a", "U8", "[1]", "[0,1]") "," T("b", "U8", "[1]", "[1,2]") "}",
                      zeros, 2);
    struct sinq_source *const source = open_good(path_of("a.safetensors"));
    static const uint8_t b[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255};
    ck_assert_mem_eq(source->checksums[0], zeros, 16);
    ck_assert_mem_eq(source->checksums[1], b, 16);
    ck_assert_str_eq(sinq_source_quantization(source), "{\"quant_method\": \"x\"}");
    sinq_source_close(source);
    remove_folder();
}
END_TEST

START_TEST(shards_are_identified_by_header_and_inode) {
    make_folder();
    const char header[] = "{" T("a", "U8", "[1]", "[0,1]") "}";
    write_safetensors("a.safetensors", header, zeros, 1);
    struct sinq_source *const source = open_good(path_of("a.safetensors"));
    uint8_t bytes[8 + sizeof header] = {sizeof header - 1};
    memcpy(bytes + 8, header, sizeof header - 1);
    const struct sinq_hash hash = sinq_hash_bytes(bytes, 8 + sizeof header - 1);
    ck_assert_mem_eq(source->shards[0].header_hash, hash.bytes, 16);
    struct stat facts;
    ck_assert_int_eq(stat(path_of("a.safetensors"), &facts), 0);
    ck_assert_uint_eq(source->shards[0].inode, (uint64_t)facts.st_ino);
    ck_assert_uint_eq(source->shards[0].device, (uint64_t)facts.st_dev);
    ck_assert_int_eq(source->shards[0].modified_ns, facts.st_mtim.tv_sec * 1000000000 + facts.st_mtim.tv_nsec);
    sinq_source_close(source);
    remove_folder();
}
END_TEST

static const struct {
    const char *what, *header;
    size_t data;
    const char *reasons[3];
} bad_headers[] = {
    {"offset beyond the end",
     "{" T("x.y", "U8", "[9]", "[0,9]") "}",
     8,
     {"bad.safetensors", "tensor x.y", "out of range"}},
    {"huge offset", "{" T("x.y", "U8", "[9]", "[0,18446744073709551615]") "}", 8, {"tensor x.y", "out of range"}},
    {"offset beyond 64 bits",
     "{" T("x.y", "U8", "[9]", "[0,18446744073709551616]") "}",
     8,
     {"tensor x.y", "below 2^64"}},
    {"backward offsets", "{" T("x.y", "U8", "[1]", "[2,1]") "}", 8, {"tensor x.y", "out of range"}},
    {"overlap",
     "{" T("x", "U8", "[6]", "[0,6]") "," T("y", "U8", "[4]", "[4,8]") "}",
     8,
     {"tensor y overlaps tensor x"}},
    {"same place",
     "{" T("x", "U8", "[8]", "[0,8]") "," T("y", "U8", "[8]", "[0,8]") "}",
     8,
     {"tensor y overlaps tensor x"}},
    {"hole", "{" T("x", "U8", "[3]", "[0,3]") "," T("y", "U8", "[4]", "[4,8]") "}", 8, {"bytes 3 to 4", "tensor y"}},
    {"hole at the beginning", "{" T("x", "U8", "[4]", "[4,8]") "}", 8, {"bytes 0 to 4", "tensor x"}},
    {"data behind the last tensor", "{" T("x", "U8", "[4]", "[0,4]") "}", 8, {"holds 8 bytes of data", "take 4"}},
    {"data without tensors", "{}", 8, {"holds 8 bytes of data", "take 0"}},
    {"wrong product", "{" T("x.y", "F32", "[3]", "[0,8]") "}", 8, {"tensor x.y", "span 8 bytes", "need 12"}},
    {"overflowing product", "{" T("x.y", "F32", "[4294967296,4294967296]", "[0,8]") "}", 8, {"tensor x.y", "elements"}},
    {"product that wraps to the right size",
     "{" T("x.y", "U8", "[4611686018427387904,4,2]", "[0,0]") "}",
     0,
     {"tensor x.y", "elements"}},
    {"duplicate name",
     "{" T("x.y", "U8", "[4]", "[0,4]") "," T("x.y", "U8", "[4]", "[4,8]") "}",
     8,
     {"two tensors", "x.y"}},
    {"duplicate name by escapes",
     "{" T("x", "U8", "[4]", "[0,4]") "," T("\\u0078", "U8", "[4]", "[4,8]") "}",
     8,
     {"two tensors", "x"}},
    {"unknown dtype", "{" T("x.y", "F4_E2M1", "[8]", "[0,8]") "}", 8, {"tensor x.y", "unknown dtype \"F4_E2M1\""}},
    {"our own dtype's name", "{" T("x.y", "DUAL_SCALE", "[8]", "[0,8]") "}", 8, {"tensor x.y", "unknown dtype"}},
    {"nine dimensions",
     "{" T("x.y", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}",
     1,
     {"tensor x.y", "more than 8 dimensions"}},
    {"negative size", "{" T("x.y", "U8", "[-8]", "[0,8]") "}", 8, {"tensor x.y", "non-negative integer"}},
    {"fractional size", "{" T("x.y", "U8", "[8.0]", "[0,8]") "}", 8, {"tensor x.y", "non-negative integer"}},
    {"exponent", "{" T("x.y", "U8", "[8e0]", "[0,8]") "}", 8, {"tensor x.y", "non-negative integer"}},
    {"leading zero", "{" T("x.y", "U8", "[08]", "[0,8]") "}", 8, {"tensor x.y", "non-negative integer"}},
    {"shape no array", "{" T("x.y", "U8", "8", "[0,8]") "}", 8, {"tensor x.y", "array"}},
    {"one offset", "{" T("x.y", "U8", "[8]", "[8]") "}", 8, {"tensor x.y", "two data_offsets"}},
    {"three offsets", "{" T("x.y", "U8", "[8]", "[0,8,8]") "}", 8, {"tensor x.y", "two data_offsets"}},
    {"no dtype", "{\"x.y\":{\"shape\":[8],\"data_offsets\":[0,8]}}", 8, {"tensor x.y", "lacks dtype"}},
    {"no offsets", "{\"x.y\":{\"dtype\":\"U8\",\"shape\":[8]}}", 8, {"tensor x.y", "lacks dtype"}},
    {"dtype twice",
     "{\"x.y\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}",
     8,
     {"tensor x.y", "\"dtype\" twice"}},
    {"entry no object", "{\"x.y\":[]}", 8, {"tensor x.y", "object"}},
    {"header no object", "{1:2}", 8, {"bad.safetensors", "invalid JSON", "string"}},
    {"trailing text", "{} {}", 0, {"invalid JSON", "nothing more"}},
    {"trailing comma", "{" T("x", "U8", "[8]", "[0,8]") ",}", 8, {"invalid JSON"}},
    {"cut off", "{" T("x", "U8", "[8]", "[0,8]"), 8, {"invalid JSON"}},
    {"raw bytes that are no UTF-8", "{" T("x\xff", "U8", "[8]", "[0,8]") "}", 8, {"valid UTF-8"}},
    {"overlong UTF-8", "{" T("x\xc0\xaf", "U8", "[8]", "[0,8]") "}", 8, {"valid UTF-8"}},
    {"lone surrogate", "{" T("x\\ud800", "U8", "[8]", "[0,8]") "}", 8, {"surrogate"}},
    {"low surrogate alone", "{" T("x\\udc00", "U8", "[8]", "[0,8]") "}", 8, {"surrogate"}},
    {"NUL in a name", "{" T("x\\u0000y", "U8", "[8]", "[0,8]") "}", 8, {"\\u0000"}},
    {"control character in a name", "{" T("x\ny", "U8", "[8]", "[0,8]") "}", 8, {"control character"}},
    {"unknown escape", "{" T("x\\q", "U8", "[8]", "[0,8]") "}", 8, {"escape"}},
    {"bad UTF-8 in a skipped string", "{\"__metadata__\":{\"a\":\"\xff\"}}", 0, {"valid UTF-8"}},
    {"metadata no object", "{\"__metadata__\":[]}", 0, {"object"}},
    {"metadata value no string", "{\"__metadata__\":{\"a\":1}}", 0, {"a string as value in __metadata__"}},
    {"metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, {"__metadata__ twice"}},
    {"checksums twice", "{\"__metadata__\":{\"checksums\":\"{}\",\"checksums\":\"{}\"}}", 0, {"\"checksums\" twice"}},
    {"checksums no object",
     "{\"__metadata__\":{\"checksums\":\"[]\"}," T("x", "U8", "[8]", "[0,8]") "}",
     8,
     {"\"checksums\"", "no JSON object"}},
    {"checksum of nothing",
     "{\"__metadata__\":{\"checksums\":\"{\\\"y\\\":\\\"000102030405060708090a0b0c0d0eff\\\"}\"}," T("x", "U8", "[8]",
                                                                                                     "[0,8]") "}",
     8,
     {"tensor y", "checksum"}},
    {"checksum too short",
     "{\"__metadata__\":{\"checksums\":\"{\\\"x\\\":\\\"0001\\\"}\"}," T("x", "U8", "[8]", "[0,8]") "}",
     8,
     {"tensor x", "checksum"}},
    {"checksum no hexadecimal",
     "{\"__metadata__\":{\"checksums\":\"{\\\"x\\\":\\\"000102030405060708090a0b0c0d0egg\\\"}\"}," T("x", "U8", "[8]",
                                                                                                     "[0,8]") "}",
     8,
     {"tensor x", "checksum"}},
    {"quantization no object",
     "{\"__metadata__\":{\"quantization_config\":\"1\"}," T("x", "U8", "[8]", "[0,8]") "}",
     8,
     {"\"quantization_config\"", "no JSON object"}},
    {"quantized matrix without magic",
     "{" T("x.dual_scale", "U8", "[256]", "[0,256]") "}",
     256,
     {"tensor x.dual_scale", "DUALSCAL"}},
    {"quantized matrix too short",
     "{" T("x.dual_scale", "U8", "[100]", "[0,100]") "}",
     100,
     {"tensor x.dual_scale", "at least 128"}},
    {"quantized matrix of floats",
     "{" T("x.dual_scale", "F32", "[64]", "[0,256]") "}",
     256,
     {"tensor x.dual_scale", "expected U8"}},
    {"quantized matrix of two dimensions",
     "{" T("x.dual_scale", "U8", "[2,128]", "[0,256]") "}",
     256,
     {"tensor x.dual_scale", "1 dimension"}},
};

START_TEST(bad_headers_are_refused_with_their_reason) {
    make_folder();
    for (size_t i = 0; i < sizeof bad_headers / sizeof bad_headers[0]; i++) {
        write_safetensors("bad.safetensors", bad_headers[i].header, zeros, bad_headers[i].data);
        const char *const in_file[3] = {"bad.safetensors"};
        expect_refused(bad_headers[i].what, path_of("bad.safetensors"), in_file);
        expect_refused(bad_headers[i].what, path_of("bad.safetensors"), bad_headers[i].reasons);
    }
    remove_folder();
}
END_TEST

START_TEST(what_is_no_safetensors_file_is_named) {
#define BYTES(text) text, sizeof(text) - 1
    static const struct {
        const char *what, *bytes;
        size_t size;
        const char *reasons[3];
    } cases[] = {
        {"empty file", BYTES(""), {"bad", "empty"}},
        {"three bytes", BYTES("abc"), {"bad", "header"}},
        {"eight bytes", BYTES("\2\0\0\0\0\0\0\0"), {"bad", "header of 2 bytes", "cut off"}},
        {"header longer than the file", BYTES("\x10\0\0\0\0\0\0\0{}"), {"header of 16 bytes", "cut off"}},
        {"header of 2^64 - 1 bytes",
         BYTES("\xff\xff\xff\xff\xff\xff\xff\xff{}"),
         {"header of 18446744073709551615 bytes"}},
        {"no brace", BYTES("\2\0\0\0\0\0\0\0[]"), {"does not begin with '{'"}},
        {"empty header", BYTES("\0\0\0\0\0\0\0\0{}"), {"does not begin with '{'"}},
        {"GGUF", BYTES("GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), {"general.architecture is missing"}},
        {"PyTorch zip", BYTES("PK\3\4\0\0\10\10\0\0\0\0\0\0\0\0\0\0"), {"PyTorch"}},
        {"pickle", BYTES("\x80\2\x8a\nl\xfc\x9c\x46\xf9\x20\x6a\xa8P\x19"), {"pickle"}},
        {"Git LFS pointer", BYTES("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), {"git lfs pull"}},
        {"JSON", BYTES("{\"metadata\":{},\"weight_map\":{}}"), {"JSON"}},
        {"HTML", BYTES("<!DOCTYPE html><html></html>"), {"web page"}},
    };
#undef BYTES
    make_folder();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_bytes("bad.safetensors", cases[i].bytes, cases[i].size);
        expect_refused(cases[i].what, path_of("bad.safetensors"), cases[i].reasons);
    }
    remove_folder();
}
END_TEST

START_TEST(a_file_cut_off_anywhere_is_refused) {
    make_folder();
    write_safetensors("whole", "{" T("x", "U8", "[3]", "[0,3]") "," T("y", "F32", "[2]", "[3,11]") "}", zeros, 11);
    struct sinq_source *const source = open_good(path_of("whole"));
    const uint64_t size = sinq_source_shard_bytes(source, 0);
    sinq_source_close(source);
    for (uint64_t cut = size - 1; cut + 1 > 0; cut--) {
        ck_assert_int_eq(truncate(path_of("whole"), (off_t)cut), 0);
        expect_refused("cut off", path_of("whole"), (const char *const[3]){"whole: "});
    }
    remove_folder();
}
END_TEST

START_TEST(a_file_that_shrinks_later_is_an_error_when_read) {
    make_folder();
    write_safetensors("x.safetensors", "{" T("x", "U8", "[8]", "[0,8]") "}", zeros, 8);
    struct sinq_source *const source = open_good(path_of("x.safetensors"));
    ck_assert_int_eq(truncate(path_of("x.safetensors"), (off_t)(sinq_source_shard_bytes(source, 0) - 1)), 0);
    uint8_t bytes[8];
    struct sinq_error error = {0};
    ck_assert_int_eq(sinq_read_bytes(source, 0, 0, 8, bytes, &error), SINQ_FAILED);
    ck_assert_ptr_nonnull(strstr(error.message, "x.safetensors: ends at byte"));
    sinq_source_close(source);
    remove_folder();
}
END_TEST

START_TEST(paths_that_are_no_files_are_refused) {
    make_folder();
    expect_refused("nothing there", path_of("none"), (const char *const[3]){"none", "No such file"});
    ck_assert_int_eq(mkfifo(path_of("pipe"), 0600), 0);
    expect_refused("a pipe", path_of("pipe"), (const char *const[3]){"pipe", "not a regular file"});
    expect_refused("a device", "/dev/full", (const char *const[3]){"/dev/full", "not a regular file"});
    ck_assert_int_eq(symlink("loop", path_of("loop")), 0);
    expect_refused("a link to itself", path_of("loop"), (const char *const[3]){"loop", "symbolic links"});
    write_safetensors("secret", "{}", NULL, 0);
    ck_assert_int_eq(chmod(path_of("secret"), 0), 0);
    /* Root may read everything: become nobody for a moment. */
    const bool is_root = geteuid() == 0;
    ck_assert_int_eq(chmod(scratch, 0755), 0);
    if (!is_root || seteuid(65534) == 0) {
        expect_refused("no permission", path_of("secret"), (const char *const[3]){"secret", "Permission denied"});
        ck_assert(!is_root || seteuid(0) == 0);
    } else {
        fprintf(stderr, "SKIPPED: cannot become nobody, a refused permission is not tested\n");
    }
    remove_folder();
}
END_TEST

/* ---- hostile sizes: within a second and 100 MB ---- */

START_TEST(hostile_headers_cost_little_time_and_memory) {
    static const struct {
        const char *what, *before, *repeated, *after;
        const char *reasons[3];
    } cases[] = {
        {"brackets", "{\"x\":", "[", "", {"tensor x"}},
        {"nested values", "{\"x\":{\"y\":", "[", "", {"nested"}},
        {"nested objects", "{\"x\":{\"y\":", "{\"\":", "", {"nested"}},
        {"one name", "{\"", "x", "\":{}}", {"shorter string"}},
        {"one skipped string", "{\"__metadata__\":{\"a\":\"", "x", "\"}}x", {"nothing more"}},
        {"one kept string", "{\"__metadata__\":{\"checksums\":\"", "x", "\"}}", {"shorter string"}},
        {"white space", "{", " ", "", {"invalid JSON"}},
        {"escapes", "{\"__metadata__\":{\"a\":\"", "\\u00e9", "\"}}x", {"JSON"}},
        {"metadata keys", "{\"__metadata__\":{", "\"%\":\"\",", "\"\":\"\"}}x", {"JSON"}},
        {"digits", "{\"x\":{\"shape\":[", "1", "]}}", {"below 2^64"}},
        {"dimensions", "{\"x\":{\"shape\":[", "1,", "]}}", {"dimensions"}},
        {"extra fields", "{\"x\":{", "\"%\":0,", "\"\":0}}", {"tensor x"}},
        {"tensors", "{", T("%", "U8", "[]", "[0,0]") ",", "", {"need 1"}},
        {"empty tensors", "{", T("%", "U8", "[0]", "[0,0]") ",", "", {"more than 400000 tensors"}},
        {"empty tensors with long names",
         "{",
         T("%aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
           "aaaaaaaaaaaaaaaaaaaaaaaaa",
           "U8", "[0]", "[0,0]") ",",
         "",
         {"names of more than"}},
    };
    make_folder();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_large("bad.safetensors", true, 100000000, cases[i].before, cases[i].repeated, cases[i].after);
        expect_cheap_refusal(cases[i].what, path_of("bad.safetensors"), cases[i].reasons);
    }
    write_large("bad.safetensors", true, 100000001, "{", " ", "}");
    expect_refused("header over the limit", path_of("bad.safetensors"),
                   (const char *const[3]){"header of 100000001 bytes", "at most 100000000"});
    remove_folder();
}
END_TEST

START_TEST(many_tensors_are_listed_fast) {
    enum { TENSORS = 18500 };
    make_folder();
    char *header = NULL;
    size_t size = 0;
    FILE *const text = open_memstream(&header, &size);
    ck_assert_ptr_nonnull(text);
    for (unsigned i = 0; i < TENSORS; i++) {
        (void)fprintf(text,
                      "%c\"model.layers.%u.mlp.experts.%u.down_proj.weight\":{\"dtype\":\"BF16\",\"shape\":[1,1],"
                      "\"data_offsets\":[%u,%u]}",
                      i == 0 ? '{' : ',', i / 385, i % 385, 2 * i, 2 * i + 2);
    }
    (void)fputc('}', text);
    ck_assert_int_eq(fclose(text), 0);
    uint8_t *const data = calloc(TENSORS, 2);
    ck_assert_ptr_nonnull(data);
    write_safetensors("many.safetensors", header, data, 2 * TENSORS);
    free(data);
    free(header);
    const clock_t begin = clock();
    struct sinq_source *const source = open_good(path_of("many.safetensors"));
    const double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    ck_assert_uint_eq(sinq_source_tensor_count(source), TENSORS);
    ck_assert_int_eq(sinq_source_find(source, "model.layers.1.mlp.experts.1.down_proj.weight"), 386);
    ck_assert_msg(!can_measure_costs() || seconds < 0.3, "%.3f s", seconds);
    sinq_source_close(source);
    remove_folder();
}
END_TEST

START_TEST(real_files_are_read) {
    static const char *const names[] = {"models/classics-3m/model.safetensors", "golden/quant/real.safetensors",
                                        "golden/quant/reference.safetensors",
                                        "golden/arch/qwen3_moe/model.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *const path = find_shared(names[i]);
        if (path == NULL) continue;
        struct sinq_source *const source = open_good(path);
        ck_assert_uint_gt(sinq_source_tensor_count(source), 10);
        uint64_t end = 0;
        for (size_t t = 0; t < sinq_source_tensor_count(source); t++) {
            const struct sinq_tensor *const tensor = sinq_source_tensor(source, t);
            ck_assert(t == 0 || tensor->offset == end);
            end = tensor->offset + tensor->bytes;
        }
        ck_assert_uint_eq(end, sinq_source_shard_bytes(source, 0));
        sinq_source_close(source);
        free(path);
    }
}
END_TEST

UNIT_MAIN("safetensors", tensors_are_listed_by_offset, files_without_tensors_are_read,
          metadata_of_our_own_is_taken_over, shards_are_identified_by_header_and_inode,
          bad_headers_are_refused_with_their_reason, what_is_no_safetensors_file_is_named,
          a_file_cut_off_anywhere_is_refused, a_file_that_shrinks_later_is_an_error_when_read,
          paths_that_are_no_files_are_refused, hostile_headers_cost_little_time_and_memory,
          many_tensors_are_listed_fast, real_files_are_read)
