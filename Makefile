# Every target makes its own environment in .venv; it is never activated.
# Without make:  python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && .venv/bin/python -m pytest

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-tutorials gpu-check lint tutorials clean

demo: .venv/stamp-plot
	$(BIN)/tinympcnn demo

test: .venv/stamp-test
	$(BIN)/python -m pytest

# On a machine with an NVIDIA GPU; CUDA=cuda13 for CUDA 13. See docs/gpu.md.
CUDA ?= cuda12
gpu-check: .venv/stamp-test .venv/stamp-$(CUDA)
	$(BIN)/python benchmarks/gpu.py

lint: .venv/stamp-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The notebooks run as a part of `make test` once what they need is installed.
test-tutorials: .venv/stamp-test .venv/stamp-tutorials
	$(BIN)/python -m pytest tests/test_tutorials.py

tutorials: .venv/stamp-tutorials
	$(BIN)/jupyter lab tutorials

.venv/stamp-%: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	touch $@

clean:
	rm -rf .venv build *.egg-info
