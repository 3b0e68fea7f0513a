"""Which value of an image of more than 8 bits is white.

A 16-bit, 32-bit or float file does not say which value was meant by white: 12-bit sensors and
8-bit pictures are stored in 16 bits, shares of 1 in floats. So it is decided once per data set, on
the images of its training split, and kept with the model.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

STANDARD = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)
"""White of floats in [0, 1], and of 8, 10, 12, 14 and 16 bits."""
FEWEST_LEVELS = 32
"""A float image's largest value, scaled by a standard level, is at least this of 255."""


class Kind(StrEnum):
    """What an image's values are; each kind of a data set has a white level of its own."""

    BYTES = "bytes"
    """At most 8 bits: 255 is white."""
    INTEGERS = "integers"
    """More than 8 bits."""
    FLOATS = "floats"


@dataclass(frozen=True)
class WhiteLevels:
    """The value that becomes 255, for each kind of images of more than 8 bits.

    None where no training image is of that kind: each image's own largest value then decides.
    """

    integers: float | None = None
    floats: float | None = None

    def of(self, kind: Kind, largest: float) -> float:
        """The white level of an image of INTEGERS or FLOATS by its largest value."""
        white = self.integers if kind == Kind.INTEGERS else self.floats
        return white_level(kind, largest) if white is None else white

    def remark(self, kind: Kind, largest: float) -> str | None:
        """Where the training images do not tell an image's white level, in one line how so."""
        white = self.integers if kind == Kind.INTEGERS else self.floats
        if white is None:
            called = "a float image" if kind == Kind.FLOATS else "an image of more than 8 bits"
            by = f"{white_level(kind, largest):,g} after its own largest value {largest:,g}"
            return f"{called}, as no training image is: scaled by {by}"
        if largest <= white:
            return None
        return f"values up to {largest:,g} are cut off at {white:,g}, the training images' white"


OWN_LEVELS = WhiteLevels()
"""Every image by its own largest value."""
BEFORE_LEVELS = WhiteLevels(integers=65535.0, floats=255.0)
"""How images were scaled before weights files said how."""


def white_level(kind: Kind, largest: float) -> float:
    """The white level of INTEGERS or FLOATS whose largest value is given; above 0.

    It is the smallest of STANDARD that covers the value, from 255 for integers. Where none does,
    and where floats would fill fewer than FEWEST_LEVELS of 256 grey levels, it is the value
    itself, rounded up to two digits. Source: own choice.
    """
    standard = STANDARD[1:] if kind == Kind.INTEGERS else STANDARD
    white = next((level for level in standard if level >= largest), None)
    if white is None or (kind == Kind.FLOATS and 0 < largest < white * FEWEST_LEVELS / 255):
        return _two_digits(largest)
    return white


def _two_digits(value: float) -> float:
    """A value above 0, rounded up to two significant digits."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    rounded = math.ceil(value / unit * (1 - 1e-9)) * unit
    return float(f"{rounded:.6g}") if rounded > 0 else value
