/* A stand-in for libnvidia-ml.so.1: NVML's signatures, layouts and manners, with up to 16 imaginary GPUs.
 *
 * Its answers stand in answers.def, its faults come from the file that NVML_STANDIN_CONTROL names (control.h),
 * NVML_STANDIN_GPUS is how many GPUs there are unless that file says (2), and NVML_STANDIN_SPIN_US makes every call
 * busy for that many microseconds. Initialising reads the variables. Without a control file no call makes a system call.
 * With OLD_DRIVER defined it lacks the symbols that drivers of 2016 lack.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { SUCCESS, UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND = 6, INSUFFICIENT_SIZE, TIMEOUT = 10,
       GPU_IS_LOST = 15, INSUFFICIENT_RESOURCES = 23, ARGUMENT_VERSION_MISMATCH = 25 };
enum { GPUS = 16, INSTANCES = 7, RULES = 256, XIDS = 64, PROCESSES = 32, WORD = 128, PATH = 4096, EVERY = -1,
       NONE = -2, WHOLE = -1 };
enum { V1_BYTES = 16, V2_BYTES = 24, V3_BYTES = 32 };

typedef unsigned int uint;
typedef unsigned long long ull;
typedef int nvmlReturn_t;
typedef struct nvmlDevice_st { char unused; } *nvmlDevice_t;

/* ---- the answers ---- */

#define NUMBER(name, first, step) name,
enum number {
#include "answers.def"
    NUMBERS
};
#define NUMBER(name, first, step) { #name, first, step },
static const struct { const char *name; ull first, step; } numbers[] = {
#include "answers.def"
};
#define TEXT(name, format) static const char text_##name[] = format;
#include "answers.def"

const char *nvmlErrorString(nvmlReturn_t result) {
    switch (result) {
#define FAILURE(code, text) case code: return text;
#include "answers.def"
    }
    return "Unknown Error";
}

#include "control.h"

/* ---- what every call goes through ---- */

/* Of each GPU, the whole and then its MIG instances. */
static struct nvmlDevice_st devices[GPUS][1 + INSTANCES];
static long spin_us;
static atomic_int users, generation;

static void spin(void) {
    struct timespec from, now;
    if (!spin_us) return;
    clock_gettime(CLOCK_MONOTONIC, &from);
    do clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - from.tv_sec) * 1000000 + (now.tv_nsec - from.tv_nsec) / 1000 < spin_us);
}

static void pause_for(int milliseconds) {
    const struct timespec pause = { milliseconds / 1000, milliseconds % 1000 * 1000000L };
    nanosleep(&pause, NULL);
}

static nvmlReturn_t faults(const char *call, int gpu) {
    spin();
    if (!*control_path) return SUCCESS;
    refresh();
    if (told.slow_ms) pause_for(told.slow_ms);
    int *volatile nowhere = NULL, code = SUCCESS;
    if (told_to("crash", call, gpu, &code)) *nowhere = 0;
    for (; told_to("hang", call, gpu, &code); refresh()) pause_for(1);
    if (gpu >= 0 && told.lost[gpu]) return GPU_IS_LOST;
    told_to("error", call, gpu, &code);
    return code;
}

static nvmlReturn_t enter(const char *call, int gpu) {
    nvmlReturn_t fault = faults(call, gpu);
    return users > 0 && generation == told.generation ? fault : UNINITIALIZED;
}

static int place_of(nvmlDevice_t device) {
    const nvmlDevice_t first = &devices[0][0], end = first + sizeof devices / sizeof *first;
    return device >= first && device < end ? (int)(device - first) : NONE;
}

static int gpu_of(nvmlDevice_t device) {
    int place = place_of(device);
    return place == NONE ? NONE : place / (1 + INSTANCES);
}

/* WHOLE for a GPU's handle; a MIG instance's number for a handle of one that there is. */
static int instance_of(nvmlDevice_t device, int gpu) {
    int instance = gpu == NONE ? NONE : place_of(device) % (1 + INSTANCES) - 1;
    return instance < 0 || (told.is_mig[gpu] && instance < told.instances[gpu]) ? instance : NONE;
}

static ull elapsed_ms(ull since_ms) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (ull)now.tv_sec * 1000 + (ull)now.tv_nsec / 1000000 - since_ms;
}

static ull number(enum number n, int gpu) {
    if (told.is_elapsed[n][gpu]) return elapsed_ms(told.value[n][gpu]);
    return told.is_set[n][gpu] ? told.value[n][gpu] : numbers[n].first + numbers[n].step * (unsigned)gpu;
}

static nvmlReturn_t put(char *out, uint size, const char *text) {
    if (!out) return INVALID_ARGUMENT;
    if (strlen(text) >= size) return INSUFFICIENT_SIZE;
    strcpy(out, text);
    return SUCCESS;
}

static nvmlReturn_t put_for(char *out, uint size, const char *format, int gpu, int instance) {
    char text[WORD];
    snprintf(text, sizeof text, format, gpu + 1, instance);
    return put(out, size, text);
}

#define ENTER(gpu) do { nvmlReturn_t code = enter(__func__, gpu); if (code) return code; } while (0)
/* On a GPU or a MIG instance: `instance` tells which. */
#define ENTER_EITHER(device, usable) \
    int gpu = gpu_of(device); \
    ENTER(gpu); \
    int instance = instance_of(device, gpu); \
    if (instance == NONE || !(usable)) return INVALID_ARGUMENT
/* On a GPU only. */
#define ENTER_DEVICE(device, usable) ENTER_EITHER(device, (usable) && instance == WHOLE)
/* On a GPU that is not in MIG mode. */
#define ENTER_UNDIVIDED(device, usable) ENTER_DEVICE(device, usable); if (told.is_mig[gpu]) return NOT_SUPPORTED
/* On a MIG instance only. */
#define ENTER_INSTANCE(device, usable) ENTER_EITHER(device, (usable) && instance != WHOLE)

/* ---- the calls ---- */

static void forget_event_sets(void);

static nvmlReturn_t initialise(const char *call) {
    const char *busy = getenv("NVML_STANDIN_SPIN_US"), *count = getenv("NVML_STANDIN_GPUS");
    spin_us = busy ? atol(busy) : 0;
    gpus_untold = count ? atoi(count) : 2;
    use_control(getenv("NVML_STANDIN_CONTROL"));
    nvmlReturn_t fault = faults(call, NONE);
    if (fault) return fault;
    if (generation != told.generation) users = 0;
    if (!users) forget_event_sets();
    generation = told.generation;
    users++;
    return SUCCESS;
}

nvmlReturn_t nvmlInit_v2(void) { return initialise(__func__); }

#ifndef OLD_DRIVER
nvmlReturn_t nvmlInitWithFlags(uint flags) { (void)flags; return initialise(__func__); }
#endif

nvmlReturn_t nvmlShutdown(void) { ENTER(NONE); users--; return SUCCESS; }

nvmlReturn_t nvmlDeviceGetCount_v2(uint *out) {
    ENTER(NONE);
    if (!out) return INVALID_ARGUMENT;
    *out = (uint)told.gpus;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(uint index, nvmlDevice_t *out) {
    if (*control_path) refresh();
    int gpu = index < (uint)told.gpus ? told.order[index] : NONE;
    ENTER(gpu);
    if (gpu == NONE || !out) return INVALID_ARGUMENT;
    *out = &devices[gpu][0];
    return SUCCESS;
}

#include "readings.h"
#include "fields.h"
#include "mig.h"
#include "processes.h"
#include "events.h"
