"""What is secret in an address: hidden wherever the address is shown or written, and used where it is opened."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from data.addresses import is_whole, without_secrets
from data.config import DataConfig
from data.corpus.build import prepare_corpus
from data.errors import DataError, UnreachableError
from data.progress import say
from data.source_config import SourceConfig

# What must go, and what stays to be seen and compared.
HIDDEN = {
    "https://anna:pa55@host/x.jsonl": "https://***@host/x.jsonl",
    "https://ghp_token@host/x": "https://***@host/x",
    "https://anna:pa/ss@host/x": "https://***@host/x",
    "https://anna:p@ss@host/a@b": "https://***@host/a@b",
    "sftp://anna@host/x": "sftp://***@host/x",
    "abfs://box:key@account/x": "abfs://***@account/x",
    "zip://in/*.jsonl::https://anna:pa55@host/c.zip": "zip://in/*.jsonl::https://***@host/c.zip",
    "https://h/x?id=5&X-Amz-Signature=ab/cd&X-Amz-Date=1#f": "https://h/x?id=5&X-Amz-Signature=***&X-Amz-Date=***#f",
    "https://h/x?AWSAccessKeyId=A&Signature=b%3D&Expires=9": "https://h/x?AWSAccessKeyId=***&Signature=***&Expires=***",
    "https://h/x?sv=2024&sig=a%2Fb%3D": "https://h/x?sv=2024&sig=***",
    "https://h/x?api_key=1&format=jsonl": "https://h/x?api_key=***&format=jsonl",
    "404 for ('https://anna:pa55@h/x?access_token=abc') in 3 s": "404 for ('https://***@h/x?access_token=***') in 3 s",
}
KEPT = (
    "hub://owner/name@main:conf/train",
    "abfs://box@account.dfs.core.windows.net/x",
    "zip://a::file:///x@y",
    "https://host:8080/a@b",
    "http://[::1]:80/a@b",
    "s3://bucket/a@b/*.jsonl",
    "https://h/x?id=5&author=anna&max_tokens=7&tokenizer=bpe",
    "memory://corpus",
    "anna@example.com said a?b=c",
)


@pytest.mark.parametrize(("address", "shown"), HIDDEN.items())
def test_secrets_are_hidden_and_the_rest_is_not(address: str, shown: str) -> None:
    assert without_secrets(address) == shown
    assert without_secrets(shown) == shown
    assert is_whole(address)
    assert not is_whole(shown)


@pytest.mark.parametrize("address", KEPT)
def test_what_is_no_secret_stays(address: str) -> None:
    assert without_secrets(address) == address
    assert is_whole(address)


class Vault(MemoryFileSystem):
    """A store that asks for a password and, as fsspec's for https, calls its files by their whole addresses."""

    protocol: ClassVar[str] = "vault"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    passwords: ClassVar[set[str]] = {"0pen", "ses4me"}
    cachable = False

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        user, at, place = path.removeprefix("vault://").partition("@")
        if at and user.removeprefix("anna:") not in cls.passwords:
            raise PermissionError(f"403 for {path}")
        return str(MemoryFileSystem._strip_protocol(place or user))

    def unstrip_protocol(self, name: str) -> str:
        return f"vault://anna:0pen@{name.lstrip('/')}"


@pytest.fixture
def vault() -> Iterator[None]:
    fsspec.register_implementation("vault", Vault, clobber=True)
    records = "".join(
        f'{{"text": "{"the bank " * 20}{number}", "date": "2020-01-0{number}"}}\n' for number in range(1, 9)
    )
    Vault().pipe("vault://box/news.jsonl", records.encode() + b"broken\n")
    yield
    Vault.store.clear()
    Vault.pseudo_dirs[:] = [""]


def data(path: str) -> DataConfig:
    source = SourceConfig(name="news", path=path)
    return DataConfig(sources=(source,), near_duplicates=None, maximum_bad_fraction=0.5, past_fraction=0, workers=1)


def written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_corpus_is_read_with_the_password_and_does_not_hold_it(
    vault: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = prepare_corpus(data("vault://anna:0pen@box/news.jsonl"), tmp_path / "corpus", seed=0)
    assert report["sources"]["news"]["read"] == 9
    assert report["sources"]["news"]["path"] == "vault://***@box/news.jsonl"
    assert b"0pen" not in written(tmp_path)
    # Another password is not another corpus.
    prepare_corpus(data("vault://anna:ses4me@box/news.jsonl"), tmp_path / "corpus", seed=0)
    shown = capsys.readouterr().err
    assert "corpus is up to date" in shown
    assert "0pen" not in shown + repr(report)


def test_errors_hide_the_password_and_say_what_to_do_without_it(vault: None, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match=r"vault://\*\*\*@box/news\.jsonl cannot be read") as refused:
        prepare_corpus(data("vault://anna:wr0ng@box/news.jsonl"), tmp_path, seed=0)
    assert "wr0ng" not in str(refused.value) + repr(refused.value)
    assert "wr0ng" not in str(pickle.loads(pickle.dumps(refused.value)))
    with pytest.raises(DataError, match=r"cannot be opened: its secrets are not kept with a run: name the file that"):
        prepare_corpus(data("vault://***@box/news.jsonl"), tmp_path, seed=0)


def test_what_is_said_hides_it(capsys: pytest.CaptureFixture[str]) -> None:
    say("https://anna:pa55@host/x: trying again in 1 s")
    assert capsys.readouterr().err == "https://***@host/x: trying again in 1 s\n"


def test_a_configuration_hides_it_in_all_that_is_made_of_it_but_uses_it() -> None:
    config = data("https://anna:pa55@host/x.jsonl").model_copy(update={"shards": "s3://anna:pa55@box/shards?token=t0k"})
    assert config.sources[0].path == "https://anna:pa55@host/x.jsonl"
    for made in (config.model_dump(), config.model_dump(mode="json"), config.model_dump_json()):
        assert "pa55" not in str(made)
        assert "t0k" not in str(made)
