"""General-purpose compressors as language models: bytes that a text takes alone, and after the training text.

A text much smaller after the training text than alone holds passages of it: near-duplicates on both sides of a split.
"""

import lzma
from collections.abc import Sequence

import zstandard

ZSTD_LEVEL = 22
ZSTD_WINDOW_LOG = 27  # 128 MiB: all that `decompress` accepts unasked
SMALLEST_DICTIONARY = 4096  # of xz
SMALLEST_PREFIX = 8  # zstd refuses a dictionary of fewer bytes


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
    return len(zstandard.ZstdCompressor(compression_params=_zstd_parameters(len(text))).compress(text))


def zstd_primed_sizes(training: bytes, texts: Sequence[bytes]) -> list[int]:
    """Bytes of each text as a zstd frame at level 22 that may refer to the training text, a raw-content dictionary."""
    if len(training) < SMALLEST_PREFIX:
        return [zstd_size(text) for text in texts]
    parameters = _zstd_parameters(len(training) + max(map(len, texts), default=0))
    prefix = zstandard.ZstdCompressionDict(training, zstandard.DICT_TYPE_RAWCONTENT)
    prefix.precompute_compress(compression_params=parameters)  # once for all texts: it takes nearly all of the time
    return [
        len(zstandard.ZstdCompressor(dict_data=prefix, compression_params=parameters).compress(text)) for text in texts
    ]


def _zstd_parameters(size: int) -> zstandard.ZstdCompressionParameters:
    return zstandard.ZstdCompressionParameters.from_level(
        ZSTD_LEVEL, source_size=size, window_log=ZSTD_WINDOW_LOG, write_content_size=False
    )
