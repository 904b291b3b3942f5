"""The result of a comparison of over-samplers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from gansampler._validation import nearest_name
from gansampler.model_selection._intervals import Difference, corrected_difference
from gansampler.model_selection._tables import (
    Row,
    format_difference,
    list_to_html,
    table_to_html,
    table_to_text,
    wrap,
)

NONE = "none"
RANDOM = "random over-sampling"
BASELINES = (NONE, RANDOM)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SamplerComparison:
    """Scores of a classifier after several over-samplers, on the same splits.

    It is the result of :func:`~gansampler.compare_samplers`. ``print(comparison)``
    shows tables and verdicts; a notebook shows them in HTML.

    Attributes
    ----------
    scores : dict of str -> dict of str -> ndarray of shape (n_splits,)
        For each score and each arm, the score in each split. Higher is better.
    n_samples : int
        Number of samples of the data.
    n_train, n_test : ndarray of int of shape (n_splits,)
        Numbers of samples in the training and test parts, before resampling.
    n_added : dict of str -> ndarray of int of shape (n_splits,)
        For each arm, by how many samples the training parts grew.
    resample_seconds : dict of str -> ndarray of shape (n_splits,)
        For each arm, the time to resample, including the training of translators.
    fit_seconds : dict of str -> ndarray of shape (n_splits,)
        For each arm, the time to fit the classifier.
    shared_translators : dict of str -> str
        Arms that used the translators of another arm, and that other arm. Their
        `resample_seconds` do not include the training.

    See Also
    --------
    gansampler.compare_samplers : Compute the comparison.

    Notes
    -----
    .. versionadded:: 0.1

    Examples
    --------
    >>> import numpy as np
    >>> from gansampler.model_selection import SamplerComparison
    >>> arms = ["none", "random over-sampling", "SMOTE"]
    >>> scores = [[0.70, 0.74, 0.72], [0.71, 0.75, 0.74], [0.70, 0.77, 0.71]]
    >>> comparison = SamplerComparison(
    ...     scores={"roc_auc": dict(zip(arms, np.array(scores)))},
    ...     n_samples=300,
    ...     n_train=np.full(3, 200),
    ...     n_test=np.full(3, 100),
    ...     n_added=dict.fromkeys(arms, np.full(3, 120)),
    ...     resample_seconds=dict.fromkeys(arms, np.full(3, 0.5)),
    ...     fit_seconds=dict.fromkeys(arms, np.full(3, 1.0)),
    ... )
    >>> mean, low, high = comparison.difference("SMOTE", "none")
    >>> round(mean, 3), round(low, 3), round(high, 3)
    (0.007, -0.075, 0.088)
    """

    scores: dict[str, dict[str, np.ndarray]]
    n_samples: int
    n_train: np.ndarray
    n_test: np.ndarray
    n_added: dict[str, np.ndarray]
    resample_seconds: dict[str, np.ndarray]
    fit_seconds: dict[str, np.ndarray]
    shared_translators: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def arms(self) -> list[str]:
        """Names of the arms: the two baselines, then the samplers."""
        return list(self.n_added)

    @property
    def n_splits(self) -> int:
        """Number of splits."""
        return len(self.n_train)

    def difference(
        self, arm: str, baseline: str, scoring: str | None = None
    ) -> Difference:
        """Difference between the mean scores of two arms, with a 95% interval.

        Parameters
        ----------
        arm : str
            Name of an arm.
        baseline : str
            Name of the arm whose scores are subtracted.
        scoring : str, default=None
            Name of the score. None means the first one.

        Returns
        -------
        difference : Difference
            Named tuple of mean, low and high. See the notes of
            :func:`~gansampler.compare_samplers` about the interval.

        Raises
        ------
        ValueError
            If there is no arm or no score of that name.
        """
        scoring = next(iter(self.scores)) if scoring is None else scoring
        _check_name("scoring", scoring, list(self.scores))
        for parameter, name in {"arm": arm, "baseline": baseline}.items():
            _check_name(parameter, name, self.arms)
        scores = self.scores[scoring]
        return corrected_difference(
            scores[arm] - scores[baseline], self.n_train, self.n_test
        )

    @property
    def verdicts(self) -> list[str]:
        """One sentence for each score, each sampler and each of the two baselines.

        A sampler is better or worse only if the interval does not contain 0.
        """
        return [text for scoring in self.scores for text in self._verdicts(scoring)]

    def _verdicts(self, scoring: str) -> list[str]:
        return [
            self._verdict(arm, baseline, scoring)
            for arm in self.arms
            if arm not in BASELINES
            for baseline in BASELINES
        ]

    def _verdict(self, arm: str, baseline: str, scoring: str) -> str:
        difference = self.difference(arm, baseline, scoring)
        word, ending = "not better", ""
        if difference.low > 0:
            word = "better"
        elif difference.high < 0:
            word = "worse"
        else:
            ending = (
                f" No difference can be seen with {self.n_samples} samples and "
                f"{self.n_splits} splits."
            )
        other = "no over-sampling" if baseline == NONE else baseline
        return (
            f"{arm} is {word} than {other} on your data: {scoring} "
            f"{format_difference(difference)}.{ending}"
        )

    def to_frame(self) -> Any:
        """Return the results as a data frame of pandas.

        Returns
        -------
        frame : pandas.DataFrame
            One row for each score and each arm, with the columns `scoring`, `arm`,
            `mean` and `std` of the scores, `difference_to_none` and
            `difference_to_random`, each also with `_low` and `_high`,
            `resample_seconds` and `fit_seconds` per split, and `n_added` per split.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "`to_frame` requires pandas, which is not installed. "
                "Install it with: pip install 'gansampler[pandas]'"
            ) from error
        rows = []
        for scoring, by_arm in self.scores.items():
            for arm, values in by_arm.items():
                row: dict[str, Any] = {"scoring": scoring, "arm": arm}
                row |= {"mean": values.mean(), "std": values.std(ddof=1)}
                names = ("difference_to_none", "difference_to_random")
                for name, baseline in zip(names, BASELINES, strict=True):
                    found = self._against(arm, baseline, scoring)
                    row[name], row[f"{name}_low"], row[f"{name}_high"] = (
                        (np.nan,) * 3 if found is None else found
                    )
                row["resample_seconds"] = self.resample_seconds[arm].mean()
                row["fit_seconds"] = self.fit_seconds[arm].mean()
                row["n_added"] = self.n_added[arm].mean()
                rows.append(row)
        return pd.DataFrame(rows)

    def _against(self, arm: str, baseline: str, scoring: str) -> Difference | None:
        """Return the difference to a baseline; None where a table has no entry."""
        # Baselines are compared to the baselines before them.
        if arm in BASELINES[: BASELINES.index(baseline) + 1]:
            return None
        return self.difference(arm, baseline, scoring)

    def _rows(self, scoring: str) -> list[Row]:
        seconds = {
            arm: float(np.mean(self.resample_seconds[arm] + self.fit_seconds[arm]))
            for arm in self.arms
        }
        return [
            Row(
                arm,
                float(values.mean()),
                [self._against(arm, baseline, scoring) for baseline in BASELINES],
                seconds[arm],
            )
            for arm, values in self.scores[scoring].items()
        ]

    @property
    def _heading(self) -> str:
        return (
            f"Means of {self.n_splits} splits of {self.n_samples} samples, and "
            "differences with 95% intervals"
        )

    @property
    def _notes(self) -> list[str]:
        return [
            f"{arm} used the translators of {lender}: its seconds do not include their "
            "training."
            for arm, lender in self.shared_translators.items()
        ]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(arms={self.arms}, scoring={list(self.scores)}, "
            f"n_splits={self.n_splits})"
        )

    def __str__(self) -> str:
        blocks = [self._heading]
        for scoring in self.scores:
            blocks.append(table_to_text(scoring, BASELINES, self._rows(scoring)))
            blocks.append("\n".join(map(wrap, self._verdicts(scoring))))
        if self._notes:
            blocks.append("\n".join(map(wrap, self._notes)))
        return "\n\n".join(blocks)

    def _repr_html_(self) -> str:
        parts = [f"<p>{self._heading}</p>"]
        for scoring in self.scores:
            parts.append(table_to_html(scoring, BASELINES, self._rows(scoring)))
            parts.append(list_to_html(self._verdicts(scoring)))
        if self._notes:
            parts.append(list_to_html(self._notes))
        return "<div>\n" + "\n".join(parts) + "\n</div>"


def _check_name(parameter: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise ValueError(
            f"`{parameter}` must be one of {known}. Got {name!r}."
            f"{nearest_name(name, known)}"
        )
