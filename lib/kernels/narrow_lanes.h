/*
 * narrow_lanes.h: for instruction sets whose sixteen lanes are many operations, and which nobody runs for speed: the compiler chooses
 * what to inline (template_basics.h). With everything inlined plain C takes it two minutes, otherwise nine seconds, and is 1.1 to 1.8
 * times as fast.
 */
#ifndef SINQ_KERNELS_NARROW_LANES_H
#define SINQ_KERNELS_NARROW_LANES_H

#define LANES_ARE_NARROW

#if !defined(__clang__) /* gcc does not see then that arrays are filled as far as they are read */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#endif
