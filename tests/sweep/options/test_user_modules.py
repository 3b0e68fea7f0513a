import pickle
import subprocess
import sys

import pytest

from sweep.options.user_modules import UserModule, read_user_module
from tl_core.errors import BadInput


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)

    def write_file(text, name="mine.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    yield write_file
    for name in set(sys.modules) - known:
        if name.startswith(("user_", "neighbour")):
            del sys.modules[name]


def test_a_module_is_run_once_a_process(write):
    path = write("import builtins\nbuiltins.runs = getattr(builtins, 'runs', 0) + 1\nRUN = runs\n")
    first, again = read_user_module(path).load(), read_user_module(str(path)).load()
    assert first is again
    assert again.RUN == first.RUN
    assert first.__file__ == str(path)


def test_a_changed_file_is_run_again(write):
    assert read_user_module(write("VALUE = 1")).load().VALUE == 1
    assert read_user_module(write("VALUE = 2")).load().VALUE == 2


def test_two_files_of_one_name_are_two_modules(write):
    first, second = write("VALUE = 1", "a/mine.py"), write("VALUE = 2", "b/mine.py")
    assert read_user_module(first).load().VALUE == 1
    assert read_user_module(second).load().VALUE == 2
    assert read_user_module(first).load().VALUE == 1


def test_a_module_may_import_its_neighbour_and_its_own_classes(write):
    write("RATE = 0.25", "neighbour_rates.py")
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "import neighbour_rates\n@dataclass\nclass A:\n    rate: float = neighbour_rates.RATE\n"
    )
    module = read_user_module(write(text)).load()
    assert module.A().rate == 0.25
    assert pickle.loads(pickle.dumps(module.A())) == module.A()


def test_a_module_travels_to_a_process_that_has_not_the_file(write, tmp_path):
    path = write("VALUE = 'grün'", "my models.py")
    module = read_user_module(path)
    (tmp_path / "sent").write_bytes(pickle.dumps(module))
    path.unlink()
    code = (
        f"import pickle; m = pickle.load(open({str(tmp_path / 'sent')!r}, 'rb')).load(); "
        "print(ascii(m.VALUE), m.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["'gr\\xfcn'", "user_my_models"], done.stderr


def test_the_path_is_absolute(write, monkeypatch, tmp_path):
    path = write("")
    monkeypatch.chdir(tmp_path)
    assert read_user_module("mine.py") == UserModule(str(path), "")


ERRORS = {
    "name": ("x = 1\ny = z\n", "mine.py:2: NameError: name 'z' is not defined"),
    "syntax": ("x = 1\nif x\n", "mine.py:2: SyntaxError: expected ':'"),
    "in a function": ("def f():\n    return 1 / 0\n\nf()\n", "mine.py:2: ZeroDivisionError"),
    "in a library": ("import json\njson.loads('')\n", "mine.py:2: JSONDecodeError"),
    "several lines": ("raise OSError('first\\nsecond')\n", "mine.py:1: OSError: first"),
    "no message": ("assert False\n", "mine.py:1: AssertionError: "),
    "exit": ("import sys\n\nsys.exit(3)\n", "mine.py:3: SystemExit: 3"),
    "bad input": (
        "from tl_core.config import TrainConfig\nTrainConfig(lr=-1)\n",
        "mine.py:2: lr=-1: the value must be greater than 0.",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_named_with_its_line(write, case):
    text, message = ERRORS[case]
    module = read_user_module(write(text))
    for _ in range(2):  # a module that failed is not taken as loaded
        with pytest.raises(BadInput) as caught:
            module.load()
        assert str(caught.value).startswith(message)
        assert "\n" not in str(caught.value)


def test_what_is_no_python_file_is_refused(write, tmp_path):
    with pytest.raises(BadInput, match=r"gone\.py is no Python file; give the path"):
        read_user_module(tmp_path / "gone.py")
    with pytest.raises(BadInput, match=r"notes\.txt is no Python file"):
        read_user_module(write("", "notes.txt"))
    folder = tmp_path / "folder.py"
    folder.mkdir()
    with pytest.raises(BadInput, match=r"folder\.py is no Python file"):
        read_user_module(folder)
    image = tmp_path / "image.py"
    image.write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(BadInput, match=r"image\.py cannot be read"):
        read_user_module(image)
