"""The files of a source on this machine: a file, a folder or a glob, in the order of names."""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from data.config import SourceConfig
from data.errors import DataError
from data.sources.formats import reader
from data.sources.token_files import is_token_file, without_companions


def local_files(source: SourceConfig) -> list[Path]:
    """Every file that the source reads, in reading order.

    Raises:
        DataError: there is no such file or folder, nothing fits the glob, a link leads nowhere, or an extension is
            unknown.
    """
    path = Path(source.path).expanduser()
    files = found_files(path)
    if not files:
        what = "holds no files" if path.is_dir() else "fits no file" if glob.has_magic(str(path)) else "does not exist"
        raise nothing_found(source, what)
    for file in files:
        if not is_token_file(file.name):
            reader(str(file))
        try:
            str(file).encode()
        except UnicodeEncodeError:
            raise DataError(f"{str(file)!a}: the name is not UTF-8: rename it") from None
    return files


def found_files(path: Path) -> list[Path]:
    """A file alone; of a folder or a glob the files of data, in the order of their names; links are followed.

    Raises DataError for a link that leads nowhere.
    """
    if path.is_file():
        return [path]
    root = root_of(path)
    pattern = path.relative_to(root).as_posix()
    # pathlib's ** follows no links
    names = _names_below(root) if path.is_dir() else glob.glob(pattern, root_dir=root, recursive=True)  # noqa: PTH207
    found = [root / name for name in data_files(names)]
    for file in found:
        if not file.exists():
            raise DataError(f"{file} is a link to {file.readlink()}, where nothing is: mend or remove it")
    return [file for file in found if file.is_file()]


def _names_below(root: Path) -> Iterator[str]:
    """What is in a folder and in those within it, also by links but those that lead back."""
    for folder, folders, names in os.walk(root, followlinks=True):
        here = Path(folder)
        folders[:] = [name for name in folders if not here.resolve().is_relative_to((here / name).resolve())]
        yield from ((here / name).relative_to(root).as_posix() for name in names)


def data_files(names: Iterable[str]) -> list[str]:
    """The names, below a source's path, of the files that are data, sorted."""
    # Names that begin with a dot or an underscore are other programs' marks, such as .git and _SUCCESS.
    return without_companions(sorted(name for name in names if not any(part[0] in "._" for part in name.split("/"))))


def nothing_found(source: SourceConfig, what: str) -> DataError:
    """The error of a source without files; `what` completes its sentence."""
    return DataError(f"source '{source.name}': {source.path} {what}: correct data.sources.{source.name}.path")


def root_of(path: Path) -> Path:
    """The folder below which a file's name is stable: the source's path itself, or what comes before its pattern."""
    if path.is_dir():
        return path
    return next(parent for parent in path.parents if not glob.has_magic(str(parent)))
