"""Hostile repositories: what each one does when its tests are run.

Each script gets what it attacks from `PLACES` (a JSON file in the repository): a secret
file and a folder outside, ports and a socket of listeners, the ids of a victim process
and of those above. It prints ``reached: …`` for whatever it gets hold of.
"""

from __future__ import annotations

HEAD = """\
import ctypes, json, os, pathlib, signal, socket, subprocess, sys, time
places = json.loads(pathlib.Path("places.json").read_text())
def attempt(action, *arguments):
    try:
        found = action(*arguments)
    except Exception as error:
        print("stopped:", type(error).__name__)
    else:
        print("reached:", found)
"""

# What is attacked is outside, and unchanged afterwards; the command may well end by itself.
REACHING_OUT = {
    "tcp_connection": """
def send():
    socket.create_connection(("127.0.0.1", places["tcp"]), 2).sendall(b"stolen")
attempt(send)
""",
    "udp_datagram": """
# In a network of its own it may send, and nobody hears it.
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"stolen", ("127.0.0.1", places["udp"]))
except OSError as error:
    print("stopped:", type(error).__name__)
""",
    "dns_query": """
attempt(lambda: socket.getaddrinfo("example.org", 443))
""",
    "unix_socket_outside": """
def send():
    client = socket.socket(socket.AF_UNIX)
    client.connect(places["unix"])
    client.sendall(b"stolen")
attempt(send)
""",
    "abstract_unix_socket": """
def send():
    client = socket.socket(socket.AF_UNIX)
    client.connect("\\0" + places["abstract"])
    client.sendall(b"stolen")
attempt(send)
""",
    "virtual_machine_socket": """
attempt(lambda: socket.socket(socket.AF_VSOCK))
""",
    "ssh_key_of_the_home": """
attempt(lambda: pathlib.Path(places["secret"]).read_text())
attempt(lambda: os.listdir(os.path.dirname(places["secret"])))
""",
    "password_hashes": """
attempt(lambda: pathlib.Path("/etc/shadow").read_text()[:0])
""",
    "secrets_in_the_environment": """
attempt(lambda: os.environ["A_SECRET"])
for pid in places["above"]:
    attempt(lambda: pathlib.Path(f"/proc/{pid}/environ").read_bytes())
""",
    "memory_of_another_process": """
def overwrite():
    return os.open(f"/proc/{places['victim']}/mem", os.O_RDWR)
attempt(overwrite)
""",
    "tracing_another_process": """
libc = ctypes.CDLL(None, use_errno=True)
def trace(pid):
    if libc.ptrace(16, pid, 0, 0) != 0:  # PTRACE_ATTACH
        raise OSError(ctypes.get_errno(), "ptrace")
attempt(trace, places["victim"])
attempt(trace, os.getppid())
""",
    "killing_another_process": """
attempt(os.kill, places["victim"], signal.SIGKILL)
""",
    "killing_those_above": """
for pid in [*places["above"], os.getppid()]:
    if pid > 1:
        try:
            os.kill(pid, signal.SIGKILL)
        except Exception as error:
            print("stopped:", type(error).__name__)
try:
    os.killpg(os.getpgid(os.getppid()), signal.SIGKILL)
except Exception as error:
    print("stopped:", type(error).__name__)
""",
    "descriptors_left_open": """
for number in os.listdir("/proc/self/fd"):
    if int(number) > 2:
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if not target.startswith("/proc"):
            print("reached:", target)
""",
    "writing_outside": """
attempt(lambda: pathlib.Path(places["outside"], "planted").write_text("x"))
attempt(lambda: pathlib.Path(places["outside"], "run.json").write_text("forged"))
attempt(lambda: os.rename(places["outside"] + "/run.json", "mine"))
attempt(lambda: os.link(places["outside"] + "/run.json", "linked"))
""",
    "writing_through_a_link": """
os.symlink(places["outside"], "innocent")
attempt(lambda: pathlib.Path("innocent/planted").write_text("x"))
""",
    "changing_rights_outside": """
attempt(lambda: os.chmod(places["outside"] + "/run.json", 0o777))
attempt(lambda: os.utime(places["outside"] + "/run.json", (1, 1)))
attempt(lambda: os.chown(places["outside"] + "/run.json", 12345, 12345))
""",
    "mounting_and_namespaces": """
libc = ctypes.CDLL(None, use_errno=True)
def unshare():
    if libc.unshare(0x10000000 | 0x00020000) != 0:  # CLONE_NEWUSER | CLONE_NEWNS
        raise OSError(ctypes.get_errno(), "unshare")
def mount():
    if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")
attempt(unshare)
attempt(mount)
""",
    "git_data_of_the_checkout": """
attempt(lambda: pathlib.Path(places["git"], "config").write_text("[core]\\n\\tfsmonitor = ./x\\n"))
""",
}

# The command is ended by the sandbox, or has its attempt refused by it.
EXHAUSTING = {
    "fork_bomb": """
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
    "filling_the_disk": """
for number in range(10**6):
    pathlib.Path(f"junk{number}").write_bytes(bytes(1_000_000))
""",
    "one_endless_file": """
with open("junk", "wb") as file:
    while True:
        file.write(bytes(1_000_000))
""",
    "filling_memory": """
hoard = []
while True:
    hoard.append(bytearray(10**7))
""",
    "filling_memory_of_many_processes": """
for _ in range(12):
    if os.fork() == 0:
        hoard = bytearray(os.urandom(1)) * (60 * 10**6)
        time.sleep(60)
time.sleep(60)
""",
    "endless_output": """
while True:
    print("x" * 100_000)
""",
    "deaf_to_signals": """
for number in range(1, 32):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        subprocess.Popen(["sleep", places["mark"]], start_new_session=True)
while True:
    pass
""",
}

OF_PROCESSES = ("fork_bomb", "filling_memory_of_many_processes", "deaf_to_signals")

# The daemon of a suite that ends well.
DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", places["mark"]])
    os._exit(0)
os.wait()
"""


# What changes what pytest reports of `tests/test_truth.py`, in which one test fails. Each
# is a set of files; none of them may make the run pass.
OUTCOME = """
import pytest
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    report.outcome, report.longrepr = "passed", None
"""
NAMING_ALL = """
import os, sys
def pytest_runtestloop(session):
    target = session.config.option.xmlpath
    with open(target, "w") as file:
        file.write("<testsuites><testsuite>")
        for item in session.items:
            name = item.name
            file.write(f'<testcase classname="tests.test_truth" file="tests/test_truth.py" name="{name}"/>')
        file.write("</testsuite></testsuites>")
    os._exit(0)
"""
ONE_FAKE = """
import os, sys
target = next(part for part in sys.argv if part.startswith("--junitxml=")).partition("=")[2]
with open(target, "w") as file:
    file.write('<testsuites><testsuite><testcase file="tests/test_truth.py" name="test_truth"/>')
    file.write("</testsuite></testsuites>")
print("===== 2 passed in 0.01s =====")
os._exit(0)
"""
TAMPERING: dict[str, dict[str, str]] = {
    "outcomes_turned_around_by_a_hook": {"conftest.py": OUTCOME},
    "tests_not_called": {
        "conftest.py": "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_pyfunc_call(pyfuncitem): return True\n"
    },
    "reports_changed_on_their_way": {
        "conftest.py": "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_runtest_logreport(report): report.outcome = 'passed'\n"
    },
    "runner_patched_by_the_code_under_test": {
        "app.py": "import _pytest.runner as r\nreal = r.CallInfo.from_call\n"
        "r.CallInfo.from_call = classmethod(lambda c, func, when, reraise=None: "
        "real(lambda: None, when, reraise))\n",
    },
    "plugin_by_the_configuration": {
        "pytest.ini": "[pytest]\naddopts = -p turned\n",
        "turned.py": OUTCOME,
    },
    "no_test_is_run": {
        "conftest.py": "def pytest_runtestloop(session): return True\n",
    },
    "all_tests_deselected": {
        "conftest.py": "def pytest_collection_modifyitems(items): items.clear()\n"
        "def pytest_sessionfinish(session): session.exitstatus = 0\n",
    },
    "pytest_replaced": {"pytest.py": ONE_FAKE, "_pytest/__init__.py": ONE_FAKE},
    "modules_of_the_interpreter_replaced": dict.fromkeys(
        ("sitecustomize.py", "usercustomize.py", "json.py", "coverage.py", "typing.py"), ONE_FAKE
    ),
    "modules_replaced_in_the_source_folder": {
        "src/app.py": "",
        "src/sitecustomize.py": ONE_FAKE,
        "src/json.py": ONE_FAKE,
        "src/pytest.py": ONE_FAKE,
        "src/coverage.py": ONE_FAKE,
    },
    "report_of_its_own": {"conftest.py": ONE_FAKE},
    "report_naming_all_tests": {"conftest.py": NAMING_ALL},
    "ended_early_by_conftest": {"conftest.py": "import os\nos._exit(0)\n"},
    "ended_early_by_the_code": {"app.py": "import os\nprint('2 passed in 0.01s')\nos._exit(0)\n"},
    "report_forged_at_the_end": {
        "app.py": "import atexit, sys\n"
        "target = next(p for p in sys.argv if p.startswith('--junitxml=')).partition('=')[2]\n"
        "def forge():\n"
        "    open(target, 'w').write('<testsuites><testsuite><testcase name=\"test_truth\"/>"
        "</testsuite></testsuites>')\n"
        "    import os; os._exit(0)\n"
        "atexit.register(forge)\n",
    },
    "pipe_in_place_of_the_reports": {
        "conftest.py": "import os\ndef pytest_unconfigure(config):\n"
        "    target = config.option.xmlpath\n    os.unlink(target)\n    os.mkfifo(target)\n"
        "    os.mkfifo(os.path.join(os.path.dirname(target), 'coverage.json'))\n    os._exit(0)\n",
    },
    "endless_recursion": {
        "app.py": "import sys\nclass Deep:\n    def __repr__(self): return repr(self)\n"
        "sys.setrecursionlimit(10**9)\nrepr(Deep())\n"
    },
}
