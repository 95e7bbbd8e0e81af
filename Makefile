# Facts and the menu: the environment, the checks, the main commands. Order is in scripts/, rows are in exp/.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help
.PHONY: help setup all-domains eval-tiny eval-gsm8k eval-aime train-tiny train-format train-gsm8k train-limo refine tiny test check format bench clean

PYTHON3 ?= python3.11
PLATFORM ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
LOCK := requirements/$(PLATFORM).txt
TORCH = $(shell grep '^torch==' $(LOCK))
SHELLS = run_math_generation.sh .ci/run $(wildcard scripts/*.sh)
MODEL ?= 0

help: ## show this page
	@echo 'Turn a model into math data. Usage: make TARGET; variables go before or after, as in: make all-domains MODEL=0 SCALE=0.01'
	@echo; grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | awk -F'\t' '{printf "  %-12s %s\n", $$1, $$2}'
	@echo; echo 'Stages (python exp/STAGE.py --help):'; $(PYTHON3) scripts/stages.py

setup: .venv/.lock ## the environment, from the lock of this platform (PLATFORM=cpu or gpu, TORCH_INDEX=url of torch wheels)

# Rebuilt only when the lock's contents changed: a checkout sets new times on equal files.
.venv/.lock: $(LOCK)
	@if cmp -s $(LOCK) $@; then touch $@; else scripts/make_venv.sh $(LOCK) "$(PYTHON3)"; fi

all-domains: setup ## the main job: six domains of problems, answers and ranked answers (MODEL=0 SCALE= RUN= DRY=1)
	@./run_math_generation.sh "$(MODEL)" 2

refine: setup ## a finished run cleaned, decontaminated, verified, paired, exported, reported (RUN= MODEL=0 BENCHMARKS=a,b FORMAT= OVERWRITE=1)
	@scripts/refine_dataset.sh "$(if $(RUN),$(if $(wildcard $(RUN)),$(RUN),data/$(RUN)))" "$(MODEL)"

eval-tiny: setup ## 600 fresh problems, half a minute with the embedded model (MODEL="0 0+my/adapter" RUN= EVAL_FLAGS= DRY=1)
	@scripts/evaluate.sh tiny $(MODEL)

eval-gsm8k: setup ## GSM8K, 1,319 word problems; several MODELs are compared (MODEL="1 2" RUN= SOURCE= EVAL_FLAGS=)
	@scripts/evaluate.sh gsm8k $(MODEL)

eval-aime: setup ## AIME 2024 and 2025, 60 problems, 8 samples each (MODEL="1 2" RUN= SOURCE= EVAL_FLAGS=)
	@scripts/evaluate.sh aime $(MODEL)

train-tiny: setup ## the embedded model made better by its own data, each step held against the base (RUN=chain SEED=0 COUNT=75 DRY=1)
	@scripts/train_tiny.sh

train-format: setup ## the embedded model learns a new layout of answers, 3 minutes (FORMAT=working_out RUN= SEED=0 DRY=1)
	@scripts/train_format.sh $(FORMAT)

train-limo: setup ## SFT on LIMO's long solutions, GRPO, AIME after each, merged (MODEL= RUN= LIMO= TRAIN= AIME= DRY=1)
	@scripts/train_limo.sh "$(MODEL)"

train-gsm8k: setup ## the seed's seven steps: SFT, GRPO and an evaluation after each (MODEL= RUN= TRAIN= TEST= DRY=1)
	@scripts/train_gsm8k.sh "$(MODEL)"

tiny: setup ## train the embedded model and its reward model again (hours on a CPU; not needed, they are in the repository)
	.venv/bin/python exp/make_tiny.py --save_path data/models/tiny --overwrite
	.venv/bin/python exp/make_tiny.py --policy_path data/models/tiny --save_path data/models/tiny-rm --overwrite

test: setup ## all tests, the real drivers and the real vLLM among them (under 10 minutes on 2 cores)
	.venv/bin/python -m pytest

check: setup ## ruff, shellcheck, shfmt and that the README is up to date
	.venv/bin/ruff check . && .venv/bin/ruff format --check .
	.venv/bin/shellcheck -x $(SHELLS) && .venv/bin/shfmt -i 2 -d $(SHELLS)
	.venv/bin/python scripts/stages.py --check README.md

format: setup ## let ruff and shfmt write their format, and the README its table of stages
	.venv/bin/ruff check --fix . ; .venv/bin/ruff format .
	.venv/bin/shfmt -i 2 -w $(SHELLS) && .venv/bin/python scripts/stages.py --write README.md

bench: setup ## ratios measured in one run: stages over raw vLLM, the grader over math-verify, cleaning over datasketch, GRPO over TRL
	PYTHONPATH=exp .venv/bin/python tests/bench/bench_generation.py --model_path data/models/tiny
	PYTHONPATH=exp .venv/bin/python tests/bench/bench_answers.py
	PYTHONPATH=exp .venv/bin/python tests/bench/bench_cleaning.py
	PYTHONPATH=exp .venv/bin/python tests/bench/bench_training.py --model_path data/models/tiny

clean: ## remove the environment and caches, never data
	rm -rf .venv .pytest_cache .ruff_cache && find . -name __pycache__ -type d -prune -exec rm -r {} +
