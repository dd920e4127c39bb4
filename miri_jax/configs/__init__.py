"""The settings of runs by name: `--config toy`, `--config table:beijing`.

Each file has a `get_config(arg)`, and opens with its command and with what to
expect of it. `app.named.path_of` finds them.
"""
