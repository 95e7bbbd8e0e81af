# Facts and the menu: the environment, the checks, the main commands. Order is in scripts/, rows are in exp/.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help
.PHONY: help setup quick test test-gpu test-data check format bench clean all-domains refine \
	eval-tiny eval-gsm8k eval-aime train-tiny train-format train-gsm8k train-limo tiny

PYTHON3 ?= python3.11
PLATFORM ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
LOCK := requirements/$(PLATFORM).txt
SHELLS = run_math_generation.sh .ci/run $(wildcard scripts/*.sh)
# Two workers, each with whole files; tests/conftest.py puts those of minutes first.
PYTEST := .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
MODEL ?= 0

# `make help` prints the lines that start with ##@ as headings, and what stands behind ## of a target.
##@ Set up and check
help: ## show this page
	@echo 'Turn a language model into math data, and the data into a better model. Usage: make TARGET [NAME=value …]'
	@awk -F ':.*## ' '/^##@ / {print "\n" substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@$(PYTHON3) scripts/stages.py; echo; echo 'Each stage: python exp/STAGE.py --help'

setup: .venv/.lock ## make .venv from the lock of this platform (PLATFORM=cpu or gpu, TORCH_INDEX=URL of torch wheels)

# Rebuilt only when the lock's contents changed: a checkout sets new times on equal files.
.venv/.lock: $(LOCK)
	@if cmp -s $(LOCK) $@; then touch $@; else scripts/make_venv.sh $(LOCK) "$(PYTHON3)"; fi

quick: setup ## run the tests that need no model, no driver and no GPU (two minutes on 2 cores)
	$(PYTEST) -m "not slow and not gpu"

test: setup ## run all tests, with real drivers and the real vLLM (12 minutes on 2 cores)
	$(PYTEST)

test-gpu: setup ## run the tests that need a GPU
	.venv/bin/python -m pytest -m gpu

test-data: ## fetch the public data that tests read (TIDING_TEST_DATA=data/test_data)
	$(PYTHON3) tests/fetch_data.py

check: setup ## lint Python and shell, and check that docs/stages.md is up to date
	.venv/bin/ruff check . && .venv/bin/ruff format --check .
	.venv/bin/shellcheck -x $(SHELLS) && .venv/bin/shfmt -i 2 -d $(SHELLS)
	.venv/bin/python scripts/stages.py --check docs/stages.md

format: setup ## let ruff and shfmt write their format, and write docs/stages.md
	.venv/bin/ruff check --fix . ; .venv/bin/ruff format .
	.venv/bin/shfmt -i 2 -w $(SHELLS) && .venv/bin/python scripts/stages.py --write docs/stages.md

bench: setup ## ratios measured in one run: stages over raw vLLM, the grader over math-verify, cleaning over datasketch, GRPO over TRL
	.venv/bin/pip install --quiet --no-deps -r requirements/bench.txt
	PYTHONPATH=exp .venv/bin/python tests/bench/bench_generation.py --model_path data/models/tiny
	PYTHONPATH=exp .venv/bin/python tests/bench/bench_answers.py
	PYTHONPATH=exp .venv/bin/python tests/bench/bench_cleaning.py
	PYTHONPATH=exp .venv/bin/python tests/bench/bench_training.py --model_path data/models/tiny

clean: ## remove the environment and caches, never data
	rm -rf .venv .pytest_cache .ruff_cache data/cache && find . -name __pycache__ -type d -prune -exec rm -r {} +

##@ Generate
all-domains: setup ## the main job: problems, answers and ranked answers in six domains (MODEL=0 SCALE= RUN= DRY=1)
	@./run_math_generation.sh "$(MODEL)" 2

##@ Refine
refine: setup ## clean, vote, pair, export and report a finished run (RUN= MODEL=0 BENCHMARKS=a,b FORMAT= OVERWRITE=1)
	@scripts/refine_dataset.sh "$(if $(RUN),$(if $(wildcard $(RUN)),$(RUN),data/$(RUN)))" "$(MODEL)"

##@ Evaluate
eval-tiny: setup ## 600 fresh problems, half a minute with the embedded model (MODEL="0 0+my/adapter" RUN= EVAL_FLAGS= DRY=1)
	@scripts/evaluate.sh tiny $(MODEL)

eval-gsm8k: setup ## GSM8K: 1,319 word problems; several models are compared (MODEL="1 2" RUN= SOURCE= EVAL_FLAGS=)
	@scripts/evaluate.sh gsm8k $(MODEL)

eval-aime: setup ## AIME 2024 and 2025: 60 problems, 8 samples each (MODEL="1 2" RUN= SOURCE= EVAL_FLAGS=)
	@scripts/evaluate.sh aime $(MODEL)

##@ Train
train-tiny: setup ## make the embedded model better by its own data, and measure each step (RUN=chain SEED=0 COUNT=75 DRY=1)
	@scripts/train_tiny.sh

train-format: setup ## teach the embedded model a new layout of answers, 3 minutes (FORMAT=working_out RUN= SEED=0 DRY=1)
	@scripts/train_format.sh $(FORMAT)

train-gsm8k: setup ## SFT and GRPO on GSM8K, with an evaluation before and after each (MODEL= RUN= TRAIN= TEST= DRY=1)
	@scripts/train_gsm8k.sh "$(MODEL)"

train-limo: setup ## SFT on LIMO, GRPO on GSM8K, AIME after each, one merged model (MODEL= RUN= LIMO= TRAIN= AIME= DRY=1)
	@scripts/train_limo.sh "$(MODEL)"

##@ Embedded model
tiny: setup ## train it and its reward model again into data/remade: hours on a CPU, and never needed
	.venv/bin/python exp/make_tiny.py --save_path data/remade/tiny
	.venv/bin/python exp/make_tiny.py --policy_path data/remade/tiny --save_path data/remade/tiny-rm
