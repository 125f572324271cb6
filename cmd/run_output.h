/*
 * run_output.h: where the tokens of `run` go: as text, as ids, as lines with log probabilities, or collected for one JSON
 * object at the end; and what is said about speed and memory.
 *
 * Calling sequence: fill generator, take steps with sinq_choose_output's function, sinq_finish_run_output, sinq_free_run_output.
 */
#ifndef SINQ_CMD_RUN_OUTPUT_H
#define SINQ_CMD_RUN_OUTPUT_H

#include "generation.h"

struct sinq_run_output {
    const struct sinq_generator *generator;
    bool is_terminal; /* stdout is one */
    size_t taken;     /* steps so far */
    char last;        /* byte printed last */
    /* Collected for JSON: */
    char *text;
    size_t size, capacity;
    struct sinq_tokens ids;
    double *logprobs;            /* of each id */
    struct sinq_candidate *best; /* best_count for each id */
    size_t best_count, logprob_capacity, best_capacity;
};

/* The function to take steps with, by the arguments; its user pointer is the output. */
sinq_step_fn *sinq_choose_output(const struct sinq_run_arguments *arguments);
/* For dialogues: text alone. */
bool sinq_take_text(void *output, const struct sinq_step *step);

/* Ends the line where that is due. What was collected for JSON is for sinq_report_run_json. */
void sinq_finish_run_output(struct sinq_run_output *output);
void sinq_free_run_output(struct sinq_run_output *output);

#endif
