"""Pictures of what a translator did and how its training went (needs matplotlib)."""

from gansampler.inspection._plots import plot_history, plot_translations

__all__ = ["plot_history", "plot_translations"]
