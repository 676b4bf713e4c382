"""Files as publishers deliver them become rows, one at a time.

In: an open file, its name, the settings of its format. Out: rows with text, id, title, url, licence, date and
its kind; rows that cannot be read, and what is left out, say why. Read rows.py first.
"""
