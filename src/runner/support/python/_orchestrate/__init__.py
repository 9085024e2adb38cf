"""What `orchestrate` brings along for Python's test runners. Everything here is private.

The scripts beside this folder load it by its path, and then leave `__main__` as the runner's own command has it.
"""
