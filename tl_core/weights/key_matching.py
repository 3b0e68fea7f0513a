"""Find a model's tensors in a weights file, under the keys and prefixes of other writers.

A checkpoint may hold its weights under a key ("state_dict", "model", "ema"), and their names have
a prefix where the network was part of another module ("model.", "module.", "encoder_q."). The key
and prefix that fit the model's own names best are chosen.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tl_core.errors import BadInput

TRANSPARENT = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Parts that wrappers such as torch.compile insert anywhere in a name."""
AVERAGED = ("ema", "swa", "averaged")
"""Words, in any case, in keys and prefixes of running averages. They win where several sets of
tensors fit equally well, as in timm's `load_checkpoint`."""
PREFERRED = ("teacher", "encoder_q", "base_encoder", "online_encoder", "online_network")
"""Keys and prefixes that win likewise: of the networks that DINO, MoCo and BYOL evaluate."""
MOST_PREFIX_PARTS = 4
MOST_PREFIXES = 8
"""Prefixes that are tried of each set of tensors, the most frequent first."""


@dataclass(frozen=True)
class SourceTensors:
    """Tensors of a weights file, under the model's names."""

    tensors: dict[str, Tensor]
    wrapper: str
    """Keys of the file above the tensors, joined by dots; empty: none."""
    prefix: str
    """Prefix removed from their names, with its dot; empty: none."""
    fits: int
    """Number of the model's body tensors that they fill."""
    aside: tuple[str, ...] = ()
    """Other sets of tensors in the file that fill at least half as many."""

    @property
    def label(self) -> str:
        """Wrapper and prefix, for messages."""
        return ": ".join(filter(None, (self.wrapper, self.prefix))) or "its own names"


def choose_tensors(
    state_dicts: Mapping[str, dict[str, Tensor]],
    body: Mapping[str, Tensor],
    rename: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    weights: str,
) -> SourceTensors:
    """Choose the set of tensors, and the prefix of their names, that fit the model best.

    `state_dicts` is wrapper → name → tensor, `body` the model's parameters without its head.
    `rename` turns other writers' names, without the prefix, into the model's. If none fits, the
    result fills nothing.

    Raises:
        BadInput: two sets fit equally well, and neither is preferred.
    """
    options = []
    for wrapper, tensors in state_dicts.items():
        for prefix in _prefixes(tensors, body):
            named = rename(_without(prefix, tensors))
            number = sum(n in body and fits(t, body[n]) for n, t in named.items())
            option = SourceTensors(named, wrapper, prefix, number)
            options.append(option)
            if number == len(body) and len(state_dicts) == 1 and body.keys() <= tensors.keys():
                return option  # fits as it is
    most = max(option.fits for option in options)
    if most == 0:
        return max(options, key=lambda option: _likeness(option, state_dicts, body))
    best = _one_of([option for option in options if option.fits == most], weights)
    return replace(best, aside=_aside(best, options, state_dicts[best.wrapper], body))


def _aside(
    best: SourceTensors,
    options: list[SourceTensors],
    beside: Iterable[str],
    body: Mapping[str, Tensor],
) -> tuple[str, ...]:
    """Labels of other sets, under other keys or prefixes, that fill at least half as many."""
    others: dict[str, SourceTensors] = {}
    for option in _outermost(options):
        known = others.get(option.wrapper)
        if option.wrapper != best.wrapper and (known is None or known.fits < option.fits):
            others[option.wrapper] = option
    prefixes = [
        replace(best, prefix=prefix)
        for prefix, number in _before_own(beside, body).items()
        if prefix != best.prefix and 2 * number >= best.fits
    ]
    found = [option for option in others.values() if 2 * option.fits >= best.fits]
    return tuple(option.label for option in (*found, *prefixes))


def _prefixes(names: Collection[str], body: Mapping[str, Tensor]) -> list[str]:
    """Prefixes of the model's names, and those that at least half of all names share."""
    found = [prefix for prefix, _ in _before_own(names, body).most_common(MOST_PREFIXES)]
    shared: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")[:-1][:MOST_PREFIX_PARTS]
        shared.update(".".join(parts[: place + 1]) + "." for place in range(len(parts)))
    half = len(names) / 2
    found += [prefix for prefix, number in shared.items() if number >= half]
    return list(dict.fromkeys(("", *found)))


def _before_own(names: Iterable[str], body: Mapping[str, Tensor]) -> Counter[str]:
    """Prefix → number of the model's names that have it."""
    found: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        for place, part in enumerate(parts):
            if part not in TRANSPARENT and _plain(parts[place:]) in body:
                found["".join(f"{before}." for before in parts[:place])] += 1
    return found


def _plain(parts: Iterable[str]) -> str:
    return ".".join(part for part in parts if part not in TRANSPARENT)


def _without(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with the prefix removed from the names that have it; these win over others."""
    others_first = sorted(tensors, key=lambda name: name.startswith(prefix))
    return {_plain(name.removeprefix(prefix).split(".")): tensors[name] for name in others_first}


def fits(there: Tensor, here: Tensor) -> bool:
    """Whether a file's tensor can be copied into the model's."""
    return there.shape == here.shape and there.is_floating_point() == here.is_floating_point()


def _likeness(
    option: SourceTensors, state_dicts: Mapping[str, dict[str, Tensor]], body: Mapping[str, Tensor]
) -> tuple[int, bool, int]:
    """Ranks sets that fill nothing: by shared names, then by a long prefix of all names."""
    shared = sum(name in body for name in option.tensors)
    of_all = all(name.startswith(option.prefix) for name in state_dicts[option.wrapper])
    return shared, of_all, len(option.prefix)


def _outermost(options: list[SourceTensors]) -> list[SourceTensors]:
    """Those with the longest prefix, where the model's renaming removes a prefix too."""

    def is_outer(option: SourceTensors, other: SourceTensors) -> bool:
        alike = (other.wrapper, other.fits) == (option.wrapper, option.fits)
        return alike and option.prefix != other.prefix and other.prefix.startswith(option.prefix)

    return [one for one in options if not any(is_outer(one, other) for other in options)]


def _one_of(tied: list[SourceTensors], weights: str) -> SourceTensors:
    """The preferred one of sets that fit equally well."""
    tied = _outermost(tied)
    preferred = list(filter(_is_preferred, tied)) or tied
    first, *others = preferred
    if all(_equal(first.tensors, other.tensors) for other in others):
        return first
    labels = ", ".join(option.label for option in preferred)
    raise BadInput(
        f"weights={weights!r} holds several sets of tensors that fit alike ({labels}); save the"
        " one that is meant as a file of its own."
    )


def _is_preferred(option: SourceTensors) -> bool:
    parts = {*option.wrapper.split("."), *option.prefix.split(".")}
    words = {word.lower() for part in parts for word in part.split("_")}
    return not (parts.isdisjoint(PREFERRED) and words.isdisjoint(AVERAGED))


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(t, other[n]) for n, t in one.items())
