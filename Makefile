# Every target makes its own environment in .venv; it is never activated.
# Without make:  python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && .venv/bin/python -m pytest

PYTHON ?= python3
BIN := .venv/bin
# Notebooks run with the kernel of .venv, not with one of the user's that has the same name.
export JUPYTER_PREFER_ENV_PATH = 1

.PHONY: demo test test-slow test-tutorials explorer-check gpu-check lint tutorials progress slides clean

demo: .venv/stamp-plot
	$(BIN)/tinympcnn demo

test: .venv/stamp-test
	$(BIN)/python -m pytest

# What takes long; with the notebooks where `make test-tutorials` has installed what they need.
test-slow: .venv/stamp-test
	$(BIN)/python -m pytest -m slow

test-tutorials: .venv/stamp-test .venv/stamp-tutorials
	$(BIN)/python -m pytest -m "slow or not slow" tests/test_tutorials.py

# The fragment explorer in a real browser: needs npm and Debian's packages chromium and chromium-driver.
AXE := .venv/axe/node_modules/axe-core/axe.min.js
explorer-check: .venv/stamp-explorer $(AXE)
	EXPLORER_SCREENSHOTS=.venv/explorer $(BIN)/python -m pytest -m "slow or not slow" tests/test_explore.py tests/test_explore_browser.py

$(AXE): .venv/stamp-explorer
	npm install --silent --no-save --no-package-lock --prefix .venv/axe axe-core@4
	touch $@

# On a machine with an NVIDIA GPU; CUDA=cuda13 for CUDA 13. See docs/gpu.md.
CUDA ?= cuda12
gpu-check: .venv/stamp-test .venv/stamp-$(CUDA)
	$(BIN)/python benchmarks/gpu.py

lint: .venv/stamp-test .venv/stamp-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

tutorials: .venv/stamp-tutorials
	$(BIN)/jupyter lab tutorials

# Which exercises of the course pass, in the notebooks as they are saved.
progress: .venv/stamp-tutorials
	$(BIN)/python tutorials/progress.py

# tutorials/slides.html: the key figures of the course, one a page.
slides: .venv/stamp-tutorials
	$(BIN)/python tutorials/slides.py

# An environment that is half made, or of too old a Python, is made anew.
.venv/stamp-%: setup.cfg pyproject.toml
	$(BIN)/python -c "import pip, sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	touch $@

clean:
	rm -rf .venv build *.egg-info
