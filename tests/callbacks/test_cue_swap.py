"""Cues are swapped in training only, the alarm decides when, and nothing else changes."""
