"""One collection of documents: where it lies, how its records are read, and what is expected of them."""

import datetime
import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer, field_validator, model_validator

from data.addresses import without_secrets
from data.date_format import check_date_format
from data.format_config import DocxConfig, EdgarConfig, Format, HtmlConfig, JatsConfig, PdfConfig, WarcConfig
from data.interval import DateKind

# The first whole year of the Gregorian calendar: ISO 8601 gives earlier ones no meaning without agreement. So years of
# the Hijra, now in their 15th century, are none of ours.
EARLIEST_DATE = datetime.date(1583, 1, 1)
OF_ONE_FORMAT = ("edgar", "jats", "html", "pdf", "docx", "warc")  # settings of a source, called as their format
# Forms of dates that are not of strptime's letters: what is read where no date_format is set, and units of epoch times:
# how many make a second, and the number below which it may be of the coarser unit instead. 50,000 days are of 2106, 5e9
# seconds of 2128; among them are 0 and -1, which programs write where they know no date.
USUAL = "usual"
UNITS = {"seconds": (1, 50_000, "days"), "milliseconds": (1_000, 5e9, "seconds")}
END_OF_TEXT = "<|endoftext|>"
Address = Annotated[str, PlainSerializer(without_secrets)]  # whole here, and without secrets in all that is made of it


def _day(value: object) -> object:
    if isinstance(value, str):
        if re.match(r"\d{4}-?W\d\d(?!-?\d)", value):  # which Python takes for its Monday
            raise ValueError(f"{value!r} is a week: write a day such as 2024-01-01")
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value!r} is no valid date: write a day such as 2024-01-01") from None
    if isinstance(value, int | float):  # which pydantic would take for seconds since 1970
        raise ValueError(f"{value} is a number: write a day such as 2024-01-01")
    if isinstance(value, datetime.datetime) and value.tzinfo:
        raise ValueError(f"{value} is a moment: write the day that it is in UTC, such as 2024-01-01")
    return value


Day = Annotated[datetime.date, BeforeValidator(_day)]


class SourceConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One collection of documents."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    """Name in the mixture, the reports and the file names: lower-case letters, digits and underscores."""
    path: Address = Field(min_length=1)
    """A file, a folder (read recursively) or a glob, here or remote (s3://, gs://, https:// and all else that fsspec
    opens); hub://OWNER/NAME[@revision][:configuration][/split]; or demo://NAME.

    Files are JSON lines (.jsonl, .json, .ndjson), plain text (.txt) or of another `format`, also as .gz, .zst, .bz2 or
    .xz; .parquet; or token files: Megatron's .bin with its .idx, or bare tokens as .bin, .npy or .ds.
    """
    format: Format | None = None
    """What the files are, whatever they are called. None: what their names tell, of which .nc is edgar and .eml
    mbox. EDGAR's .txt and all .xml need it said."""
    edgar: EdgarConfig | None = None
    """What becomes of submissions to EDGAR."""
    jats: JatsConfig | None = None
    """What becomes of articles in JATS."""
    html: HtmlConfig | None = None
    """What becomes of web pages."""
    pdf: PdfConfig | None = None
    """What becomes of PDFs."""
    docx: DocxConfig | None = None
    """What becomes of Word documents."""
    warc: WarcConfig | None = None
    """What becomes of a crawl's records."""
    weight: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Share of the training tokens, relative to the other sources'. None for all: in proportion to their size."""
    domain: bool = False
    """Whether this is the text that the model is to specialise in."""
    text_field: str = Field(default="text", min_length=1, pattern=r"^[^\[\]]+(\[\*\][^\[\]]*)*$")
    """Field of a record that holds the text. In this and the other fields, metadata.date is date within metadata; here
    also opinions[*].text is the text of each of the list `opinions`, with blank lines between."""
    text_is: Literal["plain", "html"] = "plain"
    """What that field holds. html: its text counts, with tables as lines of cells; of rows of jsonl, parquet, text and
    hub:// alone, as the other formats have readers that give text."""
    id_field: str = "id"
    """Field that holds the document's id; a record without one is named by its file and line, as all are by ""."""
    date_field: str = "date"
    """Field that holds the date: a day (2018-12-31, or with a time after it), or a month, season, year or range
    (2018-12, Winter 2018, 1998 Dec-1999 Jan), which is all of its days. Of a time with an offset or zone, the day in
    UTC counts; else the day as it is written."""
    date_format: str | tuple[str, ...] | None = None
    """How a date is written where it is not as above: in the letters of strptime (%d.%m.%Y, %Y%m%d), which must name
    a day, month or year, or as a number of seconds or milliseconds since 1970 (UTC). Of a list, whichever fits, where
    `usual` is what is read without this; a date that two of them read differently is malformed."""
    date_kind: DateKind | None = None
    """What the dates say, of records that do not say it: published, filed, accepted, sent, or revised or crawled, which
    are upper bounds: the text may be from any time before."""
    earliest_date: Day | None = None
    """A record whose date lies wholly before this is malformed, as it cannot be right. None: 1583-01-01, and malformed
    are also days that programs write where they know no date, such as 1900-01-01 and those of January 1970, and epoch
    times before 1980, which may be of another unit."""
    latest_date: Day = datetime.date(2099, 12, 31)
    """A record whose date lies wholly after this is malformed too."""
    licence: str | None = None
    """Licence of documents whose record names none; a list of several becomes one text with commas."""
    licence_field: str | None = None
    """Field that holds the licence, or a list of them. None: `licence`, else `license`."""
    url_field: str = "url"
    """Field that holds the address that the text came from."""
    title_field: str = "title"
    """Field that holds the title, which is kept beside the text and is no part of it."""
    tokenizer: str | None = None
    """A tokenizer.json, or its folder, that turns token files back into text; needed for these alone."""
    end_of_text: str = END_OF_TEXT
    """Token of that tokenizer that ends a document in token files."""
    token_dtype: Literal["uint16", "uint32"] | None = None
    """Type of the ids in token files without a header. None: uint16 for vocabularies up to 65,536, else uint32."""
    language: str | None = Field(default=None, pattern=r"^[a-z]{2}$")
    """ISO 639-1 code of the source's language: documents in another one are dropped. None: any."""
    maximum_epochs: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Most passes that a run may make over this source; a run that would make more is refused. None: any number."""
    origin: Literal["public", "licensed", "third_party", "crawled", "users", "synthetic", "own"] | None = None
    """Where the text is from, for the summary of the training content: a public dataset, licensed by its rightsholders,
    had of others, crawled, of your users, synthetic, or your own. It changes nothing in the corpus."""
    description: str | None = None
    """What the text is and where it can be had, in a sentence, for that summary too."""
    undated: Literal["refuse", "quarantine", "train"] = "refuse"
    """What happens to documents without a date where `cutoff` is set: refuse stops, quarantine leaves them out, train
    takes them as older than the cutoff."""

    @model_validator(mode="after")
    def _settings_are_of_the_format(self) -> Self:
        # hub:// and demo:// bring their own; several formats that names tell may stand beside one another.
        scheme = self.path.partition("://")[0]
        if self.format and scheme in ("hub", "demo"):
            raise ValueError(f"{scheme}:// has a format of its own: leave out format: {self.format}")
        for other in OF_ONE_FORMAT:
            of_this = self.format in (None, other) or (self.format == "wet" and other == "warc")
            if getattr(self, other) is not None and not of_this:
                raise ValueError(f"{other}: settings of another format than {self.format}: leave them out")
        return self

    @field_validator("licence", mode="before")
    @classmethod
    def _several_licences_are_one_text(cls, licence: object) -> object:
        return (
            ", ".join(licence)
            if isinstance(licence, list) and all(isinstance(one, str) for one in licence)
            else licence
        )

    @field_validator("date_format")
    @classmethod
    def _date_format_names_a_day(cls, written: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        # strptime would take the first of January of 1900 for what is not there.
        if written == ():
            raise ValueError("the list is empty: leave date_format out")
        for form in (written,) if isinstance(written, str) else written or ():
            if form not in (USUAL, *UNITS):
                check_date_format(form)
        return written

    @model_validator(mode="after")
    def _dates_are_of_one_century(self) -> Self:
        earliest = self.earliest_date or EARLIEST_DATE
        if earliest > self.latest_date:
            raise ValueError(f"earliest_date {earliest} is after latest_date {self.latest_date}")
        short = next((form for form in self.date_forms if "%y" in form), None)
        if short and self.latest_date.year - earliest.year >= 100:
            raise ValueError(
                f"'{short}' has %y, which leaves the century open: set earliest_date and latest_date less "
                "than 100 years apart"
            )
        return self

    @property
    def date_forms(self) -> tuple[str, ...]:
        """How a date may be written, one form or several."""
        return (self.date_format,) if isinstance(self.date_format, str) else self.date_format or (USUAL,)
