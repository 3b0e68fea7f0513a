"""Users' own files: `--import my_module.py` and `./my_space.py`, on the driver and in workers.

A worker may run on another machine, or in another directory, so a module travels as its source.
"""

import importlib.util
import re
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tl_core.errors import BadInput


@dataclass(frozen=True)
class UserModule:
    """A Python file of the user's, with the source to run where the file is not at hand."""

    path: str
    source: str

    @property
    def module_name(self) -> str:
        """Name under which the module is registered, so that a second import finds it."""
        return "user_" + re.sub(r"\W", "_", Path(self.path).stem)

    def load(self) -> ModuleType:
        """Run the source once per process and return the module.

        Raises:
            BadInput: the file raises an error; the line is named.
        """
        known = sys.modules.get(self.module_name)
        if known is not None and getattr(known, "__file__", None) == self.path:
            return known
        folder = str(Path(self.path).parent)
        if folder not in sys.path:
            sys.path.append(folder)  # a user's module may import its neighbours
        spec = importlib.util.spec_from_loader(self.module_name, loader=None, origin=self.path)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        module.__file__ = self.path
        sys.modules[self.module_name] = module
        try:
            exec(compile(self.source, self.path, "exec"), module.__dict__)
        except BaseException as error:
            del sys.modules[self.module_name]
            if not isinstance(error, Exception):
                raise
            raise BadInput(f"{self.path}{_line(error, self.path)}: {_reason(error)}") from error
        return module


def read_user_module(path: str) -> UserModule:
    """The module in `path`.

    Raises:
        BadInput: there is no such Python file.
    """
    file = Path(path).expanduser().resolve()
    if file.suffix != ".py" or not file.is_file():
        raise BadInput(f"{path} is no Python file; give the path of a .py file.")
    try:
        return UserModule(str(file), file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}.") from None


def _line(error: Exception, path: str) -> str:
    if isinstance(error, SyntaxError):
        return f":{error.lineno}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
    return f":{lines[-1]}" if lines else ""


def _reason(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else ""
    return text if isinstance(error, BadInput) else f"{type(error).__name__}: {text}"
