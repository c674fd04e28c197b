"""A pointer to the phoneme that each row of a decoder is saying: it stays, or goes one on.

    text       h  ə  '  l  oʊ END          a mark of stress takes no time: it is passed over
    frames     h h h ə l l oʊ oʊ oʊ        nothing is left out, said twice or said again
    places     0 0 0 1 3 3 4  4  4  5

In VALL-E R (Han et al. 2024) a decoder says beside each code how likely it goes on, and the pointer
follows; so does that of our own stage 1, which may go several symbols on. It needs nothing of a
decoder but these probabilities, and is plain numbers: for a few rows, Python counts faster than a
kernel is called.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

from uslm_tokenizer.errors import UserError


class PhonePointer:
    """Places of the rows of a decoder in their texts."""

    def __init__(
        self,
        lasts: Sequence[int],
        texts: Sequence[Sequence[int]] | None = None,
        timeless: Collection[int] = (),
    ) -> None:
        """All at their first symbol; `lasts` are the indices of the end symbols. Ids of `texts`
        that are `timeless` are passed over."""
        assert texts is not None or not timeless
        count = len(lasts)
        self.lasts = list(lasts)
        """Index of each row's end symbol."""
        self.places = [0] * count
        """Index of the symbol that each row says next."""
        self.spoken = [0] * count
        """Index of the symbol that was said last."""
        self.summed = [0.0] * count
        """Probability of moving, summed since the last move."""
        self.tracks: list[Sequence[int] | None] = [None] * count
        """Places that are given frame by frame, where they are."""
        self.said = [0] * count
        """Frames that were said since a track was given."""
        self._ways: list[list[int] | None] = [None] * count
        if timeless and texts is not None:
            rows = zip(texts, lasts, strict=True)
            self._ways = [timed_from(text[:last], timeless) for text, last in rows]
            self.move_to([0] * count)

    def move(
        self, moves: Sequence[Sequence[float]], going: Sequence[bool], threshold: float
    ) -> bool:
        """Go on in the rows that are going; whether any did.

        `moves` are each row's probabilities of moving by 0, 1, 2, ... symbols. They are summed
        until `threshold` is reached, in place of a draw in each frame: durations come out as long
        on average, and not geometrically spread.
        """
        self.spoken = list(self.places)
        for row, shares in enumerate(moves):
            if not going[row]:
                continue
            if self.tracks[row] is not None:
                self._follow(row)
                continue
            self.summed[row] += 1 - shares[0]
            if self.summed[row] >= threshold:
                self.summed[row] = 0.0
                for _ in range(max(range(1, len(shares)), key=shares.__getitem__)):
                    self._go_on(row)
        return self.places != self.spoken

    def move_to(self, places: Sequence[int]) -> None:
        """Go on to these places, or the next that take time, in the rows that are not as far
        yet."""
        for row, place in enumerate(places):
            ways = self._ways[row]
            self.places[row] = max(self.places[row], place if ways is None else ways[place])

    def follow(self, row: int, track: Sequence[int]) -> None:
        """Be where a track is, frame by frame, whatever the decoder says; then at the end.

        UserError for a track that goes back or leaves the text.
        """
        if not track or any(later < earlier for earlier, later in pairwise(track)):
            raise UserError(f"a track must never go back, but is {list(track)}")
        if not 0 <= track[0] <= track[-1] < self.lasts[row]:
            raise UserError(
                f"a track must stay within the {self.lasts[row]} symbols of its text, but goes "
                f"from {track[0]} to {track[-1]}"
            )
        self.tracks[row], self.said[row], self.places[row] = track, 0, track[0]

    def close(self, logits: Any) -> None:
        """Close the ways that are not open, in logits [b, v] whose last is that of the end: the
        speech ends when the pointer has arrived, and not before; after a track it must."""
        for row, (spoken, last) in enumerate(zip(self.spoken, self.lasts, strict=True)):
            if spoken < last:
                logits[row, -1] = -1e9
            elif self.tracks[row] is not None:
                logits[row, :-1] = -1e9

    def take_row(self, row: int, other: "PhonePointer") -> None:
        """Take the state of the other's only row for one of ours."""
        for name in ("lasts", "places", "spoken", "summed", "tracks", "said", "_ways"):
            getattr(self, name)[row] = getattr(other, name)[0]

    def _go_on(self, row: int) -> None:
        ways, place = self._ways[row], min(self.places[row] + 1, self.lasts[row])
        self.places[row] = place if ways is None else ways[place]

    def _follow(self, row: int) -> None:
        track = self.tracks[row]
        assert track is not None
        self.said[row] += 1
        over = self.said[row] >= len(track)
        self.places[row] = self.lasts[row] if over else track[self.said[row]]


def timed_from(text: Sequence[int], timeless: Collection[int]) -> list[int]:
    """Of each place the first one from it on whose symbol takes time; the end does."""
    ways = [len(text)]
    for place in range(len(text) - 1, -1, -1):
        ways.append(ways[-1] if text[place] in timeless else place)
    return ways[::-1]
