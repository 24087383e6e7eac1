"""``python -m embedded``: the embedded control plane and the stacks on it."""

from embedded.cli import app

if __name__ == "__main__":
    app(prog_name="python -m embedded")
