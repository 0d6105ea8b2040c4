# Every target makes its own environment in .venv; it is never activated.
# Without make:  python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && .venv/bin/python -m pytest

# On Windows, GNU make runs the recipes in the sh of Git, which has to be on the PATH: start make in Git Bash.
ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN := .venv/Scripts
else
PYTHON ?= python3
BIN := .venv/bin
endif
# Notebooks run with the kernel of .venv, not with one of the user's that has the same name.
export JUPYTER_PREFER_ENV_PATH = 1

.PHONY: demo test test-slow test-tutorials explorer-check gpu-check lint
.PHONY: tutorials progress slides site site-check dist clean

demo: .venv/stamp-plot
	$(BIN)/tinympcnn demo

test: .venv/stamp-test
	$(BIN)/python -m pytest

# What takes long, and many examples of every property; with the notebooks where `make test-tutorials` has installed
# what they need.
test-slow: .venv/stamp-test
	$(BIN)/python -m pytest -m "slow or hypothesis" --hypothesis-profile many

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

# The documentation, in build/site, from the Markdown pages, the notebooks as they are, and the docstrings.
site: .venv/stamp-site
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -c docs -d build/doctrees . build/site

# Every page in headless Chromium, which has to be installed, as on a desktop and as on a phone.
site-check: site
	$(BIN)/python docs/look.py build/site build/screenshots

# Source distribution and wheel, checked; and the demo, run by the wheel alone in an environment that is otherwise empty.
EMPTY := build/empty/$(notdir $(BIN))
dist: .venv/stamp-dist
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(PYTHON) -m venv --clear build/empty
	$(EMPTY)/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	$(EMPTY)/tinympcnn demo -o build/demo

# An environment that is half made, or of too old a Python, is made anew.
.venv/stamp-%: setup.cfg pyproject.toml
	$(BIN)/python -c "import pip, sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
