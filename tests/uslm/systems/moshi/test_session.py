"""Moshi at work: steps equal the whole, rows stand alone, a conversation runs frame by frame."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from uslm.generate.sampling import Sampling
from uslm.systems.moshi.generation import (
    DRAWN,
    MoshiSampling,
    complete,
    read_aloud,
    start,
    transcribe,
)
from uslm.systems.moshi.model import MoshiLM
from uslm.systems.moshi.session import MoshiSession
from uslm.systems.moshi.text_stream import spoken_tokens
from uslm.systems.moshi.tiny import tiny_moshi
from uslm_tokenizer.codecs.mimi.model import MimiCodec
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.sequence.grid import TokenGrid, build_grid, delay, undelay

GREEDY = MoshiSampling(text=Sampling(temperature=0.0), codes=Sampling(temperature=0.0))
FREE = MoshiSampling(text=Sampling(temperature=1.0, top_k=0, top_p=1.0),
                     codes=Sampling(temperature=1.0, top_k=0, top_p=1.0))  # fmt: skip


def model_of(**changes: object) -> MoshiLM:
    torch.manual_seed(0)
    return MoshiLM(replace(MoshiLM.tiny_config(), **changes)).eval()


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def frames(model: MoshiLM, t: int, seed: int = 0) -> Tensor:
    sizes = torch.tensor([stream.size for stream in model.config.streams])
    source = torch.Generator().manual_seed(seed)
    return (torch.rand(len(sizes), t, generator=source) * sizes[:, None]).long()


@pytest.mark.parametrize("context", [5, 40])
def test_steps_give_the_scores_of_the_whole(context: int) -> None:
    """What greedy steps draw is what the whole scores highest, beyond the context too."""
    model = model_of(context=context)
    given = frames(model, 25)
    given[:4] = DRAWN
    [made] = complete(model, [given], generators(0), GREEDY)
    assert torch.equal(made[4:], given[4:])
    streams = model.config.streams
    grid = delay(build_grid([made], streams), streams)
    with torch.no_grad():
        logits = model(grid.tokens)
    counts = undelay(grid, streams).weights  # only to cut to frames what stands in a grid
    assert counts.shape[2] == 25
    text = logits.text.argmax(-1)[0, :25]
    assert torch.equal(text, made[0])
    for k in range(3):
        later = streams[1 + k].delay
        assert torch.equal(logits.codes[0, later : later + 25, k].argmax(-1), made[1 + k])


def test_states_of_steps_equal_the_whole() -> None:
    model = model_of(context=7)
    grid = torch.stack([frames(model, 30, 1), frames(model, 30, 2)])
    state, found = start(model, 2), []
    for t in range(30):
        positions = torch.full((2, 1), float(t))
        x = model.embed(grid[..., t : t + 1])
        with torch.no_grad():
            found.append(model.transformer.extend(x, positions, state.cache))
    with torch.no_grad():
        torch.testing.assert_close(torch.cat(found, 1), model.states(grid), atol=1e-4, rtol=1e-4)
    assert state.cache.length < 30  # it has forgotten on the way


def test_a_row_of_a_batch_equals_the_row_alone() -> None:
    model = model_of()
    rows = [frames(model, 12, seed) for seed in (1, 2)]
    for row in rows:
        row[:4] = DRAWN
    together = complete(model, rows, generators(5, 6), FREE)
    for number, row in enumerate(rows):
        [alone] = complete(model, [row], generators(5 + number), FREE)
        assert torch.equal(alone, together[number])
    assert not torch.equal(together[0], together[1])


def test_what_is_given_is_kept_and_the_rest_drawn() -> None:
    model = model_of(text_delay=2)
    codes = frames(model, 10)[1:]
    text = transcribe(model, codes, torch.Generator().manual_seed(0), FREE)
    assert text.shape == (10,) and 0 <= int(text.min()) <= int(text.max()) < 20

    # Two frames late, the text of frame 3 has received frame 4 and not yet frame 6.
    def scores(codes: Tensor) -> Tensor:
        grid = model.batch([torch.cat([text[None], codes])])
        with torch.no_grad():
            return model(grid.tokens).text[0, 2:]

    before = scores(codes)
    for frame, received in ((4, True), (5, False)):
        other = codes.clone()
        other[3, frame] = (other[3, frame] + 1) % 16  # the user's semantic code
        assert (not torch.equal(scores(other)[3], before[3])) is received
    with pytest.raises(UserError, match="codes must have 6 rows"):
        transcribe(model, codes[:3], torch.Generator())
    given = torch.cat([text[None], codes])
    given[5, 2] = DRAWN
    with pytest.raises(UserError, match="user's codes must be given"):
        complete(model, [given], generators(0))
    with pytest.raises(UserError, match=r"as many frames each, but have \[4, 5\]"):
        complete(model, [codes.new_zeros(7, 4), codes.new_zeros(7, 5)], generators(0, 1))


@pytest.mark.parametrize("audio_delay", [0, 3])
def test_it_reads_all_words_in_their_order(audio_delay: int) -> None:
    model = model_of(num_user_codebooks=0, audio_delay=audio_delay)
    words = [[5, 6], [7], [8, 9, 10], [11]]
    made = read_aloud(model, words, torch.Generator().manual_seed(0), FREE, final_frames=4)
    found = spoken_tokens(made[0], pad_id=3, end_pad_id=0)
    assert [token for _, token in found] == [5, 6, 7, 8, 9, 10, 11]
    assert made.shape[0] == 4 and made.shape[1] == found[-1][0] + 5
    assert 0 <= int(made[1:].min()) <= int(made[1:].max()) < 16
    cut = read_aloud(model, words, torch.Generator().manual_seed(0), FREE, max_frames=6)
    assert cut.shape == (4, 6)


def test_a_model_with_an_input_wants_one() -> None:
    model = model_of()
    with pytest.raises(UserError, match="user must be given, 3 codes of a frame or more"):
        read_aloud(model, [[5]], torch.Generator())
    made = read_aloud(model, [[5]], torch.Generator().manual_seed(0), FREE,
                      user=torch.zeros(3, 1, dtype=torch.long))  # fmt: skip
    assert [token for _, token in spoken_tokens(made[0], pad_id=3, end_pad_id=0)] == [5]
    writes = model_of(num_codebooks=0)
    with pytest.raises(UserError, match="num_codebooks of a model that reads aloud"):
        read_aloud(writes, [[5]], torch.Generator())
    text = transcribe(writes, frames(writes, 5)[1:], torch.Generator().manual_seed(0))
    assert text.shape == (5,)


# ---- full duplex


@pytest.fixture(scope="module")
def tiny() -> tuple[MoshiLM, MimiCodec]:
    return tiny_moshi()


def recording(codec: MimiCodec, num_frames: int, seed: int) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return 0.3 * torch.randn(1, num_frames * codec.hop_length, generator=source)


def converse(
    tiny: tuple[MoshiLM, MimiCodec], user: Tensor, own: Tensor | None = None
) -> tuple[list[int], list[Tensor | None]]:
    model, codec = tiny
    session = MoshiSession(model, codec, torch.Generator().manual_seed(7), FREE)
    hop = session.frame_samples
    own_frames = [None] * (user.shape[1] // hop) if own is None else own.split(hop, dim=1)
    out = [session.push(*pair) for pair in zip(user.split(hop, dim=1), own_frames, strict=True)]
    return [each.text for each in out], [each.waveform for each in out]


def test_two_recordings_are_answered_each_in_its_way(tiny: tuple[MoshiLM, MimiCodec]) -> None:
    """Frame by frame, a session says what the whole recording, given at once, is answered."""
    model, codec = tiny
    answers = []
    for seed in (1, 2):
        user = recording(codec, 14, seed)
        text, speech = converse(tiny, user)
        assert speech[0] is None and all(each is not None for each in speech[1:])
        received = codec.encode(user[None])[0]
        given = torch.cat([torch.full((4, 14), DRAWN), received])
        [made] = complete(model, [given], generators(7), FREE)
        assert text == made[0].tolist()
        whole = codec.decode(made[None, 1:4, :13])[0]
        joined = torch.cat([each for each in speech if each is not None], dim=1)
        torch.testing.assert_close(joined, whole, atol=1e-5, rtol=1e-4)
        answers.append((text, joined))
    assert answers[0][0] != answers[1][0] and not torch.equal(answers[0][1], answers[1][1])


def test_what_comes_later_changes_nothing_said_before(tiny: tuple[MoshiLM, MimiCodec]) -> None:
    codec = tiny[1]
    user, other = recording(codec, 12, 1), recording(codec, 12, 1)
    other[:, 6 * codec.hop_length :] = recording(codec, 6, 3)
    one, two = converse(tiny, user), converse(tiny, other)
    assert one[0][:7] == two[0][:7] and one[0] != two[0]  # what is received counts from the next on
    assert all(torch.equal(*pair) for pair in zip(one[1][1:7], two[1][1:7], strict=True))


def test_a_second_recording_takes_the_place_of_its_own_voice(
    tiny: tuple[MoshiLM, MimiCodec],
) -> None:
    codec = tiny[1]
    user, own = recording(codec, 10, 1), recording(codec, 10, 4)
    _, speech = converse(tiny, user, own)
    played = torch.cat([each for each in speech if each is not None], dim=1)
    wanted = codec.decode(codec.encode(own[None]))[0, :, : played.shape[1]]
    torch.testing.assert_close(played, wanted, atol=1e-5, rtol=1e-4)


def test_a_long_session_keeps_no_more_than_it_needs(tiny: tuple[MoshiLM, MimiCodec]) -> None:
    model, codec = model_of(context=8), tiny[1]
    session = MoshiSession(model, codec, torch.Generator().manual_seed(0))
    for part in recording(codec, 20, 0).split(codec.hop_length, dim=1):
        session.push(part)
    assert session._state.steps == 20 > session._state.cache.capacity
    assert len(session._heard) == len(session._made) == model.config.max_delay + 1


def test_bad_frames_end_nothing(tiny: tuple[MoshiLM, MimiCodec]) -> None:
    """A frame that is refused leaves the session as it was."""
    model, codec = tiny
    session = MoshiSession(model, codec, torch.Generator().manual_seed(7), FREE)
    parts = recording(codec, 6, 1).split(codec.hop_length, dim=1)
    text = []
    for part in parts:
        with pytest.raises(UserError, match=f"{codec.hop_length} samples long, but is 5"):
            session.push(part[:, :5])
        with pytest.raises(UserError, match="waveform must be finite"):
            session.push(part * float("nan"))
        text.append(session.push(part).text)
        with pytest.raises(UserError, match="own must be given with every frame"):
            session.push(part, part)
    assert text == converse(tiny, torch.cat(parts, dim=1))[0]
    with pytest.raises(ConfigError, match="num_codebooks of the model must be what the codec"):
        MoshiSession(model_of(num_codebooks=2), codec, torch.Generator())


def test_grids_of_frames_are_undone() -> None:
    model = model_of(text_delay=2, audio_delay=1)
    streams = model.config.streams
    assert [stream.delay for stream in streams] == [2, 1, 2, 2, 1, 2, 2]
    grid = build_grid([frames(model, 5)], streams)
    assert torch.equal(undelay(delay(grid, streams), streams).tokens, grid.tokens)
    assert isinstance(grid, TokenGrid) and model.config.max_delay == 2
