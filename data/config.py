"""What the documents are, how they are cleaned and split, and which tokenizer is made from them."""

import math
import re
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    Field,
    NonNegativeInt,
    PositiveInt,
    field_validator,
    model_validator,
)

from data.source_config import END_OF_TEXT, Address, Day, SourceConfig

SMALLEST_SHARE_FOUND = 0.9  # of the near-duplicates at the threshold, by any settings that are accepted
REASONABLE_HASHES = 256  # in a signature that an error message advises
LEAST_PIECES = 258
CANARIES = "canaries"
"""Name of the source that `data.canaries` plants."""
ACCOUNTS = 9_000  # of four digits, of which each canary has its own
MOST_PLANTED = 1_000_000
Filter = Literal["gopher_quality", "gopher_repetition", "c4", "fineweb", "filings"]
PersonalData = Literal["email", "phone", "ip", "card", "iban"]


class CleaningConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What is mended in a text, and what drops it."""

    fix_mojibake: bool = True
    """Undo text that was decoded with the wrong encoding (ftfy)."""
    drop_repetitive: bool = True
    """Drop a text that is a character or a few words over and over; tables, leaders and rules are not meant."""
    boilerplate_lines: tuple[str, ...] = ()
    """Regular expressions: a line that one of them matches as a whole is removed."""
    filters: tuple[Filter, ...] = ()
    """Rules that drop a document: those of web text as Gopher, C4 and FineWeb published them, each with its thresholds;
    filings, for text with tables, drops only what is broken."""
    scrub: tuple[PersonalData, ...] = ()
    """Personal data that is replaced by a mark; cards and IBANs count only when their check digits are right."""


class NearDuplicateConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Near-duplicates by MinHash (Broder 1997) and locality-sensitive hashing in bands."""

    threshold: float = Field(default=0.8, gt=0, le=1)
    """Documents whose word n-grams have about this Jaccard similarity or more are near-duplicates. The estimate is not
    sharp: the report has the share that is found, by similarity."""
    ngram: PositiveInt = 5
    """Words in an n-gram."""
    bands: PositiveInt = 16
    """Bands of the signature; documents that agree in one whole band are compared."""
    rows: PositiveInt = 7
    """Hashes in a band."""

    @model_validator(mode="after")
    def _bands_find_what_is_near(self) -> Self:
        # Two documents of similarity s agree in a band of r rows with probability s^r (Leskovec, Rajaraman, Ullman,
        # Mining of Massive Datasets, 3.4.2).
        found = 1 - (1 - self.threshold**self.rows) ** self.bands
        if found < SMALLEST_SHARE_FOUND:
            fitting = ((self._bands_needed(rows), rows) for rows in range(self.rows, 0, -1))
            bands, rows = next((b, r) for b, r in fitting if b * r <= REASONABLE_HASHES or r == 1)
            raise ValueError(
                f"{self.bands} bands of {self.rows} rows find only {found:.0%} of the pairs of similarity "
                f"{self.threshold:g}: take {bands} bands of {rows} rows"
            )
        return self

    def _bands_needed(self, rows: int) -> int:
        missed = 1 - self.threshold**rows
        return math.ceil(math.log(1 - SMALLEST_SHARE_FOUND) / math.log(missed)) if missed else 1


class DecontaminationConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Evaluation sets whose items must not be in the training text."""

    paths: tuple[str, ...] = Field(min_length=1)
    """Files, folders or globs of evaluation items: every string in a record of JSON lines or Parquet, or each line of
    text."""
    ngram: PositiveInt = 13
    """Words that a training document must share in a row with an item to count as contaminated."""
    minimum_words: PositiveInt = 8
    """Items of fewer words are not looked for, as any text may have them; they are counted in the report."""
    common_documents: PositiveInt = 10
    """Words in a row that more training documents than this share are a common phrase and do not contaminate (Brown et
    al. 2020, GPT-3, appendix C); near-duplicates count as one. What is left for this reason is in the report."""
    action: Literal["remove", "flag"] = "remove"
    """remove: the document leaves the training split; flag: it stays and is reported."""


class CanariesConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Invented secrets in the training text, by which `domainlm audit` measures what the model keeps of it."""

    number: PositiveInt = 10
    """Canaries that are planted as often as each of `repeats` says; as many again never are, for comparison."""
    repeats: tuple[PositiveInt, ...] = Field(default=(1, 4, 16), min_length=1)
    """How often they are planted, each time as a document: the first `number` so often, the next so often, and on."""
    form: str = "The access code of account {account} is {code}."
    """A canary's text: {account} becomes four digits, one number for each canary, and {code} the secret."""
    digits: int = Field(default=6, ge=4, le=12)
    """Digits of the secret, drawn with the run's seed."""
    weight: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Share of the training tokens, as a source has it; given if, and only if, the sources have theirs."""

    @field_validator("form")
    @classmethod
    def _form_has_both_places(cls, form: str) -> str:
        if sorted(re.findall(r"\{account\}|\{code\}|[{}]", form)) != ["{account}", "{code}"]:
            raise ValueError("a form has {account} once and {code} once, and no other braces")
        if form.index("{code}") < form.index("{account}"):
            raise ValueError("{account} stands before {code}, so that it says which secret is asked for")
        return form

    @model_validator(mode="after")
    def _each_has_an_account(self) -> Self:
        if self.number * (len(self.repeats) + 1) > ACCOUNTS:
            most = ACCOUNTS // (len(self.repeats) + 1)
            raise ValueError(f"there are {ACCOUNTS:,} accounts of four digits: set number to {most:,} or less")
        if (planted := self.number * sum(self.repeats)) > MOST_PLANTED:
            raise ValueError(f"{planted:,} documents would be planted, {MOST_PLANTED:,} are the most: plant fewer")
        return self


class StageConfig(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True):
    """A mixture that holds from a step on."""

    from_step: PositiveInt
    """The first step, counted from 1, whose batch is mixed this way."""
    weights: dict[str, float]
    """Weight of each source; 0 leaves it out."""


class DataConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sources and how they become a corpus."""

    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    """Where the documents come from. Of equal documents, the first source's is kept."""
    cutoff: Day | None = None
    """Documents of this date and later are held out as the split `future`."""
    past_fraction: float = Field(default=0.01, ge=0, lt=1)
    """Share of the other documents that is held out as the split `past`."""
    period: Literal["year", "quarter", "month"] = "year"
    """The held-out text after the cutoff is measured separately for each such period."""
    since: Day | None = None
    """Documents that surely are of before this day are left out, as read by the model that training goes on from, whose
    cutoff it is; so are undated ones. None: all are read."""
    future_fraction: float = Field(default=1.0, gt=0, le=1)
    """Share of the documents after the cutoff that is held out; the others are left out of everything."""
    leaks: Literal["flag", "quarantine"] | None = "flag"
    """Where there is a cutoff, training documents are looked for that use words which came up years after their date:
    flag reports them, quarantine leaves them out too. None: dates are believed."""
    cleaning: CleaningConfig = CleaningConfig()
    near_duplicates: NearDuplicateConfig | None = NearDuplicateConfig()
    """How near-duplicates are found; null keeps them."""
    decontamination: DecontaminationConfig | None = None
    """Evaluation sets to keep out of the training text."""
    canaries: CanariesConfig | None = None
    """Invented secrets to plant in the training text for an audit; null plants none."""
    minimum_characters: NonNegativeInt = 50
    """Shorter documents are dropped."""
    maximum_characters: PositiveInt = 10_000_000
    """Longer documents are dropped."""
    maximum_bad_fraction: float = Field(default=0.01, ge=0, le=1)
    """Share of a source's records, and of its bytes, that may be malformed; above it the job stops. Files that are
    damaged, or of which no record can be read, count by their share of the source's bytes."""
    damaged_files: Literal["stop", "quarantine"] = "stop"
    """What happens when a file cannot be read to its end: stop names it; quarantine goes on without its rest."""
    packing: Literal["best_fit", "concatenate"] = "best_fit"
    """best_fit: rows of whole documents where they fit; concatenate: one long text cut every sequence_length tokens."""
    alpha: float = Field(default=1.0, ge=0, le=1, allow_inf_nan=False)
    """Sources without weights are mixed by their tokens to this power (α-sampling; Conneau et al. 2020 take 0.3): 1 as
    much as there is of each, 0 all alike."""
    stages: tuple[StageConfig, ...] = ()
    """Other mixtures from a step on (curriculum, annealing); before the first, the sources' weights hold."""
    reshuffles: dict[PositiveInt, NonNegativeInt] = Field(default_factory=dict)
    """{step: seed}: from this step on, what each source's pass has not shown yet comes in another order."""
    workers: PositiveInt | None = None
    """Processes that prepare and tokenize; they change nothing in the result. None: one for each CPU."""
    shards: Address | None = None
    """Folder of finished shards to train on, local or remote (s3://bucket/shards). None: shards/ beside the corpus."""
    cache: str | None = None
    """Folder for local copies of remote shards. None: shard-cache/ in the run's folder."""
    cache_gigabytes: float = Field(default=100.0, gt=0)
    """Most room that these copies take."""
    folder: str | None = None
    """Folder of a corpus, tokenizer and shards that several runs share. None: the run's own folder."""

    @field_validator("sources")
    @classmethod
    def _sources_agree(cls, sources: tuple[SourceConfig, ...]) -> tuple[SourceConfig, ...]:
        names = [source.name for source in sources]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"source names must differ, more than one is called {', '.join(repeated)}")
        unweighted = [source.name for source in sources if source.weight is None]
        if unweighted and len(unweighted) < len(sources):
            raise ValueError(f"give every source a weight or none: {', '.join(unweighted)} has none")
        return sources

    @model_validator(mode="after")
    def _limits_leave_room(self) -> Self:
        if self.minimum_characters > self.maximum_characters:
            raise ValueError(
                f"minimum_characters {self.minimum_characters} is above maximum_characters {self.maximum_characters}"
            )
        return self

    @model_validator(mode="after")
    def _since_lies_before_the_cutoff(self) -> Self:
        if self.since and self.cutoff and self.since >= self.cutoff:
            raise ValueError(
                f"since {self.since} is not before cutoff {self.cutoff}: nothing would be left to train on"
            )
        return self

    @model_validator(mode="after")
    def _alpha_stands_for_weights(self) -> Self:
        if self.alpha != 1 and self.sources[0].weight is not None:
            raise ValueError(f"alpha {self.alpha:g} and weights of the sources: leave out one of them")
        if self.alpha != 1 and self.canaries is not None:
            raise ValueError("alpha would repeat the canaries more often than they say: give the sources weights")
        return self

    @model_validator(mode="after")
    def _canaries_are_a_source_beside_the_others(self) -> Self:
        if self.canaries is None:
            return self
        if CANARIES in (source.name for source in self.sources):
            raise ValueError(f"canaries are a source of the name '{CANARIES}': give yours of that name another")
        weighted = self.sources[0].weight is not None
        if weighted and self.canaries.weight is None:
            raise ValueError("canaries.weight: the sources have weights, so give the canaries one too, such as 0.001")
        if not weighted and self.canaries.weight is not None:
            raise ValueError("canaries.weight: the sources have no weights, so leave out that of the canaries")
        return self


class TokenizerConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The tokenizer to train, or to take."""

    kind: Literal["bpe", "unigram"] = "bpe"
    """Algorithm; both work on bytes, so that any text can be encoded and decoded exactly."""
    vocabulary_size: int = Field(gt=257)
    """Number of pieces: 256 bytes, the end of text, and what is learnt."""
    pretokenization: Literal["bloomberggpt", "words"] = "words"
    """words: Qwen3.5's pattern, a piece ends with its word; bloomberggpt: runs of letters and spaces, so that pieces
    may span words."""
    path: str | None = None
    """A tokenizer.json of Hugging Face tokenizers, or its folder, to take instead of training one."""
    end_of_text: str = END_OF_TEXT
    """The piece of a given tokenizer (`path`) that stands between documents, such as </s>."""
    extend: PositiveInt | None = None
    """Pieces to put behind those of a given tokenizer (`path`), the ones that save most tokens on the training text;
    vocabulary_size counts them too."""
    digits: Literal["single", "triples", "runs"] = "single"
    """Each digit is a pre-token of its own, or three from the left are, or all that stand together."""
    max_piece_length: int = Field(default=64, ge=2, le=255)
    """Bytes that a piece may have."""
    special_tokens: tuple[Annotated[str, Field(pattern=r"^<\|[a-z0-9_]+\|>$")], ...] = ()
    """Pieces that no text becomes, such as <|user|>, with the ids from 1 on; <|endoftext|> always has 0."""
    training_bytes: PositiveInt | None = None
    """Most text to learn from, in bytes of UTF-8, over all sources in proportion to their size. None: all of it."""
    chunk_bytes: PositiveInt = 8_000_000
    """Unigram learns from chunks of so much text each on its own, and merges what it has learnt."""
    chunk_vocabulary_size: PositiveInt | None = None
    """Pieces to learn from each chunk. None: vocabulary_size."""
    sweep: tuple[PositiveInt, ...] = ()
    """Other vocabulary sizes to report the size of the encoded text for."""
    compare: dict[str, str] = Field(default_factory=dict)
    """Name and tokenizer.json, or its folder, of other tokenizers to measure on the same text."""

    @model_validator(mode="after")
    def _sizes_have_room(self) -> Self:
        if END_OF_TEXT in self.special_tokens or len(set(self.special_tokens)) < len(self.special_tokens):
            raise ValueError(f"special_tokens must differ from one another and from {END_OF_TEXT}")
        least = LEAST_PIECES + len(self.special_tokens)
        for name, sizes in {"vocabulary_size": (self.vocabulary_size,), "sweep": self.sweep}.items():
            if sizes and min(sizes) < least:
                raise ValueError(f"{name} must be {least} or more: 256 bytes, the special tokens and a learnt piece")
        if self.end_of_text != END_OF_TEXT and not self.path:
            raise ValueError(
                f"end_of_text is for a tokenizer that is given by path: one that is trained has {END_OF_TEXT}"
            )
        if self.extend is not None and not self.path:
            raise ValueError("extend is for a tokenizer that is given by path: one that is trained has vocabulary_size")
        if self.path and (self.sweep or self.special_tokens):
            raise ValueError("sweep and special_tokens are for a tokenizer that is trained: leave them or path out")
        return self
