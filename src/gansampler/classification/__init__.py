"""Classifiers on pretrained networks, for existing and synthetic images."""

from gansampler.classification._network import ClassifierNetwork, build_classifier
from gansampler.classification._transfer import TransferClassifier

__all__ = ["ClassifierNetwork", "TransferClassifier", "build_classifier"]
