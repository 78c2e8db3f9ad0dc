# Every target sets up what it needs: a clean checkout and a Python of 3.11 or newer are enough.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: help demo demo-host demo-remote demo-image demo-remote-image host-system vm vm-table vm-image power-cuts redfish exec-cost many-clients test lint format bench bench-peers shape worst fuzz mutate oracle differential vectors big docs man clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.developer: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@

demo: $(VENV)/.installed  ## pack, sign and verify an example; see a tampered copy refused
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh docs/examples/demo.sh

demo-host: $(VENV)/.installed  ## a host: install, refuse, run, find damage, repair, roll back
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh docs/examples/demo-host.sh

demo-remote: $(VENV)/.developer  ## two hosts, managed from a desk: install, refuse, roll back, lock down, break the glass
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh docs/examples/demo-remote.sh

demo-image: $(VENV)/.developer  ## a host image: build it, and boot it in QEMU; FOLDER keeps what is fetched
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh docs/examples/demo-image.sh $(or $(FOLDER),build/image)

demo-remote-image: $(VENV)/.developer  ## a host image in QEMU, managed from a desk: show, refuse, lock down, follow its owner
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh docs/examples/demo-remote-image.sh $(or $(FOLDER),build/image)

test: $(VENV)/.developer  ## the whole test suite
	$(BIN)/python -m pytest -n auto --dist loadfile -q

lint: $(VENV)/.developer  ## format, style, types and the layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python docs/generate.py --check

format: $(VENV)/.developer  ## write the code in its one form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed  ## ratios to floors and peers, in one interleaved run
	$(BIN)/python bench/run.py $(BENCH)
	$(BIN)/python docs/generate.py

bench-peers:  ## the peers of PyPI that `make bench` compares with, in .venv-peers
	python3 -m venv .venv-peers
	.venv-peers/bin/pip install --quiet in-toto model-signing pyopenssl

exec-cost: $(VENV)/.developer  ## what a start costs more under the guard and under fapolicyd (root), for docs/enforcement.md
	PYTHONPATH=tests $(BIN)/python bench/exec_cost.py
	$(BIN)/python docs/generate.py

shape: $(VENV)/.installed  ## how much code there is, and of what kind
	$(BIN)/python bench/shape.py

worst: $(VENV)/.developer  ## what the worst input of every kind costs to read, for docs/limits.md
	PYTHONPATH=tests $(BIN)/python bench/worst.py $(WORST)
	$(BIN)/python docs/generate.py

$(VENV)/.fuzzer: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz
	@touch $@

fuzz: $(VENV)/.fuzzer  ## every fuzz target for 60 s, or: make fuzz SECONDS=600 TARGET=cms
	$(BIN)/python fuzz/run.py --seconds $(or $(SECONDS),60) $(TARGET)

esxi-db: $(VENV)/.developer  ## a genuine host's database, judged as openssl judges it: make esxi-db DB=copy/var/db/esximg
	MODSEAL_ESXI_DB=$(abspath $(DB)) $(BIN)/python -m pytest -q -s tests/real/test_esxi_database.py

oracle: $(VENV)/.developer  ## path validation against another validator, on 12,000 generated chains
	MODSEAL_ORACLE_CASES=12000 $(BIN)/python -m pytest -q tests/trust/test_oracle.py

$(VENV)/.mutator: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group mutate
	@touch $@

mutate: $(VENV)/.mutator  ## which changes of the verify path no test notices, or: make mutate MUTATE="cms --again"
	$(BIN)/python tests/mutation/run.py --minimum 95 $(MUTATE)

differential: $(VENV)/.developer  ## 5,000 archives of each kind, as ar, tar, bsdtar and Python see them, and as many cases of each short way: COUNT=5000 FROM=0 ONLY=short_way
	MODSEAL_DIFFERENTIAL=$(or $(COUNT),5000) MODSEAL_DIFFERENTIAL_FROM=$(or $(FROM),0) $(BIN)/python -m pytest -n auto -q -rP $(if $(ONLY),-k "$(ONLY)") tests/differential

vectors: $(VENV)/.developer  ## write the test vectors for other implementations again
	$(BIN)/python tests/vectors/make.py

big: $(VENV)/.developer  ## payloads and files beyond 4 GiB (sparse), and files that change while they are read
	MODSEAL_BIG=1 $(BIN)/python -m pytest -n auto -q -rP tests/crash/test_swapped_files.py

host-system: $(VENV)/.developer  ## hosts under a real systemd (root, mmdebstrap), and killed at every single write
	MODSEAL_HOST_SYSTEM=1 $(BIN)/python -m pytest -q -rs tests/host/test_system.py tests/serve/test_system_serve.py
	MODSEAL_EACH_WRITE=1 $(BIN)/python -m pytest -n auto -q tests/host/test_killed.py

many-clients: $(VENV)/.developer  ## `modseal serve` while 2,000 connections are held, or: make many-clients CLIENTS=5000
	MODSEAL_CLIENTS=$(or $(CLIENTS),2000) $(BIN)/python -m pytest -q tests/serve/test_connections.py tests/serve/test_attacks_http.py

$(VENV)-redfish/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)-redfish
	$(VENV)-redfish/bin/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	$(VENV)-redfish/bin/python -m pip install --quiet --disable-pip-version-check --group redfish
	@touch $@

# The schemas are DMTF's: DSP8010.zip of dmtf.org, or the folder csdl/ of its repository Redfish-Publications on GitHub.
redfish: $(VENV)/.developer $(VENV)-redfish/.installed  ## modseal serve, judged by DMTF's validator and clients of others: SCHEMAS=the folder csdl of DSP8010
	@test -n "$(SCHEMAS)" || echo "no SCHEMAS=...: the validator judges nothing. They are in DMTF's DSP8010.zip (dmtf.org), folder csdl."
	MODSEAL_REDFISH=$(CURDIR)/$(VENV)-redfish MODSEAL_REDFISH_SCHEMAS=$(if $(SCHEMAS),$(abspath $(SCHEMAS))) $(BIN)/python -m pytest -q -rs tests/serve/test_redfish_clients.py

$(VENV)/.vm: $(VENV)/.developer
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group vm
	@touch $@

vm: $(VENV)/.vm  ## what is exported for IPE, IMA and fs-verity under Debian's kernel in QEMU, which apt fetches once
	MODSEAL_VM=$(or $(MODSEAL_VM),$(CURDIR)/build/vm) $(BIN)/python -m pytest -q -rs tests/vm

vm-table: $(VENV)/.vm  ## the same, and what came of each try is written to docs/enforcement.md
	MODSEAL_VM_TABLE=$(CURDIR)/docs/enforcement.json $(MAKE) vm
	$(BIN)/python docs/generate.py

vm-image: $(VENV)/.developer  ## a host image in QEMU: built twice, booted, attacked, attested; what came of each try is written to docs/reference-host.md
	MODSEAL_IMAGE=$(or $(FOLDER),$(CURDIR)/build/image) MODSEAL_IMAGE_TABLE=$(CURDIR)/docs/reference-host.json $(BIN)/python -m pytest -q -rs tests/vm/test_image.py tests/vm/test_image_update.py tests/vm/test_image_served.py
	$(BIN)/python docs/generate.py

power-cuts: $(VENV)/.developer  ## a host image in QEMU: the power is cut at 50 random moments of an update; CUTS and SEED choose others
	MODSEAL_IMAGE=$(or $(FOLDER),$(CURDIR)/build/image) MODSEAL_CUTS=$(or $(CUTS),50) MODSEAL_SEED=$(SEED) MODSEAL_CUTS_TABLE=$(CURDIR)/docs/power-cuts.json $(BIN)/python -m pytest -q -s -rs tests/vm/test_power_cuts.py
	$(BIN)/python docs/generate.py

docs: $(VENV)/.installed  ## write the generated pages and schemas again
	$(BIN)/python docs/generate.py

man: $(VENV)/.installed  ## write the manual pages to build/man; read one with: man -M build/man modseal-verify
	$(BIN)/python docs/man.py build/man/man1

clean:  ## remove what the targets made
	rm -rf $(VENV) $(VENV)-redfish build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
