"""Say what a file is by its first bytes, so that a refusal can name it."""

from dataclasses import dataclass

SNIFFED_BYTES = 512


@dataclass(frozen=True, kw_only=True)
class Sniffed:
    words: str
    """What the file is, to be read after "is" or "begins as"."""
    readable: bool
    """Whether audio of this kind can be read when it is whole."""


# (offset, first bytes, words)
READABLE_KINDS = (
    (8, b"WAVE", "a WAV file"),
    (0, b"RF64", "a WAV file (RF64)"),
    (0, b"riff\x2e\x91\xcf\x11", "a W64 file"),
    (0, b"fLaC", "a FLAC file"),
    (0, b"OggS", "an Ogg file"),
    (0, b"ID3", "an MP3 file"),
    (8, b"AIF", "an AIFF file"),
    (0, b".snd", "an AU file"),
    (0, b"caff", "a CAF file"),
)
OTHER_KINDS = (
    (4, b"ftypM4", "an M4A file (AAC or ALAC in MP4)"),
    (4, b"ftypqt", "a QuickTime movie"),
    (4, b"ftyp3g", "a 3GP file"),
    (4, b"ftyp", "an MP4 file (AAC or ALAC)"),
    (0, b"\x1a\x45\xdf\xa3", "a WebM or Matroska file"),
    (0, b"\xff\xf1", "a raw AAC stream"),
    (0, b"\xff\xf9", "a raw AAC stream"),
    (0, b"ADIF", "a raw AAC stream"),
    (0, b"\x30\x26\xb2\x75", "a Windows Media file (WMA or WMV)"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"#!SILK", "a SILK file"),
    (0, b"\x02#!SILK", "a SILK file"),
    (0, b"MAC ", "a Monkey's Audio file"),
    (0, b"wvPk", "a WavPack file"),
    (0, b"MPCK", "a Musepack file"),
    (0, b"DSD ", "a DSD file"),
    (0, b"FRM8", "a DSD file"),
    (0, b".RMF", "a RealMedia file"),
    (0, b"MThd", "a MIDI file"),
    (8, b"AVI ", "an AVI movie"),
    (0, b"FLV", "a Flash movie"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"%PDF", "a PDF file"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x93NUMPY", "a NumPy array"),
)

# Writers that do not know the length in advance announce about this much or more.
UNKNOWN_LENGTH = 0x7FFF_0000


def sniff(head: bytes) -> Sniffed:
    """Name the kind of a file from its first bytes."""
    for offset, magic, words in READABLE_KINDS:
        if head[offset:].startswith(magic):
            return Sniffed(words=words, readable=True)
    for offset, magic, words in OTHER_KINDS:
        if head[offset:].startswith(magic):
            return Sniffed(words=words, readable=False)
    # Eleven set bits begin each MPEG frame; AAC, with layer 00, was told apart above.
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06:
        return Sniffed(words="an MP3 file", readable=True)
    if _is_text(head):
        return Sniffed(words="text", readable=False)
    if not any(head):
        return Sniffed(words="nothing but zero bytes", readable=False)
    return Sniffed(words="of a kind not known", readable=False)


def announced_bytes(head: bytes) -> int:
    """The size that a RIFF or AIFF header promises; 0 where it does not tell."""
    if head.startswith(b"RIFF"):
        size = int.from_bytes(head[4:8], "little") + 8
    elif head.startswith(b"FORM"):
        size = int.from_bytes(head[4:8], "big") + 8
    else:
        return 0
    return size if size < UNKNOWN_LENGTH else 0


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < SNIFFED_BYTES - 3:  # else only the last character is cut in two
            return False
        text = head[: error.start].decode("utf-8")
    return all(character.isprintable() or character.isspace() for character in text)
