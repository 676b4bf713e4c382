"""Files elsewhere: s3://, gs://, https:// and whatever else fsspec opens, listed, stamped and read with patience."""

import glob
import io
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from data.addresses import NOT_WHOLE, is_whole, without_secrets
from data.errors import DataError, UnreachableError
from data.progress import say
from data.source_config import SourceConfig
from data.sources.formats import reader
from data.sources.local import data_files, nothing_found, whole_folders
from data.sources.parts import Part
from data.sources.token_files import is_token_file

PACKAGES = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "https": "aiohttp",
    "http": "aiohttp",
}
# What stores call a content's mark, the surest first; where there is none, when it was last changed.
MARKS = ("ETag", "etag", "md5Hash", "md5", "crc32c", "checksum", "version_id", "sha")
TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
RETRY_SECONDS = (1, 4, 16)

Answer = TypeVar("Answer")


def remote_files(source: SourceConfig) -> list[Part]:
    """Every file that the source reads, in the order of names.

    Raises:
        DataError: the scheme is unknown or its package missing, there is no such file or folder, nothing fits the
            pattern, or an extension is unknown; UnreachableError where the store does not answer.
    """
    system, path = _file_system(source.path)
    try:
        root, files = _listing(system, path)
    except FileNotFoundError:
        raise nothing_found(source, "does not exist") from None
    except Exception as error:  # each store has its own kinds
        raise _unreachable(source.path, error) from error
    names = data_files(source.path, files, "" if system.isdir(path) else path.removeprefix(root))
    if not names:
        raise nothing_found(source, "fits no file" if glob.has_magic(path) else "holds no files")
    for name in names:
        if is_token_file(name):
            raise DataError(
                f"{source.path}: {name} is a token file, which is mapped to memory: copy it to this machine"
            )
        reader(name, source)
    # One file alone goes by its own name.
    return [
        Part(
            without_secrets(name),
            system.unstrip_protocol(f"{root}{name}"),
            _stamp(files[name]),
            files[name].get("size"),
        )
        for name in names
    ]


def _file_system(url: str) -> tuple[Any, str]:
    import fsspec

    if not is_whole(url):
        raise DataError(f"{url} cannot be opened: {NOT_WHOLE}")
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        scheme = url.partition("://")[0]
        package = PACKAGES.get(scheme)
        needed = f"pip install {package}" if package else str(error)
        raise DataError(f"{url}: {scheme}:// needs a package that is not installed: {needed}") from None
    except ValueError as error:
        raise DataError(
            f"{url} cannot be opened: {error}: write hub://, demo://, s3://, gs://, https:// or a path"
        ) from None
    except Exception as error:
        raise _unreachable(url, error) from error
    return system, path


def _listing(system: Any, path: str) -> tuple[str, dict[str, Mapping[str, Any]]]:
    """What comes before the names of the files, and what the store says about each name."""
    if glob.has_magic(path):
        outer = path[: min(path.index(sign) for sign in "*?[" if sign in path)]
        root = outer[: outer.rindex("/") + 1] if "/" in outer else ""
        found = system.glob(path, detail=True)
    elif system.isdir(path):
        root = path.rstrip("/") + "/"
        found = system.find(path, detail=True)
    else:
        root = path[: path.rindex("/") + 1] if "/" in path else ""
        found = {path: system.info(path)}
    folders = sorted(name for name, info in found.items() if info.get("type") == "directory")
    for folder in whole_folders(path, folders, found):
        found |= system.find(folder, detail=True)
    files = {name: info for name, info in found.items() if info.get("type") != "directory"}
    # Listings of web servers are names alone.
    return root, {
        name.removeprefix(root): info if info.get("size") is not None else system.info(name)
        for name, info in files.items()
    }


def _stamp(info: Mapping[str, Any]) -> list[int | str]:
    """A file's size, and its mark in the store or the time of its last change."""
    marks = [str(info[key]) for key in (*MARKS, *TIMES) if info.get(key) is not None]
    return [int(info.get("size") or 0), *marks[:1]]


def open_remote(address: str, location: str) -> io.RawIOBase:
    """Open a file of the store that `address`, such as a source's path, is in.

    A read that fails is tried again after each of RETRY_SECONDS.

    Raises:
        UnreachableError: from opening and from every read, when the last attempt has failed too.
    """
    return _PatientFile(_file_system(address)[0], location)


class _PatientFile(io.RawIOBase):
    """A remote file that is opened again, where reading stood, when reading fails."""

    def __init__(self, system: Any, location: str) -> None:
        self.system = system
        self.location = location
        self.position = 0
        self.file: Any = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = self.position if whence == io.SEEK_CUR else 0
        if whence == io.SEEK_END:
            start = self._patiently(lambda: int(self.system.info(self.location)["size"]))
        self.position = start + offset
        return self.position

    def readinto(self, buffer: Any) -> int:
        content = self._patiently(lambda: self._read(len(buffer)))
        buffer[: len(content)] = content
        self.position += len(content)
        return len(content)

    def _read(self, size: int) -> bytes:
        if self.file is None:
            self.file = self.system.open(self.location, "rb")
        if self.file.tell() != self.position:
            self.file.seek(self.position)
        content: bytes = self.file.read(size)
        whole = getattr(self.file, "size", None)
        if not content and size and whole and self.position < whole:
            raise EOFError(f"it ended at byte {self.position:,} of {whole:,}")
        return content

    def _patiently(self, action: Callable[[], Answer]) -> Answer:
        for pause in (*RETRY_SECONDS, None):
            try:
                return action()
            except Exception as error:  # each store has its own kinds
                self._forget()
                if pause is None or isinstance(error, FileNotFoundError):
                    raise _unreachable(self.location, error) from error
                say(f"{self.location}: {type(error).__name__}: {error}; trying again in {pause} s")
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _forget(self) -> None:
        with suppress(Exception):  # closing what is broken
            if self.file is not None:
                self.file.close()
        self.file = None

    def close(self) -> None:
        self._forget()
        super().close()


def _unreachable(url: str, error: Exception) -> UnreachableError:
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return UnreachableError(f"{url} cannot be read: {said}: check the address, the network and the credentials")
