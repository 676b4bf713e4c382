"""The model behind OpenAI's HTTP interface, for a team that tries it from the tools it has.

In: requests for completions and chats. Out: texts, streamed or whole, with citations where passages were retrieved.
Read api.py first.
"""
