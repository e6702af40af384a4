"""Gates on finished runs: the last evaluation of each, judged from its files."""

from lightning_saliency._verdicts._gates import WrongGateError, read_gate
from lightning_saliency._verdicts._judging import Outcome, judge
from lightning_saliency._verdicts._reading import NoRunsError, read_runs

__all__ = ["NoRunsError", "Outcome", "WrongGateError", "judge", "read_gate", "read_runs"]
