"""The fragment explorer in a real browser: its arithmetic against NumPy's, its answers to mouse, keyboard and touch.

``make explorer-check`` installs what these tests need, runs them and keeps their screenshots. Otherwise they are
skipped where Selenium, Debian's packages chromium and chromium-driver, or axe-core are missing, and say which.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import time
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest

from tinympcnn import Net
from tinympcnn.explore import page, scene
from tinympcnn.nn.fragments import split
from tinympcnn.nn.layers import Conv, FullyConnected, Logistic, MaxPoolFragment, Relu, Tanh
from tinympcnn.nn.layers.chain import Chain
from tinympcnn.nn.sequential import Sequential

selenium = pytest.importorskip("selenium", reason="Selenium is not installed: pip install 'tinympcnn[explorer]'")
Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed: pip install 'tinympcnn[explorer]'")
from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/explorer.html"
AXE = ROOT / ".venv/axe/node_modules/axe-core/axe.min.js"
MODES = ("trace", "patch", "fragments", "dilated", "backward")
CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no browser: install Debian's packages chromium and chromium-driver"
    ),
]

# ------------------------------------------------------------------------------------------------ the browser


@pytest.fixture(scope="module")
def browser():
    """One headless Chromium for all tests of this file, with its log of requests; Selenium downloads nothing."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


class Reader:
    """Someone who reads the page: points, presses, and looks at what it says."""

    def __init__(self, driver, path, width=1280, height=900, dark=False, calm=True):
        self.driver = driver
        sizes = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sizes)
        scheme, motion = "dark" if dark else "light", "reduce" if calm else "no-preference"
        features = [("prefers-color-scheme", scheme), ("prefers-reduced-motion", motion)]
        media = {"features": [{"name": name, "value": value} for name, value in features]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        for kind in ("browser", "performance"):
            driver.get_log(kind)
        driver.get(path.as_uri())

    def js(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def settle(self):
        """Wait until everything that was asked for is drawn."""
        code = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))"
        self.driver.execute_async_script(code)

    def choose(self, name, value):
        self.js("document.querySelector(`[name=${arguments[0]}][value='${arguments[1]}']`).click()", name, str(value))
        self.settle()

    def press(self, element):
        self.driver.find_element("id", element).click()
        self.settle()

    def place(self, kind, stage, f, q, p):
        """Scroll a cell of a panel into view, and return its middle in the window."""
        return self.js(
            """const [kind, stage, f, q, p] = arguments;
            const panel = app.panels.find((one) => one.kind === kind && one.stage === stage);
            panel.canvas.scrollIntoView({ block: "center" });
            const { left, top } = panel.canvas.getBoundingClientRect(), [x, y] = panel.at(f, q, p);
            return [left + x + panel.cell / 2, top + y + panel.cell / 2];""",
            kind, stage, f, q, p,
        )  # fmt: skip

    def point(self, *cell, click=False):
        x, y = self.place(*cell)
        mouse = ActionChains(self.driver, duration=20)
        mouse.w3c_actions.pointer_action.move_to_location(int(x), int(y))
        if click:
            mouse.w3c_actions.pointer_action.click()
        mouse.perform()
        self.settle()

    def keys(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()
        self.settle()

    def said(self, element="pointed"):
        text = self.driver.find_element("id", element).get_attribute("textContent")
        typed = {"\xa0": " ", "\u2212": "-", "\xd7": "x"}
        return " ".join("".join(typed.get(letter, letter) for letter in text).split())

    def slide(self, step):
        self.js("$('slider').value = arguments[0]; $('slider').dispatchEvent(new Event('input'))", step)
        self.settle()

    def screenshot(self, name):
        folder = os.environ.get("EXPLORER_SCREENSHOTS")
        png = self.driver.get_screenshot_as_png()
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            Path(folder, f"{name}.png").write_bytes(png)
        return png


@pytest.fixture
def read(browser):
    """Return a function that opens a page; afterwards no script has failed, and no request has left the page."""
    yield lambda path=PAGE, **options: Reader(browser, path, **options)
    assert [entry for entry in browser.get_log("browser") if entry["source"] != "rendering"] == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requested = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert requested and {url.split(":")[0] for url in requested} <= {"file", "data"}


# ------------------------------------------------------------------------------------------------ arithmetic

COMPUTE = """
const [scene, deltas] = arguments, model = new Model(scene), { sizes } = model;
model.deltas.data.set(deltas);
model.backward();
const { H, W } = model.image, [P, Q] = sizes.fieldOfView, [u, v] = sizes.outputs.map((n) => n - 1);
return {
  padded: sizes.padded, fieldOfView: sizes.fieldOfView, outputs: sizes.outputs,
  y: [...model.run.y.data],
  dilated: [...model.dilated.at(-1).data],
  patch: [...Twin.patch(model.layers, Twin.resized(model.image, P, Q, u, v)).data],
  dx: [...Twin.resized(model.back.dxs[0], H, W).data],
  grads: model.back.grads.filter(Boolean).flatMap(({ W, b }) => [...W, ...b]),
  storages: model.run.xs.map(({ data }) => [...data]),
  totals: model.totals, windows: model.windows,
};
"""


def random_net(rng):
    """Return a net of convolutions, pools of 1 to 3 and activations, and an image that rarely divides."""
    maps = int(rng.integers(1, 4))
    layers = []
    for _ in range(rng.integers(1, 4)):
        if rng.random() < 0.8:
            out = int(rng.integers(1, 4))
            layers.append(Conv(maps, out, tuple(rng.integers(1, 4, 2).tolist()), rng=rng))
            maps = out
            if rng.random() < 0.8:
                layers.append(rng.choice([Tanh, Logistic, Relu])())
        if rng.random() < 0.7:
            layers.append(MaxPoolFragment(tuple(rng.integers(1, 4, 2).tolist())))
    layers.append(FullyConnected(maps, 2, int(rng.integers(1, 3)), rng=rng))
    net = Sequential(layers)
    return net if np.prod(net.split_step) <= 36 else random_net(rng)


def nets_and_images():
    rng = np.random.default_rng(21)
    for _ in range(100):
        net = random_net(rng).astype(np.float64)
        for _, param, _ in net.parameters():
            param[...] = rng.standard_normal(param.shape)
        size = [view + int(rng.integers(0, 9)) for view in net.field_of_view]
        image = rng.standard_normal((*size, net.in_maps))
        first = next(layer for layer in net.layers if type(layer) not in (Tanh, Logistic, Relu))
        yield net, image.round(0) if isinstance(first, MaxPoolFragment) else image  # ties where they are exact


def examples():
    return [(example, None) for example in run_path(str(ROOT / "docs/explorer/make_page.py"))["scenes"]()]


def rebuilt(example):
    """Return the net and the image of a scene."""
    kinds = {"Tanh": Tanh, "Logistic": Logistic, "Relu": Relu}
    layers, maps = [], example["image"]["C"]
    for layer in example["layers"]:
        if "W" in layer:
            made = Conv(maps, len(layer["b"]), layer["kernel"])
            maps = len(layer["b"])
            made.params = {"W": np.reshape(layer["W"], made.params["W"].shape), "b": np.array(layer["b"])}
            made.grads = {name: np.zeros_like(param) for name, param in made.params.items()}
            layers.append(made)
        else:
            layers.append(MaxPoolFragment(layer["k"]) if "k" in layer else kinds[layer["kind"]]())
    image = example["image"]
    return Sequential(layers), np.reshape(image["data"], (image["H"], image["W"], image["C"]))


def close(got, wanted):
    wanted = np.ravel(wanted)
    assert np.shape(got) == wanted.shape
    assert np.linalg.norm(np.array(got, float) - wanted) <= 1e-12 * max(np.linalg.norm(wanted), 1e-30)


def compare(reader, net, image, shown):
    chain, rng = Chain(net.layers), np.random.default_rng(0)
    y = chain.forward(image[None])
    dy = rng.integers(-3, 4, y.shape).astype(float)
    dx = chain.backward(dy)
    got = reader.js(COMPUTE, shown, dy.ravel().tolist())
    assert got["padded"] == list(net.padded_size(image.shape[:2])) and got["fieldOfView"] == list(net.field_of_view)
    assert got["outputs"] == list(y.shape[1:3])
    for name, wanted in {"y": y, "dilated": y, "patch": y[0, -1, -1], "dx": dx}.items():
        close(got[name], wanted)
    grads = [grad for _, _, grad in net.parameters()]
    close(got["grads"], np.concatenate([grad.ravel() for grad in grads]) if grads else [])
    x = np.zeros((1, *got["padded"], image.shape[2]))
    x[:, : image.shape[0], : image.shape[1]] = image
    for storage, layer in zip(got["storages"], [*net.layers, None], strict=True):
        close(storage, x)
        x = layer.forward(x) if layer else x
    assert got["totals"]["fragments"] == sum(row.flop for row in net.plan(image.shape[:2])) // 2
    alone = sum(row.flop for row in net.as_patch().plan(net.field_of_view)) // 2
    assert got["windows"] == y[0, :, :, 0].size and got["totals"]["patch"] == alone * y[0, :, :, 0].size
    return dy


def test_the_examples_are_computed_as_numpy_computes_them(read):
    reader = read()
    for example in run_path(str(ROOT / "docs/explorer/make_page.py"))["scenes"]():
        compare(reader, *rebuilt(example), example)


def test_a_hundred_random_nets_are_computed_as_numpy_computes_them(read):
    reader, pools, ties = read(), set(), 0
    for net, image in nets_and_images():
        net.zero_grads()
        compare(reader, net, image, scene(net, image, "random"))
        pools |= set(net.pools)
        ties += bool((image == image.round(0)).all())
    assert {(1, 1), (2, 2), (3, 3), (2, 3), (3, 2)} <= pools and ties > 5


def test_the_index_and_the_place_of_every_fragment_are_those_of_split(read):
    places = np.arange(12 * 18.0).reshape(1, 12, 18, 1)
    for pools in ([(2, 3)], [(2, 2), (3, 3)], [(3, 1), (2, 3), (2, 2)]):
        storage = split(places, pools)[..., 0]
        got = read().js(
            """const [pools, F, h, w] = arguments, found = [];
            for (let f = 0; f < F; f++) for (let q = 0; q < h; q++) for (let p = 0; p < w; p++) {
              const [a, b] = Geometry.placeOf(pools, f, q, p), back = Geometry.cellAt(pools, a, b);
              found.push(back.f === f && back.q === q && back.p === p ? 18 * a + b : -1);
            }
            return found;""",
            pools, *storage.shape,
        )  # fmt: skip
        assert got == storage.ravel().tolist()


# ------------------------------------------------------------------------------------------------ reading


def test_the_page_says_something_before_any_click(read):
    reader = read()
    assert "Output (5, 7): membrane with probability" in reader.said() and "of fragment 13." in reader.said()
    assert "offset (r, c) = (5 mod 2, 7 mod 2) = (1, 1) f*kh*kw + r*kw + c = 0·2·2 + 1·2 + 1 = 3" in reader.said("path")
    assert "3·2·2 + 0·2 + 1 = 13" in reader.said("path")
    assert "row 1 + 2·(0 + 2·1) = 5, column 1 + 2·(1 + 2·1) = 7" in reader.said("path")
    assert "18 - 8 + 1 = 11" in reader.said("sizes") and "padded to 19 x 23" in reader.said("sizes")


def test_an_output_lights_its_window_and_its_cells(read):
    reader = read()
    net, image = rebuilt(examples()[0][0])
    scores = Chain(net.layers).forward(image[None], train=False)[0, 2, 9]
    probability = float(np.exp(scores[0]) / np.exp(scores).sum())
    reader.point("answer", 5, 2 * 4 * 0 + 1 * 1 + 0, 0, 2)  # fragment 1 = offsets (0, 0), then (0, 1): output (0, 10)
    assert reader.said().startswith("Output (0, 10): membrane") and "fragment 1." in reader.said()
    reader.js("app.hands.point(app.panels.at(-1), Geometry.cellAt([[2, 2], [2, 2]], 2, 9))")
    reader.settle()
    assert float(re.search(r"probability ([\d.]+)\.", reader.said())[1]) == pytest.approx(probability, abs=6e-4)
    assert "rows 2 to 9, columns 9 to 16" in reader.said()
    look = "Looks[panel.flat ? panel.kind : 'storage'](app, panel)"
    lit = reader.js(f"return app.panels.map((panel) => {look}.lit.length)")
    assert lit == [64, 64, 36, 9, 4, 1, 1, 1]


def test_a_cell_lights_all_windows_that_use_it(read):
    reader = read()
    reader.point("storage", 2, 1, 3, 4)
    assert "Cell (3, 4) of fragment 1 behind MPF2x2" in reader.said() and "9 windows use it" in reader.said()
    users = reader.js("return Looks.answer(app, app.panels.at(-1)).lit.map(({ f, q, p }) => "
                      "Geometry.placeOf(app.panels.at(-1).pools, f, q, p))")  # fmt: skip
    assert sorted(users) == [[u, v] for u in (2, 4, 6) for v in (5, 7, 9)]
    reader.point("image", 0, 0, 0, 0)
    assert "Pixel (0, 0)" in reader.said() and "1 window uses it" in reader.said()
    reader.point("image", 0, 0, 18, 3)
    assert "is padding. No kept output sees it." in reader.said()


def test_a_click_holds_and_escape_lets_go(read):
    reader = read()
    reader.point("storage", 1, 0, 4, 4, click=True)
    held = reader.said()
    reader.point("storage", 1, 0, 9, 9)
    assert reader.said() == held and reader.said("hold") == "Let go"
    reader.keys(Keys.ESCAPE)
    reader.point("storage", 1, 0, 9, 9)
    assert "Cell (9, 9)" in reader.said()


def test_keys_move_from_cell_to_cell_and_from_tile_to_tile(read):
    reader = read()
    reader.js("app.panels.find((panel) => panel.kind === 'storage' && panel.stage === 2).canvas.focus()")
    reader.keys(Keys.ARROW_DOWN)
    assert "Cell (2, 3) of fragment 3" in reader.said()
    reader.keys(Keys.ARROW_DOWN)
    assert "Cell (3, 3) of fragment 3" in reader.said()
    reader.keys(Keys.ARROW_UP)
    assert "Cell (2, 3) of fragment 3" in reader.said()
    reader.keys(*[Keys.ARROW_UP] * 3)
    assert "Cell (7, 3) of fragment 1" in reader.said()
    assert reader.js("return document.activeElement.getAttribute('aria-label')").startswith("MPF2x2")


def test_the_arrows_on_the_page_move_the_output_by_one(read):
    reader = read()
    for arrow, output in (("0,1", "(5, 8)"), ("1,0", "(6, 8)"), ("0,-1", "(6, 7)")):
        reader.js("document.querySelector(`[data-move='${arguments[0]}']`).click()", arrow)
        reader.settle()
        assert reader.said().startswith(f"Output {output}")


def test_a_finger_points_too_on_a_phone(read):
    reader = read(width=360, height=740)
    x, y = reader.place("answer", 5, 0, 0, 1)  # output (0, 4)
    touch = [{"x": x, "y": y}]
    reader.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    reader.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": touch})
    reader.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    time.sleep(0.4)  # until the browser takes it for a tap
    reader.settle()
    assert reader.said().startswith("Output (0, 4)") and reader.said("hold") == "Let go"
    reader.js("document.querySelector('[data-move=\"0,1\"]').click()")
    reader.settle()
    assert reader.said().startswith("Output (0, 5)")
    reader.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


# ------------------------------------------------------------------------------------------------ steps


def counted(reader, row):
    text = reader.js("return document.querySelectorAll('#meter small')[arguments[0]].textContent", row)
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", text)]


def test_steps_count_multiplications_as_the_library_does(read):
    reader = read()
    net, image = rebuilt(examples()[0][0])
    alone = sum(row.flop for row in net.as_patch().plan((8, 8))) // 2
    reader.choose("mode", "patch")
    reader.slide(4)
    assert counted(reader, 0)[0] == 5 * alone and "Window (0, 4)" in reader.said("step")
    reader.press("next")
    assert counted(reader, 0)[0] == 6 * alone and "Window (0, 5)" in reader.said("step")
    reader.press("back")
    assert counted(reader, 0)[0] == 5 * alone
    reader.choose("mode", "fragments")
    for step, storages in ((0, 0), (1, 1), (5, 1), (6, 1.25), (9, 2), (42, 3)):
        reader.slide(step)
        rows = [row.flop // 2 for row in net.plan(image.shape[:2]) if row.flop]
        wanted = sum(rows[: int(storages)]) + (storages % 1) * rows[min(int(storages), 2)]
        assert counted(reader, 1)[0] == wanted
    assert reader.js("return app.panels.find((panel) => panel.stage === 5).m") == 1  # they have moved together
    reader.choose("mode", "dilated")
    reader.slide(6)
    assert counted(reader, 2)[0] == 16 * 19 * 27 + 13 * 16 * 36 + 11 * 14 * 6


def test_windows_alone_compute_cells_again(read):
    reader = read()
    reader.choose("mode", "patch")
    reader.slide(153)
    most = reader.js("return app.counts.map(({ data }) => Math.max(...data))")
    assert most == [64, 36, 9, 4, 1, 1]
    assert reader.js("return app.counts.map(({ data }) => data.reduce((a, b) => a + b))") == [
        154 * n for n in (64, 36, 9, 4, 1, 1)
    ]


def test_play_runs_to_the_end(read):
    reader = read()
    reader.choose("mode", "dilated")
    reader.js("PACE.dilated = 10")
    reader.press("play")
    time.sleep(0.5)
    assert reader.said("step").startswith("7 of 7") and reader.js("return app.playing") is None
    assert reader.js("return app.model.windows") == 154


def test_fragments_glide_unless_motion_is_reduced(read):
    for calm in (True, False):
        reader = read(calm=calm)
        reader.choose("mode", "dilated")
        moved = reader.js("return app.panels.find((panel) => panel.stage === 2).m")
        assert moved == 1 if calm else 0 <= moved < 1
        time.sleep(1.2)
        assert reader.js("return app.panels.find((panel) => panel.stage === 2).m") == 1


# ------------------------------------------------------------------------------------------------ backward


def gradient(image, deltas):
    pool = MaxPoolFragment(2)
    pool.forward(image.reshape(1, 5, 5, 1))
    return pool.backward(deltas)[0, :, :, 0]


def test_deltas_add_up_at_the_winner_fragment_by_fragment(read):
    reader = read()
    reader.choose("scene", 2)
    reader.choose("mode", "backward")
    assert "Pixel (3, 3) won in fragments 0, 1, 2 and 3 and adds up: 4 + 8 + 12 + 16 = 40." in reader.said()
    reader.point("gradient", 0, 0, 3, 3, click=True)
    for step, sum_ in ((2, "its delta is 4"), (3, "4 + 8 = 12"), (4, "4 + 8 + 12 = 24"), (5, "= 40")):
        reader.slide(step)
        assert sum_ in reader.said()
    assert "f_0 = f_0 + MP_bkp(delta_3, mpIDXS_3)" in reader.said("algorithm")
    _, image = rebuilt(examples()[2][0])
    wanted = gradient(image, np.arange(1.0, 17).reshape(4, 2, 2, 1))
    assert reader.js("return [...app.model.dx(0).data]") == wanted.ravel().tolist()


def test_chosen_deltas_go_back(read):
    reader = read()
    reader.choose("scene", 2)
    reader.choose("mode", "backward")
    reader.js("[...document.querySelectorAll('#presets button')].at(-1).click()")
    reader.settle()
    assert reader.js("return app.model.dx(0).data.every((d) => d === 0)")
    reader.point("answer", 1, 3, 1, 0, click=True)  # output (3, 1)
    field = reader.driver.find_element("css selector", "#value input")
    assert "dy[3, 1]" in reader.said("value") and field.get_attribute("value") == "1"
    field.clear()
    field.send_keys("-2.5")
    reader.settle()
    assert reader.js("return app.model.dx(0).data[5 * 3 + 1]") == -2.5


def test_of_equal_pixels_the_first_wins(read):
    reader = read()
    reader.choose("scene", 2)
    reader.choose("mode", "backward")
    reader.point("image", 0, 0, 0, 1, click=True)  # 0.6, beside 1.2
    reader.press("tie")
    assert reader.js("return app.model.image.data[1]") == 1.2 and "edited" in reader.said("image")
    assert "Pixel (0, 1) won in fragments 0 and 1 and adds up: 1 + 5 = 6." in reader.said()
    assert "max(1.2, 1.2, 1, 0.5) = 1.2, won at (0, 1). A tie: the first in row-major order wins" in reader.said("path")
    _, image = rebuilt(examples()[2][0])
    image[0, 1] = 1.2
    wanted = gradient(image, np.arange(1.0, 17).reshape(4, 2, 2, 1))
    assert reader.js("return [...app.model.dx(0).data]") == wanted.ravel().tolist()
    field = reader.driver.find_element("css selector", "#value input")
    field.clear()
    field.send_keys("1.1")
    reader.settle()
    image[0, 1] = 1.1
    assert (
        reader.js("return [...app.model.dx(0).data]")
        == gradient(image, np.arange(1.0, 17).reshape(4, 2, 2, 1)).ravel().tolist()
    )
    reader.press("undo")
    assert not reader.js("return app.model.edited")


def test_ties_behind_a_convolution(read):
    reader = read()
    reader.choose("mode", "backward")
    assert reader.js("return app.model.tied(2, 0).length") == 0
    reader.point("image", 0, 0, 8, 10, click=True)
    reader.press("tie")
    assert reader.js("return app.model.tied(2, 0).length") > 0


# ------------------------------------------------------------------------------------------------ looks


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 820, 360])
def test_every_mode_fits_and_is_drawn(read, width, dark):
    reader = read(width=width, dark=dark)
    for example in range(3):
        reader.choose("scene", example)
        for mode in MODES:
            reader.choose("mode", mode)
            assert reader.js("return document.documentElement.scrollWidth") <= width
            reader.js("document.querySelector('.views').scrollIntoView()")
            png = reader.screenshot(f"{example}_{mode}_{width}_{'dark' if dark else 'light'}")
            picture = Image.open(io.BytesIO(png)).convert("L")
            assert (np.median(np.asarray(picture)) < 60) == dark
            colours = reader.js(
                """return app.panels.filter((panel) => panel.canvas.clientWidth).map(({ canvas }) => {
                  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                  return new Set(new Uint32Array(data.buffer)).size;
                });"""
            )
            assert min(colours) > 1 and max(colours) > 15


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: 'make explorer-check' takes it from npm")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_core_finds_nothing(read, dark):
    reader = read(dark=dark)
    reader.js(AXE.read_text(encoding="utf-8"))
    for mode in MODES:
        reader.choose("mode", mode)
        found = reader.driver.execute_async_script("axe.run().then(arguments[0])")
        assert len(found["passes"]) > 20
        assert [(rule["id"], [node["target"] for node in rule["nodes"]]) for rule in found["violations"]] == []


def test_a_page_of_ones_own(read, tmp_path):
    net = Net.load(ROOT / "tutorials/models/first_net.npz").astype(np.float64)
    image = np.random.default_rng(0).standard_normal((33, 40, 1))
    (tmp_path / "own.html").write_text(page([scene(net, image, "first_net")]), encoding="utf-8")
    reader = read(tmp_path / "own.html")
    close(reader.js("return [...app.model.run.y.data]"), net.forward(image[None]))
    assert "class 0 with probability" in reader.said() and not reader.js("return $('scenes').offsetParent")


def odd_nets():
    """Nets without pools, with pools alone, that begin with an activation, and with one output or none to spare."""
    yield Net.from_spec("C3x3x2 FC3", in_maps=3, rng=0), (9, 10)
    yield Net.from_spec("C2x1x1 MPF1x3 FC1", in_maps=2, rng=0), (8, 9)
    yield (
        Sequential([Relu(), MaxPoolFragment((3, 1)), Tanh(), MaxPoolFragment(2), FullyConnected(1, 1, rng=0)]),
        (11, 9),
    )
    yield Sequential([MaxPoolFragment((3, 2)), MaxPoolFragment(2)]), (6, 4)
    yield Sequential([Tanh()]), (2, 3)


@pytest.mark.parametrize("number", range(5))
def test_every_step_of_odd_nets_can_be_shown(read, tmp_path, number):
    net, size = list(odd_nets())[number]
    image = np.random.default_rng(number).standard_normal((*size, net.in_maps))
    (tmp_path / "odd.html").write_text(page([scene(net, image, "odd")]), encoding="utf-8")
    reader = read(tmp_path / "odd.html")
    for mode in MODES:
        reader.choose("mode", mode)
        for step in range(reader.js("return app.steps.length")):
            reader.js("app.go(arguments[0]); app.draw(0)", step)
        reader.js("for (const p of app.panels) { app.hands.point(p, Geometry.cellAt(p.pools, 1, 2)); app.draw(0); }")
        reader.js("app.hands.move(app.panels[0], 0, 1); app.hands.press(app.panels.at(-1), { f: 0, q: 0, p: 0 })")
        assert "NaN" not in reader.said("readout") + reader.said() and "undefined" not in reader.said("readout")
    reader.js("app.sel = { stage: 0, a: 1, b: 1 }; app.draw(0); if (!$('tie').hidden) $('tie').click()")
    reader.settle()
