# `make book` and `make test` are the two that you need; both make the environment first. `make help` lists the rest.

# The first Python of these that is there and new enough. Another one: make book PYTHON=/path/to/python
PYTHON = $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,\
	$(if $(shell $(name) -c 'import sys; print("yes" if sys.version_info >= (3, 11) else "")' 2>/dev/null),$(name))))
VENV = .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/installed
PROFILE = quick
DEVICE = cpu
NO_UNIT_TESTS = book browser chapters coursework grading notebooks pictures print repository
UNIT_TESTS = $(filter-out $(NO_UNIT_TESTS:%=tests/test_%.py),$(wildcard tests/test_*.py))
# Without what needs the book's tools, and without the textbook's network, which dies on TensorFlow 2.18 (see prior.Dense).
VERSION_TESTS = $(filter-out $(patsubst %,tests/test_%.py,benchmark cards textbook),$(UNIT_TESTS))
RUNNERS = hypothesis ipykernel jupytext nbclient pytest
PYTHON_FILES = vqlib tests notebooks/run.py notebooks/coursework.py book/_ext book/print.py

.DEFAULT_GOAL = help
.PHONY: help install book pdf links test test-jax notebooks text coursework grade wheel-test oldest newest benchmark lint format clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /|/' | while IFS='|' read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done

install: $(INSTALLED) ## make the environment in .venv, with every version pinned

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found. See https://www.python.org/downloads/"; exit 1; }
	@echo "Making the environment in $(VENV): about 3 GB, a few minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[book,test,coursework]"
	@touch $@

# A page that was read with a warning is not read again by the next build: forget all pages, or that build would pass.
book: $(INSTALLED) ## build the book from the committed notebooks; any warning is an error
	$(BIN)/jupyter-book build . -q -n -W --keep-going || { rm -rf _build/.doctrees; exit 1; }
	@echo "The book is built. Open $(CURDIR)/_build/html/index.html"

pdf: book ## print the whole book into one PDF; needs Chromium or Chrome
	$(BIN)/python book/print.py _build/html _build/book.pdf

links: $(INSTALLED) ## ask for every address outside the book; needs a network
	$(BIN)/jupyter-book build . -q --builder linkcheck --path-output build/links \
		|| { grep -F '[broken]' build/links/_build/html/output.txt; exit 1; }

# An empty MPLBACKEND, so that one set elsewhere does not keep figures out of the notebooks.
test: $(INSTALLED) ## run everything: notebooks, unit tests, pairs, book, links
	VQLIB_PROFILE=quick MPLBACKEND= $(BIN)/python -m pytest -p no:randomly --durations=10 \
		--nbval --nbval-current-env --nbval-cell-timeout=300 --ignore=notebooks/coursework/student notebooks tests

test-jax: $(INSTALLED) ## run the unit tests of vqlib on Keras's JAX backend; adds JAX to the environment
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[jax]"
	KERAS_BACKEND=jax VQLIB_PROFILE=quick $(BIN)/python -m pytest -p no:randomly --durations=10 $(UNIT_TESTS)

notebooks: $(INSTALLED) ## run the chapters; PROFILE=full retrains and rewrites them, CHAPTER=3 one, FORCE=1 afresh
	$(BIN)/python notebooks/run.py --profile $(PROFILE) $(addprefix --chapter ,$(CHAPTER)) $(if $(FORCE),--force)

text: $(INSTALLED) ## bring changed text of chapters into their notebooks; refuses changed code but in the first cell
	$(BIN)/python notebooks/run.py --text

coursework: $(INSTALLED) ## make the assignments into build/coursework, and what students fetch; ASSIGNMENT=01 one
	$(BIN)/python notebooks/coursework.py $(ASSIGNMENT)

# ROSTER=students.csv DEADLINE=2026-12-01T23:59 OUT=folder JOBS=4, if you like.
grade: $(INSTALLED) ## grade a folder of notebooks: make grade ASSIGNMENT=01 SUBMISSIONS=folder
	$(BIN)/python -m vqgrader grade \
		$(or $(wildcard build/coursework/$(ASSIGNMENT)-*),build/coursework/$(ASSIGNMENT)) $(if $(SUBMISSIONS),"$(SUBMISSIONS)") \
		$(if $(OUT),--out "$(OUT)") $(if $(ROSTER),--roster "$(ROSTER)") $(if $(DEADLINE),--deadline $(DEADLINE)) \
		$(if $(JOBS),--jobs $(JOBS))

wheel-test: $(INSTALLED) ## run every chapter from an empty folder, with only the built wheel installed
	rm -rf build
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/wheel .
	$(PYTHON) -m venv build/venv
	build/venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		build/wheel/*.whl ipykernel jupytext nbclient
	build/venv/bin/python notebooks/run.py --profile quick

# The supported range is that of pyproject.toml: its lowest versions, and the newest that it admits.
oldest: RESOLUTION = lowest-direct
newest: RESOLUTION = highest
oldest: ## run unit tests and three chapters with the oldest supported versions
newest: ## the same with the newest
oldest newest:
	rm -rf build/$@
	$(PYTHON) -m venv build/$@
	build/$@/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	build/$@/bin/uv pip compile --quiet --resolution $(RESOLUTION) --output-file build/$@/versions.txt pyproject.toml
	build/$@/bin/uv pip install --quiet --python build/$@/bin/python -r build/$@/versions.txt $(RUNNERS) -e .
	VQLIB_PROFILE=quick build/$@/bin/python -m pytest -p no:randomly $(VERSION_TESTS)
	build/$@/bin/python notebooks/run.py --profile quick --chapter 1 4 5

benchmark: $(INSTALLED) ## time vqlib against the textbook's way, a quarter of an hour; DEVICE=gpu on a GPU
	$(BIN)/python tests/benchmark.py book/benchmarks/$(DEVICE).json

lint: $(INSTALLED) ## check code style, notebooks included, and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

format: $(INSTALLED) ## mend code style; not in notebooks, which are made from book/
	$(BIN)/ruff check --fix $(PYTHON_FILES)
	$(BIN)/ruff format $(PYTHON_FILES)

clean: ## remove what was built, but neither the environment nor kept trainings (runs/)
	rm -rf _build build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find vqlib tests notebooks book -name __pycache__ -type d -prune -exec rm -rf {} +
