/* model.safetensors.index.json. */
#include "fuzz.h"
#include "weight_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t nothing[1];
    const struct sinq_input input = {.path = "fuzz", .bytes = size, .memory = size == 0 ? nothing : data, .fd = -1};
    struct sinq_weight_map map;
    struct sinq_error error = {0};
    const int status = sinq_read_weight_map(&input, &map, &error);
    require_status(status, &error);
    if (status == SINQ_OK) {
        require(map.weight_count > 0 && map.shard_count > 0);
        for (size_t i = 0; i < map.weight_count; i++) {
            const char *const shard = map.shards[map.weights[i].shard];
            require(map.weights[i].shard < map.shard_count && shard[0] != '\0' && strchr(shard, '/') == NULL);
            require(strcmp(shard, "..") != 0 && sinq_is_utf8(shard, strlen(shard)));
            require(sinq_name_index_find(map.names, map.weights[i].name) == (int64_t)i);
        }
        for (size_t i = 1; i < map.shard_count; i++) require(strcmp(map.shards[i - 1], map.shards[i]) < 0);
    }
    sinq_weight_map_free(&map);
    return 0;
}
