from __future__ import annotations

import subprocess
import sys
import time

import psutil

from amp_tuner.output.lease import holder, new_lease


def test_ones_own_lease_holds_nobody_up() -> None:
    assert holder(new_lease()) is None


def test_a_living_process_holds_its_lease_and_a_dead_one_does_not() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = psutil.Process(process.pid).create_time()
    lease = {**new_lease(), "pid": process.pid, "started": started}
    assert holder(lease) == f"host {lease['host']}, pid {process.pid}"
    process.kill()
    process.wait()
    assert holder(lease) is None


def test_a_reused_process_id_does_not_hold_an_old_lease() -> None:
    assert holder({**new_lease(), "pid": 1, "started": 1.0}) is None


def test_another_hosts_lease_holds_until_it_expires() -> None:
    lease = {**new_lease(), "host": "elsewhere"}
    assert holder(lease) == f"host elsewhere, pid {lease['pid']}"
    assert holder({**lease, "expires": time.time() - 1}) is None


def test_a_trial_without_a_lease_is_held_by_nobody() -> None:
    assert holder({}) is None
