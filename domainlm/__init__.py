"""What a person types: `domainlm COMMAND CONFIG [section.key=value ...]`.

In: the command line and the run's YAML. Out: what the command's module made, in words, and as JSON with --json. Read
arguments.py first (the words that are taken), then commands.py (what each command calls).
"""
