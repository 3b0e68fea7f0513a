"""Users' own files, `--import my_module.py` and `./my_space.py`, on the driver and elsewhere.

A trainer process may run on another machine, so a module travels to it as its text.
"""

import os
import re
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tl_core.errors import BadInput
from tl_core.machine.user_path import absolute


@dataclass(frozen=True)
class UserModule:
    """A Python file of the user's, with the text to run where the file is not at hand."""

    path: str
    text: str

    def load(self) -> ModuleType:
        """Run the text once per process; raises BadInput, with the line, where that fails."""
        path = Path(self.path)
        name = "user_" + re.sub(r"\W", "_", path.stem)
        known = sys.modules.get(name)
        if known is not None and getattr(known, "__source__", None) == self:
            return known
        if str(path.parent) not in sys.path:
            sys.path.append(str(path.parent))  # a user's module may import its neighbours
        module = ModuleType(name)
        module.__file__ = self.path
        module.__dict__["__source__"] = self
        sys.modules[name] = module  # a dataclass in the file looks its module up here
        try:
            exec(compile(self.text, self.path, "exec"), module.__dict__)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            raise BadInput(_what_and_where(error, path)) from None
        return module


def read_user_module(path: str | Path) -> UserModule:
    """The module in `path`; raises BadInput where that is no Python file."""
    file = absolute(path)
    if file.suffix != ".py" or not os.path.isfile(file):
        raise BadInput(f"{path} is no Python file; give the path of a .py file.")
    try:
        return UserModule(str(file), file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}.") from None


def _what_and_where(error: BaseException, path: Path) -> str:
    """`my_space.py:7: NameError: ...` in one line, at the deepest line inside the file."""
    if isinstance(error, SyntaxError):
        file = Path(error.filename or path).name
        return f"{file}:{error.lineno or 1}: {type(error).__name__}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == path]
    place = f"{path.name}:{lines[-1]}" if lines else path.name
    kind = "" if isinstance(error, BadInput) else f"{type(error).__name__}: "
    return f"{place}: {kind}{next(iter(str(error).splitlines()), '')}"


def load_modules(paths: Iterable[str] | None) -> tuple[UserModule, ...]:
    """Load the user's modules into this process; raises BadInput where one is none, or fails."""
    modules = tuple(map(read_user_module, paths or ()))
    for module in modules:
        module.load()
    return modules
