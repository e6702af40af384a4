"""Evaluations of a network's explanations, without Lightning."""
