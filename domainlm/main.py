"""The entry point: the words are read, then the configuration, then the command's function is called."""

import json
import sys

from domainlm.arguments import parse


def main() -> None:
    """Exit code 0: done; 1: failed; 2: refused, with one clear line for each thing that is wrong."""
    arguments = parse(sys.argv[1:])
    # Not before the words are good: what these load takes ten times as long as --help.
    from data.errors import DataError, refused_file
    from domainlm import commands
    from train.checkpoints.folders import CheckpointError
    from train.config_file import ConfigError

    try:
        config = commands.load(arguments)
        result = getattr(commands, arguments.command.replace("-", "_"))(arguments, config)
    except (ConfigError, DataError, CheckpointError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if (refused := refused_file(error)) is None:
            raise
        print(f"error: {refused}", file=sys.stderr)
        sys.exit(2)
    if arguments.json:
        print(json.dumps(result, default=str))
    if result.get("passed") is False:
        sys.exit(1)


if __name__ == "__main__":
    main()
