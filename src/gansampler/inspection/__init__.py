"""Plots of translations and of training histories (requires matplotlib)."""

from gansampler.inspection._plots import plot_history, plot_translations

__all__ = ["plot_history", "plot_translations"]
