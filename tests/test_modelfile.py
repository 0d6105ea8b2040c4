"""Model files: what was saved comes back to the bit, and any damage is one sentence."""

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers import lengths

from tinympcnn import Adam, Conv, DataError, Layer, Logistic, MaxPoolFragment, Net, UsageError
from tinympcnn.gradcheck import check_contract
from tinympcnn.io import modelfile
from tinympcnn.nn.layers import LAYERS
from tinympcnn.training import checkpoint

MODELS = Path(__file__).parents[1] / "tutorials" / "models"


@pytest.fixture
def net():
    net = Net.from_spec("C3x2x4 MPF2x3 FC2x1x3 FC2", in_maps=2, rng=0)
    net.normalisation = np.array([3.0, 4.0]), np.array([1.0, 2.0])
    net.class_values, net.record = (0, 255), {"seed": 3, "log": [{"loss_val": float("nan")}]}
    return net


@pytest.fixture
def path(net, tmp_path):
    net.save(tmp_path / "a.npz")
    return tmp_path / "a.npz"


def rewrite(path, **changes):
    """Write the model again with other entries; None removes one, `about` updates the description."""
    arrays = dict(np.load(path))
    about = json.loads(arrays["about"].tobytes()) | changes.pop("about", {})
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    arrays = {name: array for name, array in (arrays | changes).items() if array is not None}
    np.savez(path, **arrays)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("view", ["as_image", "as_patch"])
def test_what_was_saved_comes_back(net, path, dtype, view, rng):
    saved = getattr(net, view)().astype(dtype)
    saved.save(path)
    loaded = Net.load(path)
    assert repr(loaded) == repr(saved) and loaded.dtype == dtype and (loaded.flat() == saved.flat()).all()
    assert (loaded.normalisation[0] == net.normalisation[0]).all() and loaded.class_values == (0, 255)
    assert json.dumps(loaded.record) == json.dumps(net.record)
    image = rng.standard_normal((11, 12, 2))
    assert (loaded.segment(image) == saved.segment(image)).all()
    assert max(check_contract(loaded, image)) < 1e-12


def test_a_net_without_anything_beside_its_layers(tmp_path):
    net = Net([Logistic(), Conv(1, 2, 3, rng=0)])
    net.save(tmp_path / "a.npz")
    loaded = Net.load(str(tmp_path / "a.npz"))
    assert (loaded.normalisation, loaded.class_values, loaded.record) == (None, None, {})


def bias_layer():
    """Define a layer, as a notebook cell does each time it is run."""

    class Bias(Layer):
        """y = x + b, with a number for each map."""

        def __init__(self, in_maps, start=0.5):
            super().__init__()
            self.in_maps, self.start = in_maps, start
            self.b = np.full(in_maps, start, np.float32)
            self.params, self.grads = {"b": self.b}, {"b": np.zeros(in_maps, np.float32)}

        def forward(self, x, train=True):
            self.cache = x.shape if train else None
            return x + self.b

        def backward(self, dy):
            self.check_dy(dy, self.take_cache())
            self.grads["b"] += dy.sum(axis=(0, 1, 2))
            return dy

    return Bias


def test_a_registered_layer_of_ones_own_is_saved_loaded_and_drawn(register, tmp_path, rng):
    Bias = register(bias_layer())
    net = Net([Conv(1, 2, 3, rng=0), Bias(2, start=0.25), MaxPoolFragment(2), Conv(2, 2, 1, rng=0)])
    net.layers[1].b[...] = 7, 8
    net.save(tmp_path / "a.npz")
    loaded = Net.load(tmp_path / "a.npz")
    assert repr(loaded) == repr(net) and "Bias(2, 0.25)" in repr(net) and "Bias" in str(net)
    image = rng.standard_normal((1, 9, 8, 1)).astype(np.float32)
    assert (loaded.forward(image) == net.forward(image)).all()
    assert max(check_contract(loaded, image[0])) < 1e-12
    LAYERS.pop("Bias")
    with pytest.raises(
        DataError, match="unknown layer 'Bias': first run the code that defines it, with @register_layer"
    ):
        Net.load(tmp_path / "a.npz")


def test_a_net_made_before_a_layer_was_defined_again_is_still_saved(register, tmp_path):
    net = Net([register(bias_layer())(1), Conv(1, 2, 3, rng=0)])
    second = register(bias_layer())
    net.save(tmp_path / "a.npz")
    assert type(Net.load(tmp_path / "a.npz").layers[0]) is second


def test_layers_that_a_file_can_not_describe_are_refused_and_leave_no_file(register, tmp_path):
    class Mine(Layer):
        def __init__(self, strength):
            super().__init__()

    for words in (r"the layer Mine is not registered: write @register_layer", "Mine has no attribute 'strength'"):
        with pytest.raises(UsageError, match=words):
            Net([Conv(1, 2, 3, rng=0), Mine(3)]).save(tmp_path / "a.npz")
        register(Mine)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_replaced_whole_or_not_at_all(net, path, monkeypatch):
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(DataError, match=r"cannot write .*a\.npz: No space left on device"):
        net.save(path)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]
    with pytest.raises(DataError, match="there is no folder"):
        net.save(path.parent / "missing" / "a.npz")
    with pytest.raises(DataError, match="it is a folder"):
        net.save(path.parent)


def damaged(path):
    with pytest.raises(DataError) as caught:
        Net.load(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    return str(caught.value)


def test_truncated_anywhere(path):
    whole = path.read_bytes()
    for length in {*range(40), *range(0, len(whole), 61), *range(len(whole) - 40, len(whole))}:
        path.write_bytes(whole[:length])
        assert "is not a whole tinympcnn model file" in damaged(path)


@lengths(120, 1200)
def test_mutations_give_a_whole_net_or_one_sentence(net, path, rng, cases):
    whole, survivors = path.read_bytes(), 0
    for i in range(cases):
        mutated = bytearray(whole)
        if i % 4 == 0:  # the description and the headers are where a change means most
            low = whole.index(b'{"format"')
            mutated[int(rng.integers(low, low + 900)) % len(whole)] = int(rng.choice(list(b'0123456789,[]{}":-eN')))
            mutated = _with_true_checksums(mutated, whole)
        else:
            for place in rng.integers(0, len(whole), int(rng.integers(1, 4))):
                mutated[place] = int(rng.integers(256))
        path.write_bytes(mutated)
        try:
            loaded = Net.load(path)
        except DataError as error:
            assert "\n" not in str(error) and len(str(error)) < 500
        else:
            survivors += 1
            assert np.isfinite(loaded.flat()).all()
    assert 0 < survivors < 900


def _with_true_checksums(mutated, whole):
    """Return the archive as its writer would have written it: so that damage gets past the checksums."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as original, zipfile.ZipFile(out, "w") as archive:
        for entry in original.infolist():
            header = entry.header_offset
            name, extra = (int.from_bytes(whole[header + k : header + k + 2], "little") for k in (26, 28))
            start = header + 30 + name + extra
            archive.writestr(entry.filename, bytes(mutated[start : start + entry.file_size]))
    return out.getvalue()


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"version": 2}, "has version 2, and this tinympcnn reads version 1"),
        ({"format": "other"}, "is not a tinympcnn model file"),
        ({"record": None}, "no record"),
        ({"dtype": "float16"}, "float32 or float64"),
        ({"dtype": "no"}, "does not fit together"),
        ({"layers": []}, "does not fit together"),
        ({"layers": 3}, "does not fit together"),
        ({"layers": [["Conv", 3]]}, "does not fit together"),
        ({"layers": [["os.system", {"command": "true"}]]}, "unknown layer 'os.system'"),
        ({"layers": [["MaxPool", {"k": 10**30}]]}, "does not fit together|has no|unknown entry"),
        ({"normalisation": [[1], [1]]}, "normalisation does not fit"),
        ({"normalisation": [[1, 1], [0, 1]]}, "normalisation does not fit"),
        ({"normalisation": [[1, float("nan")], [1, 1]]}, "normalisation does not fit"),
        ({"normalisation": "ab"}, "does not fit together"),
        ({"class_values": [0]}, "1 classes for 2 outputs"),
        ({"class_values": [7, 7]}, "1 classes for 2 outputs"),
        ({"class_values": [0, 10**30]}, "does not fit together"),
    ],
)
def test_a_description_that_does_not_fit(path, about, words):
    rewrite(path, about=about)
    with pytest.raises(DataError, match=words):
        Net.load(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"0.Conv.W": None}, r"has no '0\.Conv\.W'"),
        ({"about": None}, "is not a tinympcnn model file"),
        ({"0.Conv.b": np.zeros(5, np.float32)}, r"0\.Conv\.b has shape \(5,\)"),
        ({"0.Conv.b": np.zeros(4)}, r"0\.Conv\.b is float64\(4,\)"),
        ({"0.Conv.W": np.zeros((3, 2, 2, 5), np.float32)}, r"0\.Conv\.W has shape"),
        ({"0.Conv.b": np.full(4, np.inf, np.float32)}, "NaN or infinite"),
        ({"9.Conv.W": np.zeros(1, np.float32)}, r"unknown entry '9\.Conv\.W'"),
    ],
)
def test_arrays_that_do_not_fit(path, changes, words):
    arrays = {name: array for name, array in {**np.load(path), **changes}.items() if array is not None}
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=words):
        Net.load(path)


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('a model file was executed')",))


def test_nothing_in_a_model_file_is_executed(path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("bomb.npy", header.getvalue() + pickle.dumps([Bomb()]))
    assert "not a whole" in damaged(path)
    path.write_bytes(pickle.dumps(Bomb()))
    damaged(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("about.npy", pickle.dumps(Bomb()))
    damaged(path)


def test_lying_sizes_and_compressed_bombs_take_no_memory(path):
    header = io.BytesIO()
    shape = (10**6, 10**6)
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("about.npy", header.getvalue())
    assert "is not a whole tinympcnn model file" in damaged(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("about.npy", header.getvalue() + bytes(10**7))
    assert "compressed" in damaged(path)


def test_other_files_and_no_file(path):
    for content in (b"", b"PK", b"II*\0" + bytes(100), b"hello" * 100):
        path.write_bytes(content)
        damaged(path)
    path.unlink()
    assert "there is no model file" in damaged(path)
    path.mkdir()
    damaged(path)


def test_a_description_of_endless_depth(path):
    arrays = dict(np.load(path))
    arrays["about"] = np.frombuffer(b"[" * 200_000, np.uint8)
    np.savez(path, **arrays)
    damaged(path)
    assert modelfile.VERSION == 1


def test_a_checkpoint_is_no_model_and_says_where_that_is(tmp_path):
    net = Net.from_spec("C3x3x2 FC2", rng=0)
    checkpoint.Checkpoint(tmp_path / "a.checkpoint.npz").save(net, Adam(net), checkpoint.State())
    with pytest.raises(DataError, match=r"a\.checkpoint\.npz is a checkpoint, .* the model, .*/a\.npz$"):
        Net.load(tmp_path / "a.checkpoint.npz")


@pytest.mark.parametrize("name", sorted(path.name for path in MODELS.glob("*.npz")))
def test_the_models_of_the_course_can_be_read(name):
    assert Net.load(MODELS / name).class_values  # made before model files held names of classes


def test_a_record_may_hold_numbers_of_numpy(net, path):
    net.record = {"seed": np.int64(3), "lr": np.float32(0.5), "counts": np.arange(2)}
    net.save(path)
    assert Net.load(path).record == {"seed": 3, "lr": 0.5, "counts": [0, 1]}
    net.record = {"classes": {1, 2}}
    with pytest.raises(UsageError, match="holds numbers, text, lists and dicts"):
        net.save(path)
    assert Net.load(path).record["seed"] == 3
