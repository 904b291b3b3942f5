"""A figure that a notebook shows. It needs matplotlib, so it is imported when used."""

from __future__ import annotations

from io import BytesIO

from matplotlib.figure import Figure

SCREEN_DPI = 90


class NotebookFigure(Figure):
    """A figure that a notebook shows if it is the value of a cell.

    It does not belong to pyplot. So it needs no ``%matplotlib inline``, the notebook
    does not show it a second time, and it need not be closed.
    """

    def _repr_png_(self) -> bytes:
        """Return the figure as the bytes of a PNG file."""
        buffer = BytesIO()
        self.savefig(buffer, format="png", dpi=SCREEN_DPI)
        return buffer.getvalue()
