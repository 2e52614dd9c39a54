# make help says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# A Python 3.11 or 3.12 other than Debian's: make PYTHON=python3.12 setup
PYTHON ?= python3
CONFIG ?= conf/dev.yaml
# More for the daemon, as in: make run ARGS="--set sip.port=5070"
ARGS ?=
# More for pytest, as in: make test PYTEST_ARGS="tests/sip -x"
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c conf/constraints.txt

DEBIAN_PYTHON := $(if $(filter python3,$(PYTHON)),python3 python3-venv)
RUN_PACKAGES := ca-certificates $(DEBIAN_PYTHON) rtpengine-daemon
# libatomic1: what runs Chromium in tests is linked with it
TEST_PACKAGES := $(RUN_PACKAGES) git baresip sip-tester secsipidx chromium libatomic1 nsd kamailio kamailio-tls-modules \
    prometheus systemd nftables iproute2 postgresql tcpdump

.PHONY: help setup setup-test run test lint bench soak interop flows describe clean

help: ## say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

setup: ## install what running needs: Debian packages, then .venv/ with the command in it
	@.ci/packages $(RUN_PACKAGES)
	@$(MAKE) -s $(BIN)/python
	@$(MAKE) -s $(VENV)/.run-ready

setup-test: ## install what the tests need besides
	@.ci/packages $(TEST_PACKAGES)
	@$(MAKE) -s $(BIN)/python
	@$(MAKE) -s $(VENV)/.test-ready

# A .venv/ made by another Python than the one that was asked for is made anew.
ifneq ($(origin PYTHON),file)
VERSION := import sys; print("%d.%d" % sys.version_info[:2])
ifneq ($(shell $(PYTHON) -c '$(VERSION)'),$(shell $(BIN)/python -c '$(VERSION)' 2>/dev/null))
.PHONY: $(BIN)/python
endif
endif

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v < (3, 13) or sys.exit( \
	    "$(PYTHON) is Python %d.%d; the gateway needs 3.11 or 3.12: make PYTHON=python3.12 setup" % v)'
	@echo "making $(VENV)/ with $$($(PYTHON) -V)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run-ready: setup.cfg pyproject.toml conf/constraints.txt
	@echo "installing Python packages"
	@$(PIP) -e . </dev/null
	@touch $@

$(VENV)/.test-ready: $(VENV)/.run-ready tests/peers/npm.py
	@echo "installing Python packages of the tests"
	@$(PIP) -e '.[test]' </dev/null
	@$(BIN)/python -m tests.peers.npm
	@touch $@

define HINT

  page     http://127.0.0.1:8080/app   sign in as Alice, in a private window as Bob, and call
  console  http://127.0.0.1:8080/console   operator, password operator-dev (or viewer, viewer-dev-1)
  phone    SIP account 1001@dm.localhost, password secret1001, server 127.0.0.1:5060 (1002 likewise)
  baresip  <sip:1001@dm.localhost;transport=udp>;outbound="sip:127.0.0.1:5060";auth_user=1001;auth_pass=secret1001;regint=60
  watch    http://127.0.0.1:8080/healthz   http://127.0.0.1:8080/readyz   http://127.0.0.1:9478/metrics
  stop     Ctrl-C once lets calls end, twice ends them; README.md says more

endef
export HINT

run: setup ## set up, then run the gateway in the foreground (CONFIG=conf/dev.yaml)
	@echo "$$HINT"
	@exec $(BIN)/dm-gateway run --config $(CONFIG) $(ARGS)

lint: setup-test ## ruff check, ruff format --check, mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

test: setup-test lint ## lint, then every test
	@$(BIN)/python -m pytest $(PYTEST_ARGS) </dev/null

bench: setup-test ## measure set-ups a second, added latency, CPU and memory per call, beside Kamailio
	@.ci/packages kamailio
	@$(BIN)/python -m tests.bench $(ARGS) </dev/null

soak: setup-test ## 20 calls with session refreshes, five minutes, or ARGS="60" for an hour
	@$(BIN)/python -m tests.soak $(ARGS) </dev/null

interop: setup-test ## run the tests that meet real peers, and write docs/interop.md from them
	@$(BIN)/python -m tests.interop </dev/null

flows: setup-test ## play the main flows with real peers, and write docs/flows.md from what they sent
	@$(BIN)/python -m tests.flows </dev/null

describe: setup ## write docs/openapi.json and docs/openrpc.json anew
	@$(BIN)/dm-gateway describe openapi >docs/openapi.json
	@$(BIN)/dm-gateway describe openrpc >docs/openrpc.json

clean: ## remove .venv/, var/ (the development database) and caches
	rm -rf $(VENV) var build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find gateway tests -name __pycache__ -prune -exec rm -rf {} +
