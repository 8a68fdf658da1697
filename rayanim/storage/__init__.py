"""Where films and their parts lie: addresses, and stores beyond this machine.

``address`` reads what a user wrote, ``remote`` reaches a store through fsspec
within limits, ``refusals`` says what a store's refusal means, ``claims`` keeps
two jobs from using one address. fsspec is imported in functions only.
"""
