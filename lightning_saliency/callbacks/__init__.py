"""Lightning callbacks that watch explanations and gate checkpoints."""
