# `make book` and `make test` are the two that you need; both make the environment first. `make help` lists the rest.

# The first Python of these that is there and in the range. Another one: make book PYTHON=/path/to/python
IN_RANGE = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON = $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,\
	$(shell $(name) -c '$(IN_RANGE)' 2> /dev/null && echo $(name))))
VENV = .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/installed
PROFILE = quick
DEVICE = cpu
WORKERS = 2
PYTHON_FILES = vqlib vqgrader tests $(wildcard notebooks/*.py book/*.py) book/_ext
SCRIPTS = $(filter-out %/digits.js,$(wildcard vqlib/book/static/labs/*.js)) tests/labs/run.cjs # digits.js holds data

# The files that hold tests with a mark, and those that hold unit tests, which have none. Tests are chosen by mark; the
# files are named as well, so that pytest need not import the others, and what these import.
marked = $(shell grep -lE 'pytest\.mark\.($(1))\b' tests/test_*.py)
UNIT_TESTS = $(filter-out $(call marked,book|browser|coursework|grading|lint|notebooks|xla),$(wildcard tests/test_*.py))
RUNNERS = hypothesis ipykernel jupytext nbclient pytest pytest-xdist
PYTEST = $(BIN)/python -m pytest -p no:randomly --durations=10
# A file stays in one worker, and a notebook; tests/conftest.py says in which order, and what workers share.
PARALLEL = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
PIP = -m pip install --quiet --disable-pip-version-check
# What Colab has beside the libraries that vqlib needs, with what runs notebooks here; and what a student's notebook adds.
COLAB_HAS = dill ipykernel ipython ipywidgets jupytext nbclient nbconvert pandas pyyaml
STUDENTS_ADD = otter-grader fica ipylab python-frontmatter

.DEFAULT_GOAL = help
.PHONY: help install book pdf links test unit coverage test-jax test-xla notebooks text coursework grade colab colab-versions \
	oldest newest dist benchmark address lint format clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /|/' | while IFS='|' read -r name text; do printf '  make %-14s %s\n' "$$name" "$$text"; done

install: $(INSTALLED) ## make the environment in .venv, with every version pinned

$(INSTALLED): pyproject.toml constraints.txt vqlib/_version.py
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(IN_RANGE)' 2> /dev/null || { \
		echo "Python 3.11 to 3.13 is needed, and $(if $(PYTHON),$(PYTHON) is not that,none was found)."; \
		echo "See https://www.python.org/downloads/, and name it: make book PYTHON=/path/to/python"; exit 1; }
	@echo "Making the environment in $(VENV): about 3 GB, a few minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) -c constraints.txt -e ".[book,test,grader]"
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

# Two workers on two cores: threads of OpenMP and OpenBLAS that wait for work take no turn at a core from the other one.
# As many threads as without this, so the last digits are the same.
test unit coverage test-jax: export OMP_WAIT_POLICY = PASSIVE
test unit coverage test-jax: export OPENBLAS_THREAD_TIMEOUT = 4

# An empty MPLBACKEND, so that one set elsewhere does not keep figures out of the notebooks.
test: lint ## run everything: style, types, notebooks, unit tests, grading, pairs, book, links
	VQLIB_PROFILE=quick MPLBACKEND= $(PYTEST) $(PARALLEL) -m "not lint" \
		--nbval --nbval-current-env --nbval-cell-timeout=1200 --ignore=notebooks/coursework/student notebooks tests

unit: $(INSTALLED) ## run the tests of vqlib alone
	VQLIB_PROFILE=quick $(PYTEST) $(PARALLEL) -m unit $(UNIT_TESTS)

coverage: $(INSTALLED) ## show which lines and branches of vqlib and the grader no test reaches
	mkdir -p build/coverage
	VQLIB_PROFILE=quick $(PYTEST) $(PARALLEL) -m "unit or xla or grading" --cov --cov-report= tests
	$(BIN)/python -m coverage html --quiet
	$(BIN)/python -m coverage report

test-jax: $(INSTALLED) ## run the unit tests of vqlib on Keras's JAX backend; adds JAX to the environment
	$(BIN)/python $(PIP) -c constraints.txt -e ".[jax]"
	KERAS_BACKEND=jax VQLIB_PROFILE=quick $(PYTEST) $(PARALLEL) -m unit $(UNIT_TESTS)

test-xla: $(INSTALLED) ## train each model compiled by XLA, as Keras does on a GPU
	VQLIB_PROFILE=quick $(PYTEST) -m xla $(call marked,xla)

notebooks: $(INSTALLED) ## run the chapters; PROFILE=full retrains and rewrites them, CHAPTER=3 one, FORCE=1 afresh
	$(BIN)/python notebooks/run.py --profile $(PROFILE) $(addprefix --chapter ,$(CHAPTER)) $(if $(FORCE),--force)

text: $(INSTALLED) ## bring changed text of chapters into their notebooks; refuses changed code, except in the first cell
	$(BIN)/python notebooks/run.py --text

coursework: $(INSTALLED) ## make the assignments into build/coursework, and what students fetch; ASSIGNMENT=01 one
	$(BIN)/python notebooks/coursework.py $(ASSIGNMENT)

# ROSTER=students.csv DEADLINE=2026-12-01T23:59 OUT=folder JOBS=4, if you like.
grade: $(INSTALLED) ## grade a folder of notebooks: make grade ASSIGNMENT=01 SUBMISSIONS=folder
	$(BIN)/python -m vqgrader grade \
		$(or $(wildcard build/coursework/$(ASSIGNMENT)-*),build/coursework/$(ASSIGNMENT)) $(if $(SUBMISSIONS),"$(SUBMISSIONS)") \
		$(if $(OUT),--out "$(OUT)") $(if $(ROSTER),--roster "$(ROSTER)") $(if $(DEADLINE),--deadline $(DEADLINE)) \
		$(if $(JOBS),--jobs $(JOBS))

# Colab's Python, versions and kernel. Nothing but the wheel, from an empty folder.
colab: PYTHON = python3.13
colab: ## run every chapter and an assignment with the versions of Google Colab; PYTHON=/path/to/python3.13
	@$(PYTHON) -c 'import sys; assert sys.version_info[:2] == (3, 13)' 2> /dev/null || { \
		echo "Colab has Python 3.13, and $(PYTHON) is not there or not that: make colab PYTHON=/path/to/python3.13"; exit 1; }
	rm -rf build/colab build/lib build/bdist.*
	$(PYTHON) -m venv build/colab/venv
	build/colab/venv/bin/python $(PIP) -c constraints-colab.txt setuptools
	build/colab/venv/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/colab .
	build/colab/venv/bin/python $(PIP) -c constraints-colab.txt $(COLAB_HAS) "$$(ls build/colab/*.whl)[chapters]"
	build/colab/venv/bin/python $(PIP) -c constraints.txt --no-deps $(STUDENTS_ADD)
	env -u PYTHONPATH build/colab/venv/bin/python notebooks/run.py --profile quick
	env -u PYTHONPATH build/colab/venv/bin/python notebooks/colab.py assignment

colab-versions: ## bring constraints-colab.txt up to date with Colab's list: LIST=pip-freeze.txt
	$(PYTHON) notebooks/colab.py renew "$(LIST)"

# The supported range is that of pyproject.toml: its lowest versions, and the newest that it admits.
oldest: RESOLUTION = lowest-direct
newest: RESOLUTION = highest
oldest: ## run unit tests and every chapter with the oldest supported versions
newest: ## run unit tests and every chapter with the newest supported versions
oldest newest:
	rm -rf build/$@
	$(PYTHON) -m venv build/$@
	build/$@/bin/python $(PIP) -c constraints.txt uv
	build/$@/bin/uv pip compile --quiet --python build/$@/bin/python --resolution $(RESOLUTION) --extra chapters \
		--output-file build/$@/versions.txt pyproject.toml
	build/$@/bin/uv pip install --quiet --python build/$@/bin/python -r build/$@/versions.txt $(RUNNERS) -e .
	VQLIB_PROFILE=quick build/$@/bin/python -m pytest -p no:randomly $(PARALLEL) -m unit $(UNIT_TESTS)
	build/$@/bin/python notebooks/run.py --profile quick

dist: $(INSTALLED) ## make the files that PyPI gets; TAG=v1.2.3 has to be the version
	@test -z "$(TAG)" || test "$(TAG)" = "v$$($(BIN)/python -c 'import vqlib; print(vqlib.__version__)')" || { \
		echo "$(TAG) is not the version in vqlib/_version.py"; exit 1; }
	rm -rf build/lib build/bdist.* build/uv dist
	$(PYTHON) -m venv build/uv
	build/uv/bin/python $(PIP) -c constraints.txt uv
	build/uv/bin/uv build --quiet

benchmark: $(INSTALLED) ## time vqlib against the textbook's way, a quarter of an hour; DEVICE=gpu on a GPU
	$(BIN)/python tests/benchmark.py book/benchmarks/$(DEVICE).json

address: $(INSTALLED) ## set the repository's public address everywhere: make address URL=https://github.com/owner/name
	$(BIN)/python book/address.py "$(URL)"

lint: $(INSTALLED) ## check code style, notebooks included, types, spelling, and what files say of each other
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ruff format --check --line-length 80 notebooks/*.ipynb
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/deno fmt --quiet --check --config tests/labs/deno.json $(SCRIPTS)
	$(BIN)/deno lint --quiet --config tests/labs/deno.json $(SCRIPTS)
	$(BIN)/deno check --quiet --config tests/labs/deno.json $(SCRIPTS)
	$(BIN)/python -m pytest -q -p no:randomly -m lint $(call marked,lint)

format: $(INSTALLED) ## mend code style; not in notebooks, which are made from book/
	$(BIN)/deno fmt --quiet --config tests/labs/deno.json $(SCRIPTS)
	$(BIN)/ruff check --fix $(PYTHON_FILES)
	$(BIN)/ruff format $(PYTHON_FILES)

clean: ## remove what was built, but neither the environment nor kept trainings (runs/)
	rm -rf _build build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find vqlib vqgrader tests notebooks book -name __pycache__ -type d -prune -exec rm -rf {} +
