"""Train the two small nets of the fragment explorer (half a minute on one core): ``python docs/explorer/make_nets.py``.

The images are synthetic and shrunk by two, so that a window of 8 or 10 pixels sees a whole membrane. The same seed
gives the same files on the same machine.
"""

from pathlib import Path

from tinympcnn import Net, Recipe
from tinympcnn.data import class_indices, synthetic_membranes
from tinympcnn.data.downsample import downsample, downsample_labels
from tinympcnn.training.fit import fit

NETS = {"pools_of_2": "C3x3x3 MPF2x2 C2x2x3 MPF2x2 FC2", "pools_of_3": "C2x2x3 MPF3x3 C2x2x3 MPF2x2 FC2"}
RECIPE = Recipe(60, options={"lr": 0.02}, augment="flip", seed=1, balance="classes")

if __name__ == "__main__":
    images, labels = synthetic_membranes(12, 160, rng=21)
    small = [downsample(image, 2) for image in images]
    classes = [class_indices(downsample_labels(page, 2), (0, 255)) for page in labels]
    for name, spec in NETS.items():
        net = Net.from_spec(spec, rng=3)
        net.class_values = (0, 255)
        for record in fit(net, (small, classes), RECIPE):
            print(f"{name}, epoch {record['epoch']:>2}: loss {record['loss_train']:.3f}", flush=True)
        net.record = {"spec": spec, "loss_train": round(record["loss_train"], 4)}
        net.save(Path(__file__).parent / f"{name}.npz")
