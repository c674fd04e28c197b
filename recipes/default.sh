#!/usr/bin/env bash
# Makes the default model from recordings: corpus -> units -> codec and tokens -> both language
# models -> the codec's decoder tuned to the second one's predictions.
#
#   SPEECH=../shared/speech TEACHER=openai/whisper-base recipes/default.sh runs/default
#
# Each stage takes up where it was left: run the script again after it was stopped, or with some
# stages named after the folder (prepare units codec ar nar joint bundle evaluate card).
# How long each stage trains, its config says: at `mini`, five hours in all. For a
# machine rented for minutes, STOP_AFTER_MINUTES ends a stage with a checkpoint; run it again.
#
#   CONFIG          config of every stage: tiny, mini (the default model) or base
#   MANIFESTS       lists of recordings (see uslm-prepare); those below $SPEECH unless given
#   UNITS_MINUTES, CODEC_MINUTES, AR_MINUTES, NAR_MINUTES, JOINT_MINUTES   another length
#   UNITS_SET, CODEC_SET, AR_SET, NAR_SET, JOINT_SET                       words KEY=VALUE
#                   (the default model's decoder was tuned on its clean sources alone:
#                   JOINT_SET=sources=[kokoro,ls,vctk,arctic,lj,kathleen])
#   TRANSCRIBER     a Whisper model that writes texts of English recordings without one; and in
#                   TRANSCRIBED beginnings of the speakers' names, if not of all. Stage 2 learns from
#                   them how real voices say phonemes, not units alone (the default model:
#                   openai/whisper-base, "ls vctk")
#   JUDGES          options of uslm_recipes.evaluate: who judges what is spoken
#   DEVICE          where tokens are made and speech is evaluated (cpu); recipes find a GPU themselves
#   LAUNCH          what starts a recipe, such as "accelerate launch -m"
set -euo pipefail
out=${1:?usage: recipes/default.sh FOLDER [STAGE...]}
shift
stages=${*:-prepare units codec ar nar joint bundle evaluate card}
runs=(units codec ar nar joint)
. "$(dirname "$0")/stages.sh"

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
joint() {
    # A discriminator that knows nothing yet would teach the decoder little in an hour.
    local judges=("$out"/codec/checkpoints/step-*/discriminator.safetensors)
    train train_joint joint "corpus=[$out/corpus]" "tokens=[$out/codec/tokens/0]" \
        "tokenizer=$out/codec/model" "acoustic=$out/nar/model" \
        "discriminator.initial=${judges[-1]}"
}
bundle() {
    "$python" -m uslm_recipes.bundle --tokenizer "$out/joint/codec" --semantic "$out/ar/model" \
        --acoustic "$out/nar/model" --out "$out/bundle" \
        --set use_prompt_units=false --set sampling.temperature=0.15 \
        --set prompt.acoustic_frames=300
}

run_stages
