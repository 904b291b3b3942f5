"""Figures for imbalanced binary problems, named as clinicians name them.

Layer: takes arrays; knows no other part of gansampler.
"""

from gansampler.metrics._intervals import roc_auc_interval
from gansampler.metrics._report import clinical_report
from gansampler.metrics._result import ImbalancedReport
from gansampler.metrics._scores import sensitivity_score, specificity_score

__all__ = [
    "ImbalancedReport",
    "clinical_report",
    "roc_auc_interval",
    "sensitivity_score",
    "specificity_score",
]
