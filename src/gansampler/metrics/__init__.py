"""Metrics for imbalanced binary classification, with clinical names.

They take arrays and use no other part of gansampler.
"""

from gansampler.metrics._clinical_report import ClinicalReport, clinical_report
from gansampler.metrics._intervals import roc_auc_interval
from gansampler.metrics._scores import sensitivity_score, specificity_score

__all__ = [
    "ClinicalReport",
    "clinical_report",
    "roc_auc_interval",
    "sensitivity_score",
    "specificity_score",
]
