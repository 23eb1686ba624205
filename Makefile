# The book's commands; `make` alone lists them. Each sets up .venv by itself, and again only when
# what it installs has changed.

PYTHON ?= python3 python3.13 python3.12 python3.11
PORT ?= 8000

BIN := .venv/bin
PINS := requirements.txt constraints.txt pyproject.toml
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
FROZEN := --constraint constraints.txt --build-constraint constraints.txt

# Layers as small as the book's are faster on one thread than on two.
export OMP_NUM_THREADS := 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: book serve check test notebooks bench help

book: .venv/book ## build the site into _build/html
	@rm -rf _build  # a page that has not changed would not repeat its warning
	$(BIN)/jupyter-book build . -W -n --keep-going
	@echo "The book is built: _build/html/index.html. To read it in a browser: make serve"

serve: book ## build the site and show it at http://127.0.0.1:8000 (another port: PORT=8001)
	@echo "The book is at http://127.0.0.1:$(PORT)/ until you press Ctrl-C"
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

check: .venv/all ## format, lint, types and the fast tests, in a minute
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow and not lint" tests companion

# In the order of the files: by their numbers of tests, the few but slow ones would come last.
# Three workers for two cores, since kernels, browsers and killed runs make them wait.
test: .venv/all ## everything: package, notebooks, site, wheel
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --cov=companion --cov-config=pyproject.toml

notebooks: .venv/all ## run notebooks and store their outputs (only some: NB=book/intro.ipynb)
	$(BIN)/python -m tools.notebooks run $(NB)
	$(BIN)/python -m tools.readme

bench: .venv/all ## time the layers beside torch.nn, a loop by hand and JAX; minutes
	$(BIN)/python -m tools.bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.venv/made:
	@for python in $(PYTHON); do \
	    if "$$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "Setting up .venv with $$("$$python" --version)"; \
	        "$$python" -m venv .venv && $(PIP) --constraint constraints.txt --upgrade pip && touch $@; \
	        exit; \
	    fi; \
	done; \
	echo "No Python 3.11 or newer with its venv module was found (tried: $(PYTHON))." >&2; \
	echo "Install one (Debian and Ubuntu: python3-venv), or name it: make PYTHON=/path/to/it" >&2; \
	exit 1

.venv/book: .venv/made $(PINS)
	@echo "Installing what the book needs; the first time takes minutes, since PyTorch is large"
	@$(PIP) $(FROZEN) --requirement requirements.txt
	@$(PIP) $(FROZEN) --no-deps --editable .
	@touch $@

.venv/all: .venv/made $(PINS)
	@echo "Installing what the book and its tests need; the first time takes minutes"
	@$(PIP) $(FROZEN) --requirement requirements.txt --editable '.[all]'
	@touch .venv/book $@
