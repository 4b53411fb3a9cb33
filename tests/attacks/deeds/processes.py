"""Starts programs and processes, and lays hands on those of others."""

import ctypes
import fcntl
import os
import resource
import signal
import subprocess
import time

from tests.attacks.deeds.syscalls import call, first_that_works

PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SEIZE = 16, 17, 0x4206
CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID = 0x10000000, 0x00020000, 0x20000000


def os_system(planted):
    return "a shell ran" if os.system("true") == 0 else None


def a_subprocess(planted):
    return subprocess.run(["/bin/cat", planted.secret_file], capture_output=True, check=True).stdout


def posix_spawn(planted):
    pid = os.posix_spawn("/bin/true", ["true"], {})
    return "a program ran" if os.waitpid(pid, 0)[1] == 0 else None


def replace_itself(planted):
    os.execv("/bin/echo", ["echo", "PWNED:it became another program"])


def execve_by_number(planted):
    argv = (ctypes.c_char_p * 3)(b"echo", b"PWNED:it became another program", None)
    call("execve", ctypes.c_char_p(b"/bin/echo"), argv, None)


def a_program_in_memory(planted):
    descriptor = os.memfd_create("program", 0)
    with open("/bin/echo", "rb") as program:
        os.write(descriptor, program.read())
    os.execve(descriptor, ["echo", "PWNED:it ran what it had written"], {})


def a_child(planted):
    if os.fork() == 0:
        time.sleep(600)
    return "it has a child"


def a_child_that_hides(planted):
    """Away from its parent, its session and its group, so that killing those would miss it."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            os.write(writer, b"x")
            time.sleep(600)
        os._exit(0)
    os.wait()
    return "a grandchild lives on" if os.read(reader, 1) else None


def a_child_with_a_namespace(planted):
    stack = ctypes.create_string_buffer(64 * 1024)  # noqa: F841  kept while the child runs
    pid = call("clone", CLONE_NEWUSER | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return "a child in a namespace of its own"


def a_user_namespace(planted):
    call("unshare", CLONE_NEWUSER)
    return f"capabilities in a namespace of its own, as {os.getuid()}"


def a_mount(planted):
    return first_that_works(
        lambda: call("unshare", CLONE_NEWNS) or "a mount namespace",
        lambda: (
            call("mount", ctypes.c_char_p(b"none"), ctypes.c_char_p(b"/tmp"), ctypes.c_char_p(b"tmpfs"), 0, 0)
            or "a mount"
        ),
        lambda: call("chroot", ctypes.c_char_p(b"/tmp")) or "another root",
    )


def join_the_parents_namespace(planted):
    with open(f"/proc/{os.getppid()}/ns/net") as namespace:
        return call("setns", namespace.fileno(), 0) or "the parent's network"


def become_root(planted):
    def setuid():
        os.setresuid(0, 0, 0)
        return "user 0"

    def setgroups():
        os.setgroups([0])
        return "group 0"

    return first_that_works(setuid, setgroups)


def keep_capabilities(planted):
    """Any capability, or any way back to one."""
    with open("/proc/self/status") as status:
        held = {line.split(":")[0]: line.split()[1] for line in status if line.startswith("Cap")}
    return next((f"{name} {held[name]}" for name in ("CapEff", "CapPrm") if int(held[name], 16)), None)


def signal_others(planted):
    """Signals that do no harm, to those whom a kill would reach as well."""

    def tried(pid, number=0):
        def send():
            os.kill(pid, number)
            return f"signal {number} to {pid}"

        return send

    return first_that_works(
        tried(planted.victim, signal.SIGKILL),
        *(tried(pid) for pid in (os.getppid(), planted.supervisor, planted.control, 1, -1)),
    )


def signal_by_pidfd(planted):
    descriptor = os.pidfd_open(planted.victim)
    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    return "the victim was killed"


def signal_through_a_socket(planted):
    """Have the kernel send a signal for it: an owner of a descriptor gets SIGIO."""
    fcntl.fcntl(3, fcntl.F_SETOWN, planted.victim)
    return "the victim owns the socket's signals" if fcntl.fcntl(3, fcntl.F_GETOWN) else None


def ptrace_others(planted):
    def traced(pid):
        def attach():
            call("ptrace", PTRACE_SEIZE, pid, 0, 0)
            return f"{pid} is traced"

        return attach

    return first_that_works(*(traced(pid) for pid in (planted.victim, planted.control)))


def descriptors_of_others(planted):
    """Take an open file out of another process."""

    def taken(pid):
        return lambda: f"descriptor {call('pidfd_getfd', os.pidfd_open(pid), 0, 0)} of {pid}"

    return first_that_works(*map(taken, (os.getppid(), planted.victim, planted.control, planted.supervisor)))


def limits_of_others(planted):
    """Set the limits of others to what they are: lower ones would be as easy."""

    def limited(pid):
        def set_again():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, resource.prlimit(pid, resource.RLIMIT_NOFILE))
            return f"limits of {pid}"

        return set_again

    return first_that_works(
        *map(limited, (os.getppid(), planted.victim, planted.control, planted.supervisor))
    )


def schedule_others(planted):
    """Say on which cores others run, and how nice they are."""

    def placed(pid):
        def set_again():
            os.sched_setaffinity(pid, os.sched_getaffinity(pid))
            return f"cores of {pid}"

        return set_again

    def nicer(pid):
        def set_again():
            os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid))
            return f"niceness of {pid}"

        return set_again

    victims = (planted.victim, planted.supervisor)
    return first_that_works(*map(placed, victims), *map(nicer, victims))


def nicer_itself(planted):
    """More of the processor than others."""

    def nice():
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        return "most important of all"

    def real_time():
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        return "scheduled before all"

    return first_that_works(nice, real_time)


def spare_itself(planted):
    """Have the kernel kill others first when memory runs out."""
    with open("/proc/self/oom_score_adj", "w") as score:
        score.write("-1000")
    return "never killed for memory"
