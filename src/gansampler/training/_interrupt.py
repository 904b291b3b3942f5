"""Ctrl-C during training: the first one is a request, the second one ends at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


class Interrupt:
    """The first Ctrl-C ends the run after its step, the second one at once."""

    def __init__(self) -> None:
        self.requested = False

    @contextlib.contextmanager
    def listen(self) -> Iterator[None]:
        """Handle Ctrl-C, in the main thread and unless the caller handles it."""
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
        self.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
