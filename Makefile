# `make demo`: a first conversation on a fresh machine. `make test`: everything that CI runs.
# `make fuzz`: 20,000 requests that nobody would send.

.PHONY: demo test bench fuzz lint release clean

UV := $(or $(shell command -v uv 2>/dev/null),.tools/bin/uv)

demo: .venv/ready
	$(UV) run --locked python scripts/demo.py

# The conversations that the first suites hold are recorded for `docs/protocol.md`'s test.
test: export PROTOCOL_RECORDINGS := $(CURDIR)/.build/recordings
test: .venv/ready lint
	rm -rf .build/recordings && mkdir -p .build/recordings
	cd template/engine && ../../.venv/bin/pytest -q
	cd template && ../.venv/bin/pytest -q
	cd tests/app && ../../.venv/bin/pytest -q
	$(UV) run --locked pytest -q

lint: .venv/ready
	$(UV) run --locked ruff check .
	$(UV) run --locked ruff format --check .
	cd template && ../.venv/bin/pyright --pythonpath ../.venv/bin/python
	cd template && ../.venv/bin/lint-imports

bench: .venv/ready
	$(UV) run --locked python bench/run.py

fuzz: .venv/ready
	$(UV) run --locked --with 'schemathesis>=4.32,<5' python bench/fuzz.py

release: test
	$(UV) run --locked python scripts/release.py

manifest: .venv/ready
	$(UV) run --locked python -c "from chatkit_engine import manifest; manifest.write('0.1.0')"

clean:
	rm -rf .venv .tools .build

.venv/ready: pyproject.toml uv.lock | $(UV)
	$(UV) sync --locked
	touch $@

.tools/bin/uv:
	python3 -m venv .tools
	.tools/bin/pip install --quiet uv
