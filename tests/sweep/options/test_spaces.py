import json
import random
import re
import subprocess
import sys

import pytest

from search_spaces.designs import DESIGNS
from search_spaces.domains import Choice, Float, sample
from sweep.options.spaces import builtin_spaces, load_space
from tl_core.config import TrainConfig, config_from_dict
from tl_core.errors import BadInput

HEAD = (
    "from search_spaces.domains import Choice, Float, Int\n"
    "from tl_core.config import TrainConfig\n"
    "BASE = TrainConfig(epochs=2)\n"
)


@pytest.fixture
def write(tmp_path):
    def write_file(text: str, name: str = "my_space.py") -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write_file


def test_builtin_spaces_are_those_with_a_space_and_open_with_a_question():
    spaces = builtin_spaces()
    assert {"ablation", "transfer"} <= set(spaces)
    assert not {"domains", "designs", "checks"} & set(spaces)
    assert all(question.endswith("?") for question in spaces.values())


@pytest.mark.parametrize("name", builtin_spaces())
def test_twenty_samples_of_every_space_build_a_valid_config(name):
    loaded = load_space(name)
    rng = random.Random(0)
    for _ in range(20):
        values = sample(loaded.space, loaded.base, rng, lambda limit, known: 5)
        config = config_from_dict(values, loaded.base)
        assert 0 <= config.freeze_depth <= 5
        assert (config.momentum is not None) or (config.optimizer != "sgd")


@pytest.mark.parametrize("name", builtin_spaces())
def test_every_space_states_its_command_and_what_it_reached(name):
    text = load_space(name).path.read_text(encoding="utf-8").split('"""')[1]
    assert f"python -m sweep {name}" in text
    assert "accuracy" in text
    assert re.search(r"\d+ epochs", text)


def test_ablation_runs_nine_configurations_without_early_stopping():
    loaded = load_space("ablation")
    assert (loaded.design, loaded.search, loaded.scheduler) == ("one-at-a-time", None, "none")
    assert loaded.seeds == 5
    assert len(DESIGNS["one-at-a-time"](loaded.space, loaded.base)) == 9
    assert len(DESIGNS["factorial"](loaded.space, loaded.base)) == 108


def test_transfer_leaves_the_search_to_its_budget():
    loaded = load_space("transfer")
    assert (loaded.design, loaded.search, loaded.scheduler) == (None, "auto", "auto")
    assert loaded.base.weights == "pretrained"


def test_a_user_file_with_the_two_required_names(write):
    path = write('"""Does width\nmatter?\n\nMore."""\n' + HEAD + 'SPACE = {"lr": Float(0.1, 1)}')
    loaded = load_space(path)
    assert loaded.space == {"lr": Float(0.1, 1)}
    assert (loaded.name, loaded.question, loaded.base.epochs) == (
        "my_space",
        "Does width matter?",
        2,
    )
    assert (loaded.design, loaded.search, loaded.scheduler) == (None, "auto", "auto")
    assert (loaded.trials, loaded.seeds) == (None, None)
    assert loaded.path.is_absolute()


def test_a_user_file_with_a_design_is_repeated_and_not_stopped_early(write):
    loaded = load_space(write(HEAD + 'SPACE = {"lr": Choice(0.1)}\nDESIGN = "factorial"'))
    assert (loaded.search, loaded.scheduler, loaded.trials, loaded.seeds) == (
        None,
        "none",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("file", "name"),
    [("2nd try.py", "space_2nd_try"), ("a.b-c.py", "a_b-c"), ("torch.py", "torch")],
)
def test_names_of_user_spaces_are_made_valid(write, file, name):
    before = sys.modules.get("torch")
    assert load_space(write(HEAD + 'SPACE = {"lr": Choice(0.1)}', file)).name == name
    assert re.fullmatch(r"[A-Za-z][\w-]*", name)
    assert sys.modules.get("torch") is before


def test_a_file_may_define_a_dataclass_and_is_read_anew(write):
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        + HEAD
        + "@dataclass\nclass Rates:\n    low: float = 0.1\n"
    )
    assert load_space(write(text + 'SPACE = {"lr": Choice(Rates().low)}')).space == {
        "lr": Choice(0.1)
    }
    assert load_space(write(text + 'SPACE = {"lr": Choice(0.25)}')).space == {"lr": Choice(0.25)}


BAD_FILES = {
    "no SPACE": (HEAD, "my_space.py: .*needs SPACE"),
    "SPACE is a list": (HEAD + "SPACE = []", "needs SPACE = {"),
    "no BASE": ("SPACE = {}", "needs BASE = TrainConfig"),
    "BASE is a dict": ("SPACE = {}\nBASE = {}", "needs BASE"),
    "misspelt key": (HEAD + 'SPACE = {"leraning": Choice(1)}', "my_space.py: 'leraning' is no"),
    "bad value": (HEAD + 'SPACE = {"lr": Choice(-1.0)}', r"my_space.py: lr=-1.0: .*greater"),
    "syntax": ("x = 1\nSPACE = {", "my_space.py:2: SyntaxError: .*never closed"),
    "name error": (HEAD + "\nSPACE = Chocie(1)", "my_space.py:5: NameError: .*Chocie"),
    "error in a function": (
        "def f():\n    raise KeyError('a\\nb')\nf()",
        "my_space.py:2: KeyError",
    ),
    "several lines": ("raise ValueError('first\\nsecond')", "my_space.py:1: ValueError: first$"),
    "exit": ("import sys\nsys.exit(0)", "my_space.py:2: SystemExit"),
    "base refused": (HEAD + "BASE = TrainConfig(lr=0)", "my_space.py:4: lr=0: "),
    "unknown import": ("import no_such_module", "my_space.py:1: ModuleNotFoundError"),
    "scratch strategy": (
        HEAD + "SPACE = {}\nSCRATCH = {'strategy': 'mine'}",
        "SCRATCH has strategy='mine', but",
    ),
    "scratch size": (HEAD + "SPACE = {}\nSCRATCH = {'limit_train': 9}", "leave limit_train out"),
    "design": (HEAD + "SPACE = {}\nDESIGN = 'latin'", "unknown DESIGN='latin'; one of one-at"),
    "both": (HEAD + "SPACE = {}\nDESIGN = 'factorial'\nSEARCH = 'grid'", "DESIGN=.* and SEARCH="),
    "trials": (HEAD + "SPACE = {}\nTRIALS = 0", "TRIALS=0 must be a whole number from 1"),
    "seeds": (HEAD + "SPACE = {}\nSEEDS = 2.5", "SEEDS=2.5 must be"),
    "scheduler": (HEAD + "SPACE = {}\nSCHEDULER = 1", "SCHEDULER=1 must be a name"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line(write, case):
    text, message = BAD_FILES[case]
    with pytest.raises(BadInput, match=message) as caught:
        load_space(write(text))
    assert "\n" not in str(caught.value)


def test_unknown_names_and_paths(write, tmp_path):
    with pytest.raises(BadInput, match=r"command or .*'ablatoin': did you mean ablation\? A file"):
        load_space("ablatoin")
    with pytest.raises(BadInput, match=r"are ablation, cifar10_to_.*_svhn, .*, transfer\. A"):
        load_space("zzz")
    with pytest.raises(BadInput, match=r"gone\.py: no such file"):
        load_space(tmp_path / "gone.py")
    with pytest.raises(BadInput, match=r"is no \.py file"):
        load_space(write("", "notes.txt"))
    with pytest.raises(BadInput, match="unknown command or search space 'domains'"):
        load_space("domains")


def test_listing_and_loading_need_no_engine():
    code = (
        "import sys, sweep.options.spaces as s\n"
        "s.builtin_spaces(); s.load_space('ablation'); s.load_space('transfer')\n"
        "heavy = {'torch', 'ray', 'optuna', 'pandas', 'timm'} & set(sys.modules)\n"
        "print(*heavy, end='')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_what_a_file_says_with_numpy_is_what_it_says_without(write):
    text = (
        "import numpy as np\n"
        "from search_spaces.domains import Choice\n"
        "from tl_core.config import TrainConfig\n"
        "BASE = TrainConfig(epochs=np.int64(2))\n"
        "SPACE = {'lr': Choice(np.array([0.1, 0.2]))}\n"
        "SEARCH, TRIALS, SEEDS = np.str_('random'), np.int64(8), np.int32(2)\n"
        "SCRATCH = {'lr': np.float64(0.5)}\n"
        "RUNS = {'small': {'limit_train': np.int64(100), 'mean': np.array([0.5]), 'std': (1,)}}\n"
    )
    loaded = load_space(write(text))
    assert (loaded.search, loaded.trials, loaded.seeds) == ("random", 8, 2)
    assert json.dumps(loaded.scratch) == '{"lr": 0.5}'
    assert json.dumps(loaded.runs) == (
        '{"small": {"limit_train": 100, "mean": [0.5], "std": [1]}}'
    )
    assert loaded.base == TrainConfig(epochs=2)
