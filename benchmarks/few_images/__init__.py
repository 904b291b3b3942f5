"""Translators from few images: ingredients on and off, at equal time."""
