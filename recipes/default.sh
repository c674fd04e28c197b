#!/usr/bin/env bash
# Makes the default model from recordings: corpus -> units -> codec and tokens -> both language
# models.
#
#   SPEECH=../shared/speech TEACHER=openai/whisper-base recipes/default.sh runs/default
#
# Each stage takes up where it was left: run the script again after it was stopped, or with some
# stages named behind the folder (prepare units codec ar nar bundle evaluate card).
# How long each stage trains, its config says: at `mini`, four hours in all. For a
# machine that is lent for minutes, PIECE_MINUTES ends a stage with a checkpoint; run it again.
#
#   CONFIG          config of every stage: tiny, mini (the default model) or base
#   MANIFESTS       lists of recordings (see uslm-prepare); those below $SPEECH unless given
#   UNITS_MINUTES, CODEC_MINUTES, AR_MINUTES, NAR_MINUTES   another length
#   UNITS_SET, CODEC_SET, AR_SET, NAR_SET                       words KEY=VALUE
#   JUDGES          options of uslm_recipes.evaluate: who judges what is spoken
#   DEVICE          where tokens are made and speech is evaluated (cpu); recipes find a GPU themselves
#   LAUNCH          what starts a recipe, such as "accelerate launch -m"
set -euo pipefail
out=${1:?usage: recipes/default.sh FOLDER [STAGE...]}
shift
stages=${*:-prepare units codec ar nar bundle evaluate card}
speech=${SPEECH:-../shared/speech}
teacher=${TEACHER:-openai/whisper-base}
python=${PYTHON:-python3}
device=${DEVICE:-cpu}
manifests=${MANIFESTS:-$speech/manifest.jsonl $speech/kokoro.jsonl}
config=${CONFIG:-mini}
judges=${JUDGES:---recognizer $teacher --speaker-model resemblyzer --dnsmos --clip-sources kokoro cv}

train() { # RECIPE STAGE OVERRIDE...
    local recipe=$1 stage=$2 name minutes more overrides=() override
    shift 2
    name=$(printf %s "$stage" | tr a-z A-Z)
    minutes=${name}_MINUTES more=${name}_SET
    for override in "$@" ${!more:-}; do overrides+=(--set "$override"); done
    ${LAUNCH:-$python -m} "uslm_recipes.$recipe" --config "$config" --out "$out/$stage" --resume \
        ${!minutes:+--max-minutes "${!minutes}"} \
        ${PIECE_MINUTES:+--piece-minutes "$PIECE_MINUTES"} "${overrides[@]}"
    if [ ! -f "$out/$stage/model/config.json" ]; then
        echo "== $stage is not over yet: run this again"
        exit 0
    fi
}

prepare() {
    local sources=() manifest
    for manifest in $manifests; do sources+=(--manifest "$manifest"); done
    [ -f "$out/corpus/corpus.json" ] || "$python" -m uslm_recipes.prepare "${sources[@]}" --out "$out/corpus"
}
units() {
    train train_units units "corpus=[$out/corpus]" "teacher=$teacher"
}
codec() {
    train train_source_filter codec "corpus=[$out/corpus]" "units=$out/units/model"
}
ar() {
    train train_ar ar "corpus=[$out/corpus]" "tokens=[$out/codec/tokens/0]" \
        "recognizer=$out/codec/model"
}
nar() {
    train train_nar nar "corpus=[$out/corpus]" "tokens=[$out/codec/tokens/0]" \
        "tokenizer=$out/codec/model"
}
bundle() {
    "$python" -m uslm_recipes.bundle --tokenizer "$out/codec/model" --semantic "$out/ar/model" \
        --acoustic "$out/nar/model" --out "$out/bundle" \
        --set use_prompt_units=false --set sampling.temperature=0.15 \
        --set prompt.acoustic_frames=300
}
evaluate() {
    "$python" -m uslm_recipes.evaluate --model "$out/bundle" --manifest $manifests \
        --out "$out/evaluation" --device "$device" --force $judges
}
card() {
    "$python" -m uslm_recipes.model_card --model "$out/bundle" \
        --report "$out/evaluation/report.json" --corpus "$out/corpus" \
        --runs "$out/units" "$out/codec" "$out/ar" "$out/nar"
}

for stage in $stages; do
    echo "== $stage"
    "$stage"
done
