"""The inside of sandbox.py: run as `python -I -S -c SOURCE`, never imported there. Standard library alone.

Three processes: the supervisor, which keeps the time; `first`, process 1 within the walls; the candidate, a fresh interpreter
without rights. What the supervisor found goes to descriptor `report` as one JSON line.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time
from typing import Any

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
KEPT_FLAGS = (
    1 | 2 | 4 | 8 | 1024 | 2048
)  # of a mount that a user namespace may not take away; statvfs has them by the same numbers
PDEATHSIG, NO_NEW_PRIVS, SUBREAPER = 1, 38, 36

# What the candidate's interpreter runs. Tests and token come after the program has run: it does not find them in its source.
RUNNER = r"""
import os, sys
def _read():
    head = b""
    while not head.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            os._exit(3)
        head += byte
    left, parts = int(head), []
    while left:
        part = os.read(0, left)
        if not part:
            os._exit(3)
        parts.append(part)
        left -= len(part)
    return b"".join(parts).decode()
def _say(status, detail="", token=""):
    os.write(3, ("\n".join((token, status, detail[:500])) + "\0").encode("utf-8", "replace"))
def _run(name, source, namespace, of_exception):
    try:
        exec(compile(source, name, "exec"), namespace)
    except MemoryError:
        _say("memory", name + ": MemoryError")
    except SystemExit as error:
        _say(of_exception, name + ": exit " + repr(error.code)[:100])
    except BaseException as error:
        try:
            text = type(error).__name__ + ": " + str(error)
        except BaseException:
            text = "exception"
        _say(of_exception, name + ": " + text)
    else:
        return True
    return False
_namespace = {"__name__": "candidate"}
if _run("program", _read(), _namespace, "error") and _run("tests", _read(), _namespace, "failed"):
    _say("passed", "", _read())
try:
    sys.stdout.flush()
finally:
    os._exit(0)
"""

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> None:
    """Call a function of libc; where it does not give 0, raise an OSError that names it."""
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Mount, or raise an OSError."""
    call("mount", source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())


def write(path: str, text: str) -> None:
    """Write a file."""
    with open(path, "w") as file:
        file.write(text)


def walls(spec: dict[str, Any]) -> None:
    """Build namespaces of users (unless root), network, processes, mounts, IPC; a root of read-only files and a small /tmp."""
    uid, gid = os.getuid(), os.getgid()
    flags = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET
    if uid != 0:
        flags |= NEWUSER
    call("unshare", ctypes.c_int(flags))
    if uid != 0:
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"{uid} {uid} 1")
        write("/proc/self/gid_map", f"{gid} {gid} 1")
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    root = spec["folder"]
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, f"size={spec['disk_bytes']},mode=755,nr_inodes=4096")
    for path in spec["visible"]:
        inside = root + path
        if os.path.islink(path):
            os.makedirs(os.path.dirname(inside), exist_ok=True)
            os.symlink(os.readlink(path), inside)
            continue
        if not os.path.exists(path) or os.path.exists(inside):
            continue
        if os.path.isdir(path):
            os.makedirs(inside)
        else:
            os.makedirs(os.path.dirname(inside), exist_ok=True)
            write(inside, "")
        mount(path, inside, "", MS_BIND | MS_REC)
        if not path.startswith("/dev/"):
            kept = os.statvfs(inside).f_flag & KEPT_FLAGS
            mount("none", inside, "", MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | kept)
    os.makedirs(root + "/tmp", exist_ok=True)
    os.chmod(root + "/tmp", 0o1777)
    os.chroot(root)
    os.chdir("/tmp")
    mount("none", "/", "", MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NODEV)


def limits(spec: dict[str, Any]) -> None:
    """Set the limits, none above what this process has."""
    for name, value in spec["rlimits"].items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        soft, most = value
        if hard != resource.RLIM_INFINITY:
            soft, most = min(soft, hard), min(most, hard)
        resource.setrlimit(kind, (soft, most))


def drop(spec: dict[str, Any]) -> None:
    """Become a user of its own where that is possible: root is exempt from the limit on processes."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(spec["nobody"], spec["nobody"], spec["nobody"])
        os.setresuid(spec["nobody"], spec["nobody"], spec["nobody"])


def droppable(spec: dict[str, Any]) -> bool:
    """Tell whether the interpreter starts for the user that root becomes: not where it lies in a closed folder."""
    pid = os.fork()
    if pid == 0:
        try:
            drop(spec)
            os.execve(spec["python"], [spec["python"], "-I", "-S", "-B", "-c", ""], {})
        except OSError:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def tasks() -> int:
    """Count processes and threads of this user, as the kernel does for the limit."""
    count = 0
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == os.getuid():
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue
    return count


def candidate(spec: dict[str, Any], stdin: int) -> None:
    """Become the candidate. Never returns."""
    os.dup2(stdin, 0)
    output = spec["output"]
    os.dup2(output, 1)
    os.dup2(output, 2)
    if spec["report_write"] != 3:
        os.dup2(spec["report_write"], 3)
    os.set_inheritable(3, True)
    os.closerange(4, 256)
    limits(spec)
    drop(spec)
    libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    # Another user than root has no capabilities after exec.
    os.execve(spec["python"], [spec["python"], "-I", "-S", "-B", "-c", RUNNER], {"LANG": "C.UTF-8"})


def first(spec: dict[str, Any]) -> None:
    """Start the candidate, feed it, wait for it. Never returns; with it, as process 1, all that the candidate started ends."""
    libc.prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        candidate(spec, reading)
    os.close(reading)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        for text in (spec["program"], spec["tests"], spec["token"]):
            data = text.encode("utf-8", "replace")
            data = b"%d\n" % len(data) + data
            while data:
                data = data[os.write(writing, data) :]
    except BrokenPipeError:
        pass
    while True:
        ended, status = os.wait()
        if ended == pid:
            break
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def below(pid: int) -> list[int]:
    """List the processes that descend from `pid`, which is a subreaper: those that left their parents too."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            parents.setdefault(parent, []).append(int(name))
    out, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        out += children
        todo += children
    return out


def end(root: int, patience: float) -> None:
    """Stop all descendants, so that none can fork any more, then kill them, until none is left."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        descendants = below(root)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in descendants:
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                return
        time.sleep(0.002)


def main() -> None:
    """Supervise one run, or try the walls for `probe`."""
    spec = json.loads(sys.stdin.buffer.read())
    libc.prctl(SUBREAPER, 1, 0, 0, 0)
    report = spec["report"]
    walled = False
    if spec["walls"]:
        # Tried in a process of its own: what was half built there does not matter.
        trial = os.fork()
        if trial == 0:
            try:
                walls(spec)
                pid = os.fork()
                if pid == 0:
                    os._exit(0)
                os._exit(0 if os.waitpid(pid, 0)[1] == 0 else 98)
            except OSError as error:
                os.write(report, json.dumps({"why": str(error)}).encode() + b"\n")
                os._exit(97)
        walled = os.waitstatus_to_exitcode(os.waitpid(trial, 0)[1]) == 0
    if spec["probe"]:
        os.write(report, json.dumps({"walled": walled}).encode() + b"\n")
        return
    why = "no namespaces" if spec["required"] and not walled else ""
    if not walled and not why:
        if os.getuid() != 0:
            most = tasks() + spec["processes"]
            spec["rlimits"]["RLIMIT_NPROC"] = (most, most)
        elif droppable(spec):
            os.chown(spec["folder"], spec["nobody"], spec["nobody"])
        else:
            why = f"root may start any number of processes, and another user cannot start {spec['python']}"
    if why:
        os.write(report, json.dumps({"status": "refused", "why": why}).encode() + b"\n")
        return
    supervisor = os.getpid()
    began = time.monotonic()
    middle = os.fork()
    if middle == 0:
        libc.prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if walled:
            walls(spec)
            pid = os.fork()  # the first process of the new process namespace
            if pid == 0:
                first(spec)
            os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 255)
        os.chdir(spec["folder"])
        first(spec)
    status, code = "ended", None
    while True:
        pid, raw = os.waitpid(middle, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(raw)
            break
        if time.monotonic() - began > spec["seconds"]:
            status = "timeout"
            break
        if not walled and len(below(supervisor)) > spec["processes"] + 2:
            status = "processes"
            break
        time.sleep(0.005)
    seconds = time.monotonic() - began
    end(supervisor, 10.0)
    line = {"status": status, "code": code, "seconds": seconds, "walled": walled, "left": len(below(supervisor))}
    os.write(report, json.dumps(line).encode() + b"\n")


main()
