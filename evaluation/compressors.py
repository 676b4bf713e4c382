"""General-purpose compressors as language models: bytes that a text takes alone, and after the training text.

A text much smaller after the training text than alone holds passages of it: near-duplicates on both sides of a split.
"""

import lzma
from collections.abc import Sequence

import zstandard

ZSTD_LEVEL = 22
ZSTD_WINDOW_LOG = 27  # 128 MiB: all that `decompress` accepts unasked
SMALLEST_DICTIONARY = 4096  # of xz


def xz_size(text: bytes) -> int:
    """Bytes of `text` as an LZMA2 stream at preset 9e, its dictionary as long as the text, without a container."""
    preset = 9 | lzma.PRESET_EXTREME
    filters = [{"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": max(len(text), SMALLEST_DICTIONARY)}]
    return len(lzma.compress(text, lzma.FORMAT_RAW, filters=filters))


def xz_primed_sizes(training: bytes, texts: Sequence[bytes]) -> list[int]:
    """Bytes that each text adds to the compressed training text when it is appended: size(both) - size(training)."""
    alone = xz_size(training)
    return [xz_size(training + text) - alone for text in texts]


def zstd_size(text: bytes) -> int:
    """Bytes of `text` as one zstd frame at level 22."""
    return len(_zstd(len(text), None).compress(text))


def zstd_primed_sizes(training: bytes, texts: Sequence[bytes]) -> list[int]:
    """Bytes of each text as a zstd frame at level 22 that may refer to the training text, a raw-content dictionary."""
    # A dictionary of less than 8 bytes is refused; of so few, none is the same.
    dictionary = zstandard.ZstdCompressionDict(training, zstandard.DICT_TYPE_RAWCONTENT) if len(training) >= 8 else None
    return [len(_zstd(len(training) + len(text), dictionary).compress(text)) for text in texts]


def _zstd(size: int, dictionary: zstandard.ZstdCompressionDict | None) -> zstandard.ZstdCompressor:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        ZSTD_LEVEL, source_size=size, window_log=ZSTD_WINDOW_LOG, write_content_size=False
    )
    return zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters)
