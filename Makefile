# Everything happens in .venv, which is made when it is missing. The README names `demo` and `test`.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: install demo test fuzz lint parity parity-page golden bench clean

install: .venv/.installed

demo: .venv/.installed
	$(BIN)/fhpt-eval demo

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

# 2,000 damaged and hostile files, or as many as 20 minutes allow; a few of them are in `make test`.
fuzz: .venv/.dev
	$(BIN)/python -m tests.fuzz 2000 1200

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

parity: .venv/.dev
	$(BIN)/python -m pytest tests/parity --all-images -q -n 2 --dist worksteal

parity-page: .venv/.dev
	$(BIN)/python -m pytest tests/parity --all-images -q -n 2 --dist worksteal --write-parity

# Holds every number to a record that another version wrote: make golden RECORD=file.json IMAGES=folder
golden: .venv/.dev
	$(BIN)/python -m bench.golden_record compare $(RECORD) --images $(IMAGES)

bench: .venv/.bench
	$(BIN)/python -m bench.ssim_against_skimage
	$(BIN)/python -m bench.brisque_against_piq
	$(BIN)/python -m bench.inception_against_pytorch_fid
	$(BIN)/python -m bench.frechet_against_sqrtm
	$(BIN)/python -m bench.run_against_peers
	$(BIN)/python -m bench.openpose_decoder
	$(BIN)/python -m bench.retrieval_memory
	$(BIN)/python -m bench.run_scales
	$(BIN)/python -m bench.drn_speed drn-tiny --threads 1

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say which with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.installed: .venv/bin/python setup.cfg pyproject.toml
	$(PIP) --editable .
	@touch $@

.venv/.dev: .venv/.installed
	$(PIP) --editable ".[dev,parity]"
	@touch $@

.venv/.bench: .venv/.dev
	$(PIP) --editable ".[dev,parity,bench]"
	@touch $@

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache
