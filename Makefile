# Two commands matter: `make run` and `make test`. Both set everything up, the first time in a minute or two.
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN := $(UV) run --no-sync
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test check bench wheels setup soak clean

run: setup ## start Homeport and open the dashboard
	@$(RUN) homeport

test: setup ## run the checks and tests; with CI=true also the long ones, and branch coverage by package
	@$(RUN) python tests/run.py

check: setup ## only the static checks
	@$(RUN) python -m pytest -q -n 2 tests/workspace/test_checks.py

bench: setup ## compare with peers; prints ratios
	@$(RUN) python -m tests.benchmarks

soak: setup ## the long tests: in a browser, by conformance clients, and whole hosts killed, attacked and filled up
	@$(RUN) python -m pytest -q tests/attacks tests/conformance tests/end_to_end tests/faults
	@HOMEPORT_KILLS=10 $(RUN) python -m pytest -q -n 2 -m "browser or faults or slow"
	@HOMEPORT_KILLS=50 $(RUN) python -m pytest -q tests/servers/rag/test_faults.py -k kill
	@HOMEPORT_KILLS=100 HOMEPORT_OUTAGE=10 $(RUN) python -m pytest -q -s tests/host/engine/test_crashes.py

wheels: setup ## build every package into dist/
	@rm -rf dist && $(UV) build --quiet --all-packages --wheel --out-dir dist

setup: .venv/.ready shared/web/.built

.venv/.ready: uv.lock pyproject.toml $(wildcard */pyproject.toml) $(wildcard */*/pyproject.toml) | $(UV)
	@echo "Installing the packages into .venv …"
	@$(UV) sync --quiet --frozen --all-packages --all-extras --compile-bytecode
	@touch $@

shared/web/.built: .venv/.ready $(shell find shared/web servers/*/views -type f -not -path '*/node_modules/*' -not -name .built 2>/dev/null)
	@if [ -f shared/web/build.py ]; then $(RUN) python shared/web/build.py && touch $@; fi

.uv/bin/uv:
	@echo "uv is not installed: bringing it into .uv …"
	@python3 -m venv .uv && .uv/bin/pip install --quiet uv

clean: ## remove everything that setup made
	@rm -rf .venv .uv dist shared/web/.built shared/web/node_modules
