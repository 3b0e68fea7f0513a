"""Damage bytes at random: cuts, flipped bits, other numbers, parts that move."""

from random import Random

NUMBERS = (0, 1, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**60, 2**64 - 1)


def mutated(raw: bytes, rng: Random) -> bytes:
    """The bytes after one to four changes; they may become empty."""
    for _ in range(rng.randint(1, 4)):
        raw = rng.choice(CHANGES)(raw, rng) if raw else raw
    return raw


def check_refusal(error: Exception) -> None:
    """Raise where an error's message is not one line, or could write to a terminal."""
    if not str(error) or not str(error).isprintable():
        raise AssertionError(f"not one line: {error!r}") from error


def _cut(raw: bytes, rng: Random) -> bytes:
    return raw[: rng.randrange(len(raw))]


def _without_start(raw: bytes, rng: Random) -> bytes:
    return raw[rng.randrange(len(raw)) :]


def _flip(raw: bytes, rng: Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.randint(1, 16)):
        changed[_place(raw, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _number(raw: bytes, rng: Random) -> bytes:
    size, start = rng.choice((1, 2, 4, 8)), _place(raw, rng)
    value = (rng.choice(NUMBERS) % 256**size).to_bytes(size, rng.choice(("little", "big")))
    return raw[:start] + value + raw[start + size :]


def _noise(raw: bytes, rng: Random) -> bytes:
    start = _place(raw, rng)
    noise = bytes(rng.randrange(256) for _ in range(rng.randint(1, 32)))
    return raw[:start] + noise + raw[start + rng.choice((0, len(noise))) :]


def _repeat(raw: bytes, rng: Random) -> bytes:
    start, size = _place(raw, rng), rng.randint(1, 64)
    return raw[:start] + raw[start : start + size] * rng.randint(2, 9) + raw[start + size :]


def _zeros(raw: bytes, rng: Random) -> bytes:
    start, size = _place(raw, rng), rng.randint(1, 256)
    return raw[:start] + bytes(len(raw[start : start + size])) + raw[start + size :]


def _place(raw: bytes, rng: Random) -> int:
    """A position: in a third of the cases near the start, where headers are, or near the end."""
    most = len(raw)
    where = rng.randrange(3)
    if where == 0:
        return rng.randrange(min(64, most))
    return most - 1 - rng.randrange(min(64, most)) if where == 1 else rng.randrange(most)


CHANGES = (_cut, _without_start, _flip, _flip, _number, _number, _noise, _repeat, _zeros)
