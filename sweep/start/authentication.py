"""A cluster that is joined must demand a token: whoever reaches an open one can run code on it."""

import ipaddress
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from sweep.ray_internals import Answer, answer_of
from tl_core.errors import BadInput

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
"""Variables that Ray reads: whether a token is used, the token, or the file that holds it."""
PAGE = "docs/clusters.md"


def token_at_hand(environment: Mapping[str, str]) -> bool:
    """Whether Ray would find a token, if its mode were to use one."""
    named = any(environment.get(name) for name in (TOKEN, TOKEN_PATH))
    return named or (Path.home() / ".ray" / "auth_token").is_file()


def is_loopback(address: str) -> bool:
    """Whether HOST:PORT is this machine's own, under a name that no other machine has for it."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_token(address: str) -> None:
    """Raise BadInput where the cluster at HOST:PORT refuses what this process has as a token.

    Ray itself says so after 20 seconds, without the reason.
    """
    if answer_of(address, os.environ) is not Answer.CLOSED:
        return
    has = os.environ.get(MODE) == "token" and token_at_hand(os.environ)
    lack = "this process has another" if has else "this process has none"
    raise BadInput(
        f"--address {address}: the Ray cluster demands a token, and {lack}. Set {MODE}=token, and"
        f" {TOKEN_PATH} to the file that holds the cluster's token ({PAGE})."
    )


def check_closed(address: str, found: str, *, insecure: bool, note: Callable[[str], None]) -> None:
    """Raise BadInput where the cluster that was joined does not demand a token.

    Args:
        address: as the user gave it; a loopback address is not checked.
        found: HOST:PORT of what was joined.
        insecure: only note it.
        note: takes a line for the user.
    """
    if is_loopback(address if ":" in address else found):
        return
    answer = answer_of(found, _without_token(os.environ))
    if answer is Answer.CLOSED:
        return
    fault = {
        Answer.OPEN: "answers without a token: whoever reaches it can run code on it",
        Answer.UNKNOWN: "does not say whether it demands a token",
    }[answer]
    if insecure:
        note(f"--insecure: the Ray cluster at {found} {fault}.")
        return
    cluster = f"--address {address}: the Ray cluster at {found}"
    raise BadInput(f"{cluster} {fault}. {_way_out()}, or use --insecure.")


def _without_token(environment: Mapping[str, str]) -> dict[str, str]:
    kept = {name: v for name, v in environment.items() if name not in (TOKEN, TOKEN_PATH)}
    return {**kept, MODE: "disabled"}


def _way_out() -> str:
    import ray

    if hasattr(ray.exceptions, "AuthenticationError"):
        return f"Start it with {MODE}=token and a token ({PAGE})"
    return f"Ray {ray.__version__} has no tokens: install Ray 2.52 or newer on all its machines"
