"""Train the net that tutorial 14 loads, and write it to ``steel_net.npz`` (a few minutes on one core).

The images are those of ``data/strip-train.tif``. Run it with ``python tutorials/models/make_steel_net.py``; the same
seed gives the same file on the same machine.
"""

from pathlib import Path

from tinympcnn import Recipe, zoo
from tinympcnn.io.pairs import read_pairs
from tinympcnn.training.fit import fit

DATA = Path(__file__).parents[2] / "data"
EPOCHS, SEED = 40, 0

if __name__ == "__main__":
    pairs = read_pairs(DATA / "strip-train.tif", DATA / "strip-train-labels.tif")
    net = zoo.steel(rng=SEED)
    net.class_values = pairs.class_values
    recipe = Recipe(EPOCHS, options={"lr": 0.0015}, balance="classes", augment="flip")
    for record in fit(net, (pairs.images, pairs.labels), recipe):
        print(f"epoch {record['epoch']:>3}: loss {record['loss_train']:.3f}, {record['seconds']:.0f} s", flush=True)
    net.record = {"images": len(pairs.images), "epochs": EPOCHS, "loss_train": round(record["loss_train"], 4)}
    net.save(Path(__file__).parent / "steel_net.npz")
