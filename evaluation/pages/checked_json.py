"""A JSON file read as a pydantic model, or one line that says what is wrong in it and which command makes it anew."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from data.errors import DataError

Model = TypeVar("Model", bound=BaseModel)


def read_checked(path: Path, model: type[Model], command: str) -> Model:
    """Read a file that `domainlm COMMAND CONFIG` writes.

    Raises:
        DataError: there is no such file, it is not JSON, or not as the model wants it.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: run `domainlm {command} CONFIG` first") from None
    except ValidationError as error:
        found = error.errors()[0]
        place = ".".join(str(part) for part in found["loc"])
        problem = found["msg"].removeprefix("Value error, ")
        said = f"{place}: {problem}" if place else problem
        raise DataError(f"{path}: {said}: run `domainlm {command} CONFIG` again") from None
