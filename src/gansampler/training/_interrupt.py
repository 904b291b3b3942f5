"""Ctrl-C asks a run to end after its step; a second one ends it at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

__all__ = ["Interrupt"]


class Interrupt:
    """Whether the user has asked for the end."""

    def __init__(self) -> None:
        self.asked = False

    @contextlib.contextmanager
    def listen(self) -> Iterator[None]:
        """Listen for Ctrl-C, where this thread may and nobody else does."""
        if (
            threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        ):
            yield
            return
        signal.signal(signal.SIGINT, self._on_signal)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _on_signal(self, number: int, frame: object) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
