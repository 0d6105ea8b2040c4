"""Train the small net that tutorial 00 loads, and write it to ``first_net.npz`` (a few minutes on one core).

The images are synthetic, drawn from a seed that the tutorial does not use. Run it with
``python tutorials/models/make_first_net.py``; the same seed gives the same file on the same machine.
"""

from pathlib import Path

from tinympcnn import Net, Recipe
from tinympcnn.data import class_indices, synthetic_membranes
from tinympcnn.training.fit import fit

SPEC = "C5x5x8 MPF2x2 C5x5x12 MPF2x2 C4x4x16 FC2"
IMAGES, SIZE, EPOCHS, SEED = 16, 128, 50, 1000

if __name__ == "__main__":
    images, labels = synthetic_membranes(IMAGES, SIZE, rng=SEED)
    net = Net.from_spec(SPEC, rng=SEED)
    net.class_values = (0, 255)
    classes = [class_indices(page, net.class_values) for page in labels]
    for record in fit(net, (list(images), classes), Recipe(EPOCHS, options={"lr": 0.01}, augment="flip", seed=SEED)):
        print(f"epoch {record['epoch']:>3}: loss {record['loss_train']:.3f}, {record['seconds']:.0f} s", flush=True)
    net.record = {"images": IMAGES, "size": SIZE, "epochs": EPOCHS, "loss_train": round(record["loss_train"], 4)}
    net.save(Path(__file__).parent / "first_net.npz")
