/*
 * The floor: what the bare kernel needs to run one program in a container.
 *
 * It does what the default bundle of `runc spec` asks for, and nothing else:
 * one clone3 with the namespaces, the cgroups with their device list, the
 * mounts, devices, masked and read-only paths, pivot_root, rlimit,
 * capabilities, no_new_privs, execve, wait, and the removal of the cgroups.
 * No JSON, no overlay, no user namespace, no seccomp, no state on disk.
 * Every engine's time is reported as a multiple of this program's.
 *
 *   floor run  v1|v2 [-p PIDFILE] ROOTFS PROGRAM [ARG...]
 *   floor exec v1|v2 PID PROGRAM [ARG...]
 *
 * v1 expects the nine version 1 hierarchies below in /sys/fs/cgroup, v2 the
 * unified hierarchy itself. Exit status: the program's, 128 + n after signal n,
 * or 125 when the floor itself fails.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define CGROUPS "/sys/fs/cgroup"

static const char *const hierarchies[] = {
    "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd",
};

static void die(const char *format, ...) {
    int error = errno;
    va_list arguments;
    va_start(arguments, format);
    fputs("floor: ", stderr);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, ": %s\n", strerror(error));
    _exit(125);
}

#define MUST(call) ((call) < 0 ? (die("%s", #call), -1) : 0)

static int open_or_die(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        die("open %s", path);
    return fd;
}

static void write_file(const char *path, const char *text) {
    int fd = open_or_die(path, O_WRONLY);
    if (write(fd, text, strlen(text)) < 0)
        die("write \"%s\" to %s", text, path);
    close(fd);
}

static void mount_or_die(const char *source, const char *target, const char *type, unsigned long flags, const char *data) {
    if (mount(source, target, type, flags, data) < 0)
        die("mount %s on %s", type ? type : source, target);
}

/* ---- cgroups ---- */

/* The descriptors through which the child gets into its cgroups: v2 one folder, v1 one `tasks` file a hierarchy. */
struct cgroups {
    int v2;
    char name[32];
    int fds[COUNT(hierarchies)];
};

static void copy_parents(const char *hierarchy, const char *name, const char *file) {
    char path[128], value[256];
    snprintf(path, sizeof path, CGROUPS "/%s/%s", hierarchy, file);
    int fd = open_or_die(path, O_RDONLY);
    ssize_t length = read(fd, value, sizeof value - 1);
    if (length < 0)
        die("read %s", path);
    close(fd);
    value[length] = 0;
    snprintf(path, sizeof path, CGROUPS "/%s/%s/%s", hierarchy, name, file);
    write_file(path, value);
}

static void make_cgroups(struct cgroups *cgroups) {
    static const char *const devices[] = {
        "c *:* m",    "b *:* m",    "c 1:3 rwm",  "c 1:5 rwm",   "c 1:7 rwm",   "c 1:8 rwm",
        "c 1:9 rwm",  "c 5:0 rwm",  "c 5:1 rwm",  "c 5:2 rwm",   "c 136:* rwm",
    };
    char path[128];
    snprintf(cgroups->name, sizeof cgroups->name, "floor-%d", getpid());
    if (cgroups->v2) {
        snprintf(path, sizeof path, CGROUPS "/%s", cgroups->name);
        MUST(mkdir(path, 0755));
        cgroups->fds[0] = open_or_die(path, O_PATH | O_DIRECTORY);
        return;
    }
    for (size_t i = 0; i < COUNT(hierarchies); i++) {
        snprintf(path, sizeof path, CGROUPS "/%s/%s", hierarchies[i], cgroups->name);
        if (mkdir(path, 0755) < 0)
            die("mkdir %s", path);
        if (strcmp(hierarchies[i], "cpuset") == 0) {
            copy_parents("cpuset", cgroups->name, "cpuset.cpus");
            copy_parents("cpuset", cgroups->name, "cpuset.mems");
        }
        /* `tasks`, not `cgroup.procs`: a thread that moves itself waits for no RCU grace period. */
        strcat(path, "/tasks");
        cgroups->fds[i] = open_or_die(path, O_WRONLY);
    }
    snprintf(path, sizeof path, CGROUPS "/devices/%s/devices.deny", cgroups->name);
    write_file(path, "a");
    snprintf(path, sizeof path, CGROUPS "/devices/%s/devices.allow", cgroups->name);
    int fd = open_or_die(path, O_WRONLY);
    for (size_t i = 0; i < COUNT(devices); i++)
        if (write(fd, devices[i], strlen(devices[i])) < 0)
            die("allow device %s", devices[i]);
    close(fd);
}

static void enter_cgroups(const struct cgroups *cgroups) {
    if (cgroups->v2)
        return; /* CLONE_INTO_CGROUP did it. */
    for (size_t i = 0; i < COUNT(hierarchies); i++)
        if (write(cgroups->fds[i], "0", 1) < 0)
            die("enter the %s cgroup", hierarchies[i]);
}

static void remove_cgroup(const char *path) {
    /* The last task has been waited for, yet the kernel may still be taking its exit out of the books. */
    for (int attempt = 0; rmdir(path) < 0; attempt++) {
        if (errno != EBUSY || attempt == 1000)
            die("rmdir %s", path);
        usleep(100);
    }
}

static void remove_cgroups(const struct cgroups *cgroups) {
    char path[128];
    if (cgroups->v2) {
        snprintf(path, sizeof path, CGROUPS "/%s", cgroups->name);
        remove_cgroup(path);
        return;
    }
    for (size_t i = 0; i < COUNT(hierarchies); i++) {
        snprintf(path, sizeof path, CGROUPS "/%s/%s", hierarchies[i], cgroups->name);
        remove_cgroup(path);
    }
}

static pid_t clone_into(uint64_t namespaces, const struct cgroups *cgroups) {
    struct clone_args arguments = {.flags = namespaces, .exit_signal = SIGCHLD};
    if (cgroups->v2) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)cgroups->fds[0];
    }
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

/* ---- the root file system; the working directory is the new root ---- */

static void mount_cgroups(int v2) {
    const unsigned long flags = MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RELATIME;
    if (v2) {
        mount_or_die("cgroup", "sys/fs/cgroup", "cgroup2", flags | MS_RDONLY, NULL);
        return;
    }
    mount_or_die("tmpfs", "sys/fs/cgroup", "tmpfs", flags, "mode=755");
    for (size_t i = 0; i < COUNT(hierarchies); i++) {
        char path[64];
        snprintf(path, sizeof path, "sys/fs/cgroup/%s", hierarchies[i]);
        MUST(mkdir(path, 0755));
        const char *data = strcmp(hierarchies[i], "systemd") == 0 ? "none,name=systemd" : hierarchies[i];
        mount_or_die("cgroup", path, "cgroup", flags | MS_RDONLY, data);
    }
    mount_or_die(NULL, "sys/fs/cgroup", NULL, flags | MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
}

static void mount_all(int v2) {
    const unsigned long strict = MS_NOSUID | MS_NOEXEC | MS_NODEV;
    mount_or_die("proc", "proc", "proc", 0, NULL);
    mount_or_die("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
    MUST(mkdir("dev/pts", 0755));
    MUST(mkdir("dev/shm", 0755));
    MUST(mkdir("dev/mqueue", 0755));
    mount_or_die("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
    mount_or_die("shm", "dev/shm", "tmpfs", strict, "mode=1777,size=65536k");
    mount_or_die("mqueue", "dev/mqueue", "mqueue", strict, NULL);
    mount_or_die("sysfs", "sys", "sysfs", strict | MS_RDONLY, NULL);
    mount_cgroups(v2);
}

static void make_devices(void) {
    static const struct {
        const char *path;
        unsigned major, minor;
    } devices[] = {
        {"dev/null", 1, 3}, {"dev/zero", 1, 5},    {"dev/full", 1, 7},
        {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0},
    };
    umask(0);
    for (size_t i = 0; i < COUNT(devices); i++)
        if (mknod(devices[i].path, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor)) < 0)
            die("mknod %s", devices[i].path);
    umask(022);
    MUST(symlink("/proc/self/fd", "dev/fd"));
    MUST(symlink("/proc/self/fd/0", "dev/stdin"));
    MUST(symlink("/proc/self/fd/1", "dev/stdout"));
    MUST(symlink("/proc/self/fd/2", "dev/stderr"));
    MUST(symlink("pts/ptmx", "dev/ptmx"));
}

static void mask_paths(void) {
    static const char *const masked[] = {
        "/proc/acpi",       "/proc/asound",     "/proc/kcore",       "/proc/keys",     "/proc/latency_stats",
        "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
    };
    static const char *const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
    for (size_t i = 0; i < COUNT(masked); i++) {
        if (mount("/dev/null", masked[i], NULL, MS_BIND, NULL) == 0 || errno == ENOENT)
            continue;
        if (errno != ENOTDIR)
            die("mask %s", masked[i]);
        mount_or_die("tmpfs", masked[i], "tmpfs", MS_RDONLY, NULL);
    }
    for (size_t i = 0; i < COUNT(read_only); i++) {
        if (mount(read_only[i], read_only[i], NULL, MS_BIND | MS_REC, NULL) < 0) {
            if (errno == ENOENT)
                continue;
            die("bind %s", read_only[i]);
        }
        mount_or_die(NULL, read_only[i], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
    }
}

static void make_root(const char *rootfs, int v2) {
    mount_or_die(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL);
    mount_or_die(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL);
    MUST(chdir(rootfs));
    mount_all(v2);
    make_devices();
    /* The old root is put over the new one and taken away: no folder of the image is needed for it. */
    MUST(syscall(SYS_pivot_root, ".", "."));
    MUST(umount2(".", MNT_DETACH));
    MUST(chdir("/"));
    mask_paths();
    mount_or_die(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
}

/* ---- the process ---- */

static void raise_loopback(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        die("set lo up");
    close(fd);
}

static void drop_privileges(void) {
    static const int kept[] = {CAP_AUDIT_WRITE, CAP_KILL, CAP_NET_BIND_SERVICE};
    const uint32_t set = 1u << CAP_AUDIT_WRITE | 1u << CAP_KILL | 1u << CAP_NET_BIND_SERVICE;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.effective = set, .permitted = set, .inheritable = set}};
    const struct rlimit files = {1024, 1024};
    MUST(setrlimit(RLIMIT_NOFILE, &files));
    for (int capability = 0; capability <= 63; capability++) {
        if (set >> capability & 1 && capability < 32)
            continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
            break; /* EINVAL: past the kernel's last one. */
    }
    MUST(syscall(SYS_capset, &header, data));
    for (size_t i = 0; i < COUNT(kept); i++)
        MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept[i], 0, 0));
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void execute(char **argv) {
    static char *const environment[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm", NULL,
    };
    execve(argv[0], argv, environment);
    die("execve %s", argv[0]);
}

static int await(pid_t child) {
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            die("waitpid %d", child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(int v2, const char *pid_file, const char *rootfs, char **argv) {
    struct cgroups cgroups = {.v2 = v2};
    make_cgroups(&cgroups);
    pid_t child = clone_into(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS, &cgroups);
    if (child < 0)
        die("clone3");
    if (child == 0) {
        enter_cgroups(&cgroups);
        /* Made by clone3 it would have the parent's cgroup as its root. */
        MUST(unshare(CLONE_NEWCGROUP));
        MUST(setsid());
        make_root(rootfs, v2);
        raise_loopback();
        MUST(sethostname("floor", 5));
        drop_privileges();
        execute(argv);
    }
    if (pid_file) {
        FILE *file = fopen(pid_file, "we");
        if (!file || fprintf(file, "%d\n", child) < 0 || fclose(file) != 0)
            die("write %s", pid_file);
    }
    int status = await(child);
    remove_cgroups(&cgroups);
    return status;
}

/* Opens the cgroups that process `pid` is in, as `run` names them. */
static void find_cgroups(struct cgroups *cgroups, pid_t pid) {
    char path[128], line[512];
    snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        die("open %s", path);
    size_t found = 0;
    while (fgets(line, sizeof line, file)) {
        char *name = strrchr(line, '/');
        if (!name || strncmp(name, "/floor-", 7) != 0)
            continue;
        name[strcspn(name, "\n")] = 0;
        snprintf(cgroups->name, sizeof cgroups->name, "%s", name + 1);
        found++;
    }
    fclose(file);
    if (found < (cgroups->v2 ? 1 : COUNT(hierarchies))) {
        errno = ESRCH;
        die("process %d is in %zu cgroups of the floor", pid, found);
    }
    if (cgroups->v2) {
        snprintf(path, sizeof path, CGROUPS "/%s", cgroups->name);
        cgroups->fds[0] = open_or_die(path, O_PATH | O_DIRECTORY);
        return;
    }
    for (size_t i = 0; i < COUNT(hierarchies); i++) {
        snprintf(path, sizeof path, CGROUPS "/%s/%s/tasks", hierarchies[i], cgroups->name);
        cgroups->fds[i] = open_or_die(path, O_WRONLY);
    }
}

static int enter(int v2, pid_t pid, char **argv) {
    struct cgroups cgroups = {.v2 = v2};
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    if (process < 0 || fcntl(process, F_SETFD, FD_CLOEXEC) < 0)
        die("pidfd_open %d", pid);
    find_cgroups(&cgroups, pid);
    MUST(setns(process, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP));
    pid_t child = clone_into(0, &cgroups);
    if (child < 0)
        die("clone3");
    if (child == 0) {
        enter_cgroups(&cgroups);
        MUST(setsid());
        drop_privileges();
        execute(argv);
    }
    return await(child);
}

int main(int argc, char **argv) {
    if (argc >= 5 && (strcmp(argv[2], "v1") == 0 || strcmp(argv[2], "v2") == 0)) {
        int v2 = argv[2][1] == '2';
        if (strcmp(argv[1], "exec") == 0)
            return enter(v2, atoi(argv[3]), argv + 4);
        if (strcmp(argv[1], "run") == 0) {
            if (strcmp(argv[3], "-p") != 0)
                return run(v2, NULL, argv[3], argv + 4);
            if (argc >= 7)
                return run(v2, argv[4], argv[5], argv + 6);
        }
    }
    fputs("usage: floor run v1|v2 [-p PIDFILE] ROOTFS PROGRAM [ARG...]\n"
          "       floor exec v1|v2 PID PROGRAM [ARG...]\n", stderr);
    return 125;
}
