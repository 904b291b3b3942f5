"""The base class of the loss modules."""

import inspect
from typing import Any, NoReturn

from torch import Tensor, nn


class LossModule(nn.Module):
    """A loss whose ``repr`` shows its settings and that refuses TorchScript."""

    def extra_repr(self) -> str:
        """Return the parameters of the constructor that are attributes."""
        names = inspect.signature(type(self)).parameters
        values = {name: getattr(self, name) for name in names if hasattr(self, name)}
        return ", ".join(
            f"{name}={value.tolist() if isinstance(value, Tensor) else repr(value)}"
            for name, value in values.items()
        )

    def __prepare_scriptable__(self) -> NoReturn:
        """Raise a clear error when ``torch.jit.script`` calls this."""
        raise TypeError(
            f"{type(self).__name__} does not support TorchScript, which torch has "
            "deprecated. Use torch.compile or torch.export, or script the network "
            "without its loss."
        )


def as_buffer(value: Any) -> Any:
    """Return a tensor as a buffer of a module, and anything else unchanged."""
    return nn.Buffer(value) if isinstance(value, Tensor) else value
