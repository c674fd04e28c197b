#!/usr/bin/env bash
# Makes the default model from recordings: corpus -> units -> codec -> tokens -> both language models.
#
#   SPEECH=../shared/speech TEACHER=openai/whisper-base recipes/default.sh runs/default
#
# Each stage takes up where it was left: run the script again after it was stopped, or with some
# stages named behind the folder (prepare units codec encode ar nar tune bundle evaluate card). The
# minutes of a stage can be set as UNITS_MINUTES, CODEC_MINUTES, AR_MINUTES, NAR_MINUTES,
# TUNE_MINUTES, the machine that the card names as MACHINE.
set -euo pipefail
out=${1:?usage: recipes/default.sh FOLDER [STAGE...]}
shift
stages=${*:-prepare units codec encode ar nar tune bundle evaluate card}
speech=${SPEECH:-../shared/speech}
teacher=${TEACHER:-openai/whisper-base}
python=${PYTHON:-python3}
manifests=${MANIFESTS:-$speech/manifest.jsonl $speech/kokoro.jsonl}
config=${CONFIG:-mini}

train() { # RECIPE FOLDER MINUTES OVERRIDE...
    local recipe=$1 folder=$2 minutes=$3
    shift 3
    local overrides=()
    for override in "$@"; do overrides+=(--set "$override"); done
    "$python" -m "uslm_recipes.$recipe" --config "$config" --out "$folder" \
        --max-minutes "$minutes" --resume "${overrides[@]}"
}

prepare() {
    local sources=()
    for manifest in $manifests; do sources+=(--manifest "$manifest"); done
    [ -f "$out/corpus/corpus.json" ] || "$python" -m uslm_recipes.prepare "${sources[@]}" --out "$out/corpus"
}
units() {
    train train_units "$out/units" "${UNITS_MINUTES:-30}" \
        "corpus=[$out/corpus]" "teacher=$teacher"
}
codec() {
    train train_codec "$out/codec" "${CODEC_MINUTES:-45}" \
        "corpus=[$out/corpus]" "units=$out/units/model"
}
encode() {
    "$python" -m uslm_recipes.encode --corpus "$out/corpus" \
        --tokenizer "$out/codec/model" --out "$out/tokens"
}
ar() {
    train train_ar "$out/ar" "${AR_MINUTES:-25}" "corpus=[$out/corpus]" "tokens=[$out/tokens/0]" \
        "recognizer=$out/codec/model"
}
nar() {
    train train_nar "$out/nar" "${NAR_MINUTES:-30}" "corpus=[$out/corpus]" "tokens=[$out/tokens/0]" \
        "tokenizer=$out/codec/model"
}
tune() {
    train tune "$out/tune" "${TUNE_MINUTES:-30}" "corpus=[$out/corpus]" "tokens=[$out/tokens/0]" \
        "tokenizer=$out/codec/model" "acoustic=$out/nar/model"
}
bundle() {
    "$python" -m uslm_recipes.bundle --tokenizer "$out/tune/codec" --semantic "$out/ar/model" \
        --acoustic "$out/tune/model" --out "$out/bundle" \
        --set use_prompt_units=false --set sampling.temperature=0.3
}
evaluate() {
    "$python" -m uslm_recipes.evaluate --model "$out/bundle" --recognizer "$teacher" \
        --speaker-model resemblyzer --dnsmos --manifest $manifests \
        --clip-sources kokoro cv --out "$out/evaluation" --force
}
card() {
    "$python" -m uslm_recipes.model_card --model "$out/bundle" \
        --report "$out/evaluation/report.json" --corpus "$out/corpus" \
        --runs "$out/units" "$out/codec" "$out/ar" "$out/nar" "$out/tune" --trained-on "${MACHINE:-$(uname -m)}"
}

for stage in $stages; do
    echo "== $stage"
    "$stage"
done
