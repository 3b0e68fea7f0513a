"""How many batches this process has taken, by which a hang is told from slow work."""

_taken = 0


def batch_taken() -> None:
    """Count one more batch of training, of evaluation or of frozen stages."""
    global _taken
    _taken += 1


def batches_taken() -> int:
    """Batches since the process started."""
    return _taken
