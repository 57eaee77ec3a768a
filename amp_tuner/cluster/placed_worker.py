"""What Ray runs on a device: an actor that keeps one worker process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from typing import Any

from amp_tuner.cluster.shipping import Shipment, unpacked
from amp_tuner.errors import INTERRUPTED

#: A worker that dies is started again so often, where there is room for it.
RESTARTS = 20
#: A worker that is told to stop gives its trial back; after this it is killed.
STOP_S = 20.0
_WORDS_BYTES = 4096


@dataclass(frozen=True)
class Exit:
    """How a worker ended.

    Attributes:
        status: as of ``amp-tune worker``; negative: the signal that ended it.
        words: the last that it said.
        host: where it ran.
    """

    status: int
    words: str
    host: str


class PlacedWorker:
    """An actor; its methods run beside each other, so that a worker can be told to stop."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    async def device(self) -> list[str]:
        """The GPUs that this actor has to itself, as CUDA numbers them."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        return [one for one in visible.split(",") if one]

    async def work(
        self, number: int, told: dict[str, Any] | None, shipment: Shipment | None
    ) -> Exit:
        """Runs a worker to its end; once more where it is killed, or gave up for a while.

        Args:
            number: the worker's; it stays the same when it is started again.
            told: ``config`` and ``study_file``, where its files are at the same place here.
            shipment: the study's files, where they are not.
        """
        if shipment is None:
            assert told is not None
            return await self._run({**told, "number": number})
        with unpacked(shipment) as here:
            return await self._run({**here, "number": number})

    async def _run(self, told: dict[str, Any]) -> Exit:
        ended = await self._once(told)
        for _ in range(RESTARTS):
            if self._stopping or 0 <= ended.status != INTERRUPTED:
                break
            ended = await self._once(told)
        return ended

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "amp_tuner.cli.placed", str(os.getpid())]

    async def _once(self, told: dict[str, Any]) -> Exit:
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            # A terminal's Ctrl-C is for whoever placed it.
            start_new_session=True,
        )
        _, said = await process.communicate(json.dumps(told).encode())
        assert process.returncode is not None
        words = said[-_WORDS_BYTES:].decode(errors="replace").strip()
        return Exit(process.returncode, words, os.uname().nodename)

    async def stop(self) -> None:
        """Ends the worker; what it was measuring is given back."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_S)
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
