"""What users have becomes records.

In: files, folders, globs, remote addresses, hub datasets, demo texts, others' token files. Out: documents, and bad
records with their reasons, part by part. Read documents.py first; formats.py chooses a reader.
"""
