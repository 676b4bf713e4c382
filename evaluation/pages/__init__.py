"""What is shown: HTML pages, plots and the model card.

In: JSON files of a run's folder, and the shards' tables of documents. Out: report.html and data_card.html, each with
a .json, tokenizer.html and a model's README.md, each whole in itself. Read report.py first; all share html.py,
figures.py (numbers that know the field they are from) and charts.py (plots, which svg.py and drawing.py draw).
"""
