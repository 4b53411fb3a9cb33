"""The cell that every model host sits in: see docs/explanation/sandbox.md.

`walls.build` prepares it in the template, `door.close` locks a freshly forked host in. Nothing here needs
more than Python itself, since hosts run in environments of many kinds.
"""
