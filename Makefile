# make demo | make test: all that a fresh checkout needs is python3 >= 3.11 and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH := $(shell sed -n '/^torch==/p' constraints.txt)
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
WEB := viewer/web
WEB_BUILT := $(WEB)/dist/fingerprint
WEB_SOURCES := $(shell find $(WEB)/src $(WEB)/*.json $(WEB)/*.mjs -type f)

# viser and the dashboard want other versions of rich.
PEER := .venv-viser

.PHONY: demo test install install-dev chromium bench-sfm bench-ba bench-retrieval bench-matching bench-kill bench-cluster bench-engine bench-dashboard bench-radiance bench-planar bench-dense bench-viewer bench-potree bench-octree bench-frames clean

demo: install
	$(BIN)/barfield demo $(if $(QUICK),--quick)

install: $(INSTALLED) $(WEB_BUILT)

install-dev: $(INSTALLED_DEV) $(WEB_BUILT) chromium

test: install-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -m "not open3d"
	$(BIN)/python -m pytest -q -m open3d tests/dense tests/sample_scenes # others import torch

bench-sfm: install-dev
	$(BIN)/python -m tests.bench.bench_sfm

bench-ba: install-dev
	$(BIN)/python -m tests.bench.bench_bundle

bench-retrieval: install-dev
	$(BIN)/python -m tests.bench.bench_retrieval

bench-matching: install-dev
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1 \
		$(BIN)/python -m tests.bench.bench_matching

bench-kill: install-dev
	$(BIN)/python -m tests.bench.bench_kill

bench-engine: install-dev
	$(BIN)/python -m tests.bench.bench_engine

bench-dashboard: install-dev
	$(BIN)/python -m tests.bench.bench_dashboard $(PARTS)

bench-radiance: install-dev
	$(BIN)/python -m tests.bench.bench_radiance $(ROWS)

bench-cluster: install-dev
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1 \
		$(BIN)/python -m tests.bench.bench_cluster

bench-planar: install-dev
	$(BIN)/python -m tests.bench.bench_planar

bench-dense: install-dev
	$(BIN)/python -m tests.bench.bench_dense $(ROWS)

bench-viewer: install-dev
	test -x $(PEER)/bin/python || $(PYTHON) -m venv $(PEER)
	$(PEER)/bin/python -m pip --disable-pip-version-check install -q viser==1.1.1
	$(BIN)/python -m tests.bench.bench_viewer --peer $(PEER)/bin/python

bench-frames: install-dev
	$(BIN)/python -m tests.bench.bench_frames

bench-octree: install-dev
	$(BIN)/python -m tests.bench.bench_octree

bench-potree: install-dev
	$(BIN)/python -m tests.bench.bench_potree

clean:
	rm -rf $(VENV) $(PEER) build dist $(WEB)/dist $(WEB)/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './runs/*' -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "barfield needs Python 3.11 or newer, and $(PYTHON) is `$(PYTHON) --version 2>&1`."; \
	  echo "Install it (Debian, Ubuntu: apt install python3.11 python3.11-venv),"; \
	  echo "or name another one: make PYTHON=/path/to/python3 install"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments."; \
	  echo "Install its venv package (Debian, Ubuntu: apt install python3-venv)."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch first and by itself: then pip takes the build that its index settings prefer (CPU or CUDA).
$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -q -c constraints.txt '$(TORCH)'
	$(PIP) install -q -c constraints.txt -e .
	@touch $@

$(INSTALLED_DEV): pyproject.toml constraints.txt | $(INSTALLED)
	$(PIP) install -q -c constraints.txt -e '.[dev]'
	@touch $@

# The tests of the viewer drive the system's browser, and fail where there is none.
chromium:
	@for name in chromium chromium-browser google-chrome; do \
	  command -v $$name >/dev/null 2>&1 && exit 0; done; \
	if [ "`id -u`" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	  export DEBIAN_FRONTEND=noninteractive; \
	  for list in known new; do \
	    test $$list = known || apt-get update -q; \
	    apt-get install -qq -y --no-install-recommends chromium && exit 0; \
	  done; \
	fi; \
	echo "Chromium could not be installed: the tests of the viewer need it, and will fail."; \
	echo "Install it (Debian: apt install chromium)."

# Installing built them; this is for sources that have changed since. Without them all else works.
$(WEB_BUILT): $(WEB_SOURCES) | $(INSTALLED)
	@$(BIN)/python -m viewer.web.build --check || $(BIN)/python -m viewer.web.build || { \
	  echo "Going on without them: the browser gets a plain page."; exit 0; }
	@test ! -f $@ || touch $@
