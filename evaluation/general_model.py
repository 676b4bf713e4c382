"""Models of other makers: any causal class of transformers from a local folder, or a GGUF file, as evaluation asks it.

Nothing is fetched and no code of a folder is run. Weights that a file lacks would be random numbers: transformers only
warns, here it is an error.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from data.errors import DataError
from data.files import file_digest, value_digest
from evaluation.bits_per_byte import NOT_SCORED, TokenLosses
from evaluation.continuations import behind_prefixes
from evaluation.general_prefix import general_prefix, write
from evaluation.language_model import LanguageModel, same_text

if TYPE_CHECKING:
    import torch

Dtype = Literal["float32", "bfloat16", "float16"]

LONGEST_WINDOW = 4_096
"""Tokens that a model reads at once unless more are asked for: many could take 131,072, and no memory would."""
BATCH_TOKENS = 4_096
LOGITS = 4_000_000
"""Logits that are held at once: the C library gives memory of more than 32 MB back each time, and every page of it is
faulted in anew for the next."""
FEWEST_ROWS = 128
"""Tokens whose logits are made at once even so: fewer would read the output layer's weights too often."""
ENOUGH = 1 << 20
"""From here on a tokenizer's `model_max_length` means that nobody knows."""
LENGTHS = ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len")
"""Where the classes of transformers keep how many positions they have."""
PROBE = "Zu\u0308rich, Z\u00fcrich  \u65e5\u672c \U0001f600\t1,024\n\n x"
"""Text that a tokenizer must give back: two forms of one letter, capitals, spaces, several scripts."""


def load_general_model(path: Path, *, window: int | None = None, dtype: Dtype | None = None) -> LanguageModel:
    """Read a model that transformers can read.

    Args:
        path: a folder with config.json, weights and tokenizer, or a .gguf file.
        window: most tokens read at once; None for what the model was made for, LONGEST_WINDOW at most.
        dtype: to compute in; None for float32 on a CPU, and for the folder's own on a GPU.

    Returns:
        The model; its weights are read when the first losses are asked for, which raises DataError where some are
        missing.

    Raises:
        DataError: it is no causal model that transformers knows, or its tokenizer does not give text back, so that no
            bytes can be counted.
    """
    import torch

    try:
        from transformers import AutoConfig
    except ImportError:
        raise DataError(f"{path}: models of others are read by transformers: pip install '.[compare]'") from None
    found: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    folder = path
    if path.suffix == ".gguf":
        folder, found = path.parent, found | {"gguf_file": path.name}
    try:
        config = AutoConfig.from_pretrained(folder, **found)
    except Exception as error:  # of many kinds
        raise DataError(f"{path}: transformers does not read it as a model: {_one_line(error)}") from None
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    own = str(getattr(config, "dtype", None) or "float32").removeprefix("torch.")
    chosen = dtype or ("float32" if device.type == "cpu" else own)
    tokenizer = _load_tokenizer(path, folder, found)
    begin = next((id_ for id_ in (tokenizer.bos_token_id, tokenizer.eos_token_id) if id_ is not None), None)
    if begin is None:
        raise DataError(f"{path}: its tokenizer names neither bos_token nor eos_token: nothing can stand before a text")

    @functools.cache
    def model() -> Any:
        return _load_weights(path, folder, found, chosen).to(device).eval()

    parameters, window = _count_parameters(path, config), _window(path, config, tokenizer, window)
    return LanguageModel(
        name=path.stem if path.suffix == ".gguf" else path.resolve().name,
        digest=_digest(path),
        parameters=parameters,
        window=window,
        encode=lambda text: [begin, *tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]],
        decode=lambda ids: str(tokenizer.decode(ids, clean_up_tokenization_spaces=False)),
        token_losses=_token_losses(model, device),
        batch_tokens=BATCH_TOKENS,
        device=f"{device.type}, {chosen}",
        continuation_losses=behind_prefixes(
            lambda: general_prefix(model()), int(config.get_text_config().vocab_size), max(BATCH_TOKENS, window)
        ),
        write=lambda prefix, most, ended: write(model(), tokenizer.eos_token_id, prefix, most, ended),
    )


def _count_parameters(path: Path, config: Any) -> int:
    """Of the class that the folder is of; nothing is read for it."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except Exception as error:  # of many kinds
        raise DataError(f"{path}: transformers has no causal model of it: {_one_line(error)}") from None
    return sum(parameter.numel() for parameter in model.parameters())


def _load_weights(path: Path, folder: Path, found: dict[str, Any], dtype: str) -> Any:
    from transformers import AutoModelForCausalLM

    try:
        model, told = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, output_loading_info=True, **found)
    except Exception as error:  # of many kinds
        raise DataError(f"{path}: its weights cannot be read: {_one_line(error)}") from None
    if lacking := sorted(told["missing_keys"]) + sorted(str(key) for key in told["mismatched_keys"]):
        raise DataError(f"{path}: {len(lacking)} weights are missing or of another shape, {lacking[0]} first")
    return model


def _load_tokenizer(path: Path, folder: Path, found: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **found)
    except Exception as error:  # of many kinds
        raise DataError(f"{path}: transformers reads no tokenizer of it: {_one_line(error)}") from None
    ids = tokenizer(PROBE, add_special_tokens=False, verbose=False)["input_ids"]
    given_back = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    if not same_text(given_back, PROBE):
        raise DataError(
            f"{path}: its tokenizer gives {given_back!r} back for {PROBE!r}: how many bytes of a text its tokens stand "
            "for cannot be known, nor bits per byte"
        )
    return tokenizer


def _window(path: Path, config: Any, tokenizer: Any, wanted: int | None) -> int:
    text = config.get_text_config()
    made_for = next((int(n) for name in LENGTHS if (n := getattr(text, name, None))), None)
    if made_for is None and tokenizer.model_max_length < ENOUGH:
        made_for = int(tokenizer.model_max_length)
    if wanted is not None and made_for is not None and wanted > made_for:
        raise DataError(
            f"{path} was made for {made_for:,} tokens at once, not for {wanted:,}: ask for a smaller window"
        )
    if wanted is None and made_for is None:
        raise DataError(f"{path} does not say how many tokens it was made for: say so with --window")
    return wanted or min(made_for or 0, LONGEST_WINDOW)


def _digest(path: Path) -> str:
    """Of all files that decide a figure."""
    files = [path] if path.is_file() else sorted(path.iterdir())
    read = (".safetensors", ".bin", ".json", ".model", ".txt", ".gguf")
    return value_digest({file.name: file_digest(file) for file in files if file.is_file() and file.suffix in read})


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _token_losses(load: Callable[[], Any], device: "torch.device") -> TokenLosses:
    """Logits are made for the targets alone and for few at a time; the weights are read for the first batch."""
    import torch

    @functools.cache
    def halves() -> tuple[Half, Half, int]:
        model = load()
        return (*_two_halves(model, device), int(model.config.get_text_config().vocab_size))

    @torch.inference_mode()
    def losses(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        states_of, logits_of, vocabulary = halves()
        rows, times = (torch.from_numpy(place).to(device) for place in np.nonzero(targets != NOT_SCORED))
        states = states_of(torch.from_numpy(inputs).to(device))[rows, times]
        wanted = torch.from_numpy(targets).to(device)[rows, times]
        nats = torch.zeros(inputs.shape, dtype=torch.float32, device=device)
        some = max(FEWEST_ROWS, LOGITS // vocabulary)
        for first in range(0, len(rows), some):
            part = slice(first, first + some)
            logits = logits_of(states[part]).float()
            # In place, as cross_entropy is not: a second tensor of this size would be most of its time.
            target = logits.gather(1, wanted[part, None])
            largest = logits.amax(1, keepdim=True)
            partition = logits.sub_(largest).exp_().sum(1, keepdim=True).log_()
            nats[rows[part], times[part]] = (partition - (target - largest)).squeeze(1)
        result: np.ndarray = nats.double().cpu().numpy()
        return result

    return losses


Half = Callable[["torch.Tensor"], "torch.Tensor"]


def _two_halves(model: Any, device: "torch.device") -> tuple[Half, Half]:
    """Ids (batch, time) → states (batch, time, width), and chosen states (n, width) → logits (n, vocabulary).

    The second is the output layer where that is all a class does behind its decoder: some scale or bound their logits
    besides, which a trial shows; of these the states are the logits.
    """
    import torch

    head = model.get_output_embeddings()
    trial = torch.arange(8, device=device)[None]

    def whole(ids: "torch.Tensor") -> "torch.Tensor":
        logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits
        return logits

    def decoder(ids: "torch.Tensor") -> "torch.Tensor":
        states: torch.Tensor = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        return states

    with torch.inference_mode():
        try:
            equal = head is not None and torch.equal(head(decoder(trial)), whole(trial))
        except (AttributeError, TypeError, RuntimeError):  # a decoder of another form
            equal = False
    return (decoder, head) if equal else (whole, lambda logits: logits)
