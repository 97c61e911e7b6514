/* slow-open MILLISECONDS LOG COMMAND...: runs a command whose every open of a file that it reads waits, as on storage
 * that is far away.
 *
 * shardex makes its system calls itself, so a preloaded library would see none of them; the kernel does. A filter
 * (seccomp) stops those calls of openat by which worker::tree::open_file opens a file of a source, and no other: read
 * only, and with O_NOFOLLOW and O_NONBLOCK. This process lets each go on MILLISECONDS after it was made. All else, the
 * rest of the command's input and output included, runs as ever.
 *
 * Ten times a second a line goes to LOG: seconds of CLOCK_MONOTONIC, opens until then, opens that wait. Ends with the
 * command's exit code; passes SIGTERM and SIGINT on. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

enum { WAITING_MAX = 65536 };

static struct { uint64_t id; int64_t due; } waiting[WAITING_MAX];
static unsigned long first, last;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static int listener;
static int64_t delay_ns;
static pid_t child;

static void fail(const char *what) {
    perror(what);
    if (child > 0) kill(child, SIGKILL);
    exit(125);
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void wait_until(int64_t moment) {
    struct timespec time = { moment / 1000000000LL, moment % 1000000000LL };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) {}
}

static void pass_on(int number) { if (child > 0) kill(child, number); }

/* Filters this process and all that it becomes; gives the descriptor by which stopped calls are told. */
static int stop_opens(void) {
    const uint32_t flags = O_NOFOLLOW | O_NONBLOCK;
    const uint32_t looked_at = flags | O_ACCMODE | O_DIRECTORY;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, looked_at),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, flags, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return -1;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static void send_descriptor(int to, int descriptor) {
    char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec data = { &byte, 1 };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
    if (sendmsg(to, &message, 0) != 1) fail("sendmsg");
}

static int receive_descriptor(int from) {
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec data = { &byte, 1 };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    int descriptor = -1;
    if (recvmsg(from, &message, 0) != 1 || !CMSG_FIRSTHDR(&message)) return -1;
    memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
    return descriptor;
}

/* Lets opens go on, in the order in which they came: all wait equally long. */
static void *let_go(void *unused) {
    prctl(PR_SET_TIMERSLACK, 1000);
    for (;;) {
        pthread_mutex_lock(&lock);
        while (first == last) pthread_cond_wait(&changed, &lock);
        uint64_t id = waiting[first % WAITING_MAX].id;
        int64_t due = waiting[first % WAITING_MAX].due;
        pthread_mutex_unlock(&lock);
        wait_until(due);
        struct seccomp_notif_resp answer = { .id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
        /* A call that was interrupted meanwhile is made again, and comes again. */
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) && errno != ENOENT && errno != EINPROGRESS)
            fail("SECCOMP_IOCTL_NOTIF_SEND");
        pthread_mutex_lock(&lock);
        first++;
        pthread_mutex_unlock(&lock);
    }
    return unused;
}

static void *write_log(void *path) {
    FILE *log = fopen(path, "w");
    if (!log) fail(path);
    for (int64_t at = now();; at += 100000000) {
        wait_until(at);
        pthread_mutex_lock(&lock);
        unsigned long opens = last, wait = last - first;
        pthread_mutex_unlock(&lock);
        fprintf(log, "%.4f %lu %lu\n", at / 1e9, opens, wait);
        fflush(log);
    }
    return NULL;
}

static void take_opens(void) {
    struct pollfd poller = { .fd = listener, .events = POLLIN };
    struct seccomp_notif call;
    while (poll(&poller, 1, -1) >= 0 || errno == EINTR) {
        if (poller.revents & POLLHUP) return; /* Nobody is left who could open. */
        if (!(poller.revents & POLLIN)) continue;
        memset(&call, 0, sizeof call);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call)) {
            if (errno == ENOENT || errno == EINTR) continue;
            fail("SECCOMP_IOCTL_NOTIF_RECV");
        }
        pthread_mutex_lock(&lock);
        waiting[last % WAITING_MAX].id = call.id;
        waiting[last % WAITING_MAX].due = now() + delay_ns;
        if (++last - first > WAITING_MAX) fail("too many wait");
        pthread_cond_signal(&changed);
        pthread_mutex_unlock(&lock);
    }
}

int main(int count, char **arguments) {
    int pair[2], status;
    pthread_t threads[2];
    if (count < 4) {
        fprintf(stderr, "usage: slow-open MILLISECONDS LOG COMMAND...\n");
        return 125;
    }
    delay_ns = (int64_t)(atof(arguments[1]) * 1e6);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) fail("socketpair");
    child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int stopped = stop_opens();
        if (stopped < 0) fail("seccomp");
        fcntl(stopped, F_SETFD, FD_CLOEXEC);
        send_descriptor(pair[1], stopped);
        close(stopped);
        execvp(arguments[3], arguments + 3);
        fail(arguments[3]);
    }
    close(pair[1]);
    listener = receive_descriptor(pair[0]);
    if (listener < 0) fail("the filter could not be set");
    signal(SIGTERM, pass_on);
    signal(SIGINT, pass_on);
    pthread_cond_init(&changed, NULL);
    pthread_create(&threads[0], NULL, let_go, NULL);
    pthread_create(&threads[1], NULL, write_log, arguments[2]);
    take_opens();
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
