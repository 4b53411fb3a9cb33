"""The numbers of system calls, by name and machine: from the kernel's own tables.

A test compares them with libseccomp's, where that is installed.
"""

import platform

# Machines for which there is a filter, with what the kernel calls them in a filter (AUDIT_ARCH_…).
_MACHINES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}

# name x86_64 aarch64; `-` where the machine has none.
_TABLE = """
read 0 63
write 1 64
readv 19 65
writev 20 66
pread64 17 67
pwrite64 18 68
preadv 295 69
pwritev 296 70
preadv2 327 286
pwritev2 328 287
lseek 8 62
close 3 57
chdir 80 49
close_range 436 436
fstat 5 80
stat 4 -
lstat 6 -
newfstatat 262 79
statx 332 291
access 21 -
faccessat 269 48
faccessat2 439 439
readlink 89 -
readlinkat 267 78
getdents 78 -
getdents64 217 61
getcwd 79 17
statfs 137 43
fstatfs 138 44
fsync 74 82
fdatasync 75 83
fadvise64 221 223
readahead 187 213
munmap 11 215
mremap 25 216
mprotect 10 226
madvise 28 233
brk 12 214
mincore 27 232
msync 26 227
membarrier 324 283
futex 202 98
futex_waitv 449 449
set_robust_list 273 99
get_robust_list 274 100
set_tid_address 218 96
rseq 334 293
exit 60 93
exit_group 231 94
sched_yield 24 124
sched_getaffinity 204 123
sched_getscheduler 145 120
sched_getparam 143 121
sched_get_priority_min 147 126
sched_get_priority_max 146 125
getpriority 140 141
restart_syscall 219 128
getcpu 309 168
nanosleep 35 101
clock_nanosleep 230 115
clock_gettime 228 113
clock_getres 229 114
gettimeofday 96 169
time 201 -
times 100 153
getrusage 98 165
getitimer 36 102
setitimer 38 103
alarm 37 -
rt_sigaction 13 134
rt_sigprocmask 14 135
rt_sigreturn 15 139
sigaltstack 131 132
rt_sigpending 127 136
rt_sigtimedwait 128 137
rt_sigsuspend 130 133
pause 34 -
getpid 39 172
gettid 186 178
getppid 110 173
getuid 102 174
geteuid 107 175
getgid 104 176
getegid 108 177
getresuid 118 148
getresgid 120 150
getgroups 115 158
getpgrp 111 -
getpgid 121 155
getsid 124 156
uname 63 160
sysinfo 99 179
getrlimit 97 163
getrandom 318 278
capget 125 90
poll 7 -
ppoll 271 73
select 23 -
pselect6 270 72
epoll_create 213 -
epoll_create1 291 20
epoll_ctl 233 21
epoll_wait 232 -
epoll_pwait 281 22
epoll_pwait2 441 441
eventfd 284 -
eventfd2 290 19
pipe 22 -
pipe2 293 59
dup 32 23
dup2 33 -
dup3 292 24
timerfd_create 283 85
timerfd_settime 286 86
timerfd_gettime 287 87
recvfrom 45 207
recvmsg 47 212
sendto 44 206
sendmsg 46 211
shutdown 48 210
getsockopt 55 209
getsockname 51 204
getpeername 52 205
mmap 9 222
clone 56 220
clone3 435 435
open 2 -
openat 257 56
openat2 437 437
fcntl 72 25
ioctl 16 29
prctl 157 167
prlimit64 302 261
kill 62 129
tgkill 234 131
execve 59 221
execveat 322 281
fork 57 -
vfork 58 -
flock 73 32
fallocate 285 47
ftruncate 77 46
mkdir 83 -
mkdirat 258 34
unlink 87 -
unlinkat 263 35
rmdir 84 -
rename 82 -
renameat 264 38
renameat2 316 276
creat 85 -
truncate 76 45
symlinkat 266 36
linkat 265 37
chmod 90 -
socket 41 198
connect 42 203
seccomp 317 277
capset 126 91
unshare 272 97
landlock_create_ruleset 444 444
landlock_add_rule 445 445
landlock_restrict_self 446 446
mount 165 40
umount2 166 39
ptrace 101 117
process_vm_readv 310 270
process_vm_writev 311 271
process_madvise 440 440
pidfd_getfd 438 438
kcmp 312 272
bpf 321 280
perf_event_open 298 241
userfaultfd 323 282
io_uring_setup 425 425
io_uring_enter 426 426
io_uring_register 427 427
add_key 248 217
request_key 249 218
keyctl 250 219
pivot_root 155 41
chroot 161 51
setns 308 268
open_by_handle_at 304 265
name_to_handle_at 303 264
move_mount 429 429
open_tree 428 428
fsopen 430 430
fsconfig 431 431
fsmount 432 432
fspick 433 433
mount_setattr 442 442
init_module 175 105
finit_module 313 273
delete_module 176 106
kexec_load 246 104
kexec_file_load 320 294
reboot 169 142
swapon 167 224
swapoff 168 225
acct 163 89
quotactl 179 60
syslog 103 116
settimeofday 164 170
clock_settime 227 112
adjtimex 159 171
clock_adjtime 305 266
sethostname 170 161
setdomainname 171 162
iopl 172 -
ioperm 173 -
modify_ldt 154 -
personality 135 92
vhangup 153 58
lookup_dcookie 212 18
fanotify_init 300 262
remap_file_pages 216 234
vmsplice 278 75
memfd_secret 447 447
shmget 29 194
shmat 30 196
msgget 68 186
semget 64 190
memfd_create 319 279
mq_open 240 180
setrlimit 160 164
setpgid 109 154
setsid 112 157
socketpair 53 199
"""


def machine() -> str:
    """The machine that this process runs on."""
    return platform.machine()


def architecture(machine: str) -> int | None:
    """What a filter calls the machine; None where there is no filter for it."""
    return _MACHINES.get(machine)


def numbers(machine: str) -> dict[str, int]:
    """The calls that the machine has."""
    column = 1 + list(_MACHINES).index(machine)
    rows = [line.split() for line in _TABLE.strip().splitlines()]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}
