"""The files of a source on this machine: a file, a folder or a glob, in the order of names."""

import functools
import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from data.errors import DataError
from data.progress import say
from data.source_config import SourceConfig
from data.sources.formats import reader
from data.sources.token_files import is_token_file, without_companions

# What programs put beside data for themselves: hidden files; Hadoop and Spark, Delta Lake, Databricks; zip on macOS.
# Any other name that begins with an underscore may well be data's.
MARKS = re.compile(
    r"\..*|_SUCCESS|_temporary|_(?:common_)?metadata|_spark_metadata|_delta_log|_change_data|_symlink_format_manifest"
    r"|_(?:started|committed)_.*|__MACOSX"
)
_say_once = functools.cache(say)


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
            reader(str(file), source)
        try:
            str(file).encode()
        except UnicodeEncodeError:
            raise DataError(f"{str(file)!a}: the name is not UTF-8: rename it") from None
    return files


def found_files(path: Path) -> list[Path]:
    """A file alone; of a folder or a glob the files of data, in the order of their names; links are followed.

    Raises:
        DataError: a link leads nowhere, or a folder in which files may lie cannot be read.
    """
    try:
        return _found(path)
    except OSError as error:
        raise DataError(
            f"{error.filename} cannot be read: {error.strerror}: what is in it would be missing from {path}: mend its "
            "permissions, or leave it out by a glob"
        ) from None


def _found(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    root = root_of(path)
    pattern = "" if path.is_dir() else path.relative_to(root).as_posix()
    if pattern:  # pathlib's ** follows no links
        names = _names_of(root, pattern)
        for folder in whole_folders(str(path), [name for name in names if (root / name).is_dir()], names):
            names += (f"{folder.rstrip('/')}/{name}" for name in _names_below(root / folder))
    else:
        names = list(_names_below(root))
    found = [root / name for name in data_files(str(path), names, pattern)]
    for file in found:
        if not file.exists():
            raise DataError(f"{file} is a link to {file.readlink()}, where nothing is: mend or remove it")
    if no_files := [other.name for other in found if not other.is_file() and not other.is_dir()]:
        _say_once(f"{path}: passed over {_number(no_files, 'pipe or device', 'pipes and devices')}")
    return [file for file in found if file.is_file()]


def whole_folders(path: str, folders: Iterable[str], names: Iterable[str]) -> list[str]:
    """Which of the folders that fit the glob `path` are read as a whole: those in which no other name fits; it is said.

    Marks of other programs are none of them.
    """
    entered = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    found = [
        name
        for name in sorted(folders)
        if name.rstrip("/") not in entered and not MARKS.fullmatch(PurePosixPath(name).name)
    ]
    if found:
        _say_once(
            f"{path}: {_number([PurePosixPath(name).name for name in found], 'folder', 'folders')} read as a whole"
        )
    return found


def _number(names: Sequence[str], one: str, several: str) -> str:
    some = ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
    return f"{len(names):,} {one if len(names) == 1 else several} ({some})"


def _names_of(root: Path, pattern: str) -> list[str]:
    """What fits a glob below a folder; unlike Python's own, it passes over no folder that cannot be read."""
    parts = pattern.split("/")
    for place, part in enumerate(parts):
        if glob.has_magic(part):
            folders = "/".join([*parts[: place + (part == "**")], ""])
            for folder in glob.glob(folders, root_dir=root, recursive=True) if folders else [""]:  # noqa: PTH207
                os.scandir(root / folder).close()
    return glob.glob(pattern, root_dir=root, recursive=True)  # noqa: PTH207


def _names_below(root: Path) -> Iterator[str]:
    """What is in a folder and in those within it, also by links but those that lead back."""
    for folder, folders, names in os.walk(root, onerror=_raise, followlinks=True):
        here = Path(folder)
        folders[:] = [name for name in folders if not here.resolve().is_relative_to((here / name).resolve())]
        yield from ((here / name).relative_to(root).as_posix() for name in names)


def _raise(error: OSError) -> None:
    raise error


def data_files(path: str, names: Iterable[str], pattern: str) -> list[str]:
    """The names, below a source's path, of the files that are data, sorted; what is passed over is said.

    MARKS are passed over, but for those that begin as a part of the pattern does, such as _metadata by _*.
    """
    asked = {part[0] for part in pattern.split("/") if part}
    marks: list[str] = []
    data: list[str] = []
    for name in sorted(names):
        is_mark = any(MARKS.fullmatch(part) and part[0] not in asked for part in name.split("/"))
        (marks if is_mark else data).append(name)
    if marks:
        number = _number(marks, "mark of another program", "marks of other programs")
        _say_once(f"{path}: passed over {number}; a glob can name them")
    return without_companions(data)


def nothing_found(source: SourceConfig, what: str) -> DataError:
    """The error of a source without files; `what` completes its sentence."""
    return DataError(f"source '{source.name}': {source.path} {what}: correct data.sources.{source.name}.path")


def root_of(path: Path) -> Path:
    """The folder below which a file's name is stable: the source's path itself, or what comes before its pattern."""
    if path.is_dir():
        return path
    return next(parent for parent in path.parents if not glob.has_magic(str(parent)))
