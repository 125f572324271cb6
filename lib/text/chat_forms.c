/*
 * chat_forms.c: the known forms of chats. Each is what the Jinja template of the models named beside it writes for text
 * messages without tools.
 */
#include "text/chat.h"

#define BOS SINQ_CHAT_BOS
#define EOS SINQ_CHAT_EOS
#define Q   "\1" /* the edge of a string in a flattened template */

#define TRIM_ALL (SINQ_TRIM_SYSTEM | SINQ_TRIM_USER | SINQ_TRIM_ANSWER)

#define CHATML_TURNS                                                                                                   \
    .system = {"<|im_start|>system\n", "<|im_end|>\n"}, .user = {"<|im_start|>user\n", "<|im_end|>\n"},                \
    .answer = {"<|im_start|>assistant\n", "<|im_end|>\n"}, .ends = {"<|im_end|>", "<|endoftext|>"}

#define LLAMA3_HEADER(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"
#define LLAMA3_TURNS                                                                                                   \
    .bos = "<|begin_of_text|>", .eos = "<|end_of_text|>", .opening = BOS,                                              \
    .user = {LLAMA3_HEADER("user"), "<|eot_id|>"}, .answer = {LLAMA3_HEADER("assistant"), "<|eot_id|>"},               \
    .prompt = LLAMA3_HEADER("assistant"), .ends = {"<|eot_id|>", "<|eom_id|>"}
#define LLAMA3_SYSTEM(date)                                                                                            \
    { LLAMA3_HEADER("system") "Cutting Knowledge Date: December 2023\nToday Date: " date "\n\n", "<|eot_id|>" }

#define MISTRAL_TOKENS .bos = "<s>", .eos = "</s>", .opening = BOS, .alternates = true

#define PHI3_TURNS                                                                                                     \
    .bos = "<s>", .eos = "<|endoftext|>", .opening = BOS, .skips_empty_system = true,                                  \
    .ends = {"<|end|>", "<|endoftext|>"}

#define DEEPSEEK_EOS "<｜end▁of▁sentence｜>"
#define DEEPSEEK_TURNS                                                                                                 \
    .bos = "<｜begin▁of▁sentence｜>", .eos = DEEPSEEK_EOS, .opening = BOS, .system = {"", ""},                         \
    .user = {"<｜User｜>", ""}

const struct sinq_chat_form sinq_chat_forms[] = {
    /* ---- ChatML: Qwen, Yi, Hermes, SmolLM2, ... ---- */
    {.name = "chatml", /* Phi-4 */
     .id = "phi4",
     .marks = {"<|im_start|>assistant<|im_sep|>", "<|im_end|>"},
     .lacks = {"<|im_sep|>\n"},
     .system = {"<|im_start|>system<|im_sep|>", "<|im_end|>"},
     .user = {"<|im_start|>user<|im_sep|>", "<|im_end|>"},
     .answer = {"<|im_start|>assistant<|im_sep|>", "<|im_end|>"},
     .prompt = "<|im_start|>assistant<|im_sep|>",
     .ends = {"<|im_end|>", "<|endoftext|>"}},
    {.name = "chatml", /* QwQ, Qwen3 Thinking: the thinking has begun */
     .id = "qwen-thinking",
     .marks = {"<|im_start|>assistant\n<think>\n" Q, "</think>"},
     .lacks = {"<|im_sep|>", "## Metadata"},
     CHATML_TURNS,
     .opening = BOS,
     .prompt = "<|im_start|>assistant\n<think>\n",
     .trims = SINQ_TRIM_THINKING_LINES,
     .thinking_ends = {"</think>"}},
    {.name = "chatml", /* Qwen3 */
     .id = "qwen3",
     .marks = {"<|im_start|>assistant\n", "<|im_end|>", "</think>"},
     .lacks = {"<|im_start|>assistant\n<think>", "<|im_sep|>", "## Metadata"},
     CHATML_TURNS,
     .opening = BOS,
     .prompt = "<|im_start|>assistant\n",
     .trims = SINQ_TRIM_THINKING_LINES,
     .thinking_ends = {"</think>"}},
    {.name = "chatml",
     .id = "chatml",
     .marks = {"<|im_start|>assistant\n", "<|im_end|>"},
     .lacks = {"<|im_start|>assistant\n<think>", "<|im_sep|>", "## Metadata"},
     CHATML_TURNS,
     .opening = BOS,
     .prompt = "<|im_start|>assistant\n"},

    /* ---- Llama 2 ---- */
    {.name = "llama2",
     .id = "llama2",
     .marks = {"[INST] ", " [/INST]", "<<SYS>>\n", "bos_token + " Q "[INST] "},
     .bos = "<s>",
     .eos = "</s>",
     .system = {"<<SYS>>\n", "\n<</SYS>>\n\n"},
     .user = {BOS "[INST] ", " [/INST]"},
     .answer = {" ", " " EOS},
     .prompt = "",
     .system_place = SINQ_SYSTEM_IN_FIRST_USER,
     .trims = SINQ_TRIM_USER | SINQ_TRIM_ANSWER | SINQ_TRIM_AFTER_SYSTEM,
     .alternates = true},

    /* ---- Llama 3 ---- */
    {.name = "llama3", /* 3.2: today's date */
     .id = "llama3.2",
     .marks = {LLAMA3_HEADER("assistant"), "<|eot_id|>", "Cutting Knowledge Date: December 2023\n", "strftime_now"},
     LLAMA3_TURNS,
     .system = LLAMA3_SYSTEM(SINQ_CHAT_DAY),
     .default_system = "",
     .trims = TRIM_ALL},
    {.name = "llama3", /* 3.1, 3.3 */
     .id = "llama3.1",
     .marks = {LLAMA3_HEADER("assistant"), "<|eot_id|>", "Cutting Knowledge Date: December 2023\n", Q "26 Jul 2024" Q},
     LLAMA3_TURNS,
     .system = LLAMA3_SYSTEM("26 Jul 2024"),
     .default_system = "",
     .trims = TRIM_ALL},
    {.name = "llama3",
     .id = "llama3",
     .marks = {LLAMA3_HEADER("assistant"), "<|eot_id|>", "trim"},
     .lacks = {"Cutting Knowledge Date", "think"},
     LLAMA3_TURNS,
     .system = {LLAMA3_HEADER("system"), "<|eot_id|>"},
     .trims = TRIM_ALL},
    {.name = "llama3", /* copies of it that do not trim */
     .id = "llama3-untrimmed",
     .marks = {LLAMA3_HEADER("assistant"), "<|eot_id|>"},
     .lacks = {"Cutting Knowledge Date", "think", "trim", "strip"},
     LLAMA3_TURNS,
     .system = {LLAMA3_HEADER("system"), "<|eot_id|>"}},

    /* ---- Mistral, by the version of its tokenizer ---- */
    {.name = "mistral", /* Large 2411 */
     .id = "mistral-v7",
     .marks = {"[SYSTEM_PROMPT] ", "[INST] "},
     MISTRAL_TOKENS,
     .system = {"[SYSTEM_PROMPT] ", "[/SYSTEM_PROMPT]"},
     .user = {"[INST] ", "[/INST]"},
     .answer = {" ", EOS},
     .prompt = ""},
    {.name = "mistral", /* Small 3 and later */
     .id = "mistral-v7-tekken",
     .marks = {"[SYSTEM_PROMPT]", "[INST]"},
     .lacks = {"[INST] ", "[THINK]"},
     MISTRAL_TOKENS,
     .system = {"[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"},
     .user = {"[INST]", "[/INST]"},
     .answer = {"", EOS},
     .prompt = ""},
    {.name = "mistral", /* 7B v0.1 and v0.2, Mixtral 8x7B, as revised */
     .id = "mistral",
     .marks = {Q " [INST] ", " [/INST]", Q " " Q " + message"},
     .lacks = {"<<SYS>>", "[SYSTEM_PROMPT]"},
     MISTRAL_TOKENS,
     .system = {"", "\n\n"},
     .user = {" [INST] ", " [/INST]"},
     .answer = {" ", EOS},
     .prompt = "",
     .system_place = SINQ_SYSTEM_IN_FIRST_USER},
    {.name = "mistral", /* 7B v0.1, as first published */
     .id = "mistral-v0.1",
     .marks = {Q "[INST] ", " [/INST]", "eos_token + " Q " " Q},
     .lacks = {"<<SYS>>", "[SYSTEM_PROMPT]"},
     MISTRAL_TOKENS,
     .system = {"", "\n\n"},
     .user = {"[INST] ", " [/INST]"},
     .answer = {"", EOS " "},
     .prompt = "",
     .system_place = SINQ_SYSTEM_IN_FIRST_USER},
    {.name = "mistral", /* 7B v0.2 and Mixtral 8x7B, as first published */
     .id = "mistral-v0.2",
     .marks = {Q "[INST] ", " [/INST]"},
     .lacks = {"<<SYS>>", "[SYSTEM_PROMPT]", Q " [INST] "},
     MISTRAL_TOKENS,
     .system = {"", "\n\n"},
     .user = {"[INST] ", " [/INST]"},
     .answer = {"", EOS},
     .prompt = "",
     .system_place = SINQ_SYSTEM_IN_FIRST_USER},
    {.name = "mistral", /* 7B v0.3, 8x22B, Large 2407 */
     .id = "mistral-v3",
     .marks = {Q "[INST] ", "[/INST]"},
     .lacks = {"<<SYS>>", "[SYSTEM_PROMPT]", " [/INST]"},
     MISTRAL_TOKENS,
     .system = {"", "\n\n"},
     .user = {"[INST] ", "[/INST]"},
     .answer = {" ", EOS},
     .prompt = "",
     .system_place = SINQ_SYSTEM_IN_LAST_USER,
     .trims = SINQ_TRIM_ANSWER},
    {.name = "mistral", /* Nemo, Ministral 8B, Pixtral */
     .id = "mistral-v3-tekken",
     .marks = {Q "[INST]", "[/INST]"},
     .lacks = {"<<SYS>>", "[SYSTEM_PROMPT]", " [/INST]", "[INST] "},
     MISTRAL_TOKENS,
     .system = {"", "\n\n"},
     .user = {"[INST]", "[/INST]"},
     .answer = {"", EOS},
     .prompt = "",
     .system_place = SINQ_SYSTEM_IN_LAST_USER},

    /* ---- Gemma: no system role; Gemma 3's template puts it where we do for all ---- */
    {.name = "gemma",
     .id = "gemma",
     .marks = {"<start_of_turn>model\n", "<end_of_turn>\n"},
     .bos = "<bos>",
     .eos = "<eos>",
     .opening = BOS,
     .system = {"", "\n\n"},
     .user = {"<start_of_turn>user\n", "<end_of_turn>\n"},
     .answer = {"<start_of_turn>model\n", "<end_of_turn>\n"},
     .prompt = "<start_of_turn>model\n",
     .system_place = SINQ_SYSTEM_IN_FIRST_USER,
     .trims = SINQ_TRIM_USER | SINQ_TRIM_ANSWER,
     .alternates = true,
     .ends = {"<end_of_turn>"}},

    /* ---- Phi-3 ---- */
    {.name = "phi3", /* Phi-3, Phi-3.5 */
     .id = "phi3",
     .marks = {"<|end|>\n", "<|assistant|>\n"},
     .lacks = {"<|start|>", "<|im_start|>"},
     PHI3_TURNS,
     .system = {"<|system|>\n", "<|end|>\n"},
     .user = {"<|user|>\n", "<|end|>\n"},
     .answer = {"<|assistant|>\n", "<|end|>\n"},
     .prompt = "<|assistant|>\n"},
    {.name = "phi3", /* Phi-4-mini */
     .id = "phi4-mini",
     .marks = {"<|end|>" Q, Q "<|assistant|>" Q},
     .lacks = {"<|start|>", "<|im_start|>", "<|end|>\n"},
     PHI3_TURNS,
     .system = {"<|system|>", "<|end|>"},
     .user = {"<|user|>", "<|end|>"},
     .answer = {"<|assistant|>", "<|end|>"},
     .prompt = "<|assistant|>"},

    /* ---- DeepSeek ---- */
    {.name = "deepseek", /* V3.1: answers without thinking */
     .id = "deepseek-v3.1",
     .marks = {"<｜User｜>", "<｜Assistant｜>", "</think>", "not thinking"},
     .lacks = {"DSML"},
     DEEPSEEK_TURNS,
     .answer = {"<｜Assistant｜></think>", EOS},
     .prompt = "<｜Assistant｜></think>",
     .thinking_ends = {"</think>"}},
    {.name = "deepseek", /* R1 and its distillations */
     .id = "deepseek-r1",
     .marks = {"<｜User｜>", "<｜Assistant｜><think>\n" Q, "</think>"},
     DEEPSEEK_TURNS,
     .answer = {"<｜Assistant｜>", EOS},
     .prompt = "<｜Assistant｜><think>\n",
     .thinking_ends = {"</think>"}},
    {.name = "deepseek", /* R1, as first published */
     .id = "deepseek-r1-plain",
     .marks = {"<｜User｜>", "<｜Assistant｜>" Q, "</think>"},
     .lacks = {"thinking", "<｜Assistant｜><think>", "DSML"},
     DEEPSEEK_TURNS,
     .answer = {"<｜Assistant｜>", EOS},
     .prompt = "<｜Assistant｜>",
     .thinking_ends = {"</think>"}},
    {.name = "deepseek", /* V2.5, V3 */
     .id = "deepseek",
     .marks = {"<｜User｜>", "<｜Assistant｜>" Q},
     .lacks = {"think>"},
     DEEPSEEK_TURNS,
     .answer = {"<｜Assistant｜>", EOS},
     .prompt = "<｜Assistant｜>"},
    {.name = "deepseek", /* LLM, V2 */
     .id = "deepseek-v2",
     .marks = {Q "User: " Q, Q "Assistant: " Q, Q "Assistant:" Q, Q "\n\n" Q},
     .lacks = {"<|", "###"},
     .bos = "<｜begin▁of▁sentence｜>",
     .eos = DEEPSEEK_EOS,
     .opening = BOS,
     .system = {"", "\n\n"},
     .user = {"User: ", "\n\n"},
     .answer = {"Assistant: ", EOS},
     .prompt = "Assistant:"},

    /* ---- gpt-oss: the system message goes to the developer's turn; <|end|> only ends a channel ---- */
    {.name = "harmony",
     .id = "harmony",
     .marks = {"<|start|>assistant", "<|channel|>final<|message|>", "<|end|>", "Knowledge cutoff: 2024-06\n"},
     .opening = "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
                "Knowledge cutoff: 2024-06\nCurrent date: " SINQ_CHAT_DATE "\n\nReasoning: medium\n\n"
                "# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|>",
     .system = {"<|start|>developer<|message|># Instructions\n\n", "\n\n<|end|>"},
     .user = {"<|start|>user<|message|>", "<|end|>"},
     .answer = {"<|start|>assistant<|channel|>final<|message|>", "<|end|>"},
     .prompt = "<|start|>assistant",
     .thinking_ends = {"<|channel|>final<|message|>", "assistantfinal"},
     .skips_empty_system = true,
     .ends = {"<|return|>", "<|call|>"}},
    {.name = NULL},
};
