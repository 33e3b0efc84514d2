# make run    install, ingest the sample company if the data folder is empty, serve on http://127.0.0.1:8000 (PORT=8123: elsewhere)
# make test   install with the test tools, run the whole suite
# make check  lint, types, import rules
# make bench  the benchmarks, written to bench/ (DATA=folder: also on public question sets)

PYTHON ?= python3
PORT ?= 8000
FOOTNOTE_DATA_DIR ?= data
VENV := .venv
BIN := $(VENV)/bin
EXAMPLE := What happens if three Pawl heartbeats are missed in a row?

export FOOTNOTE_DATA_DIR
export HF_HUB_OFFLINE ?= 1

.PHONY: run test check bench clean

run: $(VENV)/.run
	@PORT=$(PORT) EXAMPLE="$(EXAMPLE)" sh infra/run.sh $(BIN)/footnote

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.bench
	$(BIN)/python -m bench $(if $(DATA),--data $(DATA))

$(VENV)/.run: pyproject.toml constraints.txt infra/install.sh
	@test -e $(VENV)/.dev || PYTHON=$(PYTHON) sh infra/install.sh $(VENV) run
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt infra/install.sh
	PYTHON=$(PYTHON) sh infra/install.sh $(VENV) dev
	@touch $@ $(VENV)/.run

# What is compared with needs the CPU build of FAISS; beside the other one it is left out.
$(VENV)/.bench: $(VENV)/.dev
	! $(BIN)/python -m pip show --quiet faiss-cpu 2>/dev/null || $(BIN)/python -m pip install --quiet -c constraints.txt -e ".[bench]"
	@touch $@

clean:
	rm -rf $(VENV)
