.DEFAULT_GOAL := help
.PHONY: torture torture-quick bench-order bench-report help env env-nerfstudio demo test test-nerfstudio lint bench bench-alignment bench-prior bench-ablations bench-speed
VENV := .venv
CAPTURES ?= examples/data/nerfstudio
BIN := $(VENV)/bin

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

env: $(VENV)/.env-stamp ## make .venv with the core and the test tools (nothing to do when it is up to date)

$(VENV)/.env-stamp: pyproject.toml constraints.txt tools/make_env.sh tools/nerfstudio_parser.txt
	@tools/make_env.sh $(VENV) test

env-nerfstudio: env ## add nerfstudio itself, for the plugin (about 3 GB)
	@tools/make_env.sh $(VENV) test,nerfstudio

demo: env ## compress the sample capture, look into the archive, restore it, compare
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python examples/demo.py

test: env ## run the tests
	@$(BIN)/python -m pytest --ignore tests/whole_nerfstudio

test-nerfstudio: env $(VENV)/nerfstudio-run/.stamp ## run nerfstudio's own commands with ours, on a CPU (510 MB, minutes)
	@$(BIN)/python -m pytest tests/whole_nerfstudio

$(VENV)/nerfstudio-run/.stamp: tools/nerfstudio_run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(@D) -r $< && touch $@

lint: env ## ruff: style and formatting
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

torture-quick: env ## a little of torture
	@$(BIN)/python tools/torture --quick

torture: env ## hostile archives and captures, killed runs, full disks, races (hours; docs/reliability.md)
	@$(BIN)/python tools/torture

bench: env ## rate and quality of this codec on CAPTURES, beside JPEG, WebP and AVIF
	@$(BIN)/ns-mvc-eval --data $(CAPTURES)

bench-alignment: env ## how well neighbours predict views of CAPTURES: by homography, blocks, flow, sparse points, ours
	@$(BIN)/python -m nerfstudio_mvc.cli.alignment --data $(CAPTURES)

bench-ablations: env ## what each part of LMVIC is worth on CAPTURES, into docs/ablations.md
	@$(BIN)/python -m nerfstudio_mvc.cli.ablations --data $(CAPTURES) --output docs/ablations.md

bench-prior: env ## seconds of the depth prior of CAPTURES, and of estimating their cameras
	@$(BIN)/python -m nerfstudio_mvc.cli.prior_timing --data $(CAPTURES)

bench-speed: env ## megapixels a second of every effort on CAPTURES, beside AVIF and AV1 on the same views
	@$(BIN)/python -m nerfstudio_mvc.cli.codec_speed --data $(CAPTURES) --efforts default fast high

bench-order: env ## what the coding order is worth on CAPTURES, for this codec and for AV1
	@$(BIN)/python -m nerfstudio_mvc.cli.order_ablation --data $(CAPTURES)

bench-report: env ## a page with curves and pictures of CAPTURES, beside stills and video encoders: out/report.html
	@$(BIN)/ns-mvc-eval --data $(CAPTURES) --peers jpeg webp avif jxl hevc av1 svt vvc --report out/report.html --force
