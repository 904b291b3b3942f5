"""Does over-sampling help? Many training sets, many seeds, paired intervals.

    python -m benchmarks.evidence.run --data FOLDER
    python -m benchmarks.evidence.report

The first command adds runs to `results/`. It skips those that are there, so it can be
stopped at any time. The second one writes the tables and plots of `docs/evidence.md`.
"""
