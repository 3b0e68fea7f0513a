"""Files in the place of weights that are damaged, of another kind, or made to do harm."""

import io
import json
import os
import pickle
import struct
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from tl_core.config import TrainConfig
from tl_core.errors import BadInput
from tl_core.models import build_model
from tl_core.models.hub import hub_cfg
from tl_core.models.saved_model import load_model
from tl_core.models.source_weights import file_fingerprint, load_hub_weights, load_source
from tl_core.predictor import Predictor
from tl_core.train.checkpoint import load_checkpoint
from tl_core.weights.weights_file import read_metadata, save_weights

CONFIG = TrainConfig(width=4)
SHAPE = {"channels": 1, "num_classes": 2, "image_size": 8}


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.system, (f"touch '{self.target}'",)


def as_source(path):
    load_source(build_model(CONFIG, **SHAPE), str(path))


READERS = {
    "source": as_source, "predict": load_model, "predictor": Predictor, "about": read_metadata,
    "hash": lambda path: file_fingerprint(str(path)),
}  # fmt: skip


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.safetensors"
    about = {"classes": "ab", "mean": [0.5], "std": [0.2], "image_size": 8}
    save_weights(path, build_model(CONFIG, **SHAPE), config=CONFIG, **about)
    return path


def saved(content, **options):
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def codes(target):
    """Ways to write a pickle that runs a command."""
    evil, old = Touch(target), {"_use_new_zipfile_serialization": False}
    return {
        "bare": pickle.dumps(evil), "protocol 0": pickle.dumps(evil, 0),
        "in a dict": pickle.dumps({"model": evil}, 2), "zip": saved({"state_dict": evil}),
        "legacy": saved({"state_dict": evil}, **old),
        "beside": saved({"a": torch.ones(1), "b": evil}),
    }  # fmt: skip


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".bin", ".tar", ".safetensors"])
@pytest.mark.parametrize("way", list(codes("x")))
def test_no_reader_runs_pickled_code(tmp_path, suffix, way):
    target, path = tmp_path / "touched", tmp_path / f"evil{suffix}"
    path.write_bytes(codes(target)[way])
    for read in (as_source, load_model, load_checkpoint):
        with pytest.raises(BadInput) as refusal:
            read(path)
        assert "\n" not in str(refusal.value)
    if suffix != ".safetensors" and way != "protocol 0":
        with pytest.raises(BadInput, match="pickled code, which is not run"):
            as_source(path)
        with pytest.raises(BadInput, match="pickled code, which is not run"):
            load_checkpoint(path)
    assert not target.exists()


def test_published_weights_are_read_without_running_code(tmp_path, monkeypatch):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(codes(tmp_path / "touched")["zip"])
    monkeypatch.setattr("tl_core.models.source_weights.fetch_hub_weights", lambda name: path)
    config = TrainConfig(backbone="timm:test_resnet", weights="pretrained")
    assert hub_cfg(config.backbone)
    with pytest.raises(BadInput, match="pickled code, which is not run"):
        load_hub_weights(config, channels=3, num_classes=2, image_size=32)
    assert not (tmp_path / "touched").exists()


def place(path, what):
    """Put something that is no file at `path`."""
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "itself":
        path.symlink_to(path.name)
    else:
        path.symlink_to(what)


@pytest.mark.parametrize("what", ["folder", "pipe", "/dev/zero", "/dev/null", "itself", "nowhere"])
@pytest.mark.parametrize("name", ["x.safetensors", "x.pth"])
@pytest.mark.timeout(20)  # a reader that opens a pipe waits for ever
def test_what_is_no_file_is_refused_at_once(tmp_path, what, name):
    place(tmp_path / name, what)
    for read in (*READERS.values(), load_checkpoint):
        with pytest.raises(BadInput):
            read(tmp_path / name)


def test_a_file_that_may_not_be_read_is_refused(good, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    for read in READERS.values():
        with pytest.raises(BadInput, match=r"cannot be read \(Permission denied\)"):
            read(good)


def with_header(header, body=bytes(4)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
HEADERS = {
    "empty": b"", "a byte": b"\x80", "text": b"no weights at all " * 9,
    "2**60 long": struct.pack("<Q", 2**60) + b"{}", "2**63 long": struct.pack("<Q", 2**63) + b"{}",
    "longer than the file": struct.pack("<Q", 99_999_999) + b"{}",
    "no tensor": with_header({}, b""),
    "huge tensor": with_header({"a": {**ONE, "shape": [2**62]}}),
    "negative": with_header({"a": {**ONE, "shape": [-1]}}),
    "unknown type": with_header({"a": {**ONE, "dtype": "F99"}}),
    "outside": with_header({"a": {**ONE, "data_offsets": [0, 400]}}),
    "deep": with_header(b"[" * 100_000 + b"]" * 100_000),
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("kind", HEADERS)
def test_damaged_and_boundless_headers_are_refused(tmp_path, kind, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(HEADERS[kind])
    for read in (as_source, load_model):
        with pytest.raises(BadInput) as refusal:
            read(path)
        assert "\n" not in str(refusal.value)


def about(good, **texts):
    """The file with other texts in its header."""
    raw = good.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    header["__metadata__"] |= texts
    good.write_bytes(with_header(header, raw[8 + length :]))
    return good


LONG, DEEP = "9" * 5000, "[" * 100_000


@pytest.mark.parametrize(
    ("field", "text"),
    [
        *(("config", t) for t in ("[1]", '"x"', "{", DEEP, f'{{"lr":{LONG}}}', '{"no":1}')),
        *(("config", f'{{"{f}":{v}}}') for f, v in (("width", '"x"'), ("width", "1e999"))),
        *(("config", f'{{"width":{w}}}') for w in (10**8, 10**30, -1)),
        ("config", '{"lr":1' + "0" * 400 + "}"), ("config", '{"depth":100000000}'),
        ("config", '{"backbone":"../../x"}'), ("config", '{"dataset":5}'),
        *(("classes", t) for t in ("3", "[]", "[1,2]", '["a"]', '{"a":1}', '["a","\\udce9"]')),
        *(("mean", t) for t in ("[]", "5", '["x"]', "[NaN]", "[[1]]", "[0.1,0.1]")),
        *(("std", t) for t in ("[0.0]", "[-1]", "[0.1,0.2]", f"[{LONG}]")),
        *(("image_size", t) for t in ('"x"', "-1", "0", "1e400", "100000000", "[8]", "true")),
    ],
)  # fmt: skip
def test_untrue_metadata_are_refused_in_one_line(good, field, text):
    path = about(good, **{field: text})
    with pytest.raises(BadInput) as refusal:
        load_model(path)
    assert "\n" not in str(refusal.value)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize(
    ("field", "text"),
    [("white_levels", t) for t in ("3", '{"x":1}', '{"integers":"x"}', '{"floats":0}')]
    + [("accuracy", '"x"'), ("accuracy", "NaN")],
)
def test_what_need_not_be_there_is_left_out_where_it_is_nothing(good, field, text):
    about(good, **{field: text})
    assert getattr(read_metadata(good), field) is None
    assert load_model(good).classes == ("a", "b")


@pytest.mark.parametrize("kind", ["nan", "int", "complex", "flat", "one less"])
def test_tensors_of_other_values_types_and_shapes_are_refused(tmp_path, good, kind):
    state = build_model(CONFIG, **SHAPE).state_dict()
    change = {
        "nan": lambda t: t * float("nan"), "int": lambda t: t.int(), "one less": lambda t: t,
        "complex": lambda t: t.to(torch.complex64), "flat": lambda t: t.reshape(-1),
    }[kind]  # fmt: skip
    changed = {name: change(tensor) for name, tensor in state.items()}
    if kind == "one less":
        del changed["head.bias"]
    texts = {"classes": '["a","b"]', "mean": "[0.5]", "std": "[0.2]", "image_size": "8"}
    path = tmp_path / "x.safetensors"
    try:
        save_file(changed, path, metadata={**texts, "config": json.dumps(CONFIG.to_dict())})
    except KeyError:
        pytest.skip(f"this safetensors writes no {kind} numbers")
    with pytest.raises(BadInput):
        load_model(path)


def test_a_dict_under_many_keys_is_read_once(tmp_path):
    inner = {f"k{number}": {"weight": torch.zeros(1)} for number in range(3)}
    middle = dict.fromkeys((f"m{number}" for number in range(20_000)), inner)
    torch.save(
        dict.fromkeys((f"o{number}" for number in range(20_000)), middle), tmp_path / "x.pth"
    )
    with pytest.raises(BadInput, match="fits nothing"):
        as_source(tmp_path / "x.pth")


def test_a_file_that_unpacks_to_far_more_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        packed.writestr("archive/data/0", bytes(80 * 2**20))
    with pytest.raises(BadInput, match=r"it unpacks to 83,886,\d+ bytes"):
        as_source(tmp_path / "x.pth")


def test_names_in_a_file_cannot_write_to_the_terminal(tmp_path):
    torch.save({"\x1b[2J\nname": torch.zeros(2)}, tmp_path / "x.pth")
    with pytest.raises(BadInput, match=r"other names \(\\x1b\[2J\\nname"):
        as_source(tmp_path / "x.pth")
