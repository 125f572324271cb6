/*
 * test_chat_find.c: recognising a checkpoint's chat template. Templates here are cut down to what models' own ones have in
 * common; those of the shared tokenizers are whole.
 */
#include "checkpoint_files.h"
#include "text/chat.h"
#include "text/jinja.h"
#include "unit.h"

#define CHATML                                                                                                         \
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "   \
    "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

/* The same as it stands in a JSON string. */
#define CHATML_JSON                                                                                                    \
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\\\n' + message['content'] + '<|im_end|>' + " \
    "'\\\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\\\n' }}{% endif %}"

/* ---- recognition ---- */

static const struct recognition_case {
    const char *name, *source, *bos;
    const char *id;   /* NULL: refused */
    const char *text; /* of the one message "Hi" from the user; "" does not matter */
} recognition_cases[] = {
    {"ChatML", CHATML, NULL, "chatml", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
    {"ChatML that begins with BOS", "{{bos_token}}" CHATML, "<s>", "chatml",
     "<s><|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
    {"ChatML with BOS that the checkpoint does not have", "{{bos_token}}" CHATML, NULL, "chatml",
     "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
    {"double quotes and strings joined",
     "{%- for m in messages -%}{{- \"<|im_start|>\" + m.role + \"\\n\" + m.content + \"<|im_end|>\\n\" -}}{%- endfor "
     "-%}"
     "{{- \"<|im_start|>\" + \n 'assistant' + \"\\n\" -}}",
     NULL, "chatml", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
    {"Qwen2.5: a default system turn",
     "{% if messages[0].role != 'system' %}{{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a "
     "helpful assistant.<|im_end|>\\n' }}{% endif %}" CHATML,
     NULL, "chatml",
     "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
     "assistant.<|im_end|>\n<|im_start|>user"
     "\nHi<|im_end|>\n<|im_start|>assistant\n"},
    {"a default in a variable", "{% set system_message = \"It's \\\"me\\\"\" + '.' %}" CHATML, NULL, "chatml",
     "<|im_start|>system\nIt's \"me\".<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
    {"a default under a condition that never holds",
     "{% if a %}{% elif false == true and b %}{% set system_message = 'No.' %}{% else %}{% endif %}" CHATML, NULL,
     "chatml", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
    {"comments are no part of a template", CHATML "{# <|im_sep|> ## Metadata #}", NULL, "chatml", ""},
    {"QwQ", "{{ '<|im_start|>assistant\\n<think>\\n' }}{{ content.split('</think>')[-1] }}{{ '<|im_end|>' }}", NULL,
     "qwen-thinking", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n"},
    {"Phi-4", "{{'<|im_start|>user<|im_sep|>' + m['content'] + '<|im_end|><|im_start|>assistant<|im_sep|>'}}", NULL,
     "phi4", "<|im_start|>user<|im_sep|>Hi<|im_end|><|im_start|>assistant<|im_sep|>"},
    {"Llama 2",
     "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
     "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}",
     "<s>", "llama2", "<s>[INST] Hi [/INST]"},
    {"Llama 3",
     "{{ bos_token + '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + "
     "'<|eot_id|>' }}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}",
     "<|begin_of_text|>", "llama3", ""},
    {"Llama 3.1",
     "{{ bos_token }}{% set date_string = \"26 Jul 2024\" %}{{ \"Cutting Knowledge Date: December 2023\\n\" }}"
     "{{ message['content'] | trim + '<|eot_id|>' }}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}",
     "<|begin_of_text|>", "llama3.1", ""},
    {"Llama 3.2",
     "{{ bos_token }}{% set date_string = strftime_now(\"%d %b %Y\") %}{{ \"Cutting Knowledge Date: December 2023\\n\" "
     "}}"
     "{{ message['content'] | trim + '<|eot_id|>' }}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}",
     "<|begin_of_text|>", "llama3.2", ""},
    {"Mistral v1", "{{ bos_token }}{{ ' [INST] ' + message['content'] + ' [/INST]' }}{{ ' ' + message['content'] }}",
     "<s>", "mistral", "<s> [INST] Hi [/INST]"},
    {"Mistral v0.1", "{{ bos_token }}{{ '[INST] ' + m + ' [/INST]' }}{{ message['content'] + eos_token + ' ' }}", "<s>",
     "mistral-v0.1", "<s>[INST] Hi [/INST]"},
    {"Mistral v0.2", "{{ bos_token }}{{ '[INST] ' + m + ' [/INST]' }}{{ message['content'] + eos_token}}", "<s>",
     "mistral-v0.2", "<s>[INST] Hi [/INST]"},
    {"Mistral v3", "{{ bos_token }}{{ \"[INST] \" + message[\"content\"] + \"[/INST]\" }}", "<s>", "mistral-v3",
     "<s>[INST] Hi[/INST]"},
    {"Mistral v3 Tekken", "{{ bos_token }}{{ \"[INST]\" + message[\"content\"] + \"[/INST]\" }}", "<s>",
     "mistral-v3-tekken", "<s>[INST]Hi[/INST]"},
    {"Mistral v7",
     "{{ bos_token }}{{ '[SYSTEM_PROMPT] ' + m + '[/SYSTEM_PROMPT]' }}{{ '[INST] ' + message['content'] + '[/INST]' }}",
     "<s>", "mistral-v7", "<s>[INST] Hi[/INST]"},
    {"Mistral v7 Tekken with the date in its default",
     "{%- set today = strftime_now(\"%Y-%m-%d\") %}{%- set default_system_message = \"A.\\nIt is \" + today + \".\" %}"
     "{{ bos_token }}{{ '[SYSTEM_PROMPT]' + m + '[/SYSTEM_PROMPT]' }}{{ '[INST]' + message['content'] + '[/INST]' }}",
     "<s>", "mistral-v7-tekken", "<s>[SYSTEM_PROMPT]A.\nIt is 2024-07-26.[/SYSTEM_PROMPT][INST]Hi[/INST]"},
    {"Gemma",
     "{{ bos_token }}{{ '<start_of_turn>' + role + '\\n' + m | trim + '<end_of_turn>\\n' }}"
     "{{'<start_of_turn>model\\n'}}",
     "<bos>", "gemma", "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n"},
    {"Phi-3", "{{ bos_token }}{{'<|user|>' + '\\n' + m + '<|end|>' + '\\n' + '<|assistant|>' + '\\n'}}", "<s>", "phi3",
     "<s><|user|>\nHi<|end|>\n<|assistant|>\n"},
    {"Phi-3.5 writes no BOS", "{{'<|user|>\\n' + m + '<|end|>\\n'}}{{ '<|assistant|>\\n' }}", "<s>", "phi3",
     "<|user|>\nHi<|end|>\n<|assistant|>\n"},
    {"Phi-4-mini", "{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{{ '<|assistant|>' }}", "<|endoftext|>",
     "phi4-mini", "<|user|>Hi<|end|><|assistant|>"},
    {"DeepSeek V2",
     "{{ bos_token }}{{ 'User: ' + m['content'] + '\\n\\n' }}{{ 'Assistant: ' + m['content'] + eos_token }}"
     "{{ 'Assistant:' }}",
     "<｜begin▁of▁sentence｜>", "deepseek-v2", "<｜begin▁of▁sentence｜>User: Hi\n\nAssistant:"},
    {"DeepSeek R1",
     "{{ bos_token }}{{'<｜User｜>' + m['content']}}{% if '</think>' in content %}{% endif %}"
     "{{'<｜Assistant｜><think>\\n'}}",
     "<｜begin▁of▁sentence｜>", "deepseek-r1", "<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜><think>\n"},
    {"DeepSeek V3.1",
     "{{ bos_token }}{{'<｜User｜>' + m['content']}}{{'<｜Assistant｜>'}}{%- if not thinking -%}{{'</think>'}}{% endif "
     "%}",
     "<｜begin▁of▁sentence｜>", "deepseek-v3.1", "<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜></think>"},
    {"gpt-oss",
     "{{- \"Knowledge cutoff: 2024-06\\n\" }}{{- \"<|start|>assistant<|channel|>final<|message|>\" + m + \"<|end|>\" }}"
     "<|start|>assistant",
     NULL, "harmony", ""},

    {"Zephyr", "{{ '<|user|>\\n' + m + eos_token }}{{ '<|assistant|>' }}", "<s>", NULL, NULL},
    {"ChatGLM", "[gMASK]<sop><|{{ item['role'] }}|>\\n{{ item['content'] }}<|assistant|>", NULL, NULL, NULL},
    {"Granite", "{{- '<|start_of_role|>' + m + '<|end_of_role|>' + c + '<|end_of_text|>\\n' }}", NULL, NULL, NULL},
    {"Vicuna", "{{-'USER: ' + m + '\\n'-}}{{-'ASSISTANT: ' + m + '</s>\\n' -}}{{-'ASSISTANT:'-}}", NULL, NULL, NULL},
    {"DeepSeek Coder", "{{'### Instruction:\\n' + m + '\\n'}}{{'### Response:'}}", NULL, NULL, NULL},
    {"SmolLM3 writes a system turn of its own", "{{- \"## Metadata\\n\\n\" -}}" CHATML, NULL, NULL, NULL},
    {"ChatML with an answer that begins otherwise",
     "{{'<|im_start|>' + m + '<|im_end|>'}}{{ '<|im_start|>assistant:' }}", NULL, NULL, NULL},
    {"nothing", "", NULL, NULL, NULL},
    {"an open string", "{{ '<|im_start|>assistant\\n", NULL, NULL, NULL},
    {"an open comment", "{# " CHATML, NULL, NULL, NULL},
};

static void check_text(const struct recognition_case *c, const struct sinq_chat_template *chat) {
    const struct sinq_chat_message message = {"user", "Hi"};
    struct sinq_rendered_chat rendered;
    struct sinq_error error;
    const int status = sinq_render_chat_at(chat, true, &message, 1, (time_t)1721995200, &rendered, &error);
    ck_assert_msg(status == SINQ_OK, "%s: %s", c->name, error.message);
    if (c->text[0] != '\0') {
        ck_assert_msg(strcmp(rendered.text.data, c->text) == 0, "%s: %s", c->name, rendered.text.data);
    }
    sinq_rendered_chat_free(&rendered);
}

START_TEST(templates_are_recognised_by_content) {
    for (size_t i = 0; i < sizeof recognition_cases / sizeof recognition_cases[0]; i++) {
        const struct recognition_case *const c = &recognition_cases[i];
        struct sinq_chat_template *chat = NULL;
        struct sinq_error error;
        const int status = sinq_recognise_chat("m", c->source, c->bos, NULL, &chat, &error);
        if (c->id == NULL) {
            ck_assert_msg(status == SINQ_FAILED && chat == NULL, "%s: taken for %s", c->name,
                          chat != NULL ? chat->form->id : "?");
            ck_assert_ptr_nonnull(strstr(error.message, "--template NAME (chatml, llama2, "));
            ck_assert_ptr_nonnull(strstr(error.message, "--raw"));
            continue;
        }
        ck_assert_msg(status == SINQ_OK, "%s: %s", c->name, error.message);
        ck_assert_msg(strcmp(chat->form->id, c->id) == 0, "%s: taken for %s", c->name, chat->form->id);
        check_text(c, chat);
        sinq_chat_template_free(chat);
    }
}
END_TEST

START_TEST(a_default_that_cannot_be_read_is_asked_for) {
    struct sinq_chat_template *chat = NULL;
    struct sinq_error error;
    char *text;
    static const struct sinq_chat_message messages[] = {{"system", "S"}, {"user", "U"}};
    static const char source[] = "{% set system_message = 'A ' + other %}" CHATML;
    ck_assert_int_eq(sinq_recognise_chat("m", source, NULL, NULL, &chat, &error), SINQ_OK);
    ck_assert_int_eq(sinq_render_chat(chat, messages + 1, 1, &text, &error), SINQ_USAGE);
    ck_assert_ptr_nonnull(strstr(error.message, "--system"));
    ck_assert_int_eq(sinq_render_chat(chat, messages, 2, &text, &error), SINQ_OK);
    free(text);
    sinq_chat_template_free(chat);
}
END_TEST

START_TEST(escapes_are_those_of_python) {
    struct sinq_text flat = {0};
    sinq_flatten_jinja("a{{ 'b\\n\\t\\\\\\'\\\"\\x' + \"c\\\nd\" }}{% if x == 'y' %}{# 'z' #}e\1\5", &flat);
    ck_assert_str_eq(flat.data, "a{{ \1b\n\t\\'\"\\xcd\1 }}{% if x == \1y\1 %}e");
    sinq_text_free(&flat);
}
END_TEST

/* ---- files ---- */

static int find_in_folder(const struct sinq_chat_template **chat, struct sinq_error *error) {
    struct sinq_source *const source = open_good(scratch);
    const int status = sinq_find_chat_template(source, chat, error);
    sinq_source_close(source);
    return status;
}

static const struct file_case {
    const char *name;
    const char *config, *jinja, *json; /* tokenizer_config.json, chat_template.jinja, chat_template.json */
    const char *id, *bos;
    const char *reason; /* of a failure */
} file_cases[] = {
    {"in the configuration", "{\"chat_template\":\"{{bos_token}}" CHATML_JSON "\",\"bos_token\":\"<s>\"}", NULL, NULL,
     "chatml", "<s>", NULL},
    {"BOS is an object, and comes first",
     "{\"bos_token\":{\"content\":\"<b>\",\"lstrip\":false},\"chat_template\":"
     "\"{{bos_token}}" CHATML_JSON "\",\"x\":[NaN]}",
     NULL, NULL, "chatml", "<b>", NULL},
    {"BOS is null", "{\"bos_token\":null,\"chat_template\":\"" CHATML_JSON "\"}", NULL, NULL, "chatml", "", NULL},
    {"several: the default",
     "{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"x\"},{\"name\":\"default\","
     "\"template\":\"" CHATML_JSON "\"}]}",
     NULL, NULL, "chatml", "", NULL},
    {"several: the first",
     "{\"chat_template\":[{\"template\":\"" CHATML_JSON "\",\"name\":\"a\"},{\"name\":\"b\","
     "\"template\":\"x\"}]}",
     NULL, NULL, "chatml", "", NULL},
    {"a file of its own", "{\"bos_token\":\"<s>\",\"chat_template\":\"x\"}",
     "{{bos_token}}{{'<start_of_turn>model\n'}}"
     "{{'<end_of_turn>\n'}}",
     NULL, "gemma", "<s>", NULL},
    {"a JSON file of its own", "{}", NULL, "{\"chat_template\":\"" CHATML_JSON "\"}", "chatml", "", NULL},
    {"the configuration before the JSON file", "{\"chat_template\":\"" CHATML_JSON "\"}", NULL,
     "{\"chat_template\":\"x\"}", "chatml", "", NULL},

    {"no file", NULL, NULL, NULL, NULL, NULL, "no chat template of its own: give --template NAME ("},
    {"no key", "{\"bos_token\":\"<s>\"}", NULL, NULL, NULL, NULL, "no chat template of its own"},
    {"a number", "{\"chat_template\":5}", NULL, NULL, NULL, NULL, "no chat template of its own"},
    {"null", "{\"chat_template\":null}", NULL, NULL, NULL, NULL, "no chat template of its own"},
    {"an empty list", "{\"chat_template\":[]}", NULL, NULL, NULL, NULL, "no chat template of its own"},
    {"a list of other things", "{\"chat_template\":[1,\"x\",{\"name\":3,\"template\":[]},{}]}", NULL, NULL, NULL, NULL,
     "no chat template of its own"},
    {"unknown", "{\"chat_template\":\"x\"}", NULL, NULL, NULL, NULL, "none of those known: give --template NAME ("},
    {"cut off", "{\"chat_template\":\"" CHATML_JSON, NULL, NULL, NULL, NULL, "tokenizer_config.json"},
    {"no object", "[]", NULL, NULL, NULL, NULL, "tokenizer_config.json"},
    {"cut off in a list", "{\"chat_template\":[{\"name\":\"a\",", NULL, NULL, NULL, NULL, "tokenizer_config.json"},
    {"cut off in BOS", "{\"bos_token\":{\"content\":", NULL, NULL, NULL, NULL, "tokenizer_config.json"},
};

START_TEST(templates_are_found_in_files) {
    make_folder();
    for (size_t i = 0; i < sizeof file_cases / sizeof file_cases[0]; i++) {
        const struct file_case *const c = &file_cases[i];
        const struct sinq_chat_template *chat = NULL;
        struct sinq_error error = {0};
        empty_folder();
        write_safetensors("model.safetensors", "{}", NULL, 0);
        if (c->config != NULL) write_text("tokenizer_config.json", c->config);
        if (c->jinja != NULL) write_text("chat_template.jinja", c->jinja);
        if (c->json != NULL) write_text("chat_template.json", c->json);
        const int status = find_in_folder(&chat, &error);
        if (c->id != NULL) {
            ck_assert_msg(status == SINQ_OK, "%s: %s", c->name, error.message);
            ck_assert_msg(strcmp(chat->form->id, c->id) == 0, "%s: taken for %s", c->name, chat->form->id);
            ck_assert_msg(strcmp(chat->bos, c->bos) == 0, "%s: BOS %s", c->name, chat->bos);
        } else {
            ck_assert_msg(status == SINQ_FAILED && chat == NULL, "%s: status %d", c->name, status);
            ck_assert_msg(strstr(error.message, c->reason) != NULL && strstr(error.message, scratch) != NULL, "%s: %s",
                          c->name, error.message);
        }
        sinq_chat_template_free(chat);
    }
    remove_folder();
}
END_TEST

START_TEST(a_huge_template_is_refused) {
    const struct sinq_chat_template *chat = NULL;
    struct sinq_error error = {0};
    make_folder();
    write_safetensors("model.safetensors", "{}", NULL, 0);
    write_large("chat_template.jinja", false, (uint64_t)3 << 20, "", "{{ '%' + ", "");
    ck_assert_int_eq(find_in_folder(&chat, &error), SINQ_FAILED);
    ck_assert_ptr_nonnull(strstr(error.message, "chat_template.jinja"));
    /* As large as is read: in no more than linear time, but where sanitizers look at the rest of a text in each of its searches. */
    const uint64_t large = (uint64_t)1 << (IS_SANITIZED ? 16 : 20);
    write_large("chat_template.jinja", false, large, CHATML, "<|im_start|>system\n", "");
    ck_assert_int_eq(find_in_folder(&chat, &error), SINQ_OK);
    sinq_chat_template_free(chat);
    write_large("chat_template.jinja", false, large, CHATML, "system_message = '", "");
    ck_assert_int_eq(find_in_folder(&chat, &error), SINQ_OK);
    sinq_chat_template_free(chat);
    remove_folder();
}
END_TEST

/* ---- the real ones ---- */

START_TEST(shared_tokenizers_have_known_templates) {
    static const struct {
        const char *file, *id, *text;
    } cases[] = {
        {"tokenizers/qwen3/tokenizer_config.json", "qwen3",
         "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n<|im_"
         "start|>"
         "user\nV<|im_end|>\n<|im_start|>assistant\n"},
        {"tokenizers/llama3/tokenizer_config.json", "llama3",
         "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user"
         "<|end_header_id|>\n\nU<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|><|start_header_"
         "id|>"
         "user<|end_header_id|>\n\nV<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"},
        {"tokenizers/deepseek_v3/tokenizer_config.json", "deepseek",
         "<｜begin▁of▁sentence｜>S<｜User｜>U<｜Assistant｜>A<｜end▁of▁sentence｜><｜User｜>V<｜Assistant｜>"},
    };
    static const struct sinq_chat_message messages[] = {
        {"system", "S"}, {"user", "U"}, {"assistant", "A"}, {"user", "V"}};
    make_folder();
    write_safetensors("model.safetensors", "{}", NULL, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *const path = find_shared(cases[i].file), *text = NULL;
        const struct sinq_chat_template *chat = NULL;
        struct sinq_error error = {0};
        if (path == NULL) continue;
        ck_assert_int_eq(symlink(path, path_of("tokenizer_config.json")), 0);
        ck_assert_msg(find_in_folder(&chat, &error) == SINQ_OK, "%s", error.message);
        ck_assert_str_eq(chat->form->id, cases[i].id);
        ck_assert_int_eq(sinq_render_chat(chat, messages, 4, &text, &error), SINQ_OK);
        ck_assert_str_eq(text, cases[i].text);
        free(text);
        sinq_chat_template_free(chat);
        ck_assert_int_eq(unlink(path_of("tokenizer_config.json")), 0);
        free(path);
    }
    remove_folder();
}
END_TEST

UNIT_MAIN("chat_find", templates_are_recognised_by_content, a_default_that_cannot_be_read_is_asked_for,
          escapes_are_those_of_python, templates_are_found_in_files, a_huge_template_is_refused,
          shared_tokenizers_have_known_templates)
