"""A hung process says where it hangs and ends; one that gives signs of life is left alone."""

import signal
import subprocess
import sys
import time

from train.config import CHECKOUT


def run(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=CHECKOUT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_a_hung_process_ends_with_every_threads_stack() -> None:
    program = (
        "import threading, time\nfrom train import watchdog\n"
        "def stuck_in_a_lock(): threading.Lock().acquire(); time.sleep(60)\n"
        "threading.Thread(target=stuck_in_a_lock, daemon=True).start()\n"
        "def waiting_for_a_peer(): time.sleep(60)\n"
        "watchdog.guard(0.5)\nwaiting_for_a_peer()\n"
    )
    begin = time.monotonic()
    process = run(program)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert time.monotonic() - begin < 20
    assert "waiting_for_a_peer" in errors
    assert "stuck_in_a_lock" in errors


def test_signs_of_life_and_rest_keep_it_away() -> None:
    program = (
        "import time\nfrom train import watchdog\n"
        "for _ in range(8): watchdog.guard(1.5); time.sleep(0.2)\n"
        "watchdog.rest(); time.sleep(1.6); print('alive')\n"
    )
    output, errors = run(program).communicate(timeout=30)
    assert (output, errors) == ("alive\n", "")


def test_sigusr2_shows_the_stacks_and_goes_on() -> None:
    program = (
        "import time\nfrom train.watchdog import show_stacks_on_request\nshow_stacks_on_request()\n"
        "def training(): print('ready', flush=True); time.sleep(1); print('done')\n"
        "training()\n"
    )
    process = run(program)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGUSR2)
    output, errors = process.communicate(timeout=30)
    assert output == "done\n"
    assert "in training" in errors
