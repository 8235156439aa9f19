/* What the stand-in was told. Every call looks at the control file, which is re-read once a new one was renamed into
 * place (another inode or time), so that no read is ever torn:
 *
 *     gpus N                 how many GPUs there are (NVML_STANDIN_GPUS, or 2)
 *     order I J ...          which physical GPU each index is now (0 1 2 ...)
 *     lost G                 every call on physical GPU G gives 15
 *     error CALL CODE [G]    CALL gives CODE, on one physical GPU or on all; field:ID is a call, of one field's value
 *     hang CALL [G]          CALL does not return until this line is gone
 *     crash CALL [G]         CALL kills the process by a segmentation fault
 *     reload N               whenever N changes, nothing is initialised until nvmlInit_v2 is called again
 *     slow MILLISECONDS      every call takes that long
 *     value NUMBER N [G]     a NUMBER of answers.def is N
 *     elapsed NUMBER N [G]   it is how many milliseconds have passed since CLOCK_BOOTTIME showed N of them
 *     name HEX [G]           the device's name, as raw bytes
 *     mig G N                GPU G is in MIG mode, with N instances
 *     xid G CODE N           how often XID error CODE has happened on G: growth is so many events, for who listens
 *     processes G PID:MEM .. the compute processes of G, and their bytes; graphics G PID:MEM .. the same
 *     processutil G PID:SM:MEM:ENC:DEC ..  what each process used of G, in percent
 *     stride BYTES           the records of the running-processes calls _v3 are that long: 16, 24 (as it is) or 32
 */
enum list { COMPUTE, GRAPHICS, UTILIZATION, LISTS };
struct rule { char verb[8], call[WORD]; int code, gpu; };
struct xid { int gpu; unsigned long long code, times; };
struct list_of { int count; unsigned long long of[PROCESSES][5]; };

struct control {
    int gpus, order[GPUS], generation, rule_count, xid_count, stride, slow_ms, instances[GPUS];
    bool lost[GPUS], is_mig[GPUS], is_set[NUMBERS][GPUS], is_elapsed[NUMBERS][GPUS];
    unsigned long long value[NUMBERS][GPUS];
    char name[GPUS][WORD];
    struct rule rules[RULES];
    struct xid xids[XIDS];
    struct list_of lists[LISTS][GPUS];
};

static struct control told = { .gpus = 2 }, fresh;
static struct stat seen;
static char control_path[PATH];
static int gpus_untold = 2;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void happened(int gpu, unsigned long long xid);

static char *word(char **rest) { return strtok_r(NULL, " \n", rest); }

static long long integer(char **rest, long long missing) {
    const char *text = word(rest);
    return text ? strtoll(text, NULL, 10) : missing;
}

/* A mistyped control line would let a test pass for nothing. */
static void refuse(const char *what) {
    fprintf(stderr, "nvml stand-in: bad control line: %s\n", what);
    abort();
}

static int which(char **rest, int missing) {
    long long gpu = integer(rest, missing);
    if (gpu >= GPUS || (gpu < 0 && gpu != missing)) refuse("no such GPU");
    return (int)gpu;
}

static void read_order(char **rest) {
    for (int i = 0; i < GPUS; i++) fresh.order[i] = which(rest, i);
}

static void read_value(char **rest, bool is_elapsed) {
    const char *name = word(rest);
    int n = 0;
    while (n < NUMBERS && strcmp(numbers[n].name, name ? name : "")) n++;
    if (n == NUMBERS) refuse(name ? name : "value");
    const char *text = word(rest);
    unsigned long long value = strtoull(text ? text : "0", NULL, 10);
    int only = which(rest, EVERY);
    for (int g = 0; g < GPUS; g++)
        if (only == EVERY || only == g)
            fresh.is_set[n][g] = true, fresh.is_elapsed[n][g] = is_elapsed, fresh.value[n][g] = value;
}

static void read_name(char **rest) {
    const char *hex = word(rest);
    char name[WORD] = "";
    for (size_t i = 0; hex && i + 1 < WORD && hex[2 * i] && hex[2 * i + 1]; i++) {
        const char digits[] = { hex[2 * i], hex[2 * i + 1], 0 };
        name[i] = (char)strtol(digits, NULL, 16);
    }
    int only = which(rest, EVERY);
    for (int g = 0; g < GPUS; g++)
        if (only == EVERY || only == g) memcpy(fresh.name[g], name, WORD);
}

static void read_rule(const char *verb, char **rest) {
    struct rule *rule = &fresh.rules[fresh.rule_count++];
    const char *call = word(rest);
    if (!call || fresh.rule_count == RULES) refuse(verb);
    snprintf(rule->verb, sizeof rule->verb, "%s", verb);
    snprintf(rule->call, sizeof rule->call, "%s", call);
    rule->code = strcmp(verb, "error") ? 0 : (int)integer(rest, SUCCESS);
    rule->gpu = which(rest, EVERY);
}

static void read_mig(char **rest) {
    int gpu = which(rest, 0);
    fresh.is_mig[gpu] = true;
    fresh.instances[gpu] = (int)integer(rest, 0);
    if (fresh.instances[gpu] < 0 || fresh.instances[gpu] > INSTANCES) refuse("mig");
}

static void read_xid(char **rest) {
    if (fresh.xid_count == XIDS) refuse("xid");
    struct xid *xid = &fresh.xids[fresh.xid_count++];
    xid->gpu = which(rest, 0);
    xid->code = (unsigned long long)integer(rest, 0);
    xid->times = (unsigned long long)integer(rest, 0);
}

/* Records of `width` numbers with colons between them. */
static void read_list(enum list which_list, int width, char **rest) {
    struct list_of *list = &fresh.lists[which_list][which(rest, 0)];
    for (char *text = word(rest); text; text = word(rest)) {
        if (list->count == PROCESSES) refuse("too many processes");
        for (int i = 0; i < width; i++) {
            list->of[list->count][i] = strtoull(text, &text, 10);
            if (*text++ != (i + 1 < width ? ':' : 0)) refuse("process");
        }
        list->count++;
    }
}

static void read_line(char *line) {
    char *rest, *verb = strtok_r(line, " \n", &rest);
    if (!verb) return;
    if (!strcmp(verb, "gpus")) fresh.gpus = (int)integer(&rest, 2);
    else if (!strcmp(verb, "order")) read_order(&rest);
    else if (!strcmp(verb, "lost")) fresh.lost[which(&rest, GPUS)] = true;
    else if (!strcmp(verb, "reload")) fresh.generation = (int)integer(&rest, 0);
    else if (!strcmp(verb, "slow")) fresh.slow_ms = (int)integer(&rest, 0);
    else if (!strcmp(verb, "value")) read_value(&rest, false);
    else if (!strcmp(verb, "elapsed")) read_value(&rest, true);
    else if (!strcmp(verb, "name")) read_name(&rest);
    else if (!strcmp(verb, "error") || !strcmp(verb, "hang") || !strcmp(verb, "crash")) read_rule(verb, &rest);
    else if (!strcmp(verb, "mig")) read_mig(&rest);
    else if (!strcmp(verb, "xid")) read_xid(&rest);
    else if (!strcmp(verb, "processes")) read_list(COMPUTE, 2, &rest);
    else if (!strcmp(verb, "graphics")) read_list(GRAPHICS, 2, &rest);
    else if (!strcmp(verb, "processutil")) read_list(UTILIZATION, 5, &rest);
    else if (!strcmp(verb, "stride")) fresh.stride = (int)integer(&rest, 0);
    else refuse(verb);
}

/* Of every XID error, what has happened since the control file was last read. */
static void note_xids(void) {
    for (const struct xid *new = fresh.xids; new < fresh.xids + fresh.xid_count; new++) {
        unsigned long long known = 0;
        for (const struct xid *old = told.xids; old < told.xids + told.xid_count; old++)
            if (old->gpu == new->gpu && old->code == new->code) known = old->times;
        for (; known < new->times; known++) happened(new->gpu, new->code);
    }
}

static void read_control(void) {
    static char line[PATH];
    FILE *file = *control_path ? fopen(control_path, "r") : NULL;
    memset(&fresh, 0, sizeof fresh);
    fresh.gpus = gpus_untold;
    fresh.stride = V2_BYTES;
    for (int i = 0; i < GPUS; i++) fresh.order[i] = i;
    while (file && fgets(line, sizeof line, file)) read_line(line);
    if (file) fclose(file);
    if (fresh.gpus < 0 || fresh.gpus > GPUS) refuse("gpus");
    if (fresh.stride != V1_BYTES && fresh.stride != V2_BYTES && fresh.stride != V3_BYTES) refuse("stride");
    note_xids();
    told = fresh;
}

static bool same(const struct stat *a, const struct stat *b) {
    return a->st_ino == b->st_ino && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void refresh(void) {
    struct stat now = { 0 };
    pthread_mutex_lock(&lock);
    stat(control_path, &now);
    if (!same(&now, &seen)) read_control();
    seen = now;
    pthread_mutex_unlock(&lock);
}

static void use_control(const char *path) {
    pthread_mutex_lock(&lock);
    snprintf(control_path, sizeof control_path, "%s", path ? path : "");
    memset(&seen, 0, sizeof seen);
    read_control();
    pthread_mutex_unlock(&lock);
}

/* Whether the control file says so of this call on this GPU, and the code that its last such line names. */
static bool told_to(const char *verb, const char *call, int gpu, int *code) {
    bool found = false;
    pthread_mutex_lock(&lock);
    for (const struct rule *r = told.rules; r < told.rules + told.rule_count; r++) {
        if (strcmp(r->verb, verb) || strcmp(r->call, call) || (r->gpu != EVERY && r->gpu != gpu)) continue;
        found = true, *code = r->code;
    }
    pthread_mutex_unlock(&lock);
    return found;
}
