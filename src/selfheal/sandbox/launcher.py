"""Gives up what code under test must not have, then becomes the command.

Started as a script by `selfheal.sandbox.isolation`, with the standard library alone:
``python -I -S launcher.py SPECIFICATION COMMAND…`` where the JSON specification has

* `read` and `write`: the only files and folders that may be read, or read and written
  (both null: Landlock does not govern the file system);
* `connect`: the only TCP ports that may be connected to (null: not governed);
* `sockets`: ``none``, ``private`` (UNIX, IP and netlink sockets, for a network of its own)
  or ``stream`` (TCP sockets alone); null: system calls are not filtered;
* `user`: the number of the user that root becomes (null: none), who may have at the most
  `processes`.

Whatever of this cannot be had ends the launcher with exit code 125: a command is never
started with less than was promised. Sources: landlock(7), seccomp(2), capabilities(7)
of the Linux manual pages, and the kernel's include/uapi.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import resource
import signal
import stat
import struct
import sys
from typing import Any, NoReturn

REFUSED = 125
LIBC = ctypes.CDLL(None, use_errno=True)

# prctl(2)
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_SECUREBITS = 1, 22, 24, 28
PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 38, 47, 2
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION = 0x20080522
CAP_DAC_OVERRIDE = 1
NO_SETUID_FIXUP = 1 << 2

# Landlock: the same numbers on every architecture.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
RULE_PATH_BENEATH, RULE_NET_PORT = 1, 2
CREATE_RULESET_VERSION = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, IOCTL_DEVICE = 1 << 14, 1 << 15
OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
READING = EXECUTE | READ_FILE | READ_DIR
CONNECT_TCP = 1 << 1
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1 << 0, 1 << 1

# Berkeley packet filter, and what seccomp(2) makes of its answer.
LOAD, JUMP_EQUAL, JUMP_GREATER_EQUAL, JUMP_ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
SOCK_STREAM, SOCK_TYPE_MASK = 1, 0xF
NEW_NAMESPACES = 0x7E020080
TIOCSTI, TIOCLINUX = 0x5412, 0x541C

# Architecture token, then the system calls whose numbers differ.
MACHINES: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        {
            "ioctl": 16, "socket": 41, "clone": 56, "kill": 62, "ptrace": 101, "rt_sigqueueinfo": 129,
            "pivot_root": 155, "chroot": 161, "acct": 163, "settimeofday": 164, "mount": 165,
            "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170,
            "setdomainname": 171, "init_module": 175, "delete_module": 176, "quotactl": 179,
            "tkill": 200, "clock_settime": 227, "tgkill": 234, "kexec_load": 246, "add_key": 248,
            "request_key": 249, "keyctl": 250, "unshare": 272, "rt_tgsigqueueinfo": 297,
            "perf_event_open": 298, "name_to_handle_at": 303, "open_by_handle_at": 304, "setns": 308,
            "process_vm_readv": 310, "process_vm_writev": 311, "finit_module": 313,
            "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "ioctl": 29, "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "quotactl": 60,
            "acct": 89, "unshare": 97, "kexec_load": 104, "init_module": 105, "delete_module": 106,
            "clock_settime": 112, "ptrace": 117, "kill": 129, "tkill": 130, "tgkill": 131,
            "rt_sigqueueinfo": 138, "reboot": 142, "sethostname": 161, "setdomainname": 162,
            "settimeofday": 170, "socket": 198, "add_key": 217, "request_key": 218, "keyctl": 219,
            "clone": 220, "swapon": 224, "swapoff": 225, "rt_tgsigqueueinfo": 240,
            "perf_event_open": 241, "name_to_handle_at": 264, "open_by_handle_at": 265, "setns": 268,
            "process_vm_readv": 270, "process_vm_writev": 271, "finit_module": 273, "bpf": 280,
            "userfaultfd": 282, "kexec_file_load": 294,
        },
    ),
}  # fmt: skip
# pidfd_send_signal, io_uring_*, open_tree … fspick, pidfd_open, pidfd_getfd, mount_setattr.
DENIED_EVERYWHERE = (424, 425, 426, 427, 428, 429, 430, 431, 432, 433, 434, 438, 442)
CLONE3 = 435
CONDITIONAL = {"ioctl", "socket", "clone"}
SIGNALLING = {"kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"}


def main(specification: dict[str, Any], command: list[str]) -> NoReturn:
    """Confine this process as far as the specification says and execute the command."""
    try:
        protected = _ancestors()
        # What it sends to its own process group must not reach the supervisor.
        if os.getpgrp() != os.getpid():
            os.setsid()
        if specification["user"] is not None and os.getuid() == 0:
            _leave_root(specification["user"], specification["processes"])
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _checked(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
        if specification["write"] is not None or specification["connect"] is not None:
            restrict(specification["read"], specification["write"], specification["connect"])
        if specification["sockets"] is not None:
            filter_system_calls(specification["sockets"], protected)
    except OSError as error:
        print(f"the sandbox could not be made: {error}", file=sys.stderr)
        sys.exit(REFUSED)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)


def landlock_version() -> int:
    """The kernel's Landlock ABI, 0 where there is none."""
    return max(0, int(LIBC.syscall(CREATE_RULESET, None, 0, CREATE_RULESET_VERSION)))


def restrict(read: list[str] | None, write: list[str] | None, connect: list[int] | None) -> None:
    """Landlock for this process and all that it starts; paths that are not there are left out.

    Raises OSError where the kernel has no Landlock. Ports are governed from ABI 4 on,
    signals and abstract sockets kept inside from ABI 6 on.
    """
    version = landlock_version()
    if version < 1:
        raise OSError(errno.ENOSYS, "this kernel has no Landlock")
    governed = _file_rights(version) if write is not None else 0
    ports = CONNECT_TCP if connect is not None and version >= 4 else 0
    scopes = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS if version >= 6 else 0
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    attributes = struct.pack("=QQQ", governed, ports, scopes)[:size]
    if not any(attributes):
        return
    ruleset = _checked(LIBC.syscall(CREATE_RULESET, attributes, size, 0), "landlock")
    for path in read or ():
        _allow(ruleset, path, governed & READING)
    for path in write or ():
        _allow(ruleset, path, governed)
    for port in (connect or ()) if ports else ():
        rule = struct.pack("=QQ", CONNECT_TCP, port)
        _checked(LIBC.syscall(ADD_RULE, ruleset, RULE_NET_PORT, rule, 0), f"port {port}")
    _checked(LIBC.syscall(RESTRICT_SELF, ruleset, 0), "landlock")
    os.close(ruleset)


def _file_rights(version: int) -> int:
    count = 13 + (version >= 2) + (version >= 3)
    return (1 << count) - 1 | (IOCTL_DEVICE if version >= 5 else 0)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(os.fstat(place).st_mode):
        rights &= OF_A_FILE
    rule = struct.pack("=Qi", rights, place)
    _checked(LIBC.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0), path)
    os.close(place)


def filter_system_calls(sockets: str, protected: list[int]) -> None:
    """A seccomp filter: refuses what no test suite needs, and signals to `protected`.

    Refused are tracing, kernel keys, mounts, namespaces, io_uring (which would pass by
    this filter), the system's clock, modules and terminal input. Raises OSError on a
    machine whose system calls are not known here.
    """
    if platform.machine() not in MACHINES or sys.maxsize < 2**32:
        raise OSError(errno.ENOSYS, f"no system call filter for {platform.machine()}")
    program = b"".join(_program(sockets, protected))
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    _checked(LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0), "seccomp")


def _program(sockets: str, protected: list[int]) -> list[bytes]:
    token, numbers = MACHINES[platform.machine()]
    refuse = ERRNO | errno.EPERM
    lines = [
        _line(LOAD, ARCHITECTURE),
        _line(JUMP_EQUAL, token, 1, 0),
        _line(RETURN, KILL),
        _line(LOAD, NUMBER),
        # The x32 numbers of x86_64 lie above this bit.
        *_when(JUMP_GREATER_EQUAL, 0x40000000, [_line(RETURN, refuse)]),
        *_when(JUMP_EQUAL, CLONE3, [_line(RETURN, ERRNO | errno.ENOSYS)]),
    ]
    denied = {number for name, number in numbers.items() if name not in CONDITIONAL | SIGNALLING}
    for number in sorted(denied | set(DENIED_EVERYWHERE)):
        lines += _when(JUMP_EQUAL, number, [_line(RETURN, refuse)])
    lines += _when(
        JUMP_EQUAL,
        numbers["clone"],
        [
            _line(LOAD, ARGUMENTS),
            *_when(JUMP_ANY_BIT, NEW_NAMESPACES, [_line(RETURN, refuse)]),
            _line(RETURN, ALLOW),
        ],
    )
    terminal = [_line(LOAD, ARGUMENTS + 8)]
    for request in (TIOCSTI, TIOCLINUX):
        terminal += _when(JUMP_EQUAL, request, [_line(RETURN, refuse)])
    lines += _when(JUMP_EQUAL, numbers["ioctl"], [*terminal, _line(RETURN, ALLOW)])
    lines += _when(JUMP_EQUAL, numbers["socket"], _socket(sockets, refuse))
    untouchable = [_line(LOAD, ARGUMENTS)]
    for number in [0xFFFFFFFF, *(part for pid in protected for part in (pid, 2**32 - pid))]:
        untouchable += _when(JUMP_EQUAL, number, [_line(RETURN, refuse)])
    for name in sorted(SIGNALLING):
        lines += _when(JUMP_EQUAL, numbers[name], [*untouchable, _line(RETURN, ALLOW)])
    return [*lines, _line(RETURN, ALLOW)]


def _socket(sockets: str, refuse: int) -> list[bytes]:
    families = {
        "none": (),
        "private": (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK),
        "stream": (AF_INET, AF_INET6),
    }[sockets]
    allowed = [_line(RETURN, ALLOW)]
    if sockets == "stream":
        allowed = [
            _line(LOAD, ARGUMENTS + 8),
            _line(AND, SOCK_TYPE_MASK),
            *_when(JUMP_EQUAL, SOCK_STREAM, [_line(RETURN, ALLOW)]),
            _line(RETURN, refuse),
        ]
    lines = [_line(LOAD, ARGUMENTS)]
    for family in families:
        lines += _when(JUMP_EQUAL, family, allowed)
    return [*lines, _line(RETURN, refuse)]


def _when(test: int, value: int, then: list[bytes]) -> list[bytes]:
    """`then` where the loaded word passes the test; else on after it."""
    return [_line(test, value, 0, len(then)), *then]


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _leave_root(user: int, processes: int) -> None:
    """Become a user that nobody else is, who may still reach the files that root may.

    Which files those are is for Landlock or the namespace to say. The number of processes
    is limited by user, and root's is not; nor can this one signal or trace what root runs.
    """
    resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
    for capability in range(64):
        if capability != CAP_DAC_OVERRIDE:
            LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    # So that access(2) knows of the capability that is kept, as open(2) does.
    _checked(LIBC.prctl(PR_SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0), "capabilities")
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    bits = 1 << CAP_DAC_OVERRIDE
    header, wanted = (
        struct.pack("=Ii", CAPABILITY_VERSION, 0),
        struct.pack("=6I", *[bits] * 3, 0, 0, 0),
    )
    _checked(LIBC.capset(header, wanted), "capabilities")
    _checked(
        LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0), "capabilities"
    )
    # The work tree is root's, which git would not trust.
    os.environ.update(
        GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="safe.directory", GIT_CONFIG_VALUE_0="*"
    )


def _ancestors() -> list[int]:
    """The processes above this one, as far as they can be seen, but for the first of all."""
    found: list[int] = []
    pid = os.getppid()
    while pid > 1 and pid not in found and len(found) < 32:
        found.append(pid)
        try:
            file = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
            with os.fdopen(file, errors="replace") as reader:
                pid = int(reader.read().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            break
    return found


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
