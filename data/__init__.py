"""Documents become batches of tokens, without torch: sources → corpus → tokenizer → shards → stream.

In: a `data` and a `tokenizer` section, a seed. Out: batches. Each room works with those before it alone; the modules
here are the ground of all: config.py and source_config.py, interval.py, errors.py, files.py, hashing.py, lock.py,
parallel.py, progress.py. Read config.py first.
"""

import hashlib
import os
import re
from pathlib import Path


def _compiled_functions() -> Path:
    """Where numba is to keep the functions that it has compiled: another folder for other source code.

    Numba compares only the file that a function stands in. After an update it would go on with what it has compiled
    into it of the functions of other files, and the same configuration would cut text in another way.
    """
    here, digest = Path(__file__).parent, hashlib.blake2b(digest_size=8)
    contents = {file: file.read_bytes() for file in sorted([*here.glob("*.py"), *here.glob("*/*.py")])}
    compiled, more = set[Path](), {file for file, content in contents.items() if b"import numba" in content}
    while more:  # with what these import, and so on: it may be compiled into them
        compiled |= more
        names = {name.decode() for file in more for name in re.findall(rb"^from data\.([\w.]+)", contents[file], re.M)}
        more = {here / f"{name.replace('.', '/')}.py" for name in names} & contents.keys() - compiled
    for file in sorted(compiled):
        digest.update(contents[file])
    name = f"numba-{digest.hexdigest()}"
    own = here / "__pycache__" if os.access(here, os.W_OK) else Path.home() / ".cache" / "domainlm"
    wanted = Path(os.environ.get("NUMBA_CACHE_DIR") or own)
    return wanted if wanted.name == name else wanted / name  # the former in a process that another one has started


os.environ["NUMBA_CACHE_DIR"] = str(_compiled_functions())
