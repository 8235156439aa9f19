/* Events: of all that NVML knows, XID errors. What happens while nobody is registered is heard by nobody. */

enum { XID_CRITICAL_ERROR = 8, SETS = 16, QUEUE = 256 };
typedef struct {
    nvmlDevice_t device;
    ull eventType, eventData;
    uint gpuInstanceId, computeInstanceId;
} nvmlEventData_t;
_Static_assert(sizeof(nvmlEventData_t) == 32, "nvml.h");
typedef struct nvmlEventSet_st {
    bool is_used, hears[GPUS];
    uint first, count;
    nvmlEventData_t queue[QUEUE];
} *nvmlEventSet_t;

static struct nvmlEventSet_st sets[SETS];

static bool is_set(nvmlEventSet_t set) { return set >= sets && set < sets + SETS && set->is_used; }

static void forget_event_sets(void) {
    for (nvmlEventSet_t set = sets; set < sets + SETS; set++) set->is_used = false;
}

/* Called with the lock held. A full queue loses what comes. */
static void happened(int gpu, ull xid) {
    for (nvmlEventSet_t set = sets; set < sets + SETS; set++) {
        if (!set->is_used || !set->hears[gpu] || set->count == QUEUE) continue;
        set->queue[(set->first + set->count++) % QUEUE] = (nvmlEventData_t){
            &devices[gpu][0], XID_CRITICAL_ERROR, xid, 0xFFFFFFFF, 0xFFFFFFFF };
    }
}

static bool take(nvmlEventSet_t set, nvmlEventData_t *out) {
    pthread_mutex_lock(&lock);
    bool any = set->count > 0;
    if (any) *out = set->queue[set->first], set->first = (set->first + 1) % QUEUE, set->count--;
    pthread_mutex_unlock(&lock);
    return any;
}

static nvmlReturn_t await(nvmlEventSet_t set, nvmlEventData_t *out, uint timeout_ms) {
    for (; !take(set, out); timeout_ms--) {
        if (!timeout_ms) return TIMEOUT;
        pause_for(1);
        if (*control_path) refresh();
    }
    return SUCCESS;
}

DEVICE_ULL(nvmlDeviceGetSupportedEventTypes, supported_event_types)

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *out) {
    ENTER(NONE);
    if (!out) return INVALID_ARGUMENT;
    nvmlEventSet_t set = sets;
    while (set < sets + SETS && set->is_used) set++;
    if (set == sets + SETS) return INSUFFICIENT_RESOURCES;
    memset(set, 0, sizeof *set);
    set->is_used = true;
    *out = set;
    return SUCCESS;
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set) {
    ENTER(NONE);
    if (!is_set(set)) return INVALID_ARGUMENT;
    set->is_used = false;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, ull types, nvmlEventSet_t set) {
    ENTER_DEVICE(device, is_set(set));
    if (!(types & XID_CRITICAL_ERROR)) return NOT_SUPPORTED;
    set->hears[gpu] = true;
    return SUCCESS;
}

/* nvml.h of today declares the unversioned symbol with all 32 bytes, more than the binding makes room for. */
#define EVENT_WAIT(call) \
    nvmlReturn_t call(nvmlEventSet_t set, nvmlEventData_t *out, uint timeout_ms) { \
        ENTER(NONE); return is_set(set) && out ? await(set, out, timeout_ms) : INVALID_ARGUMENT; }

EVENT_WAIT(nvmlEventSetWait)
#ifndef OLD_DRIVER
EVENT_WAIT(nvmlEventSetWait_v2)
#endif
