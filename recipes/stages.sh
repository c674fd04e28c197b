# What the scripts beside this file share: how a recipe is started, and the stages that are alike.
#
# Sourced by them, with `out`, `stages` and `runs` (the folders of the stages that train) set; they
# define their other stages and call run_stages.
speech=${SPEECH:-../shared/speech}
teacher=${TEACHER:-openai/whisper-base}
python=${PYTHON:-python3}
device=${DEVICE:-cpu}
manifests=${MANIFESTS:-$speech/manifest.jsonl $speech/kokoro.jsonl}
config=${CONFIG:-mini}
judges=${JUDGES:---recognizer $teacher --speaker-model resemblyzer --dnsmos --clip-sources kokoro cv --own-voice 24}

train() { # RECIPE STAGE OVERRIDE...
    local recipe=$1 stage=$2 name minutes more overrides=() override
    shift 2
    name=$(printf %s "$stage" | tr a-z A-Z)
    minutes=${name}_MINUTES more=${name}_SET
    for override in "$@" ${!more:-}; do overrides+=(--set "$override"); done
    ${LAUNCH:-$python -m} "uslm_recipes.$recipe" --config "$config" --out "$out/$stage" --resume \
        ${!minutes:+--max-minutes "${!minutes}"} \
        ${STOP_AFTER_MINUTES:+--stop-after-minutes "$STOP_AFTER_MINUTES"} "${overrides[@]}"
    if [ ! -f "$out/$stage/model/config.json" ]; then
        echo "== $stage is not over yet: run this again"
        exit 0
    fi
}

prepare() {
    local sources=() manifest number=0 written
    for manifest in $manifests; do
        if [ -n "${TRANSCRIBER:-}" ]; then
            number=$((number + 1))
            written=$out/transcribed/$number.jsonl
            [ -f "$written" ] || "$python" -m uslm_recipes.commands.transcribe "$manifest" \
                --model "$TRANSCRIBER" --speakers ${TRANSCRIBED:-} --out "$written"
            manifest=$written
        fi
        sources+=(--manifest "$manifest")
    done
    [ -f "$out/corpus/corpus.json" ] || "$python" -m uslm_recipes.prepare "${sources[@]}" --out "$out/corpus"
}
units() {
    train train_units units "corpus=[$out/corpus]" "teacher=$teacher"
}
evaluate() {
    "$python" -m uslm_recipes.evaluate --model "$out/bundle" --manifest $manifests \
        --out "$out/evaluation" --device "$device" --force $judges
}
card() {
    "$python" -m uslm_recipes.model_card --model "$out/bundle" \
        --report "$out/evaluation/report.json" --corpus "$out/corpus" \
        --runs "${runs[@]/#/$out/}"
}
run_stages() {
    local stage
    for stage in $stages; do
        echo "== $stage"
        "$stage"
    done
}
