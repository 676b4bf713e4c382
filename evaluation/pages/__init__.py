"""What is shown: HTML pages, plots and the model card.

In: the JSON files of a run's folder, and the shards' tables of documents. Out: report.html, data_card.html and .json,
tokenizer.html and a model's README.md, each whole in itself. Read report.py first; the look that all share is html.py
and drawing.py.
"""
