"""Many machines make a corpus: each a shard of it, and one the whole, as a single one would."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from uslm_recipes.data import examine
from uslm_recipes.data.corpus_writer import CorpusWriter, Done
from uslm_recipes.data.examine import Examiner, Good, Slice, Sounds
from uslm_recipes.data.preparing.run import (
    PrepareConfig,
    Report,
    kinds,
    limited,
    pass_over,
    progress_bar,
    run_key,
    utterance_of,
)
from uslm_recipes.data.preparing.shard_folder import (
    ShardHeader,
    ShardUtterance,
    ShardWriter,
    read_shard_header,
    read_shard_samples,
    read_slices,
)
from uslm_recipes.data.recording import Found, Rejected
from uslm_recipes.data.shard import Shard, shards
from uslm_recipes.data.splits import split_of
from uslm_recipes.data.transcripts import EnglishFrontEnd, FrontEnd, PieceFrontEnd
from uslm_tokenizer.errors import MissingResource, UserError


def prepare_shard(
    found: Iterable[Found],
    out: Path,
    config: PrepareConfig,
    shard: Shard,
    *,
    front_end: FrontEnd | PieceFrontEnd | None = None,
) -> ShardHeader:
    """Write a shard of the corpus `out` beside it, or go on with it; one that is whole is kept.

    Every shard goes through all that is found, and looks at the sound of its own slices only.
    """
    found = iter(found if config.limit is None else limited(found, config))
    examiner = Examiner(config, front_end or EnglishFrontEnd(), split_of)
    key, folder = _key(config), shard.place(out)
    made = read_shard_header(folder)
    if made is not None and made.key == key:
        examiner.skip(found, made.num_found + 1)
        if (examiner.num_found, examiner.mark) != (made.num_found, made.mark):
            raise UserError(f"{folder} was made of other sources; delete it, and start again")
        return made
    with ShardWriter(folder, key=key) as writer, progress_bar() as bar:
        pass_over(examiner, found, writer.done, folder)
        bar.update(examiner.num_found)
        for part in examiner.slices(found, shard):
            _write(writer, part)
            writer.commit(Done(num_found=part.num_found, mark=part.mark))
            bar.update(part.num_found - bar.n)
        header = ShardHeader(
            shard=str(shard), key=key, mark=examiner.mark, num_found=examiner.num_found,
            num_slices=-(-examiner.num_found // examine.SLICE),
            sample_rate=config.audio.sample_rate, num_copies=len(config.copies),
            text_ids=config.vocab,
        )  # fmt: skip
        writer.finish(header)
    return header


def merge_corpus(out: Path, count: int) -> Report:
    """Write the corpus that one run would have made, of `count` shards; these are removed then.

    Raises MissingResource if some are not there yet, UserError if they do not belong together.
    """
    began = time.monotonic()
    places = [shard.place(out) for shard in shards(count)]
    header = _common_header(out, places)
    with CorpusWriter(
        out, sample_rate=header.sample_rate, key=f"merge {header.key}", vocab=header.text_ids
    ) as writer:
        sounds = Sounds()
        for folder, content in _in_turn(places, header.num_slices):
            _merge_slice(writer, folder, content, header.num_copies, sounds)
        reasons = kinds(writer.rejected)
        if not len(writer):
            raise UserError(f"there is no usable recording in the sources: {reasons}")
        summary = writer.finish()
    for place in places:
        shutil.rmtree(place)
    return Report(
        summary=summary, reasons=reasons, seconds_taken=time.monotonic() - began,
        hours_done=summary.hours,
    )  # fmt: skip


def _key(config: PrepareConfig) -> str:
    """Of all that decides what is written, and how it is shared."""
    return hashlib.sha256(f"{run_key(config)} {examine.SLICE}".encode()).hexdigest()


def _write(writer: ShardWriter, part: Slice) -> None:
    writer.begin_slice(part.number)
    for each in part.examined:
        if isinstance(each, Good):
            utterance = utterance_of(each, writer.next_sample)
            writer.add(utterance, each.samples, each.recording.where)
        else:
            writer.reject(each)


def _common_header(out: Path, places: Sequence[Path]) -> ShardHeader:
    """The header that all shards share."""
    if not places:
        raise UserError("the number of shards must be 1 or more, but is 0")
    headers = [read_shard_header(place) for place in places]
    missing = [f"{n}/{len(places)}" for n, header in enumerate(headers) if header is None]
    if missing:
        raise MissingResource(
            f"of {out} these shards are not made yet: {', '.join(missing)}; make each with "
            "uslm-prepare --shard"
        )
    common = {replace(header, shard="") for header in headers if header is not None}
    if len(common) > 1:
        raise UserError(
            f"the shards of {out} are not of the same sources and settings; delete and make those "
            "again that are not"
        )
    return common.pop()


def _in_turn(
    places: Sequence[Path], num_slices: int
) -> Iterator[tuple[Path, list[ShardUtterance | Rejected]]]:
    """Slices as they were found, from whichever shard they are in."""
    readers = [read_slices(place) for place in places]
    for number in range(num_slices):
        folder = places[number % len(places)]
        found, content = next(readers[number % len(places)], (None, []))
        if found != number:
            raise UserError(f"{folder} lacks slice {number}; delete it, and make it again")
        yield folder, content


def _merge_slice(
    writer: CorpusWriter,
    folder: Path,
    content: Sequence[ShardUtterance | Rejected],
    num_copies: int,
    sounds: Sounds,
) -> None:
    rejected: list[Rejected] = []
    copies_left, is_left_out = 0, False
    for each in content:
        if isinstance(each, Rejected):
            rejected.append(each)
            continue
        samples = read_shard_samples(folder, each.utterance)
        if copies_left:
            copies_left -= 1
        else:
            copies_left = num_copies if each.utterance.split == "train" else 0
            problem = sounds.problem(samples)
            is_left_out = problem is not None
            if problem is None:
                sounds.know(samples, each.where)
            else:
                left_out = Rejected(where=each.where, audio=each.utterance.audio, reason=problem)
                rejected.append(left_out)
        if not is_left_out:
            writer.add(replace(each.utterance, start_sample=writer.next_sample), samples)
    writer.reject(rejected)
